//! What an editor leaves behind.

use super::{files::File, problem::Problem};

/// The kinds of text that people write here.
const WRITTEN: &[&str] = &[
    "cedar",
    "cedarschema",
    "ini",
    "js",
    "md",
    "mjs",
    "py",
    "rs",
    "sh",
    "sql",
    "toml",
    "yaml",
    "yml",
];

/// Trailing blanks, tabs, carriage returns, and what is wrong at the end of a file.
pub(crate) fn check(files: &[File]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files
        .iter()
        .filter(|file| is_written(file) && !file.is_copied() && !file.text.is_empty())
    {
        for (number, line) in (1..).zip(file.text.split('\n')) {
            let found = if line.contains('\r') {
                Some(("a carriage return", "save the file with plain line ends"))
            } else if line.contains('\t') {
                Some(("a tab", "indent with spaces; write a tab in a string as \\t"))
            } else if line.ends_with(char::is_whitespace) {
                Some(("blanks at the end of the line", "take them out"))
            } else {
                None
            };
            problems.extend(found.map(|(what, fix)| Problem::new(&file.path, number, what, fix)));
        }
        let last = file.text.lines().count();
        if !file.text.ends_with('\n') {
            problems.push(Problem::new(
                &file.path,
                last,
                "no newline at the end of the file",
                "add one",
            ));
        } else if file.text.ends_with("\n\n") {
            problems.push(Problem::new(
                &file.path,
                last,
                "empty lines at the end of the file",
                "take them out",
            ));
        }
    }
    problems
}

fn is_written(file: &File) -> bool {
    WRITTEN.contains(&file.extension()) || file.path == ".ci/run" || file.name() == ".gitignore"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_are_found() {
        let check = |path, text, expected: &[usize]| {
            let lines: Vec<usize> = super::check(&[File::new(path, text)])
                .iter()
                .map(|problem| problem.line)
                .collect();
            assert_eq!(lines, expected, "{path}: {text:?}");
        };
        check("a.md", "fine\n\nfine\n", &[]);
        check("a.md", "hard break  \n", &[1]);
        check("a.rs", "\tx\ny", &[1, 2]);
        check("a.rs", "x\r\ny\n", &[1]);
        check("a.toml", "x\n\n", &[2]);
        check("a.md", "", &[]);
        check("a/vectors/b.md", "x  \n", &[]);
        check("a.png", "x  \n", &[]);
    }
}
