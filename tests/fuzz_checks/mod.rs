//! What must hold for any input at all: what the targets in `fuzz/` check, and `fuzz_seeds` checks again for every input
//! that is worth keeping.
//!
//! A check takes bytes as they come from a file and says in a sentence what does not hold. It depends on its input alone:
//! what it draws by chance it draws from a hash of that.
#![allow(clippy::unwrap_used, dead_code, missing_docs, unreachable_pub)] // not every user of this module uses all of it

pub mod chance;
#[path = "../common/drain.rs"]
mod drain;
pub mod events;
pub mod placed;
pub mod programs;
pub mod runs;

/// What a check says: nothing, or what does not hold.
pub type Checked = Result<(), String>;

/// An error with this message, unless `holds`.
pub fn ensure(holds: bool, message: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(message()) }
}
