//! The edges of a topology: who sends what to whom, and over which of them rows from outside are relayed. A pure
//! function.

use std::collections::{BTreeSet, HashMap};

use crate::vpl::plan::Plan;

use super::one_per_seq::OnePerSeq;
use super::topology::{EdgeSpec, From, Placed, StageSpec};

/// Edges while they are found, and where to find them again.
#[derive(Default)]
struct Edges {
    all: Vec<EdgeSpec>,
    by_ends: HashMap<(From, usize), usize>,
    /// By the stage that they lead to, those of workers left out.
    first_into: HashMap<usize, usize>,
    /// By that and by a name: the first one over which a stream sends rows of it.
    first_of_name: HashMap<(usize, usize), usize>,
}

impl Edges {
    /// The edge between two ends; made on first use.
    fn between(&mut self, from: From, to: usize) -> usize {
        let all = &mut self.all;
        *self.by_ends.entry((from, to)).or_insert_with(|| {
            all.push(EdgeSpec {
                from,
                to,
                feeds: Vec::new(),
                scatters: None,
                relays: Vec::new(),
                one_per_seq: false,
                lowest_rank: 0,
            });
            all.len() - 1
        })
    }

    /// Leads rows from outside under `name` to stage `to`: over the ring that brings rows of this name anyway, so that
    /// those who take them still take everything from one ring; else over its ring from the input, or else over its
    /// first edge. Where that does not come from the input, its own stage has to get them first. Workers of pools relay
    /// nothing: where there is no other way, there will be a ring from the input.
    fn relay(&mut self, name: usize, to: usize) {
        let mut to = to;
        loop {
            let known = self
                .first_of_name
                .get(&(to, name))
                .or_else(|| self.by_ends.get(&(From::Input, to)))
                .or_else(|| self.first_into.get(&to))
                .copied();
            let at = known.unwrap_or_else(|| self.between(From::Input, to));
            let edge = &mut self.all[at];
            // Names are led one after the other.
            if edge.relays.last() == Some(&name) {
                return;
            }
            edge.relays.push(name);
            match edge.from {
                From::Input => return,
                From::Stage(from) => to = from,
            }
        }
    }
}

/// All edges, by stage that they lead to.
pub(super) fn edges(
    plan: &Plan,
    makers: &[Vec<usize>],
    stages: &[StageSpec],
    placed: &Placed,
) -> Vec<EdgeSpec> {
    let mut edges = Edges::default();
    for (stream, spec) in plan.streams.iter().enumerate() {
        for (feed, name) in spec.feeds.iter().map(|feed| feed.name).enumerate() {
            for &from in &placed.makes[stream] {
                for &to in placed.targets[name].iter().filter(|&&to| to != from) {
                    let at = edges.between(From::Stage(from), to);
                    edges.all[at].feeds.push((stream, feed));
                    if stages[from].worker.is_none() {
                        edges.first_into.entry(to).or_insert(at);
                        let first = edges.first_of_name.entry((to, name)).or_insert(at);
                        *first = at.min(*first);
                    }
                }
            }
        }
    }
    for (stream, _) in plan.streams.iter().enumerate().filter(|(_, spec)| spec.pool.is_some()) {
        let front = placed.takes[stream];
        for &to in &placed.makes[stream] {
            let at = edges.between(From::Stage(front), to);
            edges.all[at].scatters = Some(stream);
            edges.first_into.entry(to).or_insert(at);
        }
    }
    // Names that some stream makes can do without a ring from the input where another way leads.
    for (targets, _) in placed.targets.iter().zip(makers).filter(|(_, makers)| makers.is_empty()) {
        for &to in targets {
            edges.between(From::Input, to);
        }
    }
    // A stage that nothing leads to still has a ring from the input, so that it ends when the input does.
    let led_to: BTreeSet<usize> = edges.all.iter().map(|edge| edge.to).collect();
    for stage in (0..stages.len()).filter(|stage| !led_to.contains(stage)) {
        edges.between(From::Input, stage);
    }
    for (name, targets) in placed.targets.iter().enumerate() {
        for &to in targets {
            edges.relay(name, to);
        }
    }
    let one_per_seq = OnePerSeq::of(plan, makers);
    let mut edges = edges.all;
    for edge in &mut edges {
        edge.one_per_seq = match (edge.from, edge.scatters, &edge.feeds[..]) {
            (From::Input, _, _) => true,
            (From::Stage(_), Some(stream), _) => one_per_seq.scatters(plan, stream),
            (From::Stage(_), None, &[(stream, feed)]) => {
                one_per_seq.leaves[stream]
                    && plan.streams[stream].feeds[feed].lane.is_none()
                    && !comes_from(plan, makers, stream, &edge.relays)
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

/// Whether rows of a stream, which makes at most one per sequence number, can come from rows of one of `names`.
fn comes_from(plan: &Plan, makers: &[Vec<usize>], stream: usize, names: &[usize]) -> bool {
    if names.is_empty() {
        return false;
    }
    let names: BTreeSet<usize> = names.iter().copied().collect();
    let mut stream = stream;
    // Such a stream has one source, and so has that one.
    while let [input] = plan.streams[stream].source.inputs() {
        if names.contains(&input.name) {
            return true;
        }
        match makers[input.name][..] {
            [maker] => stream = maker,
            _ => return false,
        }
    }
    false
}
