//! The server's standard output, on which nothing else is written while there is such a sink.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom, Write},
};

use crate::output::Refused;

/// Standard output as Linux names it, for reading what is there.
const PATH: &str = "/dev/stdout";

#[derive(Debug)]
pub(crate) struct StdoutOutput {
    /// Whether what is there may end in the middle of a line: of a write that failed, or of a server that died.
    torn: bool,
}

impl StdoutOutput {
    pub(crate) fn new() -> Self {
        Self { torn: is_torn(PATH) }
    }

    /// Has arrived what the operating system has taken.
    pub(crate) async fn deliver(&mut self, lines: Vec<u8>) -> Result<(), Refused> {
        // Until it is known that it was written whole. Whoever leaves while it is written has torn it, too.
        let torn = std::mem::replace(&mut self.torn, true);
        // Whoever reads may be slow, or may not read at all.
        let written = tokio::task::spawn_blocking(move || write(&mut io::stdout().lock(), &lines, torn));
        match written.await {
            Ok(Ok(())) => {
                self.torn = false;
                Ok(())
            }
            Ok(Err(error)) => Err(Refused::new(format!("standard output cannot be written: {error}"))),
            Err(error) => Err(Refused::new(format!(
                "writing to standard output ended unfinished: {error}"
            ))),
        }
    }
}

/// Writes whole lines: behind half a line a line of its own begins.
fn write(out: &mut impl Write, lines: &[u8], torn: bool) -> io::Result<()> {
    if torn {
        out.write_all(b"\n")?;
    }
    out.write_all(lines)?;
    out.flush()
}

/// Whether a file ends in the middle of a line, such as one that an earlier server wrote to. A pipe has no end.
fn is_torn(path: &str) -> bool {
    let last = || -> io::Result<Option<u8>> {
        // Opening a pipe takes away from who reads it, so it is asked first.
        if !std::fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        let mut file = File::open(path)?;
        if file.seek(SeekFrom::End(0))? == 0 {
            return Ok(None);
        }
        file.seek(SeekFrom::End(-1))?;
        let mut last = [0];
        file.read_exact(&mut last)?;
        Ok(last.first().copied())
    };
    last().ok().flatten().is_some_and(|last| last != b'\n')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes, and then fails once.
    struct Full {
        room: usize,
        taken: Vec<u8>,
    }

    impl Write for Full {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            if self.room == 0 {
                self.room = usize::MAX;
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
            let count = bytes.len().min(self.room);
            self.room -= count;
            self.taken.extend_from_slice(&bytes[..count]);
            Ok(count)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_handed_over_again_begins_a_line() {
        let parcel = b"{\"a\":1}\n{\"b\":2}\n";
        for room in 0..parcel.len() {
            let mut out = Full {
                room,
                taken: Vec::new(),
            };
            assert!(write(&mut out, parcel, false).is_err(), "{room}");
            write(&mut out, parcel, true).unwrap();
            let text = String::from_utf8(out.taken).unwrap();
            for line in ["{\"a\":1}", "{\"b\":2}"] {
                assert!(text.lines().any(|found| found == line), "{room}: {text:?}");
            }
        }
    }

    #[test]
    fn half_a_line_of_an_earlier_server_is_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        let path = path.to_str().unwrap();
        assert!(!is_torn(path), "there is none");
        for (text, torn) in [("", false), ("{}\n", false), ("{}\n{", true), ("{", true)] {
            std::fs::write(path, text).unwrap();
            assert_eq!(is_torn(path), torn, "{text:?}");
        }
    }
}
