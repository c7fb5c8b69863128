//! What the command line names: files, and keys.

use std::{
    fs::File,
    io::Read as _,
    path::{Path, PathBuf},
    str::FromStr,
};

use tlog::cosignature::Quorum;
use verify::Trust;

/// The longest file that is read whole: more than any proof or checkpoint has.
const MOST_BYTES: u64 = 4 << 20;

/// What is known before anything is looked at.
#[derive(Debug, clap::Args)]
pub(super) struct Trusted {
    /// The log's public key, as text or @FILE; may be repeated
    #[arg(long = "key", value_name = "KEY", required = true)]
    keys: Vec<String>,
    /// A proof of the entry by which the log added a key beside one that is known, as `bailiwick audit prove --handover KEY`
    /// writes it; may be repeated. Who knows an old key of the log goes on to the newer one by it
    #[arg(long = "handover", value_name = "FILE")]
    handovers: Vec<PathBuf>,
    /// The public key of a witness that must have cosigned, as text or @FILE; may be repeated
    #[arg(long = "witness", value_name = "KEY")]
    witnesses: Vec<String>,
    /// How many of the witnesses are enough [default: all]
    #[arg(long, value_name = "K", requires = "witnesses", value_parser = clap::value_parser!(u16).range(1..))]
    quorum: Option<u16>,
}

impl Trusted {
    /// Reads it.
    pub(super) fn read(&self) -> Result<Trust, String> {
        Ok(Trust {
            keys: keys(&self.keys)?,
            handovers: read_texts(&self.handovers)?,
            quorum: self.quorum()?,
            since: Vec::new(),
        })
    }

    /// The witnesses whose word is asked for. `None` if none are named.
    fn quorum(&self) -> Result<Option<Quorum>, String> {
        let known = keys(&self.witnesses)?;
        if known.is_empty() {
            return Ok(None);
        }
        let needed = self.quorum.map_or(known.len(), usize::from);
        Quorum::new(known, needed).map(Some).map_err(|error| error.to_string())
    }
}

/// Reads keys, each given as text or as the name of a file behind `@` with one a line.
fn keys<K: FromStr<Err: std::fmt::Display>>(given: &[String]) -> Result<Vec<K>, String> {
    let mut keys = Vec::new();
    for text in given {
        let texts = match text.strip_prefix('@') {
            Some(file) => read_text(Path::new(file))?,
            None => text.clone(),
        };
        for line in texts.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let key = line.parse::<K>();
            keys.push(key.map_err(|error| format!("{text:?} is not a key: {error}"))?);
        }
    }
    Ok(keys)
}

/// Reads a text.
pub(super) fn read_text(path: &Path) -> Result<String, String> {
    String::from_utf8(read_bytes(path)?).map_err(|_| format!("{} is not a text", path.display()))
}

/// Reads several texts.
pub(super) fn read_texts(paths: &[PathBuf]) -> Result<Vec<String>, String> {
    paths.iter().map(|path| read_text(path)).collect()
}

/// Reads a file that is not too long.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, String> {
    let wrong = |error: std::io::Error| format!("{} cannot be read: {error}", path.display());
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(wrong)?;
    file.take(MOST_BYTES + 1).read_to_end(&mut bytes).map_err(wrong)?;
    if u64::try_from(bytes.len()).is_ok_and(|length| length <= MOST_BYTES) {
        Ok(bytes)
    } else {
        Err(format!("{} is too long to be what it is taken for", path.display()))
    }
}
