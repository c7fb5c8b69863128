//! `bailiwick breaker`

use api::wire;
use control::BreakerReport;
use model::{BreakerName, TenantName};

use super::{
    Common, Failure,
    agent::qualified,
    output::{GOOD, Output},
    table::{Align::Left, Table, clean, short_time},
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show circuit breakers and what they stop
    #[command(after_help = "\
Circuit breakers are declared beside the agents (`kind: Breaker`). One that is open refuses every call
of a run, an agent or a team. When its cooldown is over it is half open: one call may go, and what
becomes of it decides. Teams, agents and runs that a breaker only counts are shown with --all.

Examples:
  bailiwick breaker list
  bailiwick breaker list --all
  bailiwick breaker list --json | jq -r '.breakers[].standings[] | select(.state == \"open\") | .of'")]
    List {
        /// Also what is counted and not stopped
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        target: Target,
    },
    /// Close a circuit breaker now, and have it forget what it counted
    #[command(after_help = "\
Examples:
  bailiwick breaker reset runaway --note 'the loop was in the prompt, mended'
  bailiwick breaker reset runaway --of nightly-report/run-7 --note 'checked by hand'")]
    Reset {
        /// The breaker
        breaker: BreakerName,
        /// Whose: the team, the agent, or AGENT/RUN. Needed where it stops several
        #[arg(long, value_name = "WHOSE")]
        of: Option<String>,
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
        Command::List { all, target } => list(common, *all, target, out).await,
        Command::Reset {
            breaker,
            of,
            note,
            tenant,
            target,
        } => {
            let reset = wire::ResetBreaker {
                tenant: tenant.clone(),
                breaker: breaker.clone(),
                of: of.clone(),
                note: note.clone(),
            };
            let client = target.client(common)?;
            let report: BreakerReport = client.post("/api/v1/breakers/reset", Some(&reset)).await?;
            let done = format!("{GOOD}closed{GOOD:#} breaker {}", report.name);
            out.show(&report, |out| out.line(done))
        }
    }
}

async fn list(common: &Common, all: bool, target: &Target, out: &mut Output) -> Result<(), Failure> {
    let listed: wire::Breakers = target.client(common)?.get("/api/v1/breakers").await?;
    out.show(&listed, |out| {
        if listed.breakers.is_empty() {
            return out.line("There are no breakers. A document of `kind: Breaker` beside the agents declares one.");
        }
        let mut table = Table::new([
            ("BREAKER", Left),
            ("TRIPS ON", Left),
            ("OF", Left),
            ("STATE", Left),
            ("UNTIL (UTC)", Left),
            ("WHY", Left),
        ]);
        for breaker in &listed.breakers {
            let name = qualified(&breaker.tenant, &breaker.name);
            let rules = breaker.rules.join(", ");
            let shown = breaker
                .standings
                .iter()
                .filter(|standing| all || standing.state != "closed");
            let mut any = false;
            for standing in shown {
                any = true;
                table.row([
                    name.clone(),
                    rules.clone(),
                    format!("{} {}", breaker.scope, clean(&standing.of)),
                    standing.state.replace('_', " "),
                    standing.until.as_deref().map_or_else(String::new, short_time),
                    standing.cause.clone().unwrap_or_default(),
                ]);
            }
            if !any {
                let every = format!("every {}", breaker.scope);
                table.row([name, rules, every, "closed".to_owned(), String::new(), String::new()]);
            }
        }
        table.print(out)
    })
}
