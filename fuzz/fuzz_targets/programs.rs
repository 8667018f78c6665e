//! Any text as a program: parsed, printed, parsed again, resolved.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varpin_fuzz::{checks::programs, must};

fuzz_target!(|bytes: &[u8]| must(programs::check(bytes)));
