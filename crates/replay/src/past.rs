//! What the log says on the way: with what credentials, manifests and schemas questions were asked.

use std::collections::{BTreeSet, HashMap};

use aws_lc_rs::digest::{SHA256, digest};
use entry::{AgentRecord, Entry, Event};
use model::{AgentName, KeyId, Tier};
use policy::{AgentFacts, Source};

/// Which schemas there are, whatever their names.
pub(crate) type Schemas = BTreeSet<Vec<u8>>;

/// How a file of a schema ends.
const SCHEMA_FILE: &str = ".cedarschema";

/// The part of the log's fold that questions depend on.
pub(crate) struct Past {
    keys: HashMap<KeyId, Tier>,
    agents: HashMap<AgentName, AgentFacts>,
    /// The manifests that the bundles have.
    known: HashMap<AgentName, AgentFacts>,
    /// Those of which that may be otherwise.
    stale: BTreeSet<AgentName>,
    /// The version of the stored entities.
    pub(crate) entities: u64,
    /// The files of schemas, by their entries.
    files: HashMap<u64, Vec<u8>>,
    /// The schemas in effect, and those of the candidate.
    schemas: Schemas,
    wanted: Schemas,
}

impl Past {
    /// Before the first entry, for bundles that know these agents.
    pub(crate) fn new(wanted: &[Source], agents: Vec<AgentFacts>) -> Self {
        let known: HashMap<_, _> = agents.into_iter().map(|facts| (facts.name.clone(), facts)).collect();
        Self {
            keys: HashMap::new(),
            agents: HashMap::new(),
            stale: known.keys().cloned().collect(),
            known,
            entities: 0,
            files: HashMap::new(),
            schemas: Schemas::new(),
            wanted: schemas(wanted),
        }
    }

    /// Takes the next entry.
    pub(crate) fn take(&mut self, entry: &Entry) {
        match &entry.event {
            Event::KeyIssued { key, .. } => {
                self.keys.insert(key.id.clone(), key.tier);
            }
            Event::AgentLoaded { agent, .. } => {
                self.agents.insert(agent.name.clone(), facts(agent));
                self.stale.insert(agent.name.clone());
            }
            Event::AgentRemoved { agent, .. } => {
                self.agents.remove(agent);
                self.stale.insert(agent.clone());
            }
            Event::EntitiesChanged { version, .. } => self.entities = *version,
            Event::PolicyFile(file) if file.file.ends_with(SCHEMA_FILE) => {
                self.files.insert(entry.index, hash(&file.text));
            }
            Event::PolicyLoaded { files, .. } => {
                self.schemas = files.iter().filter_map(|file| self.files.get(file)).cloned().collect();
            }
            _ => {}
        }
    }

    /// The tier of a credential.
    pub(crate) fn tier(&self, key: &KeyId) -> Option<Tier> {
        self.keys.get(key).copied()
    }

    /// Whether the schemas in effect are those of the candidate.
    pub(crate) fn has_schemas(&self) -> bool {
        self.schemas == self.wanted
    }

    /// The manifests that are others than the bundles have, and the agents that have none, once.
    pub(crate) fn changed_agents(&mut self) -> Option<(Vec<AgentFacts>, Vec<AgentName>)> {
        if self.stale.is_empty() {
            return None;
        }
        let (mut put, mut removed) = (Vec::new(), Vec::new());
        for name in std::mem::take(&mut self.stale) {
            match self.agents.get(&name) {
                Some(facts) if self.known.get(&name) != Some(facts) => {
                    self.known.insert(name, facts.clone());
                    put.push(facts.clone());
                }
                None if self.known.remove(&name).is_some() => removed.push(name),
                _ => {}
            }
        }
        (!put.is_empty() || !removed.is_empty()).then_some((put, removed))
    }
}

/// What policies see of a manifest.
pub fn facts(agent: &AgentRecord) -> AgentFacts {
    AgentFacts {
        name: agent.name.clone(),
        team: agent.team.clone(),
        product: agent.product.clone(),
        environment: agent.environment.clone(),
    }
}

/// The schemas of files.
pub(crate) fn schemas(sources: &[Source]) -> Schemas {
    sources.iter().map(|source| hash(&source.text)).collect()
}

fn hash(text: &str) -> Vec<u8> {
    digest(&SHA256, text.as_bytes()).as_ref().to_vec()
}
