use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn canonical(text: &str) -> Result<String, JsonError> {
    let mut out = Vec::new();
    value(&mut out, text, &[])?;
    Ok(String::from_utf8(out).unwrap())
}

#[test]
fn values_have_one_spelling() {
    for (text, expected) in [
        (" null ", "null"),
        ("true", "true"),
        ("[ ]", "[]"),
        ("{ }", "{}"),
        (
            r#"{"b": 1, "a": [2, {"d": 3, "c": {}}, []], "": null}"#,
            r#"{"":null,"a":[2,{"c":{},"d":3},[]],"b":1}"#,
        ),
        (
            r#"[{"b":1,"a":2},{"d":{"f":1,"e":2},"c":3},4]"#,
            r#"[{"a":2,"b":1},{"c":3,"d":{"e":2,"f":1}},4]"#,
        ),
        // A key's escapes make no other key of it, and sort it nowhere else.
        (r#"{"\u0062":1,"a":2}"#, r#"{"a":2,"b":1}"#),
        // Which one counts cannot be known, so both stay as they stand.
        (r#"{"b":1,"a":2,"b":0}"#, r#"{"a":2,"b":1,"b":0}"#),
        (r#""\u00e9\u4E2D\ud83d\uDE00""#, r#""é中😀""#),
        (
            r#""\u000a\u0009\u0008\u000C\u000d\u0022\u005c\u002f\/\n""#,
            r#""\n\t\b\f\r\"\\//\n""#,
        ),
        (r#""\u001F\u0000\u007f""#, "\"\\u001f\\u0000\u{7f}\""),
        // Halves of pairs are not text, but neither are they all the same.
        (r#""\uD83D""#, r#""\ud83d""#),
        (r#""\ud83dx\uDE00""#, r#""\ud83dx\ude00""#),
        (r#""\ud83d\ud83d\ude00""#, r#""\ud83d😀""#),
        (r#""\ud83d\u0041""#, r#""\ud83dA""#),
        (r#""\\u0041""#, r#""\\u0041""#),
    ] {
        assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        assert_eq!(canonical(expected).as_deref(), Ok(expected), "{text} a second time");
    }
}

#[test]
fn numbers_have_one_spelling_and_lose_no_digit() {
    for (expected, texts) in [
        ("0", &["0", "-0", "0.0", "-0.000", "0e5", "0E-99999999999999999999"][..]),
        (
            "1",
            &["1", "1.0", "1e0", "10e-1", "0.1e1", "0.001E+3", "1.000e-0", "1e000"],
        ),
        ("-1", &["-1", "-1.0", "-100e-2"]),
        ("1e2", &["100", "1e2", "1E+02", "100.0", "0.1e3"]),
        ("15e-1", &["1.5", "1.50", "15e-1", "0.15e1", "0.0015E3"]),
        ("12005e-1", &["1200.5", "1200.500"]),
        ("1e-3", &["0.001", "1e-3", "0.0010"]),
        (
            "9007199254740992",
            &["9007199254740992", "9007199254740992.0", "9007199254740.992e3"],
        ),
        ("9007199254740993", &["9007199254740993"]),
        (
            "123456789012345678901234567890123456789",
            &[
                "123456789012345678901234567890123456789",
                "123456789012345678901234567890.123456789e9",
            ],
        ),
        (
            "1e9223372036854775807",
            &["1e9223372036854775807", "10e9223372036854775806"],
        ),
        // Beyond what can be counted, as written.
        ("10e9223372036854775807", &["10e9223372036854775807"]),
        ("1E99999999999999999999", &["1E99999999999999999999"]),
    ] {
        for text in texts {
            assert_eq!(canonical(text).as_deref(), Ok(expected), "{text}");
        }
        assert_eq!(canonical(expected).as_deref(), Ok(expected));
    }
}

#[test]
fn what_is_no_json_writes_nothing() {
    let deep = "[".repeat(129) + &"]".repeat(129);
    for text in ["", "{", "nope", "1 2", "[1,]", "{\"a\":1}}", "\"open", &deep] {
        let mut out = b"before".to_vec();
        assert!(value(&mut out, text, &[]).is_err(), "{text}");
        assert_eq!(out, b"before", "{text}");
    }
}

#[test]
fn only_own_members_are_left_out() {
    let mut out = Vec::new();
    value(
        &mut out,
        r#"{"id":1,"a":{"id":2},"b":[{"id":3}],"status":4}"#,
        &["id", "status"],
    )
    .unwrap();
    assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":{"id":2},"b":[{"id":3}]}"#);
}

#[test]
fn deep_objects_are_not_copied_once_for_each_level() {
    // 120 levels around a megabyte, each with keys that must change places. Copied at every level, it would be 120 MB.
    let core = "x".repeat(1 << 20);
    let text = format!("{}\"{core}\"{}", "{\"b\":".repeat(120), ",\"a\":1}".repeat(120));
    let written = canonical(&text).unwrap();
    assert!(written.starts_with("{\"a\":1,\"b\":{\"a\":1,\"b\":{"));
    assert_eq!(written.len(), text.len());
}

fn any_value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<u64>().prop_map(Value::from),
        (-1e9..1e9).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            proptest::collection::hash_map(any::<String>(), inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn the_one_spelling_says_the_same(value in any_value(), pretty in any::<bool>()) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) };
        let written = canonical(&text.unwrap()).unwrap();
        let read: Value = serde_json::from_str(&written).unwrap();
        prop_assert!(alike(&read, &value), "{written}");
        prop_assert_eq!(canonical(&written).unwrap(), written);
    }

    #[test]
    fn numbers_are_equal_if_and_only_if_their_spelling_is(
        digits in 1_i64..100_000, zeros in 0_usize..4, point in 0_usize..8, power in -4_i64..5, other in 1_i64..100_000,
    ) {
        // The same number, its point moved and the power with it.
        let plain = format!("{digits}{}", "0".repeat(zeros));
        let padded = format!("{plain:0>9}");
        let (whole, fraction) = padded.split_at(padded.len() - point);
        let whole = whole.trim_start_matches('0');
        let whole = if whole.is_empty() { "0" } else { whole };
        let moved = if fraction.is_empty() { whole.to_owned() } else { format!("{whole}.{fraction}") };
        let moved = format!("{moved}e{}", power + i64::try_from(point).unwrap());
        let unmoved = format!("{plain}e{power}");
        prop_assert_eq!(canonical(&moved).unwrap(), canonical(&unmoved).unwrap(), "{} and {}", moved, unmoved);
        let differs = canonical(&other.to_string()).unwrap() != canonical(&digits.to_string()).unwrap();
        prop_assert_eq!(differs, other != digits);
    }
}

/// The same but for how numbers are held: `serde_json` reads 1e1 as a float, and floats not to the last bit.
fn alike(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => {
            let (one, other) = (one.as_f64().unwrap(), other.as_f64().unwrap());
            (one - other).abs() <= other.abs() * 1e-15
        }
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| alike(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            one.len() == other.len()
                && one
                    .iter()
                    .all(|(key, value)| other.get(key).is_some_and(|other| alike(value, other)))
        }
        _ => one == other,
    }
}
