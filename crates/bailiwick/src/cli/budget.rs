//! `bailiwick budget`

mod create;
mod edit;
mod show;
mod simulate;

use api::wire;
use model::TenantName;
use serde::Serialize;

use super::{
    Common, Failure,
    client::{Client, encode, query},
    output::{GOOD, Output},
    target::Target,
};

pub(in crate::cli) use show::{whose, with_unit};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show all budgets and what is left of them
    #[command(after_help = "\
Times are UTC. SPENT is booked, with what earlier windows left; LEFT is what a call may still take:
calls in flight reserve their worst case. STATE is what administrators changed, and who did last.
A budget that keeps pots apart has a row for each.

Examples:
  bailiwick budget list
  bailiwick budget list --tenant acme
  bailiwick budget list --json | jq -r '.budgets[] | [.name, .remaining, .unit] | @tsv'")]
    List {
        /// Only those of this tenant [default: all]
        #[arg(long)]
        tenant: Option<TenantName>,
        #[command(flatten)]
        target: Target,
    },
    /// Show one budget: what it selects, its pots, who changed it and why
    #[command(after_help = "\
Examples:
  bailiwick budget show team-data
  bailiwick budget show team-data --json")]
    Show {
        /// The budget
        #[arg(value_name = "NAME")]
        name: String,
        /// In whose log
        #[arg(long, default_value = "default")]
        tenant: TenantName,
        #[command(flatten)]
        target: Target,
    },
    /// Set another limit than the declared one, from now on
    ///
    /// Calls in flight go on. A reload of the files does not undo it; `unset-limit` does.
    #[command(after_help = "\
Examples:
  bailiwick budget set-limit team-data '8 USD' --note 'quarter end'
  bailiwick budget set-limit crawler '0 USD' --note 'stopped until Monday'
  bailiwick budget set-limit tokens '2M tokens' --note 'new model'")]
    SetLimit {
        #[command(flatten)]
        which: Which,
        /// The limit, in the budget's unit
        #[arg(value_name = "AMOUNT")]
        limit: String,
    },
    /// Go back to the declared limit
    #[command(after_help = "\
Examples:
  bailiwick budget unset-limit team-data --note 'quarter is over'")]
    UnsetLimit {
        #[command(flatten)]
        which: Which,
    },
    /// Grant nothing on a budget until it is resumed
    ///
    /// Calls in flight go on; new ones are refused.
    #[command(after_help = "\
Examples:
  bailiwick budget pause crawler --note 'incident 4711'")]
    Pause {
        #[command(flatten)]
        which: Which,
    },
    /// Grant on a budget again
    #[command(after_help = "\
Examples:
  bailiwick budget resume crawler --note 'incident 4711 is over'")]
    Resume {
        #[command(flatten)]
        which: Which,
    },
    /// Add to a budget for the window that runs
    #[command(after_help = "\
Examples:
  bailiwick budget top-up team-data '3 USD' --note 'month-end report'
  bailiwick budget top-up per-user '3 USD' --of user=alice@acme.example --note 'workshop'")]
    TopUp {
        #[command(flatten)]
        which: Which,
        /// How much more, in the budget's unit
        #[arg(value_name = "AMOUNT")]
        amount: String,
        /// Which pot, where the budget keeps several apart; give it several times for several labels
        #[arg(long, value_name = "LABEL=VALUE", value_parser = edit::labelled)]
        of: Vec<(String, String)>,
    },
    Create(create::Args),
    Simulate(simulate::Args),
    /// Delete a budget that was created here: it selects nothing any more
    ///
    /// One that files declare is removed there.
    #[command(after_help = "\
Examples:
  bailiwick budget delete workshop --note 'the workshop is over'")]
    Delete {
        #[command(flatten)]
        which: Which,
    },
}

/// Which budget is changed, and why.
#[derive(Debug, clap::Args)]
pub(super) struct Which {
    /// The budget
    #[arg(value_name = "NAME")]
    name: String,
    /// Why, for the audit trail
    #[arg(long, value_name = "WHY")]
    note: String,
    /// In whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

#[derive(Serialize)]
struct Deleted<'a> {
    deleted: &'a str,
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List { tenant, target } => {
            let listed = all(&target.client(common)?, tenant.as_ref()).await?;
            out.show(&listed, |out| show::list(&listed, out))
        }
        Command::Show { name, tenant, target } => {
            let client = target.client(common)?;
            let query = query([("tenant", Some(tenant.to_string()))]);
            let shown: wire::Budgets = client.get(&format!("{}{query}", path(name))).await?;
            out.show(&shown, |out| show::one(&shown, out))
        }
        Command::SetLimit { which, limit } => edit::limit(common, which, Some(limit), out).await,
        Command::UnsetLimit { which } => edit::limit(common, which, None, out).await,
        Command::Pause { which } => edit::pause(common, which, out).await,
        Command::Resume { which } => edit::resume(common, which, out).await,
        Command::TopUp { which, amount, of } => edit::top_up(common, which, amount, of, out).await,
        Command::Create(args) => create::run(common, args, out).await,
        Command::Simulate(args) => simulate::run(common, args, out).await,
        Command::Delete { which } => {
            let parameters = [
                ("tenant", Some(which.tenant.to_string())),
                ("note", Some(which.note.clone())),
            ];
            let client = which.target.client(common)?;
            client
                .delete(&format!("{}{}", path(&which.name), query(parameters)))
                .await?;
            let done = format!("{GOOD}deleted{GOOD:#} {}: it selects nothing any more", which.name);
            let deleted = Deleted { deleted: &which.name };
            out.show(&deleted, |out| out.line(done))
        }
    }
}

/// The path of a budget, whatever it is called.
fn path(name: &str) -> String {
    format!("/api/v1/budgets/{}", encode(name))
}

/// All budgets, page by page.
async fn all(client: &Client, tenant: Option<&TenantName>) -> Result<wire::Budgets, Failure> {
    let mut all = wire::Budgets::default();
    loop {
        let parameters = [("tenant", tenant.map(ToString::to_string)), ("after", all.next.take())];
        let page: wire::Budgets = client.get(&format!("/api/v1/budgets{}", query(parameters))).await?;
        all.budgets.extend(page.budgets);
        all.cut.extend(page.cut);
        all.next = page.next;
        if all.next.is_none() {
            return Ok(all);
        }
    }
}
