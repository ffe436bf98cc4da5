//! The book: what travels, what is decided and how, what is protected, and what owners and hosts have to do.

#[doc = include_str!("protocol.md")]
pub mod protocol {}

#[doc = include_str!("ledger.md")]
pub mod ledger {}

#[doc = include_str!("owners.md")]
pub mod owners {}

#[doc = include_str!("threats.md")]
pub mod threats {}

#[doc = include_str!("host.md")]
pub mod host {}
