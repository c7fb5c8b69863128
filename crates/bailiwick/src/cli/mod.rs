//! The command line: one file a command.
//!
//! Exit codes: 0 fine, 1 refused or failed, 2 usage, 64 bad configuration. What was asked for goes to standard output,
//! everything else to standard error, so that output can be piped on. A secret is never an argument: other users of the
//! machine can read arguments.

mod admin;
mod agent;
mod apply;
mod approval;
mod audit;
mod breaker;
mod budget;
mod check;
mod client;
mod config;
mod cost;
mod demo;
mod failure;
mod fake;
mod init;
mod key;
mod length;
mod limit;
mod output;
mod overrun;
mod policy;
mod prices;
mod serve;
mod sink;
mod table;
mod target;
mod trace;
mod witness;

use std::{ffi::OsString, path::PathBuf, process::ExitCode, time::Duration};

use clap::{Parser, Subcommand};

pub(crate) use failure::Failure;
use output::Output;

/// Governs what AI agents do: identity, budget, policy and evidence, in front of the models they call.
#[derive(Debug, Parser)]
#[command(name = "bailiwick", version, arg_required_else_help = true)]
#[command(after_help = "\
To begin:
  bailiwick init mydir
  OPENAI_API_KEY=sk-... ANTHROPIC_API_KEY=sk-... bailiwick serve -c mydir/bailiwick.toml
  bailiwick key issue assistant -c mydir/bailiwick.toml")]
pub(crate) struct Cli {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: Command,
}

/// What every command takes.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Common {
    /// The configuration [default: ./bailiwick.toml, or if that is not there $BAILIWICK_CONFIG]
    #[arg(short, long, value_name = "FILE", global = true, help_heading = "Common options")]
    config: Option<PathBuf>,
    /// Print JSON, for programs
    #[arg(long, global = true, help_heading = "Common options")]
    json: bool,
}

impl Common {
    /// The file that was named with `-c`, or the one of this name that is here.
    pub(crate) fn file_or(&self, here: &str) -> PathBuf {
        self.config.clone().unwrap_or_else(|| PathBuf::from(here))
    }

    /// The configuration file to use.
    pub(crate) fn config_file(&self) -> PathBuf {
        let here = PathBuf::from("bailiwick.toml");
        match (&self.config, std::env::var_os("BAILIWICK_CONFIG")) {
            (Some(file), _) => file.clone(),
            (None, Some(file)) if !here.exists() && file != OsString::new() => PathBuf::from(file),
            (None, _) => here,
        }
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    Demo(demo::Args),
    Init(init::Args),
    Check(check::Args),
    Serve(serve::Args),
    Apply(apply::Args),
    /// Show agents
    #[command(subcommand)]
    Agent(agent::Command),
    /// Issue, show and revoke agents' credentials
    #[command(subcommand)]
    Key(key::Command),
    /// Show budgets, and change them while traffic flows
    #[command(subcommand)]
    Budget(budget::Command),
    /// Show and answer calls that wait for an administrator
    #[command(subcommand)]
    Approval(approval::Command),
    /// Show rate limits
    #[command(subcommand)]
    Limit(limit::Command),
    /// Show and close circuit breakers
    #[command(subcommand)]
    Breaker(breaker::Command),
    Cost(cost::Args),
    /// Show and accept what providers billed past its hold
    #[command(subcommand)]
    Overrun(overrun::Command),
    /// Check, test, explain and compare policies
    #[command(subcommand)]
    Policy(policy::Command),
    /// Add, show and remove administrators
    #[command(subcommand)]
    Admin(admin::Command),
    /// Read, search and verify the audit trail
    #[command(subcommand)]
    Audit(audit::Command),
    /// Show where entries are streamed to
    #[command(subcommand)]
    Sink(sink::Command),
    /// Cosign the checkpoints of other deployments' logs
    #[command(subcommand)]
    Witness(witness::Command),
    Trace(trace::Args),
    /// Look at price catalogues
    #[command(subcommand)]
    Prices(prices::Command),
    /// Help with the configuration files
    #[command(subcommand)]
    Config(config::Command),
    Fake(fake::Args),
}

/// Runs the command that the arguments name.
pub(crate) fn main() -> ExitCode {
    // What clap does not take ends here, with exit code 2; so do --help and --version, with 0.
    let Cli { common, command } = Cli::parse();
    match run(&common, command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}

fn run(common: &Common, command: Command) -> Result<(), Failure> {
    let mut out = Output::new(common.json);
    match command {
        Command::Demo(args) => demo::run(common, &args),
        Command::Init(args) => init::run(&args, &mut out),
        Command::Check(args) => check::run(common, &args, &mut out),
        Command::Serve(args) => serve::run(common, &args),
        Command::Apply(args) => wait_for(apply::run(common, &args, &mut out)),
        Command::Agent(command) => wait_for(agent::run(common, &command, &mut out)),
        Command::Key(command) => wait_for(key::run(common, &command, &mut out)),
        Command::Budget(command) => wait_for(budget::run(common, &command, &mut out)),
        Command::Approval(command) => wait_for(approval::run(common, &command, &mut out)),
        Command::Limit(command) => wait_for(limit::run(common, &command, &mut out)),
        Command::Breaker(command) => wait_for(breaker::run(common, &command, &mut out)),
        Command::Cost(args) => wait_for(cost::run(common, &args, &mut out)),
        Command::Overrun(command) => wait_for(overrun::run(common, &command, &mut out)),
        Command::Policy(command) => policy::run(common, &command, &mut out),
        Command::Admin(command) => wait_for(admin::run(common, &command, &mut out)),
        Command::Audit(command) => wait_for(audit::run(common, &command, &mut out)),
        Command::Sink(command) => wait_for(sink::run(common, &command, &mut out)),
        Command::Witness(command) => witness::run(common, &command, &mut out),
        Command::Trace(args) => wait_for(trace::run(common, &args, &mut out)),
        Command::Prices(command) => prices::run(&command, &mut out),
        Command::Config(command) => config::run(&command, &mut out),
        Command::Fake(args) => wait_for(fake::run(&args, &mut out)),
    }
}

/// Runs a command that only waits for others: one thread is enough.
fn wait_for(command: impl Future<Output = Result<(), Failure>>) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::failed(format!("no runtime: {error}")))?;
    let done = runtime.block_on(command);
    // A look-up of a name that hangs must not keep the command.
    runtime.shutdown_timeout(Duration::from_millis(100));
    done
}

#[cfg(test)]
mod tests;
