//! `bailiwick check`

use std::time::SystemTime;

use config::{Problem, Problems};
use serde::Serialize;

use super::{
    Common, Failure,
    output::{BAD, DOUBTFUL, GOOD, Output},
    table::clean_lines,
};
use crate::server::environment;

/// Check the configuration and everything it declares
///
/// Reads what a server would read and says what is wrong with it, with file, line and column. Needs no server. A
/// credential that is not here is only warned of: checks often run where no secrets are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if a server would load it, 64 if not.

Examples:
  bailiwick check
  bailiwick check -c mydir/bailiwick.toml --json")]
pub(super) struct Args {}

/// What a check says.
#[derive(Serialize)]
struct Report<'a, F> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<&'a F>,
    problems: &'a [&'a Problem],
    warnings: &'a [&'a Problem],
}

/// What was found.
#[derive(Clone, Copy, Serialize)]
struct Found {
    tenants: usize,
    agents: usize,
    policy_files: usize,
    upstreams: usize,
}

pub(super) fn run(common: &Common, _: &Args, out: &mut Output) -> Result<(), Failure> {
    match config::check(&common.config_file(), &environment, SystemTime::now()) {
        Ok(checked) => {
            let found = Found {
                tenants: checked.tenants,
                agents: checked.agents,
                policy_files: checked.policy_files,
                upstreams: checked.upstreams,
            };
            let warnings: Vec<_> = checked.warnings.iter().collect();
            show_right(out, &found, &sentence(found), &warnings, one_line)
        }
        Err(problems) => show_wrong(out, &problems, one_line),
    }
}

fn one_line(problem: &Problem) -> String {
    clean_lines(&problem.to_string()).into_owned()
}

/// Says that all is right, what was found, and what may be a mistake all the same.
pub(super) fn show_right<F: Serialize>(
    out: &mut Output,
    found: &F,
    sentence: &str,
    warnings: &[&Problem],
    told: fn(&Problem) -> String,
) -> Result<(), Failure> {
    let report = Report {
        ok: true,
        found: Some(found),
        problems: &[],
        warnings,
    };
    out.show(&report, |out| {
        for warning in warnings {
            out.line(format_args!("{DOUBTFUL}warning:{DOUBTFUL:#} {}", told(warning)))?;
        }
        out.line(format_args!("{GOOD}ok:{GOOD:#} {sentence}"))
    })
}

/// Says what is wrong.
///
/// # Errors
/// That something is.
pub(super) fn show_wrong(out: &mut Output, problems: &Problems, told: fn(&Problem) -> String) -> Result<(), Failure> {
    let problems: Vec<_> = problems.iter().collect();
    let report = Report::<()> {
        ok: false,
        found: None,
        problems: &problems,
        warnings: &[],
    };
    out.show(&report, |out| {
        for problem in &problems {
            out.line(format_args!("{BAD}error:{BAD:#} {}", told(problem)))?;
        }
        out.line(format_args!("{} found", counted(problems.len(), "problem")))
    })?;
    Err(Failure::SaidConfig)
}

fn sentence(found: Found) -> String {
    let mut parts = vec![
        counted(found.agents, "agent"),
        counted(found.policy_files, "policy file"),
        counted(found.upstreams, "upstream"),
    ];
    if found.tenants > 1 {
        parts.insert(0, counted(found.tenants, "tenant"));
    }
    parts.join(", ")
}

/// `1 agent`, `2 agents`.
pub(super) fn counted(number: usize, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {thing}{plural}")
}
