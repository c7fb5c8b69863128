//! `bailiwick key`

mod issue;

use api::wire;
use model::{AgentName, KeyId, TenantName};
use serde::Serialize;

use super::{
    Common, Failure,
    agent::qualified,
    client::query,
    output::{GOOD, Output},
    table::{Align::Left, Table, short_time},
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Issue(issue::Args),
    /// Show all credentials of agents, revoked and expired ones too
    #[command(after_help = "\
Examples:
  bailiwick key list
  bailiwick key list --agent assistant --json")]
    List {
        /// Only those of this agent
        #[arg(long, value_name = "AGENT")]
        agent: Option<AgentName>,
        #[command(flatten)]
        target: Target,
    },
    /// Revoke a credential
    ///
    /// When this returns, no request of it starts any more, and calls in flight were told to end. It cannot be undone.
    #[command(after_help = "\
Examples:
  bailiwick key revoke key-4tz0v6x8 --note 'laptop stolen'")]
    Revoke {
        /// The credential's public name, as `bailiwick key list` shows it
        #[arg(value_name = "ID")]
        id: KeyId,
        /// Why, for the audit trail
        #[arg(long, value_name = "TEXT")]
        note: Option<String>,
        /// The agent's tenant
        #[arg(long, default_value = "default")]
        tenant: TenantName,
        #[command(flatten)]
        target: Target,
    },
}

#[derive(Serialize)]
struct Revoked<'a> {
    revoked: &'a KeyId,
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Issue(args) => issue::run(common, args, out).await,
        Command::List { agent, target } => list(common, agent.as_ref(), target, out).await,
        Command::Revoke {
            id,
            note,
            tenant,
            target,
        } => {
            let query = query([("tenant", Some(tenant.to_string())), ("note", note.clone())]);
            let client = target.client(common)?;
            client.delete(&format!("/api/v1/keys/{id}{query}")).await?;
            let done = format!("{GOOD}revoked{GOOD:#} {id}: no request of it starts any more");
            out.show(&Revoked { revoked: id }, |out| out.line(done))
        }
    }
}

async fn list(common: &Common, agent: Option<&AgentName>, target: &Target, out: &mut Output) -> Result<(), Failure> {
    let mut listed: wire::Keys = target.client(common)?.get("/api/v1/keys").await?;
    if let Some(agent) = agent {
        listed.keys.retain(|key| key.agent == agent.as_str());
    }
    out.show(&listed, |out| {
        if listed.keys.is_empty() {
            let agent = agent.map_or("AGENT", AgentName::as_str);
            return out.line(format_args!(
                "There are no credentials. To issue one: bailiwick key issue {agent}"
            ));
        }
        let mut table = Table::new([
            ("KEY", Left),
            ("AGENT", Left),
            ("NAME", Left),
            ("TIER", Left),
            ("STATE", Left),
            ("EXPIRES (UTC)", Left),
            ("LAST USED (UTC)", Left),
            ("NARROWED TO", Left),
        ]);
        for key in &listed.keys {
            let narrowed = [key.upstreams.as_slice(), key.models.as_slice()].concat();
            table.row([
                key.id.clone(),
                qualified(&key.tenant, &key.agent),
                key.label.clone(),
                key.tier.clone(),
                key.state.clone(),
                key.expires.as_deref().map_or_else(|| "never".to_owned(), short_time),
                key.last_used.as_deref().map_or_else(|| "never".to_owned(), short_time),
                narrowed.join(", "),
            ]);
        }
        table.print(out)
    })
}
