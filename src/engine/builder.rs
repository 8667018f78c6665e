//! How an engine is to run: what the caller asks for, the program's own settings, and the defaults, in this order.

use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use crate::clock::Clock;
use crate::connect::{OpenWriter, Outcome};
use crate::context::LiveClock;
use crate::cores::{LowJitter, PinPolicy};
use crate::flow::MergeOrder;
use crate::idle::Idle;
use crate::operators::Limits;
use crate::ring::WhenFull;
use crate::supervise::{Declared, Event, Events, Rollback, Strategy};
use crate::vpl::plan::Plan;

use super::build;
use super::checkpoints::Checkpoints;
use super::error::BuildError;
use super::metrics::{MetricsReader, Registry};
use super::program::Program;
use super::run::Engine;
use super::writer::Hub;

/// Slots of a ring unless something else is asked for.
pub(super) const DEFAULT_CAPACITY: usize = 1024;
/// Events of a duty cycle.
const DEFAULT_BATCH: usize = 256;
/// Results that are kept for a poll.
const DEFAULT_RESULTS: usize = 1 << 20;
/// The seed of what is drawn at random.
const DEFAULT_SEED: u64 = 1;

/// Who steps the stages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Threads {
    /// A thread for each context; none where the program declares none.
    AsDeclared,
    /// A thread even where the program declares no context.
    Always,
    /// No more threads than CPUs; each steps several contexts in turn.
    Fused,
    /// The caller, by hand.
    Stepped,
}

/// Says whether a call that waits is to come back.
#[derive(Clone)]
pub(super) struct Interrupt(Arc<dyn Fn() -> bool + Send + Sync>);

impl Interrupt {
    pub(super) fn is_asked(&self) -> bool {
        (self.0)()
    }
}

impl std::fmt::Debug for Interrupt {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Interrupt")
    }
}

/// Settings of an [`Engine`]. What is set here wins over the program's `config` blocks.
///
/// ```
/// use varpin::engine::{Engine, Program};
/// use varpin::flow::MergeOrder;
/// let program = Program::parse("context work\nstream S = R.context(work).emit(v: v)")?;
/// let engine = Engine::builder(&program).order(MergeOrder::Deterministic).capacity(64).build()?;
/// # drop(engine);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Builder {
    pub(super) plan: Arc<Plan>,
    pub(super) order: Option<MergeOrder>,
    pub(super) idle: Option<Idle>,
    pub(super) capacity: Option<usize>,
    pub(super) pin: PinPolicy,
    pub(super) low_jitter: LowJitter,
    pub(super) batch_limit: usize,
    pub(super) publish_every: usize,
    pub(super) results_limit: usize,
    pub(super) inputs: usize,
    pub(super) threads: Threads,
    pub(super) limits: Limits,
    pub(super) latency_sample: Option<u32>,
    /// Where what is built tells of itself; set while an engine is built.
    pub(super) registry: Arc<Registry>,
    /// The clock of a live engine.
    pub(super) clock: Option<Arc<dyn Clock + Send + Sync>>,
    /// Where the files of connectors are.
    pub(super) directory: Option<PathBuf>,
    /// Files that no connector may write or read, and what they are.
    pub(super) reserved: Vec<(PathBuf, String)>,
    /// By connector: what is written instead.
    pub(super) writers: Vec<(String, OpenWriter)>,
    /// The caller prints results where the console is.
    pub(super) prints_results: bool,
    /// Lines of source files that are no events are passed over.
    pub(super) skip_bad_lines: bool,
    pub(super) supervision: Declared,
    pub(super) context_supervision: Vec<(String, Declared)>,
    pub(super) strategy: Option<Strategy>,
    pub(super) seed: u64,
    pub(super) events: Events,
    pub(super) keeps_dead_letters: bool,
    pub(super) interrupt: Option<Interrupt>,
    pub(super) checkpoints: Option<Checkpoints>,
    /// Where stages hand over their shares of checkpoints; set while an engine is built.
    pub(super) hub: Option<Arc<Hub>>,
    /// The same, of an engine that may have to be rolled back.
    pub(super) rollback: Option<Arc<Rollback>>,
    /// The same, of one that was: where what its connectors come to is told, and whoever reads what it tells of itself.
    pub(super) outcome: Option<Outcome>,
    pub(super) metrics: Option<MetricsReader>,
    #[cfg(feature = "faults")]
    pub(super) faults: Vec<crate::context::Fault>,
    /// The same on their way; set while an engine is built, and kept over rollbacks.
    #[cfg(feature = "faults")]
    pub(super) armed: Vec<crate::context::SharedFault>,
}

impl std::fmt::Debug for Builder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Builder")
            .field("order", &self.order)
            .field("threads", &self.threads)
            .field("inputs", &self.inputs)
            .field("live", &self.clock.is_some())
            .finish_non_exhaustive()
    }
}

impl Builder {
    pub(super) fn new(program: &Program) -> Self {
        Self {
            plan: program.shared_plan(),
            order: None,
            idle: None,
            capacity: None,
            pin: PinPolicy::BestEffort,
            low_jitter: LowJitter::default(),
            batch_limit: DEFAULT_BATCH,
            publish_every: 1,
            results_limit: DEFAULT_RESULTS,
            inputs: 1,
            threads: Threads::AsDeclared,
            limits: Limits::default(),
            latency_sample: None,
            registry: Arc::default(),
            clock: None,
            directory: program.directory().map(PathBuf::from),
            reserved: program.files().iter().map(|file| (file.clone(), "the program".to_owned())).collect(),
            writers: Vec::new(),
            prints_results: false,
            skip_bad_lines: false,
            supervision: Declared::default(),
            context_supervision: Vec::new(),
            strategy: None,
            seed: DEFAULT_SEED,
            events: Events::none(),
            keeps_dead_letters: false,
            interrupt: None,
            checkpoints: None,
            hub: None,
            rollback: None,
            outcome: None,
            metrics: None,
            #[cfg(feature = "faults")]
            faults: Vec::new(),
            #[cfg(feature = "faults")]
            armed: Vec::new(),
        }
    }

    /// How rows of several rings are merged. Default: `timestamp`.
    #[must_use]
    pub fn order(mut self, order: MergeOrder) -> Self {
        self.order = Some(order);
        self
    }

    /// How workers wait. Default: `auto`.
    #[must_use]
    pub fn idle(mut self, idle: Idle) -> Self {
        self.idle = Some(idle);
        self
    }

    /// Slots of each ring, in rows. Default: 1024.
    #[must_use]
    pub fn capacity(mut self, rows: usize) -> Self {
        self.capacity = Some(rows);
        self
    }

    /// What to do where a thread cannot be pinned. Default: warn and run unpinned.
    #[must_use]
    pub fn pin(mut self, pin: PinPolicy) -> Self {
        self.pin = pin;
        self
    }

    /// What to ask the operating system for beside CPUs. Default: nothing. What it refuses is an error; what became
    /// of it stands in the [`Stats`](super::Stats).
    ///
    /// ```
    /// use varpin::cores::LowJitter;
    /// use varpin::engine::{Engine, Program};
    /// let program = Program::parse("context work\nstream S = R.context(work).emit(v: v)")?;
    /// let mut low_jitter = LowJitter::default();
    /// low_jitter.prefault_rings = true;
    /// let mut engine = Engine::builder(&program).low_jitter(low_jitter).build()?;
    /// let stats = engine.finish(|_| {})?;
    /// assert_eq!(stats.low_jitter.prefaulted_bytes, stats.low_jitter.ring_bytes);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn low_jitter(mut self, low_jitter: LowJitter) -> Self {
        self.low_jitter = low_jitter;
        self
    }

    /// The most events of one duty cycle. Default: 256.
    #[must_use]
    pub fn batch_limit(mut self, events: usize) -> Self {
        self.batch_limit = events;
        self
    }

    /// After how many pushes an [`Input`](super::Input) publishes by itself. Default: 1, every event at once. More is
    /// faster and later: who sets it must call `flush` when there is nothing more to push for now.
    #[must_use]
    pub fn publish_every(mut self, events: usize) -> Self {
        self.publish_every = events;
        self
    }

    /// How many results are kept for a poll where the program runs on the caller's thread. Default: about a million.
    #[must_use]
    pub fn results_limit(mut self, results: usize) -> Self {
        self.results_limit = results;
        self
    }

    /// How many [`Input`](super::Input)s feed the engine, each from a thread of its own. With more than one there is
    /// a stage in front that merges and numbers what they bring. Default: 1.
    #[must_use]
    pub fn inputs(mut self, inputs: usize) -> Self {
        self.inputs = inputs;
        self
    }

    /// Gives the program a thread even where it declares no context.
    #[must_use]
    pub fn threaded(mut self) -> Self {
        self.threads = Threads::Always;
        self
    }

    /// No more threads than CPUs that the process may use: each steps the stages of several contexts and pools in turn.
    /// For programs with more contexts than CPUs, whose threads would take the CPUs from each other.
    ///
    /// Contexts on one CPU share a thread; those without a CPU are dealt out evenly ([`fuse`](crate::cores::fuse)).
    /// Results are the same. What contexts declare about restarts, breakers and stalls is refused: what fails takes its
    /// thread along, and with it contexts that did not fail. A worker that a [resize](super::Engine::resize) adds
    /// has a thread of its own.
    ///
    /// ```
    /// use varpin::engine::{Engine, Program};
    /// let program = Program::parse(
    ///     "context a\ncontext b\ncontext c\n\
    ///      stream S = Tick.context(a)\nstream T = S.context(b)\nstream U = T.context(c).emit(n: n)",
    /// )?;
    /// let mut engine = Engine::builder(&program).fused().build()?;
    /// let tick = engine.event_type("Tick")?;
    /// engine.feed(tick.event_with(0, [("n", 7.into())])?, |_| ())?;
    /// let mut results = 0;
    /// engine.finish(|_| results += 1)?;
    /// assert_eq!(results, 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn fused(mut self) -> Self {
        self.threads = Threads::Fused;
        self
    }

    /// No thread: the caller steps every stage, with [`Engine::step`]. For embedders with threads of their own, and
    /// for tests.
    #[must_use]
    pub fn stepped(mut self) -> Self {
        self.threads = Threads::Stepped;
        self
    }

    /// Bounds on what streams may hold. The program's `config engine` wins over these.
    #[must_use]
    pub fn limits(mut self, limits: Limits) -> Self {
        self.limits = limits;
        self
    }

    /// Runs live: `clock` moves time, and not only the events do.
    ///
    /// Windows, sessions, joins and sequences close by the clock, as an event of its time would close them;
    /// timers tick by it, and `now()` is the time of the last tick, at most 1 ms ago where events come. Events made by
    /// [`EventType::event_now`](super::EventType::event_now) get its time when they enter. Time is told by
    /// [`Engine::feed`], [`Engine::poll`], [`Engine::step`], [`Input::push`](super::Input::push) and
    /// [`Input::flush`](super::Input::flush): call one of them at least a hundred times a second.
    ///
    /// An event with a time of its own is late where the clock (less the stream's `out_of_order`) is beyond the end of
    /// all its windows when it comes.
    ///
    /// ```
    /// use varpin::clock::ManualClock;
    /// use varpin::engine::{Engine, Program};
    /// let program = Program::parse("stream Quiet = Ping.window(session: 5s).aggregate(pings: count())")?;
    /// let clock = ManualClock::new(0);
    /// let mut engine = Engine::builder(&program).live(clock.clone()).build()?;
    /// let ping = engine.event_type("Ping")?;
    /// engine.feed(ping.event_now(), |_| unreachable!("the session is open"))?;
    /// clock.advance(6_000_000_000);
    /// let mut results = Vec::new();
    /// engine.poll(|result| results.push(result.to_json()));
    /// assert_eq!(results, [r#"{"stream":"Quiet","ts":"1970-01-01T00:00:04.999999999Z","data":{"pings":1}}"#]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn live(mut self, clock: impl Clock + Send + Sync + 'static) -> Self {
        self.clock = Some(Arc::new(clock));
        self
    }

    /// Where the files of the program's connectors are. Default: the directory of its file, if it was loaded from one.
    /// No path of a connector leads out of it.
    #[must_use]
    pub fn directory(mut self, directory: impl Into<PathBuf>) -> Self {
        self.directory = Some(directory.into());
        self
    }

    /// Writes what `open` opens instead of the file (or the console) of the connector called `name`; one that
    /// `.to(file, ..)` leaves without a name is called by its kind. Lines come whole, many at a time, on the thread
    /// that takes results, and an error ends the run.
    ///
    /// ```
    /// use std::io::Write;
    /// use std::sync::{Arc, Mutex};
    /// use varpin::engine::{Engine, Program};
    ///
    /// #[derive(Clone, Default)]
    /// struct Sent(Arc<Mutex<Vec<u8>>>);
    /// impl Write for Sent {
    ///     fn write(&mut self, lines: &[u8]) -> std::io::Result<usize> {
    ///         self.0.lock().unwrap().write(lines)
    ///     }
    ///     fn flush(&mut self) -> std::io::Result<()> {
    ///         Ok(())
    ///     }
    /// }
    ///
    /// let program = Program::parse(
    ///     "connector alerts = file (path: \"alerts.csv\")
    ///      stream Hot = Reading.where(celsius > 30).emit(room: room).to(alerts)",
    /// )?;
    /// let sent = Sent::default();
    /// let writer = sent.clone();
    /// let mut engine = Engine::builder(&program).writer("alerts", move || Ok(Box::new(writer.clone()))).build()?;
    /// let reading = engine.event_type("Reading")?;
    /// let (room, celsius) = (reading.field("room")?, reading.field("celsius")?);
    /// let mut event = reading.event(0);
    /// event.set(&room, "kiln")?;
    /// event.set(&celsius, 900)?;
    /// engine.feed(event, |_| {})?;
    /// engine.finish(|_| {})?;
    /// assert_eq!(*sent.0.lock().unwrap(), b"@timestamp,room\n1970-01-01T00:00:00.000Z,kiln\n");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn writer(
        mut self,
        name: impl Into<String>,
        open: impl Fn() -> io::Result<Box<dyn Write + Send>> + Send + Sync + 'static,
    ) -> Self {
        self.writers.push((name.into(), Arc::new(open)));
        self
    }

    /// The caller prints every result on the console itself: `.to(console)` then writes nothing, and each line is there
    /// once.
    #[must_use]
    pub fn prints_results(mut self) -> Self {
        self.prints_results = true;
        self
    }

    /// No connector may write to this file or read it; `what` says in messages what it is.
    #[must_use]
    pub fn reserve(mut self, file: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        self.reserved.push((file.into(), what.into()));
        self
    }

    /// Passes over lines of the program's source files (`.from`) that are no events;
    /// [`Engine::take_bad_lines`] has them. Default: they end the run with an error.
    #[must_use]
    pub fn skip_bad_lines(mut self) -> Self {
        self.skip_bad_lines = true;
        self
    }

    /// Measures the latency of one event in `every`, for [`Engine::metrics`]; 0 measures none. Default: what the
    /// program's `config engine { latency_sample: 1/N }` says, else none.
    #[must_use]
    pub fn latency_sample(mut self, every: u32) -> Self {
        self.latency_sample = Some(every);
        self
    }

    /// What becomes of contexts that fail, for every context for which
    /// [`supervise_context`](Self::supervise_context) says nothing else. Setting by setting it wins over the program's
    /// `config` blocks.
    ///
    /// ```
    /// use varpin::engine::{Engine, Program};
    /// use varpin::supervise::{Declared, Restart};
    /// let program = Program::parse("context work\nstream S = R.context(work).emit(v: v)")?;
    /// let declared = Declared { restart: Some(Restart::OnFailure), ..Declared::default() };
    /// let engine = Engine::builder(&program).supervise(declared).build()?;
    /// # drop(engine);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn supervise(mut self, declared: Declared) -> Self {
        self.supervision = declared;
        self
    }

    /// The same for one context.
    #[must_use]
    pub fn supervise_context(mut self, context: impl Into<String>, declared: Declared) -> Self {
        self.context_supervision.push((context.into(), declared));
        self
    }

    /// Which contexts are restarted along with one that failed. Default: what the program says, or none.
    #[must_use]
    pub fn strategy(mut self, strategy: Strategy) -> Self {
        self.strategy = Some(strategy);
        self
    }

    /// The seed of everything that is drawn at random: the jitter of restarts. The same seed draws the same.
    #[must_use]
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Hands what happens under supervision to `sink`: starts, failures, restarts, stalls, breakers. It is called on
    /// the supervisor's thread, which does not handle rows; a program that runs on the caller's thread has none, and
    /// hands over when results are polled.
    #[must_use]
    pub fn on_event(mut self, sink: impl FnMut(&Event) + Send + 'static) -> Self {
        self.events = Events::to(Box::new(sink));
        self
    }

    /// Asked while [`Engine::feed`] waits for room on a ring: if it is true, the call comes back with
    /// [`EngineError::Interrupted`](super::EngineError::Interrupted), without having taken the event. Else it waits
    /// as long as it takes.
    #[must_use]
    pub fn interrupt_when(mut self, interrupt: impl Fn() -> bool + Send + Sync + 'static) -> Self {
        self.interrupt = Some(Interrupt(Arc::new(interrupt)));
        self
    }

    /// Keeps checkpoints, and goes on from the newest one where there is any: see [`Checkpoints`].
    #[must_use]
    pub fn checkpoints(mut self, checkpoints: Checkpoints) -> Self {
        self.checkpoints = Some(checkpoints);
        self
    }

    /// Lets a fault strike at a stream, for tests and drills.
    #[cfg(feature = "faults")]
    #[must_use]
    pub fn fault(mut self, fault: crate::context::Fault) -> Self {
        self.faults.push(fault);
        self
    }

    /// Sees to it that there is one on its way for each fault: those that there are, if everything `begins_again`.
    #[cfg(feature = "faults")]
    pub(super) fn arm(&mut self, begins_again: bool) {
        if begins_again {
            for armed in &self.armed {
                armed.lock().unwrap_or_else(std::sync::PoisonError::into_inner).begins_again();
            }
        } else {
            let armed = |fault: &crate::context::Fault| {
                let armed = crate::context::ArmedFault::new(fault.clone());
                crate::context::SharedFault::new(armed.into())
            };
            self.armed = self.faults.iter().map(armed).collect();
        }
    }

    /// Promises that dead letters are taken ([`Engine::take_dead_letters`]) as long as the engine runs: none is
    /// dropped then, and a context whose dead letters nobody takes stands still. Default: those that find no room
    /// are only counted.
    #[must_use]
    pub fn keep_dead_letters(mut self) -> Self {
        self.keeps_dead_letters = true;
        self
    }

    /// Builds the engine and starts its threads.
    pub fn build(mut self) -> Result<Engine, BuildError> {
        for (name, value) in [
            ("capacity", self.capacity.unwrap_or(1)),
            ("batch_limit", self.batch_limit),
            ("publish_every", self.publish_every),
            ("inputs", self.inputs),
        ] {
            if value == 0 {
                return Err(BuildError::Option(format!("{name} must be at least 1")));
            }
        }
        self.declared_checkpoints()?;
        if let Some(live) = self.live_clock() {
            // What `now()` is in the values of globals.
            Arc::make_mut(&mut self.plan).live_since_ns = Some(live.now_ns());
        }
        build::build(&self, None)
    }

    /// Takes what the program says about checkpoints for what the caller does not say.
    fn declared_checkpoints(&mut self) -> Result<(), BuildError> {
        let settings = &self.plan.engine;
        if self.checkpoints.is_none()
            && let Some(below) = &settings.checkpoint_dir
        {
            let Some(directory) = &self.directory else {
                return Err(BuildError::Option(format!(
                    "the program keeps its checkpoints in {below}, and was not loaded from a file: \
                     Builder::directory says below which directory that is"
                )));
            };
            self.checkpoints = Some(Checkpoints::in_directory(directory.join(below)));
        }
        let asks = settings.checkpoint_interval_ns.is_some() || settings.checkpoint_events.is_some();
        match &mut self.checkpoints {
            Some(checkpoints) => checkpoints.declared(settings),
            None if asks => {
                return Err(BuildError::Option(
                    "the program says how often checkpoints are made, and nobody says where they are kept: \
                     `checkpoint_dir`, or --checkpoint-dir"
                        .to_owned(),
                ));
            }
            None => {}
        }
        Ok(())
    }

    /// The clock that a live engine goes by.
    pub(super) fn live_clock(&self) -> Option<LiveClock> {
        let clock = Arc::clone(self.clock.as_ref()?);
        Some(LiveClock::new(clock, self.plan.uses_clock()))
    }

    pub(super) fn effective_order(&self) -> MergeOrder {
        let configured = self.plan.engine.order.as_deref().and_then(|order| order.parse().ok());
        self.order.or(configured).unwrap_or_default()
    }

    /// Of so many events the latency of one is measured; 0: of none.
    pub(super) fn effective_latency_sample(&self) -> u32 {
        self.latency_sample.or(self.plan.engine.latency_sample).unwrap_or(0)
    }

    pub(super) fn effective_capacity(&self, context: usize) -> usize {
        let own = self.plan.contexts[context].settings.capacity;
        self.capacity.or(own).or(self.plan.engine.capacity).unwrap_or(DEFAULT_CAPACITY)
    }

    /// The idle strategy of a context; `auto` is not resolved yet.
    pub(super) fn effective_idle(&self, context: usize) -> Idle {
        let parse = |idle: &Option<String>| idle.as_deref().and_then(|idle| idle.parse().ok());
        let own = parse(&self.plan.contexts[context].settings.idle);
        self.idle.or(own).or_else(|| parse(&self.plan.engine.idle)).unwrap_or(Idle::Auto)
    }

    /// What becomes of a row when a ring that leads into this context is full.
    pub(super) fn when_full(&self, context: usize) -> WhenFull {
        let own = self.plan.contexts[context].settings.when_full.as_deref();
        own.and_then(|policy| policy.parse().ok()).unwrap_or_default()
    }
}
