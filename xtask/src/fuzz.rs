//! `cargo xtask fuzz`: the fuzz targets with coverage, on the stable toolchain and without the network.
//!
//! What a target does is in `crates/fuzzing`; `fuzz/` is a package of its own that links each with libFuzzer. The
//! committed corpus is only read: what is found on the way is kept beside the build, and `--keep` takes from it what
//! reaches code that the corpus does not. The input of a finding goes to `fuzz/findings`, where the tests replay it.

use std::{
    collections::VecDeque,
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    time::Instant,
};

use anyhow::{Context as _, bail};

use crate::{
    steps::{run as run_command, show},
    workspace::{Workspace, read},
};

mod told;

use told::Told;

/// What to fuzz, and for how long.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// The targets to run, one after the other; all of them if none is named.
    targets: Vec<String>,
    /// How long each of them runs.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// Print the targets with the sizes of their corpora, and run none.
    #[arg(long)]
    list: bool,
    /// Then copy into `fuzz/corpus` what reached code that no input there reaches.
    #[arg(long)]
    keep: bool,
    /// Where to build and to keep what is found on the way [default: `fuzz` in cargo's target directory]
    #[arg(long, value_name = "DIR")]
    target_dir: Option<PathBuf>,
}

/// Instruments every crate as `cargo fuzz` does, but for the sanitizer, which needs another toolchain and would find
/// nothing in code without `unsafe`.
const RUSTFLAGS: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing -Ccodegen-units=1";

/// The longest input tried, in bytes: longer ones are slower and seldom show more.
const MAX_INPUT: u32 = 4096;
/// A single input that takes longer is a finding, in seconds.
const MAX_SECONDS: u32 = 10;
/// One that takes more memory is one too, in MiB.
const MAX_MEMORY: u32 = 2048;
/// What libFuzzer ends with after Ctrl-C.
const INTERRUPTED: i32 = 72;
/// How many of a target's last lines are shown with a finding.
const LINES: usize = 60;

/// Ctrl-C was pressed.
static INTERRUPTS: AtomicBool = AtomicBool::new(false);

pub(crate) fn run(workspace: &Workspace, options: &Options) -> anyhow::Result<ExitCode> {
    let home = workspace.root.join("fuzz");
    let targets = chosen(&home, &options.targets)?;
    if options.list {
        for name in &targets {
            println!("{name:16} {:>4} inputs", files(&home.join("corpus").join(name))?.len());
        }
        return Ok(ExitCode::SUCCESS);
    }
    let place = match &options.target_dir {
        Some(dir) => std::path::absolute(dir)?,
        None => workspace.target.join("fuzz"),
    };
    let bins = build(&home, &place, &targets)?;
    outlive_interrupts()?;
    let mut found = 0;
    for name in &targets {
        let target = Target {
            name,
            program: bins.join(name),
            corpus: home.join("corpus").join(name),
            findings: home.join("findings").join(name),
            grown: place.join("corpus").join(name),
            artifacts: place.join("artifacts").join(name),
        };
        match target.run(options.seconds)? {
            End::Fine => {}
            End::Found => found += 1,
            End::Interrupted => bail!("interrupted; what was reached so far is kept"),
        }
        if options.keep {
            target.keep()?;
        }
    }
    if found > 0 {
        println!("{found} of {} targets found something", targets.len());
        return Ok(ExitCode::FAILURE);
    }
    Ok(ExitCode::SUCCESS)
}

/// Ctrl-C goes to the fuzzer too, which sums up and ends; only then do we.
fn outlive_interrupts() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            while tokio::signal::ctrl_c().await.is_ok() {
                INTERRUPTS.store(true, Ordering::Relaxed);
            }
        });
    });
    Ok(())
}

/// The targets named, each of which must exist; all of them if none is.
fn chosen(home: &Path, named: &[String]) -> anyhow::Result<Vec<String>> {
    let sources = files(&home.join("src/bin"))?;
    let known: Vec<String> = sources
        .iter()
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    if let Some(unknown) = named.iter().find(|name| !known.contains(name)) {
        bail!("{unknown:?} is no fuzz target; there are {}", known.join(", "));
    }
    Ok(if named.is_empty() { known } else { named.to_vec() })
}

/// The files of a directory, by name; none if there is no such directory.
fn files(directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.with_context(|| format!("reading {}", directory.display()))?,
    };
    let mut paths = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<Vec<_>>>()?;
    paths.sort();
    Ok(paths)
}

/// Builds the targets and returns the directory of their programs.
fn build(home: &Path, place: &Path, targets: &[String]) -> anyhow::Result<PathBuf> {
    let version = read(Command::new("rustc").arg("-vV"))?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: "));
    let host = host.context("rustc does not say what machine this is")?;
    let mut cargo = Command::new("cargo");
    cargo.args(["build", "--release", "--locked", "--target", host, "--manifest-path"]);
    cargo.arg(home.join("Cargo.toml")).arg("--target-dir").arg(place);
    for name in targets {
        cargo.args(["--bin", name]);
    }
    // The passes are there in every toolchain, behind this word.
    cargo.env("RUSTC_BOOTSTRAP", "1").env("RUSTFLAGS", RUSTFLAGS);
    cargo.env_remove("CARGO_ENCODED_RUSTFLAGS");
    run_command(&mut cargo)?;
    Ok(place.join(host).join("release"))
}

/// One target and where its inputs are.
struct Target<'a> {
    name: &'a str,
    program: PathBuf,
    /// Committed: what it begins with.
    corpus: PathBuf,
    /// Committed: what once failed.
    findings: PathBuf,
    /// What was found to reach new code, here and in earlier runs.
    grown: PathBuf,
    /// Where libFuzzer writes the input of a finding.
    artifacts: PathBuf,
}

enum End {
    Fine,
    Found,
    Interrupted,
}

impl Target<'_> {
    /// Runs for so long, and prints a line of what came of it.
    fn run(&self, seconds: u64) -> anyhow::Result<End> {
        for directory in [&self.grown, &self.artifacts] {
            fs::create_dir_all(directory).with_context(|| format!("making {}", directory.display()))?;
        }
        for old in files(&self.artifacts)? {
            fs::remove_file(old)?;
        }
        let mut command = Command::new(&self.program);
        command.arg(&self.grown).arg(&self.corpus);
        if self.findings.is_dir() {
            command.arg(&self.findings);
        }
        command.args([
            format!("-max_total_time={seconds}"),
            format!("-max_len={MAX_INPUT}"),
            format!("-timeout={MAX_SECONDS}"),
            format!("-rss_limit_mb={MAX_MEMORY}"),
            format!("-artifact_prefix={}/", self.artifacts.display()),
            "-print_final_stats=1".to_owned(),
        ]);
        let started = Instant::now();
        let message = format!("running {}", show(&command));
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context(message)?;
        let mut told = Told::default();
        let mut last = VecDeque::with_capacity(LINES);
        for line in child
            .stderr
            .take()
            .map(BufReader::new)
            .into_iter()
            .flat_map(|lines| lines.split(b'\n'))
        {
            let line = String::from_utf8_lossy(&line?).into_owned();
            told.take(&line);
            // What it found to be new says nothing of what is wrong.
            if line.starts_with('#') {
                continue;
            }
            if last.len() == LINES {
                last.pop_front();
            }
            last.push_back(line);
        }
        let status = child.wait()?;
        let result = match status.code() {
            Some(INTERRUPTED) => "interrupted",
            Some(0) if INTERRUPTS.load(Ordering::Relaxed) => "interrupted",
            Some(0) => "ok",
            _ => "FOUND",
        };
        let seconds = started.elapsed().as_secs();
        println!("{:16} {seconds:>5} s  {told}  {result}", self.name);
        match result {
            "ok" => Ok(End::Fine),
            "interrupted" => Ok(End::Interrupted),
            _ => {
                last.iter().for_each(|line| println!("    {line}"));
                self.tell()?;
                Ok(End::Found)
            }
        }
    }

    /// Puts the inputs of findings where the tests replay them, and says how.
    fn tell(&self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.findings)?;
        for artifact in files(&self.artifacts)? {
            let name = artifact.file_name().context("an artifact without a name")?;
            let kept = self.findings.join(name);
            fs::copy(&artifact, &kept)?;
            println!("  input:  {}", kept.display());
            println!("  again:  {} {}", self.program.display(), kept.display());
        }
        println!("  tests:  cargo test -p bailiwick-fuzzing   # replays every finding, on stable");
        Ok(())
    }

    /// Copies into the committed corpus what reaches code that nothing there reaches.
    fn keep(&self) -> anyhow::Result<()> {
        let before = files(&self.corpus)?.len();
        let mut command = Command::new(&self.program);
        // Code reached, not how often it was: the corpus stays small.
        command
            .args(["-merge=1", "-use_counters=0"])
            .arg(format!("-max_len={MAX_INPUT}"));
        command.arg(&self.corpus).arg(&self.grown);
        let output = command
            .output()
            .with_context(|| format!("running {}", show(&command)))?;
        if !output.status.success() {
            bail!(
                "{} failed:\n{}",
                show(&command),
                String::from_utf8_lossy(&output.stderr)
            );
        }
        let added = files(&self.corpus)?.len().saturating_sub(before);
        println!("{:16} {added} inputs added to its corpus", self.name);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Workspace;

    #[test]
    fn targets_are_the_programs_that_there_are() {
        let home = Workspace::load().unwrap().root.join("fuzz");
        let all = chosen(&home, &[]).unwrap();
        assert!(all.contains(&"json".to_owned()) && all.is_sorted());
        assert_eq!(chosen(&home, &["sse".to_owned()]).unwrap(), ["sse"]);
        let error = chosen(&home, &["ssee".to_owned()]).unwrap_err().to_string();
        assert!(error.starts_with("\"ssee\" is no fuzz target; there are "), "{error}");
    }
}
