//! The spool's file: a header and a frame for each write, made durable before anybody relies on it.
//!
//! A frame is the length of its content as a big-endian `u32`, the first four bytes of that length's leaf hash, the leaf
//! hash of the content, and the content. The length has a check of its own: one that was damaged into a larger one would
//! make every frame behind it look like a write that was never finished. The first frame is the header: `bailiwick-spool 1 NODE ID`, with an id that is new each time the spool was emptied. The others
//! hold entries of tenants' logs, each behind its length as a big-endian `u16`, as far as they are known already: their
//! index is their place in the spool, an intent has no sequence number and no bookings, an outcome no index of its intent.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use entry::Entry;
use tlog::leaf_hash;

use crate::{StoreError, datadir::replace_file, log};

/// The file in the spool's directory.
const FILE: &str = "bailiwick.spool";
/// The first word of the header.
const MAGIC: &str = "bailiwick-spool";
/// The version of the format.
const VERSION: &str = "1";
/// The longest file: the allowances bound what is spent, this bounds calls that cost nothing.
const MAX_BYTES: u64 = 256 << 20;

/// The open file of a spool.
#[derive(Debug)]
pub(crate) struct SpoolFile {
    path: PathBuf,
    node: String,
    id: String,
    file: File,
    /// Up to where the content is durable and whole.
    good: u64,
    records: u64,
    /// A write failed, and what it left could not be taken away.
    broken: bool,
    #[cfg(test)]
    faults: faults::Faults,
}

impl SpoolFile {
    /// Opens the spool in a directory, or makes one with the id given.
    pub(crate) fn open(dir: &Path, node: &str, id: impl FnOnce() -> String) -> Result<Self, StoreError> {
        fs::create_dir_all(dir).map_err(StoreError::file(dir))?;
        let path = dir.join(FILE);
        if !path.try_exists().map_err(StoreError::file(&path))? {
            replace_file(&path, &header(node, &id()))?;
        }
        let file = open(&path)?;
        let mut spool = Self {
            path,
            node: node.to_owned(),
            id: String::new(),
            file,
            good: 0,
            records: 0,
            broken: false,
            #[cfg(test)]
            faults: faults::Faults::default(),
        };
        spool.read()?;
        Ok(spool)
    }

    /// Which spool this is: new each time that it was emptied.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Where the next record comes.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    /// Whether nothing stands behind the last whole record.
    pub(crate) fn is_whole(&self) -> bool {
        !self.broken
    }

    /// Reads all records, as they are on the disk. Takes away what a write that failed has left behind the last whole one,
    /// which nobody was told of.
    pub(crate) fn read(&mut self) -> Result<Vec<Entry>, StoreError> {
        // Nothing is written behind what cannot be read.
        self.broken = true;
        let bytes = fs::read(&self.path).map_err(StoreError::file(&self.path))?;
        // It may have been replaced: what is read is what is written on.
        self.file = open(&self.path)?;
        let (frames, good) = self.frames(&bytes)?;
        let mut frames = frames.into_iter();
        self.id = self.check_header(frames.next())?;
        let mut records = Vec::new();
        for content in frames {
            let entries =
                log::split(content).ok_or_else(|| self.damaged("a write does not divide into its records"))?;
            for bytes in entries {
                let record = Entry::decode(bytes).map_err(|error| self.damaged(&error.to_string()))?;
                if usize::try_from(record.index) != Ok(records.len()) {
                    return Err(self.damaged("a record is missing"));
                }
                records.push(record);
            }
        }
        let found = u64::try_from(good).unwrap_or(u64::MAX);
        if found < self.good {
            return Err(self.damaged("records that were durable are gone"));
        }
        self.good = found;
        self.records = u64::try_from(records.len()).unwrap_or(u64::MAX);
        if good < bytes.len() {
            tracing::warn!(spool = %self.path.display(), "dropped the beginning of a record that was never complete");
            self.cut().map_err(StoreError::file(&self.path))?;
        }
        self.broken = false;
        Ok(records)
    }

    /// The contents of the whole frames, and where the last one ends.
    fn frames<'a>(&self, bytes: &'a [u8]) -> Result<(Vec<&'a [u8]>, usize), StoreError> {
        let (mut frames, mut rest) = (Vec::new(), bytes);
        while let Split::Frame(content, hash, tail) = split(rest) {
            if leaf_hash(content).0 != *hash {
                break;
            }
            frames.push(content);
            rest = tail;
        }
        // A write that the machine did not finish leaves its beginning, or its beginning and zeros. Anything else was whole
        // once, and somebody may have been told so.
        let torn = match split(rest) {
            Split::Short => true,
            Split::BadLength(behind) => behind.iter().all(|byte| *byte == 0),
            Split::Frame(content, _, tail) => tail.is_empty() && content.last() == Some(&0),
        };
        if torn {
            return Ok((frames, bytes.len().saturating_sub(rest.len())));
        }
        Err(self.damaged("a record does not have its hash"))
    }

    fn check_header(&self, content: Option<&[u8]>) -> Result<String, StoreError> {
        let text = content
            .and_then(|content| std::str::from_utf8(content).ok())
            .unwrap_or_default();
        let words: Vec<_> = text.split(' ').collect();
        match words.as_slice() {
            [MAGIC, VERSION, node, id] if *node == self.node => Ok((*id).to_owned()),
            [MAGIC, VERSION, node, _] => {
                let other = format!(
                    "this spool belongs to the data directory of {node}, not to that of {}",
                    self.node
                );
                Err(self.damaged(&other))
            }
            _ => Err(self.damaged("this is no spool of this version")),
        }
    }

    fn damaged(&self, why: &str) -> StoreError {
        StoreError::Spool {
            path: self.path.clone(),
            why: why.to_owned(),
        }
    }

    /// Appends records: durable when this returns. After an error none of them is there, or the spool takes no more.
    pub(crate) fn append(&mut self, contents: &[Vec<u8>]) -> Result<(), StoreError> {
        let (mut content, mut bytes) = (Vec::new(), Vec::new());
        for record in contents {
            log::push(&mut content, record);
        }
        push(&mut bytes, &content);
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if self.broken || self.good.saturating_add(length) > MAX_BYTES {
            return Err(self.damaged("it takes no more records"));
        }
        let written = self.write(&bytes);
        if let Err(source) = written {
            self.broken = self.cut().is_err();
            return Err(StoreError::file(&self.path)(source));
        }
        self.good = self.good.saturating_add(length);
        self.records = self
            .records
            .saturating_add(u64::try_from(contents.len()).unwrap_or(u64::MAX));
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        #[cfg(test)]
        self.faults.before(&mut self.file, bytes)?;
        self.file.write_all(bytes)?;
        self.file.sync_data()?;
        #[cfg(test)]
        self.faults.after()?;
        Ok(())
    }

    /// Takes away what stands behind the last whole record.
    fn cut(&self) -> io::Result<()> {
        #[cfg(test)]
        self.faults.cut()?;
        self.file.set_len(self.good)?;
        self.file.sync_all()
    }

    /// Empties the spool: what it held is in the log. It has another id then.
    pub(crate) fn reset(&mut self, id: &str) -> Result<(), StoreError> {
        #[cfg(test)]
        self.faults.reset().map_err(StoreError::file(&self.path))?;
        // Another file, or still this one if that fails: nothing of it is known, and nothing is written before it was read.
        (self.good, self.broken) = (0, true);
        replace_file(&self.path, &header(&self.node, id))?;
        #[cfg(test)]
        self.faults.replaced().map_err(StoreError::file(&self.path))?;
        self.read()?;
        Ok(())
    }

    /// Where tests order faults.
    #[cfg(test)]
    pub(crate) fn set_faults(&mut self, faults: faults::Faults) {
        self.faults = faults;
    }
}

fn open(path: &Path) -> Result<File, StoreError> {
    OpenOptions::new()
        .append(true)
        .mode(0o600)
        .open(path)
        .map_err(StoreError::file(path))
}

fn header(node: &str, id: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push(&mut bytes, format!("{MAGIC} {VERSION} {node} {id}").as_bytes());
    bytes
}

fn push(bytes: &mut Vec<u8>, content: &[u8]) {
    // A write has so many entries of 16 KiB at most.
    let length = u32::try_from(content.len()).unwrap_or(u32::MAX);
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(&check(length.to_be_bytes()));
    bytes.extend_from_slice(&leaf_hash(content).0);
    bytes.extend_from_slice(content);
}

/// What tells a length from a damaged one.
fn check(length: [u8; 4]) -> [u8; 4] {
    let [a, b, c, d, ..] = leaf_hash(&length).0;
    [a, b, c, d]
}

/// What bytes begin with.
enum Split<'a> {
    /// A frame, whether its hash fits or not: content, hash, and what follows.
    Frame(&'a [u8], &'a [u8; 32], &'a [u8]),
    /// A length that does not have its check, and what follows.
    BadLength(&'a [u8]),
    /// The beginning of a frame, or nothing.
    Short,
}

fn split(bytes: &[u8]) -> Split<'_> {
    let Some((length, rest)) = bytes.split_first_chunk::<4>() else {
        return Split::Short;
    };
    let Some((checked, rest)) = rest.split_first_chunk::<4>() else {
        return Split::Short;
    };
    if check(*length) != *checked {
        return Split::BadLength(rest);
    }
    let frame = rest.split_first_chunk::<32>().and_then(|(hash, rest)| {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (content, tail) = rest.split_at_checked(length)?;
        Some(Split::Frame(content, hash, tail))
    });
    frame.unwrap_or(Split::Short)
}

/// Faults that tests order.
#[cfg(test)]
pub(crate) mod faults {
    use std::{
        collections::VecDeque,
        fs::File,
        io::{self, Write as _},
        sync::{Arc, Mutex},
    };

    /// What becomes of a write.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(crate) enum Fate {
        /// It fails, and nothing is there.
        Fails,
        /// It fails, and a part of it stays.
        Tears,
        /// It fails, all of it is there, and stays.
        FailsButLands,
    }

    #[derive(Clone, Debug, Default)]
    pub(crate) struct Faults(Arc<Mutex<Orders>>);

    #[derive(Debug, Default)]
    struct Orders {
        appends: VecDeque<Fate>,
        stays: bool,
        landed: bool,
        resets: usize,
        replaced: bool,
    }

    impl Faults {
        pub(crate) fn appends(&self, fates: &[Fate]) {
            self.0.lock().unwrap().appends.extend(fates);
        }

        /// So many times the spool cannot be emptied.
        pub(crate) fn resets(&self, times: usize) {
            self.0.lock().unwrap().resets = times;
        }

        pub(super) fn before(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
            let mut orders = self.0.lock().unwrap();
            match orders.appends.pop_front() {
                None => Ok(()),
                Some(Fate::Fails) => Err(ordered()),
                Some(Fate::Tears) => {
                    orders.stays = true;
                    file.write_all(&bytes[..bytes.len() / 2])?;
                    Err(ordered())
                }
                Some(Fate::FailsButLands) => {
                    (orders.stays, orders.landed) = (true, true);
                    Ok(())
                }
            }
        }

        pub(super) fn after(&self) -> io::Result<()> {
            let landed = std::mem::take(&mut self.0.lock().unwrap().landed);
            if landed { Err(ordered()) } else { Ok(()) }
        }

        pub(super) fn cut(&self) -> io::Result<()> {
            let stays = std::mem::take(&mut self.0.lock().unwrap().stays);
            if stays { Err(ordered()) } else { Ok(()) }
        }

        /// The next time that the spool is emptied, that fails although it is.
        pub(crate) fn reset_lands(&self) {
            self.0.lock().unwrap().replaced = true;
        }

        pub(super) fn replaced(&self) -> io::Result<()> {
            let replaced = std::mem::take(&mut self.0.lock().unwrap().replaced);
            if replaced { Err(ordered()) } else { Ok(()) }
        }

        pub(super) fn reset(&self) -> io::Result<()> {
            let mut orders = self.0.lock().unwrap();
            if orders.resets == 0 {
                return Ok(());
            }
            orders.resets -= 1;
            Err(ordered())
        }
    }

    fn ordered() -> io::Error {
        io::Error::other("a fault that a test ordered")
    }
}
