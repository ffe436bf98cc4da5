//! Limits as they stand in a recording.

use core::time::Duration;

use super::item::fields;
use crate::budget::Rate;
use crate::link::{KeepaliveTimes, Times};
use crate::node::Limits;

/// A count or a size; above what this machine can count it is its largest, which nothing reaches either.
fn size(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

fn span(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

/// Both ways between the limits and their entry; a limit that is missing in either does not compile.
macro_rules! limits {
    (sizes: $($size:ident)*; spans: $($span:ident)*; rates: $($rate:ident)*;) => {
        /// All limits, as numbers: sizes, nanoseconds, and rates with their bursts.
        #[derive(Clone, Debug, PartialEq, Eq)]
            pub(crate) struct LimitsEntry {
            $($size: u64,)*
            $($span: u64,)*
            $($rate: (u32, u32),)*
            times: TimesEntry,
        }

        fields! { LimitsEntry: $($size)* $($span)* $($rate)* times }

        impl From<&Limits> for LimitsEntry {
            fn from(limits: &Limits) -> Self {
                let Limits { $($size,)* $($span,)* $($rate,)* times } = limits;
                Self {
                    $($size: *$size as u64,)*
                    $($span: span(*$span),)*
                    $($rate: ($rate.per_second, $rate.burst),)*
                    times: times.into(),
                }
            }
        }

        impl From<&LimitsEntry> for Limits {
            fn from(entry: &LimitsEntry) -> Self {
                let LimitsEntry { $($size,)* $($span,)* $($rate,)* times } = entry;
                Self {
                    $($size: size(*$size),)*
                    $($span: Duration::from_nanos(*$span),)*
                    $($rate: Rate { per_second: $rate.0, burst: $rate.1 },)*
                    times: times.into(),
                }
            }
        }
    };
}

limits! {
    sizes: half_open children candidates dials window_bytes queue_high_bytes queue_low_bytes queue_max_bytes stall_bytes
        unpersisted_posts unpersisted_bytes outbox;
    spans: dial retry_min retry_max retry_forget stall;
    rates: handshakes posts;
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct TimesEntry {
    connect: u64,
    handshake: u64,
    idle: u64,
    answer: u64,
    misses: u8,
    client_silence: u64,
    probe: u64,
}

fields! { TimesEntry: connect handshake idle answer misses client_silence probe }

impl From<&Times> for TimesEntry {
    fn from(times: &Times) -> Self {
        let Times { connect, handshake, keepalive } = times;
        let KeepaliveTimes { idle, answer, misses, client_silence, probe } = keepalive;
        Self {
            connect: span(*connect),
            handshake: span(*handshake),
            idle: span(*idle),
            answer: span(*answer),
            misses: *misses,
            client_silence: span(*client_silence),
            probe: span(*probe),
        }
    }
}

impl From<&TimesEntry> for Times {
    fn from(entry: &TimesEntry) -> Self {
        let TimesEntry { connect, handshake, idle, answer, misses, client_silence, probe } = entry;
        let nanos = |nanos: &u64| Duration::from_nanos(*nanos);
        Self {
            connect: nanos(connect),
            handshake: nanos(handshake),
            keepalive: KeepaliveTimes {
                idle: nanos(idle),
                answer: nanos(answer),
                misses: *misses,
                client_silence: nanos(client_silence),
                probe: nanos(probe),
            },
        }
    }
}
