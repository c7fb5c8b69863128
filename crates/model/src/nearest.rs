//! Misspelt words.

/// Longer words are no misspelling of ours, and comparing them would take time.
const MAX_WORD: usize = 64;

/// The known word that `word` was probably meant to be: one that reads the same but for case and hyphens, contains it
/// or is contained in it, or is within a few typing mistakes.
pub fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > MAX_WORD {
        return None;
    }
    let plain = |text: &str| -> Vec<char> {
        let unified = text.chars().map(|c| if c == '-' { '_' } else { c });
        unified.flat_map(char::to_lowercase).collect()
    };
    let written = plain(word);
    let scored = known.iter().filter_map(|&candidate| {
        let meant = plain(candidate);
        let mistakes = distance(&written, &meant);
        let close = mistakes <= (written.len().max(meant.len()) / 3).max(1) && mistakes < written.len();
        // Of two that are as near, the one that is written more alike.
        let alike = distance(
            &word.chars().collect::<Vec<_>>(),
            &candidate.chars().collect::<Vec<_>>(),
        );
        (close || part_of(&written, &meant) || part_of(&meant, &written)).then_some(((mistakes, alike), candidate))
    });
    scored
        .min_by_key(|&(mistakes, _)| mistakes)
        .map(|(_, candidate)| candidate)
}

/// Whether the shorter text is a piece of the longer one, and long enough that this is hardly chance.
fn part_of(short: &[char], long: &[char]) -> bool {
    short.len() >= 3 && long.windows(short.len()).any(|piece| piece == short)
}

/// How many characters have to be inserted, removed, replaced or swapped with their neighbour.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before_last: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    let at = |row: &[usize], column: usize| row.get(column).copied().unwrap_or(usize::MAX / 2);
    for (i, from) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, to) in b.iter().enumerate() {
            let replaced = at(&last, j) + usize::from(from != to);
            let mut best = replaced.min(at(&last, j + 1) + 1).min(at(&row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(to) && b.get(j - 1) == Some(from);
            if swapped {
                best = best.min(at(&before_last, j - 1) + 1);
            }
            row.push(best);
        }
        before_last = std::mem::replace(&mut last, row);
    }
    at(&last, b.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_word_is_found() {
        let keys = [
            "name",
            "owner",
            "team",
            "environment",
            "time_zone",
            "output_limit",
            "budget",
        ];
        for (written, meant) in [
            ("ownr", Some("owner")),
            ("onwer", Some("owner")),
            ("Owner", Some("owner")),
            ("output-limit", Some("output_limit")),
            ("enviroment", Some("environment")),
            ("env", Some("environment")),
            ("timezone", Some("time_zone")),
            ("zone", Some("time_zone")),
            ("budgets", Some("budget")),
            ("limit", Some("output_limit")),
            ("colour", None),
            ("x", None),
            ("", None),
        ] {
            assert_eq!(nearest(written, &keys), meant, "{written}");
        }
        assert_eq!(nearest("usr", &["User", "user"]), Some("user"));
        assert_eq!(nearest("Usr", &["User", "user"]), Some("User"));
        assert_eq!(nearest(&"o".repeat(100_000), &keys), None);
    }
}
