//! The loop: what is due, in order, and what the bots ask for.

use alloc::format;
use alloc::string::ToString;
use core::cmp::Reverse;

use bytes::Bytes;
use sha2::Digest;

use super::host::FaultPoint;
use super::log::{Fate, Logged, label};
use super::network::{Due, Network, closed_text};
use super::puppet::Actor;
use super::stream::{End, Pipe, Stream};
use crate::link::Binding;
use crate::node::{Action, Event, LinkId, Output};
use crate::time::Instant;

/// Events at one instant, above which some machine makes its host spin.
const SPINNING: u64 = 10_000_000;

impl Network {
    pub(super) fn run_until(&mut self, end: Instant) {
        while let Some(Reverse((at, _))) = self.queue.peek().filter(|Reverse((at, _))| *at <= end) {
            let at = *at;
            self.wake_some_early(at);
            let Some(Reverse((at, due))) = self.queue.pop() else { break };
            self.at_once = if at > self.now { 0 } else { self.at_once + 1 };
            assert!(self.at_once < SPINNING, "a machine makes its host spin at {:?}", self.now);
            self.now = self.now.max(at);
            self.happen(at, due);
        }
        self.now = self.now.max(end);
    }

    pub(super) fn schedule(&mut self, at: Instant, due: Due) {
        self.queue.push(Reverse((at, due)));
    }

    fn happen(&mut self, at: Instant, due: Due) {
        match due {
            Due::Durable { bot } => self.on_durable(bot as usize),
            Due::Dialled { bot } => self.on_dialled(bot as usize),
            Due::Wake { bot } => self.on_wake(at, bot as usize),
            Due::Resume { bot } => self.on_resume(bot as usize),
            Due::Arrive { stream, side } => self.deliver(stream as usize, usize::from(side)),
        }
    }

    fn on_resume(&mut self, bot: usize) {
        // A longer pause that began meanwhile goes on.
        if self.hosts[bot].rest.paused_until > self.now {
            return;
        }
        self.hosts[bot].paused = false;
        self.wake_streams_now(bot);
        self.on_durable(bot);
        self.on_dialled(bot);
        self.rearm(bot);
    }

    fn on_durable(&mut self, bot: usize) {
        let now = self.now;
        while !self.hosts[bot].paused && self.hosts[bot].rest.writes.first().is_some_and(|(at, ..)| *at <= now) {
            let (_, id, record) = self.hosts[bot].rest.writes.remove(0);
            let whole = record.value.len();
            let torn = self.hosts[bot].rest.crash_at == Some(FaultPoint::TornRecord);
            let bytes = if torn { usize::try_from(self.random.below(whole as u64)).unwrap_or(0) } else { whole };
            self.hosts[bot].store(record, bytes);
            if torn || self.hosts[bot].rest.crash_at == Some(FaultPoint::AfterPersist) {
                return self.power_off(bot);
            }
            self.confirm(bot, id);
            self.drain(bot);
        }
    }

    fn confirm(&mut self, bot: usize, id: crate::node::PersistId) {
        let clock = self.clock(bot);
        if let Some(Actor::Node(node)) = &mut self.hosts[bot].actor {
            node.persisted(clock, id);
        }
    }

    fn on_dialled(&mut self, bot: usize) {
        let now = self.now;
        while !self.hosts[bot].paused {
            let Some(place) = self.hosts[bot].rest.dials.iter().position(|(at, ..)| *at <= now) else { return };
            let (_, link, to) = self.hosts[bot].rest.dials.remove(place);
            self.connect(bot, link, to);
        }
    }

    fn on_wake(&mut self, at: Instant, bot: usize) {
        let host = &mut self.hosts[bot];
        // Another look, earlier or later, took the place of this one.
        if host.armed != Some(at) {
            return;
        }
        host.armed = None;
        if host.paused {
            return;
        }
        if host.wake_at.is_some_and(|at| at <= self.now) {
            let clock = self.clock(bot);
            match &mut self.hosts[bot].actor {
                Some(Actor::Node(node)) => node.handle_timeout(clock),
                Some(Actor::Puppet(puppet)) => puppet.handle_timeout(clock),
                None => return,
            }
            self.drain(bot);
        } else {
            self.arm(bot);
        }
    }

    /// Puts the bot's deadline into the queue, unless an earlier look is in it already.
    fn arm(&mut self, bot: usize) {
        let host = &mut self.hosts[bot];
        if let Some(at) = host.wake_at
            && host.armed.is_none_or(|armed| at < armed)
        {
            host.armed = Some(at);
            self.schedule(at, Due::wake(bot));
        }
    }

    /// Works the deadline out anew, after the clock was changed or the machine slept.
    pub(super) fn rearm(&mut self, bot: usize) {
        self.drain(bot);
    }

    /// Lets streams flow that may have been held up.
    pub(super) fn wake_streams(&mut self, which: impl Fn(&Stream) -> bool) {
        for stream in 0..self.streams.len() {
            if self.streams[stream].as_ref().is_some_and(&which) {
                for side in 0..2 {
                    self.schedule(self.now, Due::arrive(stream, side));
                }
            }
        }
    }

    fn wake_streams_now(&mut self, bot: usize) {
        for stream in 0..self.streams.len() {
            for side in 0..2 {
                if self.streams[stream].as_ref().is_some_and(|stream| stream.ends[1 - side].bot == bot) {
                    self.deliver(stream, side);
                }
            }
        }
    }

    /// Whether what this side wrote can be taken by the other.
    fn flows(&self, stream: &Stream, side: usize) -> bool {
        let (from, to) = (stream.ends[side], stream.ends[1 - side]);
        let host = &self.hosts[to.bot];
        let reads = !to.paused && !host.paused && (host.deaf_to.is_empty() || !host.deaf_to.contains(&from.bot));
        to.alive && reads && self.carries(from.bot, to.bot)
    }

    /// Hands over what has arrived.
    fn deliver(&mut self, at: usize, side: usize) {
        let now = self.now;
        while let Some(stream) = self.streams[at].as_ref().filter(|stream| self.flows(stream, side)) {
            let to = stream.ends[1 - side];
            let Some(stream) = &mut self.streams[at] else { return };
            let Some(piece) = stream.pipes[side].take(now) else {
                if stream.pipes[side].has_ended(now) {
                    self.end_reached(at, side);
                }
                return;
            };
            if let Some(log) = &mut self.log {
                log.set_fate(piece.logged, Fate::Arrived(now));
            }
            // Streams have no borders: what was written at once may be read in pieces.
            let whole = piece.bytes.len();
            let cut = if self.cut_pieces { self.random.below(whole as u64 + 1) } else { 0 };
            let (first, rest) = piece.bytes.split_at(usize::try_from(cut).unwrap_or(0));
            if !first.is_empty() {
                self.hand_in(to, first);
            }
            self.hand_in(to, rest);
            if self.streams[at].as_ref().is_some_and(|stream| stream.pipes[side].has_backlog())
                && let Some(writer) = self.pump(at, side, None)
            {
                self.drain(writer);
            }
        }
    }

    fn hand_in(&mut self, to: End, bytes: &[u8]) {
        let clock = self.clock(to.bot);
        match &mut self.hosts[to.bot].actor {
            Some(Actor::Node(node)) => node.handle_bytes(clock, to.link, bytes).expect("every input is drained"),
            Some(Actor::Puppet(puppet)) => puppet.handle_bytes(clock, to.link, bytes),
            None => {}
        }
        self.drain(to.bot);
    }

    fn end_reached(&mut self, at: usize, side: usize) {
        let Some(stream) = &mut self.streams[at] else { return };
        let to = stream.ends[1 - side];
        stream.ends[1 - side].alive = false;
        stream.pipes[1 - side].closing = true;
        self.hosts[to.bot].wires.remove(to.link);
        self.ended(to.bot, to.link);
        self.drop_stream_if_done(at);
    }

    fn ended(&mut self, bot: usize, link: LinkId) {
        let clock = self.clock(bot);
        match &mut self.hosts[bot].actor {
            Some(Actor::Node(node)) => node.handle_ended(clock, link),
            Some(Actor::Puppet(puppet)) => puppet.handle_ended(clock, link),
            None => {}
        }
        self.drain(bot);
    }

    fn drop_stream_if_done(&mut self, at: usize) {
        if self.streams[at].as_ref().is_some_and(|stream| stream.ends.iter().all(|end| !end.alive)) {
            if let (Some(stream), Some(log)) = (self.streams[at].take(), &mut self.log) {
                for piece in stream.pipes.iter().flat_map(Pipe::under_way) {
                    log.set_fate(piece.logged, Fate::Lost);
                }
            }
            self.streams[at] = None;
            self.free.push(at);
        }
    }

    /// Lets the line take what it can, and tells the writer; its bot is to be drained then.
    fn pump(&mut self, at: usize, side: usize, written: Option<Bytes>) -> Option<usize> {
        let now = self.now;
        let stream = self.streams[at].as_mut()?;
        let (from, to) = (stream.ends[side], stream.ends[1 - side]);
        let (queue, log) = (&mut self.queue, &mut self.log);
        let accepted = stream.pipes[side].pump(now, written, &mut self.random, |arrives, bytes| {
            queue.push(Reverse((arrives, Due::arrive(at, side))));
            let log = log.as_mut()?;
            let (from, to, fate) = (from.bot, to.bot, Fate::UnderWay);
            Some(log.add(now, Logged::Frames { from, to, label: label(bytes), bytes: bytes.len(), fate }))
        });
        if accepted == 0 || !from.alive {
            return None;
        }
        let clock = self.clock(from.bot);
        if let Some(Actor::Node(node)) = &mut self.hosts[from.bot].actor {
            node.handle_written(clock, from.link, accepted);
        }
        Some(from.bot)
    }

    fn connect(&mut self, from: usize, link: LinkId, to: usize) {
        let reachable =
            to < self.hosts.len() && self.carries(from, to) && self.carries(to, from) && !self.hosts[to].paused;
        let clock = if reachable { self.clock(to) } else { self.now };
        let accepted = match self.hosts.get_mut(to).filter(|_| reachable).and_then(|host| host.actor.as_mut()) {
            Some(Actor::Node(node)) => node.handle_accepted(clock, Binding::None).ok(),
            Some(Actor::Puppet(puppet)) => Some(puppet.handle_accepted(clock, Binding::None)),
            None => None,
        };
        let Some(other) = accepted else { return self.ended(from, link) };
        let ends = [(from, link), (to, other)].map(|(bot, link)| End { bot, link, alive: true, paused: false });
        let pipes = [self.line_between(from, to), self.line_between(to, from)].map(Pipe::new);
        let stream = Stream { ends, pipes };
        let at = self.free.pop().unwrap_or_else(|| {
            self.streams.push(None);
            self.streams.len() - 1
        });
        self.streams[at] = Some(stream);
        self.hosts[from].wires.insert(link, at, 0);
        self.hosts[to].wires.insert(other, at, 1);
        self.drain(to);
        let clock = self.clock(from);
        match &mut self.hosts[from].actor {
            Some(Actor::Node(node)) => node.handle_dialled(clock, link, Binding::None),
            Some(Actor::Puppet(puppet)) => puppet.handle_dialled(clock, link, Binding::None),
            None => {}
        }
        self.drain(from);
    }

    /// The machine loses its power: what is not durable is lost, its streams break.
    pub(super) fn power_off(&mut self, bot: usize) {
        if self.hosts[bot].actor.is_none() {
            return;
        }
        let wires = core::mem::take(&mut self.hosts[bot].wires);
        self.hosts[bot].power_off();
        for (at, side) in wires.into_streams() {
            let Some(stream) = &mut self.streams[at] else { continue };
            stream.ends[side].alive = false;
            stream.pipes[side].break_off();
            let when = stream.pipes[side].last_arrival.max(self.now);
            self.schedule(when, Due::arrive(at, side));
            self.drop_stream_if_done(at);
        }
        let now = self.now;
        if let Some(log) = &mut self.log {
            log.all_down(now, bot);
            log.add(now, Logged::Down(bot));
        }
    }

    /// Carries out what a bot asks for, until it is idle.
    pub(super) fn drain(&mut self, bot: usize) {
        loop {
            let output = match &mut self.hosts[bot].actor {
                Some(Actor::Node(node)) => node.poll(),
                Some(Actor::Puppet(puppet)) => puppet.poll(),
                None => return,
            };
            match output {
                Output::Do(action) => {
                    self.write_down(bot, &action);
                    self.carry_out(bot, action);
                }
                Output::Idle { wake_at } => {
                    let host = &mut self.hosts[bot];
                    host.wake_at = wake_at.map(|at| host.clock.when(at, self.now));
                    return self.arm(bot);
                }
            }
        }
    }

    fn write_down(&mut self, bot: usize, action: &Action) {
        let Some(transcript) = &mut self.transcript else { return };
        match action {
            Action::Send { link, bytes } => {
                transcript.update(format!("{bot} {:?} send {link:?} {}\n", self.now, bytes.len()));
                transcript.update(bytes);
            }
            other => transcript.update(format!("{bot} {:?} {other:?}\n", self.now)),
        }
    }

    fn carry_out(&mut self, bot: usize, action: Action) {
        let now = self.now;
        match action {
            Action::Send { link, bytes } => {
                let Some((at, side)) = self.hosts[bot].wires.get(link) else { return };
                // Draining goes on anyway.
                let _ = self.pump(at, side, Some(bytes));
            }
            Action::CloseLink { link } => {
                self.hosts[bot].rest.dials.retain(|(_, dialled, _)| *dialled != link);
                let Some((at, side)) = self.hosts[bot].wires.remove(link) else { return };
                let Some(stream) = &mut self.streams[at] else { return };
                stream.ends[side].alive = false;
                let pipe = &mut stream.pipes[side];
                pipe.closing = true;
                pipe.last_arrival = pipe.last_arrival.max(now + pipe.line.latency.draw(&mut self.random));
                let when = pipe.last_arrival;
                self.schedule(when, Due::arrive(at, side));
                self.drop_stream_if_done(at);
            }
            Action::Dial { link, address, .. } => {
                let to = address.parse().unwrap_or(usize::MAX);
                let latency = self.line_between(bot, to).latency;
                let at = now + latency.draw(&mut self.random);
                self.hosts[bot].rest.dials.push((at, link, to));
                self.schedule(at, Due::dialled(bot));
            }
            Action::PauseReading { link } => self.set_paused(bot, link, true),
            Action::ResumeReading { link } => self.set_paused(bot, link, false),
            Action::Persist { id, record } => {
                if self.hosts[bot].rest.crash_at == Some(FaultPoint::BeforePersist) {
                    return self.power_off(bot);
                }
                let last = self.hosts[bot].rest.writes.last().map_or(now, |(at, ..)| *at);
                let at = last.max(now + self.disk_latency());
                self.hosts[bot].rest.writes.push((at, id, record));
                self.schedule(at, Due::durable(bot));
                if self.confirm_early {
                    self.confirm(bot, id);
                }
            }
            Action::Notify(event) => {
                self.log_event(bot, &event);
                if self.keeps_events {
                    self.hosts[bot].rest.events.push((now, event));
                }
            }
        }
    }

    fn log_event(&mut self, bot: usize, event: &Event) {
        let now = self.now;
        let Some(log) = &mut self.log else { return };
        match event {
            Event::LinkUp { link, peer, .. } => {
                let Some(peer) = self.places.get(peer).copied() else { return };
                log.link_up(now, bot, *link, peer);
                log.add(now, Logged::Note { bot, text: format!("{link:?} open with bot {peer}"), good: Some(true) });
            }
            Event::Closed { link, reason, .. } => {
                log.link_down(now, bot, *link, reason.to_string());
                log.add(now, Logged::Note { bot, text: closed_text(*link, reason), good: Some(false) });
            }
            Event::Post { post, .. } => {
                let text = format!("post {} of {:?}", post.id().seq, post.id().origin);
                log.add(now, Logged::Note { bot, text, good: None });
            }
            _ => {}
        }
    }

    fn set_paused(&mut self, bot: usize, link: LinkId, paused: bool) {
        let Some((at, side)) = self.hosts[bot].wires.get(link) else { return };
        if let Some(stream) = &mut self.streams[at] {
            stream.ends[side].paused = paused;
            if !paused {
                self.schedule(self.now, Due::arrive(at, 1 - side));
            }
        }
    }

    fn wake_some_early(&mut self, before: Instant) {
        let Some(early) = &mut self.early else { return };
        let span = before.as_nanos().saturating_sub(self.now.as_nanos());
        let (bot, after) = (early.below(self.hosts.len() as u64), early.below(span.max(1)));
        let bot = usize::try_from(bot).unwrap_or(0);
        let clock = self.hosts[bot].clock.at(self.now + core::time::Duration::from_nanos(after));
        if let Some(Actor::Node(node)) = &mut self.hosts[bot].actor {
            node.handle_timeout(clock);
        }
        self.drain(bot);
    }
}
