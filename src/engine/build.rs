//! From a plan and its settings to stages on rings, and workers on CPUs.

use std::path::Path;

use crate::context::{
    Condemned, ContextStage, EdgeSpec, From, GateKeeper, Merging, Rebuild, Router, SnapshotSink,
    StageCommand, StageParts, StageSpec, Streams, Ticker, Topology, mergings, topology,
};
use crate::cores::{CpuWish, PinPolicy, allowed_cpus, cpu_quota, fuse, place};
use crate::event::{Row, SnapshotReader};
use crate::flow::{
    FanIn, LaneOptions, MergeOrder, OutPort, OutsideEnds, RingCare, RingEnd, RingMemory, Stage, Worker,
};
use crate::idle::{AutoCase, Idle, Waker, choose_auto};
use crate::metrics::Place;
use crate::ring::{self, Receiver, Sender, Tally, WhenFull};
use crate::supervise::{Rollback, Supervised};
use crate::sync::Arc;
use crate::vpl::plan::{Plan, Strategy};

use super::builder::{Builder, Threads};
use super::checkpoints::{MeetingPart, StagePart};
use super::connectors::Connectors;
use super::elastic::Elastic;
use super::error::BuildError;
use super::inline::Inline;
use super::input::{End, Input};
use super::letters::Letters;
use super::log::LogRing;
use super::merge::InputStage;
use super::metrics::Registry;
use super::output::Output;
use super::record::Layouts;
use super::recovery::{Recovery, Restored};
use super::regroup::Regroup;
use super::rollback::{Again, Legacy};
use super::run::{Engine, Mode, Stepper, Threaded};
use super::stats::{DeadLetter, StageStats};
use super::supervision::{Care, Supervision, board};
use super::tuning;

/// Commands that a stage may have before it that it has not obeyed.
const INBOX_SLOTS: usize = 256;

/// Builds an engine; one that takes the place of another that is rolled back has its `legacy`.
pub(super) fn build(builder: &Builder, mut legacy: Option<Legacy>) -> Result<Engine, BuildError> {
    let as_asked = builder;
    let supervision = Supervision::of(builder)?;
    let store = legacy.as_mut().and_then(|legacy| legacy.store.take());
    let recovery = Recovery::open(builder, &supervision, store)?;
    let mut builder = builder.clone();
    if let Some(recovery) = &recovery {
        builder.hub = Some(Arc::clone(&recovery.writer.hub));
        if let Some(found) = &recovery.found {
            found.size_pools(Arc::make_mut(&mut builder.plan));
        }
    }
    let found = recovery.as_ref().and_then(|recovery| recovery.found.as_ref());
    let rolled_back = legacy.as_mut().map(|legacy| legacy.begin(&builder, found));
    if let Some(Recovery { writer, .. }) = recovery.as_ref().filter(|_| supervision.restarts()) {
        let memory = legacy.as_ref().map(|legacy| legacy.memory.clone()).unwrap_or_default();
        let hub = Arc::clone(&writer.hub);
        // From then on no checkpoint is written: what stops out of turn has shares in it that are none.
        builder.rollback = Some(Rollback::new(memory, move || hub.give_up()));
    }
    #[cfg(feature = "faults")]
    builder.arm(legacy.is_some());
    // What is built tells of itself there, also what is added later.
    let past = legacy.as_ref().map(|legacy| legacy.past).unwrap_or_default();
    builder.registry = Arc::new(Registry::new(&builder, past));
    if let Some(Legacy { metrics, outcome, .. }) = &legacy {
        metrics.renew(&builder.registry);
        (builder.metrics, builder.outcome) = (Some(metrics.clone()), Some(outcome.clone()));
    }
    let builder = &builder;
    let plan = &builder.plan;
    let layouts = Arc::new(Layouts::of(plan));
    let topology = topology(plan);
    let order = builder.effective_order();
    let limits = builder.limits.with(&plan.engine);
    let restore = |streams: &mut [Streams]| match found {
        Some(found) => streams
            .iter_mut()
            .try_for_each(|streams| streams.restore(&found.saved))
            .map_err(|error| found.nonsense(error)),
        None => Ok(()),
    };
    let is_supervised = supervision.contexts.iter().any(Supervised::needs_supervisor);
    if builder.threads == Threads::AsDeclared && !plan.threaded && !is_supervised {
        let mut streams = Streams::compile(plan, &topology, 0, order, &limits)?;
        arm(builder, std::slice::from_mut(&mut streams))?;
        restore(std::slice::from_mut(&mut streams))?;
        let logs = LogRing::attach(plan, &mut streams).into_iter().collect();
        let main = [("main".to_owned(), Some(0))];
        let board = board(builder, &supervision, &topology, &Seats::dedicated(), &[], &main, None);
        let Connectors { delivery, sources, outcome, members } = Connectors::open(builder, &layouts)?;
        board.add_sinks(members);
        let mut inline = Inline::new(Arc::clone(plan), streams, builder.live_clock(), delivery)
            .with_sources(sources, &outcome)
            .told(&builder.registry);
        if let Some(recovery) = &recovery {
            inline.keep_checkpoints(recovery)?;
        }
        let mode = Mode::Inline(Box::new(inline));
        let tuned = tuning::without_threads(builder, None)?;
        let engine = Engine::new(builder, layouts, mode, board, Vec::new(), logs, Vec::new());
        return Ok(engine.tuned(tuned).with_connectors(outcome).recovered(recovery));
    }
    let mut streams = Vec::with_capacity(topology.stages.len());
    for stage in 0..topology.stages.len() {
        streams.push(Streams::compile(plan, &topology, stage, order, &limits)?);
    }
    arm(builder, &mut streams)?;
    restore(&mut streams)?;
    let logs = streams.iter_mut().filter_map(|streams| LogRing::attach(plan, streams)).collect();
    let places: Vec<Place> = streams.iter_mut().map(|streams| streams.env().place.clone()).collect();
    if builder.threads == Threads::Stepped {
        if is_supervised {
            return Err(BuildError::Unsupervised { threads: "a stepped engine" });
        }
        let contexts = plan.contexts.iter().enumerate();
        let names: Vec<_> = contexts.map(|(at, context)| (context.name.clone(), Some(at))).collect();
        let seats = Seats::dedicated();
        let board = board(builder, &supervision, &topology, &seats, &places, &names, None);
        let mut connectors = Connectors::open(builder, &layouts)?;
        board.add_sinks(std::mem::take(&mut connectors.members));
        let outcome = connectors.outcome.clone();
        let mut assembly = Assembly::new(builder, &topology, &seats, streams, &[], connectors, None, found)?;
        assembly.keep_checkpoints(recovery.as_ref())?;
        let dead_letters = std::mem::take(&mut assembly.dead_letters);
        let tuned = tuning::without_threads(builder, Some(assembly.rings.clone()))?;
        let (stepper, links) = Stepper::new(assembly);
        let mode = Mode::Stepped(Box::new(stepper));
        let engine = Engine::new(builder, layouts, mode, board, dead_letters, logs, Vec::new());
        let elastic = Elastic::new(builder, links);
        return Ok(engine.tuned(tuned).with_connectors(outcome).elastic(elastic).recovered(recovery));
    }
    if builder.threads == Threads::Fused && is_supervised {
        return Err(BuildError::Unsupervised { threads: "an engine of fused threads" });
    }
    let Crew { mut workers, seats, mut warnings } = crew(builder, &topology)?;
    warnings.extend(supervision.warnings(plan));
    let wakers: Vec<Option<Waker>> = workers.iter().map(Worker::waker).collect();
    let names: Vec<_> = workers.iter().map(|worker| (worker.name().to_owned(), worker.group())).collect();
    let known = legacy.as_ref().map(|legacy| &legacy.board);
    let board = board(builder, &supervision, &topology, &seats, &places, &names, known);
    let mut connectors = Connectors::open(builder, &layouts)?;
    let origin = connectors.originate(legacy.as_ref(), found.is_some())?;
    board.add_sinks(std::mem::take(&mut connectors.members));
    let outcome = connectors.outcome.clone();
    let care = supervision.care(builder, &topology, &board);
    let mut assembly = Assembly::new(builder, &topology, &seats, streams, &wakers, connectors, care, found)?;
    assembly.keep_checkpoints(recovery.as_ref())?;
    for (worker, stage) in assembly.stages {
        workers[worker].add_boxed(stage);
    }
    let outside = assembly.outside.clone();
    let running = supervision
        .start(builder, workers, &topology, &board)?
        .with_outside_ends(outside)
        .with_ring_memory(assembly.rings);
    let tuned = tuning::with_threads(builder, &running);
    builder.registry.set_workers(running.loads());
    let threaded = Threaded::new(running, assembly.inputs, assembly.output, assembly.stats, assembly.drops);
    let mode = Mode::Threads(Box::new(threaded));
    let engine = Engine::new(builder, layouts, mode, board, assembly.dead_letters, logs, warnings);
    let elastic = Elastic::new(builder, assembly.links);
    let again = builder.rollback.clone().map(|rollback| Again::new(as_asked, builder, rollback, origin));
    let engine = engine.with_again(again, rolled_back, past);
    Ok(engine.tuned(tuned).with_connectors(outcome).elastic(elastic).recovered(recovery))
}

/// Lets the faults strike that the builder was given.
#[cfg(feature = "faults")]
fn arm(builder: &Builder, streams: &mut [Streams]) -> Result<(), BuildError> {
    for (fault, armed) in builder.faults.iter().zip(&builder.armed) {
        if !fault.stream.is_empty() && !streams.iter_mut().any(|streams| streams.arm(fault, armed)) {
            let worker = fault.worker.map_or_else(String::new, |worker| format!(" with a worker {worker}"));
            let stream = &fault.stream;
            return Err(BuildError::Option(format!("fault: the program has no stream `{stream}`{worker}")));
        }
    }
    Ok(())
}

#[cfg(not(feature = "faults"))]
#[expect(clippy::unnecessary_wraps, reason = "the other one fails")]
fn arm(_builder: &Builder, _streams: &mut [Streams]) -> Result<(), BuildError> {
    Ok(())
}

/// Which worker runs a stage where each has a thread of its own: one for each context, in their order; behind them one
/// for each worker of a pool, and one for the stage in front of several inputs.
pub(super) fn worker_of(plan: &Plan, topology: &Topology, from: From) -> usize {
    let contexts = plan.contexts.len();
    match from {
        From::Input => contexts + topology.stages.iter().filter(|stage| stage.worker.is_some()).count(),
        From::Stage(stage) => {
            let spec = &topology.stages[stage];
            spec.worker.map_or(spec.context, |worker| contexts + worker.thread)
        }
    }
}

/// Which thread each worker sits on.
pub(super) struct Seats {
    /// By worker; `None` where each has its own.
    fused: Option<Vec<usize>>,
}

impl Seats {
    /// Each worker has a thread of its own.
    pub(super) fn dedicated() -> Self {
        Self { fused: None }
    }

    /// The thread of a stage. Where an only input has none, a number that no thread has.
    pub(super) fn of(&self, plan: &Plan, topology: &Topology, from: From) -> usize {
        let worker = worker_of(plan, topology, from);
        let Some(threads) = &self.fused else { return worker };
        threads.get(worker).copied().unwrap_or(usize::MAX)
    }
}

/// The threads to be, who sits on which, and what was asked for in vain.
struct Crew {
    workers: Vec<Worker>,
    seats: Seats,
    warnings: Vec<String>,
}

fn crew(builder: &Builder, topology: &Topology) -> Result<Crew, BuildError> {
    let plan = &builder.plan;
    let allowed = allowed_cpus().map_err(BuildError::Cpus)?;
    // The first CPU of a context is its own, the others are its pools'.
    let mut pooled: Vec<(&str, usize, usize)> = Vec::new();
    let mut all_of: Vec<usize> = vec![1; plan.contexts.len()];
    let mut pools: Vec<&StageSpec> = topology.stages.iter().filter(|stage| stage.worker.is_some()).collect();
    pools.sort_by_key(|stage| stage.worker.map(|worker| worker.thread));
    for stage in pools {
        pooled.push((&stage.name, stage.context, all_of[stage.context]));
        all_of[stage.context] += 1;
    }
    let wishes: Vec<CpuWish<'_>> = plan
        .contexts
        .iter()
        .zip(&all_of)
        .map(|(context, &workers)| CpuWish { name: &context.name, cpus: &context.cores, workers })
        .collect();
    let placement = place(&wishes, &allowed, builder.pin)?;
    let mut names: Vec<(&str, Option<usize>)> = plan
        .contexts
        .iter()
        .zip(&placement.cpus)
        .map(|(context, cpus)| (context.name.as_str(), cpus.first().copied().flatten()))
        .collect();
    names.extend(
        pooled
            .iter()
            .map(|&(name, context, place)| (name, placement.cpus[context].get(place).copied().flatten())),
    );
    if builder.inputs > 1 {
        names.push(("input", None));
    }
    let pinned: Vec<(&str, Option<usize>)> = match builder.pin {
        PinPolicy::Off => names.iter().map(|&(name, _)| (name, None)).collect(),
        PinPolicy::Strict | PinPolicy::BestEffort => names.clone(),
    };
    let quota_cpus = cpu_quota(Path::new("/"));
    let context_of = |worker: usize| match worker.checked_sub(plan.contexts.len()) {
        None => Some(worker),
        Some(pool) => pooled.get(pool).map(|&(_, context, _)| context),
    };
    let wish = |worker| context_of(worker).map_or(Idle::Auto, |context| builder.effective_idle(context));
    let case = |workers: &[(&str, Option<usize>)]| {
        choose_auto(&AutoCase { workers, other_busy_threads: 1, allowed: &allowed, quota_cpus })
    };
    let warnings = placement.warnings;
    if builder.threads == Threads::Fused {
        let cpus: Vec<Option<usize>> = pinned.iter().map(|&(_, cpu)| cpu).collect();
        let usable = quota_cpus.map_or(usize::MAX, |quota| quota.ceil() as usize).min(allowed.len());
        let threads = fuse(&cpus, usable);
        let names: Vec<String> = (0..threads.len()).map(|thread| format!("fused{thread}")).collect();
        let placed: Vec<_> =
            names.iter().zip(&threads).map(|(name, thread)| (name.as_str(), thread.cpu)).collect();
        let auto = case(&placed);
        let mut seats = vec![0; cpus.len()];
        let workers = names.iter().zip(&threads).enumerate().map(|(at, (name, thread))| {
            thread.workers.iter().for_each(|&worker| seats[worker] = at);
            let (idle, why) = idle_of(thread.workers.iter().map(|&worker| wish(worker)), &auto);
            Worker::new(name.clone(), idle).on_cpu(thread.cpu).because(why)
        });
        let workers = workers.collect();
        return Ok(Crew { workers, seats: Seats { fused: Some(seats) }, warnings });
    }
    let auto = case(&pinned);
    let workers = names.iter().enumerate().map(|(at, &(name, cpu))| {
        let (idle, why) = idle_of([wish(at)], &auto);
        let worker = Worker::new(name, idle).on_cpu(cpu).because(why);
        match context_of(at) {
            Some(context) => worker.in_group(context),
            None => worker,
        }
    });
    Ok(Crew { workers: workers.collect(), seats: Seats::dedicated(), warnings })
}

/// How a thread waits, and why: as those that sit on it ask for, the most impatient of them.
fn idle_of(wishes: impl IntoIterator<Item = Idle>, auto: &(Idle, String)) -> (Idle, String) {
    let patience =
        |idle: &Idle| [Idle::Spin, Idle::Yield, Idle::Backoff, Idle::Park].iter().position(|at| at == idle);
    match wishes.into_iter().filter(|wish| *wish != Idle::Auto).min_by_key(patience) {
        None => auto.clone(),
        Some(asked) => (asked, "asked for".to_owned()),
    }
}

/// Stages joined by rings, and the ends that belong to nobody yet.
pub(super) struct Assembly {
    /// The stages in the order of flow, each with the worker that runs it.
    pub(super) stages: Vec<(usize, Box<dyn Stage>)>,
    pub(super) inputs: Vec<Input>,
    pub(super) output: Output,
    pub(super) stats: Vec<StageStats>,
    /// The rings on which something may be dropped.
    pub(super) drops: Vec<(String, Tally)>,
    pub(super) dead_letters: Vec<Receiver<DeadLetter>>,
    pub(super) outside: OutsideEnds,
    /// The memory of the rings.
    pub(super) rings: RingMemory,
    pub(super) links: Links,
}

impl Assembly {
    #[expect(clippy::too_many_arguments, reason = "its parts")]
    fn new(
        builder: &Builder,
        topology: &Topology,
        seats: &Seats,
        streams: Vec<Streams>,
        wakers: &[Option<Waker>],
        connectors: Connectors,
        mut supervised: Option<Care>,
        found: Option<&Restored>,
    ) -> Result<Self, BuildError> {
        let order = builder.effective_order();
        let count = topology.stages.len();
        let outside = OutsideEnds::default();
        // One input needs no worker, and has no waker.
        let waker = |from| wakers.get(seats.of(&builder.plan, topology, from)).cloned().flatten();
        let care = RingCare::new(&builder.low_jitter);
        let mergings = mergings(topology, order);
        let mut inputs: Vec<FanIn<Row>> = mergings.iter().map(|merging| FanIn::new(merging.order)).collect();
        let mut outputs: Vec<Vec<OutPort<Row>>> = (0..count).map(|_| Vec::new()).collect();
        let mut entry: Vec<OutPort<Row>> = Vec::new();
        let mut drops = Vec::new();
        let mut routes: Vec<Vec<usize>> = vec![Vec::new(); builder.plan.names.len()];
        for edge in &topology.edges {
            let (port, end) = ring_of(builder, &care, topology, edge, &waker, &mergings);
            inputs[edge.to].add(end);
            if port.policy().drops() {
                drops.push((port.name().to_owned(), port.tally()));
            }
            match edge.from {
                From::Stage(from) => outputs[from].push(port),
                From::Input => {
                    for &name in &edge.relays {
                        routes[name].push(entry.len());
                    }
                    entry.push(port);
                }
            }
        }
        // Results: a ring from every stage that has some.
        let mut results = FanIn::new(order);
        for (stage, spec) in topology.stages.iter().enumerate() {
            let (port, end) = results_ring(builder, &care, spec, waker(From::Stage(stage)));
            results.add(end);
            outputs[stage].push(port);
        }
        let mut router = Router::new(entry, routes, Ticker::new(&builder.plan)).live(builder.live_clock());
        // One input is the router's owner, and takes it up with the rest.
        if let Some(found) = found.filter(|_| builder.inputs > 1) {
            let mut reader = SnapshotReader::new(&found.meeting);
            let restored = router.entry().restore(&mut reader, found.keeps_timers);
            restored.map_err(|error| found.nonsense(error))?;
        }
        let mut stages: Vec<(usize, Box<dyn Stage>)> = Vec::new();
        let front = seats.of(&builder.plan, topology, From::Input);
        let mut inputs_of_engine =
            enter(builder, &care, router, order, &outside, (front, waker(From::Input)), &mut stages);
        let mut stats = Vec::new();
        let mut dead_letters = Vec::new();
        let mut inboxes = Vec::new();
        for (stage, (streams, (inputs, outputs))) in
            streams.into_iter().zip(inputs.into_iter().zip(outputs)).enumerate()
        {
            let (sender, inbox) = inbox_of(&builder.plan, topology, stage, &waker).unzip();
            inboxes.push(sender);
            let worker = seats.of(&builder.plan, topology, From::Stage(stage));
            let care = StageCare::of(supervised.as_mut(), stage, waker(From::Stage(stage)));
            let made = made_stage(builder, topology, stage, streams, inputs, outputs, inbox, care);
            stages.push((worker, Box::new(made.stage)));
            stats.push(made.stats);
            dead_letters.push(made.dead_letters);
        }
        let regroup = Regroup::new(&builder.plan, order);
        let Connectors { delivery, sources, outcome, .. } = connectors;
        if let Some(first) = inputs_of_engine.first_mut() {
            first.bring(sources, &outcome);
        }
        let (output_inbox, inbox) = ring::bounded(INBOX_SLOTS);
        let output = Output::new(
            results,
            regroup,
            delivery,
            inbox,
            builder.registry.output_watch(),
            builder.rollback.clone(),
        );
        let wakers = (0..count).map(|stage| waker(From::Stage(stage))).collect();
        let links = Links {
            topology: topology.clone(),
            mergings,
            inboxes,
            output: output_inbox,
            wakers,
            care: supervised,
        };
        Ok(Self {
            stages,
            inputs: inputs_of_engine,
            output,
            stats,
            drops,
            dead_letters,
            outside,
            rings: care.memory(),
            links,
        })
    }
}

impl Assembly {
    /// Gives the ends their parts in checkpoints, and what they go on from.
    fn keep_checkpoints(&mut self, recovery: Option<&Recovery>) -> Result<(), BuildError> {
        let Some(recovery) = recovery else { return Ok(()) };
        let inputs = self.inputs.len();
        self.inputs.iter_mut().try_for_each(|input| input.keep_checkpoints(recovery, inputs))?;
        self.output.keep_checkpoints(recovery)
    }
}

/// What it takes to join more stages to those that run.
#[derive(Debug)]
pub(super) struct Links {
    pub(super) topology: Topology,
    pub(super) mergings: Vec<Merging>,
    /// By stage: where it is told of resizes.
    pub(super) inboxes: Vec<Option<Sender<StageCommand>>>,
    /// The same of the output.
    pub(super) output: Sender<StageCommand>,
    /// By stage: what wakes its worker.
    pub(super) wakers: Vec<Option<Waker>>,
    /// What stages need that are supervised.
    pub(super) care: Option<Care>,
}

/// An inbox for a stage that resizes concern: a front or a worker of a pool, or one that takes a pool's rows.
pub(super) fn inbox_of(
    plan: &Plan,
    topology: &Topology,
    stage: usize,
    waker: &impl Fn(From) -> Option<Waker>,
) -> Option<(Sender<StageCommand>, Receiver<StageCommand>)> {
    let spec = &topology.stages[stage];
    let is_front = || spec.streams.iter().any(|&stream| plan.streams[stream].pool.is_some());
    let takes = || topology.edges.iter().any(|edge| edge.to == stage && edge.is_from_pool(topology));
    (is_front() || takes()).then(|| {
        let (mut sender, receiver) = ring::bounded(INBOX_SLOTS);
        sender.set_waker(waker(From::Stage(stage)));
        (sender, receiver)
    })
}

/// A stage, and what it tells others.
pub(super) struct MadeStage {
    pub(super) stage: ContextStage,
    pub(super) stats: StageStats,
    pub(super) dead_letters: Receiver<DeadLetter>,
}

/// What a stage is given so that it can be supervised, and what wakes it.
#[derive(Default)]
pub(super) struct StageCare {
    pub(super) rebuild: Option<Rebuild>,
    pub(super) gate: Option<Box<dyn GateKeeper>>,
    pub(super) condemned: Option<Box<Condemned>>,
    pub(super) waker: Option<Waker>,
}

impl StageCare {
    /// What a stage is given where it is supervised, or nothing but what wakes it.
    pub(super) fn of(supervised: Option<&mut Care>, stage: usize, waker: Option<Waker>) -> Self {
        match supervised {
            Some(care) => care.of(stage, waker),
            None => Self { waker, ..Self::default() },
        }
    }
}

/// Puts a stage together.
#[expect(clippy::too_many_arguments, reason = "its parts")]
pub(super) fn made_stage(
    builder: &Builder,
    topology: &Topology,
    stage: usize,
    streams: Streams,
    inputs: FanIn<Row>,
    outputs: Vec<OutPort<Row>>,
    inbox: Option<Receiver<StageCommand>>,
    care: StageCare,
) -> MadeStage {
    let spec = &topology.stages[stage];
    let stats = StageStats {
        streams: spec.streams.clone(),
        worker: spec.worker.map(|worker| worker.index),
        ..StageStats::default()
    };
    let StageCare { rebuild, gate, condemned, waker } = care;
    let (letters, dead_letters) =
        Letters::new(&builder.plan, &stats.failures, builder.keeps_dead_letters, waker);
    let lanes: Vec<&EdgeSpec> = topology.edges.iter().filter(|edge| edge.to == stage).collect();
    let from_pool: Vec<bool> = lanes.iter().map(|edge| edge.is_from_pool(topology)).collect();
    let is_shared = |edge: &&EdgeSpec| match edge.from {
        From::Stage(from) => topology.stages[from].streams.iter().any(|&stream| {
            let pool = builder.plan.streams[stream].pool.as_ref();
            pool.is_some_and(|pool| pool.strategy != Strategy::Broadcast)
        }),
        From::Input => false,
    };
    let shares_flush = lanes.iter().map(|edge| edge.is_from_pool(topology) && is_shared(edge)).collect();
    let from_input = |&(_, edge): &(usize, &&EdgeSpec)| edge.from == From::Input && builder.inputs == 1;
    let outside = lanes.iter().enumerate().filter(from_input).map(|(lane, _)| lane).collect();
    let parts = StageParts {
        outside,
        name: spec.name.clone(),
        streams,
        inputs,
        outputs,
        single_rows: lanes.len() == 1 && lanes[0].one_per_seq && !from_pool[0],
        batch_limit: builder.batch_limit,
        failures: Box::new(letters),
        rebuild,
        gate,
        condemned,
        stats: Arc::clone(&stats.counts),
        hottest: Arc::clone(&stats.hottest),
        gauges: builder.registry.stage(&stats),
        snapshots: builder.checkpoints.as_ref().zip(builder.hub.as_ref()).map(|(settings, hub)| {
            // Where workers are fused one of them says for all how they wait.
            let may_park =
                (0..builder.plan.contexts.len()).any(|at| builder.effective_idle(at) == Idle::Park);
            Box::new(StagePart::new(settings, hub, &spec.name).may_park(may_park)) as Box<dyn SnapshotSink>
        }),
        inbox,
        from_pool,
        shares_flush,
    };
    MadeStage { stage: ContextStage::new(parts), stats, dead_letters }
}

/// The ring that takes a stage's results to the output.
pub(super) fn results_ring(
    builder: &Builder,
    care: &RingCare,
    spec: &StageSpec,
    waker: Option<Waker>,
) -> (OutPort<Row>, RingEnd<Row>) {
    let (mut sender, mut receiver) = ring::bounded(builder.effective_capacity(spec.context));
    care.tend(&mut sender);
    sender.set_waker(None);
    receiver.set_waker(waker);
    let mut port = OutPort::new(format!("{} -> output", spec.name), sender);
    if builder.effective_order() == MergeOrder::Deterministic {
        port = port.announces_progress();
    }
    let lowest_rank = spec.results(&builder.plan).next().map_or(0, |stream| stream as u16 + 1);
    builder.registry.ring(port, receiver, LaneOptions { lowest_rank, ..LaneOptions::default() })
}

/// One ring between two stages, or from the input.
pub(super) fn ring_of(
    builder: &Builder,
    care: &RingCare,
    topology: &Topology,
    edge: &EdgeSpec,
    waker: &impl Fn(From) -> Option<Waker>,
    mergings: &[Merging],
) -> (OutPort<Row>, RingEnd<Row>) {
    let is_unordered = matches!(edge.from, From::Stage(from) if mergings[from].is_unordered);
    let to = &topology.stages[edge.to];
    // Within a context there is nobody to be protected from.
    let is_own = matches!(edge.from, From::Stage(from) if topology.stages[from].context == to.context);
    let when_full = if is_own { WhenFull::Block } else { builder.when_full(to.context) };
    let (mut sender, mut receiver) = ring::with_policy(builder.effective_capacity(to.context), when_full);
    care.tend(&mut sender);
    sender.set_waker(waker(From::Stage(edge.to)));
    receiver.set_waker(waker(edge.from));
    let from = match edge.from {
        From::Input => "input",
        From::Stage(stage) => &topology.stages[stage].name,
    };
    let mut port = OutPort::new(format!("{from} -> {}", to.name), sender);
    if edge.one_per_seq {
        port = port.one_per_seq();
    }
    // Where nothing waits for progress it would only take room.
    if is_unordered {
        port = port.unordered();
    }
    if mergings[edge.to].needs_progress {
        port = port.announces_progress();
    }
    let options = LaneOptions { one_per_seq: edge.one_per_seq, lowest_rank: edge.lowest_rank, is_unordered };
    builder.registry.ring(port, receiver, options)
}

/// The engine's inputs: one that sends by itself, or several in front of a stage.
fn enter(
    builder: &Builder,
    care: &RingCare,
    router: Router,
    order: MergeOrder,
    outside: &OutsideEnds,
    (worker, waker): (usize, Option<Waker>),
    stages: &mut Vec<(usize, Box<dyn Stage>)>,
) -> Vec<Input> {
    let input = |end: End, number: usize| {
        let watch = builder.registry.input_watch(number);
        Input::new(end, outside.clone(), builder.publish_every, watch, builder.rollback.clone())
    };
    if builder.inputs == 1 {
        return vec![input(End::Router(router), 0)];
    }
    // Several inputs have no common sequence: what is merged first comes first.
    let order = if order == MergeOrder::Deterministic { MergeOrder::Arrival } else { order };
    let mut merged = FanIn::new(order);
    let capacity =
        builder.capacity.or(builder.plan.engine.capacity).unwrap_or(super::builder::DEFAULT_CAPACITY);
    let inputs = (0..builder.inputs).map(|number| {
        let (mut sender, receiver) = ring::bounded(capacity);
        care.tend(&mut sender);
        sender.set_waker(waker.clone());
        let port = OutPort::new(format!("input {number} -> input"), sender);
        let options = LaneOptions { one_per_seq: true, ..LaneOptions::default() };
        let (port, lane) = builder.registry.ring(port, receiver, options);
        merged.add(lane);
        input(End::Ring { port, rows: 0 }, number)
    });
    let inputs = inputs.collect();
    let part = builder.hub.as_ref().map(MeetingPart::new);
    let stage = InputStage::new(merged, router, builder.batch_limit, part);
    stages.push((worker, Box::new(stage)));
    inputs
}
