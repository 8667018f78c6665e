//! What tests of runs with checkpoints have in common: events, a place for files, and what equal results are.

use tempfile::TempDir;

/// Orders in which results do not depend on the moment: of most programs only one.
pub(crate) const ONE: &[&str] = &["deterministic"];
pub(crate) const ANY: &[&str] = &["deterministic", "timestamp", "arrival"];

/// Events of types A and B, each a line with its end: the same at each call.
pub(crate) fn event_lines(count: usize) -> Vec<String> {
    let mut seed = 11_u64;
    let event = |n: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let random = seed >> 33;
        let name = if random.is_multiple_of(4) { "B" } else { "A" };
        let key = ["north", "south", "a key that is long", "west"][(random / 4 % 4) as usize];
        let v = random / 16 % 10;
        let ms = n * 40;
        format!("@{ms}ms {name} {{ k: \"{key}\", v: {v}, w: {v}.5, n: {n} }}\n")
    };
    (0..count).map(event).collect()
}

/// A directory in memory, if the system has one: a run is over before a slow disk has written a checkpoint.
pub(crate) fn memory_or_disk() -> TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

/// The results are those of an undisturbed run: byte for byte under `deterministic`, line for line in some order else.
#[track_caller]
pub(crate) fn assert_same_results(order: &str, found: &[u8], whole: &[u8], what: &str) {
    if order == "deterministic" {
        assert!(found == whole, "{what}: {} bytes, not the {} expected", found.len(), whole.len());
        return;
    }
    let sorted = |bytes: &[u8]| {
        let mut lines: Vec<Vec<u8>> = bytes.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        lines.sort();
        lines
    };
    assert!(sorted(found) == sorted(whole), "{what} under {order}: other lines than expected");
}
