//! `cargo xtask bench audit`: how many entries a second a server with everything on makes durable, what they take on disk,
//! and how fast an exported log is verified.

use std::{
    cmp::Ordering,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result};
use serde::{Deserialize, de::DeserializeOwned};

use super::{extra, machine, report, tempdir};
use crate::workspace::Workspace;

/// How many callers make calls at once.
const CALLERS: [u32; 3] = [1, 16, 64];
/// How long a sync takes at least, in microseconds.
const SLOW_US: [u32; 2] = [0, 4_000];
/// How many agents are declared where entries are let go: each time all that follows from the log is written down.
const AGENTS: [u32; 2] = [16, 10_000];
/// How long calls are kept then, in milliseconds.
const KEPT: u32 = 1_000;
/// How many callers there are then.
const EXPIRY_CALLERS: u32 = 16;
/// How long calls are made before they are measured, in milliseconds.
const WARM: u32 = 2_000;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many entries the log has that is verified.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// How long each measurement of a server lasts, in milliseconds.
    #[arg(long, default_value_t = 10_000)]
    millis: u32,
    /// How often each is made; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Write the figures into docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// What the example says of a log that was verified.
#[derive(Debug, Deserialize)]
struct Verified {
    entries: u64,
    bytes: u64,
    took_us: Vec<u64>,
    cpu_us: Vec<u64>,
}

/// What the example says of a server that ran. Of three figures the first is of the index, the second of the published
/// checkpoints, the third of the sink.
#[derive(Clone, Debug, Deserialize)]
struct Trail {
    entries: u64,
    took_us: u64,
    cpu_us: u64,
    commits: u64,
    commit_us: u64,
    sync_us: u64,
    p50_us: u64,
    p99_us: u64,
    /// The most entries that they were behind, and the longest that the index was, in milliseconds.
    most_behind: [u64; 4],
    /// How many entries they were behind when the last call was made.
    left_behind: [u64; 3],
    /// How long they took to read these.
    caught_up_us: [u64; 3],
    /// How many entries there are in the end.
    size: u64,
    /// What they and the files take, in bytes.
    text: u64,
    log: u64,
    tiles: u64,
    projection: u64,
    longest_us: u64,
    /// How often entries were let go, and how many in all.
    expiries: u64,
    let_go: u64,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn float(value: u64) -> f64 {
    value as f64
}

impl Trail {
    fn a_second(&self) -> f64 {
        float(self.entries) * 1e6 / float(self.took_us.max(1))
    }

    fn each(&self, of: u64) -> f64 {
        float(of) / float(self.size.max(1))
    }
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let trail = super::example(workspace, "bailiwick-sinks", "trail")?;
    let verification = super::example(workspace, "bailiwick-verify", "verification")?;
    let dir = tempdir()?;
    let text = measure(&trail, &verification, &dir, options);
    let _ = fs::remove_dir_all(&dir);
    let text = text?;
    println!("{text}");
    if options.write {
        report::write(&workspace.root.join("docs/performance.md"), "bench audit", &text)?;
    }
    Ok(())
}

fn measure(trail: &Path, verification: &Path, dir: &Path, options: &Options) -> Result<String> {
    let slow = extra::preload(dir, "slow", include_str!("slow.c"))?;
    let mut rows = Vec::new();
    for slow_us in SLOW_US {
        for callers in CALLERS {
            let run = || {
                let mut command = trail_of(trail, dir, options, callers);
                if slow_us > 0 {
                    command.env("LD_PRELOAD", &slow).env("SYNC_MICROS", slow_us.to_string());
                }
                command
            };
            let by = |one: &Trail, other: &Trail| one.a_second().total_cmp(&other.a_second());
            rows.push((callers, median(dir, options, run, by)?));
        }
    }
    let mut expiries = Vec::new();
    for agents in AGENTS {
        for kept in [None, Some(KEPT)] {
            let run = || {
                let mut command = trail_of(trail, dir, options, EXPIRY_CALLERS);
                command.arg(agents.to_string());
                command.args(kept.map(|kept| kept.to_string()));
                command
            };
            let by = |one: &Trail, other: &Trail| one.longest_us.cmp(&other.longest_us);
            expiries.push((agents, median(dir, options, run, by)?));
        }
    }
    eprintln!();
    let mut command = Command::new(verification);
    let verified: Verified = say(command.args([options.entries, options.rounds].map(|number| number.to_string())))?;
    Ok(format!(
        "{}\n\n{}\n{}\n{}",
        machine::describe(),
        render_trail(&rows),
        render_expiries(&expiries),
        render_verified(&verified)
    ))
}

/// The example on a directory that is not there yet.
fn trail_of(trail: &Path, dir: &Path, options: &Options, callers: u32) -> Command {
    let mut command = Command::new(trail);
    command
        .arg(place(dir))
        .args([callers, WARM, options.millis].map(|number| number.to_string()));
    command
}

fn place(dir: &Path) -> PathBuf {
    dir.join("trail")
}

/// The median of several runs.
fn median(
    dir: &Path,
    options: &Options,
    run: impl Fn() -> Command,
    by: impl Fn(&Trail, &Trail) -> Ordering,
) -> Result<Trail> {
    let mut runs: Vec<Trail> = Vec::new();
    for _ in 0..options.rounds {
        fs::create_dir(place(dir))?;
        runs.push(say(&mut run())?);
        fs::remove_dir_all(place(dir))?;
        eprint!(".");
    }
    runs.sort_by(by);
    let median = runs.len() / 2;
    runs.into_iter().nth(median).context("no run")
}

/// Runs a program that prints one line of JSON.
fn say<T: DeserializeOwned>(command: &mut Command) -> Result<T> {
    let shown = format!("{command:?}");
    let output = command.stderr(Stdio::inherit()).output().context(shown.clone())?;
    serde_json::from_slice(&output.stdout).with_context(|| format!("{shown} says nothing"))
}

fn render_trail(rows: &[(u32, Trail)]) -> String {
    let mut text = String::from("A server with everything on:\n\n");
    text.push_str(
        "| a sync of 4 KiB us | callers | entries/s | p50 ms | p99 ms | CPU us/entry | entries/commit | commit us |\n\
         | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for (callers, run) in rows {
        let _ = writeln!(
            text,
            "| {} | {callers} | {:.0} | {:.2} | {:.2} | {:.1} | {:.1} | {:.0} |",
            run.sync_us,
            run.a_second(),
            float(run.p50_us) / 1e3,
            float(run.p99_us) / 1e3,
            float(run.cpu_us) / float(run.entries.max(1)),
            float(run.entries) / float(run.commits.max(1)),
            float(run.commit_us) / float(run.commits.max(1)),
        );
    }
    text.push_str(
        "\nHow far what follows the log was behind it, at most and when the load ended, in entries, and how long it took from \
         there to have all:\n\n\
         | a sync of 4 KiB us | callers | index at most | index at most s | index at the end | index s | checkpoint at most | checkpoint s | sink at most | sink s |\n\
         | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for (callers, run) in rows {
        let ([index, signed, sink, lag_ms], [left, ..]) = (run.most_behind, run.left_behind);
        let [index_s, signed_s, sink_s] = run.caught_up_us.map(|micros| float(micros) / 1e6);
        let _ = writeln!(
            text,
            "| {} | {callers} | {index} | {:.2} | {left} | {index_s:.2} | {signed} | {signed_s:.2} | {sink} | {sink_s:.2} |",
            run.sync_us,
            float(lag_ms) / 1e3,
        );
    }
    text.push_str(
        "\nBytes an entry in the files after the run:\n\n\
         | a sync of 4 KiB us | callers | entries | text | log | tiles | projection and index |\n\
         | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for (callers, run) in rows {
        let [text_bytes, log, tiles, projection] =
            [run.text, run.log, run.tiles, run.projection].map(|bytes| run.each(bytes));
        let _ = writeln!(
            text,
            "| {} | {callers} | {} | {text_bytes:.0} | {log:.0} | {tiles:.0} | {projection:.0} |",
            run.sync_us, run.size,
        );
    }
    text
}

fn render_expiries(rows: &[(u32, Trail)]) -> String {
    let mut text = format!(
        "Entries of calls are let go once they are a second old, with {EXPIRY_CALLERS} callers, and for comparison never:\n\n\
         | agents | times | entries let go | entries/s | p50 ms | p99 ms | longest call ms |\n\
         | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for (agents, run) in rows {
        let _ = writeln!(
            text,
            "| {agents} | {} | {} | {:.0} | {:.2} | {:.2} | {:.1} |",
            run.expiries,
            run.let_go,
            run.a_second(),
            float(run.p50_us) / 1e3,
            float(run.p99_us) / 1e3,
            float(run.longest_us) / 1e3,
        );
    }
    text
}

fn render_verified(verified: &Verified) -> String {
    let Verified { entries, bytes, .. } = verified;
    let median = |times: &[u64]| {
        let mut times = times.to_vec();
        times.sort_unstable();
        float(times.get(times.len() / 2).copied().unwrap_or_default().max(1)) / 1e6
    };
    let (took, cpu) = (median(&verified.took_us), median(&verified.cpu_us));
    format!(
        "An exported log, verified:\n\n\
         | entries | bytes/entry | s to verify | entries/s | CPU us/entry |\n\
         | --: | --: | --: | --: | --: |\n\
         | {entries} | {} | {took:.2} | {:.0} | {:.1} |\n",
        bytes / entries.max(&1),
        float(*entries) / took,
        cpu * 1e6 / float(*entries),
    )
}
