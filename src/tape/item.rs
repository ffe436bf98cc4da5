//! Items of a recording: arrays of numbers, byte strings and arrays, in the one encoding that messages have too.

use alloc::string::String;
use alloc::vec::Vec;

use crate::identity::BotId;
use crate::wire::{CborError, CborReader, CborWriter};

/// Something that stands in an entry.
pub(super) trait Item: Sized {
    fn put(&self, w: &mut CborWriter<'_>);
    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError>;
}

/// Writes and reads a struct as the array of its fields, in this order.
macro_rules! fields {
    ($name:ident: $($field:ident)*) => {
        impl $name {
            const FIELDS: u64 = <[&str]>::len(&[$(stringify!($field)),*]) as u64;
        }

        impl $crate::tape::item::Item for $name {
            fn put(&self, w: &mut $crate::wire::CborWriter<'_>) {
                w.array(Self::FIELDS);
                $($crate::tape::item::Item::put(&self.$field, w);)*
            }

            fn take(r: &mut $crate::wire::CborReader<'_>) -> Result<Self, $crate::wire::CborError> {
                if r.array()? != Self::FIELDS {
                    return Err($crate::wire::CborError::Range);
                }
                Ok(Self { $($field: $crate::tape::item::Item::take(r)?,)* })
            }
        }
    };
}
pub(super) use fields;

/// Writes and reads an enum as the array of a variant's number and fields.
macro_rules! variants {
    ($name:ident: $($number:literal $variant:ident { $($field:ident)* })*) => {
        impl $crate::tape::item::Item for $name {
            fn put(&self, w: &mut $crate::wire::CborWriter<'_>) {
                match self {
                    $(Self::$variant { $($field),* } => {
                        w.array([$number, $(stringify!($field).len()),*].len() as u64).uint($number);
                        $($crate::tape::item::Item::put($field, w);)*
                    })*
                }
            }

            fn take(r: &mut $crate::wire::CborReader<'_>) -> Result<Self, $crate::wire::CborError> {
                let items = r.array()?;
                match r.uint()? {
                    $($number if items == [$number, $(stringify!($field).len()),*].len() as u64 => {
                        Ok(Self::$variant { $($field: $crate::tape::item::Item::take(r)?),* })
                    })*
                    _ => Err($crate::wire::CborError::Range),
                }
            }
        }
    };
}
pub(super) use variants;

/// A byte string.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Blob(pub(crate) Vec<u8>);

impl Item for Blob {
    fn put(&self, w: &mut CborWriter<'_>) {
        w.bytes(&self.0);
    }

    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
        Ok(Self(r.bytes()?.to_vec()))
    }
}

/// A bot's id.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Id(pub(crate) BotId);

impl Item for Id {
    fn put(&self, w: &mut CborWriter<'_>) {
        w.bytes(self.0.as_bytes());
    }

    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
        // A replay checks no signature, so a key need not be one.
        Ok(Self(BotId::proved(*r.byte_array()?)))
    }
}

impl Item for u64 {
    fn put(&self, w: &mut CborWriter<'_>) {
        w.uint(*self);
    }

    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
        r.uint()
    }
}

macro_rules! smaller {
    ($($type:ty)*) => {
        $(impl Item for $type {
            fn put(&self, w: &mut CborWriter<'_>) {
                w.uint(u64::from(*self));
            }

            fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
                Self::try_from(r.uint()?).map_err(|_| CborError::Range)
            }
        })*
    };
}

smaller! { u8 u32 }

impl Item for bool {
    fn put(&self, w: &mut CborWriter<'_>) {
        w.uint(u64::from(*self));
    }

    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
        match r.uint()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(CborError::Range),
        }
    }
}

impl Item for String {
    fn put(&self, w: &mut CborWriter<'_>) {
        w.bytes(self.as_bytes());
    }

    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
        Self::from_utf8(r.bytes()?.to_vec()).map_err(|_| CborError::Range)
    }
}

impl<T: Item> Item for Vec<T> {
    fn put(&self, w: &mut CborWriter<'_>) {
        w.array(self.len() as u64);
        self.iter().for_each(|item| item.put(w));
    }

    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
        // Nothing is reserved for a count that may lie: each item takes a byte at least.
        (0..r.array()?).map(|_| T::take(r)).collect::<Result<_, _>>()
    }
}

/// An array of one item or none.
impl<T: Item> Item for Option<T> {
    fn put(&self, w: &mut CborWriter<'_>) {
        w.array(u64::from(self.is_some()));
        if let Some(item) = self {
            item.put(w);
        }
    }

    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
        match r.array()? {
            0 => Ok(None),
            1 => T::take(r).map(Some),
            _ => Err(CborError::Range),
        }
    }
}

impl<A: Item, B: Item> Item for (A, B) {
    fn put(&self, w: &mut CborWriter<'_>) {
        w.array(2);
        self.0.put(w);
        self.1.put(w);
    }

    fn take(r: &mut CborReader<'_>) -> Result<Self, CborError> {
        if r.array()? != 2 {
            return Err(CborError::Range);
        }
        Ok((A::take(r)?, B::take(r)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::link::Code;
    use crate::node::Limits;
    use crate::tape::{Answer, Header, Input, LimitsEntry};
    use bytes::BytesMut;
    use core::fmt::Debug;

    fn survives<T: Item + PartialEq + Debug>(item: &T) {
        let mut out = BytesMut::new();
        item.put(&mut CborWriter(&mut out));
        let mut r = CborReader::new(&out);
        assert_eq!(T::take(&mut r).as_ref(), Ok(item));
        assert_eq!(r.end(), Ok(()));
        for cut in 0..out.len() {
            assert!(T::take(&mut CborReader::new(&out[..cut])).is_err(), "{item:?} cut at {cut}");
        }
    }

    #[test]
    fn every_entry_survives_and_none_that_is_cut_does() {
        let (id, blob) = (Id(crate::Identity::from_seed([1; 32]).id()), Blob([7; 300].into()));
        let limits = Limits { children: usize::MAX, ..Limits::default() };
        let entry = LimitsEntry::from(&limits);
        assert_eq!(Limits::from(&entry), limits);
        survives(&Header {
            node: id,
            community: Blob([1; 8].into()),
            members: [id, id].into(),
            ledger: None,
            aes: true,
            capabilities: 4,
            limits: entry,
            records: Some([(blob.clone(), blob.clone())].into()),
            now: u64::MAX,
            redacted: true,
        });
        let (now, link) = (1, 2);
        for input in [
            Input::Accepted { now, bound: true },
            Input::Dialled { now, link, bound: false },
            Input::Bytes { now, link, bytes: blob.clone() },
            Input::Written { now, link, bytes: 99 },
            Input::Ended { now, link },
            Input::Timeout { now },
            Input::Persisted { now, write: 5 },
            Input::Publish { now, body: blob.clone() },
            Input::Dial { now, peer: id, address: "ännchen".into() },
            Input::Forget { now, peer: id },
            Input::close(now, link, Code::Other(200)),
            Input::ShutDown { now },
            Input::WallClock { now, millis: 1 << 50 },
        ] {
            survives(&input);
        }
        for answer in [
            Answer::Draw { bytes: blob.clone() },
            Answer::Number { number: u64::MAX },
            Answer::Public { key: blob.clone() },
            Answer::Agreed { good: true },
            Answer::Verified { good: false },
            Answer::Tag { good: true },
            Answer::Opened { text: Some(blob) },
            Answer::Opened { text: None },
        ] {
            survives(&answer);
        }
    }

    #[test]
    fn a_count_that_lies_reserves_nothing() {
        let lie = [0x9b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0];
        assert_eq!(Vec::<u64>::take(&mut CborReader::new(&lie)), Err(CborError::Short));
        assert_eq!(Vec::<Blob>::take(&mut CborReader::new(&lie)), Err(CborError::Type));
    }
}
