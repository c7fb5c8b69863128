//! Who asks.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{AgentName, KeyId, TenantName};

/// A person as the log names them: a keyed hash, 32 hexadecimal digits. The mapping to the person is kept outside the
/// log, so that erasing the mapping erases the link.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Pseudonym(pub String);

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What kind of work a credential is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Tier {
    /// A person waits for the answer.
    Interactive,
    /// Nobody waits.
    Background,
    /// An agent started by an agent.
    SubAgent,
    /// A program with no person and no agent loop.
    #[default]
    Api,
}

impl Tier {
    /// All tiers, in the order of their declaration.
    pub const ALL: [Self; 4] = [Self::Interactive, Self::Background, Self::SubAgent, Self::Api];

    /// The word used in manifests, entries and policies.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Interactive => "interactive",
            Self::Background => "background",
            Self::SubAgent => "sub-agent",
            Self::Api => "api",
        }
    }
}

impl fmt::Display for Tier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An authenticated agent: made only by looking up a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    /// The tenant the credential belongs to.
    pub tenant: TenantName,
    /// The agent the credential was issued to.
    pub agent: AgentName,
    /// Which of the agent's credentials was used.
    pub key: KeyId,
    /// The user on whose behalf the credential acts, if it is bound to one.
    pub user: Option<Pseudonym>,
    /// The credential's tier.
    pub tier: Tier,
}
