//! The one whose policy says no: for hard cases it asks for a larger model than compliance approved for customers' data,
//! is refused, and goes on with the approved one.

use serde_json::json;

use super::{CLAUDE, expect};
use crate::demo::{
    caller::{Answer, Ask, Caller, Manner},
    event::{State, Tone},
    reply::Dialect,
};

/// The model it would rather have.
pub(crate) const FORBIDDEN: &str = "claude-opus-5";

/// The flagged accounts, and whether it thinks that one needs the larger model.
const CASES: [(&str, bool); 8] = [
    ("A-1041", false),
    ("A-2210", true),
    ("A-0337", false),
    ("A-9002", false),
    ("A-4518", true),
    ("A-7760", false),
    ("A-1189", true),
    ("A-5093", false),
];

const SYSTEM: &str = "You look at transactions of accounts that a rule has flagged. Say whether the pattern looks like \
                      fraud, how sure you are, and which three transactions show it best. Name no person.";

pub(super) async fn work(caller: &Caller) -> anyhow::Result<()> {
    for (nth, (account, hard)) in CASES.into_iter().enumerate() {
        let place = format!("case {}/{}", nth + 1, CASES.len());
        caller.doing(State::Working, format!("{place}: {account}"));
        let wanted = if hard { FORBIDDEN } else { CLAUDE };
        let answer = caller.call(&ask(wanted, account), |_| {}).await?;
        let reply = match answer {
            Answer::Refused {
                status,
                reason,
                message,
            } if hard => {
                caller.note(Tone::Bad, format!("{wanted}: {status} {reason}. {message}"));
                caller.doing(State::Working, format!("{place}: falls back"));
                caller.pause(160).await;
                expect(caller.call(&ask(CLAUDE, account), |_| {}).await?)?
            }
            answer => expect(answer)?,
        };
        caller.note(
            Tone::Good,
            format!("{account} judged in {} words, with {CLAUDE}", reply.words()),
        );
        caller.pause(150).await;
    }
    caller.doing(State::Done, format!("judged all {} cases", CASES.len()));
    Ok(())
}

fn ask(model: &str, account: &str) -> Ask {
    let transactions: Vec<String> = (1..=12_u64)
        .map(|nth| {
            format!(
                "2026-03-{nth:02} {account} card {:>7}.00 EUR merchant {}",
                nth * 137 % 911,
                4_000 + nth * 7
            )
        })
        .collect();
    let transactions = transactions.join("\n");
    Ask {
        dialect: Dialect::Anthropic,
        body: json!({
            "model": model, "max_tokens": 400, "system": SYSTEM,
            "messages": [{"role": "user", "content": transactions}]
        }),
        task: "fraud-case",
        manner: Manner {
            latency: 520,
            chunk_delay: 0,
            output: 85,
        },
    }
}
