//! `bailiwick config`

use config::schema;

use super::{Failure, output::Output};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Print the JSON schemas of the configuration files, for editors
    #[command(after_help = "\
Examples:
  bailiwick config schema
  bailiwick config schema --json | jq '.\"bailiwick.toml\"' > bailiwick.schema.json")]
    Schema,
}

pub(super) fn run(command: &Command, out: &mut Output) -> Result<(), Failure> {
    match command {
        Command::Schema => {
            let schema = schema();
            // The one document that people read as JSON too.
            out.show(&schema, |out| out.line(format_args!("{schema:#}")))
        }
    }
}
