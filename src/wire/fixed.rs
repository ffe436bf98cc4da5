//! Fixed layouts: big-endian numbers and byte strings of known length, one after the other.

/// Bytes that do not fill their layout exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the bytes do not fill their layout exactly")]
pub struct LayoutError;

/// Reads a fixed layout from the front; nothing may be left at the [end](Self::end).
#[derive(Clone, Copy, Debug)]
pub struct FixedReader<'a>(&'a [u8]);

impl<'a> FixedReader<'a> {
    /// Starts at the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The next `N` bytes.
    ///
    /// # Errors
    /// [`LayoutError`] when fewer are left.
    pub fn array<const N: usize>(&mut self) -> Result<&'a [u8; N], LayoutError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(LayoutError)?;
        self.0 = rest;
        Ok(head)
    }

    /// The next `n` bytes.
    ///
    /// # Errors
    /// [`LayoutError`] when fewer are left.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], LayoutError> {
        let (head, rest) = self.0.split_at_checked(n).ok_or(LayoutError)?;
        self.0 = rest;
        Ok(head)
    }

    /// Everything that is left.
    #[must_use]
    pub fn rest(self) -> &'a [u8] {
        self.0
    }

    /// A byte.
    ///
    /// # Errors
    /// [`LayoutError`] at the end.
    pub fn u8(&mut self) -> Result<u8, LayoutError> {
        Ok(self.array::<1>()?[0])
    }

    /// Two bytes, big-endian.
    ///
    /// # Errors
    /// [`LayoutError`] when fewer are left.
    pub fn u16(&mut self) -> Result<u16, LayoutError> {
        Ok(u16::from_be_bytes(*self.array()?))
    }

    /// Four bytes, big-endian.
    ///
    /// # Errors
    /// [`LayoutError`] when fewer are left.
    pub fn u32(&mut self) -> Result<u32, LayoutError> {
        Ok(u32::from_be_bytes(*self.array()?))
    }

    /// Eight bytes, big-endian.
    ///
    /// # Errors
    /// [`LayoutError`] when fewer are left.
    pub fn u64(&mut self) -> Result<u64, LayoutError> {
        Ok(u64::from_be_bytes(*self.array()?))
    }

    /// Refuses left-over bytes.
    ///
    /// # Errors
    /// [`LayoutError`] when a byte is left.
    pub fn end(self) -> Result<(), LayoutError> {
        if self.0.is_empty() { Ok(()) } else { Err(LayoutError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_is_read_in_order_and_nothing_may_be_left() {
        let bytes = [1, 0, 2, 0, 0, 0, 3, 0, 0, 0, 0, 0, 0, 0, 4, 9, 9];
        let mut r = FixedReader::new(&bytes);
        assert_eq!((r.u8(), r.u16(), r.u32(), r.u64()), (Ok(1), Ok(2), Ok(3), Ok(4)));
        assert_eq!(r.end(), Err(LayoutError));
        assert_eq!((r.bytes(3), r.bytes(2)), (Err(LayoutError), Ok(&[9, 9][..])));
        assert_eq!((r.end(), r.u8()), (Ok(()), Err(LayoutError)));
    }
}
