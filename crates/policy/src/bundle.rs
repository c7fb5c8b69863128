//! A compiled set of policies.

use std::{
    collections::{HashMap, HashSet},
    sync::Arc,
};

use aws_lc_rs::digest::{Context, SHA256};
use cedar_policy::{Effect, Entities, EntityUid, Policy};
use model::{AgentName, Digest};

use crate::{
    Action, Annotations, Problem, Source,
    action::PerAction,
    entities,
    index::{Group, Index},
    memo::Memo,
    parse::{self, Rule},
    problem::place,
    schema::Terms,
    store::Store,
    validate,
    vocabulary::{SCHEMA_TEXT, Vocabulary},
};

/// The files of a tenant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// Fragments of schema (Cedar schema text), which declare types and actions besides ours.
    pub schemas: Vec<Source>,
    /// Policies (Cedar text).
    pub policies: Vec<Source>,
    /// Entities (Cedar JSON).
    pub entities: Vec<Source>,
}

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

/// What policies look at of the tools of a request.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ToolsRead {
    /// Their names.
    pub names: bool,
    /// How many there are.
    pub count: bool,
}

/// One immutable set of policies, ready to decide. Made whole and replaced whole.
pub struct Bundle {
    pub(crate) vocabulary: Arc<Vocabulary>,
    pub(crate) terms: Arc<Terms>,
    pub(crate) indexes: Arc<HashMap<EntityUid, Arc<Index>>>,
    pub(crate) store: Store,
    pub(crate) agents: Agents,
    pub(crate) rules: Arc<HashMap<Arc<str>, Facts>>,
    /// What it decided before.
    pub(crate) memo: Memo,
    pub(crate) ids: Arc<[Arc<str>]>,
    pub(crate) warnings: Arc<[Problem]>,
    pub(crate) digest: Digest,
}

/// What is known of a policy besides what it says.
pub(crate) struct Facts {
    pub(crate) policy: Policy,
    pub(crate) effect: Effect,
    pub(crate) annotations: Annotations,
    /// Where it stands: file, line and column, from 1.
    pub(crate) place: (String, u32, u32),
}

impl Facts {
    fn of(rule: &Rule<'_>, annotations: Annotations) -> Self {
        let (line, column) = place(&rule.source.text, rule.start);
        Self {
            policy: rule.policy.clone(),
            effect: rule.policy.effect(),
            annotations,
            place: (rule.source.file.clone(), line, column),
        }
    }
}

/// What is prepared for the agents.
#[derive(Clone, Default)]
pub(crate) struct Agents {
    known: Arc<HashMap<AgentName, Arc<Known>>>,
    /// The agents that each entity matters to.
    watchers: Arc<HashMap<EntityUid, Vec<AgentName>>>,
    reads_tools: bool,
}

impl Agents {
    pub(crate) fn get(&self, name: &AgentName) -> Option<&Arc<Known>> {
        self.known.get(name)
    }

    pub(crate) fn len(&self) -> usize {
        self.known.len()
    }

    fn new(known: HashMap<AgentName, Arc<Known>>) -> Self {
        let mut watchers: HashMap<EntityUid, Vec<AgentName>> = HashMap::new();
        for (name, agent) in &known {
            for uid in &agent.reached {
                watchers.entry(uid.clone()).or_default().push(name.clone());
            }
        }
        let reads_tools = known.values().any(|known| {
            let mut groups = known.groups.iter().flatten();
            groups.any(|group| group.reads.names("tools"))
        });
        Self {
            reads_tools,
            known: Arc::new(known),
            watchers: Arc::new(watchers),
        }
    }
}

/// What is prepared for one agent.
pub(crate) struct Known {
    pub(crate) uid: EntityUid,
    /// Its name, then those of all that it is in.
    pub(crate) lineage: Vec<EntityUid>,
    pub(crate) environment: String,
    /// The entities every decision about the agent starts from, whatever the action.
    pub(crate) entities: Entities,
    /// The policies that can apply to it.
    pub(crate) groups: PerAction<Vec<Arc<Group>>>,
    /// The names of all entities that matter to what is prepared here, stored or not.
    reached: Vec<EntityUid>,
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
    /// Compiles the files of a tenant for the agents of its manifests.
    ///
    /// # Errors
    /// Every problem found in any file, sorted: schemas that do not parse or declare what is ours, a policy that does not
    /// parse, has no `@id` of its own, is a template or does not pass strict validation, and entities that do not fit the
    /// schema or are declared twice. While there are problems with the schemas, nothing else is looked at.
    pub fn compile(sources: &Sources, agents: &[AgentFacts]) -> Result<Self, Vec<Problem>> {
        let schemas = sorted(&sources.schemas);
        let (policies, entities) = (sorted(&sources.policies), sorted(&sources.entities));
        let (mut problems, mut warnings) = (Vec::new(), Vec::new());
        let Some(terms) = Terms::read(&schemas, &mut problems, &mut warnings) else {
            return Err(all(problems));
        };
        let vocabulary = Vocabulary::new(&terms).map_err(|problem| vec![problem])?;
        let rules = parse::parse(&policies, &mut problems);
        let mut facts = HashMap::new();
        for rule in &rules {
            let (annotations, remarks) = Annotations::of(&rule.id, &rule.policy);
            let at = |message| Problem::at(rule.source, rule.start, message);
            problems.extend(remarks.problems.into_iter().map(at));
            warnings.extend(remarks.warnings.into_iter().map(at));
            facts.insert(rule.id.clone(), Facts::of(rule, annotations));
        }
        let findings = validate::validate(&vocabulary, &terms, &rules, agents);
        problems.extend(findings.problems);
        warnings.extend(findings.warnings);
        let store = entities::load(&vocabulary, &terms, &entities, agents, &mut problems);
        let (Some(store), true) = (store, problems.is_empty()) else {
            return Err(all(problems));
        };
        let broken = |message: String| vec![Problem::of_file("policies", message)];
        let indexes = Index::of_actions(terms.actions.values().map(|deed| &**deed), &rules).map_err(broken)?;
        let known = agents.iter().map(|agent| {
            let uid = vocabulary.agent(&agent.name);
            let known = prepare(&vocabulary, &indexes, &store, uid, &agent.environment)?;
            Ok((agent.name.clone(), Arc::new(known)))
        });
        let known = known.collect::<Result<_, String>>().map_err(broken)?;
        let mut ids: Vec<Arc<str>> = rules.iter().map(|rule| rule.id.clone()).collect();
        ids.sort();
        Ok(Self {
            vocabulary: Arc::new(vocabulary),
            terms: Arc::new(terms),
            indexes: Arc::new(indexes),
            store,
            agents: Agents::new(known),
            rules: Arc::new(facts),
            memo: Memo::default(),
            ids: ids.into(),
            warnings: all(warnings).into(),
            digest: digest(&schemas, &policies, &entities),
        })
    }

    /// Our own part of the schema that policies and entities are checked against, as Cedar schema text with comments.
    pub fn schema_text() -> &'static str {
        SCHEMA_TEXT
    }

    /// SHA-256 of the schema and all schema, policy and entity files, whatever order they were given in. The agents are
    /// not in it: their manifests are recorded by themselves. Nor is what the API set.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Whether a policy that can apply to one of the agents looks at the names of the tools that a request offers: then they
    /// are recorded, so that what was decided can be decided again. That it looks when it does not is harmless.
    pub fn reads_tools(&self) -> bool {
        self.agents.reads_tools
    }

    /// Which part of the tools of a request the policies look at that can apply to an agent's action. That they look when
    /// they do not is harmless.
    pub fn tools_read(&self, agent: &AgentName, action: Action) -> ToolsRead {
        let groups = self.agents.get(agent).map(|known| known.groups.get(action).as_slice());
        let groups = groups.unwrap_or_default();
        let reads = |part| groups.iter().any(|group| group.reads.names(part));
        ToolsRead {
            names: reads("tools"),
            count: reads("tool_count"),
        }
    }

    /// Whether the schema has an action of this name, ours included.
    pub fn has_action(&self, name: &str) -> bool {
        self.terms.action(name).is_some()
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

fn all(mut problems: Vec<Problem>) -> Vec<Problem> {
    problems.sort();
    problems.dedup();
    problems
}

fn prepare(
    vocabulary: &Vocabulary,
    indexes: &HashMap<EntityUid, Arc<Index>>,
    store: &Store,
    uid: EntityUid,
    environment: &str,
) -> Result<Known, String> {
    let names = store.lineage(&uid);
    let groups = PerAction::try_new(|action| {
        let index = indexes.get(&vocabulary.actions.get(action).uid);
        let groups = index.map(|index| index.of_principal(&vocabulary.agent, names.iter()));
        Ok::<Vec<Arc<Group>>, String>(groups.into_iter().flatten().cloned().collect())
    })?;
    let mut roots = vec![uid.clone()];
    let all = || groups.iter().flatten();
    roots.extend(all().flat_map(|group| group.literals.iter().cloned()));
    let depth = all().map(|group| group.depth).max().unwrap_or_default();
    // Without the schema, which the store was checked against, and which would add the records of all actions.
    let entities = Entities::from_entities(store.slice(&roots, depth)?, None).map_err(|error| error.to_string())?;
    Ok(Known {
        reached: store.reached(&roots, depth)?,
        uid,
        lineage: names,
        environment: environment.to_owned(),
        entities,
        groups,
    })
}

/// What is prepared for the agents, all of it anew.
pub(crate) fn prepare_all(bundle: &Bundle) -> Result<Agents, String> {
    let mut known = HashMap::clone(&bundle.agents.known);
    for agent in known.values_mut() {
        *agent = Arc::new(prepare(
            &bundle.vocabulary,
            &bundle.indexes,
            &bundle.store,
            agent.uid.clone(),
            &agent.environment,
        )?);
    }
    Ok(Agents::new(known))
}

/// What is prepared for the agents once entities have changed: anew where one of them matters.
pub(crate) fn prepare_again(bundle: &Bundle, store: &Store, changed: &HashSet<EntityUid>) -> Result<Agents, String> {
    let watchers = changed.iter().filter_map(|uid| bundle.agents.watchers.get(uid));
    let concerned: HashSet<&AgentName> = watchers.flatten().collect();
    if concerned.is_empty() {
        return Ok(bundle.agents.clone());
    }
    let mut known = HashMap::clone(&bundle.agents.known);
    for name in concerned {
        if let Some(agent) = known.get_mut(name) {
            *agent = Arc::new(prepare(
                &bundle.vocabulary,
                &bundle.indexes,
                store,
                agent.uid.clone(),
                &agent.environment,
            )?);
        }
    }
    Ok(Agents::new(known))
}

/// What is prepared for the agents once some of them have other manifests, or none.
pub(crate) fn prepare_for(
    bundle: &Bundle,
    store: &Store,
    put: &[AgentFacts],
    removed: &[AgentName],
) -> Result<Agents, String> {
    let vocabulary = &bundle.vocabulary;
    let mut known = HashMap::clone(&bundle.agents.known);
    for name in removed {
        known.remove(name);
    }
    let names = put.iter().map(|facts| &facts.name).chain(removed);
    let changed: Vec<EntityUid> = names.map(|name| vocabulary.agent(name)).collect();
    for name in changed
        .iter()
        .filter_map(|uid| bundle.agents.watchers.get(uid))
        .flatten()
    {
        if let Some(agent) = known.get_mut(name) {
            let (uid, environment) = (agent.uid.clone(), agent.environment.clone());
            *agent = Arc::new(prepare(vocabulary, &bundle.indexes, store, uid, &environment)?);
        }
    }
    for facts in put {
        let uid = vocabulary.agent(&facts.name);
        let agent = prepare(vocabulary, &bundle.indexes, store, uid, &facts.environment)?;
        known.insert(facts.name.clone(), Arc::new(agent));
    }
    Ok(Agents::new(known))
}

/// Every text is preceded by its length and every list by its count, so no two sets of sources encode alike.
fn digest(schemas: &[&Source], policies: &[&Source], entities: &[&Source]) -> Digest {
    let mut context = Context::new(&SHA256);
    let count = |context: &mut Context, n: usize| context.update(&(n as u64).to_be_bytes());
    let text = |context: &mut Context, text: &str| {
        count(context, text.len());
        context.update(text.as_bytes());
    };
    text(&mut context, "bailiwick policy bundle v1");
    text(&mut context, SCHEMA_TEXT);
    // Sets without schemas have the digest they had before there were any.
    let schemas = Some(schemas).filter(|schemas| !schemas.is_empty());
    for sources in [policies, entities].into_iter().chain(schemas) {
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
