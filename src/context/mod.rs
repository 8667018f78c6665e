//! Contexts: a plan becomes stages and rings. The one place where `vpl` and `flow` meet.
//!
//! [`topology()`] splits the plan into stages; [`Streams`] runs the streams of one stage, round by round;
//! [`ContextStage`] puts them behind rings; [`Router`] is the other end: it numbers what comes in and sends it
//! to the stages that take it.

mod condemned;
mod dirty;
mod edges;
mod elastic;
mod entry;
#[cfg(feature = "faults")]
mod faults;
mod gate;
mod gauges;
mod holdback;
mod lanes;
mod live;
mod merging;
mod one_per_seq;
mod order_dependence;
mod pool;
mod restart;
mod router;
mod saving;
mod skew;
mod snapshot;
mod stage;
mod streams;
mod ticker;
mod topology;

pub use condemned::Condemned;
pub use elastic::{Count, Flag, Mail, StageCommand};
pub use entry::Entry;
#[cfg(feature = "faults")]
pub use faults::{ArmedFault, Fault, FaultKind, SharedFault};
pub use gate::{Admission, GateKeeper, Standing};
pub use gauges::StreamGauges;
pub use live::LiveClock;
pub use merging::{Merging, mergings};
pub use order_dependence::{OrderDependence, order_dependence};
pub use pool::{Tags, tags_by_rank};
pub use router::Router;
pub use saving::{SLICE_BYTES, Saver, SnapshotSink};
pub use skew::PoolSkew;
pub use snapshot::Saved;
pub use stage::{ContextStage, FailureSink, Rebuild, StageParts};
pub use streams::{Failure, Outlet, Streams};
pub use ticker::Ticker;
pub use topology::{EdgeSpec, From, StageSpec, Topology, WorkerSpec, too_large, topology};

use crate::event::{Row, Signal};
use crate::flow::{CloneInto, Ordered};

/// The sequence number of what streams emit at the end of the input: behind every event's, before the end itself.
pub const FLUSH_SEQ: u64 = u64::MAX - 1;

impl Ordered for Row {
    #[inline]
    fn seq(&self) -> u64 {
        Row::seq(self)
    }

    #[inline]
    fn rank(&self) -> u16 {
        Row::rank(self)
    }

    #[inline]
    fn time_ns(&self) -> i64 {
        Row::time_ns(self)
    }

    #[inline]
    fn is_progress(&self) -> bool {
        self.signal() == Signal::Progress
    }

    #[inline]
    fn is_barrier(&self) -> bool {
        self.signal() == Signal::Resize
    }

    #[inline]
    fn checkpoint(&self) -> Option<u64> {
        (self.signal() == Signal::Checkpoint).then(|| self.time_ns() as u64)
    }

    #[inline]
    fn progress(seq: u64) -> Self {
        Row::progress(seq)
    }

    #[inline]
    fn is_item(&self) -> bool {
        self.signal() == Signal::Event
    }
}

impl CloneInto for Row {
    #[inline]
    fn clone_into<'a>(&self, place: &'a mut std::mem::MaybeUninit<Self>) -> &'a mut Self {
        Row::clone_into(self, place)
    }
}
