//! Long JSON strings made short as they arrive.

use memchr::memchr2;

use super::MAX_STRING;

/// The longest escape sequence, `\u` and four digits: so many bytes behind a backslash none can be cut in two.
const ESCAPE: usize = 6;

/// Copies one line of text, leaving out the end of each JSON string that is longer than [`MAX_STRING`] bytes. What was
/// JSON stays JSON, with the same structure; where the line is cut into chunks makes no difference.
#[derive(Debug, Default)]
pub(super) struct Shortener {
    state: State,
    /// The byte before was a backslash that begins an escape.
    escaped: bool,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Outside,
    /// In a string, so many bytes behind its quote and behind its last backslash.
    Inside { at: usize, behind_escape: usize },
    /// In the part of a string that is left out.
    LeavingOut,
}

impl Shortener {
    pub(super) fn shorten(&mut self, bytes: &[u8], kept: &mut Vec<u8>) {
        let mut rest = bytes;
        while let Some((byte, behind)) = rest.split_first() {
            match &mut self.state {
                State::Outside => {
                    let end = memchr::memchr(b'"', rest).map_or(rest.len(), |quote| quote + 1);
                    let (copied, left) = rest.split_at_checked(end).unwrap_or((rest, &[]));
                    kept.extend_from_slice(copied);
                    if copied.ends_with(b"\"") {
                        self.state = State::Inside {
                            at: 0,
                            behind_escape: ESCAPE,
                        };
                    }
                    rest = left;
                    continue;
                }
                State::Inside { at, behind_escape } => {
                    let whole = !self.escaped && (*behind_escape >= ESCAPE || *byte == b'\\');
                    let begins_character = !matches!(byte, 0x80..=0xbf);
                    if *at >= MAX_STRING && whole && begins_character {
                        self.state = State::LeavingOut;
                        continue;
                    }
                    *at += 1;
                    *behind_escape = if *byte == b'\\' { 1 } else { *behind_escape + 1 };
                    kept.push(*byte);
                    if *byte == b'"' && !self.escaped {
                        self.state = State::Outside;
                    }
                    self.escaped = *byte == b'\\' && !self.escaped;
                }
                State::LeavingOut => {
                    if self.escaped {
                        self.escaped = false;
                        rest = behind;
                        continue;
                    }
                    match memchr2(b'"', b'\\', rest).and_then(|end| rest.get(end..)?.split_first()) {
                        None => return,
                        Some((b'"', left)) => {
                            kept.push(b'"');
                            self.state = State::Outside;
                            rest = left;
                        }
                        Some((_, left)) => {
                            self.escaped = true;
                            rest = left;
                        }
                    }
                    continue;
                }
            }
            rest = behind;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn shortened(parts: &[&[u8]]) -> Vec<u8> {
        let mut shortener = Shortener::default();
        let mut kept = Vec::new();
        for part in parts {
            shortener.shorten(part, &mut kept);
        }
        kept
    }

    #[test]
    fn what_is_short_stays_and_what_is_long_is_cut() {
        let line = |text: &str| format!("data: {}", json!({"a": text, "b": [1, "x\"y"]}));
        for text in ["", "short \\ \" \u{1} é 😀", &"x".repeat(MAX_STRING)] {
            assert_eq!(shortened(&[line(text).as_bytes()]), line(text).as_bytes());
        }
        let long = line(&"x".repeat(10 << 20));
        assert_eq!(shortened(&[long.as_bytes()]), line(&"x".repeat(MAX_STRING)).as_bytes(),);
    }

    #[test]
    fn no_character_or_escape_is_cut() {
        for unit in [
            "é",
            "😀",
            "\\n",
            "\\\\",
            "\\\"",
            "\\u00e9",
            "\\ud83d\\ude00",
            "a\\u00e9",
        ] {
            for pad in 0..8 {
                let text = format!("\"{}{}\"", "x".repeat(pad), unit.repeat(3 * MAX_STRING));
                let kept = shortened(&[text.as_bytes()]);
                assert!(kept.len() <= MAX_STRING + 2 * ESCAPE, "{unit} {}", kept.len());
                assert!(serde_json::from_slice::<serde::de::IgnoredAny>(&kept).is_ok(), "{unit}");
            }
        }
    }

    /// The value with its long strings cut.
    fn same_shape(long: &Value, short: &Value) -> bool {
        match (long, short) {
            (Value::String(long), Value::String(short)) => {
                long == short || (long.len() * 6 > MAX_STRING && !short.is_empty())
            }
            (Value::Array(long), Value::Array(short)) => {
                long.len() == short.len() && long.iter().zip(short).all(|(long, short)| same_shape(long, short))
            }
            (Value::Object(long), Value::Object(short)) => {
                long.len() == short.len()
                    && long
                        .iter()
                        .zip(short)
                        .all(|((a, long), (b, short))| a == b && same_shape(long, short))
            }
            _ => long == short,
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn json_stays_json_of_the_same_shape(
            texts in proptest::collection::vec((any::<String>(), 0..1200_usize), 0..4),
            cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..5),
        ) {
            let value = Value::from(texts.iter().map(|(text, times)| json!({"k": text.repeat(*times), "n": 1})).collect::<Vec<_>>());
            let line = value.to_string();
            let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(line.len() + 1)).collect();
            ends.extend([0, line.len()]);
            ends.sort_unstable();
            let parts: Vec<_> = ends.windows(2).map(|ends| &line.as_bytes()[ends[0]..ends[1]]).collect();
            let kept = shortened(&parts);
            prop_assert_eq!(&kept, &shortened(&[line.as_bytes()]));
            let short: Value = serde_json::from_slice(&kept).unwrap();
            prop_assert!(same_shape(&value, &short));
        }
    }
}
