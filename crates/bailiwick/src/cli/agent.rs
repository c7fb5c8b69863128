//! `bailiwick agent`

use api::wire;
use model::TenantName;

use super::{
    Common, Failure,
    output::Output,
    table::{
        Align::{Left, Right},
        Table,
    },
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show the agents in effect
    #[command(after_help = "\
Agents are declared in governance/agents/*.yaml; `bailiwick apply` puts changes in effect.

Examples:
  bailiwick agent list
  bailiwick agent list --json | jq '.agents[] | {name, owner, purpose}'")]
    List {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    let Command::List { target } = command;
    let client = target.client(common)?;
    let listed: wire::Agents = client.get("/api/v1/agents").await?;
    out.show(&listed, |out| {
        if listed.agents.is_empty() {
            return out.line("There are no agents. Declare one in governance/agents/NAME.yaml, then: bailiwick apply");
        }
        let mut table = Table::new([
            ("AGENT", Left),
            ("OWNER", Left),
            ("TEAM", Left),
            ("PRODUCT", Left),
            ("ENVIRONMENT", Left),
            ("KEYS", Right),
            ("ACTIONS", Right),
            ("IN FLIGHT", Right),
        ]);
        for agent in &listed.agents {
            table.row([
                qualified(&agent.tenant, &agent.name),
                agent.owner.clone(),
                agent.team.clone(),
                agent.product.clone(),
                agent.environment.clone(),
                agent.keys.to_string(),
                agent.actions.to_string(),
                agent.in_flight.to_string(),
            ]);
        }
        table.print(out)
    })
}

/// A name with its tenant, unless that is the one everybody has.
pub(super) fn qualified(tenant: &str, name: &str) -> String {
    if tenant == TenantName::default_tenant().as_str() {
        return name.to_owned();
    }
    format!("{tenant}/{name}")
}
