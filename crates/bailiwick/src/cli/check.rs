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

/// What was found.
#[derive(Serialize)]
struct Report<'a> {
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    found: Option<Found>,
    problems: Vec<&'a Problem>,
    warnings: Vec<&'a Problem>,
}

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
            show(out, Some(found), &Problems::default(), &checked.warnings)
        }
        Err(problems) => {
            show(out, None, &problems, &Problems::default())?;
            Err(Failure::SaidConfig)
        }
    }
}

fn show(out: &mut Output, found: Option<Found>, problems: &Problems, warnings: &Problems) -> Result<(), Failure> {
    let report = Report {
        ok: problems.is_empty(),
        found,
        problems: problems.iter().collect(),
        warnings: warnings.iter().collect(),
    };
    out.show(&report, |out| {
        for problem in &report.problems {
            out.line(format_args!("{BAD}error:{BAD:#} {}", clean_lines(&problem.to_string())))?;
        }
        for warning in &report.warnings {
            let warning = warning.to_string();
            out.line(format_args!("{DOUBTFUL}warning:{DOUBTFUL:#} {}", clean_lines(&warning)))?;
        }
        match report.found {
            Some(found) => out.line(format_args!("{GOOD}ok:{GOOD:#} {}", sentence(found))),
            None => out.line(format_args!("{} found", counted(report.problems.len(), "problem"))),
        }
    })
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
