//! More contexts than CPUs: sixteen that feed each other in circles, each on a thread of its own, or on as many threads
//! as there are CPUs, beside the same program on one thread. The ratios are printed at the end.

#[path = "common/median.rs"]
mod median;

use std::hint::black_box;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use median::median;
use varpin::engine::{Engine, Program};

const CONTEXTS: usize = 16;
/// In a run of criterion's.
const FEW: u64 = 5_000;
/// In a round of those whose ratios are printed.
const MANY: u64 = 100_000;

#[derive(Clone, Copy, Debug)]
enum Threads {
    One,
    Dedicated,
    Fused,
}

/// Through all contexts and back, with a function of some work in every stream.
fn program(in_contexts: bool) -> String {
    let mut text: String = "fn work(v: int) -> int:
    var s = v
    for i in 0..4:
        s := (s * 31 + i) % 1000003
    return s
"
    .to_owned();
    if in_contexts {
        text.extend((0..CONTEXTS).map(|at| format!("context c{at}\n")));
    }
    for (stream, context) in (0..CONTEXTS).chain((0..CONTEXTS).rev()).enumerate() {
        let source = stream.checked_sub(1).map_or_else(|| "E".to_owned(), |before| format!("S{before}"));
        let context = if in_contexts { format!(".context(c{context})") } else { String::new() };
        text.extend(["stream S", &stream.to_string(), " = ", &source, &context, ".select(v: work(v))\n"]);
    }
    let last = (2 * CONTEXTS - 1).to_string();
    text + "stream Last = S" + &last + ".where(v == -1).emit(v: v)\n"
}

/// The time of a run over so many events, threads included.
fn run(threads: Threads, events: u64) -> Duration {
    let program = Program::parse(&program(!matches!(threads, Threads::One))).expect("the program is sound");
    let builder = Engine::builder(&program).publish_every(64);
    let builder = if matches!(threads, Threads::Fused) { builder.fused() } else { builder };
    let mut engine = builder.build().expect("the engine can be built");
    let ty = engine.event_type("E").expect("the program takes it");
    let v = ty.field("v").expect("a field");
    let started = Instant::now();
    for n in 0..events as i64 {
        let mut event = ty.event(n);
        event.set(&v, n).expect("an int");
        engine.feed(event, |result| _ = black_box(result.time_ns())).expect("the engine takes events");
    }
    engine.finish(|result| _ = black_box(result.time_ns())).expect("the run ends as it should");
    started.elapsed()
}

fn fused(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sixteen contexts");
    group.throughput(Throughput::Elements(FEW)).sample_size(10);
    for threads in [Threads::One, Threads::Dedicated, Threads::Fused] {
        group.bench_function(format!("{threads:?}"), |bencher| {
            bencher.iter_custom(|runs| (0..runs).map(|_| run(threads, FEW)).sum());
        });
    }
    group.finish();
}

/// Ratios within interleaved rounds: what the machine does meanwhile touches all alike.
fn ratios(_: &mut Criterion) {
    if std::env::args().any(|arg| arg == "--test") {
        return;
    }
    let time = |threads| run(threads, MANY).as_secs_f64() * 1e9 / MANY as f64;
    let rounds: Vec<[f64; 3]> =
        (0..7).map(|_| [Threads::One, Threads::Dedicated, Threads::Fused].map(time)).collect();
    let ns = |at: usize| median(rounds.iter().map(|round| round[at]).collect());
    let ratio = |at: usize| median(rounds.iter().map(|round| round[0] / round[at]).collect());
    println!("{CONTEXTS} contexts, {} streams: {:.0} ns an event on one thread", 2 * CONTEXTS + 1, ns(0));
    println!("dedicated threads: {:.0} ns, {:.2} x one thread", ns(1), ratio(1));
    println!("fused threads: {:.0} ns, {:.2} x one thread", ns(2), ratio(2));
}

criterion_group!(benches, fused, ratios);
criterion_main!(benches);
