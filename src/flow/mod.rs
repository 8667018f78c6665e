//! Typed dataflow on pinned threads: stages joined by rings. Knows no VPL.
//!
//! The pieces, from the inside out: an item that knows its place ([`Ordered`]); several rings read as one
//! ([`FanIn`], in a [`MergeOrder`]); the writing end of a ring with what is pending in front of it ([`OutPort`]);
//! something steppable between them ([`Stage`]); a thread that steps it ([`Worker`]); and a run of several
//! workers, which ends within a deadline and says how it went ([`start`], [`Running`], [`Report`]).
//!
//! Who doesn't want to put the pieces together describes a [`Graph`] of closures and starts it.

mod fan_in;
mod gauge;
mod graph;
mod item;
mod load;
mod newest;
mod order;
mod out_port;
mod partition;
mod ports;
mod report;
mod ring_care;
mod runtime;
mod stage;
mod worker;

pub use fan_in::{Drained, FanIn, LaneOptions, RingEnd};
pub use gauge::{LaneGauge, PortGauge, RingGauge, ring_gauge};
pub use graph::{
    BATCH_LIMIT, CAPACITY, END_SEQ, Flow, Graph, GraphError, GraphProblem, INPUT_BATCH, Input, Operator, Out,
    Output, Stepper, To,
};
pub use item::{CloneInto, Envelope, Ordered};
pub use load::{Load, LoadGauge};
pub use order::{Bound, Choice, Key, LaneView, MergeOrder, UnknownMergeOrder, choose};
pub use out_port::{OutPort, PENDING_LIMIT, PendingFull, RingLeft};
pub use partition::way_of;
pub use ports::Ports;
pub use report::{Dropped, JoinError, LowJitterReport, Report, StageReport, Undelivered, WorkerReport};
pub use ring_care::{RingCare, RingMemory};
pub use runtime::{GRACE, OutsideEnds, Running, StartError, start, start_with};
pub use stage::{Cycle, Leftovers, Stage};
pub use worker::{StageEnd, StageFailure, Worker};
