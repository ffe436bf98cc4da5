//! interbot
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod budget;
pub mod crypto;
mod identity;
pub mod link;
mod time;
pub mod window;
pub mod wire;

pub use identity::{BotId, CommunityId, IdError, Identity};
pub use time::Instant;
/// m
pub mod manual {
    /// p
    pub mod protocol {}
}
