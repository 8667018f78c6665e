//! All the writing ends that a stage has, handled together.

use super::item::{CloneInto, Ordered};
use super::out_port::{OutPort, PendingFull, RingLeft};
use crate::ring::WhenFull;

/// All ports of a stage.
///
/// ```
/// use varpin::flow::{Envelope, OutPort, Ports};
/// let (sender, _receiver) = varpin::ring::bounded(4);
/// let mut ports: Ports<Envelope<u32>> = vec![OutPort::new("a -> b", sender)].into();
/// ports.send_to_all(&Envelope::new(1, 1, 0, 7));
/// assert_eq!(ports.flush(), Ok(1));
/// ```
#[derive(Debug)]
pub struct Ports<T>(Vec<OutPort<T>>);

impl<T> From<Vec<OutPort<T>>> for Ports<T> {
    fn from(ports: Vec<OutPort<T>>) -> Self {
        Self(ports)
    }
}

impl<T: Ordered> Ports<T> {
    /// The port with this number.
    #[inline]
    pub fn port(&mut self, index: usize) -> &mut OutPort<T> {
        &mut self.0[index]
    }

    /// Adds a port, in the place of a retired one where there is one; returns its number.
    pub fn add(&mut self, port: OutPort<T>) -> usize {
        if let Some(retired) = self.0.iter().position(OutPort::is_retired) {
            self.0[retired] = port;
            return retired;
        }
        self.0.push(port);
        self.0.len() - 1
    }

    /// Closes a port for good, and with it its ring; the others keep their numbers.
    pub fn retire(&mut self, index: usize) -> RingLeft {
        let left = self.0[index].close();
        self.0[index] = OutPort::retired();
        left
    }

    /// How many ports there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Sends a clone of `item` to every port.
    #[inline]
    pub fn send_to_all(&mut self, item: &T)
    where
        T: CloneInto,
    {
        for port in &mut self.0 {
            port.send(item);
        }
    }

    /// Sends `item` to every port; only the last one needs no clone.
    #[inline]
    pub fn send_owned_to_all(&mut self, item: T)
    where
        T: CloneInto,
    {
        if let Some((last, others)) = self.0.split_last_mut() {
            for port in others {
                port.send(&item);
            }
            last.send_owned(item);
        }
    }

    /// Whether one more item can be sent to every port now without pending or being dropped.
    #[inline]
    pub fn have_room(&mut self) -> bool {
        self.0.iter_mut().all(OutPort::has_room)
    }

    /// Whether one of them refuses one more item now, because its ring is full and its policy this one.
    #[inline]
    pub fn refuse(&mut self, policy: WhenFull) -> bool {
        self.0.iter_mut().any(|port| port.policy() == policy && !port.has_room())
    }

    /// Takes back what was sent in `round`; see [`OutPort::rewind`].
    pub fn rewind(&mut self, round: u64) {
        for port in &mut self.0 {
            port.rewind(round);
        }
    }

    /// Flushes every port; see [`OutPort::flush`].
    #[inline]
    pub fn flush(&mut self) -> Result<usize, PendingFull> {
        let mut published = 0;
        for port in &mut self.0 {
            published += port.flush()?;
        }
        Ok(published)
    }

    /// Tells every port how far the stage has come; see [`OutPort::note_progress`].
    #[inline]
    pub fn note_progress(&mut self, frontier: u64) {
        for port in &mut self.0 {
            port.note_progress(frontier);
        }
    }

    /// True while one of them is blocked: the stage takes no more input.
    #[inline]
    pub fn are_blocked(&self) -> bool {
        self.0.iter().any(OutPort::is_blocked)
    }

    /// True once nothing pends in front of any of them; see [`OutPort::is_settled`].
    #[inline]
    pub fn are_settled(&self) -> bool {
        self.0.iter().all(OutPort::is_settled)
    }

    /// How many items a duty cycle should take at most; see [`OutPort::batch_limit`].
    pub fn batch_limit(&self, limit: usize) -> usize {
        self.0.iter().fold(limit, |limit, port| port.batch_limit(limit))
    }

    /// How many items were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.0.iter().map(OutPort::dropped).sum()
    }

    /// True if there are ports and nobody is left to receive from any of them.
    #[inline]
    pub fn are_closed(&self) -> bool {
        let mut ports = self.0.iter().filter(|port| !port.is_retired()).peekable();
        ports.peek().is_some() && ports.all(OutPort::is_closed)
    }

    /// Closes every port; see [`OutPort::close`].
    pub fn close_each(&mut self, mut report: impl FnMut(RingLeft)) {
        for port in &mut self.0 {
            report(port.close());
        }
    }
}
