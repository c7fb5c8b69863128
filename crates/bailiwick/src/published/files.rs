//! The files of an exported log.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use store::DataDir;

use super::PublishedError;

/// A directory with one log in it.
pub(super) struct Files {
    root: PathBuf,
    /// The directory of the file written last: it is there.
    made: PathBuf,
    written: u64,
}

impl Files {
    pub(super) fn new(root: PathBuf) -> Self {
        Self {
            root,
            made: PathBuf::new(),
            written: 0,
        }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// How many files were written.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// A file's content; `None` if there is no such file.
    pub(super) fn read(&self, name: &str) -> Result<Option<Vec<u8>>, PublishedError> {
        let path = self.root.join(name);
        match fs::read(&path) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(PublishedError::File { path, source }),
        }
    }

    /// Writes a file: it is there whole or not at all. Not durable before [`settle`](Self::settle).
    pub(super) fn write(&mut self, name: &str, bytes: &[u8]) -> Result<(), PublishedError> {
        let path = self.root.join(name);
        let of = |path: &Path| {
            let path = path.to_owned();
            move |source| PublishedError::File { path, source }
        };
        let directory = path.parent().unwrap_or(&self.root);
        if directory != self.made {
            fs::create_dir_all(directory).map_err(of(directory))?;
            directory.clone_into(&mut self.made);
        }
        let mut new = path.as_os_str().to_owned();
        new.push(".new");
        let new = PathBuf::from(new);
        File::create(&new)
            .and_then(|mut file| file.write_all(bytes))
            .map_err(of(&new))?;
        fs::rename(&new, &path).map_err(of(&path))?;
        self.written += 1;
        Ok(())
    }

    /// Makes all that was written durable.
    pub(super) fn settle(&self) -> Result<(), PublishedError> {
        Ok(DataDir::settle_at(&self.root)?)
    }
}
