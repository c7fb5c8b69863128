//! Configuration: the only crate that reads the files a person writes. The environment is an argument.
//!
//! `bailiwick.toml` holds process settings, upstreams and prices ([`load`]); the governance directory holds agents,
//! policies and entities ([`load_governance`]). Both are read whole before anything is done with them, and every mistake
//! in them is reported in one go, with file, line and what to do: a [`Problem`] is all that most people will ever see of
//! this crate. No message repeats a value that may be a secret.

mod file;
mod governance;
mod init;
mod manifest;
mod node;
mod policy_test;
mod problem;
mod quantity;
mod read;
mod schema;
mod suggest;
#[cfg(test)]
mod testing;
mod witness;

use std::{
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use control::{SinkSpec, WitnessSpec};
use ledger::{BudgetSpec, Label, Selector};

use self::manifest::Document;

pub use file::{
    Audit, LogFormat, LogLevel, LogSettings, OutsideDates, ServerFiles, ServerPem, Settings, Sink, Witness,
};
pub use governance::{Loaded, PolicyPlace, TenantPolicies, load_governance, load_policies};
pub use init::{Template, init, init_from};
pub use policy_test::{AskedCall, AskedParty, AskedQuery, PolicyTest, TestRequest, parse_request};
pub use problem::{Problem, Problems};
pub use schema::schema;
pub use witness::{WitnessSettings, init_witness, load_witness};

/// Reads `bailiwick.toml`.
///
/// # Errors
/// That it cannot be read, or all that is wrong with it.
pub fn load(path: &Path) -> Result<Settings, Problems> {
    let shown = plain(path).display().to_string();
    let dir = plain(path.parent().unwrap_or(Path::new("")));
    match read::read(path, governance::MAX_FILE_BYTES) {
        Ok(Some(bytes)) => {
            let text = read::text(bytes).map_err(|problem| problem.of_file(shown.clone()))?;
            Settings::parse(&text, &shown, &dir)
        }
        Ok(None) => Err(problem::of_file(shown, "the file is longer than 1024 KiB").into()),
        Err(error) => {
            let help = "`bailiwick init DIR` writes a configuration to start from; `-c FILE` says where it is";
            Err(problem::of_file_with_help(shown, format!("cannot be read: {error}"), help).into())
        }
    }
}

/// The sinks of a configuration, with their secrets and certificates.
///
/// # Errors
/// Every secret and certificate that is not there or cannot be used.
pub fn load_sinks(settings: &Settings, env: &dyn Fn(&str) -> Option<String>) -> Result<Vec<SinkSpec>, Problems> {
    settings.resolve_sinks(env).map_err(file::Missing::all)
}

/// The witnesses of a configuration's logs, with their certificates.
///
/// # Errors
/// Every certificate that is not there or cannot be used.
pub fn load_witnesses(settings: &Settings) -> Result<Vec<WitnessSpec>, Problems> {
    settings.resolve_witnesses().map_err(file::Missing::all)
}

/// What a check found right, and what it would warn of.
#[derive(Debug)]
pub struct Checked {
    /// How many tenants there are, the default one included.
    pub tenants: usize,
    /// How many agents.
    pub agents: usize,
    /// How many policy files.
    pub policy_files: usize,
    /// How many upstreams.
    pub upstreams: usize,
    /// What is legal but looks like a mistake, and the credentials that are not here.
    pub warnings: Problems,
}

/// Checks everything a server would load, but for credentials and certificates that are not there: those are where the
/// server is, and a check is often elsewhere. One that is there has to be right.
///
/// # Errors
/// All that is wrong with all files.
pub fn check(path: &Path, env: &dyn Fn(&str) -> Option<String>, now: SystemTime) -> Result<Checked, Problems> {
    let settings = load(path)?;
    let all = governance::load_tenants(&settings)?;
    let mut warnings = all.warnings;
    warnings.extend(settings.warnings.clone());
    if let Err(missing) = settings.resolve_secrets(env) {
        warnings.extend(missing.absent);
        missing.wrong.or_value(())?;
    }
    if let Err(missing) = settings.resolve_sinks(env) {
        warnings.extend(missing.absent);
        missing.wrong.or_value(())?;
    }
    if let Err(missing) = settings.resolve_witnesses() {
        warnings.extend(missing.absent);
        missing.wrong.or_value(())?;
    }
    let listeners = [&settings.agents_tls, &settings.admin_tls].into_iter().flatten();
    listeners
        .filter_map(|files| files.check_dates(now))
        .for_each(|problem| warnings.push(problem));
    Ok(Checked {
        tenants: all.tenants.len(),
        agents: all.tenants.values().map(|tenant| tenant.agents.len()).sum(),
        policy_files: all.tenants.values().map(|tenant| tenant.sources.policies.len()).sum(),
        upstreams: settings.upstreams.len(),
        warnings: warnings.sorted(),
    })
}

/// What is wrong with the bytes of a `bailiwick.toml`, or what a check would warn of. Reads no other file.
///
/// # Errors
/// All that is wrong with it, sorted by place.
pub fn check_settings(bytes: Vec<u8>) -> Result<Vec<Problem>, Vec<Problem>> {
    const FILE: &str = "bailiwick.toml";
    let text = read::text(bytes).map_err(|problem| vec![problem.of_file(FILE.to_owned())])?;
    let settings = Settings::parse(&text, FILE, Path::new(""))?;
    Ok(settings.warnings.into())
}

/// What is wrong with the bytes of a manifest of `governance/agents/`; otherwise how many documents it has.
///
/// # Errors
/// All that is wrong with it, sorted by place.
pub fn check_manifest(bytes: Vec<u8>) -> Result<usize, Vec<Problem>> {
    const FILE: &str = "agents.yaml";
    let text = read::text(bytes).map_err(|problem| vec![problem.of_file(FILE.to_owned())])?;
    let (documents, findings) = manifest::parse(&text);
    findings.of_file(FILE).or_value(documents.len()).map_err(Into::into)
}

/// The budgets that a manifest declares, which may be JSON as well: the same keys, as every JSON text is YAML. An agent's
/// own budget is among them, and selects the agent; rate limits and breakers are checked and left out. `file` is how
/// messages name it. A `user` that a budget selects is as it was written.
///
/// # Errors
/// All that is wrong with it, sorted by place.
pub fn parse_budgets(file: &str, bytes: Vec<u8>) -> Result<Vec<BudgetSpec>, Problems> {
    let text = read::text(bytes).map_err(|problem| problem.of_file(file.to_owned()))?;
    let (documents, findings) = manifest::parse(&text);
    let budgets = documents.into_iter().filter_map(|document| match document {
        Document::Agent(agent) => Some(BudgetSpec {
            select: Some(Selector::of(Label::Agent, agent.value.name.as_str())),
            ..agent.value.budget
        }),
        Document::Budget(budget) => Some(budget.spec),
        Document::RateLimit(_) | Document::Breaker(_) | Document::Pep(_) => None,
    });
    findings.of_file(file).or_value(budgets.collect())
}

/// The budgets that a manifest file declares, likewise.
///
/// # Errors
/// That it cannot be read, or all that is wrong with it.
pub fn load_budgets(path: &Path) -> Result<Vec<BudgetSpec>, Problems> {
    let shown = plain(path).display().to_string();
    match read::read(path, governance::MAX_FILE_BYTES) {
        Ok(Some(bytes)) => parse_budgets(&shown, bytes),
        Ok(None) => Err(problem::of_file(shown, "the file is longer than 1024 KiB").into()),
        Err(error) => Err(problem::of_file(shown, format!("cannot be read: {error}")).into()),
    }
}

/// The path without `.`, so that messages name `governance/...` and not `./governance/...`.
fn plain(path: &Path) -> PathBuf {
    path.components().filter(|part| *part != Component::CurDir).collect()
}

#[cfg(test)]
mod tests;
