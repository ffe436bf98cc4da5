//! What happens in the community, as events that explain themselves.

use interbot::ledger::{
    Answer, Ask, Certificate, Effect, Ledger, LedgerEvent, Outcome, Question, Warning, what_if, what_if_after,
};
use interbot::node::{JoinState, Node};
use interbot::{BotId, UnixMillis};
use serde_json::{Value, json};

use crate::common::wall_clock;
use crate::run::{Fields, name, say};
use crate::{rules, words};

/// Tells an event of the ledger.
pub(crate) fn tell(node: &Node, event: &LedgerEvent) {
    let Some(ledger) = node.ledger() else { return };
    let mut fields = Fields::new();
    match event {
        LedgerEvent::Proposed(question) => fields = about(node, ledger, question),
        LedgerEvent::Reminder { question, percent } => {
            fields = about(node, ledger, question);
            fields.push(("window_over", json!(format!("{percent} %"))));
        }
        LedgerEvent::Voted { answers } => {
            let answers = answers.iter().map(|(id, given)| format!("{} {}", answer(*given), words::question(id)));
            fields.push(("answers", answers.collect()));
            if fields[0].1 == json!([]) {
                fields.push(("says", json!("the others know that this bot is there")));
            }
        }
        LedgerEvent::Decided { proposal, outcome, height } => {
            fields.extend([("question", json!(words::question(proposal))), ("outcome", json!(words::spaced(outcome)))]);
            fields.push(("height", json!(height.0)));
            if let Ok((_, why)) = ledger.explain(proposal) {
                fields.extend(subject(ledger, &why.ask));
                let tally = why.tally;
                let votes = format!("{} yes, {} no, {} abstained", tally.yes, tally.no, tally.abstain);
                fields.extend([("votes", json!(votes)), ("rule", json!(why.rule.to_string()))]);
                fields.push(("why", json!(format!("type `explain {}`", words::question(proposal)))));
            }
        }
        LedgerEvent::Stale { proposal } => {
            fields.push(("question", json!(words::question(proposal))));
            fields.push(("says", json!("it waited too long and will not be decided: ask again")));
        }
        LedgerEvent::Height { height, admitted, dormant, woken, is_active, .. } => {
            // Several heights may have come at once, and the ledger be further already.
            let certificate = ledger.certificate(*height).and_then(|bytes| Certificate::from_bytes(bytes).ok());
            let active = certificate.as_ref().map_or(0, |it| it.header.active);
            fields.extend([("height", json!(height.0)), ("active", json!(active))]);
            fields.push(("quorum", json!(ledger.rules().numbers(active).quorum)));
            let departed = certificate.iter().flat_map(|it| &it.header.changes.departed);
            let departed: Vec<Value> =
                departed.map(|(key, cause)| json!({ "id": name(*key), "cause": words::spaced(cause) })).collect();
            fields.push(("admitted", names(admitted)));
            fields.push(("departed", json!(departed)));
            for (what, who) in [("fell_asleep", dormant), ("woke", woken)] {
                if !who.is_empty() {
                    fields.push((what, names(who)));
                }
            }
            if certificate.is_some_and(|it| it.header.changes.rules.is_some()) {
                fields.push(("rules", json!("changed: type `rules`")));
            }
            fields.push(("this_bot_counts", json!(is_active)));
        }
        LedgerEvent::Equivocator { member, conflict } => {
            fields.extend(who(member));
            fields.push(("conflict", json!(words::spaced(conflict))));
            fields.push(("says", json!("it signed what cannot both be honest; the next height is without it")));
        }
        LedgerEvent::Guest { key } => {
            fields.extend(who(key));
            fields.push(("says", json!("it may be linked and post, and has no vote yet")));
        }
        LedgerEvent::Revoked { key } => fields.extend(who(key)),
        LedgerEvent::Forked(fork) => {
            fields.push(("height", json!(fork.ours.header.height.0)));
            fields.push(("signed_both", names(&fork.signed_both)));
            let says = "there are two histories of this height, and nothing is decided any more: found a new community \
                        without those that signed both";
            fields.push(("says", json!(says)));
        }
        LedgerEvent::Unsure { unheard } => {
            fields.push(("waits_for", names(unheard)));
            let says = "the records were lost: to break no promise, this bot neither votes nor signs until all these told \
                        what it had said";
            fields.push(("says", json!(says)));
        }
        _ => {}
    }
    say(event.name(), &fields);
}

/// Tells how far this bot is on its way in.
pub(crate) fn tell_joining(node: &Node, state: &JoinState) {
    let mut fields: Fields = [("state", json!(state.name()))].into();
    let says = match state {
        JoinState::Dialling => "the inviter is dialled",
        JoinState::Reading { height } => {
            fields.push(("height", json!(height)));
            "the community's history is read and checked"
        }
        JoinState::WaitsForSponsor if node.is_uninvited() => {
            "the invitation is used, over or not the inviter's: now its owner has to decide; or ask for a new line, and start \
             again with it"
        }
        JoinState::WaitsForSponsor => "the inviter asks the members as soon as a height has room",
        JoinState::Asked { question, unheard } => {
            fields.push(("question", json!(words::question(question))));
            fields.push(("unheard", names(unheard)));
            if unheard.is_empty() {
                "the members vote"
            } else {
                "the members vote; those that are unheard have to confirm the inviter's history, or this bot trusts nobody"
            }
        }
        JoinState::Guest { question } => {
            fields.push(("question", json!(words::question(question))));
            "links and posts are open to this bot; it has no vote until the window is over"
        }
        JoinState::Declined => "the inviter's owner does not speak for this bot: ask another member for an invitation",
        JoinState::Refused { outcome } => {
            fields.push(("outcome", json!(words::spaced(outcome))));
            match outcome {
                Outcome::Capped => {
                    "the members want this bot, but the round was full: start again with a new invitation"
                }
                _ => "this bot is not in: to be asked for again takes a new invitation",
            }
        }
        JoinState::Unverified { unheard } => {
            fields.push(("unheard", names(unheard)));
            fields.extend(place(node.ledger()));
            "this bot is in, as the inviter tells it, but nobody else has confirmed it: ask another member what its `members` \
             shows, and if height and header are the same, type `trust`"
        }
        JoinState::OtherStory => {
            "the inviter tells another history than the one that it invited to: do not join, and ask somebody else"
        }
        JoinState::Member => "this bot is a member",
        _ => "",
    };
    fields.push(("says", json!(says)));
    say("joining", &fields);
}

/// A question with everything that its answer takes.
pub(crate) fn about(node: &Node, ledger: &Ledger, question: &Question) -> Fields {
    let votes = ledger.roster().get_active(&node.id()).is_some();
    let id = words::question(&question.id);
    let mut fields: Fields = [("question", json!(id))].into();
    fields.extend(subject(ledger, &question.ask));
    fields.push(("vouched_by", name(question.sponsor)));
    if let Ask::Admit(application) | Ask::Rekey(application) = &question.ask {
        fields.push(("words", text(&application.text)));
    }
    if !question.text.is_empty() {
        fields.push(("sponsors_words", text(&question.text)));
    }
    fields.extend(deadline(question.deadline));
    fields.extend(effects(ledger, question));
    if votes {
        fields.push(("your_answer", json!(question.answer.map(answer))));
        fields.push(("answer_with", json!(format!("vote yes {id}, vote no {id}, vote abstain {id}"))));
    }
    fields
}

/// What is asked, and about whom.
fn subject(ledger: &Ledger, ask: &Ask) -> Fields {
    let verb = match ask {
        Ask::Admit(_) => "admit a member",
        Ask::Remove { reports, .. } if reports.is_empty() => "remove a member",
        Ask::Remove { .. } => "remove a member that others found silent",
        Ask::Rekey(_) => "replace a member's key",
        Ask::Amend(_) => "live by other rules",
        Ask::Revoke { .. } => "end a guest's rights",
        _ => "something that this program does not know",
    };
    let mut fields: Fields = [("asks", json!(verb))].into();
    fields.extend(ask.subject().into_iter().flat_map(who));
    match ask {
        Ask::Rekey(application) => fields.push(("new_key", name(application.key))),
        Ask::Amend(to) => fields.push(("changes", json!(rules::changes(ledger.rules(), to)))),
        _ => {}
    }
    fields
}

/// What happens if it passes alone, and if everything that is open does.
fn effects(ledger: &Ledger, question: &Question) -> Fields {
    let at = ledger.chain().standpoint();
    let others: Vec<Ask> =
        ledger.questions().into_iter().filter(|other| other.id != question.id).map(|other| other.ask).collect();
    let mut alone = what_if(&at, &question.ask);
    let together = (!others.is_empty()).then(|| what_if_after(&at, &others, &question.ask));
    if together.as_ref().is_some_and(|together| together.outcome == Outcome::Capped) {
        alone.warnings.push(Warning::Full);
    }
    let mut fields = effect(&alone);
    fields.extend(together.map(|together| ("if_all_pass", json!(numbers(&together)))));
    fields
}

fn numbers(effect: &Effect) -> String {
    Effect { warnings: Vec::new(), ..effect.clone() }.to_string().replace('\n', ", ")
}

/// What happens if it passes.
pub(crate) fn effect(effect: &Effect) -> Fields {
    let mut fields: Fields = [("if_passed", json!(numbers(effect)))].into();
    for (what, who) in [("would_sleep", &effect.would_sleep), ("would_be_evicted", &effect.would_be_evicted)] {
        if !who.is_empty() {
            fields.push((what, names(who)));
        }
    }
    fields.push(("warnings", effect.warnings.iter().map(|warning| json!(warning.to_string())).collect()));
    fields
}

pub(crate) fn who(id: &BotId) -> Fields {
    [("who", name(*id)), ("fingerprint", json!(words::fingerprint(id)))].into()
}

/// The newest height and its header's name: the same two for two members with the same history.
pub(crate) fn place(ledger: Option<&Ledger>) -> Fields {
    let place = ledger.map(Ledger::place);
    place.map_or_else(Fields::new, |place| {
        [("height", json!(place.height.0)), ("header", json!(words::hex(&place.header.0)))].into()
    })
}

fn deadline(at: UnixMillis) -> Fields {
    [("deadline", json!(words::utc(at))), ("deadline_is", json!(words::until(wall_clock(), at)))].into()
}

pub(crate) const fn answer(answer: Answer) -> &'static str {
    match answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        _ => "abstain",
    }
}

pub(crate) fn names(ids: &[BotId]) -> Value {
    ids.iter().map(|id| name(*id)).collect()
}

/// Words of others, which must not act on the owner's terminal.
pub(crate) fn text(bytes: &[u8]) -> Value {
    json!(words::visible(&String::from_utf8_lossy(bytes)))
}
