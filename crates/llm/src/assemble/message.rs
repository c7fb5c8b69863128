//! Anthropic's messages: a message that is begun, blocks that grow, and what is known at the end.

use std::collections::BTreeMap;

use crate::json::{Reader, Text};
use crate::reply::read_error;
use crate::sse::Event;

use super::budget::Budget;
use super::members::{Members, write_string};
use super::tree::{Items, Node};
use super::{AssembleError, object};

/// What a block takes in memory beside what it says, in bytes.
const BLOCK_COST: usize = 256;

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
}

/// A content block so far.
#[derive(Debug, Default)]
struct ContentBlock {
    members: Members,
    /// The text of its `input`, where that comes in pieces: JSON inside of JSON strings, with their escapes.
    input: String,
}

impl Message {
    pub(super) fn take(&mut self, event: &Event<'_>, budget: &mut Budget) -> Result<(), AssembleError> {
        if self.done {
            return Ok(());
        }
        let mut reader = object(event)?;
        let (mut kind, mut index, mut error) = (None, None, None);
        let mut rest = Members::default();
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "type" => kind = reader.string_or_skip()?,
                "index" => index = reader.raw()?.parse().ok(),
                "error" => error = read_error(&mut reader)?,
                "message" | "content_block" | "delta" | "usage" => rest.read_member(key, &mut reader, budget)?,
                _ => reader.skip()?,
            }
        }
        reader.end()?;
        let kind = kind.map(Text::decoded);
        let kind = kind.as_deref().map_or(event.name, str::as_bytes);
        let index = index.ok_or(AssembleError::Missing("index"));
        match kind {
            b"message_start" => self.start(&mut rest, budget)?,
            b"content_block_start" => self.start_block(index?, &mut rest, budget)?,
            b"content_block_delta" => {
                let delta = part(&mut rest, "delta", budget)?;
                self.block(index?)?.grow(delta, budget)?;
            }
            b"content_block_stop" => drop(self.block(index?)?),
            b"message_delta" => self.add(&mut rest, budget)?,
            b"message_stop" => self.done = true,
            b"error" => {
                let error = error.unwrap_or_else(|| "an error without details".to_owned());
                return Err(AssembleError::Failed(error));
            }
            // `ping`, and kinds of events that there will be (versioning policy of the API).
            _ => {}
        }
        budget.free(rest.cost());
        Ok(())
    }

    fn start(&mut self, event: &mut Members, budget: &mut Budget) -> Result<(), AssembleError> {
        let message = part(event, "message", budget)?;
        match self.head.replace(message) {
            None => Ok(()),
            Some(_) => Err(AssembleError::Mixed),
        }
    }

    fn start_block(&mut self, index: u64, event: &mut Members, budget: &mut Budget) -> Result<(), AssembleError> {
        let members = part(event, "content_block", budget)?;
        budget.charge(BLOCK_COST)?;
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
    fn add(&mut self, event: &mut Members, budget: &mut Budget) -> Result<(), AssembleError> {
        let head = self.head.as_mut().ok_or(AssembleError::Fragment)?;
        let delta = part(event, "delta", budget)?;
        self.ended |= delta.get("stop_reason").is_some_and(|reason| !reason.is_nothing());
        head.update(delta, budget)?;
        match event.take("usage") {
            Some(usage) => head.update_member("usage", usage, budget),
            None => Ok(()),
        }
    }

    /// What should be charged for, counted anew.
    #[cfg(test)]
    pub(super) fn cost(&self) -> usize {
        let block = |block: &ContentBlock| BLOCK_COST + block.members.cost() + block.input.len();
        self.head.as_ref().map_or(0, Members::cost) + self.blocks.values().map(block).sum::<usize>()
    }

    pub(super) fn finish(self) -> Result<String, AssembleError> {
        let mut head = self
            .head
            .filter(|_| self.ended || self.done)
            .ok_or(AssembleError::Unfinished)?;
        let mut content = match head.take("content") {
            Some(Node::Array(content)) => content,
            _ => Items::default(),
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
    /// Takes in a delta.
    fn grow(&mut self, mut delta: Members, budget: &mut Budget) -> Result<(), AssembleError> {
        let kind = delta.take("type");
        if let Some(piece) = delta.take("partial_json") {
            let Node::Text(text) = &piece else {
                return Err(AssembleError::Mixed);
            };
            budget.charge(text.len())?;
            self.input.push_str(text);
            budget.free(Members::cost_of("partial_json", &piece));
        }
        if let Some(citation) = delta.take("citation") {
            budget.free(Members::cost_of("citation", &citation));
            let citations = Node::list(citation);
            budget.charge(Members::cost_of("citations", &citations))?;
            self.members.grow_member("citations", citations, budget)?;
        }
        if kind == Some(Node::plain("signature_delta"))
            && let Some(signature) = delta.take("signature")
        {
            // It comes whole.
            self.members.replace_member("signature", signature, budget)?;
        }
        if let Some(kind) = kind {
            budget.free(Members::cost_of("type", &kind));
        }
        self.members.grow(delta, budget)
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

/// The object `name` of an event, for whose members alone is charged then.
fn part(event: &mut Members, name: &'static str, budget: &mut Budget) -> Result<Members, AssembleError> {
    match event.take(name) {
        Some(Node::Object(members)) => {
            budget.free(Members::cost_of(name, &Node::Object(Members::default())));
            Ok(members)
        }
        _ => Err(AssembleError::Missing(name)),
    }
}
