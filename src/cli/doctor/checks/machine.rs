//! What is below the system: a host that takes CPU time away, and the clock.

use crate::cli::doctor::finding::{Check, Finding, Severity, Verdict};
use crate::cli::doctor::look::Look;
use crate::cli::machine::hypervisor;

const VIRTUALISATION: Check = Check {
    id: "virtualisation",
    wanted: "none, or CPUs of the host that belong to this guest alone",
    why: "a host can take a CPU away at any time, and the guest can neither see nor prevent it",
};

pub(in crate::cli::doctor) fn virtualisation(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    readings.part("proc/cpuinfo", |text| {
        let flags = crate::cli::machine::field(text, "flags")?;
        let is_guest = flags.split(' ').any(|flag| flag == "hypervisor");
        Some(format!("flags: {}", if is_guest { "hypervisor" } else { "no hypervisor" }))
    });
    readings.text("sys/class/dmi/id/product_name");
    readings.conclude(&VIRTUALISATION, judge_virtualisation(hypervisor(look.tree).as_deref()))
}

pub(in crate::cli::doctor) fn judge_virtualisation(hypervisor: Option<&str>) -> Verdict {
    match hypervisor {
        None => Verdict::unknown(),
        Some("none") => Verdict::ok("none"),
        Some(name) => Verdict::new(Severity::Warning, format!("a guest of {name}")).mend(
            "dedicated hosts, or guests with CPUs of their own (pinned vCPUs), where the provider has them",
        ),
    }
}

const STEAL: Check = Check {
    id: "steal",
    wanted: "no time taken by the host",
    why: "while the host runs something else on the CPU, a pinned thread stands still and cannot know",
};

/// Shares of the time in which the CPUs had something to do.
const STEAL_SEVERE: f64 = 0.01;
const STEAL_WARNING: f64 = 0.001;

pub(in crate::cli::doctor) fn steal(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let mut times = None;
    readings.part("proc/stat", |text| {
        times = cpu_times(text, &look.cpus.chosen);
        times.map(|(busy, stolen)| format!("{stolen} of {} ticks on {}", busy + stolen, look.cpus.name()))
    });
    readings.conclude(&STEAL, judge_steal(times))
}

/// Ticks that CPUs were busy, and that they would have been, had the host not taken them.
pub(in crate::cli::doctor) fn cpu_times(text: &str, cpus: &varpin::cores::CpuSet) -> Option<(u64, u64)> {
    let mut sum = None;
    for line in text.lines() {
        let mut words = line.split_ascii_whitespace();
        let number: Option<usize> = words.next().and_then(|word| word.strip_prefix("cpu")?.parse().ok());
        if !number.is_some_and(|cpu| cpus.contains(cpu)) {
            continue;
        }
        // user, nice, system, idle, iowait, irq, softirq, steal
        let ticks: Vec<u64> = words.map_while(|word| word.parse().ok()).collect();
        let busy: u64 = [0, 1, 2, 5, 6].iter().filter_map(|&at| ticks.get(at)).sum();
        let stolen = ticks.get(7).copied()?;
        let (all_busy, all_stolen) = sum.unwrap_or((0, 0));
        sum = Some((all_busy + busy, all_stolen + stolen));
    }
    sum
}

pub(in crate::cli::doctor) fn judge_steal(times: Option<(u64, u64)>) -> Verdict {
    let Some((busy, stolen)) = times else { return Verdict::unknown() };
    let share = stolen as f64 / ((busy + stolen) as f64).max(1.0);
    let found = format!("{:.2} % of the time that was needed since the system started", share * 100.0);
    let severity = match share {
        share if share >= STEAL_SEVERE => Severity::Severe,
        share if share >= STEAL_WARNING => Severity::Warning,
        share if share > 0.0 => Severity::Note,
        _ => return Verdict::ok("none"),
    };
    Verdict::new(severity, found).mend("a host that is not shared, or a guest with CPUs of its own")
}

const CLOCKSOURCE: Check = Check {
    id: "clocksource",
    wanted: "tsc (x86) or arch_sys_counter (ARM)",
    why: "the clock is read once a duty cycle: from the processor in 20 ns, from a device through the kernel in 1 us",
};

pub(in crate::cli::doctor) fn clocksource(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let directory = "sys/devices/system/clocksource/clocksource0";
    let current = readings.text(&format!("{directory}/current_clocksource"));
    let available = readings.text(&format!("{directory}/available_clocksource"));
    readings.conclude(&CLOCKSOURCE, judge_clocksource(current.as_deref(), available.as_deref()))
}

pub(in crate::cli::doctor) fn judge_clocksource(current: Option<&str>, available: Option<&str>) -> Verdict {
    let Some(current) = current else { return Verdict::unknown() };
    let severity = match current {
        "tsc" | "arch_sys_counter" => return Verdict::ok(current),
        // Read without the kernel, but with more work.
        "kvm-clock" | "hyperv_clocksource_tsc_page" | "xen" => Severity::Note,
        _ => Severity::Severe,
    };
    let verdict = Verdict::new(severity, current);
    if available.is_some_and(|list| list.split(' ').any(|name| name == "tsc")) {
        return verdict
            .mend("echo tsc | sudo tee /sys/devices/system/clocksource/clocksource0/current_clocksource");
    }
    verdict.mend("boot with tsc=reliable, if the kernel has given the processor's clock up without need")
}
