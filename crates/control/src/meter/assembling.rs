//! A stream that becomes a JSON reply: metered like a stream, delivered as one document.

use bytes::Bytes;
use entry::Status;
use llm::AssembleError;
use model::Reason;

use super::{BodyEnd, CUT, Meter, Settled, broken_off, status_of};

/// A stream of which no reply could be made. The hold has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unassembled {
    /// Why, as a code.
    pub reason: Reason,
    /// What the caller is told.
    pub message: String,
}

impl Unassembled {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        let message = message.into();
        Self { reason, message }
    }
}

impl Meter {
    /// A successful stream is about to be made into a reply.
    pub fn assembling(&mut self, http: u16) {
        self.http = Some(http);
    }

    /// Takes a part of the stream. An error means: stop, for what was provably used has passed the hold, or this will be
    /// no reply.
    ///
    /// # Errors
    /// What to tell the caller; the hold has ended.
    pub fn gather(&mut self, chunk: Bytes) -> Result<(), Unassembled> {
        let (Some(observer), Some(assembler)) = (&mut self.observer, &mut self.assembler) else {
            return Ok(());
        };
        let failed = assembler.push(&chunk).err();
        let mut passed = Vec::new();
        observer.push(chunk, &mut passed);
        let proven = observer.proven_output_tokens();
        if self.passes_hold(proven) {
            self.end_cut();
            return Err(Unassembled::new(Reason::HoldExceeded, CUT));
        }
        match failed {
            None => Ok(()),
            Some(error) => Err(self.end_unassembled(&error)),
        }
    }

    /// Whether the provider has said that the stream is complete.
    pub fn is_gathered(&self) -> bool {
        self.observer.as_ref().is_some_and(|observer| observer.ended())
    }

    /// The reply, when the body is over.
    ///
    /// # Errors
    /// What to tell the caller; the hold has ended.
    pub fn assembled(mut self, end: BodyEnd) -> Result<(Bytes, Settled), Unassembled> {
        let (Some(observer), Some(assembler)) = (&mut self.observer, self.assembler.take()) else {
            self.end_in_full(Status::Broken);
            return Err(Unassembled::new(Reason::UpstreamBroken, NO_REPLY));
        };
        observer.finish(&mut Vec::new());
        let (ended, failed) = (observer.ended(), observer.provider_error().is_some());
        let reading = observer.reading().clone();
        if !ended && end != BodyEnd::Complete {
            self.end_in_full(status_of(end));
            let (_, reason, message) = broken_off(end);
            return Err(Unassembled::new(reason, message));
        }
        let reply = match assembler.finish() {
            Ok(reply) => reply,
            Err(error) => return Err(self.end_unassembled(&error)),
        };
        self.delivered(&reply);
        let remaining = self.remaining();
        let status = if failed { Status::UpstreamError } else { Status::Ok };
        let cost = self.end_with(status, reading);
        let settled = Settled {
            cost,
            remaining,
            readable: true,
        };
        Ok((reply, settled))
    }

    /// Ends the hold of a stream that is no reply's: at the provider's figures if they are final, or else in full.
    fn end_unassembled(&mut self, error: &AssembleError) -> Unassembled {
        let (status, message) = match error {
            AssembleError::Failed(said) => (
                Status::UpstreamError,
                format!("The provider failed while it was answering: {said}"),
            ),
            AssembleError::Unfinished => (
                Status::Broken,
                "The provider's answer broke off before its end.".to_owned(),
            ),
            AssembleError::TooLarge => (
                Status::Broken,
                "The provider's answer is larger than may be read whole; ask for a stream, or raise limits.reply_size."
                    .to_owned(),
            ),
            _ => (Status::Broken, NO_REPLY.to_owned()),
        };
        tracing::warn!(action = ?self.id(), kind = error.kind(), "a stream could not be made into a reply");
        let reading = self.observer.as_ref().map(|observer| observer.reading().clone());
        self.end_with(status, reading.unwrap_or_default());
        Unassembled::new(Reason::UpstreamBroken, message)
    }
}

/// What a caller is told whose answer made no sense.
const NO_REPLY: &str = "The provider's answer is not one that can be read.";
