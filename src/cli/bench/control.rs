//! What the machine does to a loop in which nothing happens, beside a run: during it, on a CPU that it leaves alone;
//! where there is none, before and after it, on its own.

use std::time::Duration;

use varpin::metrics::{Latencies, Schedule, empty_loop};

use super::args::Rate;
use super::report::{HiccupReport, Series};
use super::settings::Settings;

/// The schedule of the control where the run has none.
const USUAL_RATE: f64 = 1e6;
/// Of the run, how much the control takes before and after it each; and the least.
const PART: u32 = 10;
const LEAST: Duration = Duration::from_millis(200);

/// Does `run`, with an empty loop beside it. What went wrong with the loop is said in words.
pub(super) fn beside<T>(
    settings: &Settings,
    rate: Rate,
    run: impl FnOnce() -> T,
) -> (T, Vec<HiccupReport>, Option<String>) {
    let schedule = Schedule::per_second(match rate {
        Rate::Max => USUAL_RATE,
        Rate::Open(rate) => rate,
    });
    let own = settings.pinned_cpus();
    let spare = settings.allowed.iter().find(|cpu| !own.contains(cpu)).filter(|_| !own.is_empty());
    let duration = settings.common.duration;
    if let Some(cpu) = spare {
        let during = settings.common.warmup + duration;
        return std::thread::scope(|scope| {
            let control = scope.spawn(move || empty_loop(&[Some(cpu)], schedule, during));
            let outcome = run();
            let (hiccups, problem) = match control.join() {
                Ok(Ok(hiccups)) => (report(&hiccups, "during the run"), None),
                Ok(Err(error)) => (Vec::new(), Some(error.to_string())),
                Err(_) => (Vec::new(), Some("the empty loop panicked".to_owned())),
            };
            (outcome, hiccups, problem)
        });
    }
    let cpus: Vec<Option<usize>> =
        if own.is_empty() { vec![None] } else { own.into_iter().map(Some).collect() };
    let part = (duration / PART).max(LEAST);
    let before = empty_loop(&cpus, schedule, part);
    let outcome = run();
    let after = empty_loop(&cpus, schedule, part);
    match before.and_then(|before| Ok((before, after?))) {
        Ok((mut hiccups, after)) => {
            for (both, after) in hiccups.iter_mut().zip(&after) {
                both.late.merge(&after.late);
            }
            (outcome, report(&hiccups, "before and after"), None)
        }
        Err(error) => (outcome, Vec::new(), Some(error.to_string())),
    }
}

fn report(hiccups: &[varpin::metrics::Hiccups], when: &'static str) -> Vec<HiccupReport> {
    let one = |hiccups: &varpin::metrics::Hiccups| {
        let late: Latencies = hiccups.late.clone();
        HiccupReport { cpu: hiccups.cpu, when, late: Series::new("empty loop", late) }
    };
    hiccups.iter().map(one).collect()
}
