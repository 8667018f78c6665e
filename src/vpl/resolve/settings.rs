//! `config` blocks: every key is known and every value checked, or the program is refused.

use crate::vpl::diagnostic::Diagnostic;
use crate::vpl::plan::{ContextSettings, EngineSettings, SupervisionSettings};
use crate::vpl::suggest::closest;
use crate::vpl::syntax::{Literal, Name, Setting, SettingKind};

use super::findings::Findings;
use super::supervision;

/// The largest ring that can be asked for, in rows.
const MAX_CAPACITY: i64 = 1 << 24;

/// The rarest sample of latencies: one event in so many.
const MAX_SAMPLE: u32 = 1_000_000;

const IDLE: &[&str] = &["auto", "spin", "yield", "backoff", "park"];
const ORDER: &[&str] = &["arrival", "timestamp", "deterministic"];
const WHEN_FULL: &[&str] = &["block", "drop_newest", "drop_oldest", "error"];
const STRATEGY: &[&str] = &["one_for_one", "rest_for_one", "one_for_all"];

/// Reads the settings of `config <context> { .. }`.
pub(super) fn context(settings: &[(Name, Setting)], findings: &mut Findings) -> ContextSettings {
    let mut result = ContextSettings::default();
    let keys = supervision::with_keys_of_contexts(&["idle", "capacity", "when_full"]);
    each(settings, &keys, findings, |key, value, findings| match key {
        "idle" => result.idle = word(key, value, IDLE, findings),
        "capacity" => result.capacity = count(key, value, MAX_CAPACITY, findings),
        "when_full" => result.when_full = word(key, value, WHEN_FULL, findings),
        _ => supervision::take(&mut result.supervision, key, value, findings),
    });
    supervision::check(&result.supervision, settings, findings);
    result
}

/// Reads the settings of `config output { .. }`.
pub(super) fn output(settings: &[(Name, Setting)], findings: &mut Findings) -> SupervisionSettings {
    let mut result = SupervisionSettings::default();
    each(settings, supervision::OUTPUT, findings, |key, value, findings| {
        supervision::take(&mut result, key, value, findings);
    });
    supervision::check(&result, settings, findings);
    result
}

/// Reads the settings of `config engine { .. }`.
pub(super) fn engine(settings: &[(Name, Setting)], findings: &mut Findings) -> EngineSettings {
    let mut result = EngineSettings::default();
    let keys = supervision::with_keys_of_contexts(&[
        "order",
        "idle",
        "capacity",
        "latency_sample",
        "max_partitions",
        "max_distinct",
        "max_window_rows",
        "max_runs",
        "max_run_events",
        "max_subsets",
        "max_call_depth",
        "max_call_steps",
        "strategy",
        "checkpoint_dir",
        "checkpoint_interval",
        "checkpoint_events",
        "commit_on_checkpoint",
    ]);
    each(settings, &keys, findings, |key, value, findings| match key {
        "order" => result.order = word(key, value, ORDER, findings),
        "idle" => result.idle = word(key, value, IDLE, findings),
        "capacity" => result.capacity = count(key, value, MAX_CAPACITY, findings),
        "latency_sample" => result.latency_sample = sample(value, findings),
        "max_partitions" => result.max_partitions = count(key, value, i64::MAX, findings),
        "max_distinct" => result.max_distinct = count(key, value, i64::MAX, findings),
        "max_window_rows" => result.max_window_rows = count(key, value, i64::MAX, findings),
        "max_runs" => result.max_runs = count(key, value, i64::MAX, findings),
        "max_run_events" => result.max_run_events = count(key, value, i64::MAX, findings),
        "max_subsets" => result.max_subsets = count(key, value, i64::MAX, findings),
        "max_call_depth" => result.max_call_depth = count(key, value, 1000, findings),
        "max_call_steps" => {
            result.max_call_steps = count(key, value, i64::MAX, findings).map(|steps| steps as u64);
        }
        "strategy" => result.strategy = word(key, value, STRATEGY, findings),
        "checkpoint_dir" => result.checkpoint_dir = path(key, value, findings),
        "checkpoint_interval" => {
            result.checkpoint_interval_ns = supervision::time(key, value, 1_000_000, findings);
        }
        "checkpoint_events" => result.checkpoint_events = count(key, value, i64::MAX, findings),
        "commit_on_checkpoint" => result.commits_on_checkpoint = flag(key, value, findings),
        _ => supervision::take(&mut result.supervision, key, value, findings),
    });
    supervision::check(&result.supervision, settings, findings);
    result
}

/// `true` or `false`.
fn flag(key: &str, value: &Setting, findings: &mut Findings) -> bool {
    if let SettingKind::Literal(Literal::Bool(flag)) = value.kind {
        return flag;
    }
    let message = format!("bad value for `{key}`");
    findings.push(Diagnostic::error(value.span, message).help("one of: true, false".to_owned()));
    false
}

/// Hands each setting with a known key to `take`; the others become findings.
fn each(
    settings: &[(Name, Setting)],
    known: &[&str],
    findings: &mut Findings,
    mut take: impl FnMut(&str, &Setting, &mut Findings),
) {
    for (at, (key, value)) in settings.iter().enumerate() {
        let text = key.text.as_str();
        if settings[..at].iter().any(|(earlier, _)| earlier.text == key.text) {
            findings.push(Diagnostic::error(key.span, format!("setting `{text}` is given twice")));
        } else if known.contains(&text) {
            take(text, value, findings);
        } else {
            let mut finding =
                Diagnostic::error(key.span, format!("unknown setting `{text}`")).label("no such setting");
            finding = match closest(text, known.iter().copied()) {
                Some(near) => finding.help(format!("did you mean `{near}`?")),
                None => finding.help(format!("settings are: {}", known.join(", "))),
            };
            findings.push(finding);
        }
    }
}

pub(super) fn word(key: &str, value: &Setting, allowed: &[&str], findings: &mut Findings) -> Option<String> {
    let text = match &value.kind {
        SettingKind::Name(text) | SettingKind::Literal(Literal::Str(text)) => text.as_str(),
        SettingKind::Literal(_) | SettingKind::Ratio(..) | SettingKind::List(_) => "",
    };
    if allowed.contains(&text) {
        return Some(text.to_owned());
    }
    let message = format!("bad value for `{key}`");
    findings.push(Diagnostic::error(value.span, message).help(format!("one of: {}", allowed.join(", "))));
    None
}

/// `1/N`, or the same as a text.
fn sample(value: &Setting, findings: &mut Findings) -> Option<u32> {
    let below = match &value.kind {
        SettingKind::Ratio(1, below) => u32::try_from(*below).ok(),
        SettingKind::Literal(Literal::Str(text)) => text
            .split_once('/')
            .filter(|(one, _)| one.trim() == "1")
            .and_then(|(_, below)| below.trim().parse().ok()),
        _ => None,
    };
    let sample = below.filter(|below| (1..=MAX_SAMPLE).contains(below));
    if sample.is_none() {
        let message = format!("`latency_sample` takes 1/N, with N from 1 to {MAX_SAMPLE}");
        findings.push(Diagnostic::error(value.span, message));
    }
    sample
}

/// A path that leads down.
fn path(key: &str, value: &Setting, findings: &mut Findings) -> Option<String> {
    let text = match &value.kind {
        SettingKind::Literal(Literal::Str(text)) => text.as_str(),
        SettingKind::Name(_) | SettingKind::Literal(_) | SettingKind::Ratio(..) | SettingKind::List(_) => "",
    };
    let leads_down = text.split('/').all(|part| !matches!(part, "" | "." | ".."));
    if leads_down {
        return Some(text.to_owned());
    }
    let message = format!("`{key}` takes a path below the directory of the program, such as \"checkpoints\"");
    findings.push(Diagnostic::error(value.span, message));
    None
}

pub(super) fn count(key: &str, value: &Setting, max: i64, findings: &mut Findings) -> Option<usize> {
    match value.kind {
        SettingKind::Literal(Literal::Int(number)) if (1..=max).contains(&number) => Some(number as usize),
        _ => {
            let range = if max == i64::MAX { "of at least 1".to_owned() } else { format!("from 1 to {max}") };
            findings.push(Diagnostic::error(value.span, format!("`{key}` takes a whole number {range}")));
            None
        }
    }
}
