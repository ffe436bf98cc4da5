//! The header of a height: what a round changed, and what everything after it stands on.

use alloc::vec;
use alloc::vec::Vec;

use super::ids::{ContentsId, HeaderId, Height, Place, StatementId};
use super::roster::{Member, Roster, RosterRoot, Standing};
use super::rules::Rules;
use super::statement::{read_bool, read_key, read_known_key};
use crate::crypto::sha256;
use crate::identity::{BotId, CommunityId};
use crate::time::UnixMillis;
use crate::wire::{FixedReader, LayoutError};

/// Most bytes of a header: 1,000 members with all their slots full stay below.
pub const MAX_HEADER: usize = 256 * 1024;

/// A set of places in a roster, one bit each, the first in the highest bit of the first byte.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Places {
    bytes: Vec<u8>,
    len: usize,
}

impl Places {
    /// None of `len` places.
    #[must_use]
    pub fn none(len: usize) -> Self {
        Self { bytes: vec![0; len.div_ceil(8)], len }
    }

    /// Adds a place.
    ///
    /// # Panics
    /// When there is no such place.
    pub fn insert(&mut self, at: usize) {
        assert!(at < self.len, "a place of the roster");
        self.bytes[at / 8] |= 0x80 >> (at % 8);
    }

    /// Whether a place is in it.
    #[must_use]
    pub fn contains(&self, at: usize) -> bool {
        at < self.len && self.bytes[at / 8] & (0x80 >> (at % 8)) != 0
    }

    /// All places in it, in order.
    pub fn iter(&self) -> impl Iterator<Item = usize> {
        (0..self.len).filter(|at| self.contains(*at))
    }

    /// How many places there are, in it or not.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are no places at all.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) fn put(&self, out: &mut Vec<u8>) {
        out.extend(u32::try_from(self.len).unwrap_or(u32::MAX).to_be_bytes());
        out.extend(&self.bytes);
    }

    pub(super) fn read(r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        let len = r.u32()? as usize;
        let bytes = r.bytes(len.div_ceil(8))?.to_vec();
        // Bits behind the last place have one value.
        if let (Some(last), spare @ 1..) = (bytes.last(), bytes.len() * 8 - len)
            && last << (8 - spare) != 0
        {
            return Err(LayoutError);
        }
        Ok(Self { bytes, len })
    }
}

/// What became of a proposal; each gets one, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Outcome {
    /// It passed, and what it asked for is done.
    Passed,
    /// It did not get the votes.
    Refused,
    /// Too few members answered for anything to be decided.
    Floor,
    /// Its sponsor took it back.
    Withdrawn,
    /// The key lost its guest's rights meanwhile.
    Revoked,
    /// The member that was thought silent answered.
    Reappeared,
    /// The key is a member already.
    Duplicate,
    /// It passed, but this round had no room for more of its kind: ask again.
    Capped,
    /// Nobody would be left to act.
    LastMember,
    /// Its sponsor is no longer a member.
    SponsorGone,
    /// The member that it is about is no longer there.
    SubjectGone,
    /// It asks for rules that no community can live by, or for another way of deciding.
    OutOfRange,
    /// Its sponsor put two different proposals into one slot: both are void.
    Conflicting,
    /// Enough owners hold the key by hand (I-17).
    Endorsed,
}

const OUTCOMES: [Outcome; 14] = [
    Outcome::Passed,
    Outcome::Refused,
    Outcome::Floor,
    Outcome::Withdrawn,
    Outcome::Revoked,
    Outcome::Reappeared,
    Outcome::Duplicate,
    Outcome::Capped,
    Outcome::LastMember,
    Outcome::SponsorGone,
    Outcome::SubjectGone,
    Outcome::OutOfRange,
    Outcome::Conflicting,
    Outcome::Endorsed,
];

impl Outcome {
    fn number(self) -> u8 {
        OUTCOMES.iter().position(|outcome| *outcome == self).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
    }
}

/// Why a member is one no longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Departure {
    /// It signed two statements that cannot both be honest.
    Evidence,
    /// It left by itself.
    Left,
    /// The others voted for it.
    Removed,
    /// It was silent for too many rounds (I-14).
    Silent,
}

impl Departure {
    const ALL: [Self; 4] = [Self::Evidence, Self::Left, Self::Removed, Self::Silent];

    fn number(self) -> u8 {
        Self::ALL.iter().position(|cause| *cause == self).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
    }
}

/// What a round does to the roster and the rules; every list is sorted by its first key, each once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Who answered, by place in the roster before; nothing when silence does not count in this round.
    pub respondents: Option<Places>,
    /// Who is a member no longer, and why.
    pub departed: Vec<(BotId, Departure)>,
    /// Old keys and the new ones in their place.
    pub rekeyed: Vec<(BotId, BotId)>,
    /// Who counts again.
    pub woken: Vec<BotId>,
    /// Who counts no longer, by silence.
    pub dormant: Vec<BotId>,
    /// New members.
    pub admitted: Vec<(BotId, Standing)>,
    /// New rules.
    pub rules: Option<Rules>,
}

/// Strikes of somebody admitted who did not show up: one silent round more and `village` puts it to sleep.
const STRIKES_OF_THE_ABSENT: u8 = 2;

impl Changes {
    /// The roster after them; nothing when they do not fit the roster before.
    #[must_use]
    pub fn apply(&self, before: &Roster, height: Height) -> Option<Roster> {
        let members = before.members();
        if self.respondents.as_ref().is_some_and(|places| places.len() != members.len()) {
            return None;
        }
        let rekeyed = |key: &BotId| self.rekeyed.iter().find(|(old, _)| old == key).map(|(_, new)| *new);
        let mut after = Vec::with_capacity(members.len() + self.admitted.len());
        let (mut departed, mut old_keys, mut woken, mut dormant) = (0, 0, 0, 0);
        for (at, member) in members.iter().enumerate() {
            let mut member = *member;
            let old_key = member.key;
            if let Some(places) = &self.respondents {
                member.strikes = if places.contains(at) { 0 } else { member.strikes.saturating_add(1) };
            }
            if self.woken.binary_search(&old_key).is_ok() {
                woken += 1;
                (member.standing, member.strikes) = (Standing::Active, 0);
            }
            if self.dormant.binary_search(&old_key).is_ok() {
                dormant += 1;
                member.standing = Standing::Dormant;
            }
            if let Some(new_key) = rekeyed(&old_key) {
                old_keys += 1;
                (member.key, member.joined_at) = (new_key, height);
            }
            if self.departed.binary_search_by(|(key, _)| key.cmp(&old_key)).is_ok() {
                departed += 1;
            } else {
                after.push(member);
            }
        }
        for (key, standing) in &self.admitted {
            let strikes = if *standing == Standing::Active { 0 } else { STRIKES_OF_THE_ABSENT };
            after.push(Member { key: *key, joined_at: height, strikes, standing: *standing });
        }
        let all_found = (departed, old_keys, woken, dormant)
            == (self.departed.len(), self.rekeyed.len(), self.woken.len(), self.dormant.len());
        let len = after.len();
        let after = Roster::new(after);
        // Two of one key would have become one.
        (all_found && after.members().len() == len).then_some(after)
    }

    fn put(&self, out: &mut Vec<u8>) {
        let count = |len: usize| u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes();
        out.push(u8::from(self.respondents.is_some()));
        if let Some(places) = &self.respondents {
            places.put(out);
        }
        out.extend(count(self.departed.len()));
        for (key, cause) in &self.departed {
            out.extend(key.as_bytes());
            out.push(cause.number());
        }
        out.extend(count(self.rekeyed.len()));
        for (old, new) in &self.rekeyed {
            out.extend(old.as_bytes());
            out.extend(new.as_bytes());
        }
        for keys in [&self.woken, &self.dormant] {
            out.extend(count(keys.len()));
            keys.iter().for_each(|key| out.extend(key.as_bytes()));
        }
        out.extend(count(self.admitted.len()));
        for (key, standing) in &self.admitted {
            out.extend(key.as_bytes());
            out.push(u8::from(*standing == Standing::Dormant));
        }
        out.push(u8::from(self.rules.is_some()));
        if let Some(rules) = &self.rules {
            out.extend(rules.to_bytes());
        }
    }

    fn read(r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        let respondents = read_bool(r)?.then(|| Places::read(r)).transpose()?;
        let departed = read_list(r, |r| {
            let key = read_known_key(r)?;
            Ok((key, *Departure::ALL.get(usize::from(r.u8()?)).ok_or(LayoutError)?))
        })?;
        let rekeyed = read_list(r, |r| Ok((read_known_key(r)?, read_key(r)?)))?;
        let woken = read_list(r, |r| Ok((read_known_key(r)?, ())))?;
        let dormant = read_list(r, |r| Ok((read_known_key(r)?, ())))?;
        let admitted = read_list(r, |r| {
            let key = read_key(r)?;
            Ok((key, if read_bool(r)? { Standing::Dormant } else { Standing::Active }))
        })?;
        let rules = read_bool(r)?.then(|| Rules::from_bytes(r.bytes(Rules::LEN)?)).transpose()?;
        let keys = |list: Vec<(BotId, ())>| list.into_iter().map(|(key, ())| key).collect();
        Ok(Self { respondents, departed, rekeyed, woken: keys(woken), dormant: keys(dormant), admitted, rules })
    }
}

/// A list sorted by its first field, each once. Memory grows with what is read, not with the count.
fn read_list<K: Ord, V>(
    r: &mut FixedReader<'_>,
    mut read: impl FnMut(&mut FixedReader<'_>) -> Result<(K, V), LayoutError>,
) -> Result<Vec<(K, V)>, LayoutError> {
    let count = r.u32()?;
    let mut list: Vec<(K, V)> = Vec::new();
    for _ in 0..count {
        let item = read(r)?;
        if list.last().is_some_and(|last| last.0 >= item.0) {
            return Err(LayoutError);
        }
        list.push(item);
    }
    Ok(list)
}

/// A height: what a round changed, and the state after it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Its number.
    pub height: Height,
    /// The header before; at height 0 the community's id.
    pub previous: HeaderId,
    /// When the round that stands on this header began, by the clock of who offered it.
    pub opened_at: UnixMillis,
    /// Everything that was judged and counted.
    pub contents: ContentsId,
    /// All members after the changes.
    pub roster: RosterRoot,
    /// How many members there are.
    pub members: u32,
    /// n: how many of them are active.
    pub active: u32,
    /// What became of each proposal that was judged, sorted by proposal.
    pub outcomes: Vec<(StatementId, Outcome)>,
    /// What was changed.
    pub changes: Changes,
}

impl Header {
    /// Its name in a community.
    #[must_use]
    pub fn id(&self, community: &CommunityId) -> HeaderId {
        HeaderId(sha256(&[b"interbot header\0", community.as_bytes(), &self.to_bytes()]))
    }

    /// Its height and name.
    #[must_use]
    pub fn place(&self, community: &CommunityId) -> Place {
        Place { height: self.height, header: self.id(community) }
    }

    /// The one encoding; see the manual.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(160);
        out.extend(self.height.0.to_be_bytes());
        out.extend(self.previous.0);
        out.extend(self.opened_at.0.to_be_bytes());
        out.extend(self.contents.0);
        out.extend(self.roster.0);
        out.extend(self.members.to_be_bytes());
        out.extend(self.active.to_be_bytes());
        out.extend(u32::try_from(self.outcomes.len()).unwrap_or(u32::MAX).to_be_bytes());
        for (proposal, outcome) in &self.outcomes {
            out.extend(proposal.0);
            out.push(outcome.number());
        }
        self.changes.put(&mut out);
        out
    }

    pub(super) fn read(r: &mut FixedReader<'_>) -> Result<Self, LayoutError> {
        Ok(Self {
            height: Height(r.u64()?),
            previous: HeaderId(*r.array()?),
            opened_at: UnixMillis(r.u64()?),
            contents: ContentsId(*r.array()?),
            roster: RosterRoot(*r.array()?),
            members: r.u32()?,
            active: r.u32()?,
            outcomes: read_list(r, |r| {
                let proposal = StatementId(*r.array()?);
                Ok((proposal, *OUTCOMES.get(usize::from(r.u8()?)).ok_or(LayoutError)?))
            })?,
            changes: Changes::read(r)?,
        })
    }

    /// Reads the one encoding.
    ///
    /// # Errors
    /// [`LayoutError`] for any other bytes.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, LayoutError> {
        if bytes.len() > MAX_HEADER {
            return Err(LayoutError);
        }
        let mut r = FixedReader::new(bytes);
        let header = Self::read(&mut r)?;
        r.end()?;
        Ok(header)
    }
}
