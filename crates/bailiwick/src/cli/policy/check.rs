//! `bailiwick policy check`

use std::path::PathBuf;

use config::Problem;
use serde::Serialize;

use super::{
    super::{
        Common, Failure,
        check::{counted, show_right, show_wrong},
        output::{Output, QUIET},
        table::clean_lines,
    },
    load,
    snippet::snippet,
};

/// Check policies, schemas, entities and tests
///
/// Policies are checked strictly against the schema: a misspelt attribute or type is an error, and so is a comparison that
/// can never be true. The agents, budgets and limits beside them are read as well, for policies speak of agents; upstreams
/// are not, and no credential is needed.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Exit code: 0 if all is right, 64 if not.

Examples:
  bailiwick policy check
  bailiwick policy check mydir/governance
  bailiwick policy check --json | jq -r '.problems[] | \"\\(.file):\\(.line): \\(.message)\"'")]
pub(in crate::cli) struct Args {
    /// The governance directory [default: the one that the configuration names]
    #[arg(value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// What was found.
#[derive(Clone, Copy, Serialize)]
struct Found {
    policies: usize,
    tests: usize,
}

pub(super) fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let (all, warnings) = match load(common, args.dir.as_deref()) {
        Ok(loaded) => loaded,
        Err(problems) => return show_wrong(out, &problems, told),
    };
    let mut warnings: Vec<Problem> = warnings.iter().cloned().collect();
    for policies in all.values() {
        warnings.extend(policies.bundle.lints().into_iter().map(|lint| Problem {
            file: policies.root.join(lint.file).display().to_string(),
            line: lint.line,
            column: lint.column,
            message: lint.message,
            help: lint.help,
        }));
    }
    let found = Found {
        policies: all.values().map(|policies| policies.bundle.policy_ids().len()).sum(),
        tests: all.values().map(|policies| policies.tests.len()).sum(),
    };
    let policies = match found.policies {
        1 => "1 policy".to_owned(),
        number => format!("{number} policies"),
    };
    let sentence = format!("{policies}, {}", counted(found.tests, "test"));
    show_right(out, &found, &sentence, &warnings.iter().collect::<Vec<_>>(), told)
}

/// The problem, the line of the source it is about, and the help.
fn told(problem: &Problem) -> String {
    let without_help = Problem {
        help: None,
        ..problem.clone()
    };
    let mut text = clean_lines(&without_help.to_string()).into_owned();
    if let Some([source, mark]) = snippet(problem) {
        text.push_str(&format!("\n{QUIET}{source}{QUIET:#}\n{QUIET}{mark}{QUIET:#}"));
    }
    if let Some(help) = &problem.help {
        text.push_str(&format!("\n  help: {}", clean_lines(help)));
    }
    text
}
