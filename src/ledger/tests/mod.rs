//! A town to vote in, and what its rounds come to.

mod chains;
mod effects;
mod guests;
pub(super) mod hall;
mod invitations;
mod listings;
mod outcomes;
mod proofs;
pub(super) mod records;
mod sealing;
mod years;

use alloc::vec::Vec;

use bytes::Bytes;

use super::*;
use crate::crypto::{Crypto, Pure};
use crate::identity::{BotId, CommunityId, Identity};
use crate::time::UnixMillis;

/// A key by number; numbers from 100 on are no members.
pub(super) fn key(seed: u8) -> BotId {
    Identity::from_seed([seed; 32]).id()
}

/// A member's statement.
pub(super) fn say(community: &CommunityId, place: Place, seed: u8, body: Body) -> Statement {
    Statement::new(community, key(seed), place, body, &*Pure.signer(&[seed; 32])).expect("it fits")
}

/// A question without words.
pub(super) const fn asks(slot: u8, ask: Ask) -> Body {
    Body::Proposal(Proposal { slot, ask, text: Bytes::new() })
}

/// One of every kind of statement, by the first member, with everything in it that a kind may have.
pub(super) fn bodies(community: &CommunityId, place: Place) -> Vec<(&'static str, Body)> {
    let (proposal, view, header) = (StatementId([5; 32]), View(1), place.header);
    let text = Bytes::from_static("für alle".as_bytes());
    let application = |subject: u8, by: u8| {
        let signer = Pure.signer(&[subject; 32]);
        Application::new(community, key(subject), key(by), [1; 16], Bytes::from_static(b"hello"), &*signer)
    };
    let report = |seed: u8| Report::new(community, key(seed), place, &key(4), &*Pure.signer(&[seed; 32]));
    let mut reports = [report(1), report(2), report(3)];
    reports.sort_by_key(|report| report.observer);
    let ask = |slot, ask| Body::Proposal(Proposal { slot, ask, text: text.clone() });
    let answers =
        [(proposal, Answer::Yes), (StatementId([6; 32]), Answer::No), (StatementId([7; 32]), Answer::Abstain)];
    [
        ("Proposal, Admit", ask(0, Ask::Admit(application(9, 1)))),
        ("Proposal, Remove", asks(1, Ask::Remove { subject: key(4), reports: Vec::new() })),
        ("Proposal, Remove with reports", ask(1, Ask::Remove { subject: key(4), reports: reports.into() })),
        ("Proposal, Rekey", ask(2, Ask::Rekey(application(9, 2)))),
        ("Proposal, Amend", ask(3, Ask::Amend(Rules::preset(Preset::Seed)))),
        ("Proposal, Revoke", ask(3, Ask::Revoke { subject: key(77) })),
        ("Withdraw", Body::Withdraw(proposal)),
        ("Ballot", Body::Ballot(Ballot { number: 8, answers: answers.into() })),
        ("Ballot without answers", Body::Ballot(Ballot { number: 9, answers: Vec::new() })),
        ("Wake", Body::Wake),
        ("Accept", Body::Accept(proposal)),
        ("Leave", Body::Leave),
        ("Endorse, on", Body::Endorse { proposal, number: 2, on: true }),
        ("Endorse, off", Body::Endorse { proposal, number: 3, on: false }),
        ("Seal", Body::Seal { view, header }),
        ("Ack", Body::Ack { view, header }),
        ("Commit", Body::Commit { view, header }),
        ("Status without a Commit", Body::Status { view: View(2), locked: None }),
        ("Status", Body::Status { view: View(2), locked: Some((view, header)) }),
        ("Witness", Body::Witness(proposal)),
        ("Lost", Body::Lost { number: 10 }),
        ("Recall of nothing", Body::Recall { subject: key(2), number: 10, promises: Vec::new() }),
        ("Recall", Body::Recall { subject: key(2), number: 10, promises: [[1; 32], [2; 32]].into() }),
    ]
    .into()
}

/// y, n or a; nothing else is an answer.
pub(super) const fn answer(letter: u8) -> Option<Answer> {
    match letter {
        b'y' => Some(Answer::Yes),
        b'n' => Some(Answer::No),
        b'a' => Some(Answer::Abstain),
        _ => None,
    }
}

/// A community at height 5, in numbers.
#[derive(Clone, Debug)]
pub(super) struct Town {
    pub(super) roster: Roster,
    pub(super) rules: Rules,
}

pub(super) const HERE: Height = Height(5);

impl Town {
    pub(super) fn new(preset: Preset, members: u8) -> Self {
        let member = |seed| Member { key: key(seed), joined_at: Height(0), strikes: 0, standing: Standing::Active };
        Self { roster: Roster::new((1..=members).map(member)), rules: Rules::preset(preset) }
    }

    pub(super) fn village(members: u8) -> Self {
        Self::new(Preset::Village, members)
    }

    /// Changes a member.
    pub(super) fn with(mut self, seed: u8, change: impl Fn(&mut Member)) -> Self {
        let members = self.roster.members().iter().map(|member| {
            let mut member = *member;
            if member.key == key(seed) {
                change(&mut member);
            }
            member
        });
        self.roster = Roster::new(members);
        self
    }

    pub(super) fn seal(&self, urn: &Urn) -> Next {
        let at = Standpoint { height: HERE, header: HeaderId([9; 32]), roster: &self.roster, rules: &self.rules };
        let contents = Contents {
            opened_at: UnixMillis(7),
            id: ContentsId([8; 32]),
            proposals: urn
                .proposals
                .iter()
                .map(|(id, sponsor, height, proposal)| Sealed { id: *id, sponsor: *sponsor, height: *height, proposal })
                .collect(),
            judged: urn.judged.iter().copied().collect(),
            ballots: urn
                .ballots
                .iter()
                .map(|(author, height, ballot)| Cast { author: *author, height: *height, ballot })
                .collect(),
            items: urn.items.clone(),
        };
        next(&at, &contents)
    }
}

/// What a round is given.
#[derive(Clone, Debug, Default)]
pub(super) struct Urn {
    pub(super) proposals: Vec<(StatementId, BotId, Height, Proposal)>,
    pub(super) judged: Vec<StatementId>,
    pub(super) ballots: Vec<(BotId, Height, Ballot)>,
    pub(super) items: Items,
}

impl Urn {
    pub(super) fn admit(sponsor: u8, subject: u8) -> Ask {
        Ask::Admit(Application {
            key: key(subject),
            by: key(sponsor),
            nonce: [0; 16],
            text: Bytes::new(),
            signature: [0; 64],
        })
    }

    pub(super) fn rekey(old: u8, new: u8) -> Ask {
        let Ask::Admit(application) = Self::admit(old, new) else { unreachable!() };
        Ask::Rekey(application)
    }

    pub(super) const fn remove(subject: BotId) -> Ask {
        Ask::Remove { subject, reports: Vec::new() }
    }

    /// A proposal of this height that is judged now; its name says which it is.
    pub(super) fn ask(&mut self, sponsor: u8, name: u8, ask: Ask) -> StatementId {
        let slot = u8::try_from(self.proposals.len() % 4).unwrap_or(0);
        self.ask_in(slot, sponsor, name, ask)
    }

    pub(super) fn ask_in(&mut self, slot: u8, sponsor: u8, name: u8, ask: Ask) -> StatementId {
        let id = StatementId([name; 32]);
        self.proposals.push((id, key(sponsor), HERE, Proposal { slot, ask, text: Bytes::new() }));
        self.judged.push(id);
        id
    }

    /// The members' answers to one proposal, from the first member on: y, n, a, or - for no ballot at all.
    pub(super) fn votes(mut self, proposal: StatementId, votes: &str) -> Self {
        for (seed, vote) in (1..).zip(votes.bytes()) {
            if let Some(answer) = answer(vote) {
                self.vote(seed, proposal, answer);
            }
        }
        self
    }

    pub(super) fn vote(&mut self, seed: u8, proposal: StatementId, answer: Answer) {
        let author = key(seed);
        if let Some((_, _, ballot)) = self.ballots.iter_mut().find(|(other, ..)| *other == author) {
            ballot.answers.push((proposal, answer));
            ballot.answers.sort();
        } else {
            self.ballots.push((author, HERE, Ballot { number: 1, answers: [(proposal, answer)].into() }));
        }
    }

    /// Members that are there and answer nothing.
    pub(super) fn present(mut self, seeds: impl IntoIterator<Item = u8>) -> Self {
        for seed in seeds {
            if !self.ballots.iter().any(|(author, ..)| *author == key(seed)) {
                self.ballots.push((key(seed), HERE, Ballot { number: 1, answers: Vec::new() }));
            }
        }
        self
    }
}

impl Next {
    pub(super) fn outcome(&self, proposal: StatementId) -> Option<Outcome> {
        self.header.outcomes.iter().find(|(id, _)| *id == proposal).map(|(_, outcome)| *outcome)
    }

    pub(super) fn strikes(&self, seed: u8) -> Option<u8> {
        self.roster.get(&key(seed)).map(|member| member.strikes)
    }

    pub(super) fn standing(&self, seed: u8) -> Option<Standing> {
        self.roster.get(&key(seed)).map(|member| member.standing)
    }
}
