//! The engine: whatever runs the program, with the same calls in front of it.

use std::time::Duration;

use crate::connect::Outcome;
use crate::event::Row;
use crate::flow::{Cycle, Leftovers, OutsideEnds, Running, Stage};
use crate::idle::{Idle, IdleState};
use crate::operators::LogLine;
use crate::ring::{Receiver, Tally};
use crate::supervise::{Board, Events};
use crate::sync::Arc;
use crate::vpl::plan::Plan;

use super::build::{Assembly, Links};
use super::builder::{Builder, Interrupt};
use super::checkpoints::Resumed;
use super::elastic::Elastic;
use super::error::{EngineError, EventError};
use super::event::{Event, EventType};
use super::health::Patience;
use super::inline::Inline;
use super::input::{Input, InputError, Refused};
use super::letters::DeadLetters;
use super::log::LogRing;
use super::metrics::{Metrics, MetricsReader};
use super::output::Output;
use super::program::Program;
use super::record::{JsonLines, Layouts, Record};
use super::rollback::{Again, Past, RolledBack};
use super::stats::{
    ContextStats, DeadLetter, LostState, StageStats, Stats, StreamCounts, TakenCounts, by_stream,
};
use super::tuning::{LowJitterStats, Tuned};
use super::writer::Writer;

mod checkpoints;
mod pools;
mod rollback;
mod sources;

use rollback::{refusal, roll_back};

/// How long [`Engine::finish`] waits for the threads to end.
const FINISH_WITHIN: Duration = Duration::from_secs(60);
/// Results taken at once while something else waits.
const DRAIN_LIMIT: usize = 4096;

/// A program that runs.
///
/// One thread that feeds and takes: [`feed`](Self::feed) and [`finish`](Self::finish). Threads of your own:
/// [`take_input`](Self::take_input), [`take_output`](Self::take_output), [`join`](Self::join).
#[derive(Debug)]
pub struct Engine {
    plan: Arc<Plan>,
    layouts: Arc<Layouts>,
    warnings: Vec<String>,
    low_jitter: LowJitterStats,
    results_limit: usize,
    mode: Mode,
    pub(super) board: Arc<Board>,
    pub(super) events: Events,
    interrupt: Option<Interrupt>,
    pub(super) seed: u64,
    /// From each stage: events on which its streams have failed.
    dead_letters: DeadLetters,
    logs: Vec<LogRing>,
    connectors: Outcome,
    metrics: MetricsReader,
    /// Counts of the ends that were taken, from when they are dropped.
    taken: Arc<TakenCounts>,
    /// What it takes to resize pools; none where nothing could be resized.
    elastic: Option<Box<Elastic>>,
    /// Filled when the run has ended.
    ended: Option<Stats>,
    resumed: Option<Box<Resumed>>,
    /// What it takes to be rolled back; none where that is never needed.
    again: Option<Box<Again>>,
    rolled_back: Option<Box<RolledBack>>,
    /// What was counted before the last rollback.
    past: Past,
    /// Lines that were not taken before the last rollback.
    log_lines: Vec<LogLine>,
    /// The thread that writes checkpoints. Behind all else, so that it outlives whoever takes part in them.
    writer: Option<Writer>,
}

/// Who runs the program.
pub(super) enum Mode {
    Inline(Box<Inline>),
    Threads(Box<Threaded>),
    Stepped(Box<Stepper>),
    /// Joined.
    Over,
}

impl Mode {
    /// The output of a run on stages, unless it was taken.
    #[inline]
    fn output(&mut self) -> Option<&mut Output> {
        match self {
            Self::Threads(threads) => threads.output.as_mut(),
            Self::Stepped(stepper) => Some(&mut stepper.output),
            Self::Inline(_) | Self::Over => None,
        }
    }
}

/// A thread for each context.
pub(super) struct Threaded {
    running: Running,
    inputs: Vec<Input>,
    output: Option<Output>,
    stats: Vec<StageStats>,
    /// The rings on which something may be dropped.
    drops: Vec<(String, Tally)>,
    idle: IdleState,
    events: u64,
    results: u64,
    /// The inputs that are still here are to be closed as soon as what they hold has gone.
    closing: bool,
}

impl Threaded {
    pub(super) fn new(
        running: Running,
        inputs: Vec<Input>,
        output: Output,
        stats: Vec<StageStats>,
        drops: Vec<(String, Tally)>,
    ) -> Self {
        let (output, idle) = (Some(output), IdleState::new(Idle::Backoff));
        Self { running, inputs, output, stats, drops, idle, events: 0, results: 0, closing: false }
    }

    /// Publishes what was pushed. True when nothing pends in front of a full ring any more; inputs that are to be
    /// closed go then.
    fn settle(&mut self) -> bool {
        let closing = self.closing;
        let is_settled = |input: &mut Input| (!closing || input.finish_sources()) & input.settle_step();
        if !closing {
            // The first is the one that events are fed into here.
            self.inputs.iter_mut().enumerate().for_each(|(at, input)| input.join_checkpoint(at == 0));
        }
        let pending = self.inputs.iter_mut().filter_map(|input| (!is_settled(input)).then_some(())).count();
        if pending == 0 && self.closing {
            self.events += self.inputs.iter().map(Input::events).sum::<u64>();
            self.inputs.clear();
        }
        pending == 0
    }

    /// Hands over results that are there.
    fn drain(&mut self, sink: impl FnMut(Record<'_>)) -> usize {
        self.output.as_mut().map_or(0, |output| output.drain(DRAIN_LIMIT, sink))
    }

    fn has_ended(&mut self) -> bool {
        self.output.as_mut().is_none_or(Output::has_ended)
    }

    /// Gives up what pends.
    fn abandon(&mut self) {
        self.closing = true;
        self.events += self.inputs.iter().map(Input::events).sum::<u64>();
        self.inputs.iter_mut().for_each(Input::abandon);
        self.inputs.clear();
    }
}

/// Every stage, stepped by the caller.
pub(super) struct Stepper {
    stages: Vec<Option<Box<dyn Stage>>>,
    input: Option<Input>,
    output: Output,
    stats: Vec<StageStats>,
    /// The rings on which something may be dropped.
    drops: Vec<(String, Tally)>,
    leftovers: Leftovers,
    outside: OutsideEnds,
    failure: Option<(String, String)>,
    given_up: Vec<String>,
    events: u64,
    /// The input is to be closed as soon as what it holds has gone.
    closing: bool,
}

impl Stepper {
    /// The stepper, and what it takes to resize pools.
    pub(super) fn new(mut assembly: Assembly) -> (Self, Links) {
        let stepper = Self {
            stages: assembly.stages.into_iter().map(|(_, stage)| Some(stage)).collect(),
            input: assembly.inputs.pop(),
            output: assembly.output,
            stats: assembly.stats,
            drops: assembly.drops,
            leftovers: Leftovers::new(),
            outside: assembly.outside,
            failure: None,
            given_up: Vec::new(),
            events: 0,
            closing: false,
        };
        (stepper, assembly.links)
    }

    /// One duty cycle of every stage, in the order of flow.
    fn step(&mut self) -> usize {
        let mut work = 0;
        if let Some(input) = &mut self.input {
            self.events = input.events();
            if !self.closing {
                input.tick();
            }
            if (!self.closing || input.finish_sources()) & input.settle_step() && self.closing {
                self.input = None;
                work += 1;
            }
        }
        for slot in &mut self.stages {
            let Some(stage) = slot else { continue };
            match stage.duty_cycle() {
                Cycle::Worked(done) => work += done,
                Cycle::Idle => {}
                ended @ (Cycle::Done | Cycle::Failed(_)) => {
                    if let Cycle::Failed(message) = ended {
                        self.failure.get_or_insert((stage.name().to_owned(), message));
                    }
                    stage.close(&mut self.leftovers);
                    *slot = None;
                    work += 1;
                }
            }
        }
        work
    }

    fn has_ended(&self) -> bool {
        self.stages.iter().all(Option::is_none)
    }

    /// Closes the stages that are not done.
    fn give_up(&mut self) {
        if let Some(mut input) = self.input.take() {
            self.events = input.events();
            input.abandon();
        }
        for stage in self.stages.iter_mut().filter_map(Option::take) {
            let mut stage = stage;
            self.given_up.push(stage.name().to_owned());
            stage.close(&mut self.leftovers);
        }
        self.leftovers.take_outside(&self.outside);
    }

    /// How the run has ended.
    fn outcome(&self) -> Result<(), EngineError> {
        match &self.failure {
            Some((stage, message)) => {
                Err(EngineError::Stage { stage: stage.clone(), message: message.clone() })
            }
            None if self.given_up.is_empty() => Ok(()),
            None => Err(EngineError::GivenUp(self.given_up.clone())),
        }
    }
}

/// What was dropped so far, by ring; rings on which nothing was are left out.
fn dropped(drops: &[(String, Tally)]) -> Vec<(String, u64)> {
    let counts = drops.iter().map(|(ring, tally)| (ring.clone(), tally.dropped()));
    counts.filter(|&(_, rows)| rows > 0).collect()
}

impl std::fmt::Debug for Mode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Inline(_) => "on the caller's thread",
            Self::Threads(_) => "on threads",
            Self::Stepped(_) => "stepped",
            Self::Over => "ended",
        })
    }
}

impl Engine {
    /// Settings for an engine that runs `program`.
    pub fn builder(program: &Program) -> Builder {
        Builder::new(program)
    }

    pub(super) fn new(
        builder: &Builder,
        layouts: Arc<Layouts>,
        mode: Mode,
        board: Arc<Board>,
        dead_letters: Vec<Receiver<DeadLetter>>,
        logs: Vec<LogRing>,
        warnings: Vec<String>,
    ) -> Self {
        Self {
            plan: Arc::clone(&builder.plan),
            layouts,
            warnings,
            low_jitter: LowJitterStats::default(),
            results_limit: builder.results_limit,
            mode,
            board,
            events: builder.events.clone(),
            interrupt: builder.interrupt.clone(),
            seed: builder.seed,
            dead_letters: DeadLetters::new(dead_letters, builder.keeps_dead_letters),
            logs,
            connectors: Outcome::default(),
            metrics: builder.metrics.clone().unwrap_or_else(|| MetricsReader::new(&builder.registry)),
            taken: Arc::default(),
            elastic: None,
            ended: None,
            resumed: None,
            again: None,
            rolled_back: None,
            past: Past::default(),
            log_lines: Vec::new(),
            writer: None,
        }
    }

    /// Notes what became of what the operating system was asked for.
    pub(super) fn tuned(mut self, (low_jitter, warnings): Tuned) -> Self {
        self.low_jitter = low_jitter;
        self.warnings.extend(warnings);
        self
    }

    /// What becomes of the connectors is told by the end.
    pub(super) fn with_connectors(self, connectors: Outcome) -> Self {
        Self { connectors, ..self }
    }

    /// Keeps what it takes to resize pools.
    pub(super) fn elastic(mut self, elastic: Elastic) -> Self {
        self.elastic = Some(Box::new(elastic));
        self
    }

    /// A handle for the event type called `name`: one that a stream takes or an `event` statement declares.
    pub fn event_type(&self, name: &str) -> Result<EventType, EventError> {
        let id = self.plan.names.iter().position(|known| known.name == name);
        let id = id.ok_or_else(|| EventError::UnknownType(name.to_owned()))?;
        let shape = self.plan.shapes[self.plan.names[id].shape].clone();
        let untimed_ns = if self.plan.live_since_ns.is_some() { Row::UNTIMED } else { 0 };
        Ok(EventType::new(name, id as u32, shape, untimed_ns))
    }

    /// What was asked for and could not be had: CPUs that don't exist, and the like.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }

    /// Whether the program runs on the thread that calls.
    pub fn is_inline(&self) -> bool {
        matches!(self.mode, Mode::Inline(_))
    }

    /// A writer for results as JSON lines.
    pub fn json_lines(&self) -> JsonLines {
        JsonLines::new(&self.layouts)
    }

    /// Feeds an event and hands over the results that are there, which are those of this event where the
    /// program runs on the caller's thread, and those of earlier events elsewhere. Waits for room while
    /// taking results, so one thread is enough.
    #[inline]
    pub fn feed(&mut self, mut event: Event, sink: impl FnMut(Record<'_>)) -> Result<(), EngineError> {
        self.feed_row(&mut event.row, sink)
    }

    /// [`feed`](Self::feed) for an event that stays the caller's: nothing of it is moved, so this is the fastest way
    /// in. An event that is filled again for the next ([`Event::reset`]) needs no other memory.
    ///
    /// ```
    /// use varpin::engine::{Engine, Program};
    ///
    /// let program = Program::parse("stream Hot = Reading.where(celsius > 30.0).emit(celsius: celsius)")?;
    /// let mut engine = Engine::builder(&program).build()?;
    /// let reading = engine.event_type("Reading")?;
    /// let celsius = reading.field("celsius")?;
    ///
    /// let mut event = reading.event(0);
    /// let mut hot = 0;
    /// for (second, measured) in [29.0, 31.0, 33.5].into_iter().enumerate() {
    ///     event.reset(second as i64 * 1_000_000_000);
    ///     event.set(&celsius, measured)?;
    ///     engine.feed_ref(&mut event, |_| hot += 1)?;
    /// }
    /// engine.finish(|_| hot += 1)?;
    /// assert_eq!(hot, 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[inline]
    pub fn feed_ref(&mut self, event: &mut Event, sink: impl FnMut(Record<'_>)) -> Result<(), EngineError> {
        self.feed_row(&mut event.row, sink)
    }

    /// [`feed`](Self::feed) for a row that a reader of [`format`](crate::format) has filled.
    #[inline]
    pub fn feed_row(&mut self, row: &mut Row, mut sink: impl FnMut(Record<'_>)) -> Result<(), EngineError> {
        match &mut self.mode {
            Mode::Inline(inline) => {
                if !inline.is_open() {
                    return Err(inline.refusal());
                }
                inline.feed(row, sink)?;
                inline.check()
            }
            Mode::Threads(threads) => {
                let again = self.again.as_deref();
                let output = threads.output.as_mut().ok_or(EngineError::Taken("output"))?;
                if threads.closing || output.has_failed() {
                    return Err(EngineError::Closed);
                }
                let [input, ..] = &mut threads.inputs[..] else { return Err(EngineError::Taken("input")) };
                if input.would_drop(row) {
                    // A context that only waits for room in front of its results is not overloaded.
                    output.drain(DRAIN_LIMIT, &mut sink);
                }
                let mut has_waited = false;
                loop {
                    match input.try_push_row(row) {
                        Ok(()) => return Ok(()),
                        Err(Refused::Full) => {
                            if output.at_checkpoint() {
                                return Err(EngineError::AtCheckpoint);
                            }
                            // What is stuck makes no room, and what has failed for good needs none.
                            if self.board.has_escalated() {
                                return Err(EngineError::Closed);
                            }
                            if self.interrupt.as_ref().is_some_and(Interrupt::is_asked) {
                                return Err(EngineError::Interrupted);
                            }
                            self.dead_letters.make_room();
                            let taken = output.drain(DRAIN_LIMIT, &mut sink);
                            // That the last event had to wait for long says nothing of how long this one will.
                            threads.idle.idle(taken + usize::from(!has_waited));
                            has_waited = true;
                        }
                        Err(refused) => return Err(refusal(refused, again)),
                    }
                }
            }
            Mode::Stepped(stepper) => {
                loop {
                    let input =
                        stepper.input.as_mut().filter(|_| !stepper.closing).ok_or(EngineError::Closed)?;
                    match input.try_push_row(row) {
                        Ok(()) => return Ok(()),
                        Err(Refused::Full) => {}
                        Err(refused) => return Err(refusal(refused, None)),
                    }
                    if stepper.output.at_checkpoint() {
                        return Err(EngineError::AtCheckpoint);
                    }
                    // Without room, stepping and taking results makes some.
                    stepper.step();
                    stepper.output.drain(DRAIN_LIMIT, &mut sink);
                    if stepper.output.has_failed() {
                        return Err(EngineError::Closed);
                    }
                }
            }
            Mode::Over => Err(roll_back(self.again.as_deref()).unwrap_or(EngineError::Closed)),
        }
    }

    /// Pushes an event without handing over results: [`poll`](Self::poll) does. Gives the event back where
    /// there is no room.
    pub fn try_push(&mut self, event: Event) -> Result<(), InputError> {
        match &mut self.mode {
            Mode::Inline(inline) => {
                if inline.is_finished() {
                    return Err(InputError::Closed(event));
                }
                let mut event = event;
                match inline.push(&mut event.row, self.results_limit) {
                    Ok(true) => Ok(()),
                    Ok(false) => Err(InputError::Full(event)),
                    Err(_) => Err(InputError::Closed(event)),
                }
            }
            Mode::Threads(threads) => match threads.inputs.first_mut().filter(|_| !threads.closing) {
                Some(input) => input.try_push(event),
                None => Err(InputError::Closed(event)),
            },
            Mode::Stepped(stepper) => match stepper.input.as_mut().filter(|_| !stepper.closing) {
                Some(input) => input.try_push(event),
                None => Err(InputError::Closed(event)),
            },
            Mode::Over if roll_back(self.again.as_deref()).is_some() => Err(InputError::RollBack(event)),
            Mode::Over => Err(InputError::Closed(event)),
        }
    }

    /// Publishes what was pushed and not published yet, and hands over the results that are there. Returns
    /// how many. Live, call it also where nothing is pushed, a hundred times a second: the streams are told the time
    /// by it.
    pub fn poll(&mut self, sink: impl FnMut(Record<'_>)) -> usize {
        match &mut self.mode {
            Mode::Inline(inline) => {
                self.events.deliver();
                inline.poll(sink)
            }
            Mode::Threads(threads) => {
                if !threads.closing {
                    threads.inputs.iter_mut().for_each(Input::tick);
                }
                threads.settle();
                threads.drain(sink)
            }
            Mode::Stepped(stepper) => stepper.output.drain(DRAIN_LIMIT, sink),
            Mode::Over => 0,
        }
    }

    /// Of a stepped engine: one duty cycle of every stage. Returns how much was done; 0 where there is
    /// nothing to do now, and always where the engine steps itself.
    pub fn step(&mut self) -> usize {
        match &mut self.mode {
            Mode::Stepped(stepper) => stepper.step(),
            _ => 0,
        }
    }

    /// Closes the input: what has come in is still handled. [`poll`](Self::poll) goes on until nothing comes
    /// any more.
    pub fn close(&mut self) {
        match &mut self.mode {
            Mode::Inline(inline) => inline.close(),
            Mode::Threads(threads) => {
                // What pends in front of a full ring goes when results are polled: waiting for it here could last
                // for ever.
                threads.closing = true;
                threads.settle();
            }
            Mode::Stepped(stepper) => {
                // It is dropped by a step, when there is room for what it holds: here nobody would make any.
                stepper.closing = true;
            }
            Mode::Over => {}
        }
    }

    /// Ends the input, hands over all results that are left, and waits for the threads. The error says which
    /// stages failed or were stuck.
    pub fn finish(&mut self, sink: impl FnMut(Record<'_>)) -> Result<&Stats, EngineError> {
        self.finish_within(FINISH_WITHIN, sink)
    }

    /// [`finish`](Self::finish) with another deadline: what is not done by then is given up and reported.
    pub fn finish_within(
        &mut self,
        deadline: Duration,
        mut sink: impl FnMut(Record<'_>),
    ) -> Result<&Stats, EngineError> {
        self.close_checkpoints();
        // Whoever interrupts the run while it is finished waits no longer for what is stuck.
        let patience = Patience::new(deadline, &self.board, self.interrupt.clone());
        match &mut self.mode {
            Mode::Inline(inline) => {
                let outcome = inline.finish(sink);
                self.events.deliver();
                let stats = self.counted();
                self.ended = Some(stats);
                self.told(outcome)
            }
            Mode::Threads(threads) => {
                if threads.output.is_none() {
                    return Err(EngineError::Taken("output"));
                }
                // The inputs may pend in front of full rings: results are taken while they wait.
                threads.closing = true;
                while !threads.settle() && !patience.is_over() {
                    self.dead_letters.make_room();
                    let taken = threads.drain(&mut sink);
                    threads.idle.idle(taken);
                }
                if patience.is_over() {
                    threads.abandon();
                }
                while !threads.has_ended() && !patience.is_over() {
                    self.dead_letters.make_room();
                    let taken = threads.drain(&mut sink);
                    threads.idle.idle(taken);
                }
                self.join(patience.left())
            }
            Mode::Stepped(_) => {
                self.close();
                while let Mode::Stepped(stepper) = &mut self.mode {
                    let done = stepper.step();
                    let taken = stepper.output.drain(DRAIN_LIMIT, &mut sink);
                    if stepper.has_ended() && stepper.output.has_ended() {
                        break;
                    }
                    if done + taken == 0 && patience.is_over() {
                        break;
                    }
                }
                let Mode::Stepped(stepper) = &mut self.mode else { return Err(EngineError::Closed) };
                stepper.give_up();
                stepper.output.finish();
                let undelivered = stepper.leftovers.undelivered();
                let dropped = stepper.leftovers.dropped();
                let outcome = stepper.outcome();
                let mut stats = self.counted();
                stats.undelivered = undelivered.into_iter().map(|ring| (ring.ring, ring.items)).collect();
                stats.dropped = dropped.into_iter().map(|ring| (ring.ring, ring.items)).collect();
                self.ended = Some(stats);
                self.told(outcome)
            }
            Mode::Over => self.over(),
        }
    }

    /// Takes the next input, to push from another thread. There are as many as the [`Builder`] was asked for.
    pub fn take_input(&mut self) -> Result<Input, EngineError> {
        match &mut self.mode {
            Mode::Threads(threads) if !threads.inputs.is_empty() => {
                let mut input = threads.inputs.remove(0);
                input.count_into(&self.taken);
                Ok(input)
            }
            Mode::Threads(_) => Err(EngineError::Taken("input")),
            Mode::Inline(_) | Mode::Stepped(_) => Err(EngineError::NoThreads("input")),
            Mode::Over => Err(EngineError::Closed),
        }
    }

    /// Takes the output, to poll from another thread.
    pub fn take_output(&mut self) -> Result<Output, EngineError> {
        match &mut self.mode {
            Mode::Threads(threads) => {
                let mut output = threads.output.take().ok_or(EngineError::Taken("output"))?;
                output.count_into(&self.taken);
                Ok(output)
            }
            Mode::Inline(_) | Mode::Stepped(_) => Err(EngineError::NoThreads("output")),
            Mode::Over => Err(EngineError::Closed),
        }
    }

    /// Asks the run to end although inputs are still open: what has come in so far is still handled.
    pub fn stop(&self) {
        if let Mode::Threads(threads) = &self.mode {
            // Rings are cut where they are, a barrier in one of them or not.
            if let Some(writer) = &self.writer {
                writer.hub.give_up();
            }
            threads.running.stop();
        }
    }

    /// Waits until the run has ended, for up to `deadline`; then gives it up. Inputs that were not taken are
    /// closed; the output must be polled to its end, or a full ring holds the run up.
    pub fn join(&mut self, deadline: Duration) -> Result<&Stats, EngineError> {
        if let Mode::Inline(_) | Mode::Stepped(_) = self.mode {
            return self.finish_within(deadline, |_| {});
        }
        let Mode::Threads(mut threads) = std::mem::replace(&mut self.mode, Mode::Over) else {
            return self.over();
        };
        if let Some(output) = &mut threads.output {
            output.close_checkpoints();
        }
        // What pends in front of a full ring is waited for, as the threads are: no longer than the deadline says.
        let patience = Patience::new(deadline, &self.board, None);
        threads.closing = true;
        while !threads.settle() {
            self.dead_letters.make_room();
            if patience.is_over() {
                threads.abandon();
                break;
            }
            threads.idle.idle(0);
        }
        let deadline = patience.left();
        let Threaded { running, mut output, stats, events, mut results, .. } = *threads;
        results += output.as_mut().map_or(0, |output| output.results());
        let uncommitted = output.as_ref().map_or(0, Output::uncommitted);
        if let Some(output) = &mut output {
            output.finish();
        }
        let idles = running.idles();
        let pins = running.pins();
        let joined = running.join(deadline);
        let report = match &joined {
            Ok(report) => report,
            Err(error) => &error.report,
        };
        let mut counted =
            Stats { events, results, uncommitted, warnings: self.warnings.clone(), ..Stats::default() };
        counted.undelivered = report.undelivered.iter().map(|ring| (ring.ring.clone(), ring.items)).collect();
        counted.dropped = report.dropped.iter().map(|ring| (ring.ring.clone(), ring.items)).collect();
        counted.low_jitter = self.low_jitter.clone();
        let threads = report.workers.iter().map(|worker| worker.thread);
        for (((context, idle, reason), (_, pin)), thread) in idles.into_iter().zip(pins).zip(threads) {
            let cpu = match pin {
                crate::cores::PinOutcome::Pinned(cpu) => Some(cpu),
                _ => None,
            };
            let worker = counted.contexts.len();
            counted.contexts.push(ContextStats {
                context,
                cpu,
                idle: format!("{idle}: {reason}"),
                realtime_priority: thread.realtime_priority,
                timer_slack_ns: thread.timer_slack_ns,
                restarts: self.board.restarts(worker),
                lost: self.board.lost(worker).iter().map(LostState::from).collect(),
                breaker: self.board.breaker(worker).map(|breaker| breaker.read().into()),
            });
        }
        let (taken_events, taken_results) = self.taken.read();
        counted.events += taken_events;
        counted.results += taken_results;
        counted.log_lines_dropped = self.logs.iter().map(LogRing::dropped).sum();
        counted.sinks = self.connectors.sinks();
        self.count_stages(&stats, &mut counted);
        counted.dead_letters_dropped += self.connectors.unwritten_dropped();
        self.ended = Some(counted);
        self.events.deliver();
        let rollback = roll_back(self.again.as_deref());
        let outcome = match (joined, self.board.escalation()) {
            (_, Some((escalation, _))) => Err(EngineError::Escalated(Box::new(escalation))),
            (_, None) if let Some(rollback) = rollback => Err(rollback),
            (Ok(_), None) => Ok(()),
            (Err(error), None) => Err(EngineError::Join(Box::new(error))),
        };
        self.told(outcome)
    }

    /// How the run has ended: what the connectors say comes first, since they may be why the rest did.
    fn told(&self, outcome: Result<(), EngineError>) -> Result<&Stats, EngineError> {
        if let Some(error) = self.connectors.take_error() {
            return Err(error.into());
        }
        outcome.and_then(|()| self.ended.as_ref().ok_or(EngineError::Closed))
    }

    /// What the engine tells of itself now: how busy its threads are, how full its rings, how long events take. For
    /// other threads see [`metrics_reader`](Self::metrics_reader).
    pub fn metrics(&mut self) -> Metrics {
        if let Mode::Inline(inline) = &mut self.mode {
            inline.report();
        }
        self.metrics.read()
    }

    /// Reads the same from any thread, while this one feeds.
    pub fn metrics_reader(&self) -> MetricsReader {
        self.metrics.clone()
    }

    /// The number of the last event that was fed or pushed here: what its results carry as [`Record::seq`]. Ticks of
    /// timers are numbered, too, so it can be greater than the count of events. 0 before the first event, and where
    /// the input was taken or there are several.
    #[inline]
    pub fn last_seq(&self) -> u64 {
        match &self.mode {
            Mode::Inline(inline) => inline.last_seq(),
            Mode::Threads(threads) => match &threads.inputs[..] {
                [input] => input.last_seq(),
                _ => 0,
            },
            Mode::Stepped(stepper) => stepper.input.as_ref().map_or(0, Input::last_seq),
            Mode::Over => 0,
        }
    }

    /// What was counted: final after the run has ended, so far where the program runs on the caller's thread.
    pub fn stats(&self) -> Stats {
        self.ended.clone().unwrap_or_else(|| self.counted())
    }

    fn counted(&self) -> Stats {
        let mut stats = Stats { warnings: self.warnings.clone(), ..Stats::default() };
        stats.low_jitter = self.low_jitter.clone();
        stats.log_lines_dropped = self.logs.iter().map(LogRing::dropped).sum();
        match &self.mode {
            Mode::Inline(inline) => {
                let queue = inline.queued();
                stats.events = inline.events();
                stats.results = queue.results;
                stats.dead_letters = queue.failed;
                stats.dead_letters_dropped = queue.dead_dropped;
                stats.sinks = inline.sink_counts();
                stats.uncommitted = inline.uncommitted();
                let counts = inline.stats();
                stats.streams = counts
                    .iter()
                    .enumerate()
                    .map(|(at, counts)| StreamCounts::new(&self.plan, at, counts))
                    .collect();
            }
            Mode::Threads(threads) => {
                stats.events = threads.events + threads.inputs.iter().map(Input::events).sum::<u64>();
                stats.results = threads.results + threads.output.as_ref().map_or(0, Output::results);
                stats.sinks = threads.output.as_ref().map_or_else(Vec::new, Output::sink_counts);
                stats.uncommitted = threads.output.as_ref().map_or(0, Output::uncommitted);
                stats.dropped = dropped(&threads.drops);
                self.count_stages(&threads.stats, &mut stats);
            }
            Mode::Stepped(stepper) => {
                stats.events = stepper.input.as_ref().map_or(stepper.events, Input::events);
                stats.results = stepper.output.results();
                stats.sinks = stepper.output.sink_counts();
                stats.uncommitted = stepper.output.uncommitted();
                stats.dropped = dropped(&stepper.drops);
                self.count_stages(&stepper.stats, &mut stats);
            }
            Mode::Over => {}
        }
        stats.dead_letters_dropped += self.connectors.unwritten_dropped();
        stats
    }

    fn count_stages(&self, stages: &[StageStats], stats: &mut Stats) {
        stats.dead_letters += self.past.dead_letters;
        stats.dead_letters_dropped += self.past.dead_letters_dropped;
        stats.log_lines_dropped += self.past.log_lines_dropped;
        stats.rollbacks = self.board.rollbacks();
        stats.rolled_back = self.rolled_back().cloned();
        for stage in stages {
            let (failed, dropped) = stage.failures.read();
            stats.dead_letters += failed;
            stats.dead_letters_dropped += dropped;
        }
        stats.streams = by_stream(&self.plan, stages);
    }

    /// Takes the lines that the program has written (`.print`, `.log`, `.tap`, `print(x)`), stream by stream.
    /// They are kept up to a bound; those beyond it are only counted.
    pub fn take_log_lines(&mut self) -> Vec<LogLine> {
        let mut lines = std::mem::take(&mut self.log_lines);
        lines.extend(self.logs.iter_mut().flat_map(LogRing::take));
        lines
    }

    /// Takes the events on which streams have failed. They are kept up to a bound; those beyond it are only
    /// counted.
    pub fn take_dead_letters(&mut self) -> Vec<DeadLetter> {
        if let Mode::Inline(inline) = &mut self.mode {
            return inline.queue().dead.drain(..).collect();
        }
        self.dead_letters.take()
    }
}
