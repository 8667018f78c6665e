//! A bar for long files, on a terminal that shows nothing else. Drawn by the thread that reads: it costs no other.

use std::io::IsTerminal;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Shorter files are over before a bar says anything.
const LONG_FILE_BYTES: u64 = 64 * 1024 * 1024;
/// Drawings per second.
const DRAWS_PER_SECOND: u8 = 8;

/// How far a file has been read.
#[derive(Debug)]
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar for a file of `bytes`, if it is long and standard error is a terminal of its own.
    pub(super) fn new(bytes: Option<u64>, results_to_stdout: bool) -> Self {
        let clashes = results_to_stdout && std::io::stdout().is_terminal();
        let bytes =
            bytes.filter(|&bytes| bytes > LONG_FILE_BYTES && std::io::stderr().is_terminal() && !clashes);
        Self(bytes.map(|bytes| {
            let bar = ProgressBar::with_draw_target(
                Some(bytes),
                ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND),
            );
            let template = "{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta} left";
            if let Ok(style) = ProgressStyle::with_template(template) {
                bar.set_style(style);
            }
            bar
        }))
    }

    /// `bytes` have been read.
    pub(super) fn at(&self, bytes: u64) {
        if let Some(bar) = &self.0 {
            bar.set_position(bytes);
        }
    }

    /// Takes the bar away.
    pub(super) fn end(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
