//! What a decision point says of itself (section 9).

use serde::Serialize;

/// The path segment between the host and the rest of a decision point's identifier (section 9.2.1).
pub const WELL_KNOWN: &str = "/.well-known/authzen-configuration";

/// The metadata of a decision point. What is empty is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Metadata {
    /// Its identifier: an address of `https` without query and fragment.
    pub policy_decision_point: String,
    /// Where one question is asked.
    pub access_evaluation_endpoint: String,
    /// Where many are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub access_evaluations_endpoint: Option<String>,
    /// Where subjects are searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_subject_endpoint: Option<String>,
    /// Where resources are searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_resource_endpoint: Option<String>,
    /// Where actions are searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub search_action_endpoint: Option<String>,
    /// The registered names of what it can do besides.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub capabilities: Vec<String>,
    /// The types of obligations it may put on an enforcement point (AuthZEN Obligations Profile, draft 1).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub supported_obligations: Vec<String>,
    /// Where its public keys are.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_uri: Option<String>,
    /// The same, signed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_metadata: Option<String>,
}

impl Metadata {
    /// The metadata of the decision point of this identifier, whose endpoints are below an address without a slash at its
    /// end.
    pub fn of(identifier: &str, endpoints: &str) -> Self {
        let at = |path: &str| format!("{endpoints}/access/v1/{path}");
        Self {
            policy_decision_point: identifier.to_owned(),
            access_evaluation_endpoint: at("evaluation"),
            access_evaluations_endpoint: Some(at("evaluations")),
            search_subject_endpoint: Some(at("search/subject")),
            search_resource_endpoint: Some(at("search/resource")),
            search_action_endpoint: Some(at("search/action")),
            ..Self::default()
        }
    }
}
