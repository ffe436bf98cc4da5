//! Years of a village: absences, clocks that are off, partitions, liars, newcomers and leavers.

use std::collections::BTreeMap;

use bytes::Bytes;
use interbot::ledger::{Answer, Ask, Ballot, Body, Certificate, Departure, Height, LedgerMessage, Rules, StatementId};

use crate::village::{Dice, Village, id, rules};

/// What happens in a village.
#[derive(Clone, Copy, Debug)]
struct Life {
    members: usize,
    weeks: u64,
    /// Percent of the time that a bot is up.
    attendance: u64,
    liars: usize,
    seed: u64,
}

#[derive(Debug, Default)]
struct Tally {
    heights: u64,
    silent: usize,
    convicted: usize,
    asleep: usize,
    woken: usize,
    /// Most u between two heights while enough were up all the time.
    slowest: u64,
}

struct Years {
    life: Life,
    dice: Dice,
    village: Village,
    honest: Vec<usize>,
    liars: Vec<usize>,
    /// Until when each absent bot is away.
    away: BTreeMap<usize, u64>,
    apart: bool,
    asked: u64,
    /// How long enough members were up and together, in u, since the last height, with something to decide.
    good: u64,
    tally: Tally,
}

impl Years {
    fn new(life: Life) -> Self {
        let mut dice = Dice::new(life.seed);
        let mut village = Village::found(rules(), life.members);
        for bot in &mut village.bots {
            bot.habit = [Some(Answer::Yes), Some(Answer::Yes), None, Some(Answer::No)][dice.at(4)];
            // Three days on either side.
            bot.skew = (dice.below(144 * 3600) as i64 - 72 * 3600) * 1000;
        }
        let liars: Vec<usize> = (life.members - life.liars..life.members).collect();
        liars.iter().for_each(|at| village.turn_traitor(*at));
        let honest = (0..life.members - life.liars).collect();
        let (away, tally) = (BTreeMap::new(), Tally::default());
        Self { life, dice, village, honest, liars, away, apart: false, asked: 0, good: 0, tally }
    }

    fn context(&self) -> String {
        let place = |at: &usize| self.village.bots[*at].ledger.as_ref().map(|ledger| ledger.place().height.0);
        let places: Vec<_> = self.honest.iter().map(place).collect();
        format!(
            "{:?}, week {}, heights {places:?}",
            self.life,
            (self.village.now - crate::village::DAWN) / self.village.unit() / 168
        )
    }

    /// The bot that has seen most.
    fn newest(&self) -> Option<usize> {
        let up = self.honest.iter().copied().filter(|at| self.village.is_up(*at));
        up.max_by_key(|at| self.village.height(*at))
    }

    /// So many u pass.
    fn live(&mut self) {
        let end = self.village.now + self.life.weeks * 168 * self.village.unit();
        while self.village.now < end {
            self.come_and_go();
            self.ask();
            self.lie();
            let before = self.newest().map(|at| self.village.height(at));
            self.village.pass(6);
            let after = self.newest().map(|at| self.village.height(at));
            self.look(6, before == after);
        }
    }

    fn come_and_go(&mut self) {
        let now = self.village.now;
        let unit = self.village.unit();
        for at in self.honest.clone() {
            match self.away.get(&at).copied() {
                Some(until) if until <= now => {
                    self.away.remove(&at);
                    self.village.restart(at);
                    if self.apart {
                        self.divide();
                    }
                }
                Some(_) => {}
                // Mostly for some days, now and then for weeks: 142 u on average.
                None if self.dice.below(24 * self.life.attendance) < 100 - self.life.attendance => {
                    self.village.crash(at);
                    let most = if self.dice.percent(10) { 8 * 168 } else { 168 };
                    self.away.insert(at, now + (1 + self.dice.below(most)) * unit);
                }
                None => {}
            }
        }
        match (self.apart, self.dice.below(28 * 8)) {
            (false, 0) => {
                self.apart = true;
                self.divide();
            }
            (true, 0..8) => {
                self.apart = false;
                self.village.mend();
            }
            _ => {}
        }
    }

    fn divide(&mut self) {
        let (left, right): (Vec<usize>, Vec<usize>) = self.honest.iter().partition(|at| *at % 3 > 0);
        self.village.part(&[&left, &right]);
    }

    /// Somebody asks something every other week or so; who was evicted comes back by vote.
    fn ask(&mut self) {
        if !self.dice.percent(2) {
            return;
        }
        let Some(newest) = self.newest() else { return };
        let asker = self.honest[self.dice.at(self.honest.len())];
        if !self.village.is_up(asker) {
            return;
        }
        self.asked += 1;
        let roster = self.village.ledger(newest).roster().clone();
        let out = self.honest.iter().copied().find(|at| *at != asker && roster.get(&id(*at)).is_none());
        let ask = match out {
            Some(out) => Ask::Admit(self.village.application(out, asker)),
            None => Ask::Amend(Rules { witnesses: 1 + (self.asked % 200) as u8, ..rules() }),
        };
        if self.village.ledger(asker).propose(ask, Bytes::new()).is_ok() {
            self.village.pump();
        }
    }

    /// Liars vote twice, agree with everything, and are seldom caught at it: they are to be there for long.
    fn lie(&mut self) {
        for liar in self.liars.clone() {
            let up: Vec<usize> = self.honest.iter().copied().filter(|at| self.village.is_up(*at)).collect();
            if up.is_empty() {
                continue;
            }
            let to = up[self.dice.at(up.len())];
            let place = self.village.ledger(to).place();
            let offered: Vec<Body> = self
                .village
                .said
                .values()
                .filter(|said| said.place() == place)
                .filter_map(|said| match said.body() {
                    Body::Seal { view, header } => Some(Body::Ack { view: *view, header: *header }),
                    Body::Ack { view, header } => Some(Body::Commit { view: *view, header: *header }),
                    _ => None,
                })
                .collect();
            for body in offered {
                let said = self.village.said_by(liar, place, body);
                let _ = self.village.tell(liar, to, &said);
            }
            let number = self.village.now / 1000 / 86_400;
            // Seldom it says something else under a number that it used: then it is out.
            let other = (StatementId([9; 32]), Answer::No);
            let answers = if self.dice.below(400) == 0 { vec![other] } else { Vec::new() };
            let said = self.village.said_by(liar, place, Body::Ballot(Ballot { number, answers }));
            let _ = self.village.tell(liar, to, &said);
            let here = LedgerMessage::Here { place, whole: [7; 16] };
            let _ = self.village.speak(liar, to, here);
        }
        // What nobody stands on any more is of no use to anybody.
        if self.village.said.len() > 4_000 {
            let lowest = self.village.heights().into_iter().min().unwrap_or_default();
            self.village.said.retain(|_, said| said.place().height.0 + 1 >= lowest);
        }
    }

    /// With enough of them together for long enough, a question is decided.
    fn look(&mut self, passed: u64, stands: bool) {
        let Some(newest) = self.newest() else { return };
        if !stands {
            self.village.assert_one_story();
        }
        let village = &mut self.village;
        let ledger = village.ledger(newest);
        let (roster, is_busy) = (ledger.roster().clone(), !ledger.questions().is_empty());
        let quorum = ledger.rules().numbers(roster.active_len()).quorum as usize;
        let here =
            self.honest.iter().filter(|at| village.is_up(**at) && roster.get_active(&id(**at)).is_some()).count();
        let is_good = !self.apart && here >= quorum && is_busy;
        self.good = if stands && is_good { self.good + passed } else { 0 };
        self.tally.slowest = self.tally.slowest.max(self.good);
        assert!(self.good < 168 * 8, "stuck with {here} of {quorum}: {}", self.context());
    }

    /// Everybody comes, and has the same in the end.
    fn settle(mut self) -> Tally {
        for at in std::mem::take(&mut self.away).into_keys() {
            self.village.restart(at);
        }
        self.village.mend();
        self.village.pass(20);
        let newest = self.newest().expect("somebody is there");
        let (place, roster) = (self.village.ledger(newest).place(), self.village.ledger(newest).roster().clone());
        for at in self.honest.clone() {
            assert_eq!(self.village.ledger(at).place(), place, "{at}: {}", self.context());
            assert_eq!(*self.village.ledger(at).roster(), roster);
            self.village.assert_honest(at);
        }
        self.village.assert_one_story();
        self.count(newest);
        self.tally.heights = place.height.0;
        self.tally
    }

    /// Goes through the story: nobody who answered is struck, asleep or evicted (INV25), and nobody honest is convicted.
    fn count(&mut self, at: usize) {
        let mut chain = interbot::ledger::Chain::start(&self.village.genesis);
        for height in 1..=self.village.height(at).0 {
            let bytes = self.village.ledger(at).certificate(Height(height)).expect("it has one").clone();
            let certificate = Certificate::from_bytes(&bytes).expect("a certificate");
            let before = chain.roster().clone();
            chain.follow(&certificate, &*self.village.crypto).expect("it follows");
            let changes = &certificate.header.changes;
            let answered = |key: &interbot::BotId| {
                let place = before.position(key).expect("a member");
                changes.respondents.as_ref().is_some_and(|places| places.contains(place))
            };
            for (key, cause) in &changes.departed {
                let is_liar = self.liars.iter().any(|liar| id(*liar) == *key);
                match cause {
                    Departure::Evidence => {
                        assert!(is_liar, "an honest member is convicted at height {height}: {}", self.context());
                        self.tally.convicted += 1;
                    }
                    Departure::Silent => {
                        assert!(!answered(key), "evicted although it answered at height {height}: {}", self.context());
                        self.tally.silent += 1;
                    }
                    _ => {}
                }
            }
            assert!(!changes.dormant.iter().any(answered), "asleep although it answered: {}", self.context());
            self.tally.asleep += changes.dormant.len();
            self.tally.woken += changes.woken.len();
            for member in chain.roster().members() {
                assert!(before.get(&member.key).is_none() || !answered(&member.key) || member.strikes == 0);
            }
        }
    }
}

fn live(life: Life) -> Tally {
    let mut years = Years::new(life);
    years.live();
    years.settle()
}

#[test]
fn years_of_small_villages_are_one_story() {
    for (members, liars, weeks, seeds) in [(4, 0, 52, 3), (4, 1, 52, 2), (7, 2, 26, 2), (2, 0, 52, 1), (1, 0, 52, 1)] {
        for seed in 0..seeds {
            let tally = live(Life { members, weeks, attendance: 95, liars, seed });
            assert!(tally.heights > weeks / 8, "{members} members, {liars} liars, seed {seed}: {tally:?}");
        }
    }
}

#[test]
fn weeks_of_twenty_five_are_one_story() {
    let tally = live(Life { members: 25, weeks: 6, attendance: 95, liars: 4, seed: 1 });
    assert!(tally.heights > 1, "{tally:?}");
}

#[test]
fn a_year_of_bots_that_are_often_away_is_one_story() {
    for seed in 0..2 {
        let tally = live(Life { members: 7, weeks: 52, attendance: 75, liars: 0, seed });
        assert!(tally.heights > 3, "{tally:?}");
    }
}

/// Members, liars, years, attendance in percent, seeds.
type Lives = (usize, usize, u64, u64, u64);

/// A part of the thousand years that `.ci/long` lives through; the parts are tests of their own, so that two run at once.
fn long_lives(lives: &[Lives]) {
    for (members, liars, years, attendance, seeds) in lives.iter().copied() {
        let mut sum = Tally::default();
        for seed in 0..seeds {
            let tally = live(Life { members, weeks: 52 * years, attendance, liars, seed: 1_000 + seed });
            sum.heights += tally.heights;
            sum.silent += tally.silent;
            sum.convicted += tally.convicted;
            sum.asleep += tally.asleep;
            sum.woken += tally.woken;
            sum.slowest = sum.slowest.max(tally.slowest);
        }
        println!("{} years of {members} with {liars} liars, {attendance} % there: {sum:?}", years * seeds);
    }
}

#[test]
#[ignore = "five hundred years take a while"]
fn a_thousand_years_of_four_are_one_story() {
    long_lives(&[(4, 0, 10, 95, 25), (4, 1, 10, 95, 25)]);
}

#[test]
#[ignore = "four hundred years take a while"]
fn a_thousand_years_of_seven_are_one_story() {
    long_lives(&[(7, 2, 10, 95, 20), (7, 0, 10, 75, 20)]);
}

#[test]
#[ignore = "a hundred years take a while"]
fn a_thousand_years_of_many_and_of_few_are_one_story() {
    long_lives(&[(25, 4, 1, 95, 6), (25, 8, 1, 98, 4), (2, 0, 20, 95, 2), (1, 0, 50, 95, 1)]);
}
