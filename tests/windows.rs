//! What windows promise at their edges: what closes them, in which order, what is late, and what is left at the end.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // helpers of tests

mod operators_support;

use operators_support::{Runner, brief, results};
use varpin::format::Format;
use varpin::operators::Limits;

#[test]
fn windows_that_close_together_come_out_by_end_then_key() {
    let program =
        "stream A = R\n.partition_by(k)\n.window(10s, sliding: 5s)\n.aggregate(k: last(k), n: count())\n";
    let events = "@7s R { k: \"b\" }\n@6s R { k: \"a\" }\n@3s R { k: \"c\" }\n@60s R { k: \"z\" }\n";
    let out = results(program, events);
    assert_eq!(
        out,
        [
            "A 00:09.999999999 k:a,n:1",
            "A 00:09.999999999 k:b,n:1",
            "A 00:09.999999999 k:c,n:1",
            "A 00:14.999999999 k:a,n:1",
            "A 00:14.999999999 k:b,n:1",
            "A 01:04.999999999 k:z,n:1",
            "A 01:09.999999999 k:z,n:1",
        ]
    );
}

#[test]
fn an_event_before_the_epoch_falls_into_the_window_before_it() {
    let program = "stream A = R\n.window(10s)\n.aggregate(n: count())\n.emit(n: n, from: window_start)\n";
    let mut runner = Runner::new(program);
    let row = |ns: i64| varpin::event::Row::new(runner_type(&runner), ns, 1);
    let rows = [row(-1), row(0)];
    for row in &rows {
        runner.push(row);
    }
    runner.flush();
    assert!(runner.lines[0].contains("\"from\":\"1969-12-31T23:59:50.000Z\""), "{:?}", runner.lines);
    assert!(runner.lines[1].contains("\"from\":\"1970-01-01T00:00:00.000Z\""), "{:?}", runner.lines);
}

fn runner_type(runner: &Runner) -> u32 {
    runner.plan.names.iter().position(|name| name.name == "R").unwrap() as u32
}

#[test]
fn times_at_the_ends_of_i64_neither_panic_nor_get_lost_silently() {
    for window in
        ["10s", "10s, sliding: 3s", "10s, policy: \"first_event\"", "session: 10s", "3", "3, sliding: 1"]
    {
        let program =
            format!("stream A = R\n.allowed_lateness(5s)\n.window({window})\n.aggregate(n: count())\n");
        for times in [[i64::MIN, i64::MIN + 1, 0], [0, i64::MAX - 1, i64::MAX], [i64::MAX, i64::MIN, 0]] {
            let mut runner = Runner::new(&program);
            for ns in times {
                runner.push(&varpin::event::Row::new(runner_type(&runner), ns, 0));
            }
            runner.flush();
            // A window that would end behind the last time there is counts as closed by that time.
            assert!(!runner.lines.is_empty() || runner.stats("A").late > 0, "{window} {times:?}");
            assert_eq!(runner.stats("A").window_rows, 0);
        }
    }
}

#[test]
fn a_late_event_is_counted_and_dropped() {
    let program = "stream A = R\n.window(10s)\n.aggregate(n: count())\n";
    let mut runner = Runner::new(program);
    runner.feed("@5s R { }\n@10s R { }\n@9s R { }\n@11s R { }\n", Format::Evt);
    assert_eq!(runner.stats("A").late, 1);
    runner.flush();
    assert_eq!(
        runner.lines.iter().map(|line| brief(line)).collect::<Vec<_>>(),
        ["A 00:09.999999999 n:1", "A 00:19.999999999 n:2"]
    );
}

#[test]
fn first_event_windows_of_a_key_never_overlap() {
    // 11s lies behind [0, 10) and before [12, 22): in no window, so it is late, although both are open.
    let program = "stream A = R\n.watermark(out_of_order: 1m)\n.window(10s, policy: \"first_event\")\n.aggregate(n: count())\n";
    let mut runner = Runner::new(program);
    runner.feed("@0s R { }\n@12s R { }\n@11s R { }\n@9s R { }\n@22s R { }\n", Format::Evt);
    assert_eq!(runner.stats("A").late, 1);
    runner.flush();
    assert_eq!(
        runner.lines.iter().map(|line| brief(line)).collect::<Vec<_>>(),
        ["A 00:09.999999999 n:2", "A 00:21.999999999 n:1", "A 00:31.999999999 n:1"]
    );
}

#[test]
fn a_first_event_key_remembers_its_last_window_after_it_closed() {
    // [0, 10) of a is closed by b; the event at 8s must not open another window over it.
    let program = "stream A = R\n.allowed_lateness(4s)\n.partition_by(k)\n.window(10s, policy: \"first_event\")\n.aggregate(k: last(k), n: count())\n";
    let events = "@0s R { k: \"a\" }\n@14s R { k: \"b\" }\n@8s R { k: \"a\" }\n@10s R { k: \"a\" }\n";
    assert_eq!(
        results(program, events),
        ["A 00:09.999999999 k:a,n:1", "A 00:19.999999999 k:a,n:1", "A 00:23.999999999 k:b,n:1"]
    );
}

#[test]
fn sessions_that_a_late_event_bridges_become_one_in_order_of_arrival() {
    let program = "stream A = R\n.watermark(out_of_order: 1m)\n.window(session: 5s)\n.aggregate(v: collect(v), f: first(v), l: last(v))\n";
    let events = "@10s R { v: 1 }\n@0s R { v: 2 }\n@11s R { v: 3 }\n@5s R { v: 4 }\n";
    assert_eq!(results(program, events), ["A 00:15.999999999 v:[1,2,3,4],f:1,l:4"]);
}

#[test]
fn sessions_merge_exactly_where_accumulators_have_seen_their_rows() {
    let program = "stream A = R\n.watermark(out_of_order: 1m)\n.window(session: 5s)\n.aggregate(n: count(), s: sum(v), hi: max(v), lo: min(v), m: avg(v), d: stddev(v), q: median(v), u: count_distinct(v))\n";
    let apart = "@10s R { v: 1 }\n@0s R { v: 2 }\n@11s R { v: 3 }\n@5s R { v: 4 }\n@5s R { v: 4 }\n";
    let in_order = "@0s R { v: 2 }\n@5s R { v: 4 }\n@5s R { v: 4 }\n@10s R { v: 1 }\n@11s R { v: 3 }\n";
    assert_eq!(results(program, apart), results(program, in_order));
}

#[test]
fn a_session_is_closed_by_the_clock() {
    let program =
        "stream A = R\n.partition_by(k)\n.window(session: 5s)\n.aggregate(k: last(k), n: count())\n";
    let mut runner = Runner::new(program);
    runner.feed("@1s R { k: \"a\" }\n@2s R { k: \"b\" }\n", Format::Evt);
    runner.clock(6_000_000_000);
    assert_eq!(runner.lines.len(), 0, "a gap of exactly the length keeps it open");
    runner.clock(6_000_000_001);
    assert_eq!(runner.lines.len(), 1);
    assert_eq!(brief(&runner.lines[0]), "A 00:05.999999999 k:a,n:1");
    assert_eq!(runner.stats("A").events_in, 2);
}

#[test]
fn the_time_limit_holds_the_watermark_back() {
    let program = "stream A = R\n.window(10s)\n.aggregate(n: count())\n";
    let mut runner = Runner::new(program);
    runner.env.time_limit_ns = 4_000_000_000;
    runner.feed("@5s R { }\n@25s R { }\n@7s R { }\n", Format::Evt);
    assert_eq!(runner.lines.len(), 0);
    assert_eq!(runner.stats("A").late, 0);
    runner.env.time_limit_ns = 12_000_000_000;
    runner.feed("@26s R { }\n", Format::Evt);
    assert_eq!(brief(&runner.lines[0]), "A 00:09.999999999 n:2");
}

#[test]
fn leftover_count_windows_come_out_by_time_then_key() {
    let program = "stream A = R\n.partition_by(k)\n.window(10)\n.aggregate(k: last(k), n: count())\n";
    let events = "@3s R { k: \"c\" }\n@2s R { k: \"b\" }\n@1s R { k: \"z\" }\n@3s R { k: \"a\" }\n@2s R { k: \"z\" }\n";
    assert_eq!(
        results(program, events),
        ["A 00:02.000 k:b,n:1", "A 00:02.000 k:z,n:2", "A 00:03.000 k:a,n:1", "A 00:03.000 k:c,n:1"]
    );
}

#[test]
fn aggregates_see_the_times_of_events_and_results_that_of_the_window() {
    let program = "stream A = R\n.window(session: 5s)\n.aggregate(took: max(timestamp) - min(timestamp))\n.emit(took: took, at: timestamp)\n";
    let line = &Runner::run(program, "@1s R { }\n@3s R { }\n")[0];
    assert!(line.contains("\"took\":2000000000"), "{line}");
    assert!(line.contains("\"at\":\"1970-01-01T00:00:07.999999999Z\""), "{line}");
    // The same where a filter in between keeps the aggregate from being fed at once.
    let kept = program.replace(".aggregate", ".where(true)\n.aggregate");
    assert_eq!(&Runner::run(&kept, "@1s R { }\n@3s R { }\n")[0], line);
}

#[test]
fn rows_of_a_window_are_bounded_by_a_setting_that_the_error_names() {
    for rows in ["", ".aggregate(v: collect(v))\n", ".aggregate(v: count_distinct(v))\n"] {
        for window in ["1h", "1000", "1000, sliding: 1", "session: 1h", "1h, policy: \"first_event\""] {
            let limits = Limits { max_window_rows: 3, ..Limits::default() };
            let mut runner = Runner::with_limits(&format!("stream A = R\n.window({window})\n{rows}"), limits);
            runner.feed("R { v: 1 }\nR { v: 2 }\nR { v: 3 }\nR { v: 4 }\n", Format::Evt);
            let error = runner.errors.pop().unwrap_or_else(|| panic!("{window} {rows}"));
            assert_eq!(
                error.to_string(),
                "stream A, .window: more than 3 rows in open windows (config engine: max_window_rows)"
            );
            assert_eq!(runner.errors, []);
            assert_eq!(runner.stats("A").window_rows, 3);
            runner.flush();
            assert_eq!(runner.stats("A").window_rows, 0);
        }
    }
}

#[test]
fn keys_are_bounded_by_a_setting_that_the_error_names() {
    for window in ["1h", "1000", "1000, sliding: 1", "session: 1h", "1h, policy: \"first_event\""] {
        let limits = Limits { max_partitions: 2, ..Limits::default() };
        let program = format!("stream A = R\n.partition_by(k)\n.window({window})\n.aggregate(n: count())\n");
        let mut runner = Runner::with_limits(&program, limits);
        runner.feed("R { k: 1 }\nR { k: 2 }\nR { k: 3 }\nR { k: 2.0 }\n", Format::Evt);
        let error = runner.errors.pop().unwrap();
        assert_eq!(
            error.to_string(),
            "stream A, .window: more than 2 keys at a time (config engine: max_partitions)"
        );
        assert_eq!(runner.errors, []);
        assert_eq!(runner.stats("A").keys, 2);
    }
}

#[test]
fn keys_whose_windows_are_closed_do_not_count_against_the_bound() {
    for window in ["1s", "1s, sliding: 500ms", "session: 1s", "1s, policy: \"first_event\"", "1"] {
        let limits = Limits { max_partitions: 20, ..Limits::default() };
        let program = format!("stream A = R\n.partition_by(k)\n.window({window})\n.aggregate(k: last(k))\n");
        let mut runner = Runner::with_limits(&program, limits);
        for key in 0..1000 {
            runner.feed(&format!("@{key}s R {{ k: {key} }}\n"), Format::Evt);
        }
        assert_eq!(runner.errors, [], "{window}");
        assert!(runner.lines.len() >= 990, "{window}");
    }
}

#[test]
fn a_failure_on_the_way_out_of_one_window_keeps_no_other_from_closing() {
    let program = "fn forever(n: int):\n    while n > 0:\n        n := n\n    return true\n\nstream A = R\n.partition_by(k)\n.window(10s)\n.aggregate(k: last(k))\n.where(forever(k))\n";
    let limits = Limits { max_call_steps: 100, ..Limits::default() };
    let mut runner = Runner::with_limits(program, limits);
    runner.feed("@1s R { k: -1 }\n@1s R { k: 1 }\n@1s R { k: -2 }\n@20s R { k: -3 }\n", Format::Evt);
    let out: Vec<_> = runner.lines.iter().map(|line| brief(line)).collect();
    assert_eq!(out, ["A 00:09.999999999 k:-2", "A 00:09.999999999 k:-1"]);
    assert_eq!(runner.errors.len(), 1);
    assert!(runner.errors[0].message.contains("max_call_steps"), "{}", runner.errors[0]);
    runner.flush();
    assert_eq!(brief(&runner.lines[2]), "A 00:29.999999999 k:-3");
}
