//! Names of things in the ledger.

use alloc::format;
use core::fmt;

/// The number of a round: 0 is the genesis, each certificate adds one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Height(pub u64);

impl Height {
    /// The next one.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The number of an attempt to seal a round; each has another sealer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct View(pub u32);

macro_rules! hash_name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; 32]);

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let short: u32 = u32::from_be_bytes([self.0[0], self.0[1], self.0[2], self.0[3]]);
                f.write_str(&format!("{}({short:08x}…)", stringify!($name)))
            }
        }
    };
}

hash_name! {
    /// A header's name: the hash of its bytes.
    HeaderId
}
hash_name! {
    /// A statement's name: the hash of what its author signed.
    StatementId
}
hash_name! {
    /// The hash of everything that a round judged and counted.
    ContentsId
}

/// Where an author stood when it signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The height.
    pub height: Height,
    /// The header at this height.
    pub header: HeaderId,
}
