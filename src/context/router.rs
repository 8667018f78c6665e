//! The router: numbers what comes in and sends each row to every stage that takes its name.

use crate::event::Row;
use crate::flow::{OutPort, PendingFull, RingLeft};

/// Numbers rows and sends them on.
pub struct Router {
    ports: Vec<OutPort<Row>>,
    /// By name: the ports that rows of this name go through.
    routes: Vec<Box<[usize]>>,
    last_seq: u64,
}

impl Router {
    /// A router with a port for each edge that leaves the input; `routes` says for each name through which of them its rows go.
    pub fn new(ports: Vec<OutPort<Row>>, routes: Vec<Vec<usize>>) -> Self {
        Self { ports, routes: routes.into_iter().map(Into::into).collect(), last_seq: 0 }
    }

    /// Gives `row` the next sequence number and sends it. What finds no room pends: look at [`is_blocked`](Self::is_blocked) first.
    #[inline]
    pub fn send(&mut self, row: &mut Row) {
        self.last_seq += 1;
        row.set_seq(self.last_seq);
        row.set_rank(0);
        if let Some(route) = self.routes.get(row.type_id() as usize) {
            for &port in route {
                self.ports[port].send(row);
            }
        }
    }

    /// Publishes what was sent and tells how far the input has come. Returns how many rows that were.
    #[inline]
    pub fn flush(&mut self) -> Result<usize, PendingFull> {
        let mut published = 0;
        for port in &mut self.ports {
            port.note_progress(self.last_seq);
            published += port.flush()?;
        }
        Ok(published)
    }

    /// Whether a ring is full: nothing more should be sent until a flush has made room.
    #[inline]
    pub fn is_blocked(&self) -> bool {
        self.ports.iter().any(OutPort::is_blocked)
    }

    /// Whether nobody takes anything any more.
    #[inline]
    pub fn is_closed(&self) -> bool {
        !self.ports.is_empty() && self.ports.iter().all(OutPort::is_closed)
    }

    /// How many rows have come in.
    pub fn rows(&self) -> u64 {
        self.last_seq
    }

    /// Closes the rings and tells what each leaves behind.
    pub fn close(&mut self, mut left: impl FnMut(RingLeft)) {
        for port in &mut self.ports {
            left(port.close());
        }
    }
}
