//! JSON strings: what they say, decoded only when somebody asks.

use std::borrow::Cow;
use std::str::Chars;

use memchr::memchr;

/// A string as it stands in the text, without its quotes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Text<'a> {
    pub(super) raw: &'a str,
    pub(super) escaped: bool,
}

impl<'a> Text<'a> {
    /// The text between the quotes as it was written. Written one behind the other, two such texts are one string's.
    pub(crate) fn raw(self) -> &'a str {
        self.raw
    }

    /// What the string says. An escaped surrogate without its other half becomes U+FFFD.
    pub(crate) fn decoded(self) -> Cow<'a, str> {
        if !self.escaped {
            return Cow::Borrowed(self.raw);
        }
        let mut decoded = String::with_capacity(self.raw.len());
        let mut rest = self.raw;
        while let Some((plain, tail)) = rest.split_once('\\') {
            decoded.push_str(plain);
            let mut tail = tail.chars();
            decoded.push(match tail.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some('u') => unescape_unicode(&mut tail),
                Some(itself) => itself,
                None => break,
            });
            rest = tail.as_str();
        }
        decoded.push_str(rest);
        Cow::Owned(decoded)
    }

    /// How many characters (Unicode scalar values) the string says.
    pub(crate) fn characters(self) -> u64 {
        u64::try_from(self.decoded().chars().count()).unwrap_or(u64::MAX)
    }

    /// How many bytes of UTF-8 the string says. Each half of a surrogate pair counts for two of the pair's four.
    pub(crate) fn decoded_len(self) -> u64 {
        let mut rest = self.raw.as_bytes();
        let mut saved = 0;
        if self.escaped {
            while let Some(tail) = memchr(b'\\', rest).and_then(|at| rest.get(at + 1..)) {
                let (escape_len, decoded_len) = match tail {
                    [b'u', digits @ ..] => match hex4(digits) {
                        Some(0..=0x7f) => (6, 1),
                        Some(0..=0x7ff | 0xd800..=0xdfff) => (6, 2),
                        _ => (6, 3),
                    },
                    _ => (2, 1),
                };
                saved += escape_len - decoded_len;
                rest = tail.get(escape_len - 1..).unwrap_or_default();
            }
        }
        u64::try_from(self.raw.len().saturating_sub(saved)).unwrap_or(u64::MAX)
    }
}

/// The character of `\uXXXX` behind the `u`, with the low half that follows a high one.
fn unescape_unicode(tail: &mut Chars<'_>) -> char {
    let joined = |high: u32, low: u32| char::from_u32(0x10000 + ((high - 0xd800) << 10) + (low - 0xdc00));
    let read = match take_unit(tail, "") {
        Some(high @ 0xd800..=0xdbff) => {
            let behind_high = tail.clone();
            match take_unit(tail, "\\u") {
                Some(low @ 0xdc00..=0xdfff) => joined(high, low),
                _ => {
                    *tail = behind_high;
                    None
                }
            }
        }
        Some(unit) => char::from_u32(unit),
        None => None,
    };
    read.unwrap_or(char::REPLACEMENT_CHARACTER)
}

/// Takes `prefix` and the four hexadecimal digits behind it off `tail`.
fn take_unit(tail: &mut Chars<'_>, prefix: &str) -> Option<u32> {
    let digits = tail.as_str().strip_prefix(prefix)?;
    let unit = hex4(digits.as_bytes())?;
    *tail = digits.get(4..)?.chars();
    Some(unit)
}

/// The number of four hexadecimal digits at the start of `digits`.
pub(crate) fn hex4(digits: &[u8]) -> Option<u32> {
    digits
        .first_chunk::<4>()?
        .iter()
        .try_fold(0, |unit, digit| Some(unit << 4 | char::from(*digit).to_digit(16)?))
}
