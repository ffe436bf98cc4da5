//! Recordings: what is in them, that they replay, and that damage and changes are found.

mod damage;
mod ledger;
mod random;
mod recordings;
mod secrets;
mod stage;
#[path = "../town/town.rs"]
#[allow(dead_code, reason = "other tests need the rest of it")]
mod town;
