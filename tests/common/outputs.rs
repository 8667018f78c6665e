//! Taking what an output brings.

use std::thread;

use varpin::flow::Output;
use varpin::ring::PopError;

/// Everything that comes until nothing more can come.
pub(crate) fn all_of<T: Clone>(output: &mut Output<T>) -> Vec<T> {
    let mut taken = Vec::new();
    loop {
        match output.pop() {
            Ok(item) => taken.push(item),
            Err(PopError::Empty) => thread::yield_now(),
            Err(PopError::Closed) => return taken,
        }
    }
}
