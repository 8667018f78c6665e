//! `.aggregate(..)`: one row from the rows of a window (or from each group of them): first every row goes into
//! accumulators, then the items are computed from their results.
//!
//! Accumulators see rows with their own times; all that comes after sees the time of the window's result (D5).

use crate::event::order::key_cmp;
use crate::event::{Row, Value};
use crate::functions::{Accumulator, Aggregate as Function};
use crate::vpl::plan::{self, AccumulatorPlan, AggregatePlan};

use super::batch::Batch;
use super::emit::Mark;
use super::env::Env;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, Expr, TimeOf, names_bounds};

#[derive(Debug)]
pub(super) struct Aggregate {
    /// The accumulators, without those that would remember what another one does.
    folds: Box<[Fold]>,
    /// For each accumulator of the plan: which one has its result, and as what.
    results: Box<[(usize, Function)]>,
    items: Box<[Expr]>,
    group_by: Option<Expr>,
    slots: usize,
    mark: Mark,
    /// Accumulators for rows that come all at once, kept for the next time.
    spare: Option<Vec<Accumulator>>,
    /// For each row of the batch its key and its place; kept for the next.
    grouped: Vec<(Value, usize)>,
}

/// An accumulator and what it is fed with.
#[derive(Debug)]
struct Fold {
    function: Function,
    parameter: f64,
    argument: Argument,
    /// Whether the argument can be computed before the window closes.
    early: bool,
}

/// What an accumulator takes of a row.
#[derive(Debug)]
enum Argument {
    /// `count()` takes rows.
    Row,
    Field(usize),
    Computed(Expr),
}

impl Aggregate {
    pub(super) fn compile(
        plan: &AggregatePlan,
        mark: Mark,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let over_rows = compiler.with_time(TimeOf::Row);
        let (mut folds, mut results, mut owners) = (Vec::new(), Vec::new(), Vec::<&AccumulatorPlan>::new());
        for accumulator in &plan.accumulators {
            let own = owners.iter().position(|owner| remember_the_same(owner, accumulator));
            results.push((own.unwrap_or(folds.len()), accumulator.aggregate));
            if own.is_none() {
                folds.push(Fold::compile(accumulator, &over_rows)?);
                owners.push(accumulator);
            }
        }
        let items = plan.fields.iter().map(|(_, value)| compiler.expr(value));
        Ok(Self {
            folds: folds.into(),
            results: results.into(),
            items: items.collect::<Result<_, _>>()?,
            group_by: plan.group_by.as_ref().map(|by| compiler.expr(by)).transpose()?,
            slots: usize::from(plan.slots).max(plan.fields.len()),
            mark,
            spare: None,
            grouped: Vec::new(),
        })
    }

    /// Whether all rows of a window end in one row.
    pub(super) fn makes_one_row(&self) -> bool {
        self.group_by.is_none()
    }

    /// Whether rows can be fed as they come.
    pub(super) fn folds_rows(&self) -> bool {
        self.makes_one_row() && self.folds.iter().all(|fold| fold.early)
    }

    /// Whether no result depends on the order in which rows come.
    pub(super) fn is_order_free(&self) -> bool {
        let depends = |function| {
            matches!(function, Function::First | Function::Last | Function::Ema | Function::Collect)
        };
        !self.folds.iter().any(|fold| depends(fold.function))
    }

    /// How many values the accumulators keep of each row, beyond a few words for all rows together.
    pub(super) fn values_kept(&self) -> usize {
        self.folds.iter().filter(|fold| fold.keeps_values()).count()
    }

    /// A set of accumulators that have seen nothing.
    pub(super) fn fresh(&self) -> Vec<Accumulator> {
        self.folds.iter().map(|fold| Accumulator::new(fold.function, fold.parameter)).collect()
    }

    /// Feeds `row` to a set of accumulators.
    #[inline(always)]
    #[allow(clippy::inline_always)] // on the way of every event into a window
    pub(super) fn add(
        &self,
        accumulators: &mut [Accumulator],
        row: &Row,
        env: &mut Env,
    ) -> Result<(), Fault> {
        for (fold, accumulator) in self.folds.iter().zip(accumulators) {
            match &fold.argument {
                Argument::Row => accumulator.count_row(),
                Argument::Field(slot) => accumulator.add(row.values().get(*slot).unwrap_or(&Value::Missing)),
                Argument::Computed(argument) => argument.with(row, env, |value| accumulator.add(value))?,
            }
        }
        Ok(())
    }

    /// The row that a set of accumulators ends in.
    pub(super) fn finish(&self, accumulators: &[Accumulator], env: &mut Env) -> Result<Row, Fault> {
        env.finished.clear();
        env.finished.extend(self.results.iter().map(|(at, function)| accumulators[*at].finish_as(*function)));
        let mut made = Row::new(self.mark.type_id, env.window.result_ns, self.slots);
        made.set_rank(self.mark.rank);
        let nothing = Row::new(self.mark.type_id, env.window.result_ns, 0);
        for (slot, item) in self.items.iter().enumerate() {
            // An item without a value is null (D18).
            let value = match item.eval(&nothing, env)? {
                Value::Missing => Value::Null,
                value => value,
            };
            made.set(slot, value);
        }
        Ok(made)
    }

    /// The row that `rows` end in.
    pub(super) fn over<'a>(
        &mut self,
        mut rows: impl Iterator<Item = &'a Row>,
        env: &mut Env,
    ) -> Result<Row, Fault> {
        let mut accumulators = self.spare.take().unwrap_or_else(|| self.fresh());
        let added = rows.try_for_each(|row| self.add(&mut accumulators, row, env));
        let made = added.and_then(|()| self.finish(&accumulators, env));
        accumulators.iter_mut().for_each(Accumulator::reset);
        self.spare = Some(accumulators);
        made
    }

    /// Replaces the rows of the batch by one, or by one for each group, keys ascending. No rows make none (D6).
    pub(super) fn run(&mut self, batch: &mut Batch, env: &mut Env) -> Result<(), Fault> {
        if batch.rows.is_empty() {
            return Ok(());
        }
        if self.group_by.is_some() || !batch.keys.is_empty() {
            return self.run_groups(batch, env);
        }
        let made = self.over(batch.rows.iter(), env)?;
        batch.rows.clear();
        batch.rows.push(made);
        Ok(())
    }

    fn run_groups(&mut self, batch: &mut Batch, env: &mut Env) -> Result<(), Fault> {
        let mut grouped = std::mem::take(&mut self.grouped);
        grouped.clear();
        for (place, row) in batch.rows.iter().enumerate() {
            let key = match (&self.group_by, batch.keys.get(place)) {
                (Some(by), _) => match by.eval(row, env)? {
                    Value::Missing => Value::Null,
                    key => key,
                },
                (None, key) => key.cloned().unwrap_or_default(),
            };
            grouped.push((key, place));
        }
        // Within a group rows stay in order of arrival.
        grouped.sort_unstable_by(|(a, first), (b, second)| key_cmp(a, b).then(first.cmp(second)));
        let mut rows = Vec::new();
        let mut keys = Vec::new();
        for group in grouped.chunk_by(|(a, _), (b, _)| key_cmp(a, b).is_eq()) {
            env.key.clone_from(&group[0].0);
            rows.push(self.over(group.iter().map(|(_, place)| &batch.rows[*place]), env)?);
            keys.push(group[0].0.clone());
        }
        batch.rows = rows;
        batch.keys = keys;
        grouped.clear();
        self.grouped = grouped;
        Ok(())
    }
}

/// Whether two accumulators remember the same, which is so for the sum and the average of one field.
fn remember_the_same(a: &AccumulatorPlan, b: &AccumulatorPlan) -> bool {
    let of_sum = |plan: &AccumulatorPlan| matches!(plan.aggregate, Function::Sum | Function::Avg);
    let same_field = match (&a.argument, &b.argument) {
        (Some(plan::Expr::Field(a, _)), Some(plan::Expr::Field(b, _))) => a == b,
        _ => false,
    };
    of_sum(a) && of_sum(b) && same_field
}

impl Fold {
    fn compile(plan: &AccumulatorPlan, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        if plan.argument.is_none() && plan.aggregate != Function::Count {
            return Err(compiler.error(format!("the aggregate {} needs an argument", plan.aggregate.name())));
        }
        let argument = match &plan.argument {
            None => Argument::Row,
            Some(plan::Expr::Field(slot, _)) => Argument::Field(usize::from(*slot)),
            Some(argument) => Argument::Computed(compiler.expr(argument)?),
        };
        let early = !plan.argument.as_ref().is_some_and(names_bounds);
        Ok(Self { function: plan.aggregate, parameter: plan.parameter, argument, early })
    }

    fn keeps_values(&self) -> bool {
        matches!(
            self.function,
            Function::CountDistinct
                | Function::Collect
                | Function::Median
                | Function::Percentile
                | Function::P50
                | Function::P95
                | Function::P99
        )
    }
}
