//! A whole node with two members, strangers and raw bytes around it, a slow disk, and a host that does things in any order.
#![no_main]

use interbot_fuzz::node::{Input, run};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: Input| run(&input));
