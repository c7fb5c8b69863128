//! The text that the simulated models write: one paragraph, over and over. A word with the space before it is a token.

use std::sync::LazyLock;

use crate::out::Out;

/// Every word is led by its space, so that the paragraph can follow itself. No character of it needs escaping in JSON.
const PARAGRAPH: &str = " An agent with a budget works like a colleague with a purse: it knows what it may spend, asks \
    before it spends more, and can show every receipt. The budget is held before the call leaves and settled when the \
    answer is in, so two calls at once can never spend the same money. Whoever owns the agent can read what it did, \
    what it cost and who allowed it. Nothing here came from a model; a simulated provider wrote it for you.";

/// Where each word of the paragraph ends, in bytes; ascending, the last is the paragraph's length.
static ENDS: LazyLock<Vec<usize>> = LazyLock::new(|| {
    let inner = PARAGRAPH
        .bytes()
        .enumerate()
        .skip(1)
        .filter(|(_, byte)| *byte == b' ')
        .map(|(at, _)| at);
    inner.chain([PARAGRAPH.len()]).collect()
});

/// The length in bytes of a text of so many tokens. The space before the first word is not part of the text.
pub(crate) fn length(tokens: u64) -> usize {
    let words = u64::try_from(ENDS.len()).unwrap_or(u64::MAX).max(1);
    let Ok(cycles) = usize::try_from(tokens / words) else {
        return usize::MAX;
    };
    let rest = usize::try_from(tokens % words).unwrap_or(0);
    let rest = rest
        .checked_sub(1)
        .and_then(|last| ENDS.get(last))
        .copied()
        .unwrap_or(0);
    cycles
        .saturating_mul(PARAGRAPH.len())
        .saturating_add(rest)
        .saturating_sub(1)
}

/// How many tokens the first `bytes` bytes of the text belong to; a word that has begun counts.
pub(crate) fn tokens(bytes: usize) -> u64 {
    let Some(last) = bytes.checked_sub(1) else {
        return 0;
    };
    // The index of the last byte, counted with the leading space.
    let last = last.saturating_add(1);
    let in_cycle = ENDS.partition_point(|end| *end <= last % PARAGRAPH.len()) + 1;
    let cycles = last / PARAGRAPH.len();
    u64::try_from(cycles.saturating_mul(ENDS.len()).saturating_add(in_cycle)).unwrap_or(u64::MAX)
}

/// Writes the bytes from `from` up to `to` of the text.
pub(crate) fn write(from: usize, to: usize, out: &mut Out) {
    let (mut from, to) = (from.saturating_add(1), to.saturating_add(1));
    while from < to {
        let start = from % PARAGRAPH.len();
        let end = PARAGRAPH.len().min(start + (to - from));
        out.text(PARAGRAPH.get(start..end).unwrap_or_default());
        from += end - start;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(from: usize, to: usize) -> String {
        let mut out = Out::default();
        write(from, to, &mut out);
        String::from_utf8(out.take().to_vec()).unwrap()
    }

    #[test]
    fn the_paragraph_needs_no_escaping_and_has_single_spaces() {
        assert!(
            PARAGRAPH
                .bytes()
                .all(|b| (b' '..=b'~').contains(&b) && b != b'"' && b != b'\\')
        );
        assert!(!PARAGRAPH.contains("  "));
        assert_eq!(ENDS.len(), PARAGRAPH.split_whitespace().count());
    }

    #[test]
    fn length_and_tokens_agree_with_the_words_written() {
        for count in 0..400_u64 {
            let length = length(count);
            let whole = text(0, length);
            assert_eq!(whole.len(), length);
            assert_eq!(whole.split_whitespace().count(), usize::try_from(count).unwrap());
            assert_eq!(tokens(length), count, "{count} tokens");
            assert!(!whole.starts_with(' ') && !whole.ends_with(' '));
        }
    }

    #[test]
    fn a_text_in_pieces_is_the_whole_text() {
        let whole = text(0, 5000);
        let pieces: String = (0..50).map(|i| text(i * 100, i * 100 + 100)).collect();
        assert_eq!(whole, pieces);
        for bytes in 1..5000 {
            let words = whole.get(..bytes).unwrap().split_whitespace().count();
            // A trailing space already belongs to the next word.
            let begun = words + usize::from(whole.as_bytes()[bytes - 1] == b' ');
            assert_eq!(tokens(bytes), u64::try_from(begun).unwrap(), "{bytes} bytes");
        }
    }
}
