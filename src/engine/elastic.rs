//! Resizing a pool: makes the new workers and their rings, and tells everybody whom it concerns (see
//! `context::elastic` for what they then do). It waits for nobody.

use std::collections::BTreeMap;

use crate::context::{Count, EdgeSpec, Flag, From, Mail, StageCommand, StageSpec, Streams, WorkerSpec};
use crate::event::Row;
use crate::flow::{FanIn, OutPort, RingCare, RingEnd, Stage, Worker};
use crate::idle::{Idle, Waker};
use crate::ring::{Receiver, Tally};
use crate::vpl::plan::{Plan, Strategy};

use super::build::{Links, StageCare, inbox_of, made_stage, results_ring, ring_of};
use super::builder::Builder;
use super::error::ResizeError;
use super::log::LogRing;
use super::stats::{DeadLetter, StageStats};

/// How many workers a pool may have.
const MAX_WORKERS: usize = 256;

/// What it takes to resize the pools of an engine.
#[derive(Debug)]
pub(super) struct Elastic {
    builder: Builder,
    links: Links,
    /// For each stream with a pool the stages of its workers.
    pools: BTreeMap<usize, Vec<usize>>,
}

/// A worker that is new: its stage, and what the engine keeps of it.
pub(super) struct NewWorker {
    pub(super) worker: Worker,
    pub(super) stage: Box<dyn Stage>,
    pub(super) stats: StageStats,
    /// Its rings on which something may be dropped.
    pub(super) drops: Vec<(String, Tally)>,
    pub(super) dead_letters: Receiver<DeadLetter>,
    pub(super) log: Option<LogRing>,
}

/// A resize on its way.
///
/// ```
/// use varpin::engine::{Engine, Program};
/// let text = "context c\n\
///     stream S = A.context(c).partition_by(k).concurrent(workers: 1).window(2).aggregate(n: count())";
/// let mut engine = Engine::builder(&Program::parse(text)?).stepped().build()?;
/// let resizing = engine.resize("c", "S", 2)?;
/// while !resizing.is_done() {
///     engine.step();
///     engine.poll(|_result| {}); // whoever takes results has to take the new rings, too
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Resizing {
    done: Count,
    workers: usize,
}

impl Resizing {
    /// Whether every worker has let its keys go and has those that come to it. Never, if the input ends before.
    pub fn is_done(&self) -> bool {
        self.done.get() >= self.workers
    }
}

impl Elastic {
    pub(super) fn new(builder: &Builder, links: Links) -> Self {
        let mut pools: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for (at, stage) in
            links.topology.stages.iter().enumerate().filter(|(_, stage)| stage.worker.is_some())
        {
            pools.entry(stage.streams[0]).or_default().push(at);
        }
        for stages in pools.values_mut() {
            stages.sort_by_key(|&stage| links.topology.stages[stage].worker.map(|worker| worker.index));
        }
        Self { builder: builder.clone(), links, pools }
    }

    /// How many workers each pool has, by stream.
    pub(super) fn sizes(&self) -> impl Iterator<Item = (usize, usize)> + '_ {
        self.pools.iter().map(|(stream, stages)| (*stream, stages.len()))
    }

    /// How many workers the pool of the stream called `name` has; 0 where there is no such pool.
    pub(super) fn workers_of(&self, name: &str) -> usize {
        let mut pools =
            self.pools.iter().filter(|(stream, _)| self.builder.plan.streams[**stream].name == name);
        pools.next().map_or(0, |(_, stages)| stages.len())
    }

    /// Tells everybody that the pool of `stream` in `context` will have so many workers; gives back those that have
    /// to be started.
    pub(super) fn resize(
        &mut self,
        context: &str,
        stream: &str,
        workers: usize,
    ) -> Result<(Resizing, Vec<NewWorker>), ResizeError> {
        let at = find(&self.builder.plan, context, stream)?;
        let strategy = self.builder.plan.streams[at].pool.as_ref().map(|pool| pool.strategy);
        let stages = self.pools.get(&at).cloned().unwrap_or_default();
        match strategy {
            None => return Err(ResizeError::NoPool(stream.to_owned())),
            Some(Strategy::Broadcast) => return Err(ResizeError::Broadcast(stream.to_owned())),
            Some(Strategy::ConsistentHash | Strategy::RoundRobin) => {}
        }
        if !(1..=MAX_WORKERS).contains(&workers) {
            return Err(ResizeError::Workers { asked: workers, most: MAX_WORKERS });
        }
        let done = Count::new();
        if workers == stages.len() {
            return Ok((Resizing { done, workers: 0 }, Vec::new()));
        }
        self.has_room(at, &stages)?;
        let front = self.front_of(at)?;
        let (mut all, mut new_workers, mut ports, mut after) =
            (stages.clone(), Vec::new(), Vec::new(), Vec::new());
        for index in stages.len()..workers {
            let made = self.add_worker(at, index, front, &stages, &mut after)?;
            all.push(made.0);
            ports.push(made.1);
            new_workers.push(made.2);
        }
        self.announce_moves(&all, stages.len(), workers, strategy, &done);
        all.truncate(workers);
        let involved = stages.len().max(workers);
        self.tell(front, StageCommand::Workers { stream: at, workers, ports, after });
        self.pools.insert(at, all);
        Ok((Resizing { done, workers: involved }, new_workers))
    }

    /// Tells each worker to whom its keys go, and from whom keys come. Jump hashing moves keys only to workers that are
    /// new, or away from workers that leave.
    fn announce_moves(
        &mut self,
        all: &[usize],
        before: usize,
        workers: usize,
        strategy: Option<Strategy>,
        done: &Count,
    ) {
        let mut outgoing: Vec<Vec<(usize, Mail)>> = vec![Vec::new(); all.len()];
        let mut incoming: Vec<Vec<Mail>> = vec![Vec::new(); all.len()];
        if strategy == Some(Strategy::ConsistentHash) {
            let (from, to) =
                if workers > before { (0..before, before..workers) } else { (workers..before, 0..workers) };
            for source in from {
                for target in to.clone() {
                    let mail = Mail::new();
                    outgoing[source].push((target, mail.clone()));
                    incoming[target].push(mail);
                }
            }
        }
        for ((&stage, outgoing), incoming) in all.iter().zip(outgoing).zip(incoming) {
            self.tell(stage, StageCommand::Move { workers, outgoing, incoming, done: done.clone() });
        }
    }

    /// A worker with its rings: its stage, the front's port to it, and the worker itself.
    fn add_worker(
        &mut self,
        stream: usize,
        index: usize,
        front: usize,
        stages: &[usize],
        after: &mut Vec<Flag>,
    ) -> Result<(usize, OutPort<Row>, NewWorker), ResizeError> {
        let builder = self.builder.clone();
        let plan = &builder.plan;
        let like = stages[0];
        let spec = self.links.topology.stages[like].clone();
        let stage = self.links.topology.stages.len();
        let thread = self.links.topology.stages.iter().filter(|stage| stage.worker.is_some()).count();
        self.links.topology.stages.push(StageSpec {
            name: format!("{}#{index}", plan.streams[stream].name),
            worker: Some(WorkerSpec { index, thread }),
            ..spec
        });
        let alike = self.links.topology.edges.clone();
        for edge in alike.iter().filter(|edge| edge.to == like) {
            self.links.topology.edges.push(EdgeSpec { to: stage, ..edge.clone() });
        }
        for edge in alike.iter().filter(|edge| edge.from == From::Stage(like)) {
            self.links.topology.edges.push(EdgeSpec { from: From::Stage(stage), ..edge.clone() });
        }
        let merging = self.links.mergings[like];
        self.links.mergings.push(merging);
        let order = builder.effective_order();
        let limits = builder.limits.with(&plan.engine);
        let topology = &self.links.topology;
        let mut streams = Streams::compile(plan, topology, stage, order, &limits)?;
        let log = LogRing::attach(plan, &mut streams);
        let place = streams.env().place.clone();
        let context = topology.stages[stage].context;
        let worker = self.worker(context, stage);
        self.links.wakers.push(worker.waker());
        let topology = &self.links.topology;
        let wakers: &[Option<Waker>] = &self.links.wakers;
        let waker = |from: From| match from {
            From::Stage(stage) => wakers.get(stage).cloned().flatten(),
            From::Input => None,
        };
        let care = RingCare::new(&builder.low_jitter);
        let mut inputs = FanIn::new(merging.order);
        let mut port_to_it = None;
        let (mut outputs, mut drops) = (Vec::new(), Vec::new());
        let mut lanes: Vec<(usize, RingEnd<Row>, usize)> = Vec::new();
        for edge in topology.edges.iter().filter(|edge| edge.to == stage || edge.from == From::Stage(stage)) {
            let (port, end) = ring_of(&builder, &care, topology, edge, &waker, &self.links.mergings);
            if edge.to == stage {
                inputs.add(end);
                port_to_it = Some(port);
            } else {
                if port.policy().drops() {
                    drops.push((port.name().to_owned(), port.tally()));
                }
                outputs.push(port);
                let lanes_there = topology.edges.iter().filter(|other| other.to == edge.to);
                let beside = lanes_there.take_while(|other| other.from != From::Stage(like)).count();
                lanes.push((edge.to, end, beside));
            }
        }
        let (port, end) = results_ring(&builder, &care, &topology.stages[stage], waker(From::Stage(stage)));
        outputs.push(port);
        let (sender, inbox) = inbox_of(plan, topology, stage, &waker).unzip();
        let (name, waker) = (topology.stages[stage].name.clone(), waker(From::Stage(stage)));
        if let Some(care) = &mut self.links.care {
            care.grow(topology);
            care.add_worker(&name, context, &place);
        }
        let care = StageCare::of(self.links.care.as_mut(), stage, waker);
        let topology = &self.links.topology;
        let made = made_stage(&builder, topology, stage, streams, inputs, outputs, inbox, care);
        self.links.inboxes.push(sender);
        for (to, end, beside) in lanes {
            let taken = Flag::new();
            after.push(taken.clone());
            self.tell(to, StageCommand::Lane { end, beside, taken });
        }
        let taken = Flag::new();
        after.push(taken.clone());
        let lane = StageCommand::Lane { end, beside: 0, taken };
        let told = self.links.output.push(lane).is_ok();
        debug_assert!(told, "there was room, or nobody would have begun");
        let new = NewWorker {
            drops,
            worker,
            stage: Box::new(made.stage),
            stats: made.stats,
            dead_letters: made.dead_letters,
            log,
        };
        let port = port_to_it.ok_or_else(|| ResizeError::NoPool(plan.streams[stream].name.clone()))?;
        debug_assert!(
            matches!(alike.iter().find(|edge| edge.to == like), Some(edge) if edge.from == From::Stage(front))
        );
        Ok((stage, port, new))
    }

    /// A thread to be: on the next CPU of the context's list, where one is left.
    fn worker(&self, context: usize, stage: usize) -> Worker {
        let spec = &self.builder.plan.contexts[context];
        let pools =
            self.pools.iter().filter(|(stream, _)| self.builder.plan.streams[**stream].context == context);
        let running: usize = pools.map(|(_, stages)| stages.len()).sum();
        let started = self.links.topology.stages[stage].worker.map_or(0, |worker| worker.index);
        let cpu = spec.cores.get(1 + running.max(started)).copied();
        let cpu = cpu.filter(|_| self.builder.pin != crate::cores::PinPolicy::Off);
        let idle = match self.builder.effective_idle(context) {
            Idle::Auto => Idle::Backoff,
            asked => asked,
        };
        Worker::new(self.links.topology.stages[stage].name.clone(), idle)
            .on_cpu(cpu)
            .because("came by a resize")
            .in_group(context)
    }

    /// The stage that has the front of the pool.
    fn front_of(&self, stream: usize) -> Result<usize, ResizeError> {
        let stages = self.links.topology.stages.iter();
        let front =
            stages.enumerate().find(|(_, stage)| stage.worker.is_none() && stage.streams.contains(&stream));
        front
            .map(|(at, _)| at)
            .ok_or_else(|| ResizeError::NoPool(self.builder.plan.streams[stream].name.clone()))
    }

    /// Whether everybody can be told: earlier commands may wait, where a stage is slow or the output is not polled.
    fn has_room(&self, stream: usize, stages: &[usize]) -> Result<(), ResizeError> {
        let topology = &self.links.topology;
        let concerned = topology.edges.iter().filter(|edge| {
            stages.contains(&edge.to) || matches!(edge.from, From::Stage(from) if stages.contains(&from))
        });
        let mut told: Vec<usize> = concerned
            .flat_map(|edge| {
                [Some(edge.to), if let From::Stage(from) = edge.from { Some(from) } else { None }]
            })
            .flatten()
            .collect();
        told.sort_unstable();
        told.dedup();
        let room = |sender: &crate::ring::Sender<StageCommand>| sender.slots() >= MAX_WORKERS / 2;
        let inboxes = told.iter().filter_map(|&stage| self.links.inboxes[stage].as_ref());
        // A stage that has ended needs no room.
        let all = inboxes.filter(|sender| !sender.is_closed()).all(room);
        if all && room(&self.links.output) {
            Ok(())
        } else {
            Err(ResizeError::Busy(self.builder.plan.streams[stream].name.clone()))
        }
    }

    fn tell(&mut self, stage: usize, command: StageCommand) {
        // One that has ended need not be told.
        let _ = self.links.inboxes[stage].as_mut().map(|inbox| inbox.push(command));
    }
}

fn find(plan: &Plan, context: &str, stream: &str) -> Result<usize, ResizeError> {
    let at = plan.streams.iter().position(|spec| spec.name == stream);
    let at = at.ok_or_else(|| ResizeError::UnknownStream(stream.to_owned()))?;
    let runs_in = plan.contexts.get(plan.streams[at].context).map_or("", |context| context.name.as_str());
    if runs_in == context {
        Ok(at)
    } else {
        Err(ResizeError::OtherContext {
            stream: stream.to_owned(),
            context: runs_in.to_owned(),
            asked: context.to_owned(),
        })
    }
}
