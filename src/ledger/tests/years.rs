//! What silence does to a hundred members: the tables of the owners' page, made by the rules themselves.

use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use super::*;
use crate::crypto::Random;

const PAGE: &str = include_str!("../../manual/owners.md");
const MEMBERS: u8 = 100;
const WEEKS: usize = 52;
/// Years for each line of the first table.
const YEARS: u64 = 100;
/// 95 % of 2^16.
const ATTENDANCE: u16 = 62_259;

/// A community that is asked something every week.
struct Weeks {
    roster: Roster,
    rules: Rules,
    place: Place,
    /// Members that were evicted.
    evicted: usize,
    /// The most that slept at once.
    asleep: usize,
}

impl Weeks {
    fn new(town: Town) -> Self {
        let place = Place { height: Height(0), header: HeaderId([0; 32]) };
        Self { roster: town.roster, rules: town.rules, place, evicted: 0, asleep: 0 }
    }

    /// One week: the bots that are there answer, or wake. Without a quorum of them no round ends.
    fn pass(&mut self, is_here: impl Fn(&BotId) -> bool) {
        let here: Vec<BotId> = self.roster.active().map(|member| member.key).filter(&is_here).collect();
        if here.len() < self.rules.numbers(self.roster.active_len()).quorum as usize {
            return;
        }
        let Place { height, header } = self.place;
        let id = StatementId([1; 32]);
        let question = Proposal { slot: 1, ask: Ask::Revoke { subject: key(200) }, text: Bytes::new() };
        let ballot = Ballot { number: height.0, answers: Vec::new() };
        let asleep = self.roster.members().iter().filter(|member| !member.is_active());
        let contents = Contents {
            opened_at: UnixMillis((height.0 + 1) * self.rules.vote_window_ms),
            id: ContentsId([0; 32]),
            proposals: [Sealed { id, sponsor: here[0], height, proposal: &question }].into(),
            judged: [id].into(),
            ballots: here.iter().map(|author| Cast { author: *author, height, ballot: &ballot }).collect(),
            items: Items { wakes: asleep.map(|member| member.key).filter(&is_here).collect(), ..Items::default() },
        };
        let made = next(&Standpoint { height, header, roster: &self.roster, rules: &self.rules }, &contents);
        let silent = |(_, cause): &&(BotId, Departure)| *cause == Departure::Silent;
        self.evicted += made.header.changes.departed.iter().filter(silent).count();
        self.place = made.header.place(&CommunityId::from_name("years"));
        self.roster = made.roster;
        self.asleep = self.asleep.max(self.sleepers());
    }

    fn sleepers(&self) -> usize {
        self.roster.members().len() - self.roster.active_len() as usize
    }
}

/// Rules by name.
fn towns() -> [(&'static str, Town); 3] {
    let seed = Town::new(Preset::Seed, MEMBERS);
    let mut two = seed.clone();
    two.rules.evict_after = Some(2);
    [("`village`", Town::village(MEMBERS)), ("`seed`", seed), ("`seed`, but out after two silent weeks", two)]
}

/// Median, and 5 % and 95 % of the cases below.
fn spread(mut cases: Vec<usize>) -> String {
    cases.sort_unstable();
    let at = |percent| cases[(cases.len() - 1) * percent / 100];
    format!("{} ({} – {})", at(50), at(5), at(95))
}

fn year(town: Town, seed: u64) -> Weeks {
    let mut weeks = Weeks::new(town);
    let keys: Vec<BotId> = weeks.roster.members().iter().map(|member| member.key).collect();
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_be_bytes());
    let mut random = Random::from_seed(&bytes);
    for _ in 0..WEEKS {
        let mut draws = [0; 2 * MEMBERS as usize];
        random.fill(&mut draws);
        let (draws, _) = draws.as_chunks();
        let is_here = |key: &BotId| {
            let at = keys.binary_search(key).expect("one of the first members");
            u16::from_be_bytes(draws[at]) < ATTENDANCE
        };
        weeks.pass(is_here);
    }
    weeks
}

fn assert_has(table: &str) {
    assert!(PAGE.contains(table), "src/manual/owners.md should have this table:\n{table}");
}

#[test]
fn i14_the_owners_page_says_what_a_year_does_to_a_hundred_members() {
    let mut table = String::from(
        "| rules | left on average | left | of them asleep in the last week | removed though they would have come back |\n\
         | --- | --- | --- | --- | --- |\n",
    );
    for (name, town) in towns() {
        let years: Vec<Weeks> = (0..YEARS).map(|seed| year(town.clone(), seed)).collect();
        let of = |what: fn(&Weeks) -> usize| spread(years.iter().map(what).collect());
        let (left, asleep) = (of(|year| year.roster.members().len()), of(Weeks::sleepers));
        let sum: usize = years.iter().map(|year| year.roster.members().len()).sum();
        let tenths = (10 * sum + years.len() / 2) / years.len();
        let average = format!("{}.{}", tenths / 10, tenths % 10);
        table += &format!("| {name} | {average} | {left} | {asleep} | {} |\n", of(|year| year.evicted));
    }
    assert_has(&table);
}

#[test]
fn i14_the_owners_page_says_what_a_long_absence_of_thirty_does() {
    let mut table = String::from(
        "| thirty are away for | `village`: members left, most asleep | `seed`: members left |\n| --- | --- | --- |\n",
    );
    let away: Vec<BotId> = (71..=MEMBERS).map(key).collect();
    for weeks in [1, 2, 3, 4, 6, 8] {
        let [village, seed] = [Preset::Village, Preset::Seed].map(|preset| {
            let mut town = Weeks::new(Town::new(preset, MEMBERS));
            (0..weeks).for_each(|_| town.pass(|key| !away.contains(key)));
            (0..2).for_each(|_| town.pass(|_| true));
            town
        });
        let span = if weeks == 1 { "1 week".into() } else { format!("{weeks} weeks") };
        let (left, asleep) = (village.roster.members().len(), village.asleep);
        table += &format!("| {span} | {left}, {asleep} | {} |\n", seed.roster.members().len());
    }
    assert_has(&table);
}
