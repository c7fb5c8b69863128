//! How far a sink is in each log, and how it finds its place again in a log that was put back to an older copy.

use std::collections::BTreeMap;

use control::Feed;
use data_encoding::BASE64;
use model::{SinkName, TenantName};
use serde::{Deserialize, Serialize};
use tlog::{CompactRange, Hash};

use crate::task::Trouble;

const VERSION: u32 = 1;

/// A place where the sink once was: so many entries, with this root.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) size: u64,
    pub(crate) root: Hash,
}

/// The place in one log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Place {
    /// The tree of all entries that are behind the sink.
    pub(crate) range: CompactRange,
    /// Where it was before, in order: fewer and fewer the longer ago.
    marks: Vec<Mark>,
}

impl Place {
    /// Behind these entries, with no past.
    pub(crate) fn at(range: CompactRange) -> Self {
        let marks = Vec::new();
        Self { range, marks }
    }

    /// Notes where it is, as a place to come back to, and forgets older ones that stand close together for their age: from
    /// one that is left to the next older one, the age no more than doubles, but for what was never noted.
    fn note(&mut self) {
        let size = self.range.size();
        if self.marks.last().is_some_and(|last| last.size == size) || size == 0 {
            return;
        }
        let root = self.range.root();
        self.marks.push(Mark { size, root });
        let age = |mark: &Mark| size.saturating_sub(mark.size);
        let mut kept: Vec<Mark> = Vec::with_capacity(self.marks.len());
        let mut older = self.marks.iter().rev().skip(1).peekable();
        kept.extend(self.marks.last());
        while let Some(mark) = older.next() {
            let is_between = |newer: &Mark, next: &Mark| age(next) < age(newer).saturating_mul(2);
            match (kept.last(), older.peek()) {
                (Some(newer), Some(next)) if is_between(newer, next) => {}
                _ => kept.push(*mark),
            }
        }
        kept.reverse();
        self.marks = kept;
    }
}

/// The places in all logs. A log that is not there is at its beginning.
#[derive(Clone, Debug, Default)]
pub(crate) struct Cursor(pub(crate) BTreeMap<TenantName, Place>);

/// The file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    sink: SinkName,
    /// Marks by log, in order; the last is the place.
    logs: BTreeMap<TenantName, Vec<WrittenMark>>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenMark {
    size: u64,
    root: String,
}

/// A log that is not the one that the sink has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fork {
    pub(crate) tenant: TenantName,
    /// How many entries the sink had passed.
    pub(crate) had: u64,
    /// After how many it goes on: as far as is known, both logs have these.
    pub(crate) from: u64,
}

impl Cursor {
    /// The bytes of the file.
    pub(crate) fn write(&mut self, sink: &SinkName) -> Result<Vec<u8>, Trouble> {
        self.0.values_mut().for_each(Place::note);
        let logs = self.0.iter().map(|(tenant, place)| {
            let marks = place.marks.iter().map(|mark| WrittenMark {
                size: mark.size,
                root: BASE64.encode(&mark.root.0),
            });
            (tenant.clone(), marks.collect())
        });
        let written = Written {
            version: VERSION,
            sink: sink.clone(),
            logs: logs.collect(),
        };
        let mut bytes = serde_json::to_vec(&written).map_err(|error| Trouble::Cursor(error.to_string()))?;
        bytes.push(b'\n');
        Ok(bytes)
    }

    /// Reads the file, and finds each place in its log. Where a log does not have what the sink has read, the place is the
    /// last one known that both have, and the fork is told.
    pub(crate) async fn read(bytes: &[u8], sink: &SinkName, feed: &Feed) -> Result<(Self, Vec<Fork>), Trouble> {
        let marks = parse(bytes, sink).map_err(Trouble::Cursor)?;
        let (mut places, mut forks) = (BTreeMap::new(), Vec::new());
        for (tenant, marks) in marks {
            let (place, lost) = find(feed, &tenant, &marks).await?;
            if let Some(had) = lost {
                forks.push(Fork {
                    tenant: tenant.clone(),
                    had,
                    from: place.range.size(),
                });
            }
            places.insert(tenant, place);
        }
        Ok((Self(places), forks))
    }
}

/// The newest mark that the log agrees with. If that is not the newest of all, also how far the sink had been.
async fn find(feed: &Feed, tenant: &TenantName, marks: &[Mark]) -> Result<(Place, Option<u64>), Trouble> {
    let newest = marks.last().map(|mark| mark.size);
    for (at, mark) in marks.iter().enumerate().rev() {
        let Some(range) = feed.log.range_at(tenant, mark.size).await? else {
            continue;
        };
        if range.root() == mark.root {
            let place = Place {
                range,
                marks: marks.iter().take(at + 1).copied().collect(),
            };
            return Ok((place, newest.filter(|newest| *newest != mark.size)));
        }
    }
    Ok((Place::default(), newest))
}

fn parse(bytes: &[u8], sink: &SinkName) -> Result<BTreeMap<TenantName, Vec<Mark>>, String> {
    let help = "restore the file, or delete it: the sink then begins as `from` says";
    let written: Written = serde_json::from_slice(bytes).map_err(|error| format!("it is damaged ({error}); {help}"))?;
    if written.version != VERSION {
        let version = written.version;
        return Err(format!(
            "it is of version {version}, which this program does not know; {help}"
        ));
    }
    if written.sink != *sink {
        return Err(format!("it is of the sink {}; {help}", written.sink));
    }
    let mut logs = BTreeMap::new();
    for (tenant, marks) in written.logs {
        let mut read: Vec<Mark> = Vec::with_capacity(marks.len());
        for WrittenMark { size, root } in marks {
            let root = BASE64.decode(root.as_bytes()).ok();
            let root = root.and_then(|root| Hash::from_slice(&root).ok());
            match root {
                Some(root) if read.last().is_none_or(|last| last.size < size) => read.push(Mark { size, root }),
                _ => return Err(format!("the places in the log of {tenant} make no sense; {help}")),
            }
        }
        logs.insert(tenant, read);
    }
    Ok(logs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_marks_are_kept_and_none_is_far_from_any_past_place() {
        let mut place = Place::default();
        let mut seen: Vec<u64> = Vec::new();
        for index in 0..5_000_u64 {
            place.range.append(tlog::leaf_hash(&index.to_be_bytes()));
            if index % 7 == 0 {
                place.note();
                seen.push(place.range.size());
            }
            let size = place.range.size();
            assert!(place.marks.len() <= 28, "{:?}", place.marks);
            assert!(place.marks.windows(2).all(|pair| pair[0].size < pair[1].size));
            // However much was lost: the sink goes back by not much more than twice as far.
            for back in [14, 100, 1_000, 4_000] {
                let Some(fork) = size.checked_sub(back).filter(|fork| *fork > 0) else {
                    continue;
                };
                let found = place
                    .marks
                    .iter()
                    .rev()
                    .find(|mark| mark.size <= fork)
                    .map_or(0, |mark| mark.size);
                assert!(
                    size - found <= 2 * back + 14,
                    "{size}: {back} back finds {found} of {:?}",
                    place.marks
                );
            }
        }
        assert!(seen.len() > 700);
    }

    #[test]
    fn a_file_is_read_as_it_was_written_or_it_is_said_why_not() {
        let sink = SinkName::new("siem").unwrap();
        let mut place = Place::default();
        place.range.append(tlog::leaf_hash(b"a"));
        let root = BASE64.encode(&place.range.root().0);
        let mut cursor = Cursor(BTreeMap::from([(TenantName::default_tenant(), place)]));
        let bytes = cursor.write(&sink).unwrap();
        let text = String::from_utf8(bytes.clone()).unwrap();
        let expected = format!(
            "{{\"version\":1,\"sink\":\"siem\",\"logs\":{{\"default\":[{{\"size\":1,\"root\":\"{root}\"}}]}}}}\n"
        );
        assert_eq!(text, expected);
        assert_eq!(parse(&bytes, &sink).unwrap()[&TenantName::default_tenant()].len(), 1);
        for (bad, expected) in [
            (String::new(), "it is damaged"),
            (text[..20].to_owned(), "it is damaged"),
            (text.replace("\"version\":1", "\"version\":2"), "it is of version 2"),
            (text.replace("siem", "other"), "it is of the sink other"),
            (text.replace(&root, "AAAA"), "make no sense"),
            (text.replace('[', "[{\"size\":1,\"root\":\"x\"},"), "make no sense"),
        ] {
            let error = parse(bad.as_bytes(), &sink).unwrap_err();
            assert!(
                error.contains(expected) && error.contains("delete it"),
                "{bad}: {error}"
            );
        }
    }
}
