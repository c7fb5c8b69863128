//! The files a stranger's checkout would have.

use std::{fs, path::Path, process::Command};

use anyhow::{Context, bail};

use super::rust::Source;

/// A text file of the project.
pub(crate) struct File {
    /// Relative to the root, with `/` between the parts.
    pub path: String,
    pub text: String,
    /// The file taken apart, when it is Rust.
    pub rust: Option<Source>,
}

impl File {
    pub(crate) fn new(path: &str, text: &str) -> Self {
        let rust = path.ends_with(".rs").then(|| Source::parse(text, is_test_path(path)));
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
            rust,
        }
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.path.rsplit('/').next().unwrap_or(&self.path)
    }

    /// What follows the last dot of the name, or nothing.
    pub(crate) fn extension(&self) -> &str {
        self.name().rsplit_once('.').map_or("", |(_, extension)| extension)
    }

    /// The directory that has the file.
    pub(crate) fn directory(&self) -> &str {
        self.path.rsplit_once('/').map_or("", |(directory, _)| directory)
    }

    /// A licence text.
    pub(crate) fn is_licence(&self) -> bool {
        self.name().starts_with("LICENSE") || self.name().starts_with("COPYING")
    }

    /// Material from elsewhere, which keeps its own form.
    pub(crate) fn is_copied(&self) -> bool {
        self.is_licence() || self.copied_directory().is_some()
    }

    /// The outermost directory on the way to the file that is called `vectors` or `data`; modules of that name do not count.
    pub(crate) fn copied_directory(&self) -> Option<&str> {
        let mut end = 0;
        for part in self.directory().split('/') {
            if part == "src" {
                return None;
            }
            end += part.len();
            if matches!(part, "vectors" | "data") {
                return self.path.get(..end);
            }
            end += 1;
        }
        None
    }

    /// The short name of the crate whose `src` directory has this file.
    pub(crate) fn crate_of_source(&self) -> Option<&str> {
        if self.path.starts_with("xtask/src/") {
            return Some("xtask");
        }
        let (name, rest) = self.path.strip_prefix("crates/")?.split_once('/')?;
        rest.starts_with("src/").then_some(name)
    }
}

/// Whether the whole file is test code because of where it is.
fn is_test_path(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "tests" | "tests.rs" | "benches" | "testkit"))
}

/// Reads what git tracks and what it would track, which leaves out ignored and deleted files. Binary files are left out too.
pub(crate) fn read(root: &Path) -> anyhow::Result<Vec<File>> {
    let listing = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .context("running git ls-files")?;
    if !listing.status.success() {
        bail!(
            "git ls-files failed: {}",
            String::from_utf8_lossy(&listing.stderr).trim()
        );
    }
    let listing = String::from_utf8(listing.stdout).context("a file name is not UTF-8")?;
    let mut files = Vec::new();
    for path in listing.split_terminator('\0') {
        match fs::read(root.join(path)) {
            Ok(bytes) => {
                if let Ok(text) = String::from_utf8(bytes) {
                    files.push(File::new(path, &text));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error).with_context(|| format!("reading {path}")),
        }
    }
    mark_test_modules(&mut files);
    Ok(files)
}

/// A file that is declared as `#[cfg(test)] mod name;` is test code as a whole, and so is what lies below it.
pub(crate) fn mark_test_modules(files: &mut [File]) {
    let mut tests = Vec::new();
    for file in files.iter() {
        let Some(rust) = &file.rust else { continue };
        let Some(stem) = file.path.strip_suffix(".rs") else {
            continue;
        };
        let (directory, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let home = if matches!(name, "lib" | "main" | "mod") {
            directory
        } else {
            stem
        };
        tests.extend(rust.test_modules.iter().map(|module| format!("{home}/{module}")));
    }
    for file in files {
        let below = |module: &String| {
            file.path
                .strip_prefix(module.as_str())
                .is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        if tests.iter().any(below)
            && let Some(rust) = &mut file.rust
        {
            rust.mark_all_as_test();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_module_declared_for_tests_is_test_code() {
        let mut files = vec![
            File::new("crates/a/src/lib.rs", "#[cfg(test)]\nmod fixtures;\nmod real;\n"),
            File::new("crates/a/src/fixtures.rs", "fn f() {}\n"),
            File::new("crates/a/src/fixtures/more.rs", "fn f() {}\n"),
            File::new("crates/a/src/real.rs", "#[cfg(test)]\nmod cases;\nfn f() {}\n"),
            File::new("crates/a/src/real/cases.rs", "fn f() {}\n"),
            File::new("crates/a/tests/it/main.rs", "fn f() {}\n"),
        ];
        mark_test_modules(&mut files);
        let lines: Vec<usize> = files
            .iter()
            .map(|file| file.rust.as_ref().unwrap().code_lines())
            .collect();
        assert_eq!(lines, [1, 0, 0, 1, 0, 0]);
    }

    #[test]
    fn paths_say_what_a_file_is() {
        let file = |path| File::new(path, "");
        assert_eq!(file("crates/a/src/b/c.rs").crate_of_source(), Some("a"));
        assert_eq!(file("crates/a/tests/it/main.rs").crate_of_source(), None);
        assert_eq!(file("xtask/src/main.rs").crate_of_source(), Some("xtask"));
        assert!(file("crates/a/tests/vectors/x/y.json").is_copied());
        assert!(!file("crates/a/src/data/b.rs").is_copied());
        assert!(file("crates/a/data/b.json").is_copied());
        assert_eq!(file(".ci/run").extension(), "");
        assert_eq!(file("a.b/c.toml").extension(), "toml");
    }
}
