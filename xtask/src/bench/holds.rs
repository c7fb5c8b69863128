//! `cargo xtask bench holds`: how many holds a second the committer makes durable, and what a budget costs.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, de::DeserializeOwned};

use super::{extra, machine, report, tempdir};
use crate::workspace::Workspace;

/// How many budgets select a request.
const SELECTING: [u32; 3] = [1, 5, 16];
/// How many callers hold and settle at once.
const CONCURRENCY: [u32; 3] = [1, 64, 512];
/// What a slow disk takes longer for a sync, in microseconds.
const SLOW_US: [u32; 2] = [0, 4_000];

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many budgets there are.
    #[arg(long, default_value_t = 100_000)]
    budgets: u32,
    /// How long each measurement lasts, in milliseconds.
    #[arg(long, default_value_t = 3_000)]
    millis: u32,
    /// How often each is made; the median by holds a second counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// Write the figures into docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// What the example says of one run.
#[derive(Clone, Debug, Deserialize)]
struct Run {
    holds: u64,
    took_us: u64,
    p50_us: u64,
    p99_us: u64,
    cpu_us: u64,
    batches: u64,
    entries: u64,
    commit_us: u64,
    sync_us: u64,
    resident_kib: u64,
}

#[derive(Deserialize)]
struct Loaded {
    seconds: f64,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn float(value: u64) -> f64 {
    value as f64
}

impl Run {
    fn a_second(&self) -> f64 {
        float(self.holds) * 1e6 / float(self.took_us.max(1))
    }

    fn a_hold(&self, value: u64) -> f64 {
        float(value) / float(self.holds.max(1))
    }

    fn a_commit(&self, value: u64) -> f64 {
        float(value) / float(self.batches.max(1))
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let program = build(workspace)?;
    let dir = tempdir()?;
    let text = measure(&program, &dir, options);
    let _ = fs::remove_dir_all(&dir);
    let text = text?;
    println!("{text}");
    if options.write {
        report::write(&workspace.root.join("docs/performance.md"), "bench holds", &text)?;
    }
    Ok(())
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    let status = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--locked",
            "-p",
            "bailiwick-store",
            "--example",
            "holds",
        ])
        .current_dir(&workspace.root)
        .status()?;
    if !status.success() {
        bail!("the release build failed");
    }
    Ok(workspace.target.join("release/examples/holds"))
}

fn measure(program: &Path, dir: &Path, options: &Options) -> Result<String> {
    let slow = extra::preload(dir, "slow", include_str!("slow.c"))?;
    let (none, many) = (dir.join("none"), dir.join("many"));
    let _: Loaded = say(Command::new(program).arg("load").arg(&none).arg("0"))?;
    let loaded: Loaded = say(Command::new(program)
        .arg("load")
        .arg(&many)
        .arg(options.budgets.to_string()))?;
    let hold = |data: &Path, selecting: u32, concurrency: u32, slow_us: u32, millis: u32| {
        let mut command = Command::new(program);
        command.arg("run").arg(data);
        command.args([selecting, concurrency, millis].map(|number| number.to_string()));
        if slow_us > 0 {
            command.env("LD_PRELOAD", &slow).env("SYNC_MICROS", slow_us.to_string());
        }
        say::<Run>(&mut command)
    };
    let resident = |data: &Path| Ok::<_, anyhow::Error>(hold(data, 1, 1, 0, 1)?.resident_kib);
    let bytes = resident(&many)?.saturating_sub(resident(&none)?) * 1_024;
    let mut rows = Vec::new();
    for slow_us in SLOW_US {
        for selecting in SELECTING {
            for concurrency in CONCURRENCY {
                let mut runs = Vec::new();
                for _ in 0..options.rounds.max(1) {
                    runs.push(hold(&many, selecting, concurrency, slow_us, options.millis)?);
                    eprint!(".");
                }
                runs.sort_by(|one, other| one.a_second().total_cmp(&other.a_second()));
                let median = runs.len() / 2;
                let run = runs.into_iter().nth(median).context("no run")?;
                rows.push((slow_us, selecting, concurrency, run));
            }
        }
    }
    eprintln!();
    let per_budget = float(bytes) / f64::from(options.budgets.max(1));
    Ok(render(&rows, per_budget, loaded.seconds, options.budgets))
}

/// Runs a program that prints one line of JSON.
fn say<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let shown = format!("{command:?}");
    let output = command.stderr(Stdio::inherit()).output().context(shown.clone())?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{shown} says nothing"))
}

fn render(rows: &[(u32, u32, u32, Run)], per_budget: f64, seconds: f64, budgets: u32) -> String {
    let mut text = String::new();
    let _ = writeln!(
        text,
        "{}\n\n{budgets} budgets exist, declared in {seconds:.1} s; each takes {per_budget:.0} bytes of memory.\n",
        machine::describe()
    );
    let _ = writeln!(
        text,
        "| a sync of 4 KiB us | budgets/request | callers | holds/s | p50 ms | p99 ms | CPU us/hold | holds/commit | entries/commit | commit us |"
    );
    let _ = writeln!(text, "| --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |");
    for (_, selecting, concurrency, run) in rows {
        let _ = writeln!(
            text,
            "| {} | {selecting} | {concurrency} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.1} | {:.0} |",
            run.sync_us,
            run.a_second(),
            float(run.p50_us) / 1e3,
            float(run.p99_us) / 1e3,
            run.a_hold(run.cpu_us),
            run.a_commit(run.holds),
            run.a_commit(run.entries),
            run.a_commit(run.commit_us),
        );
    }
    text
}
