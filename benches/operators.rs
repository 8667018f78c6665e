//! What one event costs in one stream, on one thread, without any ring: the price of the operators alone.
//!
//! Each figure is per event: `elements` is the number of events in one pass over prepared rows.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};

use varpin::event::{Row, Value};
use varpin::operators::{Env, Limits, StreamRuntime};
use varpin::vpl::parser::parse;
use varpin::vpl::plan::Plan;
use varpin::vpl::resolve::resolve;

const EVENTS: usize = 10_000;

fn plan(program: &str) -> Plan {
    let (syntax, findings) = parse(program);
    assert!(findings.is_empty(), "{findings:?}");
    let (plan, findings) = resolve(&syntax);
    assert!(findings.is_empty(), "{findings:?}");
    plan
}

/// Rows of `Sensor` in the layout of the plan; times go on by 1 ms a row.
fn rows(plan: &Plan, keys: u64) -> Vec<Row> {
    let name = plan.names.iter().position(|name| name.name == "Sensor").expect("the program declares it");
    let shape = &plan.shapes[plan.names[name].shape];
    let mut random = 42_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        random >> 33
    };
    let make = |at: usize| {
        let mut row = Row::new(name as u32, at as i64 * 1_000_000, usize::from(shape.slots));
        for field in &shape.fields {
            let Some(slot) = field.slot else { continue };
            let value = match field.name.as_str() {
                "id" => Value::from(format!("S{}", next() % keys).as_str()),
                "zone" => Value::from(["north", "south", "east", "west"][(next() % 4) as usize]),
                "t" => Value::Float((next() % 1000) as f64 / 10.0),
                _ => Value::Int((next() % 100) as i64),
            };
            row.set(usize::from(slot), value);
        }
        row.set_seq(at as u64);
        row
    };
    (0..EVENTS).map(make).collect()
}

fn bench(c: &mut Criterion, name: &str, keys: u64, stream: &str) {
    let program = format!("event Sensor:\n    id: str\n    zone: str\n    t: float\n    n: int\n\n{stream}");
    let plan = plan(&program);
    let limits = Limits::default();
    let mut rows = rows(&plan, keys);
    let mut env = Env::new(&plan, &limits).expect("it has no globals that fail");
    let mut runtime = StreamRuntime::compile(&plan, 0, &limits).expect("it compiles");
    let mut passed = 0_u64;
    let mut group = c.benchmark_group("operators");
    group.throughput(Throughput::Elements(EVENTS as u64));
    let span_ns = EVENTS as i64 * 1_000_000;
    group.bench_function(name, |bencher| {
        bencher.iter(|| {
            for row in &mut rows {
                // The next pass begins where this one ends, so that windows of time go on.
                row.set_time_ns(row.time_ns() + span_ns);
                let done = runtime.on_row(0, black_box(row), &mut env, &mut |row: &Row| {
                    passed += 1;
                    black_box(row);
                });
                done.expect("nothing exceeds a bound");
            }
        });
    });
    group.finish();
    black_box(passed);
}

fn operators(c: &mut Criterion) {
    bench(c, "where_10_percent", 1000, "stream S = Sensor\n    .where(t > 90.0)\n");
    let emit = ".emit(id: id, zone: zone, t: t, n: n)\n";
    bench(c, "where_emit_10_percent", 1000, &format!("stream S = Sensor\n    .where(t > 90.0)\n    {emit}"));
    bench(c, "where_emit_50_percent", 1000, &format!("stream S = Sensor\n    .where(t > 50.0)\n    {emit}"));
    bench(
        c,
        "where_three_conditions",
        1000,
        "stream S = Sensor\n    .where(t > 50.0 and n < 50 and zone == \"north\")\n    .emit(id: id, over: t - 50.0)\n",
    );
    let aggregate = ".aggregate(n: count(), mean: avg(t), high: max(t))\n";
    bench(
        c,
        "partitioned_count_window",
        1000,
        &format!("stream S = Sensor\n    .partition_by(id)\n    .window(100)\n    {aggregate}"),
    );
    bench(
        c,
        "partitioned_time_window",
        1000,
        &format!("stream S = Sensor\n    .partition_by(id)\n    .window(10s)\n    {aggregate}"),
    );
    bench(
        c,
        "partitioned_session",
        1000,
        &format!("stream S = Sensor\n    .partition_by(id)\n    .window(session: 2s)\n    {aggregate}"),
    );
    bench(
        c,
        "partitioned_sliding_time_window",
        1000,
        &format!("stream S = Sensor\n    .partition_by(id)\n    .window(10s, sliding: 2s)\n    {aggregate}"),
    );
    bench(
        c,
        "function",
        1000,
        &format!(
            "fn scaled(x: float, by: float):\n    let y = x * by\n    if y > 90.0:\n        return y\n    return 0.0\n\nstream S = Sensor\n    .where(scaled(t, 1.5) > 0.0)\n    {emit}"
        ),
    );
    bench(
        c,
        "process_with_a_loop",
        1000,
        "fn smoothed(value: float, steps: int):
    var level = value
    for step in 0..steps:
        level := level * 0.75 + value * 0.25 + step
    return level

fn assess(id: str, value: float):
    let level = smoothed(value, 8)
    if level > 107.5:
        emit Alarm(id: id, level: level)

stream S = Sensor
    .process(assess(id, t))
",
    );
    // Of a thousand ids each has a run open most of the time.
    let after = ".within(1h)\n    .emit(id: a.id, from: a.t, to: b.t)\n";
    bench(
        c,
        "sequence_with_its_key_in_a_condition",
        1000,
        &format!(
            "stream S = Sensor where t < 10.0 as a -> Sensor where id == a.id and t > 90.0 as b\n    {after}"
        ),
    );
    bench(
        c,
        "sequence_by_partition",
        1000,
        &format!(
            "stream S = Sensor where t < 10.0 as a -> Sensor where t > 90.0 as b\n    .partition_by(id)\n    {after}"
        ),
    );
    bench(
        c,
        "sequence_with_all",
        1000,
        "stream S = Sensor where t < 10.0 as a -> all Sensor where t < 90.0 as bs -> Sensor where t > 90.0 as c
    .within(1h)
    .partition_by(id)
    .longest()
    .emit(id: a.id, n: count(bs), mean: avg(bs.t))
",
    );
    // Each event meets about ten of its id, itself included.
    bench(
        c,
        "join_in_a_window",
        1000,
        "stream S = join(stream Left = Sensor, stream Right = Sensor)
    .on(Left.id == Right.id)
    .window(10s)
    .emit(id: Left.id, apart: Left.t - Right.t)
",
    );
}

criterion_group!(benches, operators);
criterion_main!(benches);
