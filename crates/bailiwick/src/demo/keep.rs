//! After the show, with `--keep`: how to point an SDK at what still runs, and what comes of it.

use std::time::Instant;

use entry::{Event, Outcome};
use model::{ActionId, AgentName};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;

use super::{
    event::Tone,
    show::Show,
    stage::{Stage, VISITOR},
    table::seconds,
    tell,
    text::Line,
};

/// What the viewer's credential may spend, as in its manifest.
const ALLOWANCE: &str = "$1.00 a day, any model that has a price";

/// Says how to use what runs.
pub(crate) fn invite(stage: &Stage, credential: &SecretString, program: &str, show: &mut Show) -> anyhow::Result<()> {
    let (gateway, addresses, owner) = (stage.gateway(), stage.addresses, &stage.owner);
    let credential = credential.expose_secret();
    show.object(&json!({
        "event": "serving",
        "listening": addresses,
        "directory": stage.home.path(),
        "config": stage.home.configuration(),
        "owner_credential": owner,
        "agent": VISITOR,
        "credential": credential,
        "openai_base_url": format!("{gateway}/openai/v1"),
        "anthropic_base_url": format!("{gateway}/anthropic"),
    }))?;
    let fact = |name: &str, value: &dyn std::fmt::Display| {
        Line::default()
            .left(Tone::Faint, &format!("  {name}"), 19)
            .with(Tone::Plain, value.to_string())
    };
    let config = stage.home.configuration();
    let config = config.display();
    let mut lines = vec![
        Line::default(),
        Line::of(Tone::Strong, "Still running").with(Tone::Faint, " · Ctrl-C stops it and removes the directory"),
        fact("agents", &gateway),
        fact("administration", &format_args!("http://{}", addresses.admin)),
        fact("directory", &stage.home.path().display()),
        fact("administrator", &owner.display()),
        fact("your credential", &credential),
        fact("", &format_args!("for the agent {VISITOR}: {ALLOWANCE}")),
        Line::default(),
        Line::of(Tone::Strong, "Point an SDK of yours at it"),
    ];
    lines.extend(tell::sdks(&gateway, credential));
    lines.push(Line::of(
        Tone::Plain,
        "  curl $OPENAI_BASE_URL/chat/completions -H \"Authorization: Bearer $OPENAI_API_KEY\" \\\n    -H \"Content-Type: application/json\" -d \
         '{\"model\": \"gpt-4o-mini\", \"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'",
    ));
    lines.push(Line::default());
    lines.push(Line::of(Tone::Strong, "Look around"));
    let tail = format!("audit tail -c {config}");
    let list = format!("budget list -c {config}");
    let commands = [
        (tail.as_str(), "entries as they come"),
        (list.as_str(), "what everyone spent"),
    ];
    lines.extend(tell::commands(program, &commands, show.text_width()));
    lines.push(Line::default());
    show.lines(&lines)?;
    Ok(())
}

/// Tells of the viewer's own calls, until the server stops.
pub(crate) async fn watch(stage: &Stage, show: &mut Show) -> anyhow::Result<()> {
    let started = Instant::now();
    let mut seen = stage.admin.log_size().await?;
    let mut asked: Option<(ActionId, String)> = None;
    loop {
        let page = stage.admin.entries_after(seen).await?;
        for report in &page.entries {
            seen = seen.max(report.entry.index.saturating_add(1));
            let Some(line) = told(&report.entry.event, &mut asked) else {
                continue;
            };
            let at = Line::default().right(Tone::Faint, &seconds(started.elapsed()), 8);
            show.lines(&[at.with(Tone::Plain, "  ").with(line.0, line.1)])?;
        }
    }
}

/// A line about an entry that ends one of the viewer's calls.
fn told(event: &Event, asked: &mut Option<(ActionId, String)>) -> Option<(Tone, String)> {
    let ours = |agent: &AgentName| agent.as_str() == VISITOR;
    match event {
        Event::Intent(intent) if ours(&intent.action.agent) => {
            let model = format!("{}/{}", intent.action.upstream, intent.action.model);
            *asked = Some((intent.action.id, model));
            None
        }
        Event::Outcome(outcome) => {
            let (_, model) = asked.take_if(|(action, _)| *action == outcome.action)?;
            Some((Tone::Good, format!("{model}: allowed, {}", used(outcome))))
        }
        Event::Denial(denial) if ours(&denial.action.agent) => {
            let (reason, action) = (denial.reason, &denial.action);
            let text = format!("{}/{}: {} {reason}", action.upstream, action.model, reason.status());
            Some((Tone::Bad, text))
        }
        _ => None,
    }
}

fn used(outcome: &Outcome) -> String {
    let tokens = outcome.usage.map_or(0, |usage| usage.input_total() + usage.output);
    format!("{tokens} tokens, ${}", outcome.cost)
}
