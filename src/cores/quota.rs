//! How much CPU time the process's control groups (version 2) grant it.
//!
//! A quota holds for a group with everything below it, so the tightest one on the way from the process's own group up
//! to the root counts.

use std::fs;
use std::path::{Path, PathBuf};

/// How many CPUs' worth of time this process may use: 1.5 means 150 ms in every 100 ms. `None` if no group limits
/// it, or if there are no version 2 groups to ask. `root` stands for `/`.
pub fn cpu_quota(root: &Path) -> Option<f64> {
    let own = own_group(&fs::read_to_string(root.join("proc/self/cgroup")).ok()?)?;
    let mountinfo = fs::read_to_string(root.join("proc/self/mountinfo")).unwrap_or_default();
    let (mount_root, mount_point) =
        cgroup2_mount(&mountinfo).unwrap_or_else(|| (PathBuf::from("/"), PathBuf::from("/sys/fs/cgroup")));
    // In a container the mount shows only a part of the tree, and the group's path may lead out of it; then what
    // is mounted is the best there is to ask.
    let inside = own.strip_prefix(&mount_root).unwrap_or(Path::new(""));
    let mount = root.join(mount_point.strip_prefix("/").unwrap_or(&mount_point));
    inside
        .ancestors()
        .filter_map(|group| fs::read_to_string(mount.join(group).join("cpu.max")).ok())
        .filter_map(|text| parse_cpu_max(&text))
        .min_by(f64::total_cmp)
}

/// Reads the content of a `cpu.max` file, `QUOTA PERIOD` in microseconds, as a number of CPUs; `None` for `max`
/// (no limit) and for anything else that gives no limit.
///
/// ```
/// use varpin::cores::parse_cpu_max;
/// assert_eq!(parse_cpu_max("150000 100000\n"), Some(1.5));
/// assert_eq!(parse_cpu_max("max 100000\n"), None);
/// ```
pub fn parse_cpu_max(text: &str) -> Option<f64> {
    let mut words = text.split_ascii_whitespace();
    let quota_us: u64 = words.next()?.parse().ok()?;
    let period_us: u64 = words.next().map_or(Some(100_000), |word| word.parse().ok())?;
    (period_us > 0).then(|| quota_us as f64 / period_us as f64)
}

/// The process's version 2 group out of `/proc/self/cgroup`: the line `0::PATH`.
fn own_group(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| line.strip_prefix("0::")).map(PathBuf::from)
}

/// Where the version 2 groups are mounted, out of `/proc/self/mountinfo`: the group that is mounted, and the directory.
fn cgroup2_mount(text: &str) -> Option<(PathBuf, PathBuf)> {
    text.lines().find_map(|line| {
        let (mount, filesystem) = line.split_once(" - ")?;
        if filesystem.split(' ').next() != Some("cgroup2") {
            return None;
        }
        let mut fields = mount.split(' ').skip(3);
        Some((PathBuf::from(fields.next()?), PathBuf::from(fields.next()?)))
    })
}
