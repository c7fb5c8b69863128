//! The conditions of a policy as single clauses: the operands of the `&&`s that stand outermost in each `when` and `unless`.
//!
//! What a clause means is taken from Cedar's JSON form of the policy, so it is Cedar's own reading. How it is written, and
//! in which line, is taken from the text; where the two do not fit together, Cedar prints the clause instead.

use cedar_policy::{Policy, PolicyId};
use serde_json::{Value, json};

/// The longest clause that is shown whole, in characters.
const MAX_TEXT: usize = 300;

/// A `when` or an `unless`.
pub(super) struct Written {
    pub(super) when: bool,
    pub(super) clauses: Vec<Conjunct>,
}

/// One clause.
pub(super) struct Conjunct {
    /// As it is written, on one line, without comments.
    pub(super) text: String,
    /// How many lines below the policy's first one it begins.
    pub(super) line: u32,
    /// Cedar's JSON form.
    pub(super) body: Value,
}

impl Conjunct {
    /// The policy that permits everything if the clause holds.
    pub(super) fn alone(&self) -> Result<Policy, String> {
        alone(&self.body)
    }
}

fn alone(body: &Value) -> Result<Policy, String> {
    let policy = json!({
        "effect": "permit",
        "principal": { "op": "All" },
        "action": { "op": "All" },
        "resource": { "op": "All" },
        "conditions": [{ "kind": "when", "body": body }],
    });
    Policy::from_json(Some(PolicyId::new("clause")), policy).map_err(|error| error.to_string())
}

/// The conditions of a policy, in their order.
pub(super) fn of(policy: &Policy) -> Result<Vec<Written>, String> {
    let json = policy.to_json().map_err(|error| error.to_string())?;
    let conditions = json.get("conditions").and_then(Value::as_array);
    let conditions = conditions.map(Vec::as_slice).unwrap_or_default();
    let text = policy.to_cedar().unwrap_or_default();
    let significant = significant(&text);
    let blocks = blocks(&significant);
    let fit = blocks.len() == conditions.len();
    let blocks = blocks
        .into_iter()
        .map(Some)
        .filter(|_| fit)
        .chain(std::iter::repeat(None));
    let written = |(condition, block): (&Value, Option<&[Sign]>)| {
        let mut bodies = Vec::new();
        conjuncts(condition.get("body").unwrap_or(&Value::Null), &mut bodies);
        let mut pieces = Vec::new();
        split(block.unwrap_or_default(), &mut pieces);
        let fit = pieces.len() == bodies.len();
        let pieces = pieces
            .into_iter()
            .map(Some)
            .filter(|_| fit)
            .chain(std::iter::repeat(None));
        let clause = |(body, piece): (&Value, Option<&[Sign]>)| Conjunct {
            text: match piece {
                Some(piece) => shortened(&written_out(piece)),
                None => shortened(&printed(body)),
            },
            line: piece.or(block).map_or(0, |signs| line(&text, signs)),
            body: body.clone(),
        };
        Written {
            when: condition.get("kind").and_then(Value::as_str) != Some("unless"),
            clauses: bodies.into_iter().zip(pieces).map(clause).collect(),
        }
    };
    Ok(conditions.iter().zip(blocks).map(written).collect())
}

/// The operands of the outermost `&&`s of an expression.
fn conjuncts<'a>(body: &'a Value, found: &mut Vec<&'a Value>) {
    let operands = body.get("&&").and_then(|both| both.get("left").zip(both.get("right")));
    match operands {
        Some((left, right)) => {
            conjuncts(left, found);
            conjuncts(right, found);
        }
        None => found.push(body),
    }
}

/// A clause as Cedar prints it.
fn printed(body: &Value) -> String {
    let text = alone(body)
        .ok()
        .and_then(|policy| policy.to_cedar())
        .unwrap_or_default();
    let block = text.split_once("when {").and_then(|(_, rest)| rest.rsplit_once('}'));
    block.map_or_else(String::new, |(text, _)| {
        text.split_whitespace().collect::<Vec<_>>().join(" ")
    })
}

/// A part of a policy's text that is no comment.
#[derive(Clone, Copy, Debug)]
struct Sign<'a> {
    /// Where it begins.
    at: usize,
    what: What<'a>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What<'a> {
    /// White space, or a comment.
    Blank,
    /// A literal string with its quotes.
    Quoted(&'a str),
    /// A word or a number.
    Word(&'a str),
    /// Any other character.
    Mark(char),
}

impl What<'_> {
    /// How much deeper the text is nested behind it.
    fn deeper(self) -> i32 {
        match self {
            Self::Mark('(' | '[' | '{') => 1,
            Self::Mark(')' | ']' | '}') => -1,
            _ => 0,
        }
    }
}

/// The text in parts.
fn significant(text: &str) -> Vec<Sign<'_>> {
    let mut signs = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        let (what, length) = next(rest);
        signs.push(Sign { at, what });
        at += length;
    }
    signs
}

fn next(rest: &str) -> (What<'_>, usize) {
    let until = |end: Option<usize>| end.unwrap_or(rest.len());
    let first = rest.chars().next().unwrap_or(' ');
    if rest.starts_with("//") {
        return (What::Blank, until(rest.find('\n')));
    }
    if first.is_whitespace() {
        return (What::Blank, until(rest.find(|c: char| !c.is_whitespace())));
    }
    let in_word = |c: char| c.is_alphanumeric() || c == '_';
    if in_word(first) {
        let length = until(rest.find(|c| !in_word(c)));
        return (What::Word(rest.get(..length).unwrap_or_default()), length);
    }
    if first != '"' {
        return (What::Mark(first), first.len_utf8());
    }
    let mut escaped = false;
    let end = rest.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    let length = until(end.map(|(at, _)| at + 1));
    (What::Quoted(rest.get(..length).unwrap_or_default()), length)
}

/// What stands in the braces of each `when` and `unless`: nothing else of a policy has braces outermost.
fn blocks<'a, 't>(signs: &'a [Sign<'t>]) -> Vec<&'a [Sign<'t>]> {
    let (mut blocks, mut depth, mut start) = (Vec::new(), 0, None);
    for (nth, sign) in signs.iter().enumerate() {
        if depth == 0 && sign.what == What::Mark('{') {
            start = Some(nth + 1);
        }
        depth += sign.what.deeper();
        if depth == 0
            && sign.what == What::Mark('}')
            && let Some(block) = start.take().and_then(|start| signs.get(start..nth))
        {
            blocks.push(block);
        }
    }
    blocks
}

/// The operands of the outermost `&&`s, also within parentheses around a whole operand.
fn split<'a, 't>(signs: &'a [Sign<'t>], pieces: &mut Vec<&'a [Sign<'t>]>) {
    let signs = trimmed(signs);
    if let Some(inner) = unwrapped(signs) {
        return split(inner, pieces);
    }
    let whole = signs.first().is_some_and(|sign| sign.what == What::Word("if"));
    let (mut cuts, mut depth, mut either) = (Vec::new(), 0, whole);
    for (nth, pair) in signs.windows(2).enumerate() {
        let [first, second] = pair else { continue };
        depth += first.what.deeper();
        let twice = |c| depth == 0 && first.what == What::Mark(c) && second.what == What::Mark(c);
        either |= twice('|');
        if twice('&') {
            cuts.push(nth);
        }
    }
    if either || cuts.is_empty() {
        if !signs.is_empty() {
            pieces.push(signs);
        }
        return;
    }
    let mut start = 0;
    for cut in cuts {
        split(signs.get(start..cut).unwrap_or_default(), pieces);
        start = cut + 2;
    }
    split(signs.get(start..).unwrap_or_default(), pieces);
}

fn trimmed<'a, 't>(mut signs: &'a [Sign<'t>]) -> &'a [Sign<'t>] {
    while let [first, rest @ ..] = signs
        && first.what == What::Blank
    {
        signs = rest;
    }
    while let [rest @ .., last] = signs
        && last.what == What::Blank
    {
        signs = rest;
    }
    signs
}

/// What stands in parentheses that enclose all of it.
fn unwrapped<'a, 't>(signs: &'a [Sign<'t>]) -> Option<&'a [Sign<'t>]> {
    let [first, inner @ .., last] = signs else { return None };
    if first.what != What::Mark('(') || last.what != What::Mark(')') {
        return None;
    }
    let mut depth = 1;
    for sign in inner {
        depth += sign.what.deeper();
        if depth == 0 {
            return None;
        }
    }
    Some(inner)
}

fn written_out(signs: &[Sign<'_>]) -> String {
    let mut text = String::new();
    for sign in signs {
        match sign.what {
            What::Blank if text.ends_with(' ') => {}
            What::Blank => text.push(' '),
            What::Quoted(part) | What::Word(part) => text.push_str(part),
            What::Mark(mark) => text.push(mark),
        }
    }
    text
}

fn line(text: &str, signs: &[Sign<'_>]) -> u32 {
    let at = trimmed(signs).first().map_or(0, |sign| sign.at);
    let lines = text.get(..at).unwrap_or_default().matches('\n').count();
    u32::try_from(lines).unwrap_or(u32::MAX)
}

/// No more than a few lines of it.
pub(super) fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}...", text.get(..end).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clauses_as_they_are_written() {
        for (conditions, expected) in [
            ("", ""),
            ("when { context.a }", "when 0:context.a"),
            ("when { context.a && context.b }", "when 0:context.a 0:context.b"),
            (
                "when {\n  // One && two.\n  context.a\n  && (context.b\n && !context.c) };",
                "when 2:context.a 3:context.b 4:!context.c",
            ),
            (
                "when { context.a || context.b && context.c }",
                "when 0:context.a || context.b && context.c",
            ),
            (
                "when { (context.a || context.b) && context.c }",
                "when 0:context.a || context.b 0:context.c",
            ),
            (
                "when { if context.a then context.b else context.c && context.d }",
                "when 0:if context.a then context.b else context.c && context.d",
            ),
            (
                r#"when { context.n == "a && \"b" && [1, 2].contains(context.l) }"#,
                r#"when 0:context.n == "a && \"b" 0:[1, 2].contains(context.l)"#,
            ),
            (
                "unless { context has x.y && (context.a) && ((context.b)) } when { {a: {b: 1}}.a.b == 1 }",
                "unless 0:context has x.y 0:context.a 0:context.b when 0:{a: {b: 1}}.a.b == 1",
            ),
        ] {
            let policy = format!(
                "@id(\"p{{\") permit (principal, action, resource) {}",
                conditions.trim_end_matches(';')
            );
            let policy = Policy::parse(None, format!("{policy};")).unwrap();
            let mut found = Vec::new();
            for written in of(&policy).unwrap() {
                found.push(if written.when { "when" } else { "unless" }.to_owned());
                for clause in written.clauses {
                    clause.alone().unwrap();
                    found.push(format!("{}:{}", clause.line, clause.text));
                }
            }
            assert_eq!(found.join(" "), expected, "{conditions}");
        }
    }

    #[test]
    fn without_its_text_cedar_prints_the_clause() {
        let policy = "permit (principal, action, resource) when { context.a && context.b > 1 };";
        let json = Policy::parse(None, policy).unwrap().to_json().unwrap();
        let clauses = of(&Policy::from_json(None, json).unwrap()).unwrap();
        let texts: Vec<_> = clauses[0].clauses.iter().map(|clause| clause.text.as_str()).collect();
        assert_eq!(texts.len(), 2);
        assert!(
            texts[0].contains("context") && texts[1].contains("context.b"),
            "{texts:?}"
        );
    }
}
