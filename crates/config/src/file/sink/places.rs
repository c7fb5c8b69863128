//! Where sinks write: no two of them to one file, also not when a full one is put aside, and none among the server's own.

use std::{
    collections::BTreeMap,
    fmt,
    path::{Component, Path, PathBuf},
};

use control::Rotation;

use super::{Sink, To};
use crate::problem::{Findings, Mark};

/// Where a webhook is. It may hold a credential, so `Debug` shows nothing of it.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Address(pub(super) String);

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Address(..)")
    }
}

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_shows_nothing() {
        let to = To::Webhook {
            url: Address("https://siem.example/hooks/canary".to_owned()),
            secret: None,
            ca: None,
            batch: 1,
            timeout: std::time::Duration::from_secs(1),
        };
        assert!(!format!("{to:?}").contains("canary"), "{to:?}");
    }

    #[test]
    fn names_lead_where_they_lead() {
        for (path, expected) in [
            ("a/./b", "a/b"),
            ("a/../b", "b"),
            ("/a/b/../../c", "/c"),
            ("a/b.1", "a/b.1"),
        ] {
            assert_eq!(plain(Path::new(path)), Path::new(expected), "{path}");
        }
    }
}
