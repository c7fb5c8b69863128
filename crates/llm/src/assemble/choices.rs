//! Chat completions and the older text completions: chunks, each with pieces of some choices.

use std::collections::{BTreeMap, btree_map::Entry};

use crate::json::Reader;
use crate::reply::read_error;
use crate::sse::Event;

use super::budget::Budget;
use super::members::{Members, write_string};
use super::tree::Node;
use super::{AssembleError, object};

/// What a choice takes in memory beside what it says, in bytes.
const CHOICE_COST: usize = 256;

/// A reply so far.
#[derive(Debug)]
pub(super) struct Choices {
    chat: bool,
    /// `[DONE]` has come: what stands behind it is not part of the reply.
    done: bool,
    /// What chunks say beside their choices.
    head: Members,
    choices: BTreeMap<u64, Choice>,
}

/// A choice so far.
#[derive(Debug, Default)]
struct Choice {
    /// Its deltas.
    message: Members,
    /// What stands beside them.
    rest: Members,
}

impl Choices {
    /// Of chat completions.
    pub(super) fn chat() -> Self {
        Self {
            chat: true,
            done: false,
            head: Members::default(),
            choices: BTreeMap::new(),
        }
    }

    /// Of text completions.
    pub(super) fn text() -> Self {
        Self {
            chat: false,
            ..Self::chat()
        }
    }

    pub(super) fn take(&mut self, event: &Event<'_>, budget: &mut Budget) -> Result<(), AssembleError> {
        self.done |= event.data.trim_ascii_start().starts_with(b"[DONE]");
        if self.done {
            return Ok(());
        }
        let mut reader = object(event)?;
        let mut head = Members::default();
        while let Some(key) = reader.key()? {
            match &*key.decoded() {
                "choices" => self.read_choices(&mut reader, budget)?,
                "error" => {
                    if let Some(error) = read_error(&mut reader)? {
                        return Err(AssembleError::Failed(error));
                    }
                }
                _ => head.read_member(key, &mut reader, budget)?,
            }
        }
        reader.end()?;
        // Azure's first and last chunks, which tell of filters, were created at 0.
        if head.get("created").and_then(Node::number) == Some(0) && self.head.has("created") {
            let created = head.take("created");
            budget.free(created.map_or(0, |created| Members::cost_of("created", &created)));
        }
        self.head.update(head, budget)
    }

    fn read_choices(&mut self, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<(), AssembleError> {
        if !reader.array_or_skip()? {
            return Ok(());
        }
        while reader.element()? {
            if !reader.object_or_skip()? {
                return Err(AssembleError::Missing("choice"));
            }
            self.read_choice(reader, budget)?;
        }
        Ok(())
    }

    /// Reads the rest of a choice, whose object has been begun.
    fn read_choice(&mut self, reader: &mut Reader<'_>, budget: &mut Budget) -> Result<(), AssembleError> {
        let mut piece = Members::default();
        while let Some(key) = reader.key()? {
            piece.read_member(key, reader, budget)?;
        }
        let index = match piece.take("index") {
            Some(index) => {
                budget.free(Members::cost_of("index", &index));
                index.number().ok_or(AssembleError::Missing("index"))?
            }
            None => 0,
        };
        let choice = match self.choices.entry(index) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                budget.charge(CHOICE_COST)?;
                place.insert(Choice::default())
            }
        };
        for (name, value) in piece.into_iter() {
            match name.as_str() {
                "delta" if self.chat => match value {
                    Node::Object(delta) => {
                        budget.free(Members::cost_of(&name, &Node::Object(Members::default())));
                        choice.message.grow(delta, budget)?;
                    }
                    value if value.is_nothing() => budget.free(Members::cost_of(&name, &value)),
                    _ => return Err(AssembleError::Missing("delta")),
                },
                // Some servers repeat the whole message at the end.
                "message" if self.chat => budget.free(Members::cost_of(&name, &value)),
                "text" | "logprobs" => choice.rest.grow_member(&name, value, budget)?,
                _ => choice.rest.update_member(&name, value, budget)?,
            }
        }
        Ok(())
    }

    /// What should be charged for, counted anew.
    #[cfg(test)]
    pub(super) fn cost(&self) -> usize {
        let choice = |choice: &Choice| CHOICE_COST + choice.message.cost() + choice.rest.cost();
        self.head.cost() + self.choices.values().map(choice).sum::<usize>()
    }

    pub(super) fn finish(mut self) -> Result<String, AssembleError> {
        let ended = |choice: &Choice| {
            choice
                .rest
                .get("finish_reason")
                .is_some_and(|reason| !reason.is_nothing())
        };
        if self.choices.is_empty() || !self.choices.values().all(ended) {
            return Err(AssembleError::Unfinished);
        }
        if self.chat {
            self.head.set("object", Node::plain("chat.completion"));
        }
        self.find_usage();
        let mut out = String::from("{");
        for (name, value) in self.head.into_iter() {
            write_string(&name, &mut out);
            out.push(':');
            value.write(&mut out);
            out.push(',');
        }
        out.push_str("\"choices\":[");
        for (number, (index, choice)) in self.choices.into_iter().enumerate() {
            if number > 0 {
                out.push(',');
            }
            choice.write(index, self.chat, &mut out)?;
        }
        out.push_str("]}");
        Ok(out)
    }

    /// Groq's streams tell their usage inside of `x_groq` where it was not asked for beside.
    fn find_usage(&mut self) {
        if self.head.get("usage").is_some_and(|usage| !usage.is_nothing()) {
            return;
        }
        let vendor = self.head.get("x_groq").and_then(Node::members);
        match vendor.and_then(|vendor| vendor.get("usage")).cloned() {
            Some(usage) => self.head.set("usage", usage),
            // It is null in every chunk but the one that did not come; a whole reply without figures has none.
            None => drop(self.head.take("usage")),
        }
    }
}

impl Choice {
    fn write(mut self, index: u64, chat: bool, out: &mut String) -> Result<(), AssembleError> {
        // Everything is there already and only moves.
        let mut budget = Budget::boundless();
        let mut whole = Members::default();
        if chat {
            let mut message = Members::default();
            message.set("role", Node::plain("assistant"));
            message.set("content", Node::null());
            message.update(self.message, &mut budget)?;
            message.order("tool_calls");
            whole.set("index", Node::Raw(index.to_string()));
            whole.set("message", Node::Object(message));
        } else {
            whole.set("text", self.rest.take("text").unwrap_or_else(|| Node::plain("")));
            whole.set("index", Node::Raw(index.to_string()));
        }
        whole.update(self.rest, &mut budget)?;
        whole.write(out);
        Ok(())
    }
}
