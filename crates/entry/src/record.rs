//! The objects that entries carry whole, so that budgets, prices, policies and credentials can be replayed offline.

use std::collections::BTreeMap;

use model::{AdminName, AgentName, BudgetName, Digest, KeyId, NanoUsd, Pseudonym, Tier, Timestamp, UpstreamName};
use serde::{Deserialize, Serialize};

/// An agent as its manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentRecord {
    /// The agent.
    pub name: AgentName,
    /// Who answers for it.
    pub owner: Pseudonym,
    /// The team it belongs to.
    pub team: String,
    /// The product it works for.
    pub product: String,
    /// Where it runs, such as `production`.
    pub environment: String,
    /// What it is for.
    pub purpose: String,
    /// The budgets its actions must fit into.
    pub budgets: Vec<BudgetName>,
    /// The output limit written into requests that give none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output_limit: Option<u64>,
    /// What it may spend while nothing can be recorded; without one it is refused then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allowance: Option<NanoUsd>,
}

/// A credential of an agent. The secret is shown once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRecord {
    /// The credential's public name.
    pub id: KeyId,
    /// The agent it authenticates.
    pub agent: AgentName,
    /// What people call it.
    pub label: String,
    /// SHA-256 of the secret. The secret has 256 random bits, so this neither authenticates nor can be guessed from.
    pub verifier: Digest,
    /// The tier of what is done with it.
    pub tier: Tier,
    /// The user on whose behalf it acts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Pseudonym>,
    /// The only upstreams it may reach; empty for no narrowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub upstreams: Vec<UpstreamName>,
    /// The only models it may ask for; empty for no narrowing.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub models: Vec<String>,
    /// When it stops authenticating.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// What an administrator may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Everything, administrators included.
    Owner,
    /// Keys, reloads and everything an approver or viewer may.
    Operator,
    /// Answers to approvals; and what a viewer may.
    Approver,
    /// Reads state, not the audit trail.
    Viewer,
    /// Reads everything, the audit trail included; changes nothing.
    Auditor,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 5] = [Self::Owner, Self::Operator, Self::Approver, Self::Viewer, Self::Auditor];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Owner => "owner",
            Self::Operator => "operator",
            Self::Approver => "approver",
            Self::Viewer => "viewer",
            Self::Auditor => "auditor",
        }
    }
}

/// A named administrator and the verifier of the credential that authenticates them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdminRecord {
    /// The administrator.
    pub name: AdminName,
    /// What they may do.
    pub role: Role,
    /// SHA-256 of the secret.
    pub verifier: Digest,
}

/// A file that a policy bundle is made of: schemas and policies whole, and of a file of entities, which may hold what is
/// personal and may be long, its hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PolicyFile {
    /// Its path below the governance directory.
    pub file: String,
    /// Its text; empty where `sha256` stands for it.
    pub text: String,
    /// SHA-256 of its text, of a file of entities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<Digest>,
}

/// A price that the configuration adds or overrides, as it was written: the whole object as JSON text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PriceRecord {
    /// The provider of the catalogue.
    pub provider: String,
    /// The model.
    pub model: String,
    /// US dollars per million tokens and limits, as the configuration writes them.
    pub prices: BTreeMap<String, String>,
}

/// Where requests of one upstream go, and how they are priced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UpstreamRecord {
    /// The upstream.
    pub name: UpstreamName,
    /// The dialect it speaks.
    pub kind: String,
    /// Its base URL, without credentials.
    pub base_url: String,
    /// The provider of the catalogue that prices its models.
    pub prices: String,
    /// Whether it keeps to the output limits of requests. Left out where it does.
    #[serde(default = "yes", skip_serializing_if = "is_yes")]
    pub honours_output_limit: bool,
    /// The template of paths, where a call does not go to the path it asks for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// The templates of single endpoints, by their path below `/v1/`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub paths: BTreeMap<String, String>,
    /// What is added to the query.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub query: String,
    /// The headers put on requests, as templates: the credential is a variable.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// The provider's names of models, by the names that entries use.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub models: BTreeMap<String, String>,
    /// Whether agents may ask in the paths of Azure's clients.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub azure_paths: bool,
    /// Whether the name of its host may lead to an address inside the network.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub private_network: bool,
    /// The proxy that connections go through, as `host:port`, without its credential.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// `always` or `never`, where HTTP/2 is not the upstream's to choose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub http2: Option<String>,
    /// SHA-256 of the file of the authorities that its certificate must come from, where these are not the public ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca: Option<Digest>,
    /// SHA-256 of the file of the certificate that is shown to it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<Digest>,
}

impl UpstreamRecord {
    /// Whether it says nothing that the first version of the schema could not say.
    pub(crate) fn is_plain(&self) -> bool {
        let Self {
            name: _,
            kind: _,
            base_url: _,
            prices: _,
            honours_output_limit,
            path,
            paths,
            query,
            headers,
            models,
            azure_paths,
            private_network,
            proxy,
            http2,
            ca,
            client_certificate,
        } = self;
        let tables = [paths, headers, models];
        let switches = [!honours_output_limit, *azure_paths, *private_network];
        let texts = [path, proxy, http2];
        let digests = [ca, client_certificate];
        texts.iter().all(|text| text.is_none())
            && digests.iter().all(|digest| digest.is_none())
            && query.is_empty()
            && tables.iter().all(|table| table.is_empty())
            && !switches.contains(&true)
    }
}

fn yes() -> bool {
    true
}

fn is_yes(value: &bool) -> bool {
    *value
}
