//! `bailiwick approval`

use api::wire;
use control::AskReport;
use model::{ActionId, TenantName};

use super::{
    Common, Failure,
    agent::qualified,
    budget::{whose, with_unit},
    client::query,
    output::{GOOD, Output},
    table::{clean, short_time},
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the calls that wait because a budget that asks has no room for them
    #[command(after_help = "\
What is missing is what the budget lacked when the call began to wait. Times are UTC.

Examples:
  bailiwick approval list
  bailiwick approval list --json | jq -r '.asks[] | [.action, .agent, .budget, .missing] | @tsv'")]
    List {
        /// Only those of this tenant [default: all]
        #[arg(long)]
        tenant: Option<TenantName>,
        #[command(flatten)]
        target: Target,
    },
    /// Top up the budget that a call waits for, so that it goes on
    ///
    /// Without an amount, by exactly what is missing; approvers may give no more than that. The top-up is the budget's and not
    /// the call's: another call that it selects and that asks first may take it, and this one waits on. To give a budget more
    /// for good, `bailiwick budget set-limit`.
    #[command(after_help = "\
Examples:
  bailiwick approval top-up 01a0c3d65a0071018101010101010101 --note 'month-end report'
  bailiwick approval top-up 01a0c3d65a0071018101010101010101 '3 USD' --note 'and some more'")]
    TopUp {
        #[command(flatten)]
        which: Which,
        /// How much more, in the budget's unit [default: what is missing]
        #[arg(value_name = "AMOUNT")]
        amount: Option<String>,
    },
    /// Refuse a call that waits: its caller is told so at once, with the reason
    #[command(after_help = "\
Examples:
  bailiwick approval refuse 01a0c3d65a0071018101010101010101 --note 'try again tomorrow'")]
    Refuse {
        #[command(flatten)]
        which: Which,
    },
}

/// Which call is answered, and why so.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The action, as `bailiwick approval list` shows it
    #[arg(value_name = "ACTION")]
    action: ActionId,
    /// Why, for the audit trail; a caller who is refused reads it
    #[arg(long, value_name = "WHY")]
    note: String,
    /// In whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List { tenant, target } => {
            let query = query([("tenant", tenant.as_ref().map(ToString::to_string))]);
            let listed: wire::Asks = target.client(common)?.get(&format!("/api/v1/asks{query}")).await?;
            out.show(&listed, |out| list(&listed, out))
        }
        Command::TopUp { which, amount } => {
            let body = wire::AskTopUp {
                tenant: which.tenant.clone(),
                amount: amount.clone(),
                note: which.note.clone(),
            };
            let client = which.target.client(common)?;
            let path = format!("/api/v1/asks/{}/top-up", which.action);
            let done: wire::AskToppedUp = client.post(&path, Some(&body)).await?;
            let text = format!(
                "{GOOD}topped up{GOOD:#} budget {} by {}: the call of {} goes on, unless another takes the room first",
                done.ask.budget, done.added, done.ask.agent
            );
            out.show(&done, |out| out.line(text))
        }
        Command::Refuse { which } => {
            let body = wire::Reason {
                tenant: which.tenant.clone(),
                note: which.note.clone(),
            };
            let client = which.target.client(common)?;
            let path = format!("/api/v1/asks/{}/refuse", which.action);
            let refused: AskReport = client.post(&path, Some(&body)).await?;
            let text = format!("{GOOD}refused{GOOD:#} the call of {}: it is told why", refused.agent);
            out.show(&refused, |out| out.line(text))
        }
    }
}

fn list(listed: &wire::Asks, out: &mut Output) -> std::io::Result<()> {
    if listed.asks.is_empty() {
        return out.line("No call waits for an administrator.");
    }
    for (nth, ask) in listed.asks.iter().enumerate() {
        if nth > 0 {
            out.line("")?;
        }
        out.line(&ask.action)?;
        let agent = qualified(&ask.tenant, &ask.agent);
        let mut about = format!("{agent} wants {} at {}", ask.model, ask.upstream);
        if let Some(task) = &ask.task {
            about.push_str(&format!(", task {task}"));
        }
        out.line(format_args!("  {}", clean(&about)))?;
        let show = |number: &str| with_unit(&ask.unit, number);
        let why = match ask.closed.as_deref() {
            Some("paused") => "is paused".to_owned(),
            Some(_) => "keeps as many pots apart as it can".to_owned(),
            None => format!("lacks {} of {}", show(&ask.missing), show(&ask.asked)),
        };
        let mut budget = ask.budget.clone();
        if !ask.of.is_empty() {
            budget.push_str(&format!(" of {}", whose(&ask.of)));
        }
        let standing = format!(
            "{} spent, {} held, of {}",
            show(&ask.spent),
            show(&ask.held),
            show(&ask.limit)
        );
        out.line(format_args!("  budget {} {why} ({standing})", clean(&budget)))?;
        let until = short_time(&ask.until);
        match &ask.refused_by {
            Some(by) => out.line(format_args!("  refused by {by}"))?,
            None => out.line(format_args!("  refused at {until} UTC if nobody answers"))?,
        }
    }
    Ok(())
}
