//! What the machine says of a process, and what it is.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::TcpStream,
};

use anyhow::{Context as _, Result};

/// Clock ticks a second in /proc: fixed at 100 for programs on Linux.
const TICKS: u64 = 100;

/// CPU time a process has used, in microseconds.
pub(super) fn cpu_micros(process: u32) -> Result<u64> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat"))?;
    // The second field is the program's name in parentheses and may hold spaces.
    let (_, rest) = stat.rsplit_once(')').context("an unreadable /proc/PID/stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Ok((ticks(11) + ticks(12)) * (1_000_000 / TICKS))
}

/// Resident memory of a process, in KiB.
pub(super) fn resident_kib(process: u32) -> Result<u64> {
    let status = fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .context("no VmRSS")?;
    Ok(line.trim().trim_end_matches(" kB").parse()?)
}

/// What the committer did.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Commits {
    pub(super) commits: u64,
    pub(super) entries: u64,
    pub(super) micros: u64,
}

impl Commits {
    pub(super) fn since(&self, before: &Self) -> Self {
        Self {
            commits: self.commits.saturating_sub(before.commits),
            entries: self.entries.saturating_sub(before.entries),
            micros: self.micros.saturating_sub(before.micros),
        }
    }
}

/// The committer's counters, from `/metrics`.
pub(super) fn commits(admin: &str) -> Result<Commits> {
    let mut stream = TcpStream::connect(admin)?;
    write!(
        stream,
        "GET /metrics HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n"
    )?;
    let mut text = String::new();
    stream.read_to_string(&mut text)?;
    let value = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0)
    };
    Ok(Commits {
        commits: value("bailiwick_commits_total"),
        entries: value("bailiwick_entries_total"),
        micros: value("bailiwick_commit_microseconds_total"),
    })
}

/// The machine in one line.
pub(super) fn describe() -> String {
    let cpu = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpu
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(" : unknown processor");
    let model = model.split_once(':').map_or("", |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let memory = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib: u64 = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))
        .and_then(|line| line.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or(0);
    format!(
        "{cores} cores of {model}, {} GiB, shared with others",
        kib / 1024 / 1024
    )
}
