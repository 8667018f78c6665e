//! Typed dataflow on pinned threads: stages joined by rings. Knows no VPL.
//!
//! The pieces, from the inside out: an item that knows its place ([`Ordered`]); several rings read as one
//! ([`FanIn`], in a [`MergeOrder`]); the writing end of a ring with what is pending in front of it ([`OutPort`]);
//! something steppable between them ([`Stage`]); a thread that steps it ([`Worker`]); and a run of several
//! workers, which ends within a deadline and says how it went ([`start`], [`Running`], [`Report`]).
//!
//! In a supervised run ([`start_supervised`]) a stage that fails doesn't end it: what its worker holds ([`Holdings`])
//! goes to the supervisor ([`Ward`]), which has the stage made fit again and lets a new thread go on.
//!
//! Who doesn't want to put the pieces together describes a [`Graph`] of closures and starts it.

mod desk;
mod fan_in;
mod gauge;
mod graph;
mod holdings;
mod item;
mod load;
mod newest;
mod order;
mod out_port;
mod panics;
mod partition;
mod ports;
mod pulse;
mod recall;
mod report;
mod ring_care;
mod runtime;
mod stage;
mod verdict;
mod ward;
mod worker;

pub use fan_in::{Drained, FanIn, HeadMark, LaneOptions, RingEnd};
pub use gauge::{LaneGauge, PortGauge, RingGauge, ring_gauge};
pub use graph::{
    BATCH_LIMIT, CAPACITY, END_SEQ, Flow, Graph, GraphError, GraphProblem, INPUT_BATCH, Input, Operator, Out,
    Output, Stepper, To,
};
pub use holdings::{Holdings, Returned, WhyReturned};
pub use item::{CloneInto, Envelope, Ordered};
pub use load::{Load, LoadGauge};
pub use order::{Bound, Choice, Key, LaneView, MergeOrder, UnknownMergeOrder, choose};
pub use out_port::{OutPort, PENDING_LIMIT, PendingFull, RingLeft};
pub use panics::keep_supervised_panics_quiet;
pub use partition::way_of;
pub use ports::Ports;
pub use pulse::{Beat, Pulse};
pub use recall::Recall;
pub use report::{Dropped, JoinError, LowJitterReport, Report, StageReport, Undelivered, WorkerReport};
pub use ring_care::{RingCare, RingMemory};
pub use runtime::{
    GRACE, OutsideEnds, Running, StartError, WorkerWatch, start, start_supervised, start_with,
};
pub use stage::{Blamed, BlamedItem, Cycle, Leftovers, Restarting, Stage, StateLost};
pub use verdict::{Verdict, Verdicts};
pub use ward::{News, Ward};
pub use worker::{StageEnd, StageFailure, Worker};
