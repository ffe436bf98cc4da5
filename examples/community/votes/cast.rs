//! The bots of the story: each a whole node behind a socket of its own, with its records in memory.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use bytes::Bytes;
use interbot::ledger::Ledger;
use interbot::node::{Config, Event, Node, Record};
use interbot::{BotId, Identity, Instant};
use sha2::{Digest, Sha256};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;

use super::Done;
use crate::common::{self, Clock, Host, Store, Then, Tls};

/// How often the story looks when no event tells it to.
const LOOK: Duration = Duration::from_millis(20);

/// Everybody who takes part, in the order in which they appear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Ann,
    Bob,
    Cleo,
    Dan,
    Eve,
    Frank,
    Gina,
}

impl Who {
    pub(crate) const ALL: [Self; 7] = [Self::Ann, Self::Bob, Self::Cleo, Self::Dan, Self::Eve, Self::Frank, Self::Gina];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Ann => "ann",
            Self::Bob => "bob",
            Self::Cleo => "cleo",
            Self::Dan => "dan",
            Self::Eve => "eve",
            Self::Frank => "frank",
            Self::Gina => "gina",
        }
    }
}

impl AsRef<str> for Who {
    fn as_ref(&self) -> &str {
        self.name()
    }
}

/// What a host's disk would hold.
#[derive(Clone, Default)]
struct Disk(Arc<Mutex<BTreeMap<Bytes, Bytes>>>);

impl Disk {
    fn open(&self) -> MutexGuard<'_, BTreeMap<Bytes, Bytes>> {
        self.0.lock().expect("nothing panics while it writes")
    }
}

impl Store for Disk {
    fn put(&mut self, records: &[Record]) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
        let mut disk = self.open();
        for record in records {
            // An empty value takes the record away.
            if record.value.is_empty() {
                disk.remove(&record.key);
            } else {
                disk.insert(record.key.clone(), record.value.clone());
            }
        }
        Ok(())
    }
}

/// Runs inside a bot's host, with its node at hand.
type Command = Box<dyn FnOnce(&mut Node, Instant) -> Then + Send>;

/// A bot that runs.
struct Life {
    commands: mpsc::Sender<Command>,
    task: JoinHandle<()>,
}

struct Bot {
    identity: Identity,
    address: String,
    disk: Disk,
    /// With the moment at which each came.
    events: Arc<Mutex<Vec<(Instant, Event)>>>,
    life: Option<Life>,
}

/// All bots, and what the story needs to watch them.
pub(crate) struct Cast {
    pub(crate) clock: Clock,
    tls: Option<Tls>,
    bots: Vec<Bot>,
    /// Something happened somewhere.
    changed: Arc<Notify>,
    /// What the story is about now, for whoever reads that it failed.
    pub(crate) act: &'static str,
}

impl Cast {
    pub(crate) fn new(seed: u64, tls: Option<Tls>) -> Self {
        let bot = |who: Who| Bot {
            // Good for a demonstration, no secret at all.
            identity: Identity::from_seed(Sha256::digest(format!("community votes {seed} {}", who.name())).into()),
            address: String::new(),
            disk: Disk::default(),
            events: Arc::default(),
            life: None,
        };
        let bots = Who::ALL.map(bot).into();
        Self { clock: Clock::start(), tls, bots, changed: Arc::default(), act: "" }
    }

    fn bot(&self, who: Who) -> &Bot {
        &self.bots[who as usize]
    }

    pub(crate) fn id(&self, who: Who) -> BotId {
        self.identity(who).id()
    }

    pub(crate) fn identity(&self, who: Who) -> &Identity {
        &self.bot(who).identity
    }

    pub(crate) fn address(&self, who: Who) -> &str {
        &self.bot(who).address
    }

    pub(crate) const fn tls(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(crate) fn name(&self, key: &BotId) -> &'static str {
        Who::ALL.into_iter().find(|who| self.id(*who) == *key).map_or("a stranger", Who::name)
    }

    /// Names in place of the short keys that the library prints.
    pub(crate) fn with_names(&self, text: &str) -> String {
        Who::ALL.into_iter().fold(text.to_owned(), |text, who| text.replace(&self.id(who).short(), who.name()))
    }

    /// Starts a bot behind a new port, with the records that it has.
    pub(crate) fn start(&mut self, who: Who, mut config: Config) -> Done {
        config.aes = crate::has_aes();
        let listener = common::listen(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))
            .map_err(|e| format!("cannot listen on loopback: {e}"))?;
        let (clock, tls, changed) = (self.clock, self.tls.clone(), self.changed.clone());
        let bot = &mut self.bots[who as usize];
        bot.address = listener.local_addr()?.to_string();
        let (disk, events) = (bot.disk.clone(), bot.events.clone());
        let records = disk.open().iter().map(|(k, v)| Record { key: k.clone(), value: v.clone() }).collect::<Vec<_>>();
        let node = Node::restore(config, &bot.identity, common::random_seed(), clock.now(), records)?;
        let (commands, receiver) = mpsc::channel::<Command>(16);
        let task = tokio::spawn(async move {
            let mut host = Host::new(node, clock, tls, disk);
            let on_event = |_: &mut Node, now: Instant, event: Event, _| {
                events.lock().expect("nothing panics while it notes").push((now, event));
                changed.notify_one();
                Then::GoOn
            };
            host.run(Some(listener), receiver, on_event, |node: &mut Node, now, command: Command| command(node, now))
                .await;
        });
        bot.life = Some(Life { commands, task });
        Ok(())
    }

    /// Stops a bot in order: its links hear goodbye.
    pub(crate) async fn stop(&mut self, who: Who) -> Done {
        if let Some(Life { commands, task }) = self.bots[who as usize].life.take() {
            drop(commands);
            task.await?;
        }
        Ok(())
    }

    /// Takes a bot's power away.
    pub(crate) async fn cut_off(&mut self, who: Who) {
        if let Some(Life { task, .. }) = self.bots[who as usize].life.take() {
            task.abort();
            let _ = task.await;
        }
    }

    /// Does something with a bot's node.
    pub(crate) async fn with<T: Send + 'static>(
        &self,
        who: Who,
        what: impl FnOnce(&mut Node, Instant) -> T + Send + 'static,
    ) -> Done<T> {
        let gone = || format!("{} is not running", who.name());
        let life = self.bot(who).life.as_ref().ok_or_else(gone)?;
        let (answer, answered) = oneshot::channel();
        let command = Box::new(move |node: &mut Node, now| {
            let _ = answer.send(what(node, now));
            Then::GoOn
        });
        life.commands.send(command).await.map_err(|_| gone())?;
        Ok(answered.await.map_err(|_| gone())?)
    }

    /// Reads a bot's ledger.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        who: Who,
        what: impl FnOnce(&Ledger) -> T + Send + 'static,
    ) -> Done<T> {
        let read = self.with(who, |node, _| node.ledger().map(what)).await?;
        Ok(read.ok_or_else(|| format!("{} has no ledger yet", who.name()))?)
    }

    /// A record as it is durable now.
    pub(crate) fn record(&self, who: Who, key: &str) -> Option<Bytes> {
        self.bot(who).disk.open().get(key.as_bytes()).cloned()
    }

    /// The first event of a bot in which there is what is looked for, and when it came.
    pub(crate) fn saw<T>(&self, who: Who, mut pick: impl FnMut(&Event) -> Option<T>) -> Option<(Instant, T)> {
        let events = self.bot(who).events.lock().expect("nothing panics while it notes");
        events.iter().find_map(|(at, event)| Some((*at, pick(event)?)))
    }

    /// Waits until `look` finds something.
    ///
    /// # Errors
    /// Names the act, what was waited for, and where everybody stands.
    pub(crate) async fn until<T>(
        &self,
        within: Duration,
        what: &str,
        mut look: impl AsyncFnMut() -> Done<Option<T>>,
    ) -> Done<T> {
        let end = tokio::time::Instant::now() + within;
        loop {
            if let Some(found) = look().await? {
                return Ok(found);
            }
            if tokio::time::Instant::now() >= end {
                return Err(format!("{}: waited {within:?} until {what}\n{}", self.act, self.standing().await).into());
            }
            let _ = tokio::time::timeout(LOOK, self.changed.notified()).await;
        }
    }

    /// Waits until a bot's node shows something.
    pub(crate) async fn shows<T: Send + 'static>(
        &self,
        within: Duration,
        who: Who,
        what: &str,
        look: impl Fn(&Node) -> Option<T> + Clone + Send + 'static,
    ) -> Done<T> {
        let what = format!("{} {what}", who.name());
        let look = async || {
            let look = look.clone();
            self.with(who, move |node, _| look(node)).await
        };
        self.until(within, &what, look).await
    }

    /// Waits until all of them saw something.
    pub(crate) async fn all_saw(
        &self,
        within: Duration,
        whos: &[Who],
        what: &str,
        is_it: impl Fn(&Event) -> bool,
    ) -> Done {
        for who in whos {
            let what = format!("{} {what}", who.name());
            let look = async || Ok(self.saw(*who, |event| is_it(event).then_some(())));
            self.until(within, &what, look).await?;
        }
        Ok(())
    }

    /// Where everybody stands, for whoever looks for what went wrong.
    async fn standing(&self) -> String {
        let mut lines = Vec::new();
        for who in Who::ALL {
            let stands = self.with(who, |node, _| {
                let open = node.links().filter(|link| link.open_since.is_some()).count();
                let ledger = node.ledger().map(|ledger| {
                    let (view, is_sealing) = ledger.view();
                    let (height, members) = (ledger.place().height.0, ledger.roster().members().len());
                    let questions = ledger.questions().len();
                    format!("height {height}, {members} members, {questions} questions, view {} ({is_sealing})", view.0)
                });
                format!("{}, {open} links, {:?}", ledger.unwrap_or_default(), node.join_state())
            });
            if let Ok(stands) = stands.await {
                lines.push(format!("  {}: {stands}", who.name()));
            }
        }
        lines.join("\n")
    }
}
