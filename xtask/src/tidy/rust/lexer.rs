//! Tells code, comments, strings and characters apart.

use super::{Line, is_word};

/// Splits `text` into lines.
pub(crate) fn lines(text: &str) -> Vec<Line> {
    let mut lexer = Lexer {
        rest: text,
        lines: Vec::new(),
        line: Line::default(),
    };
    while !lexer.rest.is_empty() {
        lexer.piece();
    }
    if !lexer.line.code.is_empty() || !lexer.line.comment.is_empty() {
        lexer.end_line();
    }
    lexer.lines
}

struct Lexer<'a> {
    rest: &'a str,
    lines: Vec<Line>,
    line: Line,
}

impl Lexer<'_> {
    /// Takes one comment, string, character or other piece of code.
    fn piece(&mut self) {
        if self.rest.starts_with("//") {
            let length = self.rest.find('\n').unwrap_or(self.rest.len());
            self.comment(length);
        } else if self.rest.starts_with("/*") {
            self.comment(length_of_block_comment(self.rest));
        } else if let Some(length) = self.length_of_raw_string() {
            self.string(length);
        } else if self.rest.starts_with('"') {
            self.string(length_of_string(self.rest));
        } else if let Some(length) = length_of_character(self.rest) {
            self.line.code.push_str("' '");
            self.skip(length);
        } else if let Some(c) = self.rest.chars().next() {
            if c == '\n' {
                self.end_line();
            } else {
                self.line.code.push(c);
            }
            self.skip(c.len_utf8());
        }
    }

    fn comment(&mut self, length: usize) {
        let text = self.rest.get(..length).unwrap_or(self.rest);
        for c in text.chars() {
            if c == '\n' {
                self.end_line();
            } else {
                self.line.comment.push(c);
            }
        }
        self.line.code.push(' ');
        self.skip(length);
    }

    /// Leaves the quotes, and the lines that the string spans.
    fn string(&mut self, length: usize) {
        self.line.code.push('"');
        let lines = self.rest.get(..length).unwrap_or(self.rest).matches('\n').count();
        for _ in 0..lines {
            self.end_line();
        }
        self.line.code.push('"');
        self.skip(length);
    }

    /// The length of `r"…"`, `br#"…"#` and the like, when one starts here.
    fn length_of_raw_string(&self) -> Option<usize> {
        if self.line.code.chars().next_back().is_some_and(is_word) {
            return None;
        }
        let prefix = ["r", "br", "cr"].into_iter().find(|prefix| {
            self.rest
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.trim_start_matches('#').starts_with('"'))
        })?;
        let after = self.rest.strip_prefix(prefix)?;
        let hashes = after.len() - after.trim_start_matches('#').len();
        let close = format!("\"{}", "#".repeat(hashes));
        let body = after.get(hashes + 1..)?;
        let length = body.find(&close).map_or(body.len(), |end| end + close.len());
        Some(prefix.len() + hashes + 1 + length)
    }

    fn end_line(&mut self) {
        self.lines.push(std::mem::take(&mut self.line));
    }

    fn skip(&mut self, length: usize) {
        self.rest = self.rest.get(length..).unwrap_or_default();
    }
}

/// Rust's block comments nest.
fn length_of_block_comment(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with("/*") {
            depth += 1;
            at += 2;
        } else if rest.starts_with("*/") {
            depth = depth.saturating_sub(1);
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += rest.chars().next().map_or(1, char::len_utf8);
        }
    }
    text.len()
}

fn length_of_string(text: &str) -> usize {
    let mut escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of a character literal, or nothing for a lifetime or anything else.
fn length_of_character(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('\'')?;
    let first = inside.chars().next()?;
    if first == '\\' {
        let escaped = inside.char_indices().nth(2)?.0;
        let end = inside.get(escaped..)?.find('\'')?;
        return Some(1 + escaped + end + 1);
    }
    inside
        .get(first.len_utf8()..)?
        .starts_with('\'')
        .then_some(first.len_utf8() + 2)
}
