//! Windows: which rows belong together, and when they are complete. What becomes of them then is not a window's
//! business (see `behind`).
//!
//! The watermark closes windows of time and sessions; each kind keeps an index of what closes next, so that an event
//! which closes nothing costs one comparison. Whatever closes at once comes out by (end, key ascending). A failure on
//! the way out of one window doesn't keep the others from closing; the first is reported.

mod count;
mod first_event;
mod session;
mod time;

use crate::event::{Keeps, Pieces, Row, SnapshotError, SnapshotReader, Value};
use crate::vpl::plan::{StreamPlan, WindowPlan};

use super::behind::Behind;
use super::emit::{Cause, Emit};
use super::env::Env;
use super::error::{CompileError, Failure};
use super::expr::Compiler;
use super::limits::Limits;

use count::{SlidingCount, TumblingCount};
use first_event::FirstEvent;
use session::Sessions;
use time::TimeWindows;

/// The windows of a stream.
#[derive(Debug)]
pub(super) enum Windows {
    Time(TimeWindows),
    FirstEvent(FirstEvent),
    Tumbling(TumblingCount),
    Sliding(SlidingCount),
    Session(Sessions),
}

/// The open windows of some keys, on their way to another worker.
#[derive(Debug)]
pub(super) enum WindowsOfKeys {
    Time(Vec<(Value, time::Open)>),
    FirstEvent(Vec<(Value, first_event::Open)>),
    Tumbling(Vec<(Value, count::Filling)>),
    Sliding(Vec<(Value, count::Slide)>),
    Session((Vec<(Value, session::Open)>, u64)),
}

impl WindowsOfKeys {
    /// What counts against the bound of open windows.
    pub(super) fn held(&self) -> usize {
        match self {
            Self::Time(keys) => {
                keys.iter().flat_map(|(_, open)| open).map(|(_, contents)| contents.held()).sum()
            }
            Self::FirstEvent(keys) => keys.iter().map(|(_, open)| open.held()).sum(),
            Self::Tumbling(keys) => keys.iter().map(|(_, filling)| filling.held()).sum(),
            Self::Sliding(keys) => keys.iter().map(|(_, slide)| slide.held()).sum(),
            Self::Session((keys, _)) => keys.iter().map(|(_, open)| open.held()).sum(),
        }
    }
}

impl Windows {
    pub(super) fn compile(
        plan: &WindowPlan,
        stream: &StreamPlan,
        partitioned: bool,
        limits: &Limits,
        behind: &mut Behind,
        compiler: &Compiler<'_>,
    ) -> Result<Self, CompileError> {
        let lateness_ns = stream.allowed_lateness_ns;
        let max_keys = limits.max_partitions;
        let positive = |ns: i64| {
            if ns > 0 { Ok(ns) } else { Err(compiler.error("a window must be longer than nothing")) }
        };
        Ok(match *plan {
            WindowPlan::Time { size_ns, slide_ns } => {
                let (size_ns, slide_ns) = (positive(size_ns)?, positive(slide_ns)?);
                if slide_ns > size_ns {
                    return Err(compiler.error("a window must not slide by more than its size"));
                }
                if size_ns / slide_ns > time::MAX_OVERLAP {
                    let most = time::MAX_OVERLAP;
                    return Err(
                        compiler.error(format!("an event would be in more than {most} windows at a time"))
                    );
                }
                Self::Time(TimeWindows::new(size_ns, slide_ns, lateness_ns, partitioned, max_keys))
            }
            WindowPlan::FirstEvent { size_ns } => {
                Self::FirstEvent(FirstEvent::new(positive(size_ns)?, lateness_ns, partitioned, max_keys))
            }
            WindowPlan::Count { size: 0, .. } | WindowPlan::Count { slide: 0, .. } => {
                return Err(compiler.error("a window must be longer than nothing"));
            }
            WindowPlan::Count { size, slide } if slide > size => {
                return Err(compiler.error("a window must not slide by more than its size"));
            }
            WindowPlan::Count { size, slide } if slide == size => {
                Self::Tumbling(TumblingCount::new(size, partitioned, max_keys))
            }
            WindowPlan::Count { size, slide } => {
                behind.keep_rows();
                Self::Sliding(SlidingCount::new(size, slide, partitioned, max_keys))
            }
            WindowPlan::Session { gap_ns } => {
                // Sessions may become one where events come out of order. Accumulators merge, but for some aggregates
                // only rows know which of two values came first.
                if !behind.is_order_free() && (stream.out_of_order_ns > 0 || lateness_ns > 0) {
                    behind.keep_rows();
                }
                Self::Session(Sessions::new(positive(gap_ns)?, lateness_ns, partitioned, max_keys))
            }
        })
    }

    /// The least watermark at which something may close.
    #[inline]
    pub(super) fn due_ns(&self) -> i64 {
        match self {
            Self::Time(windows) => windows.due_ns(),
            Self::FirstEvent(windows) => windows.due_ns(),
            Self::Session(windows) => windows.due_ns(),
            Self::Tumbling(_) | Self::Sliding(_) => i64::MAX,
        }
    }

    /// Puts `row`, whose key is in the environment, into its windows. False where it is late.
    #[inline]
    pub(super) fn take(
        &mut self,
        row: &Row,
        watermark_ns: i64,
        behind: &mut Behind,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<bool, Failure> {
        match self {
            Self::Tumbling(windows) => windows.take(row, behind, env, out).map(|()| true),
            Self::Time(windows) => windows.take(row, watermark_ns, behind, env),
            Self::FirstEvent(windows) => windows.take(row, watermark_ns, behind, env),
            Self::Sliding(windows) => windows.take(row, behind, env, out).map(|()| true),
            Self::Session(windows) => windows.take(row, watermark_ns, behind, env),
        }
    }

    /// Closes what the watermark has passed.
    pub(super) fn advance(
        &mut self,
        watermark_ns: i64,
        cause: Cause,
        behind: &mut Behind,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        match self {
            Self::Time(windows) => windows.advance(watermark_ns, cause, behind, env, out),
            Self::FirstEvent(windows) => windows.advance(watermark_ns, cause, behind, env, out),
            Self::Session(windows) => windows.advance(watermark_ns, cause, behind, env, out),
            Self::Tumbling(_) | Self::Sliding(_) => Ok(()),
        }
    }

    /// Closes everything: the end of the input.
    pub(super) fn flush(
        &mut self,
        cause: Cause,
        behind: &mut Behind,
        env: &mut Env,
        out: &mut impl Emit,
    ) -> Result<(), Failure> {
        match self {
            Self::Tumbling(windows) => windows.flush(cause, behind, env, out),
            Self::Sliding(windows) => windows.flush(cause, behind, env, out),
            timed => timed.advance(i64::MAX, cause, behind, env, out),
        }
    }

    /// Takes out the open windows of the keys that leave.
    pub(super) fn split(&mut self, leaves: &dyn Fn(&Value) -> bool) -> WindowsOfKeys {
        match self {
            Self::Time(windows) => WindowsOfKeys::Time(windows.split(leaves)),
            Self::FirstEvent(windows) => WindowsOfKeys::FirstEvent(windows.split(leaves)),
            Self::Session(windows) => WindowsOfKeys::Session(windows.split(leaves)),
            Self::Tumbling(windows) => WindowsOfKeys::Tumbling(windows.split(leaves)),
            Self::Sliding(windows) => WindowsOfKeys::Sliding(windows.split(leaves)),
        }
    }

    /// Takes up open windows of the same kind.
    pub(super) fn join(&mut self, moved: WindowsOfKeys) {
        match (self, moved) {
            (Self::Time(windows), WindowsOfKeys::Time(moved)) => windows.join(moved),
            (Self::FirstEvent(windows), WindowsOfKeys::FirstEvent(moved)) => windows.join(moved),
            (Self::Session(windows), WindowsOfKeys::Session(moved)) => windows.join(moved),
            (Self::Tumbling(windows), WindowsOfKeys::Tumbling(moved)) => windows.join(moved),
            (Self::Sliding(windows), WindowsOfKeys::Sliding(moved)) => windows.join(moved),
            _ => debug_assert!(false, "the workers of a pool run the same stream"),
        }
    }

    /// Keys with state.
    pub(super) fn keys(&self) -> usize {
        match self {
            Self::Time(windows) => windows.keys(),
            Self::FirstEvent(windows) => windows.keys(),
            Self::Session(windows) => windows.keys(),
            Self::Tumbling(windows) => windows.keys(),
            Self::Sliding(windows) => windows.keys(),
        }
    }

    /// Up to `limit` of the keys with open windows.
    pub(super) fn examples(&self, limit: usize) -> Vec<Value> {
        match self {
            Self::Time(windows) => windows.examples(limit),
            Self::FirstEvent(windows) => windows.examples(limit),
            Self::Session(windows) => windows.examples(limit),
            Self::Tumbling(windows) => windows.examples(limit),
            Self::Sliding(windows) => windows.examples(limit),
        }
    }
}

impl Windows {
    fn keeps(&mut self) -> &mut dyn Keeps {
        match self {
            Self::Time(windows) => windows,
            Self::FirstEvent(windows) => windows,
            Self::Session(windows) => windows,
            Self::Tumbling(windows) => windows,
            Self::Sliding(windows) => windows,
        }
    }
}

impl Keeps for Windows {
    fn save(&mut self, out: &mut Vec<u8>) {
        self.keeps().save(out);
    }

    fn save_more(&mut self, pieces: &mut Pieces) {
        self.keeps().save_more(pieces);
    }

    fn restore(&mut self, from: &mut SnapshotReader<'_>) -> Result<(), SnapshotError> {
        self.keeps().restore(from)
    }
}
