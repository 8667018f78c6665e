//! How the rings that lead to each stage are merged, and what they have to tell for it: a pure function of the
//! topology.
//!
//! In the orders that don't wait, two things still have to be right. Rows of one input event come to a stream
//! source by source; so a stage with several streams behind a single ring collects them into rounds, as
//! `deterministic` does everywhere, wherever the ring brings them in the order of the input. And where several
//! rings meet, a watermark is held back by those that are behind (see `holdback`), for which a stage must know
//! how far they are. Both ask for progress, on every ring that leads there.

use crate::flow::MergeOrder;

use super::topology::{EdgeSpec, From, Topology};

/// How a stage takes what comes to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merging {
    /// The order in which its rings are merged.
    pub order: MergeOrder,
    /// What leaves it is not in the order of the sequence numbers.
    pub is_unordered: bool,
    /// It has to be told how far those in front of it have come.
    pub needs_progress: bool,
}

/// How the stages of `topology` take what comes to them, where `order` was asked for.
pub fn mergings(topology: &Topology, order: MergeOrder) -> Vec<Merging> {
    let waits = order == MergeOrder::Deterministic;
    let mut mergings: Vec<Merging> = Vec::with_capacity(topology.stages.len());
    for (to, stage) in topology.stages.iter().enumerate() {
        let edges: Vec<&EdgeSpec> = topology.edges.iter().filter(|edge| edge.to == to).collect();
        let from_unordered = |edge: &&EdgeSpec| match edge.from {
            From::Input => false,
            From::Stage(from) => mergings[from].is_unordered,
        };
        // A pool can get more workers, and then there are more rings.
        let from_pool = |edge: &&EdgeSpec| edge.is_from_pool(topology);
        let is_unordered =
            !waits && (edges.len() > 1 || edges.iter().any(from_unordered) || edges.iter().any(from_pool));
        let rounds = !is_unordered && stage.streams.len() > 1 && edges.iter().any(|edge| !edge.one_per_seq);
        mergings.push(Merging {
            order: if rounds { MergeOrder::Deterministic } else { order },
            is_unordered,
            needs_progress: waits || rounds || is_unordered,
        });
    }
    // A stage knows how far it has come only if it is told so itself.
    for to in (0..topology.stages.len()).rev().filter(|_| !waits) {
        for edge in topology.edges.iter().filter(|edge| edge.to == to) {
            if let From::Stage(from) = edge.from {
                mergings[from].needs_progress |= mergings[to].needs_progress;
            }
        }
    }
    mergings
}
