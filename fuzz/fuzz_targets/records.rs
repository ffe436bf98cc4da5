//! An open link and an attacker on its path: what arrives is a beginning of what was sent, whatever is done to it.
#![no_main]

use std::collections::VecDeque;
use std::time::Duration;

use arbitrary::Arbitrary;
use interbot::Instant;
use interbot::link::{
    Binding, CloseReason, Code, Expect, Fault, KEY_LIFETIME, Kind, Link, MAX_MESSAGE, Side, Step, Strings, Times,
};
use interbot_fuzz::edit::{Edit, apply};
use interbot_fuzz::flow::Flow;
use interbot_fuzz::keys::{BELOW, NODE, Variant, id, setup};
use interbot_fuzz::watched::{Verdict, Watched};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input {
    aes: bool,
    ops: Vec<Op>,
}

#[derive(Arbitrary, Debug)]
enum Op {
    Send { from: bool, len: Len, fill: u8 },
    Deliver { from: bool, len: u16 },
    DeliverAll { from: bool },
    Edit { from: bool, edit: Edit },
    Later { millis: u32 },
    Timeout { end: bool },
    Hour,
    Probe { end: bool },
    Pause { end: bool, paused: bool },
    Close { end: bool, code: u8, silently: bool },
}

#[derive(Arbitrary, Debug)]
enum Len {
    Short(u8),
    Middle(u16),
    /// Around the limit.
    Long(u8),
}

/// One direction, from an end to the other.
#[derive(Default)]
struct Way {
    flow: Flow,
    /// Messages that were sent and did not arrive: where their records end, and what they are.
    sent: VecDeque<(usize, usize, u8)>,
    /// Where the sender's last record ends, when it closed.
    farewell: Option<usize>,
    /// Under way.
    wire: Vec<u8>,
}

struct Run {
    now: Instant,
    ends: [Link; 2],
    ways: [Way; 2],
}

fn open_pair(aes: bool, now: Instant) -> [Link; 2] {
    let variant = Variant { cheap: true, aes, elsewhere: false };
    let (expect, strings) = (Expect::Key(id(NODE)), &mut Strings::default());
    let client =
        Link::dial(setup(BELOW, variant), now, [1; 32], Binding::None, Kind::Member, expect, strings, Times::default());
    let server = Link::accept(setup(NODE, variant), now, [2; 32], Binding::None, Times::default());
    let mut client = Watched::new(client, Side::Client, Verdict::Admit);
    let mut server = Watched::new(server, Side::Server, Verdict::Admit);
    for _ in 0..2 {
        server.feed(now, &client.take_fresh());
        client.feed(now, &server.take_fresh());
    }
    assert!(client.link.is_open() && server.link.is_open());
    [client.link, server.link]
}

impl Run {
    fn step(&mut self, op: &Op) {
        let now = self.now;
        match op {
            Op::Send { from, len, fill } => {
                let from = usize::from(*from);
                let len = match len {
                    Len::Short(len) => usize::from(*len),
                    Len::Middle(len) => usize::from(*len),
                    Len::Long(len) => MAX_MESSAGE + 2 - usize::from(*len) % 4,
                };
                let taken = self.ends[from].send(now, &vec![*fill; len]);
                assert_eq!(taken, self.ends[from].is_open() && len <= MAX_MESSAGE);
                self.collect(from);
                if taken {
                    let way = &mut self.ways[from];
                    way.sent.push_back((way.flow.emitted.len(), len, *fill));
                }
            }
            Op::Deliver { from, len } => self.deliver(usize::from(*from), usize::from(*len)),
            Op::DeliverAll { from } => self.deliver(usize::from(*from), usize::MAX),
            Op::Edit { from, edit } => {
                // Bounded, because an edit may double what is under way.
                let wire = &mut self.ways[usize::from(*from)].wire;
                apply(std::slice::from_ref(edit), wire);
                wire.truncate(1 << 20);
            }
            Op::Later { millis } => self.now = now + Duration::from_millis(u64::from(*millis)),
            Op::Timeout { end } => {
                let end = usize::from(*end);
                let was_open = self.ends[end].is_open();
                let reason = self.ends[end].handle_timeout(now);
                assert!(reason.is_none() || was_open, "said once");
                assert!(reason.is_none_or(|reason| reason == CloseReason::Fault(Fault::Silence)), "{reason:?}");
                assert!(self.ends[end].wake_at().is_none_or(|at| at > now), "a deadline that was met is gone");
                self.collect(end);
            }
            Op::Hour => self.now = now + KEY_LIFETIME,
            Op::Probe { end } => {
                self.ends[usize::from(*end)].probe(now);
                self.collect(usize::from(*end));
            }
            Op::Pause { end, paused } => self.ends[usize::from(*end)].set_paused(now, *paused),
            Op::Close { end, code, silently } => {
                let end = usize::from(*end);
                let says_why = self.ends[end].is_open() && !silently;
                self.ends[end].close(now, Code::from_wire(*code), Duration::from_secs(u64::from(*code)));
                if *silently {
                    drop(self.ends[end].take_output());
                }
                self.collect(end);
                if says_why {
                    self.ways[end].farewell = Some(self.ways[end].flow.emitted.len());
                }
            }
        }
        for end in &self.ends {
            assert_eq!(end.is_open(), !end.is_closed());
            assert!(end.is_open() || (end.wake_at().is_none() && end.output_len() == 0 && end.peer().is_none()));
        }
    }

    fn collect(&mut self, from: usize) {
        let (bytes, way) = (self.ends[from].take_output(), &mut self.ways[from]);
        assert!(way.farewell.is_none() || bytes.is_empty(), "a closed link says nothing");
        way.flow.emitted.extend_from_slice(&bytes);
        way.wire.extend_from_slice(&bytes);
    }

    fn deliver(&mut self, from: usize, len: usize) {
        let (now, to) = (self.now, 1 - from);
        let len = len.min(self.ways[from].wire.len());
        let bytes: Vec<u8> = self.ways[from].wire.drain(..len).collect();
        if self.ends[to].is_closed() {
            assert_eq!(self.ends[to].step(now, &mut &bytes[..]), Step::NeedMore);
            return self.collect(to);
        }
        self.ways[from].flow.fed(&bytes);
        let mut input = &bytes[..];
        loop {
            let step = self.ends[to].step(now, &mut input);
            let Way { flow, sent, farewell, .. } = &mut self.ways[from];
            match step {
                Step::NeedMore => break,
                Step::Message(message) => {
                    let (end, len, fill) = sent.pop_front().expect("nothing arrives that was not sent");
                    assert!(end <= flow.clean, "nothing arrives of an altered record");
                    assert!(message.len() == len && message.iter().all(|byte| *byte == fill), "in order, and whole");
                }
                Step::Closed(CloseReason::Peer { code, .. }) => {
                    assert!(farewell.is_some_and(|end| end <= flow.clean), "{code:?} was said");
                    assert!(sent.is_empty(), "what was sent before arrived before");
                }
                Step::Closed(CloseReason::Fault(fault)) => assert!(flow.is_altered(), "{fault:?} on a good stream"),
                other => panic!("{other:?} on an open link"),
            }
        }
        self.collect(to);
        let Way { flow, sent, .. } = &self.ways[from];
        if self.ends[to].is_open() {
            assert!(sent.front().is_none_or(|(end, ..)| *end > flow.clean), "what arrived whole is delivered");
            assert!(!flow.is_altered() || !flow.altered_record_is_whole(), "an altered record ends the link");
        }
    }
}

fuzz_target!(|input: Input| {
    let now = Instant::from_millis(1_000);
    let mut run = Run { now, ends: open_pair(input.aes, now), ways: Default::default() };
    for op in input.ops.iter().take(128) {
        run.step(op);
    }
});
