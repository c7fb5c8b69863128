//! A text of either format as a tree of values that know their place.
//!
//! Both formats are read into this one tree, and everything after that is the same code for both. Reading through the
//! tree instead of straight into our types is what lets the loader go on after a mistake.

mod decode;
mod field;
mod toml;
mod yaml;

pub(crate) use decode::decode;
pub(crate) use field::{Field, Keyed, Placed, parse_text};
pub(crate) use toml::parse as parse_toml;
pub(crate) use yaml::parse as parse_yaml;

use crate::problem::Mark;

/// The format a tree was read from, for the words of its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// `bailiwick.toml`.
    Toml,
    /// Manifests.
    Yaml,
}

/// A value and its place.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Where it starts. A TOML table starts at its name in the header.
    pub(crate) mark: Mark,
    /// The value.
    pub(crate) value: Value,
}

/// A value.
#[derive(Clone, Debug)]
pub(crate) enum Value {
    /// Nothing: YAML's null.
    Null,
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Integer(i128),
    /// Any other number.
    Float(f64),
    /// Text.
    Text(String),
    /// TOML's dates and times, which none of our keys takes.
    Date,
    /// An array, a sequence.
    List(Vec<Node>),
    /// A table, a mapping. In the order of the text; a key may stand twice.
    Map(Vec<(Node, Node)>),
}

impl Node {
    /// What it is, for "expected ..., found ...". Texts are not quoted: one of them may be a secret in the wrong place.
    pub(crate) fn word(&self, format: Format) -> String {
        match &self.value {
            Value::Null => "nothing".to_owned(),
            Value::Bool(value) => format!("`{value}`"),
            Value::Integer(value) => format!("the number {value}"),
            Value::Float(value) => format!("the number {value}"),
            Value::Text(_) => "text".to_owned(),
            Value::Date => "a date".to_owned(),
            Value::List(_) => format.list().to_owned(),
            Value::Map(_) => format.map().to_owned(),
        }
    }
}

impl Format {
    /// The word for keys and values.
    pub(crate) fn map(self) -> &'static str {
        match self {
            Self::Toml => "a table",
            Self::Yaml => "a mapping",
        }
    }

    /// The word for values in order.
    pub(crate) fn list(self) -> &'static str {
        match self {
            Self::Toml => "an array",
            Self::Yaml => "a list",
        }
    }
}
