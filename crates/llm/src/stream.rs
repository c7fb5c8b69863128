//! An event stream observed as it passes.

use bytes::Bytes;
use model::Work;

use crate::meter::Meter;
use crate::sse::{Block, Splitter};
use crate::{Call, Endpoint, Reading};

/// Observes one event stream between provider and client.
///
/// What [`push`](Self::push) hands out, put together, is what came in, except that an observer that hides usage leaves
/// out OpenAI's extra usage chunk. That one is asked for by the gateway ([`Edit::include_usage`](crate::Edit)), and a
/// client that did not ask may trip over a chunk without choices.
///
/// To cut a stream: call [`drop_unfinished`](Self::drop_unfinished) on what has not been sent yet; if
/// [`mid_event`](Self::mid_event) still holds, send two line feeds, which end the event that the client has half of;
/// then send [`stream_error`](crate::stream_error). Do not call [`finish`](Self::finish) then.
#[derive(Debug)]
pub struct StreamObserver {
    splitter: Splitter,
    meter: Meter,
    /// Hidden is only OpenAI's extra chunk; for another dialect this is `None` and everything passes at once.
    hiding: Option<Hiding>,
    /// Bytes of an event that has not ended, among those handed out.
    unfinished: usize,
}

/// The event that came last, of which it is not known yet whether to hide it.
#[derive(Debug, Default)]
struct Hiding {
    held: Vec<Bytes>,
    /// The event before was hidden; so is a line feed that still belongs to its last line end.
    last_hidden: bool,
}

impl StreamObserver {
    /// An observer of what `call` gets back. It hides the usage chunk that the call did not ask for, and knows how many
    /// pictures make the stream complete and whether its text repeats the prompt.
    pub fn for_call(call: &Call) -> Self {
        let pictures = match &call.work {
            Work::Images { .. } => call.pictures,
            _ => 1,
        };
        Self::with(call.endpoint, !call.usage_asked, pictures, call.echo)
    }

    /// An observer at the start of a stream, of which nothing is known but its endpoint: one picture makes an image
    /// stream complete, and the text of an older completion may repeat the prompt.
    ///
    /// With `hide_usage` events are handed out only as wholes, so that OpenAI's extra usage chunk can be left out; one
    /// above [`MAX_EVENT`](crate::sse::MAX_EVENT) bytes passes as it comes.
    pub fn new(endpoint: Endpoint, hide_usage: bool) -> Self {
        Self::with(endpoint, hide_usage, 1, endpoint == Endpoint::Completions)
    }

    fn with(endpoint: Endpoint, hide_usage: bool, pictures: u64, echoes: bool) -> Self {
        let hide = hide_usage && endpoint.has_usage_option();
        let meter = Meter::new(endpoint, pictures, echoes);
        Self {
            splitter: if meter.has_long_strings() {
                Splitter::shortening()
            } else {
                Splitter::new()
            },
            meter,
            hiding: hide.then(Hiding::default),
            unfinished: 0,
        }
    }

    /// Takes in the next bytes of the body and appends to `out` what is to be delivered now, without copying it.
    pub fn push(&mut self, chunk: Bytes, out: &mut Vec<Bytes>) {
        if chunk.is_empty() {
            return;
        }
        match &mut self.hiding {
            None => {
                let (splitter, meter) = (&mut self.splitter, &mut self.meter);
                let of_event_before = event_line_feed(splitter, &chunk);
                let mut ended = None;
                splitter.push(&chunk, |block, end| {
                    observe(meter, block);
                    ended = Some(end);
                });
                self.unfinished = match ended {
                    Some(end) => chunk.len() - end,
                    // A whole byte order mark is no part of an event.
                    None if !splitter.in_block() => 0,
                    None => self.unfinished + chunk.len() - of_event_before,
                };
                out.push(chunk);
            }
            Some(hiding) => {
                self.unfinished = hiding.push(&mut self.splitter, &mut self.meter, chunk, self.unfinished, out);
            }
        }
    }

    /// Takes in that the body has ended, and appends to `out` what was held back.
    pub fn finish(&mut self, out: &mut Vec<Bytes>) {
        let meter = &mut self.meter;
        let mut hide = false;
        self.splitter.finish(|block, _| hide = observe(meter, block));
        if let Some(hiding) = &mut self.hiding {
            let held = std::mem::take(&mut hiding.held);
            if !hide {
                self.unfinished += held.iter().map(Bytes::len).sum::<usize>();
                out.extend(held);
            }
        }
    }

    /// Removes from the end of `out`, which must not have been sent, the bytes of an event that has not ended.
    pub fn drop_unfinished(&mut self, out: &mut Vec<Bytes>) {
        while self.unfinished > 0 {
            let Some(mut last) = out.pop() else { return };
            let kept = last.len().saturating_sub(self.unfinished);
            self.unfinished -= last.len() - kept;
            if kept > 0 {
                last.truncate(kept);
                out.push(last);
            }
        }
    }

    /// Whether what was handed out ends inside of an event.
    pub fn mid_event(&self) -> bool {
        self.unfinished > 0
    }

    /// What the stream has said about itself so far. Its usage stays `None` until the provider's figures are final:
    /// they stand on OpenAI's extra chunk, or no text came behind them before `[DONE]`; or they stand on Anthropic's
    /// `message_delta` with a stop reason, or on the event that closes a response, a transcript, speech or the last
    /// picture. So a stream that broke off has none, and its hold is booked.
    pub fn reading(&self) -> &Reading {
        &self.meter.reading
    }

    /// Whether the provider has said that the stream is complete (`[DONE]`, `message_stop`, `response.completed` and
    /// its kin, `transcript.text.done`, `speech.audio.done`, all pictures that were asked for).
    pub fn ended(&self) -> bool {
        self.meter.ended
    }

    /// What the provider's error event said, on one line of at most some 500 bytes. It may quote the request: it is for
    /// an operator's eyes, not for the audit trail.
    pub fn provider_error(&self) -> Option<&str> {
        self.meter.error.as_deref()
    }

    /// A true lower bound of the output tokens used so far: the provider's own running figure, or the generated text
    /// divided by the longest token there is ([`LONGEST_TOKEN_BYTES`](crate::LONGEST_TOKEN_BYTES)), whichever is more.
    pub fn proven_output_tokens(&self) -> u64 {
        self.meter.proven_output_tokens()
    }
}

impl Hiding {
    /// Returns how many bytes of an unfinished event have been handed out.
    fn push(
        &mut self,
        splitter: &mut Splitter,
        meter: &mut Meter,
        chunk: Bytes,
        unfinished: usize,
        out: &mut Vec<Bytes>,
    ) -> usize {
        // The chunk up to `begin` has been judged; of that, what comes from `keep` on is still to be handed out.
        let mut begin = event_line_feed(splitter, &chunk);
        let mut keep = if self.last_hidden { begin } else { 0 };
        let mut unfinished = unfinished;
        let Self { held, last_hidden } = self;
        splitter.push(&chunk, |block, end| {
            *last_hidden = observe(meter, block);
            if *last_hidden {
                held.clear();
                hand_out(&chunk, keep, begin, out);
                keep = end;
            } else {
                out.append(held);
            }
            unfinished = 0;
            begin = end;
        });
        if splitter.is_too_large() {
            unfinished += held.iter().map(Bytes::len).sum::<usize>() + chunk.len() - begin;
            hand_out(&chunk, keep, begin, out);
            out.append(held);
            hand_out(&chunk, begin, chunk.len(), out);
        } else {
            hand_out(&chunk, keep, begin, out);
            hand_out(&chunk, begin, chunk.len(), held);
        }
        unfinished
    }
}

/// Shows a block to the meter. Returns whether it is the extra usage chunk.
fn observe(meter: &mut Meter, block: Block<'_>) -> bool {
    match block {
        Block::Event(event) => return meter.observe(&event),
        Block::TooLarge => meter.observe_unreadable(),
        Block::Nothing => {}
    }
    false
}

/// How many bytes at the start of `chunk` belong to the line end of the event before: 1 or 0.
fn event_line_feed(splitter: &Splitter, chunk: &[u8]) -> usize {
    if splitter.in_block() {
        0
    } else {
        splitter.leading_line_feed(chunk)
    }
}

fn hand_out(chunk: &Bytes, from: usize, to: usize, out: &mut Vec<Bytes>) {
    if from < to {
        out.push(chunk.slice(from..to));
    }
}

#[cfg(test)]
mod tests;
