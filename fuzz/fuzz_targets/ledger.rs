//! What the ledger reads from strangers: each has one encoding, and bytes that are taken are that encoding.
#![no_main]

use bytes::Bytes;
use interbot::crypto::Pure;
use interbot::ledger::{Certificate, Genesis, Header, Invitation, MembershipPath, Rules, Statement, Token, Voter};
use interbot::{CommunityId, Identity, UnixMillis};
use libfuzzer_sys::fuzz_target;

/// An invitation is text, and forgiving: it has one line to be written, not one to be read. Its checksum cannot be guessed, so
/// the lines of text are addresses too.
fn invitation(text: &str) {
    let ann = Identity::from_seed([1; 32]).id();
    let mut addresses = text.lines();
    let first = addresses.next().unwrap_or_default();
    let made = Invitation::new(CommunityId::from_name("fuzz"), ann, first, Token::from_bytes([2; 16]), UnixMillis(0));
    let made = made.and_then(|made| match addresses.next() {
        Some(second) => made.with_second_address(second),
        None => Ok(made),
    });
    for invitation in [made.ok(), text.parse().ok()].into_iter().flatten() {
        let line = invitation.to_string();
        assert!(line.len() <= Invitation::MAX_TEXT);
        assert_eq!(line.parse(), Ok(invitation), "what was taken is written so that it is taken");
    }
}

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    let community = CommunityId::from_name("fuzz");
    if *kind == 7 {
        return core::str::from_utf8(bytes).map_or((), invitation);
    }
    let again = match kind % 7 {
        0 => Statement::read(&community, Bytes::copy_from_slice(bytes)).ok().map(|statement| {
            let _ = statement.is_genuine(&community, &Pure);
            statement.bytes().to_vec()
        }),
        1 => Certificate::from_bytes(bytes).ok().map(|certificate| certificate.to_bytes()),
        2 => Header::from_bytes(bytes).ok().map(|header| header.to_bytes()),
        3 => Genesis::from_bytes(bytes, &Pure).ok().map(|genesis| genesis.to_bytes()),
        4 => MembershipPath::from_bytes(bytes).ok().map(|path| path.to_bytes()),
        5 => Rules::from_bytes(bytes).ok().map(|rules| rules.to_bytes().to_vec()),
        _ => Voter::from_bytes(bytes).map(|voter| voter.to_bytes()),
    };
    if let Some(again) = again {
        assert_eq!(again, bytes, "one encoding for each value");
    }
});
