//! Two records of what happened, made independently: Bailiwick's audit log, read back from the files, and the
//! provider's own count of the calls that reached it, priced with the same prices.

use std::{collections::BTreeMap, path::Path};

use anyhow::Context as _;
use entry::{Entry, Event, Status};
use fake::SeenCall;
use futures_util::{StreamExt as _, pin_mut};
use model::{ActionId, NanoUsd, ServiceTier, TenantName, Usage};
use pricing::{PriceBook, Region};
use store::Reader;

use super::cast::Agent;

/// What a record says of one agent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Account {
    /// Calls forwarded.
    pub(crate) calls: u64,
    /// Input and output.
    pub(crate) tokens: u64,
    /// What they cost.
    pub(crate) cost: NanoUsd,
    /// Calls refused, by reason. A provider never sees those.
    pub(crate) denied: BTreeMap<String, u64>,
}

/// What a record says of each agent.
pub(crate) type Accounts = BTreeMap<Agent, Account>;

impl Account {
    fn add(&mut self, usage: &Usage, cost: NanoUsd) {
        self.tokens += usage.input_total() + usage.output;
        self.cost = self.cost.saturating_add(cost);
    }
}

/// What the audit log says.
///
/// # Errors
/// That it cannot be read. Whether it is to be believed is for its verification to say.
pub(crate) async fn of_log(data: &Path) -> anyhow::Result<Accounts> {
    let reader = Reader::open(data).await.context("cannot open the store")?;
    let batches = reader.batches(&TenantName::default_tenant(), 0);
    pin_mut!(batches);
    let mut accounts = Accounts::new();
    let mut actions: BTreeMap<ActionId, Agent> = BTreeMap::new();
    while let Some(batch) = batches.next().await {
        for (_, bytes) in batch?.kept()? {
            log_entry(&Entry::decode(bytes)?.event, &mut actions, &mut accounts);
        }
    }
    Ok(accounts)
}

fn log_entry(event: &Event, actions: &mut BTreeMap<ActionId, Agent>, accounts: &mut Accounts) {
    match event {
        Event::Intent(intent) => {
            let Some(agent) = Agent::named(intent.action.agent.as_str()) else {
                return;
            };
            actions.insert(intent.action.id, agent);
        }
        Event::Outcome(outcome) => {
            let Some(agent) = actions.remove(&outcome.action) else {
                return;
            };
            let account = accounts.entry(agent).or_default();
            account.calls += u64::from(!matches!(outcome.status, Status::NotForwarded | Status::Unreachable));
            account.add(&outcome.usage.unwrap_or_default(), outcome.cost);
        }
        Event::Denial(denial) => {
            let Some(agent) = Agent::named(denial.action.agent.as_str()) else {
                return;
            };
            let account = accounts.entry(agent).or_default();
            *account.denied.entry(denial.reason.code().to_owned()).or_default() += 1;
        }
        _ => {}
    }
}

/// What the provider says.
///
/// # Errors
/// A model without a price, which no call may have reached the provider with.
pub(crate) fn of_provider(calls: &[SeenCall]) -> anyhow::Result<Accounts> {
    let prices = PriceBook::builtin();
    let mut accounts = Accounts::new();
    for call in calls {
        let Some(agent) = sender(call) else { continue };
        let provider = if call.path.starts_with("/v1/messages") {
            "anthropic"
        } else {
            "openai"
        };
        // As the gateway does for a provider at this address.
        let prices = prices
            .require(provider, &call.model)?
            .in_region(Region::of_host("127.0.0.1"));
        let fake::Billed {
            input,
            cache_read,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            image_input,
            audio_output,
            image_output,
            images,
            audio_ms,
            characters,
        } = call.billed;
        let usage = Usage {
            input,
            cache_read,
            cache_write,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            image_input,
            audio_output,
            image_output,
            images,
            audio_ms,
            characters,
            ..Usage::default()
        };
        let account = accounts.entry(agent).or_default();
        account.calls += 1;
        account.add(&usage, prices.cost(&usage, ServiceTier::Standard)?);
    }
    Ok(accounts)
}

/// Whose call it was, by the one header of an agent's that says so and is passed on.
fn sender(call: &SeenCall) -> Option<Agent> {
    let (_, value) = call.headers.iter().find(|(name, _)| name == "user-agent")?;
    Agent::named(value.split('/').next()?)
}
