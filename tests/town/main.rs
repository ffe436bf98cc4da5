//! Nodes with a ledger: how a community of whole bots admits and removes members.

mod disasters;
mod joining;
mod life;
mod town;
