//! The one with a person behind it: it streams answers to tickets through Anthropic's dialect.

use serde_json::json;

use super::{CLAUDE, expect};
use crate::demo::{
    caller::{Ask, Caller, Manner},
    event::{State, Tone},
    reply::Dialect,
};

/// Tickets, and how long their answers get.
const TICKETS: [(&str, u64); 7] = [
    ("Where is my parcel?", 66),
    ("The invoice shows the wrong address.", 74),
    ("How do I add a colleague to our account?", 88),
    ("My export stops at 10,000 rows.", 92),
    ("Can I pay once a year?", 58),
    ("The mobile app signs me out every hour.", 81),
    ("Please delete my data.", 70),
];

const SYSTEM: &str = "You answer support tickets for a web shop. Be brief and kind, name the next step first, and never \
                      promise a refund. If you are not sure, say who will be.";

pub(super) async fn work(caller: &Caller) -> anyhow::Result<()> {
    for (nth, (ticket, output)) in TICKETS.into_iter().enumerate() {
        let place = format!("ticket {}/{}", nth + 1, TICKETS.len());
        caller.doing(State::Working, place.as_str());
        let ask = Ask {
            dialect: Dialect::Anthropic,
            body: json!({
                "model": CLAUDE, "max_tokens": 300, "system": SYSTEM, "stream": true,
                "messages": [{"role": "user", "content": ticket}]
            }),
            task: "support-ticket",
            manner: Manner {
                latency: 180,
                chunk_delay: 8,
                output,
            },
        };
        let told = |words: u64| caller.doing(State::Working, format!("{place}, {words} words"));
        let reply = expect(caller.call(&ask, |reply| told(reply.words())).await?)?;
        caller.note(
            Tone::Good,
            format!("\"{ticket}\" answered in {} streamed words", reply.words()),
        );
        caller.pause(140).await;
    }
    caller.doing(State::Done, format!("answered {} tickets", TICKETS.len()));
    Ok(())
}
