//! A community of bots over real sockets, in one process: they link up as a tree, one of them reads a text and publishes it
//! line by line, all others get every line, once and in order. With `--votes` they found a community instead, and decide who
//! is in it.
//!
//! `cargo run --release --example community -- --help` lists the options.

#[path = "../common/mod.rs"]
mod common;
mod report;
mod tree;
mod votes;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use common::{Clock, Host, Then, Tls};
use interbot::link::{Capabilities, CloseReason, Code};
use interbot::node::{Config, Event, Node, PublishError};
use interbot::overlay::MAX_POST_BODY;
use interbot::{BotId, CommunityId, Identity, Instant};
use report::{Board, Line, Progress};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tree::Tree;

/// How long the links may take to open.
const LINK_UP: Duration = Duration::from_secs(120);
/// How long nothing may arrive before what is missing counts as lost.
const QUIET: Duration = Duration::from_secs(60);
/// Posts under way: more would only wait in queues, and on a busy machine for so long that bots look stalled to each other.
const IN_FLIGHT: u64 = 128;
/// How often the author hears how far the others are.
const PACE: Duration = Duration::from_millis(1);
/// How long to listen for duplicates once everything is there.
const AFTERMATH: Duration = Duration::from_millis(300);

/// A community of bots over real sockets: one reads a text and publishes each line, all others get every line once. With
/// --votes a story of seven bots who decide by vote who is in.
#[derive(Parser)]
struct Options {
    /// Bots to start, one of them client-only.
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u16).range(2..))]
    bots: u16,
    /// Posts to publish: the feed's lines over and over; without it each line once.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    posts: Option<u32>,
    /// Text to publish, line by line; `-` reads standard input, without it a text that ships with the example.
    #[arg(long)]
    feed: Option<PathBuf>,
    /// Bare TCP, no TLS underneath.
    #[arg(long)]
    plain: bool,
    /// Fixes keys, tree and texts (not timing).
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// One JSON object on the last line of standard output; progress goes to standard error.
    #[arg(long)]
    json: bool,
    /// Tells how a community founds itself, votes members in and out, and catches a cheat; takes a minute.
    #[arg(long, conflicts_with_all = ["bots", "posts", "feed", "json"])]
    votes: bool,
}

fn main() -> std::process::ExitCode {
    let options = Options::parse();
    match run(&options) {
        Ok(true) => std::process::ExitCode::SUCCESS,
        Ok(false) => std::process::ExitCode::FAILURE,
        Err(error) => {
            eprintln!("community: {error}");
            std::process::ExitCode::from(2)
        }
    }
}

fn run(options: &Options) -> Result<bool, Box<dyn std::error::Error>> {
    if options.votes {
        return tokio::runtime::Runtime::new()?.block_on(votes::run(options.seed, options.plain));
    }
    let lines = read_feed(options)?;
    let posts = options.posts.unwrap_or(u32::try_from(lines.len())?);
    // Each link is two sockets in this one process.
    report::raise_descriptor_limit();
    tokio::runtime::Runtime::new()?.block_on(community(options, lines, posts))
}

fn read_feed(options: &Options) -> Result<Vec<Vec<u8>>, Box<dyn std::error::Error>> {
    let text = match &options.feed {
        None => include_bytes!("feed.txt").to_vec(),
        Some(path) if path.as_os_str() == "-" => {
            let mut text = Vec::new();
            std::io::Read::read_to_end(&mut std::io::stdin(), &mut text)?;
            text
        }
        Some(path) => std::fs::read(path).map_err(|e| format!("cannot read the feed {}: {e}", path.display()))?,
    };
    let mut lines: Vec<Vec<u8>> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
    // What follows the last line break is no line.
    lines.pop_if(|last| last.is_empty());
    if lines.is_empty() {
        return Err("the feed has no lines: give a text with at least one".into());
    }
    if let Some(at) = lines.iter().position(|line| line.len() > MAX_POST_BODY) {
        return Err(format!("line {} of the feed has more than {MAX_POST_BODY} bytes: split it", at + 1).into());
    }
    Ok(lines)
}

#[derive(Clone, Copy)]
enum Command {
    /// The author publishes up to this post.
    Publish(u64),
    End,
}

async fn community(options: &Options, lines: Vec<Vec<u8>>, posts: u32) -> Result<bool, Box<dyn std::error::Error>> {
    let count = usize::from(options.bots);
    let tree = Tree::new(count, options.seed);
    let identities: Vec<Identity> = (0..count).map(|at| Identity::from_seed(tree.key(at))).collect();
    let ids: Vec<BotId> = identities.iter().map(Identity::id).collect();
    let author = ids[tree.author];
    let clock = Clock::start();
    let lines = Arc::new(lines);
    let board = Arc::new(Board::new(count, posts, clock));
    let mut progress = Progress::new(options.json, &tree, posts);

    let mut listeners = Vec::new();
    for at in 0..count {
        let listener = (!tree.is_client_only(at))
            .then(|| common::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))))
            .transpose()
            .map_err(|e| format!("cannot listen on loopback: {e}"))?;
        listeners.push(listener);
    }
    let addresses: Vec<Option<SocketAddr>> =
        listeners.iter().map(|l| l.as_ref().map(TcpListener::local_addr).transpose()).collect::<Result<_, _>>()?;

    let mut bots = Vec::new();
    for (at, (identity, listener)) in identities.iter().zip(listeners).enumerate() {
        let mut config = Config::new(CommunityId::from_name("example community"), ids.clone());
        config.aes = has_aes();
        if tree.is_client_only(at) {
            config.capabilities = Capabilities::CLIENT_ONLY;
        }
        let mut node = Node::new(config, identity, common::random_seed(), clock.now());
        if let Some(parent) = tree.parents[at] {
            let address = addresses[parent].ok_or("a client-only bot has no children")?;
            node.dial(clock.now(), ids[parent], address.to_string())?;
        }
        let tls = if options.plain { None } else { Some(Tls::new()?) };
        let (commands, receiver) = mpsc::channel(4);
        let (board, feed) = (board.clone(), Mutex::new(Feed { lines: lines.clone(), next: 1, allowed: 0 }));
        let task = tokio::spawn(async move {
            let mut host = Host::forgetful(node, clock, tls);
            let feed = &feed;
            let on_event = |node: &mut Node, now: Instant, event: Event, _| {
                match event {
                    Event::LinkUp { .. } => board.links(at, node),
                    Event::Closed { peer, reason, .. } => {
                        board.links(at, node);
                        let expected = reason == CloseReason::Here(Code::GoingAway)
                            || matches!(reason, CloseReason::Peer { code: Code::GoingAway, .. });
                        if !expected {
                            eprintln!("#{at}: link with {peer:?} closed: {reason}");
                        }
                    }
                    Event::Post { post, .. } => {
                        let id = post.id();
                        let genuine = id.origin == author && lock(feed).line(id.seq) == &post.body()[..];
                        board.delivered(at, id.seq, now, genuine);
                    }
                    Event::Ready => lock(feed).publish(node, now, &board),
                    _ => {}
                }
                Then::GoOn
            };
            let on_command = |node: &mut Node, now: Instant, command: Command| match command {
                Command::Publish(upto) => {
                    lock(feed).allowed = upto;
                    lock(feed).publish(node, now, &board);
                    Then::GoOn
                }
                Command::End => Then::Stop,
            };
            host.run(listener, receiver, on_event, on_command).await;
            host.node.stats()
        });
        bots.push((commands, task));
    }

    let linked = progress.until(LINK_UP, || board.open_links() == count - 1, || Line::Links(board.open_links())).await;
    if !linked {
        return Err(format!("only {} of {} links opened in {LINK_UP:?}", board.open_links(), count - 1).into());
    }
    progress.links_are_up(clock.now());
    tokio::spawn(pace(bots[tree.author].0.clone(), board.clone(), tree.author, u64::from(posts)));
    let all = u64::from(posts) * (count as u64 - 1);
    progress.until_quiet(QUIET, || board.total() >= all, || Line::Posts(board.depths(&tree))).await;
    tokio::time::sleep(AFTERMATH).await;
    let open_links = board.open_links();
    for (commands, _) in &bots {
        commands.send(Command::End).await?;
    }
    let mut stats = Vec::new();
    for (_, task) in bots {
        stats.push(task.await?);
    }
    let report = board.report(&tree, &stats, open_links);
    progress.finish();
    report.print(&tree, &ids, options.json)?;
    Ok(report.is_complete())
}

/// Lets the author publish as fast as the slowest bot keeps up.
async fn pace(author: mpsc::Sender<Command>, board: Arc<Board>, at: usize, posts: u64) {
    let mut allowed = 0;
    while allowed < posts {
        let upto = posts.min(board.slowest(at) + IN_FLIGHT);
        if upto > allowed && author.send(Command::Publish(upto)).await.is_err() {
            return;
        }
        allowed = upto;
        tokio::time::sleep(PACE).await;
    }
}

fn lock(feed: &Mutex<Feed>) -> std::sync::MutexGuard<'_, Feed> {
    feed.lock().expect("nothing panics while it holds the feed")
}

/// What the author publishes, and everybody else compares with.
struct Feed {
    lines: Arc<Vec<Vec<u8>>>,
    /// The number of the next post.
    next: u64,
    /// The last post that may go out now.
    allowed: u64,
}

impl Feed {
    /// The line of a post, by its number from 1.
    fn line(&self, seq: u64) -> &[u8] {
        let at = usize::try_from(seq.wrapping_sub(1)).unwrap_or(usize::MAX);
        &self.lines[at % self.lines.len()]
    }

    /// Publishes what may go out, until the node asks to wait; it says when to go on.
    fn publish(&mut self, node: &mut Node, now: Instant, board: &Board) {
        while self.next <= self.allowed {
            match node.publish(now, self.line(self.next)) {
                Ok(id) => board.published(id.seq, now),
                Err(PublishError::Busy) => return,
                Err(error) => unreachable!("the feed's lines were checked: {error}"),
            }
            self.next += 1;
        }
    }
}

fn has_aes() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("aes");
    #[cfg(not(target_arch = "x86_64"))]
    false
}
