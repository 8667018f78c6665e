//! What an engine asks the operating system for beside CPUs ([`LowJitter`](crate::cores::LowJitter)), and what became
//! of it.

use serde::Serialize;

use super::builder::Builder;
use super::error::BuildError;
use crate::cores::{LowJitterError, PinOutcome, RealtimeObstacle};
use crate::flow::{RingMemory, Running, StartError};

/// What became of what was asked for, as far as it concerns the whole process. What threads were given stands with
/// the contexts.
#[derive(Clone, Debug, Default, Serialize)]
#[non_exhaustive]
pub struct LowJitterStats {
    /// How much memory of the process was locked when the run started; none where that was not asked for.
    pub locked_bytes: Option<u64>,
    /// The memory of all rings; this and the next ones are none where nothing was asked for, or without rings.
    pub ring_bytes: Option<u64>,
    /// What was touched before the start.
    pub prefaulted_bytes: Option<u64>,
    /// For what huge pages were asked for.
    pub advised_bytes: Option<u64>,
    /// What was in huge pages when the run started, in the mappings that hold rings; what else is in such a mapping
    /// counts, too.
    pub huge_page_bytes: Option<u64>,
}

/// What was had, and what was asked for in vain, in words.
pub(super) type Tuned = (LowJitterStats, Vec<String>);

/// Without threads of its own an engine can only lock memory and make rings ready, if it has any.
pub(super) fn without_threads(builder: &Builder, rings: Option<RingMemory>) -> Result<Tuned, BuildError> {
    let asked = &builder.low_jitter;
    let refused = |error| BuildError::Start(StartError::LowJitter(error));
    if asked.realtime.is_some() {
        return Err(refused(LowJitterError::Realtime(RealtimeObstacle::NobodyPinned)));
    }
    let locked_bytes = asked.apply_to_process().map_err(refused)?;
    let mut warnings = Vec::new();
    let mut in_vain = |what: &str, of: &str| {
        warnings.push(format!("{what} is of no use: the program runs on the caller's thread, without {of}"));
    };
    if asked.timer_slack_ns.is_some() {
        in_vain("a timer slack", "threads of its own");
    }
    if rings.is_none() && (asked.prefault_rings || asked.huge_pages) {
        in_vain("pre-faulting rings, or huge pages for them,", "rings");
    }
    Ok(stats(builder, locked_bytes, rings, warnings))
}

/// The same for threads that run.
pub(super) fn with_threads(builder: &Builder, running: &Running) -> Tuned {
    let had = running.low_jitter();
    let mut warnings = Vec::new();
    if builder.low_jitter.realtime.is_some() {
        let unpinned = running.pins().into_iter().filter(|(_, pin)| !matches!(pin, PinOutcome::Pinned(_)));
        warnings.extend(
            unpinned.map(|(worker, _)| {
                format!("{worker} is not pinned to a CPU, so it has no real-time priority")
            }),
        );
    }
    stats(builder, had.locked_bytes, had.rings.clone(), warnings)
}

fn stats(
    builder: &Builder,
    locked_bytes: Option<u64>,
    rings: Option<RingMemory>,
    mut warnings: Vec<String>,
) -> Tuned {
    let rings = rings.filter(|_| builder.low_jitter.prefault_rings || builder.low_jitter.huge_pages);
    if let Some(reason) = rings.as_ref().and_then(|rings| rings.refusal.as_ref()) {
        warnings.push(format!("the system refuses huge pages: {reason}"));
    }
    let of = |bytes: fn(&RingMemory) -> u64| rings.as_ref().map(bytes);
    let stats = LowJitterStats {
        locked_bytes,
        ring_bytes: of(|rings| rings.bytes),
        prefaulted_bytes: of(|rings| rings.prefaulted_bytes),
        advised_bytes: of(|rings| rings.advised_bytes),
        huge_page_bytes: of(|rings| rings.huge_page_bytes),
    };
    (stats, warnings)
}
