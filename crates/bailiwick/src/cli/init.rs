//! `bailiwick init`

use std::path::PathBuf;

use serde::Serialize;

use super::{
    Failure,
    output::{Output, hint},
};

/// Write a configuration to start from
///
/// Writes a commented bailiwick.toml and a governance directory with one agent, its budget and a policy. Nothing that is
/// there already is overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick init mydir
  bailiwick check -c mydir/bailiwick.toml")]
pub(super) struct Args {
    /// Where to; the directory is made if it is not there
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

#[derive(Serialize)]
struct Written {
    written: Vec<PathBuf>,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<(), Failure> {
    let written = config::init(&args.dir).map_err(Failure::Refused)?;
    let written = Written { written };
    out.show(&written, |out| {
        for path in &written.written {
            out.line(path.display())?;
        }
        Ok(())
    })?;
    if !out.is_json() {
        let file = args.dir.join("bailiwick.toml");
        hint(format_args!(
            "\nSet the environment variables that {file} names, then:\n  bailiwick serve -c {file}",
            file = file.display()
        ));
    }
    Ok(())
}
