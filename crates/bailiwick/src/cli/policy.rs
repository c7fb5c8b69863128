//! `bailiwick policy`: what policies say, asked of the files, and what others would have said, asked of a server's log.

mod check;
mod coverage;
mod diff;
mod explain;
mod junit;
mod replay;
mod simulate;
mod snippet;
mod test;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use config::{PolicyPlace, Problems, TenantPolicies, load_policies};
use model::TenantName;
use policy::Explanation;

use super::{Common, Failure, output::Output, wait_for};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    Check(check::Args),
    Test(test::Args),
    Explain(Box<explain::Args>),
    Diff(diff::Args),
    Simulate(simulate::Args),
}

pub(super) fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Check(args) => check::run(common, args, out),
        Command::Test(args) => test::run(common, args, out),
        Command::Explain(args) => explain::run(common, args, out),
        Command::Diff(args) => wait_for(diff::run(common, args, out)),
        Command::Simulate(args) => wait_for(simulate::run(common, args, out)),
    }
}

/// The policies of every tenant, and what a check would warn of.
type All = (BTreeMap<TenantName, TenantPolicies>, Problems);

/// Reads the policies of a governance directory, or of the one that the configuration names.
fn load(common: &Common, directory: Option<&Path>) -> Result<All, Problems> {
    match directory {
        Some(directory) => load_policies(PolicyPlace::Directory(directory)),
        None => load_policies(PolicyPlace::Settings(&common.config_file())),
    }
}

/// Where the policies are.
#[derive(Debug, clap::Args)]
struct Place {
    /// The governance directory [default: the one that the configuration names]
    #[arg(long, value_name = "DIR")]
    governance: Option<PathBuf>,
}

impl Place {
    fn load(&self, common: &Common) -> Result<BTreeMap<TenantName, TenantPolicies>, Failure> {
        let (policies, _) = load(common, self.governance.as_deref()).map_err(Failure::Config)?;
        Ok(policies)
    }
}

/// The explanation with files named as a person would type them.
fn shown(mut explanation: Explanation, root: &Path) -> Explanation {
    for policy in &mut explanation.policies {
        policy.file = root.join(&*policy.file).display().to_string().into();
    }
    explanation
}
