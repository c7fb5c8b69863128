//! `cargo xtask test`: everything the tests need, then all tests.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};
use serde::Deserialize;

use crate::{
    grown_log, setup,
    steps::{Steps, counts::Counts, show},
    workspace::Workspace,
};

/// How much of it.
#[derive(Clone, Copy, Debug, Default, clap::Args)]
pub(crate) struct Options {
    /// Install and download nothing; fail when something is missing.
    #[arg(long)]
    no_setup: bool,
    /// Leave out the tests with real clients, which need Python, Node and Go.
    #[arg(long)]
    rust_only: bool,
}

/// Runs the steps and stops at the first that fails.
pub(crate) fn run(steps: &mut Steps, workspace: &Workspace, options: Options) -> anyhow::Result<()> {
    let python = match options {
        Options { rust_only: true, .. } => None,
        Options { no_setup: true, .. } => Some(setup::check(workspace)?),
        Options { .. } => Some(setup::run_all(steps, workspace)?),
    };
    let binary = steps.call("build", || {
        let binary = build(workspace)?;
        let note = binary.display().to_string();
        Ok((binary, note))
    })?;
    rust_tests(steps, workspace)?;
    if let Some(python) = python {
        let grown_log = steps.call("a log for other readers", || grown_log::make(&workspace.target))?;
        let mut pytest = Command::new(python);
        pytest.args(["-m", "pytest", "clients"]).current_dir(&workspace.root);
        pytest.env("BAILIWICK_BIN", &binary).env("PYTHONDONTWRITEBYTECODE", "1");
        pytest.env("BAILIWICK_GROWN_LOG", &grown_log);
        steps.run("client tests", &mut pytest, Counts::pytest())?;
    }
    Ok(())
}

/// Builds the binary and every test in one go, so that both have the same features and nothing is built twice.
fn build(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let mut command = cargo(workspace);
    command.args(["build", "--workspace", "--bins", "--tests", "--locked"]);
    command.arg("--message-format=json-render-diagnostics");
    println!("{}", show(&command));
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("running {}", show(&command)))?;
    if !output.status.success() {
        bail!("{} ({})", show(&command), output.status);
    }
    let messages = String::from_utf8(output.stdout).context("output of cargo build")?;
    binary_in(&messages).context("cargo build made no binary called `bailiwick`")
}

/// Finds the product's binary among the messages of `cargo build`.
fn binary_in(messages: &str) -> Option<PathBuf> {
    #[derive(Deserialize)]
    struct Message {
        target: Target,
        profile: Profile,
        executable: Option<PathBuf>,
    }
    #[derive(Deserialize)]
    struct Target {
        name: String,
        kind: Vec<String>,
    }
    #[derive(Deserialize)]
    struct Profile {
        test: bool,
    }
    let artifacts = messages
        .lines()
        .filter_map(|line| serde_json::from_str::<Message>(line).ok());
    artifacts
        .filter(|message| message.target.name == "bailiwick" && message.target.kind == ["bin"] && !message.profile.test)
        .find_map(|message| message.executable)
}

fn rust_tests(steps: &mut Steps, workspace: &Workspace) -> anyhow::Result<()> {
    let nextest = Command::new("cargo")
        .args(["nextest", "--version"])
        .output()
        .is_ok_and(|output| output.status.success());
    let tests = ["--workspace", "--tests", "--locked", "--no-fail-fast"];
    if nextest {
        steps.run(
            "rust tests",
            cargo(workspace).args(["nextest", "run"]).args(tests),
            Counts::nextest(),
        )?;
    } else {
        steps.run(
            "rust tests",
            cargo(workspace).arg("test").args(tests),
            Counts::cargo_test(),
        )?;
    }
    let examples = ["test", "--workspace", "--doc", "--locked"];
    steps.run("doc tests", cargo(workspace).args(examples), Counts::cargo_test())
}

/// What to run for long.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(crate) struct Soak {
    /// How often to kill the server.
    #[arg(long, default_value_t = 500, conflicts_with = "steps")]
    kills: u32,
    /// Simulate so many steps in memory instead, on all cores, and a fiftieth of them on databases: 50000000 take about an
    /// hour on two cores.
    #[arg(long)]
    steps: Option<usize>,
    /// Repeat the choices of the run that printed this seed.
    #[arg(long)]
    seed: Option<u64>,
}

/// The crash test, or the simulation, in a release build. The seed is printed and repeats its choices.
pub(crate) fn soak(steps: &mut Steps, workspace: &Workspace, soak: Soak) -> anyhow::Result<()> {
    let mut test = |name: &str, target: &[&str], variable: &str, count: usize| {
        let mut command = cargo(workspace);
        command.args(["test", "--release", "--locked", "-p"]).args(target);
        command.args(["--", "--nocapture"]).env(variable, count.to_string());
        if let Some(seed) = soak.seed {
            command.env("BAILIWICK_SEED", seed.to_string());
        }
        steps.run(name, &mut command, Counts::cargo_test())
    };
    let Some(count) = soak.steps else {
        let kills = usize::try_from(soak.kills)?;
        return test(
            "crashes",
            &["bailiwick", "--test", "it", "crash"],
            "BAILIWICK_KILLS",
            kills,
        );
    };
    let simulation = |which| ["bailiwick-store", "--lib", which];
    let (memory, database) = (
        simulation("simulation::steps_in_memory_of_a_fresh_seed"),
        simulation("simulation::steps_on_a_database_of_a_fresh_seed"),
    );
    test("simulation in memory", &memory, "BAILIWICK_STEPS", count)?;
    test("simulation on databases", &database, "BAILIWICK_STEPS", count / 50)
}

fn cargo(workspace: &Workspace) -> Command {
    cargo_in(&workspace.root)
}

/// Cargo, in the root of the project.
pub(crate) fn cargo_in(root: &Path) -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(root);
    command
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_is_the_one_that_cargo_names() {
        let message = |name: &str, kind: &str, test: bool, executable: &str| {
            format!(
                r#"{{"reason":"compiler-artifact","target":{{"kind":["{kind}"],"name":"{name}"}},"profile":{{"test":{test}}},"executable":{executable}}}"#
            )
        };
        let messages = [
            r#"{"reason":"build-script-executed","package_id":"x"}"#.to_owned(),
            message("bailiwick", "lib", false, "null"),
            message("xtask", "bin", false, "\"t/xtask\""),
            message("bailiwick", "bin", true, "\"t/deps/bailiwick-1\""),
            message("bailiwick", "bin", false, "\"t/bailiwick\""),
        ];
        assert_eq!(binary_in(&messages.join("\n")), Some(PathBuf::from("t/bailiwick")));
        assert_eq!(binary_in("not json"), None);
    }
}
