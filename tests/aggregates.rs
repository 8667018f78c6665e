//! The aggregates: tables for each rule, and a naive reference for what is computed row by row.
#![cfg(feature = "vpl")]

use proptest::prelude::*;
use varpin::event::{Value, json};
use varpin::functions::{Accumulator, Aggregate};

use Value::{Bool, Duration, Float, Int, Missing, Null, Timestamp};

fn show(value: &Value) -> String {
    let mut out = Vec::new();
    json::write_json(&mut out, value);
    String::from_utf8(out).expect("JSON of texts in UTF-8 is UTF-8")
}

fn accumulate(name: &str, param: f64, values: &[Value]) -> Accumulator {
    let aggregate = Aggregate::lookup(name).unwrap_or_else(|| panic!("there is no {name}"));
    let mut accumulator = Accumulator::new(aggregate, param);
    for value in values {
        accumulator.add(value);
    }
    accumulator
}

fn result(name: &str, values: &[Value]) -> String {
    show(&accumulate(name, 0.0, values).finish())
}

#[test]
fn every_name_is_found_and_named_back() {
    let names: Vec<_> = Aggregate::names().collect();
    assert_eq!(names.len(), 17);
    for name in names {
        let aggregate = Aggregate::lookup(name).expect("a name that is listed");
        assert_eq!(aggregate.name(), name);
        let with_param = ["percentile", "ema"].contains(&name);
        assert_eq!(aggregate.takes_param(), with_param);
        let (min, max) = aggregate.arity();
        assert_eq!(
            (min, max),
            (
                if name == "count" { 0 } else { 1 + usize::from(with_param) },
                Some(1 + usize::from(with_param))
            )
        );
    }
    assert_eq!(Aggregate::lookup("abs"), None);
}

#[test]
fn constant_arguments_are_checked_with_a_message() {
    let check = |name, param| Aggregate::lookup(name).expect("a known name").check_param(&param);
    assert_eq!(check("percentile", Float(0.25)), Ok(0.25));
    assert_eq!(check("percentile", Int(1)), Ok(1.0));
    for bad in [Float(1.5), Int(-1), Float(f64::NAN), "0.5".into(), Null] {
        assert!(check("percentile", bad).is_err_and(|message| message.contains("from 0 to 1")));
    }
    assert_eq!(check("ema", Int(3)), Ok(3.0));
    for bad in [Int(0), Float(f64::INFINITY), Float(0.5), Missing] {
        assert!(check("ema", bad).is_err_and(|message| message.contains("from 1 on")));
    }
}

#[test]
fn values_of_every_aggregate() {
    let values = [Float(1.0), Float(2.5), Float(6.5), Missing, Null];
    let expected = [
        ("count", "3"),
        ("count_distinct", "3"),
        ("sum", "10.0"),
        ("avg", "3.3333333333333335"),
        ("min", "1.0"),
        ("max", "6.5"),
        ("first", "1.0"),
        ("last", "6.5"),
        ("stddev", "2.8431203515386634"),
        ("variance", "8.083333333333334"),
        ("median", "2.5"),
        ("p50", "2.5"),
        ("p95", "6.1"),
        ("p99", "6.42"),
        ("collect", "[1.0,2.5,6.5]"),
    ];
    for (name, expected) in expected {
        assert_eq!(result(name, &values), expected, "{name}");
    }
    assert_eq!(show(&accumulate("percentile", 0.25, &values).finish()), "1.75");
    assert_eq!(show(&accumulate("percentile", 0.0, &values).finish()), "1.0");
    assert_eq!(show(&accumulate("percentile", 1.0, &values).finish()), "6.5");
    assert_eq!(show(&accumulate("ema", 3.0, &values).finish()), "4.125");
}

#[test]
fn without_a_value_counts_and_sums_are_zero_and_the_rest_is_null() {
    for name in Aggregate::names() {
        let expected = match name {
            "count" | "count_distinct" | "sum" => "0",
            "collect" => "[]",
            _ => "null",
        };
        assert_eq!(result(name, &[]), expected, "{name}");
        assert_eq!(result(name, &[Missing, Null]), expected, "{name}");
    }
    assert_eq!(result("stddev", &[Int(4)]), "null");
    assert_eq!(result("variance", &[Int(4)]), "null");
}

#[test]
fn numeric_aggregates_skip_what_is_no_number() {
    let strangers = ["x".into(), Bool(true), Value::array(vec![Int(1)]), Timestamp(5), Duration(5)];
    let mixed: Vec<_> = strangers.iter().cloned().chain([Int(1), Int(3)]).collect();
    for (name, expected) in [("sum", "4"), ("avg", "2.0"), ("median", "2.0"), ("variance", "2.0")] {
        assert_eq!(result(name, &mixed), expected, "{name}");
    }
    assert_eq!(result("sum", &strangers), "0");
    assert_eq!(result("count", &strangers), "5");
}

#[test]
fn count_without_an_argument_counts_rows() {
    let mut count = Accumulator::new(Aggregate::Count, 0.0);
    count.count_row();
    count.count_row();
    assert_eq!(show(&count.finish()), "2");
}

#[test]
fn a_sum_of_ints_is_an_int_if_the_exact_total_is_one() {
    assert_eq!(result("sum", &[Int(i64::MAX), Int(i64::MAX)]), "1.8446744073709552e+19");
    assert_eq!(result("sum", &[Int(i64::MAX), Int(i64::MAX), Int(-i64::MAX)]), "9223372036854775807");
    assert_eq!(result("sum", &[Int(i64::MIN), Int(5)]), "-9223372036854775803");
    assert_eq!(result("sum", &[Int(1), Float(0.5)]), "1.5");
    assert_eq!(result("sum", &[Float(-9_223_372_036_854_775_807.0), Int(i64::MAX)]), "-1.0");
    assert_eq!(result("avg", &[Int(1), Int(2), Int(4)]), "2.3333333333333335");
    assert_eq!(result("avg", &[Int(i64::MAX), Int(i64::MAX)]), "9.223372036854776e+18");
}

#[test]
fn sums_of_floats_keep_what_additions_round_away() {
    assert_eq!(result("sum", &[Float(1e16), Float(1.0), Float(1.0), Float(-1e16)]), "2.0");
    assert_eq!(result("avg", &[Float(1e16), Float(1.0), Float(1.0), Float(-1e16)]), "0.5");
    assert_eq!(result("sum", &[Float(0.1), Float(0.2), Float(0.3)]), "0.6");
    let infinite = accumulate("sum", 0.0, &[Float(f64::INFINITY), Float(1.0)]).finish();
    assert!(matches!(infinite, Float(f64::INFINITY)), "{infinite:?}");
    let nan = accumulate("sum", 0.0, &[Float(f64::NAN), Float(1.0)]).finish();
    assert!(matches!(nan, Float(x) if x.is_nan()), "{nan:?}");
}

#[test]
fn extremes_keep_their_type_and_skip_what_has_no_order() {
    assert_eq!(result("min", &[Int(1), Float(0.5)]), "0.5");
    assert_eq!(result("max", &[Int(1), Float(0.5)]), "1");
    assert_eq!(result("max", &[Int(1), Float(1.0)]), "1");
    assert_eq!(result("min", &["b".into(), "a".into(), "ab".into()]), r#""a""#);
    assert_eq!(result("max", &["z".into(), "é".into()]), r#""é""#);
    assert_eq!(result("max", &[Timestamp(1), Timestamp(0)]), r#""1970-01-01T00:00:00.000000001Z""#);
    assert_eq!(result("min", &["a".into(), Int(7)]), "7");
    assert_eq!(result("max", &["a".into(), Int(7)]), r#""a""#);
    let unordered = [Float(f64::NAN), Bool(true), Value::array(vec![]), Null];
    assert_eq!(result("min", &unordered), "null");
    let with_one: Vec<_> = unordered.iter().cloned().chain([Float(3.0), Float(f64::NAN)]).collect();
    assert_eq!(result("min", &with_one), "3.0");
    assert_eq!(result("max", &with_one), "3.0");
}

#[test]
fn distinct_numbers_are_distinct_by_value() {
    let values = [Int(1), Float(1.0), "1".into(), Bool(true), Null, Missing, Float(0.0), Float(-0.0)];
    assert_eq!(result("count_distinct", &values), "4");
}

#[test]
fn quantiles_of_infinities_are_no_nan() {
    let values = [Float(1.0), Float(f64::INFINITY), Float(f64::INFINITY), Float(f64::NAN)];
    assert!(matches!(accumulate("median", 0.0, &values).finish(), Float(f64::INFINITY)));
    assert_eq!(show(&accumulate("percentile", 0.0, &values).finish()), "1.0");
}

#[test]
fn finishing_changes_nothing_and_a_reset_starts_anew() {
    let values = [Int(5), Float(1.5), Int(2), Int(9)];
    for name in Aggregate::names() {
        let mut first = accumulate(name, 0.5, &values[..3]);
        let before = show(&first.finish());
        assert_eq!(show(&first.finish()), before, "{name}");
        let mut copy = first.clone();
        copy.add(&values[3]);
        assert_eq!(show(&copy.finish()), show(&accumulate(name, 0.5, &values).finish()), "{name}");
        assert_eq!(show(&first.finish()), before, "{name}");
        first.reset();
        for value in &values[..3] {
            first.add(value);
        }
        assert_eq!(show(&first.finish()), before, "{name}");
    }
}

#[test]
fn spread_of_large_close_numbers_is_exact() {
    let values: Vec<_> = [4.0, 7.0, 13.0, 16.0].iter().map(|x| Float(1e9 + x)).collect();
    assert_eq!(result("variance", &values), "30.0");
}

/// Ints and floats of a size for which naive arithmetic is good to the last few digits.
fn numbers() -> impl Strategy<Value = Vec<Value>> {
    let number = prop_oneof![
        (-1_000_000..1_000_000_i64).prop_map(Int),
        (-1e6..1e6).prop_map(Float),
        Just(Null),
        Just(Value::from("x")),
    ];
    prop::collection::vec(number, 0..40)
}

fn close(result: &Value, expected: Option<f64>) -> Result<(), TestCaseError> {
    match (result, expected) {
        (Null, None) => Ok(()),
        (Float(_) | Int(_), Some(expected)) => {
            let result =
                if let Float(result) = result { *result } else { show(result).parse().expect("an int") };
            let error = (result - expected).abs() / expected.abs().max(1.0);
            prop_assert!(error < 1e-9, "{} is not {}", result, expected);
            Ok(())
        }
        _ => Err(TestCaseError::fail(format!("{result:?} is not {expected:?}"))),
    }
}

proptest! {
    #[test]
    fn aggregates_agree_with_the_textbook(values in numbers(), p in 0.0..=1.0_f64) {
        let floats: Vec<f64> = values.iter().filter_map(|value| match value {
            Int(value) => Some(*value as f64),
            Float(value) => Some(*value),
            _ => None,
        }).collect();
        let count = floats.len() as f64;
        let sum: f64 = floats.iter().sum();
        let mean = (count > 0.0).then(|| sum / count);
        let variance = mean.filter(|_| count > 1.0).map(|mean| {
            floats.iter().map(|x| (x - mean) * (x - mean)).sum::<f64>() / (count - 1.0)
        });
        let mut sorted = floats.clone();
        sorted.sort_by(f64::total_cmp);
        let quantile = |p: f64| (!sorted.is_empty()).then(|| {
            let place = p * (sorted.len() - 1) as f64;
            let (below, above) = (sorted[place.floor() as usize], sorted[place.ceil() as usize]);
            below + (above - below) * (place - place.floor())
        });
        let ema = floats.iter().copied().reduce(|average, x| 0.2 * x + 0.8 * average);

        close(&accumulate("sum", 0.0, &values).finish(), Some(sum))?;
        close(&accumulate("avg", 0.0, &values).finish(), mean)?;
        close(&accumulate("variance", 0.0, &values).finish(), variance)?;
        close(&accumulate("stddev", 0.0, &values).finish(), variance.map(f64::sqrt))?;
        close(&accumulate("median", 0.0, &values).finish(), quantile(0.5))?;
        close(&accumulate("percentile", p, &values).finish(), quantile(p))?;
        close(&accumulate("ema", 9.0, &values).finish(), ema)?;
        let only_numbers: Vec<_> = values.iter().filter(|value| matches!(value, Int(_) | Float(_))).cloned().collect();
        close(&accumulate("min", 0.0, &only_numbers).finish(), sorted.first().copied())?;
        close(&accumulate("max", 0.0, &only_numbers).finish(), sorted.last().copied())?;
    }

    #[test]
    fn sums_of_ints_are_exact_in_any_order(values in prop::collection::vec(any::<i64>(), 0..20)) {
        let exact: i128 = values.iter().copied().map(i128::from).sum();
        let sum = accumulate("sum", 0.0, &values.into_iter().map(Int).collect::<Vec<_>>()).finish();
        match (sum, i64::try_from(exact)) {
            (Int(sum), Ok(exact)) => prop_assert_eq!(sum, exact),
            (Float(sum), Err(_)) => prop_assert_eq!(sum, exact as f64),
            (sum, _) => prop_assert!(false, "{:?} for {}", sum, exact),
        }
    }
}
