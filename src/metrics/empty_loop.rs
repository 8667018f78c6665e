//! The control: an open loop in which nothing happens. What it shows is what the machine does to any loop: interrupts,
//! other threads, a hypervisor.

use std::time::Duration;

use super::rounds::{Gate, Waiting, panicked, spawn};
use super::{Latencies, Schedule};
use crate::cores::{PinError, PinOutcome, PinPolicy};

/// What an empty loop went through.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Hiccups {
    /// The CPU that it was pinned to, if it was.
    pub cpu: Option<usize>,
    /// How much later than it was due each moment of the schedule was seen, in nanoseconds.
    pub late: Latencies,
}

/// Looks at the clock for `duration` and records how late each moment of `schedule` is seen, on each of `cpus` (a
/// thread each, at the same time). The percentiles are to be read beside those of a run with the same schedule: an
/// event there can be no earlier than an empty look here.
///
/// ```
/// use std::time::Duration;
/// use varpin::metrics::{Schedule, empty_loop};
/// let hiccups = empty_loop(&[None], Schedule::per_second(10_000.0), Duration::from_millis(5))?;
/// assert_eq!(hiccups[0].late.samples(), 50);
/// # Ok::<(), varpin::cores::PinError>(())
/// ```
pub fn empty_loop(
    cpus: &[Option<usize>],
    schedule: Schedule,
    duration: Duration,
) -> Result<Vec<Hiccups>, PinError> {
    let moments = schedule.events_in(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    let gate = Gate::new(cpus.len());
    let unable = |cpu: Option<usize>, reason: String| PinError {
        role: "the empty loop".to_owned(),
        cpu: cpu.unwrap_or_default(),
        reason,
    };
    std::thread::scope(|scope| {
        let mut threads = Vec::with_capacity(cpus.len());
        for &cpu in cpus {
            let gate = &gate;
            let thread = spawn(scope, gate, "empty loop", move || watch(gate, cpu, schedule, moments));
            let failed = |error| unable(cpu, format!("no thread could be started ({error})"));
            threads.push((cpu, thread.map_err(failed)?));
        }
        let join = |(cpu, thread): (Option<usize>, std::thread::ScopedJoinHandle<'_, Hiccups>)| {
            thread.join().map_err(|payload| unable(cpu, format!("panicked: {}", panicked(payload.as_ref()))))
        };
        threads.into_iter().map(join).collect()
    })
}

fn watch(gate: &Gate, cpu: Option<usize>, schedule: Schedule, moments: u64) -> Hiccups {
    let (clock, pinned) = gate.enter("the empty loop", cpu, PinPolicy::BestEffort);
    let cpu = match pinned {
        Ok(PinOutcome::Pinned(cpu)) => Some(cpu),
        _ => None,
    };
    let mut late = Latencies::new();
    let mut waiting = Waiting::default();
    let mut next = 0;
    while next < moments {
        let now_ns = clock.ns();
        // A loop that stood still is charged for every moment that has passed meanwhile.
        while next < moments && schedule.due_ns(next) <= now_ns {
            late.record_ns(now_ns - schedule.due_ns(next));
            next += 1;
        }
        waiting.pause_briefly();
    }
    Hiccups { cpu, late }
}
