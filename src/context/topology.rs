//! From contexts to stages and edges: a pure function of the plan.
//!
//! A context is one stage, unless it feeds another context that feeds it back. The streams of such contexts are split
//! by level (how many changes of context lie before them), so that the stages never form a cycle and a bounded ring
//! can never wait for itself. The stages of one context still run on one thread, so its state is still touched by one
//! thread only.
//!
//! The input has a ring to every stage that takes a name from outside. An event from outside can also come under the
//! name of a stream; it then goes to that stream's consumers. Giving every consumer a ring of its own for that would
//! cost each of them a second input to merge, for something that hardly ever happens; so such events are *relayed*
//! along the edges that are there anyway.
//!
//! A stream with a pool is in two parts: its front is placed with its context, and what is behind `.concurrent` is a
//! place of its own, with a stage for each worker. In all that concerns cycles a pool counts as a context.

use std::collections::BTreeSet;

use crate::vpl::plan::Plan;

use super::pool::{is_one_per_seq, scatter_is_one_per_seq};

/// Stages and the edges between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// The stages, each behind those that feed it.
    pub stages: Vec<StageSpec>,
    /// The edges, by stage that they lead to.
    pub edges: Vec<EdgeSpec>,
}

/// A stage: some streams of one context, or one worker of a pool.
#[derive(Clone, Debug, PartialEq)]
pub struct StageSpec {
    /// The context's name; with the level behind it where the context has several stages. Of a worker the stream's,
    /// with its number.
    pub name: String,
    /// The context, by index.
    pub context: usize,
    /// Its streams, ascending. Those with a pool have only their front here; on a worker, it is the one with the pool.
    pub streams: Vec<usize>,
    /// Which worker it is, where it is one.
    pub worker: Option<WorkerSpec>,
}

/// A worker of a pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerSpec {
    /// Its place in its pool, from 0.
    pub index: usize,
    /// Its place among the workers of all pools, from 0.
    pub thread: usize,
}

impl StageSpec {
    /// The streams whose rows leave from here: not those that only have their front here.
    pub fn makes<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = usize> + 'a {
        let all_here = move |&stream: &usize| self.worker.is_some() || plan.streams[stream].pool.is_none();
        self.streams.iter().copied().filter(all_here)
    }

    /// Of those, the streams whose rows leave the engine.
    pub fn results<'a>(&'a self, plan: &'a Plan) -> impl Iterator<Item = usize> + 'a {
        self.makes(plan).filter(|&stream| plan.streams[stream].leaves_engine())
    }
}

/// Where an edge comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum From {
    /// The engine's input.
    Input,
    /// A stage, by index.
    Stage(usize),
}

/// One ring between two stages.
#[derive(Clone, Debug, PartialEq)]
pub struct EdgeSpec {
    /// Where rows come from.
    pub from: From,
    /// The stage that takes them, by index.
    pub to: usize,
    /// What streams of `from` send over it: stream and the index of its feed.
    pub feeds: Vec<(usize, usize)>,
    /// The stream whose rows it takes to a worker of the stream's pool.
    pub scatters: Option<usize>,
    /// Names under which rows from outside go over it.
    pub relays: Vec<usize>,
    /// At most one row per sequence number goes over it.
    pub one_per_seq: bool,
    /// No row of a smaller rank goes over it.
    pub lowest_rank: u16,
}

impl EdgeSpec {
    /// Whether a worker of a pool sends over it.
    pub fn is_from_pool(&self, topology: &Topology) -> bool {
        matches!(self.from, From::Stage(from) if topology.stages[from].worker.is_some())
    }
}

/// Splits the plan into stages and finds the edges between them.
pub fn topology(plan: &Plan) -> Topology {
    let parts = Parts::of(plan);
    let (stages, stages_of) = stages(plan, &parts);
    let edges = edges(plan, &stages, &parts, &stages_of);
    Topology { stages, edges }
}

fn all_feeds(plan: &Plan) -> impl Iterator<Item = (usize, usize)> + '_ {
    plan.streams
        .iter()
        .enumerate()
        .flat_map(|(stream, spec)| (0..spec.feeds.len()).map(move |feed| (stream, feed)))
}

/// What is placed: each stream, or, where it has a pool, its front and what the pool's workers run.
struct Parts {
    all: Vec<PartSpec>,
    /// For each stream the part that takes its rows.
    takes: Vec<usize>,
    /// For each stream the part that makes its rows.
    makes: Vec<usize>,
}

struct PartSpec {
    stream: usize,
    /// Where it runs: a context, by index, or behind all of these a pool.
    place: usize,
    /// The parts that it takes rows from.
    sources: BTreeSet<usize>,
}

impl Parts {
    /// The parts, each behind its sources.
    fn of(plan: &Plan) -> Self {
        let mut producers = vec![BTreeSet::new(); plan.streams.len()];
        for (stream, feed) in all_feeds(plan) {
            for &consumer in &plan.names[plan.streams[stream].feeds[feed].name].consumers {
                producers[consumer].insert(stream);
            }
        }
        let mut parts = Self { all: Vec::new(), takes: Vec::new(), makes: Vec::new() };
        let mut pools = 0;
        for (stream, spec) in plan.streams.iter().enumerate() {
            let sources = producers[stream].iter().map(|&producer| parts.makes[producer]).collect();
            parts.takes.push(parts.all.len());
            parts.all.push(PartSpec { stream, place: spec.context, sources });
            if spec.pool.is_some() {
                let front = parts.all.len() - 1;
                let place = plan.contexts.len() + pools;
                pools += 1;
                parts.all.push(PartSpec { stream, place, sources: BTreeSet::from([front]) });
            }
            parts.makes.push(parts.all.len() - 1);
        }
        parts
    }

    /// How many contexts and pools there are, given the number of contexts.
    fn places(&self, contexts: usize) -> usize {
        self.all.iter().map(|part| part.place + 1).max().unwrap_or(0).max(contexts)
    }
}

/// The stages in the order of flow, and for each part those that run it.
fn stages(plan: &Plan, parts: &Parts) -> (Vec<StageSpec>, Vec<Vec<usize>>) {
    let places = parts.places(plan.contexts.len());
    let all = &parts.all;
    let mut reaches = vec![vec![false; places]; places];
    for part in all {
        for &source in &part.sources {
            reaches[all[source].place][part.place] |= all[source].place != part.place;
        }
    }
    close(&mut reaches);
    let together = |a: usize, b: usize| a == b || (reaches[a][b] && reaches[b][a]);
    let mut level = vec![0_usize; all.len()];
    for (at, part) in all.iter().enumerate() {
        level[at] = part
            .sources
            .iter()
            .filter(|&&source| together(all[source].place, part.place))
            .map(|&source| level[source] + usize::from(all[source].place != part.place))
            .max()
            .unwrap_or(0);
    }
    let mut stages: Vec<(StageSpec, Vec<usize>)> = Vec::new();
    for (index, spec) in plan.contexts.iter().enumerate() {
        let here: Vec<usize> = (0..all.len()).filter(|&part| all[part].place == index).collect();
        let mut levels: BTreeSet<usize> = here.iter().map(|&part| level[part]).collect();
        if levels.is_empty() {
            levels.insert(0);
        }
        let several = levels.len() > 1;
        for at in levels {
            let parts: Vec<usize> = here.iter().copied().filter(|&part| level[part] == at).collect();
            let stage = StageSpec {
                name: if several { format!("{}/{at}", spec.name) } else { spec.name.clone() },
                context: index,
                streams: parts.iter().map(|&part| all[part].stream).collect(),
                worker: None,
            };
            stages.push((stage, parts));
        }
    }
    let mut threads = 0;
    for (at, part) in all.iter().enumerate().filter(|(_, part)| part.place >= plan.contexts.len()) {
        let spec = &plan.streams[part.stream];
        for index in 0..spec.pool.as_ref().map_or(0, |pool| pool.workers) {
            let stage = StageSpec {
                name: format!("{}#{index}", spec.name),
                context: spec.context,
                streams: vec![part.stream],
                worker: Some(WorkerSpec { index, thread: threads }),
            };
            threads += 1;
            stages.push((stage, vec![at]));
        }
    }
    sort_by_flow(stages, parts)
}

/// Makes a relation transitive.
fn close(reaches: &mut [Vec<bool>]) {
    for middle in 0..reaches.len() {
        for from in 0..reaches.len() {
            if reaches[from][middle] {
                let through = reaches[middle].clone();
                for (to, through) in reaches[from].iter_mut().zip(through) {
                    *to |= through;
                }
            }
        }
    }
}

/// Puts each stage behind those that feed it. There is no cycle: along a cycle the level could never fall, so it
/// would lie within one level, where every edge stays within its place.
fn sort_by_flow(stages: Vec<(StageSpec, Vec<usize>)>, parts: &Parts) -> (Vec<StageSpec>, Vec<Vec<usize>>) {
    let mut sorted: Vec<StageSpec> = Vec::with_capacity(stages.len());
    let mut stages_of: Vec<Vec<usize>> = vec![Vec::new(); parts.all.len()];
    // A part is placed when all its stages are: a pool has several.
    let mut to_place = vec![0_usize; parts.all.len()];
    for &part in stages.iter().flat_map(|(_, parts)| parts) {
        to_place[part] += 1;
    }
    let mut waiting = stages;
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|(_, here)| {
            here.iter().all(|&part| {
                let sources = &parts.all[part].sources;
                sources.iter().all(|source| to_place[*source] == 0 || here.contains(source))
            })
        });
        let (stage, here) = waiting.remove(ready.expect("stages form no cycle"));
        for part in here {
            to_place[part] -= 1;
            stages_of[part].push(sorted.len());
        }
        sorted.push(stage);
    }
    (sorted, stages_of)
}

fn edges(plan: &Plan, stages: &[StageSpec], parts: &Parts, stages_of: &[Vec<usize>]) -> Vec<EdgeSpec> {
    let mut edges: Vec<EdgeSpec> = Vec::new();
    let takes = |stream: usize| stages_of[parts.takes[stream]][0];
    for (stream, feed) in all_feeds(plan) {
        let name = plan.streams[stream].feeds[feed].name;
        let targets: BTreeSet<usize> = plan.names[name].consumers.iter().map(|&c| takes(c)).collect();
        for &from in &stages_of[parts.makes[stream]] {
            for &to in targets.iter().filter(|&&to| to != from) {
                edge(&mut edges, From::Stage(from), to).feeds.push((stream, feed));
            }
        }
    }
    for (stream, _) in plan.streams.iter().enumerate().filter(|(_, spec)| spec.pool.is_some()) {
        for &to in &stages_of[parts.makes[stream]] {
            edge(&mut edges, From::Stage(takes(stream)), to).scatters = Some(stream);
        }
    }
    // Names that some stream makes can do without a ring from the input where another way leads.
    let made: BTreeSet<usize> =
        all_feeds(plan).map(|(stream, feed)| plan.streams[stream].feeds[feed].name).collect();
    for (_, spec) in plan.names.iter().enumerate().filter(|(name, _)| !made.contains(name)) {
        for &consumer in &spec.consumers {
            edge(&mut edges, From::Input, takes(consumer));
        }
    }
    // A stage that nothing leads to still has a ring from the input, so that it ends when the input does.
    for stage in 0..stages.len() {
        if !edges.iter().any(|edge| edge.to == stage) {
            edge(&mut edges, From::Input, stage);
        }
    }
    for (name, spec) in plan.names.iter().enumerate() {
        let targets: BTreeSet<usize> = spec.consumers.iter().map(|&consumer| takes(consumer)).collect();
        for to in targets {
            relay(plan, stages, &mut edges, name, to);
        }
    }
    let ancestors = ancestors(plan);
    for edge in &mut edges {
        edge.one_per_seq = match (edge.from, edge.scatters, &edge.feeds[..]) {
            (From::Input, _, _) => true,
            (From::Stage(_), Some(stream), _) => scatter_is_one_per_seq(plan, stream),
            (From::Stage(_), None, &[(stream, feed)]) => {
                is_one_per_seq(plan, stream)
                    && plan.streams[stream].feeds[feed].lane.is_none()
                    && edge.relays.iter().all(|name| !ancestors[stream].contains(name))
            }
            (From::Stage(_), None, _) => false,
        };
        edge.lowest_rank = match edge.from {
            From::Stage(_) if edge.relays.is_empty() => {
                edge.feeds.iter().map(|&(stream, _)| stream as u16 + 1).min().unwrap_or(0)
            }
            _ => 0,
        };
    }
    edges.sort_by_key(|edge| (edge.to, edge.from));
    edges
}

/// The edge between two ends; made on first use.
fn edge(edges: &mut Vec<EdgeSpec>, from: From, to: usize) -> &mut EdgeSpec {
    let at = edges.iter().position(|edge| edge.from == from && edge.to == to).unwrap_or_else(|| {
        edges.push(EdgeSpec {
            from,
            to,
            feeds: Vec::new(),
            scatters: None,
            relays: Vec::new(),
            one_per_seq: false,
            lowest_rank: 0,
        });
        edges.len() - 1
    });
    &mut edges[at]
}

/// Leads rows from outside under `name` to stage `to`: over the ring that brings rows of this name anyway, so that
/// those who take them still take everything from one ring; else over its ring from the input, or else over its first
/// edge. Where that does not come from the input, its own stage has to get them first. Workers of pools relay nothing:
/// where there is no other way, there will be a ring from the input.
fn relay(plan: &Plan, stages: &[StageSpec], edges: &mut Vec<EdgeSpec>, name: usize, to: usize) {
    let mut to = to;
    loop {
        let into = |edge: &EdgeSpec| {
            edge.to == to && !matches!(edge.from, From::Stage(from) if stages[from].worker.is_some())
        };
        let is_fed = |&(stream, feed): &(usize, usize)| plan.streams[stream].feeds[feed].name == name;
        let at = edges
            .iter()
            .position(|edge| into(edge) && edge.feeds.iter().any(is_fed))
            .or_else(|| edges.iter().position(|edge| into(edge) && edge.from == From::Input))
            .or_else(|| edges.iter().position(into));
        let edge = match at {
            Some(at) => &mut edges[at],
            None => edge(edges, From::Input, to),
        };
        if edge.relays.contains(&name) {
            return;
        }
        edge.relays.push(name);
        match edge.from {
            From::Input => return,
            From::Stage(from) => to = from,
        }
    }
}

/// For each stream all names that its rows can come from.
fn ancestors(plan: &Plan) -> Vec<BTreeSet<usize>> {
    let mut ancestors: Vec<BTreeSet<usize>> = Vec::with_capacity(plan.streams.len());
    for spec in &plan.streams {
        let mut names: BTreeSet<usize> = spec.source.inputs().iter().map(|input| input.name).collect();
        for (producer, known) in plan.streams.iter().zip(&ancestors) {
            if producer.feeds.iter().any(|feed| names.contains(&feed.name)) {
                names.extend(known);
            }
        }
        ancestors.push(names);
    }
    ancestors
}
