//! Joins (D23 to D25). The plans are put together by hand: the front end does not accept joins yet.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // helpers of tests

use varpin::event::{Row, Shape, Value};
use varpin::operators::{Env, Limits, StreamRuntime};
use varpin::vpl::plan::{
    Expr, InputPlan, JoinPlan, JoinedSlot, NamePlan, Plan, SourcePlan, StreamPlan, WindowPlan,
};
use varpin::vpl::syntax::{JoinKind, Span};

const SECOND: i64 = 1_000_000_000;

/// A join of `names` (indices of types with the fields `id` and `x`) on equal ids, side by side.
fn join(kind: JoinKind, names: &[usize], window_ns: i64, count_window: Option<usize>) -> Plan {
    let name = |name: &str| NamePlan { name: name.into(), shape: 0, declared: true, consumers: vec![0] };
    let id = |side: usize| (side, Expr::Field(0, "id".into()));
    let sides = names.iter().map(|name| InputPlan { name: *name, ..InputPlan::default() });
    let source = SourcePlan::Join(JoinPlan {
        kind,
        sides: sides.collect(),
        slots: (0..names.len()).flat_map(|side| [JoinedSlot::Of(side, 0), JoinedSlot::Of(side, 1)]).collect(),
        on: (1..names.len()).map(|side| [id(side - 1), id(side)]).collect(),
        window_ns,
    });
    let stream = StreamPlan {
        name: "J".into(),
        span: Span::default(),
        context: 0,
        source,
        before: Vec::new(),
        window: count_window.map(|size| WindowPlan::Count { size, slide: size }),
        after: Vec::new(),
        out_of_order_ns: 0,
        allowed_lateness_ns: 0,
        shape: 1,
        on_error: varpin::vpl::plan::OnErrorPlan::default(),
        pool: None,
        results: Vec::new(),
        written: Vec::new(),
        feeds: Vec::new(),
    };
    let shape = |slots| Shape { declared: true, slots, ..Shape::default() };
    Plan {
        names: vec![name("A"), name("B"), name("C"), name("J")],
        shapes: vec![shape(2), shape(2 * names.len() as u16)],
        streams: vec![stream],
        ..Plan::default()
    }
}

struct Joined {
    stream: StreamRuntime,
    env: Env,
    /// Seconds and values of each result.
    out: Vec<(f64, String)>,
}

impl Joined {
    fn new(plan: &Plan) -> Self {
        Self::with_limits(plan, Limits::default())
    }

    fn with_limits(plan: &Plan, limits: Limits) -> Self {
        let stream = StreamRuntime::compile(plan, 0, &limits).unwrap();
        Self { stream, env: Env::new(plan, &limits).unwrap(), out: Vec::new() }
    }

    fn push(&mut self, seconds: f64, name: usize, id: Value, x: i64) -> Result<(), String> {
        let row = Row::with_values(name as u32, (seconds * SECOND as f64) as i64, &[id, Value::Int(x)]);
        let input = self.stream.input_of(name).unwrap();
        let result =
            self.stream.on_row(input, &row, &mut self.env, &mut |row: &Row| self.out.push(show(row)));
        result.map_err(|error| error.to_string())
    }

    /// Pushes events of the form (seconds, type, id, x) and returns all results up to the end.
    fn run(mut self, events: &[(f64, usize, i64, i64)]) -> Vec<(f64, String)> {
        for &(seconds, name, id, x) in events {
            self.push(seconds, name, Value::Int(id), x).unwrap();
        }
        self.stream.flush(0, &mut self.env, &mut |row: &Row| self.out.push(show(row))).unwrap();
        assert_eq!(self.stream.stats().window_rows, 0);
        self.out
    }
}

fn show(row: &Row) -> (f64, String) {
    assert_eq!(row.rank(), 1);
    let text = |value: &Value| match value {
        Value::Int(value) => value.to_string(),
        Value::Null => "null".into(),
        other => format!("{other:?}"),
    };
    (row.time_ns() as f64 / SECOND as f64, row.values().iter().map(text).collect::<Vec<_>>().join(" "))
}

const EVENTS: &[(f64, usize, i64, i64)] = &[
    (0.0, 0, 1, 10),
    (1.0, 1, 1, 100),
    (2.0, 0, 2, 20),
    (3.0, 1, 3, 300),
    (4.0, 1, 2, 200),
    (5.0, 0, 1, 11),
    (6.0, 1, 1, 101),
    (90.0, 1, 1, 102),
    (91.0, 0, 9, 1),
];

fn expect(out: &[(f64, String)], want: &[(f64, &str)]) {
    let out: Vec<_> = out.iter().map(|(time, text)| (*time, text.as_str())).collect();
    assert_eq!(out, want);
}

#[test]
fn every_live_pair_with_equal_keys_joins_at_the_time_of_the_later_arrival() {
    let out = Joined::new(&join(JoinKind::Inner, &[0, 1], 60 * SECOND, None)).run(EVENTS);
    expect(
        &out,
        &[
            (1.0, "1 10 1 100"),
            (4.0, "2 20 2 200"),
            (5.0, "1 11 1 100"),
            (6.0, "1 10 1 101"),
            (6.0, "1 11 1 101"),
        ],
    );
}

#[test]
fn an_outer_join_gives_what_met_nobody_when_it_is_forgotten() {
    let both = [
        (1.0, "1 10 1 100"),
        (4.0, "2 20 2 200"),
        (5.0, "1 11 1 100"),
        (6.0, "1 10 1 101"),
        (6.0, "1 11 1 101"),
    ];
    let left = (101.0, "9 1 null null");
    let right = [(13.0, "null null 3 300"), (100.0, "null null 1 102")];
    for (kind, with_left, with_right) in
        [(JoinKind::Left, true, false), (JoinKind::Right, false, true), (JoinKind::Full, true, true)]
    {
        let mut want = both.to_vec();
        want.extend(right.iter().filter(|_| with_right));
        want.extend(with_left.then_some(left));
        expect(&Joined::new(&join(kind, &[0, 1], 10 * SECOND, None)).run(EVENTS), &want);
    }
}

#[test]
fn times_that_differ_by_exactly_the_window_join_and_later_events_are_late() {
    let mut joined = Joined::new(&join(JoinKind::Inner, &[0, 1], 10 * SECOND, None));
    for (seconds, name, x) in
        [(0.0, 0, 1), (10.0, 1, 10), (10.001, 1, 20), (20.0, 0, 2), (9.0, 0, 3), (12.0, 0, 4)]
    {
        joined.push(seconds, name, Value::Int(1), x).unwrap();
    }
    expect(
        &joined.out,
        &[(10.0, "1 1 1 10"), (20.0, "1 2 1 10"), (20.0, "1 2 1 20"), (12.0, "1 4 1 10"), (12.0, "1 4 1 20")],
    );
    assert_eq!(joined.stream.stats().late, 1);
}

#[test]
fn three_sides_join_in_order_of_the_sources_then_of_arrival() {
    let plan = join(JoinKind::Inner, &[0, 1, 2], 10 * SECOND, None);
    let events =
        [(0.0, 0, 1, 1), (0.0, 0, 1, 2), (0.0, 2, 1, 7), (0.0, 2, 1, 8), (0.0, 0, 2, 9), (1.0, 1, 1, 5)];
    let out = Joined::new(&plan).run(&events);
    expect(&out, &[(1.0, "1 1 1 5 1 7"), (1.0, "1 1 1 5 1 8"), (1.0, "1 2 1 5 1 7"), (1.0, "1 2 1 5 1 8")]);
}

#[test]
fn in_a_self_join_an_event_comes_as_each_side_in_turn_and_meets_itself() {
    let out = Joined::new(&join(JoinKind::Inner, &[0, 0], 10 * SECOND, None))
        .run(&[(0.0, 0, 1, 1), (1.0, 0, 1, 2)]);
    expect(&out, &[(0.0, "1 1 1 1"), (1.0, "1 2 1 1"), (1.0, "1 1 1 2"), (1.0, "1 2 1 2")]);
}

#[test]
fn keys_join_as_the_operator_for_equality_says() {
    let mut joined = Joined::new(&join(JoinKind::Inner, &[0, 1], 10 * SECOND, None));
    let keys = [Value::Int(1), Value::Float(f64::NAN), Value::Null, Value::Missing, Value::from("1")];
    for (x, key) in keys.iter().enumerate() {
        joined.push(0.0, 0, key.clone(), x as i64).unwrap();
    }
    for key in [Value::Float(1.0), Value::Float(f64::NAN), Value::Null, Value::Missing] {
        joined.push(0.0, 1, key, 9).unwrap();
    }
    let xs: Vec<_> = joined.out.iter().map(|(_, text)| text.split(' ').nth(1).unwrap().to_owned()).collect();
    // 1 == 1.0; NaN equals nothing; null equals null and no value, but no value does not equal itself.
    assert_eq!(xs, ["0", "2", "3", "2"]);
}

#[test]
fn remembered_events_are_bounded_by_a_setting_that_the_error_names() {
    let limits = Limits { max_window_rows: 2, ..Limits::default() };
    let mut joined = Joined::with_limits(&join(JoinKind::Inner, &[0, 1], SECOND, None), limits);
    for x in 0..2 {
        joined.push(0.0, 0, Value::Int(1), x).unwrap();
    }
    let error = joined.push(0.0, 0, Value::Int(1), 3).unwrap_err();
    assert!(error.contains("stream J, .join") && error.contains("max_window_rows"), "{error}");
    joined.push(1.5, 0, Value::Int(1), 4).unwrap();
}

#[test]
fn a_window_behind_a_join_takes_its_rows() {
    let out = Joined::new(&join(JoinKind::Full, &[0, 1], 10 * SECOND, Some(2))).run(EVENTS);
    assert_eq!(out.len(), 8);
    assert_eq!(out[0], (4.0, "1 10 1 100".into()), "rows of a count window have the time of its last");
}
