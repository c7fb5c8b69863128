//! Going on from an older copy of the logs, when somebody says that this is meant.
//!
//! A server refuses logs that are not what its guard files remember, for whoever rolls a log back makes it forget what was
//! spent and revoked. After a disk died there may be nothing newer. Then the log itself says so: an entry `restored` with
//! the checkpoint that was signed over what is lost, so that whoever holds that checkpoint finds it explained, and signed.
//!
//! The steps, each of which may be the last before a crash, and may be taken again:
//!
//! 1. The old guard file is kept beside it, under a name that says what it is, and so is what witnesses have cosigned and
//!    what leads to newer keys, where it is over entries that are lost.
//! 2. The entry, in all logs that have lost something: one transaction.
//! 3. The new guard file, and the row in the database: a checkpoint over the log with the entry in it. Until it is there
//!    the log is refused at a start, and this is to be done again. It finds the entry by its checkpoint then.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Path, PathBuf},
    sync::Arc,
};

use entry::{Entry, Event};
use futures_util::{StreamExt as _, pin_mut};
use model::{AdminName, TenantName, Timestamp};
use store::{Clock, DataDir, Restoring, StoreError};
use tlog::{
    checkpoint::{Checkpoint, Origin},
    note::Note,
};

use crate::{GuardFile, KeyFiles, Keyring, SigningError, cosigned_file};

/// The longest note, in characters.
const NOTE_MAX: usize = 200;

/// Who accepted: whoever may write to the data directory.
const BY: &str = "_data";

/// A log that is not what its guard file remembers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loss {
    /// Whose log.
    pub tenant: TenantName,
    /// How many entries it has now.
    pub entries: u64,
    /// How many were signed.
    pub signed: u64,
    /// How many entries are lost at least; absent where the log is long enough, and another one.
    pub lost: Option<u64>,
    /// The time of the last entry that is there.
    pub from: Option<Timestamp>,
    /// When the guard file was written: about the time of the last entry that was signed.
    pub to: Option<Timestamp>,
    /// Why the checkpoint in the guard file cannot be believed, although it is the one that is kept to: usually the key that
    /// signed it is not here.
    pub doubt: Option<String>,
    /// An earlier run has recorded it, and did not come to its end.
    pub recorded: bool,
    note: String,
    root: String,
}

/// What was done about a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// Whose log.
    pub tenant: TenantName,
    /// The entry that says so is before this size.
    pub entries: u64,
    /// Where the old guard file is.
    pub kept: PathBuf,
}

/// Why an older copy is not accepted.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// The logs cannot be read or written, or their keys.
    #[error(transparent)]
    Start(#[from] SigningError),
    /// The guard file holds no checkpoint.
    #[error(
        "{} holds no checkpoint ({why}), so nobody knows what was signed: keep a copy, and put back the right file, or remove it",
        .file.display()
    )]
    Guard {
        /// Which.
        file: PathBuf,
        /// Why not.
        why: String,
    },
    /// The note is not one.
    #[error("the note is 1 to {NOTE_MAX} characters on one line: it says why the copy is accepted")]
    Note,
}

impl From<StoreError> for RestoreError {
    fn from(error: StoreError) -> Self {
        Self::Start(error.into())
    }
}

/// The logs of a data directory that no server runs on, and what is lost of them.
pub struct Restoration {
    dir: DataDir,
    guards: PathBuf,
    keyring: Keyring,
    logs: Restoring<Arc<dyn Clock>>,
    losses: Vec<Loss>,
    #[cfg(test)]
    faults: tests::Faults,
}

impl std::fmt::Debug for Restoration {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Restoration")
            .field("losses", &self.losses)
            .finish_non_exhaustive()
    }
}

impl Restoration {
    /// Reads all logs, and compares them with what the guard files remember. `random` is for the ids of batches.
    ///
    /// # Errors
    /// When the logs cannot be read or do not fit together, or a guard file holds no checkpoint.
    pub async fn open(
        dir: DataDir,
        trust_domain: String,
        guards: PathBuf,
        clock: Arc<dyn Clock>,
        random: fn() -> [u8; 10],
    ) -> Result<Self, RestoreError> {
        let logs = Restoring::open(&dir, clock, random).await?;
        let keyring = Keyring::new(trust_domain, dir.path().to_owned());
        let mut restoration = Self {
            dir,
            guards,
            keyring,
            logs,
            losses: Vec::new(),
            #[cfg(test)]
            faults: tests::Faults::default(),
        };
        for tenant in guarded(&restoration.guards)? {
            let loss = restoration.loss(&tenant).await?;
            restoration.losses.extend(loss);
        }
        Ok(restoration)
    }

    /// What is lost, by tenant. Nothing where a server would start.
    pub fn losses(&self) -> &[Loss] {
        &self.losses
    }

    /// What is lost of a log, if it is not the one that its guard file remembers.
    async fn loss(&mut self, tenant: &TenantName) -> Result<Option<Loss>, RestoreError> {
        let file = GuardFile::new(&self.guards, tenant);
        let Some(note) = file.read()? else { return Ok(None) };
        let unreadable = |why: String| RestoreError::Guard {
            file: file.path().to_owned(),
            why,
        };
        let read = Note::parse(&note).map_err(|error| unreadable(error.to_string()))?;
        let guarded = Checkpoint::parse(read.body()).map_err(|error| unreadable(error.to_string()))?;
        let reader = self.logs.reader();
        if reader.root_at(tenant, guarded.size).await? == Some(guarded.root) {
            return Ok(None);
        }
        self.keyring.read_keys(tenant)?;
        let doubt = Checkpoint::open(&note, &self.keyring.known(tenant)).err();
        let recorded = self.is_recorded(tenant, &note).await?;
        let kept = self.logs.kept(tenant).head;
        let written = fs::metadata(file.path()).and_then(|found| found.modified());
        let since = written
            .ok()
            .and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        let micros = since.and_then(|since| i64::try_from(since.as_micros()).ok());
        Ok(Some(Loss {
            tenant: tenant.clone(),
            entries: kept.size,
            signed: guarded.size,
            lost: guarded
                .size
                .checked_sub(kept.size)
                .filter(|lost| *lost > 0 && !recorded),
            from: (kept.size > 0).then_some(kept.time),
            to: micros.map(Timestamp::from_unix_micros),
            doubt: doubt.map(|error| error.to_string()),
            recorded,
            note,
            root: data_encoding::HEXLOWER.encode(guarded.root.0.get(..4).unwrap_or_default()),
        }))
    }

    /// Whether the log says already that what this checkpoint is over is lost.
    async fn is_recorded(&mut self, tenant: &TenantName, note: &str) -> Result<bool, RestoreError> {
        if self.logs.kept(tenant).evidence.restores == 0 {
            return Ok(false);
        }
        let batches = self.logs.reader().batches(tenant, 0);
        pin_mut!(batches);
        while let Some(batch) = batches.next().await.transpose()? {
            let corrupt = |source| StoreError::Corrupt {
                tenant: tenant.clone(),
                source,
            };
            for (_, bytes) in batch.kept().map_err(corrupt)? {
                let entry = Entry::decode(bytes).map_err(StoreError::from)?;
                if matches!(&entry.event, Event::Restored { checkpoint, .. } if checkpoint == note) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Accepts the logs as they are: says so in those that have lost something, and has their guard files remember them.
    ///
    /// # Errors
    /// When something cannot be read or written. Done again, it goes on where it was.
    pub async fn accept(mut self, note: &str) -> Result<Vec<Accepted>, RestoreError> {
        if note.trim().is_empty() || note.chars().count() > NOTE_MAX || note.chars().any(char::is_control) {
            return Err(RestoreError::Note);
        }
        let losses = std::mem::take(&mut self.losses);
        let mut kept = Vec::new();
        for loss in &losses {
            // Nothing is written where nothing could be signed then.
            let evidence = self.logs.kept(&loss.tenant).evidence;
            self.keyring.settle(&loss.tenant, loss.entries, &evidence)?;
            kept.push(self.put_aside(loss).await?);
        }
        let by = AdminName::new(BY).map_err(|error| SigningError::Sign(error.to_string()))?;
        let new = losses.iter().filter(|loss| !loss.recorded).map(|loss| {
            let restored = Event::Restored {
                checkpoint: loss.note.clone(),
                note: note.to_owned(),
                by: by.clone(),
            };
            (loss.tenant.clone(), restored)
        });
        self.before()?;
        self.logs.append(new.collect()).await?;
        self.after()?;
        let mut accepted = Vec::new();
        for (loss, kept) in losses.into_iter().zip(kept) {
            let entries = self.sign(&loss.tenant).await?;
            let tenant = loss.tenant;
            accepted.push(Accepted { tenant, entries, kept });
        }
        self.logs.close().await?;
        Ok(accepted)
    }

    /// Keeps what is over entries that are lost, where nothing takes it for what is there.
    async fn put_aside(&self, loss: &Loss) -> Result<PathBuf, RestoreError> {
        let Loss {
            tenant, signed, root, ..
        } = loss;
        let lost = format!("lost-{signed}-{root}");
        let kept = self.guards.join(format!("{tenant}~{lost}.checkpoint"));
        self.step(|| Ok(DataDir::replace_at(&kept, loss.note.as_bytes())?))?;
        let data = self.dir.path();
        let cosigned = cosigned_file(data, tenant);
        if !self.is_of_the_log(tenant, &cosigned).await? {
            let aside = cosigned.with_file_name(format!("{tenant}~{lost}.checkpoint"));
            self.step(|| rename(&cosigned, &aside))?;
        }
        let handovers = KeyFiles::handovers(data, tenant);
        for key in names(&handovers)? {
            let handover = handovers.join(&key);
            if !self.is_of_the_log(tenant, &handover).await? {
                let aside = data.join("handover").join(format!("{tenant}~{lost}"));
                DataDir::make_at(&aside)?;
                self.step(|| rename(&handover, &aside.join(&key)))?;
            }
        }
        Ok(kept)
    }

    /// Whether the log bears out the checkpoint in a file, or there is none.
    async fn is_of_the_log(&self, tenant: &TenantName, file: &Path) -> Result<bool, RestoreError> {
        let text = match fs::read_to_string(file) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
            Err(source) => return Err(in_file(file, source)),
        };
        let checkpoint = Note::parse(&text)
            .ok()
            .and_then(|note| Checkpoint::parse(note.body()).ok());
        let Some(Checkpoint { size, root, .. }) = checkpoint else {
            return Ok(false);
        };
        Ok(self.logs.reader().root_at(tenant, size).await? == Some(root))
    }

    /// Signs the log as it is, and has the guard file remember that.
    async fn sign(&mut self, tenant: &TenantName) -> Result<u64, RestoreError> {
        let kept = self.logs.kept(tenant);
        self.keyring.settle(tenant, kept.head.size, &kept.evidence)?;
        let unsigned = |error: tlog::checkpoint::CheckpointError| SigningError::Sign(error.to_string());
        let signing = self.keyring.signing(tenant).unwrap_or_default();
        let Some((first, further)) = signing.keys.split_first() else {
            return Err(SigningError::Sign(format!("the log of {tenant} has no key")).into());
        };
        let checkpoint = Checkpoint {
            origin: Origin::new(self.keyring.name(tenant)).map_err(unsigned)?,
            size: kept.head.size,
            root: kept.head.root,
        };
        let note = checkpoint.sign_by_all(first, further.iter().map(AsRef::as_ref));
        let note = note.map_err(unsigned)?.to_string();
        let guard = GuardFile::new(&self.guards, tenant);
        self.step(|| Ok(DataDir::replace_at(guard.path(), note.as_bytes())?))?;
        self.before()?;
        self.logs.save_checkpoint(tenant, kept.head.size, &note).await?;
        self.after()?;
        Ok(kept.head.size)
    }

    /// Makes something durable. Tests put faults in the way of each such step.
    fn step(&self, work: impl FnOnce() -> Result<(), RestoreError>) -> Result<(), RestoreError> {
        self.before()?;
        work()?;
        self.after()
    }

    fn before(&self) -> Result<(), RestoreError> {
        #[cfg(test)]
        self.faults.before()?;
        Ok(())
    }

    fn after(&self) -> Result<(), RestoreError> {
        #[cfg(test)]
        self.faults.after()?;
        Ok(())
    }
}

/// The tenants that have a guard file.
fn guarded(guards: &Path) -> Result<BTreeSet<TenantName>, RestoreError> {
    let names = names(guards)?;
    let tenants = names.iter().filter_map(|name| name.strip_suffix(".checkpoint"));
    // What was put aside bears no tenant's name.
    Ok(tenants.filter_map(|name| TenantName::new(name).ok()).collect())
}

/// The names of the files of a directory; none where it is not there.
fn names(dir: &Path) -> Result<Vec<String>, RestoreError> {
    let files = match fs::read_dir(dir) {
        Ok(files) => files,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(in_file(dir, source)),
    };
    let names = files.map(|file| file.map(|file| file.file_name().to_string_lossy().into_owned()));
    let mut names = names
        .collect::<io::Result<Vec<_>>>()
        .map_err(|source| in_file(dir, source))?;
    names.sort_unstable();
    Ok(names)
}

fn rename(from: &Path, to: &Path) -> Result<(), RestoreError> {
    fs::rename(from, to).map_err(|source| in_file(from, source))
}

fn in_file(path: &Path, source: io::Error) -> RestoreError {
    let path = path.to_owned();
    StoreError::File { path, source }.into()
}

#[cfg(test)]
mod tests;
