use ledger::{Amount, AtLimit, BudgetSpec, Unit, Window};
use model::{AgentName, BudgetName, Digest, NanoUsd, PepName};
use proptest::prelude::*;

use super::*;
use crate::testing::check_table;

fn one(budget: &str) -> AgentSpec {
    let text = format!(
        "kind: Agent\nname: nightly-report\nowner: data-team@acme.example\nteam: data\nproduct: reports\nenvironment: \
         production\npurpose: Writes the nightly sales report\nbudget: {budget}\n"
    );
    let (agents, findings) = parse(&text);
    assert_eq!(findings, Findings::default());
    let [agent] = <[_; 1]>::try_from(agents).unwrap();
    let agent = an_agent(agent);
    assert_eq!(agent.mark, Mark { line: 1, column: 1 });
    agent.value
}

fn an_agent(document: Document) -> Placed<AgentSpec> {
    match document {
        Document::Agent(agent) => agent,
        other => panic!("{other:?}"),
    }
}

fn agents(text: &str) -> Vec<AgentSpec> {
    let (documents, _) = parse(text);
    documents.into_iter().map(|document| an_agent(document).value).collect()
}

#[test]
fn an_agent_is_read() {
    let expected = AgentSpec {
        name: AgentName::new("nightly-report").unwrap(),
        owner: "data-team@acme.example".to_owned(),
        team: "data".to_owned(),
        product: "reports".to_owned(),
        environment: "production".to_owned(),
        purpose: "Writes the nightly sales report".to_owned(),
        budget: BudgetSpec {
            thresholds: vec![50, 80, 95],
            ..BudgetSpec::money(
                BudgetName::new("nightly-report").unwrap(),
                NanoUsd(5_000_000_000),
                Window::Calendar {
                    unit: Unit::Day,
                    zone: "UTC".to_owned(),
                },
            )
        },
        output_limit: None,
        allowance: None,
    };
    assert_eq!(one("{ limit: 5 USD, per: day }"), expected);
    assert_eq!(
        one("{ limit: 5 USD, per: day }\noutput_limit: 2000").output_limit,
        Some(2_000)
    );
    assert_eq!(
        one("{ limit: 5 USD, per: day }\nallowance: 0.5 USD").allowance,
        Some(NanoUsd(500_000_000))
    );
    assert_eq!(one("{ limit: 0 USD, per: day }").budget.limit, Amount::ZERO);
}

#[test]
fn windows_are_read() {
    for (budget, shown) in [
        ("{ limit: 5 USD, per: minute }", "minute (UTC)"),
        ("{ limit: 5 USD, per: week, window: calendar }", "week (UTC)"),
        (
            "\n  limit: 5 USD\n  per: month\n  time_zone: Europe/Berlin",
            "month (Europe/Berlin)",
        ),
        ("{ limit: 5 USD, per: hour, window: rolling }", "rolling hour"),
        ("{ limit: 5 USD, per: total }", "total"),
        (
            "{ limit: 5 USD, per: year, time_zone: Europe/Berlin }",
            "year (Europe/Berlin)",
        ),
    ] {
        assert_eq!(one(budget).budget.window.to_string(), shown, "{budget}");
    }
}

#[test]
fn an_agent_s_budget_warns_and_asks() {
    let budget = one("{ limit: 5 USD, per: day, thresholds: [], at_limit: ask }").budget;
    assert!(budget.thresholds.is_empty());
    assert_eq!(budget.at_limit, AtLimit::Ask { wait_s: 300 });
    let budget = one("{ limit: 5 USD, per: day, thresholds: [90, 10], at_limit: { ask: 1 hour } }").budget;
    assert_eq!(budget.thresholds, [10, 90]);
    assert_eq!(budget.at_limit, AtLimit::Ask { wait_s: 3_600 });
}

#[test]
fn a_file_has_any_number_of_documents() {
    let agent = |name: &str| {
        format!(
            "{{ kind: Agent, name: {name}, owner: o, team: t, product: p, environment: e, purpose: x, budget: {{ limit: 1 \
             USD, per: day }} }}\n"
        )
    };
    let places = |text: &str| -> Vec<(String, u32)> {
        let (agents, findings) = parse(text);
        assert_eq!(findings, Findings::default());
        let agents = agents.into_iter().map(an_agent);
        agents
            .map(|agent| (agent.value.name.to_string(), agent.mark.line))
            .collect()
    };
    assert_eq!(places(""), []);
    assert_eq!(places("# nobody yet\n---\n"), []);
    let two = format!("# two of them\n---\n{}---\n\n# the second\n{}", agent("a"), agent("b"));
    assert_eq!(places(&two), [("a".to_owned(), 3), ("b".to_owned(), 7)]);
}

#[test]
fn an_enforcement_point_is_read() {
    let print = "AB:".repeat(31) + "ab";
    let text = format!(
        "kind: Pep\nname: api-gateway\nowner: platform@acme.example\npurpose: Guards the public API\nmay: [evaluate, \
         search]\nreasons: [user]\ncertificates: [\"{print}\"]\n"
    );
    let expected = PepSpec {
        name: PepName::new("api-gateway").unwrap(),
        owner: "platform@acme.example".to_owned(),
        purpose: "Guards the public API".to_owned(),
        may_evaluate: true,
        may_search: true,
        reasons_user: true,
        reasons_admin: false,
        certificates: vec![Digest([0xab; 32])],
    };
    let (documents, findings) = parse(&text);
    assert_eq!(findings, Findings::default());
    match documents.as_slice() {
        [Document::Pep(pep)] => assert_eq!(pep.value, expected),
        other => panic!("{other:?}"),
    }
}

#[test]
fn texts_are_trimmed_and_bounded() {
    let text = |purpose: &str| {
        format!(
            "kind: Agent\nname: a\nowner: o\nteam: t\nproduct: p\nenvironment: e\nbudget: {{ limit: 5 USD, per: day \
             }}\npurpose: {purpose}\n"
        )
    };
    assert_eq!(agents(&text("'  Two words. '"))[0].purpose, "Two words.");
    assert_eq!(agents(&text("|\n  Two\n  lines.\n"))[0].purpose, "Two\nlines.");
    let (agents, findings) = parse(&text(&"é".repeat(501)));
    assert!(agents.is_empty());
    let problems = findings.of_file("a.yaml").to_string();
    assert_eq!(problems, "a.yaml:8:10: `purpose` is longer than 500 characters");
}

/// Each document and what it becomes, as its audit entry carries it.
#[test]
fn rules_are_read() {
    check_table(include_str!("rules.txt"), |text| {
        let (documents, findings) = parse(text);
        assert_eq!(findings, Findings::default(), "{text}");
        let lines = documents.iter().map(|document| match document {
            Document::Agent(agent) => panic!("{agent:?}"),
            Document::Budget(budget) => serde_json::to_string(&budget.spec).unwrap(),
            Document::RateLimit(limit) => serde_json::to_string(&limit.spec).unwrap(),
            Document::Breaker(breaker) => serde_json::to_string(&breaker.spec).unwrap(),
            Document::Pep(pep) => format!("{:?}", pep.value),
        });
        lines.collect::<Vec<_>>().join("\n")
    });
}

#[test]
fn a_rule_fits_an_audit_entry() {
    let values = |label: &str, length: usize| -> String {
        let values: Vec<String> = (10..42).map(|n| format!("{n}{}", "x".repeat(length - 2))).collect();
        format!("{label}: [{}]", values.join(", "))
    };
    let text = |labels: &[String]| {
        format!(
            "{{ kind: RateLimit, name: a, requests: 1 per hour, select: {{ {} }} }}",
            labels.join(", ")
        )
    };
    assert_eq!(parse(&text(&[values("user", 254)])).1, Findings::default());
    let (documents, findings) = parse(&text(&[values("user", 254), values("model", 256)]));
    assert!(documents.is_empty());
    let problems = findings.of_file("a.yaml").to_string();
    assert!(
        problems.starts_with("a.yaml:1:1: the rate limit `a` takes 16617 bytes in the audit log, more than 14336\n"),
        "{problems}"
    );
}

/// What the manual shows is read as it stands there.
#[test]
fn the_examples_of_the_manual_are_right() {
    for (page, text) in [
        ("budgets.md", include_str!("../../../../docs/operating/budgets.md")),
        (
            "rate-limits.md",
            include_str!("../../../../docs/operating/rate-limits.md"),
        ),
        ("breakers.md", include_str!("../../../../docs/operating/breakers.md")),
        (
            "configuration.md",
            include_str!("../../../../docs/operating/configuration.md"),
        ),
    ] {
        let examples: Vec<&str> = text
            .split("```yaml\n")
            .skip(1)
            .filter_map(|rest| rest.split_once("```").map(|(example, _)| example))
            .collect();
        assert!(!examples.is_empty(), "{page}");
        for example in examples {
            let (documents, findings) = parse(example);
            assert_eq!(findings, Findings::default(), "{page}:\n{example}");
            assert!(!documents.is_empty(), "{page}:\n{example}");
        }
    }
}

#[test]
fn mistakes_in_rules_are_explained() {
    check_table(include_str!("rule_mistakes.txt"), |text| {
        parse(text).1.of_file("rules/a.yaml").sorted().to_string()
    });
}

#[test]
fn mistakes_are_explained() {
    check_table(include_str!("mistakes.txt"), |text| {
        parse(text).1.of_file("agents/a.yaml").sorted().to_string()
    });
}

/// Aliases are for people who repeat themselves, and must not be a way to exhaust the memory.
#[test]
fn aliases_are_expanded_within_bounds() {
    let text = "kind: Agent\nname: a\nowner: &who someone\nteam: *who\nproduct: p\nenvironment: e\npurpose: x\nbudget: { limit: \
                5 USD, per: day }\n";
    assert_eq!(agents(text)[0].team, "someone");
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..10 {
        let level = format!("*a{}, ", n - 1).repeat(10);
        bomb.push_str(&format!("a{n}: &a{n} [{level}]\n"));
    }
    let (agents, findings) = parse(&bomb);
    assert!(agents.is_empty());
    let problems = findings.of_file("a.yaml").to_string();
    assert!(problems.contains("not valid YAML: "), "{problems}");
}

/// Texts that come closer to being a manifest than random characters do.
fn almost_yaml() -> impl Strategy<Value = String> {
    let words = [
        "kind: ",
        "Agent",
        "Budget",
        "RateLimit",
        "Breaker",
        "select: ",
        "each: ",
        "user",
        "requests: ",
        "60 per minute",
        "scope: ",
        "loops: ",
        "true",
        "at_limit: ",
        "ask",
        "name: ",
        "owner: ",
        "budget: ",
        "limit: ",
        "5 USD",
        "per: ",
        "day",
        "time_zone: ",
        "output_limit: ",
        "{",
        "}",
        "[",
        "]",
        ", ",
        "\n",
        "\n",
        "\n  ",
        "---\n",
        "...\n",
        "- ",
        "? ",
        ": ",
        "&a ",
        "*a",
        "<<: ",
        "!!int ",
        "!x ",
        "|\n",
        ">-\n",
        "\"",
        "'",
        "~",
        "1e999",
        "-0",
        ".nan",
        "0x",
        "%YAML 1.2\n",
        "#",
        "\t",
        "\u{feff}",
        "é",
        "\0",
    ];
    prop::collection::vec(prop::sample::select(words.to_vec()), 0..40).prop_map(|words| words.concat())
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(random in "(?s).{0,200}", almost in almost_yaml()) {
        let kinds = ["Agent", "Budget", "RateLimit", "Breaker"];
        let of_kinds = kinds.map(|kind| format!("kind: {kind}\n{almost}"));
        for text in [random, almost].into_iter().chain(of_kinds) {
            let (agents, findings) = parse(&text);
            // What is no agent is a problem: nothing is dropped in silence.
            let documents = parse_yaml(&text).map_or(usize::MAX, |documents| documents.len());
            prop_assert!(agents.len() == documents || findings != Findings::default());
        }
    }
}
