//! How many cases a property looks at.

/// As many as the environment asks for (`VARPIN_CASES`), or else `default`.
pub(crate) fn cases(default: u32) -> u32 {
    std::env::var("VARPIN_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(default)
}
