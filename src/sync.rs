//! The only door to atomics, fences, spin hints, parking and threads.
//!
//! Normally everything here is the standard library's. Built with `--cfg loom`, the same names are
//! [loom](https://docs.rs/loom)'s, so that the sources which ship are the sources which are model-checked
//! (see `loom-tests/`). Code outside this module must not name `std::sync::atomic`, `std::hint::spin_loop` or
//! `std::thread::park`.

mod sleeper;

#[cfg(not(loom))]
pub use std::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Arc, Mutex, MutexGuard},
    thread::{JoinHandle, yield_now},
};

#[cfg(loom)]
pub use loom::{
    hint::spin_loop,
    sync::atomic::{AtomicBool, AtomicI64, AtomicU8, AtomicU32, AtomicU64, AtomicUsize, Ordering, fence},
    sync::{Arc, Mutex, MutexGuard},
    thread::{JoinHandle, yield_now},
};

pub use sleeper::Sleeper;

/// Sleeps for a fixed time.
#[cfg(not(loom))]
pub fn sleep(time: std::time::Duration) {
    std::thread::sleep(time);
}

/// Lets others run: what a sleep amounts to where time doesn't pass.
#[cfg(loom)]
pub fn sleep(_time: std::time::Duration) {
    yield_now();
}

/// The longest thread name that Linux keeps, in bytes; longer ones are cut by [`spawn_named`].
pub const THREAD_NAME_MAX_BYTES: usize = 15;

/// The first [`THREAD_NAME_MAX_BYTES`] of `name`, cut at a character boundary and without NUL bytes: what
/// `top -H` and `/proc/self/task/*/comm` will show. The full name belongs into the caller's own records.
///
/// ```
/// assert_eq!(varpin::sync::short_thread_name("ingest"), "ingest");
/// assert_eq!(varpin::sync::short_thread_name("temperature-alerts"), "temperature-ale");
/// ```
pub fn short_thread_name(name: &str) -> String {
    let mut end = name.len().min(THREAD_NAME_MAX_BYTES);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    name[..end].replace('\0', "?")
}

/// Starts an OS thread whose name (as far as the OS keeps it) is `name`.
#[cfg(not(loom))]
pub fn spawn_named<F, R>(name: &str, body: F) -> std::io::Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    std::thread::Builder::new().name(short_thread_name(name)).spawn(body)
}

/// Starts a modelled thread; loom's threads have no names that anything could show.
#[cfg(loom)]
pub fn spawn_named<F, R>(_name: &str, body: F) -> std::io::Result<JoinHandle<R>>
where
    F: FnOnce() -> R + Send + 'static,
    R: Send + 'static,
{
    Ok(loom::thread::spawn(body))
}
