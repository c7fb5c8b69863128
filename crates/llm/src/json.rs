//! A reader of JSON text (RFC 8259) that hands out values in the order of the text.
//!
//! Why not `serde_json`: the codecs need the byte position of a value (to splice around it), one bound on nesting that
//! holds for skipped values too, errors that never quote the body (it is somebody's prompt), and, for provider replies,
//! leniency field by field, so that a `content` of the wrong type does not lose the usage beside it. The tests hold the
//! reader against `serde_json`: both accept and decode the same texts.
//!
//! It copies nothing, allocates only to decode an escaped string, and does not recurse.

mod text;

pub(crate) use text::{Text, hex4};

/// How deep arrays and objects may nest, in levels; the same as `serde_json`'s limit.
pub const MAX_DEPTH: u32 = 128;

/// Why bytes are not acceptable JSON. Positions are byte offsets; the text itself is never quoted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JsonError {
    /// Not UTF-8.
    #[error("not valid UTF-8 at byte {at}")]
    Encoding {
        /// Where the first wrong byte is.
        at: usize,
    },
    /// Not JSON.
    #[error("not valid JSON: expected {expected} at byte {at}")]
    Syntax {
        /// Where the text goes wrong.
        at: usize,
        /// What should stand there.
        expected: &'static str,
    },
    /// More than [`MAX_DEPTH`] levels of arrays and objects.
    #[error("nested deeper than {MAX_DEPTH} levels at byte {at}")]
    TooDeep {
        /// Where the level that is too many begins.
        at: usize,
    },
}

/// What kind of value comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Null,
    Bool,
    Number,
    String,
    Array,
    Object,
}

/// Used like a cursor: `peek`, then the method for that kind. After `begin_object`, each `key` that is not `None` must
/// be followed by reading one value; after `begin_array`, so must each `element` that is true.
#[derive(Clone, Debug)]
pub(crate) struct Reader<'a> {
    text: &'a str,
    at: usize,
    depth: u32,
    /// One bit a level, the innermost lowest: set for an object, clear for an array.
    objects: u128,
    /// The innermost container has just been opened: no comma is due.
    fresh: bool,
}

impl<'a> Reader<'a> {
    /// A reader at the start of `bytes`.
    pub(crate) fn new(bytes: &'a [u8]) -> Result<Self, JsonError> {
        let text = std::str::from_utf8(bytes).map_err(|error| JsonError::Encoding {
            at: error.valid_up_to(),
        })?;
        Ok(Self::over(text))
    }

    /// A reader at the start of `text`.
    pub(crate) fn over(text: &'a str) -> Self {
        Self {
            text,
            at: 0,
            depth: 0,
            objects: 0,
            fresh: false,
        }
    }

    /// Goes on at offset `at`: where a value begins or ends that another pass over the same text has found, in the same
    /// container.
    pub(crate) fn resume(&mut self, at: usize) {
        self.at = at;
    }

    /// The byte offset of what is read next.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The text from offset `start`, see [`Reader::at`], to what is read next.
    pub(crate) fn text_since(&self, start: usize) -> &'a str {
        self.text.get(start..self.at).unwrap_or_default()
    }

    /// The kind of the next value.
    pub(crate) fn peek(&mut self) -> Result<Kind, JsonError> {
        Ok(match self.next_byte() {
            Some(b'"') => Kind::String,
            Some(b'{') => Kind::Object,
            Some(b'[') => Kind::Array,
            Some(b'-' | b'0'..=b'9') => Kind::Number,
            Some(b't' | b'f') => Kind::Bool,
            Some(b'n') => Kind::Null,
            _ => return Err(self.expected("a value")),
        })
    }

    /// Goes into the object that comes next.
    pub(crate) fn begin_object(&mut self) -> Result<(), JsonError> {
        self.begin(b'{', "an object", 1)
    }

    /// Goes into the array that comes next.
    pub(crate) fn begin_array(&mut self) -> Result<(), JsonError> {
        self.begin(b'[', "an array", 0)
    }

    /// The next key of the object gone into, or `None` at its end, which is then left.
    pub(crate) fn key(&mut self) -> Result<Option<Text<'a>>, JsonError> {
        let first = std::mem::take(&mut self.fresh);
        match self.next_byte() {
            Some(b'}') => {
                self.close();
                return Ok(None);
            }
            Some(b',') if !first => self.at += 1,
            _ if first => {}
            _ => return Err(self.expected("\",\" or \"}\"")),
        }
        if self.next_byte() != Some(b'"') {
            return Err(self.expected("a key"));
        }
        let key = self.string()?;
        if self.next_byte() != Some(b':') {
            return Err(self.expected("\":\""));
        }
        self.at += 1;
        Ok(Some(key))
    }

    /// Whether the array gone into has another value; if not, it is left.
    pub(crate) fn element(&mut self) -> Result<bool, JsonError> {
        let first = std::mem::take(&mut self.fresh);
        match self.next_byte() {
            Some(b']') => {
                self.close();
                return Ok(false);
            }
            Some(b',') if !first => self.at += 1,
            _ if first => {}
            _ => return Err(self.expected("\",\" or \"]\"")),
        }
        Ok(true)
    }

    /// The string that comes next.
    pub(crate) fn string(&mut self) -> Result<Text<'a>, JsonError> {
        if self.next_byte() != Some(b'"') {
            return Err(self.expected("a string"));
        }
        self.at += 1;
        let start = self.at;
        let mut escaped = false;
        loop {
            self.at += plain_run(self.rest());
            match self.rest() {
                [b'"', ..] => break,
                [b'\\', b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 2,
                [b'\\', b'u', digits @ ..] if hex4(digits).is_some() => self.at += 6,
                [b'\\', ..] => return Err(self.expected("an escape sequence")),
                [] => return Err(self.expected("the end of the string")),
                _ => return Err(self.expected("no control character")),
            }
            escaped = true;
        }
        let text = Text {
            raw: self.text.get(start..self.at).unwrap_or_default(),
            escaped,
        };
        self.at += 1;
        Ok(text)
    }

    /// Passes over the value that comes next, whatever it is, and returns its text.
    pub(crate) fn raw(&mut self) -> Result<&'a str, JsonError> {
        self.next_byte();
        let start = self.at;
        self.skip()?;
        Ok(self.text.get(start..self.at).unwrap_or_default())
    }

    /// Passes over the value that comes next, whatever it is.
    pub(crate) fn skip(&mut self) -> Result<(), JsonError> {
        let floor = self.depth;
        loop {
            match self.peek()? {
                Kind::Object => self.begin_object()?,
                Kind::Array => self.begin_array()?,
                Kind::String => drop(self.string()?),
                Kind::Number => self.number()?,
                Kind::Bool if self.next_byte() == Some(b't') => self.literal("true")?,
                Kind::Bool => self.literal("false")?,
                Kind::Null => self.literal("null")?,
            }
            // On to the next value inside of the one to pass over, or out of it.
            loop {
                if self.depth == floor {
                    return Ok(());
                }
                let more = if self.objects & 1 == 1 {
                    self.key()?.is_some()
                } else {
                    self.element()?
                };
                if more {
                    break;
                }
            }
        }
    }

    /// That nothing but white space is left.
    pub(crate) fn end(&mut self) -> Result<(), JsonError> {
        match self.next_byte() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end")),
        }
    }

    /// The next value if it is a string; anything else is passed over.
    pub(crate) fn string_or_skip(&mut self) -> Result<Option<Text<'a>>, JsonError> {
        if self.peek()? == Kind::String {
            return self.string().map(Some);
        }
        self.skip().map(|()| None)
    }

    /// Goes into the next value if it is an object; anything else is passed over.
    pub(crate) fn object_or_skip(&mut self) -> Result<bool, JsonError> {
        if self.peek()? == Kind::Object {
            return self.begin_object().map(|()| true);
        }
        self.skip().map(|()| false)
    }

    /// Goes into the next value if it is an array; anything else is passed over.
    pub(crate) fn array_or_skip(&mut self) -> Result<bool, JsonError> {
        if self.peek()? == Kind::Array {
            return self.begin_array().map(|()| true);
        }
        self.skip().map(|()| false)
    }

    fn begin(&mut self, opener: u8, expected: &'static str, bit: u128) -> Result<(), JsonError> {
        if self.next_byte() != Some(opener) {
            return Err(self.expected(expected));
        }
        if self.depth == MAX_DEPTH {
            return Err(JsonError::TooDeep { at: self.at });
        }
        self.at += 1;
        self.depth += 1;
        self.objects = self.objects << 1 | bit;
        self.fresh = true;
        Ok(())
    }

    fn close(&mut self) {
        self.at += 1;
        self.depth = self.depth.saturating_sub(1);
        self.objects >>= 1;
    }

    fn literal(&mut self, word: &'static str) -> Result<(), JsonError> {
        if !self.rest().starts_with(word.as_bytes()) {
            return Err(self.expected(word));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), JsonError> {
        if self.rest().first() == Some(&b'-') {
            self.at += 1;
        }
        if self.rest().first() == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.rest().first() == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let [b'e' | b'E', rest @ ..] = self.rest() {
            self.at += if matches!(rest.first(), Some(b'+' | b'-')) {
                2
            } else {
                1
            };
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), JsonError> {
        let count = self.rest().iter().take_while(|byte| byte.is_ascii_digit()).count();
        if count == 0 {
            return Err(self.expected("a digit"));
        }
        self.at += count;
        Ok(())
    }

    /// The next byte that is not white space, which is passed over.
    fn next_byte(&mut self) -> Option<u8> {
        loop {
            match self.rest().first() {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                other => return other.copied(),
            }
        }
    }

    fn rest(&self) -> &'a [u8] {
        self.text.as_bytes().get(self.at..).unwrap_or_default()
    }

    fn expected(&self, expected: &'static str) -> JsonError {
        JsonError::Syntax { at: self.at, expected }
    }
}

/// How many bytes come before the first that ends a plain run of a string: a quote, a backslash, a control character.
/// Eight at a time; see "Determine if a word has a byte less than n" in Anderson's Bit Twiddling Hacks.
fn plain_run(rest: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const TOPS: u64 = ONES << 7;
    let zero_bytes = |word: u64| word.wrapping_sub(ONES) & !word;
    let mut passed = 0;
    while let Some(eight) = rest.get(passed..).and_then(<[u8]>::first_chunk::<8>) {
        let word = u64::from_le_bytes(*eight);
        let quotes = zero_bytes(word ^ (ONES * 0x22));
        let slashes = zero_bytes(word ^ (ONES * 0x5c));
        let controls = word.wrapping_sub(ONES * 0x20) & !word;
        // A borrow can mark bytes behind the first that is meant, never one before it.
        let ends = (quotes | slashes | controls) & TOPS;
        if ends != 0 {
            return passed + usize::try_from(ends.trailing_zeros() / 8).unwrap_or(0);
        }
        passed += 8;
    }
    let tail = rest.get(passed..).unwrap_or_default();
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | ..0x20);
    passed + tail.iter().position(ends).unwrap_or(tail.len())
}

#[cfg(test)]
mod tests;
