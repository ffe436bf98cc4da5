//! The ballots of all members: a grow-only register of each author, that ends the same in whatever order they arrive.

use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use super::evidence::Evidence;
use super::ids::StatementId;
use super::statement::Statement;
use crate::identity::BotId;

/// What became of a ballot that was put in.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "evidence is to be kept, and what is new is to be passed on"]
pub enum Put {
    /// It is its author's newest.
    Newest,
    /// It was there, or an author's newer one is.
    Known,
    /// Its author signed another with this number. The evidence is to be kept before anything else comes in: a ballot with a
    /// higher number hides the pair here.
    Conflict(Box<Evidence>),
    /// It is no ballot.
    NoBallot,
}

/// The newest ballots of each author: one of an honest one, the two smallest of one who signed several with one number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Register(BTreeMap<BotId, Held>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    number: u64,
    /// By name; one, or two.
    ballots: Vec<Arc<Statement>>,
}

impl Register {
    /// Puts a genuine ballot in; whether its author may vote is for the caller to say.
    pub fn put(&mut self, statement: Arc<Statement>) -> Put {
        let Some(number) = statement.ballot().map(|ballot| ballot.number) else { return Put::NoBallot };
        let held = self.0.entry(statement.author()).or_insert_with(|| Held { number, ballots: Vec::new() });
        if number < held.number {
            return Put::Known;
        }
        if number > held.number {
            *held = Held { number, ballots: Vec::new() };
        }
        let Err(at) = held.ballots.binary_search_by_key(&statement.id(), |ballot| ballot.id()) else {
            return Put::Known;
        };
        let evidence = held.ballots.first().and_then(|other| Evidence::of(other, &statement));
        held.ballots.insert(at, statement);
        held.ballots.truncate(2);
        evidence.map_or(Put::Newest, |evidence| Put::Conflict(Box::new(evidence)))
    }

    /// The join with another register: commutative, associative, idempotent.
    pub fn join(&mut self, other: &Self) {
        for ballot in other.0.values().flat_map(|held| &held.ballots) {
            // Evidence in it was found when it was put in there.
            let _ = self.put(ballot.clone());
        }
    }

    /// An author's newest ballot; the smaller one of a pair.
    #[must_use]
    pub fn newest(&self, author: &BotId) -> Option<&Arc<Statement>> {
        self.0.get(author)?.ballots.first()
    }

    /// The greatest number seen of an author.
    #[must_use]
    pub fn number(&self, author: &BotId) -> Option<u64> {
        self.0.get(author).map(|held| held.number)
    }

    /// All that is held, by author.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Statement>> {
        self.0.values().flat_map(|held| &held.ballots)
    }

    /// Forgets authors that are members no longer.
    pub fn keep(&mut self, stays: impl Fn(&BotId) -> bool) {
        self.0.retain(|author, _| stays(author));
    }

    /// What two registers that are equal both say.
    #[must_use]
    pub fn names(&self) -> Vec<StatementId> {
        self.iter().map(|ballot| ballot.id()).collect()
    }
}
