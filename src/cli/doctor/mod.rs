//! `varpin doctor`: what on this machine disturbs pinned threads, and what mends it.
//!
//! Each check reads a few files of the system and judges what they say; what isn't there is *unknown*, never an error,
//! so containers and virtual machines get as much of an answer as there is. Nothing is changed and nothing is measured.

mod checks;
mod finding;
mod json;
mod look;
#[cfg(test)]
mod tests;
mod text;

use std::path::Path;

use varpin::cores::CpuSet;

use super::args::DoctorArgs;
use super::exit::Exit;
use super::machine::Machine;
use super::messages;
use super::tree::Tree;
use look::Look;

pub(super) use finding::Finding;
use finding::Severity;

/// What was looked at, and what was found.
struct Examination {
    machine: Machine,
    cpus: CpuSet,
    /// Why these.
    because: String,
    findings: Vec<Finding>,
}

/// Looks at the machine.
pub(super) fn doctor(typed: &DoctorArgs) -> Exit {
    if let Some(cpus) = &typed.cpus
        && cpus.is_empty()
    {
        messages::error("--cpus names no CPU");
        return Exit::Refused;
    }
    let (asked, because) = match (&typed.cpus, &typed.program) {
        (Some(cpus), _) => (Some(cpus.clone()), "asked for".to_owned()),
        (None, Some(path)) => match named_by(path) {
            Some(cpus) if cpus.is_empty() => {
                (None, format!("{} names none, so those allowed to this process", path.display()))
            }
            Some(cpus) => (Some(cpus), format!("named by {}", path.display())),
            None => return Exit::Refused,
        },
        (None, None) => (None, "those allowed to this process".to_owned()),
    };
    if !typed.root.is_dir() {
        messages::error(format_args!("{} is no directory", typed.root.display()));
        return Exit::Refused;
    }
    let tree = Tree::new(&typed.root);
    let look = Look::new(&tree, asked);
    let findings = checks::all(&look);
    let examination =
        Examination { machine: Machine::read(&tree), cpus: look.cpus.chosen.clone(), because, findings };
    let printed = if typed.json { json::print(&examination) } else { text::print(&examination) };
    messages::print(printed.trim_end());
    if typed.strict && examination.count(Severity::Severe) > 0 { Exit::Failed } else { Exit::Done }
}

/// The CPUs that a program's contexts name; none if it does not load.
fn named_by(path: &Path) -> Option<CpuSet> {
    let program = messages::load(path, false)?;
    Some(program.plan().contexts.iter().flat_map(|context| context.cores.iter().copied()).collect())
}

/// What is severe about threads that are pinned to `cpus` on this machine.
pub(super) fn severe(cpus: CpuSet) -> Vec<Finding> {
    let tree = Tree::here();
    let mut findings = checks::all(&Look::new(&tree, Some(cpus)));
    findings.retain(|finding| finding.severity == Severity::Severe);
    findings
}

/// Says what the kernel takes from threads with a real-time priority.
pub(super) fn warn_of_throttling() {
    let finding = checks::scheduling::rt_throttling(&Look::new(&Tree::here(), None));
    if finding.severity <= Severity::Note {
        messages::warning(format_args!("{}: {} (varpin doctor says more)", finding.id, finding.found));
    }
}

impl Examination {
    fn count(&self, severity: Severity) -> usize {
        self.findings.iter().filter(|finding| finding.severity == severity).count()
    }
}
