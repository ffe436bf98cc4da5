//! The table of I-10 … I-19 and of 5.4, and the steps of a round one by one.

use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;

/// One admission, by the votes of the members in order.
fn admission(town: &Town, votes: &str) -> Next {
    let mut urn = Urn::default();
    let proposal = urn.ask(1, 1, Urn::admit(1, 100));
    urn.items.accepts.insert(proposal);
    town.seal(&urn.votes(proposal, votes))
}

fn outcome(town: &Town, votes: &str) -> Outcome {
    admission(town, votes).outcome(StatementId([1; 32])).expect("judged")
}

#[test]
fn i13_more_than_half_of_those_who_answered_admit() {
    let seed = |members| Town::new(Preset::Seed, members);
    // Votes of one, two, three and four members; `-` did not answer.
    for (members, votes, expected) in [
        (1, "y", Outcome::Passed),
        (1, "n", Outcome::Refused),
        (2, "yn", Outcome::Refused),
        (2, "y-", Outcome::Passed),
        (3, "yyn", Outcome::Passed),
        (3, "ynn", Outcome::Refused),
        (4, "yynn", Outcome::Refused),
        (4, "yyna", Outcome::Refused),
        (4, "yyyn", Outcome::Passed),
        (4, "yyan", Outcome::Refused),
        (4, "y-a-", Outcome::Refused),
        (4, "aaaa", Outcome::Refused),
        (4, "----", Outcome::Floor),
    ] {
        assert_eq!(outcome(&seed(members), votes), expected, "{votes}");
    }
}

#[test]
fn i16_one_respondent_does_not_speak_for_a_village() {
    let village = Town::village(10);
    assert_eq!(outcome(&village, "yyyyyy----"), Outcome::Floor);
    assert_eq!(outcome(&village, "yyyynnn---"), Outcome::Passed);
    let next = admission(&village, "y---------");
    assert_eq!((next.roster, next.header.changes.respondents), (village.roster, None));
}

#[test]
fn i13_ballots_that_do_not_count() {
    let town = Town::village(4);
    let mut urn = Urn::default();
    let proposal = urn.ask(1, 1, Urn::admit(1, 100));
    let mut urn = urn.votes(proposal, "yyn");
    // A stranger's, a second one of an author, one of an older height that answers nothing that is judged.
    urn.vote(101, proposal, Answer::Yes);
    urn.ballots.push((key(3), HERE, Ballot { number: 2, answers: [(proposal, Answer::Yes)].into() }));
    let elsewhere = Ballot { number: 1, answers: [(StatementId([77; 32]), Answer::Yes)].into() };
    urn.ballots.push((key(4), Height(4), elsewhere));
    let next = town.seal(&urn);
    assert_eq!(next.outcome(proposal), Some(Outcome::Passed));
    assert_eq!(next.strikes(4), Some(1), "an old ballot about something else is no answer");
    assert_eq!(next.strikes(3), Some(0));

    let mut urn = Urn::default();
    let proposal = urn.ask(1, 1, Urn::admit(1, 100));
    let mut urn = urn.votes(proposal, "yyn");
    urn.ballots.push((key(4), Height(4), Ballot { number: 1, answers: [(proposal, Answer::No)].into() }));
    let next = town.seal(&urn);
    assert_eq!(next.outcome(proposal), Some(Outcome::Refused), "an old ballot that answers this one counts");
    assert_eq!(next.strikes(4), Some(0));
}

#[test]
fn i14_silent_members_are_removed_at_once_by_the_letter_and_asleep_later_in_a_village() {
    let seed = admission(&Town::new(Preset::Seed, 4), "yyn-");
    assert_eq!(seed.header.changes.departed, [(key(4), Departure::Silent)]);
    let village = admission(&Town::village(8), "yyyyyyy-");
    assert_eq!((village.strikes(8), village.standing(8)), (Some(1), Some(Standing::Active)));
    let again = admission(&Town::village(8).with(8, |member| member.strikes = 1), "yyyyyyy-");
    assert_eq!((again.strikes(8), again.standing(8)), (Some(2), Some(Standing::Dormant)));
    let gone = admission(
        &Town::village(8).with(8, |member| (member.strikes, member.standing) = (3, Standing::Dormant)),
        "yyyyyyy-",
    );
    assert_eq!(gone.header.changes.departed, [(key(8), Departure::Silent)]);
}

#[test]
fn i14_all_silent_changes_nothing_and_all_answered_strikes_nobody() {
    let town = Town::new(Preset::Seed, 4);
    let silent = admission(&town, "----");
    assert_eq!((silent.roster, silent.header.outcomes.len()), (town.roster.clone(), 1));
    let all = admission(&town, "nnnn");
    assert_eq!(all.roster, town.roster);
}

#[test]
fn silence_takes_at_most_a_quarter_the_longest_first_and_leaves_four() {
    let mut town = Town::village(12);
    for seed in 9..=12 {
        town = town.with(seed, |member| member.strikes = seed - 8);
    }
    // 9 to 12 are silent for the 2nd to the 5th time: two are to be evicted, two put to sleep; the cap is three each.
    let next = admission(&town, "yyyyyyyyy---");
    assert_eq!(next.header.changes.departed.len(), 2);
    assert_eq!((next.standing(11), next.standing(12)), (None, None));
    assert_eq!((next.standing(10), next.strikes(10)), (Some(Standing::Dormant), Some(3)));
    let small = Town::village(4).with(4, |member| member.strikes = 200);
    let next = admission(&small, "ynn-");
    assert_eq!((next.standing(4), next.strikes(4)), (Some(Standing::Active), Some(201)));
}

#[test]
fn i18_a_removal_is_voted_without_its_subject_and_needs_two() {
    let removal = |members, votes: &str| {
        let mut urn = Urn::default();
        let proposal = urn.ask(1, 1, Urn::remove(key(3)));
        Town::village(members).seal(&urn.votes(proposal, votes)).outcome(proposal)
    };
    assert_eq!(removal(3, "yyn"), Some(Outcome::Passed));
    assert_eq!(removal(3, "y-y"), Some(Outcome::Refused), "the subject's vote does not count");
    assert_eq!(removal(3, "yny"), Some(Outcome::Refused));
    assert_eq!(removal(4, "yynn"), Some(Outcome::Passed));
}

#[test]
fn i18_an_automatic_removal_ends_when_the_member_answers() {
    let mut urn = Urn::default();
    let report =
        Report { observer: key(1), place: Place { height: HERE, header: HeaderId([9; 32]) }, signature: [0; 64] };
    let proposal = urn.ask(1, 1, Ask::Remove { subject: key(4), reports: [report].into() });
    let town = Town::village(4);
    assert_eq!(town.seal(&urn.clone().votes(proposal, "yyy-")).outcome(proposal), Some(Outcome::Passed));
    let back = urn.votes(proposal, "yyy").present([4]);
    assert_eq!(town.seal(&back).outcome(proposal), Some(Outcome::Reappeared));
}

#[test]
fn a_removed_member_still_votes_in_a_parallel_ballot_of_the_same_round() {
    let mut urn = Urn::default();
    let (removal, admission) = (urn.ask(1, 1, Urn::remove(key(4))), urn.ask(2, 2, Urn::admit(2, 100)));
    let next = Town::village(4).seal(&urn.votes(removal, "yyyn").votes(admission, "ynny"));
    assert_eq!((next.outcome(removal), next.outcome(admission)), (Some(Outcome::Passed), Some(Outcome::Refused)));
    assert_eq!(next.standing(4), None);
}

#[test]
fn evidence_takes_its_author_out_and_its_vote_counts_as_an_abstention() {
    let mut urn = Urn::default();
    let proposal = urn.ask(1, 1, Urn::admit(1, 100));
    urn.items.evidence.insert(key(3));
    let next = Town::village(4).seal(&urn.votes(proposal, "yyyn"));
    // Two of four: three yes without it would have been enough.
    assert_eq!(next.outcome(proposal), Some(Outcome::Refused));
    assert_eq!(next.header.changes.departed, [(key(3), Departure::Evidence)]);
}

#[test]
fn the_last_member_cannot_leave_or_be_removed() {
    let mut urn = Urn::default();
    urn.items.leaves.extend([key(1), key(2)]);
    let next = Town::village(2).seal(&urn);
    assert_eq!(next.roster.active_len(), 1);
    let mut urn = Urn::default();
    urn.items.leaves.insert(key(1));
    assert_eq!(Town::village(1).seal(&urn).roster, Town::village(1).roster);
}

#[test]
fn a_founder_alone_admits_three_at_once_and_a_village_of_four_one_of_each_sponsor() {
    let mut urn = Urn::default();
    for n in 0..4 {
        let proposal = urn.ask_in(n, 1, n + 1, Urn::admit(1, 100 + n));
        urn.items.accepts.insert(proposal);
        urn.vote(1, proposal, Answer::Yes);
    }
    let next = Town::village(1).seal(&urn);
    let outcomes: Vec<_> = next.header.outcomes.iter().map(|(_, outcome)| *outcome).collect();
    assert_eq!(outcomes, [Outcome::Passed, Outcome::Passed, Outcome::Passed, Outcome::Capped]);
    assert_eq!((next.roster.active_len(), next.header.active), (4, 4));

    let mut urn = Urn::default();
    let (a, b) = (urn.ask(1, 1, Urn::admit(1, 100)), urn.ask(1, 2, Urn::admit(1, 101)));
    let c = urn.ask(2, 3, Urn::admit(2, 102));
    let urn = urn.votes(a, "yyyyyyn-").votes(b, "yyyyyyy-").votes(c, "yyyyynn-");
    let next = Town::village(8).seal(&urn);
    assert_eq!([a, b, c].map(|id| next.outcome(id)), [Outcome::Capped, Outcome::Passed, Outcome::Passed].map(Some));
}

#[test]
fn who_is_admitted_and_does_not_show_up_sleeps_and_blocks_nobody() {
    let mut urn = Urn::default();
    let proposal = urn.ask(1, 1, Urn::admit(1, 100));
    let next = Town::village(1).seal(&urn.votes(proposal, "y"));
    assert_eq!((next.standing(100), next.strikes(100)), (Some(Standing::Dormant), Some(2)));
    assert_eq!((next.header.members, next.header.active), (2, 1));
}

#[test]
fn a_dormant_member_wakes_and_counts_from_the_next_height_on() {
    let town = Town::village(4).with(4, |member| (member.strikes, member.standing) = (3, Standing::Dormant));
    let mut urn = Urn::default();
    urn.items.wakes.insert(key(4));
    let proposal = urn.ask(1, 1, Urn::admit(1, 100));
    let next = town.seal(&urn.votes(proposal, "ynny"));
    assert_eq!(next.outcome(proposal), Some(Outcome::Refused), "its vote does not count yet");
    assert_eq!((next.standing(4), next.strikes(4)), (Some(Standing::Active), Some(0)));
}

#[test]
fn a_new_key_takes_the_old_ones_place_by_a_quorum() {
    let mut urn = Urn::default();
    let proposal = urn.ask(1, 1, Urn::rekey(3, 100));
    let town = Town::village(4).with(3, |member| member.strikes = 1);
    let next = town.seal(&urn.clone().votes(proposal, "yy-y"));
    assert_eq!(next.outcome(proposal), Some(Outcome::Passed));
    assert_eq!((next.standing(3), next.strikes(100)), (None, Some(2)));
    assert_eq!(next.roster.get(&key(100)).map(|member| member.joined_at), Some(Height(6)));
    assert_eq!(town.seal(&urn.votes(proposal, "yyn-")).outcome(proposal), Some(Outcome::Refused), "two are no quorum");
}

#[test]
fn rules_change_by_a_quorum_and_within_their_range() {
    let amend = |rules: Rules| {
        let mut urn = Urn::default();
        let proposal = urn.ask(1, 1, Ask::Amend(rules));
        let next = Town::village(4).seal(&urn.votes(proposal, "yyyn"));
        (next.outcome(proposal).expect("judged"), next.rules)
    };
    let village = Rules::preset(Preset::Village);
    let longer = Rules { evict_after: Some(9), ..village.clone() };
    assert_eq!(amend(longer.clone()), (Outcome::Passed, longer));
    assert_eq!(amend(Rules { endorse_percent: 0, ..village.clone() }), (Outcome::OutOfRange, village.clone()));
    assert_eq!(amend(Rules::preset(Preset::Manual)), (Outcome::OutOfRange, village));
}

#[test]
fn i17_an_endorsed_application_needs_neither_a_week_nor_a_tally() {
    let mut urn = Urn::default();
    let proposal = urn.ask(1, 1, Urn::admit(1, 100));
    urn.judged.clear();
    urn.items.endorsed.insert(proposal);
    urn.items.accepts.insert(proposal);
    let next = Town::village(4).seal(&urn.clone());
    assert_eq!((next.outcome(proposal), next.standing(100)), (Some(Outcome::Endorsed), Some(Standing::Active)));
    assert_eq!(next.header.changes.respondents, None, "nobody is struck");
    urn.judged.push(proposal);
    let next = Town::village(4).seal(&urn.votes(proposal, "nnnn"));
    assert_eq!(next.outcome(proposal), Some(Outcome::Endorsed), "whatever the tally says");
}

#[test]
fn proposals_that_are_closed_whatever_the_votes_say() {
    let closed = |change: &dyn Fn(&mut Urn, StatementId)| {
        let mut urn = Urn::default();
        let proposal = urn.ask(1, 1, Urn::admit(1, 100));
        change(&mut urn, proposal);
        Town::village(4).seal(&urn.votes(proposal, "yyyy")).outcome(proposal).expect("judged")
    };
    assert_eq!(
        closed(&|urn, proposal| {
            urn.items.withdrawn.insert(proposal);
        }),
        Outcome::Withdrawn
    );
    assert_eq!(
        closed(&|urn, _| {
            urn.items.revoked.insert(key(100), HERE);
        }),
        Outcome::Revoked
    );
    assert_eq!(
        closed(&|urn, _| {
            urn.items.revoked.insert(key(100), Height(4));
        }),
        Outcome::Passed
    );
    assert_eq!(
        closed(&|urn, _| {
            urn.items.leaves.insert(key(1));
        }),
        Outcome::SponsorGone
    );
    assert_eq!(closed(&|urn, _| urn.proposals[0].1 = key(99)), Outcome::SponsorGone);
    assert_eq!(closed(&|urn, _| urn.proposals[0].3.ask = Urn::admit(1, 2)), Outcome::Duplicate);
    assert_eq!(
        closed(&|urn, _| {
            urn.ask_in(0, 1, 2, Urn::admit(1, 101));
        }),
        Outcome::Conflicting
    );
}

// ---- invariants ----

fn any_ask() -> impl Strategy<Value = Ask> {
    let seed = 1_u8..14;
    prop_oneof![
        (1_u8..9, 100_u8..106).prop_map(|(sponsor, subject)| Urn::admit(sponsor, subject)),
        seed.clone().prop_map(|subject| Urn::remove(key(subject))),
        (seed.clone(), 100_u8..106).prop_map(|(old, new)| Urn::rekey(old, new)),
        (0_u8..6).prop_map(|after| Ask::Amend(Rules {
            evict_after: (after > 0).then_some(after),
            ..Rules::preset(Preset::Village)
        })),
        (100_u8..106).prop_map(|subject| Ask::Revoke { subject: key(subject) }),
    ]
}

prop_compose! {
    fn any_round()(
        preset in prop_oneof![Just(Preset::Village), Just(Preset::Seed)],
        members in 1_u8..13,
        states in prop::collection::vec((0_u8..6, any::<bool>()), 13),
        asks in prop::collection::vec((1_u8..14, 0_u8..4, any_ask()), 0..6),
        votes in prop::collection::vec((1_u8..15, 0_u8..6, 0_u8..3, 4_u64..6), 0..40),
        items in prop::collection::vec((0_u8..7, 1_u8..14, 0_u8..6), 0..5),
        judged in prop::collection::vec(any::<bool>(), 6),
    ) -> (Town, Urn) {
        let mut town = Town::new(preset, members);
        for (seed, (strikes, dormant)) in (1..).zip(states) {
            // The first stays active, as a round needs somebody who seals it.
            let standing = if dormant && seed > 1 && seed % 2 == 0 { Standing::Dormant } else { Standing::Active };
            town = town.with(seed, |member| (member.strikes, member.standing) = (strikes, standing));
        }
        let mut urn = Urn::default();
        for (name, (sponsor, slot, ask)) in asks.into_iter().enumerate() {
            let id = urn.ask_in(slot, sponsor, u8::try_from(name).expect("few"), ask);
            if !judged[name] {
                urn.judged.retain(|other| *other != id);
            }
        }
        for (seed, proposal, answer, height) in votes {
            let answer = [Answer::No, Answer::Yes, Answer::Abstain][usize::from(answer)];
            let (author, id) = (key(seed), StatementId([proposal; 32]));
            match urn.ballots.iter_mut().find(|(other, ..)| *other == author) {
                Some((_, _, ballot)) if ballot.answer(&id).is_none() => {
                    ballot.answers.push((id, answer));
                    ballot.answers.sort();
                }
                Some(_) => {}
                None => urn.ballots.push((author, Height(height), Ballot { number: 1, answers: [(id, answer)].into() })),
            }
        }
        for (kind, seed, proposal) in items {
            let (member, id) = (key(seed), StatementId([proposal; 32]));
            match kind {
                0 => { urn.items.evidence.insert(member); }
                1 => { urn.items.leaves.insert(member); }
                2 => { urn.items.wakes.insert(member); }
                3 => { urn.items.accepts.insert(id); }
                4 => { urn.items.withdrawn.insert(id); }
                5 => { urn.items.endorsed.insert(id); }
                _ => { urn.items.revoked.insert(key(100 + proposal), HERE); }
            }
        }
        (town, urn)
    }
}

/// Who was voted on, with what came of it.
fn respondents(town: &Town, urn: &Urn) -> Vec<BotId> {
    let counts = |(author, height, ballot): &&(BotId, Height, Ballot)| {
        town.roster.get_active(author).is_some()
            && (*height == HERE || ballot.answers.iter().any(|(id, _)| urn.judged.contains(id)))
    };
    urn.ballots.iter().filter(counts).map(|(author, ..)| *author).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn inv21_the_order_of_what_was_sealed_does_not_matter((town, urn) in any_round(), turn in 0_usize..40) {
        let mut other = urn.clone();
        other.proposals.reverse();
        let by = turn % other.ballots.len().max(1);
        other.ballots.rotate_left(by);
        prop_assert_eq!(town.seal(&urn).header.to_bytes(), town.seal(&other).header.to_bytes());
    }

    #[test]
    fn every_round_has_a_next_header_that_can_be_followed((town, urn) in any_round()) {
        let next = town.seal(&urn);
        let header = Header::from_bytes(&next.header.to_bytes()).expect("its own encoding");
        prop_assert_eq!(&header, &next.header);
        prop_assert_eq!(header.changes.apply(&town.roster, header.height).expect("the changes fit"), next.roster.clone());
        prop_assert_eq!((header.roster, header.active), (next.roster.root(), next.roster.active_len()));
        prop_assert!(header.active >= 1, "somebody is left to act");
        let all_judged = urn.judged.iter().all(|id| next.outcome(*id).is_some());
        prop_assert!(all_judged, "each proposal has an outcome: {:?}", header.outcomes);
    }

    #[test]
    fn inv23_below_the_floor_nobody_is_struck_and_nothing_is_decided((town, urn) in any_round()) {
        let numbers = town.rules.numbers(town.roster.active_len());
        let next = town.seal(&urn);
        if urn.judged.is_empty() || respondents(&town, &urn).len() < numbers.floor as usize {
            let changes = &next.header.changes;
            prop_assert_eq!((&changes.respondents, &changes.rekeyed, &changes.dormant, &changes.rules), (&None, &[].into(), &[].into(), &None));
            let by_item = |cause: &Departure| matches!(cause, Departure::Evidence | Departure::Left);
            prop_assert!(changes.departed.iter().all(|(_, cause)| by_item(cause)));
            prop_assert!(next.header.outcomes.iter().all(|(_, outcome)| *outcome != Outcome::Passed));
        }
    }

    #[test]
    fn inv24_no_round_exceeds_its_caps((town, urn) in any_round()) {
        let numbers = town.rules.numbers(town.roster.active_len());
        let next = town.seal(&urn);
        let changes = &next.header.changes;
        let by = |wanted: &[Departure]| changes.departed.iter().filter(|(_, cause)| wanted.contains(cause)).count();
        prop_assert!(by(&[Departure::Removed]) <= numbers.cap as usize);
        prop_assert!(by(&[Departure::Removed, Departure::Silent]) <= numbers.evict_cap as usize);
        prop_assert!(changes.dormant.len() <= numbers.evict_cap as usize);
        prop_assert!(changes.admitted.len() <= numbers.admit_cap as usize);
        for (_, sponsor, ..) in &urn.proposals {
            let admitted = urn.proposals.iter().filter(|(id, by, _, proposal)| {
                by == sponsor
                    && matches!(proposal.ask, Ask::Admit(_))
                    && matches!(next.outcome(*id), Some(Outcome::Passed | Outcome::Endorsed))
            });
            prop_assert!(admitted.count() <= numbers.admits_per_sponsor as usize);
        }
        let silenced = by(&[Departure::Silent]) + changes.dormant.len();
        if silenced > 0 && next.header.active < town.rules.min_active {
            let dormant_went = |key: &BotId| town.roster.get(key).is_some_and(|member| !member.is_active());
            let silent = changes.departed.iter().filter(|(_, cause)| *cause == Departure::Silent);
            prop_assert!(silent.map(|(key, _)| key).all(dormant_went) && changes.dormant.is_empty());
        }
    }

    #[test]
    fn inv25_who_answers_is_not_taken_for_silent((town, urn) in any_round()) {
        let next = town.seal(&urn);
        for member in respondents(&town, &urn) {
            let silent = next.header.changes.departed.contains(&(member, Departure::Silent));
            prop_assert!(!silent && !next.header.changes.dormant.contains(&member));
            if next.header.changes.respondents.is_some() {
                prop_assert!(next.roster.get(&member).is_none_or(|member| member.strikes == 0));
            }
        }
    }

    #[test]
    fn inv26_nobody_becomes_a_member_without_a_majority_or_endorsements((town, urn) in any_round()) {
        let next = town.seal(&urn);
        for (key, _) in &next.header.changes.admitted {
            let found = urn.proposals.iter().any(|(id, _, _, proposal)| {
                let Ask::Admit(application) = &proposal.ask else { return false };
                let yes = urn.ballots.iter().filter(|(author, _, ballot)| {
                    respondents(&town, &urn).contains(author) && ballot.answer(id) == Some(Answer::Yes)
                });
                application.key == *key
                    && (urn.items.endorsed.contains(id) || 2 * yes.count() > respondents(&town, &urn).len())
            });
            prop_assert!(found);
        }
    }
}
