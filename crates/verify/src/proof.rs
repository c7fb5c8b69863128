//! The proof of one entry, in one file.

use entry::Entry;
use serde::Serialize;
use tlog::{note::VerifierKey, proof_file::ProofFile};

use model::rfc3339;

use crate::report::NotProven;

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
    /// What is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What that says nothing about.
    pub not_proven: Vec<NotProven>,
}

/// Verifies the proof of an entry: the one that the file carries, or `entry`, whose bytes must be exactly those that were
/// logged.
pub fn verify_proof(text: &str, entry: Option<&[u8]>, keys: &[VerifierKey]) -> ProofReport {
    let mut report = ProofReport::default();
    if let Err(trouble) = fill(&mut report, text, entry, keys) {
        report.trouble = Some(trouble);
    }
    report.ok = report.trouble.is_none();
    report
}

fn fill(report: &mut ProofReport, text: &str, entry: Option<&[u8]>, keys: &[VerifierKey]) -> Result<(), String> {
    let file = ProofFile::parse(text).map_err(|error| error.to_string())?;
    let checkpoint = file.verify(entry, keys).map_err(|error| error.to_string())?;
    report.origin = checkpoint.origin.to_string();
    report.size = checkpoint.size;
    report.root = checkpoint.root.to_string();
    report.index = file.index;
    let bytes = entry.or(file.extra.as_deref()).unwrap_or_default();
    report.entry = std::str::from_utf8(bytes).ok().map(str::to_owned);
    report.not_proven = vec![
        NotProven::keys(),
        NotProven::witnesses(None),
        NotProven::new(
            "others",
            "anything about the entries before and behind it: that their order and their sums are right is what \
             `bailiwick-verify log` checks",
        ),
    ];
    match Entry::decode(bytes) {
        Ok(entry) => {
            let name = report.origin.rsplit('/').next().unwrap_or_default();
            if entry.index != file.index || entry.tenant.as_str() != name {
                return Err(format!(
                    "the entry says that it is entry {} of {}, but stands at {} in {}",
                    entry.index, entry.tenant, file.index, report.origin
                ));
            }
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
