//! Hostile bytes against a server's end of a handshake.
#![no_main]

use interbot::link::Side;
use interbot_fuzz::handshake::{Input, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| run(Side::Server, &input));
