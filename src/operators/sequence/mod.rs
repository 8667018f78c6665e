//! Sequences: `A as a -> all B as b -> C as c`. An event that satisfies the first step starts a *run*; a run
//! waits at one step until an event satisfies it, and is complete behind the last.
//!
//! Runs are kept by key, in order of their first events, and so are offered each event; where conditions allow it, only
//! those that it can concern (`waiting.rs`). A run is in one of four states:
//!
//! - *waiting* at the step behind the last one that has captured something; where that one is `all`, it may also take
//!   more of it;
//! - *growing*: its last step is `all` and has captured something;
//! - *held back*: it is complete, but a `.not` behind the last step may still end it;
//! - *closed*: held back or not, it takes nothing any more (`.strict()`).
//!
//! A run takes nothing later than `within` after its first event. Once the watermark is beyond that, what
//! grows or is held back gives its results, and the run ends. Ends stand in a heap, one for each event that
//! has started a run.

mod capture;
mod choices;
mod matches;
mod pool;
mod waiting;

use std::collections::HashMap;

use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};
use crate::vpl::plan::{Emission, NotPlan, Selection, SequencePlan, StepPlan};
use crate::vpl::syntax::Trend;

use super::due::Due;
use super::emit::{Cause, Emit, Mark};
use super::env::Env;
use super::error::{CompileError, Failure, Fault};
use super::expr::{Compiler, Expr};
use super::keys::Keys;
use super::limits::Limits;
use super::stream::Through;
use capture::{Guard, goes_on};
use matches::Matches;
use pool::{Captured, NONE, Pool, Run};
use waiting::Waiting;

/// What a sequence has counted beside what every stream counts.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct SequenceStats {
    /// Runs that could not start, or be copied, because their key had too many.
    pub(super) runs_dropped: u64,
    /// Events that an `all` did not take, because the run had too many.
    pub(super) events_dropped: u64,
    /// Results beyond what one run may have.
    pub(super) results_dropped: u64,
    pub(super) late: u64,
}

#[derive(Debug)]
pub(super) struct Sequence {
    /// The name that each input takes.
    inputs: Vec<usize>,
    steps: Vec<Step>,
    /// For each input the key of its events; empty where runs have none.
    keys: Vec<Expr>,
    within_ns: Option<i64>,
    selection: Selection,
    /// Whether a `.not` stands behind the last step.
    held_back: bool,
    table: Keys<Runs>,
    /// Where runs are found by what they wait for; else they stand in `table`.
    waiting: Option<Waiting>,
    pool: Pool,
    /// For each event that has started a run: the last time of its runs, its arrival, the entry of its key, and the
    /// run.
    ends: Due<(i64, u64, usize, u32)>,
    arrivals: u64,
    matches: Matches,
    stats: SequenceStats,
    max_runs: usize,
    max_run_events: usize,
    /// What nobody has captured yet, for the conditions of the first step.
    nothing: Vec<Captured>,
    /// Room for the events of each step.
    lists: Vec<Vec<u32>>,
    /// Runs that the event at hand is offered to.
    offered: Vec<u32>,
    /// Runs of the key at hand that stay.
    kept: Vec<u32>,
    /// Runs that end now.
    ended: Vec<u32>,
    /// How many runs the key at hand has.
    in_key: usize,
}

/// The runs of a key.
#[derive(Debug, Default)]
struct Runs {
    /// In order of their first events; empty where they are found by what they wait for.
    runs: Vec<u32>,
    /// How many there are.
    open: usize,
}

#[derive(Debug)]
struct Step {
    input: usize,
    all: bool,
    trend: Option<(Trend, usize)>,
    guard: Option<Guard>,
    nots: Vec<Not>,
}

#[derive(Debug)]
struct Not {
    input: usize,
    guard: Option<Guard>,
}

/// The event under way.
struct Event<'a> {
    row: &'a Row,
    input: usize,
    /// Its place in the pool, once a run has taken it.
    held: u32,
}

impl Event<'_> {
    fn held(&mut self, pool: &mut Pool) -> u32 {
        if self.held == NONE {
            self.held = pool.hold(self.row);
        }
        self.held
    }
}

impl Sequence {
    pub(super) fn compile(
        plan: &SequencePlan,
        mark: Mark,
        limits: &Limits,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let steps = plan.steps.iter().map(|step| Step::compile(step, compiler));
        let steps: Vec<Step> = steps.collect::<Result<_, _>>()?;
        let held_back = match steps.last() {
            None => return Err(compiler.error("a sequence needs a step")),
            Some(last) => !last.nots.is_empty(),
        };
        let keys = plan.keys.iter().map(|key| compiler.expr(key)).collect::<Result<Vec<_>, _>>()?;
        Ok(Self {
            inputs: plan.inputs.iter().map(|input| input.name).collect(),
            within_ns: plan.within_ns,
            selection: plan.selection,
            held_back,
            table: Keys::new(!keys.is_empty(), limits.max_partitions),
            keys,
            waiting: Waiting::of(plan),
            pool: Pool::new(steps.len()),
            ends: Due::new(),
            arrivals: 0,
            matches: Matches::compile(plan, mark, limits, compiler)?,
            stats: SequenceStats::default(),
            max_runs: limits.max_runs,
            max_run_events: limits.max_run_events,
            nothing: vec![Captured::NOTHING; steps.len()],
            lists: vec![Vec::new(); steps.len()],
            offered: Vec::new(),
            kept: Vec::new(),
            ended: Vec::new(),
            in_key: 0,
            steps,
        })
    }

    /// The input that takes `name`.
    pub(super) fn input_of(&self, name: usize) -> Option<usize> {
        self.inputs.iter().position(|input| *input == name)
    }

    /// Whether anything in it depends on the watermark.
    pub(super) fn is_timed(&self) -> bool {
        self.within_ns.is_some()
    }

    /// Events that its runs hold.
    pub(super) fn len(&self) -> usize {
        self.pool.events()
    }

    /// Runs that are open.
    pub(super) fn runs(&self) -> usize {
        self.pool.runs()
    }

    pub(super) fn keys(&self) -> usize {
        self.table.len()
    }

    /// Up to `limit` of the keys with open runs.
    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        self.table.examples(limit)
    }

    pub(super) fn stats(&self) -> SequenceStats {
        SequenceStats { results_dropped: self.matches.dropped, ..self.stats }
    }

    /// The least watermark that ends something.
    pub(super) fn due_ns(&self) -> i64 {
        self.ends.first().map_or(i64::MAX, |(end_ns, ..)| end_ns.saturating_add(1))
    }

    /// Takes an event: first the runs of its key, in order, then as the first of a new one.
    pub(super) fn take<E: Emit>(
        &mut self,
        input: usize,
        row: &Row,
        watermark_ns: i64,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        if let Some(key) = self.keys.get(input) {
            if let Some(value) = key.borrow(row) {
                env.key.assign(value);
            } else {
                env.key = key.eval(row, env).map_err(|fault| fault.at("partition_by"))?;
            }
            if env.key.is_missing() {
                env.key = Value::Null;
            }
        }
        let mut event = Event { row, input, held: NONE };
        let number = self.table.find(&env.key);
        let mut result = Ok(());
        if let Some(number) = number
            && self.table.state(number).open > 0
        {
            result = self.offer_to_key(number, &mut event, env, through);
        }
        if self.steps[0].input == input {
            result = result.and(self.start(number, &mut event, watermark_ns, env, through));
        }
        if event.held != NONE {
            self.pool.release(event.held);
        }
        result
    }

    /// Offers an event to the open runs of a key, in order.
    fn offer_to_key<E: Emit>(
        &mut self,
        number: usize,
        event: &mut Event<'_>,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let mut runs = std::mem::take(&mut self.offered);
        match &mut self.waiting {
            None => std::mem::swap(&mut runs, &mut self.table.entry(number).state.runs),
            Some(waiting) => waiting.gather(number, event.input, event.row, &self.pool, &mut runs),
        }
        let mut result = Ok(());
        self.in_key = self.table.state(number).open;
        for run in runs.drain(..) {
            result = result.and(self.offer(run, event, env, through));
        }
        let state = &mut self.table.entry(number).state;
        match &mut self.waiting {
            None => {
                state.runs = std::mem::replace(&mut self.kept, runs);
                self.in_key = state.runs.len();
            }
            Some(waiting) => {
                waiting.put_back(number, &mut self.kept, &mut self.pool);
                self.offered = runs;
            }
        }
        state.open = self.in_key;
        if self.in_key == 0 {
            self.table.note_idle();
        }
        result
    }

    /// Offers an event to a run. If the run stays, it (and its copies) are put behind those kept so far.
    fn offer<E: Emit>(
        &mut self,
        run: u32,
        event: &mut Event<'_>,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let state = *self.pool.run(run);
        let (at, last) = (state.at, self.steps.len() - 1);
        if event.row.time_ns() > state.end_ns {
            self.kept.push(run);
            return Ok(());
        }
        let mut satisfied = false;
        let mut result = Ok(());
        if at < last && !state.closed && self.steps[at + 1].input == event.input {
            match self.satisfies(at + 1, Some(run), event.row, env) {
                Err(fault) => {
                    self.kept.push(run);
                    return Err(fault.at("sequence"));
                }
                Ok(false) => {}
                Ok(true) if self.selection == Selection::AnyMatch => {
                    satisfied = true;
                    // A copy that is complete at once takes no place.
                    let passes_by = at + 1 == last && !self.steps[last].all && !self.held_back;
                    if let Some(copy) = self.copy(run, passes_by) {
                        result = self.capture(copy, at + 1, event, env, through);
                    }
                }
                Ok(true) => return self.capture(run, at + 1, event, env, through),
            }
        }
        match self.is_ended_by(at, run, event, env) {
            Err(fault) => {
                self.kept.push(run);
                return result.and(Err(fault.at("not")));
            }
            Ok(true) => {
                self.end(run);
                return result;
            }
            Ok(false) => {}
        }
        if self.steps[at].all && !state.closed && self.steps[at].input == event.input {
            match self.satisfies(at, Some(run), event.row, env) {
                Err(fault) => {
                    self.kept.push(run);
                    return result.and(Err(fault.at("sequence")));
                }
                Ok(false) => {}
                Ok(true) => {
                    satisfied = true;
                    if state.events >= self.max_run_events {
                        self.stats.events_dropped += 1;
                    } else if self.selection != Selection::AnyMatch {
                        return self.capture(run, at, event, env, through);
                    } else if let Some(copy) = self.copy(run, false) {
                        result = result.and(self.capture(copy, at, event, env, through));
                    }
                }
            }
        }
        let takes_more = !state.closed && (at < last || self.steps[last].all);
        if self.selection == Selection::Strict && !satisfied && takes_more {
            return self.break_off(run, event.row, env, through);
        }
        self.kept.push(run);
        result
    }

    /// Ends a run under `.strict()`, at an event that doesn't satisfy its step.
    fn break_off<E: Emit>(
        &mut self,
        run: u32,
        row: &Row,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        if self.pool.run(run).at + 1 == self.steps.len() {
            if self.held_back {
                self.pool.close(run);
                self.kept.push(run);
                return Ok(());
            }
            if self.matches.emission == Emission::Longest {
                result = self.matches.send_all(run, row.time_ns(), Cause::of(row), &self.pool, env, through);
            }
        }
        self.end(run);
        result
    }

    /// Starts a run, if the event satisfies the first step. `number` is the entry of its key, if that has one.
    fn start<E: Emit>(
        &mut self,
        number: Option<usize>,
        event: &mut Event<'_>,
        watermark_ns: i64,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        if !self.satisfies(0, None, event.row, env).map_err(|fault| fault.at("sequence"))? {
            return Ok(());
        }
        let end_ns = self.within_ns.map_or(i64::MAX, |ns| event.row.time_ns().saturating_add(ns));
        if watermark_ns > end_ns {
            self.stats.late += 1;
            return Ok(());
        }
        let number = if let Some(number) = number {
            number
        } else {
            let number = self.table.find_or_insert(&env.key, |state| state.open == 0);
            number.map_err(|fault| fault.at("partition_by"))?
        };
        if self.table.state(number).open >= self.max_runs {
            self.stats.runs_dropped += 1;
            return Ok(());
        }
        let arrival = self.arrivals;
        self.arrivals += 1;
        let run = self.pool.start(arrival, end_ns, number);
        let result = self.capture(run, 0, event, env, through);
        let state = &mut self.table.entry(number).state;
        if self.kept.is_empty() {
            if state.open == 0 {
                self.table.note_idle();
            }
        } else {
            state.open += 1;
            match &mut self.waiting {
                None => state.runs.append(&mut self.kept),
                Some(waiting) => {
                    self.kept.clear();
                    waiting.insert(number, run, &mut self.pool);
                }
            }
            if self.ends.len() > 2 * self.pool.runs() + 1024 {
                self.sweep_ends();
            }
            self.ends.push((end_ns, arrival, number, run));
        }
        result
    }

    /// Forgets the ends of runs that have ended already.
    fn sweep_ends(&mut self) {
        let (table, pool, found_by_waiting) = (&self.table, &self.pool, self.waiting.is_some());
        self.ends.retain(|&(_, arrival, number, run)| {
            if found_by_waiting {
                return pool.is_open(run, arrival);
            }
            let runs = &table.state(number).runs;
            let first = runs.partition_point(|&run| pool.run(run).arrival < arrival);
            runs.get(first).is_some_and(|&run| pool.run(run).arrival == arrival)
        });
    }

    /// A copy of a run, unless its key has too many already.
    fn copy(&mut self, run: u32, passes_by: bool) -> Option<u32> {
        if self.in_key >= self.max_runs && !passes_by {
            self.stats.runs_dropped += 1;
            return None;
        }
        self.in_key += 1;
        Some(self.pool.copy(run))
    }

    fn end(&mut self, run: u32) {
        self.pool.end(run);
        self.in_key = self.in_key.saturating_sub(1);
    }

    /// Whether an event satisfies a step of a run; of a run to be, where there is none.
    #[inline]
    fn satisfies(&mut self, step: usize, run: Option<u32>, row: &Row, env: &mut Env) -> Result<bool, Fault> {
        let Step { guard, trend, .. } = &mut self.steps[step];
        let captured = match run {
            Some(run) => self.pool.captured(run),
            None => &self.nothing,
        };
        if let Some((trend, slot)) = trend
            && !goes_on(*trend, *slot, row, &captured[step], &self.pool)
        {
            return Ok(false);
        }
        match guard {
            None => Ok(true),
            Some(guard) => guard.passes(row, captured, &mut self.lists, &self.pool, env),
        }
    }

    /// Whether an event must not come where a run stands.
    #[inline]
    fn is_ended_by(&mut self, at: usize, run: u32, event: &Event<'_>, env: &mut Env) -> Result<bool, Fault> {
        for not in &mut self.steps[at].nots {
            if not.input != event.input {
                continue;
            }
            let Some(guard) = &mut not.guard else { return Ok(true) };
            if guard.passes(event.row, self.pool.captured(run), &mut self.lists, &self.pool, env)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Takes an event into a run, and gives the results that this completes. The run is kept, unless it ends
    /// by that.
    fn capture<E: Emit>(
        &mut self,
        run: u32,
        step: usize,
        event: &mut Event<'_>,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let held = event.held(&mut self.pool);
        self.pool.capture(run, step, held);
        if step + 1 < self.steps.len() || self.held_back {
            self.kept.push(run);
            return Ok(());
        }
        let (time_ns, cause) = (event.row.time_ns(), Cause::of(event.row));
        if self.steps[step].all {
            self.kept.push(run);
            return self.matches.send_newest(run, time_ns, cause, &self.pool, env, through);
        }
        let result = self.matches.send_all(run, time_ns, cause, &self.pool, env, through);
        self.end(run);
        result
    }

    /// Ends the runs that the watermark is beyond, in order of (end, first event). At the end of the input,
    /// all.
    pub(super) fn advance<E: Emit>(
        &mut self,
        watermark_ns: i64,
        cause: Cause,
        env: &mut Env,
        through: &mut Through<'_, E>,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        while let Some(&(end_ns, arrival, number, run)) = self.ends.first() {
            if watermark_ns <= end_ns && watermark_ns != i64::MAX {
                break;
            }
            self.ends.pop();
            let mut ended = std::mem::take(&mut self.ended);
            let (state, pool) = (&mut self.table.entry(number).state, &self.pool);
            match &mut self.waiting {
                None => {
                    let from = state.runs.partition_point(|&run| pool.run(run).arrival < arrival);
                    let to = state.runs.partition_point(|&run| pool.run(run).arrival <= arrival);
                    ended.extend(state.runs.drain(from..to));
                }
                Some(waiting) if pool.is_open(run, arrival) => {
                    waiting.remove(run, pool);
                    ended.push(run);
                }
                Some(_) => {}
            }
            state.open -= ended.len();
            if !ended.is_empty() && state.open == 0 {
                self.table.note_idle();
            }
            for run in ended.drain(..) {
                let at = self.pool.run(run).at;
                let grows = self.steps[at].all && self.matches.emission == Emission::Longest;
                if at + 1 == self.steps.len() && (self.held_back || grows) {
                    if !self.keys.is_empty() {
                        env.key.clone_from(self.table.key(number));
                    }
                    let time_ns = match self.within_ns {
                        Some(_) => end_ns,
                        None => self.pool.row(self.pool.captured(run)[at].last).time_ns(),
                    };
                    result = result.and(self.matches.send_all(run, time_ns, cause, &self.pool, env, through));
                }
                self.pool.end(run);
            }
            self.ended = ended;
        }
        result
    }
}

impl Step {
    fn compile(plan: &StepPlan, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        Ok(Self {
            input: plan.input,
            all: plan.all,
            trend: plan.trend.map(|(trend, slot)| (trend, usize::from(slot))),
            guard: plan.guard.as_ref().map(|guard| Guard::compile(guard, compiler)).transpose()?,
            nots: plan.nots.iter().map(|not| Not::compile(not, compiler)).collect::<Result<_, _>>()?,
        })
    }
}

impl Not {
    fn compile(plan: &NotPlan, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        let guard = plan.guard.as_ref().map(|guard| Guard::compile(guard, compiler)).transpose()?;
        Ok(Self { input: plan.input, guard })
    }
}

impl Snapshot for Runs {
    fn write(&self, out: &mut Vec<u8>) {
        let Self { runs, open } = self;
        runs.write(out);
        open.write(out);
    }

    fn read(from: &mut SnapshotReader<'_>) -> Result<Self, SnapshotError> {
        Ok(Self { runs: Snapshot::read(from)?, open: Snapshot::read(from)? })
    }
}

impl Keeps for Sequence {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self {
            inputs: _,
            steps: _,
            keys: _,
            within_ns: _,
            selection: _,
            held_back: _,
            table,
            // Found out anew.
            waiting: _,
            pool,
            ends: _,
            arrivals,
            matches,
            stats,
            max_runs: _,
            max_run_events: _,
            nothing: _,
            lists: _,
            // Only while an event is under way.
            offered: _,
            kept: _,
            ended: _,
            in_key: _,
        } = self;
        table.save(out);
        pool.save(out);
        arrivals.write(out);
        matches.dropped.write(out);
        // What `stats` has of results is that of `matches`.
        let SequenceStats { runs_dropped, events_dropped, results_dropped: _, late } = stats;
        runs_dropped.write(out);
        events_dropped.write(out);
        late.write(out);
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.table.save_more(pieces);
        self.pool.save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let mut keys = HashMap::new();
        self.table.restore_noting(from, |was, is| {
            keys.insert(was, is);
        })?;
        let runs = self.pool.restore(from)?;
        let nobody = from.error("run of a key");
        let mut ends = Vec::new();
        if let Some(waiting) = &mut self.waiting {
            for run in self.pool.by_arrival() {
                let Run { key, end_ns, arrival, .. } = *self.pool.run(run);
                let key = *keys.get(&key).ok_or(nobody)?;
                self.pool.set_key(run, key);
                waiting.insert(key as usize, run, &mut self.pool);
                ends.push((end_ns, arrival, key as usize, run));
            }
        }
        for number in self.table.numbers() {
            // Runs that the same event has started have one end together, and stand side by side.
            let mut last = None;
            for run in &mut self.table.entry(number).state.runs {
                *run = runs.of(*run).filter(|run| *run != NONE).ok_or(nobody)?;
                let Run { end_ns, arrival, .. } = *self.pool.run(*run);
                self.pool.set_key(*run, number as u32);
                if last.replace(arrival) != Some(arrival) {
                    ends.push((end_ns, arrival, number, *run));
                }
            }
        }
        ends.sort_unstable();
        for end in ends {
            self.ends.push(end);
        }
        self.arrivals = Snapshot::read(from)?;
        self.matches.dropped = Snapshot::read(from)?;
        self.stats.runs_dropped = Snapshot::read(from)?;
        self.stats.events_dropped = Snapshot::read(from)?;
        self.stats.late = Snapshot::read(from)?;
        Ok(())
    }
}
