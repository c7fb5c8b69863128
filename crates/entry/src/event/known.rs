//! What is known of each kind of event: its class, the first version that can say it, and whether decisions that were taken
//! before it must be taken again.

use model::Reason;

use super::Event;
use crate::{Class, UpstreamRecord};

impl Event {
    /// What kind of evidence it is, by which it is decided how long it is kept. `None` is kept for as long as the log: what
    /// the log says of itself, without which nobody could tell what became of the rest.
    pub fn class(&self) -> Option<Class> {
        match self {
            Self::Intent(_)
            | Self::Outcome(_)
            | Self::Denial(_)
            | Self::Replay(_)
            | Self::Asked(_)
            | Self::AskRefused(_)
            | Self::AskEnded(_)
            | Self::AllowanceHeld(_)
            | Self::AllowanceReleased { .. }
            | Self::SpoolApplied(_)
            | Self::Overrun(_)
            | Self::ThresholdReached(_)
            | Self::BreakerWarned(_)
            | Self::BreakerTripped(_)
            | Self::BreakerClosed(_) => Some(Class::Calls),
            Self::Decided(_) => Some(Class::Decisions),
            Self::Started { .. }
            | Self::Stopped { .. }
            | Self::Heads { .. }
            | Self::Heartbeat { .. }
            | Self::QuorumMissed { .. }
            | Self::QuorumMet { .. } => Some(Class::Server),
            Self::AgentLoaded { .. }
            | Self::AgentRemoved { .. }
            | Self::BudgetLoaded { .. }
            | Self::BudgetRemoved { .. }
            | Self::BudgetEdited { .. }
            | Self::LimitLoaded { .. }
            | Self::LimitRemoved { .. }
            | Self::BreakerLoaded { .. }
            | Self::BreakerRemoved { .. }
            | Self::BreakerReset { .. }
            | Self::PolicyFile(_)
            | Self::PolicyLoaded { .. }
            | Self::PricesLoaded { .. }
            | Self::UpstreamsLoaded { .. }
            | Self::KeyIssued { .. }
            | Self::KeyRevoked { .. }
            | Self::AdminAdded { .. }
            | Self::AdminRemoved { .. }
            | Self::OverrunCleared { .. }
            | Self::PepLoaded { .. }
            | Self::PepRemoved { .. }
            | Self::PepKeyIssued { .. }
            | Self::EntitiesChanged { .. } => Some(Class::Administration),
            Self::SigningKeyAdded { .. }
            | Self::SigningKeyRetired { .. }
            | Self::Restored { .. }
            | Self::ForkReported { .. }
            | Self::SnapshotTaken { .. }
            | Self::Expired(_)
            | Self::LegalHoldSet { .. }
            | Self::LegalHoldLifted { .. } => None,
        }
    }

    /// The first version of the schema that can say this.
    pub fn since(&self) -> u32 {
        if self.is_fifth() {
            5
        } else if self.is_fourth() {
            4
        } else if self.is_third() {
            3
        } else if self.is_second() {
            2
        } else {
            1
        }
    }

    fn is_second(&self) -> bool {
        match self {
            Self::Overrun(_)
            | Self::OverrunCleared { .. }
            | Self::Replay(_)
            | Self::AllowanceHeld(_)
            | Self::AllowanceReleased { .. }
            | Self::SpoolApplied(_) => true,
            Self::Intent(intent) => intent.bound.is_some() || intent.idempotency.is_some() || intent.spooled.is_some(),
            Self::Outcome(outcome) => outcome.spooled.is_some(),
            Self::AgentLoaded { agent, .. } => agent.allowance.is_some(),
            Self::Denial(denial) => matches!(
                denial.reason,
                Reason::UnboundedOutput | Reason::IdempotencyKeyUsed | Reason::IdempotencyKeyReused
            ),
            Self::UpstreamsLoaded { upstreams, .. } => !upstreams.iter().all(UpstreamRecord::is_plain),
            _ => false,
        }
    }

    fn is_third(&self) -> bool {
        match self {
            Self::BudgetRemoved { .. }
            | Self::BudgetEdited { .. }
            | Self::LimitLoaded { .. }
            | Self::LimitRemoved { .. }
            | Self::BreakerLoaded { .. }
            | Self::BreakerRemoved { .. }
            | Self::BreakerWarned(_)
            | Self::BreakerTripped(_)
            | Self::BreakerClosed(_)
            | Self::BreakerReset { .. }
            | Self::ThresholdReached(_)
            | Self::Asked(_)
            | Self::AskRefused(_)
            | Self::AskEnded(_) => true,
            Self::BudgetLoaded {
                budget, declared, note, ..
            } => !budget.is_plain() || !declared.in_files() || !note.is_empty(),
            Self::Intent(intent) => {
                let apart = intent.bookings.iter().any(|booking| !booking.of.is_empty());
                intent.tokens.is_some()
                    || !intent.tools.is_empty()
                    || intent.step.is_some()
                    || intent.result_step.is_some()
                    || apart
            }
            Self::AllowanceHeld(allowance) => allowance.bookings.iter().any(|booking| !booking.of.is_empty()),
            Self::Overrun(overrun) => overrun.tokens_held.is_some() || overrun.tokens.is_some(),
            Self::Denial(denial) => {
                matches!(denial.reason, Reason::RateLimited | Reason::BreakerOpen)
                    || denial.limited.is_some()
                    || denial.breaker.is_some()
                    || denial.over.as_ref().is_some_and(|over| !over.is_plain())
            }
            _ => false,
        }
    }

    fn is_fourth(&self) -> bool {
        match self {
            Self::PepLoaded { .. }
            | Self::PepRemoved { .. }
            | Self::PepKeyIssued { .. }
            | Self::EntitiesChanged { .. }
            | Self::Decided(_) => true,
            Self::PolicyFile(file) => file.sha256.is_some(),
            Self::Intent(intent) => intent.tool_count > 0,
            Self::Denial(denial) => denial.input.is_some(),
            _ => false,
        }
    }

    fn is_fifth(&self) -> bool {
        matches!(
            self,
            Self::Heads { .. }
                | Self::Heartbeat { .. }
                | Self::SigningKeyAdded { .. }
                | Self::SigningKeyRetired { .. }
                | Self::Restored { .. }
                | Self::QuorumMissed { .. }
                | Self::QuorumMet { .. }
                | Self::ForkReported { .. }
                | Self::SnapshotTaken { .. }
                | Self::Expired(_)
                | Self::LegalHoldSet { .. }
                | Self::LegalHoldLifted { .. }
                | Self::Started {
                    heartbeat_s: Some(_),
                    ..
                }
        )
    }

    /// Whether decisions taken before this event must be taken again: it advances the control epoch. Of the overruns of a
    /// model, only the first that makes it distrusted does.
    pub fn advances_epoch(&self) -> bool {
        matches!(
            self,
            Self::AgentLoaded { .. }
                | Self::AgentRemoved { .. }
                | Self::BudgetLoaded { .. }
                | Self::BudgetRemoved { .. }
                | Self::BudgetEdited { .. }
                | Self::LimitLoaded { .. }
                | Self::LimitRemoved { .. }
                | Self::BreakerLoaded { .. }
                | Self::BreakerRemoved { .. }
                | Self::AskRefused(_)
                | Self::PolicyLoaded { .. }
                | Self::PricesLoaded { .. }
                | Self::UpstreamsLoaded { .. }
                | Self::KeyRevoked { .. }
                | Self::Overrun(_)
                | Self::OverrunCleared { .. }
                | Self::PepLoaded { .. }
                | Self::PepRemoved { .. }
                | Self::EntitiesChanged { .. }
        )
    }
}
