//! Must fail, and soon: its printer makes ints even. Where that is not found, nothing else would be either.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varpin_fuzz::{checks::programs, must};

fuzz_target!(|bytes: &[u8]| must(programs::canary(bytes)));
