//! What the ledger reads from strangers: each has one encoding, and bytes that are taken are that encoding.
#![no_main]

use bytes::Bytes;
use interbot::CommunityId;
use interbot::crypto::Pure;
use interbot::ledger::{Certificate, Genesis, Header, MembershipPath, Rules, Statement, Voter};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((kind, bytes)) = data.split_first() else { return };
    let community = CommunityId::from_name("fuzz");
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
