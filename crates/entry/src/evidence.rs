//! What a log says of itself, so that others can tell whether it is whole: when its server was there, how long every log
//! was then, which keys speak for it, who vouched for it, and what of it was let go.

use std::collections::{BTreeMap, BTreeSet};

use model::{AdminName, Digest, TenantName};
use serde::{Deserialize, Serialize};

use crate::{EntryError, State, error::unknown, snapshot::named};

/// The most logs that one `heads` entry names: more are named in further ones.
pub const HEADS_MAX: usize = 64;
/// The most witnesses that a `quorum_missed` entry names.
pub const ABSENT_MAX: usize = 32;
/// The most witnesses whose reports of a fork one log has.
pub const FORKS_MAX: usize = 32;
/// The most legal holds of one log.
pub const LEGAL_HOLDS_MAX: usize = 64;

/// How long a log was, and the root of its tree then.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogHead {
    /// Whose log.
    pub tenant: TenantName,
    /// How many entries it had.
    pub size: u64,
    /// The root of its tree (RFC 6962).
    pub root: Digest,
}

/// A witness that did not sign.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Absent {
    /// The name of its key.
    pub witness: String,
    /// Why not.
    pub why: Absence,
}

/// Why a witness did not sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Absence {
    /// It could not be reached, or not in time.
    Unreachable,
    /// It does not know this log, or not its key.
    Unknown,
    /// It answered with an error of its own.
    Failed,
    /// It signed something else, or with another key.
    BadSignature,
    /// It has seen another history of this log: somebody is shown a fork.
    Fork,
}

/// What kind of evidence an entry is: how long it is kept is declared for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// What agents did and were refused, and what it cost.
    Calls,
    /// What enforcement points asked and were answered.
    Decisions,
    /// What administrators and files changed.
    Administration,
    /// What the server says of itself and of the log.
    Server,
}

impl Class {
    /// All classes.
    pub const ALL: [Self; 4] = [Self::Calls, Self::Decisions, Self::Administration, Self::Server];

    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Calls => "calls",
            Self::Decisions => "decisions",
            Self::Administration => "administration",
            Self::Server => "server",
        }
    }
}

/// Entries were let go because their time was over. The tree keeps their hashes, so every proof goes on to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expired {
    /// For each class, up to which entry, not included, those of it are gone.
    pub before: BTreeMap<Class, u64>,
    /// How many entries that lets go. What is gone of a log is as many entries as its `expired` entries say: nobody can
    /// have another one vanish among them.
    pub count: u64,
    /// The `snapshot_taken` entry from whose state the log can be replayed without them.
    pub snapshot: u64,
    /// Who let them go.
    pub by: AdminName,
}

/// What follows from these entries for a log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The keys that sign, beside the first, which no entry names, or instead of it.
    pub keys: BTreeSet<String>,
    /// The keys that sign no more.
    pub retired: BTreeSet<String>,
    /// How often an older copy of the log was accepted.
    pub restores: u64,
    /// The entry that says that witnesses were missing, while they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quorum_missed: Option<u64>,
    /// The keys of the witnesses that have seen another history than this one.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub forks: BTreeSet<String>,
    /// Who put what under a legal hold, by the hold's name.
    pub legal_holds: BTreeMap<String, AdminName>,
    /// The last `snapshot_taken` entry, and what it says.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "named::taken")]
    pub snapshot: Option<(u64, Digest)>,
    /// For each class, up to which entry those of it were let go.
    pub expired: BTreeMap<Class, u64>,
    /// How many entries were let go.
    #[serde(default)]
    pub gone: u64,
    /// Where it was said last that entries are let go.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_expired: Option<LastExpired>,
}

/// Where a log says last that entries are let go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LastExpired {
    /// The `expired` entry.
    pub entry: u64,
    /// The entry of the snapshot that it names.
    pub snapshot: u64,
}

impl Evidence {
    /// Up to which entry, not included, one can be gone.
    pub fn gone_below(&self) -> u64 {
        self.expired.values().copied().max().unwrap_or(0)
    }

    /// Whether an entry of this class and place was let go.
    pub fn lets_go(&self, class: Option<Class>, index: u64) -> bool {
        let before = class.and_then(|class| self.expired.get(&class));
        before.is_some_and(|before| index < *before)
    }
}

/// Whose a verifier key is, by its text: names have no `+`.
fn name(key: &str) -> &str {
    key.split_once('+').map_or(key, |(name, _)| name)
}

impl State {
    /// Starts are dense in the log of the reserved tenant; a tenant's log may have come later than some.
    pub(crate) fn started(&mut self, boot: u64) -> Result<(), EntryError> {
        let follows = if self.tenant == TenantName::system() {
            self.boot.checked_add(1) == Some(boot)
        } else {
            boot > self.boot
        };
        if !follows {
            return Err(EntryError::Mismatch(
                "the number of the start does not follow the one before",
            ));
        }
        self.boot = boot;
        Ok(())
    }

    /// A stop ends the start that the log is in. Before version 5 nothing was compared.
    pub(crate) fn stopped(&self, boot: u64, version: u32) -> Result<(), EntryError> {
        if version >= 5 {
            self.check_boot(boot)?;
        }
        Ok(())
    }

    pub(crate) fn heads(&self, boot: u64, heads: &[LogHead]) -> Result<(), EntryError> {
        if self.tenant != TenantName::system() {
            return Err(EntryError::Mismatch("only the server's own log names all heads"));
        }
        if !(1..=HEADS_MAX).contains(&heads.len()) {
            return Err(EntryError::Mismatch("too many heads in one entry, or none"));
        }
        let sorted = heads.windows(2).all(|pair| match pair {
            [first, second] => first.tenant < second.tenant,
            _ => true,
        });
        if !sorted {
            return Err(EntryError::Mismatch("the heads are not in the order of their tenants"));
        }
        self.check_boot(boot)
    }

    /// A log that was begun while the server ran has no start yet.
    pub(crate) fn check_boot(&self, boot: u64) -> Result<(), EntryError> {
        if self.boot == 0 || self.boot == boot {
            Ok(())
        } else {
            Err(EntryError::Mismatch("the entry names another start than the log is in"))
        }
    }

    pub(crate) fn signing_key_added(&mut self, key: &str, beside: &str) -> Result<(), EntryError> {
        let Evidence { keys, retired, .. } = &mut self.evidence;
        if keys.contains(key) || retired.contains(key) || key == beside {
            return Err(EntryError::Mismatch("the signing key is not a new one"));
        }
        if name(key) != name(beside) {
            return Err(EntryError::Mismatch("the signing key is another log's"));
        }
        if retired.contains(beside) {
            return Err(EntryError::Mismatch("a new signing key stands beside one that signs"));
        }
        keys.insert(beside.to_owned());
        keys.insert(key.to_owned());
        Ok(())
    }

    pub(crate) fn signing_key_retired(&mut self, key: &str) -> Result<(), EntryError> {
        let Evidence { keys, retired, .. } = &mut self.evidence;
        if !keys.contains(key) {
            return Err(unknown("signing key", &key));
        }
        if keys.len() < 2 {
            return Err(EntryError::Mismatch("the last signing key cannot retire"));
        }
        keys.remove(key);
        retired.insert(key.to_owned());
        Ok(())
    }

    pub(crate) fn quorum_missed(&mut self, absent: &[Absent], index: u64) -> Result<(), EntryError> {
        if self.evidence.quorum_missed.is_some() {
            return Err(EntryError::Mismatch(
                "it is recorded already that witnesses are missing",
            ));
        }
        if absent.len() > ABSENT_MAX {
            return Err(EntryError::Mismatch("too many witnesses in one entry"));
        }
        self.evidence.quorum_missed = Some(index);
        Ok(())
    }

    pub(crate) fn quorum_met(&mut self) -> Result<(), EntryError> {
        let missed = self.evidence.quorum_missed.take();
        missed
            .map(drop)
            .ok_or(EntryError::Mismatch("no entry says that witnesses were missing"))
    }

    /// Once for each witness: who has seen another history never signs this one, and in the other one this entry is not.
    pub(crate) fn fork_reported(&mut self, witness: &str) -> Result<(), EntryError> {
        let forks = &mut self.evidence.forks;
        if forks.len() >= FORKS_MAX {
            return Err(EntryError::Mismatch("too many witnesses have reported a fork"));
        }
        match forks.insert(witness.to_owned()) {
            true => Ok(()),
            false => Err(EntryError::Mismatch("the witness has reported a fork already")),
        }
    }

    pub(crate) fn legal_hold_set(&mut self, name: &str, by: &AdminName) -> Result<(), EntryError> {
        let holds = &mut self.evidence.legal_holds;
        if holds.contains_key(name) {
            return Err(EntryError::Mismatch("a legal hold of this name is in force"));
        }
        if holds.len() >= LEGAL_HOLDS_MAX {
            return Err(EntryError::Mismatch("too many legal holds"));
        }
        holds.insert(name.to_owned(), by.clone());
        Ok(())
    }

    pub(crate) fn legal_hold_lifted(&mut self, name: &str) -> Result<(), EntryError> {
        let lifted = self.evidence.legal_holds.remove(name);
        lifted.map(drop).ok_or_else(|| unknown("legal hold", &name))
    }

    pub(crate) fn expired(&mut self, expired: &Expired, index: u64) -> Result<(), EntryError> {
        let evidence = &mut self.evidence;
        if !evidence.legal_holds.is_empty() {
            return Err(EntryError::Mismatch("nothing expires under a legal hold"));
        }
        let kept = evidence.snapshot.filter(|(index, _)| *index == expired.snapshot);
        let Some((snapshot, _)) = kept else {
            return Err(unknown("snapshot of entry", &expired.snapshot));
        };
        let goes_on = |(class, before): (&Class, &u64)| {
            let gone = evidence.expired.get(class).copied().unwrap_or(0);
            gone < *before && *before <= snapshot
        };
        if expired.before.is_empty() || !expired.before.iter().all(goes_on) {
            return Err(EntryError::Mismatch(
                "what expires comes after what did before, and before the snapshot",
            ));
        }
        // Of all that could be gone, so many are not yet.
        let most = expired.before.values().copied().max().unwrap_or(0);
        let left = most.max(evidence.gone_below()).saturating_sub(evidence.gone);
        if !(1..=left).contains(&expired.count) {
            return Err(EntryError::Mismatch("so many entries cannot expire"));
        }
        evidence.gone += expired.count;
        evidence.last_expired = Some(LastExpired {
            entry: index,
            snapshot: expired.snapshot,
        });
        evidence
            .expired
            .extend(expired.before.iter().map(|(class, before)| (*class, *before)));
        Ok(())
    }
}
