//! How a quorum comes to one header: Seal, Ack, Commit, and Status with locks for the next view.
//!
//! One signature would not do: with it an equivocating sealer and one traitor make two certificates. A member Acks one header
//! in a view; who sees a quorum of Acks Commits, and says so in every later view; a later view may only offer what its
//! Status messages leave open. So two certificates of one height would share an honest member that broke its word.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use super::header::Places;
use super::ids::{HeaderId, Place, View};
use super::roster::Roster;
use super::rules::Rules;
use super::statement::{Body, statement_bytes};
use crate::crypto::{Crypto, sha256};
use crate::identity::{BotId, CommunityId};
use crate::wire::{FixedReader, LayoutError};

/// The active member whose Seal counts in a view: by lot, and in even views among those with the fewest strikes only, in odd
/// ones among all, or the one unstruck member could die and stay sealer for ever. Nobody in a roster without active members.
#[must_use]
pub fn sealer(header: HeaderId, view: View, roster: &Roster) -> Option<BotId> {
    let fewest = roster.active().map(|member| member.strikes).min();
    let eligible = roster.active().filter(|member| view.0 % 2 == 1 || Some(member.strikes) == fewest);
    eligible.map(|member| member.key).min_by_key(|key| sha256(&[&header.0, &view.0.to_be_bytes(), key.as_bytes()]))
}

/// How long a view lasts before its members enter the next: min(6 · 2^v, 192) u.
#[must_use]
pub fn view_time_ms(rules: &Rules, view: View) -> u64 {
    let units = 6_u64.saturating_mul(1 << view.0.min(5)).min(192);
    rules.unit_ms().saturating_mul(units)
}

/// What a member has promised at a height.
///
/// Each method that returns a body has changed the promise: make it durable before the signed body leaves, or a crash makes a
/// traitor of an honest member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Voter {
    view: View,
    sealed: bool,
    acked: bool,
    locked: Option<(View, HeaderId)>,
}

impl Default for Voter {
    fn default() -> Self {
        Self::new()
    }
}

impl Voter {
    /// At view 0, with nothing promised.
    #[must_use]
    pub const fn new() -> Self {
        Self { view: View(0), sealed: false, acked: false, locked: None }
    }

    /// What a member promised, from what others hold of it: for one that lost its own records.
    #[must_use]
    pub fn recalled(view: View, sealed: bool, acked: bool, locked: Option<(View, HeaderId)>) -> Self {
        let view = locked.map_or(view, |(locked, _)| view.max(locked));
        Self { view, sealed, acked, locked }
    }

    /// Enters a view: what to sign, or nothing when it is no later one.
    #[must_use = "a member that enters a view says so"]
    pub fn enter(&mut self, view: View) -> Option<Body> {
        if view <= self.view {
            return None;
        }
        *self = Self { view, sealed: false, acked: false, locked: self.locked };
        Some(Body::Status { view, locked: self.locked })
    }

    /// Offers a header, as the sealer of its view; once.
    #[must_use = "an offer that is not sent costs a view"]
    pub fn seal(&mut self, header: HeaderId, open: &Open) -> Option<Body> {
        if self.sealed || !open.allows(self.view, header) {
            return None;
        }
        self.sealed = true;
        Some(Body::Seal { view: self.view, header })
    }

    /// Agrees to an offer of the current view; once, and only to what the view leaves open.
    #[must_use = "an Ack that is not sent costs a view"]
    pub fn ack(&mut self, view: View, header: HeaderId, open: &Open) -> Option<Body> {
        if view != self.view || self.acked || !open.allows(view, header) {
            return None;
        }
        self.acked = true;
        Some(Body::Ack { view, header })
    }

    /// Commits to what a quorum Acked in the current view, and stays with it.
    #[must_use = "a Commit that is not sent costs a view"]
    pub fn commit(&mut self, acks: &AckProof) -> Option<Body> {
        let (view, header) = (acks.view, acks.header);
        if view != self.view || self.locked.is_some_and(|(locked, _)| locked == view) {
            return None;
        }
        self.locked = Some((view, header));
        Some(Body::Commit { view, header })
    }

    /// The current view.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// The last Commit.
    #[must_use]
    pub const fn locked(&self) -> Option<(View, HeaderId)> {
        self.locked
    }

    /// Whether an offer was made in this view.
    #[must_use]
    pub const fn has_sealed(&self) -> bool {
        self.sealed
    }

    /// Whether an offer of this view was agreed to.
    #[must_use]
    pub const fn has_acked(&self) -> bool {
        self.acked
    }

    /// The one encoding, for a member's own records: view, two flags, the lock.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.view.0.to_be_bytes().to_vec();
        out.push(u8::from(self.sealed) | u8::from(self.acked) << 1 | u8::from(self.locked.is_some()) << 2);
        if let Some((view, header)) = self.locked {
            out.extend(view.0.to_be_bytes());
            out.extend(header.0);
        }
        out
    }

    /// Reads the one encoding; nothing for any other bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut r = FixedReader::new(bytes);
        let (view, flags) = (View(r.u32().ok()?), r.u8().ok()?);
        let locked = match flags >> 2 {
            0 => None,
            1 => Some((View(r.u32().ok()?), HeaderId(*r.array().ok()?))),
            _ => return None,
        };
        r.end().ok()?;
        let in_order = locked.is_none_or(|(locked, _)| locked <= view);
        in_order.then_some(Self { view, sealed: flags & 1 != 0, acked: flags & 2 != 0, locked })
    }
}

/// What the offers of a view may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Open {
    view: View,
    forced: Option<HeaderId>,
}

impl Open {
    /// View 0 leaves everything open.
    pub const FIRST: Self = Self { view: View(0), forced: None };

    /// What a quorum of Status messages leaves open: the header of the latest lock among them, or everything when nobody is
    /// locked. `locks` are the locks of distinct active members, each proved by a quorum of Acks.
    #[must_use]
    pub fn after(view: View, locks: impl IntoIterator<Item = Option<(View, HeaderId)>>, quorum: u32) -> Option<Self> {
        let (mut count, mut latest) = (0, None);
        for lock in locks {
            count += 1;
            latest = latest.max(lock);
        }
        (count >= quorum && view > View(0)).then_some(Self { view, forced: latest.map(|(_, header)| header) })
    }

    /// The only header that may be offered; exempt from all tests but that it is the right one.
    #[must_use]
    pub const fn forced(&self) -> Option<HeaderId> {
        self.forced
    }

    /// Whether a header may be offered in a view.
    #[must_use]
    pub fn allows(&self, view: View, header: HeaderId) -> bool {
        self.view == view && self.forced.is_none_or(|forced| forced == header)
    }
}

/// A quorum of Acks of one view on one header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AckProof {
    view: View,
    header: HeaderId,
    signers: Places,
    signatures: Vec<[u8; 64]>,
}

impl AckProof {
    /// Puts Acks together; nothing when they are not a quorum of active members.
    #[must_use]
    pub fn new(
        view: View,
        header: HeaderId,
        roster: &Roster,
        quorum: u32,
        acks: impl IntoIterator<Item = (BotId, [u8; 64])>,
    ) -> Option<Self> {
        let of_active = |(key, signature)| {
            roster.get_active(&key)?;
            Some((roster.position(&key)?, signature))
        };
        let found: BTreeMap<usize, [u8; 64]> = acks.into_iter().filter_map(of_active).collect();
        if found.len() < quorum as usize {
            return None;
        }
        let mut signers = Places::none(roster.members().len());
        let first: Vec<_> = found.into_iter().take(quorum as usize).collect();
        first.iter().for_each(|(at, _)| signers.insert(*at));
        Some(Self { view, header, signers, signatures: first.into_iter().map(|(_, signature)| signature).collect() })
    }

    /// Whether exactly a quorum of active members signed it at this place.
    #[must_use]
    pub fn is_genuine(
        &self,
        community: &CommunityId,
        place: &Place,
        roster: &Roster,
        quorum: u32,
        crypto: &dyn Crypto,
    ) -> bool {
        let signers: Vec<_> = self.signers.iter().filter_map(|at| roster.members().get(at)).collect();
        let body = Body::Ack { view: self.view, header: self.header };
        self.signers.len() == roster.members().len()
            && signers.len() == quorum as usize
            && signers.len() == self.signatures.len()
            && signers.iter().zip(&self.signatures).all(|(member, signature)| {
                let bytes = statement_bytes(community, &member.key, place, &body);
                member.is_active() && crypto.verify(member.key.as_bytes(), &bytes, signature)
            })
    }

    /// Who signed it, by the roster of its place.
    pub fn signatures<'a>(&'a self, roster: &'a Roster) -> impl Iterator<Item = (BotId, [u8; 64])> {
        let signers = self.signers.iter().filter_map(|at| roster.members().get(at));
        signers.map(|member| member.key).zip(self.signatures.iter().copied())
    }

    /// The one encoding: view, header, signers, signatures.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.view.0.to_be_bytes().to_vec();
        out.extend(self.header.0);
        self.signers.put(&mut out);
        self.signatures.iter().for_each(|signature| out.extend(signature));
        out
    }

    pub(super) fn read(r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        let (view, header) = (View(r.u32()?), HeaderId(*r.array()?));
        let signers = Places::read(r)?;
        let signatures = signers.iter().map(|_| r.array().copied()).collect::<Result<_, _>>()?;
        Ok(Self { view, header, signers, signatures })
    }

    /// The view.
    #[must_use]
    pub const fn view(&self) -> View {
        self.view
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> HeaderId {
        self.header
    }
}
