//! The vectors of the ledger, as the end of its page in the manual describes them.

mod chain;
mod invitations;
mod messages;
mod refused;

use alloc::string::String;
use alloc::vec::Vec;
use alloc::{format, vec};

use bytes::Bytes;
use serde_json::{Value, json};

use super::tests::records::pairs;
use super::tests::{bodies, key, say};
use super::*;
use crate::crypto::{Crypto, Pure, Signer};
use crate::identity::{BotId, CommunityId};
use crate::time::UnixMillis;
use crate::vectors::{check, hex};

fn signer(seed: u8) -> alloc::boxed::Box<dyn Signer> {
    Pure.signer(&[seed; 32])
}

fn key_hex(key: &BotId) -> String {
    hex(key.as_bytes())
}

fn members_of(roster: &Roster) -> Vec<String> {
    roster.members().iter().map(|member| hex(&member.to_bytes())).collect()
}

/// `bytes` with one byte changed.
fn changed(bytes: &[u8], at: usize, byte: u8) -> Vec<u8> {
    let mut odd = bytes.to_vec();
    assert_ne!(odd[at], byte, "nothing would change");
    odd[at] = byte;
    odd
}

/// `bytes` with others in place of some.
fn with(bytes: &[u8], at: usize, part: &[u8]) -> Vec<u8> {
    [&bytes[..at], part, &bytes[at + part.len()..]].concat()
}

fn longer(bytes: &[u8]) -> Vec<u8> {
    [bytes, &[0]].concat()
}

fn shorter(bytes: &[u8]) -> Vec<u8> {
    bytes[..bytes.len() - 1].to_vec()
}

/// A key that is on the curve and no roster key.
fn mixed_order() -> [u8; 32] {
    crate::crypto::tests::mixed_order(&key(1))
}

// ---- rules ----

fn presets() -> [(&'static str, Rules); 3] {
    [("village", Preset::Village), ("seed", Preset::Seed), ("manual", Preset::Manual)]
        .map(|(name, preset)| (name, Rules::preset(preset)))
}

fn rules() -> Vec<Value> {
    let other = Rules {
        vote_window_ms: 1_000,
        floor: Floor::Respondents(u32::MAX),
        dormant_after: Some(255),
        evict_after: None,
        evict_cap: EvictCap::Unlimited,
        min_active: 7,
        endorse_percent: 100,
        endorse_members: 1,
        observers: 64,
        witnesses: 255,
        stale_after: 0,
        ..Rules::preset(Preset::Village)
    };
    let all = presets().into_iter().chain([("others", other)]);
    let encoded = all.map(|(name, rules)| {
        assert_eq!((rules.check(), Rules::from_bytes(&rules.to_bytes())), (Ok(()), Ok(rules.clone())));
        json!({ "name": name, "bytes": hex(&rules.to_bytes()), "u": rules.unit_ms() })
    });
    encoded.collect()
}

fn refused_rules() -> Vec<Value> {
    let village = Rules::preset(Preset::Village).to_bytes();
    let number = |at, value: &[u8]| with(&village, at, value);
    [
        ("one byte short", shorter(&village)),
        ("trailing byte", longer(&village)),
        ("who decides 2", changed(&village, 0, 2)),
        ("faults 2", changed(&village, 9, 2)),
        ("most that a round may lose 2", changed(&village, 16, 2)),
        ("W of 999 ms", number(1, &999_u64.to_be_bytes())),
        ("W of 366 days and 1 ms", number(1, &31_622_400_001_u64.to_be_bytes())),
        ("least active 0", number(17, &[0; 4])),
        ("X of 0", changed(&village, 21, 0)),
        ("X of 101", changed(&village, 21, 101)),
        ("N of 0", number(22, &[0; 4])),
        ("observers 0", number(26, &[0; 4])),
        ("observers 65", number(26, &65_u32.to_be_bytes())),
        ("witnesses 0", changed(&village, 30, 0)),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let reason = match Rules::from_bytes(&bytes).map(|rules| rules.check()) {
            Err(_) => "layout",
            Ok(Err(_)) => "range",
            Ok(Ok(())) => panic!("{name} is fine"),
        };
        json!({ "name": name, "bytes": hex(&bytes), "reason": reason })
    })
    .collect()
}

fn numbers() -> Vec<Value> {
    let mut out = Vec::new();
    for (name, rules) in &presets()[..2] {
        for n in (0..=12).chain([25, 100, 1000]) {
            let numbers = rules.numbers(n);
            out.push(json!({
                "rules": name,
                "n": n,
                "f": numbers.faults,
                "q": numbers.quorum,
                "floor": numbers.floor,
                "cap": numbers.cap,
                "evict_cap": (numbers.evict_cap < u32::MAX).then_some(numbers.evict_cap),
                "admit_cap": numbers.admit_cap,
                "of_one_sponsor": numbers.admits_per_sponsor,
                "k": numbers.observers,
            }));
        }
    }
    out
}

// ---- genesis ----

fn founding(rules: Rules, founders: impl IntoIterator<Item = u8>) -> Founding {
    Founding {
        rules,
        founders: founders.into_iter().map(key).collect(),
        opened_at: UnixMillis(1_767_225_600_000),
        nonce: [7; 16],
        text: Bytes::from_static("a village by the sea, für alle".as_bytes()),
    }
}

fn genesis_json(name: &str, genesis: &Genesis) -> Value {
    let (community, header) = (genesis.community(), genesis.header());
    json!({
        "name": name,
        "bytes": hex(&genesis.to_bytes()),
        "com": hex(community.as_bytes()),
        "header": hex(&header.to_bytes()),
        "header_id": hex(&header.id(&community).0),
    })
}

fn refused_geneses() -> Vec<Value> {
    let village = || Rules::preset(Preset::Village);
    let good = founding(village(), 1..=4);
    let sign = |founding: &Founding| {
        let signed = |seed: u8| (key(seed), founding.sign(&*signer(seed)));
        Genesis::new(founding.clone(), &[1, 2, 3, 4].map(signed), &Pure).expect("all signed").to_bytes()
    };
    let bytes = sign(&good);
    // rules, opened-at, nonce, text
    let keys = 32 + 8 + 16 + 2 + good.text.len();
    let body = &bytes[..keys + 1 + 4 * 32];
    // What no founder would sign, signed all the same.
    let signed = |founding: &[u8], seeds: &[u8]| {
        let com = crate::crypto::sha256(&[b"interbot genesis", founding]);
        let mut seeds = seeds.to_vec();
        seeds.sort_by_key(|seed| key(*seed));
        let signatures = seeds.iter().map(|seed| signer(*seed).sign(&[&b"interbot found 1"[..], &com].concat()));
        [founding, &signatures.collect::<Vec<_>>().concat()].concat()
    };
    assert_eq!(signed(body, &[1, 2, 3, 4]), bytes);
    let (first, second) = (&body[keys + 1..keys + 33], &body[keys + 33..keys + 65]);
    let swapped = with(body, keys + 1, &[second, first].concat());
    let twice = with(body, keys + 33, first);
    let weak = with(body, keys + 1, &[0; 32]);
    let mixed = [&body[..keys], &[1], &mixed_order()].concat();
    let out_of_range = with(body, 0, &Rules { witnesses: 0, ..village() }.to_bytes());
    [
        ("one byte short", shorter(&bytes)),
        ("trailing byte", longer(&bytes)),
        ("a signature is missing", bytes[..bytes.len() - 64].to_vec()),
        ("a signature is another founder's", [&bytes[..bytes.len() - 64], &bytes[bytes.len() - 128..][..64]].concat()),
        ("another nonce than was signed", changed(&bytes, 40, 8)),
        ("no founder", [&body[..keys], &[0]].concat()),
        ("founders out of order", signed(&swapped, &[1, 2, 3, 4])),
        ("a founder twice", signed(&twice, &[1, 2, 3, 4])),
        ("a founder's key of small order", signed(&weak, &[1, 2, 3, 4])),
        ("a founder's key of mixed order", signed(&mixed, &[1])),
        ("rules out of range", signed(&out_of_range, &[1, 2, 3, 4])),
        ("text that is no UTF-8", signed(&changed(body, 58, 0xff), &[1, 2, 3, 4])),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let reason = match Genesis::from_bytes(&bytes, &Pure) {
            Err(GenesisError::Layout(_)) => "layout",
            Err(GenesisError::Rules(_)) => "range",
            Err(GenesisError::Founders(_)) => "founders",
            Err(GenesisError::Signature(_)) => "signature",
            Ok(_) => panic!("{name} is fine"),
        };
        json!({ "name": name, "bytes": hex(&bytes), "reason": reason })
    })
    .collect()
}

// ---- rosters ----

fn roster(n: u8) -> Roster {
    Roster::new((0..n).map(|at| Member {
        key: key(at + 1),
        joined_at: Height(u64::from(at) << 30),
        strikes: at,
        standing: if at % 3 == 2 { Standing::Dormant } else { Standing::Active },
    }))
}

fn rosters() -> Vec<Value> {
    let one = |n| {
        let roster = roster(n);
        let paths = roster.members().iter().map(|member| {
            let path = roster.path(&member.key).expect("a member");
            assert!(path.leads_to(&roster.root(), n.into()));
            hex(&path.to_bytes())
        });
        json!({
            "members": members_of(&roster),
            "n": roster.active_len(),
            "root": hex(&roster.root().0),
            "paths": paths.collect::<Vec<_>>(),
        })
    };
    [0, 1, 2, 3, 5, 8, 13].map(one).into()
}

fn refused_paths() -> Vec<Value> {
    let five = roster(5);
    let path = five.path(&five.members()[4].key).expect("a member").to_bytes();
    let third = five.path(&five.members()[2].key).expect("a member").to_bytes();
    assert_eq!((path.len(), third.len()), (51 + 32, 51 + 3 * 32));
    [
        ("one byte short", shorter(&path)),
        ("trailing byte", longer(&path)),
        ("asleep 2", changed(&path, 41, 2)),
        ("the key of another member", with(&path, 0, &five.members()[0].to_bytes()[..32])),
        ("other strikes", changed(&path, 40, 77)),
        ("another place", with(&path, 42, &3_u32.to_be_bytes())),
        ("a place beyond the last", with(&path, 42, &5_u32.to_be_bytes())),
        ("of six members", with(&path, 46, &6_u32.to_be_bytes())),
        ("a sibling too many", [&changed(&path, 50, 2)[..], &[0; 32]].concat()),
        ("no sibling", changed(&path[..51], 50, 0)),
        ("siblings from the root down", [&third[..51], &third[115..], &third[83..115], &third[51..83]].concat()),
        ("33 siblings", [&changed(&path, 50, 33)[..], &[0; 32 * 32]].concat()),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let leads = MembershipPath::from_bytes(&bytes).is_ok_and(|path| path.leads_to(&five.root(), 5));
        assert!(!leads, "{name}");
        json!({ "name": name, "path": hex(&bytes), "root": hex(&five.root().0), "members": 5 })
    })
    .collect()
}

fn sealers() -> Value {
    let (roster, header) = (roster(9), HeaderId([9; 32]));
    let sealer = |view| key_hex(&sealer(header, View(view), &roster).expect("somebody is active"));
    let times = (0..8).map(|view| view_time_ms(&Rules::preset(Preset::Village), View(view)) / 3_600_000);
    json!({
        "header_id": hex(&header.0),
        "members": members_of(&roster),
        "sealers": (0..8).map(sealer).collect::<Vec<_>>(),
        "view_times": times.collect::<Vec<_>>(),
    })
}

// ---- statements ----

fn here() -> CommunityId {
    CommunityId::from_name("ledger vectors")
}

fn place() -> Place {
    Place { height: Height(0x0102_0304), header: HeaderId([4; 32]) }
}

/// What an author signs.
fn signed_bytes(community: &CommunityId, unsigned: &[u8]) -> Vec<u8> {
    [b"interbot ledger\0", &community.as_bytes()[..], unsigned].concat()
}

fn sign(unsigned: &[u8], seed: u8) -> Vec<u8> {
    [unsigned, &signer(seed).sign(&signed_bytes(&here(), unsigned))].concat()
}

fn statements() -> Vec<Value> {
    bodies(&here(), place())
        .into_iter()
        .map(|(name, body)| {
            let statement = say(&here(), place(), 1, body);
            let bytes = statement.bytes();
            assert!(statement.is_genuine(&here(), &Pure));
            json!({
                "name": name,
                "kind": bytes[0],
                "statement": hex(bytes),
                "signed": hex(&signed_bytes(&here(), &bytes[..bytes.len() - 64])),
                "id": hex(&statement.id().0),
            })
        })
        .collect()
}

/// A body whose author says what no honest bot does, signed all the same.
fn odd(kind: u8, body: &[&[u8]]) -> Vec<u8> {
    let head = [&[kind][..], key(1).as_bytes(), &place().height.0.to_be_bytes(), &place().header.0].concat();
    sign(&[&head[..], &body.concat()].concat(), 1)
}

fn refused_statements() -> Vec<Value> {
    let find = |wanted: &str| {
        let (_, body) = bodies(&here(), place()).into_iter().find(|(name, _)| *name == wanted).expect("one of them");
        let bytes = say(&here(), place(), 1, body).bytes().to_vec();
        (bytes[..bytes.len() - 64].to_vec(), bytes)
    };
    let (unsigned, ballot) = find("Ballot");
    let (admit, _) = find("Proposal, Admit");
    let (removal, _) = find("Proposal, Remove with reports");
    let (rekey, _) = find("Proposal, Rekey");
    let (amend, _) = find("Proposal, Amend");
    let elsewhere = CommunityId::from_name("elsewhere");
    // kind, author, place
    let head = 73;
    let answer = |at: usize| &unsigned[head + 10 + 33 * at..][..33];
    let (id, other) = ([5; 32], [6; 32]);
    let words = |text: &[u8]| odd(1, &[&[3, 4], key(77).as_bytes(), &(text.len() as u16).to_be_bytes(), text]);
    let many: Vec<u8> = (0..241_u16).flat_map(|n| [&n.to_be_bytes()[..], &[0; 31]].concat()).collect();
    // slot, ask, key, by, nonce, length, text: then the application's signature.
    let applied = head + 2 + 32 + 32 + 16 + 2 + 5;
    // slot, ask, subject, count: then observer, place, signature of each.
    let reports = head + 2 + 32 + 1;
    let (first, second) = (&removal[reports..reports + 136], &removal[reports + 136..reports + 272]);
    let mut weak = [0; 32];
    weak[0] = 1;
    [
        ("a bit of the kind flipped", changed(&ballot, 0, 2)),
        ("a bit of the author flipped", changed(&ballot, 1, ballot[1] ^ 1)),
        ("a bit of the height flipped", changed(&ballot, 40, ballot[40] ^ 1)),
        ("a bit of the header flipped", changed(&ballot, 41, ballot[41] ^ 1)),
        ("a bit of the body flipped", changed(&ballot, 90, ballot[90] ^ 1)),
        ("a bit of the signature flipped", changed(&ballot, ballot.len() - 1, ballot[ballot.len() - 1] ^ 1)),
        ("another place than was signed", with(&ballot, 33, &[0; 40])),
        ("signed by another key", sign(&unsigned, 2)),
        ("signed for another community", say(&elsewhere, place(), 1, Body::Wake).bytes().to_vec()),
        ("an author of small order, R of small order, s = 0", {
            [&with(&unsigned, 1, &weak)[..], &weak, &[0; 32]].concat()
        }),
        ("an application of another community", {
            let there = say(&here(), place(), 1, bodies(&elsewhere, place()).remove(0).1);
            there.bytes().to_vec()
        }),
        ("an application with a bit of its signature flipped", sign(&changed(&admit, applied, admit[applied] ^ 1), 1)),
        ("an application with another text", sign(&changed(&admit, applied - 1, b'0'), 1)),
        ("an application for a key of mixed order", sign(&with(&admit, head + 2, &mixed_order()), 1)),
        ("a re-key to a key of mixed order", sign(&with(&rekey, head + 2, &mixed_order()), 1)),
        ("reports of another subject", sign(&with(&removal, head + 2, key(5).as_bytes()), 1)),
        ("reports out of order", sign(&with(&removal, reports, &[second, first].concat()), 1)),
        ("a report twice", sign(&with(&removal, reports + 136, first), 1)),
        ("empty", Vec::new()),
        ("one byte short", shorter(&ballot)),
        ("a byte behind the signature", longer(&ballot)),
        ("a byte behind the body", sign(&longer(&unsigned), 1)),
        ("the body one byte short", sign(&shorter(&unsigned), 1)),
        ("a count above the list", sign(&changed(&unsigned, head + 9, 4), 1)),
        ("a count below the list", sign(&changed(&unsigned, head + 9, 2), 1)),
        ("answers out of order", sign(&with(&unsigned, head + 10, &[answer(1), answer(0)].concat()), 1)),
        ("an answer twice", sign(&with(&unsigned, head + 10 + 33, answer(0)), 1)),
        ("answer 3", sign(&changed(&unsigned, unsigned.len() - 1, 3), 1)),
        ("241 answers", {
            let answers: Vec<u8> = many.chunks(33).flat_map(|id| [&id[..32], &[1]].concat()).collect();
            odd(3, &[&[0; 8], &241_u16.to_be_bytes(), &answers])
        }),
        ("kind 0", odd(0, &[])),
        ("kind 63", odd(63, &[])),
        ("slot 4", sign(&changed(&admit, head, 4), 1)),
        ("ask 5", sign(&changed(&admit, head + 1, 5), 1)),
        ("rules that are no layout", sign(&changed(&amend, head + 2, 2), 1)),
        ("text that is no UTF-8", words(&[0xff])),
        ("text of 2,049 bytes", words(&vec![b'x'; 2_049])),
        ("a Withdraw without an id", odd(2, &[])),
        ("a Wake with a byte", odd(4, &[&[0]])),
        ("a Leave with an id", odd(6, &[&id])),
        ("an Endorse that is on 2", odd(7, &[&id, &[0; 8], &[2]])),
        ("an Endorse without its flag", odd(7, &[&id, &[0; 8]])),
        ("an Ack without a header", odd(9, &[&[0; 4]])),
        ("a Status with flag 2", odd(11, &[&2_u32.to_be_bytes(), &[2]])),
        ("a Status without its flag", odd(11, &[&2_u32.to_be_bytes()])),
        ("a Status whose Commit is of its own view", odd(11, &[&[0, 0, 0, 2, 1, 0, 0, 0, 2], &other])),
        ("a Status with flag 0 and a Commit", odd(11, &[&[0, 0, 0, 2, 0, 0, 0, 0, 1], &other])),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let reason = match Statement::read(&here(), bytes.clone().into()) {
            Err(_) => "layout",
            Ok(statement) if !statement.is_genuine(&here(), &Pure) => "signature",
            Ok(_) => panic!("{name} is fine"),
        };
        json!({ "name": name, "statement": hex(&bytes), "reason": reason })
    })
    .collect()
}

fn evidence() -> Vec<Value> {
    let case = |name: String, one: Statement, other: Statement| {
        let found = Evidence::of(&one, &other);
        let pair = found.as_ref().map(|found| found.pair().each_ref().map(|statement| hex(statement.bytes())));
        json!({ "name": name, "statements": [hex(one.bytes()), hex(other.bytes())], "pair": pair })
    };
    let mut out: Vec<Value> = pairs()
        .into_iter()
        .map(|(one, other, conflict)| {
            let name = conflict.map_or("both can be honest".into(), |conflict| format!("{conflict:?}"));
            case(name, say(&here(), place(), 1, one), say(&here(), place(), 1, other))
        })
        .collect();
    let (before, beside) =
        (Place { height: Height(place().height.0 - 1), ..place() }, Place { header: HeaderId([3; 32]), ..place() });
    let ack = |n: u8| Body::Ack { view: View(0), header: HeaderId([n; 32]) };
    let ask = |subject| super::tests::asks(2, Ask::Revoke { subject: key(subject) });
    let ballot = |n: u8| Body::Ballot(Ballot { number: 3, answers: [(StatementId([n; 32]), Answer::No)].into() });
    for (name, [one, other]) in [
        ("Acks of two authors", [say(&here(), place(), 1, ack(1)), say(&here(), place(), 2, ack(2))]),
        ("Acks at two places of one height", [say(&here(), place(), 1, ack(1)), say(&here(), beside, 1, ack(2))]),
        ("proposals at two places of one height", [say(&here(), place(), 1, ask(5)), say(&here(), beside, 1, ask(6))]),
        ("proposals of two heights", [say(&here(), place(), 1, ask(5)), say(&here(), before, 1, ask(6))]),
        (
            "ballots of one number at two heights",
            [say(&here(), place(), 1, ballot(1)), say(&here(), before, 1, ballot(2))],
        ),
    ] {
        out.push(case(name.into(), one, other));
    }
    out
}

// ---- headers and listings ----

fn full_header() -> Header {
    let before = roster(11);
    let mut respondents = Places::none(11);
    [0, 3, 9, 10].into_iter().for_each(|at| respondents.insert(at));
    let mut sorted: Vec<BotId> = (1..=10).map(key).collect();
    sorted.sort();
    let name = |n: u8| StatementId([n; 32]);
    Header {
        height: Height(0x0102_0304),
        previous: HeaderId([1; 32]),
        opened_at: UnixMillis(1_767_225_600_000),
        contents: ContentsId([2; 32]),
        roster: before.root(),
        members: 11,
        active: before.active_len(),
        outcomes: [(name(1), Outcome::Passed), (name(2), Outcome::Capped), (name(9), Outcome::Endorsed)].into(),
        changes: Changes {
            respondents: Some(respondents),
            departed: [Departure::Evidence, Departure::Left, Departure::Removed, Departure::Silent]
                .into_iter()
                .zip(&sorted)
                .map(|(cause, key)| (*key, cause))
                .collect(),
            rekeyed: [(sorted[4], key(20))].into(),
            woken: sorted[5..7].into(),
            dormant: sorted[7..8].into(),
            admitted: [(sorted[8], Standing::Active), (sorted[9], Standing::Dormant)].into(),
            rules: Some(Rules::preset(Preset::Seed)),
        },
    }
}

fn headers() -> Vec<Value> {
    let empty = Header { outcomes: Vec::new(), changes: Changes::default(), ..full_header() };
    [("every field", full_header()), ("nothing changed", empty)]
        .map(|(name, header)| {
            assert_eq!(Header::from_bytes(&header.to_bytes()), Ok(header.clone()));
            json!({ "name": name, "bytes": hex(&header.to_bytes()), "id": hex(&header.id(&here()).0) })
        })
        .into()
}

fn refused_headers() -> Vec<Value> {
    let good = full_header();
    let bytes = good.to_bytes();
    let altered = |change: &dyn Fn(&mut Header)| {
        let mut header = full_header();
        change(&mut header);
        header.to_bytes()
    };
    // A count, three outcomes of 33 bytes, the flag, places.
    let flag = 124 + 3 * 33;
    let departed = flag + 1 + 4 + 2;
    let new_key = departed + 4 + 4 * 33 + 4 + 32;
    let admitted = new_key + 32 + 4 + 64 + 4 + 32 + 4;
    assert_eq!((bytes[flag], &bytes[new_key..new_key + 32]), (1, &key(20).as_bytes()[..]));
    [
        ("one byte short", shorter(&bytes)),
        ("trailing byte", longer(&bytes)),
        ("outcomes out of order", altered(&|header| header.outcomes.reverse())),
        ("an outcome twice", altered(&|header| header.outcomes[1] = header.outcomes[0])),
        ("outcome 14", changed(&bytes, 124 + 32, 14)),
        ("flag of the respondents 2", changed(&bytes, flag, 2)),
        ("a bit behind the last respondent", changed(&bytes, flag + 6, bytes[flag + 6] | 1)),
        ("departed out of order", altered(&|header| header.changes.departed.reverse())),
        ("cause 4", changed(&bytes, departed + 4 + 32, 4)),
        ("a new key of small order", with(&bytes, new_key, &[0; 32])),
        ("a new key of mixed order", with(&bytes, new_key, &mixed_order())),
        ("woken out of order", altered(&|header| header.changes.woken.reverse())),
        ("dormant twice", altered(&|header| header.changes.dormant.extend(header.changes.dormant.clone()))),
        ("admitted out of order", altered(&|header| header.changes.admitted.reverse())),
        ("an admitted key of mixed order", with(&bytes, admitted, &mixed_order())),
        ("an admitted one's asleep 2", changed(&bytes, admitted + 32, 2)),
        ("flag of the rules 2", changed(&bytes, bytes.len() - 33, 2)),
        ("rules that are no layout", changed(&bytes, bytes.len() - 32, 2)),
        ("a count of four billion", with(&bytes, 120, &[0xff; 4])),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        assert!(Header::from_bytes(&bytes).is_err(), "{name}");
        json!({ "name": name, "bytes": hex(&bytes) })
    })
    .collect()
}

fn full_listing() -> Listing {
    let name = |n: u8| StatementId([n; 32]);
    let mut listing = Listing::new(UnixMillis(1_767_225_600_000));
    listing.judged.extend([name(1), name(2)]);
    listing.endorsed.insert(name(3));
    listing.ballots.extend([name(4), name(5)]);
    listing.items.insert(name(6));
    listing.evidence.extend([(name(7), name(9)), (name(8), name(9))]);
    listing.revocations.insert(name(10), [name(11), name(12)].into());
    listing.revocations.insert(name(13), [].into());
    listing
}

fn listings() -> Vec<Value> {
    [("every list", full_listing()), ("nothing", Listing::new(UnixMillis(0)))]
        .map(|(name, listing)| {
            assert_eq!(Listing::from_bytes(&listing.to_bytes()), Ok(listing.clone()));
            json!({ "name": name, "bytes": hex(&listing.to_bytes()), "id": hex(&listing.id(&here()).0) })
        })
        .into()
}

fn refused_listings() -> Vec<Value> {
    let bytes = full_listing().to_bytes();
    let offset = |n: u8| bytes.windows(32).position(|name| name == [n; 32]).expect("listed");
    let named = |old: u8, new: u8| with(&bytes, offset(old), &[new; 32]);
    [
        ("one byte short", shorter(&bytes)),
        ("trailing byte", longer(&bytes)),
        ("judged out of order", named(2, 0)),
        ("judged twice", named(2, 1)),
        ("judged and endorsed", named(3, 1)),
        ("a ballot twice", named(5, 4)),
        ("pairs out of order", named(8, 6)),
        ("a first id twice", named(8, 7)),
        ("a pair the wrong way round", named(7, 10)),
        ("a pair of one", named(8, 9)),
        ("revocations out of order", named(13, 10)),
        ("a revocation's ballots out of order", named(12, 10)),
        ("a count of four billion", with(&bytes, 8, &[0xff; 4])),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        assert!(Listing::from_bytes(&bytes).is_err(), "{name}");
        json!({ "name": name, "bytes": hex(&bytes) })
    })
    .collect()
}

#[test]
fn names_layouts_and_numbers_are_those_of_the_vectors() {
    let founded = |founding: Founding| super::tests::hall::Hall::found(founding).genesis;
    let geneses = [
        genesis_json("four founders", &founded(founding(Rules::preset(Preset::Village), 1..=4))),
        genesis_json("one founder", &founded(founding(Rules::preset(Preset::Seed), [1]))),
    ];
    check(
        "ledger.json",
        &json!({
            "keys": (1..=25).map(|seed| key_hex(&key(seed))).collect::<Vec<_>>(),
            "rules": rules(),
            "refused_rules": refused_rules(),
            "numbers": numbers(),
            "geneses": geneses,
            "refused_geneses": refused_geneses(),
            "rosters": rosters(),
            "refused_paths": refused_paths(),
            "sealing": sealers(),
            "com": hex(here().as_bytes()),
            "place": hex(&[&place().height.0.to_be_bytes()[..], &place().header.0].concat()),
            "statements": statements(),
            "refused_statements": refused_statements(),
            "evidence": evidence(),
            "headers": headers(),
            "refused_headers": refused_headers(),
            "listings": listings(),
            "refused_listings": refused_listings(),
        }),
    );
}
