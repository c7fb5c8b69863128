//! Reading below one directory, within bounds: no file, and no number of files, makes the loader run out of memory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use policy::Source;

use super::{MAX_CARRIED_BYTES, MAX_ENTITY_BYTES, MAX_FILE_BYTES};
use crate::{
    problem::{self, Problem, Problems},
    read::{read, text},
    suggest,
};

/// The most tenants.
const MAX_TENANTS: usize = 500;
/// The most text in all.
const MAX_TOTAL_BYTES: u64 = 256 * 1024 * 1024;

/// What a directory's files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Manifests,
    Schemas,
    Policies,
    Entities,
    Tests,
}

impl Kind {
    fn ending(self) -> &'static str {
        match self {
            Self::Manifests | Self::Tests => "yaml",
            Self::Schemas => "cedarschema",
            Self::Policies => "cedar",
            Self::Entities => "json",
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Manifests => "manifests",
            Self::Schemas => "schema files",
            Self::Policies => "policy files",
            Self::Entities => "entity files",
            Self::Tests => "policy tests",
        }
    }

    fn max_bytes(self) -> u64 {
        match self {
            Self::Manifests | Self::Tests => MAX_FILE_BYTES,
            Self::Schemas | Self::Policies => MAX_CARRIED_BYTES,
            Self::Entities => MAX_ENTITY_BYTES,
        }
    }

    /// The most files in one directory. The entry that puts a policy bundle in effect names all schema, policy
    /// and entity files, with up to 15 digits each.
    fn max_files(self) -> usize {
        match self {
            Self::Manifests | Self::Policies | Self::Tests => 500,
            Self::Schemas => 100,
            Self::Entities => 400,
        }
    }
}

/// A directory below the root.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    /// Its own name.
    pub(super) name: String,
    /// Its path below the root, with `/`; empty for the root.
    below: String,
}

impl Directory {
    fn child(&self, name: &str) -> String {
        match self.below.as_str() {
            "" => name.to_owned(),
            below => format!("{below}/{name}"),
        }
    }
}

/// Reads files and collects what is wrong with them.
#[derive(Debug)]
pub(super) struct Files {
    root: PathBuf,
    bytes: u64,
    pub(super) problems: Problems,
}

impl Files {
    pub(super) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            bytes: 0,
            problems: Problems::default(),
        }
    }

    pub(super) fn root(&self) -> Directory {
        Directory {
            name: String::new(),
            below: String::new(),
        }
    }

    fn path(&self, below: &str) -> PathBuf {
        match below {
            "" => self.root.clone(),
            below => self.root.join(below),
        }
    }

    /// The directory as a person would type it.
    pub(super) fn shown(&self, directory: &Directory) -> String {
        self.path(&directory.below).display().to_string()
    }

    /// A file of the directory, likewise.
    pub(super) fn shown_in(&self, directory: &Directory, name: &str) -> String {
        self.path(&directory.child(name)).display().to_string()
    }

    /// A source's file, likewise.
    pub(super) fn shown_source(&self, source: &Source) -> String {
        self.path(&source.file).display().to_string()
    }

    pub(super) fn exists(&self, directory: &Directory) -> bool {
        self.path(&directory.below).is_dir()
    }

    fn problem(&mut self, below: &str, message: impl Into<String>, help: Option<String>) {
        let problem = problem::of_file(self.path(below).display().to_string(), message);
        self.problems.push(Problem { help, ..problem });
    }

    /// The directories in a directory, sorted by name. Only those of `known` may be there (or any, if that is empty), and
    /// no files but those that explain.
    pub(super) fn directories(&mut self, directory: &Directory, known: &[&str]) -> Vec<Directory> {
        let mut found = Vec::new();
        for name in self.names(directory) {
            let below = directory.child(&name);
            let is_directory = self.path(&below).is_dir();
            if is_directory && (known.is_empty() || known.contains(&name.as_str())) {
                found.push(Directory { name, below });
            } else if is_directory || !is_explanation(&name) {
                let help = match known {
                    [] => "tenants are directories".to_owned(),
                    known => suggest::help(&name, "directories", known),
                };
                self.problem(&below, "nothing here is read", Some(help));
            }
        }
        if known.is_empty() && found.len() > MAX_TENANTS {
            let message = format!("there are {} tenants, more than {MAX_TENANTS}", found.len());
            self.problem(&directory.below, message, None);
            found.clear();
        }
        found
    }

    /// The files of a kind in a directory, sorted by name. Files that are not of that kind are problems.
    pub(super) fn sources(&mut self, directory: &Directory, kind: Kind) -> Vec<Source> {
        let mut files = Vec::new();
        for name in self.names(directory) {
            let below = directory.child(&name);
            let path = self.path(&below);
            let ending = Path::new(&name).extension().and_then(|ending| ending.to_str());
            if path.is_dir() {
                let help = format!("{} stand side by side in one directory", kind.words());
                self.problem(&below, "nothing here is read", Some(help));
            } else if ending == Some(kind.ending()) {
                files.push(below);
            } else if !is_explanation(&name) {
                let help = format!("{} end in .{}", kind.words(), kind.ending());
                self.problem(&below, "this file is not read", Some(help));
            }
        }
        if files.len() > kind.max_files() {
            let (most, words) = (kind.max_files(), kind.words());
            let message = format!("there are {} {words}, more than {most}", files.len());
            let help = format!("put several into one file of at most {} KiB", kind.max_bytes() >> 10);
            self.problem(&directory.below, message, Some(help));
            return Vec::new();
        }
        files.into_iter().filter_map(|file| self.source(file, kind)).collect()
    }

    /// The names in a directory, sorted, without hidden ones: editors keep copies under those, and Kubernetes the past.
    fn names(&mut self, directory: &Directory) -> Vec<String> {
        let path = self.path(&directory.below);
        let listed = fs::read_dir(&path).and_then(|entries| {
            let names = entries.map(|entry| entry.map(|entry| entry.file_name()));
            names.collect::<Result<Vec<_>, _>>()
        });
        let listed = match listed {
            Ok(listed) => listed,
            Err(error) => {
                self.problem(&directory.below, format!("cannot be read: {error}"), None);
                return Vec::new();
            }
        };
        let mut names = Vec::new();
        for name in listed {
            match name.into_string() {
                Ok(name) if name.starts_with('.') => {}
                // It would reach the terminal of whoever reads the messages.
                Ok(name) if name.chars().any(char::is_control) => {
                    let name = directory.child(&suggest::shown(&name));
                    self.problem(&name, "the file's name holds control characters", None);
                }
                Ok(name) => names.push(name),
                Err(name) => {
                    let name = directory.child(&name.to_string_lossy());
                    self.problem(&name, "the file's name is not UTF-8", None);
                }
            }
        }
        names.sort();
        names
    }

    fn source(&mut self, file: String, kind: Kind) -> Option<Source> {
        let path = self.path(&file);
        let shown = path.display().to_string();
        match read(&path, kind.max_bytes()) {
            Err(error) => {
                self.problems
                    .push(problem::of_file(shown, format!("cannot be read: {error}")));
                None
            }
            Ok(None) => {
                self.problems.push(too_long(shown, kind));
                None
            }
            Ok(Some(bytes)) => {
                self.bytes = self
                    .bytes
                    .saturating_add(u64::try_from(bytes.len()).unwrap_or(u64::MAX));
                if self.bytes > MAX_TOTAL_BYTES {
                    let message = format!("all files together are longer than {} MiB", MAX_TOTAL_BYTES >> 20);
                    self.problem("", message, None);
                    return None;
                }
                let text = text(bytes)
                    .map_err(|problem| self.problems.push(problem.of_file(shown)))
                    .ok()?;
                Some(Source { file, text })
            }
        }
    }
}

/// A file longer than its kind may be.
pub(super) fn too_long(shown: String, kind: Kind) -> Problem {
    let help = match kind {
        Kind::Manifests | Kind::Entities | Kind::Tests => "split it into several files".to_owned(),
        kind => format!(
            "the audit log carries {} whole: split it into several files",
            kind.words()
        ),
    };
    let kib = kind.max_bytes() >> 10;
    problem::of_file_with_help(shown, format!("the file is longer than {kib} KiB"), help)
}

/// Files that may stand anywhere: they are for people.
fn is_explanation(name: &str) -> bool {
    let ending = Path::new(name).extension().and_then(|ending| ending.to_str());
    ending == Some("md") || name == "README" || name == "README.txt"
}
