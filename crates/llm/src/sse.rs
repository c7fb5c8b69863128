//! Event streams, split as they arrive.
//!
//! Follows "Interpreting an event stream" of the WHATWG HTML standard (section 9.2.6): lines end with LF, CR or CRLF, a
//! byte order mark at the start is passed over, a blank line ends an event, `data` lines are joined with LF, comments
//! and unknown fields mean nothing. However the bytes are cut into chunks, the events are the same.

use memchr::memchr2;

mod shorten;

use shorten::Shortener;

/// The largest event that is read, in bytes from the end of the one before, a line's end counted as one. A larger one
/// is told of, not kept: memory for one stream stays bounded.
pub const MAX_EVENT: usize = 1 << 20;

/// The longest JSON string that is kept where long ones are shortened, in bytes of its text (a few more may stay, so
/// that no character or escape is cut in two).
pub const MAX_STRING: usize = 4096;

/// An event as a browser would dispatch it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// The last `event` field, empty if there is none.
    pub name: &'a [u8],
    /// The `data` fields, joined with LF.
    pub data: &'a [u8],
}

/// What a blank line ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Block<'a> {
    /// An event.
    Event(Event<'a>),
    /// Nothing that is dispatched: comments, fields without `data`, or no line at all.
    Nothing,
    /// An event larger than [`MAX_EVENT`], of which nothing was kept.
    TooLarge,
}

/// Splits one stream.
#[derive(Debug, Default)]
pub struct Splitter {
    /// How much of a byte order mark has been passed over.
    mark: Mark,
    /// The last byte was a CR: an LF that comes next belongs to it.
    after_cr: bool,
    /// The beginning of the current line, from earlier chunks.
    line: Vec<u8>,
    /// Whether the current line has begun, in an earlier chunk.
    in_line: bool,
    name: Vec<u8>,
    /// The `data` of the current block. A single line of it is copied here only if its event ends in a later chunk.
    data: Vec<u8>,
    has_data: bool,
    /// Bytes of the current block so far.
    size: usize,
    /// The block has passed [`MAX_EVENT`]; `line` and `data` are empty until it ends.
    too_large: bool,
    /// Present if long JSON strings are shortened before they are kept.
    shortener: Option<Shortener>,
    /// A larger bound than [`MAX_EVENT`], if one was set.
    most: Option<usize>,
}

#[derive(Debug, Default)]
enum Mark {
    #[default]
    AtStart,
    First,
    Second,
    Done,
}

impl Splitter {
    /// At the start of a stream.
    pub fn new() -> Self {
        Self::default()
    }

    /// At the start of a stream whose events carry long JSON strings (pictures, sound) that nobody reads: of each string no
    /// more than [`MAX_STRING`] bytes are kept and counted, so that the figures beside it are read whatever its length.
    pub fn shortening() -> Self {
        Self {
            shortener: Some(Shortener::default()),
            ..Self::default()
        }
    }

    /// At the start of a stream whose events are kept up to `most` bytes in place of [`MAX_EVENT`], because the reader of
    /// one keeps all of them anyway.
    pub fn keeping(most: usize) -> Self {
        Self {
            most: Some(most),
            ..Self::default()
        }
    }

    /// Takes in the next bytes. `sink` is called for each blank line in them, with what it ended and the offset in
    /// `chunk` of the first byte behind it.
    pub fn push(&mut self, chunk: &[u8], mut sink: impl FnMut(Block<'_>, usize)) {
        let mut at = self.leading_line_feed(chunk);
        self.after_cr &= chunk.is_empty();
        at += self.pass_mark(chunk.get(at..).unwrap_or_default());
        // The block's only data line so far, while it is in this chunk.
        let mut borrowed = None;
        loop {
            let rest = chunk.get(at..).unwrap_or_default();
            let Some((content, end)) = memchr2(b'\n', b'\r', rest).and_then(|end| rest.split_at_checked(end)) else {
                self.keep_for_later(borrowed, rest);
                return;
            };
            at += content.len() + 1;
            match end {
                [b'\r', b'\n', ..] => at += 1,
                [b'\r'] => self.after_cr = true,
                _ => {}
            }
            if content.is_empty() && !self.in_line {
                self.end_block(borrowed.take(), at, &mut sink);
                continue;
            }
            if self.shortener.is_some() {
                self.keep_for_later(None, content);
                self.grow(1);
                self.end_buffered_line(&[]);
                continue;
            }
            self.grow(content.len() + 1);
            if self.in_line {
                self.end_buffered_line(content);
            } else {
                self.take_line(content, &mut borrowed);
            }
        }
    }

    /// Takes in that the stream has ended. The standard drops an event that no blank line ended; it is passed on here,
    /// with offset 0, because a provider's last words count even if it forgets the blank line.
    pub fn finish(&mut self, mut sink: impl FnMut(Block<'_>, usize)) {
        if self.in_line {
            self.end_buffered_line(&[]);
        }
        if self.has_data || self.too_large {
            self.end_block(None, 0, &mut sink);
        }
    }

    /// Whether the bytes so far end inside of a block, or of what may be its first line and not a byte order mark.
    pub fn in_block(&self) -> bool {
        self.size > 0 || matches!(self.mark, Mark::First | Mark::Second)
    }

    /// Whether the current block has passed [`MAX_EVENT`].
    pub fn is_too_large(&self) -> bool {
        self.too_large
    }

    /// How many bytes at the start of `chunk`, which comes next, belong to the line end before it: 1 or 0.
    pub fn leading_line_feed(&self, chunk: &[u8]) -> usize {
        usize::from(self.after_cr && chunk.first() == Some(&b'\n'))
    }

    /// Passes over a byte order mark at the start of the stream. Returns how many bytes of `chunk` were part of it, or
    /// of what looked like it and is now the beginning of a line.
    fn pass_mark(&mut self, chunk: &[u8]) -> usize {
        let mut passed = 0;
        for byte in chunk {
            let held: &[u8] = match (&self.mark, byte) {
                (Mark::Done, _) => break,
                (Mark::AtStart, 0xef) => {
                    self.mark = Mark::First;
                    passed += 1;
                    continue;
                }
                (Mark::First, 0xbb) => {
                    self.mark = Mark::Second;
                    passed += 1;
                    continue;
                }
                (Mark::Second, 0xbf) => {
                    self.mark = Mark::Done;
                    return passed + 1;
                }
                (Mark::AtStart, _) => b"",
                (Mark::First, _) => b"\xef",
                (Mark::Second, _) => b"\xef\xbb",
            };
            self.mark = Mark::Done;
            if !held.is_empty() {
                self.keep_for_later(None, held);
            }
        }
        passed
    }

    /// The chunk ends here, with `rest` as the beginning of a line.
    fn keep_for_later(&mut self, borrowed: Option<&[u8]>, rest: &[u8]) {
        self.in_line |= !rest.is_empty();
        if let Some(shortener) = &mut self.shortener {
            let before = self.line.len();
            shortener.shorten(rest, &mut self.line);
            self.grow(self.line.len() - before);
            return;
        }
        self.grow(rest.len());
        if !self.too_large {
            self.data.extend_from_slice(borrowed.unwrap_or_default());
            self.line.extend_from_slice(rest);
        }
    }

    fn end_buffered_line(&mut self, content: &[u8]) {
        self.in_line = false;
        self.shortener = self.shortener.as_ref().map(|_| Shortener::default());
        let mut line = std::mem::take(&mut self.line);
        line.extend_from_slice(content);
        let mut value = None;
        self.take_line(&line, &mut value);
        self.data.extend_from_slice(value.unwrap_or_default());
        line.clear();
        self.line = line;
    }

    fn take_line<'c>(&mut self, line: &'c [u8], borrowed: &mut Option<&'c [u8]>) {
        if self.too_large {
            return;
        }
        match field(line) {
            Field::Data(value) if self.has_data => {
                self.data.extend_from_slice(borrowed.take().unwrap_or_default());
                self.data.push(b'\n');
                self.data.extend_from_slice(value);
            }
            Field::Data(value) => {
                self.has_data = true;
                *borrowed = Some(value);
            }
            Field::Event(value) => {
                self.name.clear();
                self.name.extend_from_slice(value);
            }
            Field::Other => {}
        }
    }

    fn end_block(&mut self, borrowed: Option<&[u8]>, end: usize, sink: &mut impl FnMut(Block<'_>, usize)) {
        let block = if self.too_large {
            Block::TooLarge
        } else if self.has_data {
            Block::Event(Event {
                name: &self.name,
                data: borrowed.unwrap_or(&self.data),
            })
        } else {
            Block::Nothing
        };
        sink(block, end);
        self.name.clear();
        self.data.clear();
        self.has_data = false;
        self.size = 0;
        self.too_large = false;
    }

    fn grow(&mut self, bytes: usize) {
        self.size = self.size.saturating_add(bytes);
        if self.size > self.most.unwrap_or(MAX_EVENT) {
            self.too_large = true;
            self.line = Vec::new();
            self.data = Vec::new();
        }
    }
}

enum Field<'a> {
    Data(&'a [u8]),
    Event(&'a [u8]),
    Other,
}

fn field(line: &[u8]) -> Field<'_> {
    let (name, value) = match memchr::memchr(b':', line).and_then(|colon| line.split_at_checked(colon)) {
        Some((name, value)) => (name, value.get(1..).unwrap_or_default()),
        None => (line, &[][..]),
    };
    let value = value.strip_prefix(b" ").unwrap_or(value);
    match name {
        b"data" => Field::Data(value),
        b"event" => Field::Event(value),
        _ => Field::Other,
    }
}

#[cfg(test)]
mod tests;
