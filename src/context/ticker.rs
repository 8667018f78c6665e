//! Timers: which ticks are due before an event of a given time. Pure: event time goes in, ticks come out.
//!
//! A timer ticks at every multiple of its interval of event time, behind the first event and up to the last, before
//! the event that moved the time there. So a replay repeats, and a tick is an input event like any other, with a
//! sequence number of its own.

use crate::event::{Keeps, Pieces, Row, Snapshot, SnapshotError, SnapshotReader, Value};
use crate::vpl::plan::{Plan, TICK_FIELD, TimerPlan};

/// The timers of a program.
#[derive(Clone, Debug, Default)]
pub struct Ticker {
    timers: Vec<Timer>,
    started: bool,
}

#[derive(Clone, Debug)]
struct Timer {
    plan: TimerPlan,
    slots: usize,
    /// Where somebody reads the time of a tick as its field.
    time_slot: Option<usize>,
    /// When it ticks next; none before the first event, and where time has no such point.
    next_ns: Option<i64>,
}

impl Ticker {
    /// The timers of `plan`, none of which ticks before an event has come.
    pub fn new(plan: &Plan) -> Self {
        let timer = |timer: &TimerPlan| {
            let shape = &plan.shapes[plan.names[timer.name].shape];
            Timer {
                plan: timer.clone(),
                slots: usize::from(shape.slots),
                time_slot: shape.field(TICK_FIELD).and_then(|field| field.slot).map(usize::from),
                next_ns: None,
            }
        };
        Self { timers: plan.timers.iter().map(timer).collect(), started: false }
    }

    /// The next tick that is due before an event at `time_ns`: call it until there is none.
    #[inline]
    pub fn due(&mut self, time_ns: i64) -> Option<Row> {
        if self.timers.is_empty() {
            return None;
        }
        self.find(time_ns)
    }

    fn find(&mut self, time_ns: i64) -> Option<Row> {
        if !self.started {
            self.started = true;
            for timer in &mut self.timers {
                timer.next_ns = first_tick(&timer.plan, time_ns);
            }
        }
        let due = self.timers.iter_mut().filter(|timer| timer.next_ns.is_some_and(|next| next <= time_ns));
        // The earliest; of several at one time the one declared first.
        let timer = due.min_by_key(|timer| timer.next_ns)?;
        let at = timer.next_ns?;
        timer.next_ns = at.checked_add(timer.plan.interval_ns);
        let mut tick = Row::new(timer.plan.name as u32, at, timer.slots);
        if let Some(slot) = timer.time_slot {
            tick.set(slot, Value::Timestamp(at));
        }
        Some(tick)
    }
}

impl Keeps for Ticker {
    fn save(&mut self, out: &mut Vec<u8>) {
        let Self { timers, started } = self;
        started.write(out);
        for Timer { plan: _, slots: _, time_slot: _, next_ns } in timers {
            next_ns.write(out);
        }
    }

    fn save_more(&mut self, _pieces: &mut Pieces) {}

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.started = Snapshot::read(from)?;
        for timer in &mut self.timers {
            timer.next_ns = Snapshot::read(from)?;
        }
        Ok(())
    }
}

/// The first multiple of the interval behind the first event, or behind the delay after it.
fn first_tick(timer: &TimerPlan, first_event_ns: i64) -> Option<i64> {
    let behind = first_event_ns.checked_add(timer.initial_delay_ns)?;
    let multiple = behind.checked_sub(behind.rem_euclid(timer.interval_ns))?;
    let is_at_the_delay = multiple == behind && timer.initial_delay_ns > 0;
    if is_at_the_delay { Some(multiple) } else { multiple.checked_add(timer.interval_ns) }
}

#[cfg(test)]
mod tests {
    use super::{TimerPlan, first_tick};

    #[test]
    fn ticks_are_multiples_of_the_interval_behind_the_first_event() {
        let table = [
            (10, 0, 0, Some(10)),
            (10, 0, 3, Some(10)),
            (10, 0, 10, Some(20)),
            (10, 0, -3, Some(0)),
            (10, 25, 0, Some(30)),
            (10, 20, 0, Some(20)),
            (10, 0, i64::MAX, None),
        ];
        for (interval_ns, initial_delay_ns, first_event_ns, expected) in table {
            let timer = TimerPlan { name: 0, interval_ns, initial_delay_ns };
            assert_eq!(first_tick(&timer, first_event_ns), expected, "{timer:?} after {first_event_ns}");
        }
    }
}
