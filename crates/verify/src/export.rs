//! A whole exported log: every byte of every file against the signed checkpoint, and every entry against the ones before.

mod check;
mod differs;
mod piece;
mod signers;

use std::{io, path::Path};

use entry::LogHead;
use serde::Serialize;
use tlog::{checkpoint::Checkpoint, cosignature::Quorum};

use check::{Check, Head, tenant_of};
use signers::Signatures;

use crate::{
    checkpoints::Witnessed,
    files::{Files, Kind},
    fold::Found,
    report::{NotProven, Trouble, about_entries},
    trust::{AddedKey, Trust},
};

/// The longest list of what is wrong: the first few say what happened.
const MOST_TROUBLES: usize = 20;

/// The file of the state that a log is replayed from where entries are gone.
const SNAPSHOT: &str = "snapshot";

/// The file of the signed checkpoint.
const CHECKPOINT: &str = "checkpoint";

/// What was found in an exported log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct LogReport {
    /// Whether everything fits together.
    pub ok: bool,
    /// The log's name, as its checkpoint has it.
    pub origin: String,
    /// How many entries the checkpoint is over.
    pub size: u64,
    /// The root that was signed, in base64.
    pub root: String,
    /// The witnesses that cosigned the checkpoint, where a quorum was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witnessed>,
    /// The keys that the log added to those that were named, with the entries that say so: they are as good as these. None of
    /// its own entries where they are not those that were signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys_added: Vec<AddedKey>,
    /// The sizes of the earlier checkpoints that the log goes on from, of those that a known or added key signed.
    pub goes_on_from: Vec<u64>,
    /// What the entries say.
    pub found: Found,
    /// How often the server's own log says how long this one was and what its root was, where that log was given.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heads: Option<u64>,
    /// How many files were compared, byte by byte.
    pub files: u64,
    /// What does not hold, the first first; not more than a few.
    pub troubles: Vec<Trouble>,
    /// What all this says nothing about.
    pub not_proven: Vec<NotProven>,
}

/// Verifies the log in a directory.
///
/// # Errors
/// The directory cannot be listed.
pub fn verify_log(dir: &Path, trust: &Trust) -> io::Result<LogReport> {
    Ok(verify(dir, trust, None)?.0)
}

/// Verifies the log in a directory, and that it is as long as the server's own log, in another directory, says that it was
/// at each start and stop. That log has to hold too; its keys are among those that are known.
///
/// # Errors
/// A directory cannot be listed.
pub fn verify_log_beside(dir: &Path, system: &Path, trust: &Trust) -> io::Result<LogReport> {
    let of_system = Trust {
        since: Vec::new(),
        ..trust.clone()
    };
    let (said, heads) = verify(system, &of_system, None)?;
    let (mut report, _) = verify(dir, trust, Some(&heads))?;
    let mut troubles: Vec<_> = said
        .troubles
        .into_iter()
        .map(|trouble| Trouble {
            what: format!("the server's own log does not hold: {trouble}"),
            ..Trouble::in_file(CHECKPOINT, "")
        })
        .collect();
    if troubles.is_empty() && !said.origin.ends_with(SYSTEM) {
        let what = format!(
            "{:?} is not the server's own log, whose name ends with {SYSTEM}",
            said.origin
        );
        troubles.push(Trouble::in_file(CHECKPOINT, what));
    }
    report.troubles.extend(troubles);
    report.troubles.truncate(MOST_TROUBLES);
    report.ok = report.troubles.is_empty();
    Ok(report)
}

/// How the name of the server's own log ends.
const SYSTEM: &str = "/_system";

/// What an entry of the server's own log says of others.
type Heads = [(u64, LogHead)];

fn verify(dir: &Path, trust: &Trust, heads: Option<&Heads>) -> io::Result<(LogReport, Vec<(u64, LogHead)>)> {
    let files = Files::list(dir)?;
    let mut report = LogReport::default();
    let said = match look(&files, trust, heads, &mut report) {
        Ok(said) => said,
        Err(trouble) => {
            report.troubles.push(trouble);
            Vec::new()
        }
    };
    report.troubles.truncate(MOST_TROUBLES);
    report.ok = report.troubles.is_empty();
    Ok((report, said))
}

fn look(
    files: &Files,
    trust: &Trust,
    heads: Option<&Heads>,
    report: &mut LogReport,
) -> Result<Vec<(u64, LogHead)>, Trouble> {
    let wrong = |what: String| Trouble::in_file(CHECKPOINT, what);
    let text = files
        .read(CHECKPOINT, Kind::Note)
        .map_err(|error| wrong(error.to_string()))?;
    let text = String::from_utf8(text).map_err(|_| wrong("a checkpoint is a text".to_owned()))?;
    let known = trust.known().map_err(wrong)?;
    let mut signatures = Signatures::read(text, trust, &known, || files.handovers()).map_err(wrong)?;
    let Checkpoint { origin, size, root } = &signatures.checkpoint().checkpoint;
    let size = *size;
    report.origin = origin.to_string();
    report.size = size;
    report.root = root.to_string();
    let tenant = tenant_of(&signatures.checkpoint().checkpoint);
    let of_this = heads.into_iter().flatten().filter(|(_, head)| head.tenant == tenant);
    let of_this: Vec<_> = of_this
        .map(|(entry, head)| Head {
            entry: *entry,
            head: head.clone(),
        })
        .collect();
    let checked = Check::new(files, &signatures.checkpoint().checkpoint, signatures.since(), &of_this).run();
    report.heads = heads.map(|_| checked.headed);
    report.troubles = checked.troubles;
    let believed = signatures.verify(checked.fold.signers(), checked.signed, &checked.met);
    report.troubles.extend(believed.troubles.into_iter().map(wrong));
    report.keys_added = known.added();
    report.keys_added.extend(believed.keys_added);
    report.goes_on_from = believed.goes_on_from;
    report.witnesses = std::mem::take(&mut signatures.witnesses);
    report.found = checked.fold.found();
    report.files = checked.files + 1;
    report.not_proven = not_proven(files, size, &report.found, trust.quorum.as_ref());
    report.not_proven.extend(NotProven::handovers(&report.keys_added));
    let last = of_this.iter().map(|said| said.head.size).max();
    report
        .not_proven
        .extend(heads.and_then(|_| NotProven::heads(last, size)));
    Ok(checked.fold.heads().to_vec())
}

fn not_proven(files: &Files, size: u64, found: &Found, quorum: Option<&Quorum>) -> Vec<NotProven> {
    let mut open = vec![
        NotProven::keys(),
        NotProven::new(
            "newest",
            "that this is all of the log: entries may have come after this checkpoint. Compare with a later one, if you know \
             of any (--since)",
        ),
        NotProven::witnesses(quorum),
    ];
    open.extend(about_entries(found));
    let beyond = files.beyond(size);
    if beyond > 0 {
        let what = format!("what is in {beyond} files that lie behind the entries of the checkpoint");
        open.push(NotProven::new("beyond", what));
    }
    if let Some(first) = files.strange.first() {
        let what = format!(
            "what is in {} files that no log has, such as {first}",
            files.strange.len()
        );
        open.push(NotProven::new("strange_files", what));
    }
    open
}
