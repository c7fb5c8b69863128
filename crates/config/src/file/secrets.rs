//! Secrets and certificates that cannot be used: those that are not there, and those that are there and wrong.
//!
//! A server starts with neither. A check only warns of the former: it often runs where no secrets are.

use super::{key::NoSecret, tls::NoPem};
use crate::problem::{Findings, Mark, Problem, Problems};

/// What was found missing, for the settings of one file.
#[derive(Debug)]
pub(crate) struct Missing<'a> {
    /// The file, as messages name it.
    file: &'a str,
    /// What is not there.
    pub(crate) absent: Problems,
    /// What is there and cannot be used.
    pub(crate) wrong: Problems,
}

impl<'a> Missing<'a> {
    /// Nothing yet.
    pub(super) fn of(file: &'a str) -> Self {
        Self {
            file,
            absent: Problems::default(),
            wrong: Problems::default(),
        }
    }

    /// Both.
    pub(crate) fn all(self) -> Problems {
        let Self { mut absent, wrong, .. } = self;
        absent.extend(wrong);
        absent.sorted()
    }

    /// Adds why a credential that is referred to here is not to be had.
    pub(super) fn secret(&mut self, mark: Mark, error: NoSecret) {
        let mut findings = Findings::default();
        match error.text.split_once('\n') {
            Some((message, help)) => findings.add_with_help(mark, message, help),
            None => findings.add(mark, error.text),
        }
        let problems = findings.of_file(self.file);
        match error.absent {
            true => self.absent.extend(problems),
            false => self.wrong.extend(problems),
        }
    }

    /// What files hold, or why it is not to be had.
    pub(super) fn files<T>(&mut self, loaded: Result<T, Vec<NoPem>>) -> Option<T> {
        for NoPem { problem, absent } in loaded.as_ref().err().into_iter().flatten() {
            self.add(problem.clone(), *absent);
        }
        loaded.ok()
    }

    fn add(&mut self, problem: Problem, absent: bool) {
        match absent {
            true => self.absent.push(problem),
            false => self.wrong.push(problem),
        }
    }
}
