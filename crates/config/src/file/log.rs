//! `[log]`: what operators read.

use schemars::JsonSchema;
use serde::Deserialize;

use crate::node::Field;

/// The operators' log, on standard error.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Log")]
pub(crate) struct RawLog {
    /// `auto` is text on a terminal and JSON everywhere else.
    #[schemars(extend("default" = "auto"))]
    format: Field<LogFormat>,
    /// The least severe lines that are written.
    #[schemars(extend("default" = "info"))]
    level: Field<LogLevel>,
}

/// The form of log lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogFormat {
    /// Text on a terminal, JSON everywhere else.
    #[default]
    Auto,
    /// One JSON object a line.
    Json,
    /// Text for people.
    Text,
}

/// The least severe lines that are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum LogLevel {
    /// What failed.
    Error,
    /// What is likely to fail.
    Warn,
    /// What happens.
    #[default]
    Info,
    /// How it happens.
    Debug,
    /// Everything.
    Trace,
}

impl LogLevel {
    /// The word for it, as `tracing` filters know it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

/// The operators' log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogSettings {
    /// The form of its lines.
    pub format: LogFormat,
    /// The least severe lines that are written.
    pub level: LogLevel,
}

/// Each value by itself is all there is to check.
impl From<RawLog> for LogSettings {
    fn from(raw: RawLog) -> Self {
        Self {
            format: raw.format.value().unwrap_or_default(),
            level: raw.level.value().unwrap_or_default(),
        }
    }
}
