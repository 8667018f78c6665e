//! Over which rings the rows come that a stream of a stage takes. A pure function.

use std::collections::{BTreeSet, HashMap};

use crate::vpl::plan::Plan;

use super::topology::Topology;

/// For each stream of `stage` the lanes (edges that lead to the stage, counted in the topology's order) that
/// its rows come over.
pub(super) fn lanes_to(plan: &Plan, topology: &Topology, stage: usize) -> Vec<Vec<usize>> {
    let streams = &topology.stages[stage].streams;
    // By name: the lanes over which its rows come, from other stages and then through the streams of this one.
    let mut lanes_of: HashMap<usize, BTreeSet<usize>> = HashMap::new();
    for (lane, edge) in topology.edges.iter().filter(|edge| edge.to == stage).enumerate() {
        let fed = edge.feeds.iter().map(|&(from, feed)| plan.streams[from].feeds[feed].name);
        for name in edge.relays.iter().copied().chain(fed) {
            lanes_of.entry(name).or_default().insert(lane);
        }
    }
    let mut lanes_to: Vec<Vec<usize>> = Vec::with_capacity(streams.len());
    for &stream in streams {
        let spec = &plan.streams[stream];
        let inputs = spec.source.inputs().iter().filter_map(|input| lanes_of.get(&input.name));
        let lanes: BTreeSet<usize> = inputs.flatten().copied().collect();
        for feed in &spec.feeds {
            lanes_of.entry(feed.name).or_default().extend(&lanes);
        }
        lanes_to.push(lanes.into_iter().collect());
    }
    lanes_to
}
