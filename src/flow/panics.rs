//! Panics of supervised stages are told by whoever supervises them: with the context, what was done about it, and once.
//! The standard message of each, in the middle of results and other messages, would only be in the way.

use std::cell::RefCell;
use std::panic;
use std::sync::Once;

thread_local! {
    /// None: this thread's panics are told as always. Else the place of the last one that was not.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
    static IS_QUIET: RefCell<bool> = const { RefCell::new(false) };
}

/// Installs a panic hook that keeps silent about panics of supervised stages, and notes where they were raised, so that
/// the failure's message can say it. All other panics go to the hook that was there before.
///
/// For programs; a library leaves the hook alone. Calling it again does nothing.
pub fn keep_supervised_panics_quiet() {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(install);
}

fn install() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        // A thread on its way out has no thread-locals any more; its panics are told.
        if IS_QUIET.try_with(|quiet| *quiet.borrow()).unwrap_or(false) {
            let place = info.location().map(ToString::to_string);
            let _ = PLACE.try_with(|last| *last.borrow_mut() = place);
        } else {
            before(info);
        }
    }));
}

/// This thread's panics are told by its supervisor.
pub(super) fn are_supervised() {
    IS_QUIET.with(|quiet| *quiet.borrow_mut() = true);
}

/// Where the last panic of this thread was raised that was not told.
pub(super) fn take_place() -> Option<String> {
    PLACE.with(|place| place.borrow_mut().take())
}
