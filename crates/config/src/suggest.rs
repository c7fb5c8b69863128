//! "Did you mean ...?"

pub(crate) use model::nearest;

/// The longest word that is shown whole.
const MAX_WORD: usize = 64;

/// What to say about a word that is none of the known ones: the one it was probably meant to be, or all of them.
/// `kind` says what they are, such as `keys`.
pub(crate) fn help(word: &str, kind: &str, known: &[&str]) -> String {
    match nearest(word, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None => {
            let known: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            format!("known {kind}: {}", known.join(", "))
        }
    }
}

/// A word of the files as it can be shown: what could move the cursor is escaped, and no more than a line of it.
pub(crate) fn shown(word: &str) -> String {
    let mut text: String = word.chars().take(MAX_WORD).flat_map(char::escape_debug).collect();
    if word.chars().nth(MAX_WORD).is_some() {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shown_words_are_short_and_plain() {
        assert_eq!(shown("a\u{1b}[2Jb"), "a\\u{1b}[2Jb");
        assert_eq!(shown(&"é".repeat(65)).chars().count(), 65);
    }
}
