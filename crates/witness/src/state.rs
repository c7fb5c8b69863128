//! What a witness has cosigned, on disk: one file a log. A witness that forgot could cosign a second history, so nothing
//! is answered before it is durable, and a directory that was lost is not made again without a word.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use data_encoding::HEXLOWER;
use tlog::checkpoint::Origin;

use crate::{AddCheckpoint, request::origin_hash};

/// Says that a directory was made to be a witness's memory.
const MARK: &str = "witness-state";
/// Held by the process that may write.
const LOCK: &str = "lock";
/// Where requests are kept that show two histories of a log.
const EVIDENCE: &str = "evidence";
/// How many requests are kept of a log that show two roots of one size: one is proof enough.
const FORKED_MAX: usize = 16;
/// How many are kept whose proof fails. Anybody can send what the log has published with a proof that is none, so these
/// take no place of the others, and the oldest gives way.
const UNPROVED_MAX: usize = 8;

/// A witness's memory: a directory that one process alone may use, for as long as the value lives.
#[derive(Debug)]
pub struct State {
    dir: PathBuf,
    /// Held while evidence is put down: what is there is counted first.
    keeping: Mutex<()>,
    /// Held for its lock, which the operating system lets go when the process ends, however it ends.
    _lock: File,
    #[cfg(test)]
    pub(crate) fault: std::sync::Mutex<Option<(Step, bool)>>,
}

/// Why a witness's memory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The directory is not there, or nobody made it to be a witness's memory.
    #[error(
        "{} is not the state of a witness. A witness without its memory could cosign a second history of a log: put the \
         directory back, or begin anew with another key (`bailiwick witness init`), whose word counts from now on only",
        .0.display()
    )]
    Missing(PathBuf),
    /// There is something already where a new memory was to be made.
    #[error("{} is there already, and stays as it is", .0.display())]
    Exists(PathBuf),
    /// Another process uses it.
    #[error("another witness is running on {}", .0.display())]
    InUse(PathBuf),
    /// A file does not hold what this witness has cosigned.
    #[error("{} is not what this witness has cosigned: {why}. Restore it from a backup of this moment, or begin anew with another key", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// The file system.
    #[error("{}: {source}", .path.display())]
    File {
        /// Which file or directory.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// What a request is evidence of. Its word ends the name of the file that keeps it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// Two roots of one size, both signed by the log.
    Forked,
    /// A signed checkpoint of which it was not proved that it goes on from what was cosigned.
    Unproved,
}

impl Shows {
    fn word(self) -> &'static str {
        match self {
            Self::Forked => "forked",
            Self::Unproved => "unproved",
        }
    }
}

/// The steps of putting a file in its place. Tests let each of them fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step {
    Write,
    Sync,
    Rename,
    SyncDirectory,
}

impl State {
    /// Makes a directory to be a witness's memory, readable by its owner only.
    ///
    /// # Errors
    /// When it is there already, or cannot be made.
    pub fn create(dir: &Path) -> Result<(), StateError> {
        let made = fs::DirBuilder::new().mode(0o700).create(dir);
        made.map_err(|source| match source.kind() {
            io::ErrorKind::AlreadyExists => StateError::Exists(dir.to_owned()),
            _ => failed(dir)(source),
        })?;
        let path = dir.join(MARK);
        let mark = File::create_new(&path).and_then(|mut file| {
            file.write_all(b"1\n")?;
            file.sync_all()
        });
        mark.map_err(failed(&path))?;
        let above = dir.parent().filter(|above| !above.as_os_str().is_empty());
        for dir in [dir, above.unwrap_or(Path::new("."))] {
            sync(dir).map_err(failed(dir))?;
        }
        Ok(())
    }

    /// Takes the lock of a directory that [`State::create`] made.
    ///
    /// # Errors
    /// When it is not there, another process uses it, or it cannot be written to.
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        if !dir.join(MARK).is_file() {
            return Err(StateError::Missing(dir.to_owned()));
        }
        let path = dir.join(LOCK);
        let lock = OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(StateError::InUse(dir.to_owned())),
            Err(TryLockError::Error(source)) => return Err(StateError::File { path, source }),
        }
        Ok(Self {
            dir: dir.to_owned(),
            keeping: Mutex::default(),
            _lock: lock,
            #[cfg(test)]
            fault: std::sync::Mutex::default(),
        })
    }

    /// The file of a log.
    pub(crate) fn path(&self, origin: &Origin) -> PathBuf {
        self.dir.join(format!("{}.checkpoint", origin_hash(origin)))
    }

    /// What was cosigned last of a log, as note text.
    pub(crate) fn read(&self, origin: &Origin) -> Result<Option<String>, StateError> {
        let path = self.path(origin);
        match fs::read_to_string(&path) {
            Ok(note) => Ok(Some(note)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(StateError::File { path, source }),
        }
    }

    /// Remembers what is cosigned of a log. When this returns an error, it is unknown which of both is remembered.
    pub(crate) fn write(&self, origin: &Origin, note: &str) -> Result<(), StateError> {
        let path = self.path(origin);
        self.replace(&path, note).map_err(failed(&path))
    }

    fn replace(&self, path: &Path, text: &str) -> io::Result<()> {
        let partial = path.with_extension("new");
        let mut options = OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&partial)?;
        self.step(Step::Write, || file.write_all(text.as_bytes()))?;
        self.step(Step::Sync, || file.sync_all())?;
        self.step(Step::Rename, || fs::rename(&partial, path))?;
        self.step(Step::SyncDirectory, || sync(&self.dir))
    }

    /// Keeps a request whose checkpoint is signed by the log and does not fit what was cosigned: one of each size and root,
    /// whatever else is in it. Where it is, unless there are enough.
    pub(crate) fn keep(&self, request: &AddCheckpoint, shows: Shows) -> Result<Option<PathBuf>, StateError> {
        let _turn = self.keeping.lock().unwrap_or_else(PoisonError::into_inner);
        let dir = self.dir.join(EVIDENCE);
        fs::create_dir_all(&dir).map_err(failed(&dir))?;
        let checkpoint = request.checkpoint();
        let (log, root) = (origin_hash(&checkpoint.origin), HEXLOWER.encode(&checkpoint.root.0));
        let path = dir.join(format!("{log}.{}.{root}.{}", checkpoint.size, shows.word()));
        if path.exists() {
            return Ok(Some(path));
        }
        let mut kept = Vec::new();
        for file in fs::read_dir(&dir).map_err(failed(&dir))?.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if name.starts_with(&log) && name.ends_with(shows.word()) {
                let written = file.metadata().and_then(|data| data.modified());
                kept.push((written.map_err(failed(&file.path()))?, file.path()));
            }
        }
        match shows {
            Shows::Forked if kept.len() >= FORKED_MAX => return Ok(None),
            Shows::Unproved if kept.len() >= UNPROVED_MAX => {
                if let Some((_, oldest)) = kept.iter().min() {
                    fs::remove_file(oldest).map_err(failed(oldest))?;
                }
            }
            Shows::Forked | Shows::Unproved => {}
        }
        // Half a request in its place would keep the whole one out.
        let partial = dir.join("partial");
        let written = File::create(&partial).and_then(|mut file| {
            file.write_all(request.to_string().as_bytes())?;
            file.sync_all()?;
            fs::rename(&partial, &path)
        });
        written.map_err(failed(&path))?;
        Ok(Some(path))
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "tests order faults of it")]
    fn step<T>(&self, _: Step, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        work()
    }

    #[cfg(test)]
    fn step<T>(&self, step: Step, work: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let mut fault = self.fault.lock().unwrap();
        match fault.take_if(|(at, _)| *at == step) {
            None => work(),
            Some((_, lands)) => {
                if lands {
                    work()?;
                }
                Err(io::Error::other("as the test has ordered"))
            }
        }
    }
}

fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> StateError {
    let path = path.to_owned();
    |source| StateError::File { path, source }
}
