//! What is found, what does not hold, and what is not proven.

use model::{Timestamp, rfc3339};
use serde::Serialize;
use tlog::cosignature::Quorum;

use crate::{fold::Found, presence::Silence, trust::AddedKey};

/// Something that does not hold, and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// The entry, where it is about one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The file, below the directory of the log.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    /// Where in the file, in bytes from its start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// What is wrong, for people.
    pub what: String,
}

impl Trouble {
    /// Something about a file.
    pub fn in_file(file: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            entry: None,
            file: Some(file.into()),
            offset: None,
            what: what.into(),
        }
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(entry) = self.entry {
            write!(f, "entry {entry}: ")?;
        }
        write!(f, "{}", self.what)?;
        match (&self.file, self.offset) {
            (Some(file), Some(offset)) => write!(f, " ({file}, byte {offset})"),
            (Some(file), None) => write!(f, " ({file})"),
            (None, _) => Ok(()),
        }
    }
}

/// Something that a report says nothing about, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct NotProven {
    /// A stable word for it.
    pub code: &'static str,
    /// What it is, for people.
    pub what: String,
}

impl NotProven {
    /// Something that is not proven.
    pub fn new(code: &'static str, what: impl Into<String>) -> Self {
        let what = what.into();
        Self { code, what }
    }

    /// Whose the keys are.
    pub(crate) fn keys() -> Self {
        Self::new(
            "keys",
            "that the keys you named are the log's own: have them from when the log was new, or from somebody who has, and \
             not from the log's directory",
        )
    }

    /// What is not proven where a key is believed because another one is.
    pub(crate) fn handovers(added: &[AddedKey]) -> Option<Self> {
        (!added.is_empty()).then(|| {
            Self::new(
                "handovers",
                "that nobody but the log's server had an older key when it signed for the newer one: who has a key that leaked \
                 can add another",
            )
        })
    }

    /// What the server's own log says nothing of, by how long it says at most that a log was, and how long that is.
    pub(crate) fn heads(last: Option<u64>, size: u64) -> Option<Self> {
        let what = match last {
            None => "that the server had this log: its own log says nowhere how long this one was, so all entries could have \
                     been exchanged since"
                .to_owned(),
            Some(last) if last < size => format!(
                "the {} entries behind the first {last} by the server's own log: it does not say yet how long this one was with them",
                size - last
            ),
            Some(_) => return None,
        };
        Some(Self::new("heads", what))
    }

    /// Whether everybody is shown the same.
    pub(crate) fn witnesses(quorum: Option<&Quorum>) -> Self {
        match quorum {
            None => Self::new(
                "witnesses",
                "that everybody is shown the same history: no cosignatures of witnesses were asked for (--witness, --quorum)",
            ),
            Some(quorum) => Self::new(
                "witnesses",
                format!(
                    "that the witnesses are run by others than the log: then {} of the {} you named saw no other history",
                    quorum.needed(),
                    quorum.known().len()
                ),
            ),
        }
    }
}

/// A number of seconds since 1970 in the same form.
pub(crate) fn rfc3339_seconds(seconds: u64) -> String {
    let micros = i64::try_from(seconds)
        .ok()
        .and_then(|seconds| seconds.checked_mul(1_000_000));
    micros.map_or_else(
        || seconds.to_string(),
        |micros| rfc3339(Timestamp::from_unix_micros(micros)),
    )
}

/// What no verifier can know from the entries of a log, as far as it applies to what was found in one.
pub fn about_entries(found: &Found) -> Vec<NotProven> {
    let costs = &found.costs;
    let mut open = Vec::new();
    if found.gone > 0 {
        let from = found.replayed_from.unwrap_or(0);
        open.push(NotProven::new(
            "gone",
            format!(
                "what {} entries said that were let go, whose hashes are there; and that the server wrote down rightly what \
                 followed from the first {from} entries, from where the log is replayed",
                found.gone
            ),
        ));
    }
    let mut counted = |count: u64, code, what: &str| {
        if count > 0 {
            open.push(NotProven::new(code, what.replace('#', &count.to_string())));
        }
    };
    counted(found.holds_open, "open", "how the # holds end that are open");
    counted(
        costs.unknown_book,
        "prices",
        "what # calls cost: the log names a price catalogue that this program does not have. The verifier that was shipped \
         with the server of that time has it",
    );
    counted(
        costs.otherwise,
        "tiers",
        "in which service tier or region # calls were served, and whether they sent audio or images: the log does not say, \
         but their costs are only right if they did",
    );
    counted(
        costs.pictures,
        "pictures",
        "what # calls for pictures cost: their prices depend on sizes that are not in the log",
    );
    counted(
        costs.held,
        "held",
        "what # calls used that are booked at their hold, because nobody knows",
    );
    if let Some(restore) = found.restores.first() {
        let what = format!(
            "what happened in the entries that are lost since an older copy of the log was accepted: {} times, first by {}",
            found.restores.len(),
            restore.what()
        );
        open.push(NotProven::new("restored", what));
    }
    if let Some(first) = found.vouched.forks.first() {
        let what = format!(
            "that others are shown this history: {} witnesses have seen another one, first by {}",
            found.vouched.forks.len(),
            first.what()
        );
        open.push(NotProven::new("forks", what));
    }
    let presence = &found.presence;
    if let Some(Silence { from, to, .. }) = presence.silent.first() {
        let what = format!(
            "what happened while the log was silent for longer than its server's heartbeat: {} times, such as from {from} to {to}",
            presence.silences
        );
        open.push(NotProven::new("silence", what));
    }
    open.extend([
        NotProven::new(
            "usage",
            "that providers counted rightly, and that each hold was the most its request could cost: requests and replies \
             are in the log as commitments only",
        ),
        NotProven::new(
            "decisions",
            "that policies decide as the entries say: they are not evaluated, but stand in the log whole",
        ),
        NotProven::new(
            "outside",
            "that what happened outside was recorded: compare with the providers' invoices",
        ),
    ]);
    open
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_lies_behind_the_last_head_is_not_proven_by_it() {
        for (last, size, says) in [
            (None, 9, Some("says nowhere")),
            (Some(4), 9, Some("the 5 entries behind the first 4")),
            (Some(9), 9, None),
            (Some(10), 9, None),
        ] {
            let open = NotProven::heads(last, size);
            let fits = match (&open, says) {
                (Some(open), Some(says)) => open.what.contains(says),
                (open, says) => open.is_none() && says.is_none(),
            };
            assert!(fits, "{last:?} {size}: {open:?}");
        }
    }
}
