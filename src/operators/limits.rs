//! Bounds on what streams may hold and functions may do; each can be set in `config engine { .. }`.

use crate::vpl::plan::EngineSettings;

/// Every bound has a setting of the same name; the error of exceeding it names that.
///
/// ```
/// use varpin::operators::Limits;
/// use varpin::vpl::plan::EngineSettings;
/// let settings = EngineSettings { max_partitions: Some(10), ..EngineSettings::default() };
/// let limits = Limits::default().with(&settings);
/// assert_eq!(limits.max_partitions, 10);
/// assert_eq!(limits.max_call_depth, Limits::default().max_call_depth);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Keys that a stream may hold state for at a time.
    pub max_partitions: usize,
    /// Values that a `.distinct` without a window remembers per stream.
    pub max_distinct: usize,
    /// Rows that the open windows of a stream may hold (and values, where an aggregate must keep them).
    pub max_window_rows: usize,
    /// Runs that a sequence keeps per key; beyond, no run starts, which is counted.
    pub max_runs: usize,
    /// Events that a run of a sequence captures; beyond, it takes no more for its `all`, which is counted.
    pub max_run_events: usize,
    /// Results of one run of a sequence under `.subsets()`, and wherever several `all` are combined; the rest
    /// is counted.
    pub max_subsets: usize,
    /// How deep functions may call each other.
    pub max_call_depth: usize,
    /// Steps (statements and calls) of one call from a stream.
    pub max_call_steps: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_partitions: 1_000_000,
            max_distinct: 1_000_000,
            max_window_rows: 10_000_000,
            max_runs: 100_000,
            max_run_events: 10_000,
            max_subsets: 4_096,
            max_call_depth: 128,
            max_call_steps: 1_000_000,
        }
    }
}

impl Limits {
    /// These limits, except where the program sets its own.
    #[must_use]
    pub fn with(self, settings: &EngineSettings) -> Self {
        Self {
            max_partitions: settings.max_partitions.unwrap_or(self.max_partitions),
            max_distinct: settings.max_distinct.unwrap_or(self.max_distinct),
            max_window_rows: settings.max_window_rows.unwrap_or(self.max_window_rows),
            max_runs: settings.max_runs.unwrap_or(self.max_runs),
            max_run_events: settings.max_run_events.unwrap_or(self.max_run_events),
            max_subsets: settings.max_subsets.unwrap_or(self.max_subsets),
            max_call_depth: settings.max_call_depth.unwrap_or(self.max_call_depth),
            max_call_steps: settings.max_call_steps.unwrap_or(self.max_call_steps),
        }
    }
}
