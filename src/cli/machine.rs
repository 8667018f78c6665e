//! The machine, the build and how busy it is: what stands beside every measurement.

use std::fmt;

use serde::Serialize;
use varpin::cores::CpuSet;

use super::tree::Tree;

/// What a measurement was taken on. Members that the system does not tell are null.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Machine {
    /// The processor's name.
    pub(super) cpu_model: Option<String>,
    /// CPUs that are switched on, as a list: `0-3,8`.
    pub(super) cpus_online: Option<String>,
    /// CPUs on which this process may run, likewise.
    pub(super) cpus_allowed: Option<String>,
    /// System and release.
    pub(super) kernel: Option<String>,
    /// Which hypervisor the system runs under; `none` where the processor says that there is none.
    pub(super) hypervisor: Option<String>,
    /// The frequency governors of the CPUs: `performance`, or `performance (0-1), powersave (2-7)`.
    pub(super) governor: Option<String>,
    /// Runnable tasks, averaged over 1, 5 and 15 minutes.
    pub(super) load_average: Option<[f64; 3]>,
    pub(super) memory_bytes: Option<u64>,
    /// How varpin was built.
    pub(super) build: Build,
}

/// How varpin was built.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(super) struct Build {
    /// varpin's version.
    pub(super) version: &'static str,
    /// `release` or `debug`.
    pub(super) profile: &'static str,
    pub(super) opt_level: &'static str,
    pub(super) target: &'static str,
    /// The compiler.
    pub(super) rustc: &'static str,
}

impl Build {
    /// This build.
    pub(super) const THIS: Self = Self {
        version: env!("CARGO_PKG_VERSION"),
        profile: env!("VARPIN_PROFILE"),
        opt_level: env!("VARPIN_OPT_LEVEL"),
        target: env!("VARPIN_TARGET"),
        rustc: env!("VARPIN_RUSTC"),
    };
}

impl Machine {
    /// This machine.
    pub(super) fn here() -> Self {
        Self::read(&Tree::here())
    }

    /// What the files of `tree` tell.
    pub(super) fn read(tree: &Tree) -> Self {
        let cpus_online = tree.text("sys/devices/system/cpu/online");
        let online = cpus_online.as_deref().and_then(|list| list.parse().ok()).unwrap_or_default();
        let processor = tree.text("proc/cpuinfo").unwrap_or_default();
        Self {
            cpu_model: field(&processor, "model name").map(str::to_owned),
            cpus_allowed: tree
                .text("proc/self/status")
                .and_then(|status| field(&status, "Cpus_allowed_list").map(str::to_owned)),
            kernel: tree
                .text("proc/sys/kernel/osrelease")
                .map(|release| {
                    format!("{} {release}", tree.text("proc/sys/kernel/ostype").unwrap_or_default())
                })
                .map(|kernel| kernel.trim().to_owned()),
            hypervisor: hypervisor(tree),
            governor: governors(tree, &online),
            load_average: tree.text("proc/loadavg").and_then(|text| load_average(&text)),
            memory_bytes: tree
                .text("proc/meminfo")
                .and_then(|text| field(&text, "MemTotal")?.strip_suffix("kB")?.trim().parse::<u64>().ok())
                .map(|kib| kib * 1024),
            cpus_online,
            build: Build::THIS,
        }
    }
}

/// One line for people.
impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let known = |text: &Option<String>| text.clone().unwrap_or_else(|| "unknown".to_owned());
        let Build { version, profile, rustc, .. } = self.build;
        write!(f, "{}", self.cpu_model.as_deref().unwrap_or("unknown processor"))?;
        write!(f, ", CPUs {} (allowed {})", known(&self.cpus_online), known(&self.cpus_allowed))?;
        if let Some(bytes) = self.memory_bytes {
            write!(f, ", {:.1} GiB", bytes as f64 / f64::from(1 << 30))?;
        }
        write!(f, ", {}, hypervisor {}", known(&self.kernel), known(&self.hypervisor))?;
        write!(f, ", governor {}", known(&self.governor))?;
        if let Some([last_minute, ..]) = self.load_average {
            write!(f, ", load {last_minute:.2}")?;
        }
        write!(f, "; varpin {version}, {profile}, {}", rustc.split(" (").next().unwrap_or(rustc))
    }
}

/// The value of the first line `NAME: VALUE`.
pub(super) fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (before, value) = line.split_once(':')?;
        (before.trim() == name).then(|| value.trim())
    })
}

/// Which hypervisor there is; `none` where the processor's flags are known and say nothing of one.
pub(super) fn hypervisor(tree: &Tree) -> Option<String> {
    if let Some(name) = tree.text("sys/hypervisor/type").filter(|name| !name.is_empty()) {
        return Some(name);
    }
    let processor = tree.text("proc/cpuinfo")?;
    // Only x86 has such a flag.
    let flags = field(&processor, "flags")?;
    if !flags.split(' ').any(|flag| flag == "hypervisor") {
        return Some("none".to_owned());
    }
    let clocks =
        tree.text("sys/devices/system/clocksource/clocksource0/available_clocksource").unwrap_or_default();
    let by_clock = [("kvm-clock", "KVM"), ("hyperv_clocksource", "Hyper-V"), ("xen", "Xen")];
    let kind = by_clock.iter().find(|(clock, _)| clocks.contains(clock)).map(|&(_, name)| name.to_owned());
    let product = tree.text("sys/class/dmi/id/product_name").filter(|name| !name.is_empty());
    Some(match (kind, product) {
        (Some(kind), Some(product)) => format!("{kind} ({product})"),
        (Some(name), None) | (None, Some(name)) => name,
        (None, None) => "of an unknown kind".to_owned(),
    })
}

/// The governors of `cpus`, each with its CPUs where there are several.
fn governors(tree: &Tree, cpus: &CpuSet) -> Option<String> {
    let mut groups: Vec<(String, Vec<usize>)> = Vec::new();
    for cpu in cpus.iter() {
        let Some(governor) = tree.text(&format!("sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor"))
        else {
            continue;
        };
        match groups.iter_mut().find(|(name, _)| *name == governor) {
            Some((_, members)) => members.push(cpu),
            None => groups.push((governor, vec![cpu])),
        }
    }
    match groups.as_slice() {
        [] => None,
        [(governor, _)] => Some(governor.clone()),
        several => {
            let with_cpus = |(governor, cpus): &(String, Vec<usize>)| {
                format!("{governor} ({})", cpus.iter().copied().collect::<CpuSet>())
            };
            Some(several.iter().map(with_cpus).collect::<Vec<_>>().join(", "))
        }
    }
}

fn load_average(text: &str) -> Option<[f64; 3]> {
    let mut words = text.split_ascii_whitespace().map(|word| word.parse().ok());
    Some([words.next()??, words.next()??, words.next()??])
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn a_machine_that_tells_nothing_has_a_line_all_the_same() {
        let machine = Machine::read(&Tree::new(Path::new("/nowhere")));
        let line = machine.to_string();
        assert!(line.starts_with("unknown processor, CPUs unknown (allowed unknown), unknown"), "{line}");
        assert_eq!((machine.load_average, machine.memory_bytes), (None, None));
    }

    #[test]
    fn load_averages_are_three_numbers() {
        assert_eq!(load_average("0.50 1.25 2.00 3/456 789"), Some([0.5, 1.25, 2.0]));
        assert_eq!(load_average("0.50 1.25"), None);
    }
}
