//! Who acts.

use std::fmt;

use serde::Serialize;

/// One of the four agents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Agent {
    /// Behaves. Uses a tool, then streams, through OpenAI's dialect.
    NightlyReport,
    /// Gets caught in a loop, until its budget stops it.
    SiteAuditor,
    /// Wants a model that its policy forbids.
    FraudAnalyst,
    /// Streams through Anthropic's dialect, on behalf of a person.
    SupportAssistant,
}

impl Agent {
    /// All of them, in the order in which they are shown.
    pub(crate) const ALL: [Self; 4] = [
        Self::NightlyReport,
        Self::SiteAuditor,
        Self::FraudAnalyst,
        Self::SupportAssistant,
    ];

    /// Its name, as its manifest has it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NightlyReport => "nightly-report",
            Self::SiteAuditor => "site-auditor",
            Self::FraudAnalyst => "fraud-analyst",
            Self::SupportAssistant => "support-assistant",
        }
    }

    /// The agent of that name.
    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|agent| agent.name() == name)
    }
}

impl fmt::Display for Agent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}
