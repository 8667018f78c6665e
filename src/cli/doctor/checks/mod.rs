//! The checks, one topic a file. Each reads what it needs and leaves the verdict to a pure function of what was read.

pub(super) mod interrupts;
pub(super) mod isolation;
pub(super) mod machine;
pub(super) mod memory;
pub(super) mod placement;
pub(super) mod power;
pub(super) mod quota;
pub(super) mod scheduling;

use super::finding::Finding;
use super::look::Look;

/// Everything that is looked at, in the order in which findings of one severity are told.
const ALL: [fn(&Look<'_>) -> Finding; 25] = [
    placement::cpus_allowed,
    quota::quota,
    quota::throttling,
    isolation::isolation,
    machine::steal,
    machine::virtualisation,
    machine::clocksource,
    isolation::nohz_full,
    isolation::rcu_nocbs,
    interrupts::irq_affinity,
    interrupts::workqueue,
    interrupts::nmi_watchdog,
    placement::smt,
    placement::l3_cache,
    placement::numa_placement,
    power::governor,
    power::boost,
    power::c_states,
    memory::swap,
    memory::huge_pages,
    memory::numa_balancing,
    memory::locked_memory,
    scheduling::realtime_priority,
    scheduling::rt_throttling,
    scheduling::timer_slack,
];

/// What all checks say; the worst first.
pub(super) fn all(look: &Look<'_>) -> Vec<Finding> {
    let mut findings: Vec<Finding> = ALL.iter().map(|check| check(look)).collect();
    findings.sort_by_key(|finding| finding.severity);
    findings
}
