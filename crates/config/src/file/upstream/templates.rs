//! `path`, `paths`, `query`, `headers` and `models`: how a call is addressed.

use std::collections::BTreeSet;

use control::{HeaderTemplate, PathTemplate, QueryTemplate, TemplateError, UpstreamSpec};
use llm::{Endpoint, MAX_NAME_BYTES};

use super::RawUpstream;
use crate::{
    node::{Field, Keyed, Placed},
    problem::{Findings, Mark},
    suggest::{self, shown},
};

/// The most names of models, headers, and endpoints with paths of their own. All stand in one audit entry.
const MAX_NAMES: usize = 64;

/// Puts the keys that are given in place of the preset's.
pub(super) fn apply(spec: &mut UpstreamSpec, raw: &mut RawUpstream, at: Mark, findings: &mut Findings) {
    if let Some(path) = std::mem::take(&mut raw.path).given() {
        let read = PathTemplate::parse(&path.value).map_err(|error| report("`path`", path.mark, error, findings));
        if let Ok(path) = read {
            spec.path = path;
            // The preset's exceptions are exceptions from its own path.
            spec.paths.clear();
        }
    }
    for (name, path) in entries(std::mem::take(&mut raw.paths), "paths", findings) {
        exception(spec, &name, &path, findings);
    }
    if let Some(query) = std::mem::take(&mut raw.query).given() {
        match QueryTemplate::parse(&query.value) {
            Ok(query) => spec.query = query,
            Err(error) => report("`query`", query.mark, error, findings),
        }
    }
    headers(spec, raw, at, findings);
    for (name, sent) in entries(std::mem::take(&mut raw.models), "models", findings) {
        if is_model(&name.value) && is_model(&sent.value) {
            spec.models.insert(name.value, sent.value);
        } else {
            let message = "this cannot be the name of a model";
            let help =
                "a name has 1 to 256 bytes, no control characters and no `-` at its start, and is not `.` or `..`";
            findings.add_with_help(sent.mark, message, help);
        }
    }
}

/// One endpoint's own path.
fn exception(spec: &mut UpstreamSpec, name: &Placed<String>, path: &Placed<String>, findings: &mut Findings) {
    let governed = || {
        Endpoint::ALL
            .into_iter()
            .filter(|endpoint| endpoint.dialect() == spec.kind)
    };
    let Some(endpoint) = governed().find(|endpoint| endpoint.operation() == name.value) else {
        let known: Vec<&str> = governed().map(Endpoint::operation).collect();
        let message = format!("`{}` is no governed endpoint", shown(&name.value));
        findings.add_with_help(name.mark, message, suggest::help(&name.value, "endpoints", &known));
        return;
    };
    match PathTemplate::parse_for_one(&path.value) {
        Ok(path) => {
            spec.paths.retain(|(of, _)| *of != endpoint);
            spec.paths.push((endpoint, path));
        }
        Err(error) => report("the path", path.mark, error, findings),
    }
}

fn headers(spec: &mut UpstreamSpec, raw: &mut RawUpstream, at: Mark, findings: &mut Findings) {
    let mut seen = BTreeSet::new();
    for (name, value) in entries(std::mem::take(&mut raw.headers), "headers", findings) {
        let header = match HeaderTemplate::parse(&name.value, &value.value) {
            Ok(header) => header,
            Err(error @ (TemplateError::NoHeaderName | TemplateError::OwnHeader)) => {
                report(&format!("`{}`", shown(&name.value)), name.mark, error, findings);
                continue;
            }
            Err(error) => {
                report("the header", value.mark, error, findings);
                continue;
            }
        };
        if !seen.insert(header.name().to_owned()) {
            findings.add(name.mark, format!("the header `{}` is given twice", header.name()));
            continue;
        }
        // The credential goes where the operator says, and not where the preset says as well.
        let given = header.has_credential();
        spec.headers.retain(|known| {
            known.name() != header.name() && !(given && known.has_credential() && !seen.contains(known.name()))
        });
        spec.headers.push(header);
    }
    spec.headers.sort_by(|a, b| a.name().cmp(b.name()));
    if let Some(header) = spec.headers.iter().find(|header| header.has_credential())
        && !raw.api_key.is_present()
    {
        let message = format!(
            "the header `{}` carries the credential, and there is no `api_key`",
            header.name()
        );
        findings.add_with_help(
            at,
            message,
            "say where the credential is, such as api_key = { env = \"MY_KEY\" }",
        );
    }
}

fn entries(
    field: Field<Keyed<String>>,
    key: &str,
    findings: &mut Findings,
) -> impl Iterator<Item = (Placed<String>, Placed<String>)> + use<> {
    let given = field.given();
    if let Some(Placed { mark, value }) = &given
        && value.0.len() > MAX_NAMES
    {
        let message = format!("`{key}` has {} entries, more than {MAX_NAMES}", value.0.len());
        findings.add_with_help(*mark, message, "one audit entry carries all upstreams");
    }
    let entries = given.map(|given| given.value.0).unwrap_or_default();
    entries
        .into_iter()
        .filter_map(|(name, value)| Some((name, value.given()?)))
}

fn is_model(name: &str) -> bool {
    let fits = (1..=MAX_NAME_BYTES).contains(&name.len()) && !name.chars().any(char::is_control);
    fits && !name.starts_with('-') && !matches!(name, "." | "..")
}

/// What a template is refused for never repeats it: it may hold a credential.
fn report(what: &str, mark: Mark, error: TemplateError, findings: &mut Findings) {
    let help = match error {
        TemplateError::NoSlash
        | TemplateError::EmptySegment
        | TemplateError::DotSegment
        | TemplateError::NoVariable
        | TemplateError::NoOperation
        | TemplateError::PathCharacter => "write a path such as \"/openai/deployments/{model}/{operation}\"",
        TemplateError::NoQuery => "write a query such as \"api-version=2024-10-21\"",
        TemplateError::HeaderCharacter | TemplateError::NoCredentialVariable => {
            "write a value such as \"agents\", or one with the credential such as \"Token {api_key}\""
        }
        TemplateError::NoHeaderName => "write a name such as \"x-team\"",
        TemplateError::OwnHeader => "leave it out",
        TemplateError::WrittenOut => {
            "put it into `api_key`, by reference, and write a header with {api_key}; if this one was real, replace it"
        }
        TemplateError::TooLong => "shorten it",
    };
    findings.add_with_help(mark, format!("{what} {error}"), help);
}
