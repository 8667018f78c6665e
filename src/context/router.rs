//! The router: numbers what comes in and sends each row to every stage that takes its name.

use crate::event::Row;
use crate::flow::{OutPort, PendingFull, RingLeft};
use crate::ring::WhenFull;

use super::entry::Entry;
use super::live::LiveClock;
use super::ticker::Ticker;

/// Numbers rows and sends them on.
pub struct Router {
    ports: Vec<OutPort<Row>>,
    /// By name: the ports that rows of this name go through.
    routes: Vec<Box<[usize]>>,
    ticker: Ticker,
    /// In a live engine.
    live: Option<LiveClock>,
    /// Some port's policy is `error`.
    can_overrun: bool,
    /// Some port's policy is to drop something.
    can_drop: bool,
    last_seq: u64,
    events: u64,
}

impl Router {
    /// A router with a port for each edge that leaves the input; `routes` says for each name through which of them
    /// its rows go.
    pub fn new(ports: Vec<OutPort<Row>>, routes: Vec<Vec<usize>>, ticker: Ticker) -> Self {
        let routes = routes.into_iter().map(Into::into).collect();
        let can_overrun = ports.iter().any(|port| port.policy() == WhenFull::Error);
        let can_drop = ports.iter().any(|port| port.policy().drops());
        Self { ports, routes, ticker, live: None, can_overrun, can_drop, last_seq: 0, events: 0 }
    }

    /// Lets the clock move time, and not the events.
    #[must_use]
    pub fn live(mut self, clock: Option<LiveClock>) -> Self {
        self.live = clock;
        self
    }

    /// Whether `row` has to go through a port that is full and whose policy is `error`: sent all the same, it would be
    /// lost there.
    #[inline]
    pub fn would_overrun(&mut self, row: &Row) -> bool {
        self.can_overrun && self.finds_no_room(row, |policy| policy == WhenFull::Error)
    }

    /// Whether something would be dropped for `row` now.
    #[inline]
    pub fn would_drop(&mut self, row: &Row) -> bool {
        self.can_drop && self.finds_no_room(row, WhenFull::drops)
    }

    fn finds_no_room(&mut self, row: &Row, is_asked: impl Fn(WhenFull) -> bool) -> bool {
        let is_full = |router: &mut Self| {
            let route = router.routes.get(row.type_id() as usize).map_or(&[][..], |route| route);
            route.iter().any(|&port| is_asked(router.ports[port].policy()) && !router.ports[port].has_room())
        };
        if !is_full(self) {
            return false;
        }
        // What was pushed and not published takes room, too, and nobody could make any. The error is of no use here:
        // what pends has its place already.
        let _: Result<usize, PendingFull> = self.flush();
        is_full(self)
    }

    /// Sends the ticks that are due before an event, as far as there is room. True when there are no more: the
    /// event can be sent then. Live, one that brings no time has one now.
    #[inline]
    pub fn send_ticks(&mut self, event: &mut Row) -> bool {
        if self.live.is_some() {
            return self.send_ticks_live(event);
        }
        self.send_timer_ticks(event.time_ns())
    }

    #[inline]
    fn send_timer_ticks(&mut self, time_ns: i64) -> bool {
        while !self.is_blocked() {
            match self.ticker.due(time_ns) {
                Some(mut tick) => self.number_and_send(&mut tick),
                None => return true,
            }
        }
        false
    }

    /// Sends the ticks that are due before an event, all of them: what finds no room pends.
    pub fn send_all_ticks(&mut self, event: &mut Row) {
        if self.live.is_some() {
            // Where there is no room the clock waits for the next event.
            let _told: bool = self.send_ticks_live(event);
            return self.stamp(event);
        }
        while let Some(mut tick) = self.ticker.due(event.time_ns()) {
            self.number_and_send(&mut tick);
        }
    }

    fn send_ticks_live(&mut self, event: &mut Row) -> bool {
        let due = self.live.as_mut().and_then(LiveClock::before_event);
        let told = due.is_none_or(|now_ns| self.send_clock(now_ns));
        if told {
            self.stamp(event);
        }
        told
    }

    /// Gives an event its time, if it brings none.
    fn stamp(&self, event: &mut Row) {
        if let Some(live) = &self.live
            && event.time_ns() == Row::UNTIMED
        {
            event.set_time_ns(live.now_ns());
        }
    }

    /// Live, where no event comes: tells the time, if that is due and there is room. True if it did; to be
    /// published then.
    pub fn tick(&mut self) -> bool {
        let Some(now_ns) = self.live.as_mut().and_then(LiveClock::while_idle) else { return false };
        self.send_clock(now_ns)
    }

    /// Tells every stage that it is `now_ns`, behind what timers have to say up to then. False where there is no
    /// room for it now.
    fn send_clock(&mut self, now_ns: i64) -> bool {
        // Where a full ring is an error, a tick waits for room: being told the time is no overload. Where rows are
        // dropped, the next tick tells as much as one that finds no room.
        let has_room = |port: &mut OutPort<Row>| port.policy() != WhenFull::Error || port.has_room();
        if self.can_overrun && !self.ports.iter_mut().all(has_room) {
            return false;
        }
        if !self.send_timer_ticks(now_ns) {
            return false;
        }
        self.last_seq += 1;
        let clock = Row::clock(self.last_seq, now_ns);
        for port in &mut self.ports {
            port.send(&clock);
        }
        if let Some(live) = &mut self.live {
            live.ticked();
        }
        true
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

    /// What a checkpoint has of it.
    pub fn entry(&mut self) -> Entry<'_> {
        let Self { ticker, live, last_seq, events, .. } = self;
        Entry { last_seq, events, ticker, live }
    }

    /// Sends the barrier of a checkpoint: everything that was sent up to now is before it.
    pub fn send_checkpoint(&mut self, checkpoint: u64) {
        let barrier = Row::checkpoint(self.last_seq, checkpoint);
        for port in &mut self.ports {
            port.send(&barrier);
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

    /// Whether nothing pends: all that was sent is on the rings, or was dropped.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.ports.iter().all(OutPort::is_settled)
    }

    /// Whether everybody who has to know how far the input has come has been told.
    pub fn has_told(&self) -> bool {
        self.ports.iter().all(OutPort::has_told)
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
