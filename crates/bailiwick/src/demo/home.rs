//! The demo's files, in a directory of their own that is removed at the end: a configuration as anyone would write it.

use std::{
    fs::{self, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use secrecy::{ExposeSecret as _, SecretString};
use tempfile::TempDir;

/// What is written, below the directory.
const CONFIGURATION: &str = "bailiwick.toml";
const PROVIDER_KEY: &str = "provider.key";

macro_rules! declared {
    ($($agent:literal)*) => {
        &[$(
            (
                concat!("governance/agents/", $agent, ".yaml"),
                include_str!(concat!("files/", $agent, ".yaml")),
            ),
            (
                concat!("governance/policies/", $agent, ".cedar"),
                include_str!(concat!("files/", $agent, ".cedar")),
            ),
        )*]
    };
}

/// Agents and policies.
const GOVERNANCE: &[(&str, &str)] = declared!("nightly-report" "site-auditor" "fraud-analyst" "support-assistant");
/// The agent for the viewer's own calls.
const VISITOR: &[(&str, &str)] = declared!("visitor");

/// The directory. Dropping it removes it.
#[derive(Debug)]
pub(crate) struct Home(TempDir);

impl Home {
    /// Writes the files for a provider at `url` that takes only calls with `key`.
    pub(crate) fn make(url: &str, key: &SecretString, visitor: bool) -> anyhow::Result<Self> {
        let dir = tempfile::Builder::new().prefix("bailiwick-demo-").tempdir();
        let dir = dir.context("no temporary directory can be made")?;
        let configuration = include_str!("files/bailiwick.toml").replace("{provider}", url);
        let mut files = vec![
            (CONFIGURATION, configuration.as_str()),
            (PROVIDER_KEY, key.expose_secret()),
        ];
        files.extend(GOVERNANCE);
        files.extend(VISITOR.iter().filter(|_| visitor));
        for (name, text) in files {
            let path = dir.path().join(name);
            write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        }
        Ok(Self(dir))
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// The configuration file.
    pub(crate) fn configuration(&self) -> PathBuf {
        self.path().join(CONFIGURATION)
    }

    /// Removes it.
    pub(crate) fn remove(self) -> anyhow::Result<()> {
        let path = self.path().to_owned();
        self.0
            .close()
            .with_context(|| format!("cannot remove {}", path.display()))
    }
}

fn write(path: &Path, text: &str) -> io::Result<()> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use config::{load, load_governance};

    use super::*;
    use crate::demo::cast::Agent;

    #[test]
    fn what_is_written_loads_without_a_warning() {
        for visitor in [false, true] {
            let home = Home::make("http://127.0.0.1:1", &SecretString::from("fake-key"), visitor).unwrap();
            let settings = load(&home.configuration()).unwrap_or_else(|problems| panic!("{problems}"));
            let loaded = load_governance(&settings, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
            assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
            let tenant = loaded.governance.tenants.values().next().unwrap();
            let mut names: Vec<_> = tenant.agents.iter().map(|agent| agent.name.to_string()).collect();
            let mut expected: Vec<_> = Agent::ALL.iter().map(ToString::to_string).collect();
            expected.extend(visitor.then(|| "visitor".to_owned()));
            names.sort();
            expected.sort();
            assert_eq!(names, expected);
            let path = home.path().to_owned();
            home.remove().unwrap();
            assert!(!path.exists());
        }
    }
}
