//! Programs made by the grammar out of the input: most are accepted, so that they are run.
#![no_main]

use libfuzzer_sys::fuzz_target;
use varpin_fuzz::checks::{programs, runs};
use varpin_fuzz::generated::Generated;
use varpin_fuzz::must;

fuzz_target!(|program: Generated| {
    must(programs::check(program.text.as_bytes()));
    must(runs::check(program.text.as_bytes()));
});
