//! What a run tells of itself over its socket, as `top` reads it: members that it doesn't know are passed over, and
//! those that are missing are nothing.
#![allow(clippy::struct_field_names, reason = "members are called as the JSON calls them")]

use serde::Deserialize;
use varpin::flow::Load;

/// The answer to `metrics`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Answer {
    pub(super) ok: bool,
    pub(super) error: Option<String>,
    pub(super) metrics: Told,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Told {
    pub(super) uptime_s: f64,
    pub(super) events: u64,
    pub(super) results: u64,
    pub(super) dead_letters: u64,
    pub(super) streams: Vec<Stream>,
    pub(super) workers: Vec<Worker>,
    pub(super) rings: Vec<Ring>,
    pub(super) latency_sample: u32,
    pub(super) latency: Option<Latency>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Stream {
    pub(super) stream: String,
    pub(super) context: String,
    pub(super) events: u64,
    pub(super) rows: u64,
    pub(super) late: u64,
    pub(super) keys: u64,
    pub(super) failed: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Worker {
    pub(super) worker: String,
    load: Spent,
}

#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(default)]
struct Spent {
    elapsed_ns: u64,
    slept_ns: u64,
    worked_ns: u64,
    waited_ns: u64,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Ring {
    pub(super) ring: String,
    pub(super) capacity: u64,
    pub(super) occupancy: u64,
    pub(super) high_water: u64,
    pub(super) pending: u64,
    pub(super) taken: u64,
    pub(super) hop: Option<Latency>,
}

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Latency {
    pub(super) samples: u64,
    pub(super) p50_ns: Option<u64>,
    pub(super) p99_ns: Option<u64>,
    pub(super) p999_ns: Option<u64>,
    pub(super) max_ns: Option<u64>,
}

impl Worker {
    pub(super) fn load(&self) -> Load {
        let Spent { elapsed_ns, slept_ns, worked_ns, waited_ns } = self.load;
        Load { elapsed_ns, slept_ns, worked_ns, waited_ns }
    }
}
