//! The thread that writes checkpoints, and what its helpers are told by.
//!
//! Shares come over a ring from each who takes part, in no order: stages go on behind the barrier while they write
//! theirs. So a checkpoint is complete when a share of each is there, and never if somebody is gone before he has sent
//! his: then the run has failed or was stopped, and says so itself.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::checkpoint::{Checkpoint, Fingerprint, Section, Store, StoreError};
use crate::flow::{Verdict, Verdicts};
use crate::idle::{Parker, Waker};
use crate::ring::{self, PopError, Receiver, Sender};
use crate::sync::{Arc, AtomicBool, AtomicU64, JoinHandle, Mutex, MutexGuard, Ordering, spawn_named};

use super::checkpoints::{CheckpointNews, Line, OUTPUT};
use super::elastic::Resizing;

/// Shares (and buffers) of one that takes part. One checkpoint is under way at a time.
const SLOTS: usize = 2;
/// The longest sleep of the writer; it is woken when a share comes.
const SLEEP: Duration = Duration::from_millis(100);
/// How long the writer waits at the end for shares of stages that are still there.
const LAST_WAIT: Duration = Duration::from_secs(10);
/// News that nobody has taken; of more, the oldest go.
const NEWS_KEPT: usize = 64;

/// What one that takes part has to say in a checkpoint.
#[derive(Default)]
pub(super) struct Share {
    pub(super) checkpoint: u64,
    pub(super) section: Section,
    /// Of the input: what it has seen.
    pub(super) events: u64,
    pub(super) seq: u64,
    /// What has to be done before the checkpoint may be written: what it speaks of must be on disk.
    pub(super) before: Vec<Before>,
}

/// Something that may take its time, so it is left to the writer's thread.
pub(super) type Before = Box<dyn FnOnce() -> std::io::Result<()> + Send>;

/// The writer's end of a line.
struct Back {
    shares: Receiver<Share>,
    used: Sender<Vec<Vec<u8>>>,
    /// Whoever takes part is gone: nothing more comes.
    is_closed: bool,
    /// The section, if it is that of a stage.
    stage: Option<String>,
}

/// What those who take part and the writer have in common.
pub(super) struct Hub {
    state: Mutex<State>,
    /// The last checkpoint that has begun: what several inputs join.
    begun: AtomicU64,
    /// What has become of those that have begun: whether they were written.
    verdicts: Verdicts,
    /// Somebody asks for a checkpoint before one is due.
    is_asked: AtomicBool,
    /// The writer is to end when it has nothing more to write.
    stops: AtomicBool,
    waker: Waker,
}

#[derive(Default)]
struct State {
    /// How many have begun since the engine was built; each is numbered by that.
    begun: u64,
    /// One has begun and is neither written nor given up.
    is_under_way: bool,
    /// No further one is begun, and none is written.
    is_over: bool,
    /// Lines that the writer has not taken yet.
    joining: Vec<Back>,
    /// The sections that a checkpoint has to have beside those of inputs and the output.
    stages: Vec<String>,
    /// The inputs, each with its last section if it is closed.
    inputs: Vec<(String, Option<Section>)>,
    /// Those of them that have come to their end as they should.
    ended: Vec<String>,
    resizes: Vec<Resizing>,
    news: Vec<CheckpointNews>,
}

impl State {
    fn can_begin(&mut self) -> bool {
        self.resizes.retain(|resizing| !resizing.is_done());
        !self.is_under_way && !self.is_over && self.resizes.is_empty()
    }
}

impl std::fmt::Debug for Hub {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Hub")
    }
}

impl Hub {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// A line to the writer; of a stage with the section called `stage`.
    pub(super) fn line(&self, stage: Option<String>) -> Line {
        let (mut shares, taken) = ring::bounded(SLOTS);
        let (used, back) = ring::bounded(SLOTS);
        shares.set_waker(Some(self.waker.clone()));
        let mut state = self.state();
        state.joining.push(Back { shares: taken, used, is_closed: false, stage: stage.clone() });
        state.stages.extend(stage);
        Line::new(shares, back)
    }

    /// Whether one could begin.
    pub(super) fn can_begin(&self) -> bool {
        self.state().can_begin()
    }

    /// Begins one, if none is under way and no pool is being resized.
    pub(super) fn begin(&self) -> Option<u64> {
        let mut state = self.state();
        if !state.can_begin() {
            return None;
        }
        state.is_under_way = true;
        state.begun += 1;
        // Relaxed: nothing is read behind it; a question that is seen late leads to one more checkpoint.
        self.is_asked.store(false, Ordering::Relaxed);
        // Release: pairs with the Acquire in `last_begun`.
        self.begun.store(state.begun, Ordering::Release);
        Some(state.begun)
    }

    /// The last that has begun.
    pub(super) fn last_begun(&self) -> u64 {
        // Acquire: pairs with the Release in `begin`; nothing else is read behind it, but who joins has seen it begin.
        self.begun.load(Ordering::Acquire)
    }

    /// An input with this section takes part.
    pub(super) fn add_input(&self, section: &str) {
        self.state().inputs.push((section.to_owned(), None));
    }

    /// An input is closed, and will always be where it is now.
    pub(super) fn close_input(&self, section: Section) {
        let mut state = self.state();
        if let Some((_, closed)) = state.inputs.iter_mut().find(|(name, _)| *name == section.name) {
            *closed = Some(section);
        }
    }

    /// Asks for a checkpoint before one is due.
    pub(super) fn ask(&self) {
        // Relaxed: as in `begin`.
        self.is_asked.store(true, Ordering::Relaxed);
    }

    /// Whether somebody does.
    pub(super) fn is_asked(&self) -> bool {
        // Relaxed: as in `begin`.
        self.is_asked.load(Ordering::Relaxed)
    }

    /// Whether a checkpoint that has begun is on disk.
    #[inline]
    pub(super) fn verdict(&self, checkpoint: u64) -> Verdict {
        self.verdicts.of(checkpoint)
    }

    /// A checkpoint is under way no more; another one can begin.
    fn settled(&self, checkpoint: u64, is_written: bool) {
        self.verdicts.decide(checkpoint, is_written);
        self.state().is_under_way = false;
    }

    /// The stage behind this section has come to its end as it should.
    pub(super) fn ended(&self, section: &str) {
        let mut state = self.state();
        if state.ended.iter().all(|ended| ended != section) {
            state.ended.push(section.to_owned());
        }
    }

    /// Whether all stages have.
    pub(super) fn has_ended_well(&self) -> bool {
        let state = self.state();
        state.stages.iter().all(|stage| state.ended.contains(stage))
    }

    /// Whether a pool can be resized now; if so, `resize` does it while no checkpoint can begin. A barrier has to find
    /// the stages that were there when it was sent.
    pub(super) fn resize<T, E>(
        &self,
        busy: impl FnOnce() -> E,
        resize: impl FnOnce() -> Result<(Resizing, T), E>,
    ) -> Result<T, E> {
        {
            let mut state = self.state();
            if state.is_under_way {
                return Err(busy());
            }
            state.is_under_way = true;
        }
        let resized = resize();
        let mut state = self.state();
        state.is_under_way = false;
        let (resizing, made) = resized?;
        state.resizes.push(resizing);
        Ok(made)
    }

    /// The worker behind this section leaves.
    pub(super) fn leaves(&self, section: &str) {
        self.state().stages.retain(|stage| stage != section);
    }

    /// No further checkpoint, and the one under way is given up: something has ended out of turn.
    pub(super) fn give_up(&self) {
        self.state().is_over = true;
    }

    /// Whether whoever runs the engine waits for the writer to end.
    pub(super) fn is_stopping(&self) -> bool {
        // Relaxed: nothing is read behind it.
        self.stops.load(Ordering::Relaxed)
    }

    /// What has become of checkpoints since the last call.
    pub(super) fn take_news(&self) -> Vec<CheckpointNews> {
        std::mem::take(&mut self.state().news)
    }

    fn tell(&self, news: CheckpointNews) {
        let mut state = self.state();
        if state.news.len() >= NEWS_KEPT {
            state.news.remove(0);
        }
        state.news.push(news);
    }
}

/// The running thread. Ended when it is dropped, after what is complete has been written.
pub(super) struct Writer {
    pub(super) hub: Arc<Hub>,
    thread: Option<JoinHandle<Store>>,
}

impl std::fmt::Debug for Writer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Writer")
    }
}

impl Writer {
    /// Starts it. Every checkpoint carries `fingerprints`.
    pub(super) fn start(
        fingerprints: Vec<Fingerprint>,
        store: impl FnOnce(Arc<Hub>) -> Store,
    ) -> std::io::Result<Self> {
        let parker = Parker::new();
        let hub = Arc::new(Hub {
            state: Mutex::new(State::default()),
            begun: AtomicU64::new(0),
            verdicts: Verdicts::default(),
            is_asked: AtomicBool::new(false),
            stops: AtomicBool::new(false),
            waker: parker.waker(),
        });
        let (store, own) = (store(Arc::clone(&hub)), Arc::clone(&hub));
        let mut work = Work { store, fingerprints, hub: own, lines: Vec::new(), shares: Vec::new() };
        let thread = spawn_named("checkpoints", move || {
            work.run(parker);
            work.store
        })?;
        Ok(Self { hub, thread: Some(thread) })
    }
}

impl Writer {
    /// Ends it, and gives the directory back; none if its thread has panicked.
    pub(super) fn end(mut self) -> Option<Store> {
        self.join()
    }

    fn join(&mut self) -> Option<Store> {
        // Release: pairs with the Acquire in `run`; what was handed over before is seen there.
        self.hub.stops.store(true, Ordering::Release);
        self.hub.waker.wake();
        // A panic there has nothing to tell that the checkpoints' absence does not.
        self.thread.take()?.join().ok()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.join();
    }
}

/// What the thread has.
struct Work {
    store: Store,
    fingerprints: Vec<Fingerprint>,
    hub: Arc<Hub>,
    lines: Vec<Back>,
    /// Those of the checkpoint under way, each with the line that it came over.
    shares: Vec<(usize, Share)>,
}

impl Work {
    fn run(&mut self, mut parker: Parker) {
        // Whoever has rows to see to goes first.
        crate::cores::step_back();
        let mut stopped = None;
        loop {
            // Acquire: pairs with the Release in `Writer::drop`.
            let stops = self.hub.stops.load(Ordering::Acquire);
            if self.step() {
                continue;
            }
            if stops {
                let since = *stopped.get_or_insert_with(Instant::now);
                if !self.is_nearly_complete() || since.elapsed() > LAST_WAIT {
                    return;
                }
            }
            parker.announce();
            if self.step() {
                parker.cancel();
            } else {
                parker.park(SLEEP);
            }
        }
    }

    /// Takes what has come, and writes what is complete. False if there was nothing.
    fn step(&mut self) -> bool {
        if !self.take() {
            return false;
        }
        let (under_way, needed) = self.needed();
        // Those of one that was given up are of no use.
        self.shares.retain(|(_, share)| Some(share.checkpoint) == under_way);
        if let Some(number) = under_way.filter(|_| needed.iter().all(|section| self.has(section))) {
            // An input may have sent its share and closed since: what it sent before the output had its barrier is
            // there by now, and counts.
            self.take();
            self.write(number);
        }
        true
    }

    /// The checkpoint under way, and the sections of which it has to have a share each. An input that is closed has
    /// said where it is for good.
    fn needed(&self) -> (Option<u64>, Vec<String>) {
        let state = self.hub.state();
        let inputs = state.inputs.iter().filter(|(_, closed)| closed.is_none()).map(|(name, _)| name);
        let needed = state.stages.iter().chain(inputs).cloned().chain([OUTPUT.to_owned()]).collect();
        (state.is_under_way.then_some(state.begun), needed)
    }

    fn has(&self, section: &str) -> bool {
        self.shares.iter().any(|(_, share)| share.section.name == section)
    }

    /// Whether all that is missing of the checkpoint under way are shares that stages are still writing, behind its
    /// barrier.
    fn is_nearly_complete(&self) -> bool {
        let is_there = |section: &String| {
            let is_of = |line: &&Back| line.stage.as_ref() == Some(section);
            self.has(section) || self.lines.iter().find(is_of).is_some_and(|line| !line.is_closed)
        };
        !self.hub.state().is_over && self.needed().1.iter().all(is_there)
    }

    fn take(&mut self) -> bool {
        self.lines.append(&mut self.hub.state().joining);
        let before = self.shares.len();
        for (at, line) in self.lines.iter_mut().enumerate() {
            loop {
                match line.shares.pop() {
                    Ok(share) => self.shares.push((at, share)),
                    Err(end) => {
                        line.is_closed = end == PopError::Closed;
                        break;
                    }
                }
            }
        }
        self.shares.len() > before
    }

    /// Writes the checkpoint with this number, whose shares are there; another one can begin then.
    fn write(&mut self, number: u64) {
        let (is_over, inputs) = {
            let state = self.hub.state();
            (state.is_over, state.inputs.clone())
        };
        let mut checkpoint = Checkpoint {
            created_ns: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_nanos() as i64),
            fingerprints: self.fingerprints.clone(),
            ..Checkpoint::default()
        };
        let (mut from, mut before) = (Vec::new(), Vec::new());
        for (line, share) in self.shares.drain(..) {
            checkpoint.events = checkpoint.events.max(share.events);
            checkpoint.seq = checkpoint.seq.max(share.seq);
            checkpoint.sections.push(share.section);
            before.extend(share.before);
            from.push(line);
        }
        for (name, closed) in inputs {
            // It may have closed before it heard of this one.
            if let (None, Some(closed)) = (checkpoint.section(&name), closed) {
                checkpoint.sections.push(closed);
            }
        }
        let mut is_written = false;
        // Where a stage has failed or was stopped the run ends, and says so itself.
        if !is_over {
            let started = Instant::now();
            let is_safe = before.into_iter().try_for_each(|before| before());
            let directory = self.store.directory().display().to_string();
            let is_safe = is_safe.map_err(|error| StoreError::Write { path: directory, error });
            let news = match is_safe.and_then(|()| self.store.write(&mut checkpoint)) {
                Ok(bytes) => CheckpointNews::Written {
                    checkpoint: checkpoint.id,
                    bytes,
                    took_ns: started.elapsed().as_nanos() as u64,
                },
                Err(error) => CheckpointNews::Failed { message: error.to_string() },
            };
            is_written = matches!(news, CheckpointNews::Written { .. });
            self.hub.tell(news);
        }
        for (section, line) in checkpoint.sections.into_iter().zip(from) {
            let Section { bytes, mut further, .. } = section;
            further.push(bytes);
            // Whoever is gone needs no chunks.
            let _ = self.lines[line].used.push(further);
        }
        self.hub.settled(number, is_written);
    }
}
