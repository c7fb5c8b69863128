//! Lines of text with a width, and how numbers are written for people.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use model::NanoUsd;

use super::event::Tone;

/// A line, not yet painted. Every character of it is one column wide: nothing else is ever put in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Line(Vec<(Tone, String)>);

impl Line {
    /// A line of one text.
    pub(crate) fn of(tone: Tone, text: impl Into<String>) -> Self {
        Self::default().with(tone, text)
    }

    /// The line with a text behind it.
    pub(crate) fn with(mut self, tone: Tone, text: impl Into<String>) -> Self {
        self.0.push((tone, text.into()));
        self
    }

    /// The line with a text behind it, cut or filled up on the right to a number of columns.
    pub(crate) fn left(self, tone: Tone, text: &str, columns: usize) -> Self {
        self.with(tone, format!("{:<columns$}", cut(text, columns)))
    }

    /// The line with a text behind it, cut or filled up on the left to a number of columns.
    pub(crate) fn right(self, tone: Tone, text: &str, columns: usize) -> Self {
        self.with(tone, format!("{:>columns$}", cut(text, columns)))
    }

    /// How many columns it takes.
    pub(crate) fn width(&self) -> usize {
        self.0.iter().map(|(_, text)| text.chars().count()).sum()
    }

    /// The line without what does not fit and without blanks at its end.
    pub(crate) fn fit(self, columns: usize) -> Self {
        let mut left = columns;
        let mut parts = Vec::new();
        for (tone, text) in self.0 {
            let length = text.chars().count();
            let text = if length > left { cut(&text, left) } else { text };
            left = left.saturating_sub(length);
            parts.push((tone, text));
        }
        while let Some((_, text)) = parts.last_mut() {
            text.truncate(text.trim_end().len());
            if !text.is_empty() {
                break;
            }
            parts.pop();
        }
        Self(parts)
    }

    /// The line's text, with or without colours.
    pub(crate) fn paint(&self, colours: bool) -> String {
        let mut painted = String::new();
        for (tone, text) in &self.0 {
            let style = if colours { style(*tone) } else { Style::new() };
            // Writing to a string cannot fail.
            let _ = write!(painted, "{style}{text}{style:#}");
        }
        painted
    }
}

/// Few colours, from the terminal's own palette, so that they suit light and dark ones.
fn style(tone: Tone) -> Style {
    let colour = |colour: AnsiColor| colour.on_default();
    match tone {
        Tone::Plain => Style::new(),
        Tone::Faint => Style::new().dimmed(),
        Tone::Strong => Style::new().bold(),
        Tone::Good => colour(AnsiColor::Green),
        Tone::Warn => colour(AnsiColor::Yellow),
        Tone::Bad => colour(AnsiColor::Red),
    }
}

/// The text, or its beginning and an ellipsis. Control characters become blanks: a reply must not move the cursor.
pub(crate) fn cut(text: &str, columns: usize) -> String {
    let clean = |c: char| if c.is_control() { ' ' } else { c };
    if text.chars().count() <= columns {
        return text.chars().map(clean).collect();
    }
    let mut kept: String = text.chars().take(columns.saturating_sub(1)).map(clean).collect();
    kept.truncate(kept.trim_end().len());
    if columns > 0 {
        kept.push('…');
    }
    kept
}

/// The text in lines of at most so many columns, broken at blanks.
pub(crate) fn wrap(text: &str, columns: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split_whitespace() {
        let longer = line.chars().count() + 1 + word.chars().count();
        if !line.is_empty() && longer > columns {
            lines.push(std::mem::take(&mut line));
        }
        if !line.is_empty() {
            line.push(' ');
        }
        line.push_str(word);
    }
    if !line.is_empty() {
        lines.push(line);
    }
    lines
}

/// `12,345`
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (nth, digit) in digits.chars().enumerate() {
        if nth > 0 && (digits.len() - nth).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number with its noun: `1 call`, `2 calls`.
pub(crate) fn counted(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number), if number == 1 { one } else { many })
}

/// `$0.0188`: to the hundredth of a cent. Rounded half up, so that what is within a limit of whole cents looks it.
pub(crate) fn usd(amount: NanoUsd) -> String {
    let sign = if amount.0 < 0 { "-" } else { "" };
    let units = amount.0.unsigned_abs().saturating_add(50_000) / 100_000;
    format!("{sign}${}.{:04}", units / 10_000, units % 10_000)
}

/// `$0.02`, `$5.00`: with as many decimals as there are, but at least two.
pub(crate) fn usd_limit(limit: NanoUsd) -> String {
    let exact = limit.to_string();
    let (whole, fraction) = exact.split_once('.').unwrap_or((&exact, ""));
    format!("${whole}.{fraction:0<2}")
}

/// A bar of so many columns: the part that is filled, to half a column, and the rest. Full only at the limit, and never
/// empty once something was spent.
pub(crate) fn bar(spent: NanoUsd, limit: NanoUsd, columns: usize) -> (String, String) {
    let halves = u128::try_from(columns).unwrap_or(0) * 2;
    let spent = u128::try_from(spent.0).unwrap_or(0);
    let limit = u128::try_from(limit.0).unwrap_or(0).max(1);
    let filled = (spent * halves / limit).clamp(u128::from(spent > 0), halves);
    let filled = usize::try_from(filled).unwrap_or(0);
    let mut full = "━".repeat(filled / 2);
    if filled % 2 == 1 {
        full.push('╸');
    }
    let rest = "─".repeat(columns - full.chars().count());
    (full, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_for_people() {
        for (number, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(grouped(number), text);
        }
        for (nano, text) in [
            (0, "$0.0000"),
            (49_999, "$0.0000"),
            (50_000, "$0.0001"),
            (18_849_900, "$0.0188"),
            (19_999_999, "$0.0200"),
            (12_345_678_900, "$12.3457"),
            (-2_500_000_000, "-$2.5000"),
        ] {
            assert_eq!(usd(NanoUsd(nano)), text);
        }
        for (nano, text) in [(20_000_000, "$0.02"), (5_000_000_000, "$5.00"), (1_500_000, "$0.0015")] {
            assert_eq!(usd_limit(NanoUsd(nano)), text);
        }
    }

    #[test]
    fn a_bar_is_full_only_at_the_limit() {
        for (spent, limit, full) in [
            (0, 100, ""),
            (1, 100, "╸"),
            (50, 100, "━━━━"),
            (57, 100, "━━━━╸"),
            (99, 100, "━━━━━━━╸"),
            (100, 100, "━━━━━━━━"),
            (300, 100, "━━━━━━━━"),
            (0, 0, ""),
        ] {
            let (filled, rest) = bar(NanoUsd(spent), NanoUsd(limit), 8);
            assert_eq!(filled, full, "{spent} of {limit}");
            assert_eq!(filled.chars().count() + rest.chars().count(), 8);
        }
    }

    #[test]
    fn lines_are_cut_to_their_width() {
        assert_eq!(cut("abcdef", 6), "abcdef");
        assert_eq!(cut("abcdefg", 6), "abcde…");
        assert_eq!(cut("abc defg", 5), "abc…");
        assert_eq!(cut("abc", 0), "");
        assert_eq!(cut("a\x1b[2Jb\nc", 20), "a [2Jb c");
        let line = Line::of(Tone::Good, "one ")
            .with(Tone::Bad, "two ")
            .left(Tone::Plain, "", 9);
        assert_eq!(line.clone().fit(80).paint(false), "one two");
        assert_eq!(line.clone().fit(6).paint(false), "one t…");
        assert_eq!(line.fit(3).width(), 3);
    }

    #[test]
    fn colours_change_no_text() {
        let line = Line::of(Tone::Bad, "stopped").with(Tone::Plain, " by its budget");
        assert_eq!(line.paint(false), "stopped by its budget");
        assert_eq!(line.paint(true), "\x1b[31mstopped\x1b[0m by its budget");
    }

    #[test]
    fn text_is_broken_at_blanks() {
        assert_eq!(wrap("one two  three", 7), ["one two", "three"]);
        assert_eq!(wrap("unbreakable word", 5), ["unbreakable", "word"]);
        assert!(wrap("  ", 5).is_empty());
    }
}
