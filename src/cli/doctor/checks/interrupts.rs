//! Whether devices, deferred work and the kernel's watchdogs interrupt the CPUs.

use varpin::cores::CpuSet;

use crate::cli::doctor::finding::{Check, Finding, Severity, Verdict};
use crate::cli::doctor::look::{Cpus, Look, common, mask, name, parse_mask};
use crate::cli::tree::Unread;

const IRQ_AFFINITY: Check = Check {
    id: "irq_affinity",
    wanted: "devices interrupt other CPUs",
    why: "an interrupt takes microseconds, and the work behind it (network, disk) up to milliseconds",
};

/// A device's interrupt.
#[derive(Clone, Debug)]
pub(in crate::cli::doctor) struct Irq {
    pub(in crate::cli::doctor) number: u32,
    /// The last words of its line in `/proc/interrupts`.
    pub(in crate::cli::doctor) name: String,
    /// Where it goes.
    pub(in crate::cli::doctor) cpus: CpuSet,
    /// How often it came on the chosen CPUs since the system started.
    pub(in crate::cli::doctor) came: u64,
}

/// Interrupts that are named one by one.
const NAMED: usize = 4;

pub(in crate::cli::doctor) fn irq_affinity(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let tree = readings.tree();
    let table = tree.text("proc/interrupts").unwrap_or_default();
    let numbers: Vec<u32> = tree.names("proc/irq").iter().filter_map(|name| name.parse().ok()).collect();
    let mut irqs = Vec::new();
    for &number in &numbers {
        // Where it really goes, if the kernel tells; otherwise where it may.
        let file = |name: &str| tree.text(&format!("proc/irq/{number}/{name}"));
        let list = file("effective_affinity_list")
            .filter(|list| !list.is_empty())
            .or_else(|| file("smp_affinity_list"));
        let Some(cpus) = list.and_then(|list| list.parse().ok()) else { continue };
        let (name, came) = row(&table, number, &look.cpus.chosen).unwrap_or_default();
        irqs.push(Irq { number, name, cpus, came });
    }
    let path = "proc/irq/*/{effective,smp}_affinity_list";
    if numbers.is_empty() {
        readings.remember(path, Err(Unread::Absent));
    } else {
        readings.remember(path, Ok(format!("{} interrupts", irqs.len())));
    }
    let of_cpus: u64 = irqs.iter().map(|irq| irq.came).sum();
    readings.part("proc/interrupts", |_| Some(format!("{of_cpus} on {} since the start", look.cpus.name())));
    let verdict = judge_irq_affinity(&look.cpus, (!irqs.is_empty()).then_some(&irqs));
    readings.conclude(&IRQ_AFFINITY, verdict)
}

/// An interrupt's line in `/proc/interrupts`: its name, and how often it came on some CPUs. Columns are those of the
/// CPUs that are switched on, under their names.
pub(in crate::cli::doctor) fn row(table: &str, number: u32, cpus: &CpuSet) -> Option<(String, u64)> {
    let mut lines = table.lines();
    let columns: Vec<usize> = lines
        .next()?
        .split_ascii_whitespace()
        .filter_map(|word| word.strip_prefix("CPU")?.parse().ok())
        .collect();
    let line = lines.find_map(|line| {
        let (before, rest) = line.split_once(':')?;
        (before.trim().parse() == Ok(number)).then_some(rest)
    })?;
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let counts = columns.iter().zip(&words).filter(|&(&cpu, _)| cpus.contains(cpu));
    let came = counts.filter_map(|(_, count)| count.parse::<u64>().ok()).sum();
    let name =
        words.get(columns.len()..).and_then(<[&str]>::last).map_or_else(String::new, |&name| name.to_owned());
    Some((name, came))
}

pub(in crate::cli::doctor) fn judge_irq_affinity(cpus: &Cpus, irqs: Option<&Vec<Irq>>) -> Verdict {
    let Some(irqs) = irqs else { return Verdict::unknown() };
    let mut here: Vec<&Irq> = irqs.iter().filter(|irq| !common(&irq.cpus, &cpus.chosen).is_empty()).collect();
    if here.is_empty() {
        return Verdict::ok(format!("none of {} interrupts goes to {}", irqs.len(), cpus.name()));
    }
    here.sort_by_key(|irq| std::cmp::Reverse(irq.came));
    let active = here.iter().filter(|irq| irq.came > 0).count();
    let mut named: Vec<String> =
        here.iter().take(NAMED).map(|irq| format!("{} {}: {}", irq.number, irq.name, irq.came)).collect();
    if here.len() > NAMED {
        named.push("..".to_owned());
    }
    let found = format!(
        "{} of {} interrupts go to {}; {active} of them came since the system started ({})",
        here.len(),
        irqs.len(),
        cpus.name(),
        named.join(", ")
    );
    let severity = if active > 0 { Severity::Warning } else { Severity::Note };
    let verdict = Verdict::new(severity, found);
    if cpus.others.is_empty() {
        return verdict.mend("leave at least one CPU to them: choose fewer (--cpus)");
    }
    verdict
        .mend("sudo systemctl stop irqbalance   # if it runs, it moves them back")
        .mend(format!(
            "for irq in /proc/irq/*/smp_affinity_list; do echo {} | sudo tee $irq; done",
            cpus.others
        ))
        .mend(format!("boot with irqaffinity={} isolcpus=managed_irq,{}", cpus.others, cpus.chosen))
}

const WORKQUEUE: Check = Check {
    id: "workqueue",
    wanted: "work that the kernel defers runs on other CPUs",
    why: "its threads run beside the pinned one, for tens of microseconds and more",
};

pub(in crate::cli::doctor) fn workqueue(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let text = readings.text("sys/devices/virtual/workqueue/cpumask");
    readings.conclude(&WORKQUEUE, judge_workqueue(&look.cpus, text.as_deref()))
}

pub(in crate::cli::doctor) fn judge_workqueue(cpus: &Cpus, text: Option<&str>) -> Verdict {
    let Some(used) = text.and_then(parse_mask) else { return Verdict::unknown() };
    let here = common(&used, &cpus.chosen);
    if here.is_empty() {
        return Verdict::ok(format!("it runs on {used}"));
    }
    let verdict = Verdict::new(Severity::Warning, format!("it may run on {}", name(&here)));
    if cpus.others.is_empty() {
        return verdict.mend("leave at least one CPU to it: choose fewer (--cpus)");
    }
    verdict.mend(format!("echo {} | sudo tee /sys/devices/virtual/workqueue/cpumask", mask(&cpus.others)))
}

const NMI_WATCHDOG: Check = Check {
    id: "nmi_watchdog",
    wanted: "off",
    why: "it interrupts every CPU every few seconds, and keeps one of the counters that perf would use",
};

pub(in crate::cli::doctor) fn nmi_watchdog(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let text = readings.text("proc/sys/kernel/nmi_watchdog");
    readings.conclude(&NMI_WATCHDOG, judge_nmi_watchdog(text.as_deref()))
}

pub(in crate::cli::doctor) fn judge_nmi_watchdog(text: Option<&str>) -> Verdict {
    match text {
        Some("0") => Verdict::ok("off"),
        Some("1") => Verdict::new(Severity::Note, "on").mend("sudo sysctl kernel.nmi_watchdog=0"),
        _ => Verdict::unknown(),
    }
}
