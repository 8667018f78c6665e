//! What has become of attempts that are numbered and made one after the other: one thread decides, any may ask.
//!
//! Two words, the last attempt that was decided and the last that succeeded. The second is stored first, so whoever
//! sees that an attempt was decided knows how.

use crate::sync::{AtomicU64, Ordering};

/// What has become of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is not decided.
    Open,
    /// It has succeeded.
    Success,
    /// It has failed.
    Failure,
}

/// The verdicts on attempts 1, 2, 3, ..
///
/// ```
/// use varpin::flow::{Verdict, Verdicts};
/// let verdicts = Verdicts::default();
/// verdicts.decide(1, true);
/// verdicts.decide(2, false);
/// assert_eq!([2, 3].map(|attempt| verdicts.of(attempt)), [Verdict::Failure, Verdict::Open]);
/// ```
#[derive(Debug, Default)]
pub struct Verdicts {
    decided: AtomicU64,
    succeeded: AtomicU64,
}

impl Verdicts {
    /// Decides on an attempt; to be called by one thread, with numbers that ascend.
    pub fn decide(&self, attempt: u64, success: bool) {
        if success {
            // Relaxed: made known by the Release below.
            self.succeeded.store(attempt, Ordering::Relaxed);
        }
        // Release: pairs with the Acquire in `of`.
        self.decided.store(attempt, Ordering::Release);
    }

    /// The verdict on the last attempt that was made, or that was decided.
    #[inline]
    pub fn of(&self, attempt: u64) -> Verdict {
        // Acquire: pairs with the Release in `decide`; what was stored before it is seen below.
        if self.decided.load(Ordering::Acquire) < attempt {
            return Verdict::Open;
        }
        // Relaxed: the Acquire above has made it known.
        let has_succeeded = self.succeeded.load(Ordering::Relaxed) >= attempt;
        if has_succeeded { Verdict::Success } else { Verdict::Failure }
    }
}
