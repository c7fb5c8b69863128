//! Single checkpoints, and whether one goes on from another.

use std::path::Path;

use serde::Serialize;
use tlog::{
    Hash,
    checkpoint::Checkpoint,
    cosignature::Quorum,
    note::{Note, VerifierKey},
    proof::verify_extension,
    tile,
};

use crate::{
    files::{FileError, Files, Kind},
    report::{NotProven, rfc3339_seconds},
    trust::{AddedKey, Known, Trust, asked, unbelievable},
};

/// What is known of a checkpoint whose signature holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CheckpointReport {
    /// Whether it is to be believed.
    pub ok: bool,
    /// The log's name.
    pub origin: String,
    /// How many entries it is over.
    pub size: u64,
    /// The root of the tree over them, in base64.
    pub root: String,
    /// The keys that signed it, of those that are known: name and id.
    pub signed_by: Vec<String>,
    /// The witnesses that cosigned it, where a quorum was asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub witnesses: Vec<Witnessed>,
    /// The keys that handovers added to those that were named.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub keys_added: Vec<AddedKey>,
    /// Why it is not to be believed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trouble: Option<String>,
    /// What that says nothing about.
    pub not_proven: Vec<NotProven>,
}

/// What is known of two checkpoints of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ConsistencyReport {
    /// Whether the log of the new one goes on from that of the old one.
    pub ok: bool,
    /// The log's name.
    pub origin: String,
    /// How many entries the old one is over.
    pub old_size: u64,
    /// How many entries the new one is over.
    pub new_size: u64,
    /// The witnesses that cosigned the new one, where a quorum was asked for.
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

/// A witness's word that it saw the log like this, and never otherwise.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Witnessed {
    /// The witness.
    pub name: String,
    /// When, by its own clock.
    pub at: String,
}

/// Where the hashes come from that show that a log goes on.
#[derive(Clone, Copy, Debug)]
pub enum Way<'a> {
    /// The tiles in the directory of an exported log.
    Log(&'a Path),
    /// The text of a proof: hashes in base64, one a line, the one nearest the leaves first.
    Proof(&'a str),
}

/// Verifies the signature of a checkpoint, and that enough witnesses cosigned it, where that is asked for.
pub fn verify_checkpoint(text: &str, trust: &Trust) -> CheckpointReport {
    let mut report = CheckpointReport::default();
    if let Err(trouble) = fill_checkpoint(&mut report, text, trust) {
        report.trouble = Some(trouble);
    }
    report.ok = report.trouble.is_none();
    report
}

fn fill_checkpoint(report: &mut CheckpointReport, text: &str, trust: &Trust) -> Result<(), String> {
    let known = trust.known()?;
    let Checkpoint { origin, size, root } = open(text, &known)?;
    let quorum = trust.quorum.as_ref();
    report.witnesses = asked(quorum, |quorum| witnessed(text, quorum))?;
    report.origin = origin.to_string();
    report.size = size;
    report.root = root.to_string();
    report.signed_by = signers(text, &known.keys);
    let entries = "what the entries are: only their number and the root over them are signed";
    report.not_proven = not_proven(entries, &known, trust);
    report.keys_added = known.added();
    Ok(())
}

/// Reads a checkpoint and believes it if a known key signed it, and no handover contradicts it.
fn open(text: &str, known: &Known) -> Result<Checkpoint, String> {
    let checkpoint = Checkpoint::open(text, &known.keys).map_err(|error| unbelievable(&error))?;
    known.bear_out(&checkpoint)?;
    Ok(checkpoint)
}

fn not_proven(entries: &str, known: &Known, trust: &Trust) -> Vec<NotProven> {
    let mut open = vec![
        NotProven::keys(),
        NotProven::new("entries", entries),
        NotProven::witnesses(trust.quorum.as_ref()),
    ];
    open.extend(NotProven::handovers(&known.added()));
    open
}

/// The witnesses that cosigned a checkpoint, if there are enough.
pub(crate) fn witnessed(text: &str, quorum: &Quorum) -> Result<Vec<Witnessed>, String> {
    let note = Note::parse(text).map_err(|error| error.to_string())?;
    witnessed_note(&note, quorum)
}

/// The same of one that was read.
pub(crate) fn witnessed_note(note: &Note, quorum: &Quorum) -> Result<Vec<Witnessed>, String> {
    let met = quorum.met(note).map_err(|error| error.to_string())?;
    let witnessed = met.iter().map(|cosignature| Witnessed {
        name: cosignature.cosigner.name().to_owned(),
        at: rfc3339_seconds(cosignature.time),
    });
    Ok(witnessed.collect())
}

/// The known keys that signed: name and id.
fn signers(text: &str, keys: &[VerifierKey]) -> Vec<String> {
    let Ok(note) = Note::parse(text) else { return Vec::new() };
    let signers = note.verify(keys).unwrap_or_default();
    signers
        .iter()
        .map(|key| format!("{} ({})", key.name(), key.id()))
        .collect()
}

/// Verifies that the log of one checkpoint goes on from that of an older one, and that enough witnesses cosigned the new one,
/// where that is asked for.
pub fn verify_consistency(old: &str, new: &str, trust: &Trust, way: Way<'_>) -> ConsistencyReport {
    let mut report = ConsistencyReport::default();
    if let Err(trouble) = fill_consistency(&mut report, old, new, trust, way) {
        report.trouble = Some(trouble);
    }
    report.ok = report.trouble.is_none();
    report
}

fn fill_consistency(
    report: &mut ConsistencyReport,
    old: &str,
    new: &str,
    trust: &Trust,
    way: Way<'_>,
) -> Result<(), String> {
    let known = trust.known()?;
    let wrong = |which: &str, error: String| format!("the {which} checkpoint is not to be believed: {error}");
    let old = open(old, &known).map_err(|error| wrong("old", error))?;
    let note = new;
    let new = open(note, &known).map_err(|error| wrong("new", error))?;
    let quorum = trust.quorum.as_ref();
    let witnesses = asked(quorum, |quorum| witnessed(note, quorum));
    report.witnesses = witnesses.map_err(|error| wrong("new", error))?;
    report.origin = new.origin.to_string();
    report.old_size = old.size;
    report.new_size = new.size;
    goes_on(&old, &new, way)?;
    let entries = "what the entries are: only that the first of them are the same in both";
    report.not_proven = not_proven(entries, &known, trust);
    report.keys_added = known.added();
    Ok(())
}

fn goes_on(old: &Checkpoint, new: &Checkpoint, way: Way<'_>) -> Result<(), String> {
    if old.origin != new.origin {
        return Err(format!("these are two logs: {} and {}", old.origin, new.origin));
    }
    if old.size > new.size {
        return Err(format!(
            "the new checkpoint is over {} entries and the old one over {}: name the older one first; if this is their \
             order, entries were taken away",
            new.size, old.size
        ));
    }
    if old.size == new.size && old.root != new.root {
        return Err(format!(
            "both checkpoints are over {} entries and have different roots: the log shows two histories. Keep both, signed \
             as they are: they prove it",
            old.size
        ));
    }
    let hashes = match way {
        Way::Log(dir) => from_tiles(dir, old.size, new.size)?,
        Way::Proof(text) => from_text(text)?,
    };
    let shown = verify_extension(old.size, new.size, old.root, new.root, &hashes);
    shown.map_err(|error| {
        format!("the log of the new checkpoint is not shown to go on from that of the old one: {error}")
    })
}

fn from_tiles(dir: &Path, old: u64, new: u64) -> Result<Vec<Hash>, String> {
    let files = Files::list(dir).map_err(|error| format!("{} cannot be read: {error}", dir.display()))?;
    let fetch = |tile: tile::TileId| {
        let wide = files.tiles(tile).into_iter().next();
        let file = wide
            .filter(|file| file.width() >= tile.width())
            .ok_or(FileError::Missing)?;
        let mut bytes = files.read(&file.to_string(), Kind::Tile)?;
        if bytes.len() == file.bytes() {
            bytes.truncate(tile.bytes());
        }
        Ok::<_, FileError>(bytes)
    };
    tile::consistency(old, new, fetch).map_err(|error| error.to_string())
}

fn from_text(text: &str) -> Result<Vec<Hash>, String> {
    let hash = |(line, number): (&str, u32)| {
        let hash = line.parse::<Hash>();
        hash.map_err(|error| format!("line {number} of the proof: {error}"))
    };
    text.lines().zip(1..).map(hash).collect()
}
