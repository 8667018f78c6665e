//! Where the figures come from: the machine, how busy it is, and pinning threads to its CPUs.

use std::process::Command;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use serde_json::{Value, json};
use varpin::cores::{PinPolicy, allowed_cpus, pin_current};

fn first_line_after(text: &str, key: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

fn read(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// CPU, kernel, compiler; "unknown" for what this system does not tell.
pub fn description() -> Value {
    let cpus = allowed_cpus().map_or(0, |cpus| cpus.iter().count());
    let compiler = Command::new("rustc").arg("-V").output();
    let compiler = compiler.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned());
    let unknown = || "unknown".to_owned();
    json!({
        "cpu": first_line_after(&read("/proc/cpuinfo"), "model name").unwrap_or_else(unknown),
        "cpus_allowed": cpus,
        "memory": first_line_after(&read("/proc/meminfo"), "MemTotal").unwrap_or_else(unknown),
        "system": std::env::consts::OS,
        "arch": std::env::consts::ARCH,
        "kernel": read("/proc/sys/kernel/osrelease"),
        "rustc": compiler.unwrap_or_else(|_| unknown()),
    })
}

/// How busy the machine is: the three averages, running and existing tasks. This program is among them.
pub fn load() -> String {
    read("/proc/loadavg")
}

/// Runs `work` on a thread of its own, pinned to the allowed CPU of that place in the list; unpinned where there are fewer than two,
/// because there both ends of a ring had to share one. The main thread is never pinned, because its children would inherit that.
pub fn on_cpu<T: Send + 'static>(place: usize, work: impl FnOnce() -> T + Send + 'static) -> JoinHandle<T> {
    thread::spawn(move || {
        let cpus: Vec<usize> = allowed_cpus().map_or_else(|_| Vec::new(), |cpus| cpus.iter().collect());
        if cpus.len() >= 2 {
            let cpu = cpus.get(place).copied();
            if let Ok(varpin::cores::PinOutcome::Unpinned(error)) =
                pin_current("compare", cpu, PinPolicy::BestEffort)
            {
                eprintln!("   {error}");
            }
        }
        work()
    })
}

/// Waits a little while both ends of a ring spin; should they have to share a CPU, each gives it away in the end.
#[inline]
pub fn pause(spins: &mut u32) {
    *spins += 1;
    if spins.is_multiple_of(20_000) {
        thread::yield_now();
    } else {
        std::hint::spin_loop();
    }
}

/// Calls `attempt` until it gives something.
#[inline]
pub fn spin_until<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let mut spins = 0;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        pause(&mut spins);
    }
}

/// The time that this thread has run so far. What else the machine does counts in it only as far as it empties caches.
pub fn on_thread() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a place for the result. The clock is one that Linux has, so the call does not fail.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &raw mut time) };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}
