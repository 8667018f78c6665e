//! State on the move: what a worker of a pool has kept for some keys, on its way to another worker.

use crate::event::Value;

use super::behind::Behind;
use super::chain::{Chain, ChainOfKeys};
use super::window::{Windows, WindowsOfKeys};

/// What a stream has kept for some of its keys: opaque, and taken up by the same stream elsewhere.
#[derive(Debug, Default)]
pub struct Moved {
    chain: ChainOfKeys,
    windows: Option<WindowsOfKeys>,
    /// Rows and values that count against the bound of open windows.
    held: usize,
}

impl Moved {
    /// Takes what `chain` and `windows` have kept for the keys that leave.
    pub(super) fn out_of(
        chain: &mut Chain,
        windows: Option<&mut Windows>,
        behind: &mut Behind,
        leaves: &dyn Fn(&Value) -> bool,
    ) -> Self {
        let chain = chain.split(leaves);
        let windows = windows.map(|windows| windows.split(leaves));
        let held = windows.as_ref().map_or(0, WindowsOfKeys::held);
        behind.release(held);
        Self { chain, windows, held }
    }

    /// Adds it to what `chain` and `windows` keep.
    pub(super) fn into_place(self, chain: &mut Chain, windows: Option<&mut Windows>, behind: &mut Behind) {
        chain.join(self.chain);
        behind.take_over(self.held);
        if let (Some(windows), Some(moved)) = (windows, self.windows) {
            windows.join(moved);
        }
    }
}
