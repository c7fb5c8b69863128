//! How declarations take effect: by entries that carry each changed object whole.

mod budgets;
mod peps;
mod rules;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use entry::{AgentRecord, Event, PolicyFile, PriceRecord, UpstreamRecord};
use model::{AdminName, Digest, TenantName};
use policy::{AgentFacts, Bundle, Source, Sources};
use pricing::{Override, PriceBook};
use store::{Person, Rules, View};

use crate::{
    AgentSpec, Governance, LoadProblem, RouteSpec, TenantGovernance, UpstreamSpec,
    privacy::{KEY_EPOCH, Privacy},
};

pub(crate) use budgets::{fits, is_of_api, logged};

/// How many events of a load are one transaction at most. A larger load is several transactions, one after the other: each
/// takes effect whole or not at all. Requests that are decided meanwhile wait until the whole load is published, and where
/// one fails, those before it stay in effect and the next load goes on from there. New budgets come
/// first and removals last, so no request is without a budget that selects it before and after.
pub(crate) const TRANSACTION: usize = 1_000;

/// Declarations that compiled: they can take effect.
#[derive(Debug)]
pub(crate) struct Compiled {
    pub(crate) governance: Governance,
    pub(crate) bundles: BTreeMap<TenantName, Arc<Bundle>>,
    pub(crate) prices: Arc<PriceBook>,
}

/// Compiles everything, or says everything that is wrong with it.
pub(crate) fn compile(governance: Governance) -> Result<Compiled, Vec<LoadProblem>> {
    let mut problems = peps::problems(&governance);
    let mut bundles = BTreeMap::new();
    for (name, tenant) in &governance.tenants {
        let facts: Vec<AgentFacts> = tenant.agents.iter().map(facts).collect();
        match Bundle::compile(&tenant.sources, &facts) {
            Ok(bundle) => drop(bundles.insert(name.clone(), Arc::new(bundle))),
            Err(found) => problems.extend(found.into_iter().map(LoadProblem::from)),
        }
    }
    let prices = match PriceBook::builtin().with_overrides(governance.prices.clone()) {
        Ok(prices) => Some(Arc::new(prices)),
        Err(error) => {
            problems.push(LoadProblem::of("bailiwick.toml", error.to_string()));
            None
        }
    };
    match prices {
        Some(prices) if problems.is_empty() => Ok(Compiled {
            governance,
            bundles,
            prices,
        }),
        _ => Err(problems),
    }
}

fn facts(agent: &AgentSpec) -> AgentFacts {
    AgentFacts {
        name: agent.name.clone(),
        team: agent.team.clone(),
        product: agent.product.clone(),
        environment: agent.environment.clone(),
    }
}

/// What keeps what a tenant declares from taking effect beside what its log says.
pub(crate) fn problems(view: &View, tenant: &TenantGovernance, privacy: &Privacy) -> Vec<LoadProblem> {
    budgets::problems(view, tenant, privacy)
}

/// What has to be appended to a tenant's log so that it says what is declared.
pub(crate) struct Changes {
    /// Policy files: appended first, so that their places are known.
    pub(crate) files: Vec<Event>,
    /// Everything else but the bundle: nothing is named before it is introduced.
    pub(crate) rest: Vec<Event>,
    /// Who is behind the pseudonyms in them.
    pub(crate) persons: Vec<Person>,
}

/// Compares what is declared for a tenant with what its log says.
pub(crate) fn changes(
    view: &View,
    rules: &Rules,
    tenant: &TenantGovernance,
    compiled: &Compiled,
    privacy: &Privacy,
    by: &AdminName,
) -> Changes {
    let mut persons = Vec::new();
    let budgets = budgets::declared(&view.tenant, tenant, privacy);
    let (mut rest, undeclared) = budgets::changes(view, budgets, by, &mut persons);
    rest.extend(rules::changes(&view.tenant, rules, tenant, privacy, by, &mut persons));
    for agent in &tenant.agents {
        let pseudonym = privacy.pseudonym(&view.tenant, &agent.owner);
        persons.push(Person {
            pseudonym,
            key_epoch: KEY_EPOCH,
            identity: agent.owner.clone(),
        });
        rest.extend(agent_change(view, agent, privacy, by));
    }
    let declared: BTreeSet<_> = tenant.agents.iter().map(|agent| &agent.name).collect();
    let gone = view
        .agents
        .iter()
        .filter(|(name, state)| state.record.is_some() && !declared.contains(name));
    let mut gone: Vec<_> = gone.map(|(name, _)| name.clone()).collect();
    gone.sort_unstable();
    rest.extend(
        gone.into_iter()
            .map(|agent| Event::AgentRemoved { agent, by: by.clone() }),
    );
    rest.extend(peps::changes(view, tenant, privacy, by, &mut persons));
    rest.extend(undeclared);
    rest.extend(upstream_change(view, &compiled.governance.upstreams, by));
    rest.extend(price_change(view, compiled, by));
    let Sources {
        schemas,
        policies,
        entities,
    } = &tenant.sources;
    let whole = schemas.iter().chain(policies).map(whole_file);
    let files = whole.chain(entities.iter().map(hashed_file));
    let changed = files.filter(|file| view.policy_files.get(&file.file).is_none_or(|(known, _)| known != file));
    Changes {
        files: changed.map(Event::PolicyFile).collect(),
        rest,
        persons,
    }
}

fn whole_file(source: &Source) -> PolicyFile {
    PolicyFile {
        file: source.file.clone(),
        text: source.text.clone(),
        sha256: None,
    }
}

/// A file of entities, which the log does not carry: it may be long, and hold what is personal.
fn hashed_file(source: &Source) -> PolicyFile {
    PolicyFile {
        file: source.file.clone(),
        text: String::new(),
        sha256: Some(sha256(&source.text)),
    }
}

fn sha256(text: &str) -> Digest {
    let mut bytes = [0; 32];
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    for (to, from) in bytes.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    Digest(bytes)
}

fn agent_change(view: &View, agent: &AgentSpec, privacy: &Privacy, by: &AdminName) -> Option<Event> {
    let record = AgentRecord {
        name: agent.name.clone(),
        owner: privacy.pseudonym(&view.tenant, &agent.owner),
        team: agent.team.clone(),
        product: agent.product.clone(),
        environment: agent.environment.clone(),
        purpose: agent.purpose.clone(),
        budgets: vec![agent.budget.name.clone()],
        output_limit: agent.output_limit,
        allowance: agent.allowance,
    };
    let known = view.agents.get(&agent.name).and_then(|state| state.record.as_ref());
    (known != Some(&record)).then(|| Event::AgentLoaded {
        agent: record,
        by: by.clone(),
    })
}

fn upstream_change(view: &View, upstreams: &[UpstreamSpec], by: &AdminName) -> Option<Event> {
    let upstreams: Vec<UpstreamRecord> = upstreams.iter().map(UpstreamSpec::record).collect();
    (upstreams != view.upstreams).then(|| Event::UpstreamsLoaded {
        upstreams,
        by: by.clone(),
    })
}

/// The routes that differ, as a report says it. They are settings of the process, and stand in no entry.
pub(crate) fn route_changes(before: &[RouteSpec], after: &[RouteSpec]) -> Vec<String> {
    let find = |among: &[RouteSpec], name: &str| among.iter().find(|route| route.name == name).cloned();
    let names: BTreeSet<&str> = before.iter().chain(after).map(|route| route.name.as_str()).collect();
    let changes = names
        .into_iter()
        .filter_map(|name| match (find(before, name), find(after, name)) {
            (None, _) => Some(format!("routes: {name} added")),
            (_, None) => Some(format!("routes: {name} removed")),
            (old, new) if old != new => Some(format!("routes: {name} changed")),
            _ => None,
        });
    changes.collect()
}

fn price_change(view: &View, compiled: &Compiled, by: &AdminName) -> Option<Event> {
    let book = compiled.prices.digest();
    let overrides = compiled.governance.prices.iter().map(price_record).collect();
    (view.prices.map(|(digest, _)| digest) != Some(book)).then(|| Event::PricesLoaded {
        book,
        overrides,
        by: by.clone(),
    })
}

fn price_record(price: &Override) -> PriceRecord {
    let optional = [
        ("cache_read", price.cache_read),
        ("cache_write", price.cache_write),
        ("cache_write_1h", price.cache_write_1h),
        ("audio_input", price.audio_input),
        ("audio_output", price.audio_output),
        ("image_input", price.image_input),
        ("image_output", price.image_output),
        ("per_character", price.per_character),
    ];
    let each = [
        ("per_image", price.per_image),
        ("per_second", price.per_second),
        ("per_request", price.per_request),
    ];
    let optional = optional.into_iter().filter_map(|(name, value)| Some((name, value?)));
    let required = [("input", price.input), ("output", price.output)];
    let prices = required.into_iter().chain(optional);
    let mut prices: BTreeMap<String, String> = prices
        .map(|(name, value)| (name.to_owned(), value.to_string()))
        .collect();
    for (name, value) in each {
        if let Some(value) = value {
            prices.insert(name.to_owned(), value.price().to_string());
        }
    }
    if let Some(max) = price.max_output_tokens {
        prices.insert("max_output_tokens".to_owned(), max.to_string());
    }
    PriceRecord {
        provider: price.provider.clone(),
        model: price.model.clone(),
        prices,
    }
}

/// The entry that puts a bundle in effect, if another one is, given a view taken after its files were appended.
pub(crate) fn bundle_change(view: &View, tenant: &TenantGovernance, bundle: Digest, by: &AdminName) -> Option<Event> {
    if view.bundle.map(|(digest, _)| digest) == Some(bundle) {
        return None;
    }
    let Sources {
        schemas,
        policies,
        entities,
    } = &tenant.sources;
    let sources = schemas.iter().chain(policies).chain(entities);
    let files = sources
        .filter_map(|source| view.policy_files.get(&source.file))
        .map(|(_, entry)| *entry);
    Some(Event::PolicyLoaded {
        bundle,
        files: files.collect(),
        by: by.clone(),
    })
}

#[cfg(test)]
mod tests {
    use model::UpstreamName;

    use super::*;
    use crate::Retry;

    #[test]
    fn routes_that_differ_are_told() {
        let route = |name: &str, tries| RouteSpec {
            name: name.to_owned(),
            upstream: UpstreamName::new("up").unwrap(),
            models: Vec::new(),
            retry: Retry {
                tries,
                ..Retry::default()
            },
            fallback: Vec::new(),
            connect: None,
            first_byte: None,
            idle: None,
            total: None,
            request_bytes: None,
            places: None,
        };
        let before = [route("same", 1), route("chat", 1), route("old", 1)];
        let after = [route("chat", 2), route("new", 1), route("same", 1)];
        let expected = ["routes: chat changed", "routes: new added", "routes: old removed"];
        assert_eq!(route_changes(&before, &after), expected);
        assert!(route_changes(&before, &before).is_empty());
    }
}
