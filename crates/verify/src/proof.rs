//! The proof of one entry, in one file.

use entry::Entry;
use model::rfc3339;
use serde::Serialize;
use tlog::{
    checkpoint::Checkpoint,
    proof_file::{ProofFile, ProofFileError},
};

use crate::{
    checkpoints::{Witnessed, witnessed_note},
    report::NotProven,
    trust::{AddedKey, Trust, asked, unbelievable},
};

/// What a proof shows.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProofReport {
    /// Whether the entry is in the log.
    pub ok: bool,
    /// The log's name.
    pub origin: String,
    /// How many entries the log had when this was signed.
    pub size: u64,
    /// The root of the tree over them, in base64.
    pub root: String,
    /// The entry's index.
    pub index: u64,
    /// The entry as it was logged, where it is text; it is only shown where it is proved.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<String>,
    /// What kind of entry it is, where this program can read it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// The time of the entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// The witnesses that cosigned the checkpoint, where a quorum was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witnessed>,
    /// The keys that handovers added to those that were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys_added: Vec<AddedKey>,
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What that says nothing about.
    pub not_proven: Vec<NotProven>,
}

/// Verifies the proof of an entry: the one that the file carries, or `entry`, whose bytes must be exactly those that were
/// logged. The checkpoint in it must be signed by a known key, and cosigned by enough witnesses, where that is asked for.
pub fn verify_proof(text: &str, entry: Option<&[u8]>, trust: &Trust) -> ProofReport {
    let mut report = ProofReport::default();
    if let Err(trouble) = fill(&mut report, text, entry, trust) {
        report.trouble = Some(trouble);
    }
    report.ok = report.trouble.is_none();
    report
}

fn fill(report: &mut ProofReport, text: &str, entry: Option<&[u8]>, trust: &Trust) -> Result<(), String> {
    let known = trust.known()?;
    let file = ProofFile::parse(text).map_err(|error| error.to_string())?;
    let checkpoint = file.verify(entry, &known.keys).map_err(|error| match error {
        ProofFileError::Checkpoint(error) => format!("the checkpoint: {}", unbelievable(&error)),
        error => error.to_string(),
    })?;
    known
        .bear_out(&checkpoint)
        .map_err(|error| format!("the checkpoint is not to be believed: {error}"))?;
    let quorum = trust.quorum.as_ref();
    report.witnesses = asked(quorum, |quorum| witnessed_note(&file.checkpoint, quorum))?;
    report.origin = checkpoint.origin.to_string();
    report.size = checkpoint.size;
    report.root = checkpoint.root.to_string();
    report.index = file.index;
    let bytes = entry.or(file.extra.as_deref()).unwrap_or_default();
    report.entry = std::str::from_utf8(bytes).ok().map(str::to_owned);
    report.not_proven = vec![
        NotProven::keys(),
        NotProven::witnesses(quorum),
        NotProven::new(
            "others",
            "anything about the entries before and behind it: that their order and their sums are right is what \
             `bailiwick-verify log` checks",
        ),
    ];
    report.keys_added = known.added();
    report.not_proven.extend(NotProven::handovers(&report.keys_added));
    match Entry::decode(bytes) {
        Ok(entry) => {
            logged(&entry, &file, &checkpoint)?;
            report.kind = Some(entry.event.kind().to_owned());
            report.time = Some(rfc3339(entry.time));
        }
        Err(error) => report.not_proven.push(NotProven::new(
            "meaning",
            format!("what the entry means: it is in the log, but this program cannot read it ({error})"),
        )),
    }
    Ok(())
}

/// Refuses an entry that says that it stands elsewhere than where it was proved to be.
pub(crate) fn logged(entry: &Entry, file: &ProofFile, checkpoint: &Checkpoint) -> Result<(), String> {
    let origin = checkpoint.origin.to_string();
    let name = origin.rsplit('/').next().unwrap_or_default();
    match entry.index == file.index && entry.tenant.as_str() == name {
        true => Ok(()),
        false => Err(format!(
            "the entry says that it is entry {} of {}, but stands at {} in {origin}",
            entry.index, entry.tenant, file.index
        )),
    }
}
