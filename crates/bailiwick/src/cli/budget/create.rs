//! `bailiwick budget create`

use std::collections::BTreeMap;

use api::wire;
use control::{AtLimitForm, Values};
use model::TenantName;

use super::{
    super::{
        Common, Failure,
        output::{GOOD, Output},
        target::Target,
    },
    edit::labelled,
    path, show,
};

/// Create a budget beside those of the files, or give one that was created so new terms
///
/// It takes effect at once, a reload of the files does not remove it, and what was spent stays when its terms change.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick budget create workshop --limit '50 USD' --per day --select team=data --note 'workshop'
  bailiwick budget create per-user --limit '2M tokens' --per month --time-zone Europe/Berlin \\
    --each user --ask '10 minutes' --note 'fair use'")]
pub(in crate::cli) struct Args {
    /// Its name, unique in its tenant among budgets and agents
    #[arg(value_name = "NAME")]
    name: String,
    /// How much may be used in one window: money, tokens, input or output tokens, calls
    #[arg(long, value_name = "AMOUNT")]
    limit: String,
    /// How long a window is: minute, hour, day, week, month, year or total
    #[arg(long, value_name = "WINDOW")]
    per: String,
    /// The window is the time just passed, and no piece of the calendar
    #[arg(long)]
    rolling: bool,
    /// The calendar's time zone [default: UTC]
    #[arg(long, value_name = "ZONE", conflicts_with = "rolling")]
    time_zone: Option<String>,
    /// A label and a value of the requests that must fit into it; a value may end in `*`. Several of one label select
    /// either, of several labels both [default: all requests]
    #[arg(long, value_name = "LABEL=VALUE", value_parser = labelled)]
    select: Vec<(String, String)>,
    /// A label for each value of which it keeps a pot of its own
    #[arg(long, value_name = "LABEL")]
    each: Vec<String>,
    /// A share of the limit, in percent, that leaves an entry when it is reached [default: 50, 80 and 95]
    #[arg(long = "threshold", value_name = "PERCENT")]
    thresholds: Vec<u8>,
    /// At the limit, calls wait so long for an administrator and are not refused at once
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = "5 minutes")]
    ask: Option<String>,
    /// Why, for the audit trail
    #[arg(long, value_name = "WHY")]
    note: String,
    /// In whose log
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let client = args.target.client(common)?;
    let budget: wire::Budgets = client.put(&path(&args.name), &body(args)).await?;
    out.show(&budget, |out| {
        out.line(format_args!("{GOOD}in effect{GOOD:#}\n"))?;
        show::one(&budget, out)
    })
}

fn body(args: &Args) -> wire::PutBudget {
    let mut select: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (label, value) in &args.select {
        select.entry(label.clone()).or_default().push(value.clone());
    }
    let select = select.into_iter();
    wire::PutBudget {
        tenant: Some(args.tenant.clone()),
        limit: args.limit.clone(),
        per: args.per.clone(),
        window: args.rolling.then(|| "rolling".to_owned()),
        time_zone: args.time_zone.clone(),
        select: select.map(|(label, values)| (label, Values::Many(values))).collect(),
        each: Values::Many(args.each.clone()),
        thresholds: (!args.thresholds.is_empty()).then(|| args.thresholds.clone()),
        at_limit: args.ask.clone().map(|ask| AtLimitForm::Ask { ask }),
        note: args.note.clone(),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn options_make_the_fields_of_a_manifest() {
        let check = |line: &str, json: serde_json::Value| {
            let words = ["create", "x", "--limit", "5 USD", "--per", "day", "--note", "why"];
            let line = Line::try_parse_from(words.into_iter().chain(line.split_whitespace())).unwrap();
            let mut expected =
                serde_json::json!({ "tenant": "default", "limit": "5 USD", "per": "day", "note": "why" });
            expected
                .as_object_mut()
                .unwrap()
                .extend(json.as_object().unwrap().clone());
            assert_eq!(serde_json::to_value(body(&line.args)).unwrap(), expected);
        };
        check("", serde_json::json!({}));
        check(
            "--select team=data --select team=web --select model=gpt-4o* --each user",
            serde_json::json!({ "select": { "team": ["data", "web"], "model": ["gpt-4o*"] }, "each": ["user"] }),
        );
        check(
            "--rolling --threshold 80 --threshold 90 --ask",
            serde_json::json!({ "window": "rolling", "thresholds": [80, 90], "at_limit": { "ask": "5 minutes" } }),
        );
        check(
            "--time-zone Europe/Berlin --ask 30s",
            serde_json::json!({ "time_zone": "Europe/Berlin", "at_limit": { "ask": "30s" } }),
        );
    }
}
