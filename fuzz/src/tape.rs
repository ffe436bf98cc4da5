//! Recordings taken apart and put together again, with their chain of hashes made anew: no fuzzer guesses a hash.

use ciborium::Value;
use sha2::{Digest, Sha256};

/// Bytes of the hash that an entry ends with.
const HASH_LEN: usize = 8;

/// What stands before the entries, and each entry's kind and item, by the lengths they claim; the last may be cut.
#[must_use]
pub fn parts(bytes: &[u8]) -> Option<(&[u8], Vec<Vec<u8>>)> {
    let start = 17 + usize::from(*bytes.get(16)?);
    let (preamble, mut rest) = bytes.split_at_checked(start)?;
    let mut entries = Vec::new();
    while let Some((length, body)) = rest.split_first_chunk() {
        let len = body.len().min(u32::from_be_bytes(*length) as usize);
        entries.push(body[..len].to_vec());
        rest = body.get(len + HASH_LEN..).unwrap_or_default();
    }
    Some((preamble, entries))
}

/// A recording with a good chain.
#[must_use]
pub fn chained(preamble: &[u8], entries: &[Vec<u8>]) -> Vec<u8> {
    let (mut chain, mut out) = (Sha256::digest(preamble), preamble.to_vec());
    for entry in entries {
        let length = u32::try_from(entry.len()).expect("an input is short").to_be_bytes();
        chain = Sha256::new().chain_update(chain).chain_update(length).chain_update(entry).finalize();
        out.extend_from_slice(&length);
        out.extend_from_slice(entry);
        out.extend_from_slice(&chain[..HASH_LEN]);
    }
    out
}

/// Whether an entry's item has the deterministic encoding, by another library's judgement.
#[must_use]
pub fn is_deterministic(entry: &[u8]) -> bool {
    let item = &entry[1..];
    let mut again = Vec::new();
    ciborium::from_reader::<Value, _>(item).is_ok_and(|value| ciborium::into_writer(&value, &mut again).is_ok())
        && again == item
}

/// Changes one entry, or the order of some, and makes the chain again; `change` changes bytes in a buffer of which so many are
/// used, and says how many are used then. Nothing when `bytes` have no entries.
#[must_use]
pub fn edited(bytes: &[u8], seed: u32, change: impl FnOnce(&mut [u8], usize) -> usize) -> Option<Vec<u8>> {
    /// How far an entry grows at once.
    const ROOM: usize = 64;
    let (preamble, mut entries) = parts(bytes).filter(|(_, entries)| !entries.is_empty())?;
    let at = (seed >> 8) as usize % entries.len();
    match seed & 7 {
        0 => drop(entries.remove(at)),
        1 => entries.insert(at, entries[at].clone()),
        2 => {
            let to = (seed >> 20) as usize % entries.len();
            entries.swap(at, to);
        }
        _ => {
            let entry = &mut entries[at];
            let used = entry.len();
            entry.resize(used + ROOM, 0);
            let used = change(entry, used);
            entry.truncate(used);
        }
    }
    Some(chained(preamble, &entries))
}
