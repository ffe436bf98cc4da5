//! Deadlines by key, the earliest at hand.

use alloc::vec::Vec;

use crate::time::Instant;

/// When each of several things is due. Asking for the earliest costs nothing; a change of another one than the earliest, next
/// to nothing.
#[derive(Clone, Debug)]
pub struct Deadlines<K> {
    /// By key; 16 bytes each where the key is a number, so that many lie in one cache line.
    all: Vec<(K, Instant)>,
    earliest: Option<Instant>,
}

impl<K> Default for Deadlines<K> {
    fn default() -> Self {
        Self { all: Vec::new(), earliest: None }
    }
}

impl<K: Copy + Ord> Deadlines<K> {
    /// Sets, moves or (with `None`) removes the deadline of a key.
    pub fn set(&mut self, key: K, at: Option<Instant>) {
        let place = self.all.binary_search_by(|(other, _)| other.cmp(&key));
        let old = place.ok().map(|place| self.all[place].1);
        match (place, at) {
            (Ok(place), Some(at)) => self.all[place].1 = at,
            (Ok(place), None) => {
                self.all.remove(place);
            }
            (Err(place), Some(at)) => self.all.insert(place, (key, at)),
            (Err(_), None) => {}
        }
        if at.is_some() && (self.earliest.is_none() || at <= self.earliest) {
            self.earliest = at;
        } else if old.is_some() && old == self.earliest {
            self.earliest = self.all.iter().map(|(_, at)| *at).min();
        }
    }

    /// The earliest of all.
    #[must_use]
    pub const fn earliest(&self) -> Option<Instant> {
        self.earliest
    }

    /// What is due now, in the order of the keys.
    pub fn due(&self, now: Instant) -> impl Iterator<Item = K> {
        let any = self.earliest.is_some_and(|at| at <= now);
        let all = if any { &self.all[..] } else { &[] };
        all.iter().filter(move |(_, at)| *at <= now).map(|(key, _)| *key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn deadlines_agree_with_a_map_of_all(
            changes in prop::collection::vec((0_u8..6, prop::option::of(0_u64..20)), 0..60),
            now in 0_u64..20,
        ) {
            let (mut deadlines, mut map) = (Deadlines::default(), BTreeMap::new());
            for (key, at) in changes {
                let at = at.map(Instant::from_nanos);
                deadlines.set(key, at);
                match at {
                    Some(at) => map.insert(key, at),
                    None => map.remove(&key),
                };
                prop_assert_eq!(deadlines.earliest(), map.values().min().copied());
            }
            let now = Instant::from_nanos(now);
            let due: Vec<u8> = map.iter().filter(|(_, at)| **at <= now).map(|(key, _)| *key).collect();
            prop_assert_eq!(deadlines.due(now).collect::<Vec<_>>(), due);
        }
    }
}
