//! Stories that go through every outcome and every limit, with all that it takes to follow them and to check what was decided.

use super::super::tests::answer;
use super::super::tests::asks;
use super::super::tests::hall::{Hall, Round};
use super::*;

/// A community's story, told round by round.
pub(super) struct Story {
    name: &'static str,
    pub(super) hall: Hall,
    pub(super) heights: Vec<Told>,
}

/// A round that was sealed.
pub(super) struct Told {
    what: &'static str,
    /// When it began, with nothing in it.
    pub(super) before: Hall,
    pub(super) round: Round,
    after: Chain,
    /// The decision that its proof is about.
    decided: Option<StatementId>,
}

impl Story {
    /// The nonce says how lots fall.
    fn new(name: &'static str, rules: Rules, founders: u8, nonce: u8) -> Self {
        let founding = Founding { nonce: [nonce; 16], ..founding(rules, 1..=founders) };
        Self { name, hall: Hall::found(founding), heights: Vec::new() }
    }

    /// One ballot of each of these members: its answers to these proposals, `-` for none.
    fn vote(&mut self, proposals: &[StatementId], ballots: &[(u8, &str)]) {
        for (seed, letters) in ballots {
            let id = self.ballot(self.hall.chain.place(), *seed, proposals, letters);
            self.hall.listing.ballots.insert(id);
        }
    }

    /// Numbers of one author grow with the height, and with every further ballot that stands there.
    fn ballot(&mut self, place: Place, seed: u8, proposals: &[StatementId], letters: &str) -> StatementId {
        assert_eq!(proposals.len(), letters.len());
        let answers = proposals.iter().zip(letters.bytes()).filter_map(|(id, letter)| Some((*id, answer(letter)?)));
        let mut answers: Vec<_> = answers.collect();
        answers.sort_unstable();
        let earlier = self.hall.held.values().filter(|held| held.author() == key(seed) && held.ballot().is_some());
        let number = 10 * place.height.0 + 1 + earlier.filter(|held| held.place() == place).count() as u64;
        self.hall.say_at(place, seed, Body::Ballot(Ballot { number, answers }))
    }

    /// A proposal that is not judged yet.
    fn propose(&mut self, seed: u8, slot: u8, ask: Ask) -> StatementId {
        self.hall.say(seed, asks(slot, ask))
    }

    fn rekey(&mut self, seed: u8, old: u8, new: u8) -> StatementId {
        let application = self.hall.application(old, new);
        self.hall.ask(seed, 1, Ask::Rekey(application))
    }

    /// Ends the round, and holds its outcomes against what the story says.
    fn seal(&mut self, what: &'static str, outcomes: &[(StatementId, Outcome)]) {
        let empty = Hall { listing: Listing::new(UnixMillis(0)), view: View(0), ..self.hall.clone() };
        let round = self.hall.seal();
        let mut expected = outcomes.to_vec();
        expected.sort_unstable_by_key(|(id, _)| *id);
        assert_eq!(round.certificate.header.outcomes, expected, "{what}");
        let decided = outcomes.first().map(|(id, _)| *id);
        self.hall.view = View(0);
        self.heights.push(Told { what, before: empty, round, after: self.hall.chain.clone(), decided });
    }

    fn place_at(&self, height: usize) -> Place {
        self.heights[height].before.chain.place()
    }

    fn active(&self) -> Vec<BotId> {
        let mut keys: Vec<_> = self.hall.chain.roster().active().map(|member| member.key).collect();
        keys.sort_unstable();
        keys
    }

    fn expect_active(&self, seeds: &[u8]) {
        let mut keys: Vec<_> = seeds.iter().map(|seed| key(*seed)).collect();
        keys.sort_unstable();
        assert_eq!(self.active(), keys, "height {}", self.heights.len());
    }

    fn to_json(&self) -> Value {
        let genesis = genesis_json(self.name, &self.hall.genesis);
        let heights: Vec<_> = self.heights.iter().map(|told| self.height_json(told)).collect();
        json!({ "name": self.name, "genesis": genesis, "heights": heights })
    }

    fn height_json(&self, told: &Told) -> Value {
        let Told { what, round, after, decided, .. } = told;
        let (community, roster) = (after.community(), after.roster());
        let proof = decided.map(|proposal| {
            let proof = self.hall.proof(round, proposal);
            let told = proof.verify_from_genesis(&self.hall.genesis, &self.hall.story, &Pure).expect("a good proof");
            json!({
                "proposal": hex(&proposal.0),
                "yes": told.tally.yes,
                "no": told.tally.no,
                "abstain": told.tally.abstain,
                "bytes": hex(&proof.to_bytes()),
            })
        });
        let mut names = round.listing.names();
        let besides = |id: &StatementId| match self.hall.held[id].body() {
            Body::Withdraw(about) | Body::Accept(about) => Some(*about),
            _ => None,
        };
        names.extend(names.clone().iter().filter_map(besides));
        let last = roster.members().last().expect("somebody is left");
        json!({
            "name": what,
            "height": after.place().height.0,
            "certificate": hex(&round.certificate.to_bytes()),
            "header_id": hex(&after.place().header.0),
            "listing": hex(&round.listing.to_bytes()),
            "statements": names.iter().map(|id| hex(self.hall.held[id].bytes())).collect::<Vec<_>>(),
            "roster": members_of(roster),
            "rules": hex(&after.rules().to_bytes()),
            "path": hex(&roster.path(&last.key).expect("a member").to_bytes()),
            "proof": proof,
            "contents_id": hex(&round.listing.id(community).0),
        })
    }
}

/// The main story: twelve heights of a village, and all outcomes but one.
pub(super) fn village() -> Story {
    let mut story = Story::new("village", Rules::preset(Preset::Village), 4, 7);
    first_members(&mut story);
    silence(&mut story);
    other_rules(&mut story);
    liars_and_leavers(&mut story);
    few(&mut story);
    assert_eq!(story.heights.len(), 12);
    story
}

fn first_members(story: &mut Story) {
    let a = story.hall.admit(1, 10);
    story.hall.item(10, Body::Accept(a));
    let (b, c) = (story.hall.admit(2, 11), story.hall.admit(3, 12));
    let d = story.hall.ask(4, 1, Ask::Revoke { subject: key(25) });
    story.hall.item(4, Body::Withdraw(d));
    story.vote(&[a, b, c, d], &[(1, "yyyy"), (2, "yyyy"), (3, "yyna"), (4, "ynnn")]);
    story.seal(
        "one is admitted and is there, one finds no room, a tie refuses, one is withdrawn",
        &[(a, Outcome::Passed), (b, Outcome::Capped), (c, Outcome::Refused), (d, Outcome::Withdrawn)],
    );
    story.expect_active(&[1, 2, 3, 4, 10]);

    let ask = Ask::Admit(story.hall.application(2, 11));
    let endorsed = story.propose(2, 0, ask);
    story.hall.listing.endorsed.insert(endorsed);
    story.hall.item(11, Body::Accept(endorsed));
    // Of two with one number the one that is on counts: without it too few would endorse.
    for (seed, number, on) in [(1, 1, true), (3, 1, true), (10, 1, true), (10, 1, false), (4, 1, true), (4, 2, false)] {
        story.hall.item(seed, Body::Endorse { proposal: endorsed, number, on });
    }
    story.hall.view = View(1);
    story.seal("an endorsed application without a vote: nobody is struck", &[(endorsed, Outcome::Endorsed)]);
    story.expect_active(&[1, 2, 3, 4, 10, 11]);

    let e = story.hall.admit(1, 12);
    let f = story.hall.ask(3, 3, Ask::Revoke { subject: key(25) });
    story.hall.item(3, Body::Withdraw(f));
    story.vote(&[e], &[(1, "y"), (2, "y"), (3, "y")]);
    story.seal("three of six answer: nothing is decided", &[(e, Outcome::Floor), (f, Outcome::Withdrawn)]);
}

fn silence(story: &mut Story) {
    let (a, b, c) = (story.hall.admit(1, 12), story.hall.admit(10, 12), story.hall.admit(2, 3));
    let all = [(1, "yyy"), (2, "yyy"), (4, "yyy"), (10, "yya")];
    story.vote(&[a, b, c], &all);
    let (first, second) = (a.min(b), a.max(b));
    story.seal(
        "as many yes: the lesser id goes first; who does not accept comes asleep; two are struck",
        &[(first, Outcome::Passed), (second, Outcome::Duplicate), (c, Outcome::Duplicate)],
    );
    story.expect_active(&[1, 2, 3, 4, 10, 11]);

    let removal = story.hall.ask(2, 1, Ask::Remove { subject: key(4), reports: Vec::new() });
    let again = story.hall.ask(1, 1, Ask::Remove { subject: key(4), reports: Vec::new() });
    story.vote(&[removal, again], &[(1, "yy"), (2, "yy"), (4, "nn"), (10, "yn")]);
    story.seal(
        "a removal without its subject's vote; of two silent ones the lot puts one to sleep",
        &[(removal, Outcome::Passed), (again, Outcome::SubjectGone)],
    );
    story.expect_active(&[1, 2, 10, AWAKE]);
}

/// Silent twice with `ASLEEP`, and not drawn.
const AWAKE: u8 = 11;
pub(super) const ASLEEP: u8 = 3;

fn other_rules(story: &mut Story) {
    let rules = Rules {
        dormant_after: None,
        evict_after: Some(2),
        min_active: 3,
        endorse_percent: 60,
        stale_after: 6,
        ..Rules::preset(Preset::Village)
    };
    let less = Rules { witnesses: 2, ..rules.clone() };
    let a = story.hall.ask(1, 1, Ask::Amend(rules.clone()));
    let b = story.hall.ask(2, 1, Ask::Amend(less));
    let c = story.hall.ask(10, 1, Ask::Amend(Rules { endorse_percent: 0, ..rules.clone() }));
    let d = story.hall.ask(10, 2, Ask::Amend(Rules { decided_by: DecidedBy::Owners, ..rules.clone() }));
    story.hall.item(ASLEEP, Body::Wake);
    story.vote(&[a, b, c, d], &[(1, "yyyy"), (2, "yyyy"), (10, "yyyy"), (AWAKE, "ynyy")]);
    story.hall.view = View(2);
    story.seal(
        "other rules; one wakes; one that never showed up is evicted",
        &[(a, Outcome::Passed), (b, Outcome::Capped), (c, Outcome::OutOfRange), (d, Outcome::OutOfRange)],
    );
    story.expect_active(&[1, 2, 3, 10, 11]);
    assert_eq!((story.hall.chain.rules(), story.hall.chain.roster().members().len()), (&rules, 5));

    let (a, b, c) = (story.rekey(1, 2, 20), story.rekey(3, 2, 21), story.rekey(10, 3, 10));
    let d = story.hall.admit(10, 13);
    story.hall.item(13, Body::Accept(d));
    let (yes, no) = ("yyyy", "ynny");
    story.vote(&[a, b, c, d], &[(1, yes), (2, yes), (3, yes), (10, yes), (11, no)]);
    story.seal(
        "a new key for the second member; a second one, and one that is a member's, come to nothing",
        &[(a, Outcome::Passed), (b, Outcome::SubjectGone), (c, Outcome::Duplicate), (d, Outcome::Passed)],
    );
    story.expect_active(&[1, 20, 3, 10, 11, 13]);
}

fn liars_and_leavers(story: &mut Story) {
    let application = story.hall.application(13, 14);
    let a = story.hall.ask(13, 0, Ask::Admit(application));
    let b = story.hall.ask(1, 1, Ask::Remove { subject: key(10), reports: Vec::new() });
    let (c, d) = (
        story.hall.ask(11, 2, Ask::Revoke { subject: key(24) }),
        story.hall.ask(11, 2, Ask::Revoke { subject: key(25) }),
    );
    let e = story.hall.ask(1, 2, Ask::Revoke { subject: key(23) });
    let application = story.hall.application(3, 14);
    let later = story.propose(3, 0, Ask::Admit(application));
    let pair = [1, 2].map(|n| story.hall.say(13, Body::Ack { view: View(0), header: HeaderId([n; 32]) }));
    let evidence = Evidence::of(&story.hall.held[&pair[0]], &story.hall.held[&pair[1]]).expect("two Acks");
    story.hall.listing.convict(&evidence);
    story.hall.item(10, Body::Leave);
    let all = [(1, "yyyyy"), (20, "yyyyy"), (3, "yyyyy"), (10, "yynnn"), (11, "ynyyn"), (13, "yyyyy")];
    story.vote(&[a, b, c, d, e], &all);
    story.seal(
        "an equivocator is out and its yes an abstention, so that a majority is missing; one leaves; two in one slot",
        &[
            (e, Outcome::Refused),
            (a, Outcome::SponsorGone),
            (b, Outcome::SubjectGone),
            (c, Outcome::Conflicting),
            (d, Outcome::Conflicting),
        ],
    );
    story.expect_active(&[1, 20, 3, 11]);

    let here = story.hall.chain.place();
    let a = story.hall.ask(20, 2, Ask::Revoke { subject: key(14) });
    let community = *story.hall.chain.community();
    let report = |seed, place| Report::new(&community, key(seed), place, &key(11), &*signer(seed));
    let mut reports = Vec::from([report(1, here), report(20, here), report(3, story.place_at(7))]);
    reports.sort_by_key(|report| report.observer);
    let b = story.hall.ask(1, 1, Ask::Remove { subject: key(11), reports });
    let application = story.hall.application(20, 15);
    let next = story.propose(20, 0, Ask::Admit(application));
    story.hall.listing.judged.insert(later);
    story.vote(&[a, b, later], &[(1, "yyy"), (20, "yyy"), (3, "yyy"), (11, "nny")]);
    let of_quorum = |id: &&StatementId| story.hall.held[*id].author() != key(11);
    let yes = story.hall.listing.ballots.iter().filter(of_quorum).copied().collect();
    story.hall.listing.revocations.insert(a, yes);
    story.seal(
        "a guest's rights end, and its older application with them; one that was thought silent answers",
        &[(later, Outcome::Revoked), (a, Outcome::Passed), (b, Outcome::Reappeared)],
    );

    // Two that were signed a height ago: the one answers what is judged now, the other does not.
    let early = story.ballot(here, 3, &[next], "y");
    let stale = story.ballot(here, 11, &[later], "y");
    story.hall.listing.ballots.extend([early, stale]);
    story.hall.listing.judged.insert(next);
    story.hall.item(15, Body::Accept(next));
    story.vote(&[next], &[(1, "y"), (20, "n")]);
    story.hall.view = View(3);
    story.seal(
        "an early ballot counts, one about something else is no answer: its author is struck",
        &[(next, Outcome::Passed)],
    );
    story.expect_active(&[1, 20, 3, 11, 15]);
}

fn few(story: &mut Story) {
    let a = story.hall.ask(15, 3, Ask::Revoke { subject: key(25) });
    story.hall.item(3, Body::Leave);
    story.vote(&[a], &[(1, "y"), (20, "y"), (3, "n"), (15, "y")]);
    story.seal("one leaves, and an active one that was silent twice is evicted", &[(a, Outcome::Passed)]);
    story.expect_active(&[1, 20, 15]);

    let mut asked: Vec<StatementId> = Vec::new();
    for (sponsor, slot, subject) in [(1, 0, 16), (1, 1, 17), (1, 2, 18), (20, 0, 19)] {
        let application = story.hall.application(sponsor, subject);
        let id = story.hall.ask(sponsor, slot, Ask::Admit(application));
        if subject != 18 {
            story.hall.item(subject, Body::Accept(id));
        }
        asked.push(id);
    }
    let all = [(1, "yyyy"), (20, "yyya")];
    story.vote(&asked, &all);
    let outcomes = [Outcome::Passed, Outcome::Passed, Outcome::Passed, Outcome::Refused];
    let outcomes: Vec<_> = asked.into_iter().zip(outcomes).collect();
    story.seal("three are few: three are admitted at once, by one sponsor", &outcomes);
    story.expect_active(&[1, 20, 15, 16, 17]);
}

/// By the seed's rules: the last member stays, and one silent round is one too many.
fn seed() -> Story {
    let mut story = Story::new("seed", Rules::preset(Preset::Seed), 3, 7);
    let removal = story.hall.ask(3, 1, Ask::Remove { subject: key(3), reports: Vec::new() });
    [1, 2].into_iter().for_each(|seed| story.hall.item(seed, Body::Leave));
    story.vote(&[removal], &[(1, "y"), (2, "y")]);
    story.seal("two leave: the third can neither be removed nor evicted", &[(removal, Outcome::LastMember)]);
    story.expect_active(&[3]);

    let mut asked = Vec::new();
    for (slot, subject) in [(0, 4), (1, 5), (2, 6)] {
        let application = story.hall.application(3, subject);
        let id = story.hall.ask(3, slot, Ask::Admit(application));
        story.hall.item(subject, Body::Accept(id));
        asked.push(id);
    }
    story.hall.item(3, Body::Endorse { proposal: asked[0], number: 1, on: true });
    story.vote(&asked, &[(3, "yyy")]);
    let outcomes: Vec<_> = asked.into_iter().map(|id| (id, Outcome::Passed)).collect();
    story.seal("one alone admits three, by its vote: it is too few to endorse", &outcomes);

    let removal = story.hall.ask(3, 1, Ask::Remove { subject: key(4), reports: Vec::new() });
    let end = story.hall.ask(3, 2, Ask::Revoke { subject: key(25) });
    story.vote(&[removal, end], &[(3, "yy")]);
    story.seal(
        "one yes is all there is, and neither removes nor ends rights; who does not answer is out at once",
        &[(removal, Outcome::Refused), (end, Outcome::Refused)],
    );
    story.expect_active(&[3]);
    story
}

/// Limits, each met and each passed by one.
fn edges() -> Story {
    let mut story = Story::new("edges", Rules::preset(Preset::Village), 9, 8);
    asleep_by_lot(&mut story);
    evicted_by_lot(&mut story);
    least_active(&mut story);
    story
}

/// A round about nothing, in which these are there.
fn quiet(story: &mut Story, what: &'static str, here: &[u8]) {
    let ballots: Vec<_> = here.iter().map(|seed| (*seed, "n")).collect();
    let question = story.hall.ask(1, 3, Ask::Revoke { subject: key(25) });
    story.vote(&[question], &ballots);
    story.seal(what, &[(question, Outcome::Refused)]);
}

/// Members in the order of the lot that decides among the longest silent ones.
fn by_lot(story: &Story, mut keys: Vec<BotId>) -> Vec<BotId> {
    let header = story.hall.chain.place().header;
    keys.sort_by_key(|key| crate::crypto::sha256(&[&header.0, key.as_bytes()]));
    keys
}

fn sleepers(story: &Story) -> Vec<BotId> {
    let asleep = story.hall.chain.roster().members().iter().filter(|member| !member.is_active());
    asleep.map(|member| member.key).collect()
}

fn seed_of(wanted: &BotId) -> u8 {
    (1..=25).find(|seed| key(*seed) == *wanted).expect("one of ours")
}

fn asleep_by_lot(story: &mut Story) {
    let (a, rules) = (story.rekey(1, 9, 20), Rules { witnesses: 2, ..Rules::preset(Preset::Village) });
    let b = story.hall.ask(2, 1, Ask::Amend(rules));
    let first = Ask::Admit(story.hall.application(1, 10));
    let first = story.propose(1, 0, first);
    story.vote(&[a, b], &[(1, "yy"), (2, "yy"), (3, "yy"), (4, "yy"), (5, "yy"), (6, "nn")]);
    story.seal(
        "five of six yes are a majority and no quorum: no new key, no new rules; three are struck",
        &[(a, Outcome::Refused), (b, Outcome::Refused)],
    );

    let (second, third) = (story.hall.admit(1, 11), story.hall.admit(2, 12));
    story.hall.listing.judged.insert(first);
    let drawn = by_lot(story, [7, 8, 9].map(key).into());
    story.vote(&[first, second, third], &[(1, "yyy"), (2, "yyy"), (3, "yyy"), (4, "yyy"), (5, "yyy"), (6, "yyn")]);
    let (one, other) = (first.min(second), first.max(second));
    story.seal(
        "one newcomer of each sponsor; the lot, not the key, puts two of three to sleep",
        &[(one, Outcome::Passed), (other, Outcome::Capped), (third, Outcome::Passed)],
    );
    let mut expected = drawn[..2].to_vec();
    expected.sort_unstable();
    let Changes { dormant, .. } = &story.heights[1].round.certificate.header.changes;
    assert_eq!(*dormant, expected);
    let mut keys = [7, 8, 9].map(key);
    keys.sort_unstable();
    assert_ne!(*dormant, keys[..2], "or the order of keys would do");
}

fn evicted_by_lot(story: &mut Story) {
    quiet(story, "another one falls asleep", &[1, 2, 3, 4, 5]);
    story.expect_active(&[1, 2, 3, 4, 5, 6]);

    let due = by_lot(story, sleepers(story));
    assert_eq!(due.len(), 5);
    story.hall.item(seed_of(&due[0]), Body::Wake);
    quiet(story, "of five due to go one wakes in time, one is evicted, and three find the cap", &[1, 2, 3, 4, 5]);
    assert_eq!(story.heights[3].round.certificate.header.changes.departed, [(due[1], Departure::Silent)]);
    let woken = seed_of(&due[0]);
    story.expect_active(&[1, 2, 3, 4, 5, woken]);

    let (a, b) = (
        story.hall.ask(1, 1, Ask::Remove { subject: key(5), reports: Vec::new() }),
        story.hall.ask(2, 1, Ask::Remove { subject: due[0], reports: Vec::new() }),
    );
    story.vote(&[a, b], &[(1, "yy"), (2, "yy"), (3, "yy"), (4, "yn"), (5, "nn")]);
    story.seal(
        "one removal fills the round: no second one, and nobody is evicted",
        &[(a, Outcome::Passed), (b, Outcome::Capped)],
    );
    story.expect_active(&[1, 2, 3, 4, woken]);

    quiet(story, "four are left by sleep", &[1, 2, 3, 4]);
    story.expect_active(&[1, 2, 3, 4]);
}

fn least_active(story: &mut Story) {
    for what in [
        "a strike of one of four",
        "a second one: fewer than four may not be left, it does not sleep",
        "a third one",
        "a fourth one: a longer sleeper fills the cap",
        "a fifth one, and the cap is free: it is not evicted either",
    ] {
        quiet(story, what, &[1, 2, 3]);
        story.expect_active(&[1, 2, 3, 4]);
    }
    let before = sleepers(story).len();
    let a = story.hall.admit(1, 13);
    story.hall.item(13, Body::Accept(a));
    story.vote(&[a], &[(1, "y"), (2, "y"), (3, "y")]);
    story.seal("a fifth comes, and the silent one goes", &[(a, Outcome::Passed)]);
    story.expect_active(&[1, 2, 3, 13]);
    assert_eq!((before, sleepers(story).len()), (before, before), "it was evicted, and not put to sleep");
}

#[test]
fn stories_are_those_of_the_vectors() {
    let stories = [village(), seed(), edges()];
    let seen: alloc::collections::BTreeSet<String> = stories
        .iter()
        .flat_map(|story| &story.heights)
        .flat_map(|told| &told.round.certificate.header.outcomes)
        .map(|(_, outcome)| format!("{outcome:?}"))
        .collect();
    assert_eq!(seen.len(), 14, "every outcome there is: {seen:?}");
    check("ledger-chain.json", &json!({ "chains": stories.each_ref().map(Story::to_json) }));
}
