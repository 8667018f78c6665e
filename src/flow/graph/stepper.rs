//! A graph without threads: whoever holds it steps it. For tests that need the same interleaving every time, for model
//! checkers, and for embedders who bring their own threads.

use std::fmt;

use super::super::report::{
    JoinError, LowJitterReport, Report, StageReport, WorkerReport, count_undelivered,
};
use super::super::runtime::OutsideEnds;
use super::super::stage::Leftovers;
use super::super::worker::{Slot, StageEnd};
use crate::cores::{PinOutcome, ThreadTuning};
use crate::idle::Idle;

/// The stages of a graph, in topological order, to be stepped by hand. A stage that panics takes the panic to whoever
/// steps it.
pub struct Stepper {
    slots: Vec<Slot>,
    leftovers: Leftovers,
    outside: OutsideEnds,
}

impl Stepper {
    pub(super) fn new(slots: Vec<Slot>, outside: OutsideEnds) -> Self {
        Self { slots, leftovers: Leftovers::new(), outside }
    }

    /// Steps every stage once. Returns how much was done; 0 means that nothing will happen before an input is pushed
    /// to or closed, or an output polled.
    pub fn step(&mut self) -> usize {
        (0..self.slots.len()).map(|stage| self.step_stage(stage)).sum()
    }

    /// Steps one stage once, by its number in topological order.
    ///
    /// # Panics
    ///
    /// When there is no such stage.
    pub fn step_stage(&mut self, stage: usize) -> usize {
        self.slots[stage].step(&mut self.leftovers)
    }

    /// How many stages there are.
    pub fn stages(&self) -> usize {
        self.slots.len()
    }

    /// True once every stage has ended.
    pub fn is_done(&self) -> bool {
        self.slots.iter().all(|slot| slot.end.is_some())
    }

    /// Ends the inputs after what has been pushed so far, even if the embedder still holds them.
    pub fn end_inputs(&mut self) {
        self.slots.iter_mut().for_each(Slot::end_inputs);
    }

    /// Gives up what isn't done yet and says how it went. `Ok` means that every stage was done.
    pub fn finish(mut self) -> Result<Report, JoinError> {
        for slot in &mut self.slots {
            slot.end(StageEnd::GivenUp, &mut self.leftovers);
        }
        let stage = |slot: Slot| StageReport { name: slot.name, end: slot.end.unwrap_or(StageEnd::GivenUp) };
        let worker = WorkerReport {
            thread: ThreadTuning::default(),
            name: "stepped by hand".to_owned(),
            pin: PinOutcome::NotAsked,
            idle: Idle::Spin,
            idle_reason: String::new(),
            stages: self.slots.into_iter().map(stage).collect(),
        };
        self.leftovers.append(self.outside.take());
        Report {
            workers: vec![worker],
            undelivered: count_undelivered(&self.leftovers),
            low_jitter: LowJitterReport::default(),
            dropped: self.leftovers.dropped(),
        }
        .into_result()
    }
}

impl fmt::Debug for Stepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<_> = self.slots.iter().map(|slot| (&slot.name, &slot.end)).collect();
        f.debug_struct("Stepper").field("stages", &stages).finish_non_exhaustive()
    }
}
