//! Takes Rust source apart without compiling it: code, comments and tests, line by line.
//!
//! Checks look for words. A word in a string is data and a word in a comment is prose, so each is kept apart here: what
//! remains of a string in `code` is its quotes.

mod lexer;
mod uses;

/// A Rust file.
pub(crate) struct Source {
    pub lines: Vec<Line>,
    /// Modules declared as `#[cfg(test)] mod name;`.
    pub test_modules: Vec<String>,
}

/// One line of it.
#[derive(Clone, Debug, Default)]
pub(crate) struct Line {
    /// What the compiler sees, strings emptied.
    pub code: String,
    /// What people read: the text of the comments on this line.
    pub comment: String,
    /// Whether it is compiled for tests only.
    pub test: bool,
}

impl Source {
    /// `test` says that the whole file is test code.
    pub(crate) fn parse(text: &str, test: bool) -> Self {
        let mut source = Self {
            lines: lexer::lines(text),
            test_modules: Vec::new(),
        };
        let code = source.code();
        for (at, attribute) in find_attributes(&code, "cfg(") {
            if !is_test_cfg(attribute) {
                continue;
            }
            if attribute.starts_with("#!") {
                source.mark_all_as_test();
                continue;
            }
            let item = code.get(at + attribute.len()..).map_or("", item_of);
            if let Some(name) = declared_module(item) {
                source.test_modules.push(name.to_owned());
            }
            source.mark_as_test(line_of(&code, at), line_of(&code, at + attribute.len() + item.len()));
        }
        if test {
            source.mark_all_as_test();
        }
        source
    }

    /// Marks every line as test code.
    pub(crate) fn mark_all_as_test(&mut self) {
        self.mark_as_test(1, usize::MAX);
    }

    fn mark_as_test(&mut self, first: usize, last: usize) {
        for (number, line) in (1..).zip(&mut self.lines) {
            line.test |= (first..=last).contains(&number);
        }
    }

    /// The lines that are not test code, blank lines and comments included.
    pub(crate) fn code_lines(&self) -> usize {
        self.lines.iter().filter(|line| !line.test).count()
    }

    /// The full paths that `use` declarations outside tests bring in, with the line where each declaration starts.
    pub(crate) fn imports(&self) -> Vec<(usize, String)> {
        uses::imports(&self.code())
            .into_iter()
            .filter(|(number, _)| {
                !number
                    .checked_sub(1)
                    .and_then(|at| self.lines.get(at))
                    .is_some_and(|line| line.test)
            })
            .collect()
    }

    /// The code of all lines.
    fn code(&self) -> String {
        let mut code = String::new();
        for line in &self.lines {
            code.push_str(&line.code);
            code.push('\n');
        }
        code
    }
}

/// The number of the line that the byte at `at` is on, counted from 1.
fn line_of(code: &str, at: usize) -> usize {
    code.get(..at).map_or(1, |before| before.matches('\n').count() + 1)
}

/// Attributes, inner and outer, that begin with `start`: where each is and its text up to the closing bracket.
fn find_attributes<'a>(code: &'a str, start: &str) -> Vec<(usize, &'a str)> {
    let outer = format!("#[{start}");
    let inner = format!("#![{start}");
    let found = code.match_indices(&outer).chain(code.match_indices(&inner));
    found
        .filter_map(|(at, _)| {
            let rest = code.get(at..)?;
            Some((at, rest.get(..end_of_brackets(rest, '[', ']')?)?))
        })
        .collect()
}

/// Whether a `cfg` attribute asks for `test`, and not for its absence.
fn is_test_cfg(attribute: &str) -> bool {
    let compact: String = attribute.chars().filter(|c| !c.is_whitespace()).collect();
    !compact.contains("not(test") && find_word(&compact, "test")
}

/// The item at the start of `code`: up to its closing brace, or to the semicolon if that comes first.
fn item_of(code: &str) -> &str {
    let mut open = 0_usize;
    for (at, c) in code.char_indices() {
        match c {
            '(' | '[' => open += 1,
            ')' | ']' => open = open.saturating_sub(1),
            ';' if open == 0 => return code.get(..=at).unwrap_or(code),
            '{' if open == 0 => {
                let body = code.get(at..).unwrap_or_default();
                let end = end_of_brackets(body, '{', '}').map_or(code.len(), |length| at + length);
                return code.get(..end).unwrap_or(code);
            }
            _ => {}
        }
    }
    code
}

/// The name in `mod name;`.
fn declared_module(item: &str) -> Option<&str> {
    let mut words = item.strip_suffix(';')?.split_whitespace().rev();
    let name = words.next()?;
    (words.next()? == "mod").then_some(name)
}

/// The length up to and with the bracket that closes the first one.
fn end_of_brackets(code: &str, open: char, close: char) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, c) in code.char_indices() {
        if c == open {
            depth += 1;
        } else if c == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at + c.len_utf8());
            }
        }
    }
    None
}

/// Whether `word` is in `text` and is not part of a longer word on a side where it begins or ends with a letter itself.
pub(crate) fn find_word(text: &str, word: &str) -> bool {
    let begins = word.chars().next().is_some_and(is_word);
    let ends = word.chars().next_back().is_some_and(is_word);
    text.match_indices(word).any(|(at, _)| {
        let before = text.get(..at).and_then(|before| before.chars().next_back());
        let after = text.get(at + word.len()..).and_then(|after| after.chars().next());
        !(begins && before.is_some_and(is_word) || ends && after.is_some_and(is_word))
    })
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests;
