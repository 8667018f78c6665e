//! Whether the CPUs can be had, and what they share with each other and with others.

use varpin::cores::CpuSet;

use crate::cli::doctor::finding::{Check, Finding, Readings, Severity, Verdict, braces};
use crate::cli::doctor::look::{Cpus, Look, are, common, groups, minus, name};
use crate::cli::tree::Unread;

const CPUS_ALLOWED: Check = Check {
    id: "cpus_allowed",
    wanted: "every CPU is switched on and allowed to this process, and one more is",
    why: "a thread cannot be pinned to another one; and the thread that feeds events needs a CPU, too",
};

pub(in crate::cli::doctor) fn cpus_allowed(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    readings.text("sys/devices/system/cpu/online");
    readings.field("proc/self/status", "Cpus_allowed_list");
    let verdict = judge_cpus_allowed(&look.cpus, look.online.as_ref(), look.allowed.as_ref());
    readings.conclude(&CPUS_ALLOWED, verdict)
}

pub(in crate::cli::doctor) fn judge_cpus_allowed(
    cpus: &Cpus,
    online: Option<&CpuSet>,
    allowed: Option<&CpuSet>,
) -> Verdict {
    let chosen = &cpus.chosen;
    if let Some(online) = online {
        let missing = minus(chosen, online);
        if !missing.is_empty() {
            let found = format!("{} {} not there (there: {online})", name(&missing), are(&missing));
            return Verdict::new(Severity::Severe, found)
                .mend("choose others, or switch them on: /sys/devices/system/cpu/cpu*/online");
        }
    }
    let Some(allowed) = allowed else { return Verdict::unknown() };
    let refused = minus(chosen, allowed);
    if !refused.is_empty() {
        let found = format!("this process may not use {} (allowed: {allowed})", name(&refused));
        return Verdict::new(Severity::Severe, found)
            .mend(format!("taskset -c {chosen} varpin ..   # with a CPU more for the thread that feeds"))
            .mend("or widen cpuset.cpus of the control group");
    }
    if minus(allowed, chosen).is_empty() {
        let found = format!("{} {} all that this process may use", cpus.name(), are(chosen));
        return Verdict::new(Severity::Note, found)
            .mend("choose fewer CPUs (--cpus), so that one is left for the thread that feeds");
    }
    Verdict::ok(format!("allowed are {allowed}"))
}

const SMT: Check = Check {
    id: "smt",
    wanted: "each CPU has a core to itself",
    why: "hardware threads of one core share its units and its inner caches: each is slower while the other works",
};

pub(in crate::cli::doctor) fn smt(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let siblings = cpu_lists(&mut readings, look.cpus.chosen.iter(), "/topology/thread_siblings_list");
    readings.conclude(&SMT, judge_smt(&look.cpus, &siblings))
}

/// A list of CPUs that each of some has.
fn cpu_lists(
    readings: &mut Readings<'_>,
    cpus: impl IntoIterator<Item = usize>,
    file: &str,
) -> Vec<(usize, Option<CpuSet>)> {
    let texts = readings.per_cpu(cpus, "sys/devices/system/cpu/cpu", file);
    texts.into_iter().map(|(cpu, text)| (cpu, text.and_then(|text| text.parse().ok()))).collect()
}

pub(in crate::cli::doctor) fn judge_smt(cpus: &Cpus, siblings: &[(usize, Option<CpuSet>)]) -> Verdict {
    let cores = groups(siblings.iter().filter_map(|(_, siblings)| siblings.clone()));
    if cores.is_empty() {
        return Verdict::unknown();
    }
    let crowded: Vec<String> = cores
        .iter()
        .map(|core| common(core, &cpus.chosen))
        .filter(|chosen| chosen.len() > 1)
        .map(|chosen| chosen.to_string())
        .collect();
    if !crowded.is_empty() {
        let found = format!("CPUs {} are hardware threads of one core", crowded.join(" and "));
        return Verdict::new(Severity::Warning, found).mend("choose one CPU a core");
    }
    let beside: CpuSet =
        cores.iter().flat_map(|core| minus(core, &cpus.chosen).iter().collect::<Vec<_>>()).collect();
    let beside = common(&beside, &cpus.others);
    if beside.is_empty() {
        return Verdict::ok("each CPU has a core to itself");
    }
    let numbers: Vec<usize> = beside.iter().collect();
    let found = format!("{} {} on the same cores and may run anything", name(&beside), are(&beside));
    Verdict::new(Severity::Note, found)
        .mend(format!("echo 0 | sudo tee /sys/devices/system/cpu/cpu{}/online", braces(&numbers)))
        .mend("echo off | sudo tee /sys/devices/system/cpu/smt/control   # for every core")
}

const L3_CACHE: Check = Check {
    id: "l3_cache",
    wanted: "the CPUs share one level 3 cache",
    why: "a hop between threads moves a cache line; between caches that takes two to five times as long",
};

pub(in crate::cli::doctor) fn l3_cache(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let tree = readings.tree();
    let directory = |cpu: usize| format!("sys/devices/system/cpu/cpu{cpu}/cache");
    // Entries are not numbered by level, but as a rule in the same way for each CPU.
    let is_level_3 = |cpu: usize, entry: &str| {
        tree.text(&format!("{}/{entry}/level", directory(cpu))).is_some_and(|level| level == "3")
    };
    let mut entries: Vec<(String, Vec<usize>)> = Vec::new();
    for cpu in look.cpus.chosen.iter() {
        match tree.names(&directory(cpu)).into_iter().find(|entry| is_level_3(cpu, entry)) {
            None => readings.remember(&directory(cpu), Err(Unread::Failed("no level 3".to_owned()))),
            Some(entry) => match entries.iter_mut().find(|(name, _)| *name == entry) {
                Some((_, cpus)) => cpus.push(cpu),
                None => entries.push((entry, vec![cpu])),
            },
        }
    }
    let mut caches = Vec::new();
    for (entry, cpus) in entries {
        let file = format!("/cache/{entry}/shared_cpu_list");
        caches.extend(cpu_lists(&mut readings, cpus, &file));
    }
    readings.conclude(&L3_CACHE, judge_l3_cache(&look.cpus, &caches))
}

pub(in crate::cli::doctor) fn judge_l3_cache(cpus: &Cpus, caches: &[(usize, Option<CpuSet>)]) -> Verdict {
    if cpus.chosen.len() == 1 {
        return Verdict::ok("there is only one CPU");
    }
    let known: Vec<&CpuSet> = caches.iter().filter_map(|(_, cache)| cache.as_ref()).collect();
    if known.len() < cpus.chosen.len() {
        return Verdict::unknown();
    }
    let caches = groups(known.into_iter().map(|cache| common(cache, &cpus.chosen)));
    if let [_] = caches.as_slice() {
        return Verdict::ok(format!("{} share one", cpus.name()));
    }
    let parts: Vec<String> = caches.iter().map(name).collect();
    Verdict::new(Severity::Warning, format!("there are {}: {}", caches.len(), parts.join("; ")))
        .mend("choose CPUs of one of these groups")
}

const NUMA_PLACEMENT: Check = Check {
    id: "numa_placement",
    wanted: "the CPUs belong to one memory node",
    why: "rings lie in the memory of one node; from another one each access that misses the cache takes twice as long",
};

pub(in crate::cli::doctor) fn numa_placement(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let directory = "sys/devices/system/node";
    let nodes: Vec<usize> = readings
        .tree()
        .names(directory)
        .iter()
        .filter_map(|name| name.strip_prefix("node")?.parse().ok())
        .collect();
    let lists = readings.per_cpu(nodes.iter().copied(), &format!("{directory}/node"), "/cpulist");
    if nodes.is_empty() {
        readings.text(&format!("{directory}/node0/cpulist"));
    }
    let nodes: Vec<(usize, CpuSet)> =
        lists.into_iter().filter_map(|(node, list)| Some((node, list?.parse().ok()?))).collect();
    readings.conclude(&NUMA_PLACEMENT, judge_numa_placement(&look.cpus, &nodes))
}

pub(in crate::cli::doctor) fn judge_numa_placement(cpus: &Cpus, nodes: &[(usize, CpuSet)]) -> Verdict {
    if nodes.is_empty() {
        return Verdict::unknown();
    }
    let parts: Vec<(usize, CpuSet)> = nodes
        .iter()
        .map(|(node, all)| (*node, common(all, &cpus.chosen)))
        .filter(|(_, part)| !part.is_empty())
        .collect();
    match parts.as_slice() {
        [] => Verdict::new(Severity::Unknown, format!("{} belong to no node that is told of", cpus.name())),
        [(node, _)] => Verdict::ok(format!("node {node}, of {}", nodes.len())),
        several => {
            let parts: Vec<String> =
                several.iter().map(|(node, part)| format!("node {node} has {}", name(part))).collect();
            let (node, _) = several[0];
            Verdict::new(Severity::Warning, parts.join("; "))
                .mend("choose CPUs of one node")
                .mend(format!("numactl --membind={node} varpin ..   # at least keep the memory on one node"))
        }
    }
}
