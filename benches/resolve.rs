//! How the CPU time to load a program grows with its streams: `cargo bench --bench resolve`. Twice the streams should take
//! about twice the time (the last columns), however they hang together; a pass that goes over all streams for each would
//! show as 4. Exactly, in instructions: `valgrind --tool=callgrind target/release/varpin check PROGRAM`.
#![allow(clippy::format_push_string, clippy::format_collect)] // building the program is not measured

use std::hint::black_box;
use std::time::Duration;

use varpin::context::topology;
use varpin::engine::Program;
use varpin::vpl::parser::parse;
use varpin::vpl::resolve::resolve;

const ROUNDS: usize = 3;

/// A program with so many streams.
type Shape = fn(usize) -> String;

/// Ways in which streams hang together.
const SHAPES: [(&str, Shape); 5] = [
    ("chain", chain),
    ("fan out", fan_out),
    ("one type", one_type),
    ("merges", merges),
    ("contexts", contexts),
];

/// Each takes what the one before it makes.
fn chain(streams: usize) -> String {
    let mut text = "stream S0 = E.emit(v: v)\n".to_owned();
    (1..streams).for_each(|at| text += &format!("stream S{at} = S{}.emit(v: v)\n", at - 1));
    text
}

/// All take the same.
fn fan_out(streams: usize) -> String {
    (0..streams).map(|at| format!("stream S{at} = E.where(v > {at}).emit(v: v)\n")).collect()
}

/// All make events of one type, which one takes.
fn one_type(streams: usize) -> String {
    let makers = (1..streams).map(|at| format!("stream S{at} = E{at}.emit as T (v: v)\n"));
    makers.chain(["stream Last = T.emit(v: v)\n".to_owned()]).collect()
}

/// Each merges what two others make.
fn merges(streams: usize) -> String {
    let mut text = "stream S0 = E.emit(v: v)\nstream S1 = F.emit(v: v)\n".to_owned();
    (2..streams).for_each(|at| text += &format!("stream S{at} = merge(S{}, S{})\n", at - 1, at / 2));
    text
}

/// A few contexts, by turns.
fn contexts(streams: usize) -> String {
    let mut text = "context a\ncontext b\n".to_owned();
    for at in 0..streams {
        let (source, context) = (at % 100, if at % 2 == 0 { "a" } else { "b" });
        text += &format!("stream S{at} = E{source}.context({context}).emit(v: v)\n");
    }
    text
}

/// How long this thread has been on a CPU: others on the machine don't count.
fn on_cpu() -> Duration {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").expect("Linux tells it");
    let ns = text.split_whitespace().next().and_then(|ns| ns.parse().ok());
    Duration::from_nanos(ns.expect("the first number is that of nanoseconds"))
}

fn took(work: impl FnOnce()) -> Duration {
    let start = on_cpu();
    work();
    on_cpu().saturating_sub(start)
}

fn main() {
    // Under `cargo test` only to see that it works.
    let most = if std::env::args().any(|arg| arg == "--test") { 400 } else { 40_000 };
    println!("{:<10} {:>8} {:>12} {:>12}   both by those of half", "shape", "streams", "resolve", "load");
    for (name, shape) in SHAPES {
        let mut before: Option<(Duration, Duration)> = None;
        for streams in [most / 4, most / 2, most] {
            let text = shape(streams);
            let (tree, findings) = parse(&text);
            assert!(findings.is_empty(), "{name}: {:?}", findings.first());
            let (mut resolving, mut loading) = (Duration::MAX, Duration::MAX);
            for _ in 0..ROUNDS {
                resolving = resolving.min(took(|| {
                    let (plan, _) = resolve(&tree);
                    assert_eq!(plan.streams.len(), streams, "{name}");
                    black_box(topology(&plan));
                }));
                loading = loading.min(took(|| {
                    black_box(Program::parse(&text).expect("the program is sound"));
                }));
            }
            let ratio = |now: Duration, before: Duration| now.as_secs_f64() / before.as_secs_f64();
            let ratios = before.map_or_else(String::new, |(resolved, loaded)| {
                format!("{:.2} x {:.2} x", ratio(resolving, resolved), ratio(loading, loaded))
            });
            println!("{name:<10} {streams:>8} {resolving:>12.1?} {loading:>12.1?}   {ratios}");
            before = Some((resolving, loading));
        }
    }
}
