//! `bailiwick-verify checkpoint`

use std::path::PathBuf;

use verify::{CheckpointReport, verify_checkpoint};

use super::{
    Outcome,
    show::Text,
    source::{Trusted, read_text},
};

/// Check the signatures of a checkpoint
///
/// FILE is a signed note as c2sp.org/tlog-checkpoint has it: the log's name, its size, the root of its tree, signatures.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick-verify checkpoint export/default/checkpoint --key @default.vkey
  bailiwick-verify checkpoint checkpoint --key @default.vkey --witness @a.vkey --witness @b.vkey --quorum 1
  bailiwick-verify checkpoint checkpoint --key @old.vkey --handover 86617d36.tlog-proof")]
pub(super) struct Args {
    /// The checkpoint
    file: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
}

pub(super) fn run(args: &Args) -> Result<CheckpointReport, String> {
    let trust = args.trusted.read()?;
    Ok(verify_checkpoint(&read_text(&args.file)?, &trust))
}

impl Outcome for CheckpointReport {
    fn holds(&self) -> bool {
        self.ok
    }

    fn tell(&self, text: &mut Text) {
        if self.ok {
            text.fact("log", &self.origin);
            text.fact("entries", self.size);
            text.fact("root", &self.root);
            text.fact("signed by", self.signed_by.join(", "));
            text.witnesses(&self.witnesses);
            text.keys_added(&self.keys_added);
        }
        let troubles: Vec<String> = self.trouble.clone().into_iter().collect();
        text.verdict("the log's key signed this", &troubles, &self.not_proven);
    }
}
