//! What a pool costs where its workers have nothing to do, and what it gains where they have.
//!
//! `nothing`: a filter that passes one row in a thousand, in a context, without a pool and behind `.concurrent`. `heavy`: a function of about 2 us
//! an event, by a thousand keys. The ratio to the stream without a pool, and of two workers to one, is printed at the end.

#[path = "common/median.rs"]
mod median;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use median::median;
use varpin::engine::{Engine, Program};

const NOTHING: &str = "context c
stream S = E.context(c).partition_by(k)POOL.where(v % 1000 == 0).emit(k: k, v: v)";

/// On the CPUs 0 and 1, where there are these: the second worker has neither for itself.
const HEAVY: &str = "context c (cores: [0, 1])
fn work(v: int) -> int:
    var s = v
    for i in 0..ROUNDS:
        s := (s * 31 + i) % 1000003
    return s
stream S = E.context(c).partition_by(k)POOL.where(work(v) == -1).emit(k: k, v: v)";

/// Two workers, the context and the thread that feeds share two CPUs: what is queued has to last for as long as the
/// operating system lets one of them wait for another, some milliseconds.
const CAPACITY: usize = 4096;

/// The time of a run over so many events, threads included.
fn run(text: &str, pool: &str, events: u64) -> Duration {
    let text = text.replace("POOL", pool).replace("ROUNDS", "135");
    let program = Program::parse(&text).expect("the program is sound");
    let builder = Engine::builder(&program).publish_every(64).capacity(CAPACITY);
    let mut engine = builder.build().expect("the engine can be built");
    let ty = engine.event_type("E").expect("the program takes it");
    let (k, v) = (ty.field("k").expect("a field"), ty.field("v").expect("a field"));
    let started = Instant::now();
    for n in 0..events as i64 {
        let mut event = ty.event(n);
        event.set(&k, n % 1000).expect("an int");
        event.set(&v, n).expect("an int");
        engine.feed(event, |result| _ = black_box(result.time_ns())).expect("the engine takes events");
    }
    engine.finish(|result| _ = black_box(result.time_ns())).expect("the run ends as it should");
    started.elapsed()
}

const ONE: &str = ".concurrent(workers: 1)";
const TWO: &str = ".concurrent(workers: 2)";

fn pools(criterion: &mut Criterion) {
    for (name, text, events) in [("nothing", NOTHING, 200_000), ("heavy", HEAVY, 50_000)] {
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(events)).sample_size(10);
        for (variant, pool) in [("no pool", ""), ("1 worker", ONE), ("2 workers", TWO)] {
            group.bench_function(variant, |bencher| {
                bencher.iter_custom(|runs| (0..runs).map(|_| run(text, pool, events)).sum());
            });
        }
        group.finish();
    }
}

/// Ratios within interleaved rounds: what the machine does meanwhile touches all alike.
fn ratios(_: &mut Criterion) {
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let each = |text: &str, events: u64| -> Vec<[f64; 3]> {
        let time = |pool: &str| run(text, pool, events).as_secs_f64() * 1e9 / events as f64;
        (0..7).map(|_| ["", ONE, TWO].map(time)).collect()
    };
    let nothing = each(NOTHING, 400_000);
    let over = |at: usize| median(nothing.iter().map(|ns| ns[at] - ns[0]).collect());
    println!(
        "nothing to do: {:.0} ns an event without a pool",
        median(nothing.iter().map(|ns| ns[0]).collect())
    );
    println!("nothing to do: {:+.0} ns an event with 1 worker, {:+.0} ns with 2", over(1), over(2));
    let heavy = each(HEAVY, 300_000);
    println!("heavy: {:.0} ns an event with 1 worker", median(heavy.iter().map(|ns| ns[1]).collect()));
    let gains: Vec<f64> = heavy.iter().map(|ns| ns[1] / ns[2]).collect();
    let best = gains.iter().copied().fold(0.0, f64::max);
    println!("heavy: 2 workers are {:.2} x as fast as 1, in the best round {best:.2} x", median(gains));
}

criterion_group!(benches, pools, ratios);
criterion_main!(benches);
