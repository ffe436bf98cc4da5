//! What the fuzz targets share: keys, a cheap crypto provider, edits of byte streams, an end of a link under watch, and what
//! a network of three must do.
#![forbid(unsafe_code)]

pub mod crypto;
pub mod edit;
pub mod flow;
pub mod handshake;
pub mod keys;
pub mod model;
pub mod node;
pub mod tape;
pub mod watched;
