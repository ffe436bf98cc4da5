//! interbot
#![cfg_attr(not(feature = "std"), no_std)]
#![cfg_attr(docsrs, feature(doc_cfg))]

extern crate alloc;

pub mod budget;
pub mod crypto;
mod identity;
#[cfg(feature = "sim")]
#[cfg_attr(docsrs, doc(cfg(feature = "sim")))]
pub mod lab;
pub mod link;
pub mod node;
pub mod overlay;
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
