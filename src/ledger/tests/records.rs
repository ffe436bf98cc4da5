//! Evidence: what convicts, and what does not.

use alloc::vec::Vec;

use super::*;
use crate::identity::CommunityId;

fn community() -> CommunityId {
    CommunityId::from_name("records")
}

fn at(height: u64) -> Place {
    Place { height: Height(height), header: HeaderId([u8::try_from(height).expect("low"); 32]) }
}

fn say(seed: u8, place: Place, body: Body) -> Statement {
    super::say(&community(), place, seed, body)
}

/// Two statements of one author and place, and whether they convict it.
pub(in crate::ledger) fn pairs() -> Vec<(Body, Body, Option<Conflict>)> {
    let (a, b) = (HeaderId([1; 32]), HeaderId([2; 32]));
    let proposal = |slot, subject| asks(slot, Ask::Revoke { subject: key(subject) });
    let (view, later) = (View(1), View(2));
    let status = |locked| Body::Status { view: later, locked };
    let endorse = |number, on| Body::Endorse { proposal: StatementId([8; 32]), number, on };
    let ballot = |number, answer| Body::Ballot(Ballot { number, answers: [(StatementId([9; 32]), answer)].into() });
    let commit = |view, header| Body::Commit { view, header };
    [
        (Body::Seal { view, header: a }, Body::Seal { view, header: b }, Some(Conflict::TwoSeals)),
        (Body::Ack { view, header: a }, Body::Ack { view, header: b }, Some(Conflict::TwoAcks)),
        (commit(view, a), commit(view, b), Some(Conflict::TwoCommits)),
        (status(None), commit(view, a), Some(Conflict::DeniedCommit)),
        (status(Some((View(0), a))), commit(view, a), Some(Conflict::DeniedCommit)),
        (status(Some((view, b))), commit(view, a), Some(Conflict::DeniedCommit)),
        (ballot(7, Answer::Yes), ballot(7, Answer::No), Some(Conflict::TwoBallots)),
        (proposal(0, 5), proposal(0, 6), Some(Conflict::TwoProposals)),
        (endorse(4, true), endorse(4, false), Some(Conflict::TwoEndorsements)),
        // Honest: other views, other slots, other numbers, a lock that was told, and the same twice.
        (Body::Seal { view, header: a }, Body::Seal { view: later, header: b }, None),
        (Body::Ack { view, header: a }, Body::Ack { view: later, header: b }, None),
        (Body::Ack { view, header: a }, commit(view, b), None),
        (commit(view, a), commit(later, a), None),
        (status(Some((view, a))), commit(view, a), None),
        (status(Some((view, a))), commit(View(0), b), None),
        (status(None), commit(later, a), None),
        (ballot(7, Answer::Yes), ballot(8, Answer::No), None),
        (proposal(0, 5), proposal(1, 6), None),
        (endorse(4, true), endorse(5, false), None),
        (Body::Leave, Body::Wake, None),
        (commit(view, a), commit(view, a), None),
    ]
    .into()
}

#[test]
fn inv33_every_pair_that_cannot_be_honest_convicts_and_no_other_does() {
    for (one, other, conflict) in pairs() {
        let (one, other) = (say(1, at(3), one), say(1, at(3), other));
        let found = Evidence::of(&one, &other);
        assert_eq!(found, Evidence::of(&other, &one), "in either order");
        assert_eq!(found.as_ref().map(Evidence::conflict), conflict, "{one:?} and {other:?}");
        assert!(found.is_none_or(|found| found.is_genuine(&community(), &Pure) && found.author() == key(1)));
    }
    // Of two keys, of two places, of another community.
    let commit = |n| Body::Commit { view: View(1), header: HeaderId([n; 32]) };
    let (one, other) = (say(1, at(3), commit(1)), say(2, at(3), commit(2)));
    assert_eq!(Evidence::of(&one, &other), None);
    assert_eq!(Evidence::of(&one, &say(1, at(4), commit(2))), None);
    let pair = Evidence::of(&one, &say(1, at(3), commit(2))).expect("two Commits");
    assert!(!pair.is_genuine(&CommunityId::from_name("elsewhere"), &Pure));
}
