//! Which CPU each worker gets: a pure function of what programs ask for and what the process may use.

use std::error::Error;
use std::fmt;

use super::{CpuSet, PinPolicy};

/// What one context asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuWish<'a> {
    /// The context's name, for messages.
    pub name: &'a str,
    /// The CPUs it names, in its order: the first is its own worker's, the others are its pool's.
    pub cpus: &'a [usize],
    /// How many workers it has: one, and those of its pool.
    pub workers: usize,
}

/// Who runs where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Placement {
    /// For each wish the CPU of each of its workers; `None` runs unpinned.
    pub cpus: Vec<Vec<Option<usize>>>,
    /// What was asked for and can't be had, or should not be wanted; in words.
    pub warnings: Vec<String>,
}

/// Every CPU that was asked for under [`PinPolicy::Strict`] and is not allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlacementError {
    /// Context and CPU.
    pub refused: Vec<(String, usize)>,
    /// What is allowed.
    pub allowed: CpuSet,
}

impl fmt::Display for PlacementError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, cpu)) in self.refused.iter().enumerate() {
            let separator = if index == 0 { "" } else { "; " };
            write!(f, "{separator}{}", refusal(name, *cpu, &self.allowed))?;
        }
        Ok(())
    }
}

impl Error for PlacementError {}

fn refusal(name: &str, cpu: usize, allowed: &CpuSet) -> String {
    format!("context {name} asks for CPU {cpu}, which this process may not use (allowed: {allowed})")
}

/// Gives each worker the CPU that its context's list names for it, if the process may use it. Where it may not, the
/// policy decides: [`PinPolicy::Strict`] fails, [`PinPolicy::BestEffort`] warns and leaves the worker unpinned.
/// Workers beyond the end of their list are unpinned without a warning.
///
/// ```
/// use varpin::cores::{CpuWish, PinPolicy, place};
/// let wishes = [
///     CpuWish { name: "ingest", cpus: &[0, 1], workers: 1 },
///     CpuWish { name: "analyze", cpus: &[2, 3], workers: 1 },
/// ];
/// let placement = place(&wishes, &"0-1".parse().unwrap(), PinPolicy::BestEffort).unwrap();
/// assert_eq!(placement.cpus, [[Some(0)], [None]]);
/// assert!(place(&wishes, &"0-1".parse().unwrap(), PinPolicy::Strict).is_err());
/// ```
pub fn place(
    wishes: &[CpuWish<'_>],
    allowed: &CpuSet,
    policy: PinPolicy,
) -> Result<Placement, PlacementError> {
    let mut placement = Placement::default();
    let mut refused = Vec::new();
    let mut taken: Vec<(usize, &str)> = Vec::new();
    for wish in wishes {
        let mut cpus = vec![None; wish.workers];
        if policy != PinPolicy::Off {
            for (place, &cpu) in cpus.iter_mut().zip(wish.cpus) {
                if !allowed.contains(cpu) {
                    refused.push((wish.name.to_owned(), cpu));
                    continue;
                }
                *place = Some(cpu);
                if let Some((_, other)) = taken.iter().find(|(theirs, _)| *theirs == cpu) {
                    placement.warnings.push(format!("contexts {other} and {} share CPU {cpu}", wish.name));
                }
                taken.push((cpu, wish.name));
            }
        }
        placement.cpus.push(cpus);
    }
    if policy == PinPolicy::Strict && !refused.is_empty() {
        return Err(PlacementError { refused, allowed: allowed.clone() });
    }
    let unpinned =
        refused.iter().map(|(name, cpu)| format!("{}; it runs unpinned", refusal(name, *cpu, allowed)));
    placement.warnings.extend(unpinned);
    Ok(placement)
}
