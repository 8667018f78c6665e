//! Whether the process's control groups limit its CPU time, and have stopped it for that.

use std::path::Path;

use varpin::cores::{CpuGroup, cpu_groups};

use crate::cli::doctor::finding::{Check, Finding, Readings, Severity, Verdict};
use crate::cli::doctor::look::{Cpus, Look};
use crate::cli::tree::Unread;

const QUOTA: Check = Check {
    id: "cgroup_quota",
    wanted: "no limit, or one CPU's worth for each pinned thread and one for the thread that feeds",
    why: "who has used up the time of a period (100 ms) stands still until the next one",
};

pub(in crate::cli::doctor) fn quota(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let groups = groups(look, &mut readings, |group| match group.version {
        1 => &["cpu.cfs_quota_us", "cpu.cfs_period_us"],
        _ => &["cpu.max"],
    });
    readings.conclude(&QUOTA, judge_quota(&look.cpus, &groups))
}

const THROTTLING: Check = Check {
    id: "cgroup_throttling",
    wanted: "the groups of this process were never stopped for having used up their time",
    why: "each time every thread of the group stood still, for up to 100 ms",
};

pub(in crate::cli::doctor) fn throttling(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let groups = groups(look, &mut readings, |_| &["cpu.stat"]);
    readings.conclude(&THROTTLING, judge_throttling(&groups))
}

/// The groups, with `files` of each remembered as read.
fn groups(
    look: &Look<'_>,
    readings: &mut Readings<'_>,
    files: impl Fn(&CpuGroup) -> &'static [&'static str],
) -> Vec<CpuGroup> {
    let groups = cpu_groups(look.tree.root());
    if groups.is_empty() {
        readings.text("proc/self/cgroup");
        readings.remember("sys/fs/cgroup", Err(Unread::Failed("no cpu controller".to_owned())));
    }
    for group in &groups {
        for file in files(group) {
            let path = group.directory.join(file);
            let path = path.strip_prefix(look.tree.root()).unwrap_or(&path);
            readings.text(&path.display().to_string());
        }
    }
    groups
}

pub(in crate::cli::doctor) fn judge_quota(cpus: &Cpus, groups: &[CpuGroup]) -> Verdict {
    if groups.is_empty() {
        return Verdict::unknown();
    }
    let limited = groups.iter().filter_map(|group| Some((group.quota_cpus?, group)));
    let Some((quota, group)) = limited.min_by(|(a, _), (b, _)| a.total_cmp(b)) else {
        return Verdict::ok("no limit");
    };
    let threads = cpus.chosen.len() as f64;
    let found = match cpus.chosen.len() {
        1 => format!("{quota} CPUs' worth of time for a pinned thread and what feeds it"),
        several => format!("{quota} CPUs' worth of time for {several} pinned threads and what feeds them"),
    };
    let severity = if quota < threads {
        Severity::Severe
    } else if quota < threads + 1.0 {
        Severity::Warning
    } else {
        return Verdict::ok(found);
    };
    let verdict = Verdict::new(severity, found);
    let (file, unlimited) = match group.version {
        1 => ("cpu.cfs_quota_us", "-1"),
        _ => ("cpu.max", "max"),
    };
    verdict
        .mend(format!("echo {unlimited} | sudo tee {}/{file}", shown(&group.directory)))
        .mend("or without a CPU limit: docker run --cpus, Kubernetes limits.cpu, systemd CPUQuota=")
}

/// The directory as the system names it, also where the tree is not the system's.
fn shown(directory: &Path) -> String {
    let text = directory.display().to_string();
    text.find("/sys/fs/").map_or(text.clone(), |at| text[at..].to_owned())
}

pub(in crate::cli::doctor) fn judge_throttling(groups: &[CpuGroup]) -> Verdict {
    if groups.is_empty() {
        return Verdict::unknown();
    }
    let counted = groups.iter().filter_map(|group| Some((group.throttling?, group)));
    let worst = counted.max_by_key(|(throttling, _)| throttling.throttled_periods);
    match worst {
        Some((throttling, group)) if throttling.throttled_periods > 0 => {
            let found = format!(
                "stopped in {} of {} periods, for {} ms altogether",
                throttling.throttled_periods,
                throttling.periods,
                throttling.throttled.as_millis()
            );
            // Where there is no limit any more it can't happen again.
            let is_over = group.quota_cpus.is_none();
            Verdict::new(if is_over { Severity::Note } else { Severity::Severe }, found)
                .mend("raise the limit: see cgroup_quota")
        }
        _ => Verdict::ok("never"),
    }
}
