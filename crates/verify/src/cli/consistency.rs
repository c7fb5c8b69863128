//! `bailiwick-verify consistency`

use std::path::PathBuf;

use verify::{ConsistencyReport, Way, verify_consistency};

use super::{
    Outcome,
    show::Text,
    source::{Trusted, read_text},
};

/// Check that a log only grew between two checkpoints
///
/// The hashes that show it come from the tiles of an exported log, or from a file with one hash in base64 a line, as
/// c2sp.org/tlog-witness has them.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick-verify consistency march.checkpoint april.checkpoint --key @default.vkey --log export/default
  bailiwick-verify consistency march.checkpoint april.checkpoint --key @default.vkey --proof hashes.txt")]
pub(super) struct Args {
    /// The older checkpoint
    old: PathBuf,
    /// The newer checkpoint
    new: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    #[command(flatten)]
    way: WayArgs,
}

/// Where the hashes come from.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct WayArgs {
    /// The directory of the exported log, at least as long as the newer checkpoint says
    #[arg(long, value_name = "DIR")]
    log: Option<PathBuf>,
    /// The consistency proof
    #[arg(long, value_name = "FILE")]
    proof: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ConsistencyReport, String> {
    let trust = args.trusted.read()?;
    let (old, new) = (read_text(&args.old)?, read_text(&args.new)?);
    let proof = args.way.proof.as_deref().map(read_text).transpose()?;
    let way = match (&args.way.log, &proof) {
        (Some(dir), _) => Way::Log(dir),
        (None, Some(proof)) => Way::Proof(proof),
        (None, None) => return Err("name the log's directory with --log or a proof with --proof".to_owned()),
    };
    Ok(verify_consistency(&old, &new, &trust, way))
}

impl Outcome for ConsistencyReport {
    fn holds(&self) -> bool {
        self.ok
    }

    fn tell(&self, text: &mut Text) {
        if !self.origin.is_empty() {
            text.fact("log", &self.origin);
            text.fact("old", format_args!("{} entries", self.old_size));
            text.fact("new", format_args!("{} entries", self.new_size));
            text.witnesses(&self.witnesses);
            text.keys_added(&self.keys_added);
        }
        let troubles: Vec<String> = self.trouble.clone().into_iter().collect();
        let holds = format!(
            "the log only grew: its first {} entries are the same in both",
            self.old_size
        );
        text.verdict(&holds, &troubles, &self.not_proven);
    }
}
