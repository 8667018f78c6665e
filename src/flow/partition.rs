//! Which of several ways a key takes: the same everywhere and always.
//!
//! Jump consistent hash (Lamping and Veach, "A Fast, Minimal Memory, Consistent Hash Algorithm", 2014) on a mixed key:
//! when an n-th way is added, about one key in n moves, all of them to the new way.

/// The way of `key` among `ways` ways, from 0. Doesn't depend on the run, the machine or the build.
///
/// # Panics
///
/// When there is no way.
///
/// ```
/// use varpin::flow::way_of;
/// let moved = (0..10_000).filter(|&key| way_of(key, 4) != way_of(key, 5)).count();
/// assert!((1_800..2_200).contains(&moved));
/// ```
pub fn way_of(key: u64, ways: usize) -> usize {
    assert!(ways > 0, "a key needs a way");
    let mut state = mix(key);
    let (mut way, mut next) = (0, 0_u64);
    while next < ways as u64 {
        way = next;
        state = state.wrapping_mul(2_862_933_555_777_941_757).wrapping_add(1);
        let fraction = ((state >> 33) + 1) as f64 / (1_u64 << 31) as f64;
        next = ((way + 1) as f64 / fraction) as u64;
    }
    way as usize
}

/// Spreads keys that lie close together (the finalizer of SplitMix64).
fn mix(key: u64) -> u64 {
    let key = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let key = (key ^ (key >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let key = (key ^ (key >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    key ^ (key >> 31)
}
