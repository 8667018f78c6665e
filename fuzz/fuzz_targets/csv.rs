//! Any bytes as a `.csv` file.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varpin::format::Format;
use varpin_fuzz::{checks::events, must};

fuzz_target!(|bytes: &[u8]| must(events::check(bytes, Format::Csv)));
