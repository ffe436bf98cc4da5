//! What must hold of a run.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

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
    /// A link is told to be open once, then to be closed once, and nothing in between is lost; two bots have one link.
    OneLink,
    /// When nothing goes wrong any more all links come back, and a post of each reaches all who are linked by honest bots.
    Heals,
    /// Every post of an honest bot reaches all honest bots.
    Complete,
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
    for bot in &honest {
        for check in checks {
            let found = match check {
                Check::Once => once(net, *bot),
                Check::InOrder => in_order(net, *bot),
                Check::OneNameOnePost => one_name(net, *bot),
                Check::Authentic => authentic(net, *bot, published),
                Check::OneLink => one_link(net, *bot),
                Check::Heals => {
                    links_are_back(net, *bot, dials).or_else(|| probes_arrived(net, *bot, published, &islands))
                }
                Check::Complete => complete(net, *bot, published),
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

fn links_are_back(net: &Network, bot: BotRef, dials: &[(BotRef, BotRef)]) -> Found {
    let speaks = |bot: BotRef| !matches!(net.lie(bot), Some(Lie::Silent | Lie::SlowLoris | Lie::ClockLiar));
    let missing = dials.iter().find(|(from, to)| *from == bot && speaks(*to) && !net.peers(bot).contains(&net.id(*to)));
    missing.map(|(_, to)| (net.now(), format!("no link to bot {}", to.0)))
}

fn probes_arrived(net: &Network, bot: BotRef, published: &Published, islands: &[usize]) -> Found {
    let here: BTreeSet<PostId> = net.posts(bot).iter().map(crate::overlay::Post::id).collect();
    let missing = published
        .probes
        .iter()
        .find(|(origin, id)| **origin != bot.0 && islands[**origin] == islands[bot.0] && !here.contains(*id));
    missing.map(|(origin, _)| (net.now(), format!("the last post of bot {origin} did not come")))
}

fn complete(net: &Network, bot: BotRef, published: &Published) -> Found {
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
