//! Answers to questions that are not what they were.

use std::sync::Arc;

use ledger::{BudgetSpec, Label, Measure, Window};
use model::BudgetName;

use super::*;

/// What is missing is told in the unit of the question: it is no answer where the budget counts something else by now.
#[test]
fn a_question_in_another_unit_cannot_be_topped_up() {
    let name = BudgetName::new("team").unwrap();
    let spec = |unit, each: &[Label]| BudgetSpec {
        unit,
        each: each.to_vec(),
        ..BudgetSpec::money(name.clone(), Amount(1), Window::Total)
    };
    let over = |unit, of: &[&str]| Over {
        budget: name.clone(),
        of: of.iter().map(ToString::to_string).collect(),
        unit,
        limit: Amount(1),
        spent: Amount(1),
        held: Amount(0),
        asked: Amount(1),
        closed: None,
    };
    let money = over(Measure::Money, &[]);
    let cases = [
        (Some(spec(Measure::Money, &[])), &money, true),
        (Some(spec(Measure::Calls, &[])), &money, false),
        (Some(spec(Measure::Money, &[Label::Agent])), &money, false),
        (None, &money, false),
        (
            Some(spec(Measure::Calls, &[Label::Agent])),
            &over(Measure::Calls, &["a"]),
            true,
        ),
        (Some(spec(Measure::Calls, &[])), &over(Measure::Calls, &["a"]), false),
    ];
    for (spec, over, same) in cases {
        let mut view = crate::testing::view();
        let case = format!("{spec:?}");
        view.budgets.extend(spec.map(Arc::new));
        match still_counted(&view, over) {
            Ok(()) => assert!(same, "{case}"),
            Err(AdminError::Conflict(told)) => {
                assert!(!same, "{case}");
                assert!(told.contains("`bailiwick approval list`"), "{told}");
            }
            Err(other) => panic!("{other}"),
        }
    }
}
