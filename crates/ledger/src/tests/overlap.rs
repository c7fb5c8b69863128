//! Whether too many budgets may select one request: against brute force, and with as many budgets as there can be.

use model::BudgetName;
use proptest::prelude::*;

use super::table::{budget, selector, window_of};
use crate::{Amount, BudgetSpec, Label, Labels, Overlap, Selector, check_overlap};

fn spec(at: usize, select: Selector) -> BudgetSpec {
    let name = budget(&format!("b{at}"));
    BudgetSpec {
        select: Some(select),
        ..BudgetSpec::money(name, Amount(1), window_of("total", ""))
    }
}

fn specs(selectors: impl IntoIterator<Item = Selector>) -> Vec<BudgetSpec> {
    let specs = selectors.into_iter().enumerate();
    specs.map(|(at, selector)| spec(at, selector)).collect()
}

fn find(named: usize, specs: &[BudgetSpec]) -> Result<(), Overlap> {
    check_overlap(named, &specs.iter().collect::<Vec<_>>())
}

/// Selectors one a word; how many of them may select one request at most, by the error where only so many fit.
fn most(text: &str) -> usize {
    let specs = specs(text.split_whitespace().map(selector));
    let fits = |room: &usize| find(16 - room, &specs).is_ok();
    (0..=16).find(fits).expect("at most 16")
}

#[test]
fn how_many_select_one_request() {
    for (selectors, expected) in [
        ("", 0),
        ("*", 1),
        ("* * *", 3),
        ("team:a", 1),
        ("team:a team:b", 1),
        ("team:a team:b team:b", 2),
        ("team:a team:a|b team:b", 2),
        ("team:a user:x *", 3),
        ("team:a,user:x team:a,user:y", 1),
        ("team:a,user:x team:a,user:y team:a", 2),
        ("team:a,user:x team:b,user:x team:b,user:y user:y", 2),
        ("team:a* team:ab team:abc", 2),
        ("team:a* team:ab* team:abc", 3),
        ("team:a* team:ab* team:b*", 2),
        ("team:* team:a team:b", 2),
        ("team:a* team:a", 2),
        ("tool:a tool:b tool:c", 3),
        ("tool:a,team:a tool:b,team:b", 1),
        // What no request can have.
        ("team: team: *", 1),
        // Each two of them overlap, and not all three.
        ("team:a,user:x user:x,agent:i team:a,agent:i", 3),
        ("team:a|b,user:x|y team:b|c,agent:i user:y,agent:i|j team:c,user:y", 3),
        ("team:a,user:x|y user:y,agent:i|j team:b,agent:j", 2),
    ] {
        assert_eq!(most(selectors), expected, "{selectors}");
    }
}

#[test]
fn budgets_that_only_agents_name_select_nothing() {
    let named = |at: usize| BudgetSpec::money(budget(&format!("b{at}")), Amount(1), window_of("total", ""));
    let specs: Vec<_> = (0..100).map(named).collect();
    assert_eq!(find(1, &specs), Ok(()));
}

#[test]
fn the_error_names_them_and_what_to_do() {
    let mut all: Vec<_> = (0..30).map(|_| selector("team:data")).collect();
    all.extend((0..3).map(|_| selector("user:ann,team:data|web")));
    all.push(selector("team:web"));
    let error = find(1, &specs(all)).unwrap_err();
    let expected = "33 budgets could select one request (team data, user ann), and agents name up to 1 more, but a request \
                    can have 16: narrow the selectors of some, or remove some, of b0, b1, b10, b11, b12, b13, b14, b15, \
                    b16, b17, b18, b19, b2, b20, b21, b22, b23, b24, b25, b26, 13 more";
    assert_eq!(error.to_string(), expected);
    assert_eq!(find(1, &specs((0..15).map(|_| selector("*")))), Ok(()));
    let error = find(1, &specs((0..16).map(|_| selector("*")))).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("16 budgets could select one request (all requests)"),
        "{error}"
    );
}

const MANY: usize = 100_000;

/// Some for teams, products and environments, as an organisation would have them: at most seven select one request.
fn shared() -> Vec<Selector> {
    let mut all = vec![
        selector("*"),
        selector("environment:production"),
        selector("environment:prod*,tier:batch"),
    ];
    for team in 0..20 {
        all.push(selector(&format!("team:t{team}")));
        all.push(selector(&format!("team:t{team},environment:production")));
        all.push(selector(&format!("product:p{team},environment:test|staging")));
        all.push(selector(&format!("product:p{team}")));
    }
    all
}

#[test]
fn a_hundred_thousand_budgets_are_checked() {
    let mut all = shared();
    all.extend((0..MANY).map(|at| selector(&format!("user:u{at},agent:bot-*"))));
    assert_eq!(find(1, &specs(all)), Ok(()));
}

#[test]
fn a_hundred_thousand_budgets_of_two_labels_are_checked() {
    // Agents and users, of each of which there are several: 3 + 3 + 7 and one that the agent names.
    let mut all = shared();
    all.extend((0..MANY).map(|at| selector(&format!("{}:n{}", ["user", "agent"][at % 2], at / 6))));
    let mut all = specs(all);
    assert_eq!(find(1, &all), Ok(()));
    all.extend((0..4).map(|at| spec(MANY * 2 + at, selector("agent:n77,user:n78"))));
    let error = find(1, &all).unwrap_err();
    let Overlap::TooMany { request, count, .. } = error else {
        panic!("{error}");
    };
    assert!(count > 15);
    let words = request.to_string();
    assert!(words.contains("agent n77") && words.contains("user n78"), "{words}");
}

/// It gives up, and does not hang.
#[test]
fn what_would_take_too_long_is_refused() {
    let mut seed = 1_u64;
    let mut random = move |below: u64| {
        seed = seed
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) % below
    };
    let labels = Label::ALL.into_iter().filter(|label| *label != Label::Tool);
    let labels: Vec<_> = labels.collect();
    let mut one = || {
        let mut values = |_: &Label| {
            (0..20)
                .map(|value| format!("v{value}"))
                .filter(|_| random(3) == 0)
                .collect()
        };
        labels.iter().map(|label| (*label, values(label))).collect()
    };
    let all: Vec<_> = (0..600).map(|_| one()).collect();
    let error = find(1, &specs(all)).unwrap_err();
    assert!(matches!(error, Overlap::TooTangled { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("name fewer values and patterns of "), "{text}");
}

const LABELS: [Label; 4] = [Label::Team, Label::Tool, Label::Agent, Label::User];
pub(super) const VALUES: [&str; 7] = ["", "a", "ab", "abc", "abd", "b", "ba"];

pub(super) fn any_selector() -> impl Strategy<Value = Selector> {
    let pattern = prop::sample::select(vec!["a", "ab", "abc", "b", "a*", "ab*", "abc*", "*", "b*", ""]);
    let values = prop::collection::vec(pattern.prop_map(str::to_owned), 1..3);
    prop::collection::btree_map(prop::sample::select(LABELS.to_vec()), values, 0..4)
        .prop_map(|labels| labels.into_iter().collect())
}

/// The most budgets that select one request, by trying all requests that offer every tool.
fn brute_force(selectors: &[Selector]) -> usize {
    let tools: Vec<String> = VALUES.iter().skip(1).map(|tool| (*tool).to_owned()).collect();
    let mut most = 0;
    for team in VALUES {
        for agent in VALUES {
            for user in VALUES {
                let labels = Labels {
                    team,
                    agent,
                    user,
                    tools: &tools,
                    ..Labels::default()
                };
                most = most.max(selectors.iter().filter(|selector| selector.selects(&labels)).count());
            }
        }
    }
    most
}

proptest! {
    #[test]
    fn it_agrees_with_brute_force(selectors in prop::collection::vec(any_selector(), 0..12)) {
        let most = brute_force(&selectors);
        let specs = specs(selectors.iter().cloned());
        for room in 0..=16 {
            match find(16 - room, &specs) {
                Ok(()) => prop_assert!(most <= room),
                Err(Overlap::TooMany { request, count, budgets, .. }) => {
                    prop_assert!(count > room && count <= most, "{} of {}", count, most);
                    // Those it names overlap, with the request that it shows and with each other.
                    let named = |name: &BudgetName| specs.iter().find(|spec| spec.name == *name);
                    for select in budgets.iter().filter_map(|name| named(name)?.select.as_ref()) {
                        prop_assert!(select.overlaps(&request), "{} and {}", select, request);
                    }
                    prop_assert_eq!(count, budgets.len());
                }
                Err(error) => return Err(TestCaseError::fail(error.to_string())),
            }
        }
    }
}
