//! The floor: how long a cache line needs from one CPU to another. No hop between threads on these CPUs is faster.

use std::time::Duration;

use crossbeam_utils::CachePadded;

use super::Latencies;
use super::rounds::{Gate, Waiting, spawn};
use crate::cores::{PinError, PinOutcome, PinPolicy};
use crate::sync::{AtomicU64, Ordering};

/// Round trips that are not recorded.
const WARM_UP: u64 = 1_000;
/// The ball says that there will be no more.
const OVER: u64 = u64::MAX;

/// What [`core_to_core`] has measured.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Floor {
    /// The two CPUs.
    pub cpus: [usize; 2],
    /// Half of each round trip, in nanoseconds.
    pub one_way: Latencies,
}

/// Plays ping-pong with one cache line between two CPUs, until `round_trips` were made or `limit` has passed.
///
/// The clock is read once in each round trip, as it has to be in whatever is compared with this.
///
/// ```no_run
/// use std::time::Duration;
/// let floor = varpin::metrics::core_to_core([2, 3], 100_000, Duration::from_millis(200))?;
/// println!("one way: {}", floor.one_way);
/// # Ok::<(), varpin::cores::PinError>(())
/// ```
pub fn core_to_core(cpus: [usize; 2], round_trips: u64, limit: Duration) -> Result<Floor, PinError> {
    let ball = CachePadded::new(AtomicU64::new(0));
    let gate = Gate::new(2);
    let limit_ns = u64::try_from(limit.as_nanos()).unwrap_or(u64::MAX);
    let unable = |cpu: usize, reason: String| PinError { role: "floor".to_owned(), cpu, reason };
    std::thread::scope(|scope| {
        let back = spawn(scope, &gate, "floor back", || send_back(&gate, &ball, cpus[1]));
        let back = back.map_err(|error| unable(cpus[1], format!("no thread could be started ({error})")))?;
        let forth = spawn(scope, &gate, "floor forth", || {
            let outcome = send_forth(&gate, &ball, cpus[0], round_trips, limit_ns);
            // Release: as in `send_forth`.
            ball.store(OVER, Ordering::Release);
            outcome
        });
        let forth = forth.map_err(|error| {
            // Release: as in `send_forth`. The other thread ends with this.
            ball.store(OVER, Ordering::Release);
            unable(cpus[0], format!("no thread could be started ({error})"))
        })?;
        let (Ok((one_way, forth)), Ok(back)) = (forth.join(), back.join()) else {
            return Err(unable(cpus[0], "a thread of the measurement panicked".to_owned()));
        };
        forth.and(back)?;
        Ok(Floor { cpus, one_way })
    })
}

type Pinned = Result<PinOutcome, PinError>;

fn send_forth(gate: &Gate, ball: &AtomicU64, cpu: usize, trips: u64, limit_ns: u64) -> (Latencies, Pinned) {
    let (clock, pinned) = gate.enter("floor", Some(cpu), PinPolicy::Strict);
    let mut one_way = Latencies::new();
    let mut waiting = Waiting::default();
    let mut before_ns = clock.ns();
    for trip in 0..trips.saturating_add(WARM_UP) {
        // Release: pairs with the Acquire in `send_back`.
        ball.store(2 * trip + 1, Ordering::Release);
        // Acquire: pairs with the Release in `send_back`.
        while ball.load(Ordering::Acquire) != 2 * trip + 2 {
            waiting.pause();
        }
        let now_ns = clock.ns();
        if trip >= WARM_UP {
            one_way.record_ns((now_ns - before_ns) / 2);
        }
        before_ns = now_ns;
        if now_ns > limit_ns {
            break;
        }
    }
    (one_way, pinned)
}

fn send_back(gate: &Gate, ball: &AtomicU64, cpu: usize) -> Pinned {
    let (_, pinned) = gate.enter("floor", Some(cpu), PinPolicy::Strict);
    let mut expected = 1;
    let mut waiting = Waiting::default();
    loop {
        // Acquire: pairs with the Release in `send_forth`.
        match ball.load(Ordering::Acquire) {
            OVER => return pinned,
            turn if turn == expected => {
                // Release: pairs with the Acquire in `send_forth`.
                ball.store(turn + 1, Ordering::Release);
                expected += 2;
            }
            _ => waiting.pause(),
        }
    }
}
