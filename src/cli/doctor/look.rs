//! What the checks are about: the CPUs that threads are to be pinned to, and those that are left to everybody else.

use varpin::cores::CpuSet;

use super::finding::Readings;
use crate::cli::machine::field;
use crate::cli::tree::Tree;

/// The CPUs in question and the system around them.
#[derive(Debug)]
pub(super) struct Look<'a> {
    pub(super) tree: &'a Tree,
    pub(super) cpus: Cpus,
    /// CPUs that are switched on; none where that is not known.
    pub(super) online: Option<CpuSet>,
    /// CPUs that this process may use.
    pub(super) allowed: Option<CpuSet>,
}

/// The CPUs in question, and the others.
#[derive(Clone, Debug)]
pub(super) struct Cpus {
    pub(super) chosen: CpuSet,
    /// Those switched on that were not chosen.
    pub(super) others: CpuSet,
}

impl<'a> Look<'a> {
    /// A look at `chosen`, or at the CPUs that this process may use.
    pub(super) fn new(tree: &'a Tree, chosen: Option<CpuSet>) -> Self {
        let online: Option<CpuSet> =
            tree.text("sys/devices/system/cpu/online").and_then(|list| list.parse().ok());
        let allowed: Option<CpuSet> = tree
            .text("proc/self/status")
            .and_then(|status| field(&status, "Cpus_allowed_list").and_then(|list| list.parse().ok()));
        // Where nothing tells which CPUs there are, the one that every machine has stands for all.
        let chosen = chosen
            .or_else(|| allowed.clone())
            .or_else(|| online.clone())
            .unwrap_or_else(|| CpuSet::from_iter([0]));
        let others = minus(online.as_ref().unwrap_or(&CpuSet::default()), &chosen);
        Self { tree, cpus: Cpus { chosen, others }, online, allowed }
    }

    pub(super) fn readings(&self) -> Readings<'a> {
        Readings::new(self.tree)
    }
}

impl Cpus {
    /// `CPU 2` or `CPUs 2-3`.
    pub(super) fn name(&self) -> String {
        name(&self.chosen)
    }

    /// What to add to the kernel's command line; in words, as each system has its own place for it.
    pub(super) fn boot_with(&self, parameters: &str) -> String {
        if self.others.is_empty() {
            "leave at least one CPU to the system: choose fewer (--cpus)".to_owned()
        } else {
            format!("boot with {parameters}")
        }
    }
}

/// `CPU 2` or `CPUs 2-3`.
pub(super) fn name(cpus: &CpuSet) -> String {
    let plural = if cpus.len() == 1 { "" } else { "s" };
    format!("CPU{plural} {cpus}")
}

/// `is` or `are`, as befits so many CPUs.
pub(super) fn are(cpus: &CpuSet) -> &'static str {
    if cpus.len() == 1 { "is" } else { "are" }
}

pub(super) fn minus(cpus: &CpuSet, without: &CpuSet) -> CpuSet {
    cpus.iter().filter(|&cpu| !without.contains(cpu)).collect()
}

pub(super) fn common(cpus: &CpuSet, with: &CpuSet) -> CpuSet {
    cpus.iter().filter(|&cpu| with.contains(cpu)).collect()
}

/// Sets whose members share something, each once.
pub(super) fn groups(sets: impl IntoIterator<Item = CpuSet>) -> Vec<CpuSet> {
    let mut groups: Vec<CpuSet> = Vec::new();
    for set in sets {
        if !groups.contains(&set) {
            groups.push(set);
        }
    }
    groups
}

/// A mask in hexadecimal, `0000000f,00000001`, as a set.
pub(super) fn parse_mask(text: &str) -> Option<CpuSet> {
    let mut cpus = Vec::new();
    for (word, digits) in text.trim().rsplit(',').enumerate() {
        let bits = u32::from_str_radix(digits, 16).ok()?;
        cpus.extend((0..32).filter(|bit| bits & (1 << bit) != 0).map(|bit| word * 32 + bit));
    }
    Some(cpus.into_iter().collect())
}

/// A set as a mask in hexadecimal.
pub(super) fn mask(cpus: &CpuSet) -> String {
    let words = cpus.iter().last().map_or(1, |last| last / 32 + 1);
    let word = |word: usize| -> u32 {
        cpus.iter().filter(|cpu| cpu / 32 == word).fold(0, |bits, cpu| bits | 1 << (cpu % 32))
    };
    let words: Vec<String> = (0..words).rev().map(|at| format!("{:08x}", word(at))).collect();
    let text = words.join(",");
    let significant = text.trim_start_matches(['0', ',']);
    if significant.is_empty() { "0".to_owned() } else { significant.to_owned() }
}
