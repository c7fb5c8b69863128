//! The source line that a problem is about, with a mark under the place.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
};

use config::Problem;

use super::super::table::clean;

/// The longest file that is looked into.
const MAX_BYTES: u64 = 1024 * 1024;
/// How much of a line is shown.
const WIDTH: usize = 100;

/// Two lines: the source, and a mark. `None` where the place is not known, or the file has changed.
pub(super) fn snippet(problem: &Problem) -> Option<[String; 2]> {
    let (line, column) = (problem.line?, problem.column.unwrap_or(1));
    let file = File::open(&problem.file).ok()?;
    let mut lines = BufReader::new(file.take(MAX_BYTES)).lines();
    let text = lines.nth(usize::try_from(line.checked_sub(1)?).ok()?)?.ok()?;
    Some(marked(line, column, &text))
}

fn marked(line: u32, column: u32, text: &str) -> [String; 2] {
    let column = usize::try_from(column.saturating_sub(1)).unwrap_or(0);
    // A window of the line around the place; a tab is as wide as a blank, so that the mark stands right.
    let from = match text.chars().count() > WIDTH {
        true => column.saturating_sub(WIDTH / 2),
        false => 0,
    };
    let shown: String = text
        .chars()
        .skip(from)
        .take(WIDTH)
        .map(|c| if c == '\t' { ' ' } else { c })
        .collect();
    let before: String = shown.chars().take(column.saturating_sub(from)).collect();
    let number = line.to_string();
    [
        format!("  {number} | {}", clean(shown.trim_end())),
        format!(
            "  {} | {}^",
            " ".repeat(number.len()),
            " ".repeat(clean(&before).chars().count())
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mark_stands_below_the_place() {
        let [source, mark] = marked(12, 8, "permit\t(principal, acton, resource);");
        assert_eq!(source, "  12 | permit (principal, acton, resource);");
        assert_eq!(mark, "     |        ^");
        let [source, mark] = marked(1, 200, &"x".repeat(400));
        assert_eq!((source.len(), mark.len()), (6 + WIDTH, 6 + WIDTH / 2 + 1));
        let [source, mark] = marked(1, 3, "\u{1b}[2J");
        assert_eq!((source.as_str(), mark.find('^')), ("  1 | \\u{1b}[2J", Some(6 + 7)));
    }
}
