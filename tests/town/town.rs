//! A town of whole nodes in virtual time: handshakes, links, ledgers and disks, without a socket.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use interbot::crypto::Pure;
use interbot::ledger::{Answer, Ask, Founding, Genesis, Invitation, Journal, LedgerEvent, Preset, Rules, StatementId};
use interbot::link::Binding;
use interbot::node::{Action, Config, Event, JoinState, LinkId, Node, Output, PersistId, Record, RestoreError};
use interbot::{BotId, CommunityId, Identity, Instant, UnixMillis};

/// When every town is founded.
pub(crate) const DAWN: u64 = 1_700_000_000_000;

pub(crate) struct Bot {
    pub(crate) identity: Identity,
    pub(crate) node: Option<Node>,
    pub(crate) disk: BTreeMap<Bytes, Bytes>,
    pub(crate) events: Vec<Event>,
    /// How its owner votes on everything, if at all.
    pub(crate) habit: Option<Answer>,
    /// Records that are kept back, when its disk is slow.
    pub(crate) slow_disk: bool,
    pub(crate) unsynced: VecDeque<(PersistId, Record)>,
    /// Writes until its power fails, if it does.
    pub(crate) writes_left: Option<u64>,
    /// How often reading of a link was paused.
    pub(crate) paused: u64,
    /// All writes that became durable.
    pub(crate) writes: u64,
    starts: u8,
}

pub(crate) struct Town {
    pub(crate) now: u64,
    pub(crate) bots: Vec<Bot>,
    pub(crate) genesis: Genesis,
    /// Ends of streams: whose, and which link of it.
    streams: BTreeMap<(usize, LinkId), (usize, LinkId)>,
    /// Bots that nobody reaches.
    pub(crate) away: BTreeSet<usize>,
    /// Streams of whom a test plays: what the bot at the other end sent on them, and whether it closed them.
    pub(crate) outside: BTreeMap<(usize, LinkId), Outside>,
    /// Of these, those that take nothing.
    pub(crate) stuck: BTreeSet<(usize, LinkId)>,
    /// Streams that bots opened to addresses of such, not taken yet.
    pub(crate) calls: VecDeque<(usize, LinkId)>,
    /// Writes until the power of the next that starts fails.
    pub(crate) first_writes: Option<u64>,
    /// How often anybody woke.
    pub(crate) ticks: u64,
    /// Has the last word on what a bot is started with.
    configure: Configure,
}

/// The far end of a stream that a test plays.
#[derive(Debug, Default)]
pub(crate) struct Outside {
    pub(crate) bytes: Vec<u8>,
    pub(crate) is_closed: bool,
}

type Configure = Box<dyn FnMut(usize, &mut Config)>;

pub(crate) fn identity(number: usize) -> Identity {
    Identity::from_seed([number as u8 + 1; 32])
}

pub(crate) fn id(number: usize) -> BotId {
    identity(number).id()
}

pub(crate) fn address(number: usize) -> String {
    format!("bot{number}.example:7000")
}

/// A week takes 168 s, an hour one second.
pub(crate) fn rules() -> Rules {
    Rules::preset(Preset::Village).with_vote_window(Duration::from_secs(168))
}

impl Town {
    /// Founders, all linked with the first.
    pub(crate) fn found(founders: usize) -> Self {
        Self::found_with(rules(), founders)
    }

    pub(crate) fn found_with(rules: Rules, founders: usize) -> Self {
        Self::found_configured(rules, founders, Box::new(|_, _| {}))
    }

    pub(crate) fn found_configured(rules: Rules, founders: usize, configure: Configure) -> Self {
        let founding = Founding {
            rules,
            founders: (0..founders).map(id).collect(),
            opened_at: UnixMillis(DAWN),
            nonce: [7; 16],
            text: Bytes::from_static(b"a town"),
        };
        let sign = |at| (id(at), founding.sign(&*identity(at).signer(&Pure)));
        let signatures: Vec<_> = (0..founders).map(sign).collect();
        let genesis = Genesis::new(founding, &signatures, &Pure).expect("all founders signed");
        let (streams, away) = (BTreeMap::new(), BTreeSet::new());
        let (outside, stuck, calls) = (BTreeMap::new(), BTreeSet::new(), VecDeque::new());
        let mut town = Self {
            now: 0,
            bots: Vec::new(),
            genesis,
            streams,
            away,
            outside,
            stuck,
            calls,
            first_writes: None,
            ticks: 0,
            configure,
        };
        for _ in 0..founders {
            let config = Config::founded(town.genesis.clone(), Journal::New, town.wall());
            town.start(config);
        }
        for at in 1..founders {
            town.dial(at, 0);
        }
        town.run(2);
        town
    }

    pub(crate) fn wall(&self) -> UnixMillis {
        UnixMillis(DAWN + self.now / 1_000_000)
    }

    pub(crate) fn instant(&self) -> Instant {
        Instant::from_nanos(self.now)
    }

    pub(crate) fn community(&self) -> CommunityId {
        self.genesis.community()
    }

    /// A bot that nobody knows yet, with what it is started from.
    pub(crate) fn start(&mut self, mut config: Config) -> usize {
        let at = self.bots.len();
        config.crypto = Arc::new(Pure);
        (self.configure)(at, &mut config);
        let node = Node::new(config, &identity(at), [at as u8 ^ 0x5a; 32], self.instant());
        self.bots.push(Bot {
            identity: identity(at),
            node: Some(node),
            disk: BTreeMap::new(),
            events: Vec::new(),
            habit: None,
            slow_disk: false,
            unsynced: VecDeque::new(),
            writes_left: self.first_writes.take(),
            writes: 0,
            paused: 0,
            starts: 0,
        });
        self.pump();
        at
    }

    pub(crate) fn invited(&mut self, invitation: &Invitation) -> usize {
        let line: Invitation = invitation.to_string().parse().expect("a line is read as it was written");
        let wall = self.wall();
        self.start(Config::invited(line, &b"let me in"[..], wall))
    }

    pub(crate) fn invite(&mut self, at: usize) -> Invitation {
        let (now, address) = (self.instant(), address(at));
        let made = self.node(at).invite(now, &address, None, Duration::from_secs(86_400)).expect("a member invites");
        self.pump();
        made
    }

    /// Stops as by a loss of power: what was not synced is gone.
    pub(crate) fn crash(&mut self, at: usize) {
        self.lose_power(at);
        self.pump();
    }

    fn lose_power(&mut self, at: usize) {
        let gone: Vec<_> = self.streams.keys().filter(|(bot, _)| *bot == at).copied().collect();
        for end in gone {
            self.cut(end);
        }
        self.bots[at].node = None;
        self.bots[at].unsynced.clear();
        self.bots[at].writes_left = None;
        self.outside.retain(|(bot, _), _| *bot != at);
    }

    pub(crate) fn restart(&mut self, at: usize) {
        let wall = self.wall();
        let config = Config::remembered(self.community(), wall);
        self.restart_with(at, config);
    }

    pub(crate) fn restart_with(&mut self, at: usize, config: Config) {
        self.try_restart(at, config).expect("its own records");
    }

    pub(crate) fn try_restart(&mut self, at: usize, mut config: Config) -> Result<(), RestoreError> {
        config.crypto = Arc::new(Pure);
        (self.configure)(at, &mut config);
        let now = self.instant();
        let bot = &mut self.bots[at];
        bot.starts += 1;
        let records = bot.disk.iter().map(|(key, value)| Record { key: key.clone(), value: value.clone() });
        let seed = [at as u8 ^ 0x5a ^ bot.starts << 4; 32];
        let node = Node::restore(config, &bot.identity, seed, now, records.collect::<Vec<_>>());
        bot.node = Some(node?);
        self.pump();
        Ok(())
    }

    pub(crate) fn node(&mut self, at: usize) -> &mut Node {
        self.bots[at].node.as_mut().expect("it is up")
    }

    pub(crate) fn dial(&mut self, from: usize, to: usize) {
        let (now, peer) = (self.instant(), id(to));
        self.node(from).dial(now, peer, address(to)).expect("a member");
        self.pump();
    }

    pub(crate) fn do_at<R>(&mut self, at: usize, what: impl FnOnce(&mut Node, Instant) -> R) -> R {
        let now = self.instant();
        let result = what(self.node(at), now);
        self.pump();
        result
    }

    fn cut(&mut self, end: (usize, LinkId)) {
        let now = self.instant();
        if let Some(other) = self.streams.remove(&end) {
            self.streams.remove(&other);
            if let Some(node) = &mut self.bots[other.0].node {
                node.handle_ended(now, other.1);
            }
        }
    }

    /// Cuts one of the streams, by lot.
    pub(crate) fn cut_any(&mut self, lot: usize) {
        let ends: Vec<_> = self.streams.keys().copied().collect();
        if let Some(end) = ends.get(lot % ends.len().max(1)).copied() {
            let now = self.instant();
            self.cut(end);
            if let Some(node) = &mut self.bots[end.0].node {
                node.handle_ended(now, end.1);
            }
            self.pump();
        }
    }

    /// Makes everything durable that slow disks were given.
    pub(crate) fn sync(&mut self, at: usize) {
        let now = self.instant();
        while let Some((id, record)) = self.bots[at].unsynced.pop_front() {
            store(&mut self.bots[at].disk, &record);
            self.node(at).persisted(now, id);
        }
        self.pump();
    }

    /// Does what the nodes ask until none asks.
    pub(crate) fn pump(&mut self) {
        let mut is_idle = false;
        while !is_idle {
            is_idle = true;
            for at in 0..self.bots.len() {
                while let Some(node) = &mut self.bots[at].node {
                    let Output::Do(action) = node.poll() else { break };
                    is_idle = false;
                    self.act(at, action);
                }
            }
        }
    }

    fn act(&mut self, at: usize, action: Action) {
        let now = self.instant();
        match action {
            Action::Send { link, bytes } => {
                let len = bytes.len();
                if self.stuck.contains(&(at, link)) {
                    return;
                }
                if let Some(&(other, theirs)) = self.streams.get(&(at, link))
                    && let Some(node) = &mut self.bots[other].node
                {
                    node.handle_bytes(now, theirs, &bytes).expect("drained");
                } else if let Some(outside) = self.outside.get_mut(&(at, link)) {
                    outside.bytes.extend_from_slice(&bytes);
                }
                self.node(at).handle_written(now, link, len);
            }
            Action::CloseLink { link } => {
                if let Some(outside) = self.outside.get_mut(&(at, link)) {
                    outside.is_closed = true;
                }
                if let Some(other) = self.streams.remove(&(at, link)) {
                    self.streams.remove(&other);
                    if let Some(node) = &mut self.bots[other.0].node {
                        node.handle_ended(now, other.1);
                    }
                }
            }
            Action::Dial { link, address, .. } if address.starts_with("played") => {
                self.outside.insert((at, link), Outside::default());
                self.calls.push_back((at, link));
                self.node(at).handle_dialled(now, link, Binding::None);
            }
            Action::Dial { link, address: wanted, .. } => {
                let found = (0..self.bots.len()).find(|other| address(*other) == wanted);
                let found = found.filter(|other| !self.away.contains(other) && !self.away.contains(&at));
                let accepted = found.and_then(|other| {
                    let link = self.bots[other].node.as_mut()?.handle_accepted(now, Binding::None).ok()?;
                    Some((other, link))
                });
                match accepted {
                    Some(other) => {
                        self.streams.insert((at, link), other);
                        self.streams.insert(other, (at, link));
                        self.node(at).handle_dialled(now, link, Binding::None);
                    }
                    None => self.node(at).handle_ended(now, link),
                }
            }
            Action::Persist { id, record } => {
                if self.bots[at].writes_left == Some(0) {
                    return self.lose_power(at);
                }
                if self.bots[at].slow_disk {
                    self.bots[at].unsynced.push_back((id, record));
                } else {
                    let bot = &mut self.bots[at];
                    store(&mut bot.disk, &record);
                    bot.writes += 1;
                    bot.writes_left = bot.writes_left.map(|left| left - 1);
                    self.node(at).persisted(now, id);
                }
            }
            Action::PauseReading { .. } => self.bots[at].paused += 1,
            Action::ResumeReading { .. } => {}
            Action::Notify(event) => {
                if let (Event::Ledger(event), Some(answer)) = (&event, self.bots[at].habit)
                    && let LedgerEvent::Proposed(question) = &**event
                {
                    let question = question.id;
                    let _ = self.node(at).vote(now, question, Some(answer));
                }
                self.bots[at].events.push(event);
            }
        }
    }

    /// Lets so many seconds go by.
    pub(crate) fn run(&mut self, seconds: u64) {
        self.run_millis(seconds * 1_000);
    }

    pub(crate) fn run_millis(&mut self, millis: u64) {
        let end = self.now + millis * 1_000_000;
        loop {
            self.pump();
            let wakes = self.bots.iter_mut().filter_map(|bot| match bot.node.as_mut()?.poll() {
                Output::Idle { wake_at } => wake_at,
                Output::Do(_) => unreachable!("it was pumped"),
            });
            let next = wakes.min().map_or(end, |at| at.as_nanos()).min(end);
            if next >= end {
                self.now = end;
                self.tick();
                return;
            }
            self.now = next.max(self.now + 1_000_000);
            self.tick();
        }
    }

    fn tick(&mut self) {
        let now = self.instant();
        self.ticks += 1;
        for at in 0..self.bots.len() {
            if let Some(node) = &mut self.bots[at].node {
                node.handle_timeout(now);
            }
        }
        self.pump();
    }

    /// Runs until something holds, at most so many seconds; whether it does.
    pub(crate) fn run_until(&mut self, seconds: u64, mut holds: impl FnMut(&mut Self) -> bool) -> bool {
        for _ in 0..seconds {
            if holds(self) {
                return true;
            }
            self.run(1);
        }
        holds(self)
    }

    pub(crate) fn everybody_says(&mut self, answer: Answer) {
        self.bots.iter_mut().for_each(|bot| bot.habit = Some(answer));
    }

    pub(crate) fn is_member(&mut self, at: usize, who: usize) -> bool {
        self.node(at).ledger().is_some_and(|ledger| ledger.roster().get(&id(who)).is_some())
    }

    pub(crate) fn height(&mut self, at: usize) -> u64 {
        self.node(at).ledger().map_or(0, |ledger| ledger.place().height.0)
    }

    pub(crate) fn states(&self, at: usize) -> Vec<JoinState> {
        let states = self.bots[at].events.iter().filter_map(|event| match event {
            Event::Joining(state) => Some(state.clone()),
            _ => None,
        });
        states.collect()
    }

    /// Asks for rules that differ in the number of witnesses.
    pub(crate) fn amend(&mut self, at: usize, witnesses: u8) -> StatementId {
        let rules = self.node(at).ledger().expect("it has a ledger").rules().clone();
        let ask = Ask::Amend(Rules { witnesses, ..rules });
        self.do_at(at, |node, now| node.propose(now, ask, &b"other rules"[..])).expect("a member asks")
    }

    /// Whether a bot's application was handed such a post.
    pub(crate) fn heard(&self, at: usize, body: &[u8]) -> bool {
        self.bots[at].events.iter().any(|event| matches!(event, Event::Post { post, .. } if *post.body() == *body))
    }

    /// Whether the first bot counts this answer of another one.
    pub(crate) fn voted(&mut self, who: usize, question: StatementId, answer: Answer) -> bool {
        let ledger = self.node(0).ledger().expect("it has a ledger");
        ledger.votes(&question).any(|(member, given)| member == id(who) && given == answer)
    }

    pub(crate) fn questions(&mut self, at: usize) -> Vec<StatementId> {
        let ledger = self.node(at).ledger().expect("it has a ledger");
        ledger.questions().iter().map(|question| question.id).collect()
    }
}

fn store(disk: &mut BTreeMap<Bytes, Bytes>, record: &Record) {
    if record.value.is_empty() {
        disk.remove(&record.key);
    } else {
        disk.insert(record.key.clone(), record.value.clone());
    }
}
