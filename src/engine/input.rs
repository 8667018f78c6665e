//! The embedder's end of a threaded engine that events are pushed into, from its own threads.
#![allow(clippy::result_large_err, reason = "an event that is not taken is given back, not boxed")]

use std::fmt;

use crate::connect::{Outcome, Sources};
use crate::context::Router;
use crate::event::{Keeps, Row, Snapshot, SnapshotError, SnapshotReader};
use crate::flow::{OutPort, OutsideEnds, PendingFull};
use crate::idle::{Idle, IdleState};
use crate::supervise::Rollback;
use crate::sync::Arc;

use super::checkpoints::InputPart;
use super::error::BuildError;
use super::event::Event;
use super::metrics::EndCounts;
use super::recovery::{Recovery, Restored};
use super::sampling::Sampler;
use super::stats::TakenCounts;

/// Where events enter: one for each feeding thread.
///
/// Dropping it closes it. The engine ends when all its inputs are closed.
pub struct Input {
    end: End,
    outside: OutsideEnds,
    idle: IdleState,
    publish_every: usize,
    unpublished: usize,
    abandoned: bool,
    taken: Option<Arc<TakenCounts>>,
    /// Files that come in beside what is pushed.
    sources: Option<Box<Sources>>,
    /// What has become of them.
    connectors: Outcome,
    watch: InputWatch,
    checkpoints: Option<Box<InputPart>>,
    resumed_at: Option<Vec<u8>>,
    /// Where the engine may have to be rolled back.
    rollback: Option<Arc<Rollback>>,
}

/// What is told of an input while it is used.
pub(super) struct InputWatch {
    /// Which of the inputs it is.
    pub(super) number: usize,
    pub(super) counts: Arc<EndCounts>,
    /// Where latencies are sampled.
    pub(super) sampler: Option<Box<Sampler>>,
}

/// What stands behind an input.
pub(super) enum End {
    /// The only input numbers and sends by itself: no hop between it and the contexts.
    Router(Router),
    /// One of several: they meet in a stage that does.
    Ring { port: OutPort<Row>, rows: u64 },
}

/// An event that was not taken; it is given back.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InputError {
    /// A ring that it has to go through is full. Never from [`Input::push`].
    #[error("a ring is full")]
    Full(Event),
    /// The engine has stopped: a stage failed, or everything was given up.
    #[error("the engine has stopped taking events")]
    Closed(Event),
    /// A context that is configured with `when_full: error` does not keep up.
    #[error("a ring is full, and its context says `when_full: error`")]
    Overrun(Event),
    /// A context has failed, and the engine is to be rolled back to its last checkpoint
    /// ([`Engine::roll_back`](super::Engine::roll_back)): drop this input, and take it anew.
    #[error("a context has failed, and the engine waits to be rolled back to its last checkpoint")]
    RollBack(Event),
}

/// Why a row was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
    Overrun,
    RollBack,
}

impl Input {
    pub(super) fn new(
        end: End,
        outside: OutsideEnds,
        publish_every: usize,
        watch: InputWatch,
        rollback: Option<Arc<Rollback>>,
    ) -> Self {
        Self {
            rollback,
            end,
            outside,
            idle: IdleState::new(Idle::Backoff),
            publish_every,
            unpublished: 0,
            abandoned: false,
            taken: None,
            sources: None,
            connectors: Outcome::default(),
            watch,
            checkpoints: None,
            resumed_at: None,
        }
    }

    /// Takes part in checkpoints from now on, as one of so many inputs, and goes on from the one that there is.
    pub(super) fn keep_checkpoints(&mut self, recovery: &Recovery, inputs: usize) -> Result<(), BuildError> {
        if let Some(found) = &recovery.found {
            self.go_on(found).map_err(|error| found.nonsense(error))?;
        }
        let seat = (self.watch.number, inputs);
        let part = InputPart::new(&recovery.settings, &recovery.writer.hub, seat, self.events());
        self.checkpoints = Some(Box::new(part));
        Ok(())
    }

    fn go_on(&mut self, found: &Restored) -> Result<(), SnapshotError> {
        let Some((position, bytes)) = found.inputs.get(self.watch.number) else { return Ok(()) };
        self.resumed_at = Some(position.clone());
        let mut reader = SnapshotReader::new(bytes);
        if !restore_sources(self.sources.as_deref_mut(), &mut reader)? {
            self.sources = None;
        }
        match &mut self.end {
            End::Router(router) => router.entry().restore(&mut reader, found.keeps_timers)?,
            End::Ring { rows, .. } => *rows = Snapshot::read(&mut reader)?,
        }
        Ok(())
    }

    /// What a checkpoint has of it behind its position.
    fn save(end: &mut End, sources: Option<&mut Sources>, out: &mut Vec<u8>) {
        save_sources(sources, out);
        match end {
            End::Router(router) => router.entry().save(out),
            End::Ring { rows, .. } => rows.write(out),
        }
    }

    /// Whether a checkpoint is due and can begin; never where none are kept. Where the embedder says when
    /// ([`Checkpoints::by_hand`](super::Checkpoints::by_hand)) it is to be asked after each event.
    #[inline]
    pub fn checkpoint_due(&mut self) -> bool {
        let events = self.events();
        self.checkpoints.as_mut().is_some_and(|part| part.is_due(events))
    }

    /// Begins a checkpoint behind everything that was pushed, or joins one that another input has begun: it is complete
    /// when all of them have, so each input has to be used, if only to be asked and [flushed](Self::flush). `position`
    /// is for the embedder: whoever goes on from the checkpoint finds it in [`resumed_at`](Self::resumed_at), and that
    /// of the first input in [`Resumed::input`](super::Resumed::input) as well. False if none are kept, or one is under
    /// way.
    pub fn checkpoint(&mut self, position: &[u8]) -> bool {
        let Self { checkpoints: Some(part), end, sources, .. } = self else { return false };
        let (events, seq) = match end {
            End::Router(router) => (router.events(), router.last_seq()),
            // They are counted, and numbered, where the inputs meet.
            End::Ring { .. } => (0, 0),
        };
        let own = if let End::Ring { rows, .. } = end { *rows } else { events };
        let save = |out: &mut Vec<u8>| Self::save(end, sources.as_deref_mut(), out);
        let begun = part.begin((own, events), seq, position, save);
        if let Some(checkpoint) = begun {
            match &mut self.end {
                End::Router(router) => router.send_checkpoint(checkpoint),
                End::Ring { port, rows } => port.send(&Row::checkpoint(*rows, checkpoint)),
            }
            self.publish();
        }
        begun.is_some()
    }

    /// Joins a checkpoint that another input has begun, unless somebody uses this one and says himself where it is.
    pub(super) fn join_checkpoint(&mut self, is_used: bool) {
        let joins = |part: &InputPart| part.is_awaited() && !(is_used && part.is_by_hand());
        if self.checkpoints.as_deref().is_some_and(joins) {
            self.checkpoint(&[]);
        }
    }

    /// Where to go on: how many events have come in, those before a restart included.
    pub fn seek_hint(&self) -> u64 {
        self.events()
    }

    /// Where this input was, as [`checkpoint`](Self::checkpoint) was told, in the checkpoint that the engine has gone
    /// on from; none where it began anew.
    pub fn resumed_at(&self) -> Option<&[u8]> {
        self.resumed_at.as_deref()
    }

    /// It brings the events of `sources` as well.
    pub(super) fn bring(&mut self, sources: Option<Sources>, connectors: &Outcome) {
        self.sources = sources.map(Box::new);
        self.connectors = connectors.clone();
    }

    /// Pushes an event, waiting for room (spinning, then sleeping for up to 1 ms at a time).
    ///
    /// It waits only for contexts that say `when_full: block`, as they do unless something else is configured. Where
    /// one
    /// that takes the event says `error` and its ring is full, the event comes back as [`InputError::Overrun`];
    /// where it says `drop_newest` or `drop_oldest`, this event or the oldest one is dropped and counted
    /// ([`Stats::dropped`](super::Stats::dropped)).
    ///
    /// The thread that polls the output must be another one, or nobody makes room: with one thread use
    /// [`Engine::feed`](super::Engine::feed) or [`try_push`](Self::try_push).
    #[inline]
    pub fn push(&mut self, event: Event) -> Result<(), InputError> {
        let mut event = event;
        loop {
            match self.try_push(event) {
                Err(InputError::Full(back)) => event = back,
                done => return done,
            }
            self.idle.idle(0);
        }
    }

    /// Pushes an event, or gives it back where a ring is full.
    #[inline]
    pub fn try_push(&mut self, mut event: Event) -> Result<(), InputError> {
        match self.try_push_row(&mut event.row) {
            Ok(()) => Ok(()),
            Err(Refused::Full) => Err(InputError::Full(event)),
            Err(Refused::Closed) => Err(InputError::Closed(event)),
            Err(Refused::Overrun) => Err(InputError::Overrun(event)),
            Err(Refused::RollBack) => Err(InputError::RollBack(event)),
        }
    }

    /// Sends a copy of `row`, and before it what the sources have that is earlier.
    #[inline]
    pub(super) fn try_push_row(&mut self, row: &mut Row) -> Result<(), Refused> {
        if self.sources.is_some() {
            self.push_sources(usize::MAX, Some(row.time_ns()))?;
        }
        if let Err(refused) = self.push_one(row) {
            return Err(self.rather(refused));
        }
        self.checkpoint_if_due();
        Ok(())
    }

    /// Where everything stops for a rollback, that is why nothing is taken.
    #[cold]
    fn rather(&self, refused: Refused) -> Refused {
        if self.needs_roll_back() { Refused::RollBack } else { refused }
    }

    /// Whether a context has failed and the engine is to be rolled back: nothing that is pushed here counts any more.
    pub fn needs_roll_back(&self) -> bool {
        self.rollback.as_ref().is_some_and(|rollback| rollback.is_asked())
    }

    #[inline]
    fn checkpoint_if_due(&mut self) {
        if self.checkpoints.is_some() {
            let events = self.events();
            if self.checkpoints.as_mut().is_some_and(|part| part.is_due_by_itself(events)) {
                self.checkpoint(&[]);
            }
        }
    }

    /// Sends up to `limit` events of the sources that come before one at `before_ns`; returns how many: fewer, if there
    /// are no more. An error says that there was no room for the next one, or that none can be had.
    pub(super) fn push_sources(&mut self, limit: usize, before_ns: Option<i64>) -> Result<usize, Refused> {
        let Some(mut sources) = self.sources.take() else { return Ok(0) };
        let mut count = 0;
        let outcome = loop {
            if count == limit {
                break Ok(count);
            }
            if let Err(error) = sources.look() {
                self.connectors.failed(error);
                // Nothing more is read of them.
                return Err(Refused::Closed);
            }
            let Some(row) = sources.next_before(before_ns) else { break Ok(count) };
            match self.push_one(row) {
                Ok(()) => sources.taken(),
                // A file is read as fast as it is taken, so it overruns nobody.
                Err(Refused::Full | Refused::Overrun) => break Err(Refused::Full),
                Err(refused @ (Refused::Closed | Refused::RollBack)) => break Err(refused),
            }
            count += 1;
        };
        let outcome = outcome.map_err(|refused| self.rather(refused));
        self.sources = Some(sources);
        // Not for each of them: between two events from elsewhere it would not be known where that input is.
        if before_ns.is_none() {
            self.checkpoint_if_due();
        }
        outcome
    }

    /// The time of the next event of the sources.
    pub(super) fn next_source_ns(&mut self) -> Result<Option<i64>, Refused> {
        let Some(sources) = &mut self.sources else { return Ok(None) };
        if let Err(error) = sources.look() {
            self.connectors.failed(error);
            // Nothing more is read of them.
            self.sources = None;
            return Err(Refused::Closed);
        }
        Ok(sources.next_before(None).map(|row| row.time_ns()))
    }

    /// Closing: sends what is left of the sources; true when there is nothing more.
    pub(super) fn finish_sources(&mut self) -> bool {
        let left = self.push_sources(usize::MAX, None);
        if left != Err(Refused::Full) {
            self.sources = None;
        }
        self.sources.is_none()
    }

    #[inline]
    fn push_one(&mut self, row: &mut Row) -> Result<(), Refused> {
        if self.is_blocked() {
            self.publish();
            if self.is_closed() {
                return Err(Refused::Closed);
            }
            if self.is_blocked() {
                return Err(Refused::Full);
            }
        }
        if self.is_closed() {
            return Err(Refused::Closed);
        }
        self.idle.idle(1);
        match &mut self.end {
            End::Router(router) => {
                while !router.send_ticks(row) {
                    // The queue in front of a ring never overflows: nothing is sent while it is blocked.
                    let _: Result<usize, PendingFull> = router.flush();
                    if router.is_closed() {
                        return Err(Refused::Closed);
                    }
                    if router.is_blocked() {
                        return Err(Refused::Full);
                    }
                }
                if router.would_overrun(row) {
                    return Err(if router.is_closed() { Refused::Closed } else { Refused::Overrun });
                }
                if let Some(sampler) = &mut self.watch.sampler {
                    sampler.stamp(row, router.last_seq());
                }
                router.send(row);
            }
            End::Ring { port, rows } => {
                *rows += 1;
                row.set_seq(*rows);
                row.set_rank(0);
                if let Some(sampler) = &mut self.watch.sampler {
                    // Its number is given later, where the inputs meet.
                    sampler.stamp(row, 0);
                }
                port.send(row);
            }
        }
        self.unpublished += 1;
        if self.unpublished >= self.publish_every {
            // If everybody is found gone now, the next push says so; this row counts as undelivered.
            self.publish();
        }
        Ok(())
    }

    /// Publishes what was pushed, and tells contexts that merge in `deterministic` order how far this input has come.
    /// Call it when there is nothing more to push for now, again and again until it returns true: false says that
    /// something still waits in front of a full ring. Live, go on calling it, a hundred times a second: the streams are
    /// told the time by it.
    pub fn flush(&mut self) -> bool {
        self.tick();
        self.publish();
        self.checkpoint_if_due();
        self.is_closed()
            || match &self.end {
                End::Router(router) => router.is_settled() && router.has_told(),
                End::Ring { port, .. } => port.is_settled() && port.has_told(),
            }
    }

    /// Whether something would be dropped for `row` now.
    #[inline]
    pub(super) fn would_drop(&mut self, row: &Row) -> bool {
        match &mut self.end {
            End::Router(router) => router.would_drop(row),
            End::Ring { .. } => false,
        }
    }

    /// Live: tells the time, if that is due.
    pub(super) fn tick(&mut self) {
        if let End::Router(router) = &mut self.end
            && !router.is_blocked()
            && router.tick()
        {
            self.unpublished += 1;
        }
    }

    #[inline]
    fn publish(&mut self) {
        self.unpublished = 0;
        self.watch.counts.set_events(self.watch.number, self.events());
        if let Some(sampler) = &mut self.watch.sampler {
            sampler.published();
        }
        // The queue in front of a ring never overflows here: nothing is sent while it is blocked.
        let _: Result<usize, PendingFull> = match &mut self.end {
            End::Router(router) => router.flush(),
            End::Ring { port, .. } => port.flush(),
        };
    }

    #[inline]
    fn is_blocked(&self) -> bool {
        match &self.end {
            End::Router(router) => router.is_blocked(),
            End::Ring { port, .. } => port.is_blocked(),
        }
    }

    fn is_closed(&self) -> bool {
        match &self.end {
            End::Router(router) => router.is_closed(),
            End::Ring { port, .. } => port.is_closed(),
        }
    }

    /// How many events were pushed.
    pub fn events(&self) -> u64 {
        match &self.end {
            End::Router(router) => router.events(),
            End::Ring { rows, .. } => *rows,
        }
    }

    /// The number that the last event was given; 0 where several inputs are numbered together, later.
    #[inline]
    pub(super) fn last_seq(&self) -> u64 {
        match &self.end {
            End::Router(router) => router.last_seq(),
            End::Ring { .. } => 0,
        }
    }

    /// Publishes what was pushed; true if nothing has to be waited for before the input is closed.
    pub(super) fn settle_step(&mut self) -> bool {
        self.publish();
        !self.is_blocked() || self.is_closed() || self.needs_roll_back()
    }

    /// It was taken: its count is added when it goes.
    pub(super) fn count_into(&mut self, counts: &Arc<TakenCounts>) {
        self.taken = Some(Arc::clone(counts));
        if let Some(rollback) = &self.rollback {
            rollback.end_goes();
        }
    }

    /// What pends is given up: closing waits for nothing.
    pub(super) fn abandon(&mut self) {
        self.abandoned = true;
    }

    /// Closes the input. What still pends in front of a full ring is waited for, if it must not be dropped.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Input {
    fn drop(&mut self) {
        // Everything that was taken is delivered, unless nobody is left, or the thread is on its way out already.
        while !(self.abandoned || self.needs_roll_back() || std::thread::panicking()) {
            if self.finish_sources() && self.settle_step() {
                break;
            }
            self.publish();
            self.idle.idle(0);
        }
        if let Some(counts) = &self.taken {
            counts.add(self.events(), 0);
        }
        if let Some(part) = &mut self.checkpoints {
            // Before its ring is closed: whoever finds the end finds it told.
            part.close(|out| Self::save(&mut self.end, None, out));
        }
        match &mut self.end {
            End::Router(router) => router.close(|ring| self.outside.ring(ring)),
            End::Ring { port, .. } => self.outside.ring(port.close()),
        }
        if let (Some(rollback), Some(_)) = (&self.rollback, &self.taken) {
            rollback.end_comes_back();
        }
    }
}

impl fmt::Debug for Input {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Input").field("events", &self.events()).finish_non_exhaustive()
    }
}

/// Writes down where the program's own files are.
pub(super) fn save_sources(sources: Option<&mut Sources>, out: &mut Vec<u8>) {
    let mut bytes = Vec::new();
    if let Some(sources) = sources {
        sources.save(&mut bytes);
    }
    bytes.write(out);
}

/// Goes on where [`save_sources`] has said that they were. False if they had come to their ends.
pub(super) fn restore_sources(
    sources: Option<&mut Sources>,
    from: &mut SnapshotReader<'_>,
) -> Result<bool, SnapshotError> {
    let bytes: Vec<u8> = Snapshot::read(from)?;
    let Some(sources) = sources.filter(|_| !bytes.is_empty()) else { return Ok(false) };
    sources.restore(&mut SnapshotReader::new(&bytes)).map(|()| true)
}
