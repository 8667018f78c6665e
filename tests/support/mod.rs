//! Random VPL programs as plain structures: they print as text that a human can read, and shrink to small ones.
//!
//! All streams carry the same three fields (`k` a text, `v` an int, `w` a float), each of which may be missing,
//! so that any stream can consume any other. What refers to something (a source, a type, a context) is a number
//! that is taken modulo what there is: whatever proptest removes, the rest still is a program.

pub(crate) mod paths;

use std::fmt::{self, Write as _};

use proptest::prelude::*;
use varpin::engine::{Engine, Event, EventError, EventType, Program};
use varpin::event::Value;

/// Types of events: two are declared, two are not.
pub(crate) const EVENT_TYPES: [&str; 4] = ["A", "B", "C", "D"];
/// Types that only streams make (and sometimes, all the same, the input).
pub(crate) const MADE_TYPES: [&str; 2] = ["Made", "Odd"];

/// A program.
#[derive(Clone)]
pub(crate) struct Case {
    pub(crate) contexts: usize,
    pub(crate) streams: Vec<StreamSpec>,
    /// Decides in which order the streams are declared.
    pub(crate) shuffle: u64,
    /// Whether joins and sequences wait for rows as long as any can come.
    pub(crate) is_patient: bool,
    pub(crate) events: Vec<EventSpec>,
}

#[derive(Clone, Debug)]
pub(crate) struct StreamSpec {
    pub(crate) sources: Vec<SourceSpec>,
    /// Joins the first two sources instead of merging all of them.
    pub(crate) join: Option<(JoinKind, u8)>,
    /// Steps through its sources instead of merging them.
    pub(crate) sequence: Option<SequenceSpec>,
    /// Takes no source, but ticks every so many seconds.
    pub(crate) timer: Option<u8>,
    pub(crate) context: Option<u8>,
    pub(crate) before: Vec<Before>,
    pub(crate) partition_by: Option<Key>,
    pub(crate) window: Option<WindowSpec>,
    pub(crate) pool: Option<PoolSpec>,
    pub(crate) end: End,
}

/// `.concurrent(..)`; left out where it would be refused.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PoolSpec {
    pub(crate) workers: u8,
    pub(crate) strategy: &'static str,
    /// How many of the operators before the window stand in front of it.
    pub(crate) at: u8,
}

/// A step for each source, and what becomes of the runs.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SequenceSpec {
    /// The step that takes one or more events.
    pub(crate) all: Option<u8>,
    /// The source that ends runs behind a step, and the step.
    pub(crate) not: Option<(u8, u8)>,
    /// Whether the last step compares with the first one.
    pub(crate) is_related: bool,
    pub(crate) within_s: Option<u8>,
    pub(crate) key: Option<Key>,
    pub(crate) selection: &'static str,
    pub(crate) emission: &'static str,
}

impl SequenceSpec {
    /// The stream's source and what belongs to it.
    fn write(&self, text: &mut String, sources: &[SourceSpec], names: &[String]) {
        let all = self.all.map(|all| usize::from(all) % names.len());
        let not = self.not.filter(|_| names.len() > 1).map(|(source, step)| {
            let can_wait_at_the_end = self.within_s.is_some() && all != Some(names.len() - 1);
            let last = usize::from(!can_wait_at_the_end);
            (&names[usize::from(source) % names.len()], usize::from(step) % (names.len() - last))
        });
        for (step, (source, name)) in sources.iter().zip(names).enumerate() {
            let alias = ["a", "b", "c"][step];
            let _ = write!(
                text,
                "{}{}{name}",
                if step > 0 { " -> " } else { "" },
                if all == Some(step) { "all " } else { "" }
            );
            let mut conditions: Vec<String> = source.filter.iter().map(ToString::to_string).collect();
            if self.is_related && step > 0 && step == names.len() - 1 && all != Some(0) {
                conditions.push("v >= a.v".to_owned());
            }
            if !conditions.is_empty() {
                let _ = write!(text, " where {}", conditions.join(" and "));
            }
            let _ = write!(text, " as {alias}");
            if let Some((forbidden, _)) = not.filter(|(_, behind)| *behind == step) {
                let _ = write!(text, " .not({forbidden} where v < 1)");
            }
        }
        text.push('\n');
        if let Some(seconds) = self.within_s {
            let _ = writeln!(text, "    .within({seconds}s)");
        }
        if let Some(key) = &self.key {
            let _ = writeln!(text, "    .partition_by({key})");
        }
        let _ = write!(text, "{}{}", self.selection, self.emission);
        let count = all.map_or_else(|| "1".to_owned(), |all| format!("count({})", ["a", "b", "c"][all]));
        let _ = writeln!(text, "    .select(k: k, v: {count} + match_duration_ms % 3, w: w)");
    }
}

#[derive(Clone, Debug)]
pub(crate) struct SourceSpec {
    pub(crate) pick: u8,
    pub(crate) filter: Option<Test>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Test {
    KeyIs(u8),
    KeyIsMissing,
    Above(i8),
    Even,
    Light,
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KeyIs(key) => write!(f, "k != \"{}\"", key_text(*key)),
            Self::KeyIsMissing => f.write_str("k == null or v > 0"),
            Self::Above(low) => write!(f, "v > {low}"),
            Self::Even => f.write_str("v % 2 == 0"),
            Self::Light => f.write_str("w < 3.0 or v < 3"),
        }
    }
}

fn key_text(key: u8) -> char {
    char::from(b'a' + key % 4)
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum JoinKind {
    Inner,
    Left,
    Right,
    Full,
}

impl fmt::Display for JoinKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Inner => "join",
            Self::Left => "left_join",
            Self::Right => "right_join",
            Self::Full => "full_join",
        })
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Before {
    Where(Test),
    Select(i8),
    Map,
    Distinct,
    DistinctKey,
    Limit(u8),
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    Name,
    Parity,
    Both,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Name => "k",
            Self::Parity => "v % 2",
            Self::Both => "k + v",
        })
    }
}

#[derive(Clone, Debug)]
pub(crate) struct WindowSpec {
    pub(crate) kind: WindowKind,
    pub(crate) out_of_order_s: Option<u8>,
    pub(crate) lateness_s: Option<u8>,
    pub(crate) rows: Vec<RowOp>,
    pub(crate) group_by: Option<Key>,
    pub(crate) aggregate: Option<Aggregate>,
    pub(crate) having: Option<Test>,
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum WindowKind {
    Tumbling(u8),
    Sliding(u8, u8),
    Count(u8),
    CountSliding(u8, u8),
    Session(u8),
    FirstEvent(u8),
}

impl fmt::Display for WindowKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Tumbling(size) => write!(f, "{size}s"),
            Self::Sliding(size, slide) => write!(f, "{size}s, sliding: {}s", slide.min(size)),
            Self::Count(size) => write!(f, "{size}"),
            Self::CountSliding(size, slide) => write!(f, "{size}, sliding: {}", slide.min(size)),
            Self::Session(gap) => write!(f, "session: {gap}s"),
            Self::FirstEvent(size) => write!(f, "{size}s, policy: \"first_event\""),
        }
    }
}

/// What stands between a window and its end where there is no aggregate.
#[derive(Clone, Copy, Debug)]
pub(crate) enum RowOp {
    Where(Test),
    OrderByValue,
    OrderByKeyDescending,
    Limit(u8),
    DistinctKey,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Aggregate {
    pub(crate) k: &'static str,
    pub(crate) v: &'static str,
    pub(crate) w: &'static str,
}

/// Aggregates by the field that they fill; the flag says whether the order of the rows makes no difference.
pub(crate) const K_AGGREGATES: &[(&str, bool)] =
    &[("max(k)", true), ("min(k)", true), ("last(k)", false), ("first(k)", false), ("k", false)];
pub(crate) const V_AGGREGATES: &[(&str, bool)] = &[
    ("count()", true),
    ("sum(v)", true),
    ("max(v) - min(v)", true),
    ("count_distinct(v)", true),
    ("count(v)", true),
    ("first(v)", false),
    ("last(v)", false),
    ("v", false),
];
pub(crate) const W_AGGREGATES: &[(&str, bool)] =
    &[("avg(w)", true), ("median(w)", true), ("sum(w)", true), ("last(w)", false), ("ema(w, 2)", false)];

impl Aggregate {
    pub(crate) fn ignores_order(&self) -> bool {
        let free = |of: &[(&str, bool)], item: &str| of.iter().any(|&(known, free)| known == item && free);
        free(K_AGGREGATES, self.k) && free(V_AGGREGATES, self.v) && free(W_AGGREGATES, self.w)
    }
}

#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// A bare filter: its rows are results only where nobody consumes them.
    Bare,
    /// `.emit()`
    All,
    /// `.emit(k: .., v: .., w: ..)`
    Emit(i8),
    /// `.emit as T (..)`
    As(u8),
    /// `.emit(context: c, ..)`
    To(u8),
    /// `.process(f(..))`: several rows of several types.
    Process,
}

#[derive(Clone, Debug)]
pub(crate) struct EventSpec {
    pub(crate) pick: u8,
    /// Against the event before it.
    pub(crate) quarters_later: i8,
    pub(crate) k: Option<u8>,
    pub(crate) v: Option<i8>,
    pub(crate) halves: Option<i8>,
}

impl Case {
    /// The names that stream `at` may take: event types, made types that only streams before it make, streams
    /// before it.
    fn source_names(&self, at: usize) -> Vec<String> {
        let mut names: Vec<String> = EVENT_TYPES.iter().map(|&name| name.to_owned()).collect();
        names.extend((0..at).map(|stream| format!("S{stream}")));
        // Later streams are worth more: chains get longer.
        names.extend((at.saturating_sub(2)..at).map(|stream| format!("S{stream}")));
        let last_maker = |name: &str| (0..self.streams.len()).rev().find(|&s| self.makes(s).contains(&name));
        names.extend(
            MADE_TYPES
                .iter()
                .filter(|&&name| last_maker(name).is_none_or(|maker| maker < at))
                .map(|&name| name.to_owned()),
        );
        names
    }

    fn makes(&self, stream: usize) -> Vec<&'static str> {
        match self.streams[stream].end {
            End::As(pick) => vec![MADE_TYPES[usize::from(pick) % MADE_TYPES.len()]],
            End::Process if can_process() => MADE_TYPES.to_vec(),
            _ => Vec::new(),
        }
    }

    /// The names that stream `at` takes.
    pub(crate) fn sources(&self, at: usize) -> Vec<String> {
        let names = self.source_names(at);
        let mut taken: Vec<String> = Vec::new();
        let spec = &self.streams[at];
        let count = match (spec.timer, spec.join) {
            (Some(_), _) => 0,
            (None, Some(_)) => spec.sources.len().min(2),
            (None, None) => spec.sources.len(),
        };
        for source in &spec.sources[..count] {
            let name = &names[usize::from(source.pick) % names.len()];
            taken.push(name.clone());
        }
        if self.is_sequence(at) {
            // One event cannot be two steps, under the name of its stream and under its own.
            let made: Vec<&str> = (0..at)
                .filter(|stream| taken.contains(&format!("S{stream}")))
                .flat_map(|stream| self.makes(stream))
                .collect();
            for name in taken.iter_mut().filter(|name| made.contains(&name.as_str())) {
                EVENT_TYPES[0].clone_into(name);
            }
        }
        taken
    }

    fn is_sequence(&self, stream: usize) -> bool {
        let spec = &self.streams[stream];
        let is_more_than_a_name = |sequence: &SequenceSpec| spec.sources.len() > 1 || sequence.all.is_some();
        spec.sequence.as_ref().is_some_and(is_more_than_a_name) && spec.timer.is_none() && spec.join.is_none()
    }

    /// The same program, but its windows wait for rows as long as any can come.
    pub(crate) fn patient(&self) -> Self {
        let mut patient = Self { is_patient: true, ..self.clone() };
        for window in patient.streams.iter_mut().filter_map(|stream| stream.window.as_mut()) {
            window.out_of_order_s = Some(u8::MAX);
        }
        patient
    }

    fn context(&self, pick: u8) -> String {
        format!("c{}", usize::from(pick) % self.contexts.max(1))
    }

    /// The program; without its contexts where `contexts` is false.
    pub(crate) fn program(&self, contexts: bool) -> String {
        let mut pools = Vec::new();
        if contexts {
            for stream in (0..self.streams.len()).filter(|&stream| self.streams[stream].pool.is_some()) {
                pools.push(stream);
                if Program::parse(&self.program_with(true, &pools)).is_err() {
                    pools.pop();
                }
            }
        }
        self.program_with(contexts, &pools)
    }

    fn program_with(&self, contexts: bool, pools: &[usize]) -> String {
        let mut text = String::new();
        if contexts {
            for context in 0..self.contexts.max(1) {
                let _ = writeln!(text, "context c{context}");
            }
        }
        if (0..self.streams.len()).any(|stream| self.is_sequence(stream)) {
            text.push_str("config engine { max_runs: 12, max_run_events: 6, max_subsets: 20 }\n");
        }
        text.push_str("event A:\n    k: str\n    v: int\n    w: float\n");
        text.push_str("event B:\n    w: float?\n    k: str?\n    v: int\n");
        if self.streams.iter().any(|stream| matches!(stream.end, End::Process)) && can_process() {
            text.push_str(PROCESS);
        }
        let mut order: Vec<usize> = (0..self.streams.len()).collect();
        order.sort_by_key(|&stream| (self.shuffle >> (stream * 5)) & 31);
        for stream in order {
            self.stream(&mut text, stream, contexts, pools.contains(&stream));
        }
        text
    }

    fn stream(&self, text: &mut String, at: usize, contexts: bool, pooled: bool) {
        let spec = &self.streams[at];
        let names = self.sources(at);
        let _ = write!(text, "stream S{at} = ");
        let join = spec.join.filter(|_| spec.timer.is_none() && names.len() > 1);
        match (&spec.sources[..], &names[..]) {
            _ if let Some(seconds) = spec.timer => {
                let _ = write!(text, "timer({seconds}s)");
            }
            (_, [left, right, ..]) if let Some((kind, _)) = join => {
                let _ = write!(text, "{kind}(stream l = {left}, stream r = {right})");
            }
            _ if self.is_sequence(at)
                && let Some(sequence) = &spec.sequence =>
            {
                sequence.write(text, &spec.sources, &names);
            }
            ([source], [name]) => {
                text.push_str(name);
                if let Some(filter) = &source.filter {
                    let _ = write!(text, " where {filter}");
                }
            }
            (sources, names) => {
                let branches =
                    sources.iter().zip(names).enumerate().map(|(n, (source, name))| match source.filter {
                        Some(filter) => format!("stream b{n} = {name}.where({filter})"),
                        None => name.clone(),
                    });
                let _ = write!(text, "merge({})", branches.collect::<Vec<_>>().join(", "));
            }
        }
        if !text.ends_with('\n') {
            text.push('\n');
        }
        if self.is_patient && (join.is_some() || self.is_sequence(at)) {
            text.push_str("    .watermark(out_of_order: 255s)\n");
        }
        if let (true, Some(context)) = (contexts, spec.context) {
            let _ = writeln!(text, "    .context({})", self.context(context));
        }
        if let Some((_, seconds)) = join {
            let _ = write!(text, "    .on(l.k == r.k)\n    .window({seconds}s)\n");
            text.push_str("    .select(k: l.k, v: l.v, w: r.w)\n");
        }
        if spec.timer.is_some() {
            text.push_str("    .select(k: \"t\", v: 1, w: 0.5)\n");
        }
        let ops = spec.before.len() + usize::from(spec.partition_by.is_some());
        let pool = spec.pool.filter(|_| pooled).map(|pool| (usize::from(pool.at) % (ops + 1), pool));
        let concurrent = |text: &mut String, at: usize| {
            if let Some((place, PoolSpec { workers, strategy, .. })) = pool
                && place == at
            {
                let _ = writeln!(text, "    .concurrent(workers: {workers}{strategy})");
            }
        };
        for (at, op) in spec.before.iter().enumerate() {
            concurrent(text, at);
            let _ = match op {
                Before::Where(test) => writeln!(text, "    .where({test})"),
                Before::Select(add) => writeln!(text, "    .select(k, v: v + {add}, w)"),
                Before::Map => writeln!(text, "    .map(x => {{ k: x.k, v: x.v, w: x.w }})"),
                Before::Distinct => writeln!(text, "    .distinct()"),
                Before::DistinctKey => writeln!(text, "    .distinct(k)"),
                Before::Limit(rows) => writeln!(text, "    .limit({rows})"),
            };
        }
        concurrent(text, spec.before.len());
        if let Some(key) = &spec.partition_by {
            let _ = writeln!(text, "    .partition_by({key})");
            concurrent(text, ops);
        }
        if let Some(window) = &spec.window {
            if let Some(seconds) = window.out_of_order_s {
                let _ = writeln!(text, "    .watermark(out_of_order: {seconds}s)");
            }
            if let Some(seconds) = window.lateness_s {
                let _ = writeln!(text, "    .allowed_lateness({seconds}s)");
            }
            let _ = writeln!(text, "    .window({})", window.kind);
            for op in &window.rows {
                let _ = match op {
                    RowOp::Where(test) => writeln!(text, "    .where({test})"),
                    RowOp::OrderByValue => writeln!(text, "    .order_by(v, k desc)"),
                    RowOp::OrderByKeyDescending => writeln!(text, "    .order_by(k desc)"),
                    RowOp::Limit(rows) => writeln!(text, "    .limit({rows})"),
                    RowOp::DistinctKey => writeln!(text, "    .distinct(k)"),
                };
            }
            if let Some(aggregate) = &window.aggregate {
                if let Some(key) = &window.group_by {
                    let _ = writeln!(text, "    .partition_by({key})");
                }
                let Aggregate { k, v, w } = aggregate;
                let _ = writeln!(text, "    .aggregate(k: {k}, v: {v}, w: {w})");
                if let Some(having) = &window.having {
                    let _ = writeln!(text, "    .having({having})");
                }
            }
        }
        let _ = match spec.end {
            End::Bare => Ok(()),
            End::All => writeln!(text, "    .emit()"),
            End::Emit(add) => writeln!(text, "    .emit(k: k, v: v + {add}, w: w)"),
            End::As(pick) => {
                let name = MADE_TYPES[usize::from(pick) % MADE_TYPES.len()];
                writeln!(text, "    .emit as {name} (k: k, v: v, w: w)")
            }
            End::To(pick) if contexts => {
                writeln!(text, "    .emit(context: {}, k: k, v: v, w: w)", self.context(pick))
            }
            End::Process if can_process() => writeln!(text, "    .process(spread(k, v, w))"),
            End::To(_) | End::Process => writeln!(text, "    .emit(k: k, v: v, w: w)"),
        };
    }

    /// The names under which events come: the types, a type that nobody knows, the made types, the streams.
    fn event_name(&self, pick: u8) -> String {
        match pick {
            // Mostly events of types that somebody takes.
            0..=207 => EVENT_TYPES[usize::from(pick) % EVENT_TYPES.len()].to_owned(),
            208..=211 => "Nobodys".to_owned(),
            212..=223 => MADE_TYPES[usize::from(pick) % MADE_TYPES.len()].to_owned(),
            _ => format!("S{}", usize::from(pick) % self.streams.len()),
        }
    }

    /// Whether a stream takes events of this name.
    fn is_known(&self, name: &str) -> bool {
        name == "A"
            || name == "B"
            || (0..self.streams.len()).any(|at| self.sources(at).iter().any(|s| s == name))
    }

    /// The events.
    pub(crate) fn events(&self) -> Vec<PlainEvent> {
        let mut quarters = 8_i64;
        // An event of a type that nobody takes still moves the time of timers where a file's reader passes it over;
        // handles refuse it.
        let has_timers = self.streams.iter().any(|stream| stream.timer.is_some());
        let events = self.events.iter().filter_map(|event| {
            quarters = (quarters + i64::from(event.quarters_later)).max(0);
            let mut fields = Vec::new();
            fields.extend(event.k.map(|k| ("k", Value::from(key_text(k).to_string().as_str()))));
            fields.extend(event.v.map(|v| ("v", Value::Int(i64::from(v)))));
            fields.extend(event.halves.map(|w| ("w", Value::Float(f64::from(w) / 2.0))));
            let name = self.event_name(event.pick);
            let is_known = self.is_known(&name);
            (is_known || !has_timers).then_some(PlainEvent { name, time_ns: quarters * 250_000_000, fields })
        });
        events.collect()
    }

    /// The program, loaded.
    pub(crate) fn loaded(&self, contexts: bool) -> Program {
        let text = self.program(contexts);
        Program::parse(&text).unwrap_or_else(|error| panic!("{text}\n{error:?}"))
    }

    /// The events as an embedder makes them, with typed handles.
    pub(crate) fn typed_events(&self, engine: &Engine) -> Vec<Event> {
        let typed = |event: PlainEvent| {
            // A type that nobody takes is refused here, where a file's reader passes it over.
            let ty = engine.event_type(&event.name).ok()?;
            let fields = known(&ty, event.fields);
            Some(ty.event_with(event.time_ns, fields).expect("the values fit the declared types"))
        };
        self.events().into_iter().filter_map(typed).collect()
    }

    /// The events, as an `.evt` file.
    pub(crate) fn event_lines(&self) -> String {
        let mut text = String::new();
        for event in self.events() {
            let fields = event.fields.iter().map(|(name, value)| match value {
                Value::Str(text) => format!("{name}: \"{text}\""),
                Value::Int(v) => format!("{name}: {v}"),
                Value::Float(w) => format!("{name}: {w:?}"),
                other => unreachable!("no event has {other:?}"),
            });
            let fields = fields.collect::<Vec<_>>().join(", ");
            let _ = writeln!(text, "@{}ms {} {{ {fields} }}", event.time_ns / 1_000_000, event.name);
        }
        text
    }
}

/// An event before there is an engine to take it.
#[derive(Clone, Debug)]
pub(crate) struct PlainEvent {
    pub(crate) name: String,
    pub(crate) time_ns: i64,
    pub(crate) fields: Vec<(&'static str, Value)>,
}

/// Those of `fields` that the type has.
pub(crate) fn known<'a>(
    ty: &EventType,
    fields: impl IntoIterator<Item = (&'a str, Value)>,
) -> Vec<(&'a str, Value)> {
    let is_known = |name: &str| !matches!(ty.field(name), Err(EventError::UnknownField { .. }));
    fields.into_iter().filter(|(name, _)| is_known(name)).collect()
}

impl StreamSpec {
    /// Whether the results depend on the order of the rows, and not only on which rows there are.
    pub(crate) fn is_order_sensitive(&self) -> bool {
        let before = |op: &Before| matches!(op, Before::Distinct | Before::DistinctKey | Before::Limit(_));
        let rows = |op: &RowOp| matches!(op, RowOp::Limit(_) | RowOp::DistinctKey);
        let windowed = |window: &WindowSpec| {
            // Sessions and windows that start at an event: where one ends depends on what came before it.
            !matches!(window.kind, WindowKind::Tumbling(_) | WindowKind::Sliding(..))
                || window.rows.iter().any(rows)
                || window.aggregate.is_some_and(|aggregate| !aggregate.ignores_order())
        };
        // A joined row's time is that of the row that came last.
        self.join.is_some()
            || self.sequence.is_some()
            || self.before.iter().any(before)
            || self.window.as_ref().is_some_and(windowed)
    }
}

impl fmt::Debug for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{}\n{}", self.program(true), self.event_lines())
    }
}

const PROCESS: &str = "fn spread(k: str, v: int, w: float):
    for i in 0..v:
        emit Made(k: k, v: i, w: w)
    if v % 2 == 1:
        emit Odd(k: k, v: v, w: w)
";

/// Whether `.process` can be used.
fn can_process() -> bool {
    use std::sync::LazyLock;
    static CAN: LazyLock<bool> = LazyLock::new(|| {
        let text = format!("{PROCESS}stream S = A\n    .process(spread(k, v, w))\n");
        Program::parse(&text).is_ok()
    });
    *CAN
}

fn test() -> impl Strategy<Value = Test> {
    prop_oneof![
        (0..4_u8).prop_map(Test::KeyIs),
        Just(Test::KeyIsMissing),
        (-2..3_i8).prop_map(Test::Above),
        Just(Test::Even),
        Just(Test::Light),
    ]
}

fn join_kind() -> impl Strategy<Value = JoinKind> {
    prop::sample::select(vec![JoinKind::Inner, JoinKind::Left, JoinKind::Right, JoinKind::Full])
}

prop_compose! {
    fn sequence()(
        all in prop::option::weighted(0.5, any::<u8>()),
        not in prop::option::weighted(0.3, (any::<u8>(), any::<u8>())),
        is_related in any::<bool>(),
        within_s in prop::option::weighted(0.8, 1..6_u8),
        key in prop::option::weighted(0.4, key()),
        selection in prop::sample::select(vec!["", "", "    .strict()\n", "    .stam()\n", "    .stnm()\n"]),
        emission in prop::sample::select(vec!["", "", "    .each()\n", "    .longest()\n", "    .subsets()\n"]),
    ) -> SequenceSpec {
        SequenceSpec { all, not, is_related, within_s, key, selection, emission }
    }
}

fn before() -> impl Strategy<Value = Before> {
    prop_oneof![
        4 => test().prop_map(Before::Where),
        3 => (0..3_i8).prop_map(Before::Select),
        1 => Just(Before::Map),
        1 => Just(Before::Distinct),
        1 => Just(Before::DistinctKey),
        1 => (0..12_u8).prop_map(Before::Limit),
    ]
}

fn key() -> impl Strategy<Value = Key> {
    prop_oneof![3 => Just(Key::Name), 1 => Just(Key::Parity), 1 => Just(Key::Both)]
}

fn window_kind() -> impl Strategy<Value = WindowKind> {
    prop_oneof![
        3 => (1..5_u8).prop_map(WindowKind::Tumbling),
        2 => (1..5_u8, 1..4_u8).prop_map(|(size, slide)| WindowKind::Sliding(size, slide)),
        2 => (1..5_u8).prop_map(WindowKind::Count),
        1 => (1..5_u8, 1..4_u8).prop_map(|(size, slide)| WindowKind::CountSliding(size, slide)),
        1 => (1..4_u8).prop_map(WindowKind::Session),
        1 => (1..5_u8).prop_map(WindowKind::FirstEvent),
    ]
}

fn row_op() -> impl Strategy<Value = RowOp> {
    prop_oneof![
        2 => test().prop_map(RowOp::Where),
        1 => Just(RowOp::OrderByValue),
        1 => Just(RowOp::OrderByKeyDescending),
        1 => (1..4_u8).prop_map(RowOp::Limit),
        1 => Just(RowOp::DistinctKey),
    ]
}

fn aggregate() -> impl Strategy<Value = Aggregate> {
    let pick = |of: &'static [(&'static str, bool)]| prop::sample::select(of).prop_map(|(item, _)| item);
    (pick(K_AGGREGATES), pick(V_AGGREGATES), pick(W_AGGREGATES)).prop_map(|(k, v, w)| Aggregate { k, v, w })
}

prop_compose! {
    fn window()(
        kind in window_kind(),
        out_of_order_s in prop::option::weighted(0.3, 0..3_u8),
        lateness_s in prop::option::weighted(0.2, 0..3_u8),
        rows in prop::collection::vec(row_op(), 0..3),
        group_by in prop::option::weighted(0.3, key()),
        aggregate in prop::option::weighted(0.7, aggregate()),
        having in prop::option::weighted(0.2, test()),
    ) -> WindowSpec {
        // Between a `.partition_by` behind the window and its aggregate only filters can stand.
        let grouped = group_by.is_some() && aggregate.is_some();
        let rows = rows.into_iter().filter(|op| !grouped || matches!(op, RowOp::Where(_))).collect();
        WindowSpec { kind, out_of_order_s, lateness_s, rows, group_by, aggregate, having }
    }
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![
        2 => Just(End::Bare),
        1 => Just(End::All),
        3 => (0..3_i8).prop_map(End::Emit),
        2 => (0..2_u8).prop_map(End::As),
        1 => any::<u8>().prop_map(End::To),
        1 => Just(End::Process),
    ]
}

fn pool() -> impl Strategy<Value = PoolSpec> {
    let strategies =
        vec!["", "", ", strategy: consistent_hash", ", strategy: round_robin", ", strategy: broadcast"];
    let at = prop_oneof![Just(u8::MAX), any::<u8>()];
    (1..4_u8, prop::sample::select(strategies), at).prop_map(|(workers, strategy, at)| PoolSpec {
        workers,
        strategy,
        at,
    })
}

prop_compose! {
    fn stream()(
        sources in prop::collection::vec(
            (any::<u8>(), prop::option::weighted(0.3, test())).prop_map(|(pick, filter)| SourceSpec { pick, filter }),
            1..4,
        ),
        join in prop::option::weighted(0.15, (join_kind(), 1..4_u8)),
        sequence in prop::option::weighted(0.15, sequence()),
        timer in prop::option::weighted(0.05, 1..4_u8),
        context in prop::option::weighted(0.85, any::<u8>()),
        before in prop::collection::vec(before(), 0..3),
        partition_by in prop::option::weighted(0.4, key()),
        window in prop::option::weighted(0.4, window()),
        pool in prop::option::weighted(0.3, pool()),
        end in end(),
    ) -> StreamSpec {
        StreamSpec { sources, join, sequence, timer, context, before, partition_by, window, pool, end }
    }
}

prop_compose! {
    fn event(disorder: i8)(
        pick in any::<u8>(),
        quarters_later in -disorder..4_i8,
        k in prop::option::weighted(0.9, 0..4_u8),
        v in prop::option::weighted(0.9, -2..6_i8),
        halves in prop::option::weighted(0.9, -2..12_i8),
    ) -> EventSpec {
        EventSpec { pick, quarters_later, k, v, halves }
    }
}

prop_compose! {
    /// A program, its placement and its input.
    pub(crate) fn case(max_events: usize)(disorder in prop::sample::select(vec![0_i8, 0, 2, 6]))(
        contexts in 1..=6_usize,
        streams in prop::collection::vec(stream(), 2..=8),
        shuffle in any::<u64>(),
        events in prop::collection::vec(event(disorder), 1..max_events),
    ) -> Case {
        Case { contexts, streams, shuffle, is_patient: false, events }
    }
}
