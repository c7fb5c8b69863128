//! Files, whole and within bounds.

use std::{
    fs::{self, File},
    io::{Error, Read as _},
    path::Path,
};

use super::problem::{self, Problem};

/// Reads a regular file; `None` if it is longer than `max_bytes`.
pub(crate) fn read(path: &Path, max_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
    // Opening a pipe would wait for its writer.
    if !fs::metadata(path)?.is_file() {
        return Err(Error::other("it is not a regular file"));
    }
    let mut bytes = Vec::new();
    File::open(path)?
        .take(max_bytes.saturating_add(1))
        .read_to_end(&mut bytes)?;
    let fits = u64::try_from(bytes.len()).is_ok_and(|length| length <= max_bytes);
    Ok(fits.then_some(bytes))
}

/// A line that is not UTF-8.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct NotText {
    line: u32,
}

impl NotText {
    /// As a problem of the file.
    pub(crate) fn of_file(self, file: String) -> Problem {
        Problem {
            line: Some(self.line),
            ..problem::of_file(file, "the line is not UTF-8 text")
        }
    }
}

/// The text of a file, without the byte order mark that some editors put first.
pub(crate) fn text(bytes: Vec<u8>) -> Result<String, NotText> {
    let text = String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let breaks = error
            .as_bytes()
            .iter()
            .take(valid)
            .filter(|&&byte| byte == b'\n')
            .count();
        NotText {
            line: u32::try_from(breaks.saturating_add(1)).unwrap_or(u32::MAX),
        }
    })?;
    match text.strip_prefix('\u{feff}') {
        Some(rest) => Ok(rest.to_owned()),
        None => Ok(text),
    }
}
