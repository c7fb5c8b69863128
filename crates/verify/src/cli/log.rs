//! `bailiwick-verify log`

use std::path::PathBuf;

use verify::{LogReport, Presence, Silence, Trust, verify_log, verify_log_beside};

use super::{
    Outcome,
    show::Text,
    source::{Trusted, read_texts},
};

/// Check a whole exported log
///
/// DIR is a log as c2sp.org/tlog-tiles has it: `checkpoint` and `tile/`, as `bailiwick audit export --tiles` writes them or
/// as they were fetched from `/log/TENANT/`. Every file is compared byte for byte with the signed root, and every entry with
/// the entries before it: their order, each hold and its end, each balance and limit, and what each call cost. A file
/// `vkey` in DIR is not read: whoever made the log could have made it too. Where the log's key was exchanged, the
/// checkpoints in `handover/` lead from the key you know to the one that signs: both have signed them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick-verify log export/default --key @default.vkey
  bailiwick-verify log export/default --key @default.vkey --key @system.vkey --system export/_system
  bailiwick-verify log export/default --key @default.vkey --since kept/2026-08.checkpoint --json")]
pub(super) struct Args {
    /// The directory of the log
    dir: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    /// An earlier checkpoint that the log must go on from; may be repeated. Where the log's key was exchanged since, one
    /// that the known key signed leads to the new key
    #[arg(long, value_name = "FILE")]
    since: Vec<PathBuf>,
    /// The exported log of the server itself, `_system`, which says how long this one was at each start and stop. Name its
    /// key with --key too
    #[arg(long, value_name = "DIR")]
    system: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<LogReport, String> {
    let trust = Trust {
        since: read_texts(&args.since)?,
        ..args.trusted.read()?
    };
    // A directory that is not there is no log that does not hold.
    for dir in [Some(&args.dir), args.system.as_ref()].into_iter().flatten() {
        std::fs::read_dir(dir).map_err(|error| format!("{} cannot be read: {error}", dir.display()))?;
    }
    let verified = match &args.system {
        Some(system) => verify_log_beside(&args.dir, system, &trust),
        None => verify_log(&args.dir, &trust),
    };
    verified.map_err(|error| format!("{} cannot be read: {error}", args.dir.display()))
}

impl Outcome for LogReport {
    fn holds(&self) -> bool {
        self.ok
    }

    fn tell(&self, text: &mut Text) {
        let found = &self.found;
        if !self.origin.is_empty() {
            text.fact("log", &self.origin);
            text.fact("signed", format_args!("{} entries, root {}", self.size, self.root));
            text.witnesses(&self.witnesses);
        }
        if let (Some(first), Some(last)) = (&found.first, &found.last) {
            text.fact("entries", format_args!("{} in order, {first} to {last}", found.entries));
            if let Some(from) = found.replayed_from {
                text.fact(
                    "gone",
                    format_args!(
                        "{} were let go, as the log says; replayed from entry {from}",
                        found.gone
                    ),
                );
            }
            text.fact(
                "calls",
                format_args!(
                    "{} holds ended once, {} are open; {} actions were refused",
                    found.holds_ended, found.holds_open, found.denials
                ),
            );
            text.fact(
                "spent",
                format_args!("{} USD, {} USD of it past holds", found.spent_usd, found.overrun_usd),
            );
            let costs = &found.costs;
            text.fact(
                "costs",
                format_args!(
                    "{} computed again, {} at their hold, {} nothing, {} not known",
                    costs.computed,
                    costs.held,
                    costs.nothing,
                    costs.unknown_book + costs.pictures
                ),
            );
            server(text, &found.presence);
            for fork in &found.vouched.forks {
                text.fact("fork", fork.what());
            }
            for unwitnessed in &found.vouched.unwitnessed {
                text.fact("witnesses", unwitnessed.what());
            }
            for restore in &found.restores {
                text.fact("restored", restore.what());
            }
            if let Some(heads) = self.heads {
                text.fact(
                    "heads",
                    format_args!("{heads} times as long as the server's own log says"),
                );
            }
            text.fact("files", format_args!("{} compared byte for byte", self.files));
        }
        text.keys_added(&self.keys_added);
        for size in &self.goes_on_from {
            text.fact("since", format_args!("goes on from the checkpoint over {size} entries"));
        }
        let troubles: Vec<String> = self.troubles.iter().map(ToString::to_string).collect();
        text.verdict("everything fits together", &troubles, &self.not_proven);
    }
}

/// When the server was there, where the log says anything of it.
fn server(text: &mut Text, presence: &Presence) {
    let Presence {
        starts,
        after_a_crash,
        silences,
        silent,
        unheard_s,
    } = presence;
    if *starts > 0 || *silences > 0 {
        text.fact(
            "server",
            format_args!(
                "{starts} starts, {after_a_crash} of them after a crash; {silences} silences that no heartbeat fills"
            ),
        );
    }
    for Silence {
        entry,
        from,
        to,
        seconds,
        every_s,
    } in silent
    {
        text.fact(
            "silent",
            format_args!("{seconds} s behind entry {entry}, {from} to {to}; heartbeats come every {every_s} s"),
        );
    }
    if *unheard_s > 60 {
        text.fact(
            "unheard",
            format_args!("up to {unheard_s} s without an entry, where no heartbeat says how long is too long"),
        );
    }
}
