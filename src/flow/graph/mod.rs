//! Describing a graph of stages with closures, and starting it.
//!
//! A graph is described from its inputs to its outputs, so a stage can only take what was described before it: there
//! are no cycles, and the order of description is a topological order. What runs where is said apart from what is
//! computed ([`Graph::pin`], [`Graph::fuse`]).

mod assembly;
mod ends;
mod operator;
mod pool;
mod problem;
mod stepper;

use std::cell::RefCell;
use std::fmt;
use std::rc::Rc;

use super::fan_in::FanIn;
use super::item::Envelope;
use super::order::MergeOrder;
use super::out_port::{OutPort, PENDING_LIMIT};
use super::partition::way_of;
use super::ports::Ports;
use super::runtime::{OutsideEnds, Running, StartError};
use super::stage::Stage;
use crate::cores::{LowJitter, PinPolicy};
use crate::idle::Idle;
use crate::ring::{self, WhenFull};
use assembly::Assembly;
use ends::InputRings;
use operator::{ByClosure, OperatorStage};

pub use ends::{INPUT_BATCH, Input, Output};
pub use operator::{END_SEQ, Operator, Out};
pub use pool::To;
pub use problem::{GraphError, GraphProblem};
pub use stepper::Stepper;

/// How many slots the rings of a graph have unless told otherwise.
pub const CAPACITY: usize = 1024;
/// How many items a duty cycle handles at most unless told otherwise.
pub const BATCH_LIMIT: usize = 256;

/// The ports through which one way out of a stage leaves: one for each stage that takes it.
type Outlet<T> = Rc<RefCell<Vec<OutPort<Envelope<T>>>>>;

/// What an input or a stage of a graph produces: to be given to the stages that take it.
///
/// Several may take the same flow; each of them gets every item.
pub struct Flow<T> {
    graph: Rc<()>,
    name: String,
    /// One, but for the flow of a pool, which has one for each worker.
    parts: Vec<Part<T>>,
}

/// A way out of a node.
struct Part<T> {
    node: usize,
    way: usize,
    /// What its items carry.
    rank: u16,
    name: String,
    outlet: Outlet<T>,
}

impl<T> fmt::Debug for Flow<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Flow").field(&self.name).finish()
    }
}

/// So that `&flow` can be given where `[&flow, &other]` can.
#[expect(clippy::into_iter_without_iter, reason = "a flow is no collection")]
impl<'a, T> IntoIterator for &'a Flow<T> {
    type Item = &'a Flow<T>;
    type IntoIter = std::iter::Once<&'a Flow<T>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self)
    }
}

/// Makes a node's rings and stage; takes what the consumers, assembled before, have put into its outlets.
type Build = Box<dyn FnOnce(&Assembly) -> Option<Box<dyn Stage>>>;

/// An input, a stage or an output.
struct Node {
    name: String,
    /// An input or an output: it has no stage.
    is_end: bool,
    /// The pool that it is a worker of.
    pool: Option<usize>,
    /// The nodes that it takes from.
    sources: Vec<usize>,
    /// How many take each of its ways out.
    takers: Vec<usize>,
    build: Build,
}

/// How a graph's rings and workers are to be.
struct Settings {
    order: MergeOrder,
    capacity: usize,
    batch_limit: usize,
    pending_limit: usize,
    idle: Idle,
    pin: PinPolicy,
    low_jitter: LowJitter,
    /// Worker, CPU.
    cpus: Vec<(String, usize)>,
    /// Worker, stages.
    fused: Vec<(String, Vec<String>)>,
    /// Stage or output, policy of the rings that lead there.
    when_full: Vec<(String, WhenFull)>,
}

/// Describes stages, joined by rings, each on a thread of its own.
///
/// ```
/// use std::time::Duration;
/// use varpin::flow::{Graph, MergeOrder};
/// use varpin::ring::PopError;
///
/// let mut graph = Graph::new().order(MergeOrder::Deterministic);
/// let (mut input, numbers) = graph.input::<u64>("numbers");
/// let even = graph.stage("even", &numbers, |n: &u64, out| {
///     if n % 2 == 0 {
///         out.send(*n);
///     }
/// });
/// let squares = graph.stage("squares", &numbers, |n: &u64, out| out.send(n * n));
/// let mut output = graph.output("results", [&even, &squares]);
/// let running = graph.start()?;
///
/// for n in 1..=4 {
///     input.push(n)?;
/// }
/// input.close();
/// let mut results = Vec::new();
/// loop {
///     match output.pop() {
///         Ok(n) => results.push(n),
///         Err(PopError::Empty) => std::thread::yield_now(),
///         Err(PopError::Closed) => break,
///     }
/// }
/// assert_eq!(results, [1, 2, 4, 9, 4, 16]);
/// running.join(Duration::from_secs(5))?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Graph {
    identity: Rc<()>,
    nodes: Vec<Node>,
    settings: Settings,
    outside: OutsideEnds,
    problems: Vec<GraphProblem>,
}

impl Graph {
    /// A graph without stages: rings of [`CAPACITY`], order by timestamp, idle strategy `auto`, pinned as asked for
    /// where possible.
    pub fn new() -> Self {
        Self {
            identity: Rc::new(()),
            nodes: Vec::new(),
            settings: Settings {
                order: MergeOrder::default(),
                capacity: CAPACITY,
                batch_limit: BATCH_LIMIT,
                pending_limit: PENDING_LIMIT,
                idle: Idle::default(),
                pin: PinPolicy::default(),
                low_jitter: LowJitter::default(),
                cpus: Vec::new(),
                fused: Vec::new(),
                when_full: Vec::new(),
            },
            outside: OutsideEnds::default(),
            problems: Vec::new(),
        }
    }

    /// The order in which stages and outputs that take several flows merge them.
    #[must_use]
    pub fn order(mut self, order: MergeOrder) -> Self {
        self.settings.order = order;
        self
    }

    /// How many slots each ring has; at least one.
    #[must_use]
    pub fn capacity(mut self, slots: usize) -> Self {
        self.settings.capacity = slots;
        self
    }

    /// How many items a duty cycle handles at most; at least one.
    #[must_use]
    pub fn batch_limit(mut self, items: usize) -> Self {
        self.settings.batch_limit = items;
        self
    }

    /// How many items may pend in front of a full ring: what a stage makes of one item at most (with
    /// [`MergeOrder::Deterministic`], of all items of one sequence number). A stage that exceeds it fails.
    #[must_use]
    pub fn pending_limit(mut self, items: usize) -> Self {
        self.settings.pending_limit = items;
        self
    }

    /// How workers wait.
    #[must_use]
    pub fn idle(mut self, idle: Idle) -> Self {
        self.settings.idle = idle;
        self
    }

    /// What to do when a worker can't be pinned.
    #[must_use]
    pub fn pin_policy(mut self, policy: PinPolicy) -> Self {
        self.settings.pin = policy;
        self
    }

    /// What to ask the operating system for beside CPUs: nothing, unless told otherwise.
    #[must_use]
    pub fn low_jitter(mut self, low_jitter: LowJitter) -> Self {
        self.settings.low_jitter = low_jitter;
        self
    }

    /// Pins the worker of this stage (or the worker that [`fuse`](Self::fuse) gave this name) to a CPU.
    pub fn pin(&mut self, worker: impl Into<String>, cpu: usize) {
        self.settings.cpus.push((worker.into(), cpu));
    }

    /// Puts these stages on one worker, called `worker`, instead of one each.
    pub fn fuse<S: Into<String>>(&mut self, worker: impl Into<String>, stages: impl IntoIterator<Item = S>) {
        let stages = stages.into_iter().map(Into::into).collect();
        self.settings.fused.push((worker.into(), stages));
    }

    /// What becomes of an item when a ring that leads to this stage or output is full; [`WhenFull::Block`] unless told
    /// otherwise. What is dropped is counted ([`Report::dropped`](super::Report::dropped)); with [`WhenFull::Error`]
    /// the stage that sends fails. [`Input::push`] says what it comes to there.
    ///
    /// Under the policies that don't block, what comes out depends on timing, in whatever [order](Self::order).
    ///
    /// ```
    /// use varpin::flow::Graph;
    /// use varpin::ring::WhenFull;
    /// let mut graph = Graph::new().capacity(4);
    /// let (mut input, prices) = graph.input("prices");
    /// let shown = graph.stage("shown", &prices, |price: &u32, out| out.send(*price));
    /// let mut output = graph.output("screen", &shown);
    /// graph.when_full("shown", WhenFull::DropOldest);
    /// let mut stepper = graph.stepper()?;
    /// for price in 1..=100 {
    ///     input.try_push(price).unwrap(); // nobody takes them yet
    /// }
    /// input.close();
    /// # let _ = &mut output;
    /// while !stepper.is_done() {
    ///     stepper.step();
    /// }
    /// let mut screen = Vec::new();
    /// while let Ok(price) = output.pop() {
    ///     screen.push(price);
    /// }
    /// assert_eq!(screen, [97, 98, 99, 100]);
    /// assert_eq!(stepper.finish().unwrap().dropped_items(), 96);
    /// # Ok::<(), varpin::flow::GraphError>(())
    /// ```
    pub fn when_full(&mut self, stage: impl Into<String>, policy: WhenFull) {
        self.settings.when_full.push((stage.into(), policy));
    }

    /// Adds an input. It may be moved to the thread that feeds it.
    pub fn input<T: Clone + Send + 'static>(&mut self, name: impl Into<String>) -> (Input<T>, Flow<T>) {
        let name = name.into();
        let (mut handover, rings) = ring::bounded(1);
        let input = Input::new(rings, self.nodes.len() as u16);
        let outlet = Outlet::default();
        let ports = Rc::clone(&outlet);
        let outside = self.outside.clone();
        let build: Build = Box::new(move |_| {
            // An input that was closed before the start doesn't take its rings: then its takers find them closed.
            let _ = handover.push(InputRings { ports: ports.take().into(), outside });
            None
        });
        let node = self.add(name.clone(), true, None, Vec::new(), 1, build);
        (input, self.flow(node, 0, name, outlet))
    }

    /// Adds a stage that calls `on_item` for each item of `sources`: one flow or several.
    pub fn stage<'a, T, U, F>(
        &mut self,
        name: impl Into<String>,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
        on_item: F,
    ) -> Flow<U>
    where
        T: Clone + Send + 'static,
        U: Clone + Send + 'static,
        F: FnMut(&T, &mut Out<'_, U>) + Send + 'static,
    {
        self.operator(name, sources, ByClosure(on_item))
    }

    /// Adds a stage with an operator of one's own.
    pub fn operator<'a, T, U, O>(
        &mut self,
        name: impl Into<String>,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
        operator: O,
    ) -> Flow<U>
    where
        T: Clone + Send + 'static,
        U: Clone + Send + 'static,
        O: Operator<T, U> + 'static,
    {
        let name = name.into();
        let (node, mut outlets) = self.add_operator(name.clone(), sources, operator, 1, None);
        let outlet = outlets.pop().unwrap_or_default();
        self.flow(node, 0, name, outlet)
    }

    /// Adds a stage that sends each item one of `ways` ways: the one that `way` names. An item whose way doesn't exist
    /// makes the stage fail.
    pub fn route<'a, T>(
        &mut self,
        name: impl Into<String>,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
        ways: usize,
        mut way: impl FnMut(&T) -> usize + Send + 'static,
    ) -> Vec<Flow<T>>
    where
        T: Clone + Send + 'static,
    {
        let name = name.into();
        let operator = ByClosure(move |item: &T, out: &mut Out<'_, T>| out.send_to(way(item), item.clone()));
        let (node, outlets) = self.add_operator(name.clone(), sources, operator, ways, None);
        let flow = |(way, outlet)| self.flow(node, way, format!("{name}.{way}"), outlet);
        outlets.into_iter().enumerate().map(flow).collect()
    }

    /// Adds a stage that sends items with the same key the same way, by [`way_of`].
    pub fn partition<'a, T>(
        &mut self,
        name: impl Into<String>,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
        ways: usize,
        mut key: impl FnMut(&T) -> u64 + Send + 'static,
    ) -> Vec<Flow<T>>
    where
        T: Clone + Send + 'static,
    {
        self.route(name, sources, ways, move |item| way_of(key(item), ways))
    }

    /// Adds a stage that has no output.
    pub fn sink<'a, T>(
        &mut self,
        name: impl Into<String>,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
        mut on_item: impl FnMut(&T) + Send + 'static,
    ) where
        T: Clone + Send + 'static,
    {
        let operator = ByClosure(move |item: &T, _: &mut Out<'_, ()>| on_item(item));
        self.add_operator(name.into(), sources, operator, 0, None);
    }

    /// Adds an output. It may be moved to the thread that polls it.
    pub fn output<'a, T: Clone + Send + 'static>(
        &mut self,
        name: impl Into<String>,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
    ) -> Output<T> {
        let name = name.into();
        let (mut handover, fan_in) = ring::bounded(1);
        let sources = self.sources(&name, sources);
        let from = sources.iter().map(|source| source.node).collect();
        let (node, to) = (self.nodes.len(), name.clone());
        let build: Build = Box::new(move |assembly| {
            let (fan_in, _) = assembly.connect(&sources, node, &to);
            // An output that was dropped before the start doesn't take its rings: then they are closed.
            let _ = handover.push(fan_in);
            None
        });
        self.add(name, true, None, from, 0, build);
        Output::new(fan_in)
    }

    /// Adds a stage with so many ways out. A worker of a pool has the pool's rank.
    fn add_operator<'a, T, U, O>(
        &mut self,
        name: String,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
        operator: O,
        ways: usize,
        pool: Option<usize>,
    ) -> (usize, Vec<Outlet<U>>)
    where
        T: Clone + Send + 'static,
        U: Clone + Send + 'static,
        O: Operator<T, U> + 'static,
    {
        let sources = self.sources(&name, sources);
        let from = sources.iter().map(|source| source.node).collect();
        let outlets: Vec<Outlet<U>> = (0..ways).map(|_| Outlet::default()).collect();
        let (node, own, to) = (self.nodes.len(), outlets.clone(), name.clone());
        let build: Build = Box::new(move |assembly| {
            let (fan_in, input_lanes): (FanIn<Envelope<T>>, _) = assembly.connect(&sources, node, &to);
            let mut ports = Vec::new();
            let mut ways = Vec::new();
            for outlet in own {
                let start = ports.len();
                ports.append(&mut outlet.borrow_mut());
                ways.push(start..ports.len());
            }
            let ports = Ports::from(ports);
            Some(Box::new(OperatorStage {
                name: to,
                rank: pool.unwrap_or(node) as u16,
                fan_in,
                input_lanes,
                batch_limit: ports.batch_limit(assembly.batch_limit),
                ports,
                ways,
                operator,
                ended: false,
                time_ns: 0,
            }))
        });
        (self.add(name, false, pool, from, ways, build), outlets)
    }

    /// Checks the flows that a node takes and notes that they are taken.
    fn sources<'a, T: 'static>(
        &mut self,
        name: &str,
        flows: impl IntoIterator<Item = &'a Flow<T>>,
    ) -> Vec<Source<T>> {
        let mut sources: Vec<Source<T>> = Vec::new();
        for flow in flows {
            let (stage, flow_name) = (name.to_owned(), flow.name.clone());
            if !Rc::ptr_eq(&flow.graph, &self.identity) {
                self.problems.push(GraphProblem::OtherGraph { stage, flow: flow_name });
                continue;
            }
            let is_taken = |part: &Part<T>| {
                sources.iter().any(|source| (source.node, source.way) == (part.node, part.way))
            };
            if flow.parts.iter().any(is_taken) {
                self.problems.push(GraphProblem::TakenTwice { stage, flow: flow_name });
                continue;
            }
            for &Part { node, way, rank, ref name, ref outlet } in &flow.parts {
                self.nodes[node].takers[way] += 1;
                let is_input = self.nodes[node].sources.is_empty();
                let (name, outlet) = (name.clone(), Rc::clone(outlet));
                sources.push(Source { node, way, rank, name, is_input, outlet });
            }
        }
        if sources.is_empty() {
            self.problems.push(GraphProblem::NoSource { stage: name.to_owned() });
        }
        sources
    }

    fn add(
        &mut self,
        name: String,
        is_end: bool,
        pool: Option<usize>,
        sources: Vec<usize>,
        ways: usize,
        build: Build,
    ) -> usize {
        if self.nodes.iter().any(|node| node.name == name) {
            self.problems.push(GraphProblem::DuplicateName { name: name.clone() });
        }
        self.nodes.push(Node { name, is_end, pool, sources, takers: vec![0; ways], build });
        self.nodes.len() - 1
    }

    fn flow<T>(&self, node: usize, way: usize, name: String, outlet: Outlet<T>) -> Flow<T> {
        let part = Part { node, way, rank: node as u16, name: name.clone(), outlet };
        self.flow_of(name, vec![part])
    }

    fn flow_of<T>(&self, name: String, parts: Vec<Part<T>>) -> Flow<T> {
        Flow { graph: Rc::clone(&self.identity), name, parts }
    }

    /// Starts the graph: one thread per stage, except where stages are [fused](Self::fuse).
    pub fn start(self) -> Result<Running, StartError> {
        assembly::start(self)
    }

    /// Makes the graph ready to be stepped by hand, without threads; pinning, fusing and idle strategy are left aside.
    pub fn stepper(self) -> Result<Stepper, GraphError> {
        assembly::stepper(self)
    }
}

/// A flow as seen by a node that takes it.
struct Source<T> {
    node: usize,
    way: usize,
    rank: u16,
    name: String,
    is_input: bool,
    outlet: Outlet<T>,
}

impl Default for Graph {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Graph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nodes: Vec<_> = self.nodes.iter().map(|node| &node.name).collect();
        f.debug_struct("Graph")
            .field("nodes", &nodes)
            .field("problems", &self.problems)
            .finish_non_exhaustive()
    }
}
