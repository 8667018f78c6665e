//! Arithmetic: what has a result has the right one, and everything else has no value.
#![cfg(feature = "vpl")]

use varpin::event::{Value, arith};

type Binary = fn(&Value, &Value) -> Value;

fn text(value: &Value) -> String {
    format!("{value:?}")
}

fn check(operator: Binary, a: impl Into<Value>, b: impl Into<Value>, expected: impl Into<Value>) {
    let (a, b, expected) = (a.into(), b.into(), expected.into());
    let result = operator(&a, &b);
    assert_eq!(text(&result), text(&expected), "of {a:?} and {b:?}");
}

use Value::{Duration, Float, Int, Missing, Null, Timestamp};

#[test]
fn ints_stay_ints_and_overflow_has_no_value() {
    check(arith::add, 7, 2, Int(9));
    check(arith::sub, -7, 2, Int(-9));
    check(arith::mul, 7, -2, Int(-14));
    check(arith::add, i64::MAX, 1, Missing);
    check(arith::sub, i64::MIN, 1, Missing);
    check(arith::mul, 4_000_000_000, 4_000_000_000, Missing);
    assert_eq!(text(&arith::neg(&Int(5))), "Int(-5)");
    assert!(arith::neg(&Int(i64::MIN)).is_missing());
}

#[test]
fn int_division_truncates_and_by_zero_has_no_value() {
    check(arith::div, 7, 2, Int(3));
    check(arith::div, -7, 2, Int(-3));
    check(arith::div, 7, 0, Missing);
    check(arith::div, i64::MIN, -1, Missing);
    check(arith::rem, -7, 2, Int(-1));
    check(arith::rem, 7, -2, Int(1));
    check(arith::rem, 7, 0, Missing);
    check(arith::rem, i64::MIN, -1, Int(0));
}

#[test]
fn an_int_with_a_float_is_a_float_and_division_by_zero_has_no_value() {
    check(arith::add, 2, 7.5, Float(9.5));
    check(arith::sub, 7.5, 2, Float(5.5));
    check(arith::mul, 2, 7.5, Float(15.0));
    check(arith::div, 7.5, 2, Float(3.75));
    check(arith::rem, -7.5, 2, Float(-1.5));
    for zero in [Float(0.0), Float(-0.0), Int(0)] {
        check(arith::div, 1.5, zero.clone(), Missing);
        check(arith::rem, 1.5, zero, Missing);
    }
    check(arith::add, f64::MAX, f64::MAX, Float(f64::INFINITY));
}

#[test]
fn power_is_an_int_only_for_int_base_and_exponent_from_zero() {
    check(arith::pow, 7, 3, Int(343));
    check(arith::pow, 0, 0, Int(1));
    check(arith::pow, 2, -1, Float(0.5));
    check(arith::pow, 0, -1, Float(f64::INFINITY));
    check(arith::pow, 16, 0.5, Float(4.0));
    check(arith::pow, 0.1, 2, Float(0.010_000_000_000_000_002));
    check(arith::pow, 2, 62, Int(1 << 62));
    check(arith::pow, 2, 63, Missing);
    check(arith::pow, -2, 63, Int(i64::MIN));
    check(arith::pow, 1, i64::MAX, Int(1));
    check(arith::pow, -1, i64::MAX, Int(-1));
    check(arith::pow, 2, i64::MAX, Missing);
    check(arith::pow, "2", 2, Missing);
}

#[test]
fn a_str_on_the_left_takes_the_text_of_any_scalar() {
    check(arith::add, "héllo", "!", "héllo!");
    check(arith::add, "a", 1, "a1");
    check(arith::add, "a", 2.0, "a2.0");
    check(arith::add, "a", 1e20, "a1e+20");
    check(arith::add, "a", true, "atrue");
    check(arith::add, "a", Timestamp(1_500_000_000), "a1970-01-01T00:00:01.500Z");
    check(arith::add, "a", Duration(5), "a5");
    check(arith::add, "a", Null, Missing);
    check(arith::add, "a", Missing, Missing);
    check(arith::add, "a", Value::array(vec![]), Missing);
    check(arith::add, 1, "a", Missing);
    let long = "x".repeat(100);
    check(arith::add, long.as_str(), "yy", format!("{long}yy").as_str());
}

#[test]
fn text_that_doubles_forever_ends_without_a_value() {
    let mut text = Value::from("ab");
    for _ in 0..100 {
        text = arith::add(&text, &text);
    }
    assert!(text.is_missing());
}

#[test]
fn times_and_durations_have_their_own_arithmetic() {
    check(arith::sub, Timestamp(30), Timestamp(10), Duration(20));
    check(arith::add, Timestamp(30), Duration(10), Timestamp(40));
    check(arith::add, Duration(10), Timestamp(30), Timestamp(40));
    check(arith::sub, Timestamp(30), Duration(10), Timestamp(20));
    check(arith::add, Duration(30), Duration(10), Duration(40));
    check(arith::sub, Duration(10), Duration(30), Duration(-20));
    check(arith::mul, Duration(10), 3, Duration(30));
    check(arith::mul, 3, Duration(10), Duration(30));
    check(arith::div, Duration(10), 3, Duration(3));
    check(arith::div, Duration(10), 0, Missing);
    check(arith::add, Timestamp(i64::MAX), Duration(1), Missing);
    check(arith::sub, Timestamp(i64::MIN), Timestamp(1), Missing);
    check(arith::mul, Duration(i64::MAX), 2, Missing);
    check(arith::add, Timestamp(1), Timestamp(1), Missing);
    check(arith::sub, Duration(1), Timestamp(1), Missing);
    check(arith::mul, Duration(10), 1.5, Missing);
    check(arith::add, Timestamp(1), 1, Missing);
    assert_eq!(text(&arith::neg(&Duration(5))), "Duration(-5)");
}

#[test]
fn bits_are_those_of_ints_and_shifts_stay_inside_the_word() {
    check(arith::bit_and, 12, 10, Int(8));
    check(arith::bit_or, 12, 10, Int(14));
    check(arith::bit_xor, 12, 10, Int(6));
    check(arith::shl, 1, 4, Int(16));
    check(arith::shl, 1, 63, Int(i64::MIN));
    check(arith::shr, -16, 2, Int(-4));
    for (operator, name) in [(arith::shl as Binary, "<<"), (arith::shr, ">>")] {
        for shift in [-1, 64, i64::MAX, i64::MIN] {
            assert!(operator(&Int(1), &Int(shift)).is_missing(), "1 {name} {shift}");
        }
    }
    check(arith::bit_and, true, true, Missing);
    check(arith::bit_or, 1.0, 1, Missing);
    assert_eq!(text(&arith::bit_not(&Int(0))), "Int(-1)");
    assert!(arith::bit_not(&Value::Bool(true)).is_missing());
}

#[test]
fn no_value_and_null_have_no_arithmetic() {
    let operators: [Binary; 9] = [
        arith::add,
        arith::sub,
        arith::mul,
        arith::div,
        arith::rem,
        arith::pow,
        arith::bit_and,
        arith::shl,
        arith::shr,
    ];
    for operator in operators {
        for absent in [Missing, Null] {
            assert!(operator(&absent, &Int(1)).is_missing());
            assert!(operator(&Int(0), &absent).is_missing());
        }
    }
    assert!(arith::neg(&Missing).is_missing());
}
