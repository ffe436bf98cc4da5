//! What the owner of a bot in a community that votes may type.

use std::path::Path;
use std::time::Duration;

use interbot::ledger::{Answer, Ask, Certificate, Height, Ledger, Outcome, StatementId, WishError};
use interbot::node::{DialError, Node};
use interbot::{BotId, Instant};
use serde_json::json;

use crate::common::wall_clock;
use crate::run::{App, Fields, name, say};
use crate::{Peer, events, files, rules, words};

/// How long an invitation is good when nothing is said.
const A_DAY: Duration = Duration::from_secs(86_400);

/// Everything that can be typed; the first word names the command.
pub(crate) const HELP: [&str; 24] = [
    "post TEXT: send a post to everybody",
    "links, stats: what is linked, what was counted",
    "dial ID@HOST:PORT: keep a link with a member, also after a restart",
    "invite [HOST:PORT [HOST:PORT]] [for 1d]: print a line that lets one newcomer apply",
    "applicants: who asks this bot to speak for it without an invitation",
    "sponsor ID [WORDS]: ask the members to admit an applicant",
    "dismiss ID: do not speak for an applicant",
    "proposals: the open questions, and what happens if they pass",
    "vote yes|no|abstain QUESTION...: answer; the newest answer counts",
    "unvote QUESTION...: take an answer back",
    "endorse QUESTION on|off: say that the applicant's key was checked by hand",
    "propose remove ID [WORDS]: ask the members to remove one",
    "propose revoke ID [WORDS]: ask them to end a guest's rights",
    "propose amend RULE=VALUE... [WORDS]: ask them to live by other rules",
    "what-if ...: the same, but only show what would happen; also `what-if leave`",
    "withdraw QUESTION: take back an own question",
    "explain [QUESTION [FILE]]: why it was decided so, and its proof for `bot verify`; alone, the last decisions",
    "members: who is in, and at which height",
    "rules: the rules of the community",
    "health: whether anything can be decided, and for whom it waits",
    "leave: leave the community at the next height",
    "trust: take the inviter's history for the true one",
    "quit: stop the bot",
    "QUESTION and ID may be cut short, as long as they are clear",
];

/// Carries out a command; the error says what to do instead.
pub(crate) fn command(app: &mut App, node: &mut Node, now: Instant, line: &str) -> Result<(), String> {
    let mut typed = line.split_whitespace();
    let verb = typed.next().unwrap_or_default();
    let rest: Vec<&str> = typed.collect();
    match (verb, &rest[..]) {
        ("help", _) => HELP.iter().for_each(|line| say("help", &[("type", json!(line))])),
        ("dial", [peer]) => return dial(app, node, now, peer.parse()?),
        ("dial", _) => return usage("dial ID@HOST:PORT"),
        ("invite", _) => return invite(app, node, now, &rest),
        ("applicants", []) => {
            let waiting: Vec<_> = node.applicants().map(|it| (it.key, it.text.clone())).collect();
            say("applicants", &[("waiting", json!(waiting.len()))]);
            for (key, text) in waiting {
                applied(key, &text);
            }
        }
        ("sponsor", [who, ..]) => {
            let applicant = find_bot(node, who)?;
            let words = words_after(line, 2);
            node.sponsor(now, applicant, words.to_string()).map_err(told)?;
        }
        ("dismiss", [who]) => {
            let applicant = find_bot(node, who)?;
            if !node.applicants().any(|it| it.key == applicant) {
                return Err(told(WishError::NoSuchApplicant(applicant)));
            }
            node.dismiss(now, applicant);
            say("dismissed", &events::who(&applicant));
        }
        ("trust", []) => match node.join_state() {
            Some(_) => node.trust_story(now),
            None => return Err("there is nothing to trust: this bot is no newcomer".to_string()),
        },
        ("proposals", []) => {
            let ledger = ledger(node)?;
            let open = ledger.questions();
            say("proposals", &[("open", json!(open.len()))]);
            open.iter().for_each(|question| say("proposal", &events::about(node, ledger, question)));
        }
        ("vote", [answer, questions @ ..]) if !questions.is_empty() => {
            let answer = match *answer {
                "yes" => Answer::Yes,
                "no" => Answer::No,
                "abstain" => Answer::Abstain,
                _ => return usage("vote yes|no|abstain QUESTION"),
            };
            return vote(node, now, questions, Some(answer));
        }
        ("vote", _) => return usage("vote yes|no|abstain QUESTION"),
        ("unvote", questions @ [_, ..]) => return vote(node, now, questions, None),
        ("unvote", []) => return usage("unvote QUESTION"),
        ("endorse", [question, on @ ("on" | "off")]) => {
            let question = find_open(node, question)?;
            node.endorse(now, question, *on == "on").map_err(told)?;
            say("endorsed", &[("question", json!(words::question(&question))), ("by_hand", json!(*on == "on"))]);
        }
        ("endorse", _) => return usage("endorse QUESTION on|off"),
        ("withdraw", [question]) => {
            let question = find_open(node, question)?;
            node.withdraw(now, question).map_err(told)?;
            say("withdrawn", &[("question", json!(words::question(&question)))]);
        }
        ("propose", ["leave"]) | ("leave", []) => {
            let effect = ledger(node)?.what_if_it_leaves(&node.id());
            node.leave(now).map_err(told)?;
            let mut fields = events::effect(&effect);
            fields.push(("says", json!("this bot leaves at the next height; keep it running until then")));
            say("leaving", &fields);
        }
        ("propose", _) => {
            let (ask, words) = ask(node, line, &rest)?;
            node.propose(now, ask, words).map_err(told)?;
        }
        ("what-if", ["leave"]) => say("what_if", &events::effect(&ledger(node)?.what_if_it_leaves(&node.id()))),
        ("what-if", _) => {
            let (ask, _) = ask(node, line, &rest)?;
            say("what_if", &events::effect(&ledger(node)?.what_if(&ask)));
        }
        ("explain", []) => decisions(ledger(node)?),
        ("explain", [question]) => return explain(ledger(node)?, question, None),
        ("explain", [question, file]) => return explain(ledger(node)?, question, Some(file)),
        ("members", []) => return members(node),
        ("rules", []) => {
            let fields = rules::fields(ledger(node)?.rules());
            say("rules", &fields.map(|(name, value)| (name, json!(value))));
        }
        ("health", []) => {
            let health = ledger(node)?.health();
            let waiting = health.blocked.as_ref().map_or(&[][..], |blocked| &blocked.waiting_for);
            let fields = [
                ("active", json!(health.numbers.active)),
                ("quorum", json!(health.numbers.quorum)),
                ("there", json!(health.alive)),
                ("may_be_absent", json!(health.may_be_absent)),
                ("waits_for", events::names(waiting)),
                ("says", json!(health.to_string())),
            ];
            say("health", &fields);
        }
        _ => {
            let known = HELP[..HELP.len() - 1].iter().flat_map(|line| line.split([':', ' ', ',']).next());
            let known: Vec<&str> = known.collect();
            return Err(format!("`{line}` is no command; there are: {}; type `help`", known.join(", ")));
        }
    }
    Ok(())
}

/// Tells who asks this bot to speak for it.
pub(crate) fn applied(applicant: BotId, text: &[u8]) {
    let mut fields = events::who(&applicant);
    fields.push(("words", events::text(text)));
    let short = applicant.short();
    fields.push(("answer_with", json!(format!("sponsor {short}, dismiss {short}"))));
    say("applied", &fields);
}

fn usage(form: &str) -> Result<(), String> {
    Err(format!("write `{form}`"))
}

fn told(error: WishError) -> String {
    error.to_string()
}

fn ledger(node: &Node) -> Result<&Ledger, String> {
    node.ledger().ok_or_else(|| told(WishError::NoLedger))
}

/// What follows so many words of a line, as it was typed.
fn words_after(line: &str, count: usize) -> &str {
    (0..count)
        .fold(line.trim(), |rest, _| rest.split_once(char::is_whitespace).map_or("", |(_, rest)| rest.trim_start()))
}

fn dial(app: &mut App, node: &mut Node, now: Instant, peer: Peer) -> Result<(), String> {
    match node.dial(now, peer.id, &peer.address) {
        Err(DialError::NotAMember(id)) => {
            return Err(format!("{id} is not among the members: look at `members`, or wait until it is in"));
        }
        dialled => dialled.map_err(|error| error.to_string())?,
    }
    app.remember(peer)
}

fn invite(app: &mut App, node: &mut Node, now: Instant, typed: &[&str]) -> Result<(), String> {
    let (addresses, lasts) = match typed {
        [addresses @ .., "for", span] => (addresses, words::read_span(span)?),
        addresses => (addresses, A_DAY),
    };
    if addresses.len() > 2 || addresses.iter().any(|address| !words::is_address(address)) {
        return Err(
            "write `invite [HOST:PORT [HOST:PORT]] [for 1d]`, with addresses at which newcomers reach this bot".into(),
        );
    }
    let listens = app.listens().filter(|address| !address.ip().is_unspecified()).map(|address| address.to_string());
    let first = addresses.first().map(ToString::to_string).or(listens);
    let first = first.ok_or("at which address do newcomers reach this bot? write `invite HOST:PORT`")?;
    let invitation = node.invite(now, &first, addresses.get(1).copied(), lasts).map_err(|error| error.to_string())?;
    let end = invitation.expires_at();
    let fields: Fields = [
        ("line", json!(invitation.to_string())),
        ("for", json!("one newcomer: send it where nobody else reads it")),
        ("expires", json!(words::utc(end))),
        ("expires_is", json!(words::until(wall_clock(), end))),
        ("use_with", json!("bot join LINE --key FILE --listen ADDR")),
    ]
    .into();
    app.say_when_durable("invitation", fields);
    Ok(())
}

fn vote(node: &mut Node, now: Instant, questions: &[&str], answer: Option<Answer>) -> Result<(), String> {
    let questions = questions.iter().map(|text| find_open(node, text)).collect::<Result<Vec<_>, _>>()?;
    questions.into_iter().try_for_each(|question| node.vote(now, question, answer)).map_err(told)
}

/// Reads what is to be asked; the line's words behind it are the sponsor's.
fn ask(node: &Node, line: &str, typed: &[&str]) -> Result<(Ask, String), String> {
    let said = |count| words_after(line, count).to_string();
    match typed {
        ["remove", who, ..] => {
            let subject = find_bot(node, who)?;
            Ok((Ask::Remove { subject, reports: Vec::new() }, said(3)))
        }
        ["revoke", who, ..] => Ok((Ask::Revoke { subject: find_bot(node, who)? }, said(3))),
        ["amend", first, more @ ..] => {
            let mut rules = ledger(node)?.rules().clone();
            rules::set(&mut rules, first)?;
            let changes = more.iter().take_while(|word| word.contains('=')).count();
            more[..changes].iter().try_for_each(|change| rules::set(&mut rules, change))?;
            Ok((Ask::Amend(rules), said(3 + changes)))
        }
        ["admit", ..] => {
            Err("a newcomer applies by itself: `invite` it, or `sponsor` one of the `applicants`".to_string())
        }
        _ => {
            Err("write `propose remove ID`, `propose revoke ID`, `propose amend RULE=VALUE` or `propose leave`"
                .to_string())
        }
    }
}

/// Every decision that the history holds, the oldest first.
fn decided(ledger: &Ledger) -> Vec<(StatementId, Outcome, Height)> {
    let heights = (1..=ledger.place().height.0).filter_map(|height| ledger.certificate(Height(height)));
    let certificates = heights.filter_map(|bytes| Certificate::from_bytes(bytes).ok());
    let outcomes = |it: Certificate| {
        let height = it.header.height;
        it.header.outcomes.into_iter().map(move |(id, outcome)| (id, outcome, height))
    };
    certificates.flat_map(outcomes).collect()
}

/// The last ten decisions.
fn decisions(ledger: &Ledger) {
    let all = decided(ledger);
    say("decisions", &[("decided", json!(all.len()))]);
    for (id, outcome, height) in &all[all.len().saturating_sub(10)..] {
        let fields = [("question", json!(words::question(id))), ("outcome", json!(words::spaced(outcome)))];
        say("decision", &[&fields[..], &[("height", json!(height.0))]].concat());
    }
}

fn explain(ledger: &Ledger, question: &str, file: Option<&str>) -> Result<(), String> {
    let open = ledger.questions();
    let all: Vec<StatementId> =
        decided(ledger).into_iter().map(|(id, ..)| id).chain(open.iter().map(|question| question.id)).collect();
    let id = find_question(&all, question)?;
    if let Some(open) = open.iter().find(|open| open.id == id) {
        let left = words::until(wall_clock(), open.deadline);
        return Err(format!("{} is still open: its window ends {left}; see `proposals`", words::question(&id)));
    }
    let (proof, why) = ledger.explain(&id).map_err(|error| error.to_string())?;
    let mut fields: Fields = [("question", json!(words::question(&id))), ("height", json!(proof.height().0))].into();
    fields.push(("outcome", json!(words::spaced(why.decision.outcome))));
    fields.push(("says", json!(why.to_string().lines().collect::<Vec<_>>())));
    if let Some(file) = file {
        let written = files::write_decision(Path::new(file), ledger, &proof);
        written.map_err(|error| format!("{file} cannot be written: {error}"))?;
        fields.push(("proof", json!(file)));
        let community = words::community(ledger.community());
        fields.push(("verify_with", json!(format!("bot verify {file} --community {community}"))));
    }
    say("explanation", &fields);
    Ok(())
}

fn members(node: &Node) -> Result<(), String> {
    let ledger = ledger(node)?;
    let guests: Vec<BotId> = ledger.guests().filter(|key| ledger.roster().get(key).is_none()).collect();
    let mut fields: Fields = [("community", json!(words::community(ledger.community())))].into();
    fields.extend(events::place(Some(ledger)));
    fields.push(("members", json!(ledger.roster().members().len())));
    fields.push(("active", json!(ledger.roster().active_len())));
    fields.push(("guests", json!(guests.len())));
    say("members", &fields);
    let linked = |id: &BotId| {
        let open = |info: &interbot::node::LinkInfo| info.peer == Some(*id) && info.open_since.is_some();
        if *id == node.id() { json!("this bot") } else { json!(node.links().any(|info| open(&info))) }
    };
    for member in ledger.roster().members() {
        let mut fields = events::who(&member.key);
        fields.push(("standing", json!(words::spaced(member.standing))));
        fields.push(("silent_rounds", json!(member.strikes)));
        fields.push(("since_height", json!(member.joined_at.0)));
        fields.push(("linked", linked(&member.key)));
        say("member", &fields);
    }
    for guest in guests {
        let mut fields = events::who(&guest);
        fields.extend([("standing", json!("guest")), ("linked", linked(&guest))]);
        say("member", &fields);
    }
    Ok(())
}

fn find_open(node: &Node, text: &str) -> Result<StatementId, String> {
    let open: Vec<StatementId> = ledger(node)?.questions().iter().map(|question| question.id).collect();
    find_question(&open, text)
}

/// The question whose name begins so.
fn find_question(known: &[StatementId], text: &str) -> Result<StatementId, String> {
    let wanted = text.to_ascii_lowercase();
    match known.iter().filter(|id| words::hex(&id.0).starts_with(&wanted)).collect::<Vec<_>>()[..] {
        [id] => Ok(*id),
        [] => Err(format!("no question's name begins with `{text}`: see `proposals` and `explain`")),
        ref several => {
            let names: Vec<String> = several.iter().map(|id| words::hex(&id.0[..8])).collect();
            Err(format!("`{text}` stands for {}: write more of one", names.join(", ")))
        }
    }
}

/// The bot whose id begins so; `bot1` may be left out.
fn find_bot(node: &Node, text: &str) -> Result<BotId, String> {
    if text.len() >= BotId::TEXT_LEN {
        return text.parse().map_err(|error| format!("{error}"));
    }
    let ledger = ledger(node)?;
    let mut known: Vec<BotId> = ledger.roster().members().iter().map(|member| member.key).collect();
    known.extend(ledger.guests());
    known.extend(node.applicants().map(|it| it.key));
    known.extend(ledger.questions().iter().filter_map(|question| question.ask.subject().copied()));
    known.sort_unstable();
    known.dedup();
    let typed = text.to_ascii_lowercase();
    let wanted = typed.strip_prefix("bot1").unwrap_or(&typed);
    let begins = |id: &&BotId| id.to_string()["bot1".len()..].starts_with(wanted);
    match known.iter().filter(begins).collect::<Vec<_>>()[..] {
        [id] => Ok(*id),
        [] => Err(format!("no member, guest or applicant is named `{text}`: see `members` and `applicants`")),
        ref several => {
            let names: Vec<String> =
                several.iter().map(|id| name(**id).as_str().unwrap_or_default().to_string()).collect();
            Err(format!("`{text}` stands for {}: write more of one", names.join(", ")))
        }
    }
}
