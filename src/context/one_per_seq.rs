//! Which streams have at most one row per sequence number: a pure function of the plan. Where that is so, a row says by
//! itself that its number is complete, and rows need no tags.

use crate::vpl::plan::{OpPlan, Plan, SourcePlan};

/// For each stream, whether at most one row of a sequence number ..
#[derive(Clone, Debug, Default)]
pub(super) struct OnePerSeq {
    /// .. enters it: it has one source, which makes at most one;
    enters: Vec<bool>,
    /// .. leaves it: so it is, it has no window, and no operator that makes several.
    pub(super) leaves: Vec<bool>,
}

impl OnePerSeq {
    /// Looks at each stream once, sources before those who take from them.
    pub(super) fn of(plan: &Plan, makers: &[Vec<usize>]) -> Self {
        let mut one = Self::default();
        for spec in &plan.streams {
            let enters = match &spec.source {
                SourcePlan::Name(input) => match makers[input.name][..] {
                    [] => true,
                    [maker] => one.leaves[maker],
                    _ => false,
                },
                _ => false,
            };
            one.enters.push(enters);
            one.leaves.push(enters && spec.window.is_none() && !makes_several(&spec.before));
        }
        one
    }

    /// Whether at most one row of a sequence number leaves the front of a stream with a pool.
    pub(super) fn leaves_front(&self, plan: &Plan, stream: usize) -> bool {
        let spec = &plan.streams[stream];
        let front = spec.pool.as_ref().map_or(&spec.before[..], |pool| &spec.before[..pool.at]);
        self.enters[stream] && !makes_several(front)
    }

    /// Whether at most one item of a sequence number goes to a worker, signals included.
    pub(super) fn scatters(&self, plan: &Plan, stream: usize) -> bool {
        !plan.streams[stream].has_timed_window() && self.leaves_front(plan, stream)
    }
}

fn makes_several(ops: &[OpPlan]) -> bool {
    ops.iter().any(|op| matches!(op, OpPlan::Process { .. }))
}
