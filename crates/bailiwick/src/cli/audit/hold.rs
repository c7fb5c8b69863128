//! `bailiwick audit hold`

use api::wire;
use control::LegalHoldReport;
use model::TenantName;

use crate::cli::{
    Common, Failure,
    client::{encode, query},
    output::{GOOD, Output},
    table::{Align::Left, Table, clean},
    target::Target,
};

/// Keep entries whatever their time: legal holds
#[derive(Debug, clap::Subcommand)]
#[command(after_help = "\
Examples:
  bailiwick audit hold set case-4711 --note \"letter of the regulator, 22 November\"
  bailiwick audit hold list")]
pub(in crate::cli) enum Command {
    Set(Set),
    Lift(Lift),
    List(List),
}

/// Put a log under a legal hold: nothing of it is let go until it is lifted
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit hold set case-4711 --note \"letter of the regulator, 22 November\"")]
pub(in crate::cli) struct Set {
    /// Its name: letters, digits, '-', '_' and '.'
    name: String,
    /// Why; it stands in the log
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

/// Lift a legal hold: what is old is let go from now on. Owners only
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit hold lift case-4711 --note \"closed\"")]
pub(in crate::cli) struct Lift {
    /// Its name
    name: String,
    /// Why; it stands in the log
    #[arg(long, value_name = "TEXT")]
    note: String,
    /// Whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

/// Show the legal holds that are in force
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick audit hold list")]
pub(in crate::cli) struct List {
    /// Only those of this tenant's log [default: all]
    #[arg(long)]
    tenant: Option<TenantName>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Set(args) => set(common, args, out).await,
        Command::Lift(args) => lift(common, args, out).await,
        Command::List(args) => list(common, args, out).await,
    }
}

async fn set(common: &Common, args: &Set, out: &mut Output) -> Result<(), Failure> {
    let order = wire::LegalHoldOrder {
        tenant: args.tenant.clone(),
        name: args.name.clone(),
        note: args.note.clone(),
    };
    let client = args.target.client(common)?;
    let hold: LegalHoldReport = client.post("/api/v1/legal-holds", Some(&order)).await?;
    out.show(&hold, |out| {
        let (tenant, name) = (&hold.tenant, clean(&hold.name));
        out.line(format_args!(
            "{GOOD}set{GOOD:#} {name}: nothing of the log of {tenant} is let go until it is lifted"
        ))
    })
}

async fn lift(common: &Common, args: &Lift, out: &mut Output) -> Result<(), Failure> {
    let order = wire::LegalHoldLift {
        tenant: args.tenant.clone(),
        note: args.note.clone(),
    };
    let path = format!("/api/v1/legal-holds/{}/lift", encode(&args.name));
    let client = args.target.client(common)?;
    let hold: LegalHoldReport = client.post(&path, Some(&order)).await?;
    out.show(&hold, |out| {
        out.line(format_args!("{GOOD}lifted{GOOD:#} {}", clean(&hold.name)))
    })
}

async fn list(common: &Common, args: &List, out: &mut Output) -> Result<(), Failure> {
    let query = query([("tenant", args.tenant.as_ref().map(ToString::to_string))]);
    let client = args.target.client(common)?;
    let listed: wire::LegalHolds = client.get(&format!("/api/v1/legal-holds{query}")).await?;
    out.show(&listed, |out| {
        if listed.holds.is_empty() {
            return out.line("No legal hold is in force.");
        }
        let mut table = Table::new(["TENANT", "NAME", "SET BY"].map(|column| (column, Left)));
        for hold in &listed.holds {
            let (name, by) = (clean(&hold.name).into_owned(), clean(&hold.by).into_owned());
            table.row([hold.tenant.to_string(), name, by]);
        }
        table.print(out)
    })
}
