//! What the streams of one context share while they run: `var`s, the stack of locals, the key and the window at hand,
//! and the log. One thread owns it, and lends it to one stream at a time.

use std::fmt;

use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};
use crate::metrics::Place;
use crate::vpl::plan::Plan;

use super::at::At;
use super::error::{CompileError, Fault};
use super::expr::{Compiler, discard_behind};
use super::limits::Limits;

/// A line that `.print`, `.log`, `.tap` or `print(x)` writes.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct LogLine {
    /// The stream; empty where a global's value prints.
    pub stream: String,
    /// `print`, `log` or `tap`.
    pub verb: &'static str,
    /// `info` where the program says nothing else.
    pub level: String,
    /// Event time.
    pub time_ns: i64,
    /// What is written, with names where the program gives them.
    pub parts: Vec<(Option<String>, Value)>,
}

/// Takes the lines; must not block the thread that calls it.
pub type LogSink = Box<dyn FnMut(LogLine) + Send>;

/// The surroundings of a context's streams.
pub struct Env {
    /// No event's time moves a watermark beyond this; `i64::MAX` where nothing holds it back. A merge of rings sets
    /// it to the least that its rings have reached.
    pub time_limit_ns: i64,
    /// The clock, live; `None` in replay, where `now()` is the time of the event.
    pub clock_ns: Option<i64>,
    /// Which operator is at work (see [`operator_at`](super::operator_at)). Who watches keeps a clone.
    pub place: Place,
    /// Values of `let`, `const` and `var` by index.
    pub(super) globals: Vec<Value>,
    /// Locals of all calls under way, one call's behind another's; the current one's start at `frame`.
    pub(super) locals: Vec<Value>,
    pub(super) frame: usize,
    /// What the statement `return` that was just reached gives.
    pub(super) returned: Value,
    /// Arguments of the built-in functions under way.
    pub(super) arguments: Vec<Value>,
    /// Results of the accumulators of the aggregate under way.
    pub(super) finished: Vec<Value>,
    /// What the run of a sequence has captured, for the condition under way.
    pub(super) captured: Vec<Value>,
    /// Rows that functions have emitted for the `.process` under way.
    pub(super) emitted: Vec<Row>,
    /// The current key.
    pub(super) key: Value,
    /// The window whose rows are under way.
    pub(super) window: Bounds,
    /// Calls under way, and the levels of statements and expressions that they nest.
    pub(super) depth: usize,
    pub(super) nesting: usize,
    pub(super) steps_left: u64,
    pub(super) limits: Limits,
    /// Set by an expression that failed; taken by whoever evaluated it.
    pub(super) fault: Option<Fault>,
    log: Option<LogSink>,
    /// Another worker of the pool writes the log lines of the event at hand.
    pub mute: bool,
}

/// The bounds of a window and the time of what leaves it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_field_names)] // units last, in all three
pub(super) struct Bounds {
    pub(super) start_ns: i64,
    pub(super) end_ns: i64,
    pub(super) result_ns: i64,
}

impl Env {
    /// Evaluates the plan's globals, in order.
    pub fn new(plan: &Plan, limits: &Limits) -> Result<Self, CompileError> {
        let mut env = Self { limits: *limits, clock_ns: plan.live_since_ns, ..Self::bare() };
        // A later value may call a function that reads an earlier one, so functions see the globals as they are by
        // then.
        let compiler = Compiler::for_globals(plan);
        let nothing = Row::new(0, 0, 0);
        for global in &plan.globals {
            let place = || format!("global {}", global.name);
            let value =
                compiler.expr(&global.value).map_err(|error| CompileError::new(place(), error.message))?;
            let value = value
                .eval(&nothing, &mut env)
                .map_err(|fault| CompileError::new(place(), fault.to_string()))?;
            env.globals.push(value);
        }
        Ok(env)
    }

    /// Surroundings without globals, for what needs none.
    pub(super) fn bare() -> Self {
        Self {
            time_limit_ns: i64::MAX,
            clock_ns: None,
            place: Place::new(),
            globals: Vec::new(),
            locals: Vec::new(),
            frame: 0,
            returned: Value::Missing,
            arguments: Vec::new(),
            finished: Vec::new(),
            captured: Vec::new(),
            emitted: Vec::new(),
            key: Value::Null,
            window: Bounds::default(),
            depth: 0,
            nesting: 0,
            steps_left: 0,
            limits: Limits::default(),
            fault: None,
            log: None,
            mute: false,
        }
    }

    /// Sets the key of the operators that run next.
    pub fn set_key(&mut self, key: Value) {
        self.key = key;
    }

    /// The stream with this word for its source is at work from now on.
    #[inline]
    pub(super) fn enter(&self, source: u32) {
        self.place.set(source);
    }

    /// The operator of the stream that is at work.
    #[inline]
    pub(super) fn at(&self, at: At) {
        self.place.set(at.beside(self.place.get()));
    }

    /// Takes the log away, for other surroundings of the same streams.
    pub fn take_log(&mut self) -> Option<LogSink> {
        self.log.take()
    }

    /// Sends log lines to `sink`; without one they go nowhere.
    pub fn set_log(&mut self, sink: LogSink) {
        self.log = Some(sink);
    }

    /// Whether somebody takes log lines.
    pub(super) fn has_log(&self) -> bool {
        self.log.is_some() && !self.mute
    }

    /// Hands a line to the log.
    pub(super) fn write_log(&mut self, line: LogLine) {
        if let Some(sink) = self.log.as_mut().filter(|_| !self.mute) {
            sink(line);
        }
    }

    /// Reserves `locals` for the expression that `run` evaluates, and gives back its failure, if it fails.
    pub(super) fn guarded<R>(&mut self, locals: usize, run: impl FnOnce(&mut Self) -> R) -> Result<R, Fault> {
        let base = self.locals.len();
        let frame = std::mem::replace(&mut self.frame, base);
        while self.locals.len() < base + locals {
            self.locals.push(Value::Missing);
        }
        self.steps_left = self.limits.max_call_steps;
        let result = run(self);
        discard_behind(&mut self.locals, base);
        self.frame = frame;
        match self.fault.take() {
            None => Ok(result),
            Some(fault) => Err(fault),
        }
    }

    /// Takes a step; false where there is none left, or something has failed already.
    #[inline]
    pub(super) fn step(&mut self) -> bool {
        if self.steps_left == 0 {
            self.fault.get_or_insert(Fault::CallSteps(self.limits.max_call_steps));
        } else {
            self.steps_left -= 1;
        }
        self.fault.is_none()
    }
}

/// Between two events: the `var`s, the clock, the key at hand. All else is set by the next event before anybody reads
/// it.
impl Keeps for Env {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self {
            time_limit_ns: _,
            clock_ns,
            place: _,
            globals,
            locals: _,
            frame: _,
            arguments: _,
            finished: _,
            captured: _,
            emitted: _,
            key,
            window,
            depth: _,
            nesting: _,
            steps_left: _,
            limits: _,
            fault: _,
            returned: _,
            log: _,
            mute: _,
        } = self;
        clock_ns.write(out);
        globals.write(out);
        key.write(out);
        let Bounds { start_ns, end_ns, result_ns } = window;
        for time in [start_ns, end_ns, result_ns] {
            time.write(out);
        }
    }

    fn save_more(&mut self, _pieces: &mut Pieces) {}

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        let clock_ns: Option<i64> = Snapshot::read(from)?;
        // A live clock never goes back.
        self.clock_ns = self.clock_ns.max(clock_ns);
        let globals: Vec<Value> = Snapshot::read(from)?;
        if globals.len() != self.globals.len() {
            return Err(from.error("value of each global"));
        }
        self.globals = globals;
        self.key = Snapshot::read(from)?;
        let (start_ns, end_ns) = (Snapshot::read(from)?, Snapshot::read(from)?);
        self.window = Bounds { start_ns, end_ns, result_ns: Snapshot::read(from)? };
        Ok(())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Env")
            .field("time_limit_ns", &self.time_limit_ns)
            .field("globals", &self.globals)
            .field("key", &self.key)
            .field("window", &self.window)
            .finish_non_exhaustive()
    }
}
