//! Deterministic CBOR (RFC 8949, section 4.2.1): the little of it that messages use, read strictly.

use bytes::{BufMut, BytesMut};

/// Bytes that are no message in its one encoding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CborError {
    /// The bytes end inside an item.
    #[error("the message ends too early")]
    Short,
    /// An item of another type than expected.
    #[error("the message has an item of another type")]
    Type,
    /// A length or number that is not in its shortest form, or of indefinite length.
    #[error("the message is not in its shortest form")]
    NotShortest,
    /// A number or length outside its range.
    #[error("the message has a value out of range")]
    Range,
    /// Bytes are left behind the message.
    #[error("the message has trailing bytes")]
    Trailing,
}

const UINT: u8 = 0;
const BYTES: u8 = 2;
const ARRAY: u8 = 4;

/// Reads one message, borrowing its byte strings.
#[derive(Clone, Copy, Debug)]
pub struct CborReader<'a>(&'a [u8]);

impl<'a> CborReader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The head of an array: how many items follow.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn array(&mut self) -> Result<u64, CborError> {
        self.head(ARRAY)
    }

    /// An unsigned number.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn uint(&mut self) -> Result<u64, CborError> {
        self.head(UINT)
    }

    /// An unsigned number below 256.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn u8(&mut self) -> Result<u8, CborError> {
        u8::try_from(self.uint()?).map_err(|_| CborError::Range)
    }

    /// A byte string.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn bytes(&mut self) -> Result<&'a [u8], CborError> {
        let n = usize::try_from(self.head(BYTES)?).map_err(|_| CborError::Short)?;
        let (head, rest) = self.0.split_at_checked(n).ok_or(CborError::Short)?;
        self.0 = rest;
        Ok(head)
    }

    /// A byte string of exactly `N` bytes.
    ///
    /// # Errors
    /// [`CborError`].
    pub fn byte_array<const N: usize>(&mut self) -> Result<&'a [u8; N], CborError> {
        self.bytes()?.try_into().map_err(|_| CborError::Range)
    }

    /// Refuses left-over bytes.
    ///
    /// # Errors
    /// [`CborError::Trailing`].
    pub fn end(self) -> Result<(), CborError> {
        if self.0.is_empty() { Ok(()) } else { Err(CborError::Trailing) }
    }

    fn head(&mut self, major: u8) -> Result<u64, CborError> {
        let (&first, rest) = self.0.split_first().ok_or(CborError::Short)?;
        if first >> 5 != major {
            return Err(CborError::Type);
        }
        let short = first & 0x1f;
        let (value, least, rest) = match short {
            0..=23 => (u64::from(short), 0, rest),
            24..=27 => {
                let width = 1usize << (short - 24);
                let (digits, rest) = rest.split_at_checked(width).ok_or(CborError::Short)?;
                let value = digits.iter().fold(0, |value, digit| value << 8 | u64::from(*digit));
                let least = [24, 1 << 8, 1 << 16, 1 << 32][usize::from(short - 24)];
                (value, least, rest)
            }
            _ => return Err(CborError::NotShortest),
        };
        if value < least {
            return Err(CborError::NotShortest);
        }
        self.0 = rest;
        Ok(value)
    }
}

/// Writes one message at the end of a buffer.
#[derive(Debug)]
pub struct CborWriter<'a>(pub &'a mut BytesMut);

impl CborWriter<'_> {
    /// The head of an array of `n` items.
    pub fn array(&mut self, n: u64) -> &mut Self {
        self.head(ARRAY, n)
    }

    /// An unsigned number.
    pub fn uint(&mut self, value: u64) -> &mut Self {
        self.head(UINT, value)
    }

    /// A byte string.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.head(BYTES, bytes.len() as u64);
        self.0.put_slice(bytes);
        self
    }

    fn head(&mut self, major: u8, value: u64) -> &mut Self {
        let major = major << 5;
        match value {
            0..24 => self.0.put_u8(major | value as u8),
            24..0x100 => self.0.put_slice(&[major | 24, value as u8]),
            0x100..0x1_0000 => {
                self.0.put_u8(major | 25);
                self.0.put_u16(value as u16);
            }
            0x1_0000..0x1_0000_0000 => {
                self.0.put_u8(major | 26);
                self.0.put_u32(value as u32);
            }
            _ => {
                self.0.put_u8(major | 27);
                self.0.put_u64(value);
            }
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn every_longer_form_is_refused() {
        for wide in [
            &[0x18, 0][..],
            &[0x18, 23],
            &[0x19, 0, 255],
            &[0x1a, 0, 0, 255, 255],
            &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255],
        ] {
            assert_eq!(CborReader::new(wide).uint(), Err(CborError::NotShortest), "{wide:x?}");
        }
        for indefinite in [0x1fu8, 0x1c, 0x1d, 0x1e] {
            assert_eq!(CborReader::new(&[indefinite]).uint(), Err(CborError::NotShortest));
        }
        assert_eq!(CborReader::new(&[0x5f, 0xff]).bytes(), Err(CborError::NotShortest));
        assert_eq!(CborReader::new(&[0x9f, 0xff]).array(), Err(CborError::NotShortest));
    }

    #[test]
    fn every_number_has_its_shortest_form() {
        for (number, form) in [
            (0, &[0x00][..]),
            (23, &[0x17]),
            (24, &[0x18, 24]),
            (0xff, &[0x18, 255]),
            (0x100, &[0x19, 1, 0]),
            (0xffff, &[0x19, 255, 255]),
            (0x1_0000, &[0x1a, 0, 1, 0, 0]),
            (0xffff_ffff, &[0x1a, 255, 255, 255, 255]),
            (0x1_0000_0000, &[0x1b, 0, 0, 0, 1, 0, 0, 0, 0]),
            (u64::MAX, &[0x1b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ] {
            let mut out = BytesMut::new();
            CborWriter(&mut out).uint(number);
            assert_eq!(&out[..], form, "{number:#x}");
            assert_eq!(CborReader::new(form).uint(), Ok(number), "{number:#x}");
        }
    }

    #[test]
    fn types_ranges_and_ends_are_checked() {
        assert_eq!(CborReader::new(&[0x20]).uint(), Err(CborError::Type));
        assert_eq!(CborReader::new(&[0x61, 0x61]).bytes(), Err(CborError::Type));
        assert_eq!(CborReader::new(&[0x42, 1]).bytes(), Err(CborError::Short));
        assert_eq!(CborReader::new(&[0x5b, 255, 255, 255, 255, 255, 255, 255, 255]).bytes(), Err(CborError::Short));
        assert_eq!(CborReader::new(&[0x19, 1, 0]).u8(), Err(CborError::Range));
        assert_eq!(CborReader::new(&[0x41, 1]).byte_array::<2>(), Err(CborError::Range));
        assert_eq!(CborReader::new(&[]).array(), Err(CborError::Short));
        assert_eq!(CborReader::new(&[0]).end(), Err(CborError::Trailing));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_another_library_agrees(n: u64, small in 0u64..70_000, bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let mut out = BytesMut::new();
            CborWriter(&mut out).array(3).uint(n).uint(small).bytes(&bytes);
            let mut reader = CborReader::new(&out);
            prop_assert_eq!((reader.array(), reader.uint(), reader.uint(), reader.bytes()), (Ok(3), Ok(n), Ok(small), Ok(&bytes[..])));
            prop_assert_eq!(reader.end(), Ok(()));
            let value: ciborium::Value = ciborium::from_reader(&out[..]).expect("valid CBOR");
            prop_assert_eq!(value, ciborium::Value::Array([n.into(), small.into(), ciborium::Value::Bytes(bytes)].into()));
        }
    }
}
