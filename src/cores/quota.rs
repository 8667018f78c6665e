//! How much CPU time the process's control groups grant it, in either version of them.
//!
//! A quota holds for a group with everything below it, so the tightest one on the way from the process's own group up
//! to the root counts.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::control_groups;

/// A control group of the process, and what it does about CPU time.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct CpuGroup {
    /// Where it is, below what stands for `/`.
    pub directory: PathBuf,
    /// Which version its hierarchy has: 1 or 2.
    pub version: u8,
    /// How many CPUs' worth of time it grants, if it limits that.
    pub quota_cpus: Option<f64>,
    /// How often the limit was reached; `None` where it isn't counted.
    pub throttling: Option<Throttling>,
}

/// How often a group has used its CPU time up before the end of a period, and stood still for the rest of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttling {
    /// Periods in which the group had something to run.
    pub periods: u64,
    /// Those in which it was stopped.
    pub throttled_periods: u64,
    /// For how long altogether, added up over CPUs.
    pub throttled: Duration,
}

/// The groups that have a say about the process's CPU time, each hierarchy from the process's own group up to the root
/// of what is mounted. `root` stands for `/`; empty where nothing can be read.
pub fn cpu_groups(root: &Path) -> Vec<CpuGroup> {
    let version_2 = control_groups::version_2(root).into_iter().filter_map(read_version_2);
    let version_1 = control_groups::version_1(root, "cpu").into_iter().filter_map(read_version_1);
    version_2.chain(version_1).collect()
}

/// How many CPUs' worth of time this process may use: 1.5 means 150 ms in every 100 ms. `None` if no group limits
/// it, or if there are none to ask. `root` stands for `/`.
pub fn cpu_quota(root: &Path) -> Option<f64> {
    cpu_groups(root).iter().filter_map(|group| group.quota_cpus).min_by(f64::total_cmp)
}

fn read_version_2(directory: PathBuf) -> Option<CpuGroup> {
    let quota = fs::read_to_string(directory.join("cpu.max")).ok();
    let throttling = read_throttling(&directory);
    // The root of the hierarchy has neither.
    (quota.is_some() || throttling.is_some()).then(|| CpuGroup {
        quota_cpus: quota.and_then(|text| parse_cpu_max(&text)),
        version: 2,
        throttling,
        directory,
    })
}

fn read_version_1(directory: PathBuf) -> Option<CpuGroup> {
    let quota = fs::read_to_string(directory.join("cpu.cfs_quota_us")).ok();
    let period = fs::read_to_string(directory.join("cpu.cfs_period_us")).ok();
    let throttling = read_throttling(&directory);
    (quota.is_some() || throttling.is_some()).then(|| CpuGroup {
        quota_cpus: quota.and_then(|quota| parse_cfs_quota(&quota, period.as_deref())),
        version: 1,
        throttling,
        directory,
    })
}

fn read_throttling(directory: &Path) -> Option<Throttling> {
    parse_throttling(&fs::read_to_string(directory.join("cpu.stat")).ok()?)
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
    cpus(words.next()?, words.next())
}

/// The same for version 1's two files, `cpu.cfs_quota_us` and `cpu.cfs_period_us`; a quota of `-1` is no limit.
///
/// ```
/// use varpin::cores::parse_cfs_quota;
/// assert_eq!(parse_cfs_quota("50000\n", Some("100000\n")), Some(0.5));
/// assert_eq!(parse_cfs_quota("-1\n", Some("100000\n")), None);
/// ```
pub fn parse_cfs_quota(quota_us: &str, period_us: Option<&str>) -> Option<f64> {
    cpus(quota_us.trim(), period_us.map(str::trim))
}

/// The kernel's period, where none is said, is 100 ms.
fn cpus(quota_us: &str, period_us: Option<&str>) -> Option<f64> {
    let quota_us: u64 = quota_us.parse().ok()?;
    let period_us: u64 = period_us.map_or(Some(100_000), |text| text.parse().ok())?;
    (period_us > 0).then(|| quota_us as f64 / period_us as f64)
}

/// Reads the content of a `cpu.stat` file of either version; `None` where it doesn't count throttling.
///
/// ```
/// use varpin::cores::parse_throttling;
/// let throttling = parse_throttling("nr_periods 10\nnr_throttled 4\nthrottled_usec 1500\n").unwrap();
/// assert_eq!((throttling.throttled_periods, throttling.throttled.as_micros()), (4, 1500));
/// ```
pub fn parse_throttling(text: &str) -> Option<Throttling> {
    let value = |name: &str| -> Option<u64> {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.trim().parse().ok())
    };
    let microseconds = value("throttled_usec").map(Duration::from_micros);
    Some(Throttling {
        periods: value("nr_periods")?,
        throttled_periods: value("nr_throttled")?,
        throttled: microseconds
            .or_else(|| value("throttled_time").map(Duration::from_nanos))
            .unwrap_or_default(),
    })
}
