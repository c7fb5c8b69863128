//! The answer to a request, before it is written in a dialect: what it says, why it ends and what it costs.

use crate::{
    calls::Billed, ids::Ids, prose, refusal::Dialect, request::Ask, script::Script, tools::ToolCall, wire::Wire,
};

/// Characters of a tool's arguments that one event of a stream carries.
const FRAGMENT_BYTES: u64 = 8;

/// An answer.
#[derive(Debug)]
pub(crate) struct Completion {
    pub(crate) wire: Wire,
    pub(crate) id: String,
    pub(crate) ids: Ids,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) model: String,
    pub(crate) choices: u64,
    pub(crate) content: Content,
    pub(crate) finish: Finish,
    /// The output limit of the request.
    pub(crate) limit: Option<u64>,
    /// What the whole answer costs, and what it reports unless usage is omitted.
    pub(crate) billed: Billed,
    pub(crate) report_usage: bool,
    /// OpenAI only: the stream has a chunk of usage.
    pub(crate) include_usage: bool,
    /// The script gives the output billed, whatever is produced.
    fixed_output: bool,
    /// Output tokens of one choice that the client never sees.
    reasoning: u64,
}

/// What each choice says.
#[derive(Debug)]
pub(crate) enum Content {
    Text(Text),
    Tool(Fragments),
}

/// Prose, and how a stream cuts it into deltas.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Text {
    pub(crate) tokens: u64,
    pub(crate) bytes: usize,
    split: Split,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Split {
    /// So many deltas of about the same number of tokens.
    Tokens(u64),
    /// Deltas of so many bytes, the last one shorter.
    Bytes(usize),
}

/// A tool call, and how a stream cuts its arguments into fragments.
#[derive(Debug)]
pub(crate) struct Fragments {
    pub(crate) call: ToolCall,
    tokens: u64,
    bytes: usize,
}

/// Why a choice ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Finish {
    Stop,
    Length,
    Tool,
}

/// The facts of the moment that an answer carries.
pub(crate) struct Moment {
    pub(crate) ids: Ids,
    /// Seconds since 1970.
    pub(crate) created: u64,
    /// The length of an answer that nothing else determines.
    pub(crate) output_tokens: u64,
}

impl Completion {
    /// Plans the answer to a request under its script.
    pub(crate) fn plan(ask: &Ask<'_>, script: &Script, moment: &Moment) -> Self {
        let limit = if script.output.is_some() {
            u64::MAX
        } else {
            ask.limit.unwrap_or(u64::MAX)
        };
        let reasoning = script.reasoning.unwrap_or(0).min(limit);
        let limit = limit - reasoning;
        let (content, finish, tokens) = match &ask.tool {
            Some(call) => {
                let fragments = Fragments::plan(call.clone(), script, limit);
                let tokens = fragments.tokens;
                (Content::Tool(fragments), Finish::Tool, tokens)
            }
            None => {
                let (text, finish) = Text::plan(script, moment.output_tokens, limit);
                (Content::Text(text), finish, text.tokens)
            }
        };
        let (prefix, length) = ask.wire.id();
        let produced = tokens.saturating_add(reasoning).saturating_mul(ask.choices);
        let output = script.usage_output.unwrap_or(produced);
        let mut billed = input(ask.wire.dialect(), ask.input_tokens, script);
        billed.output = output;
        billed.reasoning = reasoning.saturating_mul(ask.choices).min(output);
        Self {
            wire: ask.wire,
            id: moment.ids.id(prefix, length, 0),
            ids: moment.ids,
            created: moment.created,
            model: script.model.clone().unwrap_or_else(|| ask.model.clone().into_owned()),
            choices: ask.choices,
            content,
            finish,
            limit: ask.limit,
            billed,
            report_usage: !script.omit_usage,
            include_usage: ask.include_usage,
            fixed_output: script.usage_output.is_some(),
            reasoning,
        }
    }

    /// What has been produced, and so is billed, once a stream has carried `deltas` deltas of all choices together.
    pub(crate) fn billed_after(&self, deltas: u64) -> Billed {
        if self.fixed_output {
            return self.billed;
        }
        let choices = self.choices.max(1);
        let (rounds, ahead) = (deltas / choices, deltas % choices);
        let seen = self.content.tokens_in(rounds).saturating_mul(choices - ahead)
            + self.content.tokens_in(rounds + 1).saturating_mul(ahead);
        let output = seen.saturating_add(self.reasoning.saturating_mul(choices));
        Billed {
            output: output.min(self.billed.output),
            ..self.billed
        }
    }

    /// About how many bytes the answer has as one JSON document.
    pub(crate) fn size_hint(&self) -> usize {
        let content = match &self.content {
            Content::Text(text) => text.bytes,
            Content::Tool(fragments) => 2 * fragments.call.arguments.len() + fragments.call.name.len(),
        };
        let choices = usize::try_from(self.choices).unwrap_or(1);
        (content + 160)
            .saturating_mul(choices)
            .saturating_add(700 + self.model.len())
    }
}

/// The input side of the bill. Cached tokens are part of the input, so there are never more of them.
pub(crate) fn input(dialect: Dialect, tokens: u64, script: &Script) -> Billed {
    let mut left = script.usage_input.unwrap_or(tokens);
    let mut take = |wanted: Option<u64>| {
        let taken = wanted.unwrap_or(0).min(left);
        left -= taken;
        taken
    };
    let cache_read = take(script.cached);
    let cache_write = take(script.cache_write);
    let cache_write_1h = match dialect {
        Dialect::OpenAi => 0,
        Dialect::Anthropic => take(script.cache_write_1h),
    };
    Billed {
        input: left,
        cache_read,
        cache_write,
        cache_write_1h,
        ..Billed::default()
    }
}

impl Content {
    /// How many deltas a stream needs for one choice.
    pub(crate) fn deltas(&self) -> u64 {
        match self {
            Self::Text(text) => text.deltas(),
            Self::Tool(fragments) => fragments.deltas(),
        }
    }

    /// How many tokens the first `deltas` deltas of one choice hold.
    fn tokens_in(&self, deltas: u64) -> u64 {
        match self {
            Self::Text(text) if deltas >= text.deltas() => text.tokens,
            Self::Text(text) => match text.split {
                Split::Tokens(parts) => share(text.tokens, deltas, parts),
                Split::Bytes(_) => prose::tokens(text.end(deltas)).min(text.tokens),
            },
            Self::Tool(fragments) => share(fragments.tokens, deltas, fragments.deltas()),
        }
    }
}

/// The part of `whole` that the first `count` of `parts` parts have.
fn share(whole: u64, count: u64, parts: u64) -> u64 {
    let product = u128::from(whole) * u128::from(count.min(parts));
    u64::try_from(product / u128::from(parts.max(1))).unwrap_or(u64::MAX)
}

impl Text {
    fn plan(script: &Script, usual: u64, limit: u64) -> (Self, Finish) {
        let per_delta = script.bytes.and_then(|bytes| usize::try_from(bytes).ok());
        // With both words and no `output`, the text is exactly so many deltas of so many bytes.
        let exact = match (script.output, script.events, per_delta) {
            (None, Some(events), Some(bytes)) => {
                usize::try_from(events).ok().map(|events| events.saturating_mul(bytes))
            }
            _ => None,
        };
        let wanted = script
            .output
            .or(exact.map(prose::tokens))
            .or(script.events)
            .unwrap_or(usual);
        let tokens = wanted.min(limit);
        let finish = if wanted > limit { Finish::Length } else { Finish::Stop };
        let whole = prose::length(tokens);
        let bytes = exact.filter(|_| finish == Finish::Stop).unwrap_or(whole);
        let split = match per_delta {
            Some(bytes) => Split::Bytes(bytes),
            None => Split::Tokens(script.events.unwrap_or(tokens).min(tokens)),
        };
        (Self { tokens, bytes, split }, finish)
    }

    fn deltas(&self) -> u64 {
        match self.split {
            Split::Tokens(parts) => parts,
            Split::Bytes(size) => u64::try_from(self.bytes.div_ceil(size.max(1))).unwrap_or(u64::MAX),
        }
    }

    /// Where in the text the first `deltas` deltas end.
    fn end(&self, deltas: u64) -> usize {
        match self.split {
            Split::Tokens(parts) => prose::length(share(self.tokens, deltas, parts)).min(self.bytes),
            Split::Bytes(size) => usize::try_from(deltas)
                .map_or(self.bytes, |n| n.saturating_mul(size))
                .min(self.bytes),
        }
    }

    /// The range of the text that delta `index` carries.
    pub(crate) fn delta(&self, index: u64) -> (usize, usize) {
        (self.end(index), self.end(index + 1))
    }
}

impl Fragments {
    fn plan(call: ToolCall, script: &Script, limit: u64) -> Self {
        let written = u64::try_from(call.name.len() + call.arguments.len()).unwrap_or(u64::MAX);
        let tokens = script.output.unwrap_or((8 + written / 4).min(limit));
        let bytes = usize::try_from(script.bytes.unwrap_or(FRAGMENT_BYTES))
            .unwrap_or(usize::MAX)
            .max(1);
        Self { call, tokens, bytes }
    }

    fn deltas(&self) -> u64 {
        u64::try_from(self.call.arguments.len().div_ceil(self.bytes)).unwrap_or(u64::MAX)
    }

    /// The part of the arguments that delta `index` carries.
    pub(crate) fn delta(&self, index: u64) -> &str {
        let arguments = &self.call.arguments;
        let end = |deltas: u64| {
            let at = usize::try_from(deltas).map_or(usize::MAX, |n| n.saturating_mul(self.bytes));
            arguments.floor_char_boundary(at)
        };
        arguments.get(end(index)..end(index + 1)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks the text of a script under a limit: its tokens, its deltas, and why it ends.
    fn check(script: &str, limit: u64, expected: (u64, u64, Finish)) {
        let (text, finish) = Text::plan(&script.parse().unwrap(), 40, limit);
        assert_eq!((text.tokens, text.deltas(), finish), expected, "{script} under {limit}");
        let content = Content::Text(text);
        let mut at = 0;
        for index in 0..text.deltas() {
            let (start, end) = text.delta(index);
            assert!(start == at && end > start, "{script}: delta {index} is {start}..{end}");
            assert!(content.tokens_in(index) <= content.tokens_in(index + 1));
            at = end;
        }
        assert_eq!(at, text.bytes);
        assert_eq!(content.tokens_in(text.deltas()), text.tokens);
        assert_eq!(content.tokens_in(0), 0);
    }

    #[test]
    fn the_text_is_as_long_as_limit_and_script_say() {
        use Finish::{Length, Stop};
        let all = u64::MAX;
        check("", all, (40, 40, Stop));
        check("", 40, (40, 40, Stop));
        check("", 39, (39, 39, Length));
        check("", 0, (0, 0, Length));
        check("output=0", all, (0, 0, Stop));
        check("output=500", all, (500, 500, Stop));
        check("output=500; events=7", all, (500, 7, Stop));
        check("events=7", all, (7, 7, Stop));
        check("events=7", 3, (3, 3, Length));
        let exact = prose::tokens(5000);
        check("bytes=1000; events=5", all, (exact, 5, Stop));
        check("bytes=1000; events=5", 10, (10, 1, Length));
        check("bytes=1", all, (40, u64::try_from(prose::length(40)).unwrap(), Stop));
    }

    #[test]
    fn fragments_are_the_arguments() {
        let arguments = r#"{"stadt":"Zürich","übung":"日本語のテキスト"}"#;
        for bytes in 3..20 {
            let call = ToolCall {
                name: "f".to_owned(),
                arguments: arguments.to_owned(),
            };
            let script = format!("bytes={bytes}").parse().unwrap();
            let fragments = Fragments::plan(call, &script, u64::MAX);
            let whole: String = (0..fragments.deltas()).map(|index| fragments.delta(index)).collect();
            assert_eq!(whole, arguments);
        }
    }
}
