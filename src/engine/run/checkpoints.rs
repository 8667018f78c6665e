//! An engine and its checkpoints.

use super::super::checkpoints::{CheckpointNews, Resumed};
use super::super::recovery::{Recovery, Restored};
use super::{Engine, Mode};

impl Engine {
    /// Keeps the thread that writes checkpoints, and what the engine has gone on from.
    pub(in super::super) fn recovered(mut self, recovery: Option<Recovery>) -> Self {
        if let Some(Recovery { writer, found, settings: _ }) = recovery {
            self.resumed = found.map(|Restored { resumed, .. }| Box::new(resumed));
            self.writer = Some(writer);
        }
        self
    }

    /// Whether it keeps checkpoints.
    pub fn keeps_checkpoints(&self) -> bool {
        self.writer.is_some()
    }

    /// The checkpoint that it has gone on from; none where it began anew, or keeps none.
    pub fn resumed(&self) -> Option<&Resumed> {
        self.resumed.as_deref()
    }

    /// Whether a checkpoint is due and can begin. Where the embedder says when
    /// ([`Checkpoints::by_hand`](super::super::Checkpoints::by_hand)) this is to be asked after each event.
    #[inline]
    pub fn checkpoint_due(&mut self) -> bool {
        if self.writer.is_none() {
            return false;
        }
        match &mut self.mode {
            Mode::Inline(inline) => inline.checkpoint_due(),
            Mode::Threads(threads) if !threads.closing => {
                threads.inputs.first_mut().is_some_and(super::Input::checkpoint_due)
            }
            Mode::Stepped(stepper) if !stepper.closing => {
                stepper.input.as_mut().is_some_and(super::Input::checkpoint_due)
            }
            Mode::Threads(_) | Mode::Stepped(_) | Mode::Over => false,
        }
    }

    /// Begins a checkpoint behind everything that was fed. `position` is the embedder's word for where the input is;
    /// whoever goes on from the checkpoint finds it in [`Resumed::input`]. False if none could begin.
    pub fn checkpoint(&mut self, position: &[u8]) -> bool {
        match &mut self.mode {
            Mode::Inline(inline) => inline.checkpoint(position),
            Mode::Threads(threads) if !threads.closing => {
                threads.inputs.first_mut().is_some_and(|input| input.checkpoint(position))
            }
            Mode::Stepped(stepper) if !stepper.closing => {
                stepper.input.as_mut().is_some_and(|input| input.checkpoint(position))
            }
            Mode::Threads(_) | Mode::Stepped(_) | Mode::Over => false,
        }
    }

    /// Whether all results in front of a checkpoint have been handed over, and those behind it wait for
    /// [`cut`](Self::cut). Only where the embedder cuts by hand.
    #[inline]
    pub fn at_checkpoint(&mut self) -> bool {
        if self.writer.is_none() {
            return false;
        }
        match &mut self.mode {
            Mode::Inline(inline) => inline.at_checkpoint(),
            mode => mode.output().is_some_and(super::Output::at_checkpoint),
        }
    }

    /// At a checkpoint: says where the sink is, for [`Resumed::output`], and lets results go on. What the sink was
    /// given must be safe by now.
    pub fn cut(&mut self, position: &[u8]) {
        match &mut self.mode {
            Mode::Inline(inline) => inline.cut(position, Vec::new()),
            mode => {
                if let Some(output) = mode.output() {
                    output.cut(position);
                }
            }
        }
    }

    /// The same where what the sink was given is not safe yet: `sync` makes it so, on the thread that writes
    /// checkpoints, before this one is written. If it fails the checkpoint does.
    pub fn cut_after(
        &mut self,
        position: &[u8],
        sync: impl FnOnce() -> std::io::Result<()> + Send + 'static,
    ) {
        match &mut self.mode {
            Mode::Inline(inline) => inline.cut(position, vec![Box::new(sync)]),
            mode => {
                if let Some(output) = mode.output() {
                    output.cut_after(position, sync);
                }
            }
        }
    }

    /// After a restart: the sink has the first `results` results of all runs together (as many as it has counted), so
    /// those of them that come again are not handed over. Results have stable numbers only where the same events give
    /// the same results in the same order, or none is handed over before its checkpoint is complete: false, and nothing
    /// is passed over, unless the program runs on one thread, rows are merged in `deterministic` order, or results wait
    /// for their checkpoint.
    pub fn resume_from(&mut self, results: u64) -> bool {
        match &mut self.mode {
            Mode::Inline(inline) => {
                inline.resume_from(results);
                true
            }
            mode => mode.output().is_some_and(|output| output.resume_from(results)),
        }
    }

    /// The run is to be gone on with: at its end, results that still wait for a checkpoint
    /// ([`Checkpoints::commit_on_checkpoint`](super::super::Checkpoints::commit_on_checkpoint)) are not handed over;
    /// [`Stats::uncommitted`](super::super::Stats) says how many. Without this only those of a run that failed are not.
    pub fn withhold_uncommitted(&mut self) {
        match &mut self.mode {
            Mode::Inline(inline) => inline.withhold(),
            mode => {
                if let Some(output) = mode.output() {
                    output.withhold();
                }
            }
        }
    }

    /// What has become of checkpoints since the last call.
    pub fn take_checkpoint_news(&self) -> Vec<CheckpointNews> {
        self.writer.as_ref().map_or_else(Vec::new, |writer| writer.hub.take_news())
    }

    /// The run ends: a checkpoint that is under way is not completed any more.
    pub(super) fn close_checkpoints(&mut self) {
        if let Some(output) = self.mode.output() {
            output.close_checkpoints();
        }
    }
}
