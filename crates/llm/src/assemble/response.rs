//! The Responses API: the event that closes a stream carries the whole response.

use crate::json::{Kind, Text};
use crate::reply::{error_line, read_error};
use crate::sse::Event;

use super::budget::Budget;
use super::{AssembleError, object};

/// A response, once it has come.
#[derive(Debug, Default)]
pub(super) struct Response(Option<String>);

impl Response {
    pub(super) fn take(&mut self, event: &Event<'_>, budget: &mut Budget) -> Result<(), AssembleError> {
        // Nothing of the response stands behind the event that closes it.
        if self.0.is_some() {
            return Ok(());
        }
        let mut reader = object(event)?;
        let (mut kind, mut response, mut error) = (None, None, None);
        let (mut code, mut message) = (None, None);
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "type" => kind = reader.string_or_skip()?,
                "response" if reader.peek()? == Kind::Object => response = Some(reader.raw()?),
                "error" => error = read_error(&mut reader)?,
                "code" => code = reader.string_or_skip()?,
                "message" => message = reader.string_or_skip()?,
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        let kind = kind.map(Text::decoded);
        match kind.as_deref().map_or(event.name, str::as_bytes) {
            b"response.completed" | b"response.incomplete" | b"response.failed" | b"response.cancelled" => {
                let response = response.ok_or(AssembleError::Missing("response"))?;
                budget.charge(response.len())?;
                self.0 = Some(response.to_owned());
            }
            b"error" => {
                return Err(AssembleError::Failed(
                    error.unwrap_or_else(|| error_line(code, message)),
                ));
            }
            _ => {}
        }
        Ok(())
    }

    /// What should be charged for, counted anew.
    #[cfg(test)]
    pub(super) fn cost(&self) -> usize {
        self.0.as_ref().map_or(0, String::len)
    }

    pub(super) fn finish(self) -> Result<String, AssembleError> {
        self.0.ok_or(AssembleError::Unfinished)
    }
}
