//! Whether the CPUs keep their clock and stay awake.

use varpin::cores::CpuSet;

use super::isolation::parameter;
use crate::cli::doctor::finding::{Check, Finding, Readings, Severity, Verdict};
use crate::cli::doctor::look::{Cpus, Look, name};
use crate::cli::tree::Unread;

/// A text of each CPU; none where it could not be read.
type PerCpu = [(usize, Option<String>)];

const GOVERNOR: Check = Check {
    id: "governor",
    wanted: "performance",
    why: "others lower the clock of a CPU that rests, and take milliseconds to raise it again",
};

pub(in crate::cli::doctor) fn governor(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let mut read = |file: &str| readings.per_cpu(look.cpus.chosen.iter(), "sys/devices/system/cpu/cpu", file);
    let governors = read("/cpufreq/scaling_governor");
    // Where the processor itself chooses the clock, this says what it strives for.
    let has_governor = governors.iter().any(|(_, governor)| governor.is_some());
    let preferences = if has_governor { read("/cpufreq/energy_performance_preference") } else { Vec::new() };
    readings.conclude(&GOVERNOR, judge_governor(&look.cpus, &governors, &preferences))
}

pub(in crate::cli::doctor) fn judge_governor(
    cpus: &Cpus,
    governors: &PerCpu,
    preferences: &PerCpu,
) -> Verdict {
    if governors.iter().all(|(_, governor)| governor.is_none()) {
        return Verdict::unknown();
    }
    let strives = |cpu: usize| {
        let preference = preferences.iter().find(|(of, _)| *of == cpu);
        preference.and_then(|(_, preference)| preference.as_deref()) == Some("performance")
    };
    let governors = governors.iter().filter_map(|(cpu, governor)| Some((*cpu, governor.as_deref()?)));
    let slow: Vec<(usize, &str)> =
        governors.filter(|&(cpu, governor)| governor != "performance" && !strives(cpu)).collect();
    let Some((_, governor)) = slow.first() else { return Verdict::ok("performance") };
    let which: CpuSet = slow.iter().map(|(cpu, _)| *cpu).collect();
    Verdict::new(Severity::Warning, format!("{governor} on {}", name(&which)))
        .mend(format!("sudo cpupower -c {} frequency-set -g performance", cpus.chosen))
}

const BOOST: Check = Check {
    id: "boost",
    wanted: "off, where figures are to be compared; on, where only speed counts",
    why: "with boost the clock depends on heat and on what other cores do, so two equal runs differ",
};

pub(in crate::cli::doctor) fn boost(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let boost = readings.text("sys/devices/system/cpu/cpufreq/boost");
    let no_turbo = match boost {
        Some(_) => None,
        None => readings.text("sys/devices/system/cpu/intel_pstate/no_turbo"),
    };
    readings.conclude(&BOOST, judge_boost(boost.as_deref(), no_turbo.as_deref()))
}

pub(in crate::cli::doctor) fn judge_boost(boost: Option<&str>, no_turbo: Option<&str>) -> Verdict {
    match (boost, no_turbo) {
        (Some("0"), _) | (None, Some("1")) => Verdict::ok("off"),
        (Some("1"), _) => {
            Verdict::new(Severity::Note, "on").mend("echo 0 | sudo tee /sys/devices/system/cpu/cpufreq/boost")
        }
        (None, Some("0")) => Verdict::new(Severity::Note, "on")
            .mend("echo 1 | sudo tee /sys/devices/system/cpu/intel_pstate/no_turbo"),
        _ => Verdict::unknown(),
    }
}

const C_STATES: Check = Check {
    id: "c_states",
    wanted: "the CPUs fall into no sleep that takes more than 2 us to wake from",
    why: "a thread that waits by sleeping (backoff, park) wakes so much later; one that spins is not concerned",
};

/// A sleep that a CPU may fall into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli::doctor) struct Sleep {
    pub(in crate::cli::doctor) name: String,
    /// How long waking takes.
    pub(in crate::cli::doctor) exit_us: u64,
    pub(in crate::cli::doctor) is_disabled: bool,
}

/// Up to here a sleep's end is not noticed.
const SHORT_US: u64 = 2;
/// From here on it is longer than the longest pause of a thread that backs off for a short while.
const LONG_US: u64 = 50;

pub(in crate::cli::doctor) fn c_states(look: &Look<'_>) -> Finding {
    let mut readings = look.readings();
    let tree = readings.tree();
    let polls = tree.text("proc/cmdline").is_some_and(|line| parameter(&line, "idle") == Some("poll"));
    let limit = tree.bytes("dev/cpu_dma_latency");
    let global_limit = dma_latency(limit.as_deref().ok());
    let told = global_limit.map_or_else(|| "no limit".to_owned(), |limit| format!("{limit} us"));
    readings.remember("dev/cpu_dma_latency", limit.map(|_| told));
    let limits = readings.per_cpu(
        look.cpus.chosen.iter(),
        "sys/devices/system/cpu/cpu",
        "/power/pm_qos_resume_latency_us",
    );
    let mut cpus = Vec::new();
    for (cpu, limit) in limits {
        let directory = format!("sys/devices/system/cpu/cpu{cpu}/cpuidle");
        let states: Vec<Sleep> = tree
            .names(&directory)
            .iter()
            .filter_map(|state| {
                let file = |name: &str| tree.text(&format!("{directory}/{state}/{name}"));
                Some(Sleep {
                    name: file("name")?,
                    exit_us: file("latency")?.parse().ok()?,
                    is_disabled: file("disable").is_some_and(|disable| disable != "0"),
                })
            })
            .collect();
        cpus.push((cpu, states, stricter(global_limit, limit.as_deref())));
    }
    remember_states(&mut readings, &cpus);
    readings.conclude(&C_STATES, judge_c_states(&look.cpus, polls, &cpus))
}

/// The states of the first CPU that has some stand for all; the verdict looks at each.
fn remember_states(readings: &mut Readings<'_>, cpus: &[(usize, Vec<Sleep>, Option<u64>)]) {
    let (cpu, states) = match (cpus.iter().find(|(_, states, _)| !states.is_empty()), cpus.first()) {
        (Some((cpu, states, _)), _) => (cpu, states),
        (None, Some((cpu, ..))) => {
            let path = format!("sys/devices/system/cpu/cpu{cpu}/cpuidle");
            return readings.remember(&path, Err(Unread::Absent));
        }
        (None, None) => return,
    };
    let told = |state: &Sleep| {
        let off = if state.is_disabled { " (off)" } else { "" };
        format!("{} {} us{off}", state.name, state.exit_us)
    };
    let told: Vec<String> = states.iter().map(told).collect();
    let path = format!("sys/devices/system/cpu/cpu{cpu}/cpuidle/state*/{{name,latency,disable}}");
    readings.remember(&path, Ok(told.join(", ")));
}

/// The limit of all CPUs: a number of microseconds in the machine's own byte order, 2000 s for none.
pub(in crate::cli::doctor) fn dma_latency(bytes: Option<&[u8]>) -> Option<u64> {
    const NONE_US: i32 = 2_000_000_000;
    let limit = i32::from_ne_bytes(bytes?.try_into().ok()?);
    u64::try_from(limit).ok().filter(|_| limit < NONE_US)
}

/// The limit of one CPU, if it is stricter: `0` is none there, and `n/a` allows no sleep at all.
pub(in crate::cli::doctor) fn stricter(global_us: Option<u64>, own: Option<&str>) -> Option<u64> {
    let own = match own {
        Some("n/a") => Some(0),
        Some(text) => text.parse().ok().filter(|&limit| limit > 0),
        None => None,
    };
    [global_us, own].into_iter().flatten().min()
}

pub(in crate::cli::doctor) fn judge_c_states(
    cpus: &Cpus,
    polls: bool,
    states: &[(usize, Vec<Sleep>, Option<u64>)],
) -> Verdict {
    if polls {
        return Verdict::ok("none: the kernel polls (idle=poll)");
    }
    let deepest = states.iter().flat_map(|(_, states, limit)| {
        states.iter().filter(|state| !state.is_disabled && limit.is_none_or(|limit| state.exit_us <= limit))
    });
    if states.iter().all(|(_, states, _)| states.is_empty()) {
        return Verdict::unknown();
    }
    let Some(deepest) = deepest.max_by_key(|state| state.exit_us) else {
        return Verdict::ok("none is allowed");
    };
    let found = format!("down to {}, which takes {} us to wake from", deepest.name, deepest.exit_us);
    let severity = match deepest.exit_us {
        0..=SHORT_US => return Verdict::ok(found),
        us if us < LONG_US => Severity::Note,
        _ => Severity::Warning,
    };
    Verdict::new(severity, found).mend(format!("sudo cpupower -c {} idle-set -D {SHORT_US}", cpus.chosen))
}
