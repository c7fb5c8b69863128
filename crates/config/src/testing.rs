//! What the tests of this module share.

use std::path::{Path, PathBuf};

/// Compares each case of a table with what is rendered. A case is the text as a person would write it, a line of `~~~~`
/// and the messages as that person would read them; `====` stands between cases.
pub(crate) fn check_table(table: &str, render: impl Fn(&str) -> String) {
    let mut wrong = Vec::new();
    for case in table.split("====\n") {
        let (text, expected) = case
            .split_once("\n~~~~\n")
            .unwrap_or_else(|| panic!("no messages in:\n{case}"));
        let found = render(text);
        if found != expected.trim_end() {
            wrong.push(format!("{text}\n~~~~\n{found}\n"));
        }
    }
    assert!(wrong.is_empty(), "these read otherwise:\n{}", wrong.join("====\n"));
}

/// A directory of files, gone when dropped.
pub(crate) struct Home(tempfile::TempDir);

impl Home {
    /// Writes files, each a path and its bytes.
    pub(crate) fn new<'a, T: AsRef<[u8]> + 'a>(files: impl IntoIterator<Item = (&'a str, T)>) -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for (path, bytes) in files {
            let path = home.path(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        home
    }

    /// A path in the directory.
    pub(crate) fn path(&self, below: &str) -> PathBuf {
        self.0.path().join(below)
    }

    /// A text without the directory's own path.
    pub(crate) fn relative(&self, text: impl ToString) -> String {
        let root = self.0.path().display().to_string();
        text.to_string()
            .replace(&format!("{root}{}", std::path::MAIN_SEPARATOR), "")
            .replace(&root, ".")
    }
}

/// An environment with these variables.
pub(crate) fn env<'a>(variables: &'a [(&'a str, &'a str)]) -> impl Fn(&str) -> Option<String> + 'a {
    |name| {
        let found = variables.iter().find(|(variable, _)| *variable == name);
        found.map(|(_, value)| (*value).to_owned())
    }
}

/// No directory: paths stay as they are written.
pub(crate) fn nowhere() -> &'static Path {
    Path::new("")
}
