//! Recordings: what is in them, that they replay, and that damage and changes are found.

mod damage;
mod random;
mod recordings;
mod secrets;
mod stage;
