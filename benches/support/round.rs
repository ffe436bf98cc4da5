//! One round of a large community, from the questions to the next height: what each member signs, sends and computes.
//!
//! Ledgers in virtual time, linked as a tree of eight children each, with the laboratory's toy signer.

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../tests/ledger/village.rs"]
mod village;

use super::timing;
use bytes::Bytes;
use interbot::ledger::{
    Answer, Ask, Body, Certificate, Chain, Changes, ContentsId, Height, LedgerMessage, Preset, Rules, Standing,
    Statement, View, Whole,
};
use village::{Village, id, seed};

const CHILDREN: usize = 8;
const FOUNDERS: usize = 100;

/// The certificate that makes members of everybody who is no founder: more than votes would let in at once.
fn settlers(village: &Village, members: usize) -> Bytes {
    let chain = Chain::start(&village.genesis);
    let mut header = village.genesis.header();
    let mut admitted: Vec<_> = (FOUNDERS..members).map(|at| (id(at), Standing::Active)).collect();
    admitted.sort_by_key(|(key, _)| *key);
    header.height = Height(1);
    header.previous = chain.place().header;
    header.opened_at.0 += chain.rules().vote_window_ms;
    header.contents = ContentsId([1; 32]);
    header.changes = Changes { admitted, ..Changes::default() };
    let roster = header.changes.apply(chain.roster(), Height(1)).expect("they fit");
    header.roster = roster.root();
    (header.members, header.active) = (members as u32, members as u32);
    let body = Body::Commit { view: View(0), header: header.id(chain.community()) };
    let commit = |at: usize| {
        let signer = village.crypto.signer(&seed(at));
        let statement = Statement::new(chain.community(), id(at), chain.place(), body.clone(), &*signer);
        (id(at), statement.expect("it is short").signature())
    };
    let quorum = chain.rules().numbers(FOUNDERS as u32).quorum;
    let certificate = Certificate::new(header, View(0), chain.roster(), quorum, (0..FOUNDERS).map(commit));
    certificate.to_bytes().into()
}

/// Prints the figures of a round in which ten applications are judged.
pub(crate) fn figures(members: usize) {
    let mut village = Village::found_apart(Rules::preset(Preset::Village), FOUNDERS);
    for _ in FOUNDERS..members {
        village.arrive(interbot::ledger::Journal::New);
    }
    village.listens = false;
    let certificate = settlers(&village, members);
    village.now += village.genesis.founding().rules.vote_window_ms;
    for at in 0..members {
        village.hand(at, &LedgerMessage::Part { whole: Whole::Certificate, at: 0, of: 1, bytes: certificate.clone() });
        village.bots[at].habit = Some(Answer::Yes);
    }
    for at in 1..members {
        village.link((at - 1) / CHILDREN, at);
    }
    assert!(village.heights().iter().all(|height| *height == 1), "everybody is a member");
    (village.frames, village.bytes, village.pieces, village.longest) = (0, 0, 0, 0);
    let signed = |village: &Village| -> Vec<u64> { (0..members).map(|at| village.stats(at).signed).collect() };
    let before = signed(&village);
    let cpu = timing::cpu_nanos();
    for sponsor in 0..10 {
        let stranger = members + sponsor;
        let application = village.application(stranger, sponsor);
        village.propose(sponsor, Ask::Admit(application));
    }
    let done = village.pass_until(300, |village| village.heights().iter().all(|height| *height == 2));
    let cpu = timing::cpu_nanos() - cpu;
    assert!(done, "the round ends");
    village.assert_one_story();
    let signed: Vec<u64> = signed(&village).iter().zip(before).map(|(after, before)| after - before).collect();
    let all_signed: u64 = signed.iter().sum();
    let per_member = |total: u64| total as f64 / members as f64;
    println!("figure ledger_round_n{members}_frames {:.1}", per_member(village.frames));
    println!("figure ledger_round_n{members}_statements {:.2}", per_member(all_signed));
    println!("figure ledger_round_n{members}_statements_most {}", signed.iter().max().unwrap_or(&0));
    println!("figure ledger_round_n{members}_kb {:.1}", per_member(village.bytes) / 1000.0);
    println!("figure ledger_round_n{members}_longest_frame {}", village.longest);
    println!("figure ledger_round_n{members}_cpu_ms {:.2}", cpu / 1e6 / members as f64);
    // Each statement crosses each of the tree's links once: as many as there are members, less one.
    let crossings = village.pieces as f64 / (members - 1) as f64;
    println!("ratio ledger_round_n{members}_crossings {:.3}", crossings / all_signed as f64);
}
