//! The stage in front of several inputs: merges and numbers what they bring.

use crate::context::Router;
use crate::event::Row;
use crate::flow::{Cycle, FanIn, Leftovers, Stage};

use super::checkpoints::MeetingPart;

/// Takes rows from several inputs and sends them on as one.
pub(super) struct InputStage {
    inputs: FanIn<Row>,
    router: Router,
    batch_limit: usize,
    checkpoints: Option<MeetingPart>,
}

impl InputStage {
    pub(super) fn new(
        inputs: FanIn<Row>,
        router: Router,
        batch_limit: usize,
        checkpoints: Option<MeetingPart>,
    ) -> Self {
        Self { inputs, router, batch_limit, checkpoints }
    }

    /// Every input has come to the barrier of a checkpoint: passes it on.
    #[cold]
    fn pass_checkpoint(&mut self, checkpoint: u64) {
        let Self { inputs, router, checkpoints, .. } = self;
        if let Some(part) = checkpoints {
            part.hand_over(checkpoint, router.events(), router.last_seq(), |out| router.entry().save(out));
        }
        inputs.pass_checkpoint();
        router.send_checkpoint(checkpoint);
    }
}

impl Stage for InputStage {
    fn name(&self) -> &'static str {
        "input"
    }

    fn duty_cycle(&mut self) -> Cycle {
        let Self { inputs, router, batch_limit, .. } = self;
        let mut taken = 0;
        let mut ended = false;
        if !router.is_blocked() {
            let drained = inputs.drain(*batch_limit, |_, row| {
                // A row that was handed over must be taken: what ticks before it pends with it.
                let mut row = row.clone();
                router.send_all_ticks(&mut row);
                router.send(&mut row);
                !router.is_blocked()
            });
            (taken, ended) = (drained.taken, drained.ended);
            if !ended {
                router.tick();
            }
        }
        if let Some(checkpoint) = self.inputs.checkpoint()
            && !self.router.is_blocked()
        {
            self.pass_checkpoint(checkpoint);
            taken += 1;
        }
        let router = &mut self.router;
        match router.flush() {
            Ok(_) if router.is_closed() => Cycle::Done,
            Ok(_) if ended && !router.is_blocked() => {
                if let Some(part) = &mut self.checkpoints {
                    part.ended();
                }
                Cycle::Done
            }
            Ok(published) => Cycle::of(taken + published),
            Err(full) => Cycle::Failed(full.to_string()),
        }
    }

    fn end_inputs(&mut self) {
        for lane in 0..self.inputs.lanes() {
            self.inputs.end_lane(lane);
        }
    }

    fn close(&mut self, leftovers: &mut Leftovers) {
        self.inputs.close("input", leftovers);
        self.router.close(|ring| leftovers.ring(ring));
    }
}
