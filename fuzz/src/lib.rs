//! What the fuzz targets share: the checks, which the tests of the crate replay too, and a generator of programs.

#[path = "../../tests/fuzz_checks/mod.rs"]
pub mod checks;
pub mod generated;

/// Ends the target where a check says that something does not hold.
pub fn must(checked: checks::Checked) {
    if let Err(message) = checked {
        panic!("{message}");
    }
}
