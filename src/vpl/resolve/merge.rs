//! Merges: branches, what they accept, and the layout that their rows have in common.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::event::{FieldType, Shape, ShapeField};
use crate::vpl::plan::{InputPlan, SourcePlan};
use crate::vpl::syntax::{self, Span};

use super::Resolver;
use super::bounds::MAX_FIELDS;
use super::scope::{Origin, RowScope, Scope};

impl<'a> Resolver<'a> {
    /// `merge(A, stream X = B.where(e))`: the first branch that accepts an event takes it.
    pub(super) fn merge(
        &mut self,
        branches: &'a [syntax::Branch],
        span: Span,
        scope: &mut Scope,
    ) -> (SourcePlan, Option<usize>) {
        let mut inputs = Vec::new();
        let mut rows: Vec<RowScope> = Vec::new();
        for branch in branches {
            let (name, mut row) = self.taken(&branch.source);
            row.names.extend(branch.name.iter().map(|name| name.text.clone()));
            let mut inner = Scope { row: Some(row.clone()), ..Scope::default() };
            let filter = branch.filter.as_ref().map(|filter| self.expr(filter, &mut inner));
            rows.push(row);
            inputs.push(InputPlan { name, filter, ..InputPlan::default() });
        }
        self.once_each(branches, &mut inputs);
        let first = rows[0].clone();
        let same = rows.iter().all(|row| row.shape == first.shape);
        let row = if same {
            RowScope { names: Vec::new(), ..first }
        } else {
            // The layout of the merged rows: what all branches declare, or whatever is read where one of them is open.
            let declared = rows.iter().all(|row| self.plan.shapes[row.shape].declared);
            let mut merged = Shape { declared, ..Shape::default() };
            if declared {
                let mut known: HashSet<String> = HashSet::new();
                let shapes: BTreeSet<usize> = rows.iter().map(|row| row.shape).collect();
                let count = shapes.iter().map(|&shape| self.plan.shapes[shape].fields.len()).sum();
                let mut seen: HashSet<usize> = HashSet::new();
                let fits = self.make_fields(count, span);
                for row in rows.iter().filter(|row| fits && seen.insert(row.shape)) {
                    let fields = &self.plan.shapes[row.shape].fields;
                    for field in fields.iter().filter(|field| known.insert(field.name.clone())) {
                        merged.fields.push(ShapeField { slot: None, ty: FieldType::Any, ..field.clone() });
                    }
                }
                self.within(merged.fields.len(), MAX_FIELDS, "fields of one `merge`", span);
            }
            let origin = if declared {
                let names = branches.iter().map(|branch| branch.source.text.as_str());
                Origin::Stream(names.collect::<Vec<_>>().join(", "))
            } else {
                Origin::Open
            };
            RowScope { shape: self.new_shape(merged), origin, names: Vec::new(), sides: Vec::new() }
        };
        let merged = (!same).then_some(row.shape);
        scope.row = Some(row);
        (SourcePlan::Merge(inputs), merged)
    }

    /// A branch may name a stream, and another one a type that the stream makes. What the stream makes of the type then
    /// comes once, under the stream's name, and the branches of both names have a say, in their order (D21, D22).
    fn once_each(&mut self, branches: &'a [syntax::Branch], inputs: &mut Vec<InputPlan>) {
        let makers: Vec<Maker> = self.makers(inputs);
        let mut own = std::mem::take(inputs).into_iter();
        for branch in branches {
            let Some(mut input) = own.next() else { return };
            for maker in makers.iter().filter(|maker| maker.makes == input.name) {
                input.except.push(maker.rank);
                let mut row = self.row_of(maker.name);
                row.names.extend(branch.name.iter().map(|name| name.text.clone()));
                let mut inner = Scope { row: Some(row), ..Scope::default() };
                // What there is to say about it has been said where it was resolved for its own name.
                let hushed = self.findings.hush(true);
                let filter = branch.filter.as_ref().map(|filter| self.expr(filter, &mut inner));
                self.findings.hush(hushed);
                inputs.push(InputPlan { name: maker.name, filter, lane: maker.lane, ..InputPlan::default() });
            }
            inputs.push(input);
        }
    }

    /// The streams among `inputs` that make events of a type that is among them, too.
    pub(super) fn makers(&self, inputs: &[InputPlan]) -> Vec<Maker> {
        let taken: HashSet<usize> = inputs.iter().map(|input| input.name).collect();
        // Those that stand before the merge, in their order.
        let stream_of = |&name: &usize| {
            let stream = self.stream_ids.get(self.plan.names[name].name.as_str()).copied()?;
            (stream < self.plan.streams.len()).then_some((stream, name))
        };
        let streams: BTreeMap<usize, usize> = taken.iter().filter_map(stream_of).collect();
        let mut makers = Vec::new();
        for (stream, name) in streams {
            let feeds = &self.plan.streams[stream].feeds;
            let others = feeds.iter().filter(|feed| feed.name != name && taken.contains(&feed.name));
            makers.extend(others.map(|feed| Maker {
                rank: stream as u16 + 1,
                name,
                makes: feed.name,
                lane: feed.lane,
            }));
        }
        makers
    }
}

/// A stream that makes events of a type.
pub(super) struct Maker {
    pub(super) rank: u16,
    pub(super) name: usize,
    pub(super) makes: usize,
    /// Which of its rows, where it makes several types.
    pub(super) lane: Option<u16>,
}
