//! The command line.

mod checkpoint;
mod consistency;
mod log;
mod proof;
mod show;
mod source;

use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;

use show::Text;

/// Check the log of a Bailiwick without trusting who runs it
///
/// Works on files alone: no server, no network, no configuration. Says what holds, what does not and where, and what it
/// did not prove.
#[derive(Debug, clap::Parser)]
#[command(
    name = "bailiwick-verify",
    version,
    after_help = "\
Exit code: 0 if everything holds, 1 if something does not, 2 if it was asked for in a wrong way or a file cannot be read.
A KEY is the text of a vkey (NAME+ID+BASE64) or @FILE. Have it from when the log was new, not from who gave you the log.

Examples:
  bailiwick-verify log export/default --key @default.vkey
  bailiwick-verify proof entry-41.proof --key @default.vkey"
)]
struct Cli {
    /// Print one JSON object instead of text
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    Proof(proof::Args),
    Checkpoint(checkpoint::Args),
    Consistency(consistency::Args),
    Log(log::Args),
}

/// What a command found.
trait Outcome: Serialize {
    /// Whether everything holds.
    fn holds(&self) -> bool;
    /// What is said of it to people.
    fn tell(&self, text: &mut Text);
}

pub(super) fn main() -> ExitCode {
    let cli = Cli::parse();
    let json = cli.json;
    let done = match &cli.command {
        Command::Proof(args) => proof::run(args).map(|report| show(&report, json)),
        Command::Checkpoint(args) => checkpoint::run(args).map(|report| show(&report, json)),
        Command::Consistency(args) => consistency::run(args).map(|report| show(&report, json)),
        Command::Log(args) => log::run(args).map(|report| show(&report, json)),
    };
    done.unwrap_or_else(|wrong| {
        show::complain(&wrong);
        ExitCode::from(2)
    })
}

fn show<T: Outcome>(outcome: &T, json: bool) -> ExitCode {
    let printed = if json {
        serde_json::to_string(outcome)
            .map_err(std::io::Error::from)
            .and_then(|line| show::print(&format!("{line}\n")))
    } else {
        let mut text = Text::default();
        outcome.tell(&mut text);
        show::print(text.as_str())
    };
    match printed {
        Ok(()) if outcome.holds() => ExitCode::SUCCESS,
        // Whoever read our output has enough of it; what was found stands.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe && outcome.holds() => ExitCode::SUCCESS,
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => {
            show::complain(&format!("standard output cannot be written: {error}"));
            ExitCode::FAILURE
        }
        _ => ExitCode::FAILURE,
    }
}
