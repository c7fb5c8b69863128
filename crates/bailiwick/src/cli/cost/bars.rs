//! Shares of a whole, as numbers and as bars.

use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

use model::NanoUsd;

/// What bars are drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ink {
    /// Blocks of eighths of a column.
    Blocks,
    /// Signs that everything can show.
    Plain,
}

impl Ink {
    /// Blocks on a terminal that shows them, as its locale says: the first that is set of the three variables counts
    /// (POSIX, section 8.2).
    pub(super) fn of(is_terminal: bool, variable: impl Fn(&str) -> Option<std::ffi::OsString>) -> Self {
        let set = |name: &&str| variable(name).filter(|value| !value.is_empty());
        let locale = ["LC_ALL", "LC_CTYPE", "LANG"].iter().find_map(set);
        match locale.as_deref().is_some_and(is_utf8) && is_terminal {
            true => Self::Blocks,
            false => Self::Plain,
        }
    }

    /// A bar of at most so many columns. Whatever is more than nothing shows.
    pub(super) fn bar(self, part: NanoUsd, whole: NanoUsd, columns: usize) -> String {
        let steps = match self {
            Self::Blocks => 8,
            Self::Plain => 1,
        };
        let Some(length) = scaled(part, whole, columns.saturating_mul(steps)) else {
            return String::new();
        };
        let length = length.max(usize::from(part > NanoUsd::ZERO));
        match self {
            Self::Plain => "#".repeat(length),
            Self::Blocks => {
                let mut bar = "█".repeat(length / 8);
                bar.extend(['▏', '▎', '▍', '▌', '▋', '▊', '▉'].get((length % 8).wrapping_sub(1)));
                bar
            }
        }
    }
}

fn is_utf8(locale: &OsStr) -> bool {
    let locale = locale.as_bytes().to_ascii_lowercase();
    let ends = |codeset: &[u8]| locale.windows(codeset.len()).any(|window| window == codeset);
    ends(b"utf-8") || ends(b"utf8")
}

/// The part in percent, to a tenth.
pub(super) fn percent(part: NanoUsd, whole: NanoUsd) -> String {
    match scaled(part, whole, 1_000) {
        None => String::new(),
        Some(0) if part > NanoUsd::ZERO => "<0.1%".to_owned(),
        Some(tenths) => format!("{}.{}%", tenths / 10, tenths % 10),
    }
}

/// `steps` times the part of the whole, rounded; `None` where there is no whole.
fn scaled(part: NanoUsd, whole: NanoUsd, steps: usize) -> Option<usize> {
    let (part, whole) = (i128::from(part.0.max(0)), i128::from(whole.0));
    let steps = i128::try_from(steps).ok()?;
    (whole > 0).then(|| usize::try_from((2 * part * steps + whole) / (2 * whole)).ok())?
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[test]
    fn bars_are_as_long_as_the_share() {
        let check = |part, whole, blocks: &str, plain: &str, share: &str| {
            let (part, whole) = (NanoUsd(part), NanoUsd(whole));
            assert_eq!(Ink::Blocks.bar(part, whole, 10), blocks, "{part} of {whole}");
            assert_eq!(Ink::Plain.bar(part, whole, 10), plain, "{part} of {whole}");
            assert_eq!(percent(part, whole), share, "{part} of {whole}");
        };
        check(0, 0, "", "", "");
        check(0, 7, "", "", "0.0%");
        check(7, 7, "██████████", "##########", "100.0%");
        check(1, 2, "█████", "#####", "50.0%");
        check(1, 3, "███▍", "###", "33.3%");
        check(2, 3, "██████▋", "#######", "66.7%");
        check(1, 100_000, "▏", "#", "<0.1%");
        check(i64::MAX, i64::MAX, "██████████", "##########", "100.0%");
    }

    #[test]
    fn blocks_are_for_terminals_that_show_them() {
        let check = |is_terminal, variables: &[(&str, &str)], expected| {
            let variable = |name: &str| {
                let found = variables.iter().find(|(known, _)| *known == name);
                found.map(|(_, value)| OsString::from(value))
            };
            assert_eq!(Ink::of(is_terminal, variable), expected, "{is_terminal} {variables:?}");
        };
        check(true, &[("LANG", "C.UTF-8")], Ink::Blocks);
        check(true, &[("LANG", "de_DE.utf8")], Ink::Blocks);
        check(true, &[("LC_ALL", ""), ("LC_CTYPE", "en_US.UTF-8")], Ink::Blocks);
        check(true, &[("LC_ALL", "C"), ("LANG", "en_US.UTF-8")], Ink::Plain);
        check(true, &[("LANG", "de_DE.ISO-8859-1")], Ink::Plain);
        check(true, &[], Ink::Plain);
        check(false, &[("LANG", "C.UTF-8")], Ink::Plain);
    }
}
