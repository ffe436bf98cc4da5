//! Invitations: what fits, what is forgiven, what is refused and with which words, and that each is used once.

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::identity::{CommunityId, IdError};
use crate::ledger::invitation::{checksum, text_of};

const NAME: &str = "bots.some-where.example.org:7700";
const END: UnixMillis = UnixMillis(29_000_000 * 60_000);

fn token(n: u8) -> Token {
    Token::from_bytes([n; 16])
}

fn place(height: u64) -> Place {
    Place { height: Height(height), header: HeaderId([9; 32]) }
}

fn to(address: &str) -> Result<Invitation, InviteError> {
    Invitation::new(CommunityId::from_name("invitations"), key(1), address, token(7), END)
}

fn plain() -> Invitation {
    to("192.0.2.7:7700").unwrap()
}

fn full() -> Invitation {
    to(NAME).unwrap().with_checkpoint(&place(52)).unwrap().with_second_address("192.0.2.7:65535").unwrap()
}

fn read(text: &str) -> Result<Invitation, InvitationError> {
    text.parse()
}

#[test]
fn the_longest_promised_invitations_stay_below_200_characters() {
    for (first, second, len) in [
        ("192.0.2.7:7700", None, 165),
        ("192.0.2.7:7700", Some("198.51.100.200:65535"), 173),
        // 30 characters of name.
        ("abcdefgh.ijklmnopq.example.org:65535", Some("198.51.100.200:65535"), 197),
        ("[2001:db8::1]:7700", Some("192.0.2.7:7700"), 190),
        // 33 characters of name.
        ("abc.abcdefgh.ijklmnop.example.org:65535", Some("198.51.100.200:65535"), 199),
    ] {
        let mut made = to(first).unwrap().with_checkpoint(&place(u32::MAX.into())).unwrap();
        if let Some(second) = second {
            made = made.with_second_address(second).unwrap();
        }
        let line = made.to_string();
        assert_eq!(line.len(), len, "{first} {second:?} {line}");
        assert!(line.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        assert_eq!(read(&line), Ok(made));
    }
}

#[test]
fn the_layout_is_the_manuals() {
    assert_eq!(
        full().to_string(),
        "ibot1Q1tJ89FjusiLoLVpBDdBce1mKTS5Jg9oWaof8arbsE7YCrZR7o3ZGRWhQgn6ny65cMGdZrs9BtxUb42gYTaTJPJvKdKtcbdKbav2BB9\
         xiHvCX82BB9xiHvBz7131BYsxRYWKhmxRrzopZw1LSFA9NVJJcbZgNjuTpDNXXH4dv9fc3jvP115TwoME1Ps3H"
    );
    let bytes = full().to_bytes();
    assert_eq!((usize::from(bytes[0]), bytes[1]), (bytes.len(), 0x80 | 3 << 3 | 1));
    assert_eq!(bytes[2..34], CommunityId::from_name("invitations").as_bytes()[..]);
    assert_eq!(bytes[34..66], key(1).as_bytes()[..]);
    assert_eq!(bytes[66..70], 29_000_000_u32.to_be_bytes());
    assert_eq!(bytes[70..86], [7; 16]);
    assert_eq!(bytes[86..90], 52_u32.to_be_bytes());
    let half = crate::crypto::sha256(&[b"interbot checkpoint\0", &[7; 16], &52_u64.to_be_bytes(), &[9; 32]]);
    assert_eq!(bytes[90..106], half[..16]);
    // 27 characters of name in 9 pairs of bytes: "bot" is 2, 15, 20.
    assert_eq!(bytes[106..109], [27, (7700_u16 >> 8) as u8, 7700_u16.to_be_bytes()[1]]);
    assert_eq!(bytes[109..111], (2_u16 * 1600 + 15 * 40 + 20).to_be_bytes());
    assert_eq!(bytes[127..133], [192, 0, 2, 7, 255, 255]);
    assert_eq!(bytes[133..137], checksum(&bytes[..133]));
    assert_eq!(bytes.len(), 137);
}

#[test]
fn every_address_comes_back_as_it_was() {
    for address in [
        "a",
        "a:0",
        "_.-:1",
        "bot.example.org",
        "bot.example.org:7700",
        "Bot.Example.org:7700",
        "bot.example.org:07700",
        "bot.example.org:+7",
        "1.2.3.4:5",
        "1.2.3.4",
        "01.2.3.4:5",
        "1.2.3.4:05",
        ":80",
        "::",
        "[::1]:80",
        "[::01]:80",
        "[2001:DB8::1]:80",
        "[fe80::1%3]:80",
        "[::ffff:1.2.3.4]:80",
        "unix:/run/bot",
        "wss://x.example/y?z#%41",
        "~!@$%",
        "bot.example.org:65536",
    ] {
        let made = to(address).unwrap().with_second_address(address).unwrap();
        let again = read(&made.to_string()).unwrap();
        assert_eq!(again, made);
        assert_eq!(again.addresses().collect::<Vec<_>>(), [address; 2]);
    }
    for bad in ["", " ", "a b", "bücher.example:80", "a\u{3}:1", "a\n", "\u{7f}"] {
        assert_eq!(to(bad), Err(InviteError::Address), "{bad:?}");
        assert_eq!(plain().with_second_address(bad), Err(InviteError::Address), "{bad:?}");
    }
}

#[test]
fn what_does_not_fit_is_named_with_what_to_do() {
    let long = "Upper.".repeat(20);
    let said = |made: Result<Invitation, InviteError>| made.unwrap_err().to_string();
    assert_eq!(
        said(to(&long)),
        "with the address the invitation has 296 characters, at most 199 are allowed: give an IP address or a shorter name"
    );
    assert_eq!(
        said(plain().with_second_address(&long)),
        "with the second address the invitation has 304 characters, at most 199 are allowed: leave it out, or give an IPv4 \
         address"
    );
    let two = to("[2001:db8::1]:1").unwrap().with_second_address("[2001:db8::2]:1").unwrap();
    assert_eq!(
        said(two.with_checkpoint(&place(1))),
        "with the checkpoint the invitation has 206 characters, at most 199 are allowed: leave the second address or, at a \
         risk, the checkpoint out"
    );
    assert_eq!(plain().with_checkpoint(&place(1 << 32)), Err(InviteError::Height));
    // More than a length of one byte says.
    assert!(matches!(to(&"Up".repeat(500)), Err(InviteError::TooLong { part: InvitationPart::Address, .. })));
}

#[test]
fn a_checkpoint_is_its_place_and_no_other() {
    let made = full();
    assert_eq!(made.checkpoint(), Some(Height(52)));
    assert!(made.is_checkpoint(&place(52)));
    assert!(!made.is_checkpoint(&place(51)) && !made.is_checkpoint(&place((1 << 32) + 52)));
    assert!(!made.is_checkpoint(&Place { header: HeaderId([8; 32]), ..place(52) }));
    assert!(plain().checkpoint().is_none() && !plain().is_checkpoint(&place(52)));
    // The token is in it: what is prepared for one invitation is of no use for another.
    let other = Invitation::new(made.community(), key(1), NAME, token(8), END).unwrap();
    let other = other.with_checkpoint(&place(52)).unwrap();
    assert!(other.is_checkpoint(&place(52)));
    assert_ne!(other.to_bytes()[90..106], made.to_bytes()[90..106]);
}

#[test]
fn every_single_mistyped_character_is_found() {
    let line = full().to_string();
    for at in 0..line.len() {
        for wrong in "123zZaAmM0OIl-_é".chars() {
            let mut typed = line.clone();
            typed.replace_range(at..=at, &wrong.to_string());
            if typed.eq_ignore_ascii_case(&line) && (at < 5 || typed == line) {
                continue;
            }
            let error = read(&typed).expect_err(&typed);
            match at {
                0..4 => assert_eq!(error, InvitationError::Foreign, "{typed}"),
                4 => assert!(matches!(error, InvitationError::Newer('2' | '3') | InvitationError::Foreign), "{typed}"),
                // Here is the length.
                5..16 => {}
                _ if !wrong.is_ascii_alphanumeric() || "0OIl".contains(wrong) => {
                    // A mark at the end is forgiven, and missed.
                    let marked = at == line.len() - 1 && wrong == '_';
                    assert!(error == InvitationError::Character(wrong) || marked, "{typed}");
                }
                _ => assert_eq!(error, InvitationError::Checksum, "{typed}"),
            }
            assert!(error.to_string().contains(": "), "{error} says what to do");
        }
    }
}

#[test]
fn every_cut_is_called_a_cut() {
    let line = full().to_string();
    for len in 1..line.len() {
        let least = if len < 16 { 132 } else { line.len() };
        assert_eq!(read(&line[..len]), Err(InvitationError::Cut { found: len, least }));
        // A piece is missing in the middle.
        if len > 16 {
            let torn = format!("{}{}", &line[..len - 1], &line[len..]);
            assert_eq!(read(&torn), Err(InvitationError::Cut { found: line.len() - 1, least: line.len() }));
        }
    }
    assert_eq!(
        read(&line[..150]).unwrap_err().to_string(),
        "the invitation was cut off: it has 150 characters of at least 194, copy it again, whole"
    );
    assert_eq!(to("a").unwrap().to_string().len(), 132);
}

#[test]
fn something_else_is_called_something_else() {
    let line = full().to_string();
    for foreign in ["", " ", "<>", "hello", "bot1qqqq", "ibota", "ibot0", "interbot", "1", "é"] {
        assert_eq!(read(foreign), Err(InvitationError::Foreign), "{foreign}");
    }
    assert_eq!(read(&line.replacen('1', "2", 1)), Err(InvitationError::Newer('2')));
    assert_eq!(read(&"i".repeat(1025)), Err(InvitationError::TooLong { bytes: 1025 }));
    assert!(read(&format!("{line}{}", " ".repeat(1024 - line.len()))).is_ok());
    assert_eq!(read(&format!("{line} welcome")), Err(InvitationError::Character('l')));
    assert_eq!(read(&format!("{line} come")), Err(InvitationError::Trailing { found: 198, expected: 194 }));
    assert_eq!(read(&format!("{line} {line}")), Err(InvitationError::Trailing { found: 388, expected: 194 }));
}

#[test]
fn what_chats_do_to_a_line_is_forgiven() {
    let (made, line) = (full(), full().to_string());
    let (start, end) = line.split_at(90);
    for text in [
        format!("  {line}\r\n"),
        format!("<{line}>"),
        format!("\"{line}\"."),
        format!("`{line}`,"),
        format!("**{line}**"),
        format!("„{line}“ !"),
        format!("(||_{line}_||)?"),
        format!("{start}\n   {end}"),
        format!("{start}\u{200b}\u{200d}\u{feff}\u{2060}{end}\u{200c}"),
        format!("\u{2}{start}\u{2}{end}\u{f}"),
        format!("\u{11}\u{16}\u{1d}\u{1e}\u{1f}{line}\u{11}\u{16}\u{1d}\u{1e}\u{1f}"),
        format!("\u{3}4{line}\u{3}"),
        format!("\u{3}04{line}\u{3}"),
        format!("\u{3}4,1{line}\u{3}"),
        format!("\u{3}04,12{line}\u{3}99,99"),
        format!("{start} \u{3}04,12 \u{3} {end}"),
        format!("\u{4}ff00AA{line}\u{4}"),
        format!("\u{4}ff00AA,00Ff00{line}\u{4}"),
        // Comma and colour code without a second colour: the comma is text, and trimmed.
        format!("\u{3}04,{line}\u{3}"),
        format!("\u{4}ff00aa,{line},\u{4}12"),
        line.replacen("ibot", "IBot", 1),
        line.chars().flat_map(|c| [c, ' ']).collect(),
        line.chars().flat_map(|c| [c, '\u{200b}']).collect(),
    ] {
        let ok = read(&text);
        // A bare hex code eats nothing, so what is behind it stays.
        if text.ends_with("\u{4}12") {
            assert!(ok.is_err());
        } else {
            assert_eq!(ok.as_ref(), Ok(&made), "{text:?}");
            assert_eq!(ok.unwrap().to_string(), line);
        }
    }
    // A colour takes two digits at most: a third is text.
    let digit = line.find(|c: char| c.is_ascii_digit() && c != '1').unwrap();
    let (start, end) = line.split_at(digit);
    assert_eq!(read(&format!("{start}\u{3}12{end}")), Ok(made.clone()));
    assert_eq!(read(&format!("{start}\u{3}12,07{end}")), Ok(made.clone()));
    assert!(matches!(read(&format!("{start}\u{3}{end}")), Err(InvitationError::Cut { .. })));
    assert!(matches!(read(&format!("{start}\u{7}{end}")), Err(InvitationError::Character('\u{7}'))));
}

#[test]
fn only_the_one_encoding_of_good_contents_is_read() {
    let good = full().to_bytes();
    let body = &good[..good.len() - 4];
    let read_body = |body: &[u8]| {
        let mut bytes = body.to_vec();
        bytes[0] = u8::try_from(bytes.len() + 4).unwrap();
        let sum = checksum(&bytes);
        bytes.extend(sum);
        read(&text_of(&bytes))
    };
    let changed = |at: usize, byte: u8| {
        let mut body = body.to_vec();
        body[at] = byte;
        read_body(&body)
    };
    assert_eq!(read_body(body), Ok(full()));
    // Kinds: unknown, none at all, a set bit without a meaning.
    for kinds in [0x80 | 5 << 3 | 1, 0x80 | 1, 0xc0 | 3 << 3 | 1, 0x80 | 3 << 3 | 5, 0x80 | 3 << 3, 3 << 3 | 1] {
        assert_eq!(changed(1, kinds), Err(InvitationError::Malformed), "{kinds:#x}");
    }
    // Bytes are left, or missing.
    assert_eq!(read_body(&[body, &[0]].concat()), Err(InvitationError::Malformed));
    assert_eq!(read_body(&body[..body.len() - 1]), Err(InvitationError::Malformed));
    // A name: three characters out of range, one too many, and none at all.
    assert_eq!(changed(109, 0xff), Err(InvitationError::Malformed));
    assert_eq!(changed(106, 26), Err(InvitationError::Malformed));
    let with_address = |kind: u8, address: &[u8]| read_body(&[&[0, kind << 3], &body[2..86], address].concat());
    assert!(with_address(1, &[1, 2, 3, 4, 0, 5]).is_ok());
    for (kind, address) in [
        (3, &b"\x00\x00\x50"[..]),
        // Packed names that are a socket address, or have a blank inside, or behind the end something.
        (3, &[7, 0, 5, 0xb5, 0xf5, 0xb8, 0x95, 0xb3, 0xb8]),
        (3, &[2, 0, 5, 0, 41]),
        (3, &[1, 0, 5, 6, 0x41]),
        // Texts that have a shorter form, a character that is not allowed, or no end.
        (4, b"\x091.2.3.4:5"),
        (4, b"\x0a[::1]:7700"),
        (4, b"\x03a:1"),
        (4, b"\x03a b"),
        (4, b"\x02\xc3\xa9"),
        (4, b"\x02\xff\xff"),
        (4, b"\x00"),
        (4, b"\x05abcd"),
    ] {
        let refused = with_address(kind, &[address, &[][..]].concat());
        let too_short = address.len() < 2;
        assert!(
            refused == Err(InvitationError::Malformed) || too_short && refused == Err(InvitationError::Checksum),
            "{address:x?} {refused:?}"
        );
    }
    // A key of small order, one that is no key.
    let with_key = |key: [u8; 32]| read_body(&[&body[..34], &key, &body[66..]].concat());
    assert_eq!(with_key([0; 32]), Err(InvitationError::Inviter(IdError::Weak)));
    let mut off_curve = [0; 32];
    off_curve[0] = 2;
    assert_eq!(with_key(off_curve), Err(InvitationError::Inviter(IdError::NotAKey)));
    assert_eq!(with_key(crate::crypto::tests::mixed_order(&key(1))), Err(InvitationError::Inviter(IdError::Weak)));
}

#[test]
fn an_invitation_ends_on_the_minute_after_its_end() {
    let ends = |at| {
        let made = Invitation::new(CommunityId::from_name("x"), key(1), "a:1", token(1), UnixMillis(at)).unwrap();
        read(&made.to_string()).unwrap().expires_at()
    };
    assert_eq!(
        [ends(0), ends(1), ends(60_000), ends(60_001), ends(u64::MAX)],
        [0, 60_000, 60_000, 120_000, u64::from(u32::MAX) * 60_000].map(UnixMillis)
    );
    let made = full();
    assert_eq!(made.check_expiry(UnixMillis(END.0 - 1)), Ok(()));
    assert_eq!(made.check_expiry(END), Err(InvitationExpired { ago_ms: 0 }));
    assert_eq!(
        made.check_expiry(UnixMillis(END.0 + 180_500)).unwrap_err().to_string(),
        "the invitation expired 3 minutes ago: ask for a new one, or set this machine's clock"
    );
}

#[test]
fn debug_hides_the_token() {
    let made = Invitation::new(CommunityId::from_name("x"), key(1), "a:1", token(0xab), END).unwrap();
    let mut issued = Invitations::default();
    issued.issue(UnixMillis(0), &made).unwrap();
    let shown = format!("{made:?} {issued:?}");
    assert!(shown.contains("Token(…)") && shown.contains("remembered: 1, used: 0"), "{shown}");
    assert!(!shown.contains("171") && !shown.contains("ab, ab") && !shown.contains("abab"), "{shown}");
}

fn numbered(n: u16, expires_at: UnixMillis) -> Invitation {
    let mut bytes = [0; 16];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    Invitation::new(CommunityId::from_name("x"), key(1), "a:1", Token::from_bytes(bytes), expires_at).unwrap()
}

#[test]
fn a_token_is_good_once_and_in_time() {
    let now = UnixMillis(END.0 - 600_000);
    let (made, other) = (full(), numbered(1, END));
    let mut issued = Invitations::default();
    assert_eq!(issued.redeem(now, made.token()), Err(RedeemError::Unknown));
    assert_eq!(issued.issue(END, &made), Err(IssueError::Expired));
    assert_eq!(issued.issue(now, &made), Ok(()));
    assert_eq!(issued.issue(now, &made), Err(IssueError::Reused));
    assert_eq!(issued.redeem(now, other.token()), Err(RedeemError::Unknown));
    assert_eq!(issued.redeem(END, made.token()), Err(RedeemError::Expired));
    assert_eq!((issued.open(now), issued.open(END)), (1, 0));
    assert_eq!(issued.redeem(UnixMillis(END.0 - 1), made.token()), Ok(()));
    assert_eq!((issued.redeem(now, made.token()), issued.open(now)), (Err(RedeemError::Used), 0));
    assert_eq!(issued.issue(now, &made), Err(IssueError::Reused));
    // What was used stays used in the records.
    let mut again = Invitations::from_bytes(&issued.to_bytes()).unwrap();
    assert_eq!(again, issued);
    assert_eq!(again.redeem(now, made.token()), Err(RedeemError::Used));
    assert_eq!(again.issue(now, &other), Ok(()));
    assert!(again.revoke(other.token()) && !again.revoke(other.token()));
    assert_eq!(again.redeem(now, other.token()), Err(RedeemError::Unknown));
    // What expired is forgotten, and refused still.
    assert_eq!(again.issue(END, &numbered(2, UnixMillis(END.0 + 60_000))), Ok(()));
    assert_eq!(again.to_bytes().len(), 2 + 41);
    assert_eq!(again.redeem(now, made.token()), Err(RedeemError::Unknown));
}

#[test]
fn a_flood_of_invitations_is_refused_until_one_was_used_or_expires() {
    let now = UnixMillis(60_000);
    let mut issued = Invitations::default();
    for n in 0..256 {
        assert_eq!(issued.issue(now, &numbered(n, UnixMillis(600_000 + 60_000 * u64::from(n)))), Ok(()));
    }
    let late = numbered(999, END);
    assert_eq!(issued.issue(now, &late), Err(IssueError::Full));
    assert_eq!(IssueError::Full.to_string(), "256 invitations are open: revoke one, or wait until one expires");
    assert_eq!(Invitations::from_bytes(&issued.to_bytes()), Ok(issued.clone()));
    // Of the used ones, the one that expires first makes room; it is refused still.
    for n in [9, 5, 7] {
        assert_eq!(issued.redeem(now, numbered(n, END).token()), Ok(()));
    }
    assert_eq!(issued.issue(now, &late), Ok(()));
    assert_eq!(issued.redeem(now, numbered(5, END).token()), Err(RedeemError::Unknown));
    assert_eq!(issued.redeem(now, numbered(7, END).token()), Err(RedeemError::Used));
    assert_eq!((issued.open(now), issued.to_bytes().len()), (254, 2 + 41 * 256));
    // The first ten minutes are over.
    assert_eq!(issued.issue(UnixMillis(600_000), &numbered(1000, END)), Ok(()));
    assert_eq!(issued.open(UnixMillis(600_000)), 254);
}

#[test]
fn records_of_tokens_have_one_encoding() {
    let mut issued = Invitations::default();
    for n in 0..2 {
        issued.issue(UnixMillis(0), &numbered(n, END)).unwrap();
    }
    let good = issued.to_bytes();
    assert_eq!(Invitations::from_bytes(&[0, 0]), Ok(Invitations::default()));
    for len in 0..good.len() {
        assert!(Invitations::from_bytes(&good[..len]).is_err());
    }
    assert!(Invitations::from_bytes(&[&good[..], &[0]].concat()).is_err(), "bytes are left");
    let mut flag = good.clone();
    flag[2 + 40] = 2;
    assert!(Invitations::from_bytes(&flag).is_err(), "no bool");
    let swapped = [&good[..2], &good[43..], &good[2..43]].concat();
    assert!(Invitations::from_bytes(&swapped).is_err(), "not sorted");
    let twice = [&good[..2], &good[2..43], &good[2..43]].concat();
    assert!(Invitations::from_bytes(&twice).is_err(), "twice the same");
    let many: Vec<u8> = (0..257_u16).flat_map(|n| [&n.to_be_bytes()[..], &[0; 39]].concat()).collect();
    assert!(Invitations::from_bytes(&[&256_u16.to_be_bytes()[..], &many[..256 * 41]].concat()).is_ok());
    assert!(Invitations::from_bytes(&[&257_u16.to_be_bytes()[..], &many].concat()).is_err(), "too many");
}

fn any_address() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<core::net::SocketAddrV4>().prop_map(|v4| v4.to_string()),
        any::<(core::net::Ipv6Addr, u16)>().prop_map(|(ip, port)| format!("[{ip}]:{port}")),
        ("[a-z0-9._-]{1,36}", any::<u16>()).prop_map(|(host, port)| format!("{host}:{port}")),
        "[!-~]{1,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_made_is_read_and_short(
        first in any_address(),
        second in proptest::option::of(any_address()),
        height in proptest::option::of(any::<u32>()),
        bytes: [u8; 16],
        end: u64,
        seed: u8,
    ) {
        let made = Invitation::new(
            CommunityId::from_bytes([seed; 32]), key(seed), &first, Token::from_bytes(bytes), UnixMillis(end),
        );
        let made = made.and_then(|made| match &second {
            Some(second) => made.with_second_address(second),
            None => Ok(made),
        });
        let made = made.and_then(|made| match height {
            Some(height) => made.with_checkpoint(&place(height.into())),
            None => Ok(made),
        });
        match made {
            Ok(made) => {
                let line = made.to_string();
                prop_assert!(line.len() < 200);
                prop_assert_eq!(made.addresses().collect::<Vec<_>>(), Vec::from_iter([&first].into_iter().chain(&second)));
                prop_assert_eq!(read(&line), Ok(made));
            }
            Err(error) => {
                let too_long = matches!(error, InviteError::TooLong { characters: 200.., .. });
                prop_assert!(too_long, "{error}");
            }
        }
    }

    #[test]
    fn no_text_panics_and_what_is_taken_has_one_line(text in "\\PC{0,80}|(ibot1)?[ -~\u{0}-\u{1f}]{0,250}|ibot1[1-9A-HJ-NP-Za-km-z]{100,200}") {
        if let Ok(made) = read(&text) {
            prop_assert_eq!(read(&made.to_string()), Ok(made));
        }
    }

    #[test]
    fn no_contents_panic_and_what_is_taken_has_one_line(
        kinds: u8, checkpoint: bool, rest in proptest::collection::vec(prop_oneof![0_u8..5, b'!'..b'z', any::<u8>()], 0..50),
    ) {
        let fixed = &full().to_bytes()[2..86];
        let mut bytes = [&[0, kinds & 0x1b | if checkpoint { 0x80 } else { 0 }], fixed, &rest[..]].concat();
        bytes[0] = u8::try_from(bytes.len() + 4).expect("short");
        let sum = checksum(&bytes);
        bytes.extend(sum);
        let line = text_of(&bytes);
        if let Ok(made) = read(&line) {
            prop_assert_eq!(made.to_string(), line);
        }
    }

    #[test]
    fn a_line_with_some_of_it_changed_is_refused(at in 5_usize..194, len in 1_usize..20, with in "[1-9A-HJ-NP-Za-km-z]{1,20}") {
        let line = full().to_string();
        let mut changed = line.clone();
        changed.replace_range(at..(at + len).min(line.len()), &with);
        prop_assert!(changed == line || read(&changed).is_err());
    }
}
