//! Layouts, when all of them are known: from the last stream to the first, so that what a consumer reads is asked of
//! its source before the source itself is settled.

use crate::vpl::plan::{Expr, OpPlan, Remap, RestFrom, SourcePlan};
use crate::vpl::syntax::Span;

use super::Resolver;

impl Resolver<'_> {
    pub(super) fn layouts(&mut self) {
        for rank in (0..self.plan.streams.len()).rev() {
            if !self.make_fields(self.plan.streams[rank].feeds.len(), self.plan.streams[rank].span) {
                return;
            }
            self.feeds(rank);
            self.settle(rank);
            self.inputs(rank);
        }
    }

    /// From the stream's layout to those of the names that it feeds.
    fn feeds(&mut self, rank: usize) {
        let shape = self.plan.streams[rank].shape;
        for at in 0..self.plan.streams[rank].feeds.len() {
            let target = self.plan.names[self.plan.streams[rank].feeds[at].name].shape;
            let remap = self.remap(shape, target, self.plan.streams[rank].span);
            self.plan.streams[rank].feeds[at].remap = remap;
        }
    }

    /// From the layouts of the stream's sources to its first one.
    fn inputs(&mut self, rank: usize) {
        let Some(merged) = self.stream_decls[rank].merged else { return };
        if let SourcePlan::Join(_) = self.plan.streams[rank].source {
            return self.joined_slots(rank, merged);
        }
        let SourcePlan::Merge(inputs) = &self.plan.streams[rank].source else { return };
        let shapes: Vec<usize> = inputs.iter().map(|input| self.plan.names[input.name].shape).collect();
        let span = self.plan.streams[rank].span;
        let remaps: Vec<Option<Remap>> =
            shapes.into_iter().map(|shape| self.remap(shape, merged, span)).collect();
        if let SourcePlan::Merge(inputs) = &mut self.plan.streams[rank].source {
            for (input, remap) in inputs.iter_mut().zip(remaps) {
                input.remap = remap;
            }
        }
    }

    /// The operator that made the stream's layout makes rows of its full width.
    fn settle(&mut self, rank: usize) {
        let Some((behind, at)) = self.stream_decls[rank].shaped_by else { return };
        let stream = &mut self.plan.streams[rank];
        let shape = &self.plan.shapes[stream.shape];
        let op = if behind { &mut stream.after[at] } else { &mut stream.before[at] };
        match op {
            OpPlan::Project { slots, .. } => *slots = shape.slots,
            OpPlan::Aggregate(aggregate) => aggregate.slots = shape.slots,
            OpPlan::Replace { fields, rest, slots, .. } => {
                *fields =
                    shape.fields.iter().filter_map(|field| Some((field.name.clone(), field.slot?))).collect();
                *rest = shape.rest;
                *slots = shape.slots;
            }
            _ => {}
        }
    }

    /// How rows of layout `from` become rows of layout `to`; none where they are the same layout, or agree slot by
    /// slot.
    fn remap(&mut self, from: usize, to: usize, span: Span) -> Option<Remap> {
        if from == to || !self.make_fields(self.plan.shapes[to].fields.len(), span) {
            return None;
        }
        let wanted: Vec<(String, u16)> = self.plan.shapes[to]
            .fields
            .iter()
            .filter_map(|field| Some((field.name.clone(), field.slot?)))
            .collect();
        let mut slots = vec![None; usize::from(self.plan.shapes[to].slots)];
        for (name, slot) in wanted {
            if let Some(Expr::Field(source, _)) = self.field(from, &name) {
                slots[usize::from(slot)] = Some(source);
            }
        }
        let rest = self.plan.shapes[to].rest.map(|slot| {
            let fields = self.keep_all(from, span);
            let source = match self.plan.shapes[from].rest {
                Some(slot) => RestFrom::Slot(slot),
                None => RestFrom::Fields(fields),
            };
            (slot, source)
        });
        let same = rest.is_none()
            && slots.len() == usize::from(self.plan.shapes[from].slots)
            && slots.iter().enumerate().all(|(at, slot)| *slot == Some(at as u16));
        (!same).then_some(Remap { from: slots, rest })
    }
}
