//! The runaway: it audits a few pages as it should, then four crawlers retry one that never gets better. Each retry
//! carries everything said before, so each costs more than the last. It does not heed the refusals either; in the end
//! it is its budget that makes it harmless, not its good sense.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::try_join_all;
use serde_json::{Value, json};

use super::{GPT, expect};
use crate::demo::{
    caller::{Answer, Ask, Caller, Manner},
    event::{State, Tone},
    reply::Dialect,
};

const PAGES: [&str; 4] = ["/", "/pricing", "/docs", "/contact"];
const STUCK: &str = "/checkout";
const CRAWLERS: u64 = 4;
/// After so many refusals in a row a crawler crashes, as real ones do sooner or later.
const REFUSALS: u64 = 10;
/// It would end without a budget, too: this is a demo.
const RETRIES_MAX: u64 = 400;

const SYSTEM: &str = "You audit client web sites. Read the page below and list what is broken, with one fix for each \
                      finding. If the page does not load, ask for it again.";

pub(super) async fn work(caller: &Caller) -> anyhow::Result<()> {
    for page in PAGES {
        caller.doing(State::Working, format!("audits {page}"));
        let messages = opening(page);
        let manner = Manner {
            latency: 260,
            chunk_delay: 0,
            output: 72,
        };
        expect(caller.call(&ask(&messages, manner), |_| {}).await?)?;
        caller.note(Tone::Good, format!("{page} audited"));
        caller.pause(110).await;
    }
    caller.note(
        Tone::Warn,
        format!("{STUCK} answers 500: {CRAWLERS} crawlers retry, and retry, and retry"),
    );
    caller.doing(State::Working, format!("loops on {STUCK}"));
    let told = AtomicBool::new(false);
    let crawlers = (1..=CRAWLERS).map(|crawler| retry(caller, crawler, &told));
    let stopped: u64 = try_join_all(crawlers).await?.into_iter().sum();
    if stopped == 0 {
        anyhow::bail!("nothing stopped the loop");
    }
    caller.doing(State::Stopped, "stopped by budget");
    Ok(())
}

/// Retries until it is refused for good; how often it was refused. The first refusal of all crawlers is told.
async fn retry(caller: &Caller, crawler: u64, told: &AtomicBool) -> anyhow::Result<u64> {
    let mut messages = opening(STUCK);
    let (mut refused, mut in_a_row) = (0, 0);
    // They do not march in step.
    caller.pause(crawler * 17).await;
    for _ in 0..RETRIES_MAX {
        let manner = Manner {
            latency: 30 + crawler * 3,
            chunk_delay: 0,
            output: 60,
        };
        match caller.call(&ask(&messages, manner), |_| {}).await? {
            Answer::Reply(reply) => {
                in_a_row = 0;
                messages.push(json!({"role": "assistant", "content": reply.text}));
                messages.push(json!({"role": "user", "content": "It still answers 500. Try again."}));
                caller.pause(48).await;
            }
            Answer::Refused {
                status,
                reason,
                message,
            } => {
                if !told.swap(true, Ordering::Relaxed) {
                    caller.doing(State::Stopped, "refused, loops on");
                    caller.note(Tone::Bad, format!("{status} {reason}: {message}"));
                }
                refused += 1;
                in_a_row += 1;
                if in_a_row == REFUSALS {
                    return Ok(refused);
                }
                caller.pause(190).await;
            }
            Answer::Failed(error) => anyhow::bail!("the provider failed: {error}"),
        }
    }
    Ok(refused)
}

fn opening(page: &str) -> Vec<Value> {
    let html = format!(
        "GET {page}\n\n<!doctype html><html lang=\"en\"><head><title>Example Shop</title></head><body><header><a \
         href=\"/\">Example Shop</a><nav><a href=\"/pricing\">Pricing</a><a href=\"/docs\">Docs</a></nav></header><main \
         id=\"content\"><form action=\"/checkout\" method=\"post\"><input name=\"card\"><button>Pay</button></form></main>\
         </body></html>"
    );
    vec![
        json!({"role": "system", "content": SYSTEM}),
        json!({"role": "user", "content": html}),
    ]
}

fn ask(messages: &[Value], manner: Manner) -> Ask {
    Ask {
        dialect: Dialect::OpenAi,
        body: json!({"model": GPT, "max_completion_tokens": 150, "messages": messages}),
        task: "page-audit",
        manner,
    }
}
