//! `bailiwick sink`

use api::wire;

use super::{
    Common, Failure,
    output::{Output, hint},
    table::{
        Align::{Left, Right},
        Table, clean,
    },
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show where entries are streamed to, and how that goes
    #[command(after_help = "\
Sinks are declared in bailiwick.toml as [[sinks]]. BEHIND is how many committed entries one has not
passed yet. A sink that is failing tries again until it succeeds, and loses nothing meanwhile.
DELIVERED counts since the server started.

Examples:
  bailiwick sink list
  bailiwick sink list --json | jq '.sinks[] | select(.state != \"ok\")'")]
    List {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    let Command::List { target } = command;
    let listed: wire::Sinks = target.client(common)?.get("/api/v1/sinks").await?;
    out.show(&listed, |out| {
        if listed.sinks.is_empty() {
            return out.line("Entries are streamed nowhere. A table [[sinks]] in bailiwick.toml declares where to.");
        }
        let mut table = Table::new([
            ("SINK", Left),
            ("KIND", Left),
            ("FORMAT", Left),
            ("TO", Left),
            ("STATE", Left),
            ("BEHIND", Right),
            ("DELIVERED", Right),
            ("FAILURES", Right),
        ]);
        for sink in &listed.sinks {
            table.row([
                clean(&sink.name).into_owned(),
                clean(&sink.kind).into_owned(),
                clean(&sink.format).into_owned(),
                clean(&sink.target).into_owned(),
                clean(&sink.state).into_owned(),
                sink.behind.to_string(),
                sink.delivered.to_string(),
                sink.failures.to_string(),
            ]);
        }
        table.print(out)
    })?;
    if !out.is_json() {
        for sink in &listed.sinks {
            if sink.let_go > 0 {
                hint(format_args!(
                    "{} passed over {} entries since the server started: their time was over before it came to them",
                    clean(&sink.name),
                    sink.let_go
                ));
            }
            if let Some(error) = &sink.error {
                let since = sink.since.as_deref().unwrap_or_default();
                hint(format_args!(
                    "{} has been failing since {}: {}",
                    clean(&sink.name),
                    clean(since),
                    clean(error)
                ));
            }
        }
    }
    Ok(())
}
