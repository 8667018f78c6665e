//! Whether the kernel keeps other work away from the CPUs: other threads, its own tick, its deferred work.

use varpin::cores::{CpuSet, isolated_cpus};

use crate::cli::doctor::finding::{Check, Finding, Severity, Verdict};
use crate::cli::doctor::look::{Cpus, Look, are, minus, name};

const ISOLATION: Check = Check {
    id: "isolation",
    wanted: "the scheduler moves nothing to these CPUs by itself",
    why: "another thread there gets time slices of milliseconds, and a spinning thread waits for them",
};

pub(in crate::cli::doctor) fn isolation(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let by_boot = readings.text("sys/devices/system/cpu/isolated");
    let by_partition = readings.text("sys/fs/cgroup/cpuset.cpus.isolated");
    let is_known = by_boot.is_some() || by_partition.is_some();
    // The same that `--realtime` relies on; it also knows partitions of the process's own group.
    let isolated = isolated_cpus(look.tree.root());
    let verdict = judge_isolation(&look.cpus, (is_known || !isolated.is_empty()).then_some(&isolated));
    readings.conclude(&ISOLATION, verdict)
}

pub(in crate::cli::doctor) fn judge_isolation(cpus: &Cpus, isolated: Option<&CpuSet>) -> Verdict {
    let Some(isolated) = isolated else { return Verdict::unknown() };
    let open = minus(&cpus.chosen, isolated);
    if open.is_empty() {
        return Verdict::ok(format!("isolated are {isolated}"));
    }
    let found = format!("{} {} not isolated", name(&open), are(&open));
    let verdict = Verdict::new(Severity::Severe, found)
        .mend(cpus.boot_with(&format!("isolcpus=domain,managed_irq,{}", cpus.chosen)));
    if cpus.others.is_empty() {
        return verdict;
    }
    verdict.mend(
        "or without a reboot: an isolated partition of control groups (docs/doctor.md has the commands)",
    )
}

const NOHZ_FULL: Check = Check {
    id: "nohz_full",
    wanted: "no tick on CPUs with a single runnable thread",
    why: "100 to 1000 times a second the scheduler's tick takes a few microseconds from whatever runs",
};

pub(in crate::cli::doctor) fn nohz_full(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let listed = readings.text("sys/devices/system/cpu/nohz_full");
    let command_line =
        readings.part("proc/cmdline", |text| parameter(text, "nohz_full").map(with_name("nohz_full")));
    let verdict = judge_nohz_full(&look.cpus, listed.as_deref(), command_line.as_deref());
    readings.conclude(&NOHZ_FULL, verdict)
}

pub(in crate::cli::doctor) fn judge_nohz_full(
    cpus: &Cpus,
    listed: Option<&str>,
    command_line: Option<&str>,
) -> Verdict {
    let ticking = match (listed, command_line) {
        // The kernel prints a list that it has not as `(null)`.
        (Some("(null)"), _) => Some(cpus.chosen.clone()),
        (Some(list), _) => list.parse().ok().map(|list| minus(&cpus.chosen, &list)),
        // Kernels that cannot do it have no such file.
        (None, Some(line)) if parameter(line, "nohz_full").is_none() => Some(cpus.chosen.clone()),
        (None, _) => None,
    };
    match ticking {
        None => Verdict::unknown(),
        Some(ticking) if ticking.is_empty() => Verdict::ok(format!("no tick on {}", cpus.name())),
        Some(ticking) => Verdict::new(Severity::Warning, format!("the tick goes on on {}", name(&ticking)))
            .mend(cpus.boot_with(&format!("nohz_full={}", cpus.chosen))),
    }
}

const RCU_NOCBS: Check = Check {
    id: "rcu_nocbs",
    wanted: "callbacks of RCU run on other CPUs",
    why: "the kernel frees memory in batches, in tens to hundreds of microseconds, on the CPU that let go of it",
};

pub(in crate::cli::doctor) fn rcu_nocbs(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let line = readings.part("proc/cmdline", |text| {
        let found = ["rcu_nocbs", "nohz_full"].map(|name| parameter(text, name).map(with_name(name)));
        let found: Vec<String> = found.into_iter().flatten().collect();
        (!found.is_empty()).then(|| found.join(" "))
    });
    readings.conclude(&RCU_NOCBS, judge_rcu_nocbs(&look.cpus, line.as_deref()))
}

pub(in crate::cli::doctor) fn judge_rcu_nocbs(cpus: &Cpus, command_line: Option<&str>) -> Verdict {
    let Some(line) = command_line else { return Verdict::unknown() };
    let mut busy = cpus.chosen.clone();
    // CPUs without a tick have their callbacks elsewhere, too.
    for value in [parameter(line, "rcu_nocbs"), parameter(line, "nohz_full")].into_iter().flatten() {
        let freed = match value {
            "" | "all" => cpus.chosen.clone(),
            list => match list.parse() {
                Ok(list) => list,
                Err(_) => return Verdict::unknown(),
            },
        };
        busy = minus(&busy, &freed);
    }
    if busy.is_empty() {
        return Verdict::ok(format!("callbacks of {} run elsewhere", cpus.name()));
    }
    Verdict::new(Severity::Warning, format!("callbacks run on {}", name(&busy)))
        .mend(cpus.boot_with(&format!("rcu_nocbs={}", cpus.chosen)))
}

/// The value of a parameter on the kernel's command line: empty where it stands alone, none where it is not there. The
/// last one counts.
pub(in crate::cli::doctor) fn parameter<'a>(command_line: &'a str, name: &str) -> Option<&'a str> {
    // What stands behind `--` is for the first process.
    let words = command_line.split_ascii_whitespace().take_while(|word| *word != "--");
    words
        .filter_map(|word| word.strip_prefix(name))
        .filter_map(|rest| match rest {
            "" => Some(""),
            _ => rest.strip_prefix('='),
        })
        .last()
}

fn with_name(name: &str) -> impl Fn(&str) -> String {
    move |value| if value.is_empty() { name.to_owned() } else { format!("{name}={value}") }
}
