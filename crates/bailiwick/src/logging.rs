//! The operators' log: on standard error, as text on a terminal and as JSON everywhere else.
//!
//! It never has a body or a credential in it: the crates below do not log what they carry.

use std::io::{self, IsTerminal as _};

use anstream::{AutoStream, ColorChoice};
use config::{LogFormat, LogLevel, LogSettings};
use tracing_subscriber::{EnvFilter, filter::ParseError};

use crate::cli::Failure;

/// A filter in the manner of `RUST_LOG`, over what the configuration says: `debug`, `info,control=trace`.
pub(crate) const FILTER_VARIABLE: &str = "BAILIWICK_LOG";

/// Begins to log, for the rest of the process.
///
/// # Errors
/// When the variable holds no filter.
pub(crate) fn start(settings: LogSettings) -> Result<(), ParseError> {
    let filter = match crate::server::environment(FILTER_VARIABLE).filter(|text| !text.trim().is_empty()) {
        Some(text) => EnvFilter::try_new(text)?,
        None => EnvFilter::try_new(default_filter(settings.level))?,
    };
    let terminal = io::stderr().is_terminal();
    let json = match settings.format {
        LogFormat::Auto => !terminal,
        LogFormat::Json => true,
        LogFormat::Text => false,
    };
    let colour = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        // Else a line that cannot be written, as on a full disk, is told on standard error, which then panics.
        .log_internal_errors(false)
        .with_writer(io::stderr);
    // An error says that somebody logs already: a test, or a server that ran before in this process.
    let _ = if json {
        log.json().flatten_event(true).with_current_span(false).try_init()
    } else {
        log.with_ansi(colour).try_init()
    };
    Ok(())
}

/// What is said of a variable that holds no filter.
pub(crate) fn no_filter(error: ParseError) -> Failure {
    Failure::Usage(format!(
        "{FILTER_VARIABLE} holds no filter: {error}. Write it as debug or info,gateway=trace"
    ))
}

/// Below `info` the libraries say more about themselves than anybody wants to know.
fn default_filter(level: LogLevel) -> String {
    match level {
        LogLevel::Error | LogLevel::Warn | LogLevel::Info => level.as_str().to_owned(),
        LogLevel::Debug | LogLevel::Trace => {
            format!("{},hyper=info,hyper_util=info,rustls=info,sqlx=info", level.as_str())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn default_filters_are_filters() {
        for level in [
            LogLevel::Error,
            LogLevel::Warn,
            LogLevel::Info,
            LogLevel::Debug,
            LogLevel::Trace,
        ] {
            let filter = EnvFilter::try_new(default_filter(level)).unwrap();
            assert!(filter.to_string().contains(level.as_str()), "{filter}");
        }
    }
}
