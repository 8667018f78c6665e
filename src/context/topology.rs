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

use std::collections::BTreeSet;

use crate::vpl::plan::{Plan, SourcePlan, StreamPlan};

/// Stages and the edges between them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// The stages, each behind those that feed it.
    pub stages: Vec<StageSpec>,
    /// The edges, by stage that they lead to.
    pub edges: Vec<EdgeSpec>,
}

/// A stage: some streams of one context.
#[derive(Clone, Debug, PartialEq)]
pub struct StageSpec {
    /// The context's name; with the level behind it where the context has several stages.
    pub name: String,
    /// The context, by index.
    pub context: usize,
    /// Its streams, ascending.
    pub streams: Vec<usize>,
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
    /// Names under which rows from outside go over it.
    pub relays: Vec<usize>,
    /// At most one row per sequence number goes over it.
    pub one_per_seq: bool,
    /// No row of a smaller rank goes over it.
    pub lowest_rank: u16,
}

/// Splits the plan into stages and finds the edges between them.
pub fn topology(plan: &Plan) -> Topology {
    let stages = stages(plan);
    let mut stage_of = vec![0; plan.streams.len()];
    for (index, stage) in stages.iter().enumerate() {
        for &stream in &stage.streams {
            stage_of[stream] = index;
        }
    }
    let edges = edges(plan, &stages, &stage_of);
    Topology { stages, edges }
}

/// For each stream the streams that it takes rows from.
fn producers(plan: &Plan) -> Vec<BTreeSet<usize>> {
    let mut producers = vec![BTreeSet::new(); plan.streams.len()];
    for (stream, feed) in all_feeds(plan) {
        for &consumer in &plan.names[plan.streams[stream].feeds[feed].name].consumers {
            producers[consumer].insert(stream);
        }
    }
    producers
}

fn all_feeds(plan: &Plan) -> impl Iterator<Item = (usize, usize)> + '_ {
    plan.streams
        .iter()
        .enumerate()
        .flat_map(|(stream, spec)| (0..spec.feeds.len()).map(move |feed| (stream, feed)))
}

fn stages(plan: &Plan) -> Vec<StageSpec> {
    let producers = producers(plan);
    let context = |stream: usize| plan.streams[stream].context;
    let contexts = plan.contexts.len();
    let mut reaches = vec![vec![false; contexts]; contexts];
    for (consumer, sources) in producers.iter().enumerate() {
        for &source in sources {
            reaches[context(source)][context(consumer)] |= context(source) != context(consumer);
        }
    }
    close(&mut reaches);
    let together = |a: usize, b: usize| a == b || (reaches[a][b] && reaches[b][a]);
    let mut level = vec![0_usize; plan.streams.len()];
    for stream in 0..plan.streams.len() {
        level[stream] = producers[stream]
            .iter()
            .filter(|&&source| together(context(source), context(stream)))
            .map(|&source| level[source] + usize::from(context(source) != context(stream)))
            .max()
            .unwrap_or(0);
    }
    let mut stages: Vec<StageSpec> = Vec::new();
    for (index, spec) in plan.contexts.iter().enumerate() {
        let mut levels: BTreeSet<usize> =
            (0..plan.streams.len()).filter(|&s| context(s) == index).map(|s| level[s]).collect();
        if levels.is_empty() {
            levels.insert(0);
        }
        let several = levels.len() > 1;
        for at in levels {
            stages.push(StageSpec {
                name: if several { format!("{}/{at}", spec.name) } else { spec.name.clone() },
                context: index,
                streams: (0..plan.streams.len()).filter(|&s| context(s) == index && level[s] == at).collect(),
            });
        }
    }
    sort_by_flow(stages, &producers)
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
/// would lie within one level, where every edge stays within its context.
fn sort_by_flow(stages: Vec<StageSpec>, producers: &[BTreeSet<usize>]) -> Vec<StageSpec> {
    let mut sorted: Vec<StageSpec> = Vec::with_capacity(stages.len());
    let mut waiting = stages;
    let mut placed: BTreeSet<usize> = BTreeSet::new();
    while !waiting.is_empty() {
        let ready = waiting.iter().position(|stage| {
            stage.streams.iter().all(|&stream| {
                producers[stream]
                    .iter()
                    .all(|source| placed.contains(source) || stage.streams.contains(source))
            })
        });
        let stage = waiting.remove(ready.expect("stages form no cycle"));
        placed.extend(&stage.streams);
        sorted.push(stage);
    }
    sorted
}

fn edges(plan: &Plan, stages: &[StageSpec], stage_of: &[usize]) -> Vec<EdgeSpec> {
    let mut edges: Vec<EdgeSpec> = Vec::new();
    for (stream, feed) in all_feeds(plan) {
        let from = stage_of[stream];
        let name = plan.streams[stream].feeds[feed].name;
        let targets: BTreeSet<usize> = plan.names[name].consumers.iter().map(|&c| stage_of[c]).collect();
        for to in targets.into_iter().filter(|&to| to != from) {
            edge(&mut edges, From::Stage(from), to).feeds.push((stream, feed));
        }
    }
    // Names that some stream makes can do without a ring from the input where another way leads.
    let made: BTreeSet<usize> =
        all_feeds(plan).map(|(stream, feed)| plan.streams[stream].feeds[feed].name).collect();
    for (_, spec) in plan.names.iter().enumerate().filter(|(name, _)| !made.contains(name)) {
        for &consumer in &spec.consumers {
            edge(&mut edges, From::Input, stage_of[consumer]);
        }
    }
    // A stage that nothing leads to still has a ring from the input, so that it ends when the input does.
    for stage in 0..stages.len() {
        if !edges.iter().any(|edge| edge.to == stage) {
            edge(&mut edges, From::Input, stage);
        }
    }
    for (name, spec) in plan.names.iter().enumerate() {
        let targets: BTreeSet<usize> = spec.consumers.iter().map(|&consumer| stage_of[consumer]).collect();
        for to in targets {
            relay(plan, &mut edges, name, to);
        }
    }
    let ancestors = ancestors(plan);
    for edge in &mut edges {
        edge.one_per_seq = match (edge.from, &edge.feeds[..]) {
            (From::Input, _) => true,
            (From::Stage(_), &[(stream, feed)]) => {
                one_per_seq(plan, stream)
                    && plan.streams[stream].feeds[feed].lane.is_none()
                    && edge.relays.iter().all(|name| !ancestors[stream].contains(name))
            }
            (From::Stage(_), _) => false,
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
        let (feeds, relays) = (Vec::new(), Vec::new());
        edges.push(EdgeSpec { from, to, feeds, relays, one_per_seq: false, lowest_rank: 0 });
        edges.len() - 1
    });
    &mut edges[at]
}

/// Leads rows from outside under `name` to stage `to`: over the ring that brings rows of this name anyway, so that
/// those who take them still take everything from one ring; else over its ring from the input, or else over its first
/// edge. Where that does not come from the input, its own stage has to get them first.
fn relay(plan: &Plan, edges: &mut [EdgeSpec], name: usize, to: usize) {
    let mut to = to;
    loop {
        let into = |edge: &EdgeSpec| edge.to == to;
        let is_fed = |&(stream, feed): &(usize, usize)| plan.streams[stream].feeds[feed].name == name;
        let at = edges
            .iter()
            .position(|edge| into(edge) && edge.feeds.iter().any(is_fed))
            .or_else(|| edges.iter().position(|edge| into(edge) && edge.from == From::Input))
            .or_else(|| edges.iter().position(into))
            .expect("every stage has an edge that leads to it");
        if edges[at].relays.contains(&name) {
            return;
        }
        edges[at].relays.push(name);
        match edges[at].from {
            From::Input => return,
            From::Stage(from) => to = from,
        }
    }
}

/// Whether a stream makes at most one row per sequence number: no window, one source, and that source makes at most
/// one.
fn one_per_seq(plan: &Plan, stream: usize) -> bool {
    let spec: &StreamPlan = &plan.streams[stream];
    let SourcePlan::Name(input) = &spec.source else { return false };
    let makes_several = spec.before.iter().any(|op| matches!(op, crate::vpl::plan::OpPlan::Process { .. }));
    let mut producers = plan.streams[..stream]
        .iter()
        .enumerate()
        .filter(|(_, producer)| producer.feeds.iter().any(|feed| feed.name == input.name));
    let single_source = match (producers.next(), producers.next()) {
        (None, _) => true,
        (Some((producer, _)), None) => one_per_seq(plan, producer),
        _ => false,
    };
    spec.window.is_none() && !makes_several && single_source
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
