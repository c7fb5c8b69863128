//! `cargo xtask bench policy`: what a decision costs, in the process and over HTTP.

use std::{
    fmt::Write as _,
    fs,
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use super::{Running, build, issue_key, machine, report, tempdir};
use crate::workspace::Workspace;

const POLICIES: [usize; 4] = [10, 100, 1_000, 10_000];
const ENTITIES: [usize; 2] = [1_000, 100_000];
const CONNECTIONS: [usize; 3] = [1, 16, 64];
/// In which way the server records what it decides.
const MODES: [&str; 2] = ["durable", "buffered"];

/// What to measure, and how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How often each measurement over HTTP is made; the median counts.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each measurement over HTTP lasts, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    millis: u64,
    /// Write the figures into docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// What the example says of one size.
#[derive(Debug, Deserialize)]
struct Decided {
    policies: usize,
    entities: usize,
    load_s: f64,
    decision_us: f64,
    plain_us: f64,
    search_us: f64,
}

/// How much is declared at a server that is asked over HTTP, and in which way it records.
#[derive(Clone, Copy)]
struct Declared {
    policies: usize,
    entities: usize,
    mode: &'static str,
}

/// One measurement over HTTP.
struct Served {
    of: Declared,
    connections: usize,
    load: report::Load,
    cpu_us: f64,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    let program = super::example(workspace, "bailiwick-policy", "decisions")?;
    let mut decided = Vec::new();
    for entities in ENTITIES {
        for policies in POLICIES {
            let output = Command::new(&program)
                .args([policies, entities].map(|number| number.to_string()))
                .stderr(Stdio::inherit())
                .output()?;
            let found: Decided = serde_json::from_slice(&output.stdout).context("the example says nothing")?;
            eprintln!("{policies} policies, {entities} entities: {:.1} us", found.decision_us);
            decided.push(found);
        }
    }
    let bins = build(workspace)?;
    let dir = tempdir()?;
    let served = serve_all(&program, &bins, &dir, options);
    let _ = fs::remove_dir_all(&dir);
    let (modes, sizes) = served?;
    let text = render(&decided, &modes, &sizes);
    println!("{text}");
    if options.write {
        report::write(&workspace.root.join("docs/performance.md"), "bench policy", &text)?;
    }
    Ok(())
}

/// Servers asked by somebody on the same machine: with one size in both modes and by few and many, and with every size.
fn serve_all(program: &Path, bins: &Path, dir: &Path, options: &Options) -> Result<(Vec<Served>, Vec<Served>)> {
    let (mut modes, mut sizes) = (Vec::new(), Vec::new());
    for mode in MODES {
        let of = Declared {
            policies: 100,
            entities: 1_000,
            mode,
        };
        modes.extend(serve(program, bins, dir, options, of, &CONNECTIONS)?);
    }
    for entities in ENTITIES {
        for policies in POLICIES {
            let mode = "durable";
            let of = Declared {
                policies,
                entities,
                mode,
            };
            sizes.extend(serve(program, bins, dir, options, of, &[64])?);
        }
    }
    Ok((modes, sizes))
}

fn serve(
    program: &Path,
    bins: &Path,
    dir: &Path,
    options: &Options,
    of: Declared,
    connections: &[usize],
) -> Result<Vec<Served>> {
    let home = dir.join(format!("{}-{}-{}", of.policies, of.entities, of.mode));
    declare(program, &home, of)?;
    let config = home.join("bailiwick.toml");
    let bailiwick = bins.join("bailiwick");
    let server = Running::start(Command::new(&bailiwick).arg("serve").arg("-c").arg(&config))?;
    let key = issue_key(&bailiwick, &config, &["--pep", "bench"])?;
    let url = format!("http://{}/access/v1/evaluation", server.address("agents")?);
    let mut served = Vec::new();
    for &connections in connections {
        let mut rounds = Vec::new();
        for _ in 0..options.rounds.max(1) {
            let before = machine::cpu_micros(server.child.id())?;
            let load = load(bins, &url, &key, &home, connections, options.millis)?;
            let cpu = machine::cpu_micros(server.child.id())?.saturating_sub(before);
            rounds.push((load, cpu));
            eprint!(".");
        }
        rounds.sort_by(|one, other| one.0.rate.total_cmp(&other.0.rate));
        let middle = rounds.len() / 2;
        let (load, cpu) = rounds.into_iter().nth(middle).context("no round")?;
        #[expect(clippy::cast_precision_loss, reason = "figures for people")]
        let cpu_us = cpu as f64 / load.answered.max(1) as f64;
        served.push(Served {
            of,
            connections,
            load,
            cpu_us,
        });
    }
    eprintln!();
    Ok(served)
}

/// Writes a configuration with the example's policies, entities and questions.
fn declare(program: &Path, home: &Path, of: Declared) -> Result<()> {
    let mode = of.mode;
    fs::create_dir_all(home)?;
    let config = format!(
        "trust_domain = \"bench.example\"\n[listen]\nagents = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         [authzen]\nrecord = \"{mode}\"\n"
    );
    fs::write(home.join("bailiwick.toml"), config)?;
    let status = Command::new(program)
        .args([of.policies, of.entities].map(|number| number.to_string()))
        .arg("--write")
        .arg(home)
        .status()?;
    if !status.success() {
        bail!("the example wrote no configuration");
    }
    Ok(())
}

fn load(bins: &Path, url: &str, key: &str, home: &Path, connections: usize, millis: u64) -> Result<report::Load> {
    let output = Command::new(bins.join("load"))
        .args(["--url", url, "--key", key, "--bodies"])
        .arg(home.join("questions.jsonl"))
        .args([
            "--connections",
            &connections.to_string(),
            "--millis",
            &millis.to_string(),
        ])
        .stderr(Stdio::inherit())
        .output()?;
    let load: report::Load = serde_json::from_slice(&output.stdout).context("the load generator reports nothing")?;
    if load.failed > 0 || load.answered == 0 {
        bail!("{} questions failed, {} were answered", load.failed, load.answered);
    }
    Ok(load)
}

fn render(decided: &[Decided], modes: &[Served], sizes: &[Served]) -> String {
    let mut text = format!("{}\n\n", machine::describe());
    text.push_str(
        "From a parsed request to a verdict with its reasons, one after the other on one core; nothing is remembered from \
         one question to the next. Plain Cedar evaluates all policies over all entities.\n\n",
    );
    text.push_str(
        "| policies | entities | loaded in s | decision us | decisions/s/core | plain Cedar us | search over 230 ms |\n\
         | --: | --: | --: | --: | --: | --: | --: |\n",
    );
    for row in decided {
        let _ = writeln!(
            text,
            "| {} | {} | {:.2} | {:.1} | {:.0} | {:.1} | {:.2} |",
            row.policies,
            row.entities,
            row.load_s,
            row.decision_us,
            1e6 / row.decision_us.max(0.001),
            row.plain_us,
            row.search_us / 1e3,
        );
    }
    text.push_str(
        "\nOver HTTP/1.1 with 100 policies and 1,000 entities, the load on the same machine; each answer is an entry, in the \
         mode that is named: `durable` answers when it is on disk, `buffered` before.\n\n\
         | entries | connections | evaluations/s | p50 ms | p99 ms | CPU us/evaluation |\n\
         | --- | --: | --: | --: | --: | --: |\n",
    );
    for row in modes {
        let _ = writeln!(text, "| {} | {} | {} |", row.of.mode, row.connections, row.figures());
    }
    text.push_str(
        "\nThe same, `durable` and with 64 connections, by how much is declared.\n\n\
         | policies | entities | evaluations/s | p50 ms | p99 ms | CPU us/evaluation |\n\
         | --: | --: | --: | --: | --: | --: |\n",
    );
    for row in sizes {
        let _ = writeln!(
            text,
            "| {} | {} | {} |",
            row.of.policies,
            row.of.entities,
            row.figures()
        );
    }
    text
}

impl Served {
    #[expect(clippy::cast_precision_loss, reason = "figures for people")]
    fn figures(&self) -> String {
        let millis = |micros: u64| micros as f64 / 1e3;
        let (p50, p99) = (millis(self.load.p50_us), millis(self.load.p99_us));
        format!("{:.0} | {p50:.2} | {p99:.2} | {:.1}", self.load.rate, self.cpu_us)
    }
}
