//! What `config` blocks set. A setting that is not there leaves the choice to the engine.

/// What `config <context> { .. }` can set; `None` leaves the engine's choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ContextSettings {
    /// `idle`: `spin`, `yield`, `backoff`, `park` or `auto`.
    pub idle: Option<String>,
    /// `capacity`: slots of each ring that leads into the context.
    pub capacity: Option<usize>,
    /// `when_full`: `block`, `drop_newest`, `drop_oldest` or `error`.
    pub when_full: Option<String>,
    /// What becomes of the context when it fails.
    pub supervision: SupervisionSettings,
}

/// What `config` can set about failures: of a context, of the output, or, under `engine`, of every context that says
/// nothing else. `None` leaves the default.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SupervisionSettings {
    /// `restart`: `always`, `on_failure` or `never`.
    pub restart: Option<String>,
    /// `max_restarts`: restarts within `restart_window`.
    pub max_restarts: Option<u32>,
    /// `restart_window`, in nanoseconds.
    pub restart_window_ns: Option<i64>,
    /// `backoff_min`: the first delay, in nanoseconds.
    pub backoff_min_ns: Option<i64>,
    /// `backoff_max`: the longest delay, in nanoseconds.
    pub backoff_max_ns: Option<i64>,
    /// `backoff_factor`: from one delay to the next.
    pub backoff_factor: Option<f64>,
    /// `jitter`: the share by which a delay is spread.
    pub jitter: Option<f64>,
    /// `max_attempts`: how often an event is tried again.
    pub max_attempts: Option<u32>,
    /// `breaker_failure_rate`: the share of failures that opens the breaker.
    pub breaker_failure_rate: Option<f64>,
    /// `breaker_window`: calls that count.
    pub breaker_window: Option<u32>,
    /// `breaker_min_calls`: with fewer it stays closed.
    pub breaker_min_calls: Option<u32>,
    /// `breaker_open_for`, in nanoseconds.
    pub breaker_open_for_ns: Option<i64>,
    /// `breaker_probes`: calls let through while half-open.
    pub breaker_probes: Option<u32>,
    /// `breaker_slow_call`: from when on a call is slow, in nanoseconds.
    pub breaker_slow_call_ns: Option<i64>,
    /// `breaker_slow_rate`: the share of slow calls that opens the breaker.
    pub breaker_slow_rate: Option<f64>,
    /// `breaker_open`: `hold`, `dead_letter` or `drop`.
    pub breaker_open: Option<String>,
    /// `stall_after`, in nanoseconds.
    pub stall_after_ns: Option<i64>,
    /// `on_stall`: `report` or `escalate`.
    pub on_stall: Option<String>,
}

impl SupervisionSettings {
    /// Whether it asks for anything that a thread has to be there for.
    pub fn asks_for_a_thread(&self) -> bool {
        self.restart.as_deref().is_some_and(|restart| restart != "never")
            || self.has_breaker()
            || self.stall_after_ns.is_some()
            || self.on_stall.is_some()
    }

    /// Whether it says anything about a breaker.
    fn has_breaker(&self) -> bool {
        self.breaker_failure_rate.is_some()
            || self.breaker_window.is_some()
            || self.breaker_min_calls.is_some()
            || self.breaker_open_for_ns.is_some()
            || self.breaker_probes.is_some()
            || self.breaker_slow_call_ns.is_some()
            || self.breaker_slow_rate.is_some()
            || self.breaker_open.is_some()
    }
}

/// What `config engine { .. }` can set; `None` leaves the caller's choice.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EngineSettings {
    /// `order`: `arrival`, `timestamp` or `deterministic`.
    pub order: Option<String>,
    /// `idle`, for contexts that set none.
    pub idle: Option<String>,
    /// `capacity`, for contexts that set none.
    pub capacity: Option<usize>,
    /// `latency_sample: 1/N`: of so many events the latency of one is measured.
    pub latency_sample: Option<u32>,
    /// `max_partitions`: keys per stream.
    pub max_partitions: Option<usize>,
    /// `max_distinct`: values that a `.distinct` without a window remembers per stream.
    pub max_distinct: Option<usize>,
    /// `max_window_rows`: rows that the open windows of a stream may hold.
    pub max_window_rows: Option<usize>,
    /// `max_runs`: runs that a sequence keeps per key.
    pub max_runs: Option<usize>,
    /// `max_run_events`: events that a run of a sequence captures.
    pub max_run_events: Option<usize>,
    /// `max_subsets`: results of one run under `.subsets()`.
    pub max_subsets: Option<usize>,
    /// `max_call_depth`: how deep functions may call each other.
    pub max_call_depth: Option<usize>,
    /// `max_call_steps`: steps of one call from a stream.
    pub max_call_steps: Option<u64>,
    /// `checkpoint_dir`: where checkpoints are kept, below the directory of the program.
    pub checkpoint_dir: Option<String>,
    /// `checkpoint_interval`: the time from one checkpoint to the next, in nanoseconds.
    pub checkpoint_interval_ns: Option<i64>,
    /// `commit_on_checkpoint`: results are handed over when their checkpoint is complete.
    pub commits_on_checkpoint: bool,
    /// `checkpoint_events`: events from one checkpoint to the next.
    pub checkpoint_events: Option<usize>,
    /// What becomes of contexts that fail, for those that say nothing else.
    pub supervision: SupervisionSettings,
    /// `strategy`: `one_for_one`, `rest_for_one` or `one_for_all`.
    pub strategy: Option<String>,
}
