//! Runs steps one after the other, with their times, and sums them up at the end.

use std::{
    io::{BufRead, BufReader, IsTerminal, Read, Write},
    process::{Command, ExitCode, Stdio},
    sync::mpsc::{Sender, channel},
    thread,
    time::Instant,
};

use anyhow::{Context, bail};

use self::counts::Counts;

pub(crate) mod counts;

/// The steps of one run.
pub(crate) struct Steps {
    started: Instant,
    done: Vec<Done>,
}

struct Done {
    name: String,
    seconds: f64,
    failed: bool,
    note: String,
}

impl Steps {
    pub(crate) fn new() -> Self {
        Self {
            started: Instant::now(),
            done: Vec::new(),
        }
    }

    /// Runs a command; what it counts goes into the summary.
    pub(crate) fn run(&mut self, name: &str, command: &mut Command, counts: Counts) -> anyhow::Result<()> {
        println!("==> {name}: {}", show(command));
        self.time(name, || Ok(((), run_counted(command, counts)?)))
    }

    /// Runs a function that returns its result and a note for the summary.
    pub(crate) fn call<T>(
        &mut self,
        name: &str,
        work: impl FnOnce() -> anyhow::Result<(T, String)>,
    ) -> anyhow::Result<T> {
        println!("==> {name}");
        self.time(name, work)
    }

    fn time<T>(&mut self, name: &str, work: impl FnOnce() -> anyhow::Result<(T, String)>) -> anyhow::Result<T> {
        let started = Instant::now();
        let result = work();
        let seconds = started.elapsed().as_secs_f64();
        let note = result.as_ref().map_or_else(|_| String::new(), |(_, note)| note.clone());
        println!(
            "<== {name}: {} after {seconds:.1} s\n",
            if result.is_ok() { "done" } else { "FAILED" }
        );
        self.done.push(Done {
            name: name.to_owned(),
            seconds,
            failed: result.is_err(),
            note,
        });
        result.map(|(value, _)| value).with_context(|| format!("{name} failed"))
    }

    /// Prints the summary and turns the result into an exit code.
    pub(crate) fn end(self, result: anyhow::Result<()>) -> ExitCode {
        let width = self
            .done
            .iter()
            .map(|done| done.name.len())
            .max()
            .unwrap_or_default()
            .max(5);
        println!("{:width$}  result       time  what", "step");
        for done in &self.done {
            let result = if done.failed { "FAILED" } else { "ok" };
            let line = format!(
                "{:width$}  {result:6} {:>8.1} s  {}",
                done.name, done.seconds, done.note
            );
            println!("{}", line.trim_end());
        }
        println!(
            "{:width$}  {:6} {:>8.1} s",
            "total",
            "",
            self.started.elapsed().as_secs_f64()
        );
        match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        }
    }
}

/// Runs a command in the terminal and fails when it fails.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.status().with_context(|| format!("running {}", show(command)))?;
    if !status.success() {
        bail!("{} ({status})", show(command));
    }
    Ok(())
}

/// The command as one would type it, with the variables it sets.
pub(crate) fn show(command: &Command) -> String {
    let variables = command.get_envs().filter_map(|(name, value)| {
        let value = value?.to_string_lossy();
        Some(format!("{}={}", name.to_string_lossy(), quote(&value)))
    });
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    variables
        .chain(words.map(|word| quote(&word.to_string_lossy())))
        .collect::<Vec<_>>()
        .join(" ")
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,@%+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{word}'")
    }
}

/// Runs a command and counts in what it prints, which passes through line by line.
fn run_counted(command: &mut Command, mut counts: Counts) -> anyhow::Result<String> {
    if matches!(counts, Counts::Nothing) {
        run(command)?;
        return Ok(String::new());
    }
    if std::io::stdout().is_terminal() {
        // The command sees a pipe; the colours are for whoever reads the terminal behind it.
        command.env("CARGO_TERM_COLOR", "always").env("PY_COLORS", "1");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .with_context(|| format!("running {}", show(command)))?;
    let (sender, lines) = channel();
    let output = child
        .stdout
        .take()
        .map(|from| pass_on(from, std::io::stdout(), sender.clone()));
    let errors = child.stderr.take().map(|from| pass_on(from, std::io::stderr(), sender));
    for line in lines {
        counts.read(&line);
    }
    let status = child.wait()?;
    for thread in [output, errors].into_iter().flatten() {
        if !matches!(thread.join(), Ok(Ok(()))) {
            bail!("the output of {} could not be shown", show(command));
        }
    }
    if !status.success() {
        bail!("{} ({status})", show(command));
    }
    Ok(counts.to_string())
}

fn pass_on(
    from: impl Read + Send + 'static,
    mut to: impl Write + Send + 'static,
    lines: Sender<String>,
) -> thread::JoinHandle<std::io::Result<()>> {
    thread::spawn(move || {
        let mut from = BufReader::new(from);
        let mut line = Vec::new();
        while from.read_until(b'\n', &mut line)? > 0 {
            to.write_all(&line)?;
            to.flush()?;
            // The receiver is gone only when the run has been given up.
            let _ = lines.send(String::from_utf8_lossy(&line).into_owned());
            line.clear();
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_shown_as_typed() {
        let mut command = Command::new("pytest");
        command
            .args(["clients", "-k", "a b", ""])
            .env("BIN", "x/y")
            .env_remove("GONE");
        assert_eq!(show(&command), "BIN=x/y pytest clients -k 'a b' ''");
    }

    #[test]
    fn the_first_failure_names_its_step_and_command() {
        let mut steps = Steps::new();
        let error = steps
            .run("stop here", &mut Command::new("false"), Counts::Nothing)
            .unwrap_err();
        let text = format!("{error:#}");
        assert!(text.starts_with("stop here failed: false (exit status"), "{text}");
        assert!(steps.done.first().unwrap().failed);
    }

    #[test]
    fn counted_output_passes_through() {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            "echo noise; echo '===== 3 passed, 1 warning in 0.5s ====='; echo more >&2",
        ]);
        assert_eq!(
            run_counted(&mut command, Counts::pytest()).unwrap(),
            "3 passed, 1 warning"
        );
    }
}
