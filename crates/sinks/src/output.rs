//! Where parcels are handed over.

use std::time::Duration;

use control::{Control, SinkSpec, SinkTarget};

use crate::{file::FileOutput, format::Together, stdout::StdoutOutput, webhook::WebhookOutput};

/// The most entries of a parcel that does not go to a server.
const BATCH: usize = 1_000;

/// Why a parcel was not taken, as far as is known: it may have arrived all the same.
#[derive(Debug)]
pub(crate) struct Refused {
    pub(crate) why: String,
    /// How long the other side wants to be left alone.
    pub(crate) wait: Option<Duration>,
    /// Whether it might take a smaller parcel.
    pub(crate) too_large: bool,
}

impl Refused {
    pub(crate) fn new(why: String) -> Self {
        Self {
            why,
            wait: None,
            too_large: false,
        }
    }
}

/// Where to.
#[derive(Debug)]
pub(crate) enum Output {
    File(FileOutput),
    Stdout(StdoutOutput),
    Webhook(Box<WebhookOutput>),
}

impl Output {
    pub(crate) fn new(spec: &SinkSpec, control: &Control) -> Result<Self, String> {
        Ok(match &spec.target {
            SinkTarget::File { path, rotation } => {
                let feed = control.feed();
                Self::File(FileOutput::new(
                    path.clone(),
                    *rotation,
                    feed.data_dir(),
                    feed.reserve(),
                ))
            }
            SinkTarget::Stdout => Self::Stdout(StdoutOutput::new()),
            SinkTarget::Webhook(webhook) => Self::Webhook(Box::new(WebhookOutput::new(webhook, spec.format)?)),
        })
    }

    /// How entries stand together in a parcel of this format.
    pub(crate) fn together(&self, format: control::SinkFormat) -> Together {
        match (self, format) {
            (Self::Webhook(_), control::SinkFormat::CloudEvents) => Together::Array,
            _ => Together::Lines,
        }
    }

    /// The most entries of a parcel.
    pub(crate) fn batch(&self) -> usize {
        match self {
            Self::Webhook(webhook) => webhook.batch(),
            Self::File(_) | Self::Stdout(_) => BATCH,
        }
    }

    /// Hands a parcel over. When this returns, it has arrived: a file's bytes are on the disk, a server has said so.
    pub(crate) async fn deliver(&mut self, parcel: Vec<u8>) -> Result<(), Refused> {
        match self {
            Self::File(file) => file.deliver(parcel).await,
            Self::Stdout(stdout) => stdout.deliver(parcel).await,
            Self::Webhook(webhook) => webhook.deliver(parcel).await,
        }
    }

    /// Before the first parcel, and after each failure: mends what a crash left half-done.
    pub(crate) async fn prepare(&mut self) -> Result<(), Refused> {
        match self {
            Self::File(file) => file.prepare().await,
            Self::Stdout(_) | Self::Webhook(_) => Ok(()),
        }
    }
}
