use proptest::prelude::*;
use serde_json::Value;

use super::*;

fn accepts(text: &[u8]) -> Result<(), JsonError> {
    let mut reader = Reader::new(text)?;
    reader.skip()?;
    reader.end()
}

/// Walks the whole text the typed way, as the codecs do.
fn walk(reader: &mut Reader<'_>) -> Result<(), JsonError> {
    match reader.peek()? {
        Kind::Object => {
            reader.begin_object()?;
            while reader.key()?.is_some() {
                walk(reader)?;
            }
            Ok(())
        }
        Kind::Array => {
            reader.begin_array()?;
            while reader.element()? {
                walk(reader)?;
            }
            Ok(())
        }
        _ => reader.skip(),
    }
}

#[test]
fn accepts_what_the_grammar_accepts() {
    for (text, ok) in [
        ("{}", true),
        (" [ ] ", true),
        ("[1,2.5,-0,1e999,-1.5E-3,0.0]", true),
        (r#"{"a":{"b":[null,true,false,"x"]}}"#, true),
        (r#""\u00e9\n\"\\\/\ud83d""#, true),
        ("", false),
        ("{} {}", false),
        ("[1,]", false),
        ("[,1]", false),
        ("[1 2]", false),
        ("{,}", false),
        (r#"{"a":1,}"#, false),
        (r#"{"a"}"#, false),
        (r#"{"a":}"#, false),
        (r#"{a:1}"#, false),
        ("{1:1}", false),
        ("[1}", false),
        (r#"{"a":1]"#, false),
        ("[", false),
        ("]", false),
        ("01", false),
        ("-", false),
        ("1.", false),
        (".5", false),
        ("1e", false),
        ("+1", false),
        ("nul", false),
        ("nulls", false),
        ("True", false),
        ("NaN", false),
        ("\"a\nb\"", false),
        ("\"\u{0}\"", false),
        (r#""\x""#, false),
        (r#""\u12g4""#, false),
        (r#""\u12"#, false),
        ("\"", false),
        ("\u{feff}{}", false),
        ("/* */{}", false),
    ] {
        assert_eq!(accepts(text.as_bytes()).is_ok(), ok, "{text}");
        assert_eq!(
            serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok(),
            ok,
            "serde_json disagrees about {text}"
        );
    }
}

#[test]
fn errors_say_where_and_never_quote_the_text() {
    let check = |text: &[u8], error: &str| assert_eq!(accepts(text).unwrap_err().to_string(), error);
    check(b"{\"secret\" 1}", "not valid JSON: expected \":\" at byte 10");
    check(b"[1,2", "not valid JSON: expected \",\" or \"]\" at byte 4");
    check(b"[\"\xff\"]", "not valid UTF-8 at byte 2");
}

#[test]
fn nesting_is_bounded_also_where_it_is_skipped() {
    for (opener, closer) in [("[", "]"), ("{\"a\":", "}")] {
        let nested = |levels: usize| format!("{}1{}", opener.repeat(levels), closer.repeat(levels));
        assert_eq!(accepts(nested(128).as_bytes()), Ok(()));
        assert!(matches!(
            accepts(nested(129).as_bytes()),
            Err(JsonError::TooDeep { .. })
        ));
        let hostile = opener.repeat(4 << 20);
        assert!(matches!(accepts(hostile.as_bytes()), Err(JsonError::TooDeep { .. })));
    }
}

#[test]
fn escapes_decode_and_count() {
    for (text, decoded, len) in [
        (r#""plain""#, "plain", 5),
        (r#""é中😀""#, "é中😀", 9),
        (r#""\u00e9\u4e2d\ud83d\ude00""#, "é中😀", 9),
        (r#""a\n\t\"\\\/b\u0041""#, "a\n\t\"\\/bA", 8),
        (r#""\\u0041""#, "\\u0041", 6),
        (r#""\ud83dx""#, "\u{fffd}x", 3),
        (r#""\ud83d\u0041""#, "\u{fffd}A", 3),
        (r#""\ude00""#, "\u{fffd}", 2),
        (r#""""#, "", 0),
    ] {
        let read = Reader::new(text.as_bytes()).unwrap().string().unwrap();
        assert_eq!(read.decoded(), decoded, "{text}");
        assert_eq!(read.decoded_len(), len, "{text}");
    }
}

#[test]
fn raw_values_are_cut_out_exactly() {
    let mut reader = Reader::new(br#" { "a" :  [1, {"b":"]"}] , "c": null}"#).unwrap();
    reader.begin_object().unwrap();
    assert_eq!(reader.key().unwrap().unwrap().decoded(), "a");
    assert_eq!(reader.raw().unwrap(), r#"[1, {"b":"]"}]"#);
    assert_eq!(reader.key().unwrap().unwrap().decoded(), "c");
    assert_eq!(reader.raw().unwrap(), "null");
    assert!(reader.key().unwrap().is_none());
    assert_eq!(reader.end(), Ok(()));
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
    /// Texts near to JSON: the reader and `serde_json` agree on which are JSON, skipped or walked.
    #[test]
    fn agrees_with_serde_json(
        value in any_value(),
        pretty in any::<bool>(),
        edits in proptest::collection::vec((any::<prop::sample::Index>(), prop_oneof![
            prop::sample::select(&b"{}[]\",:\\0123456789.eE+-truefalsn \n\x00\x1f\x7fu"[..]),
            any::<u8>(),
        ]), 0..3),
    ) {
        let text = if pretty { serde_json::to_vec_pretty(&value) } else { serde_json::to_vec(&value) };
        let mut text = text.unwrap();
        for (index, byte) in edits {
            let at = index.index(text.len());
            text[at] = byte;
        }
        let theirs = std::str::from_utf8(&text).is_ok_and(|text| serde_json::from_str::<serde::de::IgnoredAny>(text).is_ok());
        prop_assert_eq!(accepts(&text).is_ok(), theirs, "{}", String::from_utf8_lossy(&text));
        let walked = Reader::new(&text).and_then(|mut reader| { walk(&mut reader)?; reader.end() });
        prop_assert_eq!(walked.is_ok(), theirs);
    }

    #[test]
    fn strings_decode_as_serde_json_decodes_them(text in any::<String>(), ascii in any::<bool>()) {
        let mut quoted = serde_json::to_string(&text).unwrap();
        if ascii {
            quoted = quoted.chars().flat_map(|c| {
                let mut units = [0; 2];
                if c.is_ascii() { vec![c.to_string()] }
                else { c.encode_utf16(&mut units).iter().map(|unit| format!("\\u{unit:04x}")).collect() }
            }).collect();
        }
        let mut reader = Reader::new(quoted.as_bytes()).unwrap();
        let read = reader.string().unwrap();
        prop_assert_eq!(read.decoded(), text.as_str());
        prop_assert_eq!(read.decoded_len(), text.len() as u64);
        prop_assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let _ = accepts(&bytes);
    }
}
