//! `cargo xtask bench holds`: how many holds a second the committer makes durable, and what a budget costs.

use std::{
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, de::DeserializeOwned};

use super::{extra, machine, report, tempdir};
use crate::workspace::Workspace;

/// How many budgets select a request.
const SELECTING: [u32; 3] = [1, 5, 16];
/// How many callers hold and settle at once.
const CONCURRENCY: [u32; 3] = [1, 64, 512];
/// How long a sync takes at least, in microseconds.
const SLOW_US: [u32; 2] = [0, 4_000];
/// By how many labels the budgets select whose memory is measured.
const LABELS: [u32; 2] = [1, 3];

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many budgets there are.
    #[arg(long, default_value_t = 100_000)]
    budgets: u32,
    /// How long each measurement lasts, in milliseconds.
    #[arg(long, default_value_t = 1_500)]
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

#[derive(Deserialize)]
struct Used {}

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
    let program = super::example(workspace, "bailiwick-store", "holds")?;
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

fn measure(program: &Path, dir: &Path, options: &Options) -> Result<String> {
    let slow = extra::preload(dir, "slow", include_str!("slow.c"))?;
    let load = |data: &Path, budgets: u32, labels: u32| {
        let mut command = Command::new(program);
        command.arg("load").arg(data);
        say::<Loaded>(command.args([budgets, labels].map(|number| number.to_string())))
    };
    let (none, data) = (dir.join("none"), dir.join("data"));
    load(&none, 0, 1)?;
    let hold = |data: &Path, selecting: u32, concurrency: u32, slow_us: u32, millis: u32| {
        let mut command = Command::new(program);
        command.arg("run").arg(data);
        command.args([selecting, concurrency, millis].map(|number| number.to_string()));
        if slow_us > 0 {
            command.env("LD_PRELOAD", &slow).env("SYNC_MICROS", slow_us.to_string());
        }
        say::<Run>(&mut command)
    };
    // Of a fresh copy, and of one with a hold under each budget. Without the budgets there is a log of the same holds.
    let resident = |from: &Path| -> Result<[u64; 2]> {
        copy(from, &data)?;
        let fresh = hold(&data, 1, 1, 0, 1)?.resident_kib;
        let _: Used = say(Command::new(program)
            .arg("use")
            .arg(&data)
            .arg(options.budgets.to_string()))?;
        Ok([fresh, hold(&data, 1, 1, 0, 1)?.resident_kib])
    };
    let without = resident(&none)?;
    let mut memory = Vec::new();
    for labels in LABELS {
        let many = many(dir, labels);
        let seconds = load(&many, options.budgets, labels)?.seconds;
        let [fresh, used] = resident(&many)?;
        let each =
            |kib: u64, without: u64| float(kib.saturating_sub(without) * 1_024) / f64::from(options.budgets.max(1));
        let [none_fresh, none_used] = without;
        memory.push((labels, seconds, each(fresh, none_fresh), each(used, none_used)));
    }
    let many = many(dir, 1);
    let mut rows = Vec::new();
    for slow_us in SLOW_US {
        for selecting in SELECTING {
            for concurrency in CONCURRENCY {
                let mut runs = Vec::new();
                for _ in 0..options.rounds.max(1) {
                    // The log that a run leaves would have to be folded by the next.
                    copy(&many, &data)?;
                    runs.push(hold(&data, selecting, concurrency, slow_us, options.millis)?);
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
    Ok(render(&rows, &memory, options.budgets))
}

fn many(dir: &Path, labels: u32) -> PathBuf {
    dir.join(format!("many-{labels}"))
}

/// Copies a data directory that nobody uses.
fn copy(from: &Path, to: &Path) -> Result<()> {
    if to.exists() {
        fs::remove_dir_all(to)?;
    }
    fs::create_dir(to)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    for file in fs::read_dir(from)? {
        let file = file?;
        fs::copy(file.path(), to.join(file.file_name()))?;
    }
    Ok(())
}

/// Runs a program that prints one line of JSON.
fn say<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let shown = format!("{command:?}");
    let output = command.stderr(Stdio::inherit()).output().context(shown.clone())?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{shown} says nothing"))
}

fn render(rows: &[(u32, u32, u32, Run)], memory: &[(u32, f64, f64, f64)], budgets: u32) -> String {
    let mut text = String::new();
    let _ = writeln!(text, "{}\n\nMemory of {budgets} budgets:\n", machine::describe());
    let _ = writeln!(
        text,
        "| labels/budget | s to declare them | bytes/budget | once used |\n| --: | --: | --: | --: |"
    );
    for (labels, seconds, fresh, used) in memory {
        let _ = writeln!(text, "| {labels} | {seconds:.1} | {fresh:.0} | {used:.0} |");
    }
    let _ = writeln!(text, "\nHolds with {budgets} budgets of one label:\n");
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
