//! `bailiwick key`

mod issue;

use api::wire;
use model::{AgentName, KeyId, PepName, TenantName};
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
    /// Show all credentials of agents and enforcement points, revoked and expired ones too
    #[command(after_help = "\
Examples:
  bailiwick key list
  bailiwick key list --agent assistant --json")]
    List {
        /// Only those of this agent
        #[arg(long, value_name = "AGENT", conflicts_with = "pep")]
        agent: Option<AgentName>,
        /// Only those of this enforcement point
        #[arg(long, value_name = "PEP")]
        pep: Option<PepName>,
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
        Command::List { agent, pep, target } => list(common, (agent.as_ref(), pep.as_ref()), target, out).await,
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

#[derive(Serialize)]
struct Listed {
    keys: Vec<control::KeyReport>,
    pep_keys: Vec<control::PepKeyReport>,
}

async fn list(
    common: &Common,
    (agent, pep): (Option<&AgentName>, Option<&PepName>),
    target: &Target,
    out: &mut Output,
) -> Result<(), Failure> {
    let client = target.client(common)?;
    let wire::Keys { mut keys } = client.get("/api/v1/keys").await?;
    let wire::PepKeys { keys: mut pep_keys } = client.get("/api/v1/pep-keys").await?;
    keys.retain(|key| pep.is_none() && agent.is_none_or(|agent| key.agent == agent.as_str()));
    pep_keys.retain(|key| agent.is_none() && pep.is_none_or(|pep| key.pep == pep.as_str()));
    let listed = Listed { keys, pep_keys };
    out.show(&listed, |out| {
        if listed.keys.is_empty() && listed.pep_keys.is_empty() {
            let of = match (agent, pep) {
                (Some(agent), _) => agent.to_string(),
                (_, Some(pep)) => format!("--pep {pep}"),
                _ => "AGENT".to_owned(),
            };
            return out.line(format_args!(
                "There are no credentials. To issue one: bailiwick key issue {of}"
            ));
        }
        if !listed.keys.is_empty() {
            of_agents(&listed.keys).print(out)?;
        }
        if !listed.keys.is_empty() && !listed.pep_keys.is_empty() {
            out.line("")?;
        }
        if !listed.pep_keys.is_empty() {
            of_peps(&listed.pep_keys).print(out)?;
        }
        Ok(())
    })
}

fn when(instant: Option<&str>) -> String {
    instant.map_or_else(|| "never".to_owned(), short_time)
}

fn of_agents(keys: &[control::KeyReport]) -> Table {
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
    for key in keys {
        let narrowed = [key.upstreams.as_slice(), key.models.as_slice()].concat();
        table.row([
            key.id.clone(),
            qualified(&key.tenant, &key.agent),
            key.label.clone(),
            key.tier.clone(),
            key.state.clone(),
            when(key.expires.as_deref()),
            when(key.last_used.as_deref()),
            narrowed.join(", "),
        ]);
    }
    table
}

fn of_peps(keys: &[control::PepKeyReport]) -> Table {
    let mut table = Table::new([
        ("KEY", Left),
        ("ENFORCEMENT POINT", Left),
        ("NAME", Left),
        ("STATE", Left),
        ("EXPIRES (UTC)", Left),
        ("LAST USED (UTC)", Left),
    ]);
    for key in keys {
        table.row([
            key.id.clone(),
            qualified(&key.tenant, &key.pep),
            key.label.clone(),
            key.state.clone(),
            when(key.expires.as_deref()),
            when(key.last_used.as_deref()),
        ]);
    }
    table
}
