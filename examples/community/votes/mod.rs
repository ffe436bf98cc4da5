//! A community founds itself, admits and removes members by vote, catches a cheat, and proves all of it: real nodes on real
//! sockets, with a window of some seconds in place of a week. Every line is printed once it has happened and was checked.

mod cast;
mod liar;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use cast::{Cast, Who};
use interbot::crypto::Pure;
use interbot::ledger::{
    Answer, Ask, Ballot, Body, Certificate, Chain, Conflict, Departure, Founding, Genesis, Height, Invitation, Journal,
    Ledger, LedgerEvent, Outcome, Preset, Proof, Rules, Statement, StatementId, Vote,
};
use interbot::link::{CloseReason, Code, Setup};
use interbot::node::{Config, Event, JoinState, Node};
use interbot::{BotId, CommunityId, Instant};
use liar::Call;
use tokio::task::JoinHandle;

use crate::common::{self, Tls};
use Who::{Ann, Bob, Cleo, Dan, Eve, Frank, Gina};

/// What goes wrong is told in words.
pub(crate) type Done<T = ()> = Result<T, Box<dyn std::error::Error>>;

/// Long enough for votes and views on a busy machine, and short enough to watch.
const WINDOW: Duration = Duration::from_secs(10);
/// How long anything but a round may take.
const SOON: Duration = Duration::from_secs(20);
/// How long a round may take: its window, and then more views than a machine that is not stuck needs.
const ROUND: Duration = Duration::from_secs(45);
/// How long to listen for what must not be heard.
const SILENCE: Duration = Duration::from_millis(500);
/// How long an invitation lasts.
const HOUR: Duration = Duration::from_secs(3600);

/// Tells the story; whether it went as it should.
pub(crate) async fn run(seed: u64, is_plain: bool) -> Done<bool> {
    let tls = if is_plain { None } else { Some(Tls::new()?) };
    let mut story = Story::begin(Cast::new(seed, tls))?;
    match story.tell().await {
        Ok(()) => Ok(true),
        Err(error) => {
            eprintln!("community: {error}");
            Ok(false)
        }
    }
}

struct Story {
    cast: Cast,
    genesis: Genesis,
    /// The story as an outsider follows it, who has nothing but the genesis and the certificates.
    chain: Chain,
    certificates: Vec<Bytes>,
}

impl Story {
    fn begin(cast: Cast) -> Done<Self> {
        let founding = Founding {
            rules: Rules::preset(Preset::Village).with_vote_window(WINDOW),
            founders: vec![cast.id(Ann)],
            opened_at: common::wall_clock(),
            nonce: [1; 16],
            text: Bytes::from_static(b"a village"),
        };
        let signature = founding.sign(&*cast.identity(Ann).signer(&Pure));
        let genesis = Genesis::new(founding, &[(cast.id(Ann), signature)], &Pure)?;
        Ok(Self { chain: Chain::start(&genesis), genesis, cast, certificates: Vec::new() })
    }

    async fn tell(&mut self) -> Done {
        let (seconds, wires) =
            (WINDOW.as_secs(), if self.cast.tls().is_some() { "TCP and TLS 1.3" } else { "bare TCP" });
        println!(
            "A community that nobody owns: seven bots on loopback, {wires}. A vote takes a week, here {seconds} s."
        );
        println!(
            "It ends with a height: a certificate, signed by a quorum, that says to everybody who is a member now."
        );
        self.found().await?;
        let tie = self.apply().await?;
        let amend = self.remove().await?;
        self.catch_up().await?;
        self.convict(amend).await?;
        self.verify_late().await?;
        self.prove(tie).await?;
        self.compare().await
    }

    // ---- the acts ----

    async fn found(&mut self) -> Done {
        self.act("One founds, three are invited");
        let config = Config::founded(self.genesis.clone(), Journal::New, common::wall_clock());
        self.cast.start(Ann, config)?;
        self.cast.shows(SOON, Ann, "is a member", |node| node.ledger().map(drop)).await?;
        let name = hex(&self.community().as_bytes()[..8]);
        self.say(Ann, format!("founds the community {name}…, alone: her own yes is a majority"));
        let mut invited = Vec::new();
        for (who, words) in [(Bob, "I log what is said"), (Cleo, "I know the weather"), (Dan, "I play trivia")] {
            let invitation = self.invite(Ann).await?;
            if who == Bob {
                let line = invitation.to_string();
                let (start, len) = (&line[..24], line.len());
                self.say(Ann, format!("writes three invitations, a line of text each: {start}… ({len} letters)"));
            }
            invited.push((who, invitation, words));
        }
        // All at once: what is to be judged together is asked within a fourteenth of a window.
        for (who, invitation, words) in &invited {
            self.apply_with(*who, invitation, words)?;
        }
        let mut asked = Vec::new();
        for (who, ..) in invited {
            asked.push((who, self.asked(who).await?));
        }
        self.say("all 3", "bob, cleo and dan dial ann, prove their keys, read her story from the genesis, and apply");
        for (_, question) in &asked {
            self.vote(*question, &[(Ann, Answer::Yes)]).await?;
        }
        for (who, _) in &asked {
            self.becomes_guest(*who, &[Ann]).await?;
        }
        self.say(Ann, "says yes to each: they are guests at once, who may talk and not yet vote");
        self.seal(1, &[Ann, Bob, Cleo, Dan]).await?;
        for (who, question) in &asked {
            self.decided(*question, Outcome::Passed, &[Ann]).await?;
            self.is_member(*who).await?;
        }
        Ok(())
    }

    /// Two apply, one gets in; the other's question is handed on, to be looked at later.
    async fn apply(&mut self) -> Done<StatementId> {
        self.act("Two apply, one gets in");
        let (for_eve, for_frank) = (self.invite(Bob).await?, self.invite(Dan).await?);
        self.apply_with(Eve, &for_eve, "I announce birthdays")?;
        self.apply_with(Frank, &for_frank, "I sell watches")?;
        let eve = self.asked(Eve).await?;
        self.say(Eve, "applies through bob: \"I announce birthdays\"; ann, cleo and dan witness bob's story");
        let frank = self.asked(Frank).await?;
        self.say(Frank, "applies through dan: \"I sell watches\"; ann, bob and cleo witness dan's story");
        let (yes, no) = (Answer::Yes, Answer::No);
        // Frank first: who is heard about eve was then heard about both.
        self.vote(frank, &[(Ann, no), (Bob, no), (Cleo, yes), (Dan, yes)]).await?;
        self.vote(eve, &[(Ann, yes), (Bob, yes), (Cleo, yes), (Dan, no)]).await?;
        self.say("votes", "frank: cleo and dan yes, ann and bob no; eve: ann, bob and cleo yes, dan no");
        self.becomes_guest(Eve, &[Ann, Bob, Cleo, Dan]).await?;
        self.say(Eve, "is a guest before the window is over: three yes are a quorum of four");
        self.post(Eve, "today is ann's birthday").await?;
        self.heard_by(Eve, &[Ann, Bob, Cleo, Dan]).await?;
        self.say(Eve, "posts \"today is ann's birthday\": all four hear it");
        self.cast.cut_off(Cleo).await;
        self.say(Cleo, "loses power; her vote is cast, and counts");
        self.seal(2, &[Ann, Bob, Dan]).await?;
        self.decided(eve, Outcome::Passed, &[Ann, Bob, Dan]).await?;
        self.decided(frank, Outcome::Refused, &[Ann, Bob, Dan]).await?;
        self.is_member(Eve).await?;
        let refused = |node: &Node| {
            let state = node.join_state();
            matches!(state, Some(JoinState::Refused { outcome: Outcome::Refused })).then_some(())
        };
        self.cast.shows(SOON, Frank, "hears that it is refused", refused).await?;
        self.say(Frank, "hears that he is refused: a tie is a no");
        self.post(Frank, "watches, half price").await?;
        self.unheard(Frank, &[Ann, Bob, Dan, Eve]).await?;
        self.say(Frank, "posts \"watches, half price\" all the same: nobody hears it");
        self.cast.stop(Frank).await?;
        Ok(frank)
    }

    /// A question that is asked meanwhile, about other rules, is handed on to the next round.
    async fn remove(&mut self) -> Done<StatementId> {
        self.act("One is voted out");
        for _ in 0..3 {
            self.post(Eve, "buy my soap").await?;
        }
        self.say(Eve, "posts \"buy my soap\", three times");
        self.say(Bob, "asks his bot what her removal would do, and then all members for it:");
        let ask = Ask::Remove { subject: self.cast.id(Eve), reports: Vec::new() };
        let weighed = ask.clone();
        let effect = self.cast.read(Bob, move |ledger| ledger.what_if(&weighed)).await?;
        self.expect(effect.after.active + 1 == effect.before.active, "the removal would take one member")?;
        self.more(self.cast.with_names(&effect.to_string()).replace('\n', "; "));
        let question = self.cast.with(Bob, |node, now| node.propose(now, ask, &b"adverts"[..])).await??;
        self.vote(question, &[(Ann, Answer::Yes), (Bob, Answer::Yes), (Dan, Answer::Yes)]).await?;
        self.say("votes", "ann, bob and dan yes; eve is not counted, cleo is still without power");
        // Half a window later: too young to be judged with the removal, and ripe as soon as the next height may come.
        tokio::time::sleep(WINDOW / 2).await;
        let rules = Rules { witnesses: 2, ..self.chain.rules().clone() };
        let words = &b"two will do"[..];
        let amend = self.cast.with(Bob, move |node, now| node.propose(now, Ask::Amend(rules), words)).await??;
        self.say(Bob, "asks for other rules too: two witnesses for each newcomer, not three");
        self.seal(3, &[Ann, Bob, Dan, Eve]).await?;
        self.decided(question, Outcome::Passed, &[Ann, Bob, Dan]).await?;
        let has_none = |node: &Node| node.links().all(|link| link.open_since.is_none()).then_some(());
        self.cast.shows(SOON, Eve, "has no link any more", has_none).await?;
        self.is_unlinked(Bob, Eve).await?;
        self.say(Eve, "her bot signed too, as voted; it reads that it is out, and its links are closed");
        self.cast.stop(Eve).await?;
        Ok(amend)
    }

    async fn catch_up(&mut self) -> Done {
        self.act("One was away");
        let config = Config::remembered(self.community(), common::wall_clock());
        self.cast.start(Cleo, config)?;
        let knew = self.cast.read(Cleo, |ledger| ledger.place().height.0).await?;
        self.say(Cleo, format!("has power again: her bot starts from its records, at height {knew}, and dials ann"));
        self.expect(knew == 1, "cleo slept through two heights")?;
        let (ann, address, began) = (self.cast.id(Ann), self.cast.address(Ann).to_owned(), self.cast.clock.now());
        self.cast.with(Cleo, move |node, now| node.dial(now, ann, address)).await??;
        self.stand_at(3, &[Cleo]).await?;
        let took = self.cast.clock.now().since(began);
        self.say(Cleo, format!("is at height 3 after {}: 2 certificates fetched and checked", millis(took)));
        Ok(())
    }

    async fn convict(&mut self, question: StatementId) -> Done {
        self.act("One cheats");
        self.cast.stop(Dan).await?;
        for who in [Ann, Cleo] {
            self.is_unlinked(who, Dan).await?;
        }
        let calls = self.lie(question).await?;
        self.say(Dan, "his owner uses his key by hand: tells ann YES to the rules and cleo NO, under one number");
        let (dan, honest) = (self.cast.id(Dan), [Ann, Bob, Cleo]);
        let convicts = |event: &Event| {
            matches!(ledger_event(event), Some(LedgerEvent::Equivocator { member, conflict: Conflict::TwoBallots })
                if *member == dan)
        };
        self.cast.all_saw(SOON, &honest, "holds the evidence", convicts).await?;
        self.say("all 3", "ann, bob and cleo hold both ballots, each signed by dan: no word against word");
        self.vote(question, &honest.map(|who| (who, Answer::Yes))).await?;
        self.say("votes", "ann, bob and cleo yes to the rules; dan said two things and so nothing");
        self.seal(4, &honest).await?;
        self.decided(question, Outcome::Passed, &honest).await?;
        self.expect(self.chain.rules().witnesses == 2, "the rules have changed")?;
        for call in calls {
            let reason = tokio::time::timeout(SOON, call).await.map_err(|_| "nobody hung up on the liar")???;
            let is_out = matches!(reason, CloseReason::Peer { code: Code::UnknownMember, .. });
            self.expect(is_out, &format!("the liar is told that it is out, not \"{reason}\""))?;
        }
        self.say(Dan, "is told on both links that he is no member, and they are closed");
        Ok(())
    }

    /// Dan's key signs two ballots with one number; ann hears one of them, cleo the other.
    async fn lie(&self, question: StatementId) -> Done<Vec<JoinHandle<std::io::Result<CloseReason>>>> {
        let (dan, identity) = (self.cast.id(Dan), self.cast.identity(Dan));
        let facts = self.cast.read(Ann, move |ledger| liar::facts(ledger, &dan)).await?;
        let setup = Arc::new(Setup::new(Arc::new(Pure), identity, self.community(), crate::has_aes(), facts)?);
        let signer = identity.signer(&Pure);
        let mut calls = Vec::new();
        for (to, answer) in [(Ann, Answer::Yes), (Cleo, Answer::No)] {
            let ballot = Body::Ballot(Ballot { number: u64::from(u32::MAX), answers: vec![(question, answer)] });
            let said = Statement::new(&self.community(), dan, self.chain.place(), ballot, &*signer)?;
            let call = Call {
                setup: setup.clone(),
                to: self.cast.id(to),
                address: self.cast.address(to).to_owned(),
                clock: self.cast.clock,
                tls: self.cast.tls().cloned(),
            };
            calls.push(tokio::spawn(call.say(said.bytes().clone())));
        }
        Ok(calls)
    }

    async fn verify_late(&mut self) -> Done {
        self.act("One comes late, and believes nobody");
        let invitation = self.invite(Cleo).await?;
        let checkpoint = invitation.checkpoint().map_or(0, |height| height.0);
        self.expect(checkpoint == 4, "the invitation carries a checkpoint")?;
        self.say(Cleo, "invites gina; the line has a checkpoint in it: half a hash of height 4");
        self.apply_with(Gina, &invitation, "I translate")?;
        let question = self.asked(Gina).await?;
        let up = self.cast.saw(Gina, |event| matches!(event, Event::LinkUp { .. }).then_some(()));
        let read = self.cast.saw(Gina, |event| match event {
            Event::Joining(JoinState::Reading { height }) => (*height >= checkpoint).then_some(()),
            Event::Joining(JoinState::Dialling) => None,
            Event::Joining(_) => Some(()),
            _ => None,
        });
        let (Some((up, ())), Some((read, ()))) = (up, read) else { return Err("gina read nothing".into()) };
        let took = millis(read.since(up));
        self.say(
            Gina,
            format!("reads {checkpoint} certificates, from the genesis to the checkpoint, and checks them: {took}"),
        );
        self.say(Gina, "hears ann and bob, whom the lot chose and not cleo: they stand where she stands");
        let honest = [Ann, Bob, Cleo];
        self.vote(question, &honest.map(|who| (who, Answer::Yes))).await?;
        self.becomes_guest(Gina, &honest).await?;
        self.say(Gina, "is a guest: ann, bob and cleo yes");
        self.seal(5, &[Ann, Bob, Cleo, Gina]).await?;
        self.is_member(Gina).await
    }

    /// Why frank is not in, for anybody who has nothing but bytes.
    async fn prove(&mut self, question: StatementId) -> Done {
        self.act("Why is frank not in?");
        let (proof, explained) = self.cast.read(Ann, move |ledger| ledger.explain(&question)).await??;
        for line in self.cast.with_names(&explained.to_string()).lines() {
            self.more(line);
        }
        self.expect(explained.voted(Vote::Yes).len() == 2 && explained.voted(Vote::No).len() == 2, "two and two")?;
        // From here on nothing but bytes: no bot, no clock, no network.
        let (genesis, proof) = (Bytes::from(self.genesis.to_bytes()), Bytes::from(proof.to_bytes()));
        let began = self.cast.clock.now();
        let genesis = Genesis::from_bytes(&genesis, &Pure)?;
        let story: Vec<_> =
            self.certificates.iter().map(|bytes| Certificate::from_bytes(bytes)).collect::<Result<_, _>>()?;
        let read = Proof::from_bytes(&genesis.community(), &proof)?;
        let verified = read.verify_from_genesis(&genesis, &story, &Pure)?;
        let took = millis(self.cast.clock.now().since(began));
        self.expect(verified == explained, "the proof says what ann said")?;
        self.say(
            "proof",
            format!("{} bytes, read and verified from the genesis in {took}, no bot asked: it is so", proof.len()),
        );
        Ok(())
    }

    async fn compare(&mut self) -> Done {
        self.act("Where everybody stands");
        let members = [Ann, Bob, Cleo, Gina];
        for who in members {
            let (place, roster) = self.cast.read(who, |ledger| (ledger.place(), ledger.roster().clone())).await?;
            let member = roster.get(&self.cast.id(who)).ok_or("a member is in the roster")?;
            let (height, header, since) = (place.height.0, hex(&place.header.0[..8]), member.joined_at.0);
            self.say(who, format!("is at height {height}, header {header}…, a member since height {since}"));
            let is_equal = place == self.chain.place() && roster == *self.chain.roster();
            self.expect(is_equal, "all members tell one story")?;
        }
        let listed: Vec<BotId> = self.chain.roster().members().iter().map(|member| member.key).collect();
        self.expect(
            listed.len() == 4 && members.iter().all(|who| listed.contains(&self.cast.id(*who))),
            "four members",
        )?;
        self.say("all 4", "stand at one place; whoever has but the genesis and the certificates comes there too");
        let health = self.cast.read(Ann, Ledger::health).await?;
        self.expect(health.blocked.is_none(), "nothing is blocked")?;
        self.say("health", self.cast.with_names(&health.to_string()));
        for who in members {
            self.cast.stop(who).await?;
        }
        println!(
            "\n{} heights in {:.0} s; each line was checked as it happened",
            self.certificates.len(),
            self.seconds()
        );
        Ok(())
    }

    // ---- what happens in several of them ----

    /// An invitation whose record is durable.
    async fn invite(&self, who: Who) -> Done<Invitation> {
        const OPEN: &str = "door/invitations";
        let address = self.cast.address(who).to_owned();
        let before = self.cast.record(who, OPEN);
        let invitation = self.cast.with(who, move |node, now| node.invite(now, &address, None, HOUR)).await??;
        let is_written = async || Ok((self.cast.record(who, OPEN) != before).then_some(()));
        self.cast.until(SOON, "an invitation is written down", is_written).await?;
        Ok(invitation)
    }

    /// A newcomer starts with nothing but a line of text, and a few words for the members' owners.
    fn apply_with(&mut self, who: Who, invitation: &Invitation, words: &'static str) -> Done {
        let line = invitation.to_string();
        self.cast.start(who, Config::invited(line.parse()?, words, common::wall_clock()))
    }

    /// Waits until the members are asked for a newcomer, and every witness told it the same story.
    async fn asked(&self, who: Who) -> Done<StatementId> {
        let asked = |node: &Node| match node.join_state()? {
            JoinState::Asked { question, unheard } if unheard.is_empty() => Some(question),
            _ => None,
        };
        self.cast.shows(SOON, who, "is asked for, and its witnesses were heard", asked).await
    }

    /// Owners answer; each answer is durable when this returns.
    async fn vote(&self, question: StatementId, answers: &[(Who, Answer)]) -> Done {
        for (who, answer) in answers.iter().copied() {
            let is_here =
                move |node: &Node| node.ledger()?.questions().iter().any(|open| open.id == question).then_some(());
            self.cast.shows(SOON, who, "has the question", is_here).await?;
            self.cast.with(who, move |node, now| node.vote(now, question, Some(answer))).await??;
        }
        for (who, answer) in answers.iter().copied() {
            let is_cast = |event: &Event| matches!(ledger_event(event), Some(LedgerEvent::Voted { answers }) if answers.contains(&(question, answer)));
            self.cast.all_saw(SOON, &[who], "has voted", is_cast).await?;
        }
        Ok(())
    }

    async fn becomes_guest(&self, who: Who, at: &[Who]) -> Done {
        let guest = self.cast.id(who);
        let is_it = |event: &Event| matches!(ledger_event(event), Some(LedgerEvent::Guest { key }) if *key == guest);
        self.cast.all_saw(SOON, at, &format!("knows {} as a guest", who.name()), is_it).await?;
        let is_in = |node: &Node| {
            let is_guest = matches!(node.join_state(), Some(JoinState::Guest { .. }));
            (is_guest && node.links().any(|link| link.open_since.is_some())).then_some(())
        };
        self.cast.shows(SOON, who, "is linked as a guest", is_in).await
    }

    async fn is_member(&self, who: Who) -> Done {
        let key = self.cast.id(who);
        let is_in = move |node: &Node| {
            let is_active = node.ledger()?.roster().get_active(&key).is_some();
            (is_active && node.join_state().is_none()).then_some(())
        };
        self.cast.shows(SOON, who, "knows that it is a member", is_in).await
    }

    async fn decided(&self, question: StatementId, outcome: Outcome, at: &[Who]) -> Done {
        let is_it = |event: &Event| {
            matches!(ledger_event(event), Some(LedgerEvent::Decided { proposal, outcome: found, .. })
                if (*proposal, *found) == (question, outcome))
        };
        self.cast.all_saw(SOON, at, &format!("hears {outcome:?}"), is_it).await
    }

    async fn post(&self, who: Who, text: &'static str) -> Done {
        self.cast.with(who, move |node, now| node.publish(now, text.as_bytes())).await??;
        Ok(())
    }

    async fn heard_by(&self, author: Who, by: &[Who]) -> Done {
        let author_id = self.cast.id(author);
        let is_it = |event: &Event| matches!(event, Event::Post { post, .. } if post.id().origin == author_id);
        self.cast.all_saw(SOON, by, &format!("hears {}", author.name()), is_it).await
    }

    async fn unheard(&self, author: Who, by: &[Who]) -> Done {
        tokio::time::sleep(SILENCE).await;
        let author_id = self.cast.id(author);
        for who in by {
            let heard = self.cast.saw(*who, |event| match event {
                Event::Post { post, .. } => (post.id().origin == author_id).then_some(()),
                _ => None,
            });
            self.expect(heard.is_none(), &format!("{} hears nothing of {}", who.name(), author.name()))?;
        }
        Ok(())
    }

    /// Waits for a height, follows it as an outsider does, and says who sealed what.
    async fn seal(&mut self, height: u64, present: &[Who]) -> Done<Certificate> {
        let first = present[0];
        self.stand_at(height, &[first]).await?;
        let bytes = self.cast.read(first, move |ledger| ledger.certificate(Height(height)).cloned()).await?;
        let bytes = bytes.ok_or("a height is its certificate")?;
        let certificate = Certificate::from_bytes(&bytes)?;
        let (before, quorum) = (self.chain.roster().clone(), self.chain.numbers().quorum);
        self.chain.follow(&certificate, &Pure)?;
        self.certificates.push(bytes);
        self.stand_at(height, present).await?;
        let after = self.chain.roster();
        let signers = self.names(certificate.signers(&before).map(|member| member.key));
        let mut changes = Vec::new();
        let new = after.members().iter().map(|member| member.key).filter(|key| before.get(key).is_none());
        if let Some(names) = self.names(new) {
            changes.push(format!("{names} in"));
        }
        for (key, cause) in &certificate.header.changes.departed {
            let how = if *cause == Departure::Evidence { "out, convicted" } else { "out, by vote" };
            changes.push(format!("{} {how}", self.cast.name(key)));
        }
        if certificate.header.changes.rules.is_some() {
            changes.push("other rules".to_owned());
        }
        let (changes, signers) = (changes.join("; "), signers.unwrap_or_default());
        let (members, active) = (after.members().len(), before.active_len());
        let sealed = format!("{changes}; {members} members; sealed by {signers} ({quorum} of {active})");
        self.say(format!("HEIGHT {height}"), sealed);
        Ok(certificate)
    }

    /// Waits until these bots stand at a height, on the one header that the outsider has.
    async fn stand_at(&self, height: u64, whos: &[Who]) -> Done {
        for who in whos {
            let is_there = move |node: &Node| {
                let place = node.ledger()?.place();
                (place.height.0 >= height).then_some(place)
            };
            let place = self.cast.shows(ROUND, *who, &format!("is at height {height}"), is_there).await?;
            if self.chain.place().height.0 == height {
                self.expect(place == self.chain.place(), &format!("{} has the same header", who.name()))?;
            }
        }
        Ok(())
    }

    fn expect(&self, holds: bool, what: &str) -> Done {
        if holds { Ok(()) } else { Err(format!("{}: it does not hold that {what}", self.cast.act).into()) }
    }

    /// Waits until one has no link with the other.
    async fn is_unlinked(&self, who: Who, from: Who) -> Done {
        let other = self.cast.id(from);
        let is_it = move |node: &Node| node.links().all(|link| link.peer != Some(other)).then_some(());
        self.cast.shows(SOON, who, &format!("has no link with {}", from.name()), is_it).await
    }

    /// Names in the order in which they appeared; nothing for nobody.
    fn names(&self, keys: impl Iterator<Item = BotId>) -> Option<String> {
        let keys: Vec<BotId> = keys.collect();
        let names: Vec<&str> =
            Who::ALL.into_iter().filter(|who| keys.contains(&self.cast.id(*who))).map(Who::name).collect();
        let (last, first) = names.split_last()?;
        Some(if first.is_empty() { (*last).to_owned() } else { format!("{} and {last}", first.join(", ")) })
    }

    fn community(&self) -> CommunityId {
        self.genesis.community()
    }

    // ---- telling ----

    fn seconds(&self) -> f64 {
        self.cast.clock.now().since(Instant::ZERO).as_secs_f64()
    }

    fn act(&mut self, title: &'static str) {
        self.cast.act = title;
        println!("\n{title}");
    }

    fn say(&self, who: impl AsRef<str>, what: impl Display) {
        println!("{:>6.1} s  {:<8}  {what}", self.seconds(), who.as_ref());
    }

    /// Goes on with what was said last.
    fn more(&self, what: impl Display) {
        println!("{:20}{what}", "");
    }
}

fn ledger_event(event: &Event) -> Option<&LedgerEvent> {
    match event {
        Event::Ledger(event) => Some(event),
        _ => None,
    }
}

fn millis(took: Duration) -> String {
    format!("{:.1} ms", took.as_secs_f64() * 1000.0)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
