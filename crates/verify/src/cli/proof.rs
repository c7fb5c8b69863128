//! `bailiwick-verify proof`

use std::path::PathBuf;

use verify::{ProofReport, verify_proof};

use super::{
    Outcome,
    show::Text,
    source::{Trusted, read_bytes, read_text},
};

/// Check that an entry is in the log
///
/// FILE is a proof as c2sp.org/tlog-proof@v1 has it, such as `bailiwick audit prove` writes. It carries the entry and a
/// signed checkpoint, so that it is all that is needed beside the log's key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick-verify proof entry-41.proof --key agents.example/default+8c1f6cb8+AXq...
  bailiwick-verify proof entry-41.proof --key @default.vkey --witness @a.vkey --witness @b.vkey --quorum 1
  bailiwick-verify proof entry-41.proof --key @old.vkey --handover 86617d36.tlog-proof
  bailiwick-verify proof entry-41.proof --key @default.vkey --entry entry-41.json --json")]
pub(super) struct Args {
    /// The proof
    file: PathBuf,
    #[command(flatten)]
    trusted: Trusted,
    /// The entry, byte for byte as it was logged, where the proof does not carry it [default: from the proof]
    #[arg(long, value_name = "FILE")]
    entry: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ProofReport, String> {
    let trust = args.trusted.read()?;
    let text = read_text(&args.file)?;
    let entry = args.entry.as_deref().map(read_bytes).transpose()?;
    // No entry ends in a newline, but files that people make do.
    let entry = entry.as_deref().map(|entry| entry.strip_suffix(b"\n").unwrap_or(entry));
    Ok(verify_proof(&text, entry, &trust))
}

impl Outcome for ProofReport {
    fn holds(&self) -> bool {
        self.ok
    }

    fn tell(&self, text: &mut Text) {
        if !self.origin.is_empty() {
            text.fact("log", &self.origin);
            text.fact("signed", format_args!("{} entries, root {}", self.size, self.root));
            text.witnesses(&self.witnesses);
            text.keys_added(&self.keys_added);
            text.fact("entry", self.index);
        }
        if let (Some(kind), Some(time)) = (&self.kind, &self.time) {
            text.fact("kind", kind);
            text.fact("time", time);
        }
        if let Some(entry) = &self.entry {
            text.fact("bytes", entry);
        }
        let troubles: Vec<String> = self.trouble.clone().into_iter().collect();
        text.verdict("the entry is in the log", &troubles, &self.not_proven);
    }
}
