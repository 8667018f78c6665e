//! What a program declares about failures, in words and as JSON: what the settings amount to, defaults included.

use std::time::Duration;

use serde::Serialize;
use varpin::supervise::{Declared, Restart, Supervised};
use varpin::vpl::plan::{ContextPlan, Plan, SupervisionSettings};

/// What holds for a context; none where nothing is declared.
pub(super) fn of_context(plan: &Plan, context: &ContextPlan) -> Option<Supervised> {
    let declared =
        Declared::from(&context.settings.supervision).or(&Declared::from(&plan.engine.supervision));
    (declared != Declared::default()).then(|| declared.supervised())
}

/// What holds for a sink; none where nothing is declared: then a failure ends the run.
pub(super) fn of_sink(settings: &SupervisionSettings) -> Option<Supervised> {
    (*settings != SupervisionSettings::default()).then(|| Declared::from(settings).supervised())
}

/// Whether any context is restarted.
fn restarts(plan: &Plan) -> bool {
    let restarts = |context: &ContextPlan| {
        of_context(plan, context).is_some_and(|policies| policies.restart.restart != Restart::Never)
    };
    plan.contexts.iter().any(restarts)
}

/// Whether that means that everything goes back to the last checkpoint. `--checkpoint-dir` can make it so, too.
pub(super) fn rolls_back(plan: &Plan) -> bool {
    plan.engine.checkpoint_dir.is_some() && restarts(plan)
}

/// Who is restarted along with whom, where anything is restarted.
pub(super) fn strategy(plan: &Plan) -> Option<&str> {
    let is_asked = plan.engine.strategy.is_some() || restarts(plan);
    is_asked.then(|| plan.engine.strategy.as_deref().unwrap_or("one_for_one"))
}

/// Lines about a context.
pub(super) fn lines(policies: &Supervised) -> Vec<String> {
    let Supervised { restart, stall, .. } = policies;
    let mut lines = Vec::new();
    if restart.restart == Restart::Never {
        lines.push("restart: never; a failure ends the run".to_owned());
    } else {
        lines.push(format!(
            "restart: {}, at most {} times within {}; after {}, at most {}",
            restart.restart,
            restart.max_restarts,
            time(restart.restart_window),
            delays(policies),
            time(restart.backoff_max.max(restart.backoff_min))
        ));
        lines.push(format!("an event that makes it fail: tried {}, then a dead letter", again(policies)));
    }
    lines.extend(breaker(policies));
    let then = if stall.escalates { "ends the run" } else { "is reported" };
    lines.push(format!("a duty cycle longer than {}: {then}", time(stall.after)));
    lines
}

/// Lines about a sink.
pub(super) fn sink_lines(policies: &Supervised) -> Vec<String> {
    let tries = format!("a write that fails: tried {}, after {}", again(policies), delays(policies));
    std::iter::once(tries).chain(breaker(policies)).collect()
}

fn again(policies: &Supervised) -> String {
    match policies.restart.max_attempts {
        0 => "once".to_owned(),
        1 => "1 time more".to_owned(),
        times => format!("{times} times more"),
    }
}

fn delays(policies: &Supervised) -> String {
    let restart = &policies.restart;
    format!(
        "{}, each time {} times as long, give or take {} %",
        time(restart.backoff_min),
        restart.backoff_factor,
        restart.jitter * 100.0
    )
}

fn breaker(policies: &Supervised) -> Option<String> {
    let breaker = policies.breaker.as_ref()?;
    let slow = breaker.slow_call.map_or_else(String::new, |call| {
        format!(", or {} % take longer than {}", breaker.slow_rate * 100.0, time(call))
    });
    Some(format!(
        "breaker: opens when {} % of the last {} calls fail{slow}, from {} calls on; for {}, then {} probes; \
         while open: {}",
        breaker.failure_rate * 100.0,
        breaker.window,
        breaker.min_calls,
        time(breaker.open_for),
        breaker.probes,
        breaker.while_open
    ))
}

/// As programs write it.
fn time(time: Duration) -> String {
    let ns = time.as_nanos();
    let units = [
        (3_600_000_000_000, "h"),
        (60_000_000_000, "m"),
        (1_000_000_000, "s"),
        (1_000_000, "ms"),
        (1_000, "us"),
    ];
    let unit = units.iter().find(|(unit, _)| ns != 0 && ns.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{ns}ns"), |(unit, name)| format!("{}{name}", ns / unit))
}

/// Policies for programs: settings by their names, times in milliseconds.
#[derive(Debug, Serialize)]
pub(super) struct PoliciesJson {
    #[serde(skip_serializing_if = "Option::is_none")]
    restart: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_restarts: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    restart_window_ms: Option<f64>,
    backoff_min_ms: f64,
    backoff_max_ms: f64,
    backoff_factor: f64,
    jitter: f64,
    max_attempts: u32,
    breaker: Option<BreakerJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stall_after_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_stall: Option<&'static str>,
}

#[derive(Debug, Serialize)]
struct BreakerJson {
    failure_rate: f64,
    window: u32,
    min_calls: u32,
    open_for_ms: f64,
    probes: u32,
    slow_call_ms: Option<f64>,
    slow_rate: f64,
    open: &'static str,
}

impl PoliciesJson {
    /// Those of a context.
    pub(super) fn of_context(policies: &Supervised) -> Self {
        let stall = &policies.stall;
        Self {
            restart: Some(policies.restart.restart.name()),
            max_restarts: Some(policies.restart.max_restarts),
            restart_window_ms: Some(millis(policies.restart.restart_window)),
            stall_after_ms: Some(millis(stall.after)),
            on_stall: Some(if stall.escalates { "escalate" } else { "report" }),
            ..Self::of_sink(policies)
        }
    }

    /// Those of a sink.
    pub(super) fn of_sink(policies: &Supervised) -> Self {
        let restart = &policies.restart;
        let breaker = policies.breaker.as_ref().map(|breaker| BreakerJson {
            failure_rate: breaker.failure_rate,
            window: breaker.window,
            min_calls: breaker.min_calls,
            open_for_ms: millis(breaker.open_for),
            probes: breaker.probes,
            slow_call_ms: breaker.slow_call.map(millis),
            slow_rate: breaker.slow_rate,
            open: breaker.while_open.name(),
        });
        Self {
            restart: None,
            max_restarts: None,
            restart_window_ms: None,
            backoff_min_ms: millis(restart.backoff_min),
            backoff_max_ms: millis(restart.backoff_max),
            backoff_factor: restart.backoff_factor,
            jitter: restart.jitter,
            max_attempts: restart.max_attempts,
            breaker,
            stall_after_ms: None,
            on_stall: None,
        }
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

#[cfg(test)]
mod tests {
    use super::{Duration, time};

    #[test]
    fn times_are_written_as_programs_write_them() {
        let ms = Duration::from_millis;
        for (given, expected) in [
            (ms(0), "0ns"),
            (ms(100), "100ms"),
            (ms(1_000), "1s"),
            (ms(1_500), "1500ms"),
            (ms(90_000), "90s"),
            (ms(120_000), "2m"),
            (ms(3_600_000), "1h"),
            (Duration::from_nanos(7), "7ns"),
        ] {
            assert_eq!(time(given), expected);
        }
    }
}
