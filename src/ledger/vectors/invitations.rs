//! Invitations: lines, what chats make of them, and what is no invitation.

use alloc::string::ToString;

use super::*;
use crate::ledger::invitation::{checksum, text_of};

const END: UnixMillis = UnixMillis(29_000_000 * 60_000);

fn checkpoint() -> Place {
    Place { height: Height(52), header: HeaderId([9; 32]) }
}

fn to(address: &str) -> Invitation {
    let token = Token::from_bytes(core::array::from_fn(|at| 0xe0 + at as u8));
    Invitation::new(here(), key(1), address, token, END).expect("a good address")
}

fn lines() -> Vec<(&'static str, Invitation)> {
    let second = |made: Invitation, address: &str| made.with_second_address(address).expect("there is room");
    let sure = |made: Invitation| made.with_checkpoint(&checkpoint()).expect("there is room");
    [
        ("an IPv4 address", to("192.0.2.7:7700")),
        ("the shortest", to("a")),
        ("an IPv6 address", sure(to("[2001:db8::1]:7700"))),
        ("an IPv4 address in IPv6", to("[::ffff:192.0.2.7]:7700")),
        ("an old form of it, which is no IPv6 address of RFC 5952", to("[::192.0.2.7]:7700")),
        ("a name", to("bot.example.org:7700")),
        ("a name with every character", to("abcdefghijklmnopqrstuvwxyz-._:65535")),
        ("a name with digits", to("0123456789:0")),
        ("a text", to("wss://Bot.example.org/y?z#1")),
        ("a port with a zero in front is a text", to("bot.example.org:07700")),
        ("an IPv4 address and a checkpoint", sure(to("192.0.2.7:7700"))),
        ("two addresses", second(to("bot.example.org:7700"), "192.0.2.7:65535")),
        ("the longest", second(sure(to("abc.abcdefgh.ijklmnop.example.org:65535")), "192.0.2.7:7700")),
    ]
    .into()
}

fn line_json(name: &str, made: &Invitation) -> Value {
    json!({
        "name": name,
        "line": made.to_string(),
        "bytes": hex(&made.to_bytes()),
        "com": hex(made.community().as_bytes()),
        "key": key_hex(&made.inviter()),
        "end_minutes": made.expires_at().0 / 60_000,
        "token": hex(made.token().as_bytes()),
        "addresses": made.addresses().collect::<Vec<_>>(),
        "checkpoint": made.checkpoint().map(|_| json!({
            "height": checkpoint().height.0,
            "header_id": hex(&checkpoint().header.0),
        })),
    })
}

/// What chats make of a line, and what is the same line still.
fn forgiven(line: &str) -> Vec<String> {
    let (start, end) = line.split_at(90);
    [
        format!("  {line}\r\n"),
        format!("<{line}>"),
        format!("\"{line}\"."),
        format!("**{line}**"),
        format!("„{line}“ !"),
        format!("(||_{line}_||)?"),
        format!("{start}\n   {end}"),
        format!("{start}\u{a0}\u{200b}\u{200d}\u{feff}\u{2060}\u{ad}{end}\u{200c}"),
        format!("\u{2}{start}\u{2}{end}\u{f}"),
        format!("\u{11}\u{16}\u{1d}\u{1e}\u{1f}{line}\u{11}\u{16}\u{1d}\u{1e}\u{1f}"),
        format!("\u{3}4{line}\u{3}"),
        format!("\u{3}04,12{line}\u{3}99,99"),
        format!("{start} \u{3}04,12 \u{3} {end}"),
        format!("\u{3}04,{line}\u{3}"),
        format!("\u{4}ff00AA,00Ff00{line}\u{4}"),
        line.replacen("ibot", "IBot", 1),
        line.chars().flat_map(|c| [c, ' ']).collect(),
        line.chars().flat_map(|c| [c, '\u{200b}']).collect(),
    ]
    .into()
}

fn refused(line: &str) -> Vec<Value> {
    let good = to("192.0.2.7:7700").to_bytes();
    let summed = |body: &[u8]| {
        let mut bytes = body.to_vec();
        bytes[0] = u8::try_from(bytes.len() + 4).expect("short");
        let sum = checksum(&bytes);
        text_of(&[&bytes[..], &sum].concat())
    };
    let body = &good[..good.len() - 4];
    let address = |kind: u8, address: &[u8]| summed(&[&[0, kind << 3][..], &body[2..86], address].concat());
    let mistyped = |at: usize| {
        let other = if &line[at..=at] == "2" { "3" } else { "2" };
        [&line[..at], other, &line[at + 1..]].concat()
    };
    let cases: Vec<(&str, String)> = [
        ("nothing", String::new()),
        ("something else", "hello".into()),
        ("a bot's id", key(1).to_string()),
        ("version 2", line.replacen('1', "2", 1)),
        ("version 0", line.replacen('1', "0", 1)),
        ("cut at the end", line[..line.len() - 1].into()),
        ("cut in the middle", line[..100].into()),
        ("cut behind the prefix", line[..5].into()),
        ("a piece is missing", [&line[..50], &line[51..]].concat()),
        ("a character mistyped", mistyped(100)),
        ("a character of the length mistyped", mistyped(6)),
        ("two characters swapped", {
            let at = (20..).find(|at| line[*at..=*at] != line[at + 1..=at + 1]).expect("two that differ");
            [&line[..at], &line[at + 1..at + 2], &line[at..=at], &line[at + 2..]].concat()
        }),
        ("a character that Base58 lacks", [&line[..50], "0", &line[51..]].concat()),
        ("a block above 2^64", [&line[..5], "zzzzzzzzzzz", &line[16..]].concat()),
        ("a word behind it", format!("{line} come")),
        ("twice", format!("{line} {line}")),
        ("a mark in the middle", format!("{}.{}", &line[..50], &line[50..])),
        ("a colour's third digit", {
            let at = 5 + line[5..].find(|c: char| c.is_ascii_digit()).expect("a digit");
            format!("{}\u{3}{}", &line[..at], &line[at..])
        }),
        ("1,025 bytes", format!("{line}{}", " ".repeat(1_025 - line.len()))),
        ("no first address", summed(&[&[0, 0][..], &body[2..]].concat())),
        ("kind 5", address(5, &body[86..])),
        ("bit 6", summed(&changed(body, 1, 1 << 3 | 0x40))),
        ("a byte is left", summed(&[body, &[0]].concat())),
        ("a byte is missing", summed(&body[..body.len() - 1])),
        ("a second address that is not there", summed(&changed(body, 1, 1 << 3 | 1))),
        ("a key of small order", summed(&with(body, 34, &[0; 32]))),
        ("a key of mixed order", summed(&with(body, 34, &mixed_order()))),
        ("a name that is an IPv4 address", address(3, &[7, 0, 5, 0xb5, 0xf5, 0xb8, 0x95, 0xb3, 0xb8])),
        ("a name with a fill in the middle", address(3, &[3, 0, 5, 0, 41])),
        ("a name with a character behind its end", address(3, &[1, 0, 5, 6, 0x41])),
        ("a name of no character", address(3, &[0, 0, 80])),
        ("a name whose three characters are above 63,999", address(3, &[3, 0, 5, 0xff, 0xff])),
        ("a text that is an IPv4 address", address(4, b"\x091.2.3.4:5")),
        ("a text that is an IPv6 address", address(4, b"\x0a[::1]:7700")),
        ("a text that is a name", address(4, b"\x03a:1")),
        ("a text with a blank", address(4, b"\x03a b")),
        ("a text beyond ASCII", address(4, b"\x02\xc3\xa9")),
        ("a text without an end", address(4, b"\x09abcd")),
    ]
    .into();
    let reason = |text: &str| match text.parse::<Invitation>() {
        Err(InvitationError::Foreign) => "foreign",
        Err(InvitationError::Newer(_)) => "newer",
        Err(InvitationError::TooLong { .. }) => "too long",
        Err(InvitationError::Cut { .. }) => "cut",
        Err(InvitationError::Trailing { .. }) => "trailing",
        Err(InvitationError::Character(_)) => "character",
        Err(InvitationError::Checksum) => "checksum",
        Err(InvitationError::Inviter(_)) => "key",
        Err(InvitationError::Malformed) => "malformed",
        Ok(_) => panic!("{text:?} is fine"),
    };
    cases.into_iter().map(|(name, text)| json!({ "name": name, "reason": reason(&text), "text": text })).collect()
}

#[test]
fn invitations_are_those_of_the_vectors() {
    let lines = lines();
    for (name, made) in &lines {
        assert_eq!(made.to_string().parse::<Invitation>().as_ref(), Ok(made), "{name}");
    }
    let (_, longest) = lines.last().expect("several");
    let line = longest.to_string();
    let forgiven = forgiven(&line);
    for text in &forgiven {
        assert_eq!(text.parse::<Invitation>().as_ref(), Ok(longest), "{text:?}");
    }
    let other = Place { header: HeaderId([8; 32]), ..checkpoint() };
    assert!(longest.is_checkpoint(&checkpoint()) && !longest.is_checkpoint(&other));
    check(
        "ledger-invitations.json",
        &json!({
            "lines": lines.iter().map(|(name, made)| line_json(name, made)).collect::<Vec<_>>(),
            "forgiven": { "line": line, "texts": forgiven },
            "refused": refused(&line),
        }),
    );
}
