//! The system calls behind [`LowJitter`](super::LowJitter). Each reads back what it has set, or says why it is refused.
#![allow(unsafe_code, reason = "these settings have no other door than system calls")]

#[cfg(target_os = "linux")]
mod os {
    use std::fs;
    use std::io;
    use std::num::NonZeroU64;

    fn last_error() -> io::Error {
        io::Error::last_os_error()
    }

    /// The soft limit of a resource; `None` is no limit.
    fn limit(resource: libc::__rlimit_resource_t) -> Option<u64> {
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        // SAFETY: `limit` is a whole `rlimit` that the kernel may write.
        let failed = unsafe { libc::getrlimit(resource, &raw mut limit) } != 0;
        (!failed && limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur)
    }

    /// Locks all pages that the process has and will get.
    pub(in crate::cores) fn lock_memory() -> Result<(), String> {
        let refused = |error: &io::Error| match limit(libc::RLIMIT_MEMLOCK) {
            Some(bytes) => format!(
                "{error}: RLIMIT_MEMLOCK allows {} KiB, and without CAP_IPC_LOCK all memory of the process must fit \
                 (ulimit -l unlimited, or LimitMEMLOCK=infinity in a systemd unit)",
                bytes / 1024
            ),
            None => error.to_string(),
        };
        // SAFETY: locking changes where pages are, never what is in them.
        if unsafe { libc::mlockall(libc::MCL_CURRENT | libc::MCL_FUTURE) } != 0 {
            return Err(refused(&last_error()));
        }
        // What is there fits, but what comes later may not; an allocation would then fail and end the process. A
        // mapping beyond the limit is granted only to those for whom the limit doesn't hold.
        if let Some(bytes) = limit(libc::RLIMIT_MEMLOCK)
            && let Err(error) = try_to_map(bytes)
        {
            // SAFETY: as above.
            unsafe { libc::munlockall() };
            return Err(refused(&error));
        }
        Ok(())
    }

    /// Maps more than `bytes`, without any page behind it, and gives it back.
    fn try_to_map(bytes: u64) -> io::Result<()> {
        let length = usize::try_from(bytes).ok().and_then(|bytes| bytes.checked_add(1 << 20));
        let length = length.ok_or(io::ErrorKind::OutOfMemory)?;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        // SAFETY: a new mapping where the kernel likes; it touches no other memory.
        let address = unsafe { libc::mmap(std::ptr::null_mut(), length, libc::PROT_NONE, flags, -1, 0) };
        if address == libc::MAP_FAILED {
            return Err(last_error());
        }
        // SAFETY: exactly the mapping made above, of which nobody else knows.
        unsafe { libc::munmap(address, length) };
        Ok(())
    }

    /// How much memory of the process is locked.
    pub(in crate::cores) fn locked_bytes() -> u64 {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmLck:"));
        let kib = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// Gives the current thread a real-time priority. Threads that it starts don't inherit it.
    pub(in crate::cores) fn set_realtime(priority: u8) -> Result<(), String> {
        let wanted = libc::sched_param { sched_priority: priority.into() };
        let policy = libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK;
        // SAFETY: 0 is the current thread, and `wanted` is whole and outlives the call.
        if unsafe { libc::sched_setscheduler(0, policy, &raw const wanted) } != 0 {
            let error = last_error();
            let allowed = limit(libc::RLIMIT_RTPRIO).map_or("any".to_owned(), |highest| highest.to_string());
            return Err(format!(
                "{error}: RLIMIT_RTPRIO allows {allowed}, and more needs CAP_SYS_NICE (ulimit -r {priority}, or \
                 LimitRTPRIO={priority} in a systemd unit; control groups of version 1 may grant no real-time at all)"
            ));
        }
        // SAFETY: 0 is the current thread; nothing is written.
        let now = unsafe { libc::sched_getscheduler(0) };
        if now & !libc::SCHED_RESET_ON_FORK == libc::SCHED_FIFO {
            Ok(())
        } else {
            Err(format!("the system has given it another policy ({now}) instead"))
        }
    }

    /// Sets how late sleeps of the current thread may end, and returns what the system says then.
    pub(in crate::cores) fn set_timer_slack_ns(slack_ns: NonZeroU64) -> Result<u64, String> {
        let wanted = libc::c_ulong::try_from(slack_ns.get()).map_err(|_| "it is too long".to_owned())?;
        // SAFETY: this option takes a number and concerns the current thread only.
        if unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, wanted) } != 0 {
            return Err(last_error().to_string());
        }
        // SAFETY: as above; it takes nothing.
        let set = unsafe { libc::prctl(libc::PR_GET_TIMERSLACK) };
        u64::try_from(set).map_err(|_| last_error().to_string())
    }

    /// Lets other threads go before the one that calls, from now on.
    #[cfg(feature = "vpl")]
    pub(crate) fn step_back() {
        const NICE: libc::c_int = 10;
        // SAFETY: 0 is the current thread, and no memory is touched. A lower priority is never refused.
        unsafe { libc::setpriority(libc::PRIO_PROCESS, 0, NICE) };
    }

    /// Asks for huge pages for these `bytes` and what else is on their pages.
    pub(crate) fn advise_huge_pages(address: usize, bytes: usize) -> io::Result<()> {
        // SAFETY: this option takes a number and changes nothing.
        let page = usize::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096);
        let start = address - address % page;
        let length = address + bytes - start;
        // SAFETY: this advice never changes what is in memory, whosever it is, only what pages lie behind it; the
        // pages from `start` on are those of a live allocation.
        let failed =
            unsafe { libc::madvise(std::ptr::without_provenance_mut(start), length, libc::MADV_HUGEPAGE) }
                != 0;
        if failed { Err(last_error()) } else { Ok(()) }
    }

    /// Of the mappings that hold one of these ranges of addresses: how many bytes are in huge pages. What else is in
    /// such a mapping counts, too.
    pub(crate) fn huge_page_bytes(ranges: &[(usize, usize)]) -> u64 {
        let maps = fs::read_to_string("/proc/self/smaps").unwrap_or_default();
        super::huge_page_bytes_in(&maps, ranges)
    }
}

#[cfg(not(target_os = "linux"))]
mod os {
    use std::io;
    use std::num::NonZeroU64;

    const ONLY_LINUX: &str = "this is known for Linux only";

    pub(in crate::cores) fn lock_memory() -> Result<(), String> {
        Err(ONLY_LINUX.to_owned())
    }

    pub(in crate::cores) fn locked_bytes() -> u64 {
        0
    }

    pub(in crate::cores) fn set_realtime(_priority: u8) -> Result<(), String> {
        Err(ONLY_LINUX.to_owned())
    }

    pub(in crate::cores) fn set_timer_slack_ns(_slack_ns: NonZeroU64) -> Result<u64, String> {
        Err(ONLY_LINUX.to_owned())
    }

    #[cfg(feature = "vpl")]
    pub(crate) fn step_back() {}

    pub(crate) fn advise_huge_pages(_address: usize, _bytes: usize) -> io::Result<()> {
        Err(io::Error::new(io::ErrorKind::Unsupported, ONLY_LINUX))
    }

    pub(crate) fn huge_page_bytes(_ranges: &[(usize, usize)]) -> u64 {
        0
    }
}

#[cfg(feature = "vpl")]
pub(crate) use os::step_back;
pub(crate) use os::{advise_huge_pages, huge_page_bytes};
pub(super) use os::{lock_memory, locked_bytes, set_realtime, set_timer_slack_ns};

/// Adds up `AnonHugePages` of the mappings in the text of a `smaps` file that hold one of these ranges: address and
/// length.
fn huge_page_bytes_in(maps: &str, ranges: &[(usize, usize)]) -> u64 {
    let mut holds_one = false;
    let mut bytes = 0;
    for line in maps.lines() {
        let (first, rest) = line.split_once(' ').unwrap_or((line, ""));
        let bounds = first
            .split_once('-')
            .map(|(start, end)| (usize::from_str_radix(start, 16), usize::from_str_radix(end, 16)));
        if let Some((Ok(start), Ok(end))) = bounds {
            holds_one = ranges.iter().any(|&(address, length)| address < end && start < address + length);
        } else if holds_one && first == "AnonHugePages:" {
            let kib: u64 =
                rest.trim().strip_suffix("kB").and_then(|kib| kib.trim().parse().ok()).unwrap_or(0);
            bytes += kib * 1024;
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn huge_pages_count_in_mappings_that_hold_a_ring() {
        let maps = "10000-20000 rw-p 00000000 00:00 0 [heap]\nSize: 64 kB\nAnonHugePages:      2048 kB\n\
                    20000-30000 rw-p 00000000 00:00 0\nAnonHugePages:      4096 kB\n";
        assert_eq!(huge_page_bytes_in(maps, &[(0x1_8000, 16)]), 2 << 20);
        assert_eq!(huge_page_bytes_in(maps, &[(0x1_8000, 16), (0x1_9000, 16)]), 2 << 20);
        assert_eq!(huge_page_bytes_in(maps, &[(0x1_fff0, 32)]), 6 << 20);
        assert_eq!(huge_page_bytes_in(maps, &[(0x3_0000, 16)]), 0);
        assert_eq!(huge_page_bytes_in("", &[(0, 1)]), 0);
    }
}
