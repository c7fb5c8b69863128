//! The import rules: which crate may depend on which.

use super::{files::File, problem::Problem, rules::Edges};
use crate::workspace::{Dependency, Package, Workspace, short_name};

const RULES: &str = "xtask/rules/edges.toml";

/// Compares every dependency in the workspace with the table.
pub(crate) fn check(workspace: &Workspace, files: &[File], rules: &Edges) -> Vec<Problem> {
    let mut problems = Vec::new();
    for package in &workspace.packages {
        let path = workspace.manifest(package);
        let text = files
            .iter()
            .find(|file| file.path == path)
            .map_or("", |file| &file.text);
        check_package(package, &path, text, rules, &mut problems);
    }
    problems
}

fn check_package(package: &Package, path: &str, manifest: &str, rules: &Edges, problems: &mut Vec<Problem>) {
    let user = short_name(&package.name);
    let Some(uses) = rules.uses.get(user) else {
        problems.push(Problem::new(
            path,
            line_of(manifest, &package.name),
            format!("`{user}` has no line in {RULES}"),
            "a new crate is a change of architecture: have its place reviewed, then add its line",
        ));
        return;
    };
    for dependency in &package.dependencies {
        let line = line_of(manifest, dependency.rename.as_deref().unwrap_or(&dependency.name));
        if dependency.path.is_some() {
            let used = short_name(&dependency.name);
            let in_tests = dependency.kind.as_deref() == Some("dev")
                && (used == user
                    || rules
                        .tests
                        .get(user)
                        .is_some_and(|uses| uses.iter().any(|name| name == used)));
            if !in_tests && !uses.iter().any(|name| name == used || name == "*") {
                problems.push(new_edge(path, line, user, used, uses));
            }
        } else if let Some(problem) = outside(dependency, path, line, user, rules) {
            problems.push(problem);
        }
    }
}

fn new_edge(path: &str, line: usize, user: &str, used: &str, uses: &[String]) -> Problem {
    let allowed = if uses.is_empty() {
        "no crate of ours".to_owned()
    } else {
        uses.join(", ")
    };
    Problem::new(
        path,
        line,
        format!("`{user}` may not depend on `{used}`: it uses {allowed}"),
        format!("take another way; if the edge is right, review it as an architecture change and add it to {RULES}"),
    )
}

/// A dependency from outside that belongs to certain crates only. Tests may use what they like.
fn outside(dependency: &Dependency, path: &str, line: usize, user: &str, rules: &Edges) -> Option<Problem> {
    let owners = rules.only.get(&dependency.name)?;
    if dependency.kind.as_deref() == Some("dev") || owners.iter().any(|owner| owner == user) {
        return None;
    }
    Some(Problem::new(
        path,
        line,
        format!("only {} may depend on `{}`", owners.join(", "), dependency.name),
        format!("go through those crates; a new place for it is reviewed as an architecture change in {RULES}"),
    ))
}

/// The line of a manifest that begins with `name`, or the first one.
fn line_of(manifest: &str, name: &str) -> usize {
    let begins = |line: &str| {
        line.strip_prefix(name)
            .is_some_and(|rest| rest.trim_start().starts_with(['=', '.']))
            || line == format!("name = \"{name}\"")
    };
    manifest.lines().position(begins).map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn dependency(name: &str, kind: Option<&str>, ours: bool) -> Dependency {
        Dependency {
            name: name.to_owned(),
            rename: None,
            kind: kind.map(str::to_owned),
            path: ours.then(|| PathBuf::from("crates")),
        }
    }

    /// What the project's own table says about one dependency of one crate.
    fn problem(user: &str, dependency: Dependency) -> Option<String> {
        let package = Package {
            name: format!("bailiwick-{user}"),
            manifest_path: PathBuf::new(),
            dependencies: vec![dependency],
        };
        let mut problems = Vec::new();
        let rules = super::super::rules::Rules::load().unwrap().edges;
        check_package(&package, "Cargo.toml", "", &rules, &mut problems);
        problems.pop().map(|problem| problem.what)
    }

    #[test]
    fn the_architecture_is_the_table() {
        let ours = |user, used, kind, allowed| {
            let found = problem(user, dependency(&format!("bailiwick-{used}"), kind, true));
            assert_eq!(found.is_none(), allowed, "{user} -> {used} ({kind:?}): {found:?}");
        };
        ours("ledger", "model", None, true);
        ours("model", "ledger", None, false);
        ours("entry", "ledger", None, true);
        ours("policy", "pricing", None, false);
        ours("policy", "pricing", Some("dev"), false);
        ours("gateway", "api", None, false);
        ours("api", "gateway", None, false);
        ours("gateway", "fake", Some("dev"), true);
        ours("gateway", "fake", None, false);
        ours("verify", "store", None, false);
        ours("bailiwick", "store", None, true);
        ours("control", "gateway", None, false);
        ours("newcomer", "model", None, false);
    }

    #[test]
    fn some_dependencies_have_one_owner() {
        let outside = |user, name, kind, allowed| {
            let found = problem(user, dependency(name, kind, false));
            assert_eq!(found.is_none(), allowed, "{user} -> {name} ({kind:?}): {found:?}");
        };
        outside("store", "sqlx", None, true);
        outside("api", "sqlx", None, false);
        outside("gateway", "sqlx", None, false);
        outside("policy", "cedar-policy", None, true);
        outside("control", "cedar-policy", None, false);
        outside("control", "http", None, false);
        outside("control", "http", Some("dev"), true);
        outside("control", "bytes", None, true);
    }

    #[test]
    fn the_line_is_the_dependencys_own() {
        let manifest = "[package]\nname = \"a\"\n\n[dependencies]\nhttp-body.workspace = true\nhttp = \"1\"\n";
        assert_eq!(line_of(manifest, "http"), 6);
        assert_eq!(line_of(manifest, "http-body"), 5);
        assert_eq!(line_of(manifest, "a"), 2);
        assert_eq!(line_of(manifest, "absent"), 1);
    }
}
