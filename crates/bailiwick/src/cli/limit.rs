//! `bailiwick limit`

use api::wire;

use super::{
    Common, Failure,
    agent::qualified,
    output::Output,
    table::{
        Align::{Left, Right},
        Table, clean,
    },
    target::Target,
};

#[derive(Debug, clap::Subcommand)]
pub(super) enum Command {
    /// Show rate limits and what is free of them
    #[command(after_help = "\
Rate limits are declared beside the agents (`kind: RateLimit`). Of several that select a request, the
most specific of each group counts. A bucket from which nothing was taken lately is full, and not
shown. FREE is what may go at once; calls in flight hold their worst case and give back what they
did not use.

Examples:
  bailiwick limit list
  bailiwick limit list --json | jq '.limits[] | {name, buckets}'")]
    List {
        #[command(flatten)]
        target: Target,
    },
}

pub(super) async fn run(common: &Common, command: &Command, out: &mut Output) -> Result<(), Failure> {
    let Command::List { target } = command;
    let listed: wire::Limits = target.client(common)?.get("/api/v1/limits").await?;
    out.show(&listed, |out| {
        if listed.limits.is_empty() {
            return out
                .line("There are no rate limits. A document of `kind: RateLimit` beside the agents declares one.");
        }
        let mut table = Table::new([
            ("LIMIT", Left),
            ("SELECTS", Left),
            ("RATES", Left),
            ("OF", Left),
            ("IN FLIGHT", Right),
            ("FREE", Left),
        ]);
        for limit in &listed.limits {
            let name = qualified(&limit.tenant, &limit.name);
            let (selects, rates) = (clean(&limit.selects).into_owned(), limit.rates.join("; "));
            if limit.buckets.is_empty() {
                let all = "all of it".to_owned();
                table.row([name, selects, rates, String::new(), "0".to_owned(), all]);
                continue;
            }
            for bucket in &limit.buckets {
                table.row([
                    name.clone(),
                    selects.clone(),
                    rates.clone(),
                    clean(&bucket.of).into_owned(),
                    bucket.in_flight.to_string(),
                    bucket.free.join("; "),
                ]);
            }
        }
        table.print(out)
    })
}
