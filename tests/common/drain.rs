//! Reading a source of events to its end.

use std::io::Read;

use varpin::event::Row;
use varpin::format::{BadInput, EventSource};

/// Everything that a source gives: rows as `print` has them, and bad input.
pub(crate) fn drain<R: Read>(
    source: &mut EventSource<R>,
    print: impl Fn(&Row) -> String,
) -> Vec<Result<String, BadInput>> {
    let mut row = Row::new(0, 0, 0);
    let mut seen = Vec::new();
    let mut ended = false;
    loop {
        let outcome = if ended { source.finish(&mut row) } else { source.next(&mut row) };
        match outcome {
            Ok(Some(())) => seen.push(Ok(print(&row))),
            Err(bad) => seen.push(Err(bad)),
            Ok(None) if ended => return seen,
            Ok(None) => ended = source.fill().unwrap() == 0,
        }
    }
}
