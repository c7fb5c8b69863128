//! The project's own chores: setting up and running the tests, the rules that no compiler knows, the price catalogue.
//!
//! A fresh machine has cargo and nothing else, so what other projects do in make and shell is done here.

use std::{path::PathBuf, process::ExitCode};

use clap::{Parser, Subcommand};

use crate::{
    steps::{Steps, counts::Counts},
    workspace::Workspace,
};

mod bench;
mod fuzz;
mod grown_log;
mod prices;
mod setup;
mod steps;
mod suite;
mod tidy;
mod workspace;

/// The project's own chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Set up what the tests need (Debian packages as root, Python and Node packages) and run all of them.
    Test(suite::Options),
    /// Check the import rules, purity, sizes and what else neither the compiler nor clippy knows.
    Tidy,
    /// Do what .ci/run does: formatting, clippy with warnings denied, tidy, and all tests.
    Ci,
    /// Run for long what the tests run briefly: the crash test, which kills the server under load many times and holds its
    /// log against what the provider saw; or with `--steps` the simulation of budgets.
    Soak(suite::Soak),
    /// Measure the gateway against a bare pass-through and the provider itself, in one run.
    Bench(bench::Options),
    /// Run the fuzz targets with coverage: their corpora, then mutations of them.
    Fuzz(fuzz::Options),
    /// Compact a downloaded price catalogue into the form that `crates/pricing` ships.
    Prices {
        /// The catalogue as published: `model_prices_and_context_window.json`.
        source: PathBuf,
        /// Where the compacted catalogue goes.
        #[arg(long, default_value = "crates/pricing/data/catalogue.jsonl")]
        out: PathBuf,
    },
}

fn main() -> ExitCode {
    let result = match Cli::parse().chore {
        Chore::Test(options) => in_steps(|steps, workspace| suite::run(steps, workspace, options)),
        Chore::Tidy => Workspace::load()
            .and_then(|workspace| tidy::run(&workspace))
            .map(|_| ExitCode::SUCCESS),
        Chore::Ci => in_steps(ci),
        Chore::Soak(soak) => in_steps(|steps, workspace| suite::soak(steps, workspace, soak)),
        Chore::Bench(options) => Workspace::load()
            .and_then(|workspace| bench::run(&workspace, &options))
            .map(|()| ExitCode::SUCCESS),
        Chore::Fuzz(options) => Workspace::load().and_then(|workspace| fuzz::run(&workspace, &options)),
        Chore::Prices { source, out } => prices::run(&source, &out).map(|()| ExitCode::SUCCESS),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::FAILURE
    })
}

/// Runs a chore that consists of steps, and sums them up.
fn in_steps(chore: impl FnOnce(&mut Steps, &Workspace) -> anyhow::Result<()>) -> anyhow::Result<ExitCode> {
    let workspace = Workspace::load()?;
    let mut steps = Steps::new();
    let result = chore(&mut steps, &workspace);
    Ok(steps.end(result))
}

/// Everything that a change must pass, the quick checks first.
fn ci(steps: &mut Steps, workspace: &Workspace) -> anyhow::Result<()> {
    let cargo = || suite::cargo_in(&workspace.root);
    steps.run("formatting", cargo().args(["fmt", "--all", "--check"]), Counts::Nothing)?;
    steps.call("tidy", || Ok(((), tidy::run(workspace)?)))?;
    let clippy = [
        "clippy",
        "--workspace",
        "--all-targets",
        "--locked",
        "--",
        "-D",
        "warnings",
    ];
    steps.run("clippy", cargo().args(clippy), Counts::Nothing)?;
    suite::run(steps, workspace, suite::Options::default())
}
