//! Runs a recording against this code: the same inputs, the recorded answers of crypto and chance, and every output compared.
//!
//! ```
//! use interbot::lab::replay::{Outcome, Replay};
//! use interbot::tape::{Recorder, Recording};
//! # use interbot::node::{Config, Node, Output};
//! # use interbot::{CommunityId, Identity, Instant};
//! # use std::io::Write;
//! # use std::sync::{Arc, Mutex};
//! # #[derive(Clone, Default)]
//! # struct File(Arc<Mutex<Vec<u8>>>);
//! # impl Write for File {
//! #     fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> { self.0.lock().expect("alone").write(bytes) }
//! #     fn flush(&mut self) -> std::io::Result<()> { Ok(()) }
//! # }
//! # let (ann, bob) = (Identity::from_seed([1; 32]), Identity::from_seed([2; 32]));
//! # let mut config = Config::new(CommunityId::from_name("example"), vec![bob.id()]);
//! # let file = File::default();
//! config.recorder = Some(Recorder::new(file.clone()));
//! let mut node = Node::new(config, &ann, [3; 32], Instant::ZERO);
//! node.dial(Instant::from_millis(5), bob.id(), "bob's address")?;
//! while let Output::Do(_) = node.poll() {}
//! drop(node);
//!
//! # let bytes = file.0.lock().expect("alone").clone();
//! let recording = Recording::read(&bytes)?;
//! let outcome = Replay::new(recording).run();
//! assert_eq!(outcome, Outcome::Same { inputs: 1, outputs: 3 });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::iter::Peekable;
use core::time::Duration;

use bytes::Bytes;

use crate::identity::{CommunityId, Identity};
use crate::ledger::{Answer as Vote, Ask, Invitation, StatementId};
use crate::link::{Binding, Capabilities, Code};
use crate::node::{Config, LinkId, Node, PersistId, Record, RestoreError};
use crate::tape::{
    Answer, Blank, Blob, Entry, Header, Input, LedgerEntry, Recorder, Recording, output_line, result_line, seconds,
};
use crate::time::Instant;
use crate::trace::{Event, UnixMillis};

/// Inputs that a divergence shows: 8, so that they fit a screen with it.
const SHOWN: usize = 8;

/// A recording that is run, input by input.
pub struct Replay {
    header: Header,
    config: Config,
    player: Recorder,
    /// Nothing before the first step, which starts it.
    node: Option<Node>,
    entries: Peekable<alloc::vec::IntoIter<(u64, Entry)>>,
    is_whole: bool,
    is_started: bool,
    inputs: u64,
    outputs: u64,
    before: VecDeque<String>,
    divergence: Option<Divergence>,
}

/// One input of a replay, and what the node does now.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// Its number, from 1; 0 is the node's start.
    pub number: u64,
    /// When it happened, on the host's clock.
    pub at: Instant,
    /// Where it stands in the file.
    pub offset: u64,
    /// The input.
    pub input: String,
    /// What it came to and what was polled after it, up to the first difference.
    pub outputs: Vec<String>,
    /// The trace of it.
    pub events: Vec<Event>,
    /// Whether the recording breaks off inside this step.
    pub is_cut: bool,
    /// The first difference, if it is in this step; no step follows it then.
    pub divergence: Option<Divergence>,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", input_line(self.number, self.at, &self.input))?;
        for line in &self.outputs {
            write!(f, "\n            {line}")?;
        }
        if self.is_cut {
            f.write_str("\n            (the recording breaks off here)")?;
        }
        match &self.divergence {
            Some(divergence) => write!(f, "\n{divergence}"),
            None => Ok(()),
        }
    }
}

/// Where a replay first does something else than the recording.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Divergence {
    /// When the input came, on the host's clock.
    pub at: Instant,
    /// The input's number, from 1; 0 is the node's start.
    pub input: u64,
    /// The byte of the recording at which what was expected stands.
    pub offset: u64,
    /// What was recorded.
    pub expected: String,
    /// What happens now.
    pub actual: String,
    /// The last inputs, this one last.
    pub before: Vec<String>,
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = seconds(self.at.as_nanos());
        writeln!(f, "the node diverges from its recording at {at}, input {}, byte {}", self.input, self.offset)?;
        for line in &self.before {
            writeln!(f, "  {line}")?;
        }
        write!(f, "- {}\n+ {}", self.expected, self.actual)
    }
}

/// How a replay ended.
#[derive(Clone, Debug, PartialEq, Eq)]
#[must_use = "a replay that diverged found something"]
#[non_exhaustive]
pub enum Outcome {
    /// Nothing differed.
    Same {
        /// Inputs that were replayed; the start is none.
        inputs: u64,
        /// Lines that were compared.
        outputs: u64,
    },
    /// Something did.
    Diverged(Box<Divergence>),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same { inputs, outputs } => write!(f, "the same: {inputs} inputs, {outputs} outputs"),
            Self::Diverged(divergence) => divergence.fmt(f),
        }
    }
}

/// What stands between two inputs.
#[derive(Default)]
struct Segment {
    answers: Vec<Answer>,
    /// Where the first of each kind stands.
    answers_at: u64,
    lines: Vec<(u64, bool, String)>,
    end: u64,
}

impl Replay {
    /// Prepares a replay; the first step starts the node.
    #[must_use]
    pub fn new(recording: Recording) -> Self {
        Self::changed(recording, |_| {})
    }

    /// Prepares a replay with other members, limits or another beginning of the ledger, to see where that makes a difference.
    /// Crypto stays on the recording.
    #[must_use]
    pub fn changed(recording: Recording, change: impl FnOnce(&mut Config)) -> Self {
        let Recording { header, entries, is_whole, .. } = recording;
        // Without a ledger the community is in no output, and its tags are answered by the recording.
        let ledger = header.ledger.as_ref().and_then(LedgerEntry::start);
        let community = ledger.as_ref().map_or(CommunityId::from_bytes([0; 32]), |start| start.origin.community());
        let mut config = Config::new(community, header.members.iter().map(|id| id.0));
        config.ledger = ledger;
        config.aes = header.aes;
        config.capabilities = Capabilities::from_bits(header.capabilities);
        config.limits = (&header.limits).into();
        config.trace = true;
        change(&mut config);
        let player = Recorder::player();
        config.crypto = Arc::new(Blank { trusts: false });
        config.recorder = Some(player.clone());
        Self {
            header,
            config,
            player,
            node: None,
            entries: entries.into_iter().peekable(),
            is_whole,
            is_started: false,
            inputs: 0,
            outputs: 0,
            before: VecDeque::new(),
            divergence: None,
        }
    }

    /// Runs the next input; nothing at the end, and after a divergence.
    pub fn step(&mut self) -> Option<Step> {
        if self.divergence.is_some() {
            return None;
        }
        let (offset, input) = if self.is_started {
            match self.entries.next()? {
                (offset, Entry::Input(input)) => (offset, Some(input)),
                // A segment takes all that is no input.
                (offset, _) => (offset, None),
            }
        } else {
            (0, None)
        };
        let number = if self.is_started { self.inputs + 1 } else { 0 };
        let at = Instant::from_nanos(input.as_ref().map_or(self.header.now, Input::now));
        let text = input.as_ref().map_or_else(|| "start".to_string(), ToString::to_string);
        if self.before.len() == SHOWN {
            self.before.pop_front();
        }
        self.before.push_back(input_line(number, at, &text));
        let mut step = Step {
            number,
            at,
            offset,
            input: text,
            outputs: Vec::new(),
            events: Vec::new(),
            is_cut: false,
            divergence: None,
        };
        self.run_step(&mut step, input);
        if let Some(node) = &mut self.node {
            step.events.extend(core::iter::from_fn(|| node.poll_trace()));
        }
        self.is_started = true;
        self.inputs = number;
        self.divergence.clone_from(&step.divergence);
        Some(step)
    }

    /// Runs all inputs up to this instant, or up to a divergence.
    pub fn until(&mut self, at: Instant) -> Vec<Step> {
        let mut steps = Vec::new();
        while self.next_at().is_some_and(|next| next <= at) {
            steps.extend(self.step());
        }
        steps
    }

    /// Runs all that is left.
    pub fn run(&mut self) -> Outcome {
        while self.step().is_some() {}
        match &self.divergence {
            Some(divergence) => Outcome::Diverged(Box::new(divergence.clone())),
            None => Outcome::Same { inputs: self.inputs, outputs: self.outputs },
        }
    }

    /// When the next input happened; nothing at the end, and after a divergence.
    #[must_use]
    pub fn next_at(&mut self) -> Option<Instant> {
        if self.divergence.is_some() {
            return None;
        }
        if !self.is_started {
            return Some(Instant::from_nanos(self.header.now));
        }
        self.entries.peek().map(|(_, entry)| match entry {
            Entry::Input(input) => Instant::from_nanos(input.now()),
            _ => Instant::ZERO,
        })
    }

    /// The node as it is now; nothing before the first step. What it is told apart from the recording makes it diverge.
    #[must_use]
    pub const fn node(&self) -> Option<&Node> {
        self.node.as_ref()
    }

    fn run_step(&mut self, step: &mut Step, input: Option<Input>) {
        let segment = self.segment();
        let may_be_cut = !self.is_whole && self.entries.peek().is_none();
        let redacted = self.header.redacted;
        self.player.tape().load(segment.answers);
        let mut returned = match (&mut self.node, input) {
            (Some(node), Some(input)) => apply(node, input),
            (Some(_), None) => None,
            (node @ None, _) => match start(&self.header, self.config.clone()) {
                Ok(started) => {
                    *node = Some(started);
                    None
                }
                Err(error) if segment.lines.iter().any(|(_, is_output, _)| !is_output) => {
                    Some(result_line(&Err::<(), _>(error)))
                }
                Err(error) => return self.diverge(step, 0, "the node starts", format!("it does not start: {error}")),
            },
        };
        let wrong = self.player.tape().wrong();
        if let Some(wrong) = wrong.as_ref().filter(|wrong| !wrong.is_left) {
            match &wrong.recorded {
                None if may_be_cut => return step.is_cut = true,
                None => self.diverge(step, segment.end, "no further question", wrong.asked.clone()),
                Some(recorded) => self.diverge(step, segment.answers_at, recorded, wrong.asked.clone()),
            }
            return;
        }
        for (offset, is_output, expected) in segment.lines {
            let actual = match (&mut self.node, is_output) {
                (Some(node), true) => output_line(&node.poll(), redacted),
                _ => returned.take().unwrap_or_else(|| "(returns nothing)".into()),
            };
            if actual != expected {
                return self.diverge(step, offset, &expected, actual);
            }
            self.outputs += 1;
            step.outputs.push(actual);
        }
        if let Some(wrong) = wrong {
            let recorded = wrong.recorded.unwrap_or_default();
            self.diverge(step, segment.answers_at, &recorded, "(is not asked for)".into());
        } else if let Some(actual) = returned {
            if may_be_cut {
                step.is_cut = true;
            } else {
                self.diverge(step, segment.end, "(returns nothing)", actual);
            }
        }
    }

    /// Everything up to the next input.
    fn segment(&mut self) -> Segment {
        let mut segment = Segment::default();
        while let Some((offset, entry)) = self.entries.next_if(|(_, entry)| !matches!(entry, Entry::Input(_))) {
            match entry {
                Entry::Answer(answer) => {
                    if segment.answers.is_empty() {
                        segment.answers_at = offset;
                    }
                    segment.answers.push(answer);
                }
                Entry::Returned(line) => segment.lines.push((offset, false, line)),
                Entry::Output(line) => segment.lines.push((offset, true, line)),
                Entry::Input(_) => {}
            }
            segment.end = offset;
        }
        segment
    }

    fn diverge(&self, step: &mut Step, offset: u64, expected: &str, actual: String) {
        step.divergence = Some(Divergence {
            at: step.at,
            input: step.number,
            offset,
            expected: expected.into(),
            actual,
            before: self.before.iter().cloned().collect(),
        });
    }
}

impl fmt::Debug for Replay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replay").field("node", &self.node).field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

fn input_line(number: u64, at: Instant, input: &str) -> String {
    format!("{number:>8}  {}  {input}", seconds(at.as_nanos()))
}

fn start(header: &Header, config: Config) -> Result<Node, RestoreError> {
    let (identity, now) = (Identity::without_secret(header.node.0), Instant::from_nanos(header.now));
    let record = |(key, value): &(Blob, Blob)| Record {
        key: Bytes::copy_from_slice(&key.0),
        value: Bytes::copy_from_slice(&value.0),
    };
    let records = header.records.as_ref().map(|records| records.iter().map(record).collect());
    Node::replayed(config, &identity, now, records)
}

/// A question's name; of one that is cut, what is there.
fn name(bytes: &Blob) -> StatementId {
    let mut name = [0; 32];
    name.iter_mut().zip(&bytes.0).for_each(|(out, byte)| *out = *byte);
    StatementId(name)
}

/// Tells the node what it was told; what it came to, where it may be refused.
fn apply(node: &mut Node, input: Input) -> Option<String> {
    let now = Instant::from_nanos(input.now());
    let binding = |bound| if bound { Binding::TlsExporter([0; 32]) } else { Binding::None };
    match input {
        Input::Accepted { bound, .. } => return Some(result_line(&node.handle_accepted(now, binding(bound)))),
        Input::Dialled { link, bound, .. } => node.handle_dialled(now, LinkId::from_u64(link), binding(bound)),
        Input::Bytes { link, bytes, .. } => {
            return Some(result_line(&node.handle_bytes(now, LinkId::from_u64(link), &bytes.0)));
        }
        Input::Written { link, bytes, .. } => {
            node.handle_written(now, LinkId::from_u64(link), usize::try_from(bytes).unwrap_or(usize::MAX));
        }
        Input::Ended { link, .. } => node.handle_ended(now, LinkId::from_u64(link)),
        Input::Timeout { .. } => node.handle_timeout(now),
        Input::Persisted { write, .. } => node.persisted(now, PersistId::from_u64(write)),
        Input::Publish { body, .. } => return Some(result_line(&node.publish(now, &body.0))),
        Input::Dial { peer, address, .. } => return Some(result_line(&node.dial(now, peer.0, address))),
        Input::Forget { peer, .. } => node.forget(now, peer.0),
        Input::Close { link, code, named, .. } => {
            let code = if named { Code::from_wire(code) } else { Code::Other(code) };
            node.close(now, LinkId::from_u64(link), code);
        }
        Input::ShutDown { .. } => node.shut_down(now),
        Input::WallClock { millis, .. } => node.set_wall_clock(now, UnixMillis(millis)),
        Input::Propose { ask, words, .. } => {
            let asked = Ask::from_bytes(&ask.0).map(|ask| node.propose(now, ask, words.0));
            return Some(asked.map_or_else(|| "what is asked cannot be read".into(), |asked| result_line(&asked)));
        }
        Input::Withdraw { question, .. } => return Some(result_line(&node.withdraw(now, name(&question)))),
        Input::Vote { question, answer, .. } => {
            return Some(result_line(&node.vote(now, name(&question), Vote::from_number(answer))));
        }
        Input::Endorse { question, on, .. } => return Some(result_line(&node.endorse(now, name(&question), on))),
        Input::Leave { .. } => return Some(result_line(&node.leave(now))),
        Input::ObserveSilence { peer, .. } => return Some(result_line(&node.observe_silence(now, peer.0))),
        Input::Invite { address, second, millis, .. } => {
            let made = node.invite(now, &address, second.as_deref(), Duration::from_millis(millis));
            return Some(result_line(&made.as_ref().map(Invitation::expires_at)));
        }
        Input::Sponsor { peer, words, .. } => return Some(result_line(&node.sponsor(now, peer.0, words.0))),
        Input::Dismiss { peer, .. } => node.dismiss(now, peer.0),
        Input::TrustStory { .. } => node.trust_story(now),
    }
    None
}
