//! The end of the demo for people: what happened, what was verified, what to do next.

use super::{
    cast::Agent,
    event::Tone,
    summary::{AgentSummary, Summary},
    text::{Line, counted, grouped, usd, usd_limit, wrap},
};

/// What happened, in four sentences; then what was verified.
pub(crate) fn report(summary: &Summary, width: usize) -> Vec<Line> {
    let mut lines = vec![Line::default(), Line::of(Tone::Strong, "What happened")];
    for sentence in sentences(summary) {
        lines.extend(item(Tone::Faint, "·", &sentence, width));
    }
    lines.push(Line::default());
    lines.push(Line::of(Tone::Strong, "The audit log, verified from the files on disk"));
    if summary.ok {
        for proof in proofs(summary) {
            lines.extend(item(Tone::Good, "✓", &proof, width));
        }
    }
    for trouble in &summary.troubles {
        lines.extend(item(Tone::Bad, "✗", trouble, width));
    }
    lines
}

/// What to do next, for a program that is called like this.
pub(crate) fn next(program: &str, width: usize) -> Vec<Line> {
    let mut lines = vec![Line::default(), Line::of(Tone::Strong, "Next")];
    lines.extend(commands(
        program,
        &[
            ("demo --keep", "stays up for your SDK"),
            ("init mydir", "writes a configuration"),
            ("serve -c mydir/bailiwick.toml", "runs it with your API keys"),
            (
                "key issue assistant -c mydir/bailiwick.toml",
                "prints a credential once",
            ),
        ],
        width,
    ));
    lines.push(Line::default());
    lines.push(Line::of(Tone::Strong, "Then any SDK is governed"));
    lines.extend(sdks("http://127.0.0.1:7400", "bwk_..."));
    lines
}

/// Commands of the program, and what each does where there is room for that.
pub(crate) fn commands(program: &str, commands: &[(&str, &str)], width: usize) -> Vec<Line> {
    let whole = |arguments: &str| format!("  {program} {arguments}");
    let columns = |text: String| text.chars().count();
    let longest = commands.iter().map(|(arguments, _)| columns(whole(arguments))).max();
    let longest = longest.unwrap_or_default();
    let told = |what: &str| format!("  # {what}");
    let fits = commands.iter().all(|(_, what)| longest + columns(told(what)) <= width);
    let line = |(arguments, what): &(&str, &str)| match fits {
        true => Line::default()
            .left(Tone::Plain, &whole(arguments), longest)
            .with(Tone::Faint, told(what)),
        false => Line::of(Tone::Plain, whole(arguments)),
    };
    commands.iter().map(line).collect()
}

/// The variables that point SDKs at a gateway.
pub(crate) fn sdks(gateway: &str, credential: &str) -> Vec<Line> {
    [
        format!("  export OPENAI_BASE_URL={gateway}/openai/v1"),
        format!("  export OPENAI_API_KEY={credential}"),
        format!("  export ANTHROPIC_BASE_URL={gateway}/anthropic"),
        format!("  export ANTHROPIC_API_KEY={credential}"),
    ]
    .map(|text| Line::of(Tone::Plain, text))
    .to_vec()
}

/// Text behind a sign, in as many lines as it takes.
fn item(tone: Tone, sign: &str, text: &str, width: usize) -> Vec<Line> {
    let lines = wrap(text, width.saturating_sub(4)).into_iter().enumerate();
    lines
        .map(|(nth, line)| match nth {
            0 => Line::of(tone, format!("  {sign} ")).with(Tone::Plain, line),
            _ => Line::of(Tone::Plain, format!("    {line}")),
        })
        .collect()
}

fn sentences(summary: &Summary) -> Vec<String> {
    let agent = |agent: Agent| summary.agent(agent);
    let (Some(report), Some(auditor), Some(analyst), Some(support)) = (
        agent(Agent::NightlyReport),
        agent(Agent::SiteAuditor),
        agent(Agent::FraudAnalyst),
        agent(Agent::SupportAssistant),
    ) else {
        return Vec::new();
    };
    let refused = |agent: &AgentSummary, reason: &str| agent.denied.get(reason).copied().unwrap_or_default();
    let worked = format!(
        "{} (OpenAI, JSON and streams) and {} (Anthropic, streams) did their work: {} for {} together.",
        report.agent,
        support.agent,
        counted(report.allowed + support.allowed, "call", "calls"),
        usd(report.billed.saturating_add(support.billed)),
    );
    let looped = format!(
        "{} was caught in a loop. Its budget let {} through, four at a time, and stopped the other {}: the provider \
         billed {} of the {} it may spend a day.",
        auditor.agent,
        counted(auditor.allowed, "call", "calls"),
        grouped(refused(auditor, "budget_exhausted")),
        usd(auditor.billed),
        usd_limit(auditor.limit),
    );
    let forbidden = format!(
        "{} asked {} for a model that policy forbids it; nothing of that reached the provider, and it went on with the \
         approved one.",
        analyst.agent,
        counted(refused(analyst, "policy_denied"), "time", "times"),
    );
    let (ours, theirs) = (&summary.ledger, &summary.provider);
    let counted_by_provider = format!(
        "The provider itself counted {} and {} tokens, {} at list prices;",
        counted(theirs.calls, "call", "calls"),
        grouped(theirs.tokens),
        usd(theirs.cost),
    );
    let compared = if summary.ledger_agrees {
        format!("{counted_by_provider} the ledger says the same, agent by agent, to the nano-dollar.")
    } else {
        format!(
            "{counted_by_provider} the ledger has {} calls and {}.",
            ours.calls,
            usd(ours.cost)
        )
    };
    vec![worked, looped, forbidden, compared]
}

fn proofs(summary: &Summary) -> Vec<String> {
    let logs = &summary.audit.tenants;
    let sum = |count: fn(&crate::verify::TenantReport) -> u64| logs.iter().map(count).sum::<u64>();
    let (entries, holds) = (sum(|log| log.found.entries), sum(|log| log.found.holds_ended));
    let head = logs
        .iter()
        .find(|log| log.found.tenant == "default")
        .map(|log| log.root.as_str());
    let signed = sum(|log| log.signed.unwrap_or_default());
    vec![
        format!(
            "{} in {}, dense and in order; tree head {}",
            counted(entries, "entry", "entries"),
            counted(u64::try_from(logs.len()).unwrap_or_default(), "log", "logs"),
            head.unwrap_or_default()
        ),
        format!("{} placed, each ended once", counted(holds, "hold", "holds")),
        "replayed entry by entry, spending never passed a limit".to_owned(),
        format!(
            "checkpoint signatures (Ed25519) valid, over {} of {}",
            grouped(signed),
            counted(entries, "entry", "entries")
        ),
    ]
}
