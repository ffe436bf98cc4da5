//! The running bot: commands in, events out.

use std::cell::RefCell;
use std::io::{BufRead, Write};
use std::time::Duration;

use interbot::crypto::Suite;
use interbot::link::{Capabilities, Side};
use interbot::node::{Config, DialError, Event, Node};
use interbot::overlay::PostId;
use interbot::{BotId, CommunityId, Instant};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::common::{Clock, Host, Then, Tls, listen, random_seed};
use crate::records::Records;
use crate::{Refusal, RunArgs, files};

/// What the operator types, or a signal says.
enum Command {
    Post(Vec<u8>),
    Links,
    Stats,
    Quit,
    Unknown(String),
}

/// Runs the bot until it is told to stop.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(args: RunArgs) -> Result<(), Refusal> {
    let clock = Clock::start();
    let identity = files::read_key(&args.key)?;
    let mut config = Config::new(CommunityId::from_name(&args.community), files::read_members(&args.members)?);
    config.aes = has_aes();
    if args.no_listen {
        config.capabilities = Capabilities::CLIENT_ONLY;
    }

    let file = args.records.unwrap_or_else(|| {
        let mut name = args.key.into_os_string();
        name.push(".records");
        name.into()
    });
    let records = Records::open(&file)?;
    let broken = |error| Refusal::System(format!("the records {} cannot be read: {error}", file.display()));
    let kept = records.read().map_err(broken)?;
    let node = Node::restore(config, &identity, random_seed(), clock.now(), kept);
    let mut node = node.map_err(|error| Refusal::Input(format!("{}: {error}", file.display())))?;
    for peer in args.dial {
        node.dial(clock.now(), peer.id, peer.address).map_err(|error| match error {
            DialError::NotAMember(id) => Refusal::Input(format!(
                "{id} is to be dialled, but not in {}: add it there first",
                args.members.display()
            )),
            error => Refusal::Input(format!("--dial: {error}")),
        })?;
    }

    let tls = if args.plain { None } else { Some(Tls::new().map_err(|error| Refusal::System(error.to_string()))?) };
    let listener = match args.listen {
        Some(address) => Some(listen(address).map_err(|error| {
            Refusal::System(format!("cannot listen at {address}: {error}; name another address with --listen"))
        })?),
        None => None,
    };
    let commands = commands()?;
    let app = RefCell::new(App { unpublished: 0, stopping: false });
    if let Some(listener) = &listener {
        let address = listener.local_addr().map_err(|error| Refusal::System(error.to_string()))?;
        say("listening", &[("address", json!(address.to_string()))]);
    }

    let (store, written) = records.store();
    let mut host = Host::new(node, clock, tls, store);
    host.run(
        listener,
        commands,
        |_, now, event, cause| app.borrow_mut().on_event(now, event, cause),
        |node, now, command| app.borrow_mut().on_command(node, now, command),
    )
    .await;
    let snapshot = host.node.snapshot();
    drop(host);
    // The thread that writes for the host ends with it; what it still writes must not come after the snapshot.
    let _ = written.recv();
    records
        .replace_all(&snapshot)
        .map_err(|error| Refusal::System(format!("the records {} cannot be written: {error}", file.display())))
}

struct App {
    /// Own posts that wait for the disk.
    unpublished: usize,
    stopping: bool,
}

impl App {
    fn on_event(&mut self, now: Instant, event: Event, cause: Option<std::io::Error>) -> Then {
        match event {
            Event::LinkUp { link, peer, side, suite, bound, .. } => say(
                "link_up",
                &[
                    ("link", json!(link.as_u64())),
                    ("peer", name(peer)),
                    ("side", side_name(side)),
                    ("suite", suite_name(suite)),
                    ("tls", json!(bound)),
                ],
            ),
            Event::Closed { link, peer, reason, retry_at } => say(
                "closed",
                &[
                    ("link", json!(link.as_u64())),
                    ("peer", peer.map_or(Value::Null, name)),
                    ("reason", json!(cause.map_or(reason.to_string(), |cause| format!("{reason}: {cause}")))),
                    ("retry_in_ms", retry_at.map_or(Value::Null, |at| millis(at.since(now)))),
                ],
            ),
            Event::Post { post, .. } => {
                let body = post.body();
                let text = match std::str::from_utf8(&body) {
                    Ok(text) => ("text", json!(text)),
                    Err(_) => ("hex", json!(hex(&body))),
                };
                let [origin, stream, seq] = post_name(&post.id());
                say("post", &[origin, stream, seq, text]);
            }
            Event::Published { id } => {
                self.unpublished -= 1;
                say("published", &post_name(&id));
            }
            Event::Ready => say("ready", &[]),
            // Nothing that this version knows.
            _ => {}
        }
        if self.stopping && self.unpublished == 0 { Then::Stop } else { Then::GoOn }
    }

    fn on_command(&mut self, node: &mut Node, now: Instant, command: Command) -> Then {
        match command {
            Command::Post(body) if body.is_empty() => error("there is nothing to post: write `post TEXT`"),
            Command::Post(body) => match node.publish(now, &body) {
                Ok(_) => self.unpublished += 1,
                Err(refused) => error(&refused.to_string()),
            },
            Command::Links => {
                let links = node.links().map(|info| {
                    json!({
                        "link": info.link.as_u64(),
                        "peer": info.peer.map_or(Value::Null, name),
                        "side": side_name(info.side),
                        "open_for_ms": info.open_since.map_or(Value::Null, |at| millis(now.since(at))),
                    })
                });
                say("links", &[("links", links.collect())]);
            }
            Command::Stats => {
                let stats = node.stats();
                let numbers = [
                    ("sent_bytes", stats.sent_bytes),
                    ("handshakes", stats.handshakes),
                    ("posts", stats.posts),
                    ("duplicates", stats.duplicates),
                    ("strangers", stats.strangers),
                ];
                say("stats", &numbers.map(|(name, number)| (name, json!(number))));
            }
            Command::Unknown(line) => {
                error(&format!("`{line}` is no command; there are: post TEXT, links, stats, quit"));
            }
            // What was typed before is sent first; who is in a hurry says it twice.
            Command::Quit if self.unpublished == 0 || self.stopping => return Then::Stop,
            Command::Quit => self.stopping = true,
        }
        Then::GoOn
    }
}

/// Starts to listen to stdin and to signals.
fn commands() -> Result<mpsc::Receiver<Command>, Refusal> {
    let (commands, queue) = mpsc::channel(16);
    let typed = commands.clone();
    // A thread of its own, and no task: it is never waited for, so that a silent terminal does not hold up the end.
    std::thread::spawn(move || {
        let mut stdin = std::io::stdin().lock();
        while let Some(command) = read_command(&mut stdin) {
            if typed.blocking_send(command).is_err() {
                return;
            }
        }
    });
    let interrupts = commands.clone();
    tokio::spawn(async move {
        while tokio::signal::ctrl_c().await.is_ok() && interrupts.send(Command::Quit).await.is_ok() {}
    });
    #[cfg(unix)]
    {
        let kind = tokio::signal::unix::SignalKind::terminate();
        let mut terminate = tokio::signal::unix::signal(kind)
            .map_err(|error| Refusal::System(format!("signals cannot be received: {error}")))?;
        tokio::spawn(
            async move { while terminate.recv().await.is_some() && commands.send(Command::Quit).await.is_ok() {} },
        );
    }
    Ok(queue)
}

/// The next line that is not empty; nothing when stdin ends, which leaves the bot running in the background.
fn read_command(input: &mut impl BufRead) -> Option<Command> {
    loop {
        let mut line = Vec::new();
        if input.read_until(b'\n', &mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_ascii_end();
        return Some(match line {
            b"" => continue,
            b"links" => Command::Links,
            b"stats" => Command::Stats,
            b"quit" => Command::Quit,
            b"post" => Command::Post(Vec::new()),
            _ => match line.strip_prefix(b"post ") {
                Some(body) => Command::Post(body.to_vec()),
                None => Command::Unknown(String::from_utf8_lossy(line).into_owned()),
            },
        });
    }
}

/// Prints one event, and sees to it that it gets out.
///
/// Whoever reads slowly slows the bot down; whoever stops reading stops it.
fn say(event: &str, fields: &[(&str, Value)]) {
    let mut line = format!("{{\"event\":\"{event}\"");
    for (name, value) in fields {
        line.push_str(&format!(",\"{name}\":{value}"));
    }
    line.push_str("}\n");
    let mut out = std::io::stdout().lock();
    if let Err(error) = out.write_all(line.as_bytes()).and_then(|()| out.flush()) {
        eprintln!("error: the events cannot be written to stdout: {error}");
        std::process::exit(1);
    }
}

fn error(message: &str) {
    say("error", &[("message", json!(message))]);
}

fn name(id: BotId) -> Value {
    json!(id.to_string())
}

/// The stream is 64 bits at random, more than a JSON number is sure to keep.
fn post_name(id: &PostId) -> [(&'static str, Value); 3] {
    let stream = format!("{:016x}", id.stream.as_u64());
    [("origin", name(id.origin)), ("stream", json!(stream)), ("seq", json!(id.seq))]
}

fn side_name(side: Side) -> Value {
    json!(match side {
        Side::Client => "client",
        Side::Server => "server",
    })
}

fn suite_name(suite: Suite) -> Value {
    json!(match suite {
        Suite::Aes256Gcm => "aes-256-gcm",
        Suite::ChaCha20Poly1305 => "chacha20-poly1305",
    })
}

fn millis(span: Duration) -> Value {
    json!(u64::try_from(span.as_millis()).unwrap_or(u64::MAX))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(target_arch = "x86_64")]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(not(target_arch = "x86_64"))]
const fn has_aes() -> bool {
    false
}
