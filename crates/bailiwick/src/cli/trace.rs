//! `bailiwick trace`

use control::{IndexedReport, TraceNode, TraceReport};
use model::TenantName;

use super::{
    Common, Failure,
    client::{encode, query},
    output::{DOUBTFUL, HEADING, Output, QUIET, hint},
    table::clean,
    target::Target,
};

/// Show one action from its intent through decision, attempts, holds and outcome to its cost
///
/// An action's id is what the caller sees as `Bailiwick-Request-Id`, what `bailiwick approval list` shows, or the id of a
/// decision of the decision point. With the index of an entry, the action that the entry is of is shown.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Amounts are US dollars, times UTC. Behind each line stand the entry that says so and how long after the
first entry it was written; `bailiwick audit show ENTRY` shows it whole, and --json has all of them.

Examples:
  bailiwick trace 01a0c3d65a0071018101010101010101
  bailiwick trace 42
  bailiwick trace 42 --tenant acme --json")]
pub(super) struct Args {
    /// An action's id, or an entry's index
    #[arg(value_name = "ID|INDEX")]
    id: String,
    /// In whose log [default: all; of an index, that of the tenant default]
    #[arg(long)]
    tenant: Option<TenantName>,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let client = args.target.client(common)?;
    let parameters = query([("tenant", args.tenant.as_ref().map(ToString::to_string))]);
    let path = format!("/api/v1/audit/trace/{}{parameters}", encode(&args.id));
    let report: TraceReport = client.get(&path).await?;
    let IndexedReport { indexed, size } = report.log;
    if indexed < size {
        hint(format_args!(
            "{DOUBTFUL}incomplete:{DOUBTFUL:#} only the first {indexed} of {size} entries of tenant {} can be found yet",
            report.tenant
        ));
    }
    if report.cut {
        hint(format_args!(
            "{DOUBTFUL}incomplete:{DOUBTFUL:#} it has more entries than are shown; `bailiwick audit search --action` shows \
             all of them"
        ));
    }
    if report.gone > 0 {
        hint(format_args!(
            "{DOUBTFUL}incomplete:{DOUBTFUL:#} {} entries of it were let go because their time was over",
            report.gone
        ));
    }
    out.show(&report, |out| {
        let TraceNode { what, text, time, .. } = &report.tree;
        let begin = time.as_deref().map(readable).unwrap_or_default();
        let tenant = match report.tenant.as_str() {
            "default" => String::new(),
            tenant => format!(" of tenant {tenant}"),
        };
        out.line(format_args!(
            "{HEADING}{what}{HEADING:#} {}{QUIET}{tenant}  {begin}{QUIET:#}",
            clean(text)
        ))?;
        for line in lines(&report.tree.children, "") {
            out.line(line)?;
        }
        Ok(())
    })
}

/// The lines of nodes that stand below one another.
fn lines(nodes: &[TraceNode], indent: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut nodes = nodes.iter().peekable();
    while let Some(node) = nodes.next() {
        let (branch, below) = match nodes.peek() {
            Some(_) => ("├─ ", "│  "),
            None => ("└─ ", "   "),
        };
        let mut line = format!(
            "{QUIET}{indent}{branch}{QUIET:#}{HEADING}{}{HEADING:#} {}",
            node.what,
            clean(&node.text)
        );
        if let Some(entry) = node.entry {
            let after = node
                .after_us
                .map(|us| format!(", +{}", seconds(us)))
                .unwrap_or_default();
            line += &format!("  {QUIET}entry {entry}{after}{QUIET:#}");
        }
        all.push(line);
        all.extend(lines(&node.children, &format!("{indent}{below}")));
    }
    all
}

/// Microseconds as seconds.
fn seconds(us: i64) -> String {
    format!("{}.{:03} s", us / 1_000_000, us.rem_euclid(1_000_000) / 1_000)
}

/// `2026-11-22 20:30:00.123 UTC`
fn readable(rfc3339: &str) -> String {
    let text: String = rfc3339.chars().take(23).collect();
    format!("{} UTC", text.replacen('T', " ", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn branches_are_drawn() {
        let node = |what: &str, children| TraceNode {
            what: what.to_owned(),
            text: "t\u{1b}".to_owned(),
            entry: None,
            time: None,
            after_us: None,
            children,
        };
        let tree = [
            node("a", vec![node("b", vec![node("c", vec![])]), node("d", vec![])]),
            node("e", vec![]),
        ];
        let lines = lines(&tree, "")
            .into_iter()
            .map(|line| anstream::adapter::strip_str(&line).to_string());
        assert_eq!(
            lines.collect::<Vec<_>>(),
            [
                "├─ a t\\u{1b}",
                "│  ├─ b t\\u{1b}",
                "│  │  └─ c t\\u{1b}",
                "│  └─ d t\\u{1b}",
                "└─ e t\\u{1b}"
            ]
        );
        assert_eq!(seconds(1_234_567), "1.234 s");
        assert_eq!(readable("2026-11-22T20:30:00.123456Z"), "2026-11-22 20:30:00.123 UTC");
    }
}
