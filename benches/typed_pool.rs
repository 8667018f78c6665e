//! What a pool of typed closures costs by itself: the same graph with a single stage and with a pool in its place, the
//! closure doing next to nothing. On one thread, where only instructions count, and on threads, of which there may be
//! more than CPUs.
//!
//! After criterion's own figures both are run by turns, and the difference per event is printed.

use std::hint::black_box;
use std::thread;
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use varpin::flow::{Graph, Input, MergeOrder, Out, Output, To};
use varpin::ring::PopError;

const EVENTS: u64 = 200_000;
/// Pairs of runs for the difference.
const ROUNDS: usize = 15;

/// The graph with a pool of so many workers; `None`: with a single stage.
fn graph(order: MergeOrder, workers: Option<usize>) -> (Graph, Input<u64>, Output<u64>) {
    let mut graph = Graph::new().order(order);
    let (input, numbers) = graph.input::<u64>("numbers");
    let work = |n: &u64, out: &mut Out<'_, u64>| out.send(*n);
    let made = match workers {
        Some(workers) => graph.pool("work", &numbers, workers, |n| To::Key(*n), |_| work),
        None => graph.stage("work", &numbers, work),
    };
    let output = graph.output("results", &made);
    (graph, input, output)
}

/// Takes what is there; the sum of it, and whether there will be no more.
fn take(output: &mut Output<u64>, sum: &mut u64) -> bool {
    let drained = output.drain(1024, |item| {
        *sum = sum.wrapping_add(item.value.unwrap_or(0));
        true
    });
    drained.ended
}

fn check(sum: u64) {
    assert_eq!(black_box(sum), EVENTS * (EVENTS - 1) / 2, "every event once");
}

fn stepped(order: MergeOrder, workers: Option<usize>) -> Duration {
    let (graph, mut input, mut output) = graph(order, workers);
    let mut stepper = graph.stepper().expect("the graph is sound");
    let (mut sum, mut next) = (0, 0);
    let started = Instant::now();
    while next < EVENTS {
        while next < EVENTS && input.try_push(next).is_ok() {
            next += 1;
        }
        stepper.step();
        take(&mut output, &mut sum);
    }
    input.close();
    while !take(&mut output, &mut sum) {
        stepper.step();
    }
    let took = started.elapsed();
    check(sum);
    took
}

fn threaded(order: MergeOrder, workers: Option<usize>) -> Duration {
    let (graph, mut input, mut output) = graph(order, workers);
    let running = graph.start().expect("the graph is sound");
    let started = Instant::now();
    let feeder = thread::spawn(move || {
        for n in 0..EVENTS {
            input.push(n).expect("the graph takes events");
        }
    });
    let mut sum = 0;
    loop {
        match output.pop() {
            Ok(n) => {
                sum += n;
                take(&mut output, &mut sum);
            }
            Err(PopError::Empty) => thread::yield_now(),
            Err(PopError::Closed) => break,
        }
    }
    let took = started.elapsed();
    check(sum);
    feeder.join().expect("the feeder doesn't panic");
    running.join(Duration::from_secs(10)).expect("every stage was done");
    took
}

type Run = fn(MergeOrder, Option<usize>) -> Duration;
const RUNS: [(&str, Run); 2] = [("one thread", stepped), ("threads", threaded)];

fn pools(criterion: &mut Criterion) {
    for (how, run) in RUNS {
        let mut group = criterion.benchmark_group(format!("pool, {how}"));
        group.throughput(Throughput::Elements(EVENTS)).sample_size(10);
        for order in [MergeOrder::Arrival, MergeOrder::Deterministic] {
            for workers in [None, Some(1), Some(2)] {
                let name = workers.map_or("single".to_owned(), |workers| format!("{workers} workers"));
                group.bench_function(BenchmarkId::new(name, order), |bencher| {
                    bencher.iter_custom(|runs| (0..runs).map(|_| run(order, workers)).sum());
                });
            }
        }
        group.finish();
    }
    overhead();
}

/// Prints what a pool of two costs more per event than a single stage: the median of pairs of runs, and the ratio.
fn overhead() {
    for (how, run) in RUNS {
        for order in [MergeOrder::Arrival, MergeOrder::Deterministic] {
            let mut pairs: Vec<(f64, f64)> = (0..ROUNDS)
                .map(|_| {
                    let nanos = |took: Duration| took.as_nanos() as f64 / EVENTS as f64;
                    (nanos(run(order, None)), nanos(run(order, Some(2))))
                })
                .collect();
            pairs.sort_by(|a, b| (a.1 - a.0).total_cmp(&(b.1 - b.0)));
            let (single, pooled) = pairs[ROUNDS / 2];
            println!(
                "pool of 2, no work, {how}, {order}: {:.0} ns per event more than a single stage \
                 ({pooled:.0} against {single:.0}, ratio {:.2}; over {ROUNDS} pairs {:.0} to {:.0})",
                pooled - single,
                pooled / single,
                pairs[0].1 - pairs[0].0,
                pairs[ROUNDS - 1].1 - pairs[ROUNDS - 1].0,
            );
        }
    }
}

criterion_group!(benches, pools);
criterion_main!(benches);
