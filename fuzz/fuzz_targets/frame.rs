//! Frames: the same however the stream is cut, never more memory than a frame may have.
#![no_main]

use std::alloc::System;

use arbitrary::Arbitrary;
use bytes::BytesMut;
use interbot::wire::{FrameError, FrameKind, FrameReader, HEADER_LEN, put_header};
use libfuzzer_sys::fuzz_target;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

#[derive(Arbitrary, Debug)]
struct Input {
    parts: Vec<Part>,
    /// Lengths of the pieces, over and over.
    cuts: Vec<u16>,
    /// What is expected; see [`limit`].
    limits: u8,
    /// Whether bodies are taken out of the reader and kept.
    keep: bool,
}

#[derive(Arbitrary, Debug)]
enum Part {
    Frame { kind: u8, len: u16, limit: bool, fill: u8 },
    Header { length: u32, kind: u8 },
    Raw(Vec<u8>),
}

const KINDS: [FrameKind; 5] =
    [FrameKind::Connect, FrameKind::ConnectAck, FrameKind::Ack, FrameKind::ClearKo, FrameKind::Record];

fn wire(parts: &[Part]) -> Vec<u8> {
    let mut out = Vec::new();
    for part in parts.iter().take(16) {
        match part {
            Part::Frame { kind, len, limit, fill } => {
                let kind = KINDS[usize::from(*kind) % KINDS.len()];
                // Around the limit, or anywhere below it.
                let len = if *limit { kind.max_body() + 2 - usize::from(*len) % 4 } else { usize::from(*len) };
                let len = len.min(kind.max_body() + 2);
                out.extend_from_slice(&u32::try_from(len + 1).expect("a limit fits").to_be_bytes());
                out.push(kind as u8);
                out.resize(out.len() + len, *fill);
            }
            Part::Header { length, kind } => {
                out.extend_from_slice(&length.to_be_bytes());
                out.push(*kind);
            }
            Part::Raw(bytes) => out.extend_from_slice(bytes),
        }
    }
    out
}

#[derive(Debug, PartialEq)]
struct Read {
    frames: Vec<(FrameKind, [u8; HEADER_LEN], Vec<u8>)>,
    error: Option<FrameError>,
    held: usize,
}

/// How long a body may be, by a bit for each kind that is not expected at all, and three for a limit of the caller's.
fn limit(limits: u8, kind: FrameKind) -> Option<usize> {
    let at = KINDS.iter().position(|known| *known == kind).expect("all kinds are known");
    let most = match limits >> 5 {
        0 => kind.max_body(),
        7 => usize::MAX,
        power => 4usize.pow(power.into()),
    };
    (limits >> at & 1 == 0).then_some(most)
}

fn read<'a>(pieces: impl Iterator<Item = &'a [u8]>, limits: u8, keep: bool) -> Read {
    let (mut reader, mut read) = (FrameReader::default(), Read { frames: Vec::new(), error: None, held: 0 });
    let mut kept = Vec::new();
    // A buffer that grows doubles.
    let most = 2 * (FrameKind::Record.max_body() + 128);
    for mut piece in pieces {
        loop {
            let region = Region::new(ALLOCATOR);
            let next = reader.next(&mut piece, |kind| limit(limits, kind));
            let change = region.change();
            let allocated = change.bytes_allocated;
            assert!(allocated <= most, "{allocated} bytes for one frame");
            match next {
                Ok(None) => {
                    assert!(piece.is_empty(), "a reader that has no frame took all there was");
                    break;
                }
                Ok(Some(frame)) => {
                    assert_eq!(frame.header[4], frame.kind as u8);
                    assert!(
                        limit(limits, frame.kind)
                            .is_some_and(|most| frame.body.len() <= most.min(frame.kind.max_body()))
                    );
                    assert!(frame.body.capacity() <= most);
                    if read.frames.is_empty() {
                        assert!(allocated <= frame.kind.max_body() + 128, "{allocated} for {:?}", frame.kind);
                    }
                    read.frames.push((frame.kind, frame.header, frame.body.to_vec()));
                    if keep {
                        kept.push(frame.body.split().freeze());
                    }
                }
                Err(error) => {
                    assert_eq!(allocated, 0, "nothing is allocated for a frame that is refused");
                    read.error = Some(error);
                    return read;
                }
            }
            assert_eq!(reader.held_bytes(), 0);
        }
        assert!(reader.held_bytes() <= HEADER_LEN + FrameKind::Record.max_body());
    }
    for (kept, (_, _, body)) in kept.iter().zip(&read.frames) {
        assert_eq!(kept, body, "what was taken out does not change");
    }
    read.held = reader.held_bytes();
    read
}

/// The same by the book.
fn expected(mut bytes: &[u8], limits: u8) -> Read {
    let mut read = Read { frames: Vec::new(), error: None, held: 0 };
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_LEN>() {
        let (length, number) = (u32::from_be_bytes([header[0], header[1], header[2], header[3]]), header[4]);
        let Some(kind) = KINDS.into_iter().find(|kind| *kind as u8 == number) else {
            read.error = Some(FrameError::Kind(number));
            return read;
        };
        let Some(most) = limit(limits, kind).map(|most| most.min(kind.max_body())) else {
            read.error = Some(FrameError::Kind(number));
            return read;
        };
        if length == 0 || length as usize > most + 1 {
            read.error = Some(FrameError::Length { kind: number, length });
            return read;
        }
        let Some((body, rest)) = rest.split_at_checked(length as usize - 1) else { break };
        read.frames.push((kind, *header, body.to_vec()));
        bytes = rest;
    }
    read.held = bytes.len();
    read
}

fuzz_target!(|input: Input| {
    let bytes = wire(&input.parts);
    let whole = read([&bytes[..]].into_iter(), input.limits, input.keep);
    assert_eq!(whole, expected(&bytes, input.limits));
    if !input.cuts.is_empty() {
        let (mut rest, mut cuts) = (&bytes[..], input.cuts.iter().cycle());
        let pieces = std::iter::from_fn(|| {
            // At most some thousand pieces, some of them empty.
            let len = usize::from(*cuts.next()?).max(bytes.len() / 4096);
            let (piece, after) = rest.split_at(len.min(rest.len()));
            let more = !rest.is_empty();
            rest = after;
            more.then_some(piece)
        });
        if input.cuts.iter().any(|cut| *cut > 0) || bytes.len() >= 4096 {
            assert_eq!(read(pieces, input.limits, !input.keep), whole);
        }
    }
    let mut again = BytesMut::new();
    for (kind, header, body) in &whole.frames {
        assert_eq!(put_header(&mut again, *kind, body.len()), *header);
        again.extend_from_slice(body);
    }
    assert!(bytes.starts_with(&again), "frames that are put together are the stream they came from");
});
