//! Measuring honestly: latencies from when something *should* have happened, beside what the machine itself did; and
//! where in the program a thread is ([`Place`]).
//!
//! - [`Latencies`]: a histogram per thread, which never allocates while it records; no percentile without ten samples
//!   above it. [`Timeline`]: the same over time. Both can be written so that other HdrHistogram tools read them
//!   ([`Latencies::to_hgrm`], [`IntervalLog`]).
//! - [`Schedule`]: when each event of an open loop is due. Latencies are taken from there, so a receiver that stands
//!   still is charged for everything that was due meanwhile (no *coordinated omission*).
//! - [`RingLoad`]: one ring under load. [`core_to_core`]: what the two CPUs themselves need for a hop.
//!   [`empty_loop`]: what the machine does to a loop in which nothing happens.
//! - [`Exposition`]: counts, gauges and quantiles as the text that Prometheus scrapes.

mod curve;
#[cfg(not(loom))]
mod empty_loop;
mod exposition;
#[cfg(not(loom))]
mod floor;
mod hgrm;
mod hlog;
mod latencies;
mod place;
#[cfg(not(loom))]
mod ring_load;
#[cfg(not(loom))]
mod rounds;
mod schedule;
mod shared;
mod timeline;

pub use curve::{Curve, CurvePoint, HgrmError};
#[cfg(not(loom))]
pub use empty_loop::{Hiccups, empty_loop};
pub use exposition::{Exposition, Family, Labels};
#[cfg(not(loom))]
pub use floor::{Floor, core_to_core};
pub use hlog::IntervalLog;
pub use latencies::{LONGEST_NS, Latencies, PERCENTILES};
pub use place::Place;
#[cfg(not(loom))]
pub use ring_load::{Load, RingLoad, RingLoadError, RingOutcome};
pub use schedule::Schedule;
pub use shared::{LatencyReader, LatencyWriter, shared_latencies};
pub use timeline::Timeline;
