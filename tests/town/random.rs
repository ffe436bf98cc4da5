//! A town in which anything happens, in any order: crashes, votes, clocks that jump, lines that break, strangers.

use std::collections::BTreeMap;
use std::time::Duration;

use interbot::ledger::{Answer, Ask, HeaderId, Height, Journal, LedgerEvent, Rules};
use interbot::link::{Binding, Code};
use interbot::node::{Config, Event, LinkId};
use interbot::{Instant, UnixMillis};

use crate::town::{Town, address, id};

/// A small generator, the same everywhere.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33) as usize % n.max(1)
    }
}

type Start = Box<dyn Fn(UnixMillis) -> Config>;

/// Says where it happened when something panics.
struct Where {
    seed: u64,
    step: usize,
    what: &'static str,
}

impl Drop for Where {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {}, step {}: {}", self.seed, self.step, self.what);
        }
    }
}

struct Chaos {
    town: Town,
    dice: Dice,
    starts: Vec<Start>,
    /// Headers of all heights that anybody saw.
    story: BTreeMap<u64, HeaderId>,
    /// How many events of each bot were looked at.
    looked_at: Vec<usize>,
    strangers: Vec<(usize, LinkId)>,
}

const BOTS: usize = 7;

impl Chaos {
    fn new(seed: u64) -> Self {
        let town = Town::found(4);
        let genesis = town.genesis.clone();
        let start = |_| {
            let genesis = genesis.clone();
            Box::new(move |wall| Config::founded(genesis.clone(), Journal::New, wall)) as Start
        };
        let starts = (0..4).map(start).collect();
        let dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
        Self { town, dice, starts, story: BTreeMap::new(), looked_at: vec![0; 4], strangers: Vec::new() }
    }

    fn anybody(&mut self) -> usize {
        self.dice.below(self.town.bots.len())
    }

    /// Somebody who is up.
    fn somebody(&mut self) -> Option<usize> {
        let up: Vec<usize> = (0..self.town.bots.len()).filter(|at| self.town.bots[*at].node.is_some()).collect();
        up.get(self.dice.below(up.len())).copied()
    }

    fn revive(&mut self, at: usize) {
        let wall = self.town.wall();
        let config = self.starts[at](wall);
        self.town.try_restart(at, config).unwrap_or_else(|error| panic!("bot {at} does not start: {error}"));
    }

    fn question(&mut self, at: usize) -> Option<interbot::ledger::StatementId> {
        let open = self.town.bots[at].node.as_ref()?.ledger()?.questions();
        let question = open.get(self.dice.below(open.len()))?;
        Some(question.id)
    }

    fn step(&mut self) -> &'static str {
        let now = self.town.instant();
        match self.dice.below(24) {
            0 => {
                let (inviter, words) = (self.somebody(), &b"let me in"[..]);
                let Some(inviter) = inviter.filter(|_| self.town.bots.len() < BOTS) else { return "no invitation" };
                let lasts = Duration::from_secs(1 + self.dice.below(300) as u64);
                let made = self.town.do_at(inviter, |node, now| node.invite(now, &address(inviter), None, lasts));
                let Ok(line) = made else { return "refused invitation" };
                let wall = self.town.wall();
                let again = line.clone();
                self.starts.push(Box::new(move |wall| Config::invited(again.clone(), words, wall)));
                self.looked_at.push(0);
                if self.dice.below(3) == 0 {
                    self.town.first_writes = Some(self.dice.below(20) as u64);
                }
                self.town.start(Config::invited(line, words, wall));
                "invitation"
            }
            1 => {
                let Some(at) = self.somebody() else { return "nobody crashes" };
                self.town.crash(at);
                "crash"
            }
            2 => {
                let Some(at) = self.somebody() else { return "nobody dies" };
                self.town.bots[at].writes_left = Some(self.dice.below(30) as u64);
                "dies soon"
            }
            3 | 4 => {
                for at in 0..self.town.bots.len() {
                    if self.town.bots[at].node.is_none() {
                        self.revive(at);
                    }
                }
                "restart"
            }
            5..8 => {
                let (Some(from), to) = (self.somebody(), self.anybody()) else { return "no dial" };
                let _ = self.town.do_at(from, |node, now| node.dial(now, id(to), address(to)));
                "dial"
            }
            8..11 => {
                let Some(at) = self.somebody() else { return "no vote" };
                let Some(question) = self.question(at) else { return "nothing to vote on" };
                let answers = [Some(Answer::Yes), Some(Answer::Yes), Some(Answer::No), Some(Answer::Abstain), None];
                let answer = answers[self.dice.below(answers.len())];
                let _ = self.town.do_at(at, |node, now| node.vote(now, question, answer));
                "vote"
            }
            11 => {
                let (Some(at), subject) = (self.somebody(), self.anybody()) else { return "no question" };
                let Some(rules) = self.town.node(at).ledger().map(|ledger| ledger.rules().clone()) else { return "-" };
                let ask = match self.dice.below(6) {
                    0 => Ask::Remove { subject: id(subject), reports: Vec::new() },
                    1 => Ask::Revoke { subject: id(subject) },
                    _ => Ask::Amend(Rules { witnesses: 1 + self.dice.below(3) as u8, ..rules }),
                };
                let _ = self.town.do_at(at, |node, now| node.propose(now, ask, &b"why not"[..]));
                "question"
            }
            12 => {
                let Some(at) = self.somebody() else { return "nobody withdraws" };
                let Some(question) = self.question(at) else { return "nothing to withdraw" };
                let _ = match self.dice.below(3) {
                    0 => self.town.do_at(at, |node, now| node.withdraw(now, question)),
                    on => self.town.do_at(at, |node, now| node.endorse(now, question, on == 1)),
                };
                "endorse, withdraw"
            }
            13 => {
                let Some(at) = self.somebody() else { return "no disk" };
                let is_slow = !self.town.bots[at].slow_disk;
                self.town.bots[at].slow_disk = is_slow;
                if !is_slow {
                    self.town.sync(at);
                }
                "slow disk"
            }
            14 => {
                let Some(at) = self.somebody() else { return "no clock" };
                let wall = self.town.wall().0;
                let far = self.dice.below(100_000_000) as u64 * 1_000;
                let wall = [wall, wall, wall + far, wall.saturating_sub(far), u64::MAX][self.dice.below(5)];
                self.town.do_at(at, |node, now| node.set_wall_clock(now, UnixMillis(wall)));
                "clock"
            }
            15 => {
                self.town.cut_any(self.dice.0 as usize);
                "cut"
            }
            16 => {
                let Some(at) = self.somebody() else { return "no stranger" };
                if let Ok(link) = self.town.node(at).handle_accepted(now, Binding::None) {
                    self.strangers.push((at, link));
                }
                "stranger"
            }
            17 => {
                let Some(at) = self.somebody() else { return "no noise" };
                let links: Vec<LinkId> = self.town.node(at).links().map(|info| info.link).collect();
                let Some(link) = links.get(self.dice.below(links.len())).copied() else { return "no link" };
                let noise: Vec<u8> = (0..self.dice.below(200)).map(|_| self.dice.below(256) as u8).collect();
                let _ = self.town.do_at(at, |node, now| node.handle_bytes(now, link, &noise));
                "noise"
            }
            18 => {
                let (Some(at), who) = (self.somebody(), self.anybody()) else { return "no owner" };
                let words = &b"I know it"[..];
                let _ = match self.dice.below(4) {
                    0 => self.town.do_at(at, |node, now| node.sponsor(now, id(who), words).map(drop)),
                    1 => self.town.do_at(at, |node, now| node.observe_silence(now, id(who))),
                    2 => self.town.do_at(at, |node, now| {
                        node.trust_story(now);
                        Ok(())
                    }),
                    _ => self.town.do_at(at, |node, now| {
                        node.dismiss(now, id(who));
                        Ok(())
                    }),
                };
                "owner"
            }
            19 => {
                let Some(at) = self.somebody().filter(|_| self.dice.below(20) == 0) else { return "nobody leaves" };
                let _ = self.town.do_at(at, |node, now| node.leave(now));
                "leave"
            }
            20 => {
                let Some(at) = self.somebody() else { return "nobody posts" };
                let _ = self.town.do_at(at, |node, now| node.publish(now, b"a post"));
                "post"
            }
            _ => {
                let millis = [10, 500, 3_000, 20_000][self.dice.below(4)];
                self.town.run_millis(millis);
                "time"
            }
        }
    }

    /// What holds whatever happens.
    fn look(&mut self) {
        let now = self.town.instant();
        for at in 0..self.town.bots.len() {
            for event in &self.town.bots[at].events[self.looked_at[at]..] {
                if let Event::Ledger(event) = event {
                    let is_bad = matches!(**event, LedgerEvent::Equivocator { .. } | LedgerEvent::Forked(_));
                    assert!(!is_bad, "bot {at}: {event:?}");
                }
            }
            self.looked_at[at] = self.town.bots[at].events.len();
            let Some(node) = &self.town.bots[at].node else { continue };
            let Some(ledger) = node.ledger() else { continue };
            let place = ledger.place();
            for height in 0..=place.height.0 {
                let header = ledger.place_at(Height(height)).expect("it was there").header;
                let known = *self.story.entry(height).or_insert(header);
                assert_eq!(known, header, "bot {at} tells another story of height {height}");
            }
            let own = ledger.roster().get(&id(at)).is_some();
            for info in node.links() {
                let (Some(peer), Some(since)) = (info.peer, info.open_since) else { continue };
                let is_one_of_us = ledger.roster().get(&peer).is_some() || ledger.is_guest(&peer);
                let lasts = now.since(since) > Duration::from_secs(140);
                assert!(!lasts || is_one_of_us, "bot {at} has been linked with {peer} since {since:?}, now {now:?}");
            }
            let is_applying = node.join_state().is_some();
            assert!(own || at < 4 || is_applying || ledger.place().height.0 > 0, "bot {at} is lost");
        }
    }

    /// Where everybody stands, and with whom it is linked.
    fn whole(&self) -> Vec<String> {
        let name = |key: Option<interbot::BotId>| (0..BOTS).find(|at| Some(id(*at)) == key);
        let of = |(at, bot): (usize, &crate::town::Bot)| {
            let Some(node) = &bot.node else { return format!("{at} down") };
            let open = node.links().filter(|link| link.open_since.is_some());
            let links: Vec<_> = open.map(|link| name(link.peer)).collect();
            let members = node.ledger().map(|ledger| {
                let members = ledger.roster().members().iter();
                let members: Vec<_> = members.map(|it| (name(Some(it.key)), it.is_active())).collect();
                (ledger.place().height, members, ledger.view(), ledger.pieces())
            });
            let closed = bot.events.iter().rev().filter(|event| matches!(event, Event::Closed { .. }));
            let closed: Vec<_> = closed.take(3).collect();
            format!("{at}: {members:?} links {links:?} {:?}, last {closed:?}", node.join_state())
        };
        self.town.bots.iter().enumerate().map(of).collect()
    }

    /// Everybody is up and linked, and all clocks are right: the town goes on with one story.
    fn calm_down(&mut self) {
        for at in 0..self.town.bots.len() {
            self.town.bots[at].writes_left = None;
            self.town.bots[at].habit = Some(Answer::Abstain);
            if self.town.bots[at].node.is_some() {
                self.town.bots[at].slow_disk = false;
                self.town.sync(at);
                self.town.crash(at);
            }
            self.town.bots[at].slow_disk = false;
            self.revive(at);
        }
        // The one in the middle may go, or another one turn out to be gone.
        (0..3).for_each(|_| drop(self.link_all()));
        let members = self.link_all();
        let tallest = members.iter().map(|at| self.town.height(*at)).max();
        for at in members {
            let is_out = !self.town.is_member(at, at);
            assert!(is_out || Some(self.town.height(at)) == tallest, "bot {at} is behind: {:?}", self.whole());
        }
    }

    /// Links all members with the first, and lets time go by.
    fn link_all(&mut self) -> Vec<usize> {
        let all = 0..self.town.bots.len();
        let hub = all.clone().max_by_key(|at| self.town.height(*at)).expect("somebody");
        let members: Vec<usize> = all.filter(|who| self.town.is_member(hub, *who)).collect();
        let hub = members[0];
        for from in &members[1..] {
            // One of them may be behind, and not know that it is a member.
            let _ = self.town.do_at(*from, |node, now| node.dial(now, id(hub), address(hub)));
            let _ = self.town.do_at(hub, |node, now| node.dial(now, id(*from), address(*from)));
        }
        self.town.run(400);
        members
    }
}

fn anything_happens(seed: u64, steps: usize) -> u64 {
    let mut place = Where { seed, step: 0, what: "begin" };
    let mut chaos = Chaos::new(seed);
    for step in 0..steps {
        place.step = step;
        place.what = chaos.step();
        chaos.town.pump();
        chaos.look();
    }
    place.what = "the end";
    chaos.calm_down();
    chaos.look();
    for (at, link) in std::mem::take(&mut chaos.strangers) {
        if let Some(node) = &mut chaos.town.bots[at].node {
            node.close(Instant::ZERO, link, Code::GoingAway);
        }
    }
    chaos.story.len() as u64
}

#[test]
fn whatever_happens_there_is_one_story_and_nobody_panics() {
    let (first, seeds) = match std::env::var("TOWN_SEED").map(|seed| seed.parse()) {
        Ok(Ok(seed)) => (seed, 1),
        _ => (1, std::env::var("TOWN_SEEDS").ok().and_then(|seeds| seeds.parse().ok()).unwrap_or(3)),
    };
    let heights: u64 = (first..first + seeds).map(|seed| anything_happens(seed, 600)).sum();
    assert!(seeds == 1 || heights > seeds, "something was decided: {heights}");
}
