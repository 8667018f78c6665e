//! The operators behind a window: they get the rows of one closed window together, and send on what is left of them.
//!
//! Where `.aggregate` comes first, rows are not kept until their window closes but fed to its accumulators at once.

use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};
use crate::functions::Accumulator;
use crate::vpl::plan::OpPlan;

use super::aggregate::Aggregate;
use super::at::At;
use super::batch::Batch;
use super::chain::Place;
use super::distinct::Distinct;
use super::emit::{Cause, Emit, Mark};
use super::env::{Bounds, Env};
use super::error::{CompileError, Failure, Fault};
use super::expr::{Compiler, TimeOf};
use super::filter::Filter;
use super::limit::Limit;
use super::log::Log;
use super::order_by::OrderBy;
use super::partition_by::PartitionBy;
use super::process::Process;
use super::project::Project;
use super::replace::Replace;

/// An operator that takes a closed window.
#[derive(Debug)]
enum BatchOp {
    Filter(Filter),
    Project(Project),
    Replace(Replace),
    PartitionBy(PartitionBy),
    Aggregate(Aggregate),
    Distinct(Distinct),
    OrderBy(OrderBy),
    Limit(Limit),
    Log(Log),
    Process(Process),
}

/// What an open window holds: rows, or accumulators that have seen them.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) rows: Vec<Row>,
    accumulators: Vec<Accumulator>,
    /// How many rows it has taken.
    taken: u64,
    /// What counts against `max_window_rows`.
    held: usize,
}

/// Everything behind the window of a stream.
#[derive(Debug)]
pub(super) struct Behind {
    ops: Vec<BatchOp>,
    folding: bool,
    /// What a row that is folded adds to `held`.
    values_kept: usize,
    batch: Batch,
    /// Rows (and kept values) in all open windows.
    held: usize,
    max_held: usize,
    mark: Mark,
    rows_out: u64,
}

impl Behind {
    pub(super) fn compile(place: &Place<'_>, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        let compiler = &compiler.with_time(TimeOf::Window);
        let mut ops = Vec::new();
        // Whether rows stand in groups: from `.partition_by` on, until the aggregate makes one row of each.
        let mut keyed = false;
        let plans = &place.stream.after;
        for (at, plan) in plans.iter().enumerate() {
            ops.push(match plan {
                OpPlan::Where(condition) => BatchOp::Filter(Filter::compile(condition, compiler)?),
                OpPlan::Project { verb, fields, slots } => {
                    BatchOp::Project(Project::compile(verb, fields, *slots, place.mark, compiler)?)
                }
                OpPlan::Replace { value, fields, rest, slots } => {
                    BatchOp::Replace(Replace::compile(value, fields, *rest, *slots, place.mark, compiler)?)
                }
                OpPlan::PartitionBy(key) => {
                    keyed = true;
                    BatchOp::PartitionBy(PartitionBy::compile(key, compiler)?)
                }
                OpPlan::Aggregate(plan) => {
                    keyed = false;
                    BatchOp::Aggregate(Aggregate::compile(plan, place.mark, compiler)?)
                }
                // A window bounds what these two remember.
                OpPlan::Distinct(by) => {
                    BatchOp::Distinct(Distinct::compile(by, keyed, usize::MAX, compiler)?)
                }
                OpPlan::Limit(max) => BatchOp::Limit(Limit::new(*max, keyed, usize::MAX)),
                OpPlan::OrderBy(by) => BatchOp::OrderBy(OrderBy::compile(by, keyed, compiler)?),
                OpPlan::Log(log) => BatchOp::Log(Log::compile(log, compiler)?),
                OpPlan::Process { call, emits } => {
                    let slots = place.process_slots(&plans[at + 1..]);
                    BatchOp::Process(Process::compile(call, emits, slots, place.mark.rank, compiler)?)
                }
            });
        }
        let (folding, values_kept) = match ops.first() {
            Some(BatchOp::Aggregate(aggregate)) if aggregate.folds_rows() => (true, aggregate.values_kept()),
            _ => (false, 0),
        };
        Ok(Self {
            ops,
            folding,
            values_kept,
            batch: Batch::default(),
            held: 0,
            max_held: place.limits.max_window_rows,
            mark: place.mark,
            rows_out: 0,
        })
    }

    /// Keeps rows although they could be folded: where windows must be able to take rows out again, or to merge in
    /// order.
    pub(super) fn keep_rows(&mut self) {
        self.folding = false;
        self.values_kept = 0;
    }

    /// Whether an aggregate that comes first gives the same whatever the order of its rows.
    pub(super) fn is_order_free(&self) -> bool {
        matches!(self.ops.first(), Some(BatchOp::Aggregate(aggregate)) if aggregate.is_order_free())
    }

    /// Whether windows hold rows, not accumulators.
    pub(super) fn holds_rows(&self) -> bool {
        !self.folding
    }

    /// Rows (and kept values) in all open windows.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// Rows that have left it.
    pub(super) fn rows_out(&self) -> u64 {
        self.rows_out
    }

    /// Puts `row` into an open window.
    #[inline(always)]
    #[allow(clippy::inline_always)] // on the way of every event into a window
    pub(super) fn add(&mut self, contents: &mut Contents, row: &Row, env: &mut Env) -> Result<(), Failure> {
        match self.ops.first() {
            Some(BatchOp::Aggregate(aggregate)) if self.folding => {
                // What most accumulators remember of a row has no size of its own.
                if self.values_kept > 0 {
                    if self.held + self.values_kept > self.max_held {
                        return Err(Fault::WindowRows(self.max_held).at("window"));
                    }
                    self.held += self.values_kept;
                    contents.held += self.values_kept;
                }
                if contents.accumulators.is_empty() {
                    contents.accumulators = aggregate.fresh();
                }
                let added = aggregate.add(&mut contents.accumulators, row, env);
                added.map_err(|fault| fault.at("aggregate"))?;
            }
            _ => {
                self.hold()?;
                contents.held += 1;
                contents.rows.push(row.clone());
            }
        }
        contents.taken += 1;
        Ok(())
    }

    /// Counts one more row that is held.
    pub(super) fn hold(&mut self) -> Result<(), Failure> {
        if self.held >= self.max_held {
            return Err(Fault::WindowRows(self.max_held).at("window"));
        }
        self.held += 1;
        Ok(())
    }

    /// Counts `rows` more, which another worker has counted until now.
    pub(super) fn take_over(&mut self, rows: usize) {
        self.held += rows;
    }

    /// Counts `rows` less.
    pub(super) fn release(&mut self, rows: usize) {
        self.held -= rows;
    }

    /// Puts what `later` holds behind what `contents` holds; leaves `later` empty. Rows are appended.
    pub(super) fn merge(contents: &mut Contents, later: &mut Contents) {
        contents.rows.append(&mut later.rows);
        if contents.accumulators.is_empty() {
            std::mem::swap(&mut contents.accumulators, &mut later.accumulators);
        } else {
            for (accumulator, later) in contents.accumulators.iter_mut().zip(&mut later.accumulators) {
                accumulator.merge(later);
                later.reset();
            }
        }
        contents.held += std::mem::take(&mut later.held);
        contents.taken += std::mem::take(&mut later.taken);
    }

    /// Sends what a closed window holds through the operators, and leaves it empty, to be used again. A window that has
    /// taken nothing makes nothing.
    pub(super) fn close(
        &mut self,
        contents: &mut Contents,
        window: Window<'_>,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        self.begin(window, env);
        self.held -= std::mem::take(&mut contents.held);
        if std::mem::take(&mut contents.taken) == 0 {
            return Ok(());
        }
        let mut first = 0;
        match self.ops.first() {
            Some(BatchOp::Aggregate(aggregate)) if self.folding => {
                first = 1;
                let made = aggregate.finish(&contents.accumulators, env);
                contents.accumulators.iter_mut().for_each(Accumulator::reset);
                self.batch.rows.push(made.map_err(|fault| fault.at("aggregate"))?);
            }
            // The batch's memory goes to the window in exchange for its rows.
            _ => std::mem::swap(&mut self.batch.rows, &mut contents.rows),
        }
        self.send(first, window, env, out)
    }

    /// Sends `rows` through the operators; they stay in their window. An aggregate that comes first needs no copies
    /// of them.
    pub(super) fn close_with<'a>(
        &mut self,
        rows: impl Iterator<Item = &'a Row>,
        window: Window<'_>,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        self.begin(window, env);
        let mut first = 0;
        match self.ops.first_mut() {
            Some(BatchOp::Aggregate(aggregate)) if aggregate.makes_one_row() => {
                first = 1;
                let made = aggregate.over(rows, env).map_err(|fault| fault.at("aggregate"))?;
                self.batch.rows.push(made);
            }
            _ => self.batch.rows.extend(rows.cloned()),
        }
        self.send(first, window, env, out)
    }

    fn begin(&mut self, window: Window<'_>, env: &mut Env) {
        env.window = window.bounds;
        env.key.clone_from(window.key);
        self.batch.clear();
    }

    fn send(
        &mut self,
        first: usize,
        window: Window<'_>,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        for op in &mut self.ops[first..] {
            env.at(op.at());
            if let Err(failure) = op.run(&mut self.batch, env) {
                self.batch.clear();
                env.emitted.clear();
                return Err(failure);
            }
        }
        for row in &mut self.batch.rows {
            if row.rank() != self.mark.rank {
                // It came into the window as it is, so nobody has marked it yet.
                self.mark.put(row);
            }
            row.set_time_ns(env.window.result_ns);
            window.cause.put(row);
            out.emit_closed(row, window.key);
        }
        self.rows_out += self.batch.rows.len() as u64;
        self.batch.clear();
        Ok(())
    }
}

/// A window that closes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Window<'a> {
    pub(super) key: &'a Value,
    pub(super) bounds: Bounds,
    pub(super) cause: Cause,
}

impl Contents {
    /// What counts against the bound of open windows.
    pub(super) fn held(&self) -> usize {
        self.held
    }
}

impl Snapshot for Contents {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { rows, accumulators, taken, held } = self;
        rows.write(out);
        accumulators.write(out);
        taken.write(out);
        held.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        let (rows, accumulators) = (Snapshot::read(from)?, Snapshot::read(from)?);
        Ok(Self { rows, accumulators, taken: Snapshot::read(from)?, held: Snapshot::read(from)? })
    }
}

/// Between two events no window is on its way through the operators, and what they have of the last one
/// (`.distinct`, `.limit`) is forgotten before the next: only counts are kept.
impl Keeps for Behind {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { ops, folding: _, values_kept: _, batch: _, held, max_held: _, mark: _, rows_out } = self;
        debug_assert!(ops.iter().all(BatchOp::forgets));
        held.write(out);
        rows_out.write(out);
    }

    fn save_more(&mut self, _pieces: &mut Pieces) {}

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.held = Snapshot::read(from)?;
        self.rows_out = Snapshot::read(from)?;
        Ok(())
    }
}

impl BatchOp {
    /// Whether it knows nothing of earlier windows: what does needs a place in `Behind::save`.
    fn forgets(&self) -> bool {
        match self {
            Self::Filter(_)
            | Self::Project(_)
            | Self::Replace(_)
            | Self::PartitionBy(_)
            | Self::Aggregate(_)
            | Self::Distinct(_)
            | Self::OrderBy(_)
            | Self::Limit(_)
            | Self::Log(_)
            | Self::Process(_) => true,
        }
    }

    fn at(&self) -> At {
        match self {
            Self::Filter(_) => At::Where,
            Self::Project(project) => project.at,
            Self::Replace(_) => At::Map,
            Self::PartitionBy(_) => At::PartitionBy,
            Self::Aggregate(_) => At::Aggregate,
            Self::Distinct(_) => At::Distinct,
            Self::OrderBy(_) => At::OrderBy,
            Self::Limit(_) => At::Limit,
            Self::Log(_) => At::Log,
            Self::Process(_) => At::Process,
        }
    }

    fn run(&mut self, batch: &mut Batch, env: &mut Env) -> Result<(), Failure> {
        match self {
            Self::Filter(filter) => {
                batch.retain(env, |row, env| filter.keeps(row, env)).map_err(|fault| fault.at("where"))
            }
            Self::Project(project) => {
                let made = batch.each(env, |row, env| {
                    let mut made = project.blank(row, env);
                    project.fill(&mut made, row, env)?;
                    *row = made;
                    Ok(())
                });
                made.map_err(|fault| fault.at(project.verb))
            }
            Self::Replace(replace) => {
                let made = batch.each(env, |row, env| replace.make(row, env).map(|made| *row = made));
                made.map_err(|fault| fault.at("map"))
            }
            Self::PartitionBy(by) => {
                let mut keys = std::mem::take(&mut batch.keys);
                keys.clear();
                let found = batch.each(env, |row, env| by.key(row, env).map(|key| keys.push(key)));
                batch.keys = keys;
                found.map_err(|fault| fault.at("partition_by"))?;
                batch.group();
                Ok(())
            }
            Self::Aggregate(aggregate) => aggregate.run(batch, env).map_err(|fault| fault.at("aggregate")),
            Self::Distinct(distinct) => {
                distinct.reset();
                let kept = batch.retain(env, |row, env| distinct.is_first(row, env));
                kept.map_err(|fault| fault.at("distinct"))
            }
            Self::OrderBy(by) => by.sort(batch, env).map_err(|fault| fault.at("order_by")),
            Self::Limit(limit) => {
                limit.reset();
                let kept = batch.retain(env, |_, env| limit.passes(&env.key));
                kept.map_err(|fault| fault.at("limit"))
            }
            Self::Log(log) => {
                let verb = log.verb;
                batch.each(env, |row, env| log.write(row, env)).map_err(|fault| fault.at(verb))
            }
            Self::Process(process) => {
                let mut keys = Vec::new();
                let keyed = !batch.keys.is_empty();
                let run = batch.each(env, |row, env| {
                    process.run(row, env)?;
                    if keyed {
                        keys.resize_with(env.emitted.len(), || env.key.clone());
                    }
                    Ok(())
                });
                batch.rows.clear();
                std::mem::swap(&mut batch.rows, &mut env.emitted);
                batch.keys = keys;
                run.map_err(|fault| fault.at("process"))
            }
        }
    }
}
