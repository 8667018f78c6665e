//! Pools: several workers that run the same operator, each on a thread of its own.
//!
//! A pool is a stage that scatters items, and a stage for each worker. There is none that collects: each worker has
//! a ring of its own to everybody who takes the pool's flow, and the merge there, in the graph's order, is the one
//! that is needed anyway.
//!
//! Under [`MergeOrder::Deterministic`](super::super::MergeOrder::Deterministic) the pool gives what a single stage
//! would. Items of one sequence number (a stage in front can make several of one item) may go to several workers; so
//! each is given its *place* among them when it is scattered, which everything that a worker makes of it keeps, and
//! a merge takes what agrees in sequence number and rank by place.

use super::super::partition::way_of;
use super::operator::{ByClosure, END_SEQ, Operator, Out};
use super::problem::GraphProblem;
use super::{Flow, Graph, Part};

/// Who of a pool gets an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum To {
    /// The worker of this key: always the same one, by [`way_of`]. Items of one key stay in order.
    Key(u64),
    /// Whoever's turn it is. For operators that keep nothing from one item to the next.
    Next,
    /// Everybody: what each has to know, such as reference data. Only what the first worker sends in answer leaves
    /// the pool, so that each result comes once.
    All,
}

/// An item on its way to a worker.
#[derive(Clone, Debug)]
struct Job<T> {
    value: T,
    /// Its place among the items of its sequence number, from 1.
    place: u32,
    /// Somebody else gets it, too, and answers.
    is_echo: bool,
}

/// What workers say at the end comes behind all that they make of items: from this place on, worker by worker.
const END_PLACES: u32 = 1 << 31;

/// Hands items to workers.
struct Scatter<F> {
    to: F,
    workers: usize,
    /// Whose turn it is.
    turn: usize,
    seq: u64,
    place: u32,
}

impl<T: Clone, F: FnMut(&T) -> To + Send> Operator<T, Job<T>> for Scatter<F> {
    #[inline]
    fn item(&mut self, item: &T, out: &mut Out<'_, Job<T>>) {
        if out.seq() != self.seq {
            (self.seq, self.place) = (out.seq(), 0);
        }
        self.place = (self.place + 1).min(END_PLACES - 1);
        let job = |is_echo| Job { value: item.clone(), place: self.place, is_echo };
        match (self.to)(item) {
            To::Key(key) => out.send_to(way_of(key, self.workers), job(false)),
            To::Next => {
                out.send_to(self.turn, job(false));
                self.turn = (self.turn + 1) % self.workers;
            }
            To::All => (0..self.workers).for_each(|worker| out.send_to(worker, job(worker > 0))),
        }
    }
}

/// An operator in a pool.
struct Pooled<O> {
    operator: O,
    worker: u32,
}

impl<T, U, O: Operator<T, U>> Operator<Job<T>, U> for Pooled<O> {
    #[inline]
    fn item(&mut self, job: &Job<T>, out: &mut Out<'_, U>) {
        out.place = job.place;
        out.is_muted = job.is_echo;
        self.operator.item(&job.value, out);
    }

    fn end(&mut self, out: &mut Out<'_, U>) {
        out.place = END_PLACES + self.worker;
        self.operator.end(out);
    }
}

impl Graph {
    /// Adds a pool: `workers` stages that do the same. `to` says who gets an item; `make` makes each worker's
    /// closure, from its number. The pool is merged, in the graph's order, wherever its flow is taken.
    ///
    /// The stage that scatters is called `name`, the workers `name.0`, `name.1`, ..: [`pin`](Self::pin) and
    /// [`fuse`](Self::fuse) take these names, [`when_full`](Self::when_full) takes `name`, for the rings that lead
    /// to the pool.
    ///
    /// With [`To::Key`], everything that is made of items of one key stays in order, whatever the graph's order.
    /// Under [`MergeOrder::Deterministic`](crate::flow::MergeOrder::Deterministic) the pool's flow is that of a
    /// single stage, item for item, if what a worker makes of an item depends on nothing but items of the same key
    /// and those for all.
    ///
    /// ```
    /// use std::collections::HashMap;
    /// use varpin::flow::{Graph, MergeOrder, To};
    /// let mut graph = Graph::new().order(MergeOrder::Deterministic);
    /// let (mut input, words) = graph.input::<&str>("words");
    /// let counted = graph.pool(
    ///     "count",
    ///     &words,
    ///     3,
    ///     |word| To::Key(word.len() as u64),
    ///     |_worker| {
    ///         let mut seen = HashMap::new();
    ///         move |word: &&'static str, out| {
    ///             let count = seen.entry(*word).or_insert(0);
    ///             *count += 1;
    ///             out.send((*word, *count));
    ///         }
    ///     },
    /// );
    /// let mut output = graph.output("counts", &counted);
    /// let mut stepper = graph.stepper()?;
    /// for word in ["to", "be", "or", "not", "to", "be"] {
    ///     input.try_push(word).unwrap();
    /// }
    /// input.close();
    /// while !stepper.is_done() {
    ///     stepper.step();
    /// }
    /// let counts: Vec<_> = std::iter::from_fn(|| output.pop().ok()).collect();
    /// assert_eq!(counts, [("to", 1), ("be", 1), ("or", 1), ("not", 1), ("to", 2), ("be", 2)]);
    /// # Ok::<(), varpin::flow::GraphError>(())
    /// ```
    pub fn pool<'a, T, U, F>(
        &mut self,
        name: impl Into<String>,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
        workers: usize,
        to: impl FnMut(&T) -> To + Send + 'static,
        mut make: impl FnMut(usize) -> F,
    ) -> Flow<U>
    where
        T: Clone + Send + 'static,
        U: Clone + Send + 'static,
        F: FnMut(&T, &mut Out<'_, U>) + Send + 'static,
    {
        self.pool_of(name, sources, workers, to, |worker| ByClosure(make(worker)))
    }

    /// Adds a [`pool`](Self::pool) of operators of one's own. What they say at the end comes worker by worker,
    /// behind everything else.
    pub fn pool_of<'a, T, U, O>(
        &mut self,
        name: impl Into<String>,
        sources: impl IntoIterator<Item = &'a Flow<T>>,
        workers: usize,
        to: impl FnMut(&T) -> To + Send + 'static,
        mut make: impl FnMut(usize) -> O,
    ) -> Flow<U>
    where
        T: Clone + Send + 'static,
        U: Clone + Send + 'static,
        O: Operator<T, U> + 'static,
    {
        let name = name.into();
        if workers == 0 {
            self.problems.push(GraphProblem::Zero { setting: "number of workers of a pool" });
        }
        let workers = workers.max(1);
        let scatter = Scatter { to, workers, turn: 0, seq: END_SEQ, place: 0 };
        let (pool, outlets) = self.add_operator(name.clone(), sources, scatter, workers, None);
        let worker = |(worker, outlet)| {
            let jobs = self.flow(pool, worker, name.clone(), outlet);
            let operator = Pooled { operator: make(worker), worker: worker as u32 };
            let own_name = format!("{name}.{worker}");
            let (node, mut outlets) = self.add_operator(own_name.clone(), &jobs, operator, 1, Some(pool));
            Part {
                node,
                way: 0,
                rank: pool as u16,
                name: own_name,
                outlet: outlets.pop().unwrap_or_default(),
            }
        };
        let parts = outlets.into_iter().enumerate().map(worker).collect();
        self.flow_of(name, parts)
    }
}
