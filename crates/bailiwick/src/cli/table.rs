//! Aligned tables, and text that cannot play tricks on a terminal.

use std::{borrow::Cow, io};

use super::output::{HEADING, Output};

/// How a column is aligned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Align {
    /// Words.
    Left,
    /// Whole numbers.
    Right,
    /// Decimal numbers: their points stand below each other.
    Point,
}

/// Rows under a heading.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
}

impl Table {
    /// A table with these columns.
    pub(crate) fn new(columns: impl IntoIterator<Item = (&'static str, Align)>) -> Self {
        Self {
            columns: columns.into_iter().collect(),
            rows: Vec::new(),
        }
    }

    /// Adds a row: one text for each column.
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        let cells = cells.into_iter().map(|cell| clean(&cell).into_owned());
        self.rows.push(cells.collect());
    }

    /// The lines, the heading first, without trailing spaces.
    pub(crate) fn lines(&self) -> Vec<String> {
        let decimals = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| fraction(cell)).max().unwrap_or(0)
        };
        let decimals: Vec<usize> = (0..self.columns.len()).map(decimals).collect();
        let pointed = |row: &Vec<String>| -> Vec<String> {
            let cells = row.iter().zip(&decimals).zip(&self.columns);
            let cells = cells.map(|((cell, decimals), (_, align))| match align {
                Align::Point => format!("{cell}{}", " ".repeat(decimals.saturating_sub(fraction(cell)))),
                Align::Left | Align::Right => cell.clone(),
            });
            cells.collect()
        };
        let rows: Vec<Vec<String>> = self.rows.iter().map(pointed).collect();
        let mut widths: Vec<usize> = self.columns.iter().map(|(heading, _)| heading.len()).collect();
        for row in &rows {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let headings = self.columns.iter().map(|(heading, _)| (*heading).to_owned()).collect();
        let line = |cells: &Vec<String>| {
            let cells = cells.iter().zip(&widths).zip(&self.columns);
            let cells = cells.map(|((cell, &width), (_, align))| match align {
                Align::Left => format!("{cell:<width$}"),
                Align::Right | Align::Point => format!("{cell:>width$}"),
            });
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        std::iter::once(&headings).chain(&rows).map(line).collect()
    }

    /// Prints the table.
    pub(crate) fn print(&self, out: &mut Output) -> io::Result<()> {
        for (nth, line) in self.lines().into_iter().enumerate() {
            match nth {
                0 => out.line(format_args!("{HEADING}{line}{HEADING:#}"))?,
                _ => out.line(line)?,
            }
        }
        Ok(())
    }
}

/// How much of a decimal number comes after its whole part, the point included.
fn fraction(number: &str) -> usize {
    number.find('.').map_or(0, |point| number.len() - point)
}

/// An amount of money with two decimals at least, as people write it: `5.00` for `5`. None is lost.
pub(crate) fn money(decimal: &str) -> String {
    match decimal.split_once('.') {
        None => format!("{decimal}.00"),
        Some((whole, fraction)) => format!("{whole}.{fraction:0<2}"),
    }
}

/// Text of others with what could move the cursor, change colours or hide what follows written out.
pub(crate) fn clean(text: &str) -> Cow<'_, str> {
    clean_but(text, |_| false)
}

/// The same, but lines stay lines.
pub(crate) fn clean_lines(text: &str) -> Cow<'_, str> {
    clean_but(text, |c| c == '\n')
}

fn clean_but(text: &str, allowed: impl Fn(char) -> bool) -> Cow<'_, str> {
    let tricky = |c: char| (c.is_control() || is_directional(c)) && !allowed(c);
    if !text.contains(tricky) {
        return Cow::Borrowed(text);
    }
    let escaped = text.chars().map(|c| match tricky(c) {
        true => c.escape_default().to_string(),
        false => c.to_string(),
    });
    Cow::Owned(escaped.collect())
}

/// Marks that change the order in which the text around them is shown (Unicode, UAX #9).
fn is_directional(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// `2026-11-22 20:30:00` of what RFC 3339 writes as `2026-11-22T20:30:00.123456Z`: for tables, in UTC.
pub(crate) fn short_time(rfc3339: &str) -> String {
    let seconds: String = rfc3339.chars().take(19).collect();
    seconds.replacen('T', " ", 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let mut table = Table::new([("NAME", Align::Left), ("USD", Align::Right), ("NOTE", Align::Left)]);
        table.row(["a".to_owned(), "0.5".to_owned(), String::new()]);
        table.row(["größer".to_owned(), "12".to_owned(), "two words".to_owned()]);
        assert_eq!(
            table.lines(),
            ["NAME    USD  NOTE", "a       0.5", "größer   12  two words"]
        );
    }

    #[test]
    fn points_stand_below_each_other() {
        let mut table = Table::new([("A", Align::Point), ("B", Align::Left)]);
        for amount in ["5", "4.9999754", "-12.5"] {
            table.row([money(amount), "x".to_owned()]);
        }
        assert_eq!(
            table.lines(),
            ["          A  B", "  5.00       x", "  4.9999754  x", "-12.50       x"]
        );
    }

    #[test]
    fn others_text_cannot_steer_the_terminal() {
        for (text, shown) in [
            ("plain – ünïcode", "plain – ünïcode"),
            ("a\u{1b}[2Jb", "a\\u{1b}[2Jb"),
            ("a\nb\r", "a\\nb\\r"),
            ("a\u{202e}b", "a\\u{202e}b"),
            ("a\u{9b}31m", "a\\u{9b}31m"),
        ] {
            assert_eq!(clean(text), shown);
        }
        assert_eq!(clean_lines("a\nb\u{7}"), "a\nb\\u{7}");
    }

    #[test]
    fn times_are_short() {
        assert_eq!(short_time("2026-11-22T20:30:00.123456Z"), "2026-11-22 20:30:00");
        assert_eq!(short_time("-5"), "-5");
    }
}
