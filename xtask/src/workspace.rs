//! Where the project is and which crates it has, as cargo sees them.

use std::{
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context, bail};
use serde::Deserialize;

/// What `cargo metadata --no-deps` says.
#[derive(Deserialize)]
pub(crate) struct Workspace {
    /// The directory of the workspace's Cargo.toml.
    #[serde(rename = "workspace_root")]
    pub root: PathBuf,
    /// Where cargo builds, wherever the environment or the configuration puts it.
    #[serde(rename = "target_directory")]
    pub target: PathBuf,
    pub packages: Vec<Package>,
}

/// One crate of ours.
#[derive(Deserialize)]
pub(crate) struct Package {
    pub name: String,
    pub manifest_path: PathBuf,
    pub dependencies: Vec<Dependency>,
}

/// One line of a crate's dependencies.
#[derive(Deserialize)]
pub(crate) struct Dependency {
    pub name: String,
    /// The name in the code, when it differs.
    pub rename: Option<String>,
    /// Nothing for a normal dependency, `dev` or `build` otherwise.
    pub kind: Option<String>,
    /// Only crates of ours have one.
    pub path: Option<PathBuf>,
}

impl Workspace {
    pub(crate) fn load() -> anyhow::Result<Self> {
        let output = read(Command::new("cargo").args(["metadata", "--no-deps", "--locked", "--format-version", "1"]))?;
        serde_json::from_str(&output).context("reading the output of cargo metadata")
    }

    /// The manifest of `package`, relative to the root.
    pub(crate) fn manifest(&self, package: &Package) -> String {
        self.relative(&package.manifest_path)
    }

    fn relative(&self, path: &Path) -> String {
        path.strip_prefix(&self.root)
            .unwrap_or(path)
            .to_string_lossy()
            .replace('\\', "/")
    }
}

/// The name by which code and rules call a crate of ours: `bailiwick-model` is `model`.
pub(crate) fn short_name(package: &str) -> &str {
    package.strip_prefix("bailiwick-").unwrap_or(package)
}

/// Runs `command` and returns what it prints.
pub(crate) fn read(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("running {}", crate::steps::show(command)))?;
    if !output.status.success() {
        let reason = String::from_utf8_lossy(&output.stderr);
        bail!("{} failed:\n{}", crate::steps::show(command), reason.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("output of {}", crate::steps::show(command)))
}
