//! Which worker a key goes to is fixed for ever: the same on every machine, in debug and release, today and tomorrow.
//!
//! The tables come from implementations of both hashes in another language, written from their papers: a change here sends
//! keys of running systems to other places than before.

use varpin::flow::way_of;

/// How many workers, as in the columns of [`WAYS`].
const WORKERS: [usize; 8] = [1, 2, 3, 4, 5, 8, 16, 100];

const WAYS: [(u64, [usize; 8]); 12] = [
    (0, [0, 1, 2, 3, 3, 7, 8, 26]),
    (1, [0, 0, 0, 3, 3, 3, 15, 72]),
    (2, [0, 0, 0, 0, 0, 0, 0, 19]),
    (3, [0, 1, 1, 1, 4, 4, 14, 72]),
    (7, [0, 1, 1, 1, 1, 7, 8, 60]),
    (42, [0, 0, 0, 0, 0, 0, 0, 88]),
    (1_000, [0, 0, 0, 0, 0, 0, 12, 33]),
    (123_456_789, [0, 0, 0, 0, 4, 4, 10, 91]),
    (2_147_483_648, [0, 0, 0, 0, 0, 0, 0, 83]),
    (4_294_967_296, [0, 0, 0, 0, 0, 0, 0, 72]),
    (9_223_372_036_854_775_808, [0, 0, 0, 0, 0, 0, 8, 60]),
    (18_446_744_073_709_551_615, [0, 0, 2, 3, 3, 3, 3, 26]),
];

#[test]
fn keys_go_where_the_table_says() {
    for (key, ways) in WAYS {
        assert_eq!(WORKERS.map(|workers| way_of(key, workers)), ways, "key {key}");
    }
    let digest = (0..100_000)
        .fold(0_u64, |digest, key| digest.wrapping_mul(31).wrapping_add(way_of(key, 7) as u64 + 1));
    assert_eq!(digest, 0x8c6a_4805_4e02_5236, "some key below 100,000 among 7 workers");
}

/// Adding a worker moves about one key in `workers + 1`, and only to the new one; removing it moves them back.
fn moved_by_adding_to(workers: usize, keys: impl Iterator<Item = u64>) -> usize {
    let mut moved = 0;
    for key in keys {
        let (before, after) = (way_of(key, workers), way_of(key, workers + 1));
        assert!(after == before || after == workers, "key {key} moved from {before} to {after}");
        moved += usize::from(after != before);
    }
    moved
}

/// At most this share of the keys may move, in keys of 100,000: 1/(N+1) and 2 % of all.
fn may_move(workers: usize) -> usize {
    100_000 / (workers + 1) + 2_000
}

#[test]
fn a_worker_more_or_less_moves_few_of_100_000_keys_and_none_between_the_others() {
    for workers in [1, 2, 3, 4, 5, 7, 8, 15, 31, 64] {
        // In a row, far apart, and all but random.
        let in_a_row = moved_by_adding_to(workers, 0..100_000);
        let far_apart = moved_by_adding_to(workers, (0..100_000).map(|key| key << 40));
        let spread = (0..100_000_u64).map(|key| key.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        for moved in [in_a_row, far_apart, moved_by_adding_to(workers, spread)] {
            assert!(moved <= may_move(workers), "{moved} keys moved when a worker was added to {workers}");
        }
    }
}

#[test]
fn no_worker_gets_much_more_than_its_share() {
    for workers in [2, 3, 4, 8, 16] {
        let mut loads = vec![0; workers];
        (0..100_000).for_each(|key| loads[way_of(key, workers)] += 1);
        let share = 100_000 / workers;
        let is_fair = |load: &usize| load.abs_diff(share) * 20 < share;
        assert!(loads.iter().all(is_fair), "{loads:?}");
    }
}

#[cfg(feature = "vpl")]
mod values {
    use varpin::event::{Value, json, order::key_hash};
    use varpin::flow::way_of;

    use Value::{Bool, Duration, Float, Int, Missing, Null, Timestamp};

    fn str(text: &str) -> Value {
        Value::from(text)
    }

    fn json(text: &str) -> Value {
        json::parse_json(text).expect("the test's own JSON")
    }

    /// Value, hash, and the worker that gets it of 2, 3, 4 and 8.
    fn table() -> Vec<(Value, u64, [usize; 4])> {
        vec![
            (Missing, 0x0338_dc4b_e2ce_cdae, [1, 1, 1, 1]),
            (Null, 0x0338_dc4b_e2ce_cdae, [1, 1, 1, 1]),
            (Bool(false), 0xbbff_856a_55b7_c7ce, [1, 2, 2, 2]),
            (Bool(true), 0xa8eb_550b_de70_fdf1, [1, 1, 1, 1]),
            (Int(0), 0x082e_bbd9_50ce_e1c0, [1, 2, 2, 7]),
            (Float(-0.0), 0x082e_bbd9_50ce_e1c0, [1, 2, 2, 7]),
            (Int(1), 0x4fd8_8904_0e16_c3e2, [0, 0, 0, 7]),
            (Float(1.0), 0x4fd8_8904_0e16_c3e2, [0, 0, 0, 7]),
            (Int(-1), 0x3058_0e4d_6801_4ff9, [1, 2, 2, 2]),
            (Int(i64::MAX), 0x4537_5ef6_a27d_1531, [0, 0, 3, 7]),
            (Int(i64::MIN), 0x1675_b83e_44e1_6c57, [0, 2, 2, 7]),
            (Float(0.5), 0x64b6_80ba_9d1d_91ec, [0, 2, 3, 7]),
            (Float(-2.25), 0x91a3_4d96_3df3_9ea1, [0, 2, 2, 7]),
            (Float(1e300), 0xb555_98b3_744b_0404, [1, 2, 2, 2]),
            (Float(f64::INFINITY), 0xee39_0ee4_b823_9028, [1, 2, 2, 2]),
            (Float(f64::NAN), 0x5924_895a_759f_2eae, [0, 0, 3, 4]),
            (str(""), 0x0e4d_9a64_d8cb_ce45, [0, 0, 3, 3]),
            (str("a"), 0x9539_7e0c_b3a8_b3f8, [1, 1, 1, 1]),
            (str("GPS"), 0x5ac6_b7dc_9aaa_8283, [1, 1, 1, 6]),
            (str("north"), 0xaccd_4c0b_b961_c26e, [0, 0, 0, 0]),
            (str("sensor-0001234"), 0x5822_326c_2509_3479, [0, 2, 3, 3]),
            (str("sensor-00012345"), 0x4445_0b45_bdbc_65fc, [0, 0, 0, 0]),
            (str("sensor-000123456"), 0xf51b_f592_efad_78ac, [0, 2, 3, 4]),
            (str("sensor-0001234567"), 0x52aa_042a_367e_adb8, [1, 2, 3, 3]),
            (str("Zürich, Hauptbahnhof, Gleis 7"), 0xf4d2_ecb0_0e39_ea55, [1, 1, 3, 3]),
            (str(&"ab".repeat(60)), 0xf9c7_b6e9_61a2_146b, [0, 0, 0, 0]),
            (str(&"ab".repeat(150)), 0xb2b3_a59c_d44c_cf11, [0, 0, 0, 0]),
            (Timestamp(1_700_000_000_000_000_000), 0x1246_5de8_61ed_1087, [1, 2, 2, 2]),
            (Duration(5_000_000_000), 0x452a_3e68_94e4_9d3f, [0, 0, 0, 0]),
            (json("[]"), 0x90aa_60b3_50ee_ab8c, [0, 2, 2, 2]),
            (json("[1, 2]"), 0xeb24_b450_0961_4fab, [0, 0, 0, 0]),
            (json("[2, 1]"), 0xed88_0c87_7ed9_6947, [1, 2, 2, 2]),
            (json(r#"[[1], 2.5, null, "x"]"#), 0x53c0_3eff_fc5c_9821, [1, 2, 3, 6]),
            (json("{}"), 0x7724_6aa0_bcd9_6b18, [1, 1, 1, 5]),
            (json(r#"{"a": 1}"#), 0xdcc4_05e9_8113_6f9d, [1, 2, 3, 3]),
            (json(r#"{"zone": "north", "at": [1, 2]}"#), 0x993d_54c7_435e_d083, [0, 0, 0, 5]),
            (json(r#"{"at": [1.0, 2.0], "zone": "north"}"#), 0x993d_54c7_435e_d083, [0, 0, 0, 5]),
        ]
    }

    #[test]
    fn values_of_every_kind_go_where_the_table_says() {
        for (value, hash, ways) in table() {
            assert_eq!(key_hash(&value), hash, "{value:?}");
            assert_eq!([2, 3, 4, 8].map(|workers| way_of(key_hash(&value), workers)), ways, "{value:?}");
        }
        let digest = (0..10_000).fold(0_u64, |digest, key| {
            let way = way_of(key_hash(&str(&format!("key {key}"))), 7);
            digest.wrapping_mul(31).wrapping_add(way as u64 + 1)
        });
        assert_eq!(digest, 0x84c5_45bd_8801_cf2a, "some text among 7 workers");
    }

    #[test]
    fn a_worker_more_or_less_moves_few_of_100_000_values() {
        for workers in [1, 2, 3, 4, 8] {
            let texts = (0..100_000).map(|key| key_hash(&str(&format!("sensor-{key}"))));
            let ints = (0..100_000).map(|key| key_hash(&Int(key)));
            for moved in [super::moved_by_adding_to(workers, texts), super::moved_by_adding_to(workers, ints)]
            {
                assert!(
                    moved <= super::may_move(workers),
                    "{moved} keys moved when a worker was added to {workers}"
                );
            }
        }
    }
}
