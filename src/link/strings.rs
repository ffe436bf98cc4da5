//! Challenge strings that were used before (I-26).

use alloc::collections::VecDeque;

use super::keys::short_hash;

/// The last strings of one peer, as keyed hashes: at most [`Strings::REMEMBERED`], 8 bytes each.
#[derive(Clone, Debug, Default)]
pub struct Strings(VecDeque<u64>);

impl Strings {
    /// Strings remembered for each peer; chosen by the design of the link, section 6.
    pub const REMEMBERED: usize = 1024;

    /// Remembers a string; false when it was used before.
    pub fn take(&mut self, key: &[u8; 32], string: &str) -> bool {
        let hash = short_hash(key, string);
        if self.0.contains(&hash) {
            return false;
        }
        if self.0.len() == Self::REMEMBERED {
            self.0.pop_front();
        }
        self.0.push_back(hash);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::format;

    #[test]
    fn i26_the_last_1024_strings_are_refused_and_older_ones_forgotten() {
        let mut strings = Strings::default();
        for n in 0..=Strings::REMEMBERED {
            assert!(strings.take(&[1; 32], &format!("string {n}")));
        }
        assert!(!strings.take(&[1; 32], "string 1") && !strings.take(&[1; 32], "string 1024"));
        assert!(strings.take(&[1; 32], "string 0"));
        assert_eq!(strings.0.len(), Strings::REMEMBERED);
    }
}
