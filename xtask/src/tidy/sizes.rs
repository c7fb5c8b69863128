//! How long files, crates and documents are, tests left out.

use std::collections::BTreeMap;

use super::{files::File, problem::Problem, rules::Sizes};

const SPLIT: &str = "split it by subject; if it is one long table, list it as exempt in xtask/rules/sizes.toml";

/// Holds every length against its limit.
pub(crate) fn check(files: &[File], rules: &Sizes) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut crates: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files {
        if let Some(source) = &file.rust {
            let lines = source.code_lines();
            if let Some(name) = file.crate_of_source() {
                *crates.entry(name).or_default() += lines;
            }
            problems.extend(check_file(file, lines, rules));
        } else if let Some(limit) = rules.documents.get(&file.path) {
            let lines = file.text.lines().count();
            if lines > *limit {
                let what = format!("{lines} lines, and {limit} is what can be read in one sitting");
                problems.push(Problem::new(
                    &file.path,
                    lines,
                    what,
                    "say it shorter, or move details to docs/",
                ));
            }
        }
    }
    for (name, lines) in crates.into_iter().filter(|(_, lines)| *lines > rules.crate_fail) {
        let path = if name == "xtask" {
            "xtask/Cargo.toml".to_owned()
        } else {
            format!("crates/{name}/Cargo.toml")
        };
        let what = format!("`{name}` has {lines} lines outside tests, above {}", rules.crate_fail);
        problems.push(Problem::new(
            &path,
            1,
            what,
            "split the crate, as a reviewed change of architecture",
        ));
    }
    problems
}

fn check_file(file: &File, lines: usize, rules: &Sizes) -> Option<Problem> {
    if lines <= rules.file_warn || rules.exempt.contains(&file.path) {
        return None;
    }
    let limit = if lines > rules.file_fail {
        rules.file_fail
    } else {
        rules.file_warn
    };
    let problem = Problem::new(
        &file.path,
        limit,
        format!("{lines} lines outside tests, above {limit}"),
        SPLIT,
    );
    Some(if lines > rules.file_fail {
        problem
    } else {
        problem.into_warning()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Sizes {
        Sizes {
            file_warn: 5,
            file_fail: 8,
            crate_fail: 12,
            exempt: vec!["crates/a/src/table.rs".to_owned()],
            documents: BTreeMap::from([("ARCHITECTURE.md".to_owned(), 2)]),
        }
    }

    fn found(files: &[(&str, usize)]) -> Vec<(String, bool)> {
        let files: Vec<File> = files
            .iter()
            .map(|(path, lines)| File::new(path, &"f();\n".repeat(*lines)))
            .collect();
        check(&files, &rules())
            .into_iter()
            .map(|problem| (problem.path, problem.warning))
            .collect()
    }

    #[test]
    fn lengths_have_limits() {
        let check = |files: &[(&str, usize)], expected: &[(&str, bool)]| {
            let expected: Vec<(String, bool)> = expected
                .iter()
                .map(|(path, warning)| ((*path).to_owned(), *warning))
                .collect();
            assert_eq!(found(files), expected, "{files:?}");
        };
        check(&[("crates/a/src/x.rs", 5)], &[]);
        check(&[("crates/a/src/x.rs", 6)], &[("crates/a/src/x.rs", true)]);
        check(&[("crates/a/src/x.rs", 9)], &[("crates/a/src/x.rs", false)]);
        check(&[("crates/a/tests/x.rs", 99)], &[]);
        check(&[("crates/a/src/table.rs", 9)], &[]);
        check(
            &[
                ("crates/a/src/x.rs", 5),
                ("crates/a/src/y.rs", 5),
                ("crates/b/src/y.rs", 5),
            ],
            &[],
        );
        check(
            &[
                ("crates/a/src/x.rs", 5),
                ("crates/a/src/y.rs", 5),
                ("crates/a/src/z.rs", 5),
            ],
            &[("crates/a/Cargo.toml", false)],
        );
        check(
            &[("ARCHITECTURE.md", 3), ("README.md", 99)],
            &[("ARCHITECTURE.md", false)],
        );
    }
}
