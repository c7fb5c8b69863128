//! Reading a log through the administration API.

use std::collections::HashMap;

use api::wire::Entries;
use control::EntryReport;
use entry::Event;
use model::{ActionId, TenantName};

use crate::{
    cli::{
        Failure,
        client::{Client, query},
    },
    published::Which,
};

/// The most entries the server gives at once.
pub(super) const PAGE: u64 = 1_000;

/// A tenant's log on a server.
pub(super) struct Log<'a> {
    client: &'a Client,
    tenant: &'a TenantName,
    /// Which agent an action is of: outcomes name the action only.
    agents: HashMap<ActionId, String>,
}

impl<'a> Log<'a> {
    pub(super) fn new(client: &'a Client, tenant: &'a TenantName) -> Self {
        Self {
            client,
            tenant,
            agents: HashMap::new(),
        }
    }

    /// The entries from `from` on, at most `limit`; without `from`, the last ones.
    pub(super) async fn page(&mut self, from: Option<u64>, limit: u64) -> Result<Entries, Failure> {
        let query = query([
            ("tenant", Some(self.tenant.to_string())),
            ("from", from.map(|from| from.to_string())),
            ("limit", Some(limit.to_string())),
        ]);
        let entries = self.client.get(&format!("/api/v1/audit{query}")).await?;
        self.learn(&entries);
        Ok(entries)
    }

    /// The entries from `after` on, once there are any. Sometimes none.
    pub(super) async fn wait(&mut self, after: u64) -> Result<Entries, Failure> {
        let query = query([
            ("tenant", Some(self.tenant.to_string())),
            ("after", Some(after.to_string())),
            ("limit", Some(PAGE.to_string())),
        ]);
        let entries = self.client.get(&format!("/api/v1/audit/wait{query}")).await?;
        self.learn(&entries);
        Ok(entries)
    }

    /// One entry.
    pub(super) async fn entry(&mut self, index: u64) -> Result<EntryReport, Failure> {
        let query = query([("tenant", Some(self.tenant.to_string()))]);
        self.client.get(&format!("/api/v1/audit/{index}{query}")).await
    }

    fn learn(&mut self, entries: &Entries) {
        for report in &entries.entries {
            if let Event::Intent(intent) = &report.entry.event {
                let action = &intent.action;
                self.agents.insert(action.id, action.agent.to_string());
            }
        }
    }

    /// The agent that an entry is about; empty if it is about none.
    pub(super) async fn agent(&mut self, event: &Event) -> Result<String, Failure> {
        let (action, intent) = match event {
            Event::Intent(intent) => return Ok(intent.action.agent.to_string()),
            Event::Denial(denial) => return Ok(denial.action.agent.to_string()),
            Event::Replay(replay) => return Ok(replay.action.agent.to_string()),
            Event::AgentLoaded { agent, .. } => return Ok(agent.name.to_string()),
            Event::AgentRemoved { agent, .. } | Event::AllowanceReleased { agent } => return Ok(agent.to_string()),
            Event::AllowanceHeld(allowance) => return Ok(allowance.agent.to_string()),
            Event::KeyIssued { key, .. } => return Ok(key.agent.to_string()),
            Event::Overrun(overrun) => return Ok(overrun.agent.to_string()),
            Event::Outcome(outcome) => (outcome.action, outcome.intent),
            _ => return Ok(String::new()),
        };
        if let Some(known) = self.agents.get(&action) {
            return Ok(known.clone());
        }
        // Its intent stands before everything that was read.
        let page = self.page(Some(intent), 1).await?;
        let there = page.entries.into_iter().find(|there| there.entry.index == intent);
        let found = match there.map(|there| there.entry.event) {
            Some(Event::Intent(intent)) => intent.action.agent.to_string(),
            // It was let go.
            _ => String::new(),
        };
        self.agents.insert(action, found.clone());
        Ok(found)
    }
}

/// The action that an entry belongs to.
pub(super) fn action_of(event: &Event) -> Option<ActionId> {
    match event {
        Event::Intent(intent) => Some(intent.action.id),
        Event::Denial(denial) => Some(denial.action.id),
        Event::Replay(replay) => Some(replay.action.id),
        Event::Outcome(outcome) => Some(outcome.action),
        Event::Overrun(overrun) => Some(overrun.action),
        Event::Decided(decided) => Some(decided.id),
        _ => None,
    }
}

/// An entry's index, or an action's id.
pub(super) fn parse_which(text: &str) -> Result<Which, String> {
    // 32 digits without a letter are an action's id too; an index has at most 20.
    let index = text.parse().map(Which::Entry).ok().filter(|_| text.len() < 32);
    index.or_else(|| text.parse().map(Which::Action).ok()).ok_or_else(|| {
        "this is neither the index of an entry nor the id of an action, which has 32 hexadecimal digits".to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexes_and_actions_are_told_apart() {
        assert_eq!(parse_which("42"), Ok(Which::Entry(42)));
        let digits = "0".repeat(30) + "12";
        assert!(matches!(parse_which(&digits), Ok(Which::Action(_))));
        let id = "019a5c0e7b7a7f3a9d1c2e4f60718293";
        assert_eq!(parse_which(id), Ok(Which::Action(id.parse().unwrap())));
        assert!(parse_which("-1").is_err() && parse_which("latest").is_err());
    }
}
