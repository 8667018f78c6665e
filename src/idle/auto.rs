//! What `auto` means on this machine: to spin is right only where nobody else needs the CPU.

use std::collections::BTreeMap;

use super::Idle;
use crate::cores::CpuSet;

/// What [`choose_auto`] decides on.
#[derive(Clone, Copy, Debug)]
pub struct AutoCase<'a> {
    /// For each worker its name and the CPU that it is pinned to, if any.
    pub workers: &'a [(&'a str, Option<usize>)],
    /// Threads beside the workers that keep a CPU busy, such as one that feeds events in.
    pub other_busy_threads: usize,
    /// The CPUs on which this process may run.
    pub allowed: &'a CpuSet,
    /// How many CPUs' worth of time this process may use, if that is limited.
    pub quota_cpus: Option<f64>,
}

/// Resolves [`Idle::Auto`] to the strategy to use, with the reason in words: [`Idle::Spin`] when each worker has a CPU
/// of its own within the allowed CPUs and the CPU quota, and the other busy threads still find one; else
/// [`Idle::Backoff`].
///
/// ```
/// use varpin::{cores::CpuSet, idle::{AutoCase, Idle, choose_auto}};
/// let allowed: CpuSet = "0-3".parse().unwrap();
/// let workers = [("ingest", Some(0)), ("alert", Some(0))];
/// let case = AutoCase { workers: &workers, other_busy_threads: 1, allowed: &allowed, quota_cpus: None };
/// let (idle, reason) = choose_auto(&case);
/// assert_eq!((idle, reason.as_str()), (Idle::Backoff, "ingest and alert share CPU 0"));
/// ```
pub fn choose_auto(case: &AutoCase<'_>) -> (Idle, String) {
    match obstacle(case) {
        Some(reason) => (Idle::Backoff, reason),
        None => (Idle::Spin, "every worker has a CPU of its own".to_owned()),
    }
}

fn obstacle(case: &AutoCase<'_>) -> Option<String> {
    if case.workers.is_empty() {
        return Some("there are no workers".to_owned());
    }
    let mut owners = BTreeMap::new();
    for &(worker, cpu) in case.workers {
        let Some(cpu) = cpu else {
            return Some(format!("{worker} is not pinned to a CPU"));
        };
        if !case.allowed.contains(cpu) {
            return Some(format!("{worker}'s CPU {cpu} is not among those allowed ({})", case.allowed));
        }
        if let Some(owner) = owners.insert(cpu, worker) {
            return Some(format!("{owner} and {worker} share CPU {cpu}"));
        }
    }
    let busy = case.workers.len() + case.other_busy_threads;
    if busy > case.allowed.len() {
        return Some(format!("{busy} busy threads have {} CPUs", case.allowed.len()));
    }
    case.quota_cpus
        .filter(|&quota| quota < busy as f64)
        .map(|quota| format!("{busy} busy threads have a CPU quota of {quota} CPUs"))
}
