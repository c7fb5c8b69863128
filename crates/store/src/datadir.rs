//! The data directory: who may use it, and the secrets kept in it.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Write as _},
    os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use crate::StoreError;

/// A data directory that this process alone may write to, for as long as the value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock, which the operating system lets go when the process ends, however it ends.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, readable by its owner only, and takes its lock.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        fs::create_dir_all(path).map_err(StoreError::file(path))?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(StoreError::file(path))?;
        let lock_path = path.join("lock");
        let mut lock = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&lock_path)
            .map_err(StoreError::file(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut owner = String::new();
                let read = lock.read_to_string(&mut owner).is_ok();
                let owner = Some(owner.trim().to_owned()).filter(|pid| read && !pid.is_empty());
                return Err(StoreError::InUse {
                    dir: path.to_owned(),
                    owner,
                });
            }
            Err(TryLockError::Error(source)) => {
                return Err(StoreError::File {
                    path: lock_path,
                    source,
                });
            }
        }
        // The process id is for the message above only; the lock itself is the operating system's.
        lock.set_len(0).map_err(StoreError::file(&lock_path))?;
        write!(lock, "{}", std::process::id()).map_err(StoreError::file(&lock_path))?;
        Ok(Self {
            path: path.to_owned(),
            _lock: lock,
        })
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The database file below a data directory.
    pub fn database(path: &Path) -> PathBuf {
        path.join("bailiwick.db")
    }

    /// Reads a small file that is not there at first, writing what `make` gives the first time. The file is readable by
    /// its owner only, and whole or absent whatever happens.
    pub fn read_or_create(&self, name: &str, make: impl FnOnce() -> Vec<u8>) -> Result<Vec<u8>, StoreError> {
        let path = self.path.join(name);
        match fs::read(&path) {
            Ok(found) => Ok(found),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                let bytes = make();
                self.replace(name, &bytes)?;
                Ok(bytes)
            }
            Err(source) => Err(StoreError::File { path, source }),
        }
    }

    /// Makes a directory anywhere, with those above it.
    pub fn make_at(path: &Path) -> Result<(), StoreError> {
        fs::create_dir_all(path).map_err(StoreError::file(path))
    }

    /// Replaces a small file anywhere: its old content or its new one is there, never a part.
    pub fn replace_at(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
        replace_file(path, bytes)
    }

    /// Makes all that was written to the file system of a directory durable: cheaper than file by file where there are
    /// many.
    pub fn settle_at(path: &Path) -> Result<(), StoreError> {
        #[cfg(target_os = "linux")]
        return File::open(path)
            .and_then(|directory| Ok(rustix::fs::syncfs(directory)?))
            .map_err(StoreError::file(path));
        #[cfg(not(target_os = "linux"))]
        {
            // Where there is no way to name one file system, all of them.
            let _ = path;
            rustix::fs::sync();
            Ok(())
        }
    }

    /// Replaces a small file of the directory: its old content or its new one is there, never a part.
    pub fn replace(&self, name: &str, bytes: &[u8]) -> Result<(), StoreError> {
        replace_file(&self.path.join(name), bytes)
    }
}

/// Writes a file beside the target, makes it durable, and puts it in the target's place.
pub(crate) fn replace_file(path: &Path, bytes: &[u8]) -> Result<(), StoreError> {
    let directory = path.parent().unwrap_or(Path::new("."));
    // Its own directory at most: a data directory that was moved away must not come back as an empty one, in whose place the
    // real one could not be put back.
    match fs::create_dir(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(StoreError::file(directory)(error)),
        _ => {}
    }
    let mut partial = path.as_os_str().to_owned();
    partial.push(".new");
    let partial = PathBuf::from(partial);
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&partial)
        .map_err(StoreError::file(&partial))?;
    file.write_all(bytes)
        .and_then(|()| file.sync_all())
        .map_err(StoreError::file(&partial))?;
    fs::rename(&partial, path).map_err(StoreError::file(path))?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(StoreError::file(directory))
}

#[cfg(test)]
mod tests;
