//! Bytes: frames on a stream, fixed layouts, and the CBOR that messages are made of.
//!
//! Everything here refuses more than it accepts: a length is checked before anything is allocated for it, a value has one
//! encoding, and nothing may be left over.

mod cbor;
mod fixed;
mod frame;

pub use cbor::{CborError, CborReader, CborWriter};
pub use fixed::{FixedReader, LayoutError};
pub use frame::{Frame, FrameError, FrameKind, FrameReader, HEADER_LEN, MAX_PLAINTEXT, put_header};
