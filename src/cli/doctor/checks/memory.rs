//! Whether memory stays where it is: no page faults, no compaction, no swapping.

use varpin::cores::CpuSet;

use crate::cli::doctor::finding::{Check, Finding, Severity, Verdict};
use crate::cli::doctor::look::Look;

const SWAP: Check = Check {
    id: "swap",
    wanted: "no swap, or locked memory (varpin run --lock-memory)",
    why: "a page that was swapped out takes milliseconds to come back, and the thread waits",
};

pub(in crate::cli::doctor) fn swap(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let swaps = readings.text("proc/swaps");
    let swappiness = readings.text("proc/sys/vm/swappiness");
    readings.conclude(&SWAP, judge_swap(swaps.as_deref(), swappiness.as_deref()))
}

pub(in crate::cli::doctor) fn judge_swap(swaps: Option<&str>, swappiness: Option<&str>) -> Verdict {
    let Some(swaps) = swaps else { return Verdict::unknown() };
    // A header, then a line for each: name, kind, size and use in KiB.
    let areas: Vec<&str> = swaps.lines().skip(1).filter(|line| !line.trim().is_empty()).collect();
    if areas.is_empty() {
        return Verdict::ok("there is none");
    }
    let kib = |column: usize| -> u64 {
        areas.iter().filter_map(|area| area.split_ascii_whitespace().nth(column)?.parse::<u64>().ok()).sum()
    };
    let found = format!(
        "{} MiB of swap, {} in use, swappiness {}",
        kib(2) / 1024,
        kib(3) / 1024,
        swappiness.unwrap_or("unknown")
    );
    Verdict::new(Severity::Warning, found).mend("sudo swapoff -a").mend("varpin run --lock-memory ..")
}

const HUGE_PAGES: Check = Check {
    id: "huge_pages",
    wanted: "transparent huge pages for those who ask (madvise), or never",
    why: "where everybody gets them the kernel clears 2 MiB in a page fault, and moves pages to make room for them",
};

pub(in crate::cli::doctor) fn huge_pages(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let enabled = readings.text("sys/kernel/mm/transparent_hugepage/enabled");
    let defrag = readings.text("sys/kernel/mm/transparent_hugepage/defrag");
    readings.conclude(&HUGE_PAGES, judge_huge_pages(enabled.as_deref(), defrag.as_deref()))
}

pub(in crate::cli::doctor) fn judge_huge_pages(enabled: Option<&str>, defrag: Option<&str>) -> Verdict {
    let Some(enabled) = enabled.and_then(choice) else { return Verdict::unknown() };
    let defrag = defrag.and_then(choice).unwrap_or("unknown");
    match (enabled, defrag) {
        ("always", _) => Verdict::new(Severity::Warning, format!("always, and defrag {defrag}"))
            .mend("echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled"),
        ("never", _) => Verdict::ok("never (varpin run --huge-pages has no effect then)"),
        ("madvise", "always") => Verdict::new(Severity::Note, "madvise, but defrag always")
            .mend("echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/defrag"),
        (enabled, defrag) => Verdict::ok(format!("{enabled}, and defrag {defrag}")),
    }
}

/// The word in brackets: `always [madvise] never`.
pub(in crate::cli::doctor) fn choice(text: &str) -> Option<&str> {
    Some(text.split_once('[')?.1.split_once(']')?.0)
}

const NUMA_BALANCING: Check = Check {
    id: "numa_balancing",
    wanted: "off, where there are several memory nodes",
    why: "it unmaps pages to see who uses them: each time a page fault, and perhaps a move to another node",
};

pub(in crate::cli::doctor) fn numa_balancing(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let balancing = readings.text("proc/sys/kernel/numa_balancing");
    let nodes = readings.text("sys/devices/system/node/online");
    let nodes = nodes.and_then(|list| list.parse::<CpuSet>().ok()).map(|nodes| nodes.len());
    readings.conclude(&NUMA_BALANCING, judge_numa_balancing(balancing.as_deref(), nodes))
}

pub(in crate::cli::doctor) fn judge_numa_balancing(balancing: Option<&str>, nodes: Option<usize>) -> Verdict {
    match (balancing, nodes) {
        (Some("0"), _) => Verdict::ok("off"),
        (Some(_), Some(0 | 1)) => Verdict::ok("on, but there is only one memory node"),
        (Some(_), _) => Verdict::new(Severity::Warning, "on").mend("sudo sysctl kernel.numa_balancing=0"),
        // Kernels that cannot do it have no such file.
        (None, Some(0 | 1)) => Verdict::ok("there is only one memory node"),
        (None, _) => Verdict::unknown(),
    }
}

const LOCKED_MEMORY: Check = Check {
    id: "locked_memory",
    wanted: "this process may lock its memory",
    why: "varpin run --lock-memory keeps all of it from being swapped out or faulted in late",
};

/// The bits of capabilities in `/proc/self/status`.
const CAP_IPC_LOCK: u32 = 14;

pub(in crate::cli::doctor) fn locked_memory(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let limit = readings.part("proc/self/limits", |text| {
        limit(text, "Max locked memory").map(|limit| format!("Max locked memory: {limit}"))
    });
    let limit = limit.as_deref().and_then(|text| self::limit(text, "Max locked memory"));
    let capabilities = readings.field("proc/self/status", "CapEff");
    readings.conclude(&LOCKED_MEMORY, judge_locked_memory(limit.as_deref(), capabilities.as_deref()))
}

pub(in crate::cli::doctor) fn judge_locked_memory(
    limit: Option<&str>,
    capabilities: Option<&str>,
) -> Verdict {
    if capabilities.is_some_and(|mask| has_capability(mask, CAP_IPC_LOCK)) {
        return Verdict::ok("it has CAP_IPC_LOCK, so no limit holds");
    }
    match limit {
        None => Verdict::unknown(),
        Some("unlimited") => Verdict::ok("RLIMIT_MEMLOCK is unlimited"),
        Some(bytes) => {
            let kib = bytes
                .parse::<u64>()
                .map_or_else(|_| bytes.to_owned(), |bytes| format!("{} KiB", bytes / 1024));
            Verdict::new(Severity::Note, format!("RLIMIT_MEMLOCK is {kib}, too little for --lock-memory"))
                .mend("ulimit -l unlimited   # as root, or raise memlock in /etc/security/limits.conf")
                .mend("LimitMEMLOCK=infinity in a systemd unit; docker run --ulimit memlock=-1")
        }
    }
}

/// The soft limit of a line of `/proc/self/limits`.
pub(in crate::cli::doctor) fn limit(text: &str, name: &str) -> Option<String> {
    let rest = text.lines().find_map(|line| line.strip_prefix(name))?;
    rest.split_ascii_whitespace().next().map(str::to_owned)
}

pub(in crate::cli::doctor) fn has_capability(mask: &str, bit: u32) -> bool {
    u64::from_str_radix(mask, 16).is_ok_and(|mask| mask & (1 << bit) != 0)
}
