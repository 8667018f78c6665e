//! What an engine keeps so that it can be rolled back, and what it leaves to the one that is built in its place.

use serde::Serialize;

use crate::checkpoint::Store;
use crate::connect::Outcome;
use crate::supervise::{Board, Component, EventKind, Memory, Rollback};
use crate::sync::Arc;

use super::builder::Builder;
use super::metrics::MetricsReader;
use super::recovery::Restored;

/// What a rollback has come to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RolledBack {
    /// The context that failed.
    pub context: String,
    /// What it failed with.
    pub failure: String,
    /// The checkpoint that the engine has gone back to; none: the beginning.
    pub checkpoint: Option<u64>,
    /// Events that had come then: the next to feed is the one behind them.
    pub events: u64,
    /// Results that had been handed over then: those behind them come again.
    pub results: u64,
    /// Results that had been handed over until now, for [`Engine::resume_from`](super::Engine::resume_from).
    pub results_before: u64,
    /// For how many keys there is state again, by stream.
    pub keys: Vec<(String, u64)>,
    /// How many rollbacks that makes.
    pub rollbacks: u64,
}

/// What an engine keeps so that it can be rolled back.
#[derive(Debug)]
pub(super) struct Again {
    /// How it was built.
    pub(super) builder: Builder,
    pub(super) rollback: Arc<Rollback>,
    /// How long the files of its sinks were at the beginning; none where that was at a checkpoint.
    pub(super) origin: Option<Vec<u8>>,
}

impl Again {
    /// Of an engine that was built as `asked`; `built` is that with what there was while it was built.
    #[cfg_attr(not(feature = "faults"), expect(unused_variables, reason = "faults go on where they were"))]
    pub(super) fn new(
        asked: &Builder,
        built: &Builder,
        rollback: Arc<Rollback>,
        origin: Option<Vec<u8>>,
    ) -> Self {
        let builder = Builder {
            #[cfg(feature = "faults")]
            armed: built.armed.clone(),
            ..asked.clone()
        };
        Self { builder, rollback, origin }
    }
}

/// What is left to the next.
#[derive(Debug)]
pub(super) struct Legacy {
    pub(super) context: String,
    pub(super) failure: String,
    pub(super) store: Option<Store>,
    pub(super) memory: Memory,
    pub(super) board: Arc<Board>,
    pub(super) metrics: MetricsReader,
    pub(super) outcome: Outcome,
    pub(super) origin: Option<Vec<u8>>,
    pub(super) results: u64,
    pub(super) past: Past,
}

/// What was counted before, and is in no checkpoint.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Past {
    pub(super) dead_letters: u64,
    pub(super) dead_letters_dropped: u64,
    pub(super) log_lines_dropped: u64,
}

impl Legacy {
    /// Notes where the next life begins, and tells of it.
    pub(super) fn begin(&mut self, builder: &Builder, found: Option<&Restored>) -> RolledBack {
        let resumed = found.map(|found| found.resumed.clone()).unwrap_or_default();
        self.memory.begins_behind(resumed.seq);
        let rolled_back = RolledBack {
            context: self.context.clone(),
            failure: self.failure.clone(),
            checkpoint: found.map(|found| found.resumed.checkpoint),
            events: resumed.events,
            results: resumed.results,
            results_before: self.results,
            keys: found.map_or_else(Vec::new, |found| found.keys.clone().into_iter().collect()),
            rollbacks: self.memory.count_rollback(),
        };
        let RolledBack { checkpoint, events, rollbacks, .. } = rolled_back;
        let keys = rolled_back.keys.iter().map(|(_, keys)| keys).sum();
        let component = Component::Context(self.context.clone());
        builder.events.tell(component, EventKind::RolledBack { checkpoint, events, keys, rollbacks });
        rolled_back
    }
}
