//! Typed dataflow on pinned threads: stages joined by rings. Knows no VPL.
//!
//! The pieces, from the inside out: an item that knows its place ([`Ordered`]); several rings read as one
//! ([`FanIn`], in a [`MergeOrder`]); the writing end of a ring with what is pending in front of it ([`OutPort`]);
//! something steppable between them ([`Stage`]).

mod fan_in;
mod item;
mod order;
mod out_port;
mod stage;

pub use fan_in::{Drained, FanIn, LaneOptions};
pub use item::{CloneInto, Envelope, Ordered};
pub use order::{Bound, Choice, Key, LaneView, MergeOrder, UnknownMergeOrder, choose};
pub use out_port::{OutPort, PENDING_LIMIT, PendingFull, Ports, RingLeft};
pub use stage::{Cycle, Leftovers, Stage};
