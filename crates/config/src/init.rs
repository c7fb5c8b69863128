//! `bailiwick init`: a configuration to start from.

mod templates;

use std::{
    fs::{self, OpenOptions},
    io::{Error, Write as _},
    path::{Path, PathBuf},
};

pub use self::templates::Template;
use super::problem::{self, Problems};

/// The files, as paths below the directory and their text. All of them load as they are.
const TEMPLATES: [(&str, &str); 6] = [
    ("bailiwick.toml", include_str!("templates/bailiwick.toml")),
    (
        "governance/agents/assistant.yaml",
        include_str!("templates/assistant.yaml"),
    ),
    (
        "governance/policies/assistant.cedar",
        include_str!("templates/assistant.cedar"),
    ),
    (
        "governance/tests/assistant.yaml",
        include_str!("templates/assistant.tests.yaml"),
    ),
    ("governance/entities/README.md", include_str!("templates/entities.md")),
    (".gitignore", include_str!("templates/gitignore")),
];

/// Writes a configuration into a directory, which is made if it is not there, and returns what it wrote.
///
/// # Errors
/// The files that are there already, in which case nothing is written; or why one could not be written.
pub fn init(dir: &Path) -> Result<Vec<PathBuf>, Problems> {
    write_all(TEMPLATES.iter().map(|(path, text)| (dir.join(path), *text)).collect())
}

/// Writes templates into a directory: beside what is configured there, or with a configuration of their own in place of
/// the ordinary agent. Returns what it wrote.
///
/// # Errors
/// The files that are there already, in which case nothing is written; what is wrong with the configuration that is
/// there; or why a file could not be written.
pub fn init_from(dir: &Path, templates: &[&Template]) -> Result<Vec<PathBuf>, Problems> {
    let settings = dir.join("bailiwick.toml");
    let mut paths = Vec::new();
    let governance = match fs::symlink_metadata(&settings) {
        Ok(_) => super::load(&settings)?.governance_dir,
        Err(_) => {
            let own = TEMPLATES.iter().filter(|(path, _)| !path.contains("/assistant."));
            paths.extend(own.map(|(path, text)| (dir.join(path), *text)));
            dir.join("governance")
        }
    };
    let files = templates.iter().flat_map(|template| &template.files);
    paths.extend(files.map(|(path, text)| (governance.join(path), *text)));
    write_all(paths)
}

/// Writes all files, or none if one of them is there already.
pub(crate) fn write_all(paths: Vec<(PathBuf, &str)>) -> Result<Vec<PathBuf>, Problems> {
    let existing = paths.iter().filter(|(path, _)| fs::symlink_metadata(path).is_ok());
    let existing: Problems = existing
        .map(|(path, _)| {
            problem::of_file_with_help(
                path.display().to_string(),
                "this file is there already, and stays as it is",
                "choose another directory, or move the file away",
            )
        })
        .collect();
    existing.or_value(())?;
    for (path, text) in &paths {
        write(path, text)
            .map_err(|error| problem::of_file(path.display().to_string(), format!("cannot be written: {error}")))?;
    }
    Ok(paths.into_iter().map(|(path, _)| path).collect())
}

/// Never over a file that came to be in the meantime.
fn write(path: &Path, text: &str) -> Result<(), Error> {
    if let Some(dir) = path.parent() {
        fs::create_dir_all(dir)?;
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{check, load, load_governance};

    #[test]
    fn what_is_written_loads() {
        let dir = tempfile::tempdir().unwrap();
        let home = dir.path().join("a/new/directory");
        let written = init(&home).unwrap();
        assert_eq!(written.len(), TEMPLATES.len());
        let file = home.join("bailiwick.toml");
        let settings = load(&file).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(settings.warnings.is_empty(), "{}", settings.warnings);
        let env = |name: &str| {
            ["OPENAI_API_KEY", "ANTHROPIC_API_KEY"]
                .contains(&name)
                .then(|| "sk-test".to_owned())
        };
        let loaded = load_governance(&settings, &env).unwrap_or_else(|problems| panic!("{problems}"));
        assert!(loaded.warnings.is_empty(), "{}", loaded.warnings);
        let checked = check(&file, &|_| None, std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!((checked.tenants, checked.agents, checked.policy_files), (1, 1, 1));
        assert_eq!(checked.warnings.iter().count(), 2, "{}", checked.warnings);
    }

    #[test]
    fn the_comments_tell_the_defaults() {
        let commented_out = |line: &str| -> String {
            let setting =
                |line: &str| line.starts_with('[') || line.split_once(" = ").is_some_and(|(key, _)| !key.contains(' '));
            match line.strip_prefix("# ") {
                Some(rest) if setting(rest) => rest.to_owned(),
                _ => line.to_owned(),
            }
        };
        let template = TEMPLATES[0].1;
        let plain = crate::Settings::parse(template, "t", Path::new("")).unwrap();
        let spelt_out: Vec<String> = template.lines().map(commented_out).collect();
        let spelt_out = spelt_out.join("\n");
        assert_ne!(spelt_out, template);
        let mut spelt_out = crate::Settings::parse(&spelt_out, "t", Path::new("")).unwrap_or_else(|p| panic!("{p}"));
        // The places of what both have may differ, and examples of what has no default are no defaults.
        spelt_out.prices.clear();
        assert_eq!(spelt_out.limits, plain.limits);
        assert_eq!(spelt_out.log, plain.log);
        assert_eq!(
            (spelt_out.listen_agents, spelt_out.listen_admin),
            (plain.listen_agents, plain.listen_admin)
        );
        assert_eq!(
            (spelt_out.data_dir, spelt_out.governance_dir),
            (plain.data_dir, plain.governance_dir)
        );
    }

    #[test]
    fn the_commented_documents_are_right() {
        let template = TEMPLATES[1].1;
        let (_, commented) = template.split_once("# ---\n").unwrap();
        let document = commented.replace("# ", "");
        let budgets = crate::parse_budgets("t", document.into_bytes()).unwrap_or_else(|problems| panic!("{problems}"));
        assert_eq!(budgets.len(), 1);
    }

    #[test]
    fn nothing_is_overwritten() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join(".gitignore"), "mine\n").unwrap();
        let problems = init(dir.path()).unwrap_err().to_string();
        let expected = format!(
            "{}/.gitignore: this file is there already, and stays as it is\n  help: choose another directory, or move the \
             file away",
            dir.path().display()
        );
        assert_eq!(problems, expected);
        assert!(!dir.path().join("bailiwick.toml").exists());
        assert_eq!(fs::read_to_string(dir.path().join(".gitignore")).unwrap(), "mine\n");
    }
}
