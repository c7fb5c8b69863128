//! What a search finds is what a look at every entry finds.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use entry::{Class, Entry, Event};
use model::{NanoUsd, TenantName, Timestamp};
use proptest::prelude::*;
use sqlx::{ConnectOptions as _, Row as _, sqlite::SqliteConnectOptions};

use super::{
    super::{Facts, Field, Position, Projection, SearchAnswer, SearchError, SearchQuestion, file, follows, words},
    world::{AGENTS, Call, EVENING, PATIENCE, SECOND, World, budgets_loaded, ended, patiently, tenant},
};
use crate::db::faults::Fate::{Fails, FailsButLands};

fn acme() -> TenantName {
    TenantName::new("acme").unwrap()
}

/// An entry and what it can be found by, worked out from the log as a whole.
#[derive(Debug)]
struct Known {
    at: Position,
    values: BTreeSet<(Field, String)>,
    words: BTreeSet<String>,
    cost: Option<NanoUsd>,
}

/// All entries, in the order of all logs.
async fn known(world: &World) -> Vec<Known> {
    let mut known = Vec::new();
    for tenant in world.reader.tenants().await.unwrap() {
        let entries = world.entries_of(&tenant).await;
        known.extend(entries.iter().map(|entry| look(entry, &entries)));
    }
    known.sort_by(|a, b| a.at.cmp(&b.at));
    known
}

fn look(entry: &Entry, log: &[Entry]) -> Known {
    let place = |index: u64| &log[usize::try_from(index).unwrap()];
    let mut facts = Facts::of(&entry.event);
    let mut behind = entry.index;
    while behind > 0 && follows(&place(behind).event) {
        behind -= 1;
    }
    if let Event::Outcome(outcome) = &place(behind).event {
        facts.inherit(&Facts::of(&place(outcome.intent).event), behind != entry.index);
    }
    let texts = facts.texts.iter().chain(facts.values.iter().map(|(_, value)| value));
    let words = texts.flat_map(|text| words(text)).collect();
    let values = facts.values.iter().map(|(field, value)| (*field, value.to_string()));
    Known {
        at: Position {
            time: entry.time,
            tenant: entry.tenant.clone(),
            index: entry.index,
        },
        values: values.collect(),
        words,
        cost: facts.cost,
    }
}

fn fits(question: &SearchQuestion, known: &Known) -> bool {
    let of_tenant = question.tenants.is_empty() || question.tenants.contains(&known.at.tenant);
    let of_fields = question
        .only
        .iter()
        .all(|group| group.iter().any(|value| known.values.contains(value)));
    let of_words = question.words.iter().all(|word| known.words.contains(word));
    let in_time = question.since.is_none_or(|since| known.at.time >= since)
        && question.until.is_none_or(|until| known.at.time < until);
    let costs = match (question.min_cost, question.max_cost) {
        (None, None) => true,
        (min, max) => known
            .cost
            .is_some_and(|cost| min.is_none_or(|min| cost >= min) && max.is_none_or(|max| cost <= max)),
    };
    of_tenant && of_fields && of_words && in_time && costs
}

async fn search(world: &World, question: &SearchQuestion) -> SearchAnswer {
    world.projection.search(question.clone(), PATIENCE).await.unwrap()
}

/// Everything that a question finds, page by page.
async fn pages(world: &World, question: &SearchQuestion, limits: &[usize]) -> Vec<Position> {
    let mut found = Vec::new();
    let mut question = question.clone();
    for limit in limits.iter().cycle() {
        question.limit = *limit;
        let answer = search(world, &question).await;
        assert!(answer.hits.len() <= *limit && !answer.out_of_time);
        assert_eq!(answer.indexed, answer.sizes);
        found.extend(answer.hits);
        match answer.next {
            Some(next) => question.from = Some(next),
            None => break,
        }
    }
    found
}

async fn check(world: &World, known: &[Known], question: &SearchQuestion, limits: &[usize]) {
    let expected = known.iter().filter(|known| fits(question, known));
    let mut expected: Vec<&Position> = expected.map(|known| &known.at).collect();
    if !question.oldest_first {
        expected.reverse();
    }
    let found = pages(world, question, limits).await;
    assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{question:?}");
}

/// How to make a question of the entries that are there.
#[derive(Clone, Debug)]
struct Draft {
    values: Vec<(prop::sample::Index, prop::sample::Index)>,
    word: Option<(prop::sample::Index, prop::sample::Index)>,
    missing: bool,
    since: Option<prop::sample::Index>,
    until: Option<prop::sample::Index>,
    costs: (Option<i64>, Option<i64>),
    tenants: u8,
    oldest_first: bool,
    limits: Vec<usize>,
}

fn draft() -> impl Strategy<Value = Draft> {
    let index = any::<prop::sample::Index>;
    (
        prop::collection::vec((index(), index()), 0..4),
        prop::option::weighted(0.3, (index(), index())),
        prop::bool::weighted(0.05),
        prop::option::weighted(0.3, index()),
        prop::option::weighted(0.3, index()),
        (
            prop::option::weighted(0.2, 0..300_i64),
            prop::option::weighted(0.2, 0..300_i64),
        ),
        0..4_u8,
        any::<bool>(),
        prop::collection::vec(1..12_usize, 1..4),
    )
        .prop_map(
            |(values, word, missing, since, until, costs, tenants, oldest_first, limits)| Draft {
                values,
                word,
                missing,
                since,
                until,
                costs,
                tenants,
                oldest_first,
                limits,
            },
        )
}

impl Draft {
    fn question(&self, known: &[Known]) -> SearchQuestion {
        // Values of one field are alternatives, here.
        let mut groups: BTreeMap<Field, Vec<(Field, String)>> = BTreeMap::new();
        for (entry, value) in &self.values {
            let values: Vec<_> = entry.get(known).values.iter().collect();
            let value = value.get(&values);
            groups.entry(value.0).or_default().push((*value).clone());
        }
        if self.missing {
            let missing = (Field::Run, "Ä run/that is not there".to_owned());
            groups.entry(Field::Run).or_default().push(missing);
        }
        let only = groups.into_values().collect();
        let word = self.word.as_ref().and_then(|(entry, word)| {
            let words: Vec<_> = entry.get(known).words.iter().collect();
            (!words.is_empty()).then(|| (*word.get(&words)).clone())
        });
        let time = |index: &prop::sample::Index| index.get(known).at.time;
        SearchQuestion {
            tenants: match self.tenants {
                0 => BTreeSet::from([tenant()]),
                1 => BTreeSet::from([tenant(), acme()]),
                _ => BTreeSet::new(),
            },
            only,
            words: word.into_iter().collect(),
            since: self.since.as_ref().map(time),
            until: self.until.as_ref().map(time),
            min_cost: self.costs.0.map(NanoUsd),
            max_cost: self.costs.1.map(NanoUsd),
            oldest_first: self.oldest_first,
            from: None,
            limit: 0,
        }
    }
}

#[derive(Clone, Debug)]
struct Traffic {
    call: Call,
    cost: Option<i64>,
    wait: i64,
    other: bool,
}

fn traffic() -> impl Strategy<Value = Traffic> {
    let call = (
        0..AGENTS.len(),
        prop::option::of(0..3_u8),
        prop::option::of(0..3_u32),
        0..3_u8,
    );
    let call = call.prop_map(|(agent, user, task, model)| Call {
        agent,
        user,
        task,
        model,
        amount: 300,
        ..Call::default()
    });
    let wait = prop_oneof![Just(0), 0..3 * SECOND];
    (
        call,
        prop::option::weighted(0.9, 0..310_i64),
        wait,
        prop::bool::weighted(0.2),
    )
        .prop_map(|(call, cost, wait, other)| Traffic {
            call,
            cost,
            wait,
            other,
        })
}

async fn run(traffic: Vec<Traffic>, drafts: Vec<Draft>) {
    let world = World::new().await;
    let mut holds = Vec::new();
    for (number, step) in (0..).zip(traffic) {
        world.clock.pass(step.wait);
        if step.other {
            world.handle.change(acme(), budgets_loaded("alone")).await.unwrap();
        }
        let hold = world.ask(number, step.call).await;
        match (hold, step.cost) {
            (Some(hold), Some(cost)) => hold.settle(ended(cost)),
            (hold, _) => holds.extend(hold),
        }
    }
    world.settled(holds.len()).await;
    let log = known(&world).await;
    for draft in &drafts {
        check(&world, &log, &draft.question(&log), &draft.limits).await;
    }
    holds.clear();
    world.settled(0).await;
    // Made again in one go, it finds the same.
    let world = world
        .reopen_projection(async |path| std::fs::remove_file(path).unwrap())
        .await;
    let log = known(&world).await;
    for draft in &drafts {
        check(&world, &log, &draft.question(&log), &draft.limits).await;
    }
    world.stop().await;
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, max_shrink_iters: 100, ..ProptestConfig::default() })]

    #[test]
    fn a_search_finds_what_a_look_at_everything_finds(
        traffic in prop::collection::vec(traffic(), 1..40),
        drafts in prop::collection::vec(draft(), 12),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(run(traffic, drafts));
    }
}

/// Compares all pages of every stretch of time, in both directions, with what is kept of the logs.
async fn check_kept(world: &World) {
    let mut kept = Vec::new();
    for tenant in world.reader.tenants().await.unwrap() {
        let entries = world.entries_of(&tenant).await.into_iter();
        kept.extend(entries.map(|entry| Position {
            time: entry.time,
            tenant: entry.tenant,
            index: entry.index,
        }));
    }
    kept.sort();
    let times = (0..14).map(|second| Some(Timestamp::from_unix_micros(EVENING + second * SECOND)));
    let times: Vec<_> = times.step_by(2).chain([None]).collect();
    for (since, until, oldest_first) in times.iter().flat_map(|since| {
        let until = times.iter().map(move |until| (*since, *until));
        until.flat_map(|(since, until)| [(since, until, false), (since, until, true)])
    }) {
        let question = SearchQuestion {
            since,
            until,
            oldest_first,
            ..SearchQuestion::default()
        };
        let in_time =
            |at: &&Position| since.is_none_or(|since| at.time >= since) && until.is_none_or(|until| at.time < until);
        let mut expected: Vec<_> = kept.iter().filter(in_time).collect();
        if !oldest_first {
            expected.reverse();
        }
        let found = pages(world, &question, &[1, 3]).await;
        assert_eq!(found.iter().collect::<Vec<_>>(), expected, "{question:?}");
    }
}

/// What was let go has no row once the index is made again: around that, everything is found.
#[tokio::test]
async fn what_is_kept_around_entries_that_are_gone_is_found() {
    let mut world = World::new().await;
    for number in 0..12 {
        world.clock.pass(SECOND);
        world.call(number, calls(0), 10).await;
        if number % 5 == 4 {
            world.change(budgets_loaded("alone")).await;
            world.handle.change(acme(), budgets_loaded("alone")).await.unwrap();
        }
    }
    world.clock.pass(SECOND);
    let until = EVENING + 10 * SECOND + 1;
    for classes in [&[Class::Calls][..], &[Class::Calls, Class::Administration]] {
        let classes = classes.iter().map(|class| (*class, until));
        world.let_go(&classes.collect::<Vec<_>>()).await;
        world = world
            .reopen_projection(async |path| std::fs::remove_file(path).unwrap())
            .await;
        check_kept(&world).await;
    }
    world.stop().await;
}

fn question(only: &[(Field, &str)]) -> SearchQuestion {
    let mut question = SearchQuestion {
        limit: 100,
        ..SearchQuestion::default()
    };
    for (field, value) in only {
        question.only.push(vec![(*field, (*value).to_owned())]);
    }
    question
}

fn calls(agent: usize) -> Call {
    Call {
        agent,
        amount: 400,
        ..Call::default()
    }
}

/// What an agent spent, by what only its intents say.
#[tokio::test]
async fn outcomes_are_found_by_what_their_intents_say() {
    let world = World::new().await;
    world
        .call(
            1,
            Call {
                user: Some(7),
                ..calls(0)
            },
            90,
        )
        .await;
    let held = world.ask(2, calls(1)).await.unwrap();
    // The end of a call is found, although the follower died while it was running.
    search(&world, &question(&[])).await;
    let world = world.crash_projection().await;
    held.settle(ended(500));
    world.settled(0).await;
    let indexes = async |question: SearchQuestion| -> Vec<u64> {
        let found = search(&world, &question).await.hits.into_iter();
        found.map(|hit| hit.index).collect()
    };
    let at_least = |agent, min| SearchQuestion {
        min_cost: Some(NanoUsd(min)),
        ..question(&[(Field::Agent, agent)])
    };
    let user = format!("{:032x}", 7);
    let outcomes = indexes(question(&[(Field::Kind, "outcome")])).await;
    assert_eq!(outcomes.len(), 2);
    assert_eq!(indexes(at_least("alone", 90)).await, [outcomes[1]]);
    assert!(indexes(at_least("alone", 91)).await.is_empty());
    assert_eq!(indexes(at_least("both", 500)).await, [outcomes[0]]);
    assert_eq!(
        indexes(question(&[(Field::User, &user), (Field::Kind, "outcome")])).await,
        [outcomes[1]]
    );
    assert_eq!(
        indexes(question(&[(Field::Resource, "openai/model-0"), (Field::Status, "ok")])).await,
        outcomes
    );
    // What follows from an outcome is the agent's, too.
    let overrun = indexes(question(&[(Field::Kind, "overrun"), (Field::Run, "run-2")])).await;
    assert_eq!(overrun, [outcomes[0] + 1]);
    world.stop().await;
}

/// A page is the same however long the log has become, and what came meanwhile is in none of the next ones.
#[tokio::test]
async fn pages_stay_while_the_log_grows() {
    let world = World::new().await;
    for number in 0..10 {
        world.call(number, calls(0), 5).await;
    }
    let mut wanted = SearchQuestion {
        limit: 4,
        ..question(&[(Field::Kind, "outcome")])
    };
    let all = pages(&world, &wanted, &[100]).await;
    assert_eq!(all.len(), 10);
    let mut found = Vec::new();
    for number in 10.. {
        let answer = search(&world, &wanted).await;
        found.extend(answer.hits);
        world.call(number, calls(1), 6).await;
        match answer.next {
            Some(next) => wanted.from = Some(next),
            None => break,
        }
    }
    assert_eq!(found, all);
    world.stop().await;
}

/// Every term is a word or a value of an entry: what is not in the log is not in the file.
#[tokio::test]
async fn the_index_holds_nothing_that_the_log_does_not_hold() {
    let world = World::new().await;
    for number in 0..5 {
        world
            .call(
                number,
                Call {
                    user: Some(2),
                    task: Some(number),
                    ..calls(0)
                },
                5,
            )
            .await;
    }
    world.ask(9, calls(1)).await.unwrap().settle(ended(7));
    world.settled(0).await;
    search(&world, &question(&[])).await;
    let mut texts: HashMap<u64, String> = HashMap::new();
    let log = world.entries_of(&tenant()).await;
    for entry in &log {
        let mut text = String::from_utf8(entry.encode().unwrap()).unwrap().to_lowercase();
        // What it has from its intent stands there.
        let before = &log[..usize::try_from(entry.index).unwrap()];
        let outcome = before.iter().rev().chain([entry]).find_map(|entry| match &entry.event {
            Event::Outcome(outcome) => Some(outcome),
            _ => None,
        });
        if let Event::Outcome(outcome) = &entry.event {
            text += &texts[&outcome.intent];
        } else if let Some(outcome) = outcome.filter(|_| follows(&entry.event)) {
            text += &texts[&outcome.intent];
        }
        texts.insert(entry.index, text);
    }
    // What is worked out of what an entry says, and is no text of it.
    let derived = ["permit"];
    let rows = "SELECT doc & (1 << 44) - 1 AS entry, word.term FROM word JOIN cursor ON cursor.id = doc >> 44
                WHERE tenant = 'default'";
    let mut connection = world.connect().await;
    let rows = sqlx::query(rows).fetch_all(&mut connection).await.unwrap();
    assert!(rows.len() > 300);
    for row in rows {
        let (entry, term): (i64, String) = (row.get("entry"), row.get("term"));
        let plain = |c: char| match u32::from(c) {
            0xbf..=0xd7 | 0x180 => None,
            shifted @ 0x100..=0x17f => char::from_u32(shifted - 0x100),
            _ => Some(c),
        };
        let value: Cow<'_, str> = term.chars().filter_map(plain).collect::<String>().to_lowercase().into();
        let text = &texts[&u64::try_from(entry).unwrap()];
        let magnitude = term.starts_with('\u{bf}');
        let resource = value.split('/').all(|part| text.contains(part));
        assert!(
            magnitude || resource || derived.contains(&&*value),
            "entry {entry} has the term {term:?}, and says {text}"
        );
    }
    world.stop().await;
}

/// The follower's troubles are its own.
#[tokio::test]
async fn commits_do_not_wait_for_the_index() {
    let world = World::new().await;
    search(&world, &question(&[])).await;
    // Each transaction fails, for as long as this lasts.
    for _ in 0..10_000 {
        world.order_fault_of_projection(Fails);
    }
    patiently(async {
        for number in 0..50 {
            world.call(number, calls(0), 1).await;
        }
    })
    .await;
    let late = world
        .projection
        .search(question(&[]), Duration::from_millis(20))
        .await
        .unwrap();
    let (indexed, size) = (late.indexed[&tenant()], late.sizes[&tenant()]);
    assert!(indexed + 100 <= size, "{indexed} of {size}");
    assert!(
        late.trouble
            .is_some_and(|trouble| trouble.contains("a fault that a test ordered"))
    );
    // A lock that somebody else holds is as bad.
    let options = SqliteConnectOptions::new().filename(file::path(world.dir.path()));
    let mut connection = options.connect().await.unwrap();
    sqlx::raw_sql("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
    patiently(async {
        for number in 50..60 {
            world.call(number, calls(0), 1).await;
        }
    })
    .await;
    sqlx::raw_sql("ROLLBACK").execute(&mut connection).await.unwrap();
    world.clear_faults_of_projection();
    let answer = search(&world, &question(&[(Field::Kind, "outcome")])).await;
    assert_eq!((answer.hits.len(), answer.trouble), (60, None));
    world.stop().await;
}

#[tokio::test]
async fn a_page_that_fails_is_indexed_once() {
    let world = World::new().await;
    for (number, fate) in (0..).zip([Fails, FailsButLands, FailsButLands, Fails]) {
        world.order_fault_of_projection(fate);
        world.call(number, calls(0), 1).await;
        let found = search(&world, &question(&[(Field::Kind, "outcome")])).await.hits;
        assert_eq!(found.len(), usize::try_from(number).unwrap() + 1);
    }
    world.stop().await;
}

#[tokio::test]
async fn who_searches_before_there_is_an_index_is_told_so() {
    let world = World::new().await;
    world.projection.stop().await;
    std::fs::remove_file(file::path(world.dir.path())).unwrap();
    let starved = Projection::start(world.dir.path(), world.reader.clone(), world.handle.heads(), u64::MAX);
    let asked = starved
        .search(question(&[]), Duration::from_millis(200))
        .await
        .map(|answer| (answer.hits.len(), answer.indexed, answer.sizes));
    // The file is there before it may be written to.
    match asked {
        Ok((hits, indexed, sizes)) => {
            let missing = sizes
                .iter()
                .any(|(tenant, size)| indexed.get(tenant).copied().unwrap_or(0) < *size);
            assert!(hits == 0 && missing, "{indexed:?} {sizes:?}");
        }
        Err(error) => assert!(matches!(error, SearchError::Unready { .. }), "{error:?}"),
    }
    starved.stop().await;
    world.stop().await;
}

#[tokio::test]
async fn times_bound_what_is_found() {
    let world = World::new().await;
    for number in 0..6 {
        world.call(number, calls(0), 1).await;
        world.clock.pass(10 * SECOND);
    }
    let at = |seconds: i64| Some(Timestamp::from_unix_micros(EVENING + seconds * SECOND));
    for (since, until, expected) in [
        (None, None, 6),
        (at(0), None, 6),
        (at(10), None, 5),
        (at(11), at(40), 2),
        (at(40), at(40), 0),
        (at(40), at(11), 0),
        (at(9_999), None, 0),
        (None, at(-1), 0),
    ] {
        for oldest_first in [false, true] {
            let wanted = SearchQuestion {
                since,
                until,
                oldest_first,
                ..question(&[(Field::Kind, "outcome")])
            };
            assert_eq!(
                search(&world, &wanted).await.hits.len(),
                expected,
                "{since:?} {until:?}"
            );
        }
    }
    world.stop().await;
}
