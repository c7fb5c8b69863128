//! Reads from the output of test runners how many tests ran, so that a suite that shrinks is seen in the summary.

use std::fmt;

/// What to look for, and what has been found.
pub(crate) enum Counts {
    /// The command runs no tests.
    Nothing,
    /// `cargo nextest run` ends with one line.
    Nextest(Option<String>),
    /// `cargo test` prints a line for every binary.
    CargoTest { passed: u64, failed: u64, ignored: u64 },
    /// `pytest` ends with one line.
    Pytest(Option<String>),
}

impl Counts {
    pub(crate) fn nextest() -> Self {
        Self::Nextest(None)
    }

    pub(crate) fn cargo_test() -> Self {
        Self::CargoTest {
            passed: 0,
            failed: 0,
            ignored: 0,
        }
    }

    pub(crate) fn pytest() -> Self {
        Self::Pytest(None)
    }

    /// Takes one line of output.
    pub(crate) fn read(&mut self, line: &str) {
        let line = without_colours(line);
        let line = line.trim();
        match self {
            Self::Nothing => {}
            Self::Nextest(found) => {
                if let Some((_, counts)) = line.strip_prefix("Summary [").and_then(|rest| rest.split_once("] ")) {
                    *found = Some(counts.to_owned());
                }
            }
            Self::CargoTest {
                passed,
                failed,
                ignored,
            } => {
                let Some(counts) = line.strip_prefix("test result: ") else {
                    return;
                };
                *passed += number_before(counts, " passed");
                *failed += number_before(counts, " failed");
                *ignored += number_before(counts, " ignored");
            }
            Self::Pytest(found) => {
                let counts = line.trim_matches(|c| c == '=' || c == ' ');
                if let Some((counts, _)) = counts
                    .split_once(" in ")
                    .filter(|(counts, _)| counts.contains(" passed"))
                {
                    *found = Some(counts.to_owned());
                }
            }
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => Ok(()),
            Self::Nextest(found) | Self::Pytest(found) => f.write_str(found.as_deref().unwrap_or("no count found")),
            Self::CargoTest {
                passed,
                failed,
                ignored,
            } => write!(f, "{passed} passed, {failed} failed, {ignored} ignored"),
        }
    }
}

/// The number that stands before `word`.
fn number_before(text: &str, word: &str) -> u64 {
    let number = text
        .split_once(word)
        .and_then(|(before, _)| before.split_whitespace().next_back());
    number.and_then(|number| number.parse().ok()).unwrap_or_default()
}

/// Takes out the terminal's colour sequences.
fn without_colours(line: &str) -> String {
    let mut plain = String::new();
    for (index, part) in line.split("\u{1b}[").enumerate() {
        plain.push_str(if index == 0 {
            part
        } else {
            part.split_once('m').map_or("", |(_, rest)| rest)
        });
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_runners_say_how_many() {
        let check = |mut counts: Counts, lines: &[&str], expected: &str| {
            lines.iter().for_each(|line| counts.read(line));
            assert_eq!(counts.to_string(), expected);
        };
        check(
            Counts::nextest(),
            &[
                "        PASS [ 0.1s] a b",
                "     Summary [   1.2s] 34 tests run: 34 passed, 2 skipped\n",
            ],
            "34 tests run: 34 passed, 2 skipped",
        );
        check(
            Counts::nextest(),
            &["\u{1b}[32;1m     Summary\u{1b}[0m [ 1s] \u{1b}[1m3\u{1b}[0m tests run"],
            "3 tests run",
        );
        check(
            Counts::cargo_test(),
            &[
                "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured",
                "test a ... ok",
                "test result: ok. 4 passed; 0 failed; 0 ignored",
            ],
            "7 passed, 0 failed, 1 ignored",
        );
        check(
            Counts::pytest(),
            &[
                "3 passed in theory",
                "==== \u{1b}[32m12 passed\u{1b}[0m, 1 warning in 3.42s ====",
            ],
            "12 passed, 1 warning",
        );
        check(Counts::pytest(), &["nothing"], "no count found");
    }
}
