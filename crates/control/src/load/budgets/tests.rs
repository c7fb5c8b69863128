//! What keeps declared budgets from taking effect.

use std::sync::Arc;

use ledger::{Amount, MAX_BUDGETS_PER_HOLD, Window};
use zeroize::Zeroizing;

use super::*;

fn of_user(name: &str, user: &str) -> BudgetSpec {
    BudgetSpec {
        select: Some(Selector::of(Label::User, user)),
        ..BudgetSpec::money(BudgetName::new(name).unwrap(), Amount(1), Window::Total)
    }
}

/// A request is in at most 16 budgets, of which its agent's own is one: however files and administrators name its user.
#[test]
fn a_person_is_one_however_they_are_written() {
    const USER: &str = "ann@acme.example";
    let privacy = Privacy::new(&Zeroizing::new(vec![1; 32]));
    let digits = privacy.pseudonym(&TenantName::default_tenant(), USER).0;
    let pseudonym = format!("pseudonym:{digits}");
    let most = MAX_BUDGETS_PER_HOLD - 1;
    // How the first of the files' budgets, their others and an administrator's name users; how many there are of the
    // others; and whether that is too many.
    let cases = [
        (USER, USER, USER, most - 2, false),
        (USER, USER, USER, most - 1, true),
        (USER, &pseudonym, USER, most - 1, true),
        (&pseudonym, USER, USER, most - 1, true),
        (&pseudonym, &pseudonym, &pseudonym, most - 1, true),
        ("bob@acme.example", USER, USER, most - 1, false),
        (USER, USER, "bob@acme.example", most - 1, false),
        (USER, &pseudonym, "bob@acme.example", most, true),
    ];
    for (first, others, created, count, too_many) in cases {
        let others = (0..count).map(|at| of_user(&format!("file-{at}"), others));
        let governance = TenantGovernance {
            budgets: [of_user("first", first)].into_iter().chain(others).collect(),
            ..TenantGovernance::default()
        };
        let mut view = crate::testing::view();
        let created = of_user("created", created);
        let (select, _) = logged(&view.tenant, created.select.clone().unwrap(), &privacy);
        view.budget_facts.declared.insert(created.name.clone(), Declared::Api);
        view.budgets.push(Arc::new(BudgetSpec {
            select: Some(select),
            ..created
        }));
        let told: Vec<_> = problems(&view, &governance, &privacy)
            .iter()
            .map(ToString::to_string)
            .collect();
        let told = told.join("\n");
        let case = format!(
            "{first}, {count} of {others:?}: {told}",
            others = governance.budgets.last()
        );
        assert_eq!(told.contains("budgets could select one request"), too_many, "{case}");
        assert_eq!(told.is_empty(), !too_many, "{case}");
        assert!(!told.contains(USER) || !too_many, "the log's names are told: {case}");
    }
}
