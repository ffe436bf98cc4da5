//! What is counted, what is shown while it runs, and the report at the end.

use std::collections::HashSet;
use std::io::{IsTerminal, Write};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use interbot::link::Side;
use interbot::node::{Node, Stats};
use interbot::{BotId, Instant};

use crate::common::Clock;
use crate::tree::Tree;

/// What one bot saw.
#[derive(Default)]
struct Seen {
    /// Accepted links that are open now.
    children: usize,
    posts: HashSet<u64>,
    delivered: u64,
    verified: u64,
    last: u64,
    out_of_order: u64,
    latencies_us: Vec<u32>,
}

/// What all bots saw.
pub(crate) struct Board {
    clock: Clock,
    posts: u32,
    published: Vec<AtomicU64>,
    bots: Vec<Mutex<Seen>>,
    total: AtomicU64,
    open_links: AtomicUsize,
}

impl Board {
    pub(crate) fn new(bots: usize, posts: u32, clock: Clock) -> Self {
        Self {
            clock,
            posts,
            published: (0..posts).map(|_| AtomicU64::new(0)).collect(),
            bots: (0..bots).map(|_| Mutex::default()).collect(),
            total: AtomicU64::new(0),
            open_links: AtomicUsize::new(0),
        }
    }

    fn bot(&self, at: usize) -> MutexGuard<'_, Seen> {
        self.bots[at].lock().expect("nothing panics while it counts")
    }

    /// Counts a bot's open links at the end that was dialled, so that each counts once.
    pub(crate) fn links(&self, at: usize, node: &Node) {
        let now = node.links().filter(|link| link.side == Side::Server && link.open_since.is_some()).count();
        let before = std::mem::replace(&mut self.bot(at).children, now);
        self.open_links.fetch_add(now.wrapping_sub(before), Relaxed);
    }

    pub(crate) fn open_links(&self) -> usize {
        self.open_links.load(Relaxed)
    }

    pub(crate) fn published(&self, seq: u64, now: Instant) {
        if let Some(at) = self.slot(seq) {
            at.store(now.as_nanos(), Relaxed);
        }
    }

    pub(crate) fn delivered(&self, at: usize, seq: u64, now: Instant, genuine: bool) {
        let published = self.slot(seq).map_or(0, |at| at.load(Relaxed));
        let mut bot = self.bot(at);
        bot.delivered += 1;
        bot.verified += u64::from(genuine);
        bot.out_of_order += u64::from(seq != bot.last + 1);
        bot.last = seq;
        if bot.posts.insert(seq) {
            let micros = now.as_nanos().saturating_sub(published) / 1000;
            bot.latencies_us.push(u32::try_from(micros).unwrap_or(u32::MAX));
            self.total.fetch_add(1, Relaxed);
        }
    }

    /// Distinct deliveries so far.
    pub(crate) fn total(&self) -> u64 {
        self.total.load(Relaxed)
    }

    /// The last post that every bot but the author has.
    pub(crate) fn slowest(&self, author: usize) -> u64 {
        let others = (0..self.bots.len()).filter(|at| *at != author);
        others.map(|at| self.bot(at).last).min().unwrap_or_default()
    }

    fn slot(&self, seq: u64) -> Option<&AtomicU64> {
        self.published.get(usize::try_from(seq.checked_sub(1)?).ok()?)
    }

    /// For each depth of the tree: bots, and distinct deliveries.
    pub(crate) fn depths(&self, tree: &Tree) -> Vec<(usize, u64)> {
        let mut rows = vec![(0, 0); tree.depths.iter().max().map_or(0, |deepest| deepest + 1)];
        for (at, depth) in tree.depths.iter().enumerate() {
            if at != tree.author {
                rows[*depth].0 += 1;
                rows[*depth].1 += self.bot(at).posts.len() as u64;
            }
        }
        rows
    }

    pub(crate) fn report(&self, tree: &Tree, stats: &[Stats], open_links: usize) -> Report {
        let mut report = Report {
            bots: self.bots.len(),
            posts: self.posts,
            links: open_links,
            rows: Vec::new(),
            latencies_us: Vec::new(),
            seconds: self.clock.now().as_nanos() as f64 / 1e9,
        };
        for (at, stats) in stats.iter().enumerate() {
            let mut bot = self.bot(at);
            bot.latencies_us.sort_unstable();
            let expected = if at == tree.author { 0 } else { u64::from(self.posts) };
            let distinct = bot.posts.iter().filter(|seq| (1..=u64::from(self.posts)).contains(seq)).count() as u64;
            report.rows.push(Row {
                delivered: bot.delivered,
                verified: bot.verified,
                duplicates: bot.delivered - bot.posts.len() as u64,
                lost: expected - distinct.min(expected),
                out_of_order: bot.out_of_order,
                handshakes: stats.handshakes,
                sent_bytes: stats.sent_bytes,
                p50_ms: quantile(&bot.latencies_us, 0.50),
                p99_ms: quantile(&bot.latencies_us, 0.99),
            });
            report.latencies_us.extend_from_slice(&bot.latencies_us);
        }
        report.latencies_us.sort_unstable();
        report
    }
}

fn quantile(sorted_us: &[u32], q: f64) -> f64 {
    let last = sorted_us.len().saturating_sub(1);
    let at = (last as f64 * q).round() as usize;
    f64::from(sorted_us.get(at).copied().unwrap_or(0)) / 1000.0
}

struct Row {
    delivered: u64,
    verified: u64,
    duplicates: u64,
    lost: u64,
    out_of_order: u64,
    handshakes: u64,
    sent_bytes: u64,
    p50_ms: f64,
    p99_ms: f64,
}

/// What came of it.
pub(crate) struct Report {
    bots: usize,
    posts: u32,
    links: usize,
    rows: Vec<Row>,
    latencies_us: Vec<u32>,
    seconds: f64,
}

impl Report {
    fn sum(&self, of: impl Fn(&Row) -> u64) -> u64 {
        self.rows.iter().map(of).sum()
    }

    /// Whether every bot has every post exactly once, in its author's order, and genuine.
    pub(crate) fn is_complete(&self) -> bool {
        let wanted = u64::from(self.posts) * (self.bots as u64 - 1);
        let bad = self.sum(|row| row.duplicates + row.lost + row.out_of_order);
        bad == 0 && self.sum(|row| row.verified) == wanted && self.sum(|row| row.delivered) == wanted
    }

    fn bytes_per_post_per_bot(&self) -> f64 {
        self.sum(|row| row.sent_bytes) as f64 / (f64::from(self.posts) * self.bots as f64)
    }

    pub(crate) fn print(&self, tree: &Tree, ids: &[BotId], json: bool) -> std::io::Result<()> {
        let mut out: Box<dyn Write> =
            if json { Box::new(std::io::stderr().lock()) } else { Box::new(std::io::stdout().lock()) };
        self.table(&mut out, tree, ids)?;
        drop(out);
        if json {
            let line = serde_json::json!({
                "bots": self.bots,
                "links": self.links,
                "posts": self.posts,
                "delivered": self.sum(|row| row.delivered),
                "verified": self.sum(|row| row.verified),
                "duplicates": self.sum(|row| row.duplicates),
                "lost": self.sum(|row| row.lost),
                "p50_ms": quantile(&self.latencies_us, 0.50),
                "p99_ms": quantile(&self.latencies_us, 0.99),
                "bytes_per_post_per_bot": self.bytes_per_post_per_bot(),
            });
            writeln!(std::io::stdout(), "{line}")?;
        }
        Ok(())
    }

    fn table(&self, out: &mut dyn Write, tree: &Tree, ids: &[BotId]) -> std::io::Result<()> {
        /// Rows shown; the rest is in the sums.
        const SHOWN: usize = 16;
        writeln!(
            out,
            "{:<14}{:<20}{:<8}{:>11}{:>10}{:>9}{:>6}{:>7}{:>9}{:>9}{:>9}",
            "bot",
            "role",
            "parent",
            "handshakes",
            "delivered",
            "verified",
            "dup",
            "lost",
            "p50 ms",
            "p99 ms",
            "sent kB"
        )?;
        for (at, row) in self.rows.iter().enumerate().take(SHOWN) {
            let parent = tree.parents[at].map_or("-".to_string(), |parent| format!("#{parent}"));
            writeln!(
                out,
                "{:<14}{:<20}{:<8}{:>11}{:>10}{:>9}{:>6}{:>7}{:>9.2}{:>9.2}{:>9.1}",
                format!("#{at} {}", &ids[at].short()[4..]),
                tree.role(at),
                parent,
                row.handshakes,
                row.delivered,
                row.verified,
                row.duplicates,
                row.lost,
                row.p50_ms,
                row.p99_ms,
                row.sent_bytes as f64 / 1000.0
            )?;
        }
        if self.rows.len() > SHOWN {
            writeln!(out, "… and {} more", self.rows.len() - SHOWN)?;
        }
        writeln!(
            out,
            "\n{} bots, {} links, {} handshakes, {} posts in {:.1} s",
            self.bots,
            self.links,
            self.sum(|row| row.handshakes) / 2,
            self.posts,
            self.seconds
        )?;
        writeln!(
            out,
            "{} delivered, {} verified, {} duplicates, {} lost, {} out of order",
            self.sum(|row| row.delivered),
            self.sum(|row| row.verified),
            self.sum(|row| row.duplicates),
            self.sum(|row| row.lost),
            self.sum(|row| row.out_of_order)
        )?;
        writeln!(
            out,
            "latency p50 {:.2} ms, p99 {:.2} ms; {:.1} sealed bytes per post and bot",
            quantile(&self.latencies_us, 0.50),
            quantile(&self.latencies_us, 0.99),
            self.bytes_per_post_per_bot()
        )?;
        let verdict = if self.is_complete() {
            "every bot has every post exactly once, in its author's order"
        } else {
            "NOT every bot has every post exactly once, in its author's order"
        };
        writeln!(out, "{verdict}")
    }
}

/// What the progress display shows.
pub(crate) enum Line {
    Links(usize),
    Posts(Vec<(usize, u64)>),
}

/// A bar and a small table on a terminal, a line now and then elsewhere.
pub(crate) struct Progress {
    bar: ProgressBar,
    json: bool,
    drawn: bool,
    posts: u32,
    others: u64,
    links: usize,
    said: std::time::Instant,
}

impl Progress {
    pub(crate) fn new(json: bool, tree: &Tree, posts: u32) -> Self {
        let others = tree.parents.len() as u64 - 1;
        let drawn = std::io::stderr().is_terminal();
        let target = if drawn { ProgressDrawTarget::stderr_with_hz(20) } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target(Some(others), target);
        let style = ProgressStyle::with_template("{prefix} [{bar:40}] {pos}/{len} {elapsed}\n{msg}");
        bar.set_style(style.expect("the template is fixed").progress_chars("=> "));
        bar.set_prefix("links");
        let progress =
            Self { bar, json, drawn, posts, others, links: tree.parents.len() - 1, said: std::time::Instant::now() };
        let deepest = tree.depths.iter().max().copied().unwrap_or(0);
        progress.say(&format!(
            "{} bots on loopback: a tree {deepest} deep, #{} reads the feed, #{} is client-only",
            tree.parents.len(),
            tree.author,
            others
        ));
        progress
    }

    fn say(&self, text: &str) {
        self.bar.suspend(|| if self.json { eprintln!("{text}") } else { println!("{text}") });
    }

    pub(crate) fn links_are_up(&self, now: Instant) {
        self.say(&format!("{} links open after {:.0} ms", self.links, now.as_nanos() as f64 / 1e6));
    }

    /// Shows progress until it is done, or the time is up; whether it was done.
    pub(crate) async fn until(&mut self, most: Duration, done: impl Fn() -> bool, line: impl Fn() -> Line) -> bool {
        let end = std::time::Instant::now() + most;
        while !done() {
            if std::time::Instant::now() >= end {
                return false;
            }
            self.show(&line());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.show(&line());
        true
    }

    /// The same, but gives up only when nothing has moved for so long.
    pub(crate) async fn until_quiet(&mut self, most: Duration, done: impl Fn() -> bool, line: impl Fn() -> Line) {
        let mut last = (self.bar.position(), std::time::Instant::now());
        while !done() && last.1.elapsed() < most {
            self.show(&line());
            if self.bar.position() != last.0 {
                last = (self.bar.position(), std::time::Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.show(&line());
    }

    fn show(&mut self, line: &Line) {
        match line {
            Line::Links(open) => self.bar.set_position(*open as u64),
            Line::Posts(depths) => {
                let total = depths.iter().map(|(_, delivered)| delivered).sum();
                self.bar.set_prefix("posts");
                self.bar.set_length(self.others * u64::from(self.posts));
                self.bar.set_position(total);
                if self.drawn {
                    self.bar.set_message(self.table(depths));
                } else if self.said.elapsed() > Duration::from_secs(5) {
                    self.said = std::time::Instant::now();
                    eprintln!("{total} of {} deliveries", self.others * u64::from(self.posts));
                }
            }
        }
    }

    fn table(&self, depths: &[(usize, u64)]) -> String {
        let mut table = format!("{:>6}{:>7}{:>12}{:>10}", "depth", "bots", "delivered", "of all");
        for (depth, (bots, delivered)) in depths.iter().enumerate().filter(|(_, (bots, _))| *bots > 0) {
            let all = *bots as u64 * u64::from(self.posts);
            let share = 100.0 * *delivered as f64 / all as f64;
            table.push_str(&format!("\n{depth:>6}{bots:>7}{delivered:>12}{share:>9.1}%"));
        }
        table
    }

    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Lets this process have as many sockets as the system allows it.
pub(crate) fn raise_descriptor_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    // Where it fails, the links that find no socket say so.
    let _ = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum });
}
