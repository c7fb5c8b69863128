//! `bailiwick overrun`

use api::wire;
use control::OverrunReport;
use model::{TenantName, UpstreamName};

use super::{
    Common, Failure,
    agent::qualified,
    output::{GOOD, Output},
    table::{
        Align::{Left, Point, Right},
        Table, clean, money, short_time,
    },
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the models that are held at their maximum because a provider billed past a hold
    #[command(after_help = "\
A call to each of them was billed at more than what was reserved for it. What the provider says is
booked in full, and until that is accepted, each call reserves for all that the model can produce.

Amounts are US dollars, times UTC. CALLS is how many calls were billed past their hold, PAST by how
much in all. LIMIT is the output limit that the last of them was sent with, HELD what was reserved
for it, BOOKED what it cost.

Examples:
  bailiwick overrun list
  bailiwick overrun list --json | jq -r '.overruns[] | [.upstream, .model, .last_action] | @tsv'")]
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Accept the overruns of a model: its calls reserve for the output limit that is sent again
    ///
    /// What was booked stays booked. The next overrun holds the model at its maximum again; an upstream that goes on is best
    /// declared with `honours_output_limit = false`.
    #[command(after_help = "\
Examples:
  bailiwick overrun accept openai/gpt-4o-mini --note 'billing error, credited by the provider'")]
    Accept {
        /// The model, as `bailiwick overrun list` shows it
        #[arg(value_name = "UPSTREAM/MODEL", value_parser = model_name)]
        model: (UpstreamName, String),
        /// Why, for the audit trail
        #[arg(long, value_name = "TEXT")]
        note: String,
        /// In whose log
        #[arg(long, default_value = "default")]
        tenant: TenantName,
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List { target } => list(common, target, out).await,
        Command::Accept {
            model: (upstream, model),
            note,
            tenant,
            target,
        } => {
            let accepted = wire::AcceptOverrun {
                tenant: tenant.clone(),
                upstream: upstream.clone(),
                model: model.clone(),
                note: note.clone(),
            };
            let client = target.client(common)?;
            let report: OverrunReport = client.post("/api/v1/overruns/accept", Some(&accepted)).await?;
            let done = format!(
                "{GOOD}accepted{GOOD:#} {}/{}: its calls reserve for the output limit that is sent again",
                report.upstream,
                clean(&report.model)
            );
            out.show(&report, |out| out.line(done))
        }
    }
}

async fn list(common: &Common, target: &Target, out: &mut Output) -> Result<(), Failure> {
    let listed: wire::Overruns = target.client(common)?.get("/api/v1/overruns").await?;
    out.show(&listed, |out| {
        if listed.overruns.is_empty() {
            return out.line("No overrun is to be accepted: no model is held at its maximum because of one.");
        }
        let mut table = Table::new([
            ("MODEL", Left),
            ("SINCE (UTC)", Left),
            ("CALLS", Right),
            ("PAST", Point),
            ("LIMIT", Right),
            ("HELD", Point),
            ("BOOKED", Point),
            ("LAST AGENT", Left),
            ("LAST CALL", Left),
        ]);
        for overrun in &listed.overruns {
            let model = format!("{}/{}", overrun.upstream, overrun.model);
            table.row([
                qualified(&overrun.tenant, &model),
                short_time(&overrun.since),
                overrun.overruns.to_string(),
                money(&overrun.past_usd),
                overrun.last_limit.to_string(),
                money(&overrun.last_held_usd),
                money(&overrun.last_booked_usd),
                overrun.last_agent.clone(),
                overrun.last_action.clone(),
            ]);
        }
        table.print(out)
    })
}

/// An upstream and a model, with a slash between them; a model's own name may have more.
fn model_name(text: &str) -> Result<(UpstreamName, String), String> {
    match text.split_once('/') {
        Some((upstream, model)) if !model.is_empty() => {
            let upstream = UpstreamName::new(upstream).map_err(|error| error.to_string())?;
            Ok((upstream, model.to_owned()))
        }
        _ => Err("write the upstream and the model, such as openai/gpt-4o-mini".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_named_with_its_upstream() {
        for (text, expected) in [
            ("openai/gpt-4o-mini", Some(("openai", "gpt-4o-mini"))),
            ("local/meta/llama-3", Some(("local", "meta/llama-3"))),
            ("gpt-4o-mini", None),
            ("openai/", None),
            ("/gpt-4o-mini", None),
            ("Open AI/gpt", None),
        ] {
            let read = model_name(text).ok();
            let read = read
                .as_ref()
                .map(|(upstream, model)| (upstream.as_str(), model.as_str()));
            assert_eq!(read, expected, "{text}");
        }
    }
}
