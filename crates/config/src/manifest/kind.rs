//! `kind`: what a document declares.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer};

use crate::{
    node::{Node, Value, parse_text},
    problem::Mark,
    suggest,
};

/// The kinds of documents there are.
const KINDS: [&str; 5] = ["Agent", "Budget", "RateLimit", "Breaker", "Pep"];

/// A kind of documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Agent,
    Budget,
    RateLimit,
    Breaker,
    Pep,
}

/// A kind that is not even nearly one of ours: the keys of such a document would all be unknown.
pub(super) struct Foreign<'a> {
    pub(super) mark: Mark,
    pub(super) kind: &'a str,
}

impl Foreign<'_> {
    pub(super) fn help(&self) -> String {
        suggest::help(self.kind, "kinds", &KINDS)
    }
}

impl Kind {
    /// What a document declares, or was probably meant to: one without a kind is taken for what its keys say.
    pub(super) fn of(document: &Node) -> Result<Self, Foreign<'_>> {
        let Value::Map(entries) = &document.value else {
            return Ok(Self::Agent);
        };
        let keys = || {
            entries.iter().filter_map(|(key, value)| match &key.value {
                Value::Text(key) => Some((key.as_str(), value)),
                _ => None,
            })
        };
        match keys().find(|(key, _)| *key == "kind") {
            Some((
                _,
                Node {
                    mark,
                    value: Value::Text(kind),
                },
            )) => match suggest::nearest(kind, &KINDS) {
                Some("Budget") => Ok(Self::Budget),
                Some("RateLimit") => Ok(Self::RateLimit),
                Some("Breaker") => Ok(Self::Breaker),
                Some("Pep") => Ok(Self::Pep),
                Some(_) => Ok(Self::Agent),
                None => Err(Foreign { mark: *mark, kind }),
            },
            _ => Ok(keys().find_map(|(key, _)| Self::telling(key)).unwrap_or(Self::Agent)),
        }
    }

    /// The kind that alone has a key.
    fn telling(key: &str) -> Option<Self> {
        match key {
            "may" | "reasons" | "certificates" => Some(Self::Pep),
            "team" | "product" | "environment" | "budget" => Some(Self::Agent),
            "limit" | "per" | "thresholds" | "at_limit" => Some(Self::Budget),
            "requests" | "tokens" | "input_tokens" | "output_tokens" | "money" => Some(Self::RateLimit),
            "scope" | "spend" | "surge" | "loops" | "errors" | "no_progress" | "cooldown" => Some(Self::Breaker),
            _ => None,
        }
    }
}

/// A type whose one value is the word of a kind.
macro_rules! kind {
    ($name:ident, $word:literal) => {
        #[doc = concat!("The word `", $word, "`.")]
        #[derive(Debug)]
        pub(super) struct $name;

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                parse_text(deserializer, concat!("`", $word, "`"), |kind| match kind {
                    $word => Ok(Self),
                    _ => {
                        let help = suggest::help(kind, "kinds", &KINDS);
                        Err(format!("unknown kind `{}`\n{help}", suggest::shown(kind)))
                    }
                })
            }
        }

        impl JsonSchema for $name {
            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn inline_schema() -> bool {
                true
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!({ "const": $word })
            }
        }
    };
}

kind!(AgentKind, "Agent");
kind!(BudgetKind, "Budget");
kind!(RateLimitKind, "RateLimit");
kind!(BreakerKind, "Breaker");
kind!(PepKind, "Pep");
