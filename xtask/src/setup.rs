//! Puts in place what the tests with real clients need: Python, Node and Go from Debian, the SDKs from their registries.
//!
//! Everything is made once and used again until the list it was made from changes.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use anyhow::{Context, bail};

use crate::{
    steps::{Steps, run},
    workspace::{Workspace, read},
};

/// What the tests need from the machine: the command that shows that it is there, and Debian's packages for it.
const NEEDS: &[(&[&str], &[&str])] = &[
    (
        &["python3", "-c", "import venv, ensurepip"],
        &["python3", "python3-venv"],
    ),
    (&["node", "--version"], &["nodejs"]),
    (&["npm", "--version"], &["npm"]),
    (&["go", "version"], &["golang-go"]),
    (
        &["test", "-d", "/usr/share/gocode/src/golang.org/x/mod/sumdb/tlog"],
        &["golang-golang-x-mod-dev"],
    ),
];

/// Makes what is missing. Returns the Python that has the client libraries.
pub(crate) fn run_all(steps: &mut Steps, workspace: &Workspace) -> anyhow::Result<PathBuf> {
    steps.call("debian packages", || Ok(((), debian_packages()?)))?;
    let python = steps.call("python packages", || python_environment(workspace))?;
    steps.call("node packages", || Ok(((), node_packages(workspace)?)))?;
    Ok(python)
}

/// Only looks whether everything is there.
pub(crate) fn check(workspace: &Workspace) -> anyhow::Result<PathBuf> {
    let python = Stamp::of_python(workspace)?;
    let node = Stamp::of_node(workspace)?;
    for stamp in [&python, &node] {
        if !stamp.is_current() {
            bail!(
                "{} is missing or old: run `cargo xtask test` once without --no-setup",
                stamp.directory.display()
            );
        }
    }
    Ok(python.directory.join("bin/python"))
}

fn debian_packages() -> anyhow::Result<String> {
    let missing: Vec<&str> = NEEDS
        .iter()
        .filter(|(probe, _)| !works(probe))
        .flat_map(|(_, packages)| packages.iter().copied())
        .collect();
    if missing.is_empty() {
        return Ok("already there".to_owned());
    }
    let install = format!("apt-get install -y --no-install-recommends {}", missing.join(" "));
    if !works(&["apt-get", "--version"]) {
        bail!(
            "missing: {}. This is not Debian: install them in its own way",
            missing.join(", ")
        );
    }
    if read(Command::new("id").arg("-u"))?.trim() != "0" {
        bail!("missing: {}. Run as root: {install}", missing.join(", "));
    }
    let apt = || {
        let mut command = Command::new("apt-get");
        command.env("DEBIAN_FRONTEND", "noninteractive");
        command
    };
    run(apt().args(["update", "-q"]))?;
    run(apt()
        .args(["install", "-y", "-q", "--no-install-recommends"])
        .args(&missing))?;
    Ok(format!("installed {}", missing.join(", ")))
}

/// Whether a command can be run and succeeds.
fn works(command: &[&str]) -> bool {
    let Some((program, arguments)) = command.split_first() else {
        return false;
    };
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn python_environment(workspace: &Workspace) -> anyhow::Result<(PathBuf, String)> {
    let stamp = Stamp::of_python(workspace)?;
    let python = stamp.directory.join("bin/python");
    if stamp.is_current() {
        return Ok((python, format!("used again: {}", stamp.directory.display())));
    }
    stamp.clear()?;
    run(Command::new("python3").args(["-m", "venv"]).arg(&stamp.directory))?;
    let requirements = workspace.root.join("clients/requirements.txt");
    let install = [
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-input",
        "--disable-pip-version-check",
        "--requirement",
    ];
    run(Command::new(&python).args(install).arg(requirements))?;
    stamp.write()?;
    Ok((python, format!("made: {}", stamp.directory.display())))
}

/// Node looks for packages beside the script and above it, so they cannot be in the target directory.
fn node_packages(workspace: &Workspace) -> anyhow::Result<String> {
    let stamp = Stamp::of_node(workspace)?;
    if stamp.is_current() {
        return Ok(format!("used again: {}", stamp.directory.display()));
    }
    stamp.clear()?;
    let install = [
        "ci",
        "--ignore-scripts",
        "--no-audit",
        "--no-fund",
        "--no-update-notifier",
        "--loglevel=error",
    ];
    run(Command::new("npm")
        .args(install)
        .current_dir(workspace.root.join("clients/node")))?;
    stamp.write()?;
    Ok(format!("made: {}", stamp.directory.display()))
}

/// A directory that was made from something, and a file in it, written last, that says from what.
struct Stamp {
    directory: PathBuf,
    made_from: String,
}

impl Stamp {
    fn of_python(workspace: &Workspace) -> anyhow::Result<Self> {
        let requirements = read_file(&workspace.root.join("clients/requirements.txt"))?;
        let version = read(Command::new("python3").args(["-c", "import sys; print(sys.version, sys.prefix)"]))?;
        let directory = workspace.target.join("clients/venv");
        // An environment has its own path written into its scripts.
        let made_from = format!("{}\n{version}\n{requirements}", directory.display());
        Ok(Self { directory, made_from })
    }

    fn of_node(workspace: &Workspace) -> anyhow::Result<Self> {
        let lock = read_file(&workspace.root.join("clients/node/package-lock.json"))?;
        let version = read(Command::new("node").arg("--version"))?;
        let directory = workspace.root.join("clients/node/node_modules");
        Ok(Self {
            directory,
            made_from: format!("{version}\n{lock}"),
        })
    }

    fn file(&self) -> PathBuf {
        self.directory.join(".made-from")
    }

    fn is_current(&self) -> bool {
        fs::read_to_string(self.file()).is_ok_and(|found| found == self.made_from)
    }

    /// Takes away what is there, so that nothing of an older list stays.
    fn clear(&self) -> anyhow::Result<()> {
        match fs::remove_dir_all(&self.directory) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("removing {}", self.directory.display()))
            }
            _ => Ok(()),
        }
    }

    fn write(&self) -> anyhow::Result<()> {
        fs::create_dir_all(&self.directory)
            .and_then(|()| fs::write(self.file(), &self.made_from))
            .with_context(|| format!("writing {}", self.file().display()))
    }
}

fn read_file(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_used_again_until_its_list_changes() {
        let directory = std::env::temp_dir().join(format!("xtask-stamp-{}", std::process::id()));
        let stamp = |made_from: &str| Stamp {
            directory: directory.clone(),
            made_from: made_from.to_owned(),
        };
        assert!(!stamp("one").is_current());
        stamp("one").clear().unwrap();
        stamp("one").write().unwrap();
        assert!(stamp("one").is_current());
        assert!(!stamp("two").is_current());
        stamp("two").clear().unwrap();
        assert!(!directory.exists());
    }

    #[test]
    fn a_command_that_is_not_there_does_not_work() {
        assert!(works(&["true"]));
        assert!(!works(&["false"]));
        assert!(!works(&["no-such-command-here"]));
        assert!(!works(&[]));
    }
}
