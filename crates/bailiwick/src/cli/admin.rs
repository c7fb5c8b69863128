//! `bailiwick admin`

use api::wire;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use entry::Role;
use model::AdminName;
use serde::Serialize;

use super::{
    Common, Failure,
    client::Client,
    output::{GOOD, Output, hint},
    table::{Align::Left, Table},
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the administrators
    #[command(after_help = "\
Examples:
  bailiwick admin list")]
    List {
        #[command(flatten)]
        target: Target,
    },
    /// Add an administrator, or give one another role and a new credential
    ///
    /// The credential is printed on standard output, this once. Only an owner may do this.
    #[command(after_help = "\
Roles:
  owner     everything, administrators included
  operator  issues and revokes credentials, reloads; reads everything
  approver  reads state
  auditor   reads everything, the audit trail included
  viewer    reads state, not the audit trail

Examples:
  bailiwick admin add olivia --role operator
  BAILIWICK_ADMIN_KEY=bwa_... bailiwick key list")]
    Add {
        /// Their name
        #[arg(value_name = "NAME")]
        name: AdminName,
        /// What they may do
        #[arg(long, value_name = "ROLE", value_parser = role())]
        role: Role,
        #[command(flatten)]
        target: Target,
    },
    /// Remove an administrator: their credential stops working at once
    #[command(after_help = "\
Examples:
  bailiwick admin remove olivia")]
    Remove {
        /// Their name
        #[arg(value_name = "NAME")]
        name: AdminName,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Serialize)]
struct Removed<'a> {
    removed: &'a AdminName,
}

fn role() -> impl TypedValueParser<Value = Role> {
    let words = Role::ALL.map(Role::as_str);
    PossibleValuesParser::new(words).try_map(|word| {
        let role = Role::ALL.into_iter().find(|role| role.as_str() == word);
        role.ok_or("this is no role")
    })
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::List { target } => list(&target.client(common)?, out).await,
        Command::Add { name, role, target } => add(&target.client(common)?, name, *role, out).await,
        Command::Remove { name, target } => {
            target.client(common)?.delete(&format!("/api/v1/admins/{name}")).await?;
            let done = format!("{GOOD}removed{GOOD:#} {name}: their credential no longer works");
            out.show(&Removed { removed: name }, |out| out.line(done))
        }
    }
}

async fn list(client: &Client, out: &mut Output) -> Result<(), Failure> {
    let listed: wire::Admins = client.get("/api/v1/admins").await?;
    out.show(&listed, |out| {
        let mut table = Table::new([("ADMINISTRATOR", Left), ("ROLE", Left)]);
        for admin in &listed.admins {
            table.row([admin.name.clone(), admin.role.clone()]);
        }
        table.print(out)
    })
}

async fn add(client: &Client, name: &AdminName, role: Role, out: &mut Output) -> Result<(), Failure> {
    let new = wire::NewAdmin {
        name: name.clone(),
        role,
    };
    let issued: wire::IssuedAdmin = client.post("/api/v1/admins", Some(&new)).await?;
    out.show(&issued, |out| out.line(issued.key.reveal()))?;
    if !out.is_json() {
        let role = role.as_str();
        hint(format_args!(
            "\nThat is the credential of {name} ({role}), shown this once and kept nowhere. To act as them:\n  \
             export BAILIWICK_ADMIN_KEY=..."
        ));
    }
    Ok(())
}
