//! A newcomer checks a year of rounds, against the bare signature checks, and what it costs in bytes and memory; with the
//! feature `sim`, one round of 1,000 members, which takes minutes (with `--test` of 300, and nothing else).
//!
//! Prints `ratio NAME VALUE` and `figure NAME VALUE` from interleaved rounds, then criterion's report.

#[path = "support/cpu.rs"]
mod cpu;
#[cfg(feature = "sim")]
#[path = "support/round.rs"]
mod round;
#[path = "support/timing.rs"]
mod timing;

use bytes::Bytes;
use interbot::crypto::{Crypto, Pure, Signer};
use interbot::ledger::{
    Body, Certificate, Chain, Changes, ContentsId, Founding, Genesis, Header, Outcome, Places, Preset, Rules, Standing,
    Statement, StatementId, View,
};
use interbot::{BotId, Identity, UnixMillis};

use timing::{Case, take_turns};

/// Rounds of a year, one a week.
const YEAR: usize = 52;

/// Who signed what.
type Check = (BotId, Vec<u8>, [u8; 64]);

/// A story, and the signature checks in it.
struct Story {
    genesis: Genesis,
    certificates: Vec<Bytes>,
    checks: Vec<Check>,
}

fn secret(n: usize) -> [u8; 32] {
    let mut secret = [3; 32];
    secret[..8].copy_from_slice(&(n as u64).to_be_bytes());
    secret
}

impl Story {
    /// A year of a community in which a member leaves and one joins every week, and one in twenty is silent.
    fn new(members: usize, rounds: usize) -> Self {
        let founders = members.min(100);
        let id = |n| Identity::from_seed(secret(n)).id();
        let founding = Founding {
            rules: Rules::preset(Preset::Village),
            founders: (0..founders).map(id).collect(),
            opened_at: UnixMillis(1_800_000_000_000),
            nonce: [1; 16],
            text: Bytes::from_static(b"a year"),
        };
        let keys: std::collections::BTreeMap<BotId, [u8; 32]> =
            (0..members + rounds).map(|n| (id(n), secret(n))).collect();
        let signer = |key: &BotId| -> Box<dyn Signer> { Pure.signer(&keys[key]) };
        let signatures: Vec<_> = founding.founders.iter().map(|key| (*key, founding.sign(&*signer(key)))).collect();
        let genesis = Genesis::new(founding, &signatures, &Pure).expect("all signed");
        let mut chain = Chain::start(&genesis);
        let (mut certificates, mut checks) = (Vec::new(), Vec::new());
        // A large community has more first members than founders: they come in by a round that is not counted.
        if members > founders {
            let mut admitted: Vec<_> = (founders..members).map(|n| (id(n), Standing::Active)).collect();
            admitted.sort_unstable_by_key(|(key, _)| *key);
            let changes = Changes { admitted, ..Changes::default() };
            let (certificate, _) = certify(&chain, changes, Vec::new(), &signer);
            chain.follow(&certificate, &Pure).expect("good");
        }
        for round in 0..rounds {
            let roster = chain.roster();
            let mut places = Places::none(roster.members().len());
            (0..places.len()).filter(|at| (at + round) % 20 > 0).for_each(|at| places.insert(at));
            let leaver = roster.members()[round % roster.members().len()].key;
            let changes = Changes {
                respondents: Some(places),
                departed: vec![(leaver, interbot::ledger::Departure::Left)],
                admitted: vec![(id(members + round), Standing::Active)],
                ..Changes::default()
            };
            let outcomes = vec![(StatementId([round as u8; 32]), Outcome::Passed)];
            let (certificate, signed) = certify(&chain, changes, outcomes, &signer);
            chain.follow(&certificate, &Pure).expect("good");
            certificates.push(certificate.to_bytes().into());
            checks.extend(signed);
        }
        Self { genesis, certificates, checks }
    }

    fn bytes(&self) -> usize {
        self.certificates.iter().map(Bytes::len).sum()
    }

    fn verify(&self) {
        let mut chain = Chain::start(&self.genesis);
        for bytes in &self.certificates {
            let certificate = Certificate::from_bytes(bytes).expect("good");
            chain.follow(&certificate, &Pure).expect("good");
        }
        assert_eq!(chain.place().height.0, self.certificates.len() as u64);
    }

    fn check_signatures(&self) {
        assert!(self.checks.iter().all(|(key, message, signature)| Pure.verify(key.as_bytes(), message, signature)));
    }
}

/// A certificate for these changes, by the first members that make a quorum, and what was signed.
fn certify(
    chain: &Chain,
    changes: Changes,
    outcomes: Vec<(StatementId, Outcome)>,
    signer: &dyn Fn(&BotId) -> Box<dyn Signer>,
) -> (Certificate, Vec<Check>) {
    let height = chain.place().height.next();
    let roster = changes.apply(chain.roster(), height).expect("the changes fit");
    let header = Header {
        height,
        previous: chain.place().header,
        opened_at: UnixMillis(chain.opened_at().0 + chain.rules().vote_window_ms),
        contents: ContentsId([2; 32]),
        roster: roster.root(),
        members: u32::try_from(roster.members().len()).expect("few"),
        active: roster.active_len(),
        outcomes,
        changes,
    };
    let (id, view) = (header.id(chain.community()), View(0));
    let quorum = chain.rules().numbers(chain.roster().active_len()).quorum;
    let signed: Vec<_> = chain
        .roster()
        .active()
        .take(quorum as usize)
        .map(|member| {
            let body = Body::Commit { view, header: id };
            let statement = Statement::new(chain.community(), member.key, chain.place(), body, &*signer(&member.key));
            let statement = statement.expect("it fits");
            let unsigned = &statement.bytes()[..statement.bytes().len() - 64];
            let message = [&b"interbot ledger\0"[..], chain.community().as_bytes(), unsigned].concat();
            (member.key, message, statement.signature())
        })
        .collect();
    let commits = signed.iter().map(|(key, _, signature)| (*key, *signature));
    (Certificate::new(header, view, chain.roster(), quorum, commits), signed)
}

fn figures(year: &Story) {
    let rounds =
        take_turns(vec![Case::new("year", || year.verify()), Case::new("signatures", || year.check_signatures())]);
    println!("ratio ledger_verify_vs_signatures {:.3}", rounds.ratio("year", "signatures"));
    println!("figure ledger_year_ms_n100 {:.1}", rounds.micros("year") / 1000.0);
    println!("figure ledger_year_kb_n100 {:.1}", year.bytes() as f64 / 1000.0);
    println!("figure ledger_year_signatures_n100 {}", year.checks.len());
    let peak = |story: &Story| allocation_counter::measure(|| story.verify()).bytes_max;
    println!("figure ledger_verify_peak_bytes_n100_1y {}", peak(year));
    println!("figure ledger_verify_peak_bytes_n100_2y {}", peak(&Story::new(100, 2 * YEAR)));
    println!("figure ledger_year_kb_n1000 {:.1}", Story::new(1000, YEAR).bytes() as f64 / 1000.0);
}

fn main() {
    let mut criterion = cpu::criterion();
    let year = Story::new(100, YEAR);
    // `cargo test --benches` only asks whether it runs.
    if !std::env::args().any(|argument| argument == "--test") {
        figures(&year);
    }
    #[cfg(feature = "sim")]
    round::figures(if std::env::args().any(|argument| argument == "--test") { 300 } else { 1000 });
    let mut group = criterion.benchmark_group("ledger");
    group.sample_size(10);
    group.bench_function("verify a year of 100 members", |bencher| bencher.iter(|| year.verify()));
    group.finish();
    criterion.final_summary();
}
