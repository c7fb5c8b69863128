//! Unfinished work, and names of things that a stranger's checkout does not have.

use super::{
    files::File,
    problem::Problem,
    rules::{Ban, Words},
    rust::find_word,
};

/// Looks through every file.
pub(crate) fn check(files: &[File], rules: &Words) -> Vec<Problem> {
    let mut problems = Vec::new();
    for file in files.iter().filter(|file| !rules.exempt.contains(&file.path)) {
        let mut look = |bans: &[Ban], lines: &mut dyn Iterator<Item = &str>, finds: fn(&str, &str) -> bool| {
            for (number, line) in (1..).zip(lines) {
                problems.extend(in_line(file, number, line, bans, finds));
            }
        };
        if let Some(source) = &file.rust {
            look(
                &rules.code,
                &mut source.lines.iter().map(|line| line.code.as_str()),
                find_word,
            );
            look(
                &rules.note,
                &mut source.lines.iter().map(|line| line.comment.as_str()),
                find_word,
            );
        } else if !file.is_copied() && !is_lock(file) {
            look(&rules.note, &mut file.text.lines(), find_word);
        }
        if !file.is_copied() {
            look(&rules.place, &mut file.text.lines(), find_path);
        }
        look(&rules.registry, &mut file.text.lines(), |line, word| {
            line.contains(word)
        });
    }
    problems
}

fn in_line<'a>(
    file: &'a File,
    number: usize,
    line: &'a str,
    bans: &'a [Ban],
    finds: fn(&str, &str) -> bool,
) -> impl Iterator<Item = Problem> + 'a {
    let applies = |ban: &&Ban| ban.files.is_empty() || ban.files.iter().any(|name| name == file.name());
    bans.iter().filter(applies).flat_map(move |ban| {
        let found = ban.words.iter().filter(move |word| finds(line, word));
        found.map(move |word| Problem::new(&file.path, number, format!("`{}` {}", word.trim(), ban.why), &ban.fix))
    })
}

/// Lock files are written by machines, and their hashes may spell anything.
fn is_lock(file: &File) -> bool {
    matches!(file.name(), "Cargo.lock" | "package-lock.json")
}

/// Whether `path` begins somewhere in `line`: not in the middle of another path or of an address.
fn find_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        let before = line.get(..at).and_then(|before| before.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '~' | '}' | '*'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::rules::Rules;

    fn check(path: &str, text: &str, expected: &[usize]) {
        let problems = super::check(&[File::new(path, text)], &Rules::load().unwrap().words);
        let lines: Vec<usize> = problems.iter().map(|problem| problem.line).collect();
        assert_eq!(lines, expected, "{path}: {text:?}: {problems:?}");
    }

    #[test]
    fn unfinished_work_is_found() {
        let todo = concat!("to", "do!()");
        let note = concat!("FIX", "ME");
        check("crates/a/src/a.rs", &format!("fn f() {{\n    {todo}\n}}"), &[2]);
        check("crates/a/src/a.rs", &format!("let s = \"{todo} {note}\";"), &[]);
        check(
            "crates/a/src/a.rs",
            &format!("// {todo} is not allowed\n// {note}: later"),
            &[2],
        );
        check(
            "crates/a/src/tests.rs",
            "#[test]\n#[ignore = \"slow\"]\nfn f() {}",
            &[2],
        );
        check(
            "crates/a/src/a.rs",
            "#![allow(dead_code)]\n#[allow(unused)]\n#[expect(unused)]",
            &[1, 2],
        );
        check("clients/a.py", &format!("# {note}\n@pytest.mark.skipif(x)"), &[1]);
        check("crates/a/tests/vectors/a.txt", note, &[]);
        check("xtask/rules/words.toml", note, &[]);
    }

    #[test]
    fn places_of_one_machine_are_found() {
        let home = concat!("/ho", "me/");
        check(
            "README.md",
            &format!("cd {home}jo\n`{home}jo`\nsee https://x.example{home}"),
            &[1, 2],
        );
        check("crates/a/src/a.rs", &format!("let p = \"{home}jo\";"), &[1]);
        check("docs/a.md", &format!("${{BASE}}{home}x"), &[]);
    }

    #[test]
    fn registries_are_found() {
        check(
            "clients/node/package-lock.json",
            "{\n\"resolved\": \"https://x\"\n}",
            &[2],
        );
        check("other.json", "{\n\"resolved\": \"https://x\"\n}", &[]);
        check(
            "clients/requirements.txt",
            "--index-url https://x/simple\nhttpx==1",
            &[1, 1],
        );
        check(
            "Cargo.lock",
            "source = \"git+https://x\"\nsource = \"registry+https://github.com/x\"",
            &[1],
        );
    }
}
