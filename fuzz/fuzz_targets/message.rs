//! Messages: what is decoded has that one encoding, and another CBOR library agrees.
#![no_main]

use bytes::{Bytes, BytesMut};
use ciborium::Value;
use interbot::overlay::Message;
use interbot::wire::{CborError, CborReader, CborWriter};
use libfuzzer_sys::fuzz_target;

/// Far below ciborium's own limit.
const DEPTH: usize = 64;

fn item(reader: &mut CborReader<'_>, depth: usize) -> Result<Value, CborError> {
    let at = *reader;
    match reader.uint() {
        Err(CborError::Type) => *reader = at,
        other => return other.map(Value::from),
    }
    match reader.bytes() {
        Err(CborError::Type) => *reader = at,
        other => return other.map(|bytes| Value::Bytes(bytes.to_vec())),
    }
    let count = reader.array()?;
    if depth == 0 {
        return Err(CborError::Range);
    }
    // Not collected, which would trust the count.
    let mut items = Vec::new();
    for _ in 0..count {
        items.push(item(reader, depth - 1)?);
    }
    Ok(Value::Array(items))
}

fn write(value: &Value, out: &mut BytesMut) {
    match value {
        Value::Integer(n) => {
            CborWriter(out).uint(u64::try_from(*n).expect("only unsigned numbers were read"));
        }
        Value::Bytes(bytes) => {
            CborWriter(out).bytes(bytes);
        }
        Value::Array(items) => {
            CborWriter(out).array(items.len() as u64);
            for item in items {
                write(item, out);
            }
        }
        other => unreachable!("{other:?} was never read"),
    }
}

/// Whether our reader knows all the types in it.
fn is_known(value: &Value, depth: usize) -> bool {
    match value {
        Value::Integer(n) => u64::try_from(*n).is_ok(),
        Value::Bytes(_) => true,
        Value::Array(items) => depth > 0 && items.iter().all(|item| is_known(item, depth - 1)),
        _ => false,
    }
}

fuzz_target!(|bytes: &[u8]| {
    let mut reader = CborReader::new(bytes);
    let ours = item(&mut reader, DEPTH).and_then(|value| reader.end().map(|()| value));
    let mut rest = bytes;
    let theirs = ciborium::from_reader::<Value, _>(&mut rest).ok().filter(|_| rest.is_empty());
    if let Ok(value) = &ours {
        assert_eq!(theirs.as_ref(), Some(value), "what we accept, the other library reads alike");
        let mut out = BytesMut::new();
        write(value, &mut out);
        assert_eq!(&out[..], bytes, "one encoding");
    } else if let Some(value) = theirs.filter(|value| is_known(value, DEPTH)) {
        let mut shortest = Vec::new();
        ciborium::into_writer(&value, &mut shortest).expect("a value that was read is written");
        assert_ne!(shortest, bytes, "what is in its shortest form is accepted");
    }
    let message = Bytes::copy_from_slice(bytes);
    if let Ok(decoded) = Message::decode(&message) {
        assert!(ours.is_ok());
        let mut out = BytesMut::new();
        decoded.encode(&mut out);
        assert_eq!(out, message, "one encoding");
        assert_eq!(Message::decode(&out.freeze()), Ok(decoded));
    }
});
