//! `bailiwick-verify checkpoint`

use std::path::PathBuf;

use verify::{CheckpointReport, verify_checkpoint};

use super::{
    Outcome,
    show::Text,
    source::{Keys, Witnesses, read_text},
};

/// Check the signatures of a checkpoint
///
/// FILE is a signed note as c2sp.org/tlog-checkpoint has it: the log's name, its size, the root of its tree, signatures.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick-verify checkpoint export/default/checkpoint --key @default.vkey
  bailiwick-verify checkpoint checkpoint --key @default.vkey --witness @a.vkey --witness @b.vkey --quorum 1")]
pub(super) struct Args {
    /// The checkpoint
    file: PathBuf,
    #[command(flatten)]
    keys: Keys,
    #[command(flatten)]
    witnesses: Witnesses,
}

pub(super) fn run(args: &Args) -> Result<CheckpointReport, String> {
    let keys = args.keys.read()?;
    let quorum = args.witnesses.read()?;
    Ok(verify_checkpoint(&read_text(&args.file)?, &keys, quorum.as_ref()))
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
        }
        let troubles: Vec<String> = self.trouble.clone().into_iter().collect();
        text.verdict("the log's key signed this", &troubles, &self.not_proven);
    }
}
