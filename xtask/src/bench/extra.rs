//! What is measured once, in a run of its own: allocations, many open streams, the disk.

use std::{
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use super::{BODY, Running, machine};

/// How many streams the memory is measured with.
pub(super) const STREAMS: usize = 9_000;
/// How long each count of allocations lasts, in milliseconds.
const COUNTED: u64 = 1_000;

/// What was measured.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Extra {
    /// Allocations of the gateway for one JSON call, and for one stream, at 16 connections.
    pub(super) allocations: (f64, f64),
    /// Resident memory with [`STREAMS`] open streams, in KiB.
    pub(super) streams_kib: u64,
    /// How long it took to open them.
    pub(super) opening: Duration,
    /// The median time of writing 4 KiB and waiting for the disk.
    pub(super) fsync: Duration,
}

/// Runs a gateway of its own for all of it.
pub(super) fn measure(bins: &Path, dir: &Path, config: &Path, key: &str) -> Result<Extra> {
    let fsync = fsync(dir)?;
    let counter = dir.join("allocations");
    let library = preload(dir, "allocations", include_str!("allocations.c"))?;
    let serve = Running::start(
        Command::new(bins.join("bailiwick"))
            .arg("serve")
            .arg("-c")
            .arg(config)
            .env("BENCH_KEY", "sk-bench")
            .env("LD_PRELOAD", &library)
            .env("COUNT_ALLOCATIONS_IN", &counter),
    )?;
    let url = format!("http://{}/openai/v1/chat/completions", serve.address("agents")?);
    // The first calls fill caches.
    counted(bins, &url, key, &counter, false)?;
    let json = counted(bins, &url, key, &counter, false)?;
    let stream = counted(bins, &url, key, &counter, true)?;
    drop(serve);
    let serve = Running::start(
        Command::new(bins.join("bailiwick"))
            .arg("serve")
            .arg("-c")
            .arg(config)
            .env("BENCH_KEY", "sk-bench"),
    )?;
    let url = format!("http://{}/openai/v1/chat/completions", serve.address("agents")?);
    let (streams_kib, opening) = many_streams(bins, &url, key, serve.child.id())?;
    Ok(Extra {
        allocations: (json, stream),
        streams_kib,
        opening,
        fsync,
    })
}

/// A library that changes what the C library does, built with the C compiler that the product's own build needs.
pub(super) fn preload(dir: &Path, name: &str, text: &str) -> Result<std::path::PathBuf> {
    let (source, library) = (dir.join(format!("{name}.c")), dir.join(format!("{name}.so")));
    fs::write(&source, text)?;
    let status = Command::new("cc")
        .args(["-O2", "-shared", "-fPIC", "-o"])
        .arg(&library)
        .arg(&source)
        .status()
        .context("cc")?;
    if !status.success() {
        bail!("the library {name} does not build");
    }
    Ok(library)
}

#[expect(clippy::cast_precision_loss, reason = "a figure for people")]
fn counted(bins: &Path, url: &str, key: &str, counter: &Path, stream: bool) -> Result<f64> {
    let count = || -> Result<u64> {
        let bytes = fs::read(counter)?;
        let bytes = bytes.try_into().ok().context("an unreadable count")?;
        Ok(u64::from_ne_bytes(bytes))
    };
    let before = count()?;
    let output = Command::new(bins.join("load"))
        .args(["--url", url, "--key", key, "--body", &body(stream)])
        .args(["--connections", "16", "--millis", &COUNTED.to_string()])
        .output()?;
    let load: super::report::Load =
        serde_json::from_slice(&output.stdout).context("the load generator reports nothing")?;
    Ok((count()? - before) as f64 / load.answered.max(1) as f64)
}

fn body(stream: bool) -> String {
    let stream = if stream { ",\"stream\":true}" } else { "}" };
    format!("{BODY}{stream}")
}

fn many_streams(bins: &Path, url: &str, key: &str, process: u32) -> Result<(u64, Duration)> {
    let started = Instant::now();
    let mut load = Command::new(bins.join("load"))
        .args(["--url", url, "--key", key, "--body", &body(true)])
        .args(["--connections", &STREAMS.to_string(), "--hold", "hang-after=2"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()?;
    let stdout = load.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line)?;
    let opening = started.elapsed();
    let resident = machine::resident_kib(process)?;
    drop(load.stdin.take());
    let _ = load.wait();
    if !line.contains(&STREAMS.to_string()) {
        bail!("the streams could not be opened; each takes two descriptors of the gateway: see `ulimit -n`");
    }
    Ok((resident, opening))
}

/// Writes and syncs as a database does, without one.
fn fsync(dir: &Path) -> Result<Duration> {
    let path = dir.join("fsync");
    let mut file = File::create(&path)?;
    let mut times = Vec::new();
    for _ in 0..200 {
        let started = Instant::now();
        file.write_all(&[7; 4_096])?;
        file.sync_data()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    fs::remove_file(&path)?;
    Ok(times.get(times.len() / 2).copied().unwrap_or_default())
}
