//! Event streams: split, observed, passed on, cut.

use bytes::Bytes;
use llm::sse::{Block, MAX_EVENT, Splitter};
use llm::{Dialect, Endpoint, StreamObserver, error_body, stream_error};
use model::Reason;

use crate::cut::pieces;
use crate::replies::possible;

/// The ways a stream is cut into pieces, beside not at all.
const WAYS: [u64; 4] = [0, 1, 2, 3];

/// An event, or what stood in its place, with the offset of what follows it.
type Seen = (Option<(Vec<u8>, Vec<u8>)>, usize);

/// Events are those of the standard, however the stream is cut.
pub fn sse(data: &[u8]) {
    let whole = split(Splitter::new(), &[data]);
    let events: Vec<_> = whole.iter().filter_map(|(event, _)| event.clone()).collect();
    assert_eq!(events, plainly(data), "not the events of the standard");
    let shortened = split(Splitter::shortening(), &[data]);
    if data.len() < llm::sse::MAX_STRING {
        assert_eq!(shortened, whole, "nothing was long");
    }
    for way in WAYS {
        let pieces = pieces(data, way);
        assert_eq!(split(Splitter::new(), &pieces), whole, "cut the way {way}");
        assert_eq!(
            split(Splitter::shortening(), &pieces),
            shortened,
            "shortened, cut the way {way}"
        );
    }
}

/// A stream passes unchanged and is read the same, however it is cut, and can be ended at any place.
pub fn stream(data: &[u8]) {
    for endpoint in Endpoint::ALL.into_iter().filter(|endpoint| endpoint.may_stream()) {
        // Only these hide anything.
        let hiding: &[bool] = match endpoint.has_usage_option() {
            true => &[false, true],
            false => &[false],
        };
        for &hide in hiding {
            let whole = observe(endpoint, hide, data, &[data]);
            for way in [0, 1] {
                let parts = observe(endpoint, hide, data, &pieces(data, way));
                assert_eq!(parts, whole, "{endpoint:?}, cut the way {way}");
            }
        }
    }
    for endpoint in [
        Endpoint::ChatCompletions,
        Endpoint::Messages,
        Endpoint::ImageGenerations,
    ] {
        for way in WAYS {
            ended_in_the_middle(endpoint, &pieces(data, way));
        }
    }
}

/// What is kept of a stream is bounded: the input is repeated until it is longer than an event may be.
pub fn stream_memory(data: &[u8]) {
    const PIECE: usize = 64 << 10;
    if data.is_empty() {
        return;
    }
    let long: Vec<u8> = data.iter().copied().cycle().take(MAX_EVENT + MAX_EVENT / 4).collect();
    // An observer that hides usage leaves out whole events: then less comes out than went in, and nothing is kept.
    let may_hide = memchr::memmem::find(data, b"usage").is_some() || data.contains(&b'\\');
    for (endpoint, hide) in [
        (Endpoint::ChatCompletions, true),
        (Endpoint::Responses, false),
        (Endpoint::Messages, false),
    ] {
        let mut observer = StreamObserver::new(endpoint, hide);
        let (mut fed, mut delivered) = (0, 0);
        let mut out = Vec::new();
        for piece in long.chunks(PIECE) {
            fed += piece.len();
            observer.push(Bytes::copy_from_slice(piece), &mut out);
            delivered += out.drain(..).map(|bytes: Bytes| bytes.len()).sum::<usize>();
            let kept = fed - delivered;
            assert!(may_hide || kept <= MAX_EVENT, "{endpoint:?} keeps {kept} bytes");
            assert!(!hide || kept == 0 || may_hide || observer.reading().usage.is_none());
        }
        observer.finish(&mut out);
        delivered += out.iter().map(Bytes::len).sum::<usize>();
        assert!(
            may_hide || delivered == fed,
            "{endpoint:?} lost {} bytes",
            fed - delivered
        );
        possible(endpoint, observer.reading());
    }
}

fn split(mut splitter: Splitter, pieces: &[&[u8]]) -> Vec<Seen> {
    let mut seen = Vec::new();
    let mut before = 0;
    let own = |block: Block<'_>| match block {
        Block::Event(event) => Some((event.name.to_vec(), event.data.to_vec())),
        Block::Nothing | Block::TooLarge => None,
    };
    for piece in pieces {
        splitter.push(piece, |block, end| seen.push((own(block), before + end)));
        before += piece.len();
    }
    splitter.finish(|block, end| seen.push((own(block), end)));
    settle_line_ends(seen, pieces)
}

/// Where a line feed comes in the next piece, the event ended behind the carriage return already: both offsets are
/// right, so they are compared by the one behind the line feed.
fn settle_line_ends(mut seen: Vec<Seen>, pieces: &[&[u8]]) -> Vec<Seen> {
    let stream = pieces.concat();
    for (_, end) in &mut seen {
        let around = end.checked_sub(1).and_then(|before| stream.get(before..*end + 1));
        if around == Some(b"\r\n") {
            *end += 1;
        }
    }
    seen
}

/// The events of a stream as the standard puts it, without any thought of speed; the last one counts even if nothing
/// ended it.
fn plainly(stream: &[u8]) -> Vec<(Vec<u8>, Vec<u8>)> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    let mut lines: Vec<Vec<u8>> = vec![Vec::new()];
    let mut bytes = stream.iter().peekable();
    while let Some(byte) = bytes.next() {
        match byte {
            b'\r' => {
                let _ = bytes.next_if(|next| **next == b'\n');
                lines.push(Vec::new());
            }
            b'\n' => lines.push(Vec::new()),
            byte => lines.iter_mut().last().into_iter().for_each(|line| line.push(*byte)),
        }
    }
    let mut events = Vec::new();
    let (mut name, mut data) = (Vec::new(), None::<Vec<u8>>);
    // The end of the stream ends the last event, as an empty line would.
    lines.push(Vec::new());
    for line in lines {
        if line.is_empty() {
            let name = std::mem::take(&mut name);
            events.extend(data.take().map(|data| (name, data)));
            continue;
        }
        let at = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
        let (field, value) = line.split_at(at);
        let value = value.strip_prefix(b":").unwrap_or_default();
        let value = value.strip_prefix(b" ").unwrap_or(value);
        match (field, &mut data) {
            (b"event", _) => name = value.to_vec(),
            (b"data", None) => data = Some(value.to_vec()),
            (b"data", Some(data)) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            _ => {}
        }
    }
    events
}

/// What an observer said of a stream, and what it handed out.
#[derive(Debug, PartialEq)]
struct Observed {
    delivered: Vec<u8>,
    reading: llm::Reading,
    ended: bool,
    error: Option<String>,
    proven: u64,
}

fn observe(endpoint: Endpoint, hide: bool, data: &[u8], pieces: &[&[u8]]) -> Observed {
    let mut observer = StreamObserver::new(endpoint, hide);
    let mut out = Vec::new();
    let mut proven = 0;
    for piece in pieces {
        observer.push(Bytes::copy_from_slice(piece), &mut out);
        let now = observer.proven_output_tokens();
        assert!(now >= proven, "{endpoint:?} took back what was proven");
        proven = now;
    }
    observer.finish(&mut out);
    let delivered = out.concat();
    if hide && endpoint.has_usage_option() {
        let may_hide = memchr::memmem::find(data, b"usage").is_some() || data.contains(&b'\\');
        assert!(may_hide || delivered == data, "{endpoint:?} hid what is no usage");
        assert!(delivered.len() <= data.len());
    } else {
        assert_eq!(delivered, data, "{endpoint:?} changed the stream");
    }
    let reading = observer.reading().clone();
    possible(endpoint, &reading);
    let error = observer.provider_error().map(ToOwned::to_owned);
    if let Some(error) = &error {
        assert!(error.len() <= 600 && !error.chars().any(char::is_control), "{error:?}");
    }
    if let Some(usage) = &reading.usage {
        let all = usage
            .output
            .saturating_add(usage.audio_output)
            .saturating_add(usage.image_output);
        assert!(observer.proven_output_tokens() <= all.max(proven));
    }
    Observed {
        delivered,
        reading,
        ended: observer.ended(),
        error,
        proven: observer.proven_output_tokens(),
    }
}

/// A stream that is cut ends with an event of ours that stands for itself, whatever came before it.
fn ended_in_the_middle(endpoint: Endpoint, pieces: &[&[u8]]) {
    let (dialect, reason) = (endpoint.dialect(), Reason::HoldExceeded);
    let (sent_at_once, kept_back) = pieces.split_at(pieces.len() / 2);
    let mut observer = StreamObserver::new(endpoint, true);
    let mut sent = Vec::new();
    for piece in sent_at_once {
        observer.push(Bytes::copy_from_slice(piece), &mut sent);
    }
    let mut unsent = Vec::new();
    for piece in kept_back {
        observer.push(Bytes::copy_from_slice(piece), &mut unsent);
    }
    observer.drop_unfinished(&mut unsent);
    let mut stream = sent.concat();
    stream.extend(unsent.concat());
    if observer.mid_event() {
        stream.extend_from_slice(b"\n\n");
    }
    stream.extend(stream_error(dialect, reason, "It is \"over\".", "req_1"));

    let said = error_body(dialect, reason.status(), reason, "It is \"over\".", "req_1").to_vec();
    let events = plainly(&stream);
    let expected = match dialect {
        Dialect::OpenAi => vec![(Vec::new(), said), (Vec::new(), b"[DONE]".to_vec())],
        Dialect::Anthropic => vec![(b"error".to_vec(), said)],
    };
    let last = events.get(events.len().saturating_sub(expected.len())..);
    assert_eq!(
        last,
        Some(expected.as_slice()),
        "the end of a cut stream is not an event of its own"
    );
}
