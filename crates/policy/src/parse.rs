//! Policy files: from text to policies that carry their own `@id`.

use std::{collections::HashMap, sync::Arc};

use cedar_policy::{Policy, PolicyId, PolicySet, ffi::DetailedError};

use crate::{Problem, Source};

/// The longest `@id`, in bytes: ids stand in every entry of the log.
const MAX_ID: usize = 128;

/// One policy of a file.
pub(crate) struct Rule<'a> {
    /// Its `@id`, which is also the Cedar policy's own id.
    pub(crate) id: Arc<str>,
    pub(crate) policy: Policy,
    pub(crate) source: &'a Source,
    /// Where it starts in the source, in bytes.
    pub(crate) start: usize,
}

/// Parses all files. A policy with a bad `@id` is reported and returned under a makeshift one, so that the problems of
/// its body are found in the same run.
pub(crate) fn parse<'a>(sources: &[&'a Source], problems: &mut Vec<Problem>) -> Vec<Rule<'a>> {
    let mut rules = Vec::new();
    let mut taken: HashMap<Arc<str>, String> = HashMap::new();
    for &source in sources {
        let set = match source.text.parse::<PolicySet>() {
            Ok(set) => set,
            Err(errors) => {
                let reports = errors.iter().map(DetailedError::from);
                problems.extend(reports.map(|report| Problem::of_report(source, 0, report)));
                continue;
            }
        };
        for (start, statement) in statements(&source.text, &set) {
            let policy = match statement {
                Statement::Policy(policy) => policy,
                Statement::Template => {
                    problems.push(
                        Problem::at(source, start, "policy templates are not supported")
                            .help("write the principal or resource instead of ?principal and ?resource".to_owned()),
                    );
                    continue;
                }
            };
            let problem = |message: String| Problem::at(source, start, message);
            let id = match checked_id(policy.annotation("id")) {
                Ok(id) => match taken.get(id) {
                    None => Ok(Arc::<str>::from(id)),
                    Some(first) => Err(problem(format!("the @id {id:?} is already used at {first}"))),
                },
                Err(message) => Err(problem(message).help("write @id(\"a-unique-name\") before the policy".to_owned())),
            };
            let (line, column) = crate::problem::place(&source.text, start);
            let id = id.unwrap_or_else(|problem| {
                problems.push(problem);
                // No `@id` has blanks or brackets, so this is nobody's.
                Arc::from(format!("({}:{line}:{column})", source.file))
            });
            taken.insert(id.clone(), format!("{}:{line}:{column}", source.file));
            rules.push(Rule {
                policy: policy.new_id(PolicyId::new(&id)),
                id,
                source,
                start,
            });
        }
    }
    rules
}

fn checked_id(id: Option<&str>) -> Result<&str, String> {
    let id = id.unwrap_or_default();
    if id.is_empty() {
        return Err("the policy has no @id".to_owned());
    }
    if id.len() > MAX_ID {
        return Err(format!("an @id has at most {MAX_ID} characters"));
    }
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':' | '/');
    match id.chars().find(|&c| !plain(c)) {
        Some(bad) => Err(format!(
            "an @id has only letters, digits and '-', '_', '.', ':', '/'; found {bad:?} in {id:?}"
        )),
        None => Ok(id),
    }
}

enum Statement<'a> {
    Policy(&'a Policy),
    Template,
}

/// The statements of a file with their offsets, in the order of the file.
///
/// Cedar names what it parses `policy0`, `policy1`, ... in order, and keeps each statement's exact text but not its
/// place; between statements only blanks and comments can stand.
fn statements<'a>(text: &str, set: &'a PolicySet) -> Vec<(usize, Statement<'a>)> {
    let policies = set.policies().map(|p| (p.id(), Statement::Policy(p), p.to_cedar()));
    let templates = set
        .templates()
        .map(|t| (t.id(), Statement::Template, Some(t.to_cedar())));
    let mut found: Vec<_> = policies.chain(templates).collect();
    found.sort_by_key(|(id, _, _)| {
        let id: &str = (*id).as_ref();
        id.trim_start_matches("policy").parse::<usize>().unwrap_or(usize::MAX)
    });
    let mut end = 0;
    found
        .into_iter()
        .map(|(_, statement, statement_text)| {
            let start = skip_trivia(text, end);
            end = start + statement_text.map_or(0, |t| t.len());
            (start, statement)
        })
        .collect()
}

/// The first offset at or after `from` that is neither blank nor in a comment.
fn skip_trivia(text: &str, from: usize) -> usize {
    let mut rest = text.get(from..).unwrap_or_default();
    loop {
        rest = rest.trim_start();
        match rest.strip_prefix("//") {
            Some(comment) => rest = comment.split_once('\n').map_or("", |(_, after)| after),
            None => return text.len() - rest.len(),
        }
    }
}
