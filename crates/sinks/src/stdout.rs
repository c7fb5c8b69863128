//! The server's standard output, on which nothing else is written while there is such a sink.

use std::io::Write as _;

use crate::output::Refused;

#[derive(Debug)]
pub(crate) struct StdoutOutput;

impl StdoutOutput {
    /// Has arrived what the operating system has taken.
    pub(crate) async fn deliver(&mut self, lines: Vec<u8>) -> Result<(), Refused> {
        // Whoever reads may be slow, or may not read at all.
        let written = tokio::task::spawn_blocking(move || {
            let mut out = std::io::stdout().lock();
            out.write_all(&lines).and_then(|()| out.flush())
        });
        match written.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Refused::new(format!("standard output cannot be written: {error}"))),
            Err(error) => Err(Refused::new(format!(
                "writing to standard output ended unfinished: {error}"
            ))),
        }
    }
}
