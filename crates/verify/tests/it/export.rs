//! Exported logs in memory, to be changed and looked at.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    rc::Rc,
};

use tempfile::TempDir;
use tlog::note::SigningKey;
use verify::{LogReport, Trust, verify_log};

use crate::support::{Exporter, Log, key};

/// An exported log: the bytes of each file, by its path.
pub(crate) type Export = BTreeMap<String, Vec<u8>>;

/// An honest log of about so many entries: its export and its entries.
pub(crate) fn honest(entries: u64) -> (Export, Vec<Vec<u8>>) {
    let entries = grown(|log| log.grow(entries));
    (export(&entries), entries)
}

/// The entries of a log that grows in some way.
pub(crate) fn grown(grow: impl FnOnce(&mut Log)) -> Vec<Vec<u8>> {
    let kept = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&kept);
    let mut log = Log::furnished(move |bytes| sink.borrow_mut().push(bytes));
    grow(&mut log);
    drop(log);
    Rc::try_unwrap(kept).unwrap().into_inner()
}

/// Exports entries, whatever they say, and signs them.
pub(crate) fn export(entries: &[Vec<u8>]) -> Export {
    export_by(entries, &[&key()])
}

/// The same by other keys.
pub(crate) fn export_by(entries: &[Vec<u8>], keys: &[&SigningKey]) -> Export {
    let dir = TempDir::new().unwrap();
    let mut exporter = Exporter::new(dir.path());
    for entry in entries {
        exporter.push(entry);
    }
    exporter.sign_by(keys);
    let mut files = Export::new();
    let mut open = vec![PathBuf::new()];
    while let Some(path) = open.pop() {
        for file in fs::read_dir(dir.path().join(&path)).unwrap() {
            let file = file.unwrap();
            let path = path.join(file.file_name());
            if file.file_type().unwrap().is_dir() {
                open.push(path);
            } else {
                files.insert(path.to_str().unwrap().to_owned(), fs::read(file.path()).unwrap());
            }
        }
    }
    files
}

pub(crate) fn write(dir: &Path, path: &str, bytes: &[u8]) {
    let path = dir.join(path);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

pub(crate) fn written(export: &Export) -> TempDir {
    let dir = TempDir::new().unwrap();
    for (path, bytes) in export {
        write(dir.path(), path, bytes);
    }
    dir
}

pub(crate) fn trust() -> Trust {
    Trust::in_keys([key().verifier().clone()])
}

pub(crate) fn verified(export: &Export) -> LogReport {
    verify_log(written(export).path(), &trust()).unwrap()
}
