//! From TOML text to the tree.

use toml::de::{DeTable, DeValue};

use super::{Node, Value};
use crate::problem::{Findings, Mark};

/// Reads a document. If its syntax is wrong anywhere there is no tree: what was recovered would only bring up problems
/// that are not there.
pub(crate) fn parse(text: &str) -> Result<Node, Findings> {
    let places = Places::of(text);
    let (table, mut errors) = DeTable::parse_recoverable(text);
    errors.sort_by_key(|error| error.span().map(|span| span.start));
    let mut findings = Findings::default();
    for error in errors {
        // Only the parser's own words: its full report would quote the line, and the line may hold a secret.
        let mark = error.span().map(|span| places.mark(span.start));
        findings.add(mark, format!("not valid TOML: {}", error.message().replace('\n', ", ")));
    }
    findings.conclude(Some(Node {
        mark: places.mark(0),
        value: Value::Map(entries(table.get_ref(), &places)),
    }))
}

fn entries(table: &DeTable<'_>, places: &Places<'_>) -> Vec<(Node, Node)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_by_key(|(key, _)| key.span().start);
    let node = |(key, value): (&toml::Spanned<_>, &toml::Spanned<DeValue<'_>>)| {
        let key_mark = places.mark(key.span().start);
        let key: &std::borrow::Cow<'_, str> = key.get_ref();
        let key = Node {
            mark: key_mark,
            value: Value::Text(key.clone().into_owned()),
        };
        let mut value = value_node(value, places);
        if let Value::Map(_) = value.value {
            value.mark = key_mark;
        }
        (key, value)
    };
    entries.into_iter().map(node).collect()
}

fn value_node(value: &toml::Spanned<DeValue<'_>>, places: &Places<'_>) -> Node {
    let mark = places.mark(value.span().start);
    let value = match value.get_ref() {
        DeValue::String(text) => Value::Text(text.clone().into_owned()),
        DeValue::Integer(integer) => number(integer),
        DeValue::Float(float) => Value::Float(float.as_str().replace('_', "").parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(value) => Value::Bool(*value),
        DeValue::Datetime(_) => Value::Date,
        DeValue::Array(items) => Value::List(items.iter().map(|item| value_node(item, places)).collect()),
        DeValue::Table(table) => Value::Map(entries(table, places)),
    };
    Node { mark, value }
}

fn number(integer: &toml::de::DeInteger<'_>) -> Value {
    let digits = integer.as_str().replace('_', "");
    match i128::from_str_radix(&digits, integer.radix()) {
        Ok(value) => Value::Integer(value),
        // Beyond every limit of ours; as a float it is refused where a whole number is due.
        Err(_) => Value::Float(digits.parse().unwrap_or(f64::INFINITY)),
    }
}

/// Finds lines and columns of byte offsets.
struct Places<'a> {
    text: &'a str,
    /// The offset at which each line starts.
    lines: Vec<usize>,
}

impl<'a> Places<'a> {
    fn of(text: &'a str) -> Self {
        let after_breaks = text.match_indices('\n').map(|(offset, _)| offset + 1);
        Self {
            text,
            lines: std::iter::once(0).chain(after_breaks).collect(),
        }
    }

    fn mark(&self, offset: usize) -> Mark {
        let line = self.lines.partition_point(|&start| start <= offset);
        let start = line
            .checked_sub(1)
            .and_then(|nth| self.lines.get(nth))
            .copied()
            .unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or_default().chars().count();
        let number = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Mark {
            line: number(line),
            column: number(before.saturating_add(1)),
        }
    }
}
