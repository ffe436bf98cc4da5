//! What three bots must and may be handed, from the schedule alone: nothing here knows of links, records or queues.

use std::time::Duration;

use interbot::lab::{Act, FaultPoint, Scenario, Schedule, Shape, Step};
use interbot::overlay::MAX_POST_BODY;

/// Bots of the model.
pub const BOTS: usize = 3;
/// What the laboratory lets every honest bot say at the end of all.
const LAST_POST: &[u8] = b"last post";
/// A post that nothing keeps up arrives within this: two lines of 10 ms and a disk of 1 ms, fifty times over.
const ARRIVES_MS: u64 = 1_000;
/// A link that died is found out by its silence, 35 s, and meanwhile a few dials fail, each with a longer wait for the next.
const FOUND_OUT_MS: u64 = 160_000;
/// Longest wait for the next dial: 10 min and half of it, by a slow clock.
const LONGEST_WAIT_MS: u64 = 1_080_000;
/// A link that was open for this long has its failures forgiven: 60 s, by a slow clock.
const FORGIVEN_MS: u64 = 75_000;
/// Fewer bytes than this in so long a time hold no author up, whatever waits for them.
const FLOOD_BYTES: usize = 128 * 1024;
const FLOOD_MS: u64 = 60_000;

/// A post that an application was handed.
#[derive(Clone, Debug)]
pub struct Handed {
    /// When, since the schedule began.
    pub at: Duration,
    /// Whose it is.
    pub author: usize,
    /// What it says.
    pub body: Vec<u8>,
}

#[derive(Debug)]
struct Post {
    at: u64,
    author: usize,
    body: Vec<u8>,
    /// Whether it can have left its author.
    leaves: bool,
}

/// What the schedule says of posts and lines.
#[derive(Debug)]
pub struct Model<'a> {
    scenario: &'a Scenario,
    steps: &'a [Step],
    /// When everything that goes wrong has ended.
    end: u64,
    posts: Vec<Post>,
}

impl<'a> Model<'a> {
    /// Reads a schedule in the order of its time.
    #[must_use]
    pub fn new(scenario: &'a Scenario, schedule: &'a Schedule) -> Self {
        let steps = &schedule.steps[..];
        let end = steps.last().map_or(0, |step| step.at_ms).max(scenario.seconds * 1000);
        let mut model = Self { scenario, steps, end, posts: Vec::new() };
        for (number, step) in steps.iter().enumerate() {
            if let Act::Publish { bot, bytes } = step.act {
                let mut body = format!("{number}:").into_bytes();
                body.resize(bytes.max(body.len()), b'.');
                body.truncate(MAX_POST_BODY);
                let leaves = model.is_liar(bot) || model.lets_leave(number, bot);
                model.posts.push(Post { at: step.at_ms, author: bot, body, leaves });
            }
        }
        let at = end + scenario.settle_seconds * 1000;
        for author in 0..BOTS {
            if !model.is_liar(author) {
                model.posts.push(Post { at, author, body: LAST_POST.to_vec(), leaves: true });
            }
        }
        model
    }

    /// What is wrong with the posts that an honest bot was handed, in this order.
    #[must_use]
    pub fn complaints(&self, bot: usize, handed: &[Handed]) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut before: Vec<(usize, u64)> = Vec::new();
        for Handed { at, author, body } in handed {
            let at = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
            let mut complain = |what: &str| complaints.push(format!("bot {bot} at {at} ms: {what}, of bot {author}"));
            let Some(number) = self.posts.iter().position(|post| post.author == *author && self.says(post, body))
            else {
                complain("never published");
                continue;
            };
            let post = &self.posts[number];
            if *author == bot {
                complain("its own");
            }
            if !post.leaves || post.at > at {
                complain("not out yet");
            }
            if before.iter().any(|(other, since)| *other == number && !self.forgets(bot, *since, at)) {
                complain("twice");
            }
            let overtaken = before.iter().any(|(other, _)| *other > number && self.posts[*other].author == *author);
            if overtaken && self.is_honest_tree() {
                complain("out of order");
            }
            before.push((number, at));
        }
        for (number, post) in self.posts.iter().enumerate().filter(|(number, _)| self.must_reach(*number, bot)) {
            let latest = post.at + ARRIVES_MS;
            if !before.iter().any(|(other, at)| *other == number && *at <= latest) {
                complaints.push(format!("bot {bot}: no post of bot {} at {} ms, by {latest}", post.author, post.at));
            }
        }
        complaints
    }

    /// Whether a post is sure to reach a bot.
    fn must_reach(&self, number: usize, bot: usize) -> bool {
        let post = &self.posts[number];
        let around = |other: &&Post| other.at + FLOOD_MS >= post.at && other.at <= post.at + ARRIVES_MS;
        let bytes: usize = self.posts.iter().filter(around).map(|post| post.body.len()).sum();
        if bot == post.author || self.is_liar(post.author) || !post.leaves || bytes > FLOOD_BYTES {
            return false;
        }
        let relay = BOTS - bot - post.author;
        let carries = |a, b| self.is_linked(a, b) && self.is_calm(a, b, post.at);
        carries(post.author, bot) || (carries(post.author, relay) && carries(relay, bot))
    }

    fn is_liar(&self, bot: usize) -> bool {
        self.scenario.liars.iter().any(|liar| liar.bot == bot)
    }

    fn is_honest_tree(&self) -> bool {
        self.scenario.liars.is_empty() && !matches!(self.scenario.shape, Shape::Ring)
    }

    /// Whether two honest bots are neighbours.
    fn is_linked(&self, a: usize, b: usize) -> bool {
        let neighbours = match self.scenario.shape {
            Shape::Star => a.min(b) == 0,
            Shape::Chain => a.abs_diff(b) == 1,
            _ => true,
        };
        neighbours && !self.is_liar(a) && !self.is_liar(b)
    }

    /// Whether a body is that of a post; a liar may tell another story.
    fn says(&self, post: &Post, body: &[u8]) -> bool {
        body == post.body || (self.is_liar(post.author) && body.strip_suffix(b" (twin)") == Some(&post.body[..]))
    }

    /// Whether a post of this step can get out: its bot is up, awake, and stays up until the post is durable.
    fn lets_leave(&self, number: usize, bot: usize) -> bool {
        let at = self.steps[number].at_ms;
        let is_up = self.steps[..number].iter().rev().find_map(|step| match step.act {
            Act::Restart { bot: of } if of == bot => Some(true),
            // A crash that waits for a write strikes at the post's.
            Act::Crash { bot: of, .. } | Act::Stop { bot: of } if of == bot => Some(false),
            _ => None,
        });
        let mut asleep = false;
        for step in &self.steps[..number] {
            match step.act {
                Act::Pause { bot: of, ms } if of == bot => asleep |= step.at_ms + ms > at,
                Act::Crash { bot: of, .. } | Act::Stop { bot: of } if of == bot => asleep = false,
                _ => {}
            }
        }
        let ends = |step: &Step| match step.act {
            Act::Crash { bot: of, point } => of == bot && point == FaultPoint::Now,
            Act::Stop { bot: of } => of == bot,
            _ => false,
        };
        let durable = !self.steps[number..].iter().take_while(|step| step.at_ms == at).any(ends);
        // Who is started again at once was not struck yet.
        let spared = self.restart_after(number, bot) == at;
        (is_up != Some(false) || spared) && !asleep && durable
    }

    /// Whether a crash between these times can have cost a bot its memory; an orderly stop does not.
    fn forgets(&self, bot: usize, from: u64, to: u64) -> bool {
        self.steps.iter().enumerate().any(|(number, step)| {
            let crashes = matches!(step.act, Act::Crash { bot: of, .. } if of == bot);
            crashes && step.at_ms <= to && self.restart_after(number, bot) >= from
        })
    }

    fn restart_after(&self, number: usize, bot: usize) -> u64 {
        self.next(number, |act| matches!(act, Act::Restart { bot: of } if *of == bot))
    }

    /// When the next step of a kind comes; all comes at the end.
    fn next(&self, number: usize, is_it: impl Fn(&Act) -> bool) -> u64 {
        self.steps[number + 1..].iter().find(|step| is_it(&step.act)).map_or(self.end, |step| step.at_ms)
    }

    /// Whether nothing disturbs the link of two bots while a post passes, and nothing did for so long that it is open.
    fn is_calm(&self, a: usize, b: usize, at: u64) -> bool {
        let mut trouble: Option<(u64, u64)> = None;
        for number in 0..self.steps.len() {
            let from = self.steps[number].at_ms;
            let Some(to) = self.troubled_until(number, a, b).filter(|_| from <= at + ARRIVES_MS) else { continue };
            trouble = match trouble {
                Some((since, until)) if from <= open_again(since, until) + FORGIVEN_MS => Some((since, until.max(to))),
                _ => Some((from, to)),
            };
        }
        trouble.is_none_or(|(since, until)| open_again(since, until) < at)
    }

    /// Until when a step keeps the link of two bots from working, if it does.
    fn troubled_until(&self, number: usize, a: usize, b: usize) -> Option<u64> {
        let Step { at_ms, act } = &self.steps[number];
        let is_end = |bot: &usize| *bot == a || *bot == b;
        match act {
            Act::Crash { bot, .. } | Act::Stop { bot } => is_end(bot).then(|| self.restart_after(number, *bot)),
            Act::Pause { bot, ms } => is_end(bot).then_some(at_ms + ms),
            // A node stands still until its clock, which may be slow, has made up for all steps back.
            Act::JumpClock { bot, .. } => is_end(bot).then(|| at_ms + 2 * self.behind(number, *bot)),
            Act::Partition { islands } => {
                let island = |bot: usize| islands.iter().position(|island| island.contains(&bot));
                let joined = |act: &Act| matches!(act, Act::Partition { .. } | Act::Heal);
                (island(a) != island(b)).then(|| self.next(number, joined))
            }
            Act::Block { from, to } => {
                (is_end(from) && is_end(to)).then(|| self.next(number, |act| matches!(act, Act::Heal)))
            }
            Act::Publish { .. } | Act::Restart { .. } | Act::Heal | Act::Drift { .. } => None,
            _ => Some(self.end),
        }
    }

    /// How far a bot's clock has been set back by all steps up to this one.
    fn behind(&self, number: usize, bot: usize) -> u64 {
        let back = |step: &Step| match step.act {
            Act::JumpClock { bot: of, ms } if of == bot => ms.min(0).unsigned_abs(),
            _ => 0,
        };
        self.steps[..=number].iter().map(back).sum()
    }
}

/// When a link is open again for sure after trouble: the dials that failed meanwhile have made the wait for the next one up
/// to three times as long as the trouble, longer by a slow clock.
fn open_again(since: u64, until: u64) -> u64 {
    until + FOUND_OUT_MS + (4 * (until - since)).min(LONGEST_WAIT_MS)
}
