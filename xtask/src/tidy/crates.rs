//! What every crate and every copied directory must come with.

use std::collections::BTreeMap;

use super::{files::File, problem::Problem};
use crate::workspace::{Workspace, short_name};

const MAP: &str = "ARCHITECTURE.md";

/// Crate docs, lints, a place on the map; licences beside what was copied.
pub(crate) fn check(workspace: &Workspace, files: &[File]) -> Vec<Problem> {
    let names: Vec<(String, String)> = workspace
        .packages
        .iter()
        .map(|package| (short_name(&package.name).to_owned(), workspace.manifest(package)))
        .collect();
    let mut problems = check_crates(&names, files);
    problems.extend(check_licences(files));
    problems
}

/// `crates` are short names with their manifests.
fn check_crates(crates: &[(String, String)], files: &[File]) -> Vec<Problem> {
    let find = |path: &str| files.iter().find(|file| file.path == path);
    let mut problems = Vec::new();
    for (name, manifest) in crates {
        let directory = manifest.strip_suffix("/Cargo.toml").unwrap_or_default();
        let root = ["lib.rs", "main.rs"]
            .iter()
            .find_map(|file| find(&format!("{directory}/src/{file}")));
        if let Some(root) = root.filter(|file| !has_crate_doc(&file.text)) {
            let fix = "begin the file with `//!`: what the crate is, what it promises, what it leaves to others";
            problems.push(Problem::new(
                &root.path,
                1,
                format!("`{name}` has no crate documentation"),
                fix,
            ));
        }
        if find(manifest).is_some_and(|file| !file.text.contains("[lints]\nworkspace = true\n")) {
            let fix = "add `[lints]` with `workspace = true`";
            problems.push(Problem::new(
                manifest,
                1,
                format!("`{name}` does not take the workspace's lints"),
                fix,
            ));
        }
        if let Some(map) = find(MAP).filter(|map| !is_on_map(&map.text, name)) {
            let fix = format!("add a row for `{name}` to the map of crates: what it holds");
            problems.push(Problem::new(&map.path, 1, format!("`{name}` is not on the map"), fix));
        }
    }
    problems
}

/// Inner attributes and licence comments may stand before it.
fn has_crate_doc(text: &str) -> bool {
    let mut lines = text
        .lines()
        .skip_while(|line| line.is_empty() || line.starts_with("#![") || line.starts_with("// "));
    lines
        .next()
        .is_some_and(|line| line.strip_prefix("//!").is_some_and(|doc| !doc.trim().is_empty()))
}

fn is_on_map(map: &str, name: &str) -> bool {
    map.contains(&format!("`{name}`"))
        || map.contains(&format!("crates/{name}"))
        || map.contains(&format!("| {name} |"))
}

/// Files in a `vectors` or `data` directory were made by somebody else: a licence stands beside them or above them inside
/// that directory, or a README.md there names them with their licence.
fn check_licences(files: &[File]) -> Vec<Problem> {
    let mut missing: BTreeMap<&str, &str> = BTreeMap::new();
    for file in files.iter().filter(|file| file.name() != "README.md") {
        let Some(top) = file.copied_directory() else { continue };
        let covers = |other: &File| {
            let directory = other.directory();
            let below = file
                .path
                .strip_prefix(directory)
                .and_then(|rest| rest.strip_prefix('/'));
            let Some(below) = below.filter(|_| directory.len() >= top.len()) else {
                return false;
            };
            other.is_licence() || other.name() == "README.md" && is_named_with_licence(&other.text, below)
        };
        if !files.iter().any(covers) {
            missing.entry(file.directory()).or_insert(&file.path);
        }
    }
    let fix =
        "copy the licence beside the files as LICENSE, or name their source and licence in the directory's README.md";
    missing
        .into_values()
        .map(|path| Problem::new(path, 1, "copied material without its licence", fix))
        .collect()
}

/// Whether a README that speaks of licences names the file: in full, or as one of `directory/` or `directory/start*`.
fn is_named_with_licence(readme: &str, path: &str) -> bool {
    let lists_licences = readme.to_lowercase().contains("licence") || readme.to_lowercase().contains("license");
    let names = |name: &str| {
        let open = name.len() > 1 && name.ends_with(['/', '*']);
        path == name || open && path.starts_with(name.trim_end_matches('*'))
    };
    lists_licences && readme.split('`').skip(1).step_by(2).any(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(problems: Vec<Problem>) -> Vec<String> {
        problems
            .into_iter()
            .map(|problem| format!("{}: {}", problem.path, problem.what))
            .collect()
    }

    #[test]
    fn a_crate_has_docs_lints_and_a_place() {
        let crates = vec![("a".to_owned(), "crates/a/Cargo.toml".to_owned())];
        let check = |lib: &str, manifest: &str, map: &str, expected: &[&str]| {
            let files = [
                File::new("crates/a/src/lib.rs", lib),
                File::new("crates/a/Cargo.toml", manifest),
                File::new(MAP, map),
            ];
            assert_eq!(
                found(check_crates(&crates, &files)),
                expected,
                "{lib:?} {manifest:?} {map:?}"
            );
        };
        let lints = "[lints]\nworkspace = true\n";
        check("//! Does a.\n", lints, "| `a` | does a |", &[]);
        check("#![no_std]\n//! Does a.\n", lints, "| a | does a |", &[]);
        check(
            "mod a;\n",
            lints,
            "see crates/a",
            &["crates/a/src/lib.rs: `a` has no crate documentation"],
        );
        check(
            "//! Does a.\n",
            "",
            "`a`",
            &["crates/a/Cargo.toml: `a` does not take the workspace's lints"],
        );
        check(
            "//! Does a.\n",
            lints,
            "a and b",
            &["ARCHITECTURE.md: `a` is not on the map"],
        );
        assert_eq!(
            check_crates(&crates, &[]).len(),
            0,
            "a map that is not there yet lists nothing"
        );
    }

    #[test]
    fn copied_material_has_a_licence() {
        let check = |paths: &[&str], expected: &[&str]| {
            let text = |path: &str| {
                if path.ends_with("README.md") {
                    "| `n/s.*` | MIT licence |\n"
                } else {
                    "x\n"
                }
            };
            let files: Vec<File> = paths.iter().map(|path| File::new(path, text(path))).collect();
            let found: Vec<String> = check_licences(&files).into_iter().map(|problem| problem.path).collect();
            assert_eq!(found, expected, "{paths:?}");
        };
        check(&["a/data/x.json", "a/data/LICENSE"], &[]);
        check(&["a/data/x.json", "a/data/y.json", "LICENSE"], &["a/data/x.json"]);
        check(&["t/vectors/one/x/y.json", "t/vectors/one/LICENSE-MIT"], &[]);
        check(
            &["t/vectors/one/x.json", "t/vectors/two/LICENSE"],
            &["t/vectors/one/x.json"],
        );
        check(&["crates/a/src/data/table.rs", "a/database/x.json"], &[]);
        check(&["t/vectors/README.md", "t/vectors/n/s.txt", "t/vectors/n/s.key"], &[]);
        check(
            &["t/vectors/README.md", "t/vectors/n/other.txt"],
            &["t/vectors/n/other.txt"],
        );
        check(&["t/README.md", "t/vectors/n/s.txt"], &["t/vectors/n/s.txt"]);
    }
}
