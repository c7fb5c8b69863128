//! The properties of entries, and the words for their values.

use entry::{AskEnd, Decision, Status};
use serde::{Deserialize, Serialize};

/// Who has a property from the entry that it follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Inherited {
    Nobody,
    /// An outcome from its intent.
    Outcomes,
    /// That, and what follows from an outcome from the outcome.
    All,
}

macro_rules! fields {
    ($($(#[$doc:meta])* $name:ident = $word:literal, $by:ident;)*) => {
        /// A property of an entry. One entry may have several values of it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Field {
            $($(#[$doc])* $name,)*
        }

        impl Field {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $word,)* }
            }

            /// Who has it from the entry that it follows from.
            pub(super) const fn inherited(self) -> Inherited {
                match self { $(Self::$name => Inherited::$by,)* }
            }
        }
    };
}

fields! {
    /// The kind of the entry.
    Kind = "kind", Nobody;
    /// The id of an action: of the entry's own and, in a replay, of the one whose reply it is.
    Action = "action", All;
    /// The agent.
    Agent = "agent", All;
    /// The enforcement point.
    Pep = "pep", All;
    /// The credential.
    Key = "key", All;
    /// The pseudonym of a user.
    User = "user", All;
    /// The run that the agent named.
    Run = "run", All;
    /// The task type that the agent named.
    Task = "task", All;
    /// An action's name, as policies know it.
    Operation = "operation", All;
    /// `upstream/model`, or the type and id of what an enforcement point asked about, with a slash between them.
    Resource = "resource", All;
    /// What stands before the slash: the upstream, or the type.
    ResourceType = "resource_type", All;
    /// The model.
    Model = "model", All;
    /// The type and id of whom an enforcement point asked about, with a slash between them.
    Subject = "subject", All;
    /// What was decided.
    Decision = "decision", Outcomes;
    /// Why, as a stable code.
    Reason = "reason", Nobody;
    /// How an attempt ended.
    Status = "status", Nobody;
    /// A budget.
    Budget = "budget", Outcomes;
    /// An administrator: who did it, or to whom it was done.
    Admin = "admin", Nobody;
}

impl Field {
    /// The field of a word.
    pub fn find(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|field| field.as_str() == word)
    }
}

/// The word of a decision, as entries spell it.
pub const fn decision(decision: Decision) -> &'static str {
    match decision {
        Decision::Permit => "permit",
        Decision::Deny => "deny",
        Decision::ApprovalRequired => "approval_required",
    }
}

/// The word of a status, as entries spell it.
pub const fn status(status: Status) -> &'static str {
    match status {
        Status::Ok => "ok",
        Status::UpstreamError => "upstream_error",
        Status::Unreachable => "unreachable",
        Status::Timeout => "timeout",
        Status::Broken => "broken",
        Status::ClientGone => "client_gone",
        Status::Cut => "cut",
        Status::Revoked => "revoked",
        Status::NotForwarded => "not_forwarded",
        Status::Indeterminate => "indeterminate",
    }
}

/// All words of statuses: those of outcomes, and those of waiting that ended without an answer.
pub const STATUSES: [&str; 13] = [
    "ok",
    "upstream_error",
    "unreachable",
    "timeout",
    "broken",
    "client_gone",
    "cut",
    "revoked",
    "not_forwarded",
    "indeterminate",
    "withdrawn",
    "lost",
    "moved",
];

/// The word of how waiting ended without an answer, as entries spell it.
pub(super) const fn ask_end(end: AskEnd) -> &'static str {
    match end {
        AskEnd::Withdrawn => "withdrawn",
        AskEnd::Lost => "lost",
        AskEnd::Moved => "moved",
    }
}
