//! What CPUs share: a core (SMT siblings), a last-level cache, a memory node.

use std::fs;
use std::path::Path;

use super::CpuSet;

/// Groups of CPUs that share something. A CPU of which the system tells nothing is in no group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Topology {
    /// CPUs that are hardware threads of one core.
    pub smt_siblings: Vec<CpuSet>,
    /// CPUs behind one level 3 cache.
    pub shared_l3: Vec<CpuSet>,
    /// NUMA nodes: number and CPUs, ascending.
    pub numa_nodes: Vec<(usize, CpuSet)>,
}

impl Topology {
    /// Reads what the system tells about `cpus`. `root` stands for `/`; what can't be read is left out.
    pub fn read(root: &Path, cpus: &CpuSet) -> Self {
        let system = root.join("sys/devices/system");
        let mut topology = Self { numa_nodes: read_nodes(&system.join("node")), ..Self::default() };
        for cpu in cpus.iter() {
            let directory = system.join(format!("cpu/cpu{cpu}"));
            add_group(
                &mut topology.smt_siblings,
                read_cpus(&directory.join("topology/thread_siblings_list")),
            );
            add_group(&mut topology.shared_l3, read_l3(&directory.join("cache")));
        }
        topology
    }

    /// The hardware threads that share a core with `cpu`, itself included.
    pub fn siblings_of(&self, cpu: usize) -> Option<&CpuSet> {
        self.smt_siblings.iter().find(|group| group.contains(cpu))
    }

    /// The CPUs that share a level 3 cache with `cpu`, itself included.
    pub fn l3_of(&self, cpu: usize) -> Option<&CpuSet> {
        self.shared_l3.iter().find(|group| group.contains(cpu))
    }

    /// The NUMA node of `cpu`.
    pub fn node_of(&self, cpu: usize) -> Option<usize> {
        self.numa_nodes.iter().find(|(_, cpus)| cpus.contains(cpu)).map(|&(node, _)| node)
    }
}

/// Adds a group that each of its members reports.
fn add_group(groups: &mut Vec<CpuSet>, group: Option<CpuSet>) {
    if let Some(group) = group.filter(|group| !groups.contains(group)) {
        groups.push(group);
    }
}

fn read_cpus(file: &Path) -> Option<CpuSet> {
    fs::read_to_string(file).ok()?.parse().ok()
}

/// The entry `index*` whose level is 3; entries are not numbered by level.
fn read_l3(cache: &Path) -> Option<CpuSet> {
    numbered(cache, "index")
        .into_iter()
        .map(|index| cache.join(format!("index{index}")))
        .find(|entry| fs::read_to_string(entry.join("level")).is_ok_and(|level| level.trim() == "3"))
        .and_then(|entry| read_cpus(&entry.join("shared_cpu_list")))
}

fn read_nodes(directory: &Path) -> Vec<(usize, CpuSet)> {
    numbered(directory, "node")
        .into_iter()
        .filter_map(|node| Some((node, read_cpus(&directory.join(format!("node{node}/cpulist")))?)))
        .collect()
}

/// The numbers of the entries of `directory` that are called `prefix` and a number, ascending.
fn numbered(directory: &Path, prefix: &str) -> Vec<usize> {
    let entries = fs::read_dir(directory).into_iter().flatten().flatten();
    let mut numbers: Vec<usize> =
        entries.filter_map(|entry| entry.file_name().to_str()?.strip_prefix(prefix)?.parse().ok()).collect();
    numbers.sort_unstable();
    numbers
}
