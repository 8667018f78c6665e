//! What the orders that don't wait still promise: which way the rows of each stream come, ring by ring.
//!
//! A stream all of whose rows have come over the same rings sees them in the order of the input, whatever order
//! rings are merged in. Where several ways meet, rows of the one and of the other come in any order; what does
//! not depend on that order still comes out. Where several rings lead to a stage, rows that come of the same
//! input event are not sorted by stream there, as they are everywhere else.

use varpin::context::{EdgeSpec, From, Topology, mergings, topology};
use varpin::flow::MergeOrder;
use varpin::vpl::plan::Plan;

/// What `arrival` and `timestamp` promise of a stream.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Promise {
    /// All rows come the same way (the edges that they pass): the same results in the same order. Where other
    /// rows overtake them on that way, windows close later, and a row that would be late can still be in time.
    Order { way: Vec<usize>, is_overtaken: bool },
    /// Several ways meet, but no operator that depends on the order stands behind: the same results in any
    /// order, unless some row is late.
    Results,
    /// Nothing.
    Nothing,
}

/// What is promised of each stream of `plan`. `sensitive` says of which streams the results depend on the order
/// of rows.
pub(crate) fn promises(plan: &Plan, sensitive: impl Fn(usize) -> bool) -> Vec<Promise> {
    let topology = topology(plan);
    let mergings = mergings(&topology, MergeOrder::Arrival);
    let stage_of = |stream: usize| {
        let stage = topology.stages.iter().position(|stage| stage.streams.contains(&stream));
        stage.expect("every stream has a stage")
    };
    let order = |way: Vec<usize>| {
        let overtakes = |&edge: &usize| match topology.edges[edge].from {
            From::Input => false,
            From::Stage(from) => mergings[from].is_unordered,
        };
        Promise::Order { is_overtaken: way.iter().any(overtakes), way }
    };
    let mut promises: Vec<Promise> = Vec::new();
    for (stream, spec) in plan.streams.iter().enumerate() {
        let stage = stage_of(stream);
        let mut ways: Vec<Promise> = Vec::new();
        let mut producers: Vec<usize> = Vec::new();
        for input in spec.source.inputs() {
            // Events can come under any name, that of a stream too.
            ways.push(order(way_from_outside(&topology, stage, input.name)));
            for (producer, made_by) in plan.streams[..stream].iter().enumerate() {
                for at in (0..made_by.feeds.len()).filter(|&at| made_by.feeds[at].name == input.name) {
                    producers.push(producer);
                    let mut way = promises[producer].clone();
                    if let Promise::Order { way: edges, .. } = &way
                        && stage_of(producer) != stage
                    {
                        let mut edges = edges.clone();
                        edges.push(edge(&topology, stage, |edge| edge.feeds.contains(&(producer, at))));
                        way = order(edges);
                    }
                    ways.push(way);
                }
            }
        }
        // Several streams of a stage that several rings lead to: as if each came its own way.
        let jumbled = |producer: &usize| mergings[stage_of(*producer)].is_unordered;
        let is_jumbled = ways.len() > 1 && producers.iter().any(jumbled);
        ways.dedup(); // all the same: one is left
        promises.push(match &ways[..] {
            // Each key's rows keep their order, but those of several keys come over several rings.
            [Promise::Order { .. }] if !is_jumbled && spec.pool.is_some() => Promise::Results,
            [way @ Promise::Order { .. }] if !is_jumbled => way.clone(),
            ways if ways.contains(&Promise::Nothing) || sensitive(stream) => Promise::Nothing,
            _ => Promise::Results,
        });
    }
    promises
}

fn edge(topology: &Topology, to: usize, matches: impl Fn(&EdgeSpec) -> bool) -> usize {
    let edge = topology.edges.iter().position(|edge| edge.to == to && matches(edge));
    edge.expect("rows come over some edge")
}

fn way_from_outside(topology: &Topology, stage: usize, name: usize) -> Vec<usize> {
    let mut way = Vec::new();
    let mut stage = stage;
    loop {
        let edge = edge(topology, stage, |edge| edge.relays.contains(&name));
        way.insert(0, edge);
        match topology.edges[edge].from {
            From::Input => return way,
            From::Stage(from) => stage = from,
        }
    }
}
