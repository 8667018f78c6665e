//! Threads must not change the answer: in deterministic order a graph gives what a plain loop over the same
//! operators gives, whatever its shape, its rings' capacity, and however its stages take turns.

#[path = "common/outputs.rs"]
mod outputs;
#[path = "common/watchdog.rs"]
mod watchdog;

use std::thread;
use std::time::Duration;

use outputs::all_of;
use proptest::prelude::*;
use varpin::cores::PinPolicy;
use varpin::flow::{Flow, Graph, Input, MergeOrder, Operator, Out, Output};
use varpin::idle::Idle;
use varpin::ring::PushError;
use watchdog::watched;

/// What a stage does; small, but with filters, multipliers, state, and something to say at the end.
#[derive(Clone, Debug)]
enum Kind {
    Add(u64),
    KeepMultiplesOf(u64),
    Repeat(u64),
    SumOfEvery(u64),
    CountAtEnd,
}

#[derive(Clone, Debug)]
struct Work {
    kind: Kind,
    count: u64,
    sum: u64,
}

impl Work {
    fn new(kind: Kind) -> Self {
        Self { kind, count: 0, sum: 0 }
    }

    fn on_item(&mut self, item: u64, emit: &mut dyn FnMut(u64)) {
        self.count += 1;
        match self.kind {
            Kind::Add(n) => emit(item.wrapping_mul(31).wrapping_add(n)),
            Kind::KeepMultiplesOf(n) if item.is_multiple_of(n) => emit(item),
            Kind::KeepMultiplesOf(_) => {}
            Kind::Repeat(times) => (0..times).for_each(|n| emit(item.wrapping_add(n))),
            Kind::SumOfEvery(n) => {
                self.sum = self.sum.wrapping_mul(7).wrapping_add(item);
                if self.count.is_multiple_of(n) {
                    emit(std::mem::take(&mut self.sum));
                }
            }
            Kind::CountAtEnd => self.sum = self.sum.wrapping_mul(3).wrapping_add(item),
        }
    }

    fn on_end(&mut self, emit: &mut dyn FnMut(u64)) {
        match self.kind {
            Kind::CountAtEnd => (0..5).for_each(|n| emit(self.sum.wrapping_add(n))),
            Kind::SumOfEvery(_) => emit(self.sum),
            _ => {}
        }
    }
}

impl Operator<u64, u64> for Work {
    fn item(&mut self, item: &u64, out: &mut Out<'_, u64>) {
        self.on_item(*item, &mut |value| out.send(value));
    }

    fn end(&mut self, out: &mut Out<'_, u64>) {
        self.on_end(&mut |value| out.send(value));
    }
}

/// A node behind the inputs: a stage, or a partition with two ways out.
#[derive(Clone, Debug)]
enum Node {
    Stage(Kind, Vec<usize>),
    Partition(Vec<usize>),
}

/// A graph; flows are numbered: first the inputs, then each node's ways out. What nobody takes goes to the output.
#[derive(Clone, Debug)]
struct Shape {
    inputs: Vec<Vec<u64>>,
    nodes: Vec<Node>,
    capacity: usize,
    batch_limit: usize,
}

impl Shape {
    /// For each flow its rank (the number of its node), and the flows that nobody takes.
    fn flows(&self) -> (Vec<usize>, Vec<usize>) {
        let mut ranks: Vec<usize> = (0..self.inputs.len()).collect();
        let mut taken = Vec::new();
        for (index, node) in self.nodes.iter().enumerate() {
            let rank = self.inputs.len() + index;
            let sources = match node {
                Node::Stage(_, sources) => {
                    ranks.push(rank);
                    sources
                }
                Node::Partition(sources) => {
                    ranks.extend([rank, rank]);
                    sources
                }
            };
            taken.extend(sources.iter().copied());
        }
        let untaken = (0..ranks.len()).filter(|flow| !taken.contains(flow)).collect();
        (ranks, untaken)
    }

    /// The same computation without rings and threads: input by input, stage by stage.
    fn sequential(&self) -> Vec<u64> {
        let (ranks, untaken) = self.flows();
        let mut works: Vec<Option<Work>> = self
            .nodes
            .iter()
            .map(|node| match node {
                Node::Stage(kind, _) => Some(Work::new(kind.clone())),
                Node::Partition(_) => None,
            })
            .collect();
        let by_rank = |sources: &[usize]| {
            let mut sources = sources.to_vec();
            sources.sort_by_key(|&flow| ranks[flow]); // stable: ways of one rank in the order given
            sources
        };
        let steps = self.inputs.iter().map(Vec::len).max().unwrap_or(0);
        let mut results = Vec::new();
        for step in 0..=steps {
            let is_end = step == steps;
            let mut flows: Vec<Vec<u64>> =
                self.inputs.iter().map(|items| items.get(step).copied().into_iter().collect()).collect();
            for (node, work) in self.nodes.iter().zip(&mut works) {
                let (Node::Stage(_, sources) | Node::Partition(sources)) = node;
                let items: Vec<u64> =
                    by_rank(sources).iter().flat_map(|&flow| flows[flow].iter().copied()).collect();
                if let Some(work) = work {
                    let mut made = Vec::new();
                    for item in items {
                        work.on_item(item, &mut |value| made.push(value));
                    }
                    if is_end {
                        work.on_end(&mut |value| made.push(value));
                    }
                    flows.push(made);
                } else {
                    let (even, odd) = items.iter().partition(|item| varpin::flow::way_of(**item, 2) == 0);
                    flows.extend([even, odd]);
                }
            }
            results.extend(by_rank(&untaken).iter().flat_map(|&flow| flows[flow].iter().copied()));
        }
        results
    }

    fn graph(&self) -> (Graph, Vec<Input<u64>>, Output<u64>) {
        let mut graph = Graph::new()
            .order(MergeOrder::Deterministic)
            .capacity(self.capacity)
            .batch_limit(self.batch_limit)
            .pin_policy(PinPolicy::Off);
        let mut flows: Vec<Flow<u64>> = Vec::new();
        let mut inputs = Vec::new();
        for n in 0..self.inputs.len() {
            let (input, flow) = graph.input(format!("input {n}"));
            inputs.push(input);
            flows.push(flow);
        }
        for (n, node) in self.nodes.iter().enumerate() {
            let name = format!("stage {n}");
            let (Node::Stage(_, sources) | Node::Partition(sources)) = node;
            let sources: Vec<&Flow<u64>> = sources.iter().map(|&flow| &flows[flow]).collect();
            let made = match node {
                Node::Stage(kind, _) => vec![graph.operator(name, sources, Work::new(kind.clone()))],
                Node::Partition(_) => graph.partition(name, sources, 2, |item| *item),
            };
            flows.extend(made);
        }
        let (_, untaken) = self.flows();
        let output = graph.output("output", untaken.iter().map(|&flow| &flows[flow]));
        (graph, inputs, output)
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    prop_oneof![
        (0..9_u64).prop_map(Kind::Add),
        (1..5_u64).prop_map(Kind::KeepMultiplesOf),
        (0..4_u64).prop_map(Kind::Repeat),
        (1..4_u64).prop_map(Kind::SumOfEvery),
        Just(Kind::CountAtEnd),
    ]
}

fn shapes(items: usize) -> impl Strategy<Value = Shape> {
    let inputs = prop::collection::vec(prop::collection::vec(0..100_u64, 0..items), 1..3);
    let node = (kind(), prop::collection::vec(any::<prop::sample::Index>(), 1..4), 0..6_u8);
    let nodes = prop::collection::vec(node, 1..8);
    let capacity = prop::sample::select(vec![1, 2, 3, 1024]);
    let batch_limit = prop::sample::select(vec![1, 3, 256]);
    (inputs, nodes, capacity, batch_limit).prop_map(|(inputs, raw, capacity, batch_limit)| {
        let mut flows = inputs.len();
        let mut nodes = Vec::new();
        for (kind, picks, partition) in raw {
            let mut sources: Vec<usize> = Vec::new();
            for pick in picks {
                let flow = pick.index(flows);
                if !sources.contains(&flow) {
                    sources.push(flow);
                }
            }
            if partition == 0 {
                nodes.push(Node::Partition(sources));
                flows += 2;
            } else {
                nodes.push(Node::Stage(kind, sources));
                flows += 1;
            }
        }
        // Inputs that nobody takes would go straight to the output; that is fine, too.
        Shape { inputs, nodes, capacity, batch_limit }
    })
}

/// Steps the graph by hand in the order that `script` says, round and round; fails when nothing moves any more before
/// the end.
fn step_by_hand(shape: &Shape, script: &[u8]) -> Vec<u64> {
    let (graph, inputs, mut output) = shape.graph();
    let mut stepper = graph.stepper().expect("the shape is sound");
    let mut inputs: Vec<_> = inputs.into_iter().map(Some).collect();
    let mut feeds: Vec<_> = shape.inputs.iter().map(|items| items.iter().copied().peekable()).collect();
    let mut results = Vec::new();
    let mut poll = |results: &mut Vec<u64>| {
        output.drain(1, |item| {
            results.extend(item.value);
            true
        })
    };
    let mut feed = |n: usize| {
        let Some(input) = &mut inputs[n] else { return 0 };
        match feeds[n].peek() {
            None => inputs[n] = None,
            Some(&item) => match input.try_push(item) {
                Ok(()) => {
                    feeds[n].next();
                }
                Err(PushError::Full(_)) => return 0,
                Err(PushError::Closed(_)) => panic!("closed before the end"),
            },
        }
        1
    };
    let feeds = shape.inputs.len();
    let turns = stepper.stages() + feeds + 1;
    loop {
        for byte in script {
            match usize::from(*byte) % turns {
                0 => {
                    let _ = poll(&mut results);
                }
                turn if turn <= feeds => {
                    feed(turn - 1);
                }
                turn => {
                    stepper.step_stage(turn - feeds - 1);
                }
            }
        }
        let fed: usize = (0..feeds).map(&mut feed).sum();
        let stepped = stepper.step();
        let polled = poll(&mut results);
        if polled.ended {
            break;
        }
        assert!(fed + stepped > 0 || !polled.is_idle(), "nothing moves: {stepper:?}, {results:?}");
    }
    stepper.finish().expect("every stage was done");
    results
}

fn on_threads(shape: &Shape, idle: Idle, fuse: bool) -> Vec<u64> {
    let (graph, inputs, mut output) = shape.graph();
    let mut graph = graph.idle(idle);
    if fuse {
        graph.fuse("all", (0..shape.nodes.len()).step_by(2).map(|n| format!("stage {n}")));
    }
    let running = graph.start().expect("the shape is sound");
    let feeders: Vec<_> = inputs
        .into_iter()
        .zip(shape.inputs.clone())
        .map(|(mut input, items)| {
            thread::spawn(move || {
                for (n, item) in items.into_iter().enumerate() {
                    input.push(item).expect("nobody leaves before the end");
                    if n % 5 == 0 {
                        input.flush().expect("nobody leaves before the end");
                    }
                }
            })
        })
        .collect();
    let results = all_of(&mut output);
    for feeder in feeders {
        feeder.join().expect("the feeder doesn't panic");
    }
    let report = running.join(Duration::from_secs(30)).expect("every stage was done");
    assert_eq!(report.undelivered, []);
    results
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 5_000, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_stepped_in_any_order_equals_the_sequential_run(
        shape in shapes(12),
        script in prop::collection::vec(any::<u8>(), 0..60),
    ) {
        prop_assert_eq!(step_by_hand(&shape, &script), shape.sequential());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, max_shrink_iters: 50, ..ProptestConfig::default() })]

    #[test]
    fn any_graph_on_threads_equals_the_sequential_run(
        shape in shapes(60),
        idle in prop::sample::select(vec![Idle::Yield, Idle::Backoff, Idle::Park, Idle::Auto]),
        fuse in any::<bool>(),
    ) {
        let expected = shape.sequential();
        let results = watched(move || on_threads(&shape, idle, fuse));
        prop_assert_eq!(results, expected);
    }
}

/// source -> X, Y -> merge: X keeps nothing of most items and multiplies others, Y the other way round, and every ring has
/// a single slot. A stage that stopped in the middle of a sequence number would hang the merge here.
fn diamond(capacity: usize, items: u64) -> Shape {
    Shape {
        inputs: vec![(0..items).collect()],
        nodes: vec![
            Node::Stage(Kind::Repeat(3), vec![0]),
            Node::Stage(Kind::KeepMultiplesOf(7), vec![1]),
            Node::Stage(Kind::Repeat(5), vec![1]),
            Node::Stage(Kind::SumOfEvery(4), vec![2, 3]),
            Node::Stage(Kind::CountAtEnd, vec![3, 1]),
        ],
        capacity,
        batch_limit: 256,
    }
}

#[test]
fn the_diamond_never_deadlocks_and_equals_the_sequential_run() {
    for capacity in [1, 2, 1024] {
        let shape = diamond(capacity, 500);
        let expected = shape.sequential();
        assert!(step_by_hand(&shape, &[]) == expected, "by hand, capacity {capacity}");
        for idle in [Idle::Yield, Idle::Backoff, Idle::Park] {
            let (shape, expected) = (shape.clone(), expected.clone());
            let results = watched(move || on_threads(&shape, idle, false));
            assert!(results == expected, "{idle}, capacity {capacity}");
        }
    }
}

#[test]
fn a_branch_that_gets_nothing_holds_nobody_up() {
    // Everything goes the partition's one way; the merge must hear from the other that nothing comes.
    let shape = Shape {
        inputs: vec![vec![6; 300]],
        nodes: vec![
            Node::Partition(vec![0]),
            Node::Stage(Kind::Repeat(3), vec![1]),
            Node::Stage(Kind::Repeat(3), vec![2]),
            Node::Stage(Kind::Add(1), vec![3, 4]),
        ],
        capacity: 1,
        batch_limit: 4,
    };
    assert_eq!(step_by_hand(&shape, &[]), shape.sequential());
    watched(move || assert_eq!(on_threads(&shape, Idle::Park, false), shape.sequential()));
}
