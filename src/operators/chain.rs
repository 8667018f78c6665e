//! The operators in front of a window, one row at a time. A row passes them by reference; only an operator that makes
//! a new row makes one.

use crate::event::{Keeps, Pieces, Row, SnapshotError, SnapshotReader, Value};
use crate::vpl::plan::{OpPlan, Plan, StreamPlan};

use super::at::At;
use super::distinct::{Distinct, Seen};
use super::emit::Mark;
use super::env::Env;
use super::error::{CompileError, Failure};
use super::expr::Compiler;
use super::filter::Filter;
use super::limit::Limit;
use super::limits::Limits;
use super::log::Log;
use super::partition_by::PartitionBy;
use super::process::Process;
use super::project::Project;
use super::replace::Replace;

/// An operator that takes rows one by one.
#[derive(Debug)]
pub(super) enum RowOp {
    Filter(Filter),
    Project(Project),
    Replace(Replace),
    PartitionBy(PartitionBy),
    Distinct(Distinct),
    Limit(Limit),
    Log(Log),
    Process(Process),
}

/// What stands behind the last operator: a window, or the way out.
pub(super) trait Next {
    fn take(&mut self, row: &Row, env: &mut Env) -> Result<(), Failure>;
}

/// What compiling an operator needs to know of its stream.
#[derive(Debug)]
pub(super) struct Place<'a> {
    pub(super) plan: &'a Plan,
    pub(super) stream: &'a StreamPlan,
    pub(super) limits: &'a Limits,
    pub(super) mark: Mark,
    /// A key has been set in front of it.
    pub(super) keyed: bool,
}

impl Place<'_> {
    /// How many slots a `.process` gives its rows: the stream's, where nothing behind it makes other rows.
    pub(super) fn process_slots(&self, rest: &[OpPlan]) -> usize {
        let remade = rest.iter().any(|op| {
            matches!(
                op,
                OpPlan::Project { .. }
                    | OpPlan::Replace { .. }
                    | OpPlan::Aggregate(_)
                    | OpPlan::Process { .. }
            )
        });
        let shape = self.plan.shapes.get(self.stream.shape);
        if remade { 0 } else { shape.map_or(0, |shape| usize::from(shape.slots)) }
    }
}

/// What the operators of a chain have kept for some keys, in their order.
#[derive(Debug, Default)]
pub(super) struct ChainOfKeys {
    distincts: Vec<Vec<Seen>>,
    limits: Vec<Vec<(Value, u64)>>,
}

/// The chain of a stream.
#[derive(Debug)]
pub(super) struct Chain {
    /// The filters in front of everything else: most rows end at one of them.
    front: Vec<Filter>,
    ops: Vec<RowOp>,
    pub(super) partitioned: bool,
    /// Whether rows that leave it are made by it; else they are those that came in.
    pub(super) makes_rows: bool,
}

impl Chain {
    pub(super) fn compile(place: &Place<'_>, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        let mut chain =
            Self { front: Vec::new(), ops: Vec::new(), partitioned: place.keyed, makes_rows: false };
        let plans = &place.stream.before;
        for (at, plan) in plans.iter().enumerate() {
            let op = match plan {
                OpPlan::Where(condition) if chain.ops.is_empty() => {
                    chain.front.push(Filter::compile(condition, compiler)?);
                    continue;
                }
                OpPlan::Where(condition) => RowOp::Filter(Filter::compile(condition, compiler)?),
                OpPlan::Project { verb, fields, slots } => {
                    chain.makes_rows = true;
                    RowOp::Project(Project::compile(verb, fields, *slots, place.mark, compiler)?)
                }
                OpPlan::Replace { value, fields, rest, slots } => {
                    chain.makes_rows = true;
                    RowOp::Replace(Replace::compile(value, fields, *rest, *slots, place.mark, compiler)?)
                }
                OpPlan::PartitionBy(key) => {
                    chain.partitioned = true;
                    RowOp::PartitionBy(PartitionBy::compile(key, compiler)?)
                }
                OpPlan::Distinct(by) => RowOp::Distinct(Distinct::compile(
                    by,
                    chain.partitioned,
                    place.limits.max_distinct,
                    compiler,
                )?),
                OpPlan::Limit(max) => {
                    RowOp::Limit(Limit::new(*max, chain.partitioned, place.limits.max_partitions))
                }
                OpPlan::Log(log) => RowOp::Log(Log::compile(log, compiler)?),
                OpPlan::Process { call, emits } => {
                    chain.makes_rows = true;
                    let slots = place.process_slots(&plans[at + 1..]);
                    RowOp::Process(Process::compile(call, emits, slots, place.mark.rank, compiler)?)
                }
                OpPlan::Aggregate(_) => return Err(compiler.error("`.aggregate` needs a window before it")),
                OpPlan::OrderBy(_) => return Err(compiler.error("`.order_by` needs a window before it")),
            };
            chain.ops.push(op);
        }
        Ok(chain)
    }

    /// Whether there are filters in front.
    #[inline]
    pub(super) fn has_front(&self) -> bool {
        !self.front.is_empty()
    }

    /// Whether `row` ends at the first of them, where that is plain to see.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub(super) fn turns_away(&self, row: &Row) -> bool {
        self.front.first().is_some_and(|filter| filter.turns_away(row))
    }

    /// Whether `row` passes the filters in front.
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub(super) fn lets_in(&self, row: &Row, env: &mut Env) -> Result<bool, Failure> {
        for filter in &self.front {
            if !filter.keeps(row, env).map_err(|fault| fault.at("where"))? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Sends a row that was [let in](Self::lets_in) through the other operators.
    #[inline]
    pub(super) fn run(&mut self, row: &Row, env: &mut Env, next: &mut impl Next) -> Result<(), Failure> {
        match &mut self.ops[..] {
            [] => next.take(row, env),
            ops => run(ops, row, env, next),
        }
    }

    /// Takes out what its operators have kept for the keys that leave.
    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> ChainOfKeys {
        let ChainOfKeys { mut distincts, mut limits } = ChainOfKeys::default();
        for op in &mut self.ops {
            match op {
                RowOp::Distinct(distinct) => distincts.push(distinct.split(leaves)),
                RowOp::Limit(limit) => limits.push(limit.split(leaves)),
                RowOp::Filter(_)
                | RowOp::Project(_)
                | RowOp::Replace(_)
                | RowOp::PartitionBy(_)
                | RowOp::Log(_)
                | RowOp::Process(_) => {}
            }
        }
        ChainOfKeys { distincts, limits }
    }

    /// Adds what the operators of the same chain elsewhere have kept.
    pub(super) fn join(&mut self, moved: ChainOfKeys) {
        let (mut distincts, mut limits) = (moved.distincts.into_iter(), moved.limits.into_iter());
        for op in &mut self.ops {
            match op {
                RowOp::Distinct(distinct) => distinct.join(distincts.next().unwrap_or_default()),
                RowOp::Limit(limit) => limit.join(limits.next().unwrap_or_default()),
                RowOp::Filter(_)
                | RowOp::Project(_)
                | RowOp::Replace(_)
                | RowOp::PartitionBy(_)
                | RowOp::Log(_)
                | RowOp::Process(_) => {}
            }
        }
    }

    /// Keys that its operators remember.
    pub(super) fn keys(&self) -> usize {
        let keys = self.ops.iter().map(|op| match op {
            RowOp::Limit(limit) => limit.keys(),
            _ => 0,
        });
        keys.max().unwrap_or(0)
    }

    /// Up to `limit` of them.
    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        let keys = self.ops.iter().filter_map(|op| match op {
            RowOp::Limit(operator) => Some(operator.examples(limit)),
            _ => None,
        });
        keys.max_by_key(Vec::len).unwrap_or_default()
    }

    /// Values that `.distinct` remembers.
    pub(super) fn remembered(&self) -> usize {
        let values = self.ops.iter().map(|op| match op {
            RowOp::Distinct(distinct) => distinct.len(),
            _ => 0,
        });
        values.sum()
    }
}

impl Keeps for Chain {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { front, ops, partitioned: _, makes_rows: _ } = self;
        for filter in front {
            filter.save(out);
        }
        for op in ops {
            op.keeps().save(out);
        }
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.front.iter_mut().for_each(|filter| filter.save_more(pieces));
        self.ops.iter_mut().for_each(|op| op.keeps().save_more(pieces));
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.front.iter_mut().try_for_each(|filter| filter.restore(from))?;
        self.ops.iter_mut().try_for_each(|op| op.keeps().restore(from))
    }
}

impl RowOp {
    /// What an operator keeps.
    fn keeps(&mut self) -> &mut dyn Keeps {
        match self {
            Self::Filter(op) => op,
            Self::Project(op) => op,
            Self::Replace(op) => op,
            Self::PartitionBy(op) => op,
            Self::Distinct(op) => op,
            Self::Limit(op) => op,
            Self::Log(op) => op,
            Self::Process(op) => op,
        }
    }
}

fn run(mut ops: &mut [RowOp], row: &Row, env: &mut Env, next: &mut impl Next) -> Result<(), Failure> {
    while let Some((op, rest)) = ops.split_first_mut() {
        let passes = match op {
            RowOp::Filter(filter) => {
                env.at(At::Where);
                filter.keeps(row, env).map_err(|fault| fault.at("where"))?
            }
            RowOp::Project(project) => {
                env.at(project.at);
                let mut made = project.blank(row, env);
                project.fill(&mut made, row, env).map_err(|fault| fault.at(project.verb))?;
                return run(rest, &made, env, next);
            }
            RowOp::Replace(replace) => {
                env.at(At::Map);
                let made = replace.make(row, env).map_err(|fault| fault.at("map"))?;
                return run(rest, &made, env, next);
            }
            RowOp::PartitionBy(by) => {
                env.at(At::PartitionBy);
                by.set(row, env).map_err(|fault| fault.at("partition_by"))?;
                true
            }
            RowOp::Distinct(distinct) => {
                env.at(At::Distinct);
                distinct.is_first(row, env).map_err(|fault| fault.at("distinct"))?
            }
            RowOp::Limit(limit) => {
                env.at(At::Limit);
                limit.passes(&env.key).map_err(|fault| fault.at("limit"))?
            }
            RowOp::Log(log) => {
                env.at(At::Log);
                log.write(row, env).map(|()| true).map_err(|fault| fault.at(log.verb))?
            }
            RowOp::Process(process) => {
                env.at(At::Process);
                process.run(row, env).map_err(|fault| fault.at("process"))?;
                return run_emitted(rest, env, next);
            }
        };
        if !passes {
            return Ok(());
        }
        ops = rest;
    }
    next.take(row, env)
}

/// Sends on what a function has emitted.
fn run_emitted(ops: &mut [RowOp], env: &mut Env, next: &mut impl Next) -> Result<(), Failure> {
    let mut rows = std::mem::take(&mut env.emitted);
    let result = rows.iter().try_for_each(|row| run(ops, row, env, next));
    rows.clear();
    env.emitted = rows;
    result
}
