//! `cargo xtask tidy`: the rules that neither the compiler nor clippy knows.
//!
//! The rules are data in `xtask/rules/`; each check here takes the files (or what cargo says about the workspace) and
//! returns what it finds, with the place and the fix.

use std::time::Instant;

use anyhow::bail;

use crate::workspace::Workspace;

mod crates;
mod edges;
mod files;
mod problem;
mod purity;
mod rules;
mod rust;
mod sizes;
mod whitespace;
mod words;

/// Checks the whole tree, prints what it finds, and returns a line that sums it up. Fails when there is a problem.
pub(crate) fn run(workspace: &Workspace) -> anyhow::Result<String> {
    let started = Instant::now();
    let rules = rules::Rules::load()?;
    let files = files::read(&workspace.root)?;
    let mut found = edges::check(workspace, &files, &rules.edges);
    found.extend(purity::check_trees(workspace, &rules.purity)?);
    found.extend(purity::check_source(&files, &rules.purity));
    found.extend(sizes::check(&files, &rules.sizes));
    found.extend(words::check(&files, &rules.words));
    found.extend(crates::check(workspace, &files));
    found.extend(whitespace::check(&files));
    found.sort();
    for problem in &found {
        println!("{problem}");
    }
    let warnings = found.iter().filter(|problem| problem.warning).count();
    let problems = found.len() - warnings;
    let summary = format!(
        "{problems} problems, {warnings} warnings in {} files of {} crates",
        files.len(),
        workspace.packages.len()
    );
    println!("tidy: {summary} ({:.1} s)", started.elapsed().as_secs_f64());
    if problems > 0 {
        bail!("tidy: {summary}");
    }
    Ok(summary)
}
