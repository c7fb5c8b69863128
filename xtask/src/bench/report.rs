//! The figures as a table.

use std::{fmt::Write as _, fs, path::Path, time::Duration};

use anyhow::{Context as _, Result};
use serde::Deserialize;

use super::{
    extra::{Extra, STREAMS},
    machine, millis,
};

/// What the load generator says of one turn.
#[derive(Clone, Debug, Deserialize)]
pub(super) struct Load {
    pub(super) answered: u64,
    pub(super) failed: u64,
    pub(super) rate: f64,
    pub(super) p50_us: u64,
    pub(super) p99_us: u64,
    first_p50_us: u64,
}

/// One turn of one target.
pub(super) struct Turn {
    pub(super) load: Load,
    pub(super) cpu_us: Option<u64>,
    pub(super) commits: Option<machine::Commits>,
}

/// The medians of a target's turns.
pub(crate) struct Row {
    kind: &'static str,
    connections: usize,
    target: &'static str,
    rate: f64,
    p50_us: f64,
    p99_us: f64,
    first_p50_us: f64,
    cpu_us: Option<f64>,
    batch: Option<f64>,
    commit_us: Option<f64>,
}

/// What is measured once.
pub(super) struct Facts {
    pub(super) ready: Duration,
    pub(super) idle_kib: u64,
    pub(super) loaded_kib: u64,
    pub(super) policies: usize,
    pub(super) extra: Extra,
}

#[expect(clippy::cast_precision_loss, reason = "figures for people")]
fn float(value: u64) -> f64 {
    value as f64
}

impl Row {
    pub(super) fn of(kind: &'static str, connections: usize, target: &'static str, turns: &[Turn]) -> Self {
        let of = |figure: &dyn Fn(&Turn) -> Option<f64>| median(turns.iter().filter_map(figure).collect());
        let each = |load: &dyn Fn(&Load) -> f64| of(&|turn| Some(load(&turn.load))).unwrap_or(0.0);
        Self {
            kind,
            connections,
            target,
            rate: each(&|load| load.rate),
            p50_us: each(&|load| float(load.p50_us)),
            p99_us: each(&|load| float(load.p99_us)),
            first_p50_us: each(&|load| float(load.first_p50_us)),
            cpu_us: of(&|turn| Some(float(turn.cpu_us?) / float(turn.load.answered))),
            batch: of(&|turn| {
                turn.commits
                    .filter(|c| c.commits > 0)
                    .map(|c| float(c.entries) / float(c.commits))
            }),
            commit_us: of(&|turn| {
                turn.commits
                    .filter(|c| c.commits > 0)
                    .map(|c| float(c.micros) / float(c.commits))
            }),
        }
    }
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

/// The table, in Markdown.
pub(super) fn render(rows: &[Row], facts: &Facts) -> String {
    let mut text = String::new();
    let machine = machine::describe();
    let _ = writeln!(text, "{machine}; load, provider and gateway on it together\n");
    let _ = writeln!(
        text,
        "Bailiwick with {} policies, a budget, durable entries and metrics. Ready {:.0} ms after its start; {:.0} MiB \
         resident when idle, {:.0} MiB after the load.\n",
        facts.policies,
        millis(facts.ready),
        float(facts.idle_kib) / 1024.0,
        float(facts.loaded_kib) / 1024.0
    );
    let Extra {
        allocations: (json, stream),
        streams_kib,
        opening,
        fsync,
    } = facts.extra;
    let _ = writeln!(
        text,
        "Allocations: {json:.0} a JSON call, {stream:.0} a stream. {STREAMS} open streams: {:.0} MiB resident, opened in \
         {:.1} s. Writing 4 KiB and waiting for the disk: {:.0} us.\n",
        float(streams_kib) / 1024.0,
        opening.as_secs_f64(),
        fsync.as_secs_f64() * 1e6
    );
    added(&mut text, rows);
    let _ = writeln!(
        text,
        "| kind | connections | target | requests/s | of bare | p50 ms | p99 ms | first byte p50 ms | CPU us/request | entries/commit | commit us |"
    );
    let _ = writeln!(
        text,
        "| --- | --: | --- | --: | --: | --: | --: | --: | --: | --: | --: |"
    );
    for row in rows {
        let bare = rows
            .iter()
            .find(|other| other.target == "bare" && other.kind == row.kind && other.connections == row.connections);
        let of_bare = bare.map_or(0.0, |bare| row.rate / bare.rate);
        let optional = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |value| format!("{value:.1}"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {:.0} | {of_bare:.2} | {:.2} | {:.2} | {:.2} | {} | {} | {} |",
            row.kind,
            row.connections,
            row.target,
            row.rate,
            row.p50_us / 1e3,
            row.p99_us / 1e3,
            row.first_p50_us / 1e3,
            optional(row.cpu_us),
            optional(row.batch),
            optional(row.commit_us)
        );
    }
    text
}

/// What a single caller waits longer for than without a gateway, and when a stream begins and ends.
fn added(text: &mut String, rows: &[Row]) {
    let alone = |kind: &str, target: &str| {
        rows.iter()
            .find(|row| row.kind == kind && row.target == target && row.connections == 1)
    };
    let both = |kind| alone(kind, "bailiwick").zip(alone(kind, "direct"));
    let (Some((json, direct)), Some((stream, _))) = (both("json"), both("stream")) else {
        return;
    };
    let _ = writeln!(
        text,
        "Alone: a JSON call takes {:.2} ms longer than without a gateway; the first event of a stream comes after {:.2} ms, \
         the last after {:.2} ms.\n",
        (json.p50_us - direct.p50_us) / 1e3,
        stream.first_p50_us / 1e3,
        stream.p50_us / 1e3
    );
}

/// Puts the figures between the marks of that name in the document.
pub(super) fn write(path: &Path, name: &str, text: &str) -> Result<()> {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let document = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let (before, rest) = document
        .split_once(&begin)
        .with_context(|| format!("the document has no {}", begin.trim()))?;
    let (_, after) = rest
        .split_once(&end)
        .with_context(|| format!("the document has no {end}"))?;
    fs::write(path, format!("{before}{begin}{text}{end}{after}"))?;
    Ok(())
}
