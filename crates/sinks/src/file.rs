//! A file that grows by lines, and is put aside when it is long enough.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, SeekFrom, Write as _},
    os::unix::fs::{MetadataExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use control::Rotation;

use crate::output::Refused;

/// No line of ours is longer: an entry has 16 KiB, and what is around it less than one more.
const MAX_LINE: u64 = 32 * 1024;

/// The end of a file.
#[derive(Clone, Debug)]
pub(crate) struct FileOutput(Arc<Mutex<Inner>>);

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    rotation: Option<Rotation>,
    /// The data directory, whose disk the log needs first, and how much of it.
    data: PathBuf,
    reserve: u64,
    open: Option<File>,
    #[cfg(test)]
    faults: Vec<Fault>,
}

/// What goes wrong in a test.
#[cfg(test)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The disk is full before anything is written.
    Nothing,
    /// It is full after so many bytes.
    Part(usize),
    /// All is written, and the disk does not say so.
    Unsynced,
}

impl FileOutput {
    pub(crate) fn new(path: PathBuf, rotation: Option<Rotation>, data: &Path, reserve: u64) -> Self {
        Self(Arc::new(Mutex::new(Inner {
            path,
            rotation,
            data: data.to_owned(),
            reserve,
            open: None,
            #[cfg(test)]
            faults: Vec::new(),
        })))
    }

    #[cfg(test)]
    pub(crate) fn order(&self, fault: Fault) {
        self.0.lock().unwrap().faults.push(fault);
    }

    pub(crate) async fn prepare(&mut self) -> Result<(), Refused> {
        self.on_disk(|inner| inner.ready().map(drop)).await
    }

    /// Has arrived what is on the disk.
    pub(crate) async fn deliver(&mut self, lines: Vec<u8>) -> Result<(), Refused> {
        self.on_disk(move |inner| inner.append(&lines)).await
    }

    async fn on_disk(
        &self,
        work: impl FnOnce(&mut Inner) -> Result<(), String> + Send + 'static,
    ) -> Result<(), Refused> {
        let inner = self.0.clone();
        let done = tokio::task::spawn_blocking(move || {
            // A thread that panicked left at most a part of a line, which is mended when the file is opened.
            let mut inner = inner.lock().unwrap_or_else(PoisonError::into_inner);
            let done = work(&mut inner);
            if done.is_err() {
                inner.open = None;
            }
            done
        });
        let done = done
            .await
            .unwrap_or_else(|error| Err(format!("writing ended unfinished: {error}")));
        done.map_err(Refused::new)
    }
}

impl Inner {
    /// The file, open and whole.
    fn ready(&mut self) -> Result<&mut File, String> {
        // Whoever moves the file away wants another one.
        if self.open.as_ref().is_some_and(|file| !is_in_place(file, &self.path)) {
            self.open = None;
        }
        let file = match self.open.take() {
            Some(file) => file,
            None => self.open_whole()?,
        };
        Ok(self.open.insert(file))
    }

    fn open_whole(&self) -> Result<File, String> {
        let shown = self.path.display();
        let failed = |error: io::Error| format!("{shown} cannot be opened: {error}");
        let is_new = match fs::metadata(&self.path) {
            // To open a pipe or a device may take for ever.
            Ok(found) if !found.is_file() => return Err(format!("{shown} is not a file")),
            Ok(_) => false,
            Err(error) if error.kind() == io::ErrorKind::NotFound => true,
            Err(error) => return Err(failed(error)),
        };
        let options = OpenOptions::new()
            .read(true)
            .append(true)
            .create(true)
            .mode(0o600)
            .clone();
        let mut file = options.open(&self.path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(format!(
                    "{shown} is written by another process: give each server a file of its own"
                ));
            }
            // Not every file system has locks.
            Err(TryLockError::Error(error)) => tracing::debug!(%error, "{shown} cannot be locked"),
        }
        mend(&mut file, &self.path)?;
        if is_new {
            sync_directory(&self.path).map_err(failed)?;
        }
        Ok(file)
    }

    fn append(&mut self, lines: &[u8]) -> Result<(), String> {
        self.check_room()?;
        let length = |file: &File| file.metadata().map_or(0, |found| found.len());
        let grown = |length: u64| length.saturating_add(u64::try_from(lines.len()).unwrap_or(u64::MAX));
        let before = length(self.ready()?);
        if let Some(rotation) = self.rotation
            && before > 0
            && grown(before) > rotation.size
        {
            self.open = None;
            let shown = self.path.display();
            put_aside(&self.path, rotation.keep).map_err(|error| format!("{shown} cannot be put aside: {error}"))?;
        }
        #[cfg(test)]
        let fault = self.faults.pop();
        let shown = self.path.display().to_string();
        let file = self.ready()?;
        let before = length(file);
        #[cfg(test)]
        let written = faulty(fault, file, lines);
        #[cfg(not(test))]
        let written = file.write_all(lines).and_then(|()| file.sync_data());
        written.map_err(|error| {
            // So that readers find no half line. If that fails as well, it is mended when the file is opened.
            let _ = file.set_len(before);
            format!("{shown} cannot be written: {error}")
        })
    }

    /// The log goes before: on its disk, what is kept for it is not written to.
    fn check_room(&self) -> Result<(), String> {
        let directory = directory(&self.path);
        let device = |path: &Path| fs::metadata(path).map(|found| found.dev()).ok();
        if device(directory) != device(&self.data) {
            return Ok(());
        }
        // Whether the directory can be used is found out by the write.
        let Ok(found) = rustix::fs::statvfs(directory) else {
            return Ok(());
        };
        let free = found.f_bavail.saturating_mul(found.f_frsize);
        if free >= self.reserve {
            return Ok(());
        }
        Err(format!(
            "the disk of {} has {} MiB left, less than the reserve of {} MiB that is kept for the log ([audit] reserve): \
             make room",
            self.path.display(),
            free >> 20,
            self.reserve >> 20
        ))
    }
}

#[cfg(test)]
fn faulty(fault: Option<Fault>, file: &mut File, lines: &[u8]) -> io::Result<()> {
    let full = || Err(io::Error::from(io::ErrorKind::StorageFull));
    match fault {
        None => file.write_all(lines).and_then(|()| file.sync_data()),
        Some(Fault::Nothing) => full(),
        Some(Fault::Part(bytes)) => {
            file.write_all(&lines[..bytes.min(lines.len())])?;
            full()
        }
        Some(Fault::Unsynced) => {
            file.write_all(lines)?;
            full()
        }
    }
}

fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    }
}

fn sync_directory(path: &Path) -> io::Result<()> {
    File::open(directory(path)).and_then(|directory| directory.sync_all())
}

fn is_in_place(file: &File, path: &Path) -> bool {
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

/// Cuts off the part of a line that a crash left. What no sink has written is not touched.
fn mend(file: &mut File, path: &Path) -> Result<(), String> {
    let shown = path.display();
    let failed = |error: io::Error| format!("{shown} cannot be read: {error}");
    let length = file.metadata().map_err(failed)?.len();
    let start = length.saturating_sub(MAX_LINE);
    file.seek(SeekFrom::Start(start)).map_err(failed)?;
    let mut tail = Vec::new();
    file.take(MAX_LINE).read_to_end(&mut tail).map_err(failed)?;
    if tail.is_empty() || tail.ends_with(b"\n") {
        return Ok(());
    }
    let whole = tail.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let part = tail.get(whole..).unwrap_or_default();
    let is_line_start = whole > 0 || start == 0;
    if !is_line_start || part.first() != Some(&b'{') {
        return Err(format!(
            "{shown} ends with something that is not the beginning of an entry: it is left as it is; move it away, or name \
             another file"
        ));
    }
    let keep = start + u64::try_from(whole).unwrap_or(0);
    tracing::warn!(file = %shown, bytes = length - keep, "the last line was not whole: it is cut off and written again");
    file.set_len(keep)
        .and_then(|()| file.sync_all())
        .map_err(|error| format!("{shown} cannot be mended: {error}"))
}

/// Renames `path` to `path.1`, that to `path.2`, and so on; the last is deleted. After a crash in the midst of it there is a
/// gap, which the next time fills.
fn put_aside(path: &Path, keep: u32) -> io::Result<()> {
    let aside = |number: u32| {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        PathBuf::from(name)
    };
    let free = (1..=keep).find(|number| !aside(*number).exists()).unwrap_or(keep);
    for number in (1..free).rev() {
        fs::rename(aside(number), aside(number + 1))?;
    }
    fs::rename(path, aside(1))?;
    sync_directory(path)
}

#[cfg(test)]
mod tests;
