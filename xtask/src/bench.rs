//! `cargo xtask bench`: the gateway, a bare pass-through and the provider itself, under the same load in one run.
//!
//! Machines differ and are noisy, so the three take turns in rounds and what counts is their ratios. Every figure is the
//! median of the rounds.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::workspace::Workspace;

mod audit;
mod breakers;
mod extra;
mod holds;
mod machine;
mod policy;
mod report;

pub(crate) use report::Row;

/// What to measure, and how long.
#[derive(clap::Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Options {
    /// Something else than the gateway.
    #[command(subcommand)]
    what: Option<What>,
    /// How often the targets take turns.
    #[arg(long, default_value_t = 3)]
    rounds: usize,
    /// How long each turn lasts, in milliseconds.
    #[arg(long, default_value_t = 2_000)]
    millis: u64,
    /// How many policies the gateway has.
    #[arg(long, default_value_t = 100)]
    policies: usize,
    /// Write the figures into docs/performance.md.
    #[arg(long)]
    write: bool,
}

/// What else is measured.
#[derive(clap::Subcommand)]
enum What {
    /// How fast an exported log is verified. Needs no build of the server.
    Audit(audit::Options),
    /// How often breakers stop healthy agents, and how soon those that run away. Needs no build of the server.
    Breakers(breakers::Options),
    /// How many holds a second the committer makes durable, with many budgets.
    Holds(holds::Options),
    /// What a decision of the decision point costs, in the process and over HTTP.
    Policy(policy::Options),
}

const CONNECTIONS: [usize; 3] = [1, 16, 64];
const BODY: &str = r#"{"model":"gpt-4o-mini","messages":[{"role":"system","content":"You are a helpful assistant that answers in short sentences."},{"role":"user","content":"What is the capital of France, and how many people live there?"}],"max_tokens":100"#;

/// A program under load.
struct Target {
    name: &'static str,
    url: String,
    key: String,
    /// Whose CPU time is counted.
    process: Option<u32>,
}

pub(crate) fn run(workspace: &Workspace, options: &Options) -> Result<()> {
    match &options.what {
        Some(What::Audit(options)) => return audit::run(workspace, options),
        Some(What::Breakers(options)) => return breakers::run(workspace, options),
        Some(What::Holds(options)) => return holds::run(workspace, options),
        Some(What::Policy(options)) => return policy::run(workspace, options),
        None => {}
    }
    let bins = build(workspace)?;
    let dir = tempdir()?;
    let result = measure(&bins, &dir, options, workspace);
    let _ = fs::remove_dir_all(&dir);
    result
}

fn measure(bins: &Path, dir: &Path, options: &Options, workspace: &Workspace) -> Result<()> {
    let bailiwick = bins.join("bailiwick");
    let fake = Running::start(Command::new(&bailiwick).args(["fake", "--listen", "127.0.0.1:0"]))?;
    let provider = format!("http://{}", fake.address("fake")?);
    let bare = Running::start(Command::new(bins.join("bare")).args(["--upstream", &provider]))?;
    let config = declare(dir, &provider, options.policies)?;
    let started = Instant::now();
    let serve = Running::start(
        Command::new(&bailiwick)
            .arg("serve")
            .arg("-c")
            .arg(&config)
            .env("BENCH_KEY", "sk-bench"),
    )?;
    let ready = started.elapsed();
    let idle_kib = machine::resident_kib(serve.child.id())?;
    let key = issue_key(&bailiwick, &config, &["bench"])?;
    let path = "/openai/v1/chat/completions";
    let targets = [
        Target {
            name: "direct",
            url: format!("{provider}/v1/chat/completions"),
            key: String::new(),
            process: None,
        },
        Target {
            name: "bare",
            url: format!("http://{}{path}", bare.address("bare")?),
            key: String::new(),
            process: Some(bare.child.id()),
        },
        Target {
            name: "bailiwick",
            url: format!("http://{}{path}", serve.address("agents")?),
            key: key.clone(),
            process: Some(serve.child.id()),
        },
    ];
    let admin = serve.address("admin")?;
    let rows = rounds(bins, &targets, options, &admin)?;
    let loaded_kib = machine::resident_kib(serve.child.id())?;
    drop(serve);
    eprintln!("allocations, open streams, disk");
    let facts = report::Facts {
        ready,
        idle_kib,
        loaded_kib,
        policies: options.policies,
        extra: extra::measure(bins, dir, &config, &key)?,
    };
    let text = report::render(&rows, &facts);
    println!("{text}");
    if options.write {
        report::write(&workspace.root.join("docs/performance.md"), "bench", &text)?;
    }
    Ok(())
}

/// The targets take turns; one row a kind, number of connections and target.
fn rounds(bins: &Path, targets: &[Target], options: &Options, admin: &str) -> Result<Vec<Row>> {
    let mut turns: BTreeMap<(usize, usize, usize), Vec<report::Turn>> = BTreeMap::new();
    for round in 0..options.rounds {
        for (kind, stream) in [(0, false), (1, true)] {
            let body = if stream {
                format!("{BODY},\"stream\":true}}")
            } else {
                format!("{BODY}}}")
            };
            for (at, connections) in CONNECTIONS.into_iter().enumerate() {
                for (index, target) in targets.iter().enumerate() {
                    let turn = turn(bins, target, &body, connections, options.millis, admin)
                        .with_context(|| format!("{} with {connections} connections", target.name))?;
                    turns.entry((kind, at, index)).or_default().push(turn);
                    eprint!(".");
                }
            }
        }
        eprintln!(" round {} of {}", round + 1, options.rounds);
    }
    let row = |((kind, at, index), turns): ((usize, usize, usize), Vec<report::Turn>)| {
        let connections = CONNECTIONS.get(at).copied().unwrap_or_default();
        let name = targets.get(index).map_or("", |target| target.name);
        Row::of(if kind == 1 { "stream" } else { "json" }, connections, name, &turns)
    };
    Ok(turns.into_iter().map(row).collect())
}

fn turn(
    bins: &Path,
    target: &Target,
    body: &str,
    connections: usize,
    millis: u64,
    admin: &str,
) -> Result<report::Turn> {
    let before = target.process.map(machine::cpu_micros).transpose()?;
    let commits = if target.name == "bailiwick" {
        Some(machine::commits(admin)?)
    } else {
        None
    };
    let output = Command::new(bins.join("load"))
        .args(["--url", &target.url, "--key", &target.key, "--body", body])
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
        bail!("{} requests failed, {} were answered", load.failed, load.answered);
    }
    let after = target.process.map(machine::cpu_micros).transpose()?;
    let cpu = before.zip(after).map(|(before, after)| after.saturating_sub(before));
    let commits = match commits {
        Some(before) => Some(machine::commits(admin)?.since(&before)),
        None => None,
    };
    Ok(report::Turn {
        load,
        cpu_us: cpu,
        commits,
    })
}

fn build(workspace: &Workspace) -> Result<PathBuf> {
    release(workspace, &["-p", "bailiwick", "-p", "bailiwick-testkit"])?;
    Ok(workspace.target.join("release"))
}

/// Builds an example that measures, and says where it is.
fn example(workspace: &Workspace, package: &str, name: &str) -> Result<PathBuf> {
    release(workspace, &["-p", package, "--example", name])?;
    Ok(workspace.target.join("release/examples").join(name))
}

fn release(workspace: &Workspace, what: &[&str]) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--release", "--locked"])
        .args(what)
        .current_dir(&workspace.root)
        .status()?;
    if !status.success() {
        bail!("the release build failed");
    }
    Ok(())
}

/// A configuration with one agent that calls, and as many policies as asked for, of which a handful concern it.
fn declare(dir: &Path, provider: &str, policies: usize) -> Result<PathBuf> {
    let config = format!(
        "trust_domain = \"bench.example\"\n[listen]\nagents = \"127.0.0.1:0\"\nadmin = \"127.0.0.1:0\"\n\
         [upstreams.openai]\nkind = \"openai\"\nbase_url = \"{provider}\"\napi_key = {{ env = \"BENCH_KEY\" }}\n"
    );
    fs::create_dir_all(dir.join("governance/agents"))?;
    fs::create_dir_all(dir.join("governance/policies"))?;
    fs::write(dir.join("bailiwick.toml"), config)?;
    fs::write(
        dir.join("governance/agents/bench.yaml"),
        "kind: Agent\nname: bench\nowner: bench@bench.example\nteam: data\nproduct: bench\nenvironment: test\n\
         purpose: Is measured\nbudget: { limit: 1000000 USD, per: total }\n",
    )?;
    for file in 0..policies.div_ceil(20) {
        let mut text = String::new();
        for number in (file * 20..policies).take(20) {
            text.push_str(&policy(number));
        }
        fs::write(dir.join(format!("governance/policies/p{file}.cedar")), text)?;
    }
    Ok(dir.join("bailiwick.toml"))
}

/// One in ten concerns every agent, one in ten a team, the others agents that do not call here.
fn policy(number: usize) -> String {
    match number {
        0 => "@id(\"bench\") permit (principal == Agent::\"bench\", action == Action::\"llm:generate\", resource in Upstream::\"openai\");\n".to_owned(),
        n if n % 10 == 1 => format!("@id(\"all-{n}\") forbid (principal, action, resource is Model) when {{ context.max_output_tokens > {} }};\n", 100_000 + n),
        n if n % 10 == 2 => format!("@id(\"team-{n}\") permit (principal in Team::\"data\", action == Action::\"llm:generate\", resource) when {{ resource.name like \"gpt-4o*\" && context.tool_count < {n} }};\n"),
        n => format!("@id(\"other-{n}\") permit (principal == Agent::\"other-{n}\", action == Action::\"llm:generate\", resource == Model::\"openai/gpt-4o-mini\");\n"),
    }
}

#[derive(Deserialize)]
struct Issued {
    key: String,
}

/// Issues a credential to what the arguments name.
fn issue_key(bailiwick: &Path, config: &Path, of: &[&str]) -> Result<String> {
    let output = Command::new(bailiwick)
        .args(["key", "issue"])
        .args(of)
        .args(["--json", "-c"])
        .arg(config)
        .output()?;
    let issued: Issued = serde_json::from_slice(&output.stdout)
        .with_context(|| format!("no credential was issued: {}", String::from_utf8_lossy(&output.stderr)))?;
    Ok(issued.key)
}

fn tempdir() -> Result<PathBuf> {
    let dir = std::env::temp_dir().join(format!("bailiwick-bench-{}", std::process::id()));
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// A program that printed where it listens. Killed when dropped.
struct Running {
    child: Child,
    listening: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct Ready {
    listening: BTreeMap<String, String>,
}

impl Running {
    fn start(command: &mut Command) -> Result<Self> {
        let program = format!("{command:?}");
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context(program.clone())?;
        let stdout = child.stdout.take().context("no output")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line)?;
        match serde_json::from_str::<Ready>(&line) {
            Ok(Ready { listening }) => Ok(Self { child, listening }),
            Err(_) => {
                let _ = child.kill();
                bail!("{program} did not start: {line}")
            }
        }
    }

    fn address(&self, role: &str) -> Result<String> {
        self.listening
            .get(role)
            .cloned()
            .with_context(|| format!("it does not say where {role} is"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = std::io::stderr().flush();
    }
}

/// For the report: a duration in milliseconds.
fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
