//! What must hold of a run.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::network::{BotRef, Network};
use super::puppet::Lie;
use crate::identity::BotId;
use crate::node::Event;
use crate::overlay::{PostId, StreamId};
use crate::time::Instant;

/// Something that must hold of every honest bot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Check {
    /// No post is handed to an application twice in one life of its bot.
    Once,
    /// Posts of one author come in its order.
    InOrder,
    /// An author never lets two posts leave under one name.
    OneNameOnePost,
    /// What is handed over is what its author published, if the author is honest.
    Authentic,
    /// A link is told to be open once, then to be closed once; two bots have one link; and a link that stays open loses no
    /// post of an honest author.
    OneLink,
    /// No link brings a bot more posts than its budget allows.
    Paced,
    /// When nothing goes wrong any more all links come back, and a post of each reaches all who are linked by honest bots.
    Heals,
    /// Every post of an honest bot is taken for publishing and reaches all honest bots.
    Complete,
    /// No machine panics, and none makes its host spin. Looked for always, whether it is asked for or not.
    Survives,
}

impl Check {
    /// Those that hold whatever goes wrong.
    pub const ALWAYS: [Self; 5] = [Self::Once, Self::OneNameOnePost, Self::Authentic, Self::OneLink, Self::Heals];
}

/// A check that did not hold.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{check:?} does not hold for bot {bot}: {text}")]
#[non_exhaustive]
pub struct Failure {
    /// Which.
    pub check: Check,
    /// For whom.
    pub bot: usize,
    /// When it showed.
    pub at: Instant,
    /// What was seen.
    pub text: String,
}

/// What the application side of a run remembers.
#[derive(Debug, Default)]
pub(super) struct Published {
    /// Every post that was accepted for publishing, by name.
    pub(super) posts: BTreeMap<PostId, Vec<Bytes>>,
    /// The last posts of all, which show whether the network healed.
    pub(super) probes: BTreeMap<usize, PostId>,
    /// Posts that honest bots, up and not paused, did not take: when, whose, and why.
    pub(super) refused: Vec<(Instant, usize, String)>,
    /// Honest bots whose last post was not taken.
    pub(super) mute: BTreeSet<usize>,
}

/// All failures, of the first bots first.
pub(super) fn examine(
    net: &Network,
    checks: &[Check],
    published: &Published,
    dials: &[(BotRef, BotRef)],
) -> Vec<Failure> {
    let mut failures = Vec::new();
    let honest: Vec<BotRef> = net.bots().filter(|bot| net.lie(*bot).is_none()).collect();
    let islands = islands(net, &honest);
    let here: Vec<BTreeSet<PostId>> =
        net.bots().map(|bot| net.posts(bot).iter().map(crate::overlay::Post::id).collect()).collect();
    for bot in &honest {
        for check in checks {
            let found = match check {
                Check::Once => once(net, *bot),
                Check::InOrder => in_order(net, *bot),
                Check::OneNameOnePost => one_name(net, *bot),
                Check::Authentic => authentic(net, *bot, published),
                Check::OneLink => one_link(net, *bot).or_else(|| link_lost(net, *bot, &here)),
                Check::Paced => paced(net, *bot),
                Check::Heals => {
                    links_are_back(net, *bot, dials).or_else(|| probes_arrived(net, *bot, published, &islands))
                }
                Check::Complete => complete(net, *bot, published),
                Check::Survives => None,
            };
            if let Some((at, text)) = found {
                failures.push(Failure { check: *check, bot: bot.0, at, text });
            }
        }
    }
    failures
}

type Found = Option<(Instant, String)>;

fn once(net: &Network, bot: BotRef) -> Found {
    net.lives(bot).find_map(|life| {
        let mut seen = BTreeSet::new();
        life.iter().find_map(|(at, event)| match event {
            Event::Post { post, .. } if !seen.insert(post.id()) => Some((*at, format!("{:?} came twice", post.id()))),
            _ => None,
        })
    })
}

fn in_order(net: &Network, bot: BotRef) -> Found {
    net.lives(bot).find_map(|life| {
        let mut last: BTreeMap<(BotId, StreamId), u64> = BTreeMap::new();
        life.iter().find_map(|(at, event)| match event {
            Event::Post { post, .. } => {
                let id = post.id();
                let before = last.insert((id.origin, id.stream), id.seq).filter(|before| *before >= id.seq)?;
                Some((*at, format!("{id:?} came after {before}")))
            }
            _ => None,
        })
    })
}

fn one_name(net: &Network, bot: BotRef) -> Found {
    let mut left = BTreeSet::new();
    net.events(bot).iter().find_map(|(at, event)| match event {
        Event::Published { id } if !left.insert(*id) => Some((*at, format!("two posts left as {id:?}"))),
        _ => None,
    })
}

fn authentic(net: &Network, bot: BotRef, published: &Published) -> Found {
    net.events(bot).iter().find_map(|(at, event)| {
        let Event::Post { post, .. } = event else { return None };
        let origin = net.places.get(&post.id().origin).copied();
        let honest = origin.is_some_and(|origin| net.lie(BotRef(origin)).is_none());
        let known = published.posts.get(&post.id()).is_some_and(|bodies| bodies.contains(&post.body()));
        let wrong = origin.is_none() || (honest && !known);
        wrong.then(|| (*at, format!("{:?} was never published like this", post.id())))
    })
}

fn one_link(net: &Network, bot: BotRef) -> Found {
    net.lives(bot).find_map(|life| {
        let (mut open, mut closed) = (BTreeMap::new(), BTreeSet::new());
        life.iter().find_map(|(at, event)| {
            let text = match event {
                Event::LinkUp { link, .. } if closed.contains(link) => format!("{link:?} opened after its end"),
                Event::LinkUp { link, peer, .. } => {
                    if open.values().any(|other| other == peer) {
                        format!("{link:?} is a second link with {peer:?}")
                    } else {
                        open.insert(*link, *peer);
                        return None;
                    }
                }
                Event::Closed { link, .. } => {
                    open.remove(link);
                    if closed.insert(*link) {
                        return None;
                    }
                    format!("{link:?} ended twice")
                }
                Event::Post { link, .. } if !open.contains_key(link) => format!("a post came by {link:?}, not open"),
                _ => return None,
            };
            Some((*at, text))
        })
    })
}

/// How long before the end a post must have left to be expected: a queue of 1 MiB takes its time on a thin line.
const ON_THE_WAY: Duration = Duration::from_secs(55);

/// A post of an honest author that this bot had while a link with another honest bot was open at both ends, and that the
/// other never got though the link stayed open to the end.
fn link_lost(net: &Network, bot: BotRef, here: &[BTreeSet<PostId>]) -> Found {
    let honest = |at: usize| net.lie(BotRef(at)).is_none();
    // Old posts that come again are new to a bot that lost its records, and old to its neighbours; and posts end after 64 hops.
    let replayed = net.bots().any(|bot| net.lie(bot) == Some(Lie::Replayer));
    if replayed || here.len() > usize::from(crate::overlay::MAX_HOPS) {
        return None;
    }
    let since = open_since(net, bot);
    let life = net.lives(bot).last().unwrap_or(&[]);
    for (peer, here_since) in &since {
        let Some(there) = net.places.get(peer).copied().filter(|there| honest(*there)) else { continue };
        let Some(there_since) = open_since(net, BotRef(there)).get(&net.id(bot)).copied() else { continue };
        let from = (*here_since).max(there_since);
        for (at, event) in life {
            let id = match event {
                Event::Published { id } => *id,
                Event::Post { post, .. } => post.id(),
                _ => continue,
            };
            let origin = net.places.get(&id.origin).copied().filter(|origin| honest(*origin));
            let in_time = *at > from && *at + ON_THE_WAY <= net.now();
            if origin.is_some_and(|origin| origin != there) && in_time && !here[there].contains(&id) {
                return Some((*at, format!("bot {there} never got {id:?}, though the link with it stayed open")));
            }
        }
    }
    None
}

/// Peers with which a link is open at the end, and since when.
fn open_since(net: &Network, bot: BotRef) -> BTreeMap<BotId, Instant> {
    let mut open: BTreeMap<BotId, Instant> = BTreeMap::new();
    for (at, event) in net.lives(bot).last().unwrap_or(&[]) {
        match event {
            Event::LinkUp { peer, .. } => {
                open.insert(*peer, *at);
            }
            Event::Closed { peer: Some(peer), .. } if !net.peers(bot).contains(peer) => {
                open.remove(peer);
            }
            _ => {}
        }
    }
    open
}

/// More posts by one link than its budget and the debt that it may run up: four bursts, then it is closed.
fn paced(net: &Network, bot: BotRef) -> Found {
    let budget = net.hosts[bot.0].rest.config.limits.posts;
    net.lives(bot).find_map(|life| {
        let mut links = BTreeMap::new();
        life.iter().find_map(|(at, event)| match event {
            Event::LinkUp { link, .. } => {
                links.insert(*link, (*at, 0_u64));
                None
            }
            Event::Post { link, .. } => {
                let (since, count) = links.get_mut(link)?;
                *count += 1;
                let seconds = at.since(*since).as_secs() + 1;
                let most = 5 * u64::from(budget.burst) + u64::from(budget.per_second) * seconds;
                (*count > most)
                    .then(|| (*at, format!("{count} posts in {seconds} s by {link:?}, at most {most} are allowed")))
            }
            _ => None,
        })
    })
}

fn links_are_back(net: &Network, bot: BotRef, dials: &[(BotRef, BotRef)]) -> Found {
    let speaks = |bot: BotRef| !matches!(net.lie(bot), Some(Lie::Silent | Lie::SlowLoris | Lie::ClockLiar));
    let missing = dials.iter().find(|(from, to)| *from == bot && speaks(*to) && !net.peers(bot).contains(&net.id(*to)));
    missing.map(|(_, to)| (net.now(), format!("no link to bot {}", to.0)))
}

fn probes_arrived(net: &Network, bot: BotRef, published: &Published, islands: &[usize]) -> Found {
    if published.mute.contains(&bot.0) {
        return Some((net.now(), "it did not take its last post for publishing".into()));
    }
    let here: BTreeSet<PostId> = net.posts(bot).iter().map(crate::overlay::Post::id).collect();
    let missing = published
        .probes
        .iter()
        .find(|(origin, id)| **origin != bot.0 && islands[**origin] == islands[bot.0] && !here.contains(*id));
    missing.map(|(origin, _)| (net.now(), format!("the last post of bot {origin} did not come")))
}

fn complete(net: &Network, bot: BotRef, published: &Published) -> Found {
    if let Some((at, _, why)) = published.refused.iter().find(|(_, of, _)| *of == bot.0) {
        return Some((*at, format!("a post was not taken for publishing: {why}")));
    }
    let here: BTreeSet<PostId> = net.posts(bot).iter().map(crate::overlay::Post::id).collect();
    let missing: Vec<_> = published
        .posts
        .keys()
        .filter(|id| id.origin != net.id(bot) && !here.contains(*id))
        .filter(|id| net.places.get(&id.origin).is_some_and(|at| net.lie(BotRef(*at)).is_none()))
        .collect();
    let first = missing.first()?;
    Some((net.now(), format!("{} posts did not come, {first:?} first", missing.len())))
}

/// For each place the least place of the honest bots that it is linked with through honest bots.
fn islands(net: &Network, honest: &[BotRef]) -> Vec<usize> {
    let mut island: Vec<usize> = (0..net.bots().count()).collect();
    let mut links = Vec::new();
    for bot in honest {
        for peer in net.peers(*bot) {
            let peer = net.places.get(&peer).copied().filter(|peer| net.lie(BotRef(*peer)).is_none());
            links.extend(peer.map(|peer| (bot.0, peer)));
        }
    }
    loop {
        let before = island.clone();
        for (a, b) in &links {
            let least = island[*a].min(island[*b]);
            (island[*a], island[*b]) = (least, least);
        }
        if island == before {
            return island;
        }
    }
}
