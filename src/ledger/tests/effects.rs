//! What an owner is told before it is too late.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use super::*;

impl Town {
    fn standpoint(&self) -> Standpoint<'_> {
        Standpoint { height: HERE, header: HeaderId([9; 32]), roster: &self.roster, rules: &self.rules }
    }

    fn what_if(&self, ask: &Ask) -> Effect {
        what_if(&self.standpoint(), ask)
    }

    /// Members that were silent in the last round.
    fn silent(self, seeds: impl IntoIterator<Item = u8>) -> Self {
        seeds.into_iter().fold(self, |town, seed| town.with(seed, |member| member.strikes = 1))
    }
}

fn name(seed: u8) -> String {
    key(seed).short()
}

fn told(effect: &Effect) -> Vec<String> {
    effect.warnings.iter().map(ToString::to_string).collect()
}

#[test]
fn numbers_before_and_after_are_those_of_the_round_itself() {
    let effect = Town::village(6).what_if(&Urn::admit(1, 100));
    assert_eq!((effect.before.active, effect.after.active, effect.outcome), (6, 7, Outcome::Passed));
    assert_eq!(effect.may_be_absent(), (2, 2));
    assert_eq!(
        effect.to_string(),
        "active members: 6 -> 7\nquorum: 4 -> 5\ntraitors borne: 1 -> 2\nmay be absent: 2 -> 2"
    );
    for members in 3..12 {
        for ask in [Urn::admit(1, 100), Urn::remove(key(2)), Urn::rekey(2, 100)] {
            let town = Town::village(members);
            let mut urn = Urn::default();
            let proposal = urn.ask(1, 1, ask.clone());
            urn.items.accepts.insert(proposal);
            let next = town.seal(&urn.votes(proposal, &"y".repeat(members.into())));
            let effect = town.what_if(&ask);
            assert_eq!(Some(effect.outcome), next.outcome(proposal));
            assert_eq!(effect.after, town.rules.numbers(next.roster.active_len()), "{members}, {ask:?}");
        }
    }
}

#[test]
fn disaster_two_members_and_one_is_away() {
    let town = Town::village(2).silent([2]);
    let sick = health(&town.roster, &town.rules);
    let blocked = Blocked { need: 2, have: 1, waiting_for: [key(2)].into() };
    assert_eq!((sick.alive, sick.may_be_absent, sick.blocked.as_ref()), (1, 0, Some(&blocked)));
    let sentence = format!(
        "blocked: need 2, have 1, waiting for {}; if that key is lost, the community must be founded again",
        name(2)
    );
    assert_eq!(sick.to_string(), sentence);
    // Whatever is asked now, that comes first; and the one who is away cannot be removed.
    let removal = told(&town.what_if(&Urn::remove(key(2))));
    assert_eq!(removal[0], format!("no vote can be sealed now; {sentence}"));
    assert_eq!(
        removal[1],
        format!(
            "{} cannot be removed: that takes the yes of two other active members, and there is 1; admit somebody first, \
             and if a key is lost, the community must be founded again",
            name(2)
        )
    );
    assert_eq!(told(&town.what_if(&Urn::admit(1, 100)))[0], removal[0]);
    let well = health(&Town::village(2).roster, &town.rules);
    assert_eq!(well.to_string(), "2 of 2 active members are there, 2 are needed: nobody more may be absent");
}

#[test]
fn one_that_becomes_two_is_told_what_two_means() {
    let effect = Town::village(1).what_if(&Urn::admit(1, 100));
    assert_eq!(
        told(&effect),
        [
            "with two active members nobody can be removed, and one that is silent stops everything; if a key of the two is \
          lost, the community must be founded again: have three"
        ]
    );
    assert_eq!(Town::village(3).what_if(&Urn::remove(key(3))).warnings, [Warning::Two]);
    assert_eq!(Town::village(2).what_if(&Urn::admit(1, 100)).warnings, []);
}

#[test]
fn disaster_a_lost_key() {
    // Of two, the other one alone cannot replace it; of three, the other two can.
    let town = Town::village(2);
    assert_eq!(
        told(&town.what_if(&Urn::rekey(2, 100))),
        [format!(
            "a new key takes 2 yes, and without {} there are 1 to give them: if the old key is lost, the community must \
             be founded again",
            name(2)
        )]
    );
    let three = Town::village(3).what_if(&Urn::rekey(2, 100));
    assert_eq!((three.warnings, three.outcome, three.after.active), (Vec::new(), Outcome::Passed, 3));
    assert_eq!(Town::village(3).what_if(&Urn::rekey(2, 1)).warnings, [Warning::MemberAlready(key(1))]);
    assert_eq!(Town::village(3).what_if(&Urn::rekey(50, 100)).warnings, [Warning::NoMember(key(50))]);
}

#[test]
fn disaster_a_passing_vote_would_halt_the_community() {
    // Six, of whom two are silent: four are a quorum of six, and three are none of five.
    let town = Town::village(6).silent([5, 6]);
    assert_eq!(health(&town.roster, &town.rules).blocked, None);
    let effect = town.what_if(&Urn::remove(key(4)));
    let waiting_for: Vec<_> =
        town.roster.active().filter(|member| member.strikes > 0).map(|member| member.key).collect();
    let blocked = Blocked { need: 4, have: 3, waiting_for: waiting_for.clone() };
    assert_eq!(effect.warnings, [Warning::WouldHalt(blocked)]);
    assert_eq!(
        told(&effect),
        [format!(
            "nothing could be decided any more after this, as too many were silent lately; blocked: need 4, have 3, \
             waiting for 1 of {}, {}; if their keys are lost, the community must be founded again; have those bots \
             started again before you say yes",
            waiting_for[0].short(),
            waiting_for[1].short()
        )]
    );
    // To remove a silent one mends it instead.
    assert_eq!(town.what_if(&Urn::remove(key(5))).warnings, []);
    // So does a change of rules that asks for more: five with two away, three of five are enough until traitors count.
    let mut seed = Town::new(Preset::Seed, 5).silent([4, 5]);
    seed.rules.evict_after = None;
    let village = Rules::preset(Preset::Village);
    assert!(
        matches!(&seed.what_if(&Ask::Amend(village)).warnings[..], [Warning::WouldHalt(blocked)] if blocked.need == 4)
    );
}

#[test]
fn disaster_the_last_members_vote_themselves_out() {
    let leaves = |town: &Town, seed| what_if_it_leaves(&town.standpoint(), &key(seed));
    let alone = leaves(&Town::village(1), 1);
    let last = format!(
        "{} is the last active member, which can neither leave nor be removed: admit somebody first, or stop the bot and \
         the community ends with it",
        name(1)
    );
    assert_eq!((alone.outcome, alone.after.active, told(&alone)), (Outcome::Refused, 1, [last.clone()].into()));
    let by_vote = Town::village(1).what_if(&Urn::remove(key(1)));
    assert_eq!((by_vote.outcome, told(&by_vote)), (Outcome::Refused, [last].into()));
    let pair = leaves(&Town::village(2), 1);
    assert_eq!(
        told(&pair),
        [
            "one active member is left and decides alone; it can neither leave nor be removed, and if its key is lost, the \
          community must be founded again: admit somebody first"
        ]
    );
    // Of three with one away the second to go stops everything.
    let halts = leaves(&Town::village(3).silent([3]), 1).warnings;
    assert!(matches!(&halts[..], [Warning::WouldHalt(blocked), Warning::Two] if blocked.waiting_for == [key(3)]));
    assert_eq!(leaves(&Town::village(3), 50).warnings, [Warning::NoMember(key(50))]);
    assert_eq!(leaves(&Town::village(5), 1).warnings, []);
}

#[test]
fn disaster_nobody_notices_that_the_last_borne_traitor_is_gone() {
    let effect = Town::village(4).what_if(&Urn::remove(key(4)));
    assert_eq!(
        told(&effect),
        [
            "f falls from 1 to 0: one traitor can then fork the community, which is proved but not prevented; admit others \
          first, so that at least 4 stay active"
        ]
    );
    let rules = Rules { faults: Faults::Nobody, ..Rules::preset(Preset::Village) };
    assert_eq!(
        told(&Town::village(9).what_if(&Ask::Amend(rules))),
        [
            "f falls from 2 to 0: one traitor can then fork the community, which is proved but not prevented; say yes only if \
          no member's machine can fall into wrong hands"
        ]
    );
    assert_eq!(Town::village(5).what_if(&Urn::remove(key(4))).warnings, []);
}

#[test]
fn questions_that_change_nothing_say_why() {
    let town = Town::village(4);
    for (ask, warning, sentence) in [
        (
            Urn::admit(1, 2),
            Warning::MemberAlready(key(2)),
            format!("{} is a member already: nothing would change", name(2)),
        ),
        (
            Urn::admit(50, 100),
            Warning::SponsorIsNoMember(key(50)),
            format!("{}, whom the applicant asked, is no member: it must apply to one", name(50)),
        ),
        (
            Urn::remove(key(50)),
            Warning::NoMember(key(50)),
            format!("{} is no member: nothing would change; look at the list of members", name(50)),
        ),
        (
            Ask::Revoke { subject: key(2) },
            Warning::RevokesMember(key(2)),
            format!("{} is a member: it would lose a guest's rights and stay; ask to remove it", name(2)),
        ),
        (
            Ask::Amend(Rules { endorse_percent: 0, ..town.rules.clone() }),
            Warning::OutOfRange(RulesError { name: "endorse_percent", value: 0, allowed: "1 to 100" }),
            "nobody can live by these rules: endorse_percent is 0, and must be 1 to 100".into(),
        ),
        (
            Ask::Amend(Rules::preset(Preset::Manual)),
            Warning::OtherWay,
            "a vote cannot change who decides: for that, found another community".into(),
        ),
    ] {
        let effect = town.what_if(&ask);
        assert_eq!((&effect.warnings[..], effect.before), (&[warning][..], effect.after), "{ask:?}");
        assert_eq!(told(&effect), [sentence]);
    }
    assert_eq!(Town::village(1).what_if(&Urn::remove(key(50))).warnings, [Warning::NoMember(key(50))]);
    let manual = Town::new(Preset::Manual, 3);
    assert_eq!(manual.what_if(&Urn::admit(1, 100)).warnings, [Warning::NoRounds]);
    assert_eq!(what_if_it_leaves(&manual.standpoint(), &key(1)).warnings, [Warning::NoRounds]);
}

#[test]
fn rules_that_lock_their_own_door_or_leave_it_open() {
    let town = Town::village(4);
    let floor = town.what_if(&Ask::Amend(Rules { floor: Floor::Respondents(9), ..town.rules.clone() }));
    assert_eq!(told(&floor), ["9 must answer, and there are 4 active members: one silent member stops every decision"]);
    // More than there are would be asked of nobody: they can still find the way back.
    let mut strict = town.clone();
    strict.rules.floor = Floor::Respondents(9);
    assert_eq!(strict.what_if(&Urn::admit(1, 100)).outcome, Outcome::Passed);
    let open = town.what_if(&Ask::Amend(Rules { endorse_percent: 25, ..town.rules.clone() }));
    assert_eq!(
        told(&open),
        ["one owner alone could then admit anybody at once, without a vote: raise endorse_percent"]
    );
    assert_eq!(town.what_if(&Ask::Amend(Rules { endorse_percent: 26, ..town.rules.clone() })).warnings, []);
}

#[test]
fn what_is_open_already_goes_first_and_may_fill_the_round() {
    let town = Town::village(5);
    let open = [Urn::admit(2, 101)];
    let full = what_if_after(&town.standpoint(), &open, &Urn::admit(1, 100));
    assert_eq!((full.outcome, full.after.active), (Outcome::Capped, 6));
    assert_eq!(told(&full), ["what is open already fills the round: this one would close undone, ask later"]);
    let twice = what_if_after(&town.standpoint(), &open, &Urn::admit(1, 101));
    assert_eq!(twice.warnings, [Warning::MemberAlready(key(101))]);
    let both = what_if_after(&town.standpoint(), &[Urn::remove(key(5))], &Urn::rekey(2, 100));
    assert_eq!((both.outcome, both.after.active), (Outcome::Passed, 4));
    // However many are open, one question costs no more than a round.
    let flood: Vec<_> = (0..2000).map(|_| Urn::remove(key(5))).collect();
    assert_eq!(what_if_after(&town.standpoint(), &flood, &Urn::remove(key(4))).outcome, Outcome::Capped);
}

#[test]
fn who_would_sleep_or_go_in_the_same_round_is_told() {
    let town =
        Town::village(8).silent([7]).with(8, |member| (member.strikes, member.standing) = (3, Standing::Dormant));
    let effect = town.what_if(&Urn::admit(1, 100));
    assert_eq!((effect.would_sleep, effect.would_be_evicted), ([key(7)].into(), [key(8)].into()));
}

#[test]
fn an_automatic_removal_is_judged_without_its_subject() {
    let report =
        Report { observer: key(1), place: Place { height: HERE, header: HeaderId([9; 32]) }, signature: [0; 64] };
    let ask = |subject| Ask::Remove { subject: key(subject), reports: [report].into() };
    assert_eq!(Town::village(5).what_if(&ask(5)).outcome, Outcome::Passed);
    let pair = Town::village(2).what_if(&ask(2));
    assert_eq!(pair.warnings, [Warning::CannotBeRemoved { subject: key(2), others: 1 }]);
}

#[test]
fn health_counts_who_is_thought_alive_and_asks_about_active_members_only() {
    let town = Town::village(8).with(8, |member| member.standing = Standing::Dormant);
    let well = health_when(&town.roster, &town.rules, |member| member.key != key(1));
    assert_eq!((well.alive, well.may_be_absent, well.blocked.clone()), (6, 1, None));
    assert_eq!(well.to_string(), "6 of 7 active members are there, 5 are needed: 1 more may be absent");
    let sick = health_when(&town.roster, &town.rules, |_| false);
    let blocked = sick.blocked.expect("nobody is there");
    assert_eq!((blocked.need, blocked.have, blocked.waiting_for.len()), (5, 0, 7));
    assert!(!blocked.waiting_for.contains(&key(8)), "a sleeper cannot mend it");
    let many = Town::village(40);
    let sentence = health_when(&many.roster, &many.rules, |_| false).to_string();
    assert!(sentence.contains(" and 32 more; if their keys"), "{sentence}");
    let manual = Town::new(Preset::Manual, 3);
    assert_eq!(health_when(&manual.roster, &manual.rules, |_| false).blocked, None);
}
