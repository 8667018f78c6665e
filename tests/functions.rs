//! The built-in functions. Arguments and results stand as JSON, `-` for no value.
#![cfg(feature = "vpl")]

use varpin::event::{Value, json};
use varpin::functions::{Builtin, CallEnv, MAX_ITEMS, range};

const ENV: CallEnv = CallEnv { now_ns: 1_500_000_000 };

fn call_with(name: &str, args: &[Value]) -> Value {
    let builtin = Builtin::lookup(name).unwrap_or_else(|| panic!("there is no {name}"));
    let (min, max) = builtin.arity();
    assert!(
        args.len() >= min && max.is_none_or(|max| args.len() <= max),
        "{name} does not take {} arguments",
        args.len()
    );
    builtin.call(args, &ENV)
}

/// The arguments as one JSON array.
fn arguments(args: &str) -> Vec<Value> {
    match json::parse_json(args) {
        Some(Value::Array(values)) => values.to_vec(),
        _ => panic!("{args} is no JSON array"),
    }
}

fn show(value: &Value) -> String {
    if value.is_missing() {
        return "-".into();
    }
    let mut out = Vec::new();
    json::write_json(&mut out, value);
    String::from_utf8(out).expect("JSON of texts in UTF-8 is UTF-8")
}

fn check(cases: &[(&str, &str, &str)]) {
    for (name, args, expected) in cases {
        assert_eq!(show(&call_with(name, &arguments(args))), *expected, "{name} of {args}");
    }
}

#[test]
fn every_name_is_found_and_named_back() {
    let names: Vec<_> = Builtin::names().collect();
    assert_eq!(names.len(), 51);
    for name in names {
        let builtin = Builtin::lookup(name).expect("a name that is listed");
        let aliases = [("upper", "to_upper"), ("lower", "to_lower")];
        let own = aliases.iter().find(|alias| alias.0 == name).map_or(name, |alias| alias.1);
        assert_eq!(builtin.name(), own);
        assert_eq!(builtin.is_pure(), !["now", "timestamp", "print"].contains(&name), "{name}");
    }
    assert_eq!(Builtin::lookup("nope"), None);
    assert_eq!(Builtin::lookup("substr").map(Builtin::arity), Some((2, Some(3))));
    assert_eq!(Builtin::lookup("concat").map(Builtin::arity), Some((1, None)));
}

#[test]
fn an_argument_without_a_value_leaves_none() {
    for name in Builtin::names().filter(|name| !["coalesce", "if_null"].contains(name)) {
        let builtin = Builtin::lookup(name).expect("a name that is listed");
        let (min, max) = builtin.arity();
        for missing in 0..max.unwrap_or(min.max(2)) {
            let mut args = vec![Value::Int(1); max.unwrap_or(min.max(2))];
            args[missing] = Value::Missing;
            assert!(builtin.call(&args, &ENV).is_missing(), "{name} without argument {missing}");
        }
    }
}

#[test]
fn a_wrong_number_of_arguments_gives_no_value_and_no_panic() {
    for name in Builtin::names() {
        let builtin = Builtin::lookup(name).expect("a name that is listed");
        let (min, max) = builtin.arity();
        for count in (0..min).chain(max.map(|max| max + 1)) {
            assert!(builtin.call(&vec![Value::Int(1); count], &ENV).is_missing(), "{name} with {count}");
        }
    }
}

#[test]
fn math() {
    check(&[
        ("abs", "[-2.25]", "2.25"),
        ("abs", "[-9]", "9"),
        ("abs", "[-9223372036854775808]", "-"),
        ("abs", r#"["no"]"#, "-"),
        ("sqrt", "[9]", "3.0"),
        ("sqrt", "[-1]", "null"),
        ("sqrt", "[null]", "-"),
        ("log", "[1]", "0.0"),
        ("log", "[0]", "null"),
        ("log10", "[1000]", "3.0"),
        ("exp", "[0]", "1.0"),
        ("pow", "[2, 5]", "32"),
        ("pow", "[2, -1]", "0.5"),
        ("min", "[2.25, 2]", "2"),
        ("min", r#"["no", 2]"#, "-"),
        ("min", r#"["b", "a", "c"]"#, r#""a""#),
        ("max", "[1, 1.0]", "1"),
        ("max", "[1, null]", "-"),
        ("max", "[true, false]", "-"),
        ("min", "[[3, 1, null, 2.5]]", "1"),
        ("max", "[[]]", "null"),
        ("min", "[5]", "-"),
        ("clamp", "[2.25, 0, 3]", "2.25"),
        ("clamp", "[-2.25, 0, 3]", "0"),
        ("clamp", "[9, 0, 3]", "3"),
        ("clamp", "[1, 3, 0]", "-"),
        ("clamp", r#"["x", 0, 3]"#, "-"),
    ]);
}

#[test]
fn rounding_gives_ints_and_half_goes_away_from_zero() {
    check(&[
        ("floor", "[-2.25]", "-3"),
        ("ceil", "[-2.25]", "-2"),
        ("round", "[2.5]", "3"),
        ("round", "[-2.5]", "-3"),
        ("round", "[7]", "7"),
        ("floor", "[1e300]", "-"),
        ("floor", "[9223372036854775808.0]", "-"),
        ("ceil", "[-9223372036854775808.0]", "-9223372036854775808"),
        ("round", "[2.345, 1]", "2.3"),
        ("round", "[-1.25, 1]", "-1.3"),
        ("round", "[1234, -2]", "1200.0"),
        ("round", "[7, 2]", "7.0"),
        ("round", "[1e300, 10]", "1e+300"),
        ("round", "[1.5, 9223372036854775807]", "1.5"),
        ("round", "[1.5, -9223372036854775808]", "0.0"),
        ("round", "[1.5, 1.0]", "-"),
    ]);
    for name in ["floor", "ceil", "round"] {
        assert!(call_with(name, &[Value::Float(f64::NAN)]).is_missing());
    }
}

#[test]
fn nan_wins_no_comparison() {
    let nan = Value::Float(f64::NAN);
    assert_eq!(show(&call_with("min", &[nan.clone(), Value::Int(1)])), "1");
    assert_eq!(show(&call_with("max", &[Value::Float(1.0), nan.clone(), Value::Int(2)])), "2");
    assert!(call_with("max", &["a".into(), nan.clone()]).is_missing());
    assert!(matches!(call_with("max", &[nan.clone(), nan]), Value::Float(x) if x.is_nan()));
}

#[test]
fn text() {
    check(&[
        ("len", r#"["héllo"]"#, "5"),
        ("trim", r#"[" a,b "]"#, r#""a,b""#),
        ("upper", r#"["ÉCOLE, straße"]"#, r#""ÉCOLE, STRASSE""#),
        ("to_lower", r#"["ÉCOLE"]"#, r#""école""#),
        ("lower", "[5]", "-"),
        ("starts_with", r#"["héllo", "hé"]"#, "true"),
        ("ends_with", r#"["héllo", "l"]"#, "false"),
        ("ends_with", r#"["5", 5]"#, "-"),
        ("replace", r#"["Hello", "l", "L"]"#, r#""HeLLo""#),
        ("replace", r#"["Hello", "", "L"]"#, "-"),
        ("split", r#"[" a,b,,c ", ","]"#, r#"[" a","b","","c "]"#),
        ("split", r#"["", ","]"#, r#"[""]"#),
        ("split", r#"["abc", ""]"#, "-"),
        ("join", r#"[["p", 1, 2.0, true], "-"]"#, r#""p-1-2.0-true""#),
        ("join", r#"[[], "-"]"#, r#""""#),
        ("join", r#"[["p", null], "-"]"#, "-"),
        ("concat", r#"[5, "+", 1]"#, r#""5+1""#),
        ("concat", r#"["a", "b"]"#, r#""ab""#),
        ("concat", r#"["a", null]"#, "-"),
        ("substr", r#"["日本語 🚀", 1]"#, r#""本語 🚀""#),
        ("substr", r#"["日本語 🚀", 1, 2]"#, r#""本語""#),
        ("substr", r#"["hello", -3, 2]"#, r#""ll""#),
        ("substr", r#"["hello", -9, 2]"#, r#""he""#),
        ("substr", r#"["hello", 9]"#, r#""""#),
        ("substr", r#"["hello", 1, 9223372036854775807]"#, r#""ello""#),
        ("substr", r#"["hello", -9223372036854775808]"#, r#""hello""#),
        ("substr", r#"["hello", 0, -1]"#, "-"),
        ("substr", r#"["hello", 1.0]"#, "-"),
        ("format", r#"["{} is {}", "a", 2.0]"#, r#""a is 2.0""#),
        ("format", r#"["{} {}", "{}"]"#, r#""{} {}""#),
        ("format", r#"["none", 1]"#, r#""none""#),
        ("format", r#"["{}", [1, null]]"#, r#""[1,null]""#),
        ("format", "[5, 1]", "-"),
    ]);
}

#[test]
fn collections() {
    check(&[
        ("len", "[[3, 1]]", "2"),
        ("len", r#"[{"a": 1}]"#, "1"),
        ("len", "[5]", "-"),
        ("contains", "[[1, 2], 2.0]", "true"),
        ("contains", r#"[{"a": 1}, "b"]"#, "false"),
        ("contains", r#"["Hello", "l"]"#, "true"),
        ("contains", "[5, 5]", "-"),
        ("first", "[[3, 1]]", "3"),
        ("last", "[[3, 1]]", "1"),
        ("first", "[[]]", "-"),
        ("last", "[[]]", "-"),
        ("push", "[[1], 0]", "[1,0]"),
        ("push", "[[1], null]", "[1,null]"),
        ("push", "[1, 0]", "-"),
        ("pop", "[[3, 1]]", "[3]"),
        ("pop", "[[]]", "-"),
        ("reverse", "[[3, 1, 2]]", "[2,1,3]"),
        ("reverse", r#"["né"]"#, r#""én""#),
        ("sort", "[[3, 1, 2.5, 1.0]]", "[1,1.0,2.5,3]"),
        ("sort", r#"[["b", 1, null, "a", true]]"#, r#"[null,true,1,"a","b"]"#),
        ("unique", r#"[[3, 1, 3.0, "3", null, null, [1], [1.0]]]"#, r#"[3,1,"3",null,[1]]"#),
        ("flatten", "[[1, [2, [3]], []]]", "[1,2,[3]]"),
        ("zip", r#"[[1, 2, 3], ["a", "b"]]"#, r#"[[1,"a"],[2,"b"]]"#),
        ("zip", "[[1], 2]", "-"),
        ("range", "[3]", "[0,1,2]"),
        ("range", "[-1, 2]", "[-1,0,1]"),
        ("range", "[2, 2]", "[]"),
        ("range", "[5, 2]", "[]"),
        ("range", "[2.0]", "-"),
        ("keys", r#"[{"b": 1, "a": 2}]"#, r#"["b","a"]"#),
        ("values", r#"[{"b": 1, "a": null}]"#, "[1,null]"),
        ("keys", "[[1]]", "-"),
        ("sum", "[[3, 1, 2, 3]]", "9"),
        ("sum", "[[1, 0.5]]", "1.5"),
        ("sum", "[[]]", "0"),
        ("sum", r#"[[1, null, "x"]]"#, "1"),
        ("sum", "[5]", "-"),
        ("avg", "[[3, 1, 2, 3]]", "2.25"),
        ("avg", "[[]]", "null"),
    ]);
}

#[test]
fn conversions() {
    check(&[
        ("to_string", "[4.0]", r#""4.0""#),
        ("to_string", "[3]", r#""3""#),
        ("to_string", "[true]", r#""true""#),
        ("to_string", "[null]", r#""null""#),
        ("to_string", r#"[[1, "a"]]"#, r#""[1,\"a\"]""#),
        ("to_int", "[3.99]", "3"),
        ("to_int", "[-3.99]", "-3"),
        ("to_int", r#"["42"]"#, "42"),
        ("to_int", r#"["3.5"]"#, "-"),
        ("to_int", r#"["x"]"#, "-"),
        ("to_int", "[true]", "1"),
        ("to_int", "[null]", "-"),
        ("to_int", "[1e19]", "-"),
        ("to_float", "[3]", "3.0"),
        ("to_float", r#"["42"]"#, "42.0"),
        ("to_float", r#"["1e3"]"#, "1000.0"),
        ("to_float", r#"["x"]"#, "-"),
        ("to_float", r#"["NaN"]"#, "-"),
        ("to_float", r#"["inf"]"#, "-"),
        ("to_float", "[true]", "-"),
        ("type_of", "[1]", r#""int""#),
        ("type_of", "[1.0]", r#""float""#),
        ("type_of", r#"["a"]"#, r#""string""#),
        ("type_of", "[true]", r#""bool""#),
        ("type_of", "[null]", r#""null""#),
        ("type_of", "[[]]", r#""array""#),
        ("type_of", "[{}]", r#""map""#),
        ("parse", r#"["{\"a\": [1, 2.0]}"]"#, r#"{"a":[1,2.0]}"#),
        ("parse", r#"["null"]"#, "null"),
        ("parse", r#"["{"]"#, "-"),
        ("parse", "[5]", "-"),
        ("print", "[5]", "5"),
    ]);
    assert_eq!(show(&call_with("type_of", &[Value::Duration(1)])), r#""duration""#);
    assert_eq!(show(&call_with("type_of", &[Value::Timestamp(1)])), r#""timestamp""#);
    assert_eq!(show(&call_with("to_string", &[Value::Timestamp(0)])), r#""1970-01-01T00:00:00.000Z""#);
}

#[test]
fn absent_arguments_are_what_coalesce_and_if_null_are_for() {
    check(&[
        ("coalesce", r#"[null, "w", "none"]"#, r#""w""#),
        ("coalesce", "[null, null]", "null"),
        ("if_null", "[null, 0]", "0"),
        ("if_null", "[false, 0]", "false"),
    ]);
    assert_eq!(show(&call_with("coalesce", &[Value::Missing, Value::Int(1)])), "1");
    assert_eq!(show(&call_with("if_null", &[Value::Missing, Value::Int(1)])), "1");
    assert!(call_with("coalesce", &[Value::Missing]).is_missing());
    assert!(call_with("if_null", &[Value::Null, Value::Missing]).is_missing());
}

#[test]
fn time() {
    assert!(matches!(call_with("now", &[]), Value::Timestamp(1_500_000_000)));
    assert!(matches!(call_with("timestamp", &[]), Value::Timestamp(1_500_000_000)));
    assert!(matches!(call_with("timestamp", &[Value::Int(1500)]), Value::Timestamp(1_500_000_000)));
    assert!(matches!(call_with("timestamp", &["1970-01-01T00:00:00Z".into()]), Value::Timestamp(0)));
    assert!(call_with("timestamp", &["soon".into()]).is_missing());
    assert!(call_with("timestamp", &[Value::Null]).is_missing());
}

#[test]
fn no_result_can_take_all_memory() {
    assert!(call_with("range", &[Value::Int(1_000_000_000_000)]).is_missing());
    assert!(range(i64::MIN, i64::MAX).is_missing());
    let most = range(0, MAX_ITEMS as i64);
    assert!(!most.is_missing());
    assert!(call_with("push", &[most.clone(), Value::Int(0)]).is_missing());
    assert!(
        call_with("flatten", &[Value::array(vec![most.clone(), Value::array(vec![Value::Null])])])
            .is_missing()
    );

    let megabyte = Value::from("x".repeat(1 << 20).as_str());
    assert!(call_with("join", &[Value::array(vec![megabyte.clone(); 100]), "".into()]).is_missing());
    assert!(call_with("join", &[most, megabyte.clone()]).is_missing());
    assert!(call_with("concat", &vec![megabyte.clone(); 100]).is_missing());
    assert!(call_with("replace", &[megabyte.clone(), "x".into(), megabyte.clone()]).is_missing());
    assert!(call_with("split", &["x".repeat((1 << 20) + 1).as_str().into(), "x".into()]).is_missing());
    let template = "{}".repeat(100);
    let mut args = vec![Value::from(template.as_str())];
    args.extend(vec![megabyte; 100]);
    assert!(call_with("format", &args).is_missing());
}
