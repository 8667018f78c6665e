//! Any text as a program, with events behind it: run on one thread, and in contexts.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varpin_fuzz::{checks::runs, must};

fuzz_target!(|bytes: &[u8]| must(runs::check(bytes)));
