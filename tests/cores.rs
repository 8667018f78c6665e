//! Promises about CPUs: what is read from the system, who is placed where, and that a pin is a pin. Systems other than this
//! machine are directories that the tests write.

use std::fs;
use std::path::Path;
use std::thread;

use tempfile::TempDir;
use varpin::cores::{
    CpuSet, CpuWish, PinOutcome, PinPolicy, Placement, Throttling, Topology, allowed_cpus, cpu_groups,
    cpu_quota, isolated_cpus, parse_cfs_quota, parse_cpu_max, parse_throttling, pin_current, place,
};

/// A directory that stands for `/`, with these files.
fn system(files: &[(&str, &str)]) -> TempDir {
    let root = tempfile::tempdir().expect("a temporary directory");
    for (path, text) in files {
        let path = root.path().join(path);
        fs::create_dir_all(path.parent().expect("a file stands in a directory")).expect("writable");
        fs::write(path, text).expect("writable");
    }
    root
}

fn cpus(text: &str) -> CpuSet {
    text.parse().expect("the test's own list")
}

#[test]
fn cpu_lists_are_read_as_linux_writes_them() {
    let table: [(&str, &[usize]); 6] = [
        ("0\n", &[0]),
        ("0-3", &[0, 1, 2, 3]),
        ("1,3-4,8", &[1, 3, 4, 8]),
        ("", &[]),
        ("\n", &[]),
        ("4,0-1,1", &[0, 1, 4]),
    ];
    for (text, expected) in table {
        assert_eq!(cpus(text).iter().collect::<Vec<_>>(), expected, "{text:?}");
    }
    for bad in ["a", "1-", "-1", "3-1", "1,,2", "0-99999999999", "0-65536", "1 2"] {
        assert!(bad.parse::<CpuSet>().is_err(), "{bad:?}");
    }
    assert_eq!(cpus("8,1,3-4").to_string(), "1,3-4,8");
}

#[test]
fn the_quota_is_the_tightest_on_the_way_up() {
    let mountinfo = "30 1 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw\n";
    let root = system(&[
        ("proc/self/cgroup", "0::/outer/inner\n"),
        ("proc/self/mountinfo", mountinfo),
        ("sys/fs/cgroup/outer/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/outer/inner/cpu.max", "max 100000\n"),
    ]);
    assert_eq!(cpu_quota(root.path()), Some(1.5));
    fs::write(root.path().join("sys/fs/cgroup/outer/inner/cpu.max"), "50000 100000").unwrap();
    assert_eq!(cpu_quota(root.path()), Some(0.5));
}

#[test]
fn the_quota_is_found_where_version_2_is_mounted_beside_version_1() {
    let mountinfo = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
    let root = system(&[
        ("proc/self/cgroup", "1:cpu:/elsewhere\n0::/mine\n"),
        ("proc/self/mountinfo", mountinfo),
        ("sys/fs/cgroup/unified/mine/cpu.max", "200000 100000\n"),
    ]);
    assert_eq!(cpu_quota(root.path()), Some(2.0));
}

#[test]
fn a_containers_quota_is_found_at_its_mount() {
    // The mount shows the container's own group as its root, while the path is the host's.
    let mountinfo = "41 31 0:38 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n";
    for group in ["0::/docker/abc\n", "0::/\n", "0::/../other\n"] {
        let root = system(&[
            ("proc/self/cgroup", group),
            ("proc/self/mountinfo", mountinfo),
            ("sys/fs/cgroup/cpu.max", "100000 100000\n"),
        ]);
        assert_eq!(cpu_quota(root.path()), Some(1.0), "{group:?}");
    }
}

#[test]
fn a_quota_of_version_1_counts_too_and_the_tightest_of_both_versions_holds() {
    let mountinfo = "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n\
                     32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                     33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n\
                     41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let mut files = vec![
        ("proc/self/cgroup", "3:cpuset:/elsewhere\n2:cpu,cpuacct:/outer/inner\n0::/mine\n"),
        ("proc/self/mountinfo", mountinfo),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/outer/cpu.cfs_quota_us", "75000\n"),
        ("sys/fs/cgroup/cpu,cpuacct/outer/cpu.cfs_period_us", "50000\n"),
        (
            "sys/fs/cgroup/cpu,cpuacct/outer/cpu.stat",
            "nr_periods 9\nnr_throttled 3\nthrottled_time 7000000\n",
        ),
        ("sys/fs/cgroup/cpu,cpuacct/outer/inner/cpu.cfs_quota_us", "-1\n"),
    ];
    let root = system(&files);
    assert_eq!(cpu_quota(root.path()), Some(1.5));
    let groups = cpu_groups(root.path());
    let of_outer = groups.iter().find(|group| group.directory.ends_with("cpu,cpuacct/outer")).unwrap();
    let throttling =
        Throttling { periods: 9, throttled_periods: 3, throttled: std::time::Duration::from_millis(7) };
    assert_eq!((of_outer.version, of_outer.throttling), (1, Some(throttling)));
    files.push(("sys/fs/cgroup/unified/mine/cpu.max", "100000 100000\n"));
    assert_eq!(cpu_quota(system(&files).path()), Some(1.0));
}

#[test]
fn a_containers_quota_of_version_1_is_found_at_its_mount() {
    // The mount's directory has a space in its name.
    let mountinfo = "32 31 0:29 /docker/abc /sys/fs/cgroup\\040x/cpu ro - cgroup cgroup rw,cpu\n";
    for group in ["2:cpu:/docker/abc\n", "2:cpu:/\n", "2:cpu:/../other\n"] {
        let root = system(&[
            ("proc/self/cgroup", group),
            ("proc/self/mountinfo", mountinfo),
            ("sys/fs/cgroup x/cpu/cpu.cfs_quota_us", "50000\n"),
            ("sys/fs/cgroup x/cpu/cpu.cfs_period_us", "100000\n"),
        ]);
        assert_eq!(cpu_quota(root.path()), Some(0.5), "{group:?}");
    }
}

#[test]
fn throttling_is_counted_where_a_group_says_so() {
    let counted = |throttled| Throttling { periods: 8, throttled_periods: 2, throttled };
    let micros = std::time::Duration::from_micros;
    let table = [
        ("usage_usec 7\nnr_periods 8\nnr_throttled 2\nthrottled_usec 30\n", Some(counted(micros(30)))),
        ("nr_periods 8\nnr_throttled 2\nthrottled_time 30000\n", Some(counted(micros(30)))),
        ("nr_periods 8\nnr_throttled 2\n", Some(counted(micros(0)))),
        ("usage_usec 7\nuser_usec 5\n", None),
        ("nr_periods x\nnr_throttled 2\n", None),
        ("", None),
    ];
    for (text, expected) in table {
        assert_eq!(parse_throttling(text), expected, "{text:?}");
    }
}

#[test]
fn isolated_cpus_are_those_of_the_kernels_parameter_and_of_partitions() {
    let groups = [
        ("proc/self/cgroup", "0::/rt\n"),
        ("proc/self/mountinfo", "30 1 0:28 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
    ];
    let isolated =
        |files: &[(&str, &str)]| isolated_cpus(system(&[&groups, files].concat()).path()).to_string();
    let partition = "sys/fs/cgroup/rt/cpuset.cpus.partition";
    let effective = ("sys/fs/cgroup/rt/cpuset.cpus.effective", "6-7\n");
    assert_eq!(isolated(&[("sys/devices/system/cpu/isolated", "2-3\n")]), "2-3");
    assert_eq!(isolated(&[("sys/devices/system/cpu/isolated", "\n")]), "");
    assert_eq!(isolated(&[("sys/fs/cgroup/cpuset.cpus.isolated", "5\n")]), "5");
    assert_eq!(isolated(&[(partition, "isolated\n"), effective]), "6-7");
    // A partition that still is scheduled, one that was not granted, and none.
    for kind in ["root\n", "isolated invalid (Cpu list in cpuset.cpus not exclusive)\n", "member\n"] {
        assert_eq!(isolated(&[(partition, kind), effective]), "", "{kind:?}");
    }
    assert_eq!(isolated_cpus(Path::new("/nowhere")), CpuSet::default());
}

#[test]
fn no_quota_is_none() {
    assert_eq!(cpu_quota(Path::new("/nowhere")), None);
    assert_eq!(cpu_quota(system(&[("proc/self/cgroup", "0::/\n")]).path()), None);
    for text in ["max 100000", "max", "", "x y", "1 0"] {
        assert_eq!(parse_cpu_max(text), None, "{text:?}");
    }
    assert_eq!(parse_cpu_max("50000"), Some(0.5));
    for (quota, period) in
        [("-1", Some("100000")), ("", None), ("x", None), ("1", Some("0")), ("1", Some("x"))]
    {
        assert_eq!(parse_cfs_quota(quota, period), None, "{quota:?} {period:?}");
    }
    assert_eq!(parse_cfs_quota("50000", None), Some(0.5));
}

#[test]
fn the_topology_groups_cpus_by_what_they_share() {
    let mut files = vec![
        ("sys/devices/system/node/node0/cpulist".to_owned(), "0,2"),
        ("sys/devices/system/node/node1/cpulist".to_owned(), "4,6"),
        ("sys/devices/system/node/possible".to_owned(), "0-1"),
    ];
    for (cpu, siblings, l3) in [(0, "0,2", "0,2"), (2, "0,2", "0,2"), (4, "4", "4,6"), (6, "6", "4,6")] {
        let directory = format!("sys/devices/system/cpu/cpu{cpu}");
        files.push((format!("{directory}/topology/thread_siblings_list"), siblings));
        // Levels don't follow the entries' numbers.
        files.push((format!("{directory}/cache/index0/level"), "1\n"));
        files.push((format!("{directory}/cache/index0/shared_cpu_list"), siblings));
        files.push((format!("{directory}/cache/index2/level"), "3\n"));
        files.push((format!("{directory}/cache/index2/shared_cpu_list"), l3));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), *text)).collect();
    let topology = Topology::read(system(&files).path(), &cpus("0,2,4,6,8"));
    assert_eq!(topology.smt_siblings, [cpus("0,2"), cpus("4"), cpus("6")]);
    assert_eq!(topology.shared_l3, [cpus("0,2"), cpus("4,6")]);
    assert_eq!(topology.numa_nodes, [(0, cpus("0,2")), (1, cpus("4,6"))]);
    assert_eq!(topology.l3_of(6), Some(&cpus("4,6")));
    assert_eq!((topology.node_of(4), topology.node_of(8)), (Some(1), None));
    assert_eq!(topology.siblings_of(8), None);
}

#[test]
fn a_system_that_tells_nothing_has_no_groups() {
    assert_eq!(Topology::read(Path::new("/nowhere"), &cpus("0-3")), Topology::default());
}

fn guide_wishes() -> [CpuWish<'static>; 3] {
    [
        CpuWish { name: "ingest", cpus: &[0, 1], workers: 1 },
        CpuWish { name: "analyze", cpus: &[2, 3], workers: 1 },
        CpuWish { name: "alert", cpus: &[4], workers: 1 },
    ]
}

#[test]
fn each_context_gets_the_first_cpu_of_its_list() {
    for policy in [PinPolicy::Strict, PinPolicy::BestEffort] {
        let placement = place(&guide_wishes(), &cpus("0-7"), policy).unwrap();
        let expected = vec![vec![Some(0)], vec![Some(2)], vec![Some(4)]];
        assert_eq!(placement, Placement { cpus: expected, warnings: vec![] });
    }
}

#[test]
fn the_rest_of_the_list_is_the_pools() {
    let wishes = [CpuWish { name: "pool", cpus: &[3, 5, 9], workers: 4 }];
    let placement = place(&wishes, &cpus("3,5,9"), PinPolicy::Strict).unwrap();
    assert_eq!(placement.cpus, [[Some(3), Some(5), Some(9), None]]);
    assert!(placement.warnings.is_empty());
}

#[test]
fn cpus_that_are_not_there_are_warned_of_and_their_workers_run_unpinned() {
    let placement = place(&guide_wishes(), &cpus("0-1"), PinPolicy::BestEffort).unwrap();
    assert_eq!(placement.cpus, [[Some(0)], [None], [None]]);
    assert_eq!(
        placement.warnings,
        [
            "context analyze asks for CPU 2, which this process may not use (allowed: 0-1); it runs unpinned",
            "context alert asks for CPU 4, which this process may not use (allowed: 0-1); it runs unpinned",
        ]
    );
}

#[test]
fn strict_names_every_context_and_cpu_that_cannot_be_had() {
    let error = place(&guide_wishes(), &cpus("0,4"), PinPolicy::Strict).unwrap_err();
    assert_eq!(error.refused, [("analyze".to_owned(), 2)]);
    let message = "context analyze asks for CPU 2, which this process may not use (allowed: 0,4)";
    assert_eq!(error.to_string(), message);
}

#[test]
fn allowed_cpus_need_not_be_contiguous() {
    let wishes =
        [CpuWish { name: "a", cpus: &[8], workers: 1 }, CpuWish { name: "b", cpus: &[1], workers: 1 }];
    let placement = place(&wishes, &cpus("1,8,64"), PinPolicy::Strict).unwrap();
    assert_eq!(placement.cpus, [[Some(8)], [Some(1)]]);
}

#[test]
fn contexts_on_one_cpu_are_warned_of_but_get_it() {
    let wishes =
        [CpuWish { name: "a", cpus: &[0], workers: 1 }, CpuWish { name: "b", cpus: &[0], workers: 1 }];
    let placement = place(&wishes, &cpus("0-1"), PinPolicy::Strict).unwrap();
    assert_eq!(placement.cpus, [[Some(0)], [Some(0)]]);
    assert_eq!(placement.warnings, ["contexts a and b share CPU 0"]);
}

#[test]
fn off_places_nobody_and_refuses_nothing() {
    let placement = place(&guide_wishes(), &cpus("0"), PinPolicy::Off).unwrap();
    assert_eq!(placement, Placement { cpus: vec![vec![None]; 3], warnings: vec![] });
}

#[test]
#[cfg(target_os = "linux")]
fn a_pinned_thread_runs_on_its_cpu_only_and_others_are_untouched() {
    let allowed = allowed_cpus().unwrap();
    let last = allowed.iter().last().unwrap();
    let mask = thread::spawn(move || {
        assert_eq!(pin_current("test", Some(last), PinPolicy::Strict), Ok(PinOutcome::Pinned(last)));
        allowed_cpus().unwrap()
    });
    assert_eq!(mask.join().unwrap(), [last].into_iter().collect());
    assert_eq!(allowed_cpus().unwrap(), allowed);
}

#[test]
fn a_pin_that_fails_names_the_role_and_the_cpu_and_the_policy_decides() {
    // One beyond what a mask holds, and one that hardly any machine has.
    for missing in [100_000, 1023] {
        if allowed_cpus().is_ok_and(|allowed| allowed.contains(missing)) {
            continue;
        }
        let error = pin_current("alert", Some(missing), PinPolicy::Strict).unwrap_err();
        let start = format!("cannot pin the thread of alert to CPU {missing}: ");
        assert!(error.to_string().starts_with(&start), "{error}");
        let outcome = pin_current("alert", Some(missing), PinPolicy::BestEffort);
        assert_eq!(outcome, Ok(PinOutcome::Unpinned(error)));
    }
    for policy in PinPolicy::ALL {
        assert_eq!(pin_current("alert", None, policy), Ok(PinOutcome::NotAsked));
    }
    assert_eq!(pin_current("alert", Some(100_000), PinPolicy::Off), Ok(PinOutcome::NotAsked));
}

#[test]
fn pin_policies_have_names_and_unknown_ones_are_refused_by_name() {
    for policy in PinPolicy::ALL {
        assert_eq!(policy.to_string().parse(), Ok(policy));
    }
    let message = "hard".parse::<PinPolicy>().unwrap_err().to_string();
    assert_eq!(message, "`hard` is no pin policy; known are strict, best-effort, off");
}
