//! A buffer that answers are rendered into, piece by piece, without intermediate strings.

use std::fmt::Write as _;

use bytes::{Bytes, BytesMut};

/// Bytes being rendered.
#[derive(Default)]
pub(crate) struct Out(BytesMut);

impl Out {
    pub(crate) fn with_capacity(bytes: usize) -> Self {
        Self(BytesMut::with_capacity(bytes))
    }

    /// Adds text as it is.
    pub(crate) fn text(&mut self, text: &str) -> &mut Self {
        self.0.extend_from_slice(text.as_bytes());
        self
    }

    /// Adds bytes as they are.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// Adds a number in decimal.
    pub(crate) fn number(&mut self, number: u64) -> &mut Self {
        // Writing to a buffer that grows cannot fail.
        let _ = write!(self.0, "{number}");
        self
    }

    /// Adds a JSON string, quotes included.
    pub(crate) fn string(&mut self, text: &str) -> &mut Self {
        let plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
        if plain {
            self.text("\"").text(text).text("\"")
        } else {
            self.text(&serde_json::Value::from(text).to_string())
        }
    }

    /// Takes what has been rendered; the rest of the allocation serves what comes next.
    pub(crate) fn take(&mut self) -> Bytes {
        self.0.split().freeze()
    }
}
