//! Verdicts, as tables of what was read. What the command prints about whole systems is tested in `tests/doctor.rs`.

use varpin::cores::{CpuGroup, CpuSet, cpu_groups};

use super::checks::{interrupts, isolation, machine, memory, placement, power, quota, scheduling};
use super::finding::{Severity, Verdict, braces};
use super::look::{Cpus, mask, parse_mask};
use Severity::{Note, Ok, Severe, Unknown, Warning};

fn set(text: &str) -> CpuSet {
    text.parse().expect("the test's own list")
}

fn cpus(chosen: &str, others: &str) -> Cpus {
    Cpus { chosen: set(chosen), others: set(others) }
}

#[track_caller]
fn says(verdict: &Verdict, severity: Severity, words: &str) {
    assert_eq!(verdict.severity, severity, "{verdict:?}");
    assert!(verdict.found.contains(words), "{words:?} is not in {verdict:?}");
    let mends = !verdict.mend.is_empty();
    assert_eq!(mends, severity <= Note, "what is not as it should be says how to mend it: {verdict:?}");
}

#[test]
fn cpus_must_be_there_and_allowed() {
    let table = [
        ("2-3", Some("0-3"), Some("0-3"), Ok, "allowed are 0-3"),
        ("2-3", Some("0-3"), Some("2-3"), Note, "all that this process may use"),
        ("3", Some("0-3"), Some("0-2"), Severe, "may not use CPU 3 (allowed: 0-2)"),
        ("3,9", Some("0-3"), Some("0-3"), Severe, "CPU 9 is not there"),
        ("3", None, Some("0-2"), Severe, "may not use CPU 3"),
        ("3", None, None, Unknown, ""),
    ];
    for (chosen, online, allowed, severity, words) in table {
        let [online, allowed] = [online, allowed].map(|list| list.map(set));
        let verdict = placement::judge_cpus_allowed(&cpus(chosen, "0-1"), online.as_ref(), allowed.as_ref());
        says(&verdict, severity, words);
    }
}

#[test]
fn cpus_share_no_core_but_a_cache_and_a_node() {
    let both = |a: Option<&str>, b: Option<&str>| [(2, a.map(set)), (3, b.map(set))];
    let pair = cpus("2-3", "0-1");
    says(&placement::judge_smt(&pair, &both(Some("2"), Some("3"))), Ok, "");
    says(&placement::judge_smt(&pair, &both(Some("2-3"), Some("2-3"))), Warning, "CPUs 2-3 are");
    says(&placement::judge_smt(&pair, &both(Some("0,2"), Some("1,3"))), Note, "CPUs 0-1 are");
    // The other hardware threads are switched off.
    says(&placement::judge_smt(&pair, &both(Some("2,6"), Some("3,7"))), Ok, "");
    says(&placement::judge_smt(&pair, &both(None, None)), Unknown, "");

    says(&placement::judge_l3_cache(&pair, &both(Some("0-3"), Some("0-3"))), Ok, "share one");
    says(&placement::judge_l3_cache(&pair, &both(Some("0,2"), Some("1,3"))), Warning, "CPU 2; CPU 3");
    says(&placement::judge_l3_cache(&pair, &both(Some("0,2"), None)), Unknown, "");
    says(&placement::judge_l3_cache(&cpus("2", "0"), &[(2, None)]), Ok, "only one CPU");

    let nodes = |a, b| vec![(0, set(a)), (1, set(b))];
    says(&placement::judge_numa_placement(&pair, &nodes("0-1", "2-3")), Ok, "node 1, of 2");
    says(&placement::judge_numa_placement(&pair, &nodes("0-2", "3")), Warning, "node 1 has CPU 3");
    says(&placement::judge_numa_placement(&pair, &nodes("0", "1")), Unknown, "no node");
    says(&placement::judge_numa_placement(&pair, &[]), Unknown, "");
}

#[test]
fn isolation_is_of_every_cpu() {
    let pair = cpus("2-3", "0-1");
    let none = CpuSet::default();
    says(&isolation::judge_isolation(&pair, Some(&set("1-3"))), Ok, "isolated are 1-3");
    says(&isolation::judge_isolation(&pair, Some(&set("3"))), Severe, "CPU 2 is not isolated");
    says(&isolation::judge_isolation(&pair, Some(&none)), Severe, "CPUs 2-3 are not isolated");
    says(&isolation::judge_isolation(&pair, None), Unknown, "");
    // Nothing can be isolated if nothing is left for the system.
    let verdict = isolation::judge_isolation(&cpus("0-3", ""), Some(&none));
    assert!(verdict.mend[0].contains("choose fewer"), "{verdict:?}");
}

#[test]
fn ticks_and_callbacks_are_kept_away_by_parameters() {
    let pair = cpus("2-3", "0-1");
    let nohz = [
        (Some("2-3"), Some("nohz_full=2-3"), Ok),
        (Some("3"), Some("nohz_full=3"), Warning),
        (Some("(null)"), Some("quiet"), Warning),
        (Some(""), None, Warning),
        (None, Some("quiet"), Warning),
        (None, Some("nohz_full=2-3"), Unknown),
        (None, None, Unknown),
        (Some("2-N"), None, Unknown),
    ];
    for (listed, line, severity) in nohz {
        says(&isolation::judge_nohz_full(&pair, listed, line), severity, "");
    }
    let rcu = [
        (Some("quiet rcu_nocbs=2-3"), Ok),
        (Some("rcu_nocbs"), Ok),
        (Some("rcu_nocbs=all"), Ok),
        (Some("rcu_nocbs=2 nohz_full=3"), Ok),
        (Some("rcu_nocbs=2"), Warning),
        (Some("rcu_nocbs=2-3 rcu_nocbs=0"), Warning),
        (Some("rcu_nocbs_poll"), Warning),
        (Some("quiet -- rcu_nocbs=2-3"), Warning),
        (Some("rcu_nocbs=0-N"), Unknown),
        (None, Unknown),
    ];
    for (line, severity) in rcu {
        let verdict = isolation::judge_rcu_nocbs(&pair, line);
        assert_eq!(verdict.severity, severity, "{line:?}");
    }
}

#[test]
fn interrupts_are_warned_of_where_they_came() {
    let table = "      CPU0  CPU2  CPU3\n 24:  5  6  7  PCI-MSI 1-edge  eth0\nLOC:  1  2  3  Local timer\n";
    assert_eq!(interrupts::row(table, 24, &set("2-3")), Some(("eth0".to_owned(), 13)));
    assert_eq!(interrupts::row(table, 24, &set("1")), Some(("eth0".to_owned(), 0)));
    assert_eq!(interrupts::row(table, 2, &set("2")), None);
    assert_eq!(interrupts::row("", 24, &set("2")), None);
    let irq = |list, came| interrupts::Irq { number: 24, name: "eth0".to_owned(), cpus: set(list), came };
    let pair = cpus("2-3", "0-1");
    let judge = |irqs: Option<&Vec<interrupts::Irq>>| interrupts::judge_irq_affinity(&pair, irqs);
    says(&judge(Some(&vec![irq("0-1", 9)])), Ok, "none of 1");
    says(&judge(Some(&vec![irq("0-3", 0), irq("0", 5)])), Note, "1 of 2 interrupts go to CPUs 2-3");
    says(&judge(Some(&vec![irq("3", 13), irq("3", 0)])), Warning, "1 of them came");
    says(&judge(None), Unknown, "");
}

#[test]
fn masks_are_read_and_written_as_linux_does() {
    let table =
        [("f", "0-3"), ("1,00000000", "32"), ("80000000", "31"), ("0", ""), ("3,00000001", "0,32-33")];
    for (text, list) in table {
        assert_eq!(parse_mask(text), Some(set(list)), "{text}");
        assert_eq!(mask(&set(list)), text, "{list}");
    }
    assert_eq!(parse_mask("00000000,0000000f\n"), Some(set("0-3")));
    assert_eq!(parse_mask("x"), None);
    let pair = cpus("2-3", "0-1");
    says(&interrupts::judge_workqueue(&pair, Some("3")), Ok, "0-1");
    says(&interrupts::judge_workqueue(&pair, Some("ff")), Warning, "CPUs 2-3");
    says(&interrupts::judge_workqueue(&pair, None), Unknown, "");
    for (text, severity) in [(Some("0"), Ok), (Some("1"), Note), (Some("x"), Unknown), (None, Unknown)] {
        says(&interrupts::judge_nmi_watchdog(text), severity, "");
    }
}

#[test]
fn clocks_are_kept_by_the_governor_or_by_preference() {
    let pair = cpus("2-3", "0-1");
    let both = |a: &str, b: &str| [(2, Some(a.to_owned())), (3, Some(b.to_owned()))];
    let slow = both("performance", "powersave");
    says(&power::judge_governor(&pair, &both("performance", "performance"), &[]), Ok, "performance");
    says(&power::judge_governor(&pair, &slow, &[]), Warning, "powersave on CPU 3");
    says(&power::judge_governor(&pair, &slow, &[(3, Some("performance".to_owned()))]), Ok, "");
    says(&power::judge_governor(&pair, &[(2, None), (3, None)], &[]), Unknown, "");
    let boost =
        [(Some("0"), None, Ok), (Some("1"), None, Note), (None, Some("1"), Ok), (None, Some("0"), Note)];
    for (boost, no_turbo, severity) in boost {
        says(&power::judge_boost(boost, no_turbo), severity, "");
    }
    says(&power::judge_boost(None, None), Unknown, "");
}

#[test]
fn sleeps_count_as_deep_as_limits_allow() {
    let sleep =
        |name: &str, exit_us, is_disabled| power::Sleep { name: name.to_owned(), exit_us, is_disabled };
    let states = |deepest_is_disabled| {
        vec![sleep("C1", 2, false), sleep("C1E", 10, false), sleep("C6", 133, deepest_is_disabled)]
    };
    let judge = |states, limit| power::judge_c_states(&cpus("2", "0"), false, &[(2, states, limit)]);
    says(&judge(states(false), None), Warning, "down to C6, which takes 133 us");
    says(&judge(states(true), None), Note, "C1E");
    says(&judge(states(false), Some(20)), Note, "C1E");
    says(&judge(states(false), Some(2)), Ok, "C1");
    says(&judge(states(false), Some(0)), Ok, "none is allowed");
    says(&judge(Vec::new(), Some(0)), Unknown, "");
    says(&power::judge_c_states(&cpus("2", "0"), true, &[]), Ok, "polls");
    let dma = [
        (Some(0), Some(0)),
        (Some(70), Some(70)),
        (Some(2_000_000_000), None),
        (Some(-1), None),
        (None, None),
    ];
    for (limit, expected) in dma {
        let bytes = limit.map(i32::to_ne_bytes);
        assert_eq!(power::dma_latency(bytes.as_ref().map(<[u8; 4]>::as_slice)), expected, "{limit:?}");
    }
    assert_eq!(power::dma_latency(Some(b"10")), None);
    let own = [("0", None), ("5", Some(5)), ("n/a", Some(0)), ("x", None)];
    for (text, expected) in own {
        assert_eq!(power::stricter(None, Some(text)), expected, "{text}");
    }
    assert_eq!(power::stricter(Some(3), Some("5")), Some(3));
}

#[test]
fn memory_stays_where_it_is() {
    let swaps = "Filename Type Size Used Priority\n/swap file 2097152 1024 -2\n/other file 1048576 0 -3\n";
    says(&memory::judge_swap(Some(swaps), Some("60")), Warning, "3072 MiB of swap, 1 in use, swappiness 60");
    says(&memory::judge_swap(Some("Filename Type Size Used Priority\n"), None), Ok, "none");
    says(&memory::judge_swap(None, Some("60")), Unknown, "");
    let huge = [
        (Some("[always] madvise never"), Some("always [defer] never"), Warning, "always, and defrag defer"),
        (Some("always [madvise] never"), Some("[always] madvise never"), Note, "defrag always"),
        (Some("always [madvise] never"), None, Ok, "madvise"),
        (Some("always madvise [never]"), None, Ok, "never"),
        (Some("always"), None, Unknown, ""),
        (None, None, Unknown, ""),
    ];
    for (enabled, defrag, severity, words) in huge {
        says(&memory::judge_huge_pages(enabled, defrag), severity, words);
    }
    let balancing = [
        (Some("0"), Some(2), Ok),
        (Some("1"), Some(2), Warning),
        (Some("1"), Some(1), Ok),
        (Some("1"), None, Warning),
        (None, Some(1), Ok),
        (None, Some(2), Unknown),
    ];
    for (text, nodes, severity) in balancing {
        says(&memory::judge_numa_balancing(text, nodes), severity, "");
    }
}

#[test]
fn limits_hold_unless_a_capability_lifts_them() {
    let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                  Max locked memory         65536                unlimited            bytes\n";
    assert_eq!(memory::limit(limits, "Max locked memory").as_deref(), Some("65536"));
    assert_eq!(memory::limit(limits, "Max realtime priority"), None);
    let [none, all] = ["0000000000000000", "000001ffffffffff"];
    let table = [
        (Some("65536"), Some(none), Note, "64 KiB"),
        (Some("65536"), Some("0000000000004000"), Ok, "CAP_IPC_LOCK"),
        (Some("unlimited"), Some(none), Ok, "unlimited"),
        (None, Some(all), Ok, "CAP_IPC_LOCK"),
        (None, None, Unknown, ""),
    ];
    for (limit, capabilities, severity, words) in table {
        says(&memory::judge_locked_memory(limit, capabilities), severity, words);
    }
    let table = [
        (Some("0"), Some(none), Note, "RLIMIT_RTPRIO is 0"),
        (Some("0"), Some("0000000000800000"), Ok, "CAP_SYS_NICE"),
        (Some("50"), None, Ok, "up to 50"),
        (None, None, Unknown, ""),
    ];
    for (limit, capabilities, severity, words) in table {
        says(&scheduling::judge_realtime_priority(limit, capabilities), severity, words);
    }
}

#[test]
fn real_time_threads_are_stopped_by_older_kernels_only() {
    let table = [
        (Some("950000"), Some("5.15.0-91-generic"), Note, "50 ms in every 1000 ms"),
        (Some("950000"), Some("6.11.9"), Note, ""),
        (Some("950000"), Some("6.12.0-rc1"), Ok, "6.12"),
        (Some("950000"), Some("7.0"), Ok, ""),
        (Some("950000"), None, Note, ""),
        (Some("-1"), Some("5.15"), Ok, "off"),
        (Some("1000000"), Some("5.15"), Ok, "off"),
        (None, Some("5.15"), Unknown, ""),
    ];
    for (runtime, release, severity, words) in table {
        says(&scheduling::judge_rt_throttling(runtime, Some("1000000"), release), severity, words);
    }
    for (slack, severity) in [(Some("50000"), Note), (Some("1"), Ok), (Some("0"), Ok), (None, Unknown)] {
        says(&scheduling::judge_timer_slack(slack), severity, "");
    }
}

#[test]
fn hosts_and_clocks_are_judged_by_what_they_cost() {
    says(&machine::judge_virtualisation(Some("none")), Ok, "none");
    says(&machine::judge_virtualisation(Some("KVM")), Warning, "KVM");
    says(&machine::judge_virtualisation(None), Unknown, "");
    let stat = "cpu  9 9 9 9 9 9 9 9\ncpu0 1 0 0 5 0 0 0 90 0 0\n\
                cpu2 10 2 3 50 0 1 4 0 0 0\ncpu3 10 2 3 50 9 1 4 5 1 1\n";
    assert_eq!(machine::cpu_times(stat, &set("2-3")), Some((40, 5)));
    assert_eq!(machine::cpu_times(stat, &set("7")), None);
    let table = [((100, 0), Ok), ((99_999, 1), Note), ((999, 1), Warning), ((99, 1), Severe), ((0, 0), Ok)];
    for (times, severity) in table {
        says(&machine::judge_steal(Some(times)), severity, "");
    }
    let clocks = [
        (Some("tsc"), Ok),
        (Some("arch_sys_counter"), Ok),
        (Some("kvm-clock"), Note),
        (Some("hpet"), Severe),
        (None, Unknown),
    ];
    for (clock, severity) in clocks {
        says(&machine::judge_clocksource(clock, Some("tsc hpet")), severity, "");
    }
}

#[test]
fn quotas_are_for_every_thread_and_who_feeds_them() {
    let root = tempfile::tempdir().expect("a temporary directory");
    let group = |quota: &str, stat: &str| -> Vec<CpuGroup> {
        for (path, text) in [
            ("proc/self/cgroup", "0::/g\n"),
            ("sys/fs/cgroup/g/cpu.max", quota),
            ("sys/fs/cgroup/g/cpu.stat", stat),
        ] {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().expect("it has one")).expect("writable");
            std::fs::write(path, text).expect("writable");
        }
        cpu_groups(root.path())
    };
    let pair = cpus("2-3", "0-1");
    let quotas =
        [("max 100000", Ok), ("300000 100000", Ok), ("200000 100000", Warning), ("150000 100000", Severe)];
    for (quota, severity) in quotas {
        says(&quota::judge_quota(&pair, &group(quota, "")), severity, "");
    }
    says(&quota::judge_quota(&pair, &[]), Unknown, "");
    let stat = "nr_periods 10\nnr_throttled 4\nthrottled_usec 90000\n";
    says(
        &quota::judge_throttling(&group("150000 100000", stat)),
        Severe,
        "stopped in 4 of 10 periods, for 90 ms",
    );
    says(&quota::judge_throttling(&group("max 100000", stat)), Note, "stopped");
    says(&quota::judge_throttling(&group("150000 100000", "nr_periods 10\nnr_throttled 0\n")), Ok, "never");
    says(&quota::judge_throttling(&[]), Unknown, "");
}

#[test]
fn numbers_are_braced_as_a_shell_expands_them() {
    let table: [(&[usize], &str); 5] = [
        (&[2], "2"),
        (&[2, 3], "{2,3}"),
        (&[2, 3, 4], "{2..4}"),
        (&[0, 2, 3, 4, 9], "{0,{2..4},9}"),
        (&[1, 5], "{1,5}"),
    ];
    for (numbers, text) in table {
        assert_eq!(braces(numbers), text);
    }
}
