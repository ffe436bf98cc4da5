//! The members: one leaf each, sorted by key, under one root.

use alloc::vec::Vec;

use super::ids::Height;
use crate::crypto::sha256;
use crate::identity::BotId;
use crate::wire::{FixedReader, LayoutError};

/// Whether a member counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Standing {
    /// It votes, seals and counts for quorums.
    Active,
    /// It was silent, or never showed up: it counts for nothing until it wakes.
    Dormant,
}

/// One member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Member {
    /// Its key.
    pub key: BotId,
    /// The height of the header that took the key in.
    pub joined_at: Height,
    /// Silent rounds in a row.
    pub strikes: u8,
    /// Whether it counts.
    pub standing: Standing,
}

impl Member {
    /// Bytes of the encoding.
    pub const LEN: usize = 42;

    /// Whether it counts.
    #[must_use]
    pub const fn is_active(&self) -> bool {
        matches!(self.standing, Standing::Active)
    }

    /// The one encoding: key, height, strikes, standing.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..32].copy_from_slice(self.key.as_bytes());
        out[32..40].copy_from_slice(&self.joined_at.0.to_be_bytes());
        out[40] = self.strikes;
        out[41] = u8::from(self.standing == Standing::Dormant);
        out
    }

    pub(super) fn read(r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        let key = BotId::from_bytes(*r.array()?).map_err(|_| LayoutError)?;
        let joined_at = Height(r.u64()?);
        let strikes = r.u8()?;
        let standing = match r.u8()? {
            0 => Standing::Active,
            1 => Standing::Dormant,
            _ => return Err(LayoutError),
        };
        Ok(Self { key, joined_at, strikes, standing })
    }
}

/// The hash over all members of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RosterRoot(pub [u8; 32]);

/// All members of a height, sorted by key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Roster(Vec<Member>);

impl Roster {
    /// Sorts the members; of two with one key the first is kept.
    #[must_use]
    pub fn new(members: impl IntoIterator<Item = Member>) -> Self {
        let mut all: Vec<_> = members.into_iter().collect();
        all.sort_by_key(|member| member.key);
        all.dedup_by_key(|member| member.key);
        Self(all)
    }

    /// A member.
    #[must_use]
    pub fn get(&self, key: &BotId) -> Option<&Member> {
        self.position(key).map(|at| &self.0[at])
    }

    /// Its place in the order of keys.
    #[must_use]
    pub fn position(&self, key: &BotId) -> Option<usize> {
        self.0.binary_search_by(|member| member.key.cmp(key)).ok()
    }

    /// An active member.
    #[must_use]
    pub fn get_active(&self, key: &BotId) -> Option<&Member> {
        self.get(key).filter(|member| member.is_active())
    }

    /// All, by key.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.0
    }

    /// The active ones, by key.
    pub fn active(&self) -> impl Iterator<Item = &Member> {
        self.0.iter().filter(|member| member.is_active())
    }

    /// n.
    #[must_use]
    pub fn active_len(&self) -> u32 {
        u32::try_from(self.active().count()).unwrap_or(u32::MAX)
    }

    /// The Merkle root over the leaves; a community without members has one too.
    #[must_use]
    pub fn root(&self) -> RosterRoot {
        let leaves: Vec<_> = self.0.iter().map(leaf).collect();
        RosterRoot(subtree(&leaves))
    }

    /// The proof that a member stands under the root.
    #[must_use]
    pub fn path(&self, key: &BotId) -> Option<MembershipPath> {
        let at = self.position(key)?;
        let leaves: Vec<_> = self.0.iter().map(leaf).collect();
        let mut siblings = Vec::new();
        collect_path(&leaves, at, &mut siblings);
        Some(MembershipPath { member: self.0[at], at: to_u32(at), len: to_u32(self.0.len()), siblings })
    }
}

/// A member and the hashes that lead from it to the root.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MembershipPath {
    /// The member.
    pub member: Member,
    at: u32,
    len: u32,
    siblings: Vec<[u8; 32]>,
}

impl MembershipPath {
    /// Most siblings: rosters have fewer than 2^32 members.
    const MAX_SIBLINGS: usize = 32;

    /// Whether the member stands under this root of a roster of `members` members.
    #[must_use]
    pub fn leads_to(&self, root: &RosterRoot, members: u32) -> bool {
        if self.len != members || self.at >= self.len {
            return false;
        }
        let (mut at, mut len, mut turns) = (self.at, self.len, Vec::new());
        // From the root down, as the tree was split; the proof lists siblings from the leaf up.
        while len > 1 {
            let left = split(len as usize) as u32;
            let is_left = at < left;
            turns.push(is_left);
            (at, len) = if is_left { (at, left) } else { (at - left, len - left) };
        }
        if turns.len() != self.siblings.len() {
            return false;
        }
        let mut hash = leaf(&self.member);
        for (is_left, sibling) in turns.iter().rev().zip(&self.siblings) {
            hash = if *is_left { node(&hash, sibling) } else { node(sibling, &hash) };
        }
        hash == root.0
    }

    /// The one encoding: member, place, number of members, siblings from the leaf up.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.member.to_bytes().to_vec();
        out.extend(self.at.to_be_bytes());
        out.extend(self.len.to_be_bytes());
        out.push(u8::try_from(self.siblings.len()).unwrap_or(u8::MAX));
        self.siblings.iter().for_each(|sibling| out.extend(sibling));
        out
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        let mut r = FixedReader::new(bytes);
        let (member, at, len) = (Member::read(&mut r)?, r.u32()?, r.u32()?);
        let count = usize::from(r.u8()?);
        if count > Self::MAX_SIBLINGS {
            return Err(LayoutError);
        }
        let siblings = (0..count).map(|_| r.array().copied()).collect::<Result<_, _>>()?;
        r.end()?;
        Ok(Self { member, at, len, siblings })
    }
}

fn to_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

// The tree of RFC 6962: the left half is the largest power of two below the number of leaves.

fn leaf(member: &Member) -> [u8; 32] {
    sha256(&[b"interbot roster\0", &[0], &member.to_bytes()])
}

fn node(left: &[u8; 32], right: &[u8; 32]) -> [u8; 32] {
    sha256(&[b"interbot roster\0", &[1], left, right])
}

const fn split(len: usize) -> usize {
    len.next_power_of_two() / 2
}

fn subtree(leaves: &[[u8; 32]]) -> [u8; 32] {
    match leaves {
        [] => sha256(&[b"interbot roster\0", &[2]]),
        [one] => *one,
        _ => {
            let (left, right) = leaves.split_at(split(leaves.len()));
            node(&subtree(left), &subtree(right))
        }
    }
}

fn collect_path(leaves: &[[u8; 32]], at: usize, out: &mut Vec<[u8; 32]>) {
    if leaves.len() < 2 {
        return;
    }
    let middle = split(leaves.len());
    let (left, right) = leaves.split_at(middle);
    if at < middle {
        collect_path(left, at, out);
        out.push(subtree(right));
    } else {
        collect_path(right, at - middle, out);
        out.push(subtree(left));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::Identity;

    fn roster(n: u8) -> Roster {
        Roster::new((0..n).map(|at| Member {
            key: Identity::from_seed([at + 1; 32]).id(),
            joined_at: Height(u64::from(at)),
            strikes: at,
            standing: if at % 3 == 2 { Standing::Dormant } else { Standing::Active },
        }))
    }

    #[test]
    fn members_are_sorted_found_and_counted() {
        let roster = roster(9);
        assert!(roster.members().is_sorted_by_key(|member| member.key));
        assert_eq!((roster.members().len(), roster.active_len()), (9, 6));
        let stranger = Identity::from_seed([99; 32]).id();
        assert_eq!((roster.get(&stranger), roster.path(&stranger)), (None, None));
    }

    #[test]
    fn every_member_proves_itself_and_nobody_else() {
        for n in 1..=17 {
            let roster = roster(n);
            let (root, len) = (roster.root(), u32::from(n));
            for member in roster.members() {
                let path = roster.path(&member.key).expect("a member");
                assert!(path.leads_to(&root, len), "{n} members");
                assert_eq!(MembershipPath::from_bytes(&path.to_bytes()), Ok(path.clone()));
                let longer = MembershipPath { member: Member { strikes: 200, ..*member }, ..path.clone() };
                assert!(!longer.leads_to(&root, len) && !path.leads_to(&root, len + 1));
                if n > 1 {
                    let elsewhere = MembershipPath { at: (path.at + 1) % len, ..path };
                    assert!(!elsewhere.leads_to(&root, len), "another place of {n}");
                }
            }
        }
    }

    #[test]
    fn roots_differ_by_every_field_of_a_member() {
        let one = |member| Roster::new([member]).root();
        let member = roster(1).0[0];
        let others = [
            Member { joined_at: Height(7), ..member },
            Member { strikes: 7, ..member },
            Member { standing: Standing::Dormant, ..member },
            Member { key: Identity::from_seed([50; 32]).id(), ..member },
        ];
        assert!(others.into_iter().all(|other| one(other) != one(member)));
        assert_ne!(Roster::default().root(), one(member));
    }
}
