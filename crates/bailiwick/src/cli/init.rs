//! `bailiwick init`

use std::path::PathBuf;

use config::Template;
use serde::Serialize;

use super::{
    Failure,
    output::{Output, hint},
    table::{Align, Table},
};

/// Write a configuration to start from
///
/// Writes a commented bailiwick.toml and a governance directory with one agent, its budget, a policy and its tests. With
/// --template, the agent is one of the templates: least-privilege starters with policies, types of their own, examples of
/// entities, and tests. Where a bailiwick.toml is there already, a template is added beside what is there. Nothing is
/// overwritten.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick init mydir
  bailiwick init --template list
  bailiwick init --template fraud-analyst --template nightly-batch mydir
  bailiwick check -c mydir/bailiwick.toml")]
pub(super) struct Args {
    /// Where to; the directory is made if it is not there
    #[arg(value_name = "DIR", required_unless_present = "template")]
    dir: Option<PathBuf>,
    /// A template to start from, may be repeated; `list` shows them
    #[arg(long, value_name = "NAME")]
    template: Vec<String>,
}

#[derive(Serialize)]
struct Written {
    written: Vec<PathBuf>,
}

/// A template, for programs.
#[derive(Serialize)]
struct Listed {
    name: &'static str,
    about: &'static str,
}

pub(super) fn run(args: &Args, out: &mut Output) -> Result<(), Failure> {
    if args.template.iter().any(|name| name == "list") {
        return list(out);
    }
    let templates = args.template.iter().map(|name| Template::find(name));
    let templates: Vec<&Template> = templates.collect::<Result<_, String>>().map_err(Failure::Usage)?;
    let Some(dir) = &args.dir else {
        let message = "say where to: `bailiwick init --template NAME DIR`";
        return Err(Failure::Usage(message.to_owned()));
    };
    let written = match templates.as_slice() {
        [] => config::init(dir),
        templates => config::init_from(dir, templates),
    };
    let written = written.map_err(Failure::Refused)?;
    let written = Written { written };
    out.show(&written, |out| {
        for path in &written.written {
            out.line(path.display())?;
        }
        Ok(())
    })?;
    if !out.is_json() {
        let file = dir.join("bailiwick.toml");
        if !templates.is_empty() {
            hint(format_args!(
                "\nRun the tests of the policies, then put your own types and names in place of the examples:\n  bailiwick \
                 policy test -c {file} --coverage",
                file = file.display()
            ));
        }
        hint(format_args!(
            "\nSet the environment variables that {file} names, then:\n  bailiwick serve -c {file}",
            file = file.display()
        ));
    }
    Ok(())
}

fn list(out: &mut Output) -> Result<(), Failure> {
    let listed = Template::ALL.iter().map(|template| Listed {
        name: template.name,
        about: template.about,
    });
    let listed: Vec<Listed> = listed.collect();
    out.show(&listed, |out| {
        let mut table = Table::new([("TEMPLATE", Align::Left), ("ITS AGENT", Align::Left)]);
        for template in &listed {
            table.row([template.name.to_owned(), template.about.to_owned()]);
        }
        table.print(out)
    })
}
