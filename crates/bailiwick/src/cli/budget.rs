//! `bailiwick budget`

use api::wire;

use super::{
    Common, Failure,
    agent::qualified,
    output::Output,
    table::{
        Align::{Left, Point},
        Table, money, short_time,
    },
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show all budgets and what is left of them
    #[command(after_help = "\
Amounts are US dollars, times UTC. HELD is reserved by calls in flight, DEBT is left from earlier windows.

Examples:
  bailiwick budget list
  bailiwick budget list --json | jq -r '.budgets[] | [.name, .remaining] | @tsv'")]
    List {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    let Command::List { target } = command;
    let client = target.client(common)?;
    let listed: wire::Budgets = client.get("/api/v1/budgets").await?;
    out.show(&listed, |out| {
        if listed.budgets.is_empty() {
            return out.line("There are no budgets: each agent's manifest declares one, and there are no agents.");
        }
        let mut table = Table::new([
            ("BUDGET", Left),
            ("PER", Left),
            ("LIMIT", Point),
            ("SPENT", Point),
            ("DEBT", Point),
            ("HELD", Point),
            ("LEFT", Point),
            ("RESETS (UTC)", Left),
        ]);
        for budget in &listed.budgets {
            table.row([
                qualified(&budget.tenant, &budget.name),
                budget.window.clone(),
                money(&budget.limit),
                money(&budget.spent),
                money(&budget.carried),
                money(&budget.held),
                money(&budget.remaining),
                budget
                    .resets_at
                    .as_deref()
                    .map_or_else(|| "never".to_owned(), short_time),
            ]);
        }
        table.print(out)
    })
}
