//! A report as CSV (RFC 4180).

use control::{CostFigures, CostReport};

/// The names of the columns behind the labels.
const FIGURES: [&str; 14] = [
    "cost_usd",
    "calls",
    "failed",
    "duration_ms",
    "tokens",
    "input_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "audio_input_tokens",
    "image_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "audio_output_tokens",
    "image_output_tokens",
];

/// The records, the names of the columns first, without ends of lines. They add up to the total.
pub(super) fn lines(report: &CostReport) -> Vec<String> {
    let names = report.by.iter().map(String::as_str).chain(FIGURES);
    let mut lines = vec![record(names)];
    for line in &report.lines {
        let labels = report
            .by
            .iter()
            .map(|label| line.labels.get(label).map_or("", String::as_str));
        let figures = figures(&line.figures);
        lines.push(record(labels.chain(figures.iter().map(String::as_str))));
    }
    if let Some(other) = &report.other {
        let name = format!("({} others)", other.lines);
        let labels = report
            .by
            .iter()
            .enumerate()
            .map(|(at, _)| if at == 0 { name.as_str() } else { "" });
        let figures = figures(&other.figures);
        lines.push(record(labels.chain(figures.iter().map(String::as_str))));
    }
    lines
}

fn figures(figures: &CostFigures) -> Vec<String> {
    let tokens = &figures.tokens;
    let counts = [
        figures.calls,
        figures.failed,
        figures.duration_ms,
        tokens.total,
        tokens.input,
        tokens.cache_read,
        tokens.cache_write,
        tokens.audio_input,
        tokens.image_input,
        tokens.output,
        tokens.reasoning,
        tokens.audio_output,
        tokens.image_output,
    ];
    let counts = counts.iter().map(ToString::to_string);
    std::iter::once(figures.cost_usd.clone()).chain(counts).collect()
}

fn record<'a>(fields: impl Iterator<Item = &'a str>) -> String {
    fields.map(field).collect::<Vec<_>>().join(",")
}

/// A field, in quotes where it would not be read back as it is. Blanks at its ends are kept by all readers only in quotes.
fn field(text: &str) -> String {
    let special = |c: char| matches!(c, ',' | '"' | '\r' | '\n');
    if text.contains(special) || text.trim() != text {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use control::{CostLine, CostOther};

    use super::*;

    #[test]
    fn fields_are_quoted_where_needed() {
        for (text, expected) in [
            ("", ""),
            ("data", "data"),
            ("two words", "two words"),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("a\r", "\"a\r\""),
            (" padded", "\" padded\""),
            ("=1+1", "=1+1"),
            ("größer; ok", "größer; ok"),
        ] {
            assert_eq!(field(text), expected, "{text:?}");
        }
    }

    #[test]
    fn a_report_is_one_record_a_line() {
        let figures = |cost: &str, calls| CostFigures {
            cost_usd: cost.to_owned(),
            calls,
            ..CostFigures::default()
        };
        let report = CostReport {
            by: vec!["team".to_owned(), "agent".to_owned()],
            since: None,
            until: None,
            lines: vec![CostLine {
                labels: BTreeMap::from([
                    ("agent".to_owned(), "a".to_owned()),
                    ("team".to_owned(), "R, D".to_owned()),
                ]),
                figures: figures("0.5", 2),
            }],
            other: Some(CostOther {
                lines: 3,
                figures: figures("0.000000001", 4),
            }),
            total: figures("0.500000001", 6),
            entries: BTreeMap::new(),
        };
        let zeros = ",0".repeat(12);
        let expected = [
            format!("team,agent,{}", FIGURES.join(",")),
            format!("\"R, D\",a,0.5,2{zeros}"),
            format!("(3 others),,0.000000001,4{zeros}"),
        ];
        assert_eq!(lines(&report), expected);
    }
}
