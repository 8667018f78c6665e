//! A worker: one pinned thread that steps one stage, or several that are fused, until all of them have ended.
//!
//! States of a stage on a worker:
//!
//! - *stepped*: its duty cycle runs in turn with those of the stages it is fused with.
//! - *ended*: it was done, failed, or was given up ([`StageEnd`]). On the way there it is closed, which reports what it
//!   leaves behind, and dropped, which closes its ends of the rings; so its neighbours learn of it and end, too.
//!
//! A panic is caught at the stage that raised it. Without supervision it makes the stage fail, and the worker's other
//! stages go on. With supervision the stage is neither closed nor dropped: the worker hands over all it holds, and its
//! thread ends (see [`Holdings`]).

use std::any::Any;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::desk::{Control, Phase};
use super::holdings::{Holdings, WhyReturned};
use super::panics;
use super::pulse::Pulse;
use super::recall::Recall;

use super::stage::{Cycle, Leftovers, Stage};
use crate::idle::{Idle, IdleState, Waker};

/// Why a stage isn't stepped any more.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StageEnd {
    /// Its inputs had ended and its output was gone, or nobody was left to take it.
    Done,
    /// It panicked or reported a failure.
    Failed(StageFailure),
    /// The run's deadline had passed before it was done.
    GivenUp,
    /// It was in the middle of a duty cycle long after the run's deadline. Its thread still runs; nothing can end it.
    Stuck,
}

/// A stage that couldn't go on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StageFailure {
    /// The stage.
    pub stage: String,
    /// What it panicked with or gave as the reason.
    pub message: String,
}

impl fmt::Display for StageFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "stage {} failed: {}", self.stage, self.message)
    }
}

impl std::error::Error for StageFailure {}

/// A stage and what became of it.
pub(super) struct Slot {
    pub(super) name: String,
    stage: Option<Box<dyn Stage>>,
    pub(super) end: Option<StageEnd>,
}

impl Slot {
    pub(super) fn new(stage: Box<dyn Stage>) -> Self {
        Self { name: stage.name().to_owned(), stage: Some(stage), end: None }
    }

    /// Steps the stage if it hasn't ended, and ends it if it is done or has failed. Panics pass through.
    #[inline]
    pub(super) fn step(&mut self, leftovers: &mut Leftovers) -> usize {
        let Some(stage) = &mut self.stage else { return 0 };
        match stage.duty_cycle() {
            Cycle::Worked(work) => work,
            Cycle::Idle => 0,
            Cycle::Done => {
                self.end(StageEnd::Done, leftovers);
                1
            }
            Cycle::Failed(message) => {
                self.fail(message, leftovers);
                1
            }
        }
    }

    /// The same; a panic makes the stage fail.
    #[inline]
    fn step_guarded(&mut self, leftovers: &mut Leftovers) -> usize {
        // Unwind safe: after a panic the stage is closed and dropped, and never stepped again.
        match catch_unwind(AssertUnwindSafe(|| self.step(leftovers))) {
            Ok(work) => work,
            Err(payload) => {
                self.fail(panic_message(payload.as_ref()), leftovers);
                1
            }
        }
    }

    /// Steps the stage if it hasn't ended. What makes it fail is handed back, and it is left as it is then.
    #[inline]
    fn step_supervised(&mut self, number: usize, leftovers: &mut Leftovers) -> Result<usize, WhyReturned> {
        let Some(stage) = &mut self.stage else { return Ok(0) };
        // Unwind safe: after a panic the stage is restarted, which replaces all that can be half-changed, or closed.
        match catch_unwind(AssertUnwindSafe(|| stage.duty_cycle())) {
            Ok(Cycle::Worked(work)) => Ok(work),
            Ok(Cycle::Idle) => Ok(0),
            Ok(Cycle::Done) if stage.could_go_on() => Err(WhyReturned::Ended { stage: number }),
            Ok(Cycle::Done) => {
                self.end(StageEnd::Done, leftovers);
                Ok(1)
            }
            Ok(Cycle::Failed(message)) => Err(WhyReturned::Failed { stage: number, message }),
            Err(payload) => {
                Err(WhyReturned::Failed { stage: number, message: panic_message(payload.as_ref()) })
            }
        }
    }

    /// The stage, if it has not ended.
    pub(super) fn stage_mut(&mut self) -> Option<&mut Box<dyn Stage>> {
        self.stage.as_mut()
    }

    pub(super) fn place(&self) -> Option<String> {
        self.stage.as_ref().and_then(|stage| stage.place())
    }

    pub(super) fn fail(&mut self, message: String, leftovers: &mut Leftovers) {
        let failure = StageFailure { stage: self.name.clone(), message };
        self.end(StageEnd::Failed(failure), leftovers);
    }

    /// Closes and drops the stage, unless it has ended before.
    pub(super) fn end(&mut self, end: StageEnd, leftovers: &mut Leftovers) {
        let Some(mut stage) = self.stage.take() else { return };
        self.end = Some(end);
        // Unwind safe: nothing of the stage is used afterwards. A second panic, on the way out, adds nothing to the
        // first; a first one here must not keep the other stages from ending.
        let closed = catch_unwind(AssertUnwindSafe(|| stage.close(leftovers)));
        let dropped = catch_unwind(AssertUnwindSafe(|| drop(stage)));
        if let (Err(payload), Some(StageEnd::Done | StageEnd::GivenUp)) = (closed.and(dropped), &self.end) {
            let message = format!("while closing: {}", panic_message(payload.as_ref()));
            self.end = Some(StageEnd::Failed(StageFailure { stage: self.name.clone(), message }));
        }
    }

    pub(super) fn end_inputs(&mut self) {
        if let Some(stage) = &mut self.stage {
            stage.end_inputs();
        }
    }

    fn has_failed(&self) -> bool {
        matches!(self.end, Some(StageEnd::Failed(_)))
    }
}

/// What a panic said, and where it was raised, if somebody has noted that.
pub(super) fn panic_message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    let text = text.unwrap_or("panicked with something that is no text");
    panics::take_place().map_or_else(|| text.to_owned(), |place| format!("{text} (at {place})"))
}

/// A thread to be: its stages, where it runs, how it waits.
///
/// ```
/// use varpin::{flow::Worker, idle::Idle};
/// let worker = Worker::new("ingest", Idle::Park).on_cpu(Some(0));
/// assert!(worker.waker().is_some()); // for the other ends of its stages' rings
/// assert!(Worker::new("alert", Idle::Spin).waker().is_none());
/// ```
pub struct Worker {
    pub(super) name: String,
    pub(super) group: Option<usize>,
    pub(super) cpu: Option<usize>,
    pub(super) idle: IdleState,
    pub(super) idle_reason: String,
    pub(super) slots: Vec<Slot>,
}

impl Worker {
    /// A worker without stages. `name` is that of its stage, or of what its stages are together. [`Idle::Auto`] counts
    /// as [`Idle::Backoff`] here: resolve it first, over all workers ([`choose_auto`](crate::idle::choose_auto)).
    pub fn new(name: impl Into<String>, idle: Idle) -> Self {
        Self {
            name: name.into(),
            group: None,
            cpu: None,
            idle: IdleState::new(idle),
            idle_reason: String::new(),
            slots: Vec::new(),
        }
    }

    /// Pins the worker to this CPU.
    #[must_use]
    pub fn on_cpu(mut self, cpu: Option<usize>) -> Self {
        self.cpu = cpu;
        self
    }

    /// Says to whom the worker belongs, for its supervisor: by default to nobody.
    #[must_use]
    pub fn in_group(mut self, group: usize) -> Self {
        self.group = Some(group);
        self
    }

    /// Says why the worker waits as it does, for the report.
    #[must_use]
    pub fn because(mut self, idle_reason: impl Into<String>) -> Self {
        self.idle_reason = idle_reason.into();
        self
    }

    /// What the other ends of its stages' rings need to wake it
    /// ([`Sender::set_waker`](crate::ring::Sender::set_waker)); `None` if it never sleeps until woken.
    pub fn waker(&self) -> Option<Waker> {
        self.idle.waker()
    }

    /// To whom the worker belongs.
    pub fn group(&self) -> Option<usize> {
        self.group
    }

    /// Adds a stage. Stages are stepped in the order in which they were added; in the direction of flow is best.
    pub fn add(&mut self, stage: impl Stage + 'static) {
        self.add_boxed(Box::new(stage));
    }

    /// Adds a stage.
    pub fn add_boxed(&mut self, stage: Box<dyn Stage>) {
        self.slots.push(Slot::new(stage));
    }

    /// The worker's name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl fmt::Debug for Worker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stages: Vec<_> = self.slots.iter().map(|slot| &slot.name).collect();
        f.debug_struct("Worker")
            .field("name", &self.name)
            .field("cpu", &self.cpu)
            .field("stages", &stages)
            .finish_non_exhaustive()
    }
}

/// How a worker's thread has ended.
#[derive(Debug)]
pub(super) enum Exit {
    /// All its stages have.
    Over,
    /// It has to hand over what it holds.
    HandOver(WhyReturned),
}

/// Steps the stages until all have ended, the run is given up, or, where there is somebody to `recall` the worker,
/// what it holds is to be handed over. Runs on the worker's thread.
pub(super) fn work(
    holdings: &mut Holdings,
    control: &Control,
    pulse: &Pulse,
    recall: Option<&Recall>,
) -> Exit {
    let Holdings { slots, idle, meter, leftovers, cycles } = holdings;
    let mut inputs_ended = false;
    loop {
        let begun_ns = meter.begin();
        match control.phase() {
            Phase::Running => {}
            Phase::Ending if inputs_ended => {}
            Phase::Ending => {
                inputs_ended = true;
                slots.iter_mut().for_each(Slot::end_inputs);
            }
            Phase::GivenUp => break,
        }
        if recall.is_some_and(Recall::is_asked) {
            return Exit::HandOver(WhyReturned::Recalled);
        }
        let mut work = 0;
        let mut going = false;
        for (number, slot) in slots.iter_mut().enumerate() {
            if slot.end.is_some() {
                continue;
            }
            pulse.step(*cycles, number);
            if recall.is_some() {
                match slot.step_supervised(number, leftovers) {
                    Ok(done) => work += done,
                    Err(why) => {
                        *cycles += 1;
                        pulse.rest(*cycles);
                        return Exit::HandOver(why);
                    }
                }
            } else {
                work += slot.step_guarded(leftovers);
                if slot.has_failed() {
                    control.end_inputs();
                }
            }
            going |= slot.end.is_none();
        }
        *cycles += 1;
        pulse.rest(*cycles);
        if !going {
            return Exit::Over;
        }
        meter.idle(begun_ns, idle, work);
    }
    holdings.give_up();
    Exit::Over
}
