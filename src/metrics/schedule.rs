//! When the events of an open loop are due: a pure function of their number.

/// Events at a fixed rate. What is measured counts from when an event was due, whenever it was really sent.
///
/// ```
/// use varpin::metrics::Schedule;
/// let schedule = Schedule::per_second(1_000_000.0);
/// assert_eq!(schedule.due_ns(0), 0);
/// assert_eq!(schedule.due_ns(1_500), 1_500_000);
/// // How many are due within the first ten microseconds, those at both ends included.
/// assert_eq!(schedule.due_by(10_000), 11);
/// assert_eq!(schedule.events_in(1_000_000_000), 1_000_000);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    period_ns: f64,
}

impl Schedule {
    /// So many events a second, evenly spaced; at least one in 10^9 seconds, at most 10^9 a second.
    pub fn per_second(rate: f64) -> Self {
        Self { period_ns: 1e9 / rate.clamp(1e-9, 1e9) }
    }

    /// The rate, in events per second.
    pub fn rate(&self) -> f64 {
        1e9 / self.period_ns
    }

    /// When the event with this number (from 0) is due, in nanoseconds from the start.
    #[inline]
    pub fn due_ns(&self, number: u64) -> u64 {
        // Exact to a nanosecond for 100 days of events.
        (number as f64 * self.period_ns) as u64
    }

    /// How many events are due up to that time, the one at time 0 included.
    pub fn due_by(&self, time_ns: u64) -> u64 {
        let mut count = (time_ns as f64 / self.period_ns) as u64 + 1;
        // Rounding can be off by one in either direction.
        while count > 0 && self.due_ns(count - 1) > time_ns {
            count -= 1;
        }
        while self.due_ns(count) <= time_ns {
            count += 1;
        }
        count
    }

    /// How many events are due before that time has passed.
    pub fn events_in(&self, time_ns: u64) -> u64 {
        if time_ns == 0 { 0 } else { self.due_by(time_ns - 1) }
    }
}
