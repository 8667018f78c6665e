//! What conditions and results read of the events that a run has captured.

use crate::event::order::{gt, lt};
use crate::event::{Row, Value};
use crate::functions::Accumulator;
use crate::vpl::plan::{CapturePlan, GuardPlan};
use crate::vpl::syntax::Trend;

use super::super::env::Env;
use super::super::error::{CompileError, Fault};
use super::super::expr::{Compiler, Expr};
use super::pool::{Captured, NONE, Pool};

/// Something to read.
#[derive(Debug)]
pub(super) enum Capture {
    First(usize, usize),
    Last(usize, usize),
    FirstTime(usize),
    LastTime(usize),
    Count(usize),
    /// The step, the argument, and the accumulator, which is used again and again.
    Aggregate(usize, Option<Expr>, Box<Accumulator>),
    DurationMs,
}

impl Capture {
    pub(super) fn compile(plan: &CapturePlan, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        Ok(match plan {
            CapturePlan::First(step, slot) => Self::First(*step, usize::from(*slot)),
            CapturePlan::Last(step, slot) => Self::Last(*step, usize::from(*slot)),
            CapturePlan::FirstTime(step) => Self::FirstTime(*step),
            CapturePlan::LastTime(step) => Self::LastTime(*step),
            CapturePlan::Count(step) => Self::Count(*step),
            CapturePlan::Aggregate(step, plan) => {
                let argument = plan.argument.as_ref().map(|argument| compiler.expr(argument)).transpose()?;
                let accumulator = Accumulator::new(plan.aggregate, plan.parameter);
                Self::Aggregate(*step, argument, Box::new(accumulator))
            }
            CapturePlan::DurationMs => Self::DurationMs,
        })
    }

    /// The step whose events it needs one by one.
    pub(super) fn lists(&self) -> Option<usize> {
        match self {
            Self::Aggregate(step, ..) => Some(*step),
            _ => None,
        }
    }

    /// Calls `then` with its value. `lists` has the events of the steps that [`Capture::lists`] names.
    #[inline]
    pub(super) fn with<R>(
        &mut self,
        captured: &[Captured],
        lists: &[Vec<u32>],
        pool: &Pool,
        env: &mut Env,
        then: impl FnOnce(&Value) -> R,
    ) -> Result<R, Fault> {
        let (event, slot) = match self {
            Self::First(step, slot) => (captured[*step].first, *slot),
            Self::Last(step, slot) => (captured[*step].last, *slot),
            _ => return self.value(captured, lists, pool, env).map(|value| then(&value)),
        };
        // Nobody has captured anything: there is no value.
        let values = if event == NONE { &[] } else { pool.row(event).values() };
        Ok(then(values.get(slot).unwrap_or(&Value::Missing)))
    }

    fn value(
        &mut self,
        captured: &[Captured],
        lists: &[Vec<u32>],
        pool: &Pool,
        env: &mut Env,
    ) -> Result<Value, Fault> {
        let has = |step: usize| captured[step].count > 0;
        Ok(match self {
            Self::FirstTime(step) if has(*step) => {
                Value::Timestamp(pool.row(captured[*step].first).time_ns())
            }
            Self::LastTime(step) if has(*step) => Value::Timestamp(pool.row(captured[*step].last).time_ns()),
            Self::First(..) | Self::Last(..) | Self::FirstTime(_) | Self::LastTime(_) => Value::Missing,
            Self::Count(step) => Value::Int(i64::from(captured[*step].count)),
            Self::Aggregate(step, argument, accumulator) => {
                accumulator.reset();
                for &event in &lists[*step] {
                    match argument {
                        None => accumulator.count_row(),
                        Some(argument) => {
                            argument.with(pool.row(event), env, |value| accumulator.add(value))?;
                        }
                    }
                }
                accumulator.finish()
            }
            Self::DurationMs => match (captured.first(), captured.last()) {
                (Some(first), Some(last)) if first.count > 0 && last.count > 0 => {
                    let time_ns = |event: u32| pool.row(event).time_ns();
                    Value::Int(time_ns(last.last).saturating_sub(time_ns(first.first)) / 1_000_000)
                }
                _ => Value::Missing,
            },
        })
    }
}

/// A condition of a step or of a negation.
#[derive(Debug)]
pub(super) struct Guard {
    captures: Box<[Capture]>,
    condition: Expr,
}

impl Guard {
    pub(super) fn compile(plan: &GuardPlan, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        let captures = plan.captured.iter().map(|capture| Capture::compile(capture, compiler));
        Ok(Self { captures: captures.collect::<Result<_, _>>()?, condition: compiler.expr(&plan.condition)? })
    }

    /// Whether it is true of `row` behind what has been captured. `lists` is room for the events of each step.
    #[inline]
    pub(super) fn passes(
        &mut self,
        row: &Row,
        captured: &[Captured],
        lists: &mut [Vec<u32>],
        pool: &Pool,
        env: &mut Env,
    ) -> Result<bool, Fault> {
        if !self.captures.is_empty() {
            env.captured.clear();
            for capture in &mut self.captures {
                if let Some(step) = capture.lists() {
                    pool.list(&captured[step], &mut lists[step]);
                }
                let value = capture.with(captured, lists, pool, env, Value::clone)?;
                env.captured.push(value);
            }
        }
        self.condition.passes(row, env)
    }
}

/// Whether `row` goes on in the direction of the trend, behind what has been captured for the step.
pub(super) fn goes_on(trend: Trend, slot: usize, row: &Row, captured: &Captured, pool: &Pool) -> bool {
    let value = |row: &Row| row.values().get(slot).cloned().unwrap_or_default();
    let next = value(row);
    if next.is_absent() || captured.count == 0 {
        return !next.is_absent();
    }
    let last = value(pool.row(captured.last));
    let compared = match trend {
        Trend::Increasing => lt(&last, &next),
        Trend::Decreasing => gt(&last, &next),
    };
    compared == Some(true)
}
