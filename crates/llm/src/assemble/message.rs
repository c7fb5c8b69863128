//! Anthropic's messages: a message that is begun, blocks that grow, and what is known at the end.

use std::collections::BTreeMap;

use crate::json::{Reader, Text};
use crate::reply::read_error;
use crate::sse::Event;

use super::tree::{Members, Node, write_string};
use super::{AssembleError, object};

/// What a block takes in memory beside what it says, in bytes.
const BLOCK_COST: usize = 128;

/// A message so far.
#[derive(Debug, Default)]
pub(super) struct Message {
    /// The message as it was begun, and what `message_delta` added. `None` before.
    head: Option<Members>,
    blocks: BTreeMap<u64, ContentBlock>,
    /// Why the model stopped has come.
    ended: bool,
    /// `message_stop` has come: what stands behind it is not part of the reply.
    done: bool,
    /// About how many bytes are held.
    pub(super) cost: usize,
}

/// A content block so far.
#[derive(Debug, Default)]
struct ContentBlock {
    members: Members,
    /// The text of its `input`, where that comes in pieces: JSON inside of JSON strings, with their escapes.
    input: String,
}

impl Message {
    pub(super) fn take(&mut self, event: &Event<'_>) -> Result<(), AssembleError> {
        if self.done {
            return Ok(());
        }
        let mut reader = object(event)?;
        let (mut kind, mut index, mut error) = (None, None, None);
        let mut rest = Members::default();
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "type" => kind = reader.string_or_skip()?,
                "index" => index = Node::read(&mut reader)?.number(),
                "error" => error = read_error(&mut reader)?,
                "message" | "content_block" | "delta" | "usage" => rest.read_member(key, &mut reader)?,
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        let kind = kind.map(Text::decoded);
        let kind = kind.as_deref().map_or(event.name, str::as_bytes);
        let index = index.ok_or(AssembleError::Missing("index"));
        match kind {
            b"message_start" => self.start(rest),
            b"content_block_start" => self.start_block(index?, rest),
            b"content_block_delta" => {
                let delta = part(&mut rest, "delta")?;
                self.cost += self.block(index?)?.grow(delta)?;
                Ok(())
            }
            b"content_block_stop" => self.block(index?).map(|_| ()),
            b"message_delta" => self.add(rest),
            b"message_stop" => {
                self.done = true;
                Ok(())
            }
            b"error" => {
                let error = error.unwrap_or_else(|| "an error without details".to_owned());
                Err(AssembleError::Failed(error))
            }
            // `ping`, and kinds of events that there will be (versioning policy of the API).
            _ => Ok(()),
        }
    }

    fn start(&mut self, mut event: Members) -> Result<(), AssembleError> {
        let message = part(&mut event, "message")?;
        self.cost += message.cost();
        match self.head.replace(message) {
            None => Ok(()),
            Some(_) => Err(AssembleError::Mixed),
        }
    }

    fn start_block(&mut self, index: u64, mut event: Members) -> Result<(), AssembleError> {
        let members = part(&mut event, "content_block")?;
        self.cost += BLOCK_COST + members.cost();
        let block = ContentBlock {
            members,
            input: String::new(),
        };
        match self.blocks.insert(index, block) {
            None => Ok(()),
            Some(_) => Err(AssembleError::Mixed),
        }
    }

    fn block(&mut self, index: u64) -> Result<&mut ContentBlock, AssembleError> {
        self.blocks.get_mut(&index).ok_or(AssembleError::Fragment)
    }

    /// The end of the message: figures are cumulative, everything else is said once.
    fn add(&mut self, mut event: Members) -> Result<(), AssembleError> {
        let head = self.head.as_mut().ok_or(AssembleError::Fragment)?;
        let delta = part(&mut event, "delta")?;
        self.ended |= delta.get("stop_reason").is_some_and(|reason| !reason.is_nothing());
        let before = head.cost();
        head.update(delta);
        if let Some(usage) = event.take("usage") {
            head.entry("usage").update(usage);
        }
        self.cost += head.cost().saturating_sub(before);
        Ok(())
    }

    pub(super) fn finish(self) -> Result<String, AssembleError> {
        let mut head = self
            .head
            .filter(|_| self.ended || self.done)
            .ok_or(AssembleError::Unfinished)?;
        let mut content = match head.take("content") {
            Some(Node::Array(content)) => content,
            _ => Vec::new(),
        };
        for block in self.blocks.into_values() {
            content.push(Node::Object(block.finish()?));
        }
        // Where the providers' own replies have it.
        let mut whole = Members::default();
        for (name, value) in head.into_iter() {
            if name == "stop_reason" && !whole.has("content") {
                whole.set("content", Node::Array(std::mem::take(&mut content)));
            }
            whole.set(&name, value);
        }
        if !whole.has("content") {
            whole.set("content", Node::Array(content));
        }
        let mut out = String::new();
        whole.write(&mut out);
        Ok(out)
    }
}

impl ContentBlock {
    /// Takes in a delta. Gives about how many more bytes are held.
    fn grow(&mut self, mut delta: Members) -> Result<usize, AssembleError> {
        let mut grown = 0;
        let kind = delta.take("type");
        if let Some(piece) = delta.take("partial_json") {
            let Node::Text(piece) = piece else {
                return Err(AssembleError::Mixed);
            };
            self.input.push_str(&piece);
            grown += piece.len();
        }
        if let Some(citation) = delta.take("citation") {
            grown += self.members.entry("citations").grow(Node::Array(vec![citation]))?;
        }
        if kind == Some(Node::plain("signature_delta"))
            && let Some(signature) = delta.take("signature")
        {
            // It comes whole.
            grown += signature.cost();
            self.members.set("signature", signature);
        }
        Ok(grown + self.members.grow(delta)?)
    }

    fn finish(mut self) -> Result<Members, AssembleError> {
        if self.input.is_empty() {
            return Ok(self.members);
        }
        let quoted = format!("\"{}\"", self.input);
        let text = Reader::new(quoted.as_bytes())?.string()?.decoded().into_owned();
        let is_whole = Reader::new(text.as_bytes())
            .and_then(|mut reader| reader.skip().and_then(|()| reader.end()))
            .is_ok();
        let input = if is_whole {
            text
        } else {
            // The model may stop, or err, inside of it. This is what Anthropic's guide to fine-grained tool streaming
            // says to make of it.
            let mut wrapped = String::from("{\"INVALID_JSON\":");
            write_string(&text, &mut wrapped);
            wrapped.push('}');
            wrapped
        };
        self.members.set("input", Node::Raw(input));
        Ok(self.members)
    }
}

/// The object `name` of an event.
fn part(event: &mut Members, name: &'static str) -> Result<Members, AssembleError> {
    match event.take(name) {
        Some(Node::Object(members)) => Ok(members),
        _ => Err(AssembleError::Missing(name)),
    }
}
