//! Ledgers in a village: votes, seals, absences, crashes and liars in virtual time.

mod clocks;
mod crashes;
mod forks;
mod guests;
mod liars;
mod partitions;
mod rounds;
mod standing;
mod views;
#[allow(dead_code, reason = "every part of the suite uses a part of it")]
mod village;
mod years;
