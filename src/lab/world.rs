//! Running a scenario.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;

use super::checks::{Check, Failure, Published, examine};
use super::host::Restart;
use super::log::Logged;
use super::network::{BotRef, Network};
use super::scenario::{Planted, Scenario, ScenarioError};
use super::schedule::{Act, Schedule};
use super::toy::ToyCrypto;
use crate::budget::Rate;
use crate::identity::CommunityId;
use crate::link::Capabilities;
use crate::node::{Config, Event};
use crate::time::Instant;

/// Time to link up before the first step.
const WARM_UP: Duration = Duration::from_secs(20);
/// Time for the last posts to arrive.
const LAST_POSTS: Duration = Duration::from_secs(60);

/// What came of a run.
#[derive(Debug)]
pub struct Run {
    /// The network as it was left.
    pub net: Network,
    /// When the schedule began: the times of its steps count from here.
    pub started: Instant,
    /// What did not hold; empty is good.
    pub failures: Vec<Failure>,
    /// What was counted.
    pub figures: Figures,
}

/// What was counted in a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Figures {
    /// Posts that honest bots published.
    pub published: usize,
    /// Copies of posts that applications of honest bots were handed.
    pub delivered: usize,
    /// Links that opened, counted at both ends.
    pub links: usize,
    /// Crashes, and stops in order.
    pub ends: usize,
    /// Restarts without records, because these were damaged.
    pub from_nothing: usize,
}

impl Scenario {
    /// Runs the scenario with this seed.
    ///
    /// # Errors
    /// [`ScenarioError`], when it makes no sense.
    pub fn run(&self, seed: u64) -> Result<Run, ScenarioError> {
        self.validate()?;
        self.run_schedule(seed, &self.draw(seed), |_| {})
    }

    /// Runs it with another schedule, such as one that was made smaller, on a network that the closure may prepare.
    ///
    /// # Errors
    /// [`ScenarioError`], when it or the schedule makes no sense.
    pub fn run_schedule(
        &self,
        seed: u64,
        schedule: &Schedule,
        prepare: impl FnOnce(&mut Network),
    ) -> Result<Run, ScenarioError> {
        self.validate()?;
        self.check_schedule(schedule)?;
        let mut world = World::new(self, seed, prepare);
        let mut failures = Vec::new();
        // A panic is a finding like any other: with its seed, its schedule and what was recorded so far.
        let played = catch_unwind(AssertUnwindSafe(|| {
            world.play(schedule);
            world.settle();
            examine(&world.net, &self.checks, &world.published, &world.dials)
        }));
        match played {
            Ok(found) => failures.extend(found),
            Err(panic) => failures.push(world.panicked(&*panic)),
        }
        Ok(world.finish(failures))
    }

    /// Makes a schedule that fails as small as possible; the failure stays of the same kind.
    ///
    /// # Errors
    /// [`ScenarioError`], when it or the schedule makes no sense.
    pub fn shrink(&self, seed: u64, schedule: &Schedule) -> Result<Schedule, ScenarioError> {
        let first = self.run_schedule(seed, schedule, |_| {})?.failures.first().map(|failure| failure.check);
        Ok(schedule.shrink(300, |candidate| {
            let run = self.run_schedule(seed, candidate, |_| {});
            run.is_ok_and(|run| first.is_some() && run.failures.iter().any(|failure| Some(failure.check) == first))
        }))
    }
}

struct World<'a> {
    scenario: &'a Scenario,
    net: Network,
    started: Instant,
    dials: Vec<(BotRef, BotRef)>,
    published: Published,
    figures: Figures,
}

impl<'a> World<'a> {
    fn new(scenario: &'a Scenario, seed: u64, prepare: impl FnOnce(&mut Network)) -> Self {
        let mut net = Network::new(seed);
        net.run_fast();
        if !scenario.real_crypto {
            net.set_crypto(ToyCrypto);
        }
        net.set_line(scenario.line);
        net.set_disk_latency(Duration::from_millis(scenario.disk_ms));
        net.confirm_early = scenario.planted == Some(Planted::ConfirmsEarly);
        prepare(&mut net);
        let ids = (0..scenario.bots).map(|at| Network::identity_of(at).id());
        let mut config = Config::new(CommunityId::from_name("lab"), ids);
        config.capabilities = Capabilities::NONE;
        if let Some(per_second) = scenario.posts_budget {
            config.limits.posts = Rate { per_second, burst: 2 * per_second };
        }
        for at in 0..scenario.bots {
            match scenario.lie_of(at) {
                Some(lie) => net.add_liar(config.clone(), lie),
                None => net.add(config.clone()),
            };
        }
        let dial = |at| Some((BotRef(at), BotRef(scenario.shape.dials(at, scenario.bots)?)));
        let dials: Vec<_> = (0..scenario.bots).filter_map(dial).collect();
        for (from, to) in &dials {
            net.dial(*from, *to);
        }
        net.run_for(WARM_UP);
        let (published, figures, started) = (Published::default(), Figures::default(), net.now());
        Self { scenario, net, started, dials, published, figures }
    }

    fn play(&mut self, schedule: &Schedule) {
        let start = self.started;
        for (number, step) in schedule.steps.iter().enumerate() {
            let at = start + Duration::from_millis(step.at_ms);
            self.net.run_until(at);
            self.act(number, &step.act);
        }
        self.net.run_until(start + Duration::from_secs(self.scenario.seconds));
    }

    fn act(&mut self, number: usize, act: &Act) {
        assert!(number < 2 || self.scenario.planted != Some(Planted::Panics), "a planted panic");
        match act {
            Act::Publish { bot, bytes } => {
                let mut body = format!("{number}:").into_bytes();
                body.resize((*bytes).max(body.len()), b'.');
                body.truncate(crate::overlay::MAX_POST_BODY);
                self.publish(*bot, body);
            }
            Act::Crash { bot, point } => {
                self.net.crash_at(BotRef(*bot), *point);
                self.figures.ends += 1;
            }
            Act::Restart { bot } => self.restart(*bot),
            Act::Stop { bot } => {
                if self.net.hosts[*bot].actor.is_some() {
                    self.net.stop(BotRef(*bot));
                    self.figures.ends += 1;
                }
            }
            Act::Partition { islands } => {
                let islands: Vec<Vec<BotRef>> =
                    islands.iter().map(|island| island.iter().map(|bot| BotRef(*bot)).collect()).collect();
                self.net.partition(&islands.iter().map(|island| &island[..]).collect::<Vec<_>>());
            }
            Act::Block { from, to } => self.net.set_blocked(BotRef(*from), BotRef(*to), true),
            Act::Heal => self.net.heal(),
            Act::Pause { bot, ms } => self.net.pause(BotRef(*bot), Duration::from_millis(*ms)),
            Act::JumpClock { bot, ms } => self.net.jump_clock(BotRef(*bot), *ms),
            Act::Drift { bot, ppm } => self.net.set_drift(BotRef(*bot), *ppm),
            Act::Latency { line } => self.net.set_latency_to(*line),
            Act::Disk { ms } => self.net.set_disk_latency(Duration::from_millis(*ms)),
        }
        if let (false, Some(bot)) = (matches!(act, Act::Publish { .. }), act.bots().first()) {
            let (bot, text) = (*bot, format!("{act:?}"));
            self.net.note(Logged::Note { bot, text, good: None });
        }
    }

    fn publish(&mut self, bot: usize, body: Vec<u8>) -> Option<crate::overlay::PostId> {
        let host = &self.net.hosts[bot];
        if host.actor.is_none() || host.paused {
            return None;
        }
        let honest = self.scenario.lie_of(bot).is_none();
        let id = match self.net.publish(BotRef(bot), &body) {
            Ok(id) => id,
            Err(error) => {
                if honest {
                    self.published.refused.push((self.net.now(), bot, error.to_string()));
                }
                return None;
            }
        };
        if honest {
            self.published.posts.entry(id).or_default().push(Bytes::from(body));
            self.figures.published += 1;
        }
        Some(id)
    }

    fn restart(&mut self, bot: usize) {
        // A crash that waits for its point has not come; it will not come any more.
        self.net.hosts[bot].rest.crash_at = None;
        if self.net.hosts[bot].actor.is_some() {
            return;
        }
        if let Restart::FromNothing(_) = self.net.restart(BotRef(bot)) {
            self.figures.from_nothing += 1;
        }
        for (from, to) in self.dials.clone().into_iter().filter(|(from, _)| from.0 == bot) {
            self.net.dial(from, to);
        }
    }

    /// Ends all faults, waits, and lets everybody say a last word.
    fn settle(&mut self) {
        self.net.heal();
        for bot in 0..self.scenario.bots {
            self.net.set_drift(BotRef(bot), 0);
            self.restart(bot);
        }
        self.net.run_for(Duration::from_secs(self.scenario.settle_seconds));
        for bot in 0..self.scenario.bots {
            if self.scenario.lie_of(bot).is_some() {
                continue;
            }
            match self.publish(bot, b"last post".to_vec()) {
                Some(id) => {
                    self.published.probes.insert(bot, id);
                }
                None => {
                    self.published.mute.insert(bot);
                }
            }
        }
        self.net.run_for(LAST_POSTS);
    }

    fn panicked(&self, panic: &(dyn core::any::Any + Send)) -> Failure {
        let text = panic.downcast_ref::<&str>().map(ToString::to_string);
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned()).unwrap_or_else(|| "a panic".into());
        Failure { check: Check::Survives, bot: 0, at: self.net.now(), text }
    }

    fn finish(mut self, failures: Vec<Failure>) -> Run {
        for bot in self.net.bots().filter(|bot| self.net.lie(*bot).is_none()) {
            for (_, event) in self.net.events(bot) {
                self.figures.delivered += usize::from(matches!(event, Event::Post { .. }));
                self.figures.links += usize::from(matches!(event, Event::LinkUp { .. }));
            }
        }
        Run { net: self.net, started: self.started, failures, figures: self.figures }
    }
}
