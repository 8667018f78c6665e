//! Connectors at run time: the files that a program reads as further inputs (`.from`), and the files and the console
//! that it writes rows to (`.to`).
//!
//! Nothing here has a thread of its own. Sinks are written by whoever takes results, and a file that cannot keep up
//! holds that thread up: then results wait in their rings, and stages that have no room take no more input. Sources
//! are read by whoever feeds events.

mod guard;
mod outcome;
mod places;
mod sinks;
mod sources;

pub use guard::{Guards, Interrupted};
pub use outcome::{BadLine, ConnectError, Outcome, SinkCounts, UnwrittenRow};
pub use places::Places;
pub use sinks::{OpenWriter, Sinks};
pub use sources::Sources;
