//! One spelling for every JSON value.
//!
//! - Objects: the members in the order of their keys' spelling, byte by byte. Members with the same key keep their
//!   order: which of them counts cannot be known.
//! - No white space.
//! - Strings: every character as itself, but for `"`, `\` and the control characters, which have their shortest escape
//!   (`\u00xx` with small letters where there is no short one). Half a surrogate pair stays an escape with small letters.
//! - Numbers: the significant digits as a whole number, and behind `e` the power of ten if it is not 0. So 1, 1.0, 10e-1
//!   are `1`, and 100 is `1e2`. Digits are moved as text and none is lost: `f64` would take 2^53 and 2^53 + 1 for the
//!   same. Zero is `0`, of either sign. Where the power does not fit into 64 bits, the number is left as it was written.
//!
//! The text is read twice: once to find the members of every object, once to write. So it takes time in proportion to the
//! text (but for the sorting) however deep objects nest, where sorting them from the inside out would copy the
//! innermost once for each level.

use std::borrow::Cow;

use memchr::memchr;

use crate::json::{JsonError, Kind, Reader, hex4};

/// Writes the value that `text` is, without those of its own members that are to be left out. If `text` is no JSON,
/// nothing is written.
pub(super) fn value(out: &mut Vec<u8>, text: &str, left_out: &[&str]) -> Result<(), JsonError> {
    let index = Index::of(text)?;
    let writer = Writer { text, index: &index };
    writer.value(out, &mut Reader::over(text), &mut 0, left_out)
}

/// Writes the string that stands between quotes as `raw`.
pub(super) fn string(out: &mut Vec<u8>, raw: &str) {
    out.push(b'"');
    characters(out, raw);
    out.push(b'"');
}

fn characters(out: &mut Vec<u8>, raw: &str) {
    let mut rest = raw;
    while let Some((plain, escape)) = memchr(b'\\', rest.as_bytes()).and_then(|at| rest.split_at_checked(at)) {
        out.extend_from_slice(plain.as_bytes());
        let len = match escape.as_bytes() {
            [_, b'/', ..] => {
                out.push(b'/');
                2
            }
            [_, b'u', digits @ ..] => unit(out, digits),
            [_, short, ..] => {
                out.extend_from_slice(&[b'\\', *short]);
                2
            }
            // The reader lets no string end with a backslash.
            _ => escape.len(),
        };
        rest = escape.get(len..).unwrap_or_default();
    }
    out.extend_from_slice(rest.as_bytes());
}

/// Writes what `\u` and `digits` say, and returns how long the escape is.
fn unit(out: &mut Vec<u8>, digits: &[u8]) -> usize {
    let unit = hex4(digits).unwrap_or_default();
    let low = match digits.get(4..) {
        Some([b'\\', b'u', low @ ..]) => hex4(low).filter(|low| (0xdc00..=0xdfff).contains(low)),
        _ => None,
    };
    let (code, len) = match (unit, low) {
        (0xd800..=0xdbff, Some(low)) => (0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00), 12),
        _ => (unit, 6),
    };
    match (char::from_u32(code), short_escape(code)) {
        (_, Some(short)) => out.extend_from_slice(&[b'\\', short]),
        (Some(character), None) if code >= 0x20 => {
            out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
        // A control character, or half a surrogate pair.
        _ => out.extend_from_slice(format!("\\u{code:04x}").as_bytes()),
    }
    len
}

/// The letter of a character's short escape, where it has to be escaped and has one.
fn short_escape(code: u32) -> Option<u8> {
    Some(match code {
        0x08 => b'b',
        0x09 => b't',
        0x0a => b'n',
        0x0c => b'f',
        0x0d => b'r',
        0x22 => b'"',
        0x5c => b'\\',
        _ => return None,
    })
}

fn number(out: &mut Vec<u8>, raw: &str) {
    let (sign, magnitude) = raw.strip_prefix('-').map_or(("", raw), |rest| ("-", rest));
    let (digits, power) = magnitude.split_once(['e', 'E']).unwrap_or((magnitude, "0"));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let (whole, fraction, moved) = match (whole, fraction) {
        (whole, "") => {
            let significant = whole.trim_end_matches('0');
            (significant, "", whole.len() - significant.len())
        }
        ("0", fraction) => ("", fraction.trim_start_matches('0'), fraction.len()),
        _ => (whole, fraction, fraction.len()),
    };
    if whole.is_empty() && fraction.is_empty() {
        out.push(b'0');
        return;
    }
    let moved = i64::try_from(moved).ok();
    let shift = if fraction.is_empty() {
        moved
    } else {
        moved.map(i64::wrapping_neg)
    };
    let power = power.parse::<i64>().ok().zip(shift);
    let Some(power) = power.and_then(|(power, shift)| power.checked_add(shift)) else {
        out.extend_from_slice(raw.as_bytes());
        return;
    };
    for piece in [sign, whole, fraction] {
        out.extend_from_slice(piece.as_bytes());
    }
    if power != 0 {
        out.extend_from_slice(format!("e{power}").as_bytes());
    }
}

/// The objects of a text, in the order in which they begin, and their members, sorted.
#[derive(Default)]
struct Index<'a> {
    objects: Vec<Object>,
    members: Vec<Member<'a>>,
}

#[derive(Clone, Copy, Default)]
struct Object {
    /// Its members are those from here ...
    first: usize,
    /// ... to before here.
    last: usize,
    /// The offset behind it.
    end: usize,
    /// The object that begins next behind it.
    next: usize,
}

struct Member<'a> {
    /// The key in its one spelling, without quotes.
    key: Cow<'a, str>,
    /// The offset of the value.
    at: usize,
    /// The object that begins next, in the value or behind it.
    next: usize,
}

/// An object of which not all members have been found yet.
struct Open {
    object: usize,
    /// Where its members begin among those of all open objects.
    first: usize,
}

impl<'a> Index<'a> {
    fn of(text: &'a str) -> Result<Self, JsonError> {
        let mut reader = Reader::over(text);
        let mut index = Self::default();
        // Arrays have nothing that must be remembered.
        let mut open: Vec<Option<Open>> = Vec::new();
        let mut waiting: Vec<Member<'a>> = Vec::new();
        loop {
            match reader.peek()? {
                Kind::Object => {
                    reader.begin_object()?;
                    open.push(Some(Open {
                        object: index.objects.len(),
                        first: waiting.len(),
                    }));
                    index.objects.push(Object::default());
                }
                Kind::Array => {
                    reader.begin_array()?;
                    open.push(None);
                }
                _ => reader.skip()?,
            }
            // On to the next value, or out of what has none.
            loop {
                match open.last() {
                    None => return reader.end().map(|()| index),
                    Some(None) if reader.element()? => break,
                    Some(None) => {}
                    Some(Some(object)) => match reader.key()? {
                        Some(key) => {
                            waiting.push(Member {
                                key: spelled(key.raw()),
                                at: reader.at(),
                                next: index.objects.len(),
                            });
                            break;
                        }
                        None => index.close(object, &mut waiting, reader.at()),
                    },
                }
                open.pop();
            }
        }
    }

    fn close(&mut self, open: &Open, waiting: &mut Vec<Member<'a>>, end: usize) {
        let first = self.members.len();
        self.members.extend(waiting.drain(open.first..));
        if let Some(members) = self.members.get_mut(first..) {
            members.sort_by(|one, other| one.key.cmp(&other.key));
        }
        let next = self.objects.len();
        if let Some(object) = self.objects.get_mut(open.object) {
            *object = Object {
                first,
                last: self.members.len(),
                end,
                next,
            };
        }
    }
}

fn spelled(raw: &str) -> Cow<'_, str> {
    if memchr(b'\\', raw.as_bytes()).is_none() {
        return Cow::Borrowed(raw);
    }
    let mut key = Vec::with_capacity(raw.len());
    characters(&mut key, raw);
    // What is made of a text by whole characters is a text.
    String::from_utf8(key).map_or(Cow::Borrowed(raw), Cow::Owned)
}

struct Writer<'a> {
    text: &'a str,
    index: &'a Index<'a>,
}

impl Writer<'_> {
    /// Writes the value that comes next. `next` is the object that begins next. The depth is bounded by the reader's.
    fn value(
        &self,
        out: &mut Vec<u8>,
        reader: &mut Reader<'_>,
        next: &mut usize,
        left_out: &[&str],
    ) -> Result<(), JsonError> {
        match reader.peek()? {
            Kind::Object => {
                let object = self.index.objects.get(*next).copied().unwrap_or_default();
                self.members(out, object, left_out)?;
                *next = object.next;
                reader.resume(object.end);
            }
            Kind::Array => {
                reader.begin_array()?;
                out.push(b'[');
                let mut comma = false;
                while reader.element()? {
                    if std::mem::replace(&mut comma, true) {
                        out.push(b',');
                    }
                    self.value(out, reader, next, &[])?;
                }
                out.push(b']');
            }
            Kind::String => string(out, reader.string()?.raw()),
            Kind::Number => number(out, reader.raw()?),
            Kind::Bool | Kind::Null => out.extend_from_slice(reader.raw()?.as_bytes()),
        }
        Ok(())
    }

    fn members(&self, out: &mut Vec<u8>, object: Object, left_out: &[&str]) -> Result<(), JsonError> {
        out.push(b'{');
        let members = self.index.members.get(object.first..object.last).unwrap_or_default();
        let mut comma = false;
        for member in members.iter().filter(|member| !left_out.contains(&&*member.key)) {
            if std::mem::replace(&mut comma, true) {
                out.push(b',');
            }
            out.push(b'"');
            out.extend_from_slice(member.key.as_bytes());
            out.extend_from_slice(b"\":");
            let mut reader = Reader::over(self.text);
            reader.resume(member.at);
            self.value(out, &mut reader, &mut member.next.clone(), &[])?;
        }
        out.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests;
