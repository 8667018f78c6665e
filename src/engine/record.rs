//! A result as the embedder sees it: a row, and the layout that says what is in it.

use crate::event::{Row, Value};
use crate::format::{ResultLayout, ResultWriter};
use crate::vpl::plan::Plan;

/// For each stream the layouts of its rows that leave the engine, by lane.
#[derive(Debug)]
pub(super) struct Layouts {
    streams: Vec<Vec<ResultLayout>>,
    /// Of which streams the rows are results; those of others only go to sinks.
    results: Vec<bool>,
}

impl Layouts {
    pub(super) fn of(plan: &Plan) -> Self {
        let layout = |stream: &crate::vpl::plan::StreamPlan| {
            let rows = if stream.results.is_empty() { &stream.written } else { &stream.results };
            let rows = rows.iter().map(|result| ResultLayout {
                stream: stream.name.clone(),
                type_name: result.type_name.clone(),
                fields: result.fields.clone(),
                rest: result.rest,
            });
            rows.collect()
        };
        Self {
            streams: plan.streams.iter().map(layout).collect(),
            results: plan.streams.iter().map(|stream| !stream.results.is_empty()).collect(),
        }
    }

    /// Whether a row is a result.
    #[inline]
    pub(super) fn are_results(&self, row: &Row) -> bool {
        self.results[usize::from(row.rank()) - 1]
    }

    /// Whether a row that was read somewhere has a layout.
    pub(super) fn know(&self, row: &Row) -> bool {
        let stream = usize::from(row.rank()).checked_sub(1).and_then(|at| self.streams.get(at));
        stream.is_some_and(|lanes| usize::from(row.lane()) < lanes.len())
    }

    /// The stream that made a row.
    pub(super) fn stream_of(&self, row: &Row) -> &str {
        &self.streams[usize::from(row.rank()) - 1][usize::from(row.lane())].stream
    }

    pub(super) fn record<'a>(&'a self, row: &'a Row, place: u32) -> Record<'a> {
        Record { row, layouts: self, place }
    }
}

/// One result.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    row: &'a Row,
    layouts: &'a Layouts,
    place: u32,
}

/// The name of a result, for a sink that has to know whether it has it already.
///
/// The same events give the same results with the same ids, also after a restart, where a program runs on one thread or
/// merges rows in `deterministic` order (and the clock has no part in it). Ids ascend in the order in which results
/// come.
///
/// ```
/// use varpin::engine::{Engine, Program};
/// let program = Program::parse("stream Max = A.partition_by(k).window(1s).aggregate(k: last(k), v: max(v))")?;
/// let mut engine = Engine::builder(&program).build()?;
/// let a = engine.event_type("A")?;
/// let (k, v) = (a.field("k")?, a.field("v")?);
/// for (at, key) in ["north", "south"].into_iter().enumerate() {
///     let mut event = a.event(0);
///     event.set(&k, key)?;
///     event.set(&v, at as i64)?;
///     engine.feed(event, |_| {})?;
/// }
/// let mut ids = Vec::new();
/// engine.feed(a.event(1_000_000_000), |result| ids.push(result.id().to_string()))?;
/// assert_eq!(ids, ["Max/3/0", "Max/3/1"]); // two windows that the third event has closed
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct ResultId<'a> {
    /// The stream that made it.
    pub stream: &'a str,
    /// The number of the event that caused it ([`Record::seq`]).
    pub seq: u64,
    /// How many results of this stream come before it with the same number: windows of other keys, for one.
    pub place: u32,
}

impl std::fmt::Display for ResultId<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { stream, seq, place } = self;
        write!(f, "{stream}/{seq}/{place}")
    }
}

impl<'a> Record<'a> {
    fn stream_index(&self) -> usize {
        usize::from(self.row.rank()) - 1
    }

    fn layout(&self) -> &'a ResultLayout {
        &self.layouts.streams[self.stream_index()][usize::from(self.row.lane())]
    }

    /// The stream that made it.
    pub fn stream(&self) -> &'a str {
        &self.layout().stream
    }

    /// Its type: the stream's name, or that of `.emit as`.
    pub fn type_name(&self) -> &'a str {
        let layout = self.layout();
        layout.type_name.as_deref().unwrap_or(&layout.stream)
    }

    /// Event time in nanoseconds since the epoch.
    pub fn time_ns(&self) -> i64 {
        self.row.time_ns()
    }

    /// The number of the input event that caused it, from 1; results of the end of the input have
    /// [`FLUSH_SEQ`](crate::context::FLUSH_SEQ).
    pub fn seq(&self) -> u64 {
        self.row.seq()
    }

    /// Its name among all results.
    pub fn id(&self) -> ResultId<'a> {
        ResultId { stream: self.stream(), seq: self.seq(), place: self.place }
    }

    /// Its fields in order; those without a value are left out.
    pub fn fields(&self) -> Vec<(&'a str, &'a Value)> {
        let layout = self.layout();
        let present = |(_, value): &(&str, &Value)| !value.is_missing();
        match layout.rest {
            Some(slot) => match self.row.get(usize::from(slot)) {
                Value::Map(map) => {
                    map.iter().map(|(name, value)| (name.as_str(), value)).filter(present).collect()
                }
                _ => Vec::new(),
            },
            None => layout
                .fields
                .iter()
                .map(|(name, slot)| (name.as_str(), self.row.get(usize::from(*slot))))
                .filter(present)
                .collect(),
        }
    }

    /// The value of the field called `name`.
    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.fields().into_iter().find(|(field, _)| *field == name).map(|(_, value)| value)
    }

    /// The result as one line of JSON, without the line's end. For many results use [`JsonLines`].
    pub fn to_json(&self) -> String {
        let mut line = Vec::new();
        ResultWriter::new(self.layout()).write(&mut line, self.row);
        line.pop();
        String::from_utf8_lossy(&line).into_owned()
    }
}

/// Writes results as JSON lines; everything that does not depend on the row is prepared.
#[derive(Clone, Debug)]
pub struct JsonLines(Vec<Vec<ResultWriter>>);

impl JsonLines {
    pub(super) fn new(layouts: &Layouts) -> Self {
        Self(layouts.streams.iter().map(|stream| stream.iter().map(ResultWriter::new).collect()).collect())
    }

    /// Appends `record` and a line's end to `out`.
    #[inline]
    pub fn write(&mut self, record: &Record<'_>, out: &mut Vec<u8>) {
        self.0[record.stream_index()][usize::from(record.row.lane())].write(out, record.row);
    }
}
