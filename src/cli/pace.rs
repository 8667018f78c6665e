//! Replaying events at the distances of their times.

use std::time::{Duration, Instant};

/// When events are due: the first at once, each later one as long after it as its time is after the first's.
#[derive(Debug, Default)]
pub(super) struct Pace {
    first: Option<(Instant, i64)>,
}

impl Pace {
    /// How long after `now` an event at `time_ns` is due; none if it is due already, as an event out of order is.
    pub(super) fn wait_for(&mut self, time_ns: i64, now: Instant) -> Option<Duration> {
        let (start, first_ns) = *self.first.get_or_insert((now, time_ns));
        let after_ns = u64::try_from(time_ns.saturating_sub(first_ns)).unwrap_or(0);
        let due = start.checked_add(Duration::from_nanos(after_ns))?;
        due.checked_duration_since(now).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_due_at_the_distance_of_their_times() {
        let start = Instant::now();
        let mut pace = Pace::default();
        assert_eq!(pace.wait_for(1_000, start), None);
        assert_eq!(pace.wait_for(3_500, start), Some(Duration::from_nanos(2_500)));
        assert_eq!(pace.wait_for(3_500, start + Duration::from_nanos(2_501)), None);
        assert_eq!(pace.wait_for(500, start), None, "an event from before the first");
    }
}
