use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug, PartialEq)]
enum Seen {
    Event(Vec<u8>, Vec<u8>),
    TooLarge,
}

fn see(block: Block<'_>) -> Option<Seen> {
    match block {
        Block::Event(event) => Some(Seen::Event(event.name.to_vec(), event.data.to_vec())),
        Block::TooLarge => Some(Seen::TooLarge),
        Block::Nothing => None,
    }
}

/// Splits `stream`, cut at `cuts`.
fn split(stream: &[u8], cuts: &[usize]) -> Vec<Seen> {
    let mut splitter = Splitter::new();
    let mut seen = Vec::new();
    for chunk in chunks(stream, cuts) {
        splitter.push(chunk, |block, end| {
            assert!(end <= chunk.len());
            seen.extend(see(block));
        });
    }
    splitter.finish(|block, _| seen.extend(see(block)));
    seen
}

fn chunks<'a>(stream: &'a [u8], cuts: &[usize]) -> Vec<&'a [u8]> {
    let mut ends: Vec<_> = cuts.iter().map(|cut| cut % (stream.len() + 1)).collect();
    ends.push(stream.len());
    ends.sort_unstable();
    let starts = std::iter::once(0).chain(ends.clone());
    starts
        .zip(ends.iter().copied())
        .map(|(start, end)| &stream[start..end])
        .collect()
}

/// The standard's algorithm, on the whole stream at once, with an event at the end that no blank line ended.
fn by_the_book(stream: &[u8]) -> Vec<Seen> {
    let stream = stream.strip_prefix(b"\xef\xbb\xbf").unwrap_or(stream);
    // Bytes to characters one to one, so that lines can be split as text.
    let text: String = stream.iter().copied().map(char::from).collect();
    let bytes = |text: &str| {
        text.chars()
            .map(|c| u8::try_from(u32::from(c)).unwrap())
            .collect::<Vec<u8>>()
    };
    let mut seen = Vec::new();
    let (mut name, mut data) = (String::new(), String::new());
    for line in text.replace("\r\n", "\n").replace('\r', "\n").split('\n').chain([""]) {
        let (field, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.strip_prefix(' ').unwrap_or(value);
        match (line, field) {
            ("", _) => {
                if let Some(data) = data.strip_suffix('\n') {
                    seen.push(Seen::Event(bytes(&name), bytes(data)));
                }
                name.clear();
                data.clear();
            }
            (_, "event") => name = value.to_owned(),
            (_, "data") => {
                data.push_str(value);
                data.push('\n');
            }
            _ => {}
        }
    }
    seen
}

#[test]
fn follows_the_standard() {
    let check = |stream: &str, events: &[(&str, &str)]| {
        let events: Vec<_> = events
            .iter()
            .map(|(name, data)| Seen::Event(name.as_bytes().to_vec(), data.as_bytes().to_vec()))
            .collect();
        assert_eq!(split(stream.as_bytes(), &[]), events, "{stream:?}");
        assert_eq!(by_the_book(stream.as_bytes()), events, "{stream:?}");
        let every_byte: Vec<_> = (0..stream.len()).collect();
        assert_eq!(split(stream.as_bytes(), &every_byte), events, "{stream:?} byte by byte");
    };
    check("", &[]);
    check("\n\n\n", &[]);
    check("data: a\n\ndata: b\n\n", &[("", "a"), ("", "b")]);
    check("data: a\r\n\r\ndata: b\r\n\r\n", &[("", "a"), ("", "b")]);
    check("data: a\r\rdata: b\r\r", &[("", "a"), ("", "b")]);
    check("data: a\r\n\ndata: b\n\r\n", &[("", "a"), ("", "b")]);
    check("data: YHOO\ndata: +2\ndata: 10\n\n", &[("", "YHOO\n+2\n10")]);
    check("data:a\n\ndata:  a\n\n", &[("", "a"), ("", " a")]);
    check("data\n\ndata\ndata\n\ndata:", &[("", ""), ("", "\n"), ("", "")]);
    check(": ping\n\n:\n\ndata: a\n\n", &[("", "a")]);
    check("event: x\nid: 1\nretry: 5\nfoo: bar\ndata: a\n\n", &[("x", "a")]);
    check("event: lost\n\ndata: a\n\n", &[("", "a")]);
    check("event: a\nevent: b\ndata: c\n\n", &[("b", "c")]);
    check("Data: a\n data: b\n\n", &[]);
    check("\u{feff}data: a\n\n\u{feff}data: b\n\n", &[("", "a")]);
    check("\u{feff}\n\ndata: a\n\n", &[("", "a")]);
    check("data: no blank line", &[("", "no blank line")]);
    check("data: one line feed\n", &[("", "one line feed")]);
    check("data: a:b: {\"c\":\"d\"}\n\n", &[("", "a:b: {\"c\":\"d\"}")]);
}

#[test]
fn half_a_byte_order_mark_is_the_beginning_of_a_line() {
    for cuts in [&[][..], &[1], &[2], &[1, 2, 3]] {
        assert_eq!(
            split(b"\xef\xbbdata: a\n\ndata: b\n\n", cuts),
            [Seen::Event(vec![], b"b".to_vec())]
        );
        assert_eq!(
            split(b"\xefdata: a\n\ndata: b\n\n", cuts),
            [Seen::Event(vec![], b"b".to_vec())]
        );
    }
}

#[test]
fn a_large_event_is_told_of_and_not_kept() {
    let largest = MAX_EVENT - "data: \n".len();
    let stream = |bytes: usize| [b"data: ", &b"x".repeat(bytes)[..], b"\n\ndata: y\n\n"].concat();
    let y = Seen::Event(vec![], b"y".to_vec());
    for cuts in [
        &[][..],
        &[7],
        &[MAX_EVENT - 1],
        &[MAX_EVENT, MAX_EVENT + 1, MAX_EVENT + 2],
        &[100_000, 600_000],
    ] {
        let kept = Seen::Event(vec![], b"x".repeat(largest));
        assert!(split(&stream(largest), cuts) == [kept, y.clone()]);
        assert!(split(&stream(largest + 1), cuts) == [Seen::TooLarge, y.clone()]);
        assert!(split(&stream(10 << 20), cuts) == [Seen::TooLarge, y.clone()]);
        let lines = [b"data: x\n".repeat(MAX_EVENT / 8 + 1), b"\ndata: y\n\n".to_vec()].concat();
        assert!(split(&lines, cuts) == [Seen::TooLarge, y.clone()]);
    }

    let mut splitter = Splitter::new();
    for _ in 0..100 {
        splitter.push(&b"x".repeat(100_000), |_, _| {});
        assert!(splitter.line.capacity() + splitter.data.capacity() < 3 * MAX_EVENT);
    }
    assert!(splitter.is_too_large() && splitter.in_block());
}

/// Streams of the pieces that matter to the grammar.
fn any_stream() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        "\n", "\r", "\r\n", "\n\n", "\r\n\r\n", "data", "data:", "data: ", "event: e", ":", ": c", "x", "{}", "é",
        "\u{feff}", " ", "id: 1",
    ]);
    proptest::collection::vec(piece, 0..24).prop_map(|pieces| pieces.concat().into_bytes())
}

proptest! {
    #[test]
    fn any_split_gives_the_events_of_the_standard(
        stream in any_stream(), cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assert_eq!(split(&stream, &cuts), by_the_book(&stream));
    }

    #[test]
    fn arbitrary_bytes_split_the_same_way(
        stream in proptest::collection::vec(prop_oneof![any::<u8>(), prop::sample::select(&b"\r\n:d"[..])], 0..64),
        cuts in proptest::collection::vec(any::<usize>(), 0..8),
    ) {
        prop_assert_eq!(split(&stream, &cuts), by_the_book(&stream));
    }

    /// The ends that are told are the ends of the blocks: cutting the stream there loses nothing.
    #[test]
    fn ends_are_exact(stream in any_stream()) {
        let mut ends = Vec::new();
        let mut splitter = Splitter::new();
        splitter.push(&stream, |_, end| ends.push(end));
        for end in ends {
            let mut whole = split(&stream[..end], &[]);
            // A mark in the middle is not one at the start.
            let rest = [b"\n", &stream[end..]].concat();
            whole.extend(split(&rest, &[]));
            prop_assert_eq!(whole, split(&stream, &[]));
        }
    }
}
