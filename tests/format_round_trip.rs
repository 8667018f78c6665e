//! What is printed reads back the same, and results look as they should.
#![cfg(feature = "vpl")]
#![allow(clippy::unwrap_used, clippy::format_push_string)] // a test that fails panics; a test may allocate

mod format_common;

use proptest::prelude::*;
use varpin::event::json::write_json;
use varpin::event::{FieldType, Map, Row, Value};
use varpin::format::{EventSource, Format, InputType, InputTypes, ResultLayout, ResultWriter, SourceOptions};

fn scalars() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        (-1000_i64..1000).prop_map(Value::Int),
        prop::num::f64::NORMAL.prop_map(Value::Float),
        prop::num::f64::SUBNORMAL.prop_map(Value::Float),
        (-100_000_i32..100_000).prop_map(|cents| Value::Float(f64::from(cents) / 100.0)),
        any::<String>().prop_map(|text| Value::from(text.as_str())),
        "[ -~]{0,20}".prop_map(|text| Value::from(text.as_str())),
    ]
}

fn values() -> impl Strategy<Value = Value> {
    scalars().prop_recursive(3, 20, 5, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(Value::array),
            prop::collection::vec((any::<String>(), inner), 0..5).prop_map(|entries| {
                Value::map(
                    entries.into_iter().map(|(key, value)| (key.as_str().into(), value)).collect::<Map>(),
                )
            }),
        ]
    })
}

fn fields() -> impl Strategy<Value = Vec<(String, Value)>> {
    prop::collection::vec(("[a-e_][a-e0-9_]{0,40}", values()), 0..12)
}

fn json(value: &Value) -> String {
    let mut out = Vec::new();
    write_json(&mut out, value);
    String::from_utf8(out).unwrap()
}

fn types() -> InputTypes {
    let shape = format_common::shape(false, &[("a", FieldType::Any), ("b", FieldType::Any)], true);
    InputTypes::new(vec![InputType { name: "E".into(), type_id: 1, shape }])
}

/// What a row of these fields prints as.
fn expected(time_ms: i64, fields: &[(String, Value)]) -> String {
    let all: Map = fields.iter().map(|(name, value)| (name.as_str().into(), value.clone())).collect();
    let slot = |name| all.get(name).map_or_else(|| "-".into(), json);
    let (a, b) = (slot("a"), slot("b"));
    format!("1 {} {a} {b} {}", time_ms * 1_000_000, json(&Value::map(all)))
}

proptest! {
    #[test]
    fn events_printed_as_evt_or_json_lines_read_back_the_same(
        events in prop::collection::vec((0_i64..1_000_000, fields()), 1..6),
    ) {
        let (mut evt, mut flat, mut nested) = (String::new(), String::new(), String::new());
        let mut rows = Vec::new();
        for (time_ms, fields) in &events {
            let evt_fields: Vec<_> = fields.iter().map(|(name, value)| format!("{name}: {}", json(value))).collect();
            let json_fields: Vec<_> = fields.iter().map(|(name, value)| format!("\"{name}\":{}", json(value))).collect();
            evt += &format!("@{time_ms} E {{ {} }}\n", evt_fields.join(", "));
            flat += &format!("{{{}}}\n", [&["\"type\":\"E\"".into(), format!("\"ts\":{time_ms}")], &json_fields[..]].concat().join(","));
            nested += &format!("{{\"data\":{{{}}},\"ts\":{time_ms},\"event_type\":\"E\"}}\n", json_fields.join(","));
            rows.push(expected(*time_ms, fields));
        }
        for (text, format) in [(&evt, Format::Evt), (&flat, Format::Jsonl), (&nested, Format::Jsonl), (&nested, Format::Evt)] {
            let mut source = EventSource::new(text.as_bytes(), format, types(), SourceOptions::default()).unwrap();
            let seen: Vec<_> = format_common::drain(&mut source).into_iter().map(|outcome| outcome.map_err(|bad| bad.to_string())).collect();
            let rows: Vec<_> = rows.iter().cloned().map(Ok).collect();
            prop_assert_eq!(&seen, &rows, "{}", text);
        }
    }

    #[test]
    fn decimal_fractions_are_the_floats_that_the_standard_library_reads(text in "-?[0-9]{1,22}(\\.[0-9]{1,22})?(e-?[0-9]{1,3})?") {
        let shape = format_common::shape(false, &[("a", FieldType::Any)], false);
        let types = InputTypes::new(vec![InputType { name: "E".into(), type_id: 1, shape }]);
        let line = format!("E {{ a: {text} }}\n");
        let mut source = EventSource::new(line.as_bytes(), Format::Evt, types, SourceOptions::default()).unwrap();
        let mut row = Row::new(0, 0, 0);
        source.fill().unwrap();
        let float: f64 = text.parse().unwrap();
        let outcome = source.next(&mut row);
        if float.is_infinite() {
            prop_assert!(outcome.is_err());
        } else {
            match row.get(0) {
                Value::Float(read) => prop_assert_eq!(read.to_bits(), float.to_bits()),
                Value::Int(read) => prop_assert_eq!(Ok(*read), text.parse()),
                other => prop_assert!(false, "{:?}", other),
            }
        }
    }

    #[test]
    fn results_are_json_with_fields_in_order(fields in fields(), time_ns in any::<i64>()) {
        let mut names: Vec<String> = fields.iter().map(|(name, _)| name.clone()).collect();
        names.sort();
        names.dedup();
        let slots = names.iter().cloned().zip(0..).collect();
        let values: Vec<Value> = names.iter().map(|name| fields.iter().find(|(other, _)| other == name).unwrap().1.clone()).collect();
        let layout = ResultLayout { stream: "S\"\u{e9}".into(), type_name: Some("T".into()), fields: slots, rest: None };
        let mut out = Vec::new();
        ResultWriter::new(&layout).write(&mut out, &Row::with_values(0, time_ns, &values));
        let line: serde_json::Value = serde_json::from_slice(out.strip_suffix(b"\n").unwrap()).unwrap();
        prop_assert_eq!(&line["stream"], "S\"é");
        prop_assert_eq!(&line["type"], "T");
        let data = line["data"].as_object().unwrap();
        prop_assert!(data.keys().eq(&names), "{:?} {:?}", data, names);
    }
}

#[test]
fn results_leave_out_what_has_no_value_and_the_type_that_is_the_stream() {
    let layout = ResultLayout {
        stream: "S".into(),
        type_name: Some("S".into()),
        fields: vec![("a".into(), 0), ("b".into(), 1), ("c".into(), 2)],
        rest: None,
    };
    let mut writer = ResultWriter::new(&layout);
    let mut out = Vec::new();
    writer.write(&mut out, &Row::with_values(0, 1, &[Value::Missing, Value::Null, Value::Float(2.0)]));
    writer
        .write(&mut out, &Row::with_values(0, 999_999_999, &[Value::Int(1), Value::Missing, Value::Missing]));
    writer.write(&mut out, &Row::new(0, 0, 3));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"stream\":\"S\",\"ts\":\"1970-01-01T00:00:00.000000001Z\",\"data\":{\"b\":null,\"c\":2.0}}\n\
         {\"stream\":\"S\",\"ts\":\"1970-01-01T00:00:00.999999999Z\",\"data\":{\"a\":1}}\n\
         {\"stream\":\"S\",\"ts\":\"1970-01-01T00:00:00.000Z\",\"data\":{}}\n"
    );
}

#[test]
fn results_with_all_fields_print_the_entries_of_the_map() {
    let all: Map =
        [("x".into(), Value::Int(1)), ("none".into(), Value::Missing), ("y".into(), Value::from("z"))]
            .into_iter()
            .collect();
    let layout = ResultLayout {
        stream: "S".into(),
        type_name: Some("T".into()),
        fields: vec![("ignored".into(), 0)],
        rest: Some(1),
    };
    let mut out = Vec::new();
    ResultWriter::new(&layout)
        .write(&mut out, &Row::with_values(0, 140_000_000, &[Value::Int(9), Value::map(all)]));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "{\"stream\":\"S\",\"type\":\"T\",\"ts\":\"1970-01-01T00:00:00.140Z\",\"data\":{\"x\":1,\"y\":\"z\"}}\n"
    );
}
