//! What operators and expressions promise beyond the golden cases: bounds, failures, and what a row carries.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used)] // helpers of tests

mod operators_support;

use std::sync::{Arc, Mutex};

use operators_support::{Runner, brief, results};
use varpin::event::{Row, Value};
use varpin::format::Format;
use varpin::operators::{Env, Limits, StreamRuntime};
use varpin::vpl::plan::{EmitTypePlan, Expr, FunctionPlan, LogPlan, OpPlan, Statement};

/// Values of expressions over one event, as JSON, by `.emit(x: ..)`.
fn value(expression: &str, event: &str) -> String {
    let lines = Runner::run(&format!("stream S = R\n.emit(x: {expression})\n"), event);
    let line = brief(&lines[0]);
    line.splitn(3, ' ').nth(2).unwrap().trim_start_matches("x:").to_owned()
}

#[test]
fn a_condition_passes_only_where_it_is_true() {
    for condition in ["null", "1", "\"true\"", "nope", "v > \"a\"", "not nope", "nope and true", "1 / 0 == 1"]
    {
        assert!(
            results(&format!("stream S = R\n.where({condition})\n"), "R { v: 1 }\n").is_empty(),
            "{condition}"
        );
    }
    for condition in
        ["v == null or v == 1", "nope == null", "nope or true", "not (nope and false)", "1 / 0 == null"]
    {
        assert_eq!(
            results(&format!("stream S = R\n.where({condition})\n"), "R { v: 1 }\n").len(),
            1,
            "{condition}"
        );
    }
}

#[test]
fn special_cases_of_comparisons_agree_with_the_general_one() {
    // A field against a constant, mirrored, against a field, and as an operand that must be computed.
    let values =
        ["1", "1.0", "2", "-3.5", "\"a\"", "\"b\"", "true", "null", "9007199254740993", "9007199254740992.0"];
    for a in values {
        for b in values {
            for operator in ["==", "!=", "<", "<=", ">", ">="] {
                let event = format!("R {{ a: {a}, b: {b} }}\n");
                let forms = [
                    format!("a {operator} {b}"),
                    format!("{a} {operator} b"),
                    format!("a {operator} b"),
                    format!("[a][0] {operator} [b][0]"),
                ];
                let results: Vec<_> = forms.iter().map(|form| value(form, &event)).collect();
                assert!(results.iter().all(|result| *result == results[0]), "{forms:?} {results:?}");
            }
        }
    }
}

#[test]
fn nothing_is_folded_against_the_rules() {
    assert_eq!(value("v * 0", "R { }\n"), "", "no value, although one factor is 0");
    assert_eq!(value("v * 0", "R { v: 3 }\n"), "0");
    assert_eq!(value("9223372036854775807 + 1", "R { }\n"), "");
    assert_eq!(value("1 / 0", "R { }\n"), "");
    assert_eq!(value("-2 ** 2", "R { }\n"), "4");
    assert_eq!(value("if nope then 1 else 2", "R { }\n"), "2");
}

#[test]
fn a_function_that_never_ends_is_stopped_and_the_stream_goes_on() {
    let program = "fn spin(n: int) -> int:\n    while n > 0:\n        n := n + 1\n    return n\n\nstream S = R\n.emit(n: spin(n))\n";
    let limits = Limits { max_call_steps: 1000, ..Limits::default() };
    let mut runner = Runner::with_limits(program, limits);
    runner.feed("R { n: 1 }\nR { n: 0 }\n", Format::Evt);
    assert_eq!(runner.errors.len(), 1);
    assert_eq!(
        runner.errors[0].to_string(),
        "stream S, .emit: a call takes more than 1000 steps (config engine: max_call_steps)"
    );
    assert_eq!(runner.lines.len(), 1);
    assert_eq!(runner.stats("S").failed, 1);
}

#[test]
fn recursion_without_an_end_is_stopped_before_the_stack_is() {
    let deep = "n + ".repeat(60);
    for (body, word) in [("down(n + 1)".to_owned(), "max_call_depth"), (format!("{deep}down(n + 1)"), "nest")]
    {
        let program =
            format!("fn down(n: int) -> int:\n    return {body}\n\nstream S = R\n.emit(n: down(n))\n");
        let mut runner = Runner::with_limits(&program, Limits::default());
        // The smallest stack that a thread of ours has is the platform's default, 2 MiB.
        runner.feed("R { n: 1 }\n", Format::Evt);
        assert_eq!(runner.lines.len(), 0);
        assert!(runner.errors[0].message.contains(word), "{}", runner.errors[0]);
    }
}

#[test]
fn distinct_says_which_setting_bounds_its_memory() {
    let limits = Limits { max_distinct: 2, ..Limits::default() };
    let mut runner = Runner::with_limits("stream S = R\n.distinct(v)\n", limits);
    runner.feed("R { v: 1 }\nR { v: 2 }\nR { v: 3 }\nR { v: 1.0 }\nR { v: 2 }\n", Format::Evt);
    assert_eq!(runner.lines.len(), 2);
    assert_eq!(runner.errors.len(), 1);
    assert!(runner.errors[0].message.contains("max_distinct"), "{}", runner.errors[0]);
    assert_eq!(runner.stats("S").distinct_values, 2);
}

#[test]
fn limits_of_the_program_win_over_those_of_the_caller() {
    let program = "config engine {\n    max_partitions: 1\n}\nstream S = R\n.partition_by(k)\n.limit(1)\n";
    let mut runner = Runner::with_limits(program, Limits::default());
    runner.feed("R { k: 1 }\nR { k: 2 }\n", Format::Evt);
    assert!(runner.errors[0].message.contains("more than 1 keys"), "{}", runner.errors[0]);
}

#[test]
fn a_row_carries_the_event_that_caused_it_and_the_rank_of_its_stream() {
    let program = "stream A = R\n.where(v > 0)\nstream B = A\n.window(2)\n.aggregate(n: count())\n";
    // The runner asserts sequence number and rank of every row.
    assert_eq!(results(program, "R { v: 1 }\nR { v: 1 }\nR { v: 1 }\n").len(), 2);
}

#[test]
fn log_operators_write_and_pass_rows_on() {
    let mut plan = operators_support::plan("stream S = R\n.where(print(v) > 1)\n.emit(v: v)\n");
    // The front end does not accept `.log` yet.
    let log = LogPlan {
        verb: "log",
        level: "warn".into(),
        parts: vec![(Some("data".into()), Expr::Field(0, "v".into()))],
    };
    plan.streams[0].before.insert(0, OpPlan::Log(log));
    let mut runner = Runner::of(plan, Limits::default());
    let lines = Arc::new(Mutex::new(Vec::new()));
    let sink = Arc::clone(&lines);
    runner.env.set_log(Box::new(move |line| sink.lock().unwrap().push(line)));
    runner.feed("@3s R { v: 1 }\nR { v: 2 }\n", Format::Evt);
    assert_eq!(runner.lines.len(), 1);
    let lines = lines.lock().unwrap();
    assert_eq!(lines.iter().map(|line| line.verb).collect::<Vec<_>>(), ["log", "print", "log", "print"]);
    assert_eq!(
        (lines[0].stream.as_str(), lines[0].level.as_str(), lines[0].time_ns),
        ("S", "warn", 3_000_000_000)
    );
    assert!(matches!(lines[0].parts.as_slice(), [(Some(name), Value::Int(1))] if name == "data"));
}

#[test]
fn process_makes_a_row_of_each_emit_in_the_lane_of_its_type() {
    // The front end does not accept `.process` yet.
    let n = || Expr::Local(0);
    let emit = |name: &str, field: &str, value| Statement::Emit {
        type_name: name.into(),
        fields: vec![(field.into(), value)],
    };
    let zero = || Box::new(Expr::Const(Value::Int(0)));
    let explode = FunctionPlan {
        name: "explode".into(),
        params: 1,
        locals: 2,
        body: vec![
            Statement::For(
                1,
                Expr::Range(zero(), Box::new(n()), false),
                vec![emit("Item", "i", Expr::Local(1))],
            ),
            emit("Big", "n", n()),
        ],
    };
    let types = |name: &str, field: &str, slot| EmitTypePlan {
        type_name: name.into(),
        fields: vec![(field.into(), slot)],
    };
    let mut plan = operators_support::plan("stream S = R\n.emit(a: n, b: n)\n");
    plan.functions.push(explode);
    plan.streams[0].before[0] = OpPlan::Process {
        call: Expr::UserCall(0, vec![Expr::Field(0, "n".into())]),
        emits: vec![types("Item", "i", 1), types("Big", "n", 0)],
    };
    let limits = Limits::default();
    let mut env = Env::new(&plan, &limits).unwrap();
    let mut stream = StreamRuntime::compile(&plan, 0, &limits).unwrap();
    let mut rows = Vec::new();
    let row = Row::with_values(0, 7, &[Value::Int(2)]);
    stream.on_row(0, &row, &mut env, &mut |row: &Row| rows.push(row.clone())).unwrap();
    let shown: Vec<_> = rows.iter().map(|row| format!("{} {:?}", row.lane(), row.values())).collect();
    assert_eq!(shown, ["0 [Missing, Int(0)]", "0 [Missing, Int(1)]", "1 [Int(2), Missing]"]);
    assert!(rows.iter().all(|row| row.time_ns() == 7 && row.rank() == 1));
    // Elsewhere an `emit` has nowhere to go.
    plan.streams[0].before[0] = OpPlan::Where(Expr::UserCall(0, vec![Expr::Field(0, "n".into())]));
    let mut stream = StreamRuntime::compile(&plan, 0, &limits).unwrap();
    let error = stream.on_row(0, &row, &mut env, &mut |_: &Row| ()).unwrap_err();
    assert_eq!(error.to_string(), "stream S, .where: a function emits outside of .process");
}

#[test]
fn a_row_shorter_than_its_layout_has_no_values_there() {
    let plan = operators_support::plan("stream S = R\n.where(v == null)\n.emit(v: v, w: w + 1)\n");
    let limits = Limits::default();
    let mut env = Env::new(&plan, &limits).unwrap();
    let mut stream = StreamRuntime::compile(&plan, 0, &limits).unwrap();
    let mut rows = 0;
    stream.on_row(0, &Row::new(0, 0, 0), &mut env, &mut |_: &Row| rows += 1).unwrap();
    assert_eq!(rows, 1);
}

#[test]
fn a_merge_takes_an_event_once_by_the_first_branch_that_accepts_it() {
    let program = "stream M = merge(stream x = A.where(v > 1), stream y = A.where(v > 0), B)\n.emit(v: v)\n";
    assert_eq!(
        results(program, "A { v: 1 }\nA { v: 2 }\nA { v: 0 }\nB { v: 0 }\n"),
        ["M 00:00.000 v:1", "M 00:00.000 v:2", "M 00:00.000 v:0"]
    );
}

#[test]
fn order_by_is_stable_and_null_comes_first_or_last() {
    let program = |order: &str| format!("stream S = R\n.window(10)\n.order_by({order})\n.emit(i: i)\n");
    let events = "R { i: 1, v: 2 }\nR { i: 2 }\nR { i: 3, v: 1 }\nR { i: 4, v: 2.0 }\nR { i: 5, v: \"a\" }\n";
    let ids = |order: &str| -> Vec<String> {
        results(&program(order), events)
            .iter()
            .map(|line| line.rsplit(':').next().unwrap().to_owned())
            .collect()
    };
    assert_eq!(ids("v"), ["2", "3", "1", "4", "5"]);
    assert_eq!(ids("v desc"), ["5", "1", "4", "3", "2"]);
    assert_eq!(ids("v, i desc"), ["2", "3", "4", "1", "5"]);
}
