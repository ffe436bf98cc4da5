//! The seen-window: which sequence numbers of one stream were already taken.

/// Remembers the highest sequence number taken and which of the 63 below it were; 16 bytes.
///
/// Numbers start at 1. Whatever lies more than 63 below the highest counts as seen, so memory is constant and nothing is
/// taken twice.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct SeenWindow {
    highest: u64,
    /// Bit k is set when `highest - k` was taken.
    taken: u64,
}

impl SeenWindow {
    /// Numbers that the window tells apart.
    pub const WIDTH: u64 = 64;

    /// Rebuilds a window from its two halves.
    #[must_use]
    pub const fn from_parts(highest: u64, taken: u64) -> Self {
        Self { highest, taken }
    }

    /// The highest number taken (0 before the first), and the bits of the 64 numbers that end with it.
    #[must_use]
    pub const fn parts(&self) -> (u64, u64) {
        (self.highest, self.taken)
    }

    /// Whether `seq` was taken before, lies too far back to tell, or is 0.
    #[must_use]
    pub const fn is_seen(&self, seq: u64) -> bool {
        if seq == 0 {
            return true;
        }
        if seq > self.highest {
            return false;
        }
        let back = self.highest - seq;
        back >= Self::WIDTH || self.taken & (1 << back) != 0
    }

    /// Takes `seq`; false, and no change, when it [was seen](Self::is_seen).
    pub const fn take(&mut self, seq: u64) -> bool {
        if self.is_seen(seq) {
            return false;
        }
        if seq > self.highest {
            let ahead = seq - self.highest;
            self.taken = if ahead < Self::WIDTH { self.taken << ahead } else { 0 };
            self.highest = seq;
        }
        self.taken |= 1 << (self.highest - seq);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use proptest::prelude::*;

    #[test]
    fn the_ends_of_the_number_range_are_safe() {
        let mut window = SeenWindow::default();
        assert!(!window.take(0));
        assert!(window.take(u64::MAX));
        assert!(window.take(u64::MAX - 63));
        assert!(!window.take(u64::MAX - 64));
        assert!(!window.take(u64::MAX));
    }

    proptest! {
        #[test]
        fn a_window_agrees_with_a_set_inside_its_width(seqs in proptest::collection::vec(1u64..200, 0..300)) {
            let (mut window, mut set, mut highest) = (SeenWindow::default(), BTreeSet::new(), 0);
            for seq in seqs {
                let new = seq + SeenWindow::WIDTH > highest && set.insert(seq);
                prop_assert_eq!(window.take(seq), new);
                highest = highest.max(seq);
                prop_assert_eq!(window.parts().0, highest);
            }
        }
    }
}
