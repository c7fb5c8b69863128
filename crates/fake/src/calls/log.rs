//! The store of the calls, bounded in number and in bytes.

use std::collections::VecDeque;

use bytes::Bytes;
use http::{HeaderMap, header::AUTHORIZATION};

use super::{Billed, Finished, SeenCall};

/// A body longer than this is not kept.
const BODY_MAX: usize = 4 << 20;

/// What is known of a call when it arrives.
pub(crate) struct Arrival<'a> {
    pub(crate) at_micros: u64,
    pub(crate) method: &'a str,
    pub(crate) path: &'a str,
    pub(crate) model: &'a str,
    pub(crate) stream: bool,
    pub(crate) headers: &'a HeaderMap,
    pub(crate) body: &'a [u8],
}

/// What is known of a call when it ends.
#[derive(Clone, Copy, Default)]
pub(crate) struct Outcome {
    pub(crate) status: Option<u16>,
    pub(crate) delivered_events: u64,
    pub(crate) billed: Billed,
}

/// The remembered calls. Their numbers have no gaps.
pub(super) struct Log {
    keep_calls: usize,
    keep_bytes: usize,
    generation: u64,
    records: VecDeque<Record>,
    last: u64,
    /// The bytes of headers and bodies that `records` holds.
    bytes: usize,
    /// The lowest number whose record may still have its headers and body.
    untrimmed: u64,
}

/// A call in few allocations; [`SeenCall`] is made of it when someone asks. Everything is copied: slices of the
/// connection's read buffer would keep the whole buffer alive.
struct Record {
    number: u64,
    at_micros: u64,
    method: Box<str>,
    path: Box<str>,
    model: Box<str>,
    stream: bool,
    /// A line `name: value` for each header.
    headers: Box<str>,
    body: Bytes,
    body_bytes: usize,
    trimmed: bool,
    finished: Finished,
    outcome: Outcome,
}

impl Log {
    pub(super) fn new(keep_calls: usize, keep_bytes: usize) -> Self {
        let records = VecDeque::new();
        Self {
            keep_calls,
            keep_bytes,
            generation: 0,
            records,
            last: 0,
            bytes: 0,
            untrimmed: 1,
        }
    }

    /// Adds a call; gives the generation of the log and the call's number.
    pub(super) fn begin(&mut self, arrival: Arrival<'_>) -> (u64, u64) {
        self.last += 1;
        let record = Record::new(self.last, &arrival);
        self.bytes += record.bytes();
        self.records.push_back(record);
        while self.records.len() > self.keep_calls {
            if let Some(oldest) = self.records.pop_front() {
                self.bytes -= oldest.bytes();
            }
        }
        while self.bytes > self.keep_bytes && self.untrimmed <= self.last {
            let number = self.untrimmed;
            self.untrimmed += 1;
            if let Some(record) = self.record(number) {
                let freed = record.trim();
                self.bytes -= freed;
            }
        }
        (self.generation, self.last)
    }

    pub(super) fn answering(&mut self, generation: u64, number: u64, status: u16) {
        if generation == self.generation
            && let Some(record) = self.record(number)
        {
            record.outcome.status = Some(status);
        }
    }

    /// Records the end of a call. False if the call belongs to a log that has been reset.
    pub(super) fn finish(&mut self, generation: u64, number: u64, outcome: Outcome, finished: Finished) -> bool {
        if generation != self.generation {
            return false;
        }
        if let Some(record) = self.record(number) {
            record.outcome = outcome;
            record.finished = finished;
        }
        true
    }

    pub(super) fn after(&self, number: u64) -> Vec<SeenCall> {
        let known = self
            .records
            .front()
            .map_or(0, |first| number.saturating_add(1).saturating_sub(first.number));
        self.records
            .iter()
            .skip(usize::try_from(known).unwrap_or(usize::MAX))
            .map(Record::seen)
            .collect()
    }

    pub(super) fn call(&self, number: u64) -> Option<SeenCall> {
        self.position(number)
            .and_then(|at| self.records.get(at))
            .map(Record::seen)
    }

    pub(super) fn reset(&mut self) {
        *self = Self {
            generation: self.generation + 1,
            ..Self::new(self.keep_calls, self.keep_bytes)
        };
    }

    fn position(&self, number: u64) -> Option<usize> {
        let first = self.records.front()?.number;
        usize::try_from(number.checked_sub(first)?).ok()
    }

    fn record(&mut self, number: u64) -> Option<&mut Record> {
        self.position(number).and_then(|at| self.records.get_mut(at))
    }
}

impl Record {
    fn new(number: u64, arrival: &Arrival<'_>) -> Self {
        let kept = arrival.body.len() <= BODY_MAX;
        Self {
            number,
            at_micros: arrival.at_micros,
            method: arrival.method.into(),
            path: arrival.path.into(),
            model: arrival.model.into(),
            stream: arrival.stream,
            headers: lines(arrival.headers).into(),
            body: if kept {
                Bytes::copy_from_slice(arrival.body)
            } else {
                Bytes::new()
            },
            body_bytes: arrival.body.len(),
            trimmed: !kept,
            finished: Finished::Open,
            outcome: Outcome::default(),
        }
    }

    fn bytes(&self) -> usize {
        self.headers.len() + self.body.len()
    }

    /// Drops headers and body; gives the number of bytes freed.
    fn trim(&mut self) -> usize {
        let freed = self.bytes();
        self.headers = Box::default();
        self.body = Bytes::new();
        self.trimmed = true;
        freed
    }

    fn seen(&self) -> SeenCall {
        let headers = self.headers.lines().filter_map(|line| line.split_once(": "));
        let headers: Vec<_> = headers
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        SeenCall {
            number: self.number,
            at_micros: self.at_micros,
            method: self.method.to_string(),
            path: self.path.to_string(),
            model: self.model.to_string(),
            stream: self.stream,
            credential: credential(&headers).map(str::to_owned),
            headers,
            body: self.body.clone(),
            body_bytes: u64::try_from(self.body_bytes).unwrap_or(u64::MAX),
            trimmed: self.trimmed,
            status: self.outcome.status,
            finished: self.finished,
            delivered_events: self.outcome.delivered_events,
            billed: self.outcome.billed,
        }
    }
}

/// One line a header. A value cannot contain a line break (RFC 9110, section 5.5); bytes that are not UTF-8 are replaced.
fn lines(headers: &HeaderMap) -> String {
    let mut lines = String::with_capacity(
        headers
            .iter()
            .map(|(name, value)| name.as_str().len() + value.len() + 3)
            .sum(),
    );
    for (name, value) in headers {
        lines.push_str(name.as_str());
        lines.push_str(": ");
        lines.push_str(&String::from_utf8_lossy(value.as_bytes()));
        lines.push('\n');
    }
    lines
}

fn credential(headers: &[(String, String)]) -> Option<&str> {
    let value = |name: &str| {
        headers
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.as_str())
    };
    let bearer = value(AUTHORIZATION.as_str()).map(|value| value.strip_prefix("Bearer ").unwrap_or(value));
    value("x-api-key").or_else(|| value("api-key")).or(bearer)
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn begin(log: &mut Log, body: &[u8]) -> (u64, u64) {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", HeaderValue::from_static("secret-1"));
        headers.append("accept", HeaderValue::from_static("a: b"));
        headers.append("accept", HeaderValue::from_static(""));
        let (method, path, model) = ("POST", "/v1/messages", "m");
        log.begin(Arrival {
            at_micros: 9,
            method,
            path,
            model,
            stream: false,
            headers: &headers,
            body,
        })
    }

    #[test]
    fn a_call_is_remembered_as_it_came() {
        let mut log = Log::new(10, 1000);
        begin(&mut log, b"body");
        let seen = log.call(1).unwrap();
        let expected = [("x-api-key", "secret-1"), ("accept", "a: b"), ("accept", "")];
        assert_eq!(
            seen.headers,
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(seen.credential.as_deref(), Some("secret-1"));
        assert_eq!(
            (&*seen.body, seen.finished, seen.status),
            (&b"body"[..], Finished::Open, None)
        );
        assert!(!format!("{seen:?}").contains("secret-1"));
    }

    #[test]
    fn the_oldest_calls_are_forgotten_first() {
        let mut log = Log::new(3, 100_000);
        for _ in 0..5 {
            begin(&mut log, b"x");
        }
        let numbers = |log: &Log, after| log.after(after).iter().map(|seen| seen.number).collect::<Vec<_>>();
        assert_eq!(numbers(&log, 0), [3, 4, 5]);
        assert_eq!(numbers(&log, 4), [5]);
        assert!(numbers(&log, 9).is_empty());
        assert!(log.call(2).is_none() && log.call(6).is_none());
        assert_eq!(log.bytes, log.records.iter().map(Record::bytes).sum::<usize>());
    }

    #[test]
    fn the_oldest_bodies_are_dropped_first_and_bytes_stay_bounded() {
        let mut log = Log::new(10, 2000);
        for _ in 0..6 {
            begin(&mut log, &[7; 600]);
            assert!(log.bytes <= 2000);
        }
        let trimmed: Vec<_> = log
            .after(0)
            .iter()
            .map(|seen| (seen.trimmed, seen.body.len()))
            .collect();
        let (gone, kept) = ((true, 0), (false, 600));
        assert_eq!(trimmed, [gone, gone, gone, kept, kept, kept]);
        begin(&mut log, &vec![0; BODY_MAX + 1]);
        let seen = log.call(7).unwrap();
        assert!(seen.trimmed && seen.body.is_empty());
        assert_eq!(seen.body_bytes, u64::try_from(BODY_MAX + 1).unwrap());
    }

    #[test]
    fn a_call_that_ends_after_a_reset_changes_nothing() {
        let mut log = Log::new(10, 1000);
        let (old, number) = begin(&mut log, b"");
        log.reset();
        let (new, again) = begin(&mut log, b"");
        assert_eq!((number, again), (1, 1));
        assert!(!log.finish(old, 1, Outcome::default(), Finished::Completed));
        assert_eq!(log.call(1).unwrap().finished, Finished::Open);
        assert!(log.finish(new, 1, Outcome::default(), Finished::Cut));
        assert_eq!(log.call(1).unwrap().finished, Finished::Cut);
    }
}
