//! `kind: Pep`.

use std::collections::BTreeSet;

use control::PepSpec;
use model::{Digest, PepName};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{
    agent::{MAX_OWNER, MAX_PURPOSE},
    check::Check,
    kind::PepKind,
};
use crate::{
    node::{Field, Placed},
    problem::Findings,
    suggest::shown,
};

/// An enforcement point stands whole in one audit entry.
const MAX_CERTIFICATES: usize = 16;

/// A policy enforcement point: a program that asks the decision point and obeys its answers.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Pep", extend("required" = ["kind", "name", "owner", "purpose", "may"]))]
pub(crate) struct RawPep {
    /// What the document declares.
    kind: Field<PepKind>,
    /// The enforcement point's name, unique in its tenant: lower-case letters, digits, '-', '_' and '.'.
    name: Field<String>,
    /// Who answers for it: the address of a person or a group.
    owner: Field<String>,
    /// What it is for, in a sentence.
    purpose: Field<String>,
    /// What it may ask.
    may: Field<Vec<Field<RawRight>>>,
    /// Which reasons it is told with a decision; none if absent.
    reasons: Field<Vec<Field<RawReasons>>>,
    /// The client certificates that authenticate it, as the SHA-256 fingerprint of each: 64 hexadecimal digits, with or
    /// without colons. The agents' listener has to ask for certificates (`client_auth` in `[listen.agents_tls]`).
    certificates: Field<Vec<Field<String>>>,
}

/// What an enforcement point may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawRight {
    /// Whether something may be done.
    Evaluate,
    /// Who may do it, with what, and what may be done.
    Search,
}

/// Whose reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawReasons {
    /// Those for users.
    User,
    /// Those for administrators, the decision's code and the names of the policies that decided.
    Admin,
}

impl TryFrom<Placed<RawPep>> for PepSpec {
    type Error = Findings;

    fn try_from(Placed { mark, value: raw }: Placed<RawPep>) -> Result<Self, Findings> {
        let mut check = Check::of("enforcement point", mark, &raw.name);
        check.required("kind", raw.kind, "every document says what it declares: `kind: Pep`");
        let help = "every enforcement point needs a name: credentials and the log call it by that";
        let name = check.name(raw.name, PepName::new, help);
        let help = "every enforcement point needs an owner: the person or group that answers for it";
        let owner = check.label("owner", raw.owner, MAX_OWNER, help);
        let help = "every enforcement point has a purpose: say it in a sentence";
        let purpose = check.label("purpose", raw.purpose, MAX_PURPOSE, help);
        let help = "say what it may ask: `may: [evaluate]`, or `may: [evaluate, search]`";
        let may = check.required("may", raw.may, help);
        if let Some(Placed { mark, value }) = &may
            && value.is_empty()
        {
            let message = format!("{} may ask nothing", check.subject);
            check.findings.add_with_help(*mark, message, help);
        }
        let may = may.map(|may| values(may.value));
        let reasons = raw.reasons.value().map(values).unwrap_or_default();
        let certificates = check.certificates(raw.certificates);
        let pep = || {
            let may = may?;
            Some(Self {
                name: name?,
                owner: owner?,
                purpose: purpose?,
                may_evaluate: may.contains(&RawRight::Evaluate),
                may_search: may.contains(&RawRight::Search),
                reasons_user: reasons.contains(&RawReasons::User),
                reasons_admin: reasons.contains(&RawReasons::Admin),
                certificates,
            })
        };
        let pep = pep();
        check.findings.conclude(pep)
    }
}

fn values<T>(fields: Vec<Field<T>>) -> Vec<T> {
    fields.into_iter().filter_map(Field::value).collect()
}

impl Check {
    fn certificates(&mut self, field: Field<Vec<Field<String>>>) -> Vec<Digest> {
        let Some(Placed { mark, value: given }) = field.given() else {
            return Vec::new();
        };
        if given.len() > MAX_CERTIFICATES {
            let message = format!(
                "{} has {} certificates, more than {MAX_CERTIFICATES}",
                self.subject,
                given.len()
            );
            let help = "leave out those that have expired";
            self.findings.add_with_help(mark, message, help);
        }
        let mut certificates = BTreeSet::new();
        for certificate in given.into_iter().filter_map(Field::given) {
            match Digest::parse(&certificate.value.replace(':', "")) {
                Ok(digest) => drop(certificates.insert(digest)),
                Err(_) => {
                    let message = format!("`{}` is not a fingerprint of a certificate", shown(&certificate.value));
                    let help = "it is the SHA-256 of the certificate in 64 hexadecimal digits, as `openssl x509 -noout \
                                -fingerprint -sha256 -in FILE` prints it";
                    self.findings.add_with_help(certificate.mark, message, help);
                }
            }
        }
        certificates.into_iter().collect()
    }
}
