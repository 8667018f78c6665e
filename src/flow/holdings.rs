//! What a worker holds, as one value that goes from thread to thread: its stages with their ends of the rings, its way
//! of waiting, and what its ended stages have left behind.
//!
//! The rings' other ends don't notice a hand-over: items stay where they are, and whoever wakes the worker holds a
//! waker of the way of waiting, which goes along.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::load::LoadMeter;
use super::report::StageReport;
use super::stage::{Blamed, Leftovers, Restarting, StateLost};
use super::worker::{Slot, StageEnd, panic_message};
use crate::idle::IdleState;

/// The stages of a worker, and all that belongs to them.
pub struct Holdings {
    pub(super) slots: Vec<Slot>,
    pub(super) idle: IdleState,
    pub(super) meter: LoadMeter,
    pub(super) leftovers: Leftovers,
    /// Duty cycles done, on whatever thread.
    pub(super) cycles: u64,
}

/// A worker's holdings, handed over.
#[derive(Debug)]
pub struct Returned {
    /// What it held. No duty cycle is under way.
    pub holdings: Holdings,
    /// Why it was handed over.
    pub why: WhyReturned,
}

/// Why a worker handed over what it held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WhyReturned {
    /// A stage panicked or reported a failure in its duty cycle. It was neither closed nor dropped.
    Failed {
        /// The stage, by number.
        stage: usize,
        /// What it panicked with, or gave as the reason.
        message: String,
    },
    /// A stage is done, although more would come if it were started again. It was neither closed nor dropped.
    Ended {
        /// The stage, by number.
        stage: usize,
    },
    /// It was asked to.
    Recalled,
}

impl Holdings {
    /// Makes every stage that has not ended fit to be stepped again. `failed` is the number of the one that failed,
    /// and the reason. The error says why a stage cannot be started again; the holdings are as good as before.
    pub fn restart(
        &mut self,
        failed: Option<(usize, &str)>,
        max_attempts: u32,
    ) -> Result<Vec<StateLost>, String> {
        let mut lost = Vec::new();
        for (number, slot) in self.slots.iter_mut().enumerate() {
            let Some(stage) = slot.stage_mut() else { continue };
            let failed = failed.filter(|(stage, _)| *stage == number).map(|(_, message)| message);
            let restarting = Restarting { failed, max_attempts };
            // Unwind safe: a stage whose restart panics is given up.
            match catch_unwind(AssertUnwindSafe(|| stage.restart(&restarting))) {
                Ok(Ok(more)) => lost.extend(more),
                Ok(Err(reason)) => return Err(reason),
                Err(payload) => return Err(panic_message(payload.as_ref())),
            }
        }
        Ok(lost)
    }

    /// What the stage with this number, which failed, failed on. It is only good to be ended afterwards.
    pub fn blamed(&mut self, stage: usize) -> Option<Blamed> {
        let stage = self.slots.get_mut(stage)?.stage_mut()?;
        // Unwind safe: nothing else is done with the stage but to end it.
        catch_unwind(AssertUnwindSafe(|| stage.blamed())).ok().flatten()
    }

    /// Ends the stage with this number as failed.
    pub fn fail(&mut self, stage: usize, message: String) {
        if let Some(slot) = self.slots.get_mut(stage) {
            slot.fail(message, &mut self.leftovers);
        }
    }

    /// Ends the stage with this number as done.
    pub fn end(&mut self, stage: usize) {
        if let Some(slot) = self.slots.get_mut(stage) {
            slot.end(StageEnd::Done, &mut self.leftovers);
        }
    }

    /// Gives up every stage that has not ended.
    pub fn give_up(&mut self) {
        for slot in &mut self.slots {
            slot.end(StageEnd::GivenUp, &mut self.leftovers);
        }
    }

    /// Whether every stage has ended.
    pub fn are_over(&self) -> bool {
        self.slots.iter().all(|slot| slot.end.is_some())
    }

    /// The name of the stage with this number.
    pub fn stage_name(&self, stage: usize) -> &str {
        self.slots.get(stage).map_or("", |slot| &slot.name)
    }

    /// Where in the stage with this number its last duty cycle was, in words.
    pub fn place(&self, stage: usize) -> Option<String> {
        self.slots.get(stage).and_then(Slot::place)
    }

    /// How the stages have ended, and what they have left behind.
    pub(super) fn into_outcome(self) -> (Vec<StageReport>, Leftovers) {
        let report = |slot: Slot| StageReport { name: slot.name, end: slot.end.unwrap_or(StageEnd::GivenUp) };
        (self.slots.into_iter().map(report).collect(), self.leftovers)
    }
}

impl fmt::Debug for Holdings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<_> = self.slots.iter().map(|slot| (&slot.name, &slot.end)).collect();
        f.debug_struct("Holdings").field("stages", &stages).finish_non_exhaustive()
    }
}
