//! Listings: one encoding, and nothing in a list that may not stand there.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::identity::CommunityId;
use crate::wire::LayoutError;

/// What members of a town signed, and a listing of it.
#[derive(Clone, Debug)]
struct Desk {
    town: Town,
    statements: BTreeMap<StatementId, Statement>,
    listing: Listing,
}

const HEADER: HeaderId = HeaderId([9; 32]);

fn community() -> CommunityId {
    CommunityId::from_name("listings")
}

/// A place on the chain of the town.
fn at(height: Height) -> Place {
    Place { height, header: if height == HERE { HEADER } else { HeaderId([3; 32]) } }
}

impl Desk {
    fn new(town: Town) -> Self {
        Self { town, statements: BTreeMap::new(), listing: Listing::new(UnixMillis(7)) }
    }

    fn say_at(&mut self, place: Place, seed: u8, body: Body) -> StatementId {
        let statement = super::say(&community(), place, seed, body);
        let id = statement.id();
        self.statements.insert(id, statement);
        id
    }

    fn say(&mut self, seed: u8, body: Body) -> StatementId {
        self.say_at(at(HERE), seed, body)
    }

    /// A proposal that is judged.
    fn ask(&mut self, seed: u8, slot: u8, ask: Ask) -> StatementId {
        let id = self.say(seed, asks(slot, ask));
        self.listing.judged.insert(id);
        id
    }

    fn item(&mut self, seed: u8, body: Body) -> StatementId {
        let id = self.say(seed, body);
        self.listing.items.insert(id);
        id
    }

    fn resolve(&self) -> Result<Resolved<'_>, ResolveError> {
        let at = Standpoint { height: HERE, header: HEADER, roster: &self.town.roster, rules: &self.town.rules };
        self.listing.resolve(&at, &community(), |id| self.statements.get(id))
    }

    fn items(&self) -> Items {
        self.resolve().expect("everything fits").contents.items
    }

    fn refused(&self) -> (StatementId, Misfit) {
        let error = self.resolve().expect_err("something does not fit");
        (error.statement, error.why)
    }
}

fn votes(number: u64, proposal: StatementId, answer: Answer) -> Body {
    Body::Ballot(Ballot { number, answers: [(proposal, answer)].into() })
}

fn any_names() -> impl Strategy<Value = alloc::collections::BTreeSet<StatementId>> {
    prop::collection::btree_set(prop::array::uniform32(any::<u8>()).prop_map(StatementId), 0..4)
}

prop_compose! {
    fn any_listing()(
        opened_at in any::<u64>(),
        mut judged in any_names(), endorsed in any_names(), ballots in any_names(), items in any_names(), pairs in any_names(),
        revocations in prop::collection::btree_map(prop::array::uniform32(any::<u8>()).prop_map(StatementId), any_names(), 0..3),
    ) -> Listing {
        judged.retain(|id| !endorsed.contains(id));
        let pairs: Vec<_> = pairs.into_iter().collect();
        let evidence = pairs.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        Listing { opened_at: UnixMillis(opened_at), judged, endorsed, ballots, items, evidence, revocations }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_listing_has_one_encoding(listing in any_listing(), flip in any::<(usize, u8)>()) {
        let bytes = listing.to_bytes();
        prop_assert_eq!(Listing::from_bytes(&bytes), Ok(listing.clone()));
        for at in 0..bytes.len() {
            prop_assert_eq!(Listing::from_bytes(&bytes[..at]), Err(LayoutError), "cut at {}", at);
        }
        let longer = [&bytes[..], &[0]].concat();
        prop_assert_eq!(Listing::from_bytes(&longer), Err(LayoutError));
        // Whatever is read is written the same, so that two names never stand for one listing.
        let mut odd = bytes.clone();
        odd[flip.0 % bytes.len()] ^= flip.1;
        if let Ok(read) = Listing::from_bytes(&odd) {
            prop_assert_eq!(read.to_bytes(), odd);
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(prop_oneof![4 => Just(0), 1 => any::<u8>()], 0..300)) {
        if let Ok(read) = Listing::from_bytes(&bytes) {
            prop_assert_eq!(read.to_bytes(), bytes);
        }
    }
}

#[test]
fn lists_out_of_order_doubled_or_in_two_lists_are_refused() {
    let name = |n: u8| StatementId([n; 32]);
    let mut listing = Listing::new(UnixMillis(1));
    listing.judged.extend([name(1), name(2)]);
    listing.endorsed.insert(name(3));
    listing.evidence.extend([(name(4), name(6)), (name(5), name(6))]);
    listing.revocations.insert(name(7), [name(8), name(9)].into());
    let bytes = listing.to_bytes();
    assert_eq!(Listing::from_bytes(&bytes), Ok(listing));
    // Every name in it, as an offset of 32 bytes filled with its number.
    let offset = |n: u8| bytes.windows(32).position(|name| name == [n; 32]).expect("listed");
    for (old, new) in [(2, 1), (1, 3), (3, 1), (4, 7), (5, 4), (5, 7), (8, 9), (9, 8)] {
        let mut odd = bytes.clone();
        odd[offset(old)..][..32].fill(new);
        assert_eq!(Listing::from_bytes(&odd), Err(LayoutError), "{new} in place of {old}");
    }
    // A count of four billion costs no memory.
    for list in [8, 12, 16, 20] {
        let mut greedy = alloc::vec![0; 60];
        greedy[list..list + 4].fill(0xff);
        assert_eq!(Listing::from_bytes(&greedy), Err(LayoutError));
    }
    assert_eq!(Listing::from_bytes(&alloc::vec![0; MAX_LISTING + 1]), Err(LayoutError));
}

#[test]
fn a_listing_is_named_by_its_community_and_by_every_byte() {
    let listing = Listing::new(UnixMillis(0x0102));
    let bytes = listing.to_bytes();
    let mut expected = alloc::vec![0; 8 + 6 * 4];
    expected[6..8].copy_from_slice(&[1, 2]);
    assert_eq!(bytes, expected);
    let hash = crate::crypto::sha256(&[b"interbot sealed\0", community().as_bytes(), &bytes]);
    assert_eq!(listing.id(&community()), ContentsId(hash));
    assert_ne!(listing.id(&community()), listing.id(&CommunityId::from_name("elsewhere")));
    assert_ne!(listing.id(&community()), Listing::new(UnixMillis(0x0103)).id(&community()));
}

#[test]
fn every_kind_of_item_comes_to_its_place() {
    let mut desk = Desk::new(Town::village(6).with(6, |member| member.standing = Standing::Dormant));
    let admission = desk.ask(1, 0, Urn::admit(1, 100));
    let removal = desk.ask(2, 1, Urn::remove(key(5)));
    let other = desk.say(3, asks(0, Urn::admit(3, 101)));
    desk.listing.endorsed.insert(other);
    for seed in 1..=4 {
        let ballot = desk.say(seed, votes(3, removal, Answer::Yes));
        desk.listing.ballots.insert(ballot);
        desk.item(seed, Body::Endorse { proposal: other, number: 1, on: true });
    }
    desk.item(1, Body::Withdraw(admission));
    desk.item(100, Body::Accept(admission));
    desk.item(6, Body::Wake);
    desk.item(4, Body::Leave);
    let revocation = desk.say(3, asks(3, Ask::Revoke { subject: key(77) }));
    let yes = [1, 2, 3, 4].map(|seed| desk.say(seed, votes(2, revocation, Answer::Yes)));
    desk.listing.revocations.insert(revocation, yes.into());
    let pair = [1, 2].map(|n| desk.say(5, Body::Ack { view: View(1), header: HeaderId([n; 32]) }));
    let evidence = Evidence::of(&desk.statements[&pair[0]], &desk.statements[&pair[1]]).expect("two Acks");
    desk.listing.convict(&evidence);

    let Resolved { contents, evidence: found } = desk.resolve().expect("everything fits");
    assert_eq!((contents.opened_at, contents.id), (UnixMillis(7), desk.listing.id(&community())));
    let names: Vec<_> = contents.proposals.iter().map(|sealed| (sealed.id, sealed.sponsor, sealed.height)).collect();
    let mut expected = [(admission, key(1), HERE), (removal, key(2), HERE)];
    expected.sort();
    assert_eq!(names, [&expected[..], &[(other, key(3), HERE)]].concat());
    assert_eq!((contents.judged, contents.ballots.len()), ([admission, removal].into(), 4));
    assert_eq!(
        contents.items,
        Items {
            evidence: [key(5)].into(),
            leaves: [key(4)].into(),
            wakes: [key(6)].into(),
            accepts: [admission].into(),
            withdrawn: [admission].into(),
            endorsed: [other].into(),
            revoked: [(key(77), HERE)].into(),
        }
    );
    assert_eq!(found, [evidence]);
    let named = desk.listing.names();
    assert_eq!(named, desk.statements.keys().copied().collect());
    // Each is needed: without it the listing does not resolve, and the error names it.
    for id in named {
        let mut without = desk.clone();
        without.statements.remove(&id);
        assert_eq!(without.refused().1, Misfit::Missing);
    }
}

#[test]
fn a_statement_under_anothers_name_is_missing() {
    let mut desk = Desk::new(Town::village(4));
    let leave = desk.item(1, Body::Leave);
    let other = desk.say(2, Body::Leave);
    let statement = desk.statements[&other].clone();
    desk.statements.insert(leave, statement);
    assert_eq!(desk.refused(), (leave, Misfit::Missing));
}

#[test]
fn every_list_takes_its_own_kind_only() {
    let mut desk = Desk::new(Town::village(4));
    let (leave, ballot) = (desk.say(1, Body::Leave), desk.say(1, votes(1, StatementId([1; 32]), Answer::No)));
    let proposal = desk.say(1, asks(0, Urn::remove(key(2))));
    let ack = desk.say(1, Body::Ack { view: View(0), header: HEADER });
    let refused = |change: &dyn Fn(&mut Listing)| {
        let mut other = desk.clone();
        change(&mut other.listing);
        other.refused()
    };
    for id in [leave, ballot, ack] {
        let kind = (id, Misfit::Kind);
        assert_eq!(refused(&|listing| listing.judged = [id].into()), kind);
        assert_eq!(refused(&|listing| listing.endorsed = [id].into()), kind);
        assert_eq!(refused(&|listing| listing.revocations = [(id, [ballot].into())].into()), kind);
    }
    for id in [leave, proposal, ack] {
        assert_eq!(refused(&|listing| listing.ballots = [id].into()), (id, Misfit::Kind));
        assert_eq!(refused(&|listing| listing.revocations = [(proposal, [id].into())].into()), (id, Misfit::Kind));
    }
    for id in [ballot, proposal, ack] {
        assert_eq!(refused(&|listing| listing.items = [id].into()), (id, Misfit::Kind));
    }
    let pair = |a: StatementId, b: StatementId| (a.min(b), a.max(b));
    let (first, second) = pair(ack, leave);
    assert_eq!(refused(&|listing| listing.evidence = [(first, second)].into()), (first, Misfit::NoConflict));
}

#[test]
fn statements_of_other_places_are_refused() {
    let beside = Place { height: HERE, header: HeaderId([1; 32]) };
    let refused = |place, seed, body| {
        let mut desk = Desk::new(Town::village(5).with(5, |member| member.standing = Standing::Dormant));
        let id = desk.say_at(place, seed, body);
        desk.listing.items.insert(id);
        desk.resolve().err().map(|error| error.why)
    };
    for place in [at(HERE.next()), beside] {
        assert_eq!(refused(place, 1, Body::Leave), Some(Misfit::Place));
        assert_eq!(refused(place, 5, Body::Wake), Some(Misfit::Place));
    }
    assert_eq!(refused(at(Height(0)), 1, Body::Leave), None, "any height since it joined");
    assert_eq!(refused(at(Height(4)), 5, Body::Wake), Some(Misfit::Place), "this height only");
    assert_eq!((refused(at(HERE), 5, Body::Wake), refused(at(HERE), 1, Body::Wake)), (None, Some(Misfit::Author)));
    let mut desk = Desk::new(Town::village(4));
    let admission = desk.ask(1, 0, Urn::admit(1, 100));
    let accept = desk.say_at(at(Height(4)), 100, Body::Accept(admission));
    desk.listing.items.insert(accept);
    assert_eq!(desk.refused(), (accept, Misfit::Place));
}

#[test]
fn strangers_former_members_and_other_members_say_nothing() {
    // The third joined at height 4: what an earlier holder of the key said is another story.
    let town = Town::village(4).with(3, |member| member.joined_at = Height(4));
    for (height, seed, why) in [
        (HERE, 100, Some(Misfit::Author)),
        (Height(3), 3, Some(Misfit::Author)),
        (Height(4), 3, None),
        (Height(3), 2, None),
    ] {
        let bodies = [
            asks(0, Urn::admit(seed, 101)),
            votes(1, StatementId([1; 32]), Answer::Yes),
            Body::Leave,
            Body::Endorse { proposal: StatementId([1; 32]), number: 1, on: true },
        ];
        for (list, body) in bodies.into_iter().enumerate() {
            let mut desk = Desk::new(town.clone());
            let id = desk.say_at(at(height), seed, body);
            let listing = &mut desk.listing;
            [&mut listing.judged, &mut listing.ballots, &mut listing.items][list.min(2)].insert(id);
            assert_eq!(
                desk.resolve().err(),
                why.map(|why| ResolveError { statement: id, why }),
                "{seed} at {height:?}"
            );
        }
    }
    let mut desk = Desk::new(Town::village(4));
    let admission = desk.ask(1, 0, Urn::admit(1, 100));
    for (seed, body) in [(2, Body::Withdraw(admission)), (101, Body::Accept(admission)), (1, Body::Accept(admission))] {
        let mut desk = desk.clone();
        let id = desk.item(seed, body);
        assert_eq!(desk.refused(), (id, Misfit::Author));
    }
}

#[test]
fn proposals_that_no_round_may_judge_are_refused() {
    let town = |members| {
        let mut town = Town::village(members);
        town.rules.stale_after = 2;
        town
    };
    let why = |members, height, slot, ask| {
        let mut desk = Desk::new(town(members));
        let id = desk.say_at(at(height), 1, asks(slot, ask));
        desk.listing.judged.insert(id);
        desk.resolve().err().map(|error| error.why)
    };
    let admit = || Urn::admit(1, 100);
    assert_eq!((why(4, Height(3), 0, admit()), why(4, Height(2), 0, admit())), (None, Some(Misfit::Stale)));
    assert_eq!((why(4, HERE, 1, admit()), why(4, HERE, 3, Urn::remove(key(2)))), (Some(Misfit::Slot), None));
    assert_eq!((why(3, HERE, 2, admit()), why(3, HERE, 3, admit())), (None, Some(Misfit::Slot)));
    assert_eq!(why(4, HERE, 0, Urn::admit(2, 100)), Some(Misfit::Sponsor));
    assert_eq!(why(4, HERE, 0, Urn::rekey(2, 100)), None, "a re-key names the old key");
    let report = |observer, height| {
        let report = Report { observer: key(observer), place: at(Height(height)), signature: [0; 64] };
        Ask::Remove { subject: key(4), reports: [report].into() }
    };
    assert_eq!((why(4, HERE, 0, report(2, 5)), why(4, HERE, 0, report(2, 4))), (None, None));
    assert_eq!(why(4, HERE, 0, report(2, 3)), Some(Misfit::Report), "too old");
    assert_eq!(why(4, Height(4), 0, report(2, 5)), Some(Misfit::Report), "after the proposal");
    assert_eq!(why(4, HERE, 0, report(4, 5)), Some(Misfit::Report), "its own");
}

#[test]
fn of_one_author_one_ballot_and_one_pair_is_listed() {
    let mut desk = Desk::new(Town::village(4));
    let ballots = [1, 2].map(|number| desk.say(1, votes(number, StatementId([1; 32]), Answer::Yes)));
    desk.listing.ballots.extend(ballots);
    assert_eq!(desk.refused(), (ballots[0].max(ballots[1]), Misfit::Twice));

    let mut desk = Desk::new(Town::village(4));
    for view in [View(1), View(2)] {
        let pair = [1, 2].map(|n| desk.say(3, Body::Ack { view, header: HeaderId([n; 32]) }));
        let evidence = Evidence::of(&desk.statements[&pair[0]], &desk.statements[&pair[1]]).expect("two Acks");
        desk.listing.convict(&evidence);
    }
    let second = *desk.listing.evidence.keys().next_back().expect("two pairs");
    assert_eq!(desk.refused(), (second, Misfit::Twice));
}

#[test]
fn i17_an_application_is_endorsed_by_what_is_listed_alone() {
    let endorsed = |town: Town, said: &[(u8, u64, bool)]| {
        let mut desk = Desk::new(town);
        let admission = desk.ask(1, 0, Urn::admit(1, 100));
        for (seed, number, on) in said {
            desk.item(*seed, Body::Endorse { proposal: admission, number: *number, on: *on });
        }
        desk.items().endorsed.contains(&admission)
    };
    let three = [(1, 1, true), (2, 1, true), (3, 1, true)];
    assert!(endorsed(Town::village(4), &three) && !endorsed(Town::village(4), &three[..2]));
    assert!(!endorsed(Town::village(4), &[three[0], three[1], three[2], (3, 2, false)]), "taken back");
    let asleep = Town::village(5).with(3, |member| member.standing = Standing::Dormant);
    assert!(!endorsed(asleep, &three), "a sleeper's does not count");

    let mut desk = Desk::new(Town::village(4));
    let removal = desk.say(1, asks(1, Urn::remove(key(4))));
    desk.listing.endorsed.insert(removal);
    for seed in 1..=4 {
        desk.item(seed, Body::Endorse { proposal: removal, number: 1, on: true });
    }
    assert_eq!(desk.refused(), (removal, Misfit::NotEndorsed), "only an application can be");
}

#[test]
fn a_revocation_takes_a_quorum_of_yes_of_different_active_members() {
    let why = |voters: &[(u8, u64, Answer)], ask: Ask| {
        let mut desk = Desk::new(Town::village(5).with(5, |member| member.standing = Standing::Dormant));
        let proposal = desk.say(1, asks(0, ask));
        let ballots = voters.iter().map(|(seed, number, answer)| desk.say(*seed, votes(*number, proposal, *answer)));
        let ballots = ballots.collect();
        desk.listing.revocations.insert(proposal, ballots);
        desk.resolve().map(|resolved| resolved.contents.items.revoked).map_err(|error| error.why)
    };
    let revoke = || Ask::Revoke { subject: key(77) };
    let yes = |seed| (seed, 1, Answer::Yes);
    assert_eq!(why(&[yes(1), yes(2), yes(3)], revoke()), Ok([(key(77), HERE)].into()));
    assert_eq!(why(&[yes(1), yes(2), yes(3)], Urn::remove(key(4))), Ok([(key(4), HERE)].into()));
    assert_eq!(why(&[yes(1), yes(2)], revoke()), Err(Misfit::NoQuorum));
    assert_eq!(why(&[yes(1), yes(2), yes(5)], revoke()), Err(Misfit::NoQuorum), "one sleeps");
    assert_eq!(why(&[yes(1), yes(2), yes(3), (4, 1, Answer::No)], revoke()), Err(Misfit::NoQuorum));
    assert_eq!(why(&[yes(1), yes(2), yes(3), (3, 2, Answer::Yes)], revoke()), Err(Misfit::Twice));
    assert_eq!(why(&[yes(1), yes(2), yes(3)], Urn::admit(1, 100)), Err(Misfit::Kind));
    assert_eq!(why(&[yes(1), yes(2), yes(100)], revoke()), Err(Misfit::Author));
}
