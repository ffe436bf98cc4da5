//! Who is who. The keys are made once, in the order of their ids, so that the rules for links in opposite directions are met
//! on both sides.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use interbot::crypto::{Crypto, Pure};
use interbot::link::Setup;
use interbot::{BotId, CommunityId, Identity};

use crate::crypto::Cheap;

/// A member whose id is lower than the node's.
pub const BELOW: usize = 0;
/// The bot under test.
pub const NODE: usize = 1;
/// A member whose id is higher than the node's.
pub const ABOVE: usize = 2;
/// Somebody with a good key who is no member.
pub const STRANGER: usize = 3;

/// Bots of one run.
pub const COUNT: usize = 4;

pub(crate) struct Key {
    pub(crate) seed: [u8; 32],
    pub(crate) identity: Identity,
}

pub(crate) fn keys() -> &'static [Key; COUNT] {
    static KEYS: OnceLock<[Key; COUNT]> = OnceLock::new();
    KEYS.get_or_init(|| {
        let mut keys = [1u8, 2, 3, 4].map(|seed| Key { seed: [seed; 32], identity: Identity::from_seed([seed; 32]) });
        keys.sort_by_key(|key| key.identity.id());
        keys
    })
}

/// The key of somebody.
#[must_use]
pub fn identity(who: usize) -> &'static Identity {
    &keys()[who].identity
}

/// The id of somebody.
#[must_use]
pub fn id(who: usize) -> BotId {
    identity(who).id()
}

/// Who are members.
#[must_use]
pub fn members() -> &'static Arc<BTreeSet<BotId>> {
    static MEMBERS: OnceLock<Arc<BTreeSet<BotId>>> = OnceLock::new();
    MEMBERS.get_or_init(|| Arc::new([BELOW, NODE, ABOVE].map(id).into()))
}

/// The community that all but a few belong to.
#[must_use]
pub fn community() -> CommunityId {
    CommunityId::from_name("fuzz")
}

/// What differs between setups.
#[derive(Clone, Copy, Debug, Default)]
pub struct Variant {
    /// A provider that costs little, instead of the real one.
    pub cheap: bool,
    /// Whether AES is the first choice.
    pub aes: bool,
    /// Another community than [`community`].
    pub elsewhere: bool,
}

/// A setup, made once.
#[must_use]
pub fn setup(who: usize, variant: Variant) -> Arc<Setup> {
    static SETUPS: [OnceLock<Arc<Setup>>; 8 * COUNT] = [const { OnceLock::new() }; 8 * COUNT];
    let Variant { cheap, aes, elsewhere } = variant;
    let at = who * 8 + usize::from(cheap) * 4 + usize::from(aes) * 2 + usize::from(elsewhere);
    let make = || {
        let crypto: Arc<dyn Crypto> = if cheap { Arc::new(Cheap) } else { Arc::new(Pure) };
        let community = if elsewhere { CommunityId::from_name("elsewhere") } else { community() };
        Arc::new(Setup::new(crypto, identity(who), community, aes, Default::default()).expect("no credentials"))
    };
    SETUPS[at].get_or_init(make).clone()
}
