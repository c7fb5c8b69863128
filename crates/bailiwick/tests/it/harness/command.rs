//! Commands that run to their end.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use serde_json::Value;

use super::UPSTREAM_KEY;

/// The binary in an environment of its own: nothing of the caller's leads it elsewhere.
pub(crate) fn bailiwick(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bailiwick"));
    command
        .env_clear()
        .envs(std::env::vars_os().filter(|(name, _)| name == "PATH" || name == "LLVM_PROFILE_FILE"))
        .env("NO_COLOR", "1")
        .env("OPENAI_API_KEY", UPSTREAM_KEY)
        .env("ANTHROPIC_API_KEY", UPSTREAM_KEY)
        .current_dir(directory)
        .stdin(Stdio::null());
    command
}

/// How a command ended and what it printed.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Done {
    /// Runs a command to its end.
    pub(crate) fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap();
        Self {
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Fails the test unless it ended with this exit code.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "stdout:\n{}\nstderr:\n{}", self.stdout, self.stderr);
        self
    }

    /// What it printed, as JSON.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    /// Exit code and both outputs as a snapshot has them: paths below `directory` and ports do not differ from run to run.
    pub(crate) fn story(&self, directory: &Path) -> String {
        let text = format!(
            "exit code {}\n--- stdout\n{}--- stderr\n{}",
            self.code, self.stdout, self.stderr
        );
        steady(&text, directory)
    }
}

/// A text without what differs from run to run.
pub(crate) fn steady(text: &str, directory: &Path) -> String {
    let text = text.replace(&directory.display().to_string(), "DIR");
    let mut steady = String::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find("127.0.0.1:") {
        let (before, after) = rest.split_at(at + "127.0.0.1:".len());
        steady.push_str(before);
        let port = after.len() - after.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        steady.push_str(if port > 0 { "PORT" } else { "" });
        rest = &after[port..];
    }
    steady + rest
}
