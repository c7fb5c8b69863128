//! What one call asks of the provider beyond a plain answer, in the header [`SCRIPT_HEADER`]. The crate's documentation
//! lists the words. A new word is a field of [`Script`], a line in [`Script::set`] and a row in that list.

use std::{str::FromStr, time::Duration};

use http::{HeaderMap, HeaderValue, StatusCode};

use crate::prose;

#[cfg(test)]
mod tests;

/// The request header that carries a call's [script](crate#scripts). Gateways pass unknown headers on, so that a test
/// can reach the provider behind one.
pub const SCRIPT_HEADER: &str = "fake-script";

/// The most tokens, events or bytes that a script may ask for, and the longest text they may add up to.
const MOST: u64 = 256 << 20;

/// A call's script. `None` and `false` leave it to the configuration and to what is usual.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) latency: Option<Duration>,
    pub(crate) chunk_delay: Option<Duration>,
    pub(crate) status: Option<StatusCode>,
    pub(crate) retry_after: Option<HeaderValue>,
    pub(crate) location: Option<HeaderValue>,
    pub(crate) content_type: Option<HeaderValue>,
    pub(crate) hang: bool,
    pub(crate) stop: Option<Stop>,
    pub(crate) omit_usage: bool,
    pub(crate) bill_abandoned: bool,
    pub(crate) model: Option<String>,
    pub(crate) output: Option<u64>,
    pub(crate) events: Option<u64>,
    pub(crate) bytes: Option<u64>,
    pub(crate) usage_input: Option<u64>,
    pub(crate) usage_output: Option<u64>,
    pub(crate) cached: Option<u64>,
    pub(crate) cache_write: Option<u64>,
    pub(crate) cache_write_1h: Option<u64>,
    pub(crate) reasoning: Option<u64>,
    pub(crate) first: Option<u64>,
}

/// Where an answer stops short of its end, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stop {
    /// After how many events of a stream. An answer that is no stream stops half way, or before its first byte if zero.
    pub(crate) after: u64,
    pub(crate) how: How,
}

/// How an answer stops short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// The connection is closed.
    Cut,
    /// Nothing more comes; the connection stays open.
    Hang,
    /// The stream ends with an error event. Only streams can.
    Error,
}

/// Why a script was not understood. The text names the word.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ScriptError {
    #[error("the header {SCRIPT_HEADER} is not plain ASCII text")]
    Text,
    #[error("{SCRIPT_HEADER}: `{0}` is not a word of the script")]
    Unknown(String),
    #[error("{SCRIPT_HEADER}: `{0}` is given twice")]
    Twice(String),
    #[error("{SCRIPT_HEADER}: `{word}` needs {needs}, not `{value}`")]
    Value {
        word: String,
        value: String,
        needs: &'static str,
    },
    #[error("{SCRIPT_HEADER}: `{0}` and another word both say where the answer stops")]
    Stops(String),
    #[error(
        "{SCRIPT_HEADER}: `output`, `events` and `bytes` contradict each other or ask for too much; give two at most"
    )]
    Size,
}

impl Script {
    /// Reads the script of a request; a request without one has an empty one.
    pub(crate) fn of(headers: &HeaderMap) -> Result<Self, ScriptError> {
        let mut texts = headers.get_all(SCRIPT_HEADER).iter();
        let Some(first) = texts.next() else {
            return Ok(Self::default());
        };
        let mut whole = first.to_str().map_err(|_| ScriptError::Text)?.to_owned();
        for more in texts {
            whole.push(';');
            whole.push_str(more.to_str().map_err(|_| ScriptError::Text)?);
        }
        whole.parse()
    }

    fn set(&mut self, word: &Word<'_>) -> Result<(), ScriptError> {
        match word.name {
            "latency" => self.latency = Some(word.duration()?),
            "chunk-delay" => self.chunk_delay = Some(word.duration()?),
            "status" => self.status = Some(word.status()?),
            "retry-after" => self.retry_after = Some(word.header()?),
            "location" => self.location = Some(word.header()?),
            "content-type" => self.content_type = Some(word.header()?),
            "hang" => self.hang = word.flag()?,
            "cut-after" => self.stop(word, How::Cut)?,
            "hang-after" => self.stop(word, How::Hang)?,
            "error-after" => self.stop(word, How::Error)?,
            "omit-usage" => self.omit_usage = word.flag()?,
            "bill-abandoned" => self.bill_abandoned = word.flag()?,
            "model" => self.model = Some(word.text()?.to_owned()),
            "output" => self.output = Some(word.number(0)?),
            "events" => self.events = Some(word.number(1)?),
            "bytes" => self.bytes = Some(word.number(1)?),
            "usage-input" => self.usage_input = Some(word.number(0)?),
            "usage-output" => self.usage_output = Some(word.number(0)?),
            "cached" => self.cached = Some(word.number(0)?),
            "cache-write" => self.cache_write = Some(word.number(0)?),
            "cache-write-1h" => self.cache_write_1h = Some(word.number(0)?),
            "reasoning" => self.reasoning = Some(word.number(0)?),
            "first" => self.first = Some(word.number(0)?),
            unknown => return Err(ScriptError::Unknown(unknown.to_owned())),
        }
        Ok(())
    }

    fn stop(&mut self, word: &Word<'_>, how: How) -> Result<(), ScriptError> {
        if self.stop.is_some() {
            return Err(ScriptError::Stops(word.name.to_owned()));
        }
        self.stop = Some(Stop {
            after: word.number(0)?,
            how,
        });
        Ok(())
    }

    /// The three words about size must leave room for each other, and the text they make must fit in memory.
    fn check_size(&self) -> Result<(), ScriptError> {
        let fits = match (self.output, self.events, self.bytes) {
            (Some(_), Some(_), Some(_)) => false,
            (Some(output), Some(events), None) if events > output => false,
            (Some(output), _, _) => u64::try_from(prose::length(output)).is_ok_and(|bytes| bytes <= MOST),
            (None, Some(events), Some(bytes)) => events.saturating_mul(bytes) <= MOST,
            _ => true,
        };
        if fits { Ok(()) } else { Err(ScriptError::Size) }
    }
}

impl FromStr for Script {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let mut script = Self::default();
        let mut seen: Vec<&str> = Vec::new();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            let word = match part.split_once('=') {
                Some((name, value)) => Word {
                    name: name.trim(),
                    value: Some(value.trim()),
                },
                None => Word {
                    name: part,
                    value: None,
                },
            };
            if seen.contains(&word.name) {
                return Err(ScriptError::Twice(word.name.to_owned()));
            }
            seen.push(word.name);
            script.set(&word)?;
        }
        script.check_size()?;
        Ok(script)
    }
}

/// One word of a script, with its value if it has one.
struct Word<'a> {
    name: &'a str,
    value: Option<&'a str>,
}

impl Word<'_> {
    fn bad(&self, needs: &'static str) -> ScriptError {
        let value = self.value.unwrap_or("nothing").to_owned();
        ScriptError::Value {
            word: self.name.to_owned(),
            value,
            needs,
        }
    }

    fn flag(&self) -> Result<bool, ScriptError> {
        if self.value.is_some() {
            Err(self.bad("no value"))
        } else {
            Ok(true)
        }
    }

    fn text(&self) -> Result<&str, ScriptError> {
        self.value
            .filter(|value| !value.is_empty())
            .ok_or_else(|| self.bad("a value"))
    }

    fn number(&self, least: u64) -> Result<u64, ScriptError> {
        let number = self.value.and_then(|value| value.parse().ok());
        number
            .filter(|number| (least..=MOST).contains(number))
            .ok_or_else(|| self.bad("a whole number in range"))
    }

    fn duration(&self) -> Result<Duration, ScriptError> {
        let needs = "a duration such as 50ms";
        let value = self.value.ok_or_else(|| self.bad(needs))?;
        let digits = value.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = value.split_at_checked(digits).ok_or_else(|| self.bad(needs))?;
        let number: u64 = number.parse().map_err(|_| self.bad(needs))?;
        match unit {
            "us" => Ok(Duration::from_micros(number)),
            "ms" => Ok(Duration::from_millis(number)),
            "s" => Ok(Duration::from_secs(number)),
            _ => Err(self.bad(needs)),
        }
    }

    fn status(&self) -> Result<StatusCode, ScriptError> {
        let needs = "a status from 300 to 599, or 200";
        let code = self
            .value
            .and_then(|value| value.parse::<u16>().ok())
            .and_then(|n| StatusCode::from_u16(n).ok());
        // 304 has no body by definition, and statuses below 300 other than 200 would promise another kind of answer.
        let answers = |code: &StatusCode| *code == StatusCode::OK || (300..600).contains(&code.as_u16());
        code.filter(answers)
            .filter(|code| *code != StatusCode::NOT_MODIFIED)
            .ok_or_else(|| self.bad(needs))
    }

    fn header(&self) -> Result<HeaderValue, ScriptError> {
        HeaderValue::from_str(self.text()?).map_err(|_| self.bad("text that fits in a header"))
    }
}
