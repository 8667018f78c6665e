//! Values as text and back: JSON, times, durations, declared types.
#![cfg(feature = "vpl")]

use proptest::prelude::*;
use varpin::event::convert::convert;
use varpin::event::json::{parse_json, push_text, write_json};
use varpin::event::time::{parse_duration, parse_rfc3339, with_rfc3339};
use varpin::event::{FieldType, Map, Value};

use Value::{Bool, Duration, Float, Int, Missing, Null, Timestamp};

fn json(value: &Value) -> String {
    let mut out = Vec::new();
    write_json(&mut out, value);
    String::from_utf8(out).expect("JSON of texts in UTF-8 is UTF-8")
}

#[test]
fn floats_are_written_shortest_and_never_like_ints() {
    let cases = [
        (2.0, "2.0"),
        (-0.0, "-0.0"),
        (0.1, "0.1"),
        (1e16, "1e+16"),
        (1e20, "1e+20"),
        (1e-7, "1e-7"),
        (123_456.789, "123456.789"),
        (9_007_199_254_740_992.0, "9007199254740992.0"),
        (f64::MAX, "1.7976931348623157e+308"),
        (5e-324, "5e-324"),
        (f64::NAN, "null"),
        (f64::INFINITY, "null"),
    ];
    for (float, expected) in cases {
        assert_eq!(json(&Float(float)), expected);
    }
}

#[test]
fn values_are_written_as_json() {
    assert_eq!(json(&Int(i64::MIN)), "-9223372036854775808");
    assert_eq!(json(&Bool(true)), "true");
    assert_eq!(json(&Null), "null");
    assert_eq!(json(&Duration(-5)), "-5");
    assert_eq!(json(&Timestamp(3_001_000_000)), r#""1970-01-01T00:00:03.001Z""#);
    assert_eq!(json(&Value::array(vec![Int(1), Missing, "a".into()])), r#"[1,null,"a"]"#);
    let map: Map = [("b".into(), Int(1)), ("gone".into(), Missing), ("a".into(), Null)].into_iter().collect();
    assert_eq!(json(&Value::map(map)), r#"{"b":1,"a":null}"#);
}

#[test]
fn every_character_that_json_forbids_is_escaped() {
    assert_eq!(
        json(&"a\"b\\c\n\r\t\u{8}\u{c}\u{1f}\u{0}é🚀\u{7f}".into()),
        "\"a\\\"b\\\\c\\n\\r\\t\\b\\f\\u001f\\u0000é🚀\u{7f}\""
    );
    // Wherever the one character stands among the eight bytes that are looked at together.
    for len in 0..20 {
        for at in 0..len {
            for odd in ['"', '\\', '\u{1f}', ' ', '!', '#', '[', ']', '\u{80}'] {
                let text: String = (0..len).map(|i| if i == at { odd } else { 'x' }).collect();
                let back: String = serde_json::from_str(&json(&text.as_str().into())).unwrap();
                assert_eq!(back, text);
            }
        }
    }
}

#[test]
fn json_is_read_in_order_and_large_ints_become_floats() {
    let text = r#"{"z":[1,-2.5,null,true],"a":{"b":"é\n"}}"#;
    assert_eq!(json(&parse_json(text).unwrap()), text);
    assert_eq!(json(&parse_json("9223372036854775808").unwrap()), "9.223372036854776e+18");
    assert_eq!(json(&parse_json("-9223372036854775809").unwrap()), "-9.223372036854776e+18");
    assert_eq!(json(&parse_json(r#"{"a":1,"b":2,"a":3}"#).unwrap()), r#"{"a":3,"b":2}"#);
    for bad in ["", "{", "[1,]", "nul", "1 2", "'a'", "1e999", r#""\x""#, "\u{feff}1"] {
        assert!(parse_json(bad).is_none(), "{bad}");
    }
}

#[test]
fn json_too_deep_or_too_wide_is_refused() {
    assert!(parse_json(&"[".repeat(1_000_000)).is_none());
    let wide = |entries: usize| {
        let entries: Vec<_> = (0..entries).map(|i| format!("\"{i}\":0")).collect();
        format!("{{{}}}", entries.join(","))
    };
    assert!(parse_json(&wide(4096)).is_some());
    assert!(parse_json(&wide(4097)).is_none());
}

#[test]
fn times_have_as_few_digits_as_are_exact() {
    let cases = [
        (0, "1970-01-01T00:00:00.000Z"),
        (140_000_000, "1970-01-01T00:00:00.140Z"),
        (1_500_001_000, "1970-01-01T00:00:01.500001Z"),
        (59_999_999_999, "1970-01-01T00:00:59.999999999Z"),
        (-1, "1969-12-31T23:59:59.999999999Z"),
        (951_782_400_000_000_000, "2000-02-29T00:00:00.000Z"),
        (i64::MAX, "2262-04-11T23:47:16.854775807Z"),
        (i64::MIN, "1677-09-21T00:12:43.145224192Z"),
    ];
    for (ns, expected) in cases {
        with_rfc3339(ns, |text| assert_eq!(text, expected));
        assert_eq!(parse_rfc3339(expected), Some(ns));
    }
}

#[test]
fn times_are_read_as_rfc_3339_alone() {
    let second = Some(1_000_000_000);
    for good in
        ["1970-01-01T00:00:01Z", "1970-01-01t00:00:01z", "1970-01-01T02:30:01+02:30", "1970-01-01 00:00:01Z"]
    {
        assert_eq!(parse_rfc3339(good), second, "{good}");
    }
    let bad = [
        "",
        "1970-01-01",
        "1970-01-01T00:00:01",
        "1970-13-01T00:00:01Z",
        "1970-02-30T00:00:01Z",
        "1970-01-01T00:00:01+02",
        "1970-01-01T00:00:01Z[UTC]",
        "1970-01-01T00:00:01.Z",
        "2300-01-01T00:00:00Z",
        "日本日本日本日本日本",
        "5s",
    ];
    for bad in bad {
        assert_eq!(parse_rfc3339(bad), None, "{bad}");
    }
}

#[test]
fn durations_are_sums_of_whole_units() {
    let good = [
        ("5ns", 5),
        ("5us", 5_000),
        ("5ms", 5_000_000),
        ("5s", 5_000_000_000),
        ("5m", 300_000_000_000),
        ("1h30m", 5_400_000_000_000),
        ("1d", 86_400_000_000_000),
    ];
    for (text, ns) in good {
        assert_eq!(parse_duration(text), Some(ns), "{text}");
    }
    for bad in ["", "5", "s", "-5s", "1.5s", "5 s", "5x", "1h30", "99999999999999999999s", "200000d", "5s "] {
        assert_eq!(parse_duration(bad), None, "{bad}");
    }
}

#[test]
fn declared_types_convert_without_loss_or_not_at_all() {
    let int = FieldType::Int;
    let floats = FieldType::Array(Box::new(FieldType::Float));
    let ints_by_name = FieldType::Map(Box::new(FieldType::Int));
    let parsed = |text| parse_json(text).unwrap();
    let good = [
        (Int(2), FieldType::Float, Float(2.0)),
        (Float(2.0), int.clone(), Int(2)),
        (Float(-9_223_372_036_854_775_808.0), int.clone(), Int(i64::MIN)),
        ("1970-01-01T00:00:01Z".into(), FieldType::Timestamp, Timestamp(1_000_000_000)),
        (Int(1500), FieldType::Timestamp, Timestamp(1_500_000_000)),
        ("1h30m".into(), FieldType::Duration, Duration(5_400_000_000_000)),
        (Null, int.clone(), Null),
        (Missing, int.clone(), Missing),
        ("x".into(), FieldType::Any, "x".into()),
        (parsed("[1, 2.5, null]"), floats.clone(), Value::array(vec![Float(1.0), Float(2.5), Null])),
        (parsed(r#"{"a": 1.0}"#), ints_by_name.clone(), parsed(r#"{"a": 1}"#)),
    ];
    for (value, ty, expected) in good {
        assert_eq!(
            format!("{:?}", convert(value, &ty)),
            format!("{:?}", Ok::<_, Value>(expected)),
            "to {ty}"
        );
    }
    let bad = [
        (Int(9_007_199_254_740_993), FieldType::Float),
        (Int(i64::MAX), FieldType::Float),
        (Float(2.5), int.clone()),
        (Float(9_223_372_036_854_775_808.0), int.clone()),
        (Float(f64::NAN), int.clone()),
        ("2".into(), int.clone()),
        (Bool(true), int),
        (Int(1), FieldType::Str),
        (Int(1), FieldType::Bool),
        (Int(5), FieldType::Duration),
        (Int(i64::MAX), FieldType::Timestamp),
        ("yesterday".into(), FieldType::Timestamp),
        (parsed(r#"[1, "2"]"#), floats),
        (parsed(r#"{"a": 1.5}"#), ints_by_name),
    ];
    for (value, ty) in bad {
        let given_back = convert(value.clone(), &ty).expect_err("there is no exact value");
        assert_eq!(format!("{given_back:?}"), format!("{value:?}"), "to {ty}");
    }
}

#[test]
fn text_of_what_is_no_scalar_is_its_json() {
    let mut out = String::from(">");
    for value in
        [Null, parse_json(r#"[1,"a"]"#).unwrap(), "a".into(), Float(f64::NAN), Float(f64::NEG_INFINITY)]
    {
        push_text(&mut out, &value);
        out.push(' ');
    }
    assert_eq!(out, r#">null [1,"a"] a NaN -inf "#);
}

proptest! {
    #[test]
    fn floats_read_back_the_same(bits in any::<u64>()) {
        let float = f64::from_bits(bits);
        prop_assume!(float.is_finite());
        match parse_json(&json(&Float(float))) {
            Some(Float(back)) => prop_assert_eq!(back.to_bits(), float.to_bits()),
            other => prop_assert!(false, "{:?}", other),
        }
    }

    #[test]
    fn texts_read_back_the_same(text in any::<String>()) {
        let back: String = serde_json::from_str(&json(&text.as_str().into())).unwrap();
        prop_assert_eq!(back, text);
    }

    #[test]
    fn times_read_back_the_same(ns in any::<i64>()) {
        prop_assert_eq!(with_rfc3339(ns, parse_rfc3339), Some(ns));
    }
}
