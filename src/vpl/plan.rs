//! The plan: a program resolved. Names have become indices, fields slots, literals values; nothing is looked up by
//! name any more.
//!
//! A plan is a plain value: it knows no thread and no ring, and printing it explains a run before anything starts.
//! Streams stand in topological order, ties by order of declaration; a stream's *rank* is its place in that order
//! plus one (inputs have rank 0).

use crate::event::{Shape, Value};
use crate::functions::{Aggregate, Builtin};

use super::syntax::{BinaryOp, Span, UnaryOp};

mod connectors;
mod settings;

pub use connectors::{ConsoleSourcePlan, SinkPlan, SinkTarget, SourceFilePlan};
pub use settings::{ContextSettings, EngineSettings, SupervisionSettings};

/// A resolved program.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// What rows travel under: event types, streams, emitted types. A row's `type_id` is an index into it.
    pub names: Vec<NamePlan>,
    /// The layouts of rows. Names that pass the same fields on share one.
    pub shapes: Vec<Shape>,
    /// Contexts in order of declaration; the implicit `main` last, where it is needed.
    pub contexts: Vec<ContextPlan>,
    /// Streams in topological order.
    pub streams: Vec<StreamPlan>,
    /// For each stream the name that its rows go under, by index, so that nobody has to look for it; none where it has
    /// none.
    pub own_names: Vec<Option<usize>>,
    /// Functions of the program.
    pub functions: Vec<FunctionPlan>,
    /// `let`, `const` and `var` in order of evaluation.
    pub globals: Vec<GlobalPlan>,
    /// Timers. Their ticks enter like events, under a name of their own.
    pub timers: Vec<TimerPlan>,
    /// What streams write to, in the order of the first `.to` of each.
    pub sinks: Vec<SinkPlan>,
    /// Files that are read as further inputs, in the order of the first `.from` of each.
    pub source_files: Vec<SourceFilePlan>,
    /// Whether standard input is one.
    pub console_source: Option<ConsoleSourcePlan>,
    /// Lambdas of `.on_error`, over a row of [`FAILURE_FIELDS`].
    pub deciders: Vec<Expr>,
    /// Whether anything in the program writes to the log.
    pub logs: bool,
    /// Whether anything in the program asks for the time with `now()`.
    pub asks_time: bool,
    /// Live: when the run began. It is what `now()` is in the values of globals.
    pub live_since_ns: Option<i64>,
    /// `config engine { .. }`
    pub engine: EngineSettings,
    /// `config output { .. }`: what becomes of results that cannot be written.
    pub output: SupervisionSettings,
    /// Whether the program declares a context, or asks for supervision. If not, it runs on the caller's thread.
    pub threaded: bool,
}

impl Plan {
    /// Whether, live, anything in the program depends on being told the time.
    pub fn uses_clock(&self) -> bool {
        let is_timed = |stream: &StreamPlan| {
            let source = match &stream.source {
                SourcePlan::Name(_) | SourcePlan::Merge(_) => false,
                SourcePlan::Join(_) => true,
                SourcePlan::Sequence(sequence) => sequence.within_ns.is_some(),
            };
            let window = match &stream.window {
                Some(
                    WindowPlan::Time { .. } | WindowPlan::FirstEvent { .. } | WindowPlan::Session { .. },
                ) => true,
                Some(WindowPlan::Count { .. }) | None => false,
            };
            source || window
        };
        self.asks_time || !self.timers.is_empty() || self.streams.iter().any(is_timed)
    }
}

/// The one field of a tick: its time.
pub const TICK_FIELD: &str = "timestamp";

/// `timer(interval, initial_delay: d)`: ticks at every multiple of the interval.
#[derive(Clone, Debug, PartialEq)]
pub struct TimerPlan {
    /// The name under which ticks travel, by index; no event from outside can have it.
    pub name: usize,
    /// Time between two ticks, in nanoseconds.
    pub interval_ns: i64,
    /// The first tick is at least this much later than the first event, in nanoseconds.
    pub initial_delay_ns: i64,
}

/// A name under which rows travel.
#[derive(Clone, Debug)]
pub struct NamePlan {
    /// The event type, stream or emitted type.
    pub name: String,
    /// Index of the layout of its rows.
    pub shape: usize,
    /// Whether an `event` statement declares it.
    pub declared: bool,
    /// Streams that take it, by index, ascending.
    pub consumers: Vec<usize>,
}

/// A context.
#[derive(Clone, Debug)]
pub struct ContextPlan {
    /// Its name.
    pub name: String,
    /// The CPUs it lists; the first is its own.
    pub cores: Vec<usize>,
    /// Whether it is the implicit `main`.
    pub implicit: bool,
    /// Its `config` block.
    pub settings: ContextSettings,
}

/// A stream.
#[derive(Clone, Debug)]
pub struct StreamPlan {
    /// Its name.
    pub name: String,
    /// Where it is declared.
    pub span: Span,
    /// The context that runs it, by index.
    pub context: usize,
    /// Where its events come from.
    pub source: SourcePlan,
    /// Operators in front of the window, in order; all of them, where there is no window.
    pub before: Vec<OpPlan>,
    /// Its window.
    pub window: Option<WindowPlan>,
    /// Operators behind the window: they see the rows of one closed window together.
    pub after: Vec<OpPlan>,
    /// `.watermark(out_of_order: ..)`, in nanoseconds.
    pub out_of_order_ns: i64,
    /// `.allowed_lateness(..)`, in nanoseconds.
    pub allowed_lateness_ns: i64,
    /// The layout of the rows that leave it.
    pub shape: usize,
    /// `.on_error(..)`
    pub on_error: OnErrorPlan,
    /// `.concurrent(..)`
    pub pool: Option<PoolPlan>,
    /// How its rows are printed, where they are results; empty where they are none. A row's `lane` says which of them
    /// it is: always 0, but for `.process`, where it is the place of the emitted type.
    pub results: Vec<ResultPlan>,
    /// The same for what sinks get of its rows; empty where they go to none.
    pub written: Vec<ResultPlan>,
    /// The names that its rows feed: its own, and that of `.emit as`. Only names that somebody consumes.
    pub feeds: Vec<FeedPlan>,
}

/// `.concurrent(..)`: the operators behind it run on several workers.
#[derive(Clone, Debug)]
pub struct PoolPlan {
    /// How many of the operators in front of the window stand in front of it; those run in the stream's context.
    pub at: usize,
    /// How many workers.
    pub workers: usize,
    /// Which worker takes a row.
    pub strategy: Strategy,
    /// The key that decides under [`Strategy::ConsistentHash`], over the layout at `at`; none where it is the key that
    /// `.partition_by` in front of the pool has set.
    pub key: Option<Expr>,
    /// Whether a `.partition_by` stands in front of the pool, so that its workers have to be told the key.
    pub keyed: bool,
    /// The layout of the rows at `at`.
    pub shape: usize,
}

/// Which worker of a pool takes a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Strategy {
    /// The one that the key's hash says: all rows of a key come to one worker, in order.
    #[default]
    ConsistentHash,
    /// By turns.
    RoundRobin,
    /// All of them; each result is that of one of them.
    Broadcast,
}

impl Strategy {
    /// Every strategy, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::ConsistentHash, Self::RoundRobin, Self::Broadcast];

    /// The strategy's name in programs.
    pub fn name(self) -> &'static str {
        match self {
            Self::ConsistentHash => "consistent_hash",
            Self::RoundRobin => "round_robin",
            Self::Broadcast => "broadcast",
        }
    }
}

impl StreamPlan {
    /// What of a stream with a pool runs in its context: its source, and the operators in front of the pool. It leaves
    /// rows of the layout there, with the key that decides between the workers.
    #[must_use]
    pub fn front(&self) -> Self {
        let Some(pool) = &self.pool else { return self.clone() };
        let mut before = self.before[..pool.at].to_vec();
        before.extend(pool.key.clone().map(OpPlan::PartitionBy));
        Self { before, window: None, after: Vec::new(), ..self.clone() }
    }

    /// What of a stream with a pool runs on each of its workers.
    #[must_use]
    pub fn back(&self) -> Self {
        let Some(pool) = &self.pool else { return self.clone() };
        let input = InputPlan::default();
        Self { source: SourcePlan::Name(input), before: self.before[pool.at..].to_vec(), ..self.clone() }
    }

    /// Whether what its window does depends on the watermark.
    pub fn has_timed_window(&self) -> bool {
        self.window.as_ref().is_some_and(|window| !matches!(window, WindowPlan::Count { .. }))
    }

    /// Whether its rows leave the engine, as results or to sinks.
    pub fn leaves_engine(&self) -> bool {
        !self.results.is_empty() || !self.written.is_empty()
    }
}

/// What becomes of an event on which an operator of a stream fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnErrorPlan {
    /// It goes to the dead letters.
    #[default]
    DeadLetter,
    /// It is counted.
    Skip,
    /// The run ends with an error.
    Fail,
    /// It is tried again this often, then it goes to the dead letters.
    Retry(u32),
    /// The lambda with this index in [`Plan::deciders`] says so.
    Decide(usize),
}

/// What the lambda of an `.on_error` is told: the slots of its row, in order.
pub const FAILURE_FIELDS: [&str; 5] = ["event", "error", "stream", "operator", "attempts"];

/// How a stream's rows become results.
#[derive(Clone, Debug, PartialEq)]
pub struct ResultPlan {
    /// The type, where it isn't the stream's name.
    pub type_name: Option<String>,
    /// Fields to print, in order, with their slots.
    pub fields: Vec<(String, u16)>,
    /// The slot with all fields, where that is printed instead.
    pub rest: Option<u16>,
}

/// A name that a stream's rows feed.
#[derive(Clone, Debug, PartialEq)]
pub struct FeedPlan {
    /// The name, by index.
    pub name: usize,
    /// How the stream's rows become rows of the name; `None` where the layouts agree as they are.
    pub remap: Option<Remap>,
    /// The lane of the rows that feed it (see `results`); `None` for all.
    pub lane: Option<u16>,
}

/// How a row of one layout becomes a row of another.
#[derive(Clone, Debug, PartialEq)]
pub struct Remap {
    /// For each slot of the new row the slot of the old one; `None` where the old one has no such field.
    pub from: Vec<Option<u16>>,
    /// The slot of the new row that wants all fields as a map.
    pub rest: Option<(u16, RestFrom)>,
}

/// Where a map of all fields comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum RestFrom {
    /// A slot of the old row that holds it.
    Slot(u16),
    /// These fields of the old row, in order, with their slots.
    Fields(Vec<(String, u16)>),
}

/// Where a stream's events come from.
#[derive(Clone, Debug)]
pub enum SourcePlan {
    /// One event type or stream.
    Name(InputPlan),
    /// `merge(..)`: the first branch that accepts an event takes it.
    Merge(Vec<InputPlan>),
    /// `join(..)` and its siblings.
    Join(JoinPlan),
    /// `A as a -> B as b`
    Sequence(SequencePlan),
}

impl SourcePlan {
    /// The inputs in order of the source.
    pub fn inputs(&self) -> &[InputPlan] {
        match self {
            Self::Name(input) => std::slice::from_ref(input),
            Self::Merge(inputs) => inputs,
            Self::Join(join) => &join.sides,
            Self::Sequence(sequence) => &sequence.inputs,
        }
    }
}

/// One input of a stream.
#[derive(Clone, Debug, Default)]
pub struct InputPlan {
    /// The name that it takes, by index.
    pub name: usize,
    /// The condition at the source, over the name's layout.
    pub filter: Option<Expr>,
    /// Takes only rows of this lane: those of one of the types that a stream makes.
    pub lane: Option<u16>,
    /// Takes no rows of the streams with these ranks: they come under another name that the stream takes, too.
    pub except: Vec<u16>,
    /// How the name's rows become rows of the stream's first layout; `None` where they agree as they are, and in a
    /// join.
    pub remap: Option<Remap>,
}

/// A join. Its rows hold what the program reads of each side.
#[derive(Clone, Debug)]
pub struct JoinPlan {
    /// Which of the four.
    pub kind: super::syntax::JoinKind,
    /// The sides in order.
    pub sides: Vec<InputPlan>,
    /// Where each slot of the joined row comes from.
    pub slots: Vec<JoinedSlot>,
    /// Equalities: for each, (side, expression over that side's layout) twice.
    pub on: Vec<[(usize, Expr); 2]>,
    /// `.window(..)`, in nanoseconds.
    pub window_ns: i64,
}

/// Where a slot of a joined row comes from. A side is *absent* in the row of an event that met nobody.
#[derive(Clone, Debug, PartialEq)]
pub enum JoinedSlot {
    /// `A.x`: a side, and the slot in its row. Null where the side is absent.
    Of(usize, u16),
    /// `x`: the first of these that has it.
    First(Vec<SideField>),
    /// All fields of all sides as a map, the first side's winning; for each side where its fields come from.
    All(Vec<RestFrom>),
}

/// A side of a join that may have a field.
#[derive(Clone, Debug, PartialEq)]
pub struct SideField {
    /// The side.
    pub side: usize,
    /// The slot in its row.
    pub slot: u16,
    /// Whether it has the field whatever its row holds, because it declares it.
    pub declared: bool,
}

/// A sequence. Its rows hold what the program reads of each match.
#[derive(Clone, Debug)]
pub struct SequencePlan {
    /// Every name that a step or a negation takes, once.
    pub inputs: Vec<InputPlan>,
    /// The steps in order.
    pub steps: Vec<StepPlan>,
    /// `.within(..)`, in nanoseconds.
    pub within_ns: Option<i64>,
    /// What a run does with an event that it could take.
    pub selection: Selection,
    /// Which results a completed run has.
    pub emission: Emission,
    /// `.partition_by(..)`: the key over the layout of each input; none where runs have no key.
    pub keys: Vec<Expr>,
    /// What each slot of a match's row holds.
    pub slots: Vec<CapturePlan>,
}

/// A step of a sequence.
#[derive(Clone, Debug)]
pub struct StepPlan {
    /// Its alias, or the name that it takes.
    pub name: String,
    /// What it takes, by index of the inputs.
    pub input: usize,
    /// `all`: one event or more.
    pub all: bool,
    /// Its condition.
    pub guard: Option<GuardPlan>,
    /// `.increasing(f)`, `.decreasing(f)`: the slot of the field in the layout of the input.
    pub trend: Option<(super::syntax::Trend, u16)>,
    /// `.not(..)` behind it: what must not come before the next step, or before the end behind the last one.
    pub nots: Vec<NotPlan>,
}

/// `.not(X where c)`
#[derive(Clone, Debug)]
pub struct NotPlan {
    /// What must not come, by index of the inputs.
    pub input: usize,
    /// Its condition.
    pub guard: Option<GuardPlan>,
}

/// A condition over the event that is tested, and over what the run has captured.
#[derive(Clone, Debug)]
pub struct GuardPlan {
    /// What [`Expr::Captured`] speaks of, by index.
    pub captured: Vec<CapturePlan>,
    /// The condition, over the layout of the input.
    pub condition: Expr,
}

/// Something that is read of the events of a run. Steps go by index, slots are those of the step's input.
#[derive(Clone, Debug)]
pub enum CapturePlan {
    /// A field of the first event of a step.
    First(usize, u16),
    /// A field of the last event of a step; of the only one, where it isn't `all`.
    Last(usize, u16),
    /// The time of the first event of a step.
    FirstTime(usize),
    /// The time of the last event of a step.
    LastTime(usize),
    /// How many events a step has.
    Count(usize),
    /// An aggregate over the events of an `all` step.
    Aggregate(usize, AccumulatorPlan),
    /// From the first to the last event, in milliseconds.
    DurationMs,
}

/// What a run does with an event that it could take.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// `.stnm()`: takes the first that satisfies its step, skips others.
    #[default]
    NextMatch,
    /// `.strict()`: ends at one that doesn't satisfy its step.
    Strict,
    /// `.stam()`: is copied; one copy takes it, the other goes on waiting.
    AnyMatch,
}

/// Which results a completed run has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Emission {
    /// `.each()`: one per prefix of what `all` has captured.
    #[default]
    Each,
    /// `.longest()`: one.
    Longest,
    /// `.subsets()`: one per subset of what `all` has captured.
    Subsets,
}

/// A window.
#[derive(Clone, Debug, PartialEq)]
pub enum WindowPlan {
    /// Aligned to the epoch, `[start, start + size)`, starting at every multiple of `slide` (the size itself where it
    /// tumbles).
    Time {
        /// Length in nanoseconds.
        size_ns: i64,
        /// Distance of two starts in nanoseconds.
        slide_ns: i64,
    },
    /// Per key, from the first event behind the last window.
    FirstEvent {
        /// Length in nanoseconds.
        size_ns: i64,
    },
    /// By number of events per key.
    Count {
        /// Events in a window.
        size: usize,
        /// Emit when full, then at every `slide` events; the size itself where it tumbles.
        slide: usize,
    },
    /// By inactivity per key.
    Session {
        /// The gap in nanoseconds.
        gap_ns: i64,
    },
}

/// An operator.
#[derive(Clone, Debug)]
pub enum OpPlan {
    /// `.where`, `.having`, `.filter`: passes exactly when the expression is true.
    Where(Expr),
    /// `.select`, `.emit(..)`, `.map` with a map literal: a new row with these fields, in slots `0..`.
    Project {
        /// `select`, `emit` or `map`.
        verb: &'static str,
        /// Name and value of each field; its place is its slot.
        fields: Vec<(String, Expr)>,
        /// Slots of the new row: at least the fields; more where the name has fields from elsewhere.
        slots: u16,
    },
    /// `.map(x => e)` where `e` is no map literal: the value (a map) becomes the row's `rest`, and known fields are
    /// taken from it.
    Replace {
        /// The map.
        value: Expr,
        /// Fields to take from it, with their slots.
        fields: Vec<(String, u16)>,
        /// Where the whole map goes.
        rest: Option<u16>,
        /// Slots of the new row.
        slots: u16,
    },
    /// `.partition_by(e)`: the key of the operators after it.
    ///
    /// Behind a window it comes as `group_by` of the aggregate after it; where no aggregate follows, it stands here
    /// and just sets the key of each row.
    PartitionBy(Expr),
    /// `.aggregate(..)`, behind a window. With `group_by`, one row per group, keys ascending.
    Aggregate(AggregatePlan),
    /// `.distinct(e)`; all fields of the row where no expression is given.
    Distinct(Vec<Expr>),
    /// `.order_by(..)`: expression and whether it descends.
    OrderBy(Vec<(Expr, bool)>),
    /// `.limit(n)`
    Limit(u64),
    /// `.print`, `.log`, `.tap`: a line to the log.
    Log(LogPlan),
    /// `.process(f(x))`: each `emit` of the function is a row.
    Process {
        /// The call.
        call: Expr,
        /// For each type that the function emits: the name of the type, and the slots of its fields in the stream's
        /// layout.
        emits: Vec<EmitTypePlan>,
    },
}

/// `.print`, `.log` and `.tap`.
#[derive(Clone, Debug)]
pub struct LogPlan {
    /// `print`, `log` or `tap`.
    pub verb: &'static str,
    /// `level:`, `info` where none is given.
    pub level: String,
    /// What is written, with names where they were given.
    pub parts: Vec<(Option<String>, Expr)>,
}

/// A type that a function emits.
#[derive(Clone, Debug)]
pub struct EmitTypePlan {
    /// The type's name.
    pub type_name: String,
    /// Its fields in the order of their first emit, each with its slot in the stream's layout.
    pub fields: Vec<(String, u16)>,
}

/// `.aggregate(..)`
#[derive(Clone, Debug)]
pub struct AggregatePlan {
    /// The aggregates that the items need.
    pub accumulators: Vec<AccumulatorPlan>,
    /// Name and value of each item; values speak of accumulators by [`Expr::Aggregate`]. An item without a value is
    /// null.
    pub fields: Vec<(String, Expr)>,
    /// `.partition_by` behind the window.
    pub group_by: Option<Expr>,
    /// Slots of the row that it makes: at least the fields.
    pub slots: u16,
}

/// One aggregate and what it runs over.
#[derive(Clone, Debug)]
pub struct AccumulatorPlan {
    /// Which.
    pub aggregate: Aggregate,
    /// The constant of `percentile(x, p)` and `ema(x, n)`; 0 elsewhere.
    pub parameter: f64,
    /// Its argument over the rows of the window; none for `count()`.
    pub argument: Option<Expr>,
}

/// `let`, `const` or `var`.
#[derive(Clone, Debug)]
pub struct GlobalPlan {
    /// Its name.
    pub name: String,
    /// Its value; may speak of globals before it.
    pub value: Expr,
    /// Whether it may be assigned.
    pub mutable: bool,
}

/// A function of the program.
#[derive(Clone, Debug)]
pub struct FunctionPlan {
    /// Its name.
    pub name: String,
    /// How many parameters it has; they are the first locals.
    pub params: usize,
    /// How many locals it has, parameters included.
    pub locals: usize,
    /// Its body.
    pub body: Vec<Statement>,
}

/// A statement of a function's body.
#[derive(Clone, Debug)]
pub enum Statement {
    /// `let x = e`, `x := e` for a local.
    SetLocal(usize, Expr),
    /// `x := e` for a `var` of the program.
    SetGlobal(usize, Expr),
    /// `if` with its `elif`s, and `else`.
    If(Vec<(Expr, Vec<Statement>)>, Vec<Statement>),
    /// `for x in e:` with the local that holds `x`.
    For(usize, Expr, Vec<Statement>),
    /// `while e:`
    While(Expr, Vec<Statement>),
    /// `break`
    Break,
    /// `continue`
    Continue,
    /// `return e`; the last expression of a body is one too.
    Return(Option<Expr>),
    /// `emit T(..)`: the place of the type in the `emits` of the operator, and the fields.
    Emit {
        /// The type's name.
        type_name: String,
        /// Fields in order.
        fields: Vec<(String, Expr)>,
    },
    /// An expression for its effect.
    Expr(Expr),
}

/// A resolved expression.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A literal.
    Const(Value),
    /// The field in this slot of the row; the name is for printing.
    Field(u16, String),
    /// A field of a row that keeps all its fields as a map in this slot.
    RestField(u16, String),
    /// All fields of the row as a map: those named, with their slots, or the map in a slot.
    AllFields {
        /// Fields in order.
        fields: Vec<(String, u16)>,
        /// The slot that holds all of them already.
        rest: Option<u16>,
    },
    /// The first, unless it has no value; then the second: a field of an undeclared event that hides a name of the
    /// program.
    OrElse(Box<Expr>, Box<Expr>),
    /// `timestamp`: the event's time.
    Time,
    /// `_partition`: the current key.
    Key,
    /// `window_start`
    WindowStart,
    /// `window_end`
    WindowEnd,
    /// A `let`, `const` or `var`, by index.
    Global(usize),
    /// A parameter or local of a function or lambda, by index.
    Local(usize),
    /// The value of an accumulator, by index, in `.aggregate`.
    Aggregate(usize),
    /// In a condition of a sequence: what the run has captured, by index, with its name for printing.
    Captured(usize, String),
    /// A prefix operator.
    Unary(UnaryOp, Box<Expr>),
    /// An infix operator.
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    /// `if c then a else b`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `a..b`; true where it is `..=`.
    Range(Box<Expr>, Box<Expr>, bool),
    /// `a.b` of a map.
    Member(Box<Expr>, String),
    /// `a[i]`
    Index(Box<Expr>, Box<Expr>),
    /// `a[i:j]`
    Slice(Box<Expr>, Option<Box<Expr>>, Option<Box<Expr>>),
    /// `[a, b]`
    Array(Vec<Expr>),
    /// `{a: b}`
    Map(Vec<(String, Expr)>),
    /// A built-in function.
    Call(Builtin, Vec<Expr>),
    /// A function of the program, by index.
    UserCall(usize, Vec<Expr>),
    /// `a.map(x => e)` over an array: the array, the lambda's local, its body.
    MapItems(Box<Expr>, usize, Box<Expr>),
    /// `a.filter(x => e)` over an array.
    FilterItems(Box<Expr>, usize, Box<Expr>),
    /// A block: statements that set locals, then a value.
    Block(Vec<Statement>, Box<Expr>),
}
