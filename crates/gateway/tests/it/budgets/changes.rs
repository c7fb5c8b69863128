//! Raising, lowering, pausing and topping up while traffic flows, and budgets that are created beside the files.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use control::{BudgetForm, BudgetRemoval, NewBudget, Values};

use super::*;
use crate::harness::at_once;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_is_raised_and_lowered_and_is_the_declared_one_again() {
    let harness = with(|governance| declare(governance, team(Measure::Calls, 1))).await;
    let call = || harness.call(harness.chat(""));
    assert_eq!(call().await.0, 200);
    refused(&harness, harness.chat("")).await;
    let raised = change(&harness, "team-data", limit("2 calls")).await.unwrap();
    let report = &raised.budgets[0];
    assert_eq!(
        (report.limit.as_str(), report.declared_limit.as_deref()),
        ("2", Some("1"))
    );
    assert_eq!(report.state, ["raised"]);
    assert_eq!(report.last_edit.as_ref().unwrap().note, "a test");
    assert_eq!(call().await.0, 200);
    harness.outcomes(2).await;
    // Lowered below what is spent: debt that nothing pays off here.
    change(&harness, "team-data", limit("0 calls")).await.unwrap();
    let message = refused(&harness, harness.chat("")).await;
    assert!(
        message.contains("has 0 calls left of 0 calls (2 calls spent"),
        "{message}"
    );
    // A reload says nothing new, so it changes nothing.
    assert_eq!(harness.control.reload(&harness.owner).await.unwrap().changes, [""; 0]);
    refused(&harness, harness.chat("")).await;
    change(&harness, "team-data", limit("3 calls")).await.unwrap();
    assert_eq!(call().await.0, 200);
    change(&harness, "team-data", BudgetChange::DeclaredLimit)
        .await
        .unwrap();
    refused(&harness, harness.chat("")).await;
    let again = change(&harness, "team-data", BudgetChange::DeclaredLimit).await;
    assert_eq!(
        again.unwrap_err().to_string(),
        "budget team-data has its declared limit"
    );
    let metrics = harness.control.render_metrics();
    for line in [
        "bailiwick_budget_edits_total{tenant=\"default\",change=\"limit\"} 3\n",
        "bailiwick_budget_edits_total{tenant=\"default\",change=\"declared_limit\"} 1\n",
    ] {
        assert!(metrics.contains(line), "{line}: {metrics}");
    }
    harness.outcomes(3).await;
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pause_stops_what_comes_and_not_what_runs() {
    let harness = Arc::new(with(|governance| declare(governance, team(Measure::Calls, 9))).await);
    let stream = Harness::scripted(harness.chat(r#","stream":true"#), "hang-after=1");
    let running = harness.send(stream).await;
    let paused = change(&harness, "team-data", BudgetChange::Pause).await.unwrap();
    assert!(paused.budgets[0].paused);
    let message = refused(&harness, harness.chat("")).await;
    assert_eq!(
        message,
        "An administrator paused budget \"team-data\": nothing is granted on it until it is resumed (`bailiwick budget \
         resume team-data`). Nothing was forwarded."
    );
    let twice = change(&harness, "team-data", BudgetChange::Pause).await.unwrap_err();
    assert_eq!(twice.to_string(), "budget team-data is paused already");
    assert_eq!(harness.outcomes(0).await.len(), 0, "the stream goes on");
    drop(running);
    harness.outcomes(1).await;
    change(&harness, "team-data", BudgetChange::Resume).await.unwrap();
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.outcomes(2).await;
    Arc::into_inner(harness).unwrap().finish().await;
}

/// Callers who never rest, and a limit that is raised under them: not one call more than that comes through.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_limit_that_is_raised_under_load_is_reached_exactly() {
    let harness = Arc::new(with(|governance| declare(governance, team(Measure::Calls, 10))).await);
    let through = Arc::new(AtomicUsize::new(0));
    let counted = through.clone();
    let caller = move |harness: Arc<Harness>| {
        let through = counted.clone();
        async move {
            loop {
                match harness.call(harness.chat("")).await.0 {
                    200 => drop(through.fetch_add(1, Relaxed)),
                    402 if through.load(Relaxed) >= 25 => return,
                    402 if through.load(Relaxed) < 10 => {}
                    402 => drop(change(&harness, "team-data", limit("25 calls")).await.unwrap()),
                    status => panic!("{status}"),
                }
            }
        }
    };
    at_once(4, caller, &harness).await;
    assert_eq!(through.load(Relaxed), 25);
    harness.outcomes(25).await;
    let page = harness
        .control
        .budget(&harness.owner, TenantName::default_tenant(), "team-data")
        .await
        .unwrap();
    let report = &page.budgets[0];
    assert_eq!((report.booked.as_str(), report.remaining.as_str()), ("25", "0"));
    let state = Arc::into_inner(harness).unwrap().finish().await;
    assert_eq!(state.open.len(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn users_have_pots_of_their_own_and_are_topped_up_by_name() {
    let harness = with(|governance| {
        let each = vec![Label::User];
        declare(
            governance,
            BudgetSpec {
                each,
                ..team(Measure::Calls, 1)
            },
        );
    })
    .await;
    let user = |name: &'static str| harness.issue(move |order| order.user = Some(name.to_owned()));
    let (alice, bob) = (user("alice@acme.example").await.1, user("bob@acme.example").await.1);
    let as_user = |key: &str| as_caller(harness.chat(""), key);
    assert_eq!(harness.call(as_user(&alice)).await.0, 200);
    let message = refused(&harness, as_user(&alice)).await;
    assert!(
        message.contains("but budget \"team-data\" of ") && !message.contains("alice"),
        "{message}"
    );
    assert_eq!(harness.call(as_user(&bob)).await.0, 200);
    // Who acts for nobody is not selected.
    for _ in 0..3 {
        assert_eq!(harness.call(harness.chat("")).await.0, 200);
    }
    let alice_of = [("user", "alice@acme.example")];
    let page = change(&harness, "team-data", top_up("1 call", &alice_of))
        .await
        .unwrap();
    let pots: Vec<_> = page
        .budgets
        .iter()
        .map(|pot| (pot.of["user"].as_str(), pot.limit.as_str()))
        .collect();
    let mut sorted = pots.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, [("alice@acme.example", "2"), ("bob@acme.example", "1")]);
    assert_eq!(harness.call(as_user(&alice)).await.0, 200);
    refused(&harness, as_user(&alice)).await;
    refused(&harness, as_user(&bob)).await;
    for (of, told) in [
        (
            &[][..],
            "budget team-data keeps pots apart: say which one as user=VALUE",
        ),
        (
            &[("team", "data")][..],
            "budget team-data keeps pots apart: say which one as user=VALUE",
        ),
    ] {
        let wrong = change(&harness, "team-data", top_up("1 call", of)).await.unwrap_err();
        assert_eq!(wrong.to_string(), told);
    }
    // The log has pseudonyms only.
    for entry in harness.entries().await {
        let text = String::from_utf8(entry.encode().unwrap()).unwrap();
        assert!(!text.contains("alice") && !text.contains("bob"), "{text}");
    }
    harness.outcomes(6).await;
    harness.finish().await;
}

/// One line a mistake.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_changed_is_told_with_the_fix() {
    let harness = with(|governance| declare(governance, team(Measure::Tokens, 1_000))).await;
    let check = async |budget: &str, wanted: BudgetChange, told: &str| {
        let error = change(&harness, budget, wanted).await.unwrap_err();
        assert_eq!(error.to_string(), told);
    };
    let nearest = "there is no budget \"team-dta\" in tenant default; did you mean \"team-data\"?";
    check("team-dta", BudgetChange::Pause, nearest).await;
    let none = "there is no budget \"Not A Name\" in tenant default; `bailiwick budget list` shows those there are";
    check("Not A Name", BudgetChange::Pause, none).await;
    let unit = "the budget counts tokens, not USD: write the amount such as \"200000 tokens\"";
    check("team-data", limit("8 USD"), unit).await;
    let text = "\"lots\" is not an amount: write it with its unit, such as \"5 USD\", \"2M tokens\" or \"5000 calls\"";
    check("team-data", limit("lots"), text).await;
    check("team-data", BudgetChange::Resume, "budget team-data is not paused").await;
    check(
        "team-data",
        top_up("0 tokens", &[]),
        "budget team-data is topped up by more than nothing",
    )
    .await;
    let pots = "budget team-data keeps no pots apart: top it up without saying of whom";
    check("team-data", top_up("5 tokens", &[("user", "x")]), pots).await;
    for (note, told) in [
        (
            " ",
            "say in the note why, such as \"incident 4711\": it stands in the audit trail",
        ),
        ("a\nb", "a note has at most 200 characters and no control characters"),
    ] {
        let edit = BudgetEdit {
            tenant: TenantName::default_tenant(),
            budget: "team-data".to_owned(),
            change: BudgetChange::Pause,
            note: note.to_owned(),
        };
        let error = harness.control.edit_budget(&harness.owner, edit).await.unwrap_err();
        assert_eq!(error.to_string(), told);
    }
    harness.finish().await;
}

fn new(name: &str, form: BudgetForm) -> NewBudget {
    NewBudget {
        tenant: TenantName::default_tenant(),
        name: name.to_owned(),
        form,
        note: "a test".to_owned(),
    }
}

fn calls(count: u32) -> BudgetForm {
    BudgetForm {
        limit: format!("{count} calls"),
        per: "day".to_owned(),
        ..BudgetForm::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_created_budget_is_nobodys_but_the_administrators() {
    let harness = with(|governance| declare(governance, team(Measure::Calls, 9))).await;
    let put = |budget| harness.control.put_budget(&harness.owner, budget);
    let (created, page) = put(new("all", calls(1))).await.unwrap();
    assert!(created && page.budgets[0].declared == "api");
    assert_eq!(page.budgets[0].thresholds, [50, 80, 95]);
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.outcomes(1).await;
    let message = refused(&harness, harness.chat("")).await;
    assert!(
        message.contains("budget \"all\" has 0 calls left of 1 call"),
        "{message}"
    );
    // Files do not touch it, and what was spent stays when its terms change.
    assert_eq!(harness.control.reload(&harness.owner).await.unwrap().changes, [""; 0]);
    let (created, page) = put(new("all", calls(2))).await.unwrap();
    assert!(!created && page.budgets[0].booked == "1");
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    let taken = put(new("team-data", calls(2))).await.unwrap_err().to_string();
    assert!(taken.starts_with("budget team-data is declared in files"), "{taken}");
    let delete = |name: &str| {
        let removal = BudgetRemoval {
            tenant: TenantName::default_tenant(),
            name: name.to_owned(),
            note: "a test".to_owned(),
        };
        harness.control.delete_budget(&harness.owner, removal)
    };
    let taken = delete("team-data").await.unwrap_err().to_string();
    assert_eq!(
        taken,
        "budget team-data is declared in files: remove it there and run `bailiwick apply`"
    );
    delete("all").await.unwrap();
    assert!(delete("all").await.is_err(), "once");
    for _ in 0..3 {
        assert_eq!(harness.call(harness.chat("")).await.0, 200);
    }
    let created: Vec<_> = harness.entries().await;
    let created = created.into_iter().filter_map(|entry| match entry.event {
        Event::BudgetLoaded { budget, note, by, .. } if budget.name.as_str() == "all" => Some((note, by)),
        Event::BudgetRemoved { budget, note, by } if budget.as_str() == "all" => Some((note, by)),
        _ => None,
    });
    let by = harness.owner.name.clone();
    assert_eq!(created.collect::<Vec<_>>(), vec![("a test".to_owned(), by); 3]);
    harness.outcomes(5).await;
    harness.finish().await;
}

/// Files that name a budget which an administrator created do not load, and say why; without it they do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_and_administrators_do_not_share_a_name() {
    let harness = Harness::start().await;
    let put = harness.control.put_budget(&harness.owner, new("team-data", calls(5)));
    put.await.unwrap();
    harness.declare(|governance| declare(governance, team(Measure::Calls, 1)));
    let problems = match harness.control.reload(&harness.owner).await {
        Err(control::AdminError::Problems(problems)) => problems,
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    let expected = "governance: budget `team-data`: an administrator created a budget of this name through the API\n  help: \
                    give this budget another name, or delete the other budget first: `bailiwick budget delete team-data \
                    --note WHY`";
    assert_eq!(told, [expected]);
    for _ in 0..2 {
        assert_eq!(harness.call(harness.chat("")).await.0, 200, "what was in effect stays");
    }
    let removal = BudgetRemoval {
        tenant: TenantName::default_tenant(),
        name: "team-data".to_owned(),
        note: "a test".to_owned(),
    };
    harness.control.delete_budget(&harness.owner, removal).await.unwrap();
    let report = harness.control.reload(&harness.owner).await.unwrap();
    assert_eq!(report.changes, ["budget_loaded team-data 1 call per total"]);
    harness.outcomes(2).await;
    // The two calls count on: the same is counted as before.
    refused(&harness, harness.chat("")).await;
    // Declared no more, it selects nothing.
    harness.declare(|governance| {
        governance
            .tenants
            .values_mut()
            .for_each(|tenant| tenant.budgets.clear())
    });
    let report = harness.control.reload(&harness.owner).await.unwrap();
    assert_eq!(report.changes, ["budget_removed team-data"]);
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.outcomes(3).await;
    harness.finish().await;
}

/// Whatever a request may say, it can be in 16 budgets at most: its agent's own, and 15 of the others.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_budgets_than_a_request_can_be_in() {
    let of = |label: &str, value: &str| BudgetForm {
        select: [(label.to_owned(), Values::One(value.to_owned()))].into(),
        ..calls(9)
    };
    let harness = with(|governance| {
        for number in 0..7 {
            let spec = BudgetSpec {
                name: BudgetName::new(&format!("file-{number}")).unwrap(),
                select: Some(Selector::of(Label::Task, "review")),
                ..team(Measure::Calls, 9)
            };
            declare(governance, spec);
        }
    })
    .await;
    let put = |budget| harness.control.put_budget(&harness.owner, budget);
    for number in 0..4 {
        put(new(&format!("model-{number}"), of("model", "gpt-*")))
            .await
            .unwrap();
        put(new(&format!("user-{number}"), of("user", "ann@acme.example")))
            .await
            .unwrap();
    }
    let told = put(new("one-more", of("tier", "api"))).await.unwrap_err().to_string();
    assert!(
        told.starts_with("16 budgets could select one request (")
            && told.contains("narrow the selectors of some, or remove some, of file-0, file-1, ")
            && told.contains("model-3, one-more, user-0"),
        "{told}"
    );
    assert!(!told.contains("ann@"), "{told}");
    // What goes with none of these may be, and one that is there may be changed.
    put(new("other", of("model", "claude"))).await.unwrap();
    put(new("model-3", of("model", "gpt-4o*"))).await.unwrap();
    let one_more = BudgetSpec {
        name: BudgetName::new("file-7").unwrap(),
        ..team(Measure::Calls, 9)
    };
    harness.declare(|governance| declare(governance, one_more));
    let problems = match harness.control.reload(&harness.owner).await {
        Err(control::AdminError::Problems(problems)) => problems,
        other => panic!("{other:?}"),
    };
    let told: Vec<_> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("16 budgets could select one request"), "{told:?}");
    assert!(told[0].contains("file-7, model-0"), "{told:?}");
    assert!(
        told[0].contains("or delete some that administrators created (model-0, ")
            && told[0].contains("`bailiwick budget delete NAME --note WHY`"),
        "{told:?}"
    );
    harness.finish().await;
}

/// What stands behind the prefix of a pseudonym may be a person whom somebody wrote there by mistake: the log never has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_a_pseudonym_is_taken_for_one() {
    let harness = with(|governance| {
        let each = vec![Label::User];
        let spec = team(Measure::Calls, 1);
        declare(governance, BudgetSpec { each, ..spec });
    })
    .await;
    let hex = "0123456789abcdef0123456789abcdef";
    let select = |user: &str| BudgetForm {
        select: [("user".to_owned(), Values::One(user.to_owned()))].into(),
        ..calls(9)
    };
    for wrong in [
        "alice@acme.example",
        "",
        &hex[1..],
        &format!("{hex}0"),
        &hex.to_uppercase(),
        &hex.replace('0', "g"),
    ] {
        let wrong = format!("pseudonym:{wrong}");
        let topped_up = change(&harness, "team-data", top_up("1 calls", &[("user", &wrong)])).await;
        let created = harness
            .control
            .put_budget(&harness.owner, new("one", select(&wrong)))
            .await;
        for error in [topped_up.unwrap_err(), created.unwrap_err()] {
            let told = error.to_string();
            assert!(
                told.contains(
                    "stand the 32 hexadecimal digits that lists show, in lower case; a person is written without"
                ),
                "{told}"
            );
        }
    }
    let right = format!("pseudonym:{hex}");
    change(&harness, "team-data", top_up("1 calls", &[("user", &right)]))
        .await
        .unwrap();
    harness
        .control
        .put_budget(&harness.owner, new("one", select(&right)))
        .await
        .unwrap();
    let selected = harness.entries().await.into_iter().find_map(|entry| match entry.event {
        Event::BudgetLoaded { budget, .. } if budget.name.as_str() == "one" => budget.select,
        _ => None,
    });
    assert_eq!(selected, Some(Selector::of(Label::User, hex)));
    for entry in harness.entries().await {
        let text = String::from_utf8(entry.encode().unwrap()).unwrap();
        assert!(!text.contains("alice"), "{text}");
    }
    harness.finish().await;
}

/// What could not be declared is told, and not put to what was used as if it allowed everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_budgets_that_could_be_declared_are_simulated() {
    let harness = Harness::start().await;
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.outcomes(1).await;
    let simulate = async |budgets: Vec<BudgetSpec>| {
        let proposal = control::Proposal {
            tenant: TenantName::default_tenant(),
            since: Timestamp::default(),
            until: Timestamp::MAX,
            budgets,
        };
        harness.control.simulate(&harness.owner, proposal).await
    };
    let right = || team(Measure::Calls, 0);
    let report = simulate(vec![right()]).await.unwrap();
    assert_eq!((report.calls, report.stopped_calls, report.undecided), (1, 1, 0));
    let in_zone = |zone: &str| BudgetSpec {
        window: Window::Calendar {
            unit: Unit::Day,
            zone: zone.to_owned(),
        },
        ..right()
    };
    assert_eq!(simulate(vec![in_zone("Europe/Berlin")]).await.unwrap().stopped_calls, 1);
    let selecting = |label, value: &str| BudgetSpec {
        select: Some(Selector::of(label, value)),
        ..right()
    };
    for (budgets, told) in [
        (
            vec![in_zone("Europe/Berlni")],
            "budget team-data: `window`: unknown time zone \"Europe/Berlni\"",
        ),
        (
            vec![right(), right()],
            "there are two budgets team-data: give one of them another name",
        ),
        (
            vec![BudgetSpec {
                select: None,
                ..right()
            }],
            "budget team-data: it says no `select`, so it is about no request",
        ),
        (
            vec![BudgetSpec {
                limit: Amount(-1),
                ..right()
            }],
            "budget team-data: `limit`: it cannot be negative",
        ),
        (
            vec![BudgetSpec {
                thresholds: vec![101],
                ..right()
            }],
            "budget team-data: `thresholds` are at most 16 different shares",
        ),
        (
            vec![BudgetSpec {
                at_limit: AtLimit::Ask { wait_s: 0 },
                ..right()
            }],
            "budget team-data: `at_limit`: `wait_s` is 1 to 3600 seconds",
        ),
        (
            vec![BudgetSpec {
                each: vec![Label::Run],
                ..right()
            }],
            "budget team-data: a budget `per: total` cannot keep a pot for each run",
        ),
        (
            vec![BudgetSpec {
                each: vec![Label::Team, Label::Team],
                ..right()
            }],
            "budget team-data: `each`: name a label once",
        ),
        (
            vec![selecting(Label::Tool, "search")],
            "budget team-data: budgets do not tell tools apart",
        ),
        (
            vec![selecting(Label::Model, "*mini")],
            "budget team-data: `select`: `*` can only stand at the end",
        ),
        (
            vec![selecting(Label::User, "a*")],
            "budget team-data: `select`: the log knows users by pseudonyms",
        ),
        (Vec::new(), "a simulation needs 1 to 1000 budgets"),
    ] {
        let error = simulate(budgets).await.unwrap_err().to_string();
        assert!(error.starts_with(told), "{error}");
    }
    harness.finish().await;
}

/// Many declared budgets are loaded in several transactions, and a second load finds nothing to do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_budgets_are_loaded_and_listed_page_by_page() {
    const COUNT: usize = 2_300;
    let harness = with(|governance| {
        for number in 0..COUNT {
            let name = BudgetName::new(&format!("b{number:04}")).unwrap();
            let select = Selector::of(Label::User, &format!("user{number}@acme.example"));
            declare(
                governance,
                BudgetSpec {
                    name,
                    select: Some(select),
                    ..team(Measure::Calls, 5)
                },
            );
        }
    })
    .await;
    assert_eq!(harness.control.reload(&harness.owner).await.unwrap().changes, [""; 0]);
    let mut seen = Vec::new();
    let mut query = control::BudgetQuery::default();
    loop {
        let page = harness.control.budgets(&harness.owner, query.clone()).await.unwrap();
        seen.extend(page.budgets.into_iter().map(|budget| budget.name));
        let Some(next) = page.next else { break };
        let (tenant, name) = next.split_once('/').unwrap();
        query.after = Some((TenantName::new(tenant).unwrap(), BudgetName::new(name).unwrap()));
    }
    assert_eq!(seen.len(), COUNT + 1, "and the agent's own");
    assert!(seen.is_sorted() && seen.windows(2).all(|two| two[0] != two[1]));
    let (_, key) = harness
        .issue(|order| order.user = Some("user7@acme.example".to_owned()))
        .await;
    for _ in 0..5 {
        assert_eq!(harness.call(as_caller(harness.chat(""), &key)).await.0, 200);
    }
    let message = refused(&harness, as_caller(harness.chat(""), &key)).await;
    assert!(message.contains("budget \"b0007\""), "{message}");
    harness.outcomes(5).await;
    harness.finish().await;
}

/// Rate limits and breakers are loaded beside the budgets, and users in them are pseudonyms.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits_and_breakers_are_loaded_and_removed() {
    let harness = Harness::start().await;
    let rule = |harness: &Harness, calls: i64| {
        let limit = ledger::RateSpec {
            name: model::LimitName::new("per-minute").unwrap(),
            group: String::new(),
            select: Selector::of(Label::User, "alice@acme.example"),
            each: Vec::new(),
            rates: vec![ledger::Rate {
                measure: Measure::Calls,
                limit: Amount(calls),
                per: ledger::Per::Minute,
                burst: Amount(calls),
            }],
        };
        harness.declare(|governance| {
            for tenant in governance.tenants.values_mut() {
                tenant.limits = vec![limit.clone()];
            }
        });
    };
    rule(&harness, 1);
    let reload = || harness.control.reload(&harness.owner);
    assert_eq!(reload().await.unwrap().changes, ["limit_loaded per-minute"]);
    assert_eq!(reload().await.unwrap().changes, [""; 0]);
    let (_, key) = harness
        .issue(|order| order.user = Some("alice@acme.example".to_owned()))
        .await;
    assert_eq!(harness.call(as_caller(harness.chat(""), &key)).await.0, 200);
    assert_eq!(harness.call(as_caller(harness.chat(""), &key)).await.0, 429);
    assert_eq!(harness.call(harness.chat("")).await.0, 200);
    harness.declare(|governance| governance.tenants.values_mut().for_each(|tenant| tenant.limits.clear()));
    assert_eq!(reload().await.unwrap().changes, ["limit_removed per-minute"]);
    assert_eq!(harness.call(as_caller(harness.chat(""), &key)).await.0, 200);
    harness.outcomes(3).await;
    harness.finish().await;
}
