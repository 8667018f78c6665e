//! `.order_by(e desc, ..)`: sorts the rows of a window. Stable; values in the order of keys, no value like null (D15).

use std::cmp::Ordering;

use crate::event::Value;
use crate::event::order::key_cmp;
use crate::vpl::plan;

use super::batch::Batch;
use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr};

#[derive(Debug)]
pub(super) struct OrderBy {
    /// What to order by, and whether it descends.
    by: Vec<(Expr, bool)>,
    /// Whether rows stand in groups, each of which is ordered by itself.
    grouped: bool,
    /// The values of all rows, row by row.
    values: Vec<Value>,
    order: Vec<usize>,
}

impl OrderBy {
    pub(super) fn compile(
        by: &[(plan::Expr, bool)],
        grouped: bool,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let by = by.iter().map(|(by, descending)| Ok((compiler.expr(by)?, *descending)));
        Ok(Self { by: by.collect::<Result<_, _>>()?, grouped, values: Vec::new(), order: Vec::new() })
    }

    /// Sorts the batch.
    pub(super) fn sort(&mut self, batch: &mut Batch, env: &mut Env) -> Result<(), Fault> {
        let (by, values) = (&self.by, &mut self.values);
        values.clear();
        batch.each(env, |row, env| {
            for (by, _) in by {
                values.push(by.eval(row, env)?);
            }
            Ok(())
        })?;
        let width = by.len();
        let (grouped, groups) = (self.grouped, &batch.keys);
        let compare = |a: &usize, b: &usize| {
            let keys = by.iter().enumerate().map(|(at, (_, descending))| {
                let order = key_cmp(&values[a * width + at], &values[b * width + at]);
                if *descending { order.reverse() } else { order }
            });
            let group = if grouped { key_cmp(&groups[*a], &groups[*b]) } else { Ordering::Equal };
            keys.fold(group, Ordering::then)
        };
        self.order.clear();
        self.order.extend(0..batch.rows.len());
        // Equal rows stay in order of arrival, as their places say, so an unstable sort will do, which allocates
        // nothing.
        self.order.sort_unstable_by(|a, b| compare(a, b).then(a.cmp(b)));
        batch.permute(&mut self.order);
        self.values.clear();
        Ok(())
    }
}
