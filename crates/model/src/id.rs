//! Typed ids: one type a kind, all kinds in this file.

use std::{borrow::Borrow, fmt, str::FromStr, sync::Arc};

use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{Error, Visitor},
};
use uuid::Uuid;

use crate::Timestamp;

/// Why a text is not a name or an id.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IdError {
    /// The text is empty.
    #[error("a name must not be empty")]
    Empty,
    /// The text is longer than [`MAX_NAME`] bytes.
    #[error("a name has at most {MAX_NAME} characters")]
    TooLong,
    /// The text has a character names may not have.
    #[error("a name starts with a lower-case letter, a digit or '_' and goes on with those, '-' and '.'; found {0:?}")]
    Character(char),
    /// The text is not 32 hexadecimal digits.
    #[error("an id is 32 hexadecimal digits")]
    NotAnId,
}

/// The longest name, in bytes. Names stand in file names, URLs, metrics and Cedar ids, so they are short and plain.
pub const MAX_NAME: usize = 64;

fn check_name(text: &str) -> Result<(), IdError> {
    if text.len() > MAX_NAME {
        return Err(IdError::TooLong);
    }
    let mut chars = text.chars();
    let first = chars.next().ok_or(IdError::Empty)?;
    if !(first.is_ascii_lowercase() || first.is_ascii_digit() || first == '_') {
        return Err(IdError::Character(first));
    }
    match chars.find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '.'))) {
        Some(bad) => Err(IdError::Character(bad)),
        None => Ok(()),
    }
}

/// Reads a name or id from the text where it lies: several are read for each entry of a log.
struct NameVisitor<T>(fn(&str) -> Result<T, IdError>);

impl<T> Visitor<'_> for NameVisitor<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        (self.0)(text).map_err(E::custom)
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            /// Checks and takes a name.
            pub fn new(text: &str) -> Result<Self, IdError> {
                check_name(text)?;
                Ok(Self(Arc::from(text)))
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Self::new(text)
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(NameVisitor(Self::new))
            }
        }
    };
}

name! {
    /// An isolated customer or division inside a deployment.
    TenantName
}
name! {
    /// A rate limit, unique within its tenant.
    LimitName
}
name! {
    /// Where entries are streamed to, unique within a configuration.
    SinkName
}
name! {
    /// A circuit breaker, unique within its tenant.
    BreakerName
}
name! {
    /// A governed software identity, unique within its tenant.
    AgentName
}
name! {
    /// A policy enforcement point: a program that asks for decisions and enforces them. Unique within its tenant.
    PepName
}
name! {
    /// A remote model provider as the configuration names it: the first path segment of a request.
    UpstreamName
}
name! {
    /// A pot of money, unique within its tenant.
    BudgetName
}
name! {
    /// A credential's public name: it says which credential, and authenticates nothing.
    KeyId
}
name! {
    /// A named administrator.
    AdminName
}

impl TenantName {
    /// The tenant of a deployment that declares none.
    pub fn default_tenant() -> Self {
        Self(Arc::from("default"))
    }

    /// The reserved tenant of server-wide events: start, stop, listeners.
    pub fn system() -> Self {
        Self(Arc::from("_system"))
    }

    /// Whether this tenant is Bailiwick's own.
    pub fn is_reserved(&self) -> bool {
        self.0.starts_with('_')
    }
}

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A UUIDv7 (RFC 9562, section 5.7) of the given instant and randomness: ids of later instants sort later.
            pub fn new(at: Timestamp, random: [u8; 10]) -> Self {
                Self(uuid::Builder::from_unix_timestamp_millis(at.unix_millis(), &random).into_uuid())
            }

            /// The 16 bytes.
            pub fn as_bytes(&self) -> &[u8; 16] {
                self.0.as_bytes()
            }

            /// The id with these 16 bytes.
            pub fn from_bytes(bytes: [u8; 16]) -> Self {
                Self(Uuid::from_bytes(bytes))
            }
        }

        impl FromStr for $name {
            type Err = IdError;
            fn from_str(text: &str) -> Result<Self, IdError> {
                Uuid::try_parse(text).map(Self).map_err(|_| IdError::NotAnId)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&self.0.simple(), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({})", stringify!($name), self.0.simple())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(&self.0.simple())
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_str(NameVisitor(str::parse))
            }
        }
    };
}

uuid_id! {
    /// One action of an agent, from intent to outcome: also the request id that the caller sees.
    ActionId
}
uuid_id! {
    /// One commit of the committer, so that a commit whose answer was lost can be looked up instead of repeated.
    BatchId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_plain() {
        for good in ["a", "nightly-report", "0x", "_system", "gpt-4o.mini_2"] {
            assert!(AgentName::new(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", IdError::Empty),
            ("-a", IdError::Character('-')),
            ("Agent", IdError::Character('A')),
            ("a/b", IdError::Character('/')),
            ("a b", IdError::Character(' ')),
            ("ä", IdError::Character('ä')),
        ] {
            assert_eq!(AgentName::new(bad).unwrap_err(), why, "{bad}");
        }
        assert_eq!(AgentName::new(&"a".repeat(65)).unwrap_err(), IdError::TooLong);
    }

    #[test]
    fn action_ids_sort_by_time_and_survive_text() {
        let early = ActionId::new(Timestamp::from_unix_micros(1_000_000_000_000), [255; 10]);
        let late = ActionId::new(Timestamp::from_unix_micros(1_000_000_001_000), [0; 10]);
        assert!(early < late);
        assert_eq!(early.to_string().len(), 32);
        assert_eq!(early.to_string().parse::<ActionId>().unwrap(), early);
        assert!("nonsense".parse::<ActionId>().is_err());
    }
}
