//! Which CPUs the scheduler leaves to those who pin threads to them: nothing else is moved there.
//!
//! There are two ways to get such CPUs: the kernel's parameter `isolcpus`, and partitions of the kind `isolated` of
//! control groups (version 2). What version 1's cpusets can be made to do isn't recognised.

use std::fs;
use std::path::Path;

use super::{CpuSet, control_groups};

/// The isolated CPUs. `root` stands for `/`; empty where nothing says that there are any.
pub fn isolated_cpus(root: &Path) -> CpuSet {
    let list = |path: &Path| -> CpuSet {
        fs::read_to_string(path).ok().and_then(|text| text.parse().ok()).unwrap_or_default()
    };
    let mut isolated: Vec<usize> = list(&root.join("sys/devices/system/cpu/isolated")).iter().collect();
    for group in control_groups::version_2(root) {
        // The file is in the root of the hierarchy alone, and lists the CPUs of all such partitions.
        isolated.extend(list(&group.join("cpuset.cpus.isolated")).iter());
        let kind = fs::read_to_string(group.join("cpuset.cpus.partition")).unwrap_or_default();
        // A partition that could not be made says `isolated invalid (..)`.
        if kind.trim() == "isolated" {
            isolated.extend(list(&group.join("cpuset.cpus.effective")).iter());
        }
    }
    isolated.into_iter().collect()
}
