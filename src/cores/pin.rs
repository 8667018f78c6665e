//! Pinning the current thread to a CPU, and reading back that it is.
//!
//! core_affinity sets the mask. It is given the operating system's number itself: its own list of cores hides isolated
//! ones, and a place in that list is no CPU number.
#![allow(unsafe_code, reason = "the affinity mask is read with a system call")]

use std::error::Error;
use std::fmt;
use std::io;
use std::str::FromStr;

use super::CpuSet;

/// What to do when a thread can't be pinned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum PinPolicy {
    /// Fail.
    Strict,
    /// Warn and run unpinned.
    #[default]
    BestEffort,
    /// Don't pin at all.
    Off,
}

impl PinPolicy {
    /// Every policy, in the order in which messages list them.
    pub const ALL: [Self; 3] = [Self::Strict, Self::BestEffort, Self::Off];

    /// The policy's name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::BestEffort => "best-effort",
            Self::Off => "off",
        }
    }
}

impl fmt::Display for PinPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A name that is no pin policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownPinPolicy(String);

impl fmt::Display for UnknownPinPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = PinPolicy::ALL.map(PinPolicy::name).join(", ");
        write!(f, "`{}` is no pin policy; known are {names}", self.0)
    }
}

impl Error for UnknownPinPolicy {}

impl FromStr for PinPolicy {
    type Err = UnknownPinPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|policy| policy.name() == text)
            .ok_or_else(|| UnknownPinPolicy(text.to_owned()))
    }
}

/// How pinning went.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PinOutcome {
    /// The thread runs on this CPU only, as read back.
    Pinned(usize),
    /// Nothing was asked for.
    NotAsked,
    /// It failed and the policy allows that.
    Unpinned(PinError),
}

/// A thread that couldn't be pinned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PinError {
    /// What the thread does.
    pub role: String,
    /// Where it should have run.
    pub cpu: usize,
    /// Why it doesn't.
    pub reason: String,
}

impl fmt::Display for PinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot pin the thread of {} to CPU {}: {}", self.role, self.cpu, self.reason)
    }
}

impl Error for PinError {}

/// Pins the current thread, whose task is `role`, to `cpu`.
pub fn pin_current(role: &str, cpu: Option<usize>, policy: PinPolicy) -> Result<PinOutcome, PinError> {
    let Some(cpu) = cpu.filter(|_| policy != PinPolicy::Off) else { return Ok(PinOutcome::NotAsked) };
    match pin_and_read_back(cpu) {
        Ok(()) => Ok(PinOutcome::Pinned(cpu)),
        Err(reason) => {
            let error = PinError { role: role.to_owned(), cpu, reason };
            if policy == PinPolicy::Strict { Err(error) } else { Ok(PinOutcome::Unpinned(error)) }
        }
    }
}

fn pin_and_read_back(cpu: usize) -> Result<(), String> {
    if cpu >= HIGHEST_PINNABLE {
        return Err(format!("CPUs are numbered below {HIGHEST_PINNABLE} here"));
    }
    if !core_affinity::set_for_current(core_affinity::CoreId { id: cpu }) {
        return Err(format!("the system refuses it ({})", io::Error::last_os_error()));
    }
    let mask = allowed_cpus().map_err(|error| format!("the result can't be read back ({error})"))?;
    if mask.len() == 1 && mask.contains(cpu) {
        Ok(())
    } else {
        Err(format!("the system put it on CPUs {mask} instead"))
    }
}

/// core_affinity's mask has this many bits, and it panics on a number beyond.
const HIGHEST_PINNABLE: usize = 1024;

/// The CPUs on which the current thread may run. Asked before any thread is pinned, that is what the process may use:
/// its control group's CPUs and what it was started with (`taskset`).
#[cfg(target_os = "linux")]
pub fn allowed_cpus() -> io::Result<CpuSet> {
    const WORD_BITS: usize = u64::BITS as usize;
    let mut words = vec![0_u64; HIGHEST_PINNABLE / WORD_BITS];
    loop {
        // SAFETY: the kernel writes at most as many bytes as it is told that the mask has, and `words` has that
        // many; a mask of words is aligned for `cpu_set_t`, which the call takes as a plain address.
        let failed = unsafe {
            libc::sched_getaffinity(
                0,
                size_of_val(words.as_slice()),
                words.as_mut_ptr().cast::<libc::cpu_set_t>(),
            )
        } != 0;
        if !failed {
            break;
        }
        let error = io::Error::last_os_error();
        // A machine with more CPUs than the mask has bits.
        if error.raw_os_error() != Some(libc::EINVAL) || words.len() * WORD_BITS >= CpuSet::MAX_CPUS {
            return Err(error);
        }
        words = vec![0; words.len() * 2];
    }
    let is_set = |cpu: &usize| words[cpu / WORD_BITS] & (1 << (cpu % WORD_BITS)) != 0;
    Ok((0..words.len() * WORD_BITS).filter(is_set).collect())
}

/// The CPUs on which the current thread may run: unknown on this system.
#[cfg(not(target_os = "linux"))]
pub fn allowed_cpus() -> io::Result<CpuSet> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "affinity can be read on Linux only"))
}
