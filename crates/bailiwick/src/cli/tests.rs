//! The command line as people see it.

use clap::{Command, CommandFactory as _, Parser as _};

use super::Cli;

/// The help of a command and of all below it.
fn helps(command: &mut Command, path: &str, found: &mut Vec<(String, String)>) {
    let help = command.clone().bin_name(path).render_long_help().to_string();
    let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
    found.push((path.to_owned(), lines.join("\n")));
    let below: Vec<String> = command
        .get_subcommands()
        .map(|below| below.get_name().to_owned())
        .collect();
    for name in below.into_iter().filter(|name| name != "help") {
        let below = command.find_subcommand_mut(&name).unwrap();
        helps(below, &format!("{path} {name}"), found);
    }
}

fn all_helps() -> Vec<(String, String)> {
    let mut command = Cli::command().term_width(100);
    command.build();
    let mut found = Vec::new();
    helps(&mut command, "bailiwick", &mut found);
    found
}

#[test]
fn help() {
    for (path, help) in all_helps() {
        insta::assert_snapshot!(path.replace(' ', "_"), help);
    }
}

#[test]
fn commands_are_well_formed_and_have_examples() {
    Cli::command().debug_assert();
    for (path, help) in all_helps() {
        let group = Cli::command()
            .find_subcommand(path.rsplit(' ').next().unwrap())
            .is_some_and(Command::has_subcommands);
        assert!(
            help.contains("\n  bailiwick") || group,
            "{path} has no example:\n{help}"
        );
        assert!(
            help.lines().all(|line| line.chars().count() <= 120),
            "{path} is too wide:\n{help}"
        );
    }
}

#[test]
fn common_options_stand_anywhere() {
    for arguments in [
        "bailiwick -c f --json key list",
        "bailiwick key -c f list --json",
        "bailiwick key list -c f --json",
    ] {
        let cli = Cli::try_parse_from(arguments.split(' ')).unwrap();
        assert_eq!(
            cli.common.config.as_deref(),
            Some(std::path::Path::new("f")),
            "{arguments}"
        );
        assert!(cli.common.json, "{arguments}");
    }
}

#[test]
fn no_option_takes_a_secret() {
    for (path, help) in all_helps() {
        for word in [
            "--credential",
            "--password",
            "--secret",
            "--token",
            "--api-key",
            "[env:",
        ] {
            assert!(!help.contains(word), "{path} has {word}");
        }
    }
}
