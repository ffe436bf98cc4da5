//! The running bot: commands in, events out.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{BufRead, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use interbot::crypto::{Pure, Suite};
use interbot::ledger::{Founding, Genesis, Invitation, Journal, LedgerEvent, Preset, Rules};
use interbot::link::{Capabilities, CloseReason, Code, Kind, Side};
use interbot::node::{Config, DialError, Event, JoinState, Node, PersistId, RestoreError};
use interbot::overlay::PostId;
use interbot::{BotId, CommunityId, Identity, Instant};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::common::{Clock, Host, Then, Tls, Writes, listen, random_seed, wall_clock};
use crate::records::Records;
use crate::{
    BotArgs, FoundArgs, JoinArgs, ListenArgs, Peer, PresetName, Refusal, RunArgs, events, files, owner, words,
};

/// What an event says, in this order.
pub(crate) type Fields = Vec<(&'static str, Value)>;

/// What the operator types, or a signal says.
enum Command {
    Post(Vec<u8>),
    Links,
    Stats,
    Quit,
    Other(String),
}

/// Where the bot's community comes from.
enum Start {
    /// A list, and a name.
    List(PathBuf, String),
    Found(Rules, String),
    Join(Box<Invitation>, String),
    /// The records.
    Known,
}

/// Founds a community and runs its first bot.
pub(crate) fn found(args: FoundArgs) -> Result<(), Refusal> {
    let rules = Rules::preset(match args.preset {
        PresetName::Village => Preset::Village,
        PresetName::Seed => Preset::Seed,
    });
    let rules = args.window.map_or(rules.clone(), |window| rules.with_vote_window(window));
    rules.check().map_err(|error| Refusal::Input(format!("--window: {error}")))?;
    let listen = ListenArgs { listen: Some(args.listen), no_listen: false };
    start(args.bot, &listen, Start::Found(rules, args.text))
}

/// Joins a community and runs the bot.
pub(crate) fn join(args: JoinArgs) -> Result<(), Refusal> {
    args.line.check_expiry(wall_clock()).map_err(|error| Refusal::Input(error.to_string()))?;
    start(args.bot, &args.listen, Start::Join(Box::new(args.line), args.words))
}

/// Runs the bot in the community that it knows, or with a list.
pub(crate) fn run(args: RunArgs) -> Result<(), Refusal> {
    let from = match (args.members, args.community) {
        (Some(members), Some(community)) => Start::List(members, community),
        _ => Start::Known,
    };
    if args.listen.no_listen && args.bot.dial.is_empty() && matches!(from, Start::List(..)) {
        let why = "a bot that takes no links has to dial one: name it with --dial <ID@ADDR>";
        return Err(Refusal::Input(why.to_string()));
    }
    start(args.bot, &args.listen, from)
}

/// Runs the bot until it is told to stop.
#[tokio::main(flavor = "current_thread")]
async fn start(args: BotArgs, listens: &ListenArgs, from: Start) -> Result<(), Refusal> {
    let clock = Clock::start();
    let identity = files::read_key(&args.key)?;
    let file = args.records.unwrap_or_else(|| {
        let mut name = args.key.into_os_string();
        name.push(".records");
        name.into()
    });
    let list = if let Start::List(members, _) = &from { Some(members.clone()) } else { None };
    let (mut config, records) = configure(from, &identity, &file)?;
    config.aes = has_aes();
    if listens.no_listen {
        config.capabilities = Capabilities::CLIENT_ONLY;
    }
    let community = config.ledger.as_ref().map(|_| config.community);
    let unreadable = unreadable(&file);
    let kept = records.read().map_err(&unreadable)?;
    let node = Node::restore(config, &identity, random_seed(), clock.now(), kept);
    let mut node = node.map_err(|error| Refusal::Input(format!("{}: {error}", file.display())))?;

    let listener = match listens.listen {
        Some(address) => Some(listen(address).map_err(|error| {
            Refusal::System(format!("cannot listen at {address}: {error}; name another address with --listen"))
        })?),
        None => None,
    };
    let address = listener.as_ref().map(tokio::net::TcpListener::local_addr).transpose();
    let address = address.map_err(|error| Refusal::System(error.to_string()))?;
    let mut app = App {
        unpublished: 0,
        stopping: false,
        records: community.map(|_| records.clone()),
        dials: BTreeMap::new(),
        address,
        waiting: Vec::new(),
    };
    if let Some(list) = list {
        for peer in args.dial {
            node.dial(clock.now(), peer.id, peer.address).map_err(|error| match error {
                DialError::NotAMember(id) => {
                    Refusal::Input(format!("{id} is to be dialled, but not in {}: add it there first", list.display()))
                }
                error => Refusal::Input(format!("--dial: {error}")),
            })?;
        }
    } else {
        app.dials = records.dials().map_err(&unreadable)?.into_iter().map(|peer| (peer.id, peer.address)).collect();
        for peer in args.dial {
            if peer.id == identity.id() {
                return Err(Refusal::Input(format!("--dial: {}", DialError::OurOwnKey)));
            }
            app.remember(peer).map_err(Refusal::System)?;
        }
        app.dial_members(&mut node, clock.now());
    }

    let tls = if args.plain { None } else { Some(Tls::new().map_err(|error| Refusal::System(error.to_string()))?) };
    let commands = commands()?;
    if let Some(address) = address {
        say("listening", &[("address", json!(address.to_string()))]);
    }
    if let Some(community) = community {
        let mut fields: Fields = [("community", json!(words::community(&community)))].into();
        fields.push(("this_bot", name(identity.id())));
        fields.extend(events::place(node.ledger()));
        fields.push(("says", json!("type `help`; start it again with `bot run --key FILE --listen ADDR`")));
        say("community", &fields);
    }

    let app = RefCell::new(app);
    let (store, written) = records.store();
    let mut host = Host::new(node, clock, tls, store);
    host.run_with(
        listener,
        commands,
        |node, now, event, cause| app.borrow_mut().on_event(node, now, event, cause),
        |node, now, command| app.borrow_mut().on_command(node, now, command),
        |writes| app.borrow_mut().on_idle(writes),
    )
    .await;
    let snapshot = host.node.snapshot();
    drop(host);
    // The thread that writes for the host ends with it; what it still writes must not come after the snapshot.
    let _ = written.recv();
    records
        .put(&snapshot)
        .map_err(|error| Refusal::System(format!("the records {} cannot be written: {error}", file.display())))
}

fn unreadable(file: &Path) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> Refusal {
    move |error| Refusal::System(format!("the records {} cannot be read: {error}", file.display()))
}

/// Says what the node begins with, and opens the records of exactly this community.
fn configure(from: Start, identity: &Identity, file: &Path) -> Result<(Config, Records), Refusal> {
    // A wrong list leaves no file behind.
    let list = match &from {
        Start::List(members, community) => Some((files::read_members(members)?, CommunityId::from_name(community))),
        _ => None,
    };
    let records = Records::open(file)?;
    let known = records.community().map_err(unreadable(file))?;
    let begin = |community: CommunityId| {
        records
            .set_community(&community)
            .map_err(|error| Refusal::System(format!("the records {} cannot be written: {error}", file.display())))
    };
    let (wall, shown) = (wall_clock(), file.display());
    let config = match (from, known) {
        (Start::List(..) | Start::Found(..), Some(_)) => {
            return Err(Refusal::Input(format!(
                "{shown} holds a community that votes on its members: go on in it with `bot run --key FILE --listen ADDR`, \
                 or name another file with --records"
            )));
        }
        (Start::Join(invitation, _), Some(known)) if invitation.community() != known => {
            return Err(Refusal::Input(format!("{shown}: {}", RestoreError::OtherCommunity)));
        }
        (Start::Known, None) => {
            return Err(Refusal::Input(format!(
                "{shown} holds no community: found one with `bot found`, join one with `bot join LINE`, or name a fixed \
                 list with --members and --community"
            )));
        }
        (Start::List(..), None) => {
            let (members, community) = list.unwrap_or_else(|| unreachable!("it was read above"));
            Config::new(community, members)
        }
        (Start::Found(rules, text), None) => {
            let genesis = genesis(identity, rules, text)?;
            begin(genesis.community())?;
            Config::founded(genesis, Journal::New, wall)
        }
        (Start::Join(invitation, words), _) => {
            begin(invitation.community())?;
            // While it joins, the library dials the inviter by itself; as a member it is for the host to know whom.
            let addresses: Vec<&str> = invitation.addresses().collect();
            records
                .set_dial(&invitation.inviter(), &addresses.join(","))
                .map_err(|error| Refusal::System(format!("the records {shown} cannot be written: {error}")))?;
            Config::invited(*invitation, words, wall)
        }
        (Start::Known, Some(community)) => Config::remembered(community, wall),
    };
    Ok((config, records))
}

/// A community of one.
fn genesis(identity: &Identity, rules: Rules, text: String) -> Result<Genesis, Refusal> {
    let mut nonce = [0; 16];
    nonce.copy_from_slice(&random_seed()[..16]);
    let founding = Founding {
        rules,
        founders: vec![identity.id()],
        opened_at: wall_clock(),
        nonce,
        text: text.into_bytes().into(),
    };
    let signature = founding.sign(&*identity.signer(&Pure));
    Genesis::new(founding, &[(identity.id(), signature)], &Pure).map_err(|error| Refusal::Input(error.to_string()))
}

/// The application around the node.
pub(crate) struct App {
    /// Own posts that wait for the disk.
    unpublished: usize,
    stopping: bool,
    /// Nothing with a fixed list.
    records: Option<Records>,
    /// Whom this bot dials in a community that votes, as soon as they are members.
    dials: BTreeMap<BotId, String>,
    address: Option<SocketAddr>,
    /// Events that are told once what was written before them is durable, with the newest of these writes.
    waiting: Vec<(Option<PersistId>, &'static str, Fields)>,
}

impl App {
    /// Where this bot takes links.
    pub(crate) fn listens(&self) -> Option<SocketAddr> {
        self.address
    }

    /// Whom to dial after every start.
    pub(crate) fn remember(&mut self, peer: Peer) -> Result<(), String> {
        if let Some(records) = &self.records {
            let written = records.set_dial(&peer.id, &peer.address);
            written.map_err(|error| format!("the address cannot be written down: {error}"))?;
        }
        self.dials.insert(peer.id, peer.address);
        Ok(())
    }

    pub(crate) fn say_when_durable(&mut self, event: &'static str, fields: Fields) {
        self.waiting.push((None, event, fields));
    }

    fn on_idle(&mut self, writes: Writes) {
        self.waiting.retain_mut(|(needed, event, fields)| {
            // What the node wanted written for it was given out by now.
            let needed =
                *needed.get_or_insert_with(|| writes.asked.unwrap_or_else(|| unreachable!("it wrote something")));
            let is_durable = writes.durable.is_some_and(|durable| durable >= needed);
            if is_durable {
                say(event, fields);
            }
            !is_durable
        });
    }

    /// Those who may be dialled by now are; the node leaves those whom it dials already as they are.
    fn dial_members(&self, node: &mut Node, now: Instant) {
        for (peer, address) in &self.dials {
            match node.dial(now, *peer, address) {
                Ok(()) | Err(DialError::NotAMember(_)) => {}
                Err(refused) => error(&refused.to_string()),
            }
        }
    }

    fn on_ledger(&mut self, node: &mut Node, now: Instant, event: &LedgerEvent) {
        events::tell(node, event);
        if let LedgerEvent::Height { departed, .. } = event {
            for gone in departed.iter().filter(|gone| **gone != node.id()) {
                if self.dials.remove(gone).is_some()
                    && let Some(records) = &self.records
                    && let Err(failure) = records.set_dial(gone, "")
                {
                    error(&format!("an address cannot be forgotten: {failure}"));
                }
            }
        }
        if matches!(event, LedgerEvent::Height { .. } | LedgerEvent::Guest { .. }) {
            self.dial_members(node, now);
        }
    }

    fn on_event(&mut self, node: &mut Node, now: Instant, event: Event, cause: Option<std::io::Error>) -> Then {
        match event {
            Event::LinkUp { link, peer, kind, side, suite, bound, .. } => {
                let mut fields: Fields = [
                    ("link", json!(link.as_u64())),
                    ("peer", name(peer)),
                    ("side", side_name(side)),
                    ("suite", suite_name(suite)),
                    ("tls", json!(bound)),
                ]
                .into();
                if kind == Kind::Candidate {
                    fields.push(("as", json!("applicant")));
                }
                say("link_up", &fields);
            }
            Event::Closed { link, peer, reason, retry_at } => {
                let mut fields: Fields = [
                    ("link", json!(link.as_u64())),
                    ("peer", peer.map_or(Value::Null, name)),
                    ("reason", json!(cause.map_or(reason.to_string(), |cause| format!("{reason}: {cause}")))),
                    ("retry_in_ms", retry_at.map_or(Value::Null, |at| millis(at.since(now)))),
                ]
                .into();
                let is_unknown = matches!(reason, CloseReason::Peer { code: Code::UnknownMember, .. });
                if is_unknown && self.records.is_some() {
                    let says = "the peer counts this bot as no member: it was removed, or did not answer for too long; \
                                to come back takes an invitation";
                    fields.push(("says", json!(says)));
                }
                say("closed", &fields);
            }
            Event::Post { post, .. } => {
                let body = post.body();
                let text = match std::str::from_utf8(&body) {
                    Ok(text) => ("text", json!(text)),
                    Err(_) => ("hex", json!(words::hex(&body))),
                };
                let [origin, stream, seq] = post_name(&post.id());
                say("post", &[origin, stream, seq, text]);
            }
            Event::Published { id } => {
                self.unpublished -= 1;
                say("published", &post_name(&id));
            }
            Event::Ready => say("ready", &[]),
            Event::Ledger(event) => self.on_ledger(node, now, &event),
            Event::Applied { applicant, words } => owner::applied(applicant, &words),
            Event::Joining(state) => {
                events::tell_joining(node, &state);
                if matches!(state, JoinState::Guest { .. } | JoinState::Member) {
                    self.dial_members(node, now);
                }
            }
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
            Command::Other(line) if self.records.is_some() => {
                if let Err(message) = owner::command(self, node, now, &line) {
                    error(&message);
                }
            }
            Command::Other(line) => {
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
                None => Command::Other(String::from_utf8_lossy(line).into_owned()),
            },
        });
    }
}

/// Prints one event, and sees to it that it gets out.
///
/// Whoever reads slowly slows the bot down; whoever stops reading stops it.
pub(crate) fn say(event: &str, fields: &[(&str, Value)]) {
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

pub(crate) fn name(id: BotId) -> Value {
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

#[cfg(target_arch = "x86_64")]
fn has_aes() -> bool {
    std::arch::is_x86_feature_detected!("aes")
}

#[cfg(not(target_arch = "x86_64"))]
const fn has_aes() -> bool {
    false
}
