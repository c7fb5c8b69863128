//! Enforcement points in the fold: who may ask for decisions, with which credentials, and what decisions rest on.

use std::collections::{BTreeMap, VecDeque};

use model::{Digest, KeyId, PepName, Pseudonym, Timestamp};
use serde::{Deserialize, Serialize};

use crate::{Decided, EntryError, State, error::unknown, snapshot::named};

/// How long after something else took effect a decision may still rest on what was there before, in microseconds. Somebody
/// who was just being answered when a reload came is answered by what was in effect when the question came.
pub const DECIDED_LATE_US: i64 = 60_000_000;

/// How many of the bundles that were in effect lately are remembered.
const BUNDLES: usize = 64;
/// How many of the versions of the entities that were in effect lately are remembered.
const VERSIONS: usize = 64;
/// One version of the entities is remembered for as much time, in microseconds: 64 cover more than a minute.
const VERSION_EVERY_US: i64 = 1_000_000;

/// What an enforcement point may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PepRight {
    /// Whether something may be done.
    Evaluate,
    /// Who may do it, with what, and what may be done.
    Search,
}

/// Whose reasons an enforcement point is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PepReasons {
    /// Those for users.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub user: bool,
    /// Those for administrators.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub admin: bool,
}

impl PepReasons {
    fn is_none(&self) -> bool {
        *self == Self::default()
    }
}

/// An enforcement point as its manifest declares it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PepRecord {
    /// The enforcement point.
    pub name: PepName,
    /// Who answers for it.
    pub owner: Pseudonym,
    /// What it is for.
    pub purpose: String,
    /// What it may ask.
    pub may: Vec<PepRight>,
    /// Whose reasons it is told.
    #[serde(default, skip_serializing_if = "PepReasons::is_none")]
    pub reasons: PepReasons,
    /// SHA-256 of each certificate (DER) that authenticates it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub certificates: Vec<Digest>,
}

/// A credential of an enforcement point. The secret is shown once and kept nowhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PepKeyRecord {
    /// The credential's public name.
    pub id: KeyId,
    /// The enforcement point it authenticates.
    pub pep: PepName,
    /// What people call it.
    pub label: String,
    /// SHA-256 of the secret, which has 256 random bits.
    pub verifier: Digest,
    /// When it stops authenticating.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

/// An enforcement point and how far its questions are counted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PepState {
    /// The manifest in effect; `None` once it was removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<PepRecord>,
    /// The last manifest that is in effect no more, and until when it was.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "named::before")]
    pub before: Option<(PepRecord, Timestamp)>,
    /// The last sequence number.
    pub seq: u64,
}

impl PepState {
    /// The manifests that were in effect at a time: the present one, or what was there before. Whoever was just being
    /// answered when it changed may go by either.
    fn records(&self, at: Timestamp) -> impl Iterator<Item = &PepRecord> {
        let before = self.before.as_ref().filter(move |(_, until)| at < *until);
        self.record.iter().chain(before.map(|(record, _)| record))
    }
}

/// A credential of an enforcement point and what became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PepKeyState {
    /// As it was issued.
    pub record: PepKeyRecord,
    /// When it was issued.
    pub issued: Timestamp,
    /// When it was revoked, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<Timestamp>,
    /// When it last named a decision.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_used: Option<Timestamp>,
}

/// The decision point's side of the fold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Peps {
    /// Enforcement points by name.
    pub peps: BTreeMap<PepName, PepState>,
    /// Their credentials by id, revoked ones too.
    pub keys: BTreeMap<KeyId, PepKeyState>,
    /// How often somebody asked who needed no credential.
    pub anybody: u64,
    /// How often the stored entities changed.
    pub entities: u64,
    /// The entries of bundles that are in effect no more, and since when, in order.
    bundles: VecDeque<Gone>,
    /// Versions of the entities that are in effect no more, and since when, in order: not each of them.
    versions: VecDeque<Gone>,
}

/// Something that is in effect no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Gone {
    /// The entry of a bundle, or a version of the entities.
    number: u64,
    until: Timestamp,
}

impl Peps {
    /// The number of the next question.
    pub fn next_seq(&self, pep: Option<&PepName>) -> u64 {
        let asked = match pep {
            Some(pep) => self.peps.get(pep).map_or(0, |pep| pep.seq),
            None => self.anybody,
        };
        asked + 1
    }

    /// Another bundle takes effect: this one was in effect until now.
    pub(crate) fn bundle_gone(&mut self, entry: u64, now: Timestamp) {
        if self.bundles.len() >= BUNDLES {
            self.bundles.pop_front();
        }
        let (number, until) = (entry, now);
        self.bundles.push_back(Gone { number, until });
    }

    fn entities_change(&mut self, now: Timestamp) {
        let soon = |last: &Gone| now < last.until.saturating_add_micros(VERSION_EVERY_US);
        if !self.versions.back().is_some_and(soon) {
            if self.versions.len() >= VERSIONS {
                self.versions.pop_front();
            }
            let (number, until) = (self.entities, now);
            self.versions.push_back(Gone { number, until });
        }
        self.entities += 1;
    }

    fn had_bundle(&self, entry: u64, at: Timestamp) -> bool {
        self.bundles
            .iter()
            .any(|gone| gone.number == entry && in_time(gone.until, at))
    }

    fn had_entities(&self, version: u64, at: Timestamp) -> bool {
        let oldest = self.versions.iter().find(|gone| in_time(gone.until, at));
        version < self.entities && oldest.is_some_and(|oldest| version >= oldest.number)
    }
}

/// Whether what was in effect until then may still decide.
fn in_time(until: Timestamp, at: Timestamp) -> bool {
    at <= until.saturating_add_micros(DECIDED_LATE_US)
}

impl State {
    pub(crate) fn pep_loaded(&mut self, pep: &PepRecord, now: Timestamp) {
        let fresh = PepState {
            record: None,
            before: None,
            seq: 0,
        };
        let known = self.peps.peps.entry(pep.name.clone()).or_insert(fresh);
        if let Some(before) = known.record.replace(pep.clone()) {
            known.before = Some((before, now));
        }
    }

    pub(crate) fn pep_removed(&mut self, pep: &PepName, now: Timestamp) -> Result<(), EntryError> {
        let known = self.peps.peps.get_mut(pep);
        let known = known.ok_or_else(|| unknown("enforcement point", pep))?;
        if let Some(before) = known.record.take() {
            known.before = Some((before, now));
        }
        Ok(())
    }

    pub(crate) fn pep_key_issued(&mut self, key: &PepKeyRecord, issued: Timestamp) -> Result<(), EntryError> {
        if !self.peps.peps.contains_key(&key.pep) {
            return Err(unknown("enforcement point", &key.pep));
        }
        self.check_fresh_key(&key.id)?;
        let state = PepKeyState {
            record: key.clone(),
            issued,
            revoked: None,
            last_used: None,
        };
        self.peps.keys.insert(key.id.clone(), state);
        Ok(())
    }

    /// Checks that no credential had this id, of whatever kind: ids are told apart by nothing else.
    pub(crate) fn check_fresh_key(&self, key: &KeyId) -> Result<(), EntryError> {
        if self.keys.contains_key(key) || self.peps.keys.contains_key(key) {
            return Err(EntryError::Mismatch("a credential of this id was issued before"));
        }
        Ok(())
    }

    pub(crate) fn key_revoked(&mut self, key: &KeyId, now: Timestamp) -> Result<(), EntryError> {
        let of_agent = self.keys.get_mut(key).map(|key| &mut key.revoked);
        let of_pep = self.peps.keys.get_mut(key).map(|key| &mut key.revoked);
        let revoked = of_agent.or(of_pep).ok_or_else(|| unknown("key", key))?;
        revoked.get_or_insert(now);
        Ok(())
    }

    pub(crate) fn entities_changed(&mut self, version: u64, count: u64, now: Timestamp) -> Result<(), EntryError> {
        if version != self.peps.entities + 1 {
            return Err(EntryError::Mismatch(
                "the version of the entities does not follow the one before",
            ));
        }
        if count == 0 {
            return Err(EntryError::Mismatch("a change of no entity"));
        }
        self.peps.entities_change(now);
        Ok(())
    }

    /// Checks that a decision may be recorded now, with its number and the time as of which it was answered as they are.
    ///
    /// # Errors
    /// What does not follow from the log.
    pub fn check_decided(&self, decided: &Decided, now: Timestamp) -> Result<(), EntryError> {
        let at = decided.at.unwrap_or(now);
        if at > now {
            return Err(EntryError::Mismatch("the decision was taken after it was recorded"));
        }
        decided.check_shape()?;
        self.check_seq(decided)?;
        self.check_pep(decided, at)?;
        self.check_grounds(decided, at)
    }

    pub(crate) fn decided(&mut self, decided: &Decided, now: Timestamp) -> Result<(), EntryError> {
        self.check_decided(decided, now)?;
        match &decided.pep {
            Some(pep) => {
                if let Some(pep) = self.peps.peps.get_mut(pep) {
                    pep.seq = decided.seq;
                }
            }
            None => self.peps.anybody = decided.seq,
        }
        if let Some(key) = decided.key.as_ref().and_then(|key| self.peps.keys.get_mut(key)) {
            key.last_used = Some(now);
        }
        Ok(())
    }

    fn check_seq(&self, decided: &Decided) -> Result<(), EntryError> {
        let expected = self.peps.next_seq(decided.pep.as_ref());
        if decided.seq != expected {
            return Err(EntryError::Question {
                pep: decided.pep.clone(),
                expected,
                found: decided.seq,
            });
        }
        Ok(())
    }

    /// Checks who asked: an enforcement point that was there then, by a credential of its own that worked then.
    fn check_pep(&self, decided: &Decided, at: Timestamp) -> Result<(), EntryError> {
        let Decided {
            pep, key, certificate, ..
        } = decided;
        let Some(pep) = pep else {
            if key.is_some() || certificate.is_some() {
                return Err(EntryError::Mismatch("a credential without an enforcement point"));
            }
            return Ok(());
        };
        let known = self.peps.peps.get(pep);
        let known = known.ok_or_else(|| unknown("enforcement point", pep))?;
        if known.records(at).next().is_none() {
            return Err(EntryError::Mismatch("the enforcement point was removed"));
        }
        match (key, certificate) {
            (Some(key), None) => self.check_pep_key(pep, key, at),
            (None, Some(certificate)) => {
                let mut records = known.records(at);
                if !records.any(|record| record.certificates.contains(certificate)) {
                    return Err(EntryError::Mismatch(
                        "the certificate is not one of the enforcement point's",
                    ));
                }
                Ok(())
            }
            _ => Err(EntryError::Mismatch(
                "an enforcement point asks with one credential or one certificate",
            )),
        }
    }

    fn check_pep_key(&self, pep: &PepName, key: &KeyId, at: Timestamp) -> Result<(), EntryError> {
        let key = self.peps.keys.get(key).ok_or_else(|| unknown("key", key))?;
        if key.record.pep != *pep {
            return Err(EntryError::Mismatch("the credential is another enforcement point's"));
        }
        if key.revoked.is_some_and(|revoked| revoked <= at) {
            return Err(EntryError::Mismatch("the credential was revoked"));
        }
        Ok(())
    }

    /// Checks what it rests on: the bundle and the entities that were in effect then, or shortly before.
    fn check_grounds(&self, decided: &Decided, at: Timestamp) -> Result<(), EntryError> {
        let in_effect = self.bundle.is_some_and(|(_, entry)| entry == decided.bundle);
        if !in_effect && !self.peps.had_bundle(decided.bundle, at) {
            return Err(EntryError::Mismatch(
                "the decision rests on a policy bundle that was not in effect then",
            ));
        }
        if decided.entities != self.peps.entities && !self.peps.had_entities(decided.entities, at) {
            return Err(EntryError::Mismatch(
                "the decision rests on entities that were not in effect then",
            ));
        }
        Ok(())
    }
}
