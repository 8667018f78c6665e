//! Runs a program on one thread straight through the operators: for each event the streams by rank, each taking what its
//! sources made of the event. Nothing here is shared with the engine, so it can be compared with it.

#![allow(dead_code)] // each test file uses its part
#![allow(clippy::unwrap_used)] // part of tests

use varpin::event::{Row, Shape};
use varpin::format::{EventSource, Format, InputType, InputTypes, ResultLayout, ResultWriter, SourceOptions};
use varpin::operators::{Env, Limits, OperatorError, Remap, StreamRuntime, StreamStats};
use varpin::vpl::diagnostic::Severity;
use varpin::vpl::parser::parse;
use varpin::vpl::plan::Plan;
use varpin::vpl::resolve::resolve;

/// A program and the state of its streams.
pub(crate) struct Runner {
    pub(crate) plan: Plan,
    pub(crate) env: Env,
    streams: Vec<StreamRuntime>,
    writers: Vec<Vec<ResultWriter>>,
    feeds: Vec<Vec<Feed>>,
    seq: u64,
    /// Results as JSON lines.
    pub(crate) lines: Vec<String>,
    pub(crate) errors: Vec<OperatorError>,
}

/// The name, how rows get its layout, and the lane of those that feed it.
type Feed = (usize, Option<Remap>, Option<u16>);

/// The plan of a program that has no errors.
pub(crate) fn plan(program: &str) -> Plan {
    let (syntax, mut findings) = parse(program);
    let (plan, more) = resolve(&syntax);
    findings.extend(more);
    let errors: Vec<_> = findings.iter().filter(|finding| finding.severity == Severity::Error).collect();
    assert!(errors.is_empty(), "{errors:#?}\n{program}");
    plan
}

impl Runner {
    pub(crate) fn new(program: &str) -> Self {
        Self::with_limits(program, Limits::default())
    }

    pub(crate) fn with_limits(program: &str, limits: Limits) -> Self {
        Self::of(plan(program), limits)
    }

    pub(crate) fn of(plan: Plan, limits: Limits) -> Self {
        let limits = limits.with(&plan.engine);
        let env = Env::new(&plan, &limits).unwrap();
        let streams = (0..plan.streams.len()).map(|at| StreamRuntime::compile(&plan, at, &limits).unwrap());
        let streams = streams.collect();
        let writers = plan.streams.iter().map(|stream| {
            let writer = |result: &varpin::vpl::plan::ResultPlan| {
                ResultWriter::new(&ResultLayout {
                    stream: stream.name.clone(),
                    type_name: result.type_name.clone(),
                    fields: result.fields.clone(),
                    rest: result.rest,
                })
            };
            stream.results.iter().map(writer).collect()
        });
        let writers = writers.collect();
        let feeds = plan.streams.iter().map(|stream| {
            let feed = |feed: &varpin::vpl::plan::FeedPlan| {
                (feed.name, feed.remap.as_ref().map(Remap::new), feed.lane)
            };
            stream.feeds.iter().map(feed).collect()
        });
        let feeds = feeds.collect();
        Self { plan, env, streams, writers, feeds, seq: 0, lines: Vec::new(), errors: Vec::new() }
    }

    /// Reads `events` in the `.evt` form and runs them, up to the end of the input.
    pub(crate) fn run(program: &str, events: &str) -> Vec<String> {
        let mut runner = Self::new(program);
        runner.feed(events, Format::Evt);
        runner.flush();
        assert_eq!(runner.errors, []);
        runner.lines
    }

    pub(crate) fn feed(&mut self, events: &str, format: Format) {
        let types = self.plan.names.iter().enumerate().filter(|(_, name)| !name.consumers.is_empty());
        let types = types.map(|(id, name)| InputType {
            name: name.name.clone(),
            type_id: id as u32,
            shape: self.plan.shapes.get(name.shape).cloned().unwrap_or_else(Shape::default),
        });
        let types = InputTypes::new(types.collect());
        let mut options = SourceOptions::default();
        options.event_type = Some("E".into());
        let mut source = EventSource::new(events.as_bytes(), format, types, options).unwrap();
        let mut row = Row::new(0, 0, 0);
        while source.fill().unwrap() > 0 {
            while source.next(&mut row).unwrap().is_some() {
                self.push(&row);
            }
        }
        while source.finish(&mut row).unwrap().is_some() {
            self.push(&row);
        }
    }

    /// Runs one event.
    pub(crate) fn push(&mut self, row: &Row) {
        self.seq += 1;
        if row.type_id() == InputTypes::UNKNOWN {
            return;
        }
        let mut row = row.clone();
        row.set_seq(self.seq);
        let mut pending = vec![(row.type_id() as usize, row)];
        for stream in 0..self.streams.len() {
            self.step(stream, &mut pending, false);
        }
    }

    /// The clock, live.
    pub(crate) fn clock(&mut self, now_ns: i64) {
        let mut pending = Vec::new();
        for stream in 0..self.streams.len() {
            let mut made = Vec::new();
            let result = self.streams[stream]
                .on_clock(now_ns, self.seq, &mut self.env, &mut |row: &Row| made.push(row.clone()));
            self.errors.extend(result.err());
            self.route(stream, made, &mut pending);
            self.step(stream, &mut pending, false);
        }
    }

    /// The end of the input.
    pub(crate) fn flush(&mut self) {
        self.seq += 1;
        let mut pending = Vec::new();
        for stream in 0..self.streams.len() {
            self.step(stream, &mut pending, true);
        }
    }

    pub(crate) fn stats(&self, stream: &str) -> StreamStats {
        self.streams.iter().find(|runtime| runtime.name() == stream).unwrap().stats()
    }

    fn step(&mut self, stream: usize, pending: &mut Vec<(usize, Row)>, flush: bool) {
        let mut made = Vec::new();
        let runtime = &mut self.streams[stream];
        let mut out = |row: &Row| made.push(row.clone());
        for (name, row) in &*pending {
            let Some(input) = runtime.input_of(*name) else { continue };
            self.errors.extend(runtime.on_row(input, row, &mut self.env, &mut out).err());
        }
        if flush {
            self.errors.extend(runtime.flush(self.seq, &mut self.env, &mut out).err());
        }
        self.route(stream, made, pending);
    }

    fn route(&mut self, stream: usize, made: Vec<Row>, pending: &mut Vec<(usize, Row)>) {
        for row in made {
            assert_eq!(usize::from(row.rank()), stream + 1);
            assert_eq!(row.seq(), self.seq);
            if let Some(writer) = self.writers[stream].get_mut(usize::from(row.lane())) {
                let mut line = Vec::new();
                writer.write(&mut line, &row);
                self.lines.push(String::from_utf8(line).unwrap().trim_end().to_owned());
            }
            for (name, remap, lane) in &self.feeds[stream] {
                if lane.is_none_or(|lane| lane == row.lane()) {
                    pending
                        .push((*name, remap.as_ref().map_or_else(|| row.clone(), |remap| remap.apply(&row))));
                }
            }
        }
    }
}

/// A result line, shorter: stream, seconds of the first hour, data without quotes around names.
pub(crate) fn brief(line: &str) -> String {
    let part = |from: &str, to: &str| {
        let rest = line.split_once(from).map_or("", |(_, rest)| rest);
        rest.split_once(to).map_or(rest, |(part, _)| part).to_owned()
    };
    let time = part("\"ts\":\"1970-01-01T00:", "Z\"");
    let data = part("\"data\":", "\u{0}").trim_end_matches('}').replace('"', "");
    format!("{} {time} {}", part("\"stream\":\"", "\""), data.trim_start_matches('{'))
}

/// Runs `events` through `program` and gives the results in brief.
pub(crate) fn results(program: &str, events: &str) -> Vec<String> {
    Runner::run(program, events).iter().map(|line| brief(line)).collect()
}
