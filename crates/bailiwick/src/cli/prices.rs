//! `bailiwick prices`

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use pricing::{PriceBook, diff};
use serde::Serialize;

use super::{Failure, output::Output};

/// A catalogue is a text of a few megabytes; what is longer is something else.
const CATALOGUE_BYTES: u64 = 64 * 1024 * 1024;

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show what changes between two price catalogues, before the new one is trusted
    ///
    /// A catalogue is the public JSON document of model prices, or the compacted form that is shipped. `builtin` stands for
    /// the shipped one. Changes above 2x, either way, are marked: they are often mistakes of unit.
    #[command(after_help = "\
Examples:
  bailiwick prices diff builtin model_prices_and_context_window.json
  bailiwick prices diff old.json new.json --json | jq '.[] | select(.jump)'")]
    Diff {
        /// The catalogue in use
        old: PathBuf,
        /// The catalogue to look at
        new: PathBuf,
    },
    /// Show which models are priced, by kind of work, and why others are refused
    #[command(after_help = "\
Examples:
  bailiwick prices report
  bailiwick prices report new.json --json")]
    Report {
        /// The catalogue
        #[arg(default_value = "builtin")]
        catalogue: PathBuf,
    },
}

/// One change, for programs.
#[derive(Serialize)]
struct Shown {
    change: String,
    jump: bool,
}

pub(super) fn run(command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Diff { old, new } => show_diff(&open(old)?, &open(new)?, out),
        Command::Report { catalogue } => show_report(&open(catalogue)?, out),
    }
}

fn show_diff(old: &PriceBook, new: &PriceBook, out: &mut Output) -> Result<(), Failure> {
    let changes = diff(old, new);
    let shown: Vec<_> = changes
        .iter()
        .map(|change| Shown {
            change: change.to_string(),
            jump: change.is_jump(),
        })
        .collect();
    let jumps = shown.iter().filter(|change| change.jump).count();
    out.show(&shown, |out| {
        for change in &shown {
            let mark = if change.jump { "!" } else { " " };
            out.line(format_args!("{mark} {}", change.change))?;
        }
        match (shown.len(), jumps) {
            (0, _) => out.line(format_args!("The catalogues price everything alike.")),
            (all, 0) => out.line(format_args!("{all} changes, none above 2x.")),
            (all, jumps) => out.line(format_args!(
                "{all} changes, {jumps} of them above 2x (marked !): look at each before this catalogue is used."
            )),
        }
    })
}

fn show_report(book: &PriceBook, out: &mut Output) -> Result<(), Failure> {
    let classes = book.classes();
    let lists: BTreeMap<&str, &[String]> = classes.iter().collect();
    out.show(&lists, |out| {
        out.line(format_args!("{}", classes.to_string().trim_end()))
    })
}

fn open(path: &Path) -> Result<PriceBook, Failure> {
    if path == Path::new("builtin") {
        return Ok(PriceBook::builtin());
    }
    let failed = |error: &dyn std::fmt::Display| Failure::failed(format!("{}: {error}", path.display()));
    let length = std::fs::metadata(path).map_err(|error| failed(&error))?.len();
    if length > CATALOGUE_BYTES {
        return Err(failed(&format_args!(
            "{length} bytes are more than a price catalogue has"
        )));
    }
    let text = std::fs::read_to_string(path).map_err(|error| failed(&error))?;
    PriceBook::from_catalogue(&text).map_err(|error| failed(&error))
}
