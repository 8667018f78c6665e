//! What an embedder's code does to items, and the stage around it.

use super::super::fan_in::FanIn;
use super::super::item::Envelope;
use super::super::out_port::PendingFull;
use super::super::ports::Ports;
use super::super::stage::{Cycle, Leftovers, Stage};
use std::ops::Range;

/// The sequence number of what operators emit when their inputs have ended: behind everything else.
pub const END_SEQ: u64 = u64::MAX - 1;

/// What a stage does to each item. Any `FnMut(&T, &mut Out<U>)` can be passed to [`Graph::stage`](super::Graph::stage);
/// implement this for an operator that has more to say when its inputs have ended.
///
/// ```
/// use varpin::flow::{Graph, Operator, Out};
/// struct Sum(u64);
/// impl Operator<u64, u64> for Sum {
///     fn item(&mut self, item: &u64, _out: &mut Out<'_, u64>) {
///         self.0 += item;
///     }
///     fn end(&mut self, out: &mut Out<'_, u64>) {
///         out.send(self.0);
///     }
/// }
/// let mut graph = Graph::new();
/// let (mut input, numbers) = graph.input("numbers");
/// let sum = graph.operator("sum", &numbers, Sum(0));
/// let mut output = graph.output("total", &sum);
/// let mut stepper = graph.stepper()?;
/// for n in 1..=4 {
///     input.try_push(n).unwrap();
/// }
/// input.close();
/// while !stepper.is_done() {
///     stepper.step();
/// }
/// assert_eq!(output.pop(), Ok(10));
/// # Ok::<(), varpin::flow::GraphError>(())
/// ```
pub trait Operator<T, U>: Send {
    /// Handles one item.
    fn item(&mut self, item: &T, out: &mut Out<'_, U>);

    /// Called once, after the last item.
    fn end(&mut self, out: &mut Out<'_, U>) {
        let _ = out;
    }
}

/// A closure as an operator.
pub(super) struct ByClosure<F>(pub(super) F);

impl<T, U, F: FnMut(&T, &mut Out<'_, U>) + Send> Operator<T, U> for ByClosure<F> {
    #[inline]
    fn item(&mut self, item: &T, out: &mut Out<'_, U>) {
        (self.0)(item, out);
    }
}

/// Where an operator sends what it makes of an item.
#[derive(Debug)]
pub struct Out<'a, U> {
    ports: &'a mut Ports<Envelope<U>>,
    /// Which ports belong to which way out; most stages have one way.
    ways: &'a [Range<usize>],
    seq: u64,
    rank: u16,
    time_ns: i64,
    /// In a pool: the place of what is handled among the items of its sequence number.
    pub(super) place: u32,
    /// In a pool: somebody else answers.
    pub(super) is_muted: bool,
}

impl<U: Clone> Out<'_, U> {
    /// Sends `value` to every stage that takes this one's output, with the sequence number and the time of the item
    /// that is being handled. Never waits: what the rings can't take now is kept, and the stage gets no new item
    /// before it is gone.
    #[inline]
    pub fn send(&mut self, value: U) {
        self.send_to(0, value);
    }

    /// Sends `value` with an event time of its own, in nanoseconds since the epoch.
    #[inline]
    pub fn send_at(&mut self, value: U, time_ns: i64) {
        let time_of_item = std::mem::replace(&mut self.time_ns, time_ns);
        self.send(value);
        self.time_ns = time_of_item;
    }

    #[inline]
    pub(super) fn send_to(&mut self, way: usize, value: U) {
        let Self { seq, time_ns, rank, place, .. } = *self;
        let envelope = Envelope { seq, time_ns, rank, place, value: Some(value) };
        let Range { start, end } = self.ways[way];
        if start == end || self.is_muted {
            return;
        }
        for port in start..end - 1 {
            self.ports.port(port).send(&envelope);
        }
        self.ports.port(end - 1).send_owned(envelope);
    }

    /// The sequence number of the item that is being handled: its number at its input, from 1.
    #[inline]
    pub fn seq(&self) -> u64 {
        self.seq
    }

    /// The event time of the item that is being handled, in nanoseconds since the epoch.
    #[inline]
    pub fn time_ns(&self) -> i64 {
        self.time_ns
    }
}

/// An operator between rings.
pub(super) struct OperatorStage<T, U, O> {
    pub(super) name: String,
    pub(super) rank: u16,
    pub(super) fan_in: FanIn<Envelope<T>>,
    /// The lanes whose writing end is an [`Input`](super::Input).
    pub(super) input_lanes: Vec<usize>,
    pub(super) ports: Ports<Envelope<U>>,
    pub(super) ways: Vec<Range<usize>>,
    pub(super) operator: O,
    /// How many items one duty cycle handles at most.
    pub(super) batch_limit: usize,
    /// The operator was told that its inputs have ended.
    pub(super) ended: bool,
    /// Event time of the last item.
    pub(super) time_ns: i64,
}

impl<T, U: Clone, O: Operator<T, U>> OperatorStage<T, U, O> {
    fn cycle(&mut self) -> Result<Cycle, PendingFull> {
        let mut work = self.ports.flush()?;
        if self.ports.are_closed() {
            return Ok(Cycle::Done);
        }
        if !self.ended {
            work += self.take();
            work += self.ports.flush()?;
        }
        if self.ended && !self.ports.are_blocked() {
            return Ok(Cycle::Done);
        }
        Ok(Cycle::of(work))
    }

    /// Handles what there is, up to the limit.
    fn take(&mut self) -> usize {
        let Self { rank, fan_in, ports, ways, operator, batch_limit, time_ns, .. } = self;
        let was_blocked = ports.are_blocked();
        let handle = |_lane: usize, item: &Envelope<T>| {
            if let Some(value) = &item.value {
                *time_ns = item.time_ns;
                let (seq, time_ns) = (item.seq, item.time_ns);
                let mut out = Out { ports, ways, seq, rank: *rank, time_ns, place: 0, is_muted: false };
                operator.item(value, &mut out);
            }
            !ports.are_blocked()
        };
        let drained = if was_blocked {
            fan_in.finish_started(*batch_limit, handle)
        } else {
            fan_in.drain(*batch_limit, handle)
        };
        if drained.ended {
            let (seq, time_ns) = (END_SEQ, *time_ns);
            let mut out = Out { ports, ways, seq, rank: *rank, time_ns, place: 0, is_muted: false };
            operator.end(&mut out);
            self.ended = true;
        }
        // What the operator says at its end is still to come, even if nothing else is.
        let limit = if self.ended { u64::MAX } else { END_SEQ - 1 };
        self.ports.note_progress(self.fan_in.frontier().min(limit));
        drained.taken + drained.signals
    }
}

impl<T, U, O> Stage for OperatorStage<T, U, O>
where
    T: Clone + Send,
    U: Clone + Send,
    O: Operator<T, U>,
{
    fn name(&self) -> &str {
        &self.name
    }

    fn duty_cycle(&mut self) -> Cycle {
        self.cycle().unwrap_or_else(|full| Cycle::Failed(full.to_string()))
    }

    fn end_inputs(&mut self) {
        for &lane in &self.input_lanes {
            self.fan_in.end_lane(lane);
        }
    }

    fn close(&mut self, leftovers: &mut Leftovers) {
        self.ports.close_each(|ring| leftovers.ring(ring));
        self.fan_in.close(&self.name, leftovers);
    }
}
