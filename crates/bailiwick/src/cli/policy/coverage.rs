//! What tests cover of the policies.

use std::{collections::BTreeMap, io, path::Path};

use model::TenantName;
use policy::{Coverage, PolicyCoverage, Share};
use serde_json::{Value, json};

use super::super::{
    output::{DOUBTFUL, Output},
    table::{Align, Table, clean},
};

/// The coverage of each tenant, and the directory that its files are relative to.
pub(super) type Covered<'a> = BTreeMap<&'a TenantName, (Coverage, &'a Path)>;

/// The shares of all tenants together: of policies, and of what clauses can be.
pub(super) fn shares(covered: &Covered<'_>) -> [Share; 2] {
    let sum = |of: fn(&Coverage) -> Share| {
        let shares = covered.values().map(|(coverage, _)| of(coverage));
        shares.fold(Share { covered: 0, all: 0 }, |sum, share| Share {
            covered: sum.covered + share.covered,
            all: sum.all + share.all,
        })
    };
    [sum(Coverage::of_policies), sum(Coverage::of_clauses)]
}

/// A table of the policies, and what no test has seen.
pub(super) fn print(covered: &Covered<'_>, out: &mut Output) -> io::Result<()> {
    let mut table = Table::new([
        ("POLICY", Align::Left),
        ("DECIDED", Align::Right),
        ("CLAUSES", Align::Right),
        ("AT", Align::Left),
    ]);
    for (policy, root) in policies(covered) {
        let seen = policy
            .clauses
            .iter()
            .map(|clause| usize::from(clause.seen_true) + usize::from(clause.seen_false));
        table.row([
            policy.id.to_string(),
            policy.decided.to_string(),
            match policy.clauses.len() {
                0 => "-".to_owned(),
                clauses => format!("{}/{}", seen.sum::<usize>(), clauses * 2),
            },
            place(policy, root, policy.line),
        ]);
    }
    table.print(out)?;
    print_missing(covered, out)
}

/// What no test has seen, a line each.
pub(super) fn print_missing(covered: &Covered<'_>, out: &mut Output) -> io::Result<()> {
    for (policy, root) in policies(covered) {
        let mut missing = Vec::new();
        if policy.decided == 0 {
            missing.push((policy.line, format!("no test is decided by `{}`", policy.id)));
        }
        for clause in &policy.clauses {
            let never = match (clause.seen_true, clause.seen_false) {
                (true, true) => continue,
                (true, false) => "false",
                (false, true) => "true",
                (false, false) => "evaluated",
            };
            missing.push((clause.line, format!("never {never}: {}", clause.text)));
        }
        for (line, what) in missing {
            let place = place(policy, root, line);
            out.line(format_args!(
                "{DOUBTFUL}not covered:{DOUBTFUL:#} {}: {}",
                clean(&place),
                clean(&what)
            ))?;
        }
    }
    Ok(())
}

fn policies<'a>(covered: &'a Covered<'a>) -> impl Iterator<Item = (&'a PolicyCoverage, &'a Path)> {
    let tenants = covered.values();
    tenants.flat_map(|(coverage, root)| coverage.policies().into_iter().map(move |policy| (policy, *root)))
}

fn place(policy: &PolicyCoverage, root: &Path, line: u32) -> String {
    format!("{}:{line}", root.join(&*policy.file).display())
}

/// `5 of 6 policies decide a test (83 %); 10 of 12 values of clauses are seen (83 %)`.
pub(super) fn sentence([policies, clauses]: [Share; 2]) -> String {
    format!(
        "{} of {} policies decide a test ({} %); clauses were seen true and false in {} of {} cases ({} %)",
        policies.covered,
        policies.all,
        policies.percent(),
        clauses.covered,
        clauses.all,
        clauses.percent()
    )
}

/// For programs.
pub(super) fn json(covered: &Covered<'_>) -> Value {
    let share = |share: Share| json!({ "covered": share.covered, "all": share.all, "percent": share.percent() });
    let [of_policies, of_clauses] = shares(covered);
    let policies = policies(covered).map(|(policy, root)| {
        let clauses = policy.clauses.iter().map(|clause| {
            json!({
                "text": clause.text,
                "line": clause.line,
                "seen_true": clause.seen_true,
                "seen_false": clause.seen_false,
            })
        });
        json!({
            "id": &*policy.id,
            "file": root.join(&*policy.file).display().to_string(),
            "line": policy.line,
            "applied": policy.applied,
            "decided": policy.decided,
            "clauses": clauses.collect::<Vec<_>>(),
        })
    });
    let policies: Vec<Value> = policies.collect();
    json!({ "policies": share(of_policies), "clauses": share(of_clauses), "by_policy": policies })
}
