//! Pools of a graph: the same results as from a single stage, per key in order, however many workers there are.

#[path = "common/outputs.rs"]
mod outputs;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use outputs::all_of;
use proptest::prelude::*;
use varpin::cores::PinPolicy;
use varpin::flow::{
    Flow, Graph, GraphProblem, Input, MergeOrder, Operator, Out, Output, StartError, To, way_of,
};
use varpin::idle::Idle;
use varpin::ring::{PopError, PushError, WhenFull};
use watchdog::watched;

const JOIN: Duration = Duration::from_secs(50);

/// Counts and sums what it has seen of each key, and sometimes has nothing or several things to say. Items of key
/// `FOR_ALL` change what it says of every key.
#[derive(Clone, Default)]
struct PerKey {
    keys: HashMap<u64, (u64, u64)>,
    factor: u64,
}

const KEYS: u64 = 7;
const FOR_ALL: u64 = KEYS;

fn key(item: u64) -> u64 {
    item % (KEYS + 1)
}

fn to(item: u64) -> To {
    if key(item) == FOR_ALL { To::All } else { To::Key(key(item)) }
}

impl Operator<u64, u64> for PerKey {
    fn item(&mut self, item: &u64, out: &mut Out<'_, u64>) {
        if key(*item) == FOR_ALL {
            self.factor = self.factor.wrapping_mul(3).wrapping_add(*item);
            out.send(self.factor);
            return;
        }
        let (count, sum) = self.keys.entry(key(*item)).or_default();
        *count += 1;
        *sum = sum.wrapping_mul(31).wrapping_add(*item);
        for n in 0..*count % 3 {
            out.send(sum.wrapping_add(self.factor).wrapping_add(n));
        }
    }
}

/// What stands in front of the pool, how it is made, and what stands behind.
#[derive(Clone, Debug)]
struct Shape {
    inputs: Vec<Vec<u64>>,
    /// The stage in front makes so many of each item; 0: there is none, and the pool takes the inputs themselves.
    copies: u64,
    /// Beside the pool there is a stage that takes the same, and both are merged.
    has_sibling: bool,
    /// A second pool behind the first.
    has_second: bool,
    capacity: usize,
    batch_limit: usize,
}

type Ends = (Vec<Input<u64>>, Output<u64>);

impl Shape {
    /// The graph with pools of so many workers, or (`None`) with single stages in their place.
    fn graph(&self, order: MergeOrder, workers: Option<usize>) -> (Graph, Ends) {
        let mut graph = Graph::new()
            .order(order)
            .capacity(self.capacity)
            .batch_limit(self.batch_limit)
            .pin_policy(PinPolicy::Off);
        let (mut inputs, mut flows) = (Vec::new(), Vec::new());
        for n in 0..self.inputs.len() {
            let (input, flow) = graph.input::<u64>(format!("input {n}"));
            inputs.push(input);
            flows.push(flow);
        }
        if self.copies > 0 {
            let copies = self.copies;
            let copied = graph.stage("copy", &flows, move |item: &u64, out| {
                (0..copies).for_each(|n| out.send(item.wrapping_add(n)));
            });
            flows = vec![copied];
        }
        let operators = |graph: &mut Graph, name: &str, flows: &[Flow<u64>]| match workers {
            Some(workers) => graph.pool_of(name, flows, workers, |item| to(*item), |_| PerKey::default()),
            None => graph.operator(name, flows, PerKey::default()),
        };
        let mut pooled = operators(&mut graph, "pool", &flows);
        if self.has_second {
            pooled = operators(&mut graph, "second", &[pooled]);
        }
        let mut last = vec![pooled];
        if self.has_sibling {
            last.push(graph.stage("sibling", &flows, |item: &u64, out| out.send(item ^ 1)));
        }
        let output = graph.output("results", &last);
        (graph, (inputs, output))
    }
}

fn shapes(items: usize) -> impl Strategy<Value = Shape> {
    (
        prop::collection::vec(prop::collection::vec(0..100_u64, 0..items), 1..3),
        0..4_u64,
        any::<bool>(),
        any::<bool>(),
        prop::sample::select(vec![1, 2, 3, 1024]),
        prop::sample::select(vec![1, 3, 256]),
    )
        .prop_map(|(inputs, copies, has_sibling, has_second, capacity, batch_limit)| Shape {
            inputs,
            copies,
            has_sibling,
            has_second,
            capacity,
            batch_limit,
        })
}

/// Steps by hand, the stages in an order that `script` says, round and round.
fn step_by_hand(shape: &Shape, order: MergeOrder, workers: Option<usize>, script: &[u8]) -> Vec<u64> {
    let (graph, (inputs, mut output)) = shape.graph(order, workers);
    let mut stepper = graph.stepper().expect("the shape is sound");
    let mut inputs: Vec<_> = inputs.into_iter().map(Some).collect();
    let mut feeds: Vec<_> = shape.inputs.iter().map(|items| items.iter().copied().peekable()).collect();
    let mut results = Vec::new();
    loop {
        let mut moved = 0;
        for byte in script {
            moved += stepper.step_stage(usize::from(*byte) % stepper.stages());
        }
        for (input, feed) in inputs.iter_mut().zip(&mut feeds) {
            let Some(open) = input else { continue };
            moved += 1;
            match feed.peek().map(|item| open.try_push(*item)) {
                None => *input = None,
                Some(Ok(())) => {
                    feed.next();
                }
                Some(Err(PushError::Full(_))) => moved -= 1,
                Some(Err(PushError::Closed(_))) => panic!("closed before the end"),
            }
        }
        moved += stepper.step();
        let drained = output.drain(8, |item| {
            results.extend(item.value);
            true
        });
        if drained.ended {
            break;
        }
        assert!(moved > 0 || !drained.is_idle(), "nothing moves: {stepper:?}, {results:?}");
    }
    stepper.finish().expect("every stage was done");
    results
}

fn on_threads(shape: &Shape, order: MergeOrder, workers: usize, idle: Idle) -> Vec<u64> {
    let (graph, (inputs, mut output)) = shape.graph(order, Some(workers));
    let running = graph.idle(idle).start().expect("the shape is sound");
    let feeders: Vec<_> = inputs
        .into_iter()
        .zip(shape.inputs.clone())
        .map(|(mut input, items)| {
            thread::spawn(move || {
                for item in items {
                    input.push(item).expect("nobody leaves before the end");
                }
            })
        })
        .collect();
    let results = all_of(&mut output);
    for feeder in feeders {
        feeder.join().expect("the feeder doesn't panic");
    }
    let report = running.join(JOIN).expect("every stage was done");
    assert_eq!(report.undelivered, []);
    results
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn a_pool_gives_what_a_single_stage_gives_item_for_item(
        shape in shapes(20),
        workers in 1..6_usize,
        script in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let order = MergeOrder::Deterministic;
        let single = step_by_hand(&shape, order, None, &[]);
        prop_assert_eq!(step_by_hand(&shape, order, Some(workers), &script), single);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn more_workers_than_cores_give_what_a_single_stage_gives(
        shape in shapes(100),
        workers in 1..9_usize,
        idle in prop::sample::select(vec![Idle::Yield, Idle::Backoff, Idle::Park, Idle::Auto]),
    ) {
        let single = step_by_hand(&shape, MergeOrder::Deterministic, None, &[]);
        let pooled = watched(move || on_threads(&shape, MergeOrder::Deterministic, workers, idle));
        prop_assert_eq!(pooled, single);
    }
}

#[test]
fn items_of_a_key_stay_in_order_in_every_order() {
    for order in MergeOrder::ALL {
        for (workers, capacity) in [(1, 64), (3, 1), (8, 64)] {
            let results = watched(move || {
                let mut graph = Graph::new().order(order).capacity(capacity).pin_policy(PinPolicy::Off);
                let (mut input, numbers) = graph.input::<u64>("numbers");
                let keyed = |n: &u64| To::Key(n % 97);
                let pooled = graph.pool("pool", &numbers, workers, keyed, |worker| {
                    move |n: &u64, out: &mut Out<'_, (usize, u64)>| out.send((worker, *n))
                });
                let mut output = graph.output("results", &pooled);
                let running = graph.start().expect("the graph is sound");
                let feeder = thread::spawn(move || {
                    for n in 0..20_000 {
                        input.push_at(n, n as i64).expect("nobody leaves before the end");
                    }
                });
                let results = all_of(&mut output);
                feeder.join().expect("the feeder doesn't panic");
                running.join(JOIN).expect("every stage was done");
                results
            });
            assert_eq!(results.len(), 20_000);
            let mut last = HashMap::new();
            for (worker, n) in results {
                assert_eq!(worker, way_of(n % 97, workers), "the worker of its key");
                let before = last.insert(n % 97, n);
                assert!(before.is_none_or(|before| before < n), "{order}: {n} came after {before:?}");
            }
        }
    }
}

/// Gives a pool of three the numbers below 12 and steps it until it is done.
fn three_workers(order: MergeOrder, to: impl FnMut(&u64) -> To + Send + 'static) -> Vec<(usize, u64)> {
    let mut graph = Graph::new().order(order);
    let (mut input, numbers) = graph.input::<u64>("numbers");
    let pooled = graph.pool("pool", &numbers, 3, to, |worker| {
        move |n: &u64, out: &mut Out<'_, (usize, u64)>| out.send((worker, *n))
    });
    let mut output = graph.output("results", &pooled);
    let mut stepper = graph.stepper().expect("the graph is sound");
    (0..12).for_each(|n| input.try_push(n).expect("there is room"));
    input.close();
    while !stepper.is_done() {
        stepper.step();
    }
    std::iter::from_fn(|| output.pop().ok()).collect()
}

#[test]
fn round_robin_goes_from_worker_to_worker() {
    let results = three_workers(MergeOrder::Deterministic, |_| To::Next);
    assert_eq!(results, (0..12).map(|n| (n as usize % 3, n)).collect::<Vec<_>>());
}

#[test]
fn what_goes_to_all_is_answered_once() {
    let seen = Arc::new(AtomicUsize::new(0));
    for order in MergeOrder::ALL {
        let results = three_workers(order, |_| To::All);
        assert_eq!(results, (0..12).map(|n| (0, n)).collect::<Vec<_>>(), "{order}");
    }
    // Everybody has seen it all the same.
    let mut graph = Graph::new();
    let (mut input, numbers) = graph.input::<u64>("numbers");
    let pooled = graph.pool(
        "pool",
        &numbers,
        3,
        |_| To::All,
        |_| {
            let seen = Arc::clone(&seen);
            move |n: &u64, out: &mut Out<'_, u64>| {
                seen.fetch_add(1, Ordering::Relaxed);
                out.send(*n);
            }
        },
    );
    let mut output = graph.output("results", &pooled);
    let mut stepper = graph.stepper().expect("the graph is sound");
    input.try_push(7).expect("there is room");
    input.close();
    while !stepper.is_done() {
        stepper.step();
    }
    assert_eq!((output.pop(), output.pop()), (Ok(7), Err(PopError::Closed)));
    assert_eq!(seen.load(Ordering::Relaxed), 3);
}

/// Says at the end what it has counted.
struct CountAtEnd {
    worker: usize,
    items: u64,
}

impl Operator<u64, (usize, u64)> for CountAtEnd {
    fn item(&mut self, item: &u64, out: &mut Out<'_, (usize, u64)>) {
        self.items += 1;
        out.send((usize::MAX, *item));
    }

    fn end(&mut self, out: &mut Out<'_, (usize, u64)>) {
        out.send((self.worker, self.items));
    }
}

#[test]
fn what_workers_say_at_the_end_comes_last_and_worker_by_worker() {
    let mut graph = Graph::new().order(MergeOrder::Deterministic).capacity(1);
    let (input, numbers) = graph.input::<u64>("numbers");
    // A stage in front that has something to say at the end, too.
    struct SayAtEnd;
    impl Operator<u64, u64> for SayAtEnd {
        fn item(&mut self, item: &u64, out: &mut Out<'_, u64>) {
            out.send(*item);
        }
        fn end(&mut self, out: &mut Out<'_, u64>) {
            (10..16).for_each(|n| out.send(n));
        }
    }
    let said = graph.operator("front", &numbers, SayAtEnd);
    let keyed = |n: &u64| To::Key(*n);
    let pooled = graph.pool_of("pool", &said, 3, keyed, |worker| CountAtEnd { worker, items: 0 });
    let mut output = graph.output("results", &pooled);
    let mut stepper = graph.stepper().expect("the graph is sound");
    let mut results = Vec::new();
    let mut numbers = (0..10).peekable();
    let mut input = Some(input);
    while !stepper.is_done() {
        match numbers.peek().map(|n| input.as_mut().map(|input| input.try_push(*n))) {
            Some(Some(Ok(()))) => drop(numbers.next()),
            Some(_) => {}
            None => input = None,
        }
        stepper.step();
        results.extend(std::iter::from_fn(|| output.pop().ok()));
    }
    results.extend(std::iter::from_fn(|| output.pop().ok()));
    let (items, ends) = results.split_at(16);
    assert_eq!(items, (0..16).map(|n| (usize::MAX, n)).collect::<Vec<_>>());
    let count = |worker| (0..16).filter(|n| way_of(*n, 3) == worker).count() as u64;
    assert_eq!(ends, (0..3).map(|worker| (worker, count(worker))).collect::<Vec<_>>());
}

#[test]
fn a_worker_that_panics_is_named_and_ends_the_run() {
    watched(|| {
        let mut graph = Graph::new().pin_policy(PinPolicy::Off);
        let (mut input, numbers) = graph.input::<u64>("numbers");
        let pooled = graph.pool(
            "pool",
            &numbers,
            2,
            |n| To::Key(*n),
            |_| {
                |n: &u64, out: &mut Out<'_, u64>| {
                    assert!(*n < 50, "fifty is too much");
                    out.send(*n);
                }
            },
        );
        let mut output = graph.output("results", &pooled);
        let running = graph.start().expect("the graph is sound");
        let feeder = thread::spawn(move || (0..100_000).take_while(|n| input.push(*n).is_ok()).count());
        while output.pop() != Err(PopError::Closed) {
            thread::yield_now();
        }
        feeder.join().expect("the feeder doesn't panic");
        let error = running.join(JOIN).expect_err("a worker panicked");
        let worker = format!("pool.{}", way_of(50, 2));
        assert_eq!(error.failures[0].stage, worker, "{error}");
        assert!(error.failures[0].message.contains("fifty is too much"));
    });
}

#[test]
fn what_is_wrong_with_a_pool_is_said_once_and_by_its_name() {
    let mut graph = Graph::new();
    let (_input, numbers) = graph.input::<u64>("numbers");
    let pooled = graph.pool("pool", &numbers, 4, |n| To::Key(*n), |_| |_: &u64, _: &mut Out<'_, u64>| {});
    let empty = graph.pool("empty", &numbers, 0, |n| To::Key(*n), |_| |_: &u64, _: &mut Out<'_, u64>| {});
    graph.sink("sink", [&empty, &empty], |_| {});
    drop(pooled);
    let Err(StartError::Graph(error)) = graph.start() else { panic!("three things are wrong") };
    let twice = GraphProblem::TakenTwice { stage: "sink".to_owned(), flow: "empty".to_owned() };
    let untaken = GraphProblem::Untaken { flow: "pool".to_owned() };
    assert_eq!(
        error.problems,
        [GraphProblem::Zero { setting: "number of workers of a pool" }, twice, untaken]
    );
}

/// Workers are stages with names: they can be fused, and the pool can have a policy like any stage.
#[test]
fn workers_can_be_fused_and_a_pool_can_drop() {
    watched(|| {
        let mut graph = Graph::new().capacity(16).pin_policy(PinPolicy::Off);
        let (mut input, numbers) = graph.input::<u64>("numbers");
        let pooled = graph.pool(
            "pool",
            &numbers,
            3,
            |n| To::Key(*n),
            |_| {
                |n: &u64, out: &mut Out<'_, u64>| {
                    thread::sleep(Duration::from_millis(1));
                    out.send(*n);
                }
            },
        );
        let mut output = graph.output("results", &pooled);
        graph.fuse("one thread", ["pool", "pool.0", "pool.1", "pool.2"]);
        graph.when_full("pool", WhenFull::DropOldest);
        let running = graph.start().expect("the graph is sound");
        for n in 0..10_000 {
            input.push(n).expect("nobody leaves before the end");
        }
        input.close();
        let results = all_of(&mut output).len() as u64;
        let report = running.join(JOIN).expect("every stage was done");
        assert_eq!(report.workers.len(), 1);
        assert_eq!(results + report.dropped_items(), 10_000);
        assert_eq!(report.dropped[0].ring, "numbers -> pool");
    });
}
