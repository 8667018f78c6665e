//! What a run hands back, whatever was measured.

use varpin::metrics::{Latencies, Timeline};

/// One run at one rate.
#[derive(Debug)]
pub(super) struct Measured {
    /// Events sent in the measured time.
    pub(super) events: u64,
    /// What came out of them.
    pub(super) results: u64,
    /// How long sending them took.
    pub(super) seconds: f64,
    /// Events a second.
    pub(super) rate: f64,
    /// From where to where latencies count.
    pub(super) measures: &'static str,
    pub(super) timeline: Timeline,
    pub(super) late_sends: Option<Latencies>,
    /// Parts of the way, by name.
    pub(super) hops: Vec<(String, Latencies)>,
    /// Where the threads really ran.
    pub(super) threads: Vec<(String, Option<usize>)>,
    /// How receivers waited and why, where that was left to the engine.
    pub(super) idle: Option<(String, String)>,
    pub(super) warnings: Vec<String>,
}
