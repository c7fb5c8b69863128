//! Stable codes that say why something was refused or failed. They are part of the interface: callers, dashboards and
//! entries compare them as text, so a code is never renamed.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Whose doing a refusal or failure is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The caller can mend it.
    Caller,
    /// The provider failed.
    Upstream,
    /// Bailiwick failed or is not able to answer.
    Us,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $status:literal, $fault:ident;)*) => {
        /// Why an action was refused or failed.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Reason {
            $($(#[$doc])* $name,)*
        }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// The stable code.
            pub fn code(self) -> &'static str {
                match self { $(Self::$name => $code,)* }
            }

            /// The HTTP status the gateway answers with.
            pub fn status(self) -> u16 {
                match self { $(Self::$name => $status,)* }
            }

            /// Whose doing it is.
            pub fn fault(self) -> Fault {
                match self { $(Self::$name => Fault::$fault,)* }
            }
        }
    };
}

reasons! {
    /// No credential was sent.
    MissingCredential = "missing_credential", 401, Caller;
    /// The credential is not one of ours, or is misspelt.
    InvalidCredential = "invalid_credential", 401, Caller;
    /// The credential's time is over.
    ExpiredCredential = "expired_credential", 401, Caller;
    /// The credential was revoked.
    RevokedCredential = "revoked_credential", 401, Caller;
    /// The credential is narrowed to other upstreams or models.
    CredentialScope = "credential_scope", 403, Caller;
    /// No policy permits the action, or one forbids it.
    PolicyDenied = "policy_denied", 403, Caller;
    /// The agent's manifest is gone.
    UnknownAgent = "unknown_agent", 403, Caller;
    /// The action does not fit into the budget.
    BudgetExhausted = "budget_exhausted", 402, Caller;
    /// It would go faster than a rate limit allows; `Retry-After` says when it would not.
    RateLimited = "rate_limited", 429, Caller;
    /// A circuit breaker stopped the run, the agent or the team.
    BreakerOpen = "breaker_open", 429, Caller;
    /// The first path segment names no upstream.
    UnknownUpstream = "unknown_upstream", 404, Caller;
    /// The upstream has no such governed endpoint: what is not metered is not forwarded.
    UnknownEndpoint = "unknown_endpoint", 404, Caller;
    /// The endpoint wants another HTTP method.
    MethodNotAllowed = "method_not_allowed", 405, Caller;
    /// The model has no price, so no budget can cover it.
    UnpricedModel = "unpriced_model", 403, Caller;
    /// The request uses a feature whose cost has no upper bound.
    UnboundedFeature = "unbounded_feature", 403, Caller;
    /// The upstream is not relied on to keep to output limits, and it is not known how much the model produces at most.
    UnboundedOutput = "unbounded_output", 403, Caller;
    /// The request is not well-formed.
    InvalidRequest = "invalid_request", 400, Caller;
    /// The body is larger than the limit.
    RequestTooLarge = "request_too_large", 413, Caller;
    /// The body did not arrive in time.
    RequestTimeout = "request_timeout", 408, Caller;
    /// The idempotency key belongs to a call that was paid for, and its reply is not kept any more.
    IdempotencyKeyUsed = "idempotency_key_used", 409, Caller;
    /// The idempotency key was used for another request.
    IdempotencyKeyReused = "idempotency_key_reused", 422, Caller;
    /// Too many calls are in flight.
    Overloaded = "overloaded", 503, Us;
    /// The store cannot record, so nothing is allowed.
    GovernanceUnavailable = "governance_unavailable", 503, Us;
    /// The provider could not be reached.
    UpstreamUnreachable = "upstream_unreachable", 502, Upstream;
    /// The provider did not answer in time.
    UpstreamTimeout = "upstream_timeout", 504, Upstream;
    /// The provider's answer broke off or made no sense.
    UpstreamBroken = "upstream_broken", 502, Upstream;
    /// The provider used more than the hold covers, so the stream was cut.
    HoldExceeded = "hold_exceeded", 402, Upstream;
    /// The credential was revoked, or expired, while the call was running.
    Revoked = "revoked", 403, Caller;
}

impl Reason {
    /// Whether trying the same request again can help.
    pub fn retryable(self) -> bool {
        matches!(
            self,
            Self::RateLimited
                | Self::Overloaded
                | Self::GovernanceUnavailable
                | Self::UpstreamUnreachable
                | Self::UpstreamTimeout
                | Self::UpstreamBroken
                | Self::RequestTimeout
        )
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_what_serde_writes() {
        for reason in Reason::ALL {
            assert_eq!(serde_json::to_value(reason).unwrap(), reason.code());
        }
    }

    #[test]
    fn what_a_retry_cannot_mend_is_not_retryable() {
        for reason in Reason::ALL {
            assert!(
                !(reason.retryable() && matches!(reason.status(), 401..=403)),
                "{reason}"
            );
        }
    }
}
