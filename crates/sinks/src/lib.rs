//! Streaming of committed entries to files, standard output and webhooks: at least once, in order for each tenant.
//!
//! Each sink is a task (`task.rs`) with a cursor for each log (`cursor.rs`) in a file of the data directory. It reads pages of
//! committed entries through [`control::Feed`], picks what is asked for (`filter.rs`), writes it in its form (`format.rs`),
//! and hands it over: to a file (`file.rs`), to standard output (`stdout.rs`), or to a server (`webhook.rs`). The cursor moves
//! only when what is behind it has arrived, so after a failure or a crash something may arrive twice, and nothing never.

mod cursor;
mod file;
mod filter;
mod format;
mod output;
mod retry;
mod stdout;
mod task;
mod webhook;

use std::time::Duration;

use control::{Control, SinkSpec};
use tokio::{sync::watch, task::JoinHandle};

use self::{output::Output, task::Task};

/// Why a sink cannot be.
#[derive(Debug, thiserror::Error)]
#[error("the sink {name} cannot be: {why}")]
pub struct SinkError {
    /// Which.
    name: String,
    /// Why.
    why: String,
}

/// The sinks of a server. Dropped, they end at their next step; [`Sinks::stop`] waits for that.
#[derive(Debug)]
pub struct Sinks {
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

impl Sinks {
    /// Starts to stream what these say, each in a task of its own.
    ///
    /// # Errors
    /// When the certificates or the secret of one cannot be used. Nothing was started then.
    pub fn start(specs: Vec<SinkSpec>, control: &Control) -> Result<Self, SinkError> {
        let (stop, stopping) = watch::channel(false);
        let mut ready = Vec::with_capacity(specs.len());
        for spec in specs {
            let output = Output::new(&spec, control).map_err(|why| SinkError {
                name: spec.name.to_string(),
                why,
            })?;
            ready.push((spec, output));
        }
        let tasks = ready.into_iter().map(|(spec, output)| {
            let status = control.announce_sink(&spec);
            tokio::spawn(Task::new(spec, control.feed(), status, output, stopping.clone()).run())
        });
        let tasks = tasks.collect();
        Ok(Self { stop, tasks })
    }

    /// Ends them. What is being handed over may finish within `most`; what did not is handed over again after the next start.
    pub async fn stop(self, most: Duration) {
        self.stop.send_replace(true);
        let by = tokio::time::Instant::now() + most;
        for mut task in self.tasks {
            if tokio::time::timeout_at(by, &mut task).await.is_err() {
                task.abort();
                tracing::warn!("a sink did not end in time: it goes on where its cursor is after the next start");
            }
        }
    }
}
