//! Where sinks write: no two of them to one file, also not when a full one is put aside, and none among the server's own.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use control::Rotation;

use super::{Sink, To};
use crate::problem::{Findings, Mark};

/// Finds files that another sink would put its own aside to. Standard output has no path.
pub(super) fn check(sinks: &[Sink], places: &BTreeMap<Option<PathBuf>, Mark>, findings: &mut Findings) {
    for (path, mark) in places.iter().filter_map(|(path, mark)| Some((path.as_ref()?, mark))) {
        if let Some(other) = sinks.iter().find(|sink| sink.puts_aside(path)) {
            let message = format!(
                "the sink `{}` would put its full files aside under this name",
                other.name
            );
            findings.add_with_help(
                *mark,
                message,
                "the entries of one of them would be lost: name another file",
            );
        }
    }
}

/// A path without `.` and `..`, as far as names tell; links are not looked at.
pub(super) fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => drop(plain.pop()),
            part => plain.push(part),
        }
    }
    plain
}

impl Sink {
    /// Whether it puts one of its files aside under this name.
    fn puts_aside(&self, other: &Path) -> bool {
        let To::File {
            path,
            rotation: Some(Rotation { keep, .. }),
        } = &self.to
        else {
            return false;
        };
        let number = other
            .extension()
            .and_then(|number| number.to_str()?.parse::<u32>().ok());
        other.with_extension("") == plain(path) && number.is_some_and(|number| (1..=*keep).contains(&number))
    }
}
