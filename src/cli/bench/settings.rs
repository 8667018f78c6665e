//! What was typed after `varpin bench`, taken for what it means: rates, threads and their CPUs.

use std::path::{Path, PathBuf};

use varpin::cores::{CpuSet, PinPolicy, Topology, allowed_cpus, cpu_quota};
use varpin::idle::{AutoCase, Idle, choose_auto};

use super::args::{CommonArgs, Rate, What};

/// Slots of a ring where nothing else is asked for.
pub(super) const USUAL_CAPACITY: usize = 1024;

/// A measurement as it was asked for.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) kind: Kind,
    pub(super) rates: Vec<Rate>,
    /// What was typed and needs no interpretation.
    pub(super) common: CommonArgs,
    /// The threads and where each is to run: the sender first.
    pub(super) threads: Vec<(String, Option<usize>)>,
    /// CPUs on which this process may run.
    pub(super) allowed: CpuSet,
    /// How receivers wait; `auto` is resolved for rings, and left to the engine elsewhere.
    pub(super) idle: Idle,
    pub(super) idle_reason: String,
    /// Of so many events the engine measures one, hop by hop; none where there is no engine.
    pub(super) latency_sample: Option<u32>,
    pub(super) warnings: Vec<String>,
}

/// What is measured.
#[derive(Debug)]
pub(super) enum Kind {
    Hop { payload: usize },
    Throughput { payload: usize, batch: usize },
    Pipeline { contexts: usize, payload: usize },
    Program { program: PathBuf, events: Option<PathBuf>, event_type: Option<String> },
}

impl Kind {
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Hop { .. } => "hop",
            Self::Throughput { .. } => "throughput",
            Self::Pipeline { .. } => "pipeline",
            Self::Program { .. } => "program",
        }
    }

    /// The rate where none was typed.
    fn usual_rate(&self) -> Rate {
        match self {
            Self::Hop { .. } => Rate::Open(1e6),
            Self::Pipeline { .. } => Rate::Open(1e5),
            Self::Throughput { .. } | Self::Program { .. } => Rate::Max,
        }
    }
}

/// The most contexts of a pipeline.
const MOST_CONTEXTS: usize = 64;

impl Settings {
    /// What `typed` means, or why it means nothing. Drawing is no measurement.
    pub(super) fn new(typed: What) -> Result<Self, String> {
        let (kind, common, latency_sample) = match typed {
            What::Hop(args) => (Kind::Hop { payload: args.payload }, args.common, None),
            What::Throughput(args) => {
                let kind = Kind::Throughput { payload: args.ring.payload, batch: args.batch.get() };
                (kind, args.ring.common, None)
            }
            What::Pipeline(args) => {
                if !(1..=MOST_CONTEXTS).contains(&args.contexts) {
                    return Err(format!("a pipeline has 1 to {MOST_CONTEXTS} contexts"));
                }
                if !args.payload.is_multiple_of(16) || !(16..=128).contains(&args.payload) {
                    return Err("an event of a pipeline has 16 to 128 bytes of fields, 16 each".to_owned());
                }
                let kind = Kind::Pipeline { contexts: args.contexts, payload: args.payload };
                (kind, args.common, Some(args.engine.latency_sample))
            }
            What::Program(args) => {
                let (program, events, event_type) = (args.program, args.events, args.event_type);
                let kind = Kind::Program { program, events, event_type };
                (kind, args.common, Some(args.engine.latency_sample))
            }
            What::Plot(_) => return Err("drawing measures nothing".to_owned()),
        };
        if common.duration.is_zero() {
            return Err("--duration: no time would be measured".to_owned());
        }
        if common.stall.is_some_and(|stall| stall.as_millis() >= 1_000) {
            return Err("--stall: comes once a second, so it must be shorter".to_owned());
        }
        let allowed = allowed_cpus().map_err(|error| format!("cannot tell which CPUs there are: {error}"))?;
        let rates = if common.rate.is_empty() { vec![kind.usual_rate()] } else { common.rate.clone() };
        let mut settings = Self {
            kind,
            rates,
            threads: Vec::new(),
            allowed,
            idle: common.idle,
            idle_reason: "asked for".to_owned(),
            latency_sample,
            warnings: Vec::new(),
            common,
        };
        match settings.kind {
            Kind::Hop { .. } | Kind::Throughput { .. } => {
                settings.place(&["sender".to_owned(), "taker".to_owned()])?;
                settings.resolve_idle();
            }
            Kind::Pipeline { contexts, .. } => {
                let names = (1..=contexts).map(|context| format!("c{context}"));
                settings.place(&std::iter::once("feeder".to_owned()).chain(names).collect::<Vec<_>>())?;
            }
            // The program says where its contexts run.
            Kind::Program { .. } => {}
        }
        Ok(settings)
    }

    /// Says where each of the threads runs: on CPUs of their own, or, where there are too few, on any.
    pub(super) fn place(&mut self, roles: &[String]) -> Result<(), String> {
        let topology = Topology::read(Path::new("/"), &self.allowed);
        let cpus = if self.common.cpus.is_empty() {
            by_core(&self.allowed, &topology)
        } else {
            self.common.cpus.clone()
        };
        let enough = cpus.len() >= roles.len();
        if !self.common.cpus.is_empty() && !enough {
            return Err(format!("--cpus: {} threads need as many CPUs", roles.len()));
        }
        if let Some(twice) = (1..cpus.len()).find(|&at| cpus[..at].contains(&cpus[at])) {
            return Err(format!("--cpus: CPU {} is there twice", cpus[twice]));
        }
        let pins = enough && self.common.pin != PinPolicy::Off;
        if !enough {
            if self.common.pin == PinPolicy::Strict {
                return Err(format!("{} threads cannot have a CPU each: {}", roles.len(), self.allowed));
            }
            self.warnings.push(format!(
                "{} threads share {} CPUs: they are not pinned, and figures say more of the scheduler than of varpin",
                roles.len(),
                self.allowed.len()
            ));
        }
        let cpu = |at: usize| cpus.get(at).copied().filter(|_| pins);
        self.threads = roles.iter().enumerate().map(|(at, role)| (role.clone(), cpu(at))).collect();
        Ok(())
    }

    /// What `auto` means for the threads behind the sender.
    fn resolve_idle(&mut self) {
        if self.idle != Idle::Auto {
            return;
        }
        let workers: Vec<(&str, Option<usize>)> =
            self.threads.iter().skip(1).map(|(role, cpu)| (role.as_str(), *cpu)).collect();
        let case = AutoCase {
            workers: &workers,
            other_busy_threads: 1,
            allowed: &self.allowed,
            quota_cpus: cpu_quota(Path::new("/")),
        };
        (self.idle, self.idle_reason) = choose_auto(&case);
    }

    /// The CPUs that the threads are pinned to.
    pub(super) fn pinned_cpus(&self) -> Vec<usize> {
        self.threads.iter().filter_map(|(_, cpu)| *cpu).collect()
    }
}

/// The CPUs in the order in which threads should have them: one of each core before the second of any.
fn by_core(allowed: &CpuSet, topology: &Topology) -> Vec<usize> {
    let place = |cpu: usize| {
        let siblings = topology.siblings_of(cpu);
        siblings.map_or(0, |siblings| {
            siblings.iter().filter(|&other| other < cpu && allowed.contains(other)).count()
        })
    };
    let mut cpus: Vec<usize> = allowed.iter().collect();
    cpus.sort_by_key(|&cpu| (place(cpu), cpu));
    cpus
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_get_cores_of_their_own_before_they_share_one() {
        let set = |list: &str| list.parse::<CpuSet>().expect("a valid list");
        let topology = |groups: &[&str]| Topology {
            smt_siblings: groups.iter().map(|group| set(group)).collect(),
            ..Topology::default()
        };
        let cases: [(&str, &[&str], &[usize]); 4] = [
            ("0-3", &[], &[0, 1, 2, 3]),
            ("0-3", &["0-1", "2-3"], &[0, 2, 1, 3]),
            ("0-3", &["0,2", "1,3"], &[0, 1, 2, 3]),
            ("1,2,3", &["0-1", "2-3"], &[1, 2, 3]),
        ];
        for (allowed, groups, wanted) in cases {
            assert_eq!(by_core(&set(allowed), &topology(groups)), wanted, "{allowed} {groups:?}");
        }
    }
}
