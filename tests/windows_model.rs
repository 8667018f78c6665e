//! Windows against a model that keeps everything in one list and looks at all of it on every event. Whatever the order of
//! events, both must say the same; and so must a window that keeps its rows and one that feeds them to accumulators.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // helpers of tests

mod operators_support;

use operators_support::{Runner, brief};
use proptest::prelude::*;
use varpin::event::{Row, Value};

#[derive(Clone, Copy, Debug)]
enum Kind {
    Time { size: i64, slide: i64 },
    FirstEvent { size: i64 },
    Session { gap: i64 },
    Count { size: usize, slide: usize },
}

#[derive(Clone, Copy, Debug)]
struct Event {
    time: i64,
    key: i64,
    value: i64,
}

/// An open window.
#[derive(Clone, Debug)]
struct Open {
    key: i64,
    start: i64,
    last: i64,
    rows: Vec<(usize, i64)>,
}

const SECOND: i64 = 1_000_000_000;

/// The results as (time in ns, key, values in order).
fn model(kind: Kind, out_of_order: i64, lateness: i64, events: &[Event]) -> Vec<(i64, i64, Vec<i64>)> {
    let mut open: Vec<Open> = Vec::new();
    let mut opened_until = std::collections::HashMap::new();
    let mut watermark = i64::MIN;
    let mut out = Vec::new();
    let end_of = |window: &Open| match kind {
        Kind::Time { size, .. } | Kind::FirstEvent { size } => window.start + size,
        Kind::Session { gap } => window.last + gap,
        Kind::Count { .. } => i64::MAX,
    };
    let closed = |end: i64, watermark: i64| match kind {
        Kind::Session { .. } => watermark > end + lateness,
        _ => watermark >= end + lateness,
    };
    let close = |open: &mut Vec<Open>, watermark: Option<i64>, out: &mut Vec<(i64, i64, Vec<i64>)>| {
        let (mut gone, stay): (Vec<Open>, Vec<Open>) = std::mem::take(open)
            .into_iter()
            .partition(|window| watermark.is_none_or(|watermark| closed(end_of(window), watermark)));
        *open = stay;
        gone.sort_by_key(|window| (end_of(window), window.key));
        for window in gone {
            let mut rows = window.rows.clone();
            rows.sort_unstable();
            out.push((end_of(&window) - 1, window.key, rows.into_iter().map(|(_, value)| value).collect()));
        }
    };
    for (arrival, event) in events.iter().enumerate() {
        let (time, key) = (event.time, event.key);
        let row = (arrival, event.value);
        watermark = watermark.max(time - out_of_order);
        if !matches!(kind, Kind::Count { .. }) {
            close(&mut open, Some(watermark), &mut out);
        }
        let fresh = |start: i64| Open { key, start, last: time, rows: vec![row] };
        match kind {
            Kind::Time { size, slide } => {
                let mut start = time.div_euclid(slide) * slide;
                while start > time - size {
                    if !closed(start + size, watermark) {
                        match open.iter_mut().find(|window| window.key == key && window.start == start) {
                            Some(window) => window.rows.push(row),
                            None => open.push(fresh(start)),
                        }
                    }
                    start -= slide;
                }
            }
            Kind::FirstEvent { size } => {
                let until = opened_until.entry(key).or_insert(i64::MIN);
                let holds = |window: &&mut Open| {
                    window.key == key && window.start <= time && time < window.start + size
                };
                if let Some(window) = open.iter_mut().find(holds) {
                    window.rows.push(row);
                } else if time >= *until && !closed(time + size, watermark) {
                    *until = time + size;
                    open.push(fresh(time));
                }
            }
            Kind::Session { gap } => {
                let touches = |window: &Open| {
                    window.key == key && time >= window.start - gap && time <= window.last + gap
                };
                if open.iter().any(touches) || !closed(time + gap, watermark) {
                    let mut whole = fresh(time);
                    open.retain(|window| {
                        let take = touches(window);
                        if take {
                            whole.start = whole.start.min(window.start);
                            whole.last = whole.last.max(window.last);
                            whole.rows.extend(&window.rows);
                        }
                        !take
                    });
                    open.push(whole);
                }
            }
            Kind::Count { size, slide } => {
                if !open.iter().any(|window| window.key == key) {
                    open.push(Open { key, start: 0, last: 0, rows: Vec::new() });
                }
                let window = open.iter_mut().find(|window| window.key == key).unwrap();
                window.rows.push(row);
                window.last = time;
                window.start += 1; // Rows that were in no window yet.
                if window.rows.len() == size {
                    out.push((time, key, window.rows.iter().map(|(_, value)| *value).collect()));
                    window.rows.drain(..slide);
                    window.start = 0;
                }
            }
        }
    }
    if matches!(kind, Kind::Count { .. }) {
        open.retain(|window| window.start > 0);
        open.sort_by_key(|window| (window.last, window.key));
        out.extend(
            open.iter().map(|window| {
                (window.last, window.key, window.rows.iter().map(|(_, value)| *value).collect())
            }),
        );
    } else {
        // At the end everything closes by (end, key), too.
        close(&mut open, None, &mut out);
    }
    out
}

fn program(kind: Kind, out_of_order: i64, lateness: i64, behind: &str) -> String {
    let window = match kind {
        Kind::Time { size, slide } if size == slide => format!("{size}ns"),
        Kind::Time { size, slide } => format!("{size}ns, sliding: {slide}ns"),
        Kind::FirstEvent { size } => format!("{size}ns, policy: \"first_event\""),
        Kind::Session { gap } => format!("session: {gap}ns"),
        Kind::Count { size, slide } if size == slide => format!("{size}"),
        Kind::Count { size, slide } => format!("{size}, sliding: {slide}"),
    };
    format!(
        "event R:\n    k: int\n    v: int\n\nstream A = R\n.watermark(out_of_order: {out_of_order}ns)\n.allowed_lateness({lateness}ns)\n.partition_by(k)\n.window({window})\n{behind}"
    )
}

fn run(program: &str, events: &[Event]) -> Vec<String> {
    let mut runner = Runner::new(program);
    let name = runner.plan.names.iter().position(|name| name.name == "R").unwrap();
    for event in events {
        let row =
            Row::with_values(name as u32, event.time, &[Value::Int(event.key), Value::Int(event.value)]);
        runner.push(&row);
    }
    runner.flush();
    assert_eq!(runner.errors, []);
    assert_eq!(runner.stats("A").window_rows, 0);
    runner.lines.iter().map(|line| brief(line)).collect()
}

fn kinds() -> impl Strategy<Value = Kind> {
    let seconds = 1..20_i64;
    prop_oneof![
        (seconds.clone(), 0..20_i64).prop_map(|(size, less)| {
            let (size, slide) = (size * SECOND, (size - less).max(1) * SECOND);
            Kind::Time { size, slide }
        }),
        seconds.clone().prop_map(|size| Kind::FirstEvent { size: size * SECOND }),
        seconds.prop_map(|gap| Kind::Session { gap: gap * SECOND }),
        (1..8_usize, 0..8_usize)
            .prop_map(|(size, less)| Kind::Count { size, slide: size.saturating_sub(less).max(1) }),
    ]
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (-3..6_i64, 0..4_i64, 0..1000_i64);
    prop::collection::vec(event, 0..80).prop_map(|steps| {
        let mut now = 0;
        let step = |(step, key, value)| {
            now += step * SECOND;
            Event { time: now, key, value }
        };
        steps.into_iter().map(step).collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_window_agrees_with_the_model(
        kind in kinds(), out_of_order in 0..10_i64, lateness in 0..10_i64, events in events(),
    ) {
        let (out_of_order, lateness) = (out_of_order * SECOND, lateness * SECOND);
        let timed = !matches!(kind, Kind::Count { .. });
        let (out_of_order, lateness) = if timed { (out_of_order, lateness) } else { (0, 0) };
        let want: Vec<_> = model(kind, out_of_order, lateness, &events)
            .into_iter()
            .map(|(_, key, values)| {
                let values: Vec<_> = values.iter().map(ToString::to_string).collect();
                format!("k:{key},v:[{}],n:{}", values.join(","), values.len())
            })
            .collect();
        for behind in [
            ".aggregate(v: collect(v), n: count())\n.emit(k: _partition, v: v, n: n)\n",
            ".where(true)\n.aggregate(v: collect(v), n: count())\n.emit(k: _partition, v: v, n: n)\n",
        ] {
            let got = run(&program(kind, out_of_order, lateness, behind), &events);
            let got: Vec<_> = got.iter().map(|line| line.splitn(3, ' ').nth(2).unwrap()).collect();
            prop_assert_eq!(&got, &want, "{:?}", kind);
        }
    }

    #[test]
    fn feeding_rows_at_once_gives_what_keeping_them_gives(
        kind in kinds(), out_of_order in 0..10_i64, events in events(),
    ) {
        let out_of_order = if matches!(kind, Kind::Count { .. }) { 0 } else { out_of_order * SECOND };
        let aggregate = ".aggregate(k: last(k), n: count(), s: sum(v), lo: min(v), hi: max(v), m: median(v), u: count_distinct(v), t: max(timestamp))\n";
        let fed = run(&program(kind, out_of_order, 0, aggregate), &events);
        let kept = run(&program(kind, out_of_order, 0, &format!(".where(true)\n{aggregate}")), &events);
        prop_assert_eq!(fed, kept);
    }
}
