//! `cargo xtask bench audit`: how fast an exported log is verified.

use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{machine, report};
use crate::workspace::Workspace;

/// What to measure.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How many entries the log has.
    #[arg(long, default_value_t = 1_000_000)]
    entries: u64,
    /// How often it is verified; the median counts.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u64).range(1..))]
    rounds: u64,
    /// Write the figures into docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// What the example says.
#[derive(Debug, Deserialize)]
struct Verified {
    entries: u64,
    bytes: u64,
    took_us: Vec<u64>,
    cpu_us: Vec<u64>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let program = super::example(workspace, "bailiwick-verify", "verification")?;
    let output = Command::new(program)
        .args([options.entries, options.rounds].map(|number| number.to_string()))
        .stderr(Stdio::inherit())
        .output()?;
    let verified: Verified = serde_json::from_slice(&output.stdout).context("the example says nothing")?;
    let text = render(&verified);
    println!("{text}");
    if options.write {
        report::write(&workspace.root.join("docs/performance.md"), "bench audit", &text)?;
    }
    Ok(())
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn render(verified: &Verified) -> String {
    let Verified { entries, bytes, .. } = verified;
    let median = |times: &[u64]| {
        let mut times = times.to_vec();
        times.sort_unstable();
        times.get(times.len() / 2).copied().unwrap_or_default().max(1) as f64 / 1e6
    };
    let (took, cpu) = (median(&verified.took_us), median(&verified.cpu_us));
    format!(
        "{}\n\n\
         | entries | bytes/entry | s to verify | entries/s | CPU us/entry |\n\
         | --: | --: | --: | --: | --: |\n\
         | {entries} | {} | {took:.2} | {:.0} | {:.1} |\n",
        machine::describe(),
        bytes / entries.max(&1),
        *entries as f64 / took,
        cpu * 1e6 / *entries as f64,
    )
}
