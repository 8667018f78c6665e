//! A stream at run time: source, chain, window, and what is behind the window.
//!
//! On an event the watermark moves first; what it closes is emitted; then the event is processed (D3). The
//! watermark is the largest time seen (but no more than `Env::time_limit_ns`) less `out_of_order`, and counts
//! every event that reaches the stream, also one that a filter then drops (D1). A stream in which nothing
//! depends on it does not keep one.

use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};
use crate::vpl::plan::{InputPlan, OnErrorPlan, Plan, SourcePlan};

use super::at::At;
use super::behind::Behind;
use super::chain::{Chain, Next, Place};
use super::emit::{Cause, Emit, Mark, Part};
use super::env::Env;
use super::error::{CompileError, Failure, OperatorError};
use super::expr::Compiler;
use super::filter::Filter;
use super::join::Join;
use super::limits::Limits;
use super::moving::Moved;
use super::remap::Remap;
use super::sequence::{Sequence, SequenceStats};
use super::window::Windows;

/// What a stream has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct StreamStats {
    /// Events that reached it.
    pub events_in: u64,
    /// Events dropped because all their windows were closed.
    pub late: u64,
    /// Rows that left it.
    pub rows_out: u64,
    /// Events on which an operator failed, and went on failing where they were tried again.
    pub failed: u64,
    /// Attempts beyond the first (`.on_error(retry(n))`).
    pub retried: u64,
    /// Keys that it holds state for.
    pub keys: usize,
    /// Rows in open windows (and values that aggregates keep), and rows that a join or the runs of a sequence
    /// hold.
    pub window_rows: usize,
    /// Open runs of a sequence.
    pub runs: usize,
    /// Runs of a sequence that could not start, because their key had `max_runs`.
    pub runs_dropped: u64,
    /// Events that a run of a sequence did not take, because it had `max_run_events`.
    pub run_events_dropped: u64,
    /// Results of runs of a sequence beyond `max_subsets`.
    pub subsets_dropped: u64,
    /// Values that `.distinct` remembers.
    pub distinct_values: usize,
}

impl StreamStats {
    /// Adds what an earlier run of the same stream has counted. What it held is gone, so that is not added.
    pub fn add_past(&mut self, past: &Self) {
        self.events_in += past.events_in;
        self.late += past.late;
        self.rows_out += past.rows_out;
        self.failed += past.failed;
        self.retried += past.retried;
        self.runs_dropped += past.runs_dropped;
        self.run_events_dropped += past.run_events_dropped;
        self.subsets_dropped += past.subsets_dropped;
    }
}

/// A stream of a plan, compiled.
#[derive(Debug)]
pub struct StreamRuntime {
    name: String,
    part: Part,
    source: Source,
    chain: Chain,
    windows: Option<Windows>,
    behind: Behind,
    out_of_order_ns: i64,
    /// Whether anything depends on the watermark.
    timed: bool,
    /// Whether it takes every row as it is, and keeps no time.
    plain: bool,
    /// What is at work when an event comes (see `at`).
    entry: u32,
    largest_ns: i64,
    watermark_ns: i64,
    mark: Mark,
    events_in: u64,
    late: u64,
    rows_out: u64,
    failed: u64,
    /// How often an event on which it fails is tried again.
    retries: u32,
    retried: u64,
}

#[derive(Debug)]
enum Source {
    Inputs(Vec<Input>),
    Join(Box<Join>),
    Sequence(Box<Sequence>),
}

/// A name that the stream takes.
#[derive(Debug)]
struct Input {
    filter: Option<Filter>,
    remap: Option<Remap>,
    name: usize,
    /// Which rows under the name come to it at all, where not all do.
    only: Option<Only>,
}

#[derive(Debug)]
struct Only {
    lane: Option<u16>,
    except: Box<[u16]>,
}

impl StreamRuntime {
    /// Compiles the stream with index `stream`.
    pub fn compile(plan: &Plan, stream: usize, limits: &Limits) -> Result<Self, CompileError> {
        Self::compile_part(plan, stream, Part::Whole, limits)
    }

    /// Compiles a part of the stream with index `stream`.
    pub fn compile_part(
        plan: &Plan,
        stream: usize,
        part: Part,
        limits: &Limits,
    ) -> Result<Self, CompileError> {
        let env = Env::new(plan, limits)?;
        let Some(whole) = plan.streams.get(stream) else {
            return Err(CompileError::new(format!("stream {stream}"), "the plan has no such stream"));
        };
        let stream_plan = &match part {
            Part::Whole => whole.clone(),
            Part::Front => whole.front(),
            Part::Back => whole.back(),
        };
        let name = stream_plan.name.clone();
        let compiler = Compiler::for_stream(plan, &env.globals, &name);
        // Plans that the resolver did not make don't say it.
        let look = || plan.names.iter().position(|candidate| candidate.name == name);
        let type_id = plan.own_names.get(stream).copied().unwrap_or_else(look);
        let mark = Mark {
            type_id: type_id.map_or(u32::MAX, |id| id as u32),
            rank: u16::try_from(stream + 1)
                .map_err(|_| compiler.error("there are more than 65,534 streams"))?,
        };
        let keyed = part == Part::Back && whole.pool.as_ref().is_some_and(|pool| pool.keyed);
        let place = Place { plan, stream: stream_plan, limits, mark, keyed };
        let source = match &stream_plan.source {
            SourcePlan::Join(join) => Source::Join(Box::new(Join::compile(join, mark, limits, &compiler)?)),
            SourcePlan::Sequence(sequence) => {
                Source::Sequence(Box::new(Sequence::compile(sequence, mark, limits, &compiler)?))
            }
            source => {
                let inputs = source.inputs().iter().map(|input| Input::compile(input, &compiler));
                Source::Inputs(inputs.collect::<Result<_, _>>()?)
            }
        };
        let mut chain = Chain::compile(&place, &compiler)?;
        chain.makes_rows |= matches!(source, Source::Join(_) | Source::Sequence(_));
        let mut behind = Behind::compile(&place, &compiler)?;
        let windows = stream_plan.window.as_ref().map(|window| {
            Windows::compile(window, stream_plan, chain.partitioned, limits, &mut behind, &compiler)
        });
        let windows = windows.transpose()?;
        if windows.is_none() && !stream_plan.after.is_empty() {
            return Err(compiler.error("operators behind a window need one"));
        }
        let source_is_timed = match &source {
            Source::Inputs(_) => false,
            Source::Join(_) => true,
            Source::Sequence(sequence) => sequence.is_timed(),
        };
        let timed = source_is_timed || whole.has_timed_window();
        let plain = !timed
            && matches!(&source, Source::Inputs(inputs) if inputs.iter().all(Input::takes_all_as_they_are));
        Ok(Self {
            name,
            part,
            plain,
            entry: if plain && chain.has_front() { At::Where } else { At::Source }.word(mark.rank),
            source,
            chain,
            windows,
            behind,
            out_of_order_ns: stream_plan.out_of_order_ns,
            timed,
            largest_ns: i64::MIN,
            watermark_ns: i64::MIN,
            mark,
            events_in: 0,
            late: 0,
            rows_out: 0,
            failed: 0,
            retries: match stream_plan.on_error {
                OnErrorPlan::Retry(retries) => retries,
                OnErrorPlan::DeadLetter | OnErrorPlan::Skip | OnErrorPlan::Fail | OnErrorPlan::Decide(_) => 0,
            },
            retried: 0,
        })
    }

    /// Goes on where `old` has stopped, as far as time is concerned: what was late for that one is late for this one,
    /// so no window is closed twice.
    pub fn continue_time(&mut self, old: &Self) {
        (self.largest_ns, self.watermark_ns) = (old.largest_ns, old.watermark_ns);
    }

    /// The largest time that it has seen.
    pub fn largest_ns(&self) -> i64 {
        self.largest_ns
    }

    /// The stream's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its rank: what its rows carry.
    pub fn rank(&self) -> u16 {
        self.mark.rank
    }

    /// The first input that takes the name with this index. An event is to be given to a stream once, at this
    /// input: where other inputs take the same name, the stream sees to them itself.
    pub fn input_of(&self, name: usize) -> Option<usize> {
        match &self.source {
            Source::Inputs(inputs) => inputs.iter().position(|input| input.name == name),
            Source::Join(join) => join.input_of(name),
            Source::Sequence(sequence) => sequence.input_of(name),
        }
    }

    /// Whether it has filters that can be asked before anything else is made ready (see [`StreamRuntime::turns_away`]).
    pub fn has_gate(&self) -> bool {
        self.plain && self.chain.has_front()
    }

    /// Of a stream that [has a gate](Self::has_gate): counts an event that ends at the first filter, where that is
    /// plain to see. Any other is to be given to [`on_row`](Self::on_row).
    #[inline(always)]
    #[allow(clippy::inline_always)] // a call would take longer than the answer
    pub fn turns_away(&mut self, row: &Row) -> bool {
        let away = self.chain.turns_away(row);
        self.events_in += u64::from(away);
        away
    }

    /// Takes an event at `input` (see [`StreamRuntime::input_of`]), in the layout of the name.
    ///
    /// An error says that an operator failed on it, or on what it made leave a window. The stream can go on;
    /// what has been emitted before the failure stays emitted.
    #[inline]
    pub fn on_row(
        &mut self,
        input: usize,
        row: &Row,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), OperatorError> {
        self.events_in += 1;
        env.enter(self.entry);
        if !self.plain {
            return self.on_row_at_source(input, row, env, out);
        }
        // Most rows end at a filter, so those are asked here, before anything else is made ready.
        match self.chain.lets_in(row, env) {
            Ok(false) => Ok(()),
            Ok(true) => self.on_row_let_in(input, row, env, out),
            Err(failure) => self.again(failure, input, row, env, out),
        }
    }

    #[inline(never)]
    fn on_row_let_in(
        &mut self,
        input: usize,
        row: &Row,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), OperatorError> {
        match self.split(out).1.run_let_in(row, env) {
            Ok(()) => Ok(()),
            Err(failure) => self.again(failure, input, row, env, out),
        }
    }

    #[inline(never)]
    fn on_row_at_source(
        &mut self,
        input: usize,
        row: &Row,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), OperatorError> {
        let finds_time = self.timed && self.part != Part::Back;
        let moved = if finds_time { self.move_time(row.time_ns(), Cause::of(row), env, out) } else { Ok(()) };
        let taken = self.take(input, row, env, out);
        match moved.and(taken) {
            Ok(()) => Ok(()),
            Err(failure) => self.again(failure, input, row, env, out),
        }
    }

    /// Moves the watermark as an event of the time `now_ns` would, live: closes what has been waiting for it.
    /// What comes out carries the sequence number `seq`.
    pub fn on_clock(
        &mut self,
        now_ns: i64,
        seq: u64,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), OperatorError> {
        if !self.timed || self.part == Part::Back {
            return Ok(());
        }
        env.enter(self.entry);
        let moved = self.move_time(now_ns, Cause { seq, stamp: 0 }, env, out);
        moved.map_err(|failure| self.failed(failure))
    }

    /// Moves the watermark of a pool's worker to where that of its stream is.
    pub fn on_watermark(
        &mut self,
        watermark_ns: i64,
        seq: u64,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), OperatorError> {
        if watermark_ns <= self.watermark_ns {
            return Ok(());
        }
        let moved = self.set_watermark(watermark_ns, Cause { seq, stamp: 0 }, env, out);
        moved.map_err(|failure| self.failed(failure))
    }

    /// Of a worker of a pool: takes out what it has kept for the keys that leave it.
    pub fn let_go(&mut self, leaves: &dyn Fn(&Value) -> bool) -> Moved {
        Moved::out_of(&mut self.chain, self.windows.as_mut(), &mut self.behind, leaves)
    }

    /// Of a worker of a pool: takes up what another worker has kept.
    pub fn take_up(&mut self, moved: Moved) {
        moved.into_place(&mut self.chain, self.windows.as_mut(), &mut self.behind);
    }

    /// The stream is at work from now on, though it has not got its event yet.
    #[cfg(feature = "faults")]
    pub fn enter(&self, env: &mut Env) {
        env.enter(self.entry);
    }

    /// Fails on an event, for no reason of its own.
    #[cfg(feature = "faults")]
    pub fn fail(&mut self, message: &str) -> OperatorError {
        self.events_in += 1;
        self.failed += 1;
        let (stream, message) = (self.name.clone(), message.to_owned());
        OperatorError { stream, operator: "source", message, attempts: 1 }
    }

    /// The end of the input: closes all that is open. What comes out carries the sequence number `seq`.
    pub fn flush(&mut self, seq: u64, env: &mut Env, out: &mut impl Emit) -> Result<(), OperatorError> {
        let cause = Cause { seq, stamp: 0 };
        env.enter(self.entry);
        let (source, mut through) = self.split(out);
        let mut result = match source {
            Source::Join(join) => join.advance(i64::MAX, cause, env, &mut through),
            Source::Sequence(sequence) => sequence.advance(i64::MAX, cause, env, &mut through),
            Source::Inputs(_) => Ok(()),
        };
        if let Some(windows) = &mut self.windows {
            result = result.and(windows.flush(cause, &mut self.behind, env, out));
        }
        result.map_err(|failure| self.failed(failure))
    }

    /// Whether anything in it depends on the watermark.
    pub fn uses_time(&self) -> bool {
        self.timed
    }

    /// The watermark; `i64::MIN` before the first event, and always where nothing depends on it.
    pub fn watermark_ns(&self) -> i64 {
        self.watermark_ns
    }

    /// What it has done so far.
    pub fn stats(&self) -> StreamStats {
        let (mut source_rows, mut source_keys, mut source_late, mut runs) = (0, 0, 0, 0);
        let mut sequence_stats = SequenceStats::default();
        match &self.source {
            Source::Inputs(_) => {}
            Source::Join(join) => (source_rows, source_late) = (join.len(), join.late()),
            Source::Sequence(sequence) => {
                (source_rows, source_keys, runs) = (sequence.len(), sequence.keys(), sequence.runs());
                sequence_stats = sequence.stats();
                source_late = sequence_stats.late;
            }
        }
        StreamStats {
            events_in: self.events_in,
            late: self.late + source_late,
            rows_out: self.rows_out + self.behind.rows_out(),
            failed: self.failed,
            retried: self.retried,
            keys: self.chain.keys().max(self.windows.as_ref().map_or(0, Windows::keys)).max(source_keys),
            runs,
            runs_dropped: sequence_stats.runs_dropped,
            run_events_dropped: sequence_stats.events_dropped,
            subsets_dropped: sequence_stats.results_dropped,
            window_rows: self.behind.held() + source_rows,
            distinct_values: self.chain.remembered(),
        }
    }

    /// Up to `limit` of the keys that it holds state for.
    pub fn example_keys(&self, limit: usize) -> Vec<Value> {
        let of_source = match &self.source {
            Source::Sequence(sequence) => sequence.examples(limit),
            Source::Inputs(_) | Source::Join(_) => Vec::new(),
        };
        let of_windows = self.windows.as_ref().map_or_else(Vec::new, |windows| windows.examples(limit));
        let candidates = [of_source, of_windows, self.chain.examples(limit)];
        candidates.into_iter().max_by_key(Vec::len).unwrap_or_default()
    }

    /// Tries an event again on which the stream has failed, if that is asked for: only streams that keep
    /// nothing of an attempt that fails do so.
    #[cold]
    fn again(
        &mut self,
        failure: Failure,
        input: usize,
        row: &Row,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), OperatorError> {
        let mut failure = failure;
        for _ in 0..self.retries {
            self.retried += 1;
            match self.take(input, row, env, out) {
                Ok(()) => return Ok(()),
                Err(next) => failure = next,
            }
        }
        let attempts = self.retries + 1;
        Err(OperatorError { attempts, ..self.failed(failure) })
    }

    #[cold]
    fn failed(&mut self, failure: Failure) -> OperatorError {
        self.failed += 1;
        OperatorError {
            stream: self.name.clone(),
            operator: failure.operator,
            message: failure.fault.to_string(),
            attempts: 1,
        }
    }

    #[inline]
    fn move_time(
        &mut self,
        time_ns: i64,
        cause: Cause,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        self.largest_ns = self.largest_ns.max(time_ns);
        let watermark_ns = self.largest_ns.min(env.time_limit_ns).saturating_sub(self.out_of_order_ns);
        if watermark_ns <= self.watermark_ns {
            return Ok(());
        }
        self.set_watermark(watermark_ns, cause, env, out)
    }

    fn set_watermark(
        &mut self,
        watermark_ns: i64,
        cause: Cause,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        let mut result = Ok(());
        let source_due_ns = match &self.source {
            Source::Inputs(_) => i64::MAX,
            Source::Join(join) => join.due_ns(),
            Source::Sequence(sequence) => sequence.due_ns(),
        };
        if source_due_ns <= watermark_ns {
            // What a join or a sequence lets go of was there before the watermark moved, so it enters the window
            // before that.
            let (source, mut through) = self.split(out);
            result = match source {
                Source::Inputs(_) => Ok(()),
                Source::Join(join) => join.advance(watermark_ns, cause, env, &mut through),
                Source::Sequence(sequence) => sequence.advance(watermark_ns, cause, env, &mut through),
            };
        }
        self.watermark_ns = watermark_ns;
        if self.part == Part::Front {
            out.watermark(watermark_ns, cause.seq);
        }
        if let Some(windows) = &mut self.windows
            && windows.due_ns() <= watermark_ns
        {
            env.at(At::Window);
            result = result.and(windows.advance(watermark_ns, cause, &mut self.behind, env, out));
        }
        result
    }

    #[inline]
    fn take(&mut self, input: usize, row: &Row, env: &mut Env, out: &mut impl Emit) -> Result<(), Failure> {
        let watermark_ns = self.watermark_ns;
        let (source, mut through) = self.split(out);
        let inputs = match source {
            Source::Inputs(inputs) => inputs,
            Source::Join(join) => {
                env.at(At::Join);
                return join.take(input, row, watermark_ns, env, &mut through);
            }
            Source::Sequence(sequence) => {
                env.at(At::Sequence);
                return sequence.take(input, row, watermark_ns, env, &mut through);
            }
        };
        let Some(first) = inputs.get(input) else { return Ok(()) };
        let mut accepts = first.accepts(row, env)?;
        let mut accepting = first;
        if !accepts {
            // Another branch may take the same name (D22).
            for other in inputs[input + 1..].iter().filter(|other| other.name == first.name) {
                accepts = other.accepts(row, env)?;
                if accepts {
                    accepting = other;
                    break;
                }
            }
            if !accepts {
                return Ok(());
            }
        }
        match &accepting.remap {
            None => through.run(row, env),
            Some(remap) => {
                let remapped = remap.apply(row);
                through.run(&remapped, env)
            }
        }
    }

    /// The source, and the rest of the stream as something that rows can be sent through.
    #[inline]
    fn split<'a, E: Emit>(&'a mut self, out: &'a mut E) -> (&'a mut Source, Through<'a, E>) {
        let end = End {
            windows: self.windows.as_mut(),
            behind: &mut self.behind,
            watermark_ns: self.watermark_ns,
            late: &mut self.late,
            rows_out: &mut self.rows_out,
            mark: (!self.chain.makes_rows).then_some(self.mark),
            scatters: self.part == Part::Front,
            out,
        };
        (&mut self.source, Through { chain: &mut self.chain, end })
    }
}

impl Input {
    fn compile(plan: &InputPlan, compiler: &Compiler<'_>) -> Result<Self, CompileError> {
        Ok(Self {
            filter: plan.filter.as_ref().map(|filter| Filter::compile(filter, compiler)).transpose()?,
            remap: plan.remap.as_ref().map(Remap::new),
            name: plan.name,
            only: (plan.lane.is_some() || !plan.except.is_empty())
                .then(|| Only { lane: plan.lane, except: plan.except.clone().into() }),
        })
    }

    /// Whether it takes every row, in the layout that it has.
    fn takes_all_as_they_are(&self) -> bool {
        self.filter.is_none() && self.remap.is_none() && self.only.is_none()
    }

    #[inline]
    fn accepts(&self, row: &Row, env: &mut Env) -> Result<bool, Failure> {
        if let Some(only) = &self.only
            && (only.except.contains(&row.rank()) || only.lane.is_some_and(|lane| lane != row.lane()))
        {
            return Ok(false);
        }
        match &self.filter {
            None => Ok(true),
            Some(filter) => filter.keeps(row, env).map_err(|fault| fault.at("where")),
        }
    }
}

impl Keeps for StreamRuntime {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self {
            name: _,
            part: _,
            source,
            chain,
            windows,
            behind,
            out_of_order_ns: _,
            timed: _,
            plain: _,
            entry: _,
            largest_ns,
            watermark_ns,
            mark: _,
            events_in,
            late,
            rows_out,
            failed,
            retries: _,
            retried,
        } = self;
        largest_ns.write(out);
        watermark_ns.write(out);
        for count in [events_in, late, rows_out, failed, retried] {
            count.write(out);
        }
        match source {
            Source::Inputs(inputs) => inputs.iter_mut().for_each(|input| input.save(out)),
            Source::Join(join) => join.save(out),
            Source::Sequence(sequence) => sequence.save(out),
        }
        chain.save(out);
        if let Some(windows) = windows {
            windows.save(out);
        }
        behind.save(out);
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        match &mut self.source {
            Source::Inputs(inputs) => inputs.iter_mut().for_each(|input| input.save_more(pieces)),
            Source::Join(join) => join.save_more(pieces),
            Source::Sequence(sequence) => sequence.save_more(pieces),
        }
        self.chain.save_more(pieces);
        if let Some(windows) = &mut self.windows {
            windows.save_more(pieces);
        }
        self.behind.save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.largest_ns = Snapshot::read(from)?;
        self.watermark_ns = Snapshot::read(from)?;
        self.events_in = Snapshot::read(from)?;
        self.late = Snapshot::read(from)?;
        self.rows_out = Snapshot::read(from)?;
        self.failed = Snapshot::read(from)?;
        self.retried = Snapshot::read(from)?;
        match &mut self.source {
            Source::Inputs(inputs) => inputs.iter_mut().try_for_each(|input| input.restore(from))?,
            Source::Join(join) => join.restore(from)?,
            Source::Sequence(sequence) => sequence.restore(from)?,
        }
        self.chain.restore(from)?;
        if let Some(windows) = &mut self.windows {
            windows.restore(from)?;
        }
        self.behind.restore(from)
    }
}

/// An input keeps nothing.
impl Keeps for Input {
    fn save(&mut self, _out: &mut Vec<u8>) {
        let Self { filter: _, remap: _, name: _, only: _ } = self;
    }

    fn save_more(&mut self, _pieces: &mut Pieces) {}

    fn restore(&mut self, _from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        Ok(())
    }
}

/// A stream without its source.
pub(super) struct Through<'a, E> {
    chain: &'a mut Chain,
    end: End<'a, E>,
}

impl<E: Emit> Through<'_, E> {
    /// Sends a row through.
    #[inline]
    pub(super) fn run(&mut self, row: &Row, env: &mut Env) -> Result<(), Failure> {
        if self.chain.has_front() {
            env.at(At::Where);
        }
        if self.chain.lets_in(row, env)? { self.run_let_in(row, env) } else { Ok(()) }
    }

    /// Sends a row through that was [let in](Chain::lets_in).
    #[inline]
    fn run_let_in(&mut self, row: &Row, env: &mut Env) -> Result<(), Failure> {
        self.chain.run(row, env, &mut self.end)
    }
}

/// Where the chain ends: in the window, or outside.
struct End<'a, E> {
    windows: Option<&'a mut Windows>,
    behind: &'a mut Behind,
    watermark_ns: i64,
    late: &'a mut u64,
    rows_out: &'a mut u64,
    /// What to put on rows that the chain has not made.
    mark: Option<Mark>,
    /// Rows go on to the workers of a pool.
    scatters: bool,
    out: &'a mut E,
}

impl<E: Emit> Next for End<'_, E> {
    #[inline]
    fn take(&mut self, row: &Row, env: &mut Env) -> Result<(), Failure> {
        if let Some(windows) = &mut self.windows {
            env.at(At::Window);
            let taken = windows.take(row, self.watermark_ns, self.behind, env, self.out)?;
            *self.late += u64::from(!taken);
            return Ok(());
        }
        if self.scatters {
            self.out.scatter(row, &env.key);
            return Ok(());
        }
        *self.rows_out += 1;
        match self.mark {
            None => self.out.emit(row),
            Some(mark) => {
                let mut row = row.clone();
                mark.put(&mut row);
                self.out.emit(&row);
            }
        }
        Ok(())
    }
}
