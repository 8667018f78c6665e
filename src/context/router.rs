//! The router: numbers what comes in and sends each row to every stage that takes its name.

use crate::event::Row;
use crate::flow::{OutPort, PendingFull, RingLeft};

use super::ticker::Ticker;

/// Numbers rows and sends them on.
pub struct Router {
    ports: Vec<OutPort<Row>>,
    /// By name: the ports that rows of this name go through.
    routes: Vec<Box<[usize]>>,
    ticker: Ticker,
    /// Some port must not let anything pend.
    can_overrun: bool,
    last_seq: u64,
    events: u64,
}

impl Router {
    /// A router with a port for each edge that leaves the input; `routes` says for each name through which of them
    /// its rows go.
    pub fn new(ports: Vec<OutPort<Row>>, routes: Vec<Vec<usize>>, ticker: Ticker) -> Self {
        let routes = routes.into_iter().map(Into::into).collect();
        let can_overrun = ports.iter().any(|port| !port.can_pend());
        Self { ports, routes, ticker, can_overrun, last_seq: 0, events: 0 }
    }

    /// Whether `row` has to go through a port that is full and must not let anything pend: sent all the same, it would
    /// be lost there.
    #[inline]
    pub fn would_overrun(&mut self, row: &Row) -> bool {
        self.can_overrun && self.is_overrun(row)
    }

    fn is_overrun(&mut self, row: &Row) -> bool {
        let overrun = |router: &mut Self| {
            let route = router.routes.get(row.type_id() as usize).map_or(&[][..], |route| route);
            route.iter().any(|&port| !router.ports[port].can_pend() && !router.ports[port].has_room())
        };
        if !overrun(self) {
            return false;
        }
        // What was pushed and not published takes room, too, and nobody could make any. The error is of no use here:
        // ports that can pend have room for this, and in front of the others nothing pends.
        let _: Result<usize, PendingFull> = self.flush();
        overrun(self)
    }

    /// Sends the ticks that are due before an event at `time_ns`, as far as there is room. True when there are no
    /// more: the event can be sent then.
    #[inline]
    pub fn send_ticks(&mut self, time_ns: i64) -> bool {
        while !self.is_blocked() {
            match self.ticker.due(time_ns) {
                Some(mut tick) => self.number_and_send(&mut tick),
                None => return true,
            }
        }
        false
    }

    /// Sends the ticks that are due before an event at `time_ns`, all of them: what finds no room pends.
    pub fn send_all_ticks(&mut self, time_ns: i64) {
        while let Some(mut tick) = self.ticker.due(time_ns) {
            self.number_and_send(&mut tick);
        }
    }

    /// Gives `row` the next sequence number and sends it. What finds no room pends: look at
    /// [`is_blocked`](Self::is_blocked) first.
    #[inline]
    pub fn send(&mut self, row: &mut Row) {
        self.events += 1;
        self.number_and_send(row);
    }

    #[inline]
    fn number_and_send(&mut self, row: &mut Row) {
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

    /// How many events have come in.
    pub fn events(&self) -> u64 {
        self.events
    }

    /// The number of the last row that was sent, ticks included; 0 before the first.
    #[inline]
    pub fn last_seq(&self) -> u64 {
        self.last_seq
    }

    /// Closes the rings and tells what each leaves behind.
    pub fn close(&mut self, mut left: impl FnMut(RingLeft)) {
        for port in &mut self.ports {
            left(port.close());
        }
    }
}
