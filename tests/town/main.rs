//! Nodes with a ledger: how a community of whole bots admits and removes members.

mod attacks;
mod disasters;
mod joining;
mod life;
mod random;
mod town;
