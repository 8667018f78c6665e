//! Which event a result belongs to, and when that one was due. A result tells the number that the engine gave to the
//! event which caused it. That is the event's own number plus one, until ticks of timers, which are numbered too, come
//! between.

use varpin::metrics::Schedule;

/// In a closed loop one event of so many is looked at.
const EVERY: u64 = 64;
/// So many events that are looked at can be under way in a closed loop.
const SLOTS: usize = 1 << 16;
/// So many shifts by ticks are remembered.
const MOST_SHIFTS: usize = 1 << 20;

/// When events were due.
pub(super) struct Dues {
    known: Known,
    /// The event that is being fed: its number, and when it was due.
    current: (u64, u64),
    /// The engine's number of the last event fed.
    last_seq: u64,
    /// From the first of these on, the event of the second follows: both grow by one with each event.
    shifts: Vec<(u64, u64)>,
    /// Results before this are not known any more.
    forgotten: u64,
}

enum Known {
    /// The number of an event says it.
    Scheduled(Schedule),
    /// Of one event in `EVERY` it is remembered: its engine's number and when it was fed, by place.
    Sampled(Vec<(u64, u64)>),
}

impl Dues {
    /// Of an open loop.
    pub(super) fn scheduled(schedule: Schedule) -> Self {
        Self::new(Known::Scheduled(schedule))
    }

    /// Of a closed loop.
    pub(super) fn sampled() -> Self {
        Self::new(Known::Sampled(vec![(0, 0); SLOTS]))
    }

    fn new(known: Known) -> Self {
        Self { known, current: (0, 0), last_seq: 0, shifts: vec![(1, 0)], forgotten: 0 }
    }

    /// Whether the event with that number is looked at in a closed loop.
    #[inline]
    pub(super) fn is_sampled(number: u64) -> bool {
        number.is_multiple_of(EVERY)
    }

    /// The event with this number is about to be fed.
    #[inline]
    pub(super) fn feeding(&mut self, number: u64, due_ns: u64) {
        self.current = (number, due_ns);
    }

    /// It was fed, and the engine gave it the number `seq`.
    #[inline]
    pub(super) fn fed(&mut self, seq: u64) {
        let (number, due_ns) = self.current;
        match &mut self.known {
            Known::Scheduled(_) => {
                if seq != self.last_seq + 1 {
                    self.shift(seq, number);
                }
            }
            Known::Sampled(slots) => {
                if Self::is_sampled(number) {
                    slots[(number / EVERY) as usize % SLOTS] = (seq, due_ns);
                }
                if seq != self.last_seq + 1 {
                    self.shift(seq, number);
                }
            }
        }
        self.last_seq = seq;
    }

    #[cold]
    fn shift(&mut self, seq: u64, number: u64) {
        if self.shifts.len() == MOST_SHIFTS {
            // The older half is surely over, or else it is said.
            self.forgotten = self.shifts[MOST_SHIFTS / 2].0;
            self.shifts.drain(..MOST_SHIFTS / 2);
        }
        self.shifts.push((seq, number));
    }

    /// When the event that caused `seq` was due; none where that is not looked at, or not known any more.
    #[inline]
    pub(super) fn of(&self, seq: u64) -> Option<u64> {
        if seq > self.last_seq {
            // Of the event that is being fed, or of a tick before it.
            let (number, due_ns) = self.current;
            return match self.known {
                Known::Scheduled(_) => Some(due_ns),
                Known::Sampled(_) => Self::is_sampled(number).then_some(due_ns),
            };
        }
        let number = self.number(seq)?;
        match &self.known {
            Known::Scheduled(schedule) => Some(schedule.due_ns(number)),
            Known::Sampled(slots) => {
                let (known, due_ns) = slots[(number / EVERY) as usize % SLOTS];
                (Self::is_sampled(number) && known == seq).then_some(due_ns)
            }
        }
    }

    /// Which event caused `seq`: that one itself, or the one after a tick.
    #[inline]
    fn number(&self, seq: u64) -> Option<u64> {
        if let [(first, number)] = self.shifts[..] {
            return Some(number + (seq - first));
        }
        let behind = self.shifts.partition_point(|&(first, _)| first <= seq);
        let (first, number) = *self.shifts.get(behind.checked_sub(1)?)?;
        let next = self.shifts.get(behind).map_or(u64::MAX, |&(_, number)| number);
        Some((number + (seq - first)).min(next))
    }

    /// Whether nothing is known of `seq` any more.
    pub(super) fn has_lost(&self, seq: u64) -> bool {
        seq < self.forgotten
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_belong_to_their_event_also_where_ticks_are_numbered_in_between() {
        let mut dues = Dues::scheduled(Schedule::per_second(1e9));
        // Events 0 and 1; two ticks; events 2 and 3.
        for (number, seq) in [(0, 1), (1, 2), (2, 5), (3, 6)] {
            dues.feeding(number, number);
            if number == 2 {
                assert_eq!(
                    (dues.of(3), dues.of(4), dues.of(5)),
                    (Some(2), Some(2), Some(2)),
                    "while it is fed"
                );
            }
            dues.fed(seq);
        }
        let due: Vec<_> = (1..=6).map(|seq| dues.of(seq)).collect();
        assert_eq!(due, [0, 1, 2, 2, 2, 3].map(Some));
    }

    #[test]
    fn in_a_closed_loop_one_event_in_many_is_known_by_when_it_was_fed() {
        let mut dues = Dues::sampled();
        for number in 0..=EVERY {
            dues.feeding(number, 1_000 + number);
            dues.fed(number + 1);
        }
        assert_eq!((dues.of(1), dues.of(2), dues.of(EVERY + 1)), (Some(1_000), None, Some(1_000 + EVERY)));
    }
}
