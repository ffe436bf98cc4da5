//! The vectors of ids, the handshake, records and what a link refuses.

use alloc::string::{String, ToString};
use alloc::vec::Vec;

use serde_json::{Value, json};

use super::keys::{HandshakeKeys, Prologue, client_signs, next_hash, ratchet, server_signs, tag_key};
use super::message::{Head1, Head2, Proof, choose_suite, reverse};
use super::records::{Opener, RecordKey, Sealer};
use super::*;
use crate::crypto::{Crypto, Pure, Suite, TAG_LEN, expand, extract};
use crate::identity::{BotId, CommunityId, IdError, Identity, may_be_key};
use crate::vectors::{array, check, committed, hex, unhex};
use crate::wire::{CborError, CborReader, FrameError, HEADER_LEN, put_header};

const T0: Instant = Instant::ZERO;

fn plain_setup(seed: u8) -> Arc<Setup> {
    let (identity, community) = (Identity::from_seed([seed; 32]), CommunityId::from_name("vectors"));
    let setup = Setup::new(Arc::new(Pure), &identity, community, false, Facts::default());
    Arc::new(setup.expect("no credentials"))
}

fn plain_client() -> Link {
    let expect = Expect::Key(plain_setup(2).id());
    let mut strings = Strings::default();
    Link::dial(plain_setup(1), T0, [3; 32], Binding::None, Kind::Member, expect, &mut strings, Times::default())
}

fn frame(kind: FrameKind, body: &[u8]) -> Vec<u8> {
    let mut out = BytesMut::new();
    put_header(&mut out, kind, body.len());
    out.extend_from_slice(body);
    out.to_vec()
}

/// Header and body of a frame that stands alone.
fn split(frame: &[u8]) -> ([u8; HEADER_LEN], Vec<u8>) {
    let (header, body) = frame.split_first_chunk().expect("a whole frame");
    (*header, body.to_vec())
}

// ---- handshake.json ----

struct Case {
    name: &'static str,
    community: CommunityId,
    binding: Binding,
    kind: Kind,
    aes: [bool; 2],
    facts: [Facts; 2],
}

fn cases() -> Vec<Case> {
    let bound = Binding::TlsExporter(core::array::from_fn(|at| 0xa0 + at as u8));
    let facts = |bits, height, id: u8, credentials: &'static [u8]| Facts {
        capabilities: Capabilities::from_bits(bits),
        epoch_height: height,
        epoch_id: [id; 32],
        credentials: Bytes::from_static(credentials),
    };
    let plain = Facts::default;
    [
        Case {
            name: "AES-256-GCM on a bare stream, members",
            community: CommunityId::from_name("vectors"),
            binding: Binding::None,
            kind: Kind::Member,
            aes: [true, true],
            facts: [plain(), plain()],
        },
        Case {
            name: "ChaCha20-Poly1305 on a bare stream: the client has no AES",
            community: CommunityId::from_name("vectors"),
            binding: Binding::None,
            kind: Kind::Member,
            aes: [false, true],
            facts: [plain(), facts(2, 0, 0, b"")],
        },
        Case {
            name: "AES-256-GCM bound to TLS, credentials on both sides, an unknown capability",
            community: CommunityId::from_bytes([0xc0; 32]),
            binding: bound,
            kind: Kind::Member,
            aes: [true, true],
            facts: [facts(5, 7, 0x77, b"the client's path"), facts(0x8000_0002, 0x0102_0304, 0x78, &[0x5a; 1024])],
        },
        Case {
            name: "ChaCha20-Poly1305 bound to TLS, a candidate with an invitation",
            community: CommunityId::from_bytes([0xc0; 32]),
            binding: bound,
            kind: Kind::Candidate,
            aes: [false, false],
            facts: [facts(1, 0, 0, b"an invitation"), plain()],
        },
        Case {
            name: "ChaCha20-Poly1305 bound to TLS: the server has no AES",
            community: CommunityId::from_name("Überbots, the café"),
            binding: bound,
            kind: Kind::Member,
            aes: [true, false],
            facts: [plain(), plain()],
        },
    ]
    .into()
}

/// Runs one handshake through the real steps and writes down everything between them.
fn handshake(at: u8, case: Case) -> Value {
    let Case { name, community, binding, kind, aes, facts } = case;
    let identities = [0x10 + at, 0x20 + at].map(|seed| Identity::from_seed([seed; 32]));
    let [client_setup, server_setup] = [0, 1].map(|side| {
        Setup::new(Arc::new(Pure), &identities[side], community, aes[side], facts[side].clone())
            .expect("short credentials")
    });
    let seeds = [[0x30 + at; 32], [0x40 + at; 32]];
    // What each side is going to draw: the string (client only), the ephemeral secret, the challenge.
    let mut draws = seeds.map(|seed| Random::from_seed(&seed));
    let string = draw_string(&mut draws[0]);
    let secrets: [[u8; 32]; 2] = draws.each_mut().map(|random| *random.secret());
    let challenges = draws.each_mut().map(|random| {
        let mut challenge = [0; 32];
        random.fill(&mut challenge);
        challenge
    });
    let [client_secret, server_secret] = secrets;
    let publics = secrets.map(|secret| Pure.ephemeral(Zeroizing::new(secret)).public());
    let [id_c, id_s] = identities.each_ref().map(|identity| *identity.id().as_bytes());
    let [facts_c, facts_s] = facts.each_ref().map(Facts::encode);

    // The real thing, at whole links; the server answers twice, so that there is an OK and a KO.
    let (client_setup, server_setup) = (Arc::new(client_setup), Arc::new(server_setup));
    let expect = Expect::Key(identities[1].id());
    let times = Times::default();
    let mut strings = Strings::default();
    let mut client = Link::dial(client_setup.clone(), T0, seeds[0], binding, kind, expect, &mut strings, times);
    let mut servers = [(); 2].map(|()| Link::accept(server_setup.clone(), T0, seeds[1], binding, times));
    let connect = client.take_output();
    let answers = servers.each_mut().map(|server| {
        assert_eq!(server.step(T0, &mut &connect[..]), Step::Hello);
        server.answer().expect("a good key");
        server.take_output()
    });
    assert_eq!(answers[0], answers[1]);
    let connect_ack = &answers[0];
    assert_eq!(client.step(T0, &mut &connect_ack[..]), Step::NeedMore);
    let third = client.take_output();
    let ack_len = HEADER_LEN + 32 + facts_c.len() + 64 + TAG_LEN;
    let (ack, challenge_record) = third.split_at(ack_len);
    for server in &mut servers {
        assert_eq!(server.step(T0, &mut &third[..]), Step::Proved);
    }
    let [admitting, refusing] = &mut servers;
    admitting.admit(T0);
    refusing.refuse(T0, Code::UnknownMember, Duration::from_secs(60));
    let (ok, ko) = (admitting.take_output(), refusing.take_output());
    assert_eq!(client.step(T0, &mut &ok[..]), Step::Open);
    let peer = client.peer().expect("open");
    let suite = peer.suite();

    // The values between, by the same functions.
    let prologue = Prologue::new(&binding, &community);
    let mut t0 = Vec::from(b"interbot link 1\0");
    t0.push(u8::from(binding != Binding::None));
    t0.extend(if let Binding::TlsExporter(bytes) = &binding { *bytes } else { [0; 32] });
    t0.extend(community.as_bytes());
    let tag_key = tag_key(&community);
    let (_, body1) = split(&connect);
    let (head1, tag) = body1.split_last_chunk::<TAG_LEN>().expect("a tag");
    assert_eq!(&prologue.tag(&tag_key, head1), tag);
    let (header2, mut body2) = split(connect_ack);
    let (_, head2, box2) = Head2::split(&mut body2).expect("a head");
    let th2 = prologue.th2(&body1, &head2);
    let ee = Pure.ephemeral(Zeroizing::new(client_secret)).agree(&publics[1]).expect("a good key");
    let same = Pure.ephemeral(Zeroizing::new(server_secret)).agree(&publics[0]).expect("a good key");
    assert_eq!(ee, same);
    let keys = HandshakeKeys::new(&th2, &ee, suite);
    let proof_s = Pure.aead(suite, &keys.server).open(0, &header2, box2).expect("box2 opens").to_vec();
    let (proof, facts_bytes) = Proof::decode(&proof_s).expect("a good proof");
    assert_eq!((proof.id, facts_bytes), (id_s, &facts_s[..]));
    let sig_s = proof.signature;
    let server_signs = server_signs(&th2, &id_s, &facts_s);
    assert!(Pure.verify(&id_s, &server_signs, &sig_s));
    let th3 = next_hash(&th2, &id_s, &facts_s, &sig_s);
    let (header3, mut body3) = split(ack);
    let proof_c = Pure.aead(suite, &keys.client).open(0, &header3, &mut body3).expect("box3 opens").to_vec();
    let (proof, facts_bytes) = Proof::decode(&proof_c).expect("a good proof");
    assert_eq!((proof.id, facts_bytes), (id_c, &facts_c[..]));
    let sig_c = proof.signature;
    let client_signs = client_signs(&th3, &id_c, &facts_c);
    assert!(Pure.verify(&id_c, &client_signs, &sig_c));
    let th4 = next_hash(&th3, &id_c, &facts_c, &sig_c);
    assert_eq!(peer.transcript(), &th4);

    // Keys that the code shows to nobody, derived again and proved by what they open.
    let labelled = |prk: &[u8; 32], label: &str| {
        let mut out = [0; 32];
        expand(prk, &[label.as_bytes(), &[0, VERSION, suite.to_wire()]], &mut out);
        out
    };
    let prk0 = extract(&th2, &ee[..]);
    assert_eq!(
        (labelled(&prk0, "hs server"), labelled(&prk0, "hs client")),
        (*keys.server, *keys.client),
        "the derivation here is the code's"
    );
    let chain = labelled(&prk0, "chain");
    let master = extract(&th4, &chain);
    let [k_app_c, k_app_s, exp] = ["app client", "app server", "exporter"].map(|label| labelled(&master, label));
    for (key, record, first) in [
        (k_app_c, challenge_record, message::inner::CHALLENGE),
        (k_app_s, &ok[..], message::inner::OK),
        (k_app_s, &ko[..], message::inner::KO),
    ] {
        let (header, mut body) = split(record);
        let text = Pure.aead(suite, &key).open(0, &header, &mut body).expect("the record opens");
        assert_eq!(text[0], first);
    }
    let (label, context) = ("vectors", b"a context");
    let mut exported = [0; 48];
    peer.export(label, context, &mut exported).expect("a good label");

    let side = |side: usize, preference: &[u8]| {
        json!({
            "seed": hex(&[0x10 * (side as u8 + 1) + at; 32]),
            "id": hex(identities[side].id().as_bytes()),
            "id_text": identities[side].id().to_string(),
            "suites": preference,
            "facts": hex(if side == 0 { &facts_c } else { &facts_s }),
            "ephemeral_secret": hex(&secrets[side]),
            "ephemeral_public": hex(&publics[side]),
            "challenge": hex(&challenges[side]),
        })
    };
    let preference = |aes| if aes { [1, 2] } else { [2, 1] };
    json!({
        "name": name,
        "community": hex(community.as_bytes()),
        "binding": hex(&t0[16..49]),
        "kind": kind as u8,
        "client": side(0, &preference(aes[0])),
        "server": side(1, &preference(aes[1])),
        "string": string,
        "suite": suite.to_wire(),
        "t0": hex(&t0),
        "tag_key": hex(&tag_key[..]),
        "head1": hex(head1),
        "tag": hex(tag),
        "head2": hex(&head2),
        "th2": hex(&th2),
        "ee": hex(&ee[..]),
        "prk0": hex(&prk0[..]),
        "k_hs_s": hex(&keys.server[..]),
        "k_hs_c": hex(&keys.client[..]),
        "server_signs": hex(&server_signs),
        "sig_s": hex(&sig_s),
        "proof_s": hex(&proof_s),
        "th3": hex(&th3),
        "client_signs": hex(&client_signs),
        "sig_c": hex(&sig_c),
        "proof_c": hex(&proof_c),
        "th4": hex(&th4),
        "chain": hex(&chain),
        "master": hex(&master[..]),
        "k_app_c": hex(&k_app_c),
        "k_app_s": hex(&k_app_s),
        "exp": hex(&exp),
        "export": { "label": label, "context": hex(context), "bytes": hex(&exported) },
        "connect": hex(&connect),
        "connect_ack": hex(connect_ack),
        "ack": hex(ack),
        "challenge_record": hex(challenge_record),
        "ok": hex(&ok),
        "ko": hex(&ko),
    })
}

#[test]
fn handshakes_are_those_of_the_vectors() {
    let cases: Vec<Value> = cases().into_iter().zip(0..).map(|(case, at)| handshake(at, case)).collect();
    check("handshake.json", &json!({ "cases": cases }));
}

// ---- records.json ----

fn run(suite: Suite) -> Value {
    let first_key = core::array::from_fn(|at| at as u8 ^ (suite.to_wire() << 6));
    let next_key = ratchet(&first_key, suite);
    let record_key = |key| RecordKey::new(Arc::new(Pure), suite, Zeroizing::new(key));
    let (mut sealer, mut opener) = (Sealer::new(record_key(first_key), T0), Opener::new(record_key(first_key)));
    let nonce = core::array::from_fn(|at| 0xf0 + at as u8);
    let hour = T0 + KEY_LIFETIME;
    let mut key = first_key;
    let mut counter = 0u64;
    let mut records = Vec::new();
    for (name, now, inner) in [
        ("MESSAGE", T0, Inner::Message(b"\x82\x18\x64\x45hello")),
        ("MESSAGE of one byte", T0, Inner::Message(b"\x80")),
        ("PING", T0, Inner::Ping(&nonce)),
        ("ECHO", T0, Inner::Echo(&nonce)),
        ("PING after an hour, so behind a REKEY", hour, Inner::Ping(&nonce)),
        ("CLOSE, going away, retry after an hour", hour, Inner::Close(Code::GoingAway, 3600)),
    ] {
        let mut wire = BytesMut::new();
        sealer.seal(now, &mut wire, inner);
        let mut rest = &wire[..];
        while !rest.is_empty() {
            let len = 4 + usize::try_from(u32::from_be_bytes(*rest.first_chunk().expect("a header"))).expect("short");
            let (one, after) = rest.split_at(len);
            rest = after;
            let (header, mut body) = split(one);
            let text = opener.open(&header, &mut body).expect("the other end opens it");
            let parsed = Inner::decode(text).expect("a good record");
            let rekey = parsed == Inner::Rekey;
            assert!(rekey || parsed == inner);
            records.push(json!({
                "name": if rekey { "REKEY" } else { name },
                "key": hex(&key),
                "counter": counter,
                "plaintext": hex(text),
                "frame": hex(one),
            }));
            counter += 1;
            if rekey {
                opener.ratchet();
                (key, counter) = (*next_key, 0);
            }
        }
    }
    json!({ "suite": suite.to_wire(), "records": records })
}

#[test]
fn records_are_those_of_the_vectors() {
    let runs = [Suite::Aes256Gcm, Suite::ChaCha20Poly1305].map(run);
    check("records.json", &json!({ "runs": runs }));
}

// ---- strings.json ----

/// What a server says to a client that sends this as its first record.
fn server_on_first_record(plaintext: &[u8]) -> Step {
    let mut client = plain_client();
    let mut server = Link::accept(plain_setup(2), T0, [4; 32], Binding::None, Times::default());
    let one = client.take_output();
    assert_eq!(server.step(T0, &mut &one[..]), Step::Hello);
    server.answer().expect("a good key");
    let two = server.take_output();
    assert_eq!(client.step(T0, &mut &two[..]), Step::NeedMore);
    let three = client.take_output();
    let ack_len = three.len() - (HEADER_LEN + 1 + 32 + TAG_LEN);
    assert_eq!(server.step(T0, &mut &three[..ack_len]), Step::NeedMore);
    let State::WaitOk(wait) = &mut client.state else { panic!("{client:?}") };
    let mut record = BytesMut::new();
    wait.reseal_first(T0, &mut record, |out| out.extend_from_slice(plaintext));
    server.step(T0, &mut &record[..])
}

#[test]
fn i23_strings_are_those_of_the_vectors() {
    let mut longest = String::from("b");
    longest.extend(core::iter::repeat_n('a', 255));
    let mut reversed = Vec::new();
    for string in [
        "test123",
        "ab",
        "Zz9",
        "ét",
        "e\u{301}te",
        "\u{1f469}\u{200d}\u{1f680}x",
        "x\0",
        "a\u{10ffff}\u{d7ff}\u{e000}",
        "0123456789ABCDEFGHIJKLMNOPQRSTUV",
        &longest,
    ] {
        let first = [&[message::inner::CHALLENGE], string.as_bytes()].concat();
        assert_eq!(server_on_first_record(&first), Step::Proved, "{string:?}");
        reversed.push(json!({ "string": string, "reversed": reverse(string) }));
    }
    let mut refused = Vec::new();
    let too_long = [&b"b"[..], &[b'a'; 256]].concat();
    for (bytes, reason) in [
        (&b""[..], "empty"),
        (b"a", "palindrome"),
        (b"\0", "palindrome"),
        (b"aa", "palindrome"),
        (b"radar", "palindrome"),
        ("été".as_bytes(), "palindrome"),
        ("\u{1f680}a\u{1f680}".as_bytes(), "palindrome"),
        (&too_long, "too long"),
        (&[0xff, 0xfe], "not utf-8"),
        (&[b'o', b'k', 0xc3], "not utf-8"),
        (&[b'a', 0xc0, 0x80], "not utf-8"),
        (&[b'a', 0xed, 0xa0, 0x80], "not utf-8"),
        (&[b'a', 0xf4, 0x90, 0x80, 0x80], "not utf-8"),
    ] {
        let first = [&[message::inner::CHALLENGE], bytes].concat();
        assert_eq!(server_on_first_record(&first), Step::Closed(Fault::BadChallenge.into()), "{bytes:x?}");
        refused.push(json!({ "bytes": hex(bytes), "reason": reason }));
    }
    check("strings.json", &json!({ "reversed": reversed, "refused": refused }));
}

// ---- ids.json ----

fn word(error: IdError) -> &'static str {
    match error {
        IdError::Length { .. } => "length",
        IdError::Prefix { .. } => "prefix",
        IdError::Checksum { .. } => "checksum",
        IdError::NotCanonical => "not canonical",
        IdError::NotAKey => "not a key",
        IdError::Weak => "weak",
    }
}

fn text_of(prefix: &str, data: &[u8]) -> String {
    bech32::encode::<bech32::Bech32m>(bech32::Hrp::parse(prefix).expect("a prefix"), data).expect("short")
}

/// Signatures at the edge of the strict rule. They were made by a program that could reach the scalars and the torsion
/// points, so they are not computed here but taken from the file, and judged.
fn signatures() -> Vec<Value> {
    let committed = committed("ids.json");
    let list = committed["signatures"].as_array().expect("a list");
    assert!(list.len() >= 17, "some signatures were lost");
    for one in list {
        let field = |name: &str| one[name].as_str().expect("a text");
        let (key, message, signature) = (array(field("key")), unhex(field("message")), array(field("signature")));
        assert_eq!(Some(Pure.verify(&key, &message, &signature)), one["valid"].as_bool(), "{one}");
    }
    list.clone()
}

#[test]
fn ids_texts_and_signatures_are_those_of_the_vectors() {
    let counting = core::array::from_fn(|at| at as u8);
    let ids: Vec<Value> = [[0; 32], [1; 32], [2; 32], [0xff; 32], counting]
        .map(|seed| {
            let identity = Identity::from_seed(seed);
            let (text, secret) = (identity.id().to_string(), identity.secret_text().to_string());
            assert_eq!(text.parse(), Ok(identity.id()));
            assert_eq!(Identity::from_secret_text(&secret).map(|again| again.id()), Ok(identity.id()));
            json!({
                "seed": hex(&seed),
                "id": hex(identity.id().as_bytes()),
                "text": text,
                "secret_text": secret,
            })
        })
        .into();
    let communities = ["", "example", "vectors", "Überbots, the café", "a b"]
        .map(|name| json!({ "name": name, "id": hex(CommunityId::from_name(name).as_bytes()) }));

    let id = Identity::from_seed([1; 32]).id();
    let good = id.to_string();
    let bech32_of_old =
        bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("bot").expect("a prefix"), id.as_bytes()).expect("short");
    let mut capital = good.clone();
    capital.replace_range(0..1, "B");
    let letter = good.char_indices().skip(4).find(|(_, c)| c.is_ascii_lowercase()).expect("a letter").0;
    let mut mixed_case = good.clone();
    mixed_case.replace_range(letter..=letter, &good[letter..=letter].to_ascii_uppercase());
    let mut mistyped = good.clone();
    mistyped.replace_range(20..21, if &good[20..21] == "q" { "p" } else { "q" });
    let mut swapped = good.clone();
    let pair: String = [&good[31..32], &good[30..31]].concat();
    swapped.replace_range(30..32, &pair);
    assert_ne!(swapped, good);
    let ff = "f".repeat(60);
    let not_canonical: [u8; 32] = array(&alloc::format!("ee{ff}7f"));
    let off_curve: [u8; 32] = array(&alloc::format!("02{:062}", 0));
    let mixed = crate::crypto::tests::mixed_order(&id);
    let refused_texts: Vec<Value> = [
        String::new(),
        "bot".into(),
        "hello".into(),
        good[3..].into(),
        Identity::from_seed([1; 32]).secret_text().to_string(),
        text_of("bit", id.as_bytes()),
        good[..61].into(),
        alloc::format!("{good}q"),
        alloc::format!("bot 1{}", &good[4..]),
        text_of("bot", &id.as_bytes()[..31]),
        text_of("bot", &[&id.as_bytes()[..], &[0]].concat()),
        bech32_of_old,
        mistyped,
        swapped,
        mixed_case,
        capital,
        padded_text(id.as_bytes()),
        text_of("bot", &not_canonical),
        text_of("bot", &off_curve),
        text_of("bot", &[0; 32]),
        text_of("bot", &mixed),
    ]
    .into_iter()
    .map(|text| {
        let error = text.parse::<BotId>().expect_err("refused");
        json!({ "text": text, "reason": word(error) })
    })
    .collect();

    // y of the points of small order with both signs, then 2, p, p + 1, and 2^255 − 1.
    let refused_keys: Vec<Value> = [
        alloc::format!("01{:062}", 0),
        alloc::format!("01{:060}80", 0),
        alloc::format!("ec{ff}7f"),
        alloc::format!("{:064}", 0),
        alloc::format!("{:062}80", 0),
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05".into(),
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85".into(),
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a".into(),
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa".into(),
        hex(&mixed),
        hex(&off_curve),
        alloc::format!("ed{ff}7f"),
        hex(&not_canonical),
        "f".repeat(64),
    ]
    .map(|digits| {
        let key = array(&digits);
        let error = BotId::from_bytes(key).expect_err("refused");
        json!({ "key": hex(&key), "reason": word(error), "on_the_wire": may_be_key(&key) })
    })
    .into();

    check(
        "ids.json",
        &json!({
            "ids": ids,
            "communities": communities,
            "refused_texts": refused_texts,
            "refused_keys": refused_keys,
            "signatures": signatures(),
        }),
    );
}

/// The text of an id whose four padding bits are ones, with a good checksum.
fn padded_text(id: &[u8; 32]) -> String {
    use bech32::primitives::iter::{ByteIterExt as _, Fe32IterExt as _};
    let hrp = bech32::Hrp::parse("bot").expect("a prefix");
    let mut digits: Vec<bech32::Fe32> = id.iter().copied().bytes_to_fes().collect();
    let last = digits.pop().expect("52 digits").to_u8();
    digits.push(bech32::Fe32::try_from(last | 0x0f).expect("five bits"));
    digits.into_iter().with_checksum::<bech32::Bech32m>(&hrp).chars().collect()
}

// ---- refused.json ----

fn state_limit(state: &str, kind: FrameKind) -> Option<usize> {
    let accepted = match state {
        "WaitConnect" => kind == FrameKind::Connect,
        "WaitAccept" => matches!(kind, FrameKind::ConnectAck | FrameKind::ClearKo),
        "WaitAck" => kind == FrameKind::Ack,
        "WaitOk" | "WaitChallenge" => return (kind == FrameKind::Record).then_some(MAX_FIRST_RECORD),
        "Open" => kind == FrameKind::Record,
        other => panic!("{other}"),
    };
    accepted.then_some(kind.max_body())
}

fn refused_frames() -> Vec<Value> {
    let header = |length: u32, kind: u8| [&length.to_be_bytes()[..], &[kind]].concat();
    let mut out = Vec::new();
    let mut push = |name: &str, state: &str, bytes: Vec<u8>| {
        let mut reader = FrameReader::default();
        let error = reader.next(&mut &bytes[..], |kind| state_limit(state, kind)).expect_err("refused");
        assert_eq!(reader.held_bytes(), HEADER_LEN, "nothing beyond the header was taken");
        let reason = match error {
            FrameError::Length { .. } => "length",
            FrameError::Kind(_) => "kind",
        };
        out.push(json!({ "name": name, "state": state, "bytes": hex(&bytes), "reason": reason }));
    };
    for (state, kind, limit) in [
        ("WaitConnect", 1, 128),
        ("WaitAccept", 2, 2048),
        ("WaitAccept", 4, 5),
        ("WaitAck", 3, 2048),
        ("WaitChallenge", 16, 275),
        ("WaitOk", 16, 275),
        ("Open", 16, 65_552),
    ] {
        push("length 0", state, header(0, kind));
        push("one byte above the limit", state, header(limit + 2, kind));
        push("largest length", state, header(u32::MAX, kind));
    }
    for (state, kinds) in [
        ("WaitConnect", &[0u8, 2, 3, 4, 5, 16, 255][..]),
        ("WaitAccept", &[0, 1, 3, 5, 16, 255]),
        ("WaitAck", &[0, 1, 2, 4, 5, 16, 255]),
        ("Open", &[0, 1, 2, 3, 4, 5, 15, 17, 255]),
    ] {
        for kind in kinds {
            push(&alloc::format!("kind {kind}"), state, [header(2, *kind), [0].into()].concat());
        }
    }
    push("a good CONNECT's size in little-endian", "WaitConnect", [&87u32.to_le_bytes()[..], &[1]].concat());
    out
}

fn refused_heads() -> Vec<Value> {
    let head = |versions: (u8, u8), kind: u8, count: u8, suites: &[u8]| {
        [&[versions.0, versions.1, kind, count], suites, &[3; 32], &[4; 32]].concat()
    };
    let good = head((1, 1), 0, 2, &[1, 2]);
    for good in [good.clone(), head((0, 255), 1, 4, &[9, 8, 7, 2]), head((1, 1), 0, 1, &[2])] {
        assert!(Head1::decode(&good).is_ok());
    }
    [
        ("empty", Vec::new()),
        ("one byte short", good[..good.len() - 1].to_vec()),
        ("trailing byte", [&good[..], &[0]].concat()),
        ("lowest version above the highest", head((2, 1), 0, 2, &[1, 2])),
        ("kind 2", head((1, 1), 2, 2, &[1, 2])),
        ("kind 255", head((1, 1), 255, 2, &[1, 2])),
        ("no suite", head((1, 1), 0, 0, &[])),
        ("five suites", head((1, 1), 0, 5, &[1, 2, 3, 4, 5])),
        ("count above the list", head((1, 1), 0, 3, &[1, 2])),
        ("count below the list", head((1, 1), 0, 1, &[1, 2])),
        ("a suite twice", head((1, 1), 0, 2, &[2, 2])),
        ("an unknown suite twice", head((1, 1), 0, 4, &[9, 1, 2, 9])),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        assert_eq!(Head1::decode(&bytes), Err(Fault::BadFrame), "{name}");
        json!({ "name": name, "bytes": hex(&bytes), "reason": "bad frame" })
    })
    .collect()
}

fn offers() -> Vec<Value> {
    let (aes, chacha) = (Suite::Aes256Gcm, Suite::ChaCha20Poly1305);
    let mut out = Vec::new();
    for prefers in [aes, chacha] {
        let ours = if prefers == aes { [aes, chacha] } else { [chacha, aes] };
        for suites in [&[1u8, 2][..], &[2, 1], &[1], &[2], &[9, 1, 2], &[1, 9, 2], &[9, 1], &[9, 8]] {
            let chosen = choose_suite(&ours, suites).map(Suite::to_wire);
            out.push(json!({
                "name": alloc::format!("offered {suites:?} to a server that prefers {}", prefers.to_wire()),
                "suites": suites,
                "server_prefers": prefers.to_wire(),
                "chosen": chosen,
            }));
        }
    }
    out
}

fn refused_proofs() -> Vec<Value> {
    let proof = |len: u16, credentials: usize, after: &[u8]| {
        let facts = [&[0; 40][..], &len.to_be_bytes(), &alloc::vec![7; credentials]].concat();
        [&[1; 32][..], &facts, &[2; 64], after].concat()
    };
    for good in [proof(0, 0, b""), proof(1024, 1024, b"")] {
        assert!(Proof::decode(&good).is_ok());
    }
    let good = proof(3, 3, b"");
    [
        ("empty", Vec::new()),
        ("one byte short", good[..good.len() - 1].to_vec()),
        ("trailing byte", proof(3, 3, &[0])),
        ("credentials shorter than said", proof(4, 3, b"")),
        ("credentials longer than said", proof(2, 3, b"")),
        ("credentials of 1025 bytes", proof(1025, 1025, b"")),
        ("credentials said to have 65535 bytes", proof(65_535, 0, b"")),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        assert_eq!(Proof::decode(&bytes).map(|_| ()).err(), Some(Fault::BadFrame), "{name}");
        json!({ "name": name, "bytes": hex(&bytes), "reason": "bad frame" })
    })
    .collect()
}

fn refused_records() -> Vec<Value> {
    let sized = |head: &[u8], len: usize| {
        let mut out = head.to_vec();
        out.resize(len, 0);
        out
    };
    let dirty = |head: &[u8]| {
        let mut out = sized(head, 259);
        out[258] = 1;
        out
    };
    let mut inside = sized(&[2, 0, 2, b'b', b'a'], 259);
    inside[5] = 1;
    let ko = [3, 5, 0, 0, 0, 60];
    [
        ("empty", Vec::new()),
        ("inner kind 0", [0].into()),
        ("inner kind 8", [8].into()),
        ("inner kind 15", [15].into()),
        ("inner kind 17", sized(&[17], 9)),
        ("inner kind 255", [255].into()),
        ("CHALLENGE, empty", [1].into()),
        ("CHALLENGE of 257 bytes", [&[1, b'b'][..], &[b'a'; 256]].concat()),
        ("CHALLENGE, not UTF-8", [1, 0xff].into()),
        ("OK without padding", [2, 0, 2, b'b', b'a'].into()),
        ("OK one byte short", sized(&[2, 0, 2, b'b', b'a'], 258)),
        ("OK one byte long", sized(&[2, 0, 2, b'b', b'a'], 260)),
        ("OK, last byte of the padding not 0", dirty(&[2, 0, 2, b'b', b'a'])),
        ("OK, first byte of the padding not 0", inside),
        ("OK, string said to have 257 bytes", sized(&[2, 1, 1, b'b'], 259)),
        ("OK, string said to have 65535 bytes", sized(&[2, 255, 255, b'b'], 259)),
        ("OK, string not UTF-8", sized(&[2, 0, 2, 0xff, 0xfe], 259)),
        ("KO without padding", ko.into()),
        ("KO one byte short", sized(&ko, 258)),
        ("KO one byte long", sized(&ko, 260)),
        ("KO, last byte of the padding not 0", dirty(&ko)),
        ("PING one byte short", sized(&[4], 16)),
        ("PING one byte long", sized(&[4], 18)),
        ("ECHO one byte short", sized(&[5], 16)),
        ("ECHO one byte long", sized(&[5], 18)),
        ("REKEY with a byte", [6, 0].into()),
        ("CLOSE without retry-after", [7, 10].into()),
        ("CLOSE one byte short", [7, 10, 0, 0, 0].into()),
        ("CLOSE one byte long", [7, 10, 0, 0, 0, 0, 0].into()),
    ]
    .into_iter()
    .map(|(name, bytes)| {
        let reason = match Inner::decode(&bytes) {
            Err(Fault::BadFrame) => "bad frame",
            Err(Fault::BadChallenge) => "bad challenge",
            other => panic!("{name}: {other:?}"),
        };
        json!({ "name": name, "bytes": hex(&bytes), "reason": reason })
    })
    .collect()
}

fn refused_cbor() -> Vec<Value> {
    let read = |expected: &str, bytes: &[u8]| {
        let mut r = CborReader::new(bytes);
        match expected {
            "uint" => r.uint().map(|_| ())?,
            "bytes" => r.bytes().map(|_| ())?,
            "array" => r.array().map(|_| ())?,
            other => panic!("{other}"),
        }
        r.end()
    };
    for (expected, good) in [("uint", &[0x17][..]), ("uint", &[0x18, 24]), ("bytes", &[0x41, 1]), ("array", &[0x84])] {
        assert_eq!(read(expected, good), Ok(()));
    }
    [
        ("no byte", "uint", &[][..]),
        ("0 in two bytes", "uint", &[0x18, 0]),
        ("23 in two bytes", "uint", &[0x18, 23]),
        ("255 in three bytes", "uint", &[0x19, 0, 255]),
        ("65535 in five bytes", "uint", &[0x1a, 0, 0, 255, 255]),
        ("4294967295 in nine bytes", "uint", &[0x1b, 0, 0, 0, 0, 255, 255, 255, 255]),
        ("reserved length 28", "uint", &[0x1c]),
        ("cut number", "uint", &[0x19, 1]),
        ("negative number", "uint", &[0x20]),
        ("float", "uint", &[0xf9, 0x3c, 0]),
        ("tagged number", "uint", &[0xc1, 1]),
        ("trailing byte", "uint", &[1, 0]),
        ("length 1 in two bytes", "bytes", &[0x58, 1, 7]),
        ("indefinite length", "bytes", &[0x5f, 0x41, 7, 0xff]),
        ("cut string", "bytes", &[0x42, 7]),
        ("length far beyond the end", "bytes", &[0x5b, 255, 255, 255, 255, 255, 255, 255, 255]),
        ("text string", "bytes", &[0x61, 0x61]),
        ("trailing byte", "bytes", &[0x41, 7, 0]),
        ("4 items in two bytes", "array", &[0x98, 4]),
        ("indefinite length", "array", &[0x9f, 0xff]),
        ("map", "array", &[0xa0]),
    ]
    .into_iter()
    .map(|(name, expected, bytes)| {
        let reason = match read(expected, bytes) {
            Err(CborError::Short) => "short",
            Err(CborError::Type) => "type",
            Err(CborError::NotShortest) => "not shortest",
            Err(CborError::Trailing) => "trailing",
            other => panic!("{name}: {other:?}"),
        };
        json!({ "name": name, "expected": expected, "bytes": hex(bytes), "reason": reason })
    })
    .collect()
}

fn refused_clear_kos() -> Vec<Value> {
    [
        ("one byte", &[2][..]),
        ("four bytes", &[2, 0, 0, 0]),
        ("code 0", &[0, 0, 0, 0, 1]),
        ("code 6, which is never told in clear", &[6, 0, 0, 0, 1]),
    ]
    .into_iter()
    .map(|(name, body)| {
        assert_eq!(read_clear_ko(body), Err(Fault::BadFrame), "{name}");
        let mut client = plain_client();
        let wire = frame(FrameKind::ClearKo, body);
        assert_eq!(client.step(T0, &mut &wire[..]), Step::Closed(Fault::BadFrame.into()));
        json!({ "name": name, "bytes": hex(body), "reason": "bad frame" })
    })
    .collect()
}

#[test]
fn what_the_vectors_say_is_refused_is_refused() {
    check(
        "refused.json",
        &json!({
            "frames": refused_frames(),
            "heads": refused_heads(),
            "offers": offers(),
            "proofs": refused_proofs(),
            "clear_kos": refused_clear_kos(),
            "records": refused_records(),
            "cbor": refused_cbor(),
        }),
    );
}
