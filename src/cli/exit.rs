//! How the command ends.

use std::process::ExitCode;

use varpin::engine::EngineError;

/// Shown under `--help`.
pub(super) const TABLE: &str = "\
Exit codes:
    0  done; also when whoever read the results has stopped reading
    1  the run failed: bad input, a file could not be read or written, a thread was stuck; doctor --strict has
       found something severe
    2  nothing was run: wrong usage, errors in the program (with --strict: warnings too), a file that cannot
       be opened, CPUs that cannot be had under --pin strict
    3  bench: a run has missed its rate by more than 1 %
   70  a context failed (it panicked, or a stream says `.on_error(fail)`), and its restart policy allows no
       restart, or no more of them
  130  interrupted (Ctrl-C); what had been read was still handled
  143  terminated (SIGTERM); what had been read was still handled";

/// How the command ends. See [`TABLE`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Exit {
    Done,
    Failed,
    Refused,
    /// A measurement was not what was asked for.
    Missed,
    /// A context failed for good.
    Escalated,
    /// By this signal.
    Signal(i32),
}

impl Exit {
    /// As a number.
    pub(super) fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Refused => 2,
            Self::Missed => 3,
            Self::Escalated => 70,
            // What a shell reports for a process that a signal ended.
            Self::Signal(signal) => 128 + u8::try_from(signal).unwrap_or(0),
        }
    }
}

impl From<&EngineError> for Exit {
    fn from(error: &EngineError) -> Self {
        match error {
            EngineError::Escalated(_) | EngineError::Stage { .. } => Self::Escalated,
            EngineError::Join(error) if !error.failures.is_empty() => Self::Escalated,
            _ => Self::Failed,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
