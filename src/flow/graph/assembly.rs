//! From a description to rings and stages: checked first, then built from the outputs to the inputs, so that a stage's
//! takers exist when it is built.

use std::path::Path;

use super::super::fan_in::{FanIn, LaneOptions};
use super::super::item::Envelope;
use super::super::order::MergeOrder;
use super::super::out_port::OutPort;
use super::super::ring_care::{RingCare, RingMemory};
use super::super::runtime::{self, Running, StartError};
use super::super::stage::Stage;
use super::super::worker::{Slot, Worker};
use super::problem::{GraphError, GraphProblem};
use super::stepper::Stepper;
use super::{Graph, Node, Settings, Source};
use crate::cores::{CpuSet, PinPolicy, allowed_cpus, cpu_quota};
use crate::idle::{AutoCase, Idle, Waker, choose_auto};
use crate::ring::{self, WhenFull};

/// How many inputs, stages and outputs a graph can have: each is a rank.
const NODES: usize = u16::MAX as usize;

/// What building a node needs to know of the whole.
pub(super) struct Assembly {
    order: MergeOrder,
    capacity: usize,
    pending_limit: usize,
    pub(super) batch_limit: usize,
    care: RingCare,
    /// For each node, whether it waits for progress or passes it on to one that does.
    needs_progress: Vec<bool>,
    /// For each node, what becomes of an item when a ring that leads there is full.
    when_full: Vec<WhenFull>,
    /// For each node, what wakes its worker.
    wakers: Vec<Option<Waker>>,
}

impl Assembly {
    fn new(graph: &Graph, wakers: Vec<Option<Waker>>) -> Self {
        let Settings { order, capacity, pending_limit, batch_limit, low_jitter, .. } = graph.settings;
        let care = RingCare::new(&low_jitter);
        let mut needs_progress = vec![false; graph.nodes.len()];
        if order == MergeOrder::Deterministic {
            for (node, description) in graph.nodes.iter().enumerate().rev() {
                needs_progress[node] |= description.sources.len() > 1;
                if needs_progress[node] {
                    description.sources.iter().for_each(|&source| needs_progress[source] = true);
                }
            }
        }
        let asked = &graph.settings.when_full;
        // The last word counts.
        let policy = |node: &Node| asked.iter().rev().find(|(stage, _)| *stage == node.name);
        let policy = |node| policy(node).map_or(WhenFull::Block, |(_, policy)| *policy);
        let when_full = graph.nodes.iter().map(policy).collect();
        Self { order, capacity, pending_limit, batch_limit, care, needs_progress, when_full, wakers }
    }

    /// Makes the rings from `sources` to a node: their writing ends go to the outlets of the sources, their reading
    /// ends into a fan-in. Returns, too, which lanes come from inputs.
    pub(super) fn connect<T: Clone>(
        &self,
        sources: &[Source<T>],
        node: usize,
        name: &str,
    ) -> (FanIn<Envelope<T>>, Vec<usize>) {
        let mut fan_in = FanIn::new(self.order);
        let mut input_lanes = Vec::new();
        for source in sources {
            let (mut sender, mut receiver) = ring::with_policy(self.capacity, self.when_full[node]);
            self.care.tend(&mut sender);
            sender.set_waker(self.wakers[node].clone());
            receiver.set_waker(self.wakers[source.node].clone());
            let mut port =
                OutPort::new(format!("{} -> {name}", source.name), sender).pending_limit(self.pending_limit);
            if self.needs_progress[node] {
                port = port.announces_progress();
            }
            if source.is_input {
                port = port.one_per_seq();
            }
            source.outlet.borrow_mut().push(port);
            let options = LaneOptions {
                one_per_seq: source.is_input,
                lowest_rank: source.rank,
                ..LaneOptions::default()
            };
            let lane = fan_in.add_lane(receiver, options);
            if source.is_input {
                input_lanes.push(lane);
            }
        }
        (fan_in, input_lanes)
    }
}

/// Everything that is wrong with the graph.
fn check(graph: &Graph) -> Result<(), GraphError> {
    let mut problems = graph.problems.clone();
    for node in &graph.nodes {
        for (way, _) in node.takers.iter().enumerate().filter(|(_, takers)| **takers == 0) {
            let flow = match node.pool {
                Some(pool) => graph.nodes[pool].name.clone(),
                None if node.takers.len() == 1 => node.name.clone(),
                None => format!("{}.{way}", node.name),
            };
            let problem = GraphProblem::Untaken { flow };
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
    }
    let settings = &graph.settings;
    for (setting, value) in [("capacity", settings.capacity), ("batch limit", settings.batch_limit)] {
        if value == 0 {
            problems.push(GraphProblem::Zero { setting });
        }
    }
    if graph.nodes.len() > NODES {
        problems.push(GraphProblem::TooManyNodes { limit: NODES });
    }
    let is_stage = |name: &String| graph.nodes.iter().any(|node| !node.is_end && node.name == *name);
    let mut fused: Vec<&String> = Vec::new();
    for stage in settings.fused.iter().flat_map(|(_, stages)| stages) {
        if !is_stage(stage) {
            problems.push(GraphProblem::UnknownStage { stage: stage.clone() });
        } else if fused.contains(&stage) {
            problems.push(GraphProblem::FusedTwice { stage: stage.clone() });
        }
        fused.push(stage);
    }
    for (stage, _) in &settings.when_full {
        if !graph.nodes.iter().any(|node| node.name == *stage && !node.sources.is_empty()) {
            problems.push(GraphProblem::UnknownStage { stage: stage.clone() });
        }
    }
    for (worker, _) in &settings.cpus {
        let is_worker = settings.fused.iter().any(|(name, _)| name == worker);
        if !is_worker && (!is_stage(worker) || fused.contains(&worker)) {
            problems.push(GraphProblem::UnknownStage { stage: worker.clone() });
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(GraphError { problems }) }
}

/// Builds every stage; one entry per node, in topological order. And the memory of the rings between them.
fn build(graph: Graph, wakers: Vec<Option<Waker>>) -> (Vec<Option<Box<dyn Stage>>>, RingMemory) {
    let assembly = Assembly::new(&graph, wakers);
    let mut stages: Vec<_> = graph.nodes.into_iter().rev().map(|node| (node.build)(&assembly)).collect();
    stages.reverse();
    (stages, assembly.care.memory())
}

pub(super) fn stepper(graph: Graph) -> Result<Stepper, GraphError> {
    check(&graph)?;
    let outside = graph.outside.clone();
    let wakers = vec![None; graph.nodes.len()];
    let slots = build(graph, wakers).0.into_iter().flatten().map(Slot::new).collect();
    Ok(Stepper::new(slots, outside))
}

pub(super) fn start(graph: Graph) -> Result<Running, StartError> {
    check(&graph).map_err(StartError::Graph)?;
    let (crew, mut workers) = hire(&graph);
    let waker = |worker: &Option<usize>| worker.and_then(|index: usize| workers[index].waker());
    let wakers = crew.iter().map(waker).collect();
    let outside = graph.outside.clone();
    let Settings { pin, low_jitter, .. } = graph.settings;
    let (stages, memory) = build(graph, wakers);
    for (stage, worker) in stages.into_iter().zip(crew) {
        if let (Some(stage), Some(worker)) = (stage, worker) {
            workers[worker].add_boxed(stage);
        }
    }
    let mut running = runtime::start_with(workers, pin, &low_jitter)?.with_outside_ends(outside);
    if !low_jitter.is_off() {
        running = running.with_ring_memory(memory);
    }
    Ok(running)
}

/// The workers, without stages yet, and for each node the number of its worker (ends have none).
fn hire(graph: &Graph) -> (Vec<Option<usize>>, Vec<Worker>) {
    let settings = &graph.settings;
    let mut names: Vec<&str> = Vec::new();
    let mut crew = Vec::new();
    for node in &graph.nodes {
        if node.is_end {
            crew.push(None);
            continue;
        }
        let fused = settings.fused.iter().find(|(_, stages)| stages.contains(&node.name));
        let worker = fused.map_or(node.name.as_str(), |(worker, _)| worker);
        let index = names.iter().position(|name| *name == worker).unwrap_or_else(|| {
            names.push(worker);
            names.len() - 1
        });
        crew.push(Some(index));
    }
    let cpu_of = |worker: &str| settings.cpus.iter().find(|(name, _)| name == worker).map(|(_, cpu)| *cpu);
    let placed: Vec<_> = names.iter().map(|name| (*name, cpu_of(name))).collect();
    // An input is pushed to and an output polled by threads that are busy, too: one at least.
    let busy_outside = usize::from(graph.nodes.iter().any(|node| node.is_end));
    let (idle, reason) = resolve_idle(settings.idle, settings.pin, &placed, busy_outside);
    let workers =
        placed.iter().map(|(name, cpu)| Worker::new(*name, idle).on_cpu(*cpu).because(reason.clone()));
    (crew, workers.collect())
}

/// The strategy to use, and why.
fn resolve_idle(
    idle: Idle,
    pin: PinPolicy,
    workers: &[(&str, Option<usize>)],
    other_busy_threads: usize,
) -> (Idle, String) {
    if idle != Idle::Auto {
        return (idle, "asked for".to_owned());
    }
    if pin == PinPolicy::Off {
        return (Idle::Backoff, "pinning is off".to_owned());
    }
    let allowed = allowed_cpus().unwrap_or_else(|_| CpuSet::default());
    let quota_cpus = cpu_quota(Path::new("/"));
    choose_auto(&AutoCase { workers, other_busy_threads, allowed: &allowed, quota_cpus })
}
