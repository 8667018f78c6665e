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

use std::collections::{BTreeMap, BTreeSet};

use crate::vpl::plan::Plan;

use super::edges::edges;

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
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    let makers = makers(plan);
    let parts = Parts::of(plan);
    let (stages, stages_of) = stages(plan, &makers, &parts);
    let placed = Placed::new(plan, &parts, &stages_of);
    let edges = edges(plan, &makers, &stages, &placed);
    Topology { stages, edges }
}

/// The most ways that rows can go: from a stage with a stream, for each name that it makes, to another one.
const MAX_WAYS: usize = 1_000_000;
/// The most rings. Each has room for as many rows as it holds slots.
const MAX_RINGS: usize = 10_000;
/// The most names that all stages together have to know.
const MAX_KNOWN_NAMES: usize = 20_000_000;

/// Why the topology of a plan would be too large, if it would.
pub fn too_large(plan: &Plan) -> Option<String> {
    let makers = makers(plan);
    let parts = Parts::of(plan);
    let (stages, stages_of) = stages(plan, &makers, &parts);
    let placed = Placed::new(plan, &parts, &stages_of);
    let names = stages.len().saturating_mul(plan.names.len());
    if names > MAX_KNOWN_NAMES {
        return Some(format!(
            "the contexts of the program are {} stages, with {} names of events and streams in each; \
             together that can be {MAX_KNOWN_NAMES}",
            stages.len(),
            plan.names.len()
        ));
    }
    let mut ways = 0_usize;
    let mut rings: BTreeSet<(usize, usize)> = BTreeSet::new();
    for (stream, spec) in plan.streams.iter().enumerate() {
        for feed in &spec.feeds {
            let targets = &placed.targets[feed.name];
            ways = ways.saturating_add(placed.makes[stream].len().saturating_mul(targets.len()));
            if ways > MAX_WAYS {
                let what = "the streams of the program send rows in more ways from context to context";
                return Some(format!("{what} than {MAX_WAYS}"));
            }
            for &from in &placed.makes[stream] {
                rings.extend(targets.iter().filter(|&&to| to != from).map(|&to| (from, to)));
            }
        }
    }
    // Each stage can have one from the input, too.
    let rings = rings.len() + stages.len();
    (rings > MAX_RINGS)
        .then(|| format!("the contexts of the program need {rings} rings, and {MAX_RINGS} are possible"))
}

/// For each name the streams whose rows travel under it, ascending. Who takes a name is found through this and never
/// stream by stream: many streams may make a name that many others take.
pub(super) fn makers(plan: &Plan) -> Vec<Vec<usize>> {
    let mut makers: Vec<Vec<usize>> = vec![Vec::new(); plan.names.len()];
    for (stream, spec) in plan.streams.iter().enumerate() {
        for feed in &spec.feeds {
            let makers = &mut makers[feed.name];
            if makers.last() != Some(&stream) {
                makers.push(stream);
            }
        }
    }
    makers
}

/// Where streams are, once there are stages.
pub(super) struct Placed {
    /// For each stream the stage that takes its rows.
    pub(super) takes: Vec<usize>,
    /// For each stream the stages that make its rows: several, where it has a pool.
    pub(super) makes: Vec<Vec<usize>>,
    /// For each name the stages that take it, ascending.
    pub(super) targets: Vec<Vec<usize>>,
}

impl Placed {
    fn new(plan: &Plan, parts: &Parts, stages_of: &[Vec<usize>]) -> Self {
        // Only pools have several stages, and they take nothing from other streams.
        let takes: Vec<usize> = parts.takes.iter().map(|&part| stages_of[part][0]).collect();
        let makes = parts.makes.iter().map(|&part| stages_of[part].clone()).collect();
        let targets = plan.names.iter().map(|name| {
            let targets: BTreeSet<usize> = name.consumers.iter().map(|&stream| takes[stream]).collect();
            targets.into_iter().collect()
        });
        Self { targets: targets.collect(), makes, takes }
    }
}

/// What is placed: each stream, or, where it has a pool, its front and what the pool's workers run.
struct Parts {
    /// Each behind what it takes rows from.
    all: Vec<PartSpec>,
    /// For each stream the part that takes its rows.
    takes: Vec<usize>,
    /// For each stream the part that makes its rows: the one that takes them or, where that is a front, the next.
    makes: Vec<usize>,
    /// How many contexts and pools there are.
    places: usize,
}

struct PartSpec {
    stream: usize,
    /// Where it runs: a context, by index, or behind all of these a pool.
    place: usize,
}

impl Parts {
    fn of(plan: &Plan) -> Self {
        let mut parts =
            Self { all: Vec::new(), takes: Vec::new(), makes: Vec::new(), places: plan.contexts.len() };
        for (stream, spec) in plan.streams.iter().enumerate() {
            parts.takes.push(parts.all.len());
            parts.all.push(PartSpec { stream, place: spec.context });
            if spec.pool.is_some() {
                parts.all.push(PartSpec { stream, place: parts.places });
                parts.places += 1;
            }
            parts.makes.push(parts.all.len() - 1);
        }
        parts
    }
}

/// The stages in the order of flow, and for each part those that run it.
fn stages(plan: &Plan, makers: &[Vec<usize>], parts: &Parts) -> (Vec<StageSpec>, Vec<Vec<usize>>) {
    let levels = levels(plan, makers, parts);
    let contexts = plan.contexts.len();
    let in_context = || parts.all.iter().enumerate().filter(|(_, part)| part.place < contexts);
    // By context and level; a context without streams has one stage all the same.
    let mut parts_of: BTreeMap<(usize, usize), Vec<usize>> = BTreeMap::new();
    for (at, part) in in_context() {
        parts_of.entry((part.place, levels[at])).or_default().push(at);
    }
    let mut stages_of_context = vec![0; contexts];
    for &(context, _) in parts_of.keys() {
        stages_of_context[context] += 1;
    }
    for context in (0..contexts).filter(|&context| stages_of_context[context] == 0) {
        parts_of.insert((context, 0), Vec::new());
    }
    let mut stages: Vec<(StageSpec, Vec<usize>)> = Vec::new();
    for ((context, level), here) in parts_of {
        let name = &plan.contexts[context].name;
        let stage = StageSpec {
            name: if stages_of_context[context] > 1 { format!("{name}/{level}") } else { name.clone() },
            context,
            streams: here.iter().map(|&part| parts.all[part].stream).collect(),
            worker: None,
        };
        stages.push((stage, here));
    }
    let mut threads = 0;
    for (at, part) in parts.all.iter().enumerate().filter(|(_, part)| part.place >= contexts) {
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
    sort_by_flow(plan, makers, parts, stages)
}

/// For each part how many changes of place lie before it, within the places that its own one feeds and is fed by.
fn levels(plan: &Plan, makers: &[Vec<usize>], parts: &Parts) -> Vec<usize> {
    let place_of = |part: usize| parts.all[part].place;
    let mut reaches = vec![vec![false; parts.places]; parts.places];
    for (makers, spec) in makers.iter().zip(&plan.names) {
        let from: BTreeSet<usize> = makers.iter().map(|&stream| place_of(parts.makes[stream])).collect();
        let to: BTreeSet<usize> =
            spec.consumers.iter().map(|&stream| place_of(parts.takes[stream])).collect();
        for &from in &from {
            to.iter().filter(|&&to| to != from).for_each(|&to| reaches[from][to] = true);
        }
    }
    for (&front, &pool) in parts.takes.iter().zip(&parts.makes).filter(|(front, pool)| front != pool) {
        reaches[place_of(front)][place_of(pool)] = true;
    }
    close(&mut reaches);
    let together = |a: usize, b: usize| a == b || (reaches[a][b] && reaches[b][a]);
    // Of each name, by place: the highest level of those who make it. They all stand before those who take it.
    let mut made: Vec<BTreeMap<usize, usize>> = vec![BTreeMap::new(); plan.names.len()];
    let mut levels = Vec::with_capacity(parts.all.len());
    for (stream, spec) in plan.streams.iter().enumerate() {
        let (front, last) = (parts.takes[stream], parts.makes[stream]);
        let here = place_of(front);
        let level = spec
            .source
            .inputs()
            .iter()
            .flat_map(|input| &made[input.name])
            .filter(|&(&place, _)| together(place, here))
            .map(|(&place, level)| level + usize::from(place != here))
            .max()
            .unwrap_or(0);
        levels.push(level);
        if last != front {
            levels.push(if together(here, place_of(last)) { level + 1 } else { 0 });
        }
        for feed in &spec.feeds {
            let highest = made[feed.name].entry(place_of(last)).or_default();
            *highest = levels[last].max(*highest);
        }
    }
    levels
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

/// Puts each stage behind those that feed it; of several that could stand next, the first. There is no cycle: along a
/// cycle the level could never fall, so it would lie within one level, where every edge stays within its place.
fn sort_by_flow(
    plan: &Plan,
    makers: &[Vec<usize>],
    parts: &Parts,
    stages: Vec<(StageSpec, Vec<usize>)>,
) -> (Vec<StageSpec>, Vec<Vec<usize>>) {
    let mut stages_of: Vec<Vec<usize>> = vec![Vec::new(); parts.all.len()];
    for (stage, (_, here)) in stages.iter().enumerate() {
        for &part in here {
            stages_of[part].push(stage);
        }
    }
    let placed = Placed::new(plan, parts, &stages_of);
    let mut leads_to: Vec<BTreeSet<usize>> = vec![BTreeSet::new(); stages.len()];
    for (makers, targets) in makers.iter().zip(&placed.targets) {
        let from: BTreeSet<usize> =
            makers.iter().flat_map(|&stream| &placed.makes[stream]).copied().collect();
        for from in from {
            leads_to[from].extend(targets.iter().filter(|&&to| to != from));
        }
    }
    for (&front, workers) in placed.takes.iter().zip(&placed.makes) {
        leads_to[front].extend(workers.iter().filter(|&&worker| worker != front));
    }
    let mut waits_for = vec![0_usize; stages.len()];
    leads_to.iter().flatten().for_each(|&to| waits_for[to] += 1);
    let mut ready: BTreeSet<usize> = (0..stages.len()).filter(|&stage| waits_for[stage] == 0).collect();
    let mut waiting: Vec<Option<(StageSpec, Vec<usize>)>> = stages.into_iter().map(Some).collect();
    let mut sorted = Vec::with_capacity(waiting.len());
    let mut stages_of: Vec<Vec<usize>> = vec![Vec::new(); parts.all.len()];
    while let Some(next) = ready.pop_first() {
        let Some((stage, here)) = waiting[next].take() else { continue };
        for part in here {
            stages_of[part].push(sorted.len());
        }
        sorted.push(stage);
        for &to in &leads_to[next] {
            waits_for[to] -= 1;
            if waits_for[to] == 0 {
                ready.insert(to);
            }
        }
    }
    assert_eq!(sorted.len(), waiting.len(), "stages form no cycle");
    (sorted, stages_of)
}
