//! A compiled set of policies.

use std::{collections::HashMap, sync::Arc};

use aws_lc_rs::digest::{Context, SHA256};
use cedar_policy::{Authorizer, Effect, Entities, EntityUid};
use model::{AgentName, Digest};

use crate::{
    Problem, Source,
    action::PerAction,
    entities,
    index::{Group, Index},
    memo::Memo,
    parse::{self, Rule},
    validate,
    vocabulary::{SCHEMA_TEXT, Vocabulary},
};

/// What a manifest says about an agent, as far as policies can see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentFacts {
    /// The agent.
    pub name: AgentName,
    /// Its team: the agent is in `Team::"..."` of this name.
    pub team: String,
    /// The product it works for.
    pub product: String,
    /// The environment it runs in.
    pub environment: String,
}

/// One immutable set of policies, ready to decide. Made whole and replaced whole.
pub struct Bundle {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) authorizer: Authorizer,
    pub(crate) store: Entities,
    pub(crate) agents: HashMap<AgentName, Known>,
    pub(crate) effects: HashMap<Arc<str>, Effect>,
    /// What it decided before.
    pub(crate) memo: Memo,
    reads_tools: bool,
    ids: Vec<Arc<str>>,
    warnings: Vec<Problem>,
    digest: Digest,
}

/// What is prepared for one agent.
pub(crate) struct Known {
    pub(crate) uid: EntityUid,
    pub(crate) environment: String,
    /// The entities every decision about the agent starts from, whatever the action.
    pub(crate) entities: Entities,
    /// The policies that can apply to it.
    pub(crate) groups: PerAction<Vec<Arc<Group>>>,
}

impl std::fmt::Debug for Bundle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bundle")
            .field("digest", &self.digest)
            .field("policies", &self.ids.len())
            .field("agents", &self.agents.len())
            .finish_non_exhaustive()
    }
}

impl Bundle {
    /// Compiles policy files (Cedar text) and entity files (Cedar JSON) for the agents of the manifests.
    ///
    /// # Errors
    /// Every problem found in any file, sorted: what does not parse, a policy without an `@id` of its own, a template,
    /// what does not pass strict validation, and entities that do not fit the schema or are declared twice.
    pub fn compile(policies: &[Source], entities: &[Source], agents: &[AgentFacts]) -> Result<Self, Vec<Problem>> {
        let vocabulary = Vocabulary::new().map_err(|problem| vec![problem])?;
        let (policies, entities) = (sorted(policies), sorted(entities));
        let mut problems = Vec::new();
        let rules = parse::parse(&policies, &mut problems);
        let mut findings = validate::validate(&vocabulary, &rules, agents);
        problems.append(&mut findings.problems);
        let store = entities::load(&vocabulary, &entities, agents, &mut problems);
        let (Some(store), true) = (store, problems.is_empty()) else {
            problems.sort();
            problems.dedup();
            return Err(problems);
        };
        findings.warnings.sort();
        let known = prepare(&vocabulary, &store, &rules, agents)
            .map_err(|message| vec![Problem::of_file("policies", message)])?;
        let mut ids: Vec<Arc<str>> = rules.iter().map(|rule| rule.id.clone()).collect();
        ids.sort();
        let reads_tools = known.values().any(|known| {
            let mut groups = known.groups.iter().flatten();
            groups.any(|group| group.reads.names("tools"))
        });
        Ok(Self {
            reads_tools,
            vocabulary,
            authorizer: Authorizer::new(),
            store,
            agents: known,
            effects: rules
                .iter()
                .map(|rule| (rule.id.clone(), rule.policy.effect()))
                .collect(),
            memo: Memo::default(),
            ids,
            warnings: findings.warnings,
            digest: digest(&policies, &entities),
        })
    }

    /// The schema that policies and entities are checked against, as Cedar schema text with comments.
    pub fn schema_text() -> &'static str {
        SCHEMA_TEXT
    }

    /// SHA-256 of the schema and all policy and entity files, whatever order they were given in. The agents are not in
    /// it: their manifests are recorded by themselves.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a policy that can apply to one of the agents looks at the names of the tools that a request offers: then they
    /// are recorded, so that what was decided can be decided again. That it looks when it does not is harmless.
    pub fn reads_tools(&self) -> bool {
        self.reads_tools
    }

    /// The ids of all policies, sorted.
    pub fn policy_ids(&self) -> &[Arc<str>] {
        &self.ids
    }

    /// What is legal but looks like a mistake: policies that can never apply, text that can be mistaken for other text,
    /// agents that no manifest declares. Sorted.
    pub fn warnings(&self) -> &[Problem] {
        &self.warnings
    }
}

fn sorted(sources: &[Source]) -> Vec<&Source> {
    let mut sources: Vec<&Source> = sources.iter().collect();
    sources.sort_by_key(|source| (&source.file, &source.text));
    sources
}

fn prepare(
    vocabulary: &Vocabulary,
    store: &Entities,
    rules: &[Rule<'_>],
    agents: &[AgentFacts],
) -> Result<HashMap<AgentName, Known>, String> {
    let indexes = Index::of_actions(vocabulary, rules)?;
    let mut known = HashMap::new();
    for agent in agents {
        let uid = vocabulary.agent(&agent.name);
        let ancestors = store.ancestors(&uid).into_iter().flatten();
        let names: Vec<EntityUid> = std::iter::once(&uid).chain(ancestors).cloned().collect();
        let groups = indexes.map(|index| index.of_principal(&names));
        let literals = groups.iter().flatten().flat_map(|group| &group.literals);
        let slice = entities::reach(store, std::iter::once(&uid).chain(literals));
        // Without the schema, which the store was checked against, and which would add the records of all actions.
        let slice = Entities::from_entities(slice, None).map_err(|error| error.to_string())?;
        let environment = agent.environment.clone();
        known.insert(
            agent.name.clone(),
            Known {
                uid,
                environment,
                entities: slice,
                groups,
            },
        );
    }
    Ok(known)
}

/// Every text is preceded by its length and every list by its count, so no two sets of sources encode alike.
fn digest(policies: &[&Source], entities: &[&Source]) -> Digest {
    let mut context = Context::new(&SHA256);
    let count = |context: &mut Context, n: usize| context.update(&(n as u64).to_be_bytes());
    let text = |context: &mut Context, text: &str| {
        count(context, text.len());
        context.update(text.as_bytes());
    };
    text(&mut context, "bailiwick policy bundle v1");
    text(&mut context, SCHEMA_TEXT);
    for sources in [policies, entities] {
        count(&mut context, sources.len());
        for source in sources {
            text(&mut context, &source.file);
            text(&mut context, &source.text);
        }
    }
    let mut bytes = [0; 32];
    for (to, from) in bytes.iter_mut().zip(context.finish().as_ref()) {
        *to = *from;
    }
    Digest(bytes)
}
