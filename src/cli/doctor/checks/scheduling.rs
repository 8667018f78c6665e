//! Whether threads may have a real-time priority, what the kernel takes from them, and how exactly they sleep.

use super::memory::{has_capability, limit};
use crate::cli::doctor::finding::{Check, Finding, Severity, Verdict};
use crate::cli::doctor::look::Look;

const REALTIME_PRIORITY: Check = Check {
    id: "realtime_priority",
    wanted: "this process may give its threads a real-time priority",
    why: "varpin run --realtime keeps ordinary threads from taking turns with a pinned one",
};

const CAP_SYS_NICE: u32 = 23;

pub(in crate::cli::doctor) fn realtime_priority(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let name = "Max realtime priority";
    let limits =
        readings.part("proc/self/limits", |text| limit(text, name).map(|limit| format!("{name}: {limit}")));
    let limit = limits.as_deref().and_then(|text| limit(text, name));
    let capabilities = readings.field("proc/self/status", "CapEff");
    readings.conclude(&REALTIME_PRIORITY, judge_realtime_priority(limit.as_deref(), capabilities.as_deref()))
}

pub(in crate::cli::doctor) fn judge_realtime_priority(
    limit: Option<&str>,
    capabilities: Option<&str>,
) -> Verdict {
    if capabilities.is_some_and(|mask| has_capability(mask, CAP_SYS_NICE)) {
        return Verdict::ok("it has CAP_SYS_NICE, so any is allowed");
    }
    match limit {
        None => Verdict::unknown(),
        Some("0") => Verdict::new(Severity::Note, "RLIMIT_RTPRIO is 0: --realtime is refused")
            .mend("ulimit -r 50   # as root, or rtprio in /etc/security/limits.conf; then --realtime 50")
            .mend("LimitRTPRIO=50 in a systemd unit; docker run --cap-add SYS_NICE"),
        Some(highest) => Verdict::ok(format!("up to {highest} (RLIMIT_RTPRIO)")),
    }
}

const RT_THROTTLING: Check = Check {
    id: "rt_throttling",
    wanted: "off, if threads get a real-time priority (--realtime) on isolated CPUs",
    why: "it stops a real-time thread that spins for 50 ms in each second; without isolation it is what keeps the \
          machine alive",
};

/// Since this release it is replaced by a server that serves ordinary threads only where they starve.
const WITHOUT: (u32, u32) = (6, 12);

pub(in crate::cli::doctor) fn rt_throttling(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let runtime = readings.text("proc/sys/kernel/sched_rt_runtime_us");
    let period = readings.text("proc/sys/kernel/sched_rt_period_us");
    let release = readings.text("proc/sys/kernel/osrelease");
    let verdict = judge_rt_throttling(runtime.as_deref(), period.as_deref(), release.as_deref());
    readings.conclude(&RT_THROTTLING, verdict)
}

pub(in crate::cli::doctor) fn judge_rt_throttling(
    runtime_us: Option<&str>,
    period_us: Option<&str>,
    release: Option<&str>,
) -> Verdict {
    let number = |text: Option<&str>| text.and_then(|text| text.parse::<i64>().ok());
    let Some(runtime_us) = number(runtime_us) else { return Verdict::unknown() };
    let period_us = number(period_us).unwrap_or(1_000_000);
    if runtime_us < 0 || runtime_us >= period_us {
        return Verdict::ok("off");
    }
    if release.and_then(version).is_some_and(|release| release >= WITHOUT) {
        return Verdict::ok("replaced, since Linux 6.12, by a server for ordinary threads that starve");
    }
    let stopped_ms = (period_us - runtime_us) as f64 / 1000.0;
    let found = format!(
        "a real-time thread that spins stands still for {stopped_ms} ms in every {} ms",
        period_us as f64 / 1000.0
    );
    Verdict::new(Severity::Note, found)
        .mend("sudo sysctl kernel.sched_rt_runtime_us=-1   # only if real-time threads have isolated CPUs")
}

/// `6.12.3-arch1` as 6 and 12.
pub(in crate::cli::doctor) fn version(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|digits| digits.parse().ok());
    Some((numbers.next()??, numbers.next()??))
}

const TIMER_SLACK: Check = Check {
    id: "timer_slack",
    wanted: "1 ns for threads that sleep (backoff, park)",
    why: "the kernel may end a sleep so much later; varpin run --timer-slack-ns 1 sets it for the pinned threads",
};

pub(in crate::cli::doctor) fn timer_slack(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let slack = readings.text("proc/self/timerslack_ns");
    readings.conclude(&TIMER_SLACK, judge_timer_slack(slack.as_deref()))
}

pub(in crate::cli::doctor) fn judge_timer_slack(slack_ns: Option<&str>) -> Verdict {
    match slack_ns.and_then(|text| text.parse::<u64>().ok()) {
        None => Verdict::unknown(),
        Some(ns @ 0..=1_000) => Verdict::ok(format!("{ns} ns")),
        Some(ns) => Verdict::new(Severity::Note, format!("{ns} ns")).mend("varpin run --timer-slack-ns 1 .."),
    }
}
