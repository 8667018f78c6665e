//! The settings of `config` blocks that are about failures: restarts, breakers, stalls.

use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::SupervisionSettings;
use crate::vpl::syntax::{Literal, Name, Setting, SettingKind};

use super::findings::Findings;
use super::settings::{count, word};

/// What can be set for what has a thread, and not for the output.
const RESTARTS: &[&str] = &["restart", "max_restarts", "restart_window"];
const STALLS: &[&str] = &["stall_after", "on_stall"];

/// What can be set for the output.
pub(super) const OUTPUT: &[&str] = &[
    "backoff_min",
    "backoff_max",
    "backoff_factor",
    "jitter",
    "max_attempts",
    "breaker_failure_rate",
    "breaker_window",
    "breaker_min_calls",
    "breaker_open_for",
    "breaker_probes",
    "breaker_slow_call",
    "breaker_slow_rate",
    "breaker_open",
];

const RESTART: &[&str] = &["always", "on_failure", "never"];
const BREAKER_OPEN: &[&str] = &["hold", "dead_letter", "drop"];
const ON_STALL: &[&str] = &["report", "escalate"];

/// The most calls that a breaker can look at, and the most restarts and attempts that can be asked for.
const MAX_COUNT: i64 = 1_000_000;
/// The longest time that can be asked for, in nanoseconds: 30 days.
const MAX_TIME_NS: i64 = 30 * 24 * 3600 * 1_000_000_000;
/// Shorter ones could not be told from a thread that merely had to wait for its CPU.
const MIN_STALL_NS: i64 = 1_000_000;

/// `keys`, and what can be set for a context, and under `engine` for all of them.
pub(super) fn with_keys_of_contexts(keys: &[&'static str]) -> Vec<&'static str> {
    [keys, RESTARTS, OUTPUT, STALLS].concat()
}

/// Takes the setting `key`, one of those above.
pub(super) fn take(result: &mut SupervisionSettings, key: &str, value: &Setting, findings: &mut Findings) {
    match key {
        "restart" => result.restart = word(key, value, RESTART, findings),
        "max_restarts" => result.max_restarts = number(key, value, 0, findings),
        "restart_window" => result.restart_window_ns = time(key, value, 1, findings),
        "backoff_min" => result.backoff_min_ns = time(key, value, 0, findings),
        "backoff_max" => result.backoff_max_ns = time(key, value, 0, findings),
        "backoff_factor" => result.backoff_factor = share(key, value, 1.0, 1000.0, findings),
        "jitter" => result.jitter = share(key, value, 0.0, 1.0, findings),
        "max_attempts" => result.max_attempts = number(key, value, 0, findings),
        "breaker_failure_rate" => result.breaker_failure_rate = rate(key, value, findings),
        "breaker_window" => result.breaker_window = number(key, value, 1, findings),
        "breaker_min_calls" => result.breaker_min_calls = number(key, value, 1, findings),
        "breaker_open_for" => result.breaker_open_for_ns = time(key, value, 1, findings),
        "breaker_probes" => result.breaker_probes = number(key, value, 1, findings),
        "breaker_slow_call" => result.breaker_slow_call_ns = time(key, value, 1, findings),
        "breaker_slow_rate" => result.breaker_slow_rate = rate(key, value, findings),
        "breaker_open" => result.breaker_open = word(key, value, BREAKER_OPEN, findings),
        "stall_after" => result.stall_after_ns = time(key, value, MIN_STALL_NS, findings),
        _ => result.on_stall = word(key, value, ON_STALL, findings),
    }
}

/// What of the settings together makes no sense.
pub(super) fn check(result: &SupervisionSettings, settings: &[(Name, Setting)], findings: &mut Findings) {
    let span_of = |key: &str| settings.iter().find(|(name, _)| name.text == key).map(|(_, value)| value.span);
    let mut clash = |key: &str, message: &str| {
        if let Some(span) = span_of(key) {
            findings.push(Diagnostic::error(span, message.to_owned()));
        }
    };
    if let (Some(min), Some(max)) = (result.backoff_min_ns, result.backoff_max_ns)
        && min > max
    {
        clash("backoff_min", "`backoff_min` is more than `backoff_max`");
    }
    if let (Some(calls), Some(window)) = (result.breaker_min_calls, result.breaker_window)
        && calls > window
    {
        clash(
            "breaker_min_calls",
            "`breaker_min_calls` is more than `breaker_window`: so many calls are never counted",
        );
    }
    if result.breaker_slow_rate.is_some() && result.breaker_slow_call_ns.is_none() {
        clash(
            "breaker_slow_rate",
            "`breaker_slow_rate` needs `breaker_slow_call`, which says from when on a call is slow",
        );
    }
}

fn number(key: &str, value: &Setting, min: i64, findings: &mut Findings) -> Option<u32> {
    if min == 0 && matches!(value.kind, SettingKind::Literal(Literal::Int(0))) {
        return Some(0);
    }
    if min == 0 && !matches!(value.kind, SettingKind::Literal(Literal::Int(1..=MAX_COUNT))) {
        let message = format!("`{key}` takes a whole number from 0 to {MAX_COUNT}");
        findings.push(Diagnostic::error(value.span, message));
        return None;
    }
    count(key, value, MAX_COUNT, findings).map(|count| count as u32)
}

pub(super) fn time(key: &str, value: &Setting, min_ns: i64, findings: &mut Findings) -> Option<i64> {
    match value.kind {
        SettingKind::Literal(Literal::Duration(ns)) if (min_ns..=MAX_TIME_NS).contains(&ns) => Some(ns),
        _ => {
            let least = match min_ns {
                0 => "of at most 30d".to_owned(),
                1 => "longer than nothing, of at most 30d".to_owned(),
                _ => format!("from {}ms to 30d", min_ns / 1_000_000),
            };
            let message = format!("`{key}` takes a time {least}, such as 100ms or 10s");
            findings.push(Diagnostic::error(value.span, message));
            None
        }
    }
}

/// A number between two others.
fn share(key: &str, value: &Setting, min: f64, max: f64, findings: &mut Findings) -> Option<f64> {
    let number = match value.kind {
        SettingKind::Literal(Literal::Int(number)) => Some(number as f64),
        SettingKind::Literal(Literal::Float(number)) => Some(number),
        _ => None,
    };
    let fits = number.filter(|number| (min..=max).contains(number));
    if fits.is_none() {
        findings.push(Diagnostic::error(value.span, format!("`{key}` takes a number from {min} to {max}")));
    }
    fits
}

/// A share of something of which there is some.
fn rate(key: &str, value: &Setting, findings: &mut Findings) -> Option<f64> {
    let rate = share(key, value, 0.0, 1.0, findings)?;
    if rate == 0.0 {
        findings.push(Diagnostic::error(value.span, format!("`{key}` takes a number above 0, up to 1")));
        return None;
    }
    Some(rate)
}
