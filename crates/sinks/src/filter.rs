//! What of the log a sink is given.

use std::{
    borrow::Cow,
    collections::{BTreeSet, HashMap, VecDeque},
};

use control::{Fed, Feed, SinkSpec};
use model::{TenantName, Timestamp};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::value::RawValue;

use crate::task::Trouble;

/// For how many calls it is remembered whether they are wanted.
const REMEMBERED: usize = 16_384;

/// What is read of an entry: nothing here depends on which kinds there are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Seen<'a> {
    pub(crate) kind: Cow<'a, str>,
    pub(crate) time: Timestamp,
    /// The id of the action that it is about.
    pub(crate) action: Option<Cow<'a, str>>,
    /// The agent that it names.
    agent: Option<Cow<'a, str>>,
    /// The entry of the intent that it refers to.
    intent: Option<u64>,
}

#[derive(Deserialize)]
struct Envelope<'a> {
    time: i64,
    #[serde(borrow)]
    event: HashMap<Cow<'a, str>, &'a RawValue>,
}

/// The fields of any event that are looked at.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body<'a> {
    #[serde(borrow)]
    action: Option<Named<'a>>,
    #[serde(borrow)]
    agent: Option<Named<'a>>,
    #[serde(borrow)]
    key: Option<Named<'a>>,
    intent: Option<Number>,
}

/// A name or an id, or what has one.
#[derive(Deserialize)]
#[serde(untagged)]
enum Named<'a> {
    Text(#[serde(borrow)] Cow<'a, str>),
    Record(#[serde(borrow)] Record<'a>),
    Other(IgnoredAny),
}

#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow, default)]
    id: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    name: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    agent: Option<Cow<'a, str>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Number {
    Number(u64),
    Other(IgnoredAny),
}

impl<'a> Seen<'a> {
    /// Reads the bytes of an entry.
    pub(crate) fn read(bytes: &'a [u8]) -> Result<Self, serde_json::Error> {
        use serde::de::Error as _;
        let envelope: Envelope<'a> = serde_json::from_slice(bytes)?;
        let event = envelope.event.into_iter().next();
        let (kind, raw) = event.ok_or_else(|| serde_json::Error::custom("an entry without an event"))?;
        // Some events are a word or a number: those are about no agent.
        let body: Body<'a> = serde_json::from_str(raw.get()).unwrap_or_default();
        let (mut action, mut agent) = (None, None);
        match body.action {
            Some(Named::Text(id)) => action = Some(id),
            Some(Named::Record(record)) => {
                action = record.id;
                agent = record.agent;
            }
            Some(Named::Other(_)) | None => {}
        }
        match body.agent {
            Some(Named::Text(name)) => agent = Some(name),
            Some(Named::Record(record)) => agent = record.name,
            Some(Named::Other(_)) | None => {}
        }
        if let (None, Some(Named::Record(record))) = (&agent, body.key) {
            agent = record.agent;
        }
        let intent = match body.intent {
            Some(Number::Number(index)) => Some(index),
            Some(Number::Other(_)) | None => None,
        };
        Ok(Self {
            kind,
            time: Timestamp::from_unix_micros(envelope.time),
            action,
            agent,
            intent,
        })
    }
}

/// What a sink is given.
#[derive(Debug)]
pub(crate) struct Filter {
    tenants: BTreeSet<TenantName>,
    kinds: BTreeSet<String>,
    agents: BTreeSet<String>,
    /// Of which calls it is known whether they are wanted, by the entries of their intents.
    calls: HashMap<(TenantName, u64), bool>,
    order: VecDeque<(TenantName, u64)>,
}

impl Filter {
    pub(crate) fn new(spec: &SinkSpec) -> Self {
        Self {
            tenants: spec.tenants.iter().cloned().collect(),
            kinds: spec.kinds.iter().cloned().collect(),
            agents: spec.agents.iter().map(ToString::to_string).collect(),
            calls: HashMap::new(),
            order: VecDeque::new(),
        }
    }

    /// Whether entries of a tenant are wanted.
    pub(crate) fn takes_tenant(&self, tenant: &TenantName) -> bool {
        self.tenants.is_empty() || self.tenants.contains(tenant)
    }

    /// Whether entries have to be read for it.
    pub(crate) fn reads(&self) -> bool {
        !self.kinds.is_empty() || !self.agents.is_empty()
    }

    /// Whether an entry of a tenant that is wanted is wanted itself. One that names no agent but the intent of a call is about
    /// the agent of that call.
    pub(crate) async fn takes(
        &mut self,
        feed: &Feed,
        tenant: &TenantName,
        fed: &Fed,
        seen: &Seen<'_>,
    ) -> Result<bool, Trouble> {
        let takes_agent = match (&seen.agent, seen.intent) {
            _ if self.agents.is_empty() => true,
            (Some(agent), _) => {
                let takes = self.agents.contains(agent.as_ref());
                if seen.kind == "intent" {
                    self.remember(tenant, fed.index, takes);
                }
                takes
            }
            (None, Some(intent)) => self.takes_call(feed, tenant, intent).await?,
            // What is about a call of which nothing is said but its id: rather too much than too little.
            (None, None) => seen.action.is_some(),
        };
        Ok(takes_agent && (self.kinds.is_empty() || self.kinds.contains(seen.kind.as_ref())))
    }

    async fn takes_call(&mut self, feed: &Feed, tenant: &TenantName, intent: u64) -> Result<bool, Trouble> {
        if let Some(known) = self.calls.get(&(tenant.clone(), intent)) {
            return Ok(*known);
        }
        let Some(bytes) = feed.log.entry(tenant, intent).await? else {
            return Ok(true);
        };
        let agent = Seen::read(&bytes).ok().and_then(|seen| seen.agent);
        let takes = agent.is_none_or(|agent| self.agents.contains(agent.as_ref()));
        self.remember(tenant, intent, takes);
        Ok(takes)
    }

    fn remember(&mut self, tenant: &TenantName, intent: u64, takes: bool) {
        let key = (tenant.clone(), intent);
        if self.calls.insert(key.clone(), takes).is_none() {
            self.order.push_back(key);
        }
        if self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.calls.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read of events of every shape.
    #[test]
    fn the_agent_and_the_action_are_found() {
        for (event, action, agent, intent) in [
            (
                r#"{"intent":{"action":{"id":"a1","agent":"reader","seq":1},"attempt":0}}"#,
                "a1",
                "reader",
                None,
            ),
            (
                r#"{"outcome":{"action":"a1","attempt":0,"intent":6}}"#,
                "a1",
                "",
                Some(6),
            ),
            (r#"{"overrun":{"action":"a1","agent":"reader"}}"#, "a1", "reader", None),
            (
                r#"{"agent_loaded":{"agent":{"name":"reader","owner":"x"},"by":"_start"}}"#,
                "",
                "reader",
                None,
            ),
            (
                r#"{"agent_removed":{"agent":"reader","by":"_start"}}"#,
                "",
                "reader",
                None,
            ),
            (
                r#"{"key_issued":{"key":{"id":"k","agent":"reader"},"by":"ann"}}"#,
                "",
                "reader",
                None,
            ),
            (r#"{"key_revoked":{"key":"k","note":"","by":"ann"}}"#, "", "", None),
            (r#"{"started":{"boot":1}}"#, "", "", None),
            (r#"{"new_kind":[1,2]}"#, "", "", None),
            (
                r#"{"other":{"action":5,"agent":[],"key":null,"intent":"x"}}"#,
                "",
                "",
                None,
            ),
        ] {
            let text = format!(r#"{{"v":4,"tenant":"t","index":9,"time":5,"event":{event}}}"#);
            let seen = Seen::read(text.as_bytes()).unwrap();
            assert_eq!(seen.action.as_deref().unwrap_or_default(), action, "{event}");
            assert_eq!(seen.agent.as_deref().unwrap_or_default(), agent, "{event}");
            assert_eq!(
                (seen.intent, seen.time),
                (intent, Timestamp::from_unix_micros(5)),
                "{event}"
            );
            assert!(event.starts_with(&format!("{{\"{}\"", seen.kind)), "{event}");
        }
        assert!(Seen::read(b"{}").is_err());
        assert!(Seen::read(br#"{"time":1,"event":{}}"#).is_err());
    }
}
