//! Pure crates stay pure: by the crates they pull in and by what their own source says.

use std::{collections::BTreeSet, process::Command};

use super::{
    files::File,
    problem::Problem,
    rules::{Ban, Purity},
    rust::{Source, find_word},
};
use crate::workspace::{Workspace, read, short_name};

/// Looks for forbidden crates in what cargo would build.
pub(crate) fn check_trees(workspace: &Workspace, rules: &Purity) -> anyhow::Result<Vec<Problem>> {
    let mut problems = Vec::new();
    for package in &workspace.packages {
        if rules.crates.iter().any(|name| name == short_name(&package.name)) {
            let tree = tree(workspace, &["--package", &package.name, "--edges", "normal"])?;
            problems.extend(denied(&tree, &package.name, &workspace.manifest(package), rules));
        }
    }
    let everything = tree(workspace, &["--workspace", "--edges", "all"])?;
    problems.extend(banned(&everything, rules));
    Ok(problems)
}

/// The names that `cargo tree` prints.
fn tree(workspace: &Workspace, arguments: &[&str]) -> anyhow::Result<BTreeSet<String>> {
    let mut command = Command::new("cargo");
    command
        .args(["tree", "--locked", "--quiet", "--prefix", "none", "--format", "{p}"])
        .args(arguments);
    let output = read(command.current_dir(&workspace.root))?;
    Ok(output
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect())
}

fn denied(tree: &BTreeSet<String>, package: &str, manifest: &str, rules: &Purity) -> Vec<Problem> {
    let found = rules.denied_crates.iter().filter(|name| tree.contains(*name));
    found
        .map(|name| {
            Problem::new(
                manifest,
                1,
                format!("`{}` is pure, and `{name}` is in its tree", short_name(package)),
                format!("see who brings it with `cargo tree -p {package} -e normal -i {name}` and do without"),
            )
        })
        .collect()
}

fn banned(tree: &BTreeSet<String>, rules: &Purity) -> Vec<Problem> {
    let found = rules.banned_crates.iter().filter(|name| tree.contains(*name));
    found
        .map(|name| {
            Problem::new(
                "Cargo.lock",
                1,
                format!("`{name}` would be built, and xtask/rules/purity.toml bans it"),
                format!("see who brings it with `cargo tree --workspace -e all -i {name}`; switch the feature off"),
            )
        })
        .collect()
}

/// Looks for forbidden words in the source of pure crates.
pub(crate) fn check_source(files: &[File], rules: &Purity) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files {
        let pure = file
            .crate_of_source()
            .is_some_and(|name| rules.crates.iter().any(|pure| pure == name));
        if let (true, Some(source)) = (pure, &file.rust) {
            for ban in &rules.denied_code {
                problems.extend(uses_of(source, ban).into_iter().map(|(line, word)| {
                    Problem::new(
                        &file.path,
                        line,
                        format!("`{word}` {}, and this crate is pure", ban.why),
                        &ban.fix,
                    )
                }));
            }
        }
    }
    problems
}

/// The lines outside tests that use a forbidden word, directly or by importing it.
fn uses_of<'a>(source: &Source, ban: &'a Ban) -> BTreeSet<(usize, &'a str)> {
    let mut found = BTreeSet::new();
    let imports = source.imports();
    for word in &ban.words {
        let code = (1..)
            .zip(&source.lines)
            .filter(|(_, line)| !line.test && find_word(&line.code, word));
        found.extend(code.map(|(number, _)| (number, word.as_str())));
        let imported = imports.iter().filter(|(_, path)| find_word(path, word));
        found.extend(imported.map(|(number, _)| (*number, word.as_str())));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rules::Rules;

    fn lines(path: &str, text: &str) -> Vec<usize> {
        let problems = check_source(&[File::new(path, text)], &Rules::load().unwrap().purity);
        problems.into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn pure_crates_reach_for_nothing() {
        let check = |text, expected: &[usize]| assert_eq!(lines("crates/ledger/src/a.rs", text), expected, "{text:?}");
        check("let now = SystemTime::now();", &[1]);
        check("\nlet now = std::time::Instant::now();", &[2]);
        check("use std::{fmt, fs};", &[1]);
        check("use std::{\n    env::{self, VarError},\n};", &[1]);
        check("async fn f() {}", &[1]);
        check("let x = f()\n    .await;", &[2]);
        check("println!(\"{x}\");", &[1]);
        check("// std::fs is for others\nlet s = \"std::env\";", &[]);
        check("#[cfg(test)]\nmod tests {\n    use std::fs;\n}", &[]);
        check("let env = std::fmt::format(args);", &[]);
    }

    #[test]
    fn other_crates_and_tests_may() {
        assert_eq!(lines("crates/store/src/a.rs", "use std::fs;"), [0; 0]);
        assert_eq!(lines("crates/ledger/tests/a.rs", "use std::fs;"), [0; 0]);
        assert_eq!(lines("crates/ledger/src/book/tests.rs", "use std::fs;"), [0; 0]);
    }

    #[test]
    fn trees_are_held_against_both_lists() {
        let rules = Rules::load().unwrap().purity;
        let tree = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let what: Vec<String> = denied(&tree(&["serde", "tokio", "tokio-macros"]), "bailiwick-llm", "x", &rules)
            .into_iter()
            .map(|problem| problem.what)
            .collect();
        assert_eq!(what, ["`llm` is pure, and `tokio` is in its tree"]);
        assert_eq!(banned(&tree(&["aws-lc-rs", "ring"]), &rules).len(), 1);
        assert_eq!(banned(&tree(&["aws-lc-rs", "tokio"]), &rules).len(), 0);
    }
}
