//! What a decision costs, beside plain Cedar on the same work: run by `cargo xtask bench policy`.
//!
//! A made-up company: bots in crews, tools on servers. Half of the policies permit a crew the tools of a server, three in
//! ten permit a crew what its bots' level allows, the rest forbid; ten forbid something to everybody, whatever the number of
//! policies. Questions ask at random. Prints one line of JSON for each size.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a measuring program: what goes wrong ends it"
)]

use std::{
    fs,
    hint::black_box,
    path::{Path, PathBuf},
    time::Instant,
};

use cedar_policy::{Authorizer, Context, Entities, EntityUid, PolicySet, Request, Schema};
use policy::{Bundle, Page, Party, Properties, Query, ResourceSearch, Source, Sources};
use serde_json::{Value, json};

const SCHEMA: &str = r#"
entity crew in [crew];
entity bot in [crew] { level: Long, zone: String };
entity server;
entity tool in [server] { risk: Long, zone: String };
action "use";
action "call" in ["use"] appliesTo { principal: [bot], resource: [tool], context: { hour: Long, mfa: Bool } };
action "inspect" in ["use"] appliesTo { principal: [bot], resource: [tool], context: { hour: Long, mfa: Bool } };
"#;
/// How many policies forbid something to everybody.
const GLOBAL: usize = 10;
/// How many tools a search goes through.
const TOOLS: usize = 230;
const SERVERS: usize = 20;
const QUESTIONS: usize = 4_096;
const ROUNDS: usize = 5;
/// The processor's time is counted in steps of some milliseconds: each round is to take many of them.
const TIMES: usize = 8;
const SEARCHES: usize = 256;

/// A small generator (xorshift64*), so that each run asks the same.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let value = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(value).unwrap() % bound
    }
}

struct World {
    policies: String,
    entities: Vec<Value>,
    bots: usize,
}

fn world(policies: usize, entities: usize) -> World {
    let mut random = Random(7);
    let crews = (policies / 8).max(4);
    let bots = entities.saturating_sub(TOOLS + SERVERS + crews).max(100);
    let named = |kind: &str, id: String| json!({"type": kind, "id": id});
    let mut all = Vec::new();
    for crew in 0..crews {
        let above = if crew < 2 {
            vec![]
        } else {
            vec![named("crew", format!("c{}", crew % 2))]
        };
        all.push(json!({"uid": named("crew", format!("c{crew}")), "attrs": {}, "parents": above}));
    }
    for server in 0..SERVERS {
        all.push(json!({"uid": named("server", format!("s{server}")), "attrs": {}, "parents": []}));
    }
    for tool in 0..TOOLS {
        all.push(json!({
            "uid": named("tool", format!("t{tool}")),
            "attrs": {"risk": tool % 10, "zone": if tool % 3 == 0 { "eu" } else { "us" }},
            "parents": [named("server", format!("s{}", tool % SERVERS))],
        }));
    }
    for bot in 0..bots {
        all.push(json!({
            "uid": named("bot", format!("b{bot}")),
            "attrs": {"level": bot % 10, "zone": if bot % 2 == 0 { "eu" } else { "us" }},
            "parents": [named("crew", format!("c{}", bot % crews))],
        }));
    }
    let mut text = String::new();
    for n in 0..policies {
        let (crew, server, tool) = (random.below(crews), random.below(SERVERS), random.below(TOOLS));
        let policy = match n {
            n if n < GLOBAL.min(policies / 5) => format!(
                "forbid (principal, action in Action::\"use\", resource) when {{ context.hour == {} && resource.risk > 7 }};",
                24 + n
            ),
            n if n % 10 < 5 => format!(
                "permit (principal in crew::\"c{crew}\", action == Action::\"call\", resource in server::\"s{server}\");"
            ),
            n if n % 10 < 8 => format!(
                "permit (principal in crew::\"c{crew}\", action in Action::\"use\", resource is tool) when {{ resource.risk <= principal.level && context.hour < 22 }};"
            ),
            _ => format!(
                "forbid (principal in crew::\"c{crew}\", action in Action::\"use\", resource == tool::\"t{tool}\") unless {{ context.mfa && principal.zone == resource.zone }};"
            ),
        };
        text.push_str(&format!("@id(\"p{n}\") {policy}\n"));
    }
    World {
        policies: text,
        entities: all,
        bots,
    }
}

struct Asked {
    subject: String,
    action: &'static str,
    resource: String,
    context: Properties,
}

fn asked(bots: usize) -> Vec<Asked> {
    let mut random = Random(11);
    let one = |_| Asked {
        subject: format!("b{}", random.below(bots)),
        action: if random.below(4) == 0 { "inspect" } else { "call" },
        resource: format!("t{}", random.below(TOOLS)),
        context: Properties::from_iter([
            ("hour".to_owned(), json!(random.below(24))),
            ("mfa".to_owned(), json!(random.below(2) == 0)),
        ]),
    };
    (0..QUESTIONS).map(one).collect()
}

fn query(asked: &Asked) -> Query<'_> {
    let party = |kind, id| Party {
        kind,
        id,
        properties: None,
    };
    Query {
        subject: party("bot", &asked.subject),
        action: asked.action,
        action_properties: None,
        resource: party("tool", &asked.resource),
        context: Some(&asked.context),
        approved: false,
    }
}

/// How long this thread has been on a processor, in microseconds. On a busy machine a clock would measure the others too.
fn on_processor() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux");
    let nanos: f64 = text.split_whitespace().next().unwrap().parse().unwrap();
    nanos / 1e3
}

/// The median of some rounds, in microseconds of the processor for each of so many.
fn micros(each: usize, mut work: impl FnMut()) -> f64 {
    let mut rounds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let start = on_processor();
            work();
            on_processor() - start
        })
        .collect();
    rounds.sort_by(f64::total_cmp);
    rounds[ROUNDS / 2] / f64::from(u32::try_from(each).unwrap())
}

/// Plain Cedar: all policies over all entities.
struct Plain {
    schema: Schema,
    policies: PolicySet,
    entities: Entities,
    authorizer: Authorizer,
}

impl Plain {
    fn new(world: &World) -> Self {
        let (schema, _) = Schema::from_cedarschema_str(SCHEMA).unwrap();
        let entities = Entities::from_json_value(Value::Array(world.entities.clone()), Some(&schema)).unwrap();
        Self {
            policies: world.policies.parse().unwrap(),
            entities,
            schema,
            authorizer: Authorizer::new(),
        }
    }

    fn permits(&self, asked: &Asked) -> bool {
        let uid = |kind: &str, id: &str| EntityUid::from_type_name_and_id(kind.parse().unwrap(), id.parse().unwrap());
        let action = uid("Action", asked.action);
        let context = Value::Object(asked.context.clone());
        let context = Context::from_json_value(context, Some((&self.schema, &action))).unwrap();
        let (principal, resource) = (uid("bot", &asked.subject), uid("tool", &asked.resource));
        let request = Request::new(principal, action, resource, context, Some(&self.schema)).unwrap();
        let response = self.authorizer.is_authorized(&request, &self.policies, &self.entities);
        response.decision() == cedar_policy::Decision::Allow
    }
}

fn main() {
    let number = |text: &String| text.parse::<usize>().expect("a number");
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [policies, entities, rest @ ..] = &arguments[..] else {
        panic!("usage: decisions POLICIES ENTITIES [--write DIR]");
    };
    let (policies, entities) = (number(policies), number(entities));
    let world = world(policies, entities);
    let asked = asked(world.bots);
    if let [_, dir] = rest {
        return write(&PathBuf::from(dir), &world, &asked).expect("the directory can be written");
    }
    let sources = Sources {
        schemas: vec![source("schemas/bench.cedarschema", SCHEMA)],
        policies: vec![source("policies/bench.cedar", &world.policies)],
        entities: vec![source(
            "entities/bench.json",
            &Value::Array(world.entities.clone()).to_string(),
        )],
    };
    let start = Instant::now();
    let bundle = Bundle::compile(&sources, &[]).unwrap_or_else(|problems| panic!("{problems:?}"));
    let loading = start.elapsed().as_secs_f64();
    let plain = Plain::new(&world);
    // Plain Cedar may take long: fewer questions.
    let few = (QUESTIONS * 10 / policies).clamp(16, QUESTIONS);
    let permitted = asked
        .iter()
        .take(few)
        .filter(|asked| bundle.evaluate(&query(asked)).is_permit())
        .count();
    let expected = asked.iter().take(few).filter(|asked| plain.permits(asked)).count();
    assert_eq!(permitted, expected, "plain Cedar decides otherwise");
    let ours = micros(TIMES * QUESTIONS, || {
        for asked in asked.iter().cycle().take(TIMES * QUESTIONS) {
            let verdict = bundle.evaluate(&query(asked));
            let _ = black_box((bundle.reasons(&verdict), verdict));
        }
    });
    let plainly = micros(few, || {
        for asked in asked.iter().take(few) {
            black_box(plain.permits(asked));
        }
    });
    let search = micros(SEARCHES, || {
        for asked in asked.iter().take(SEARCHES) {
            let found = bundle.search_resource(
                &ResourceSearch {
                    subject: query(asked).subject,
                    action: asked.action,
                    action_properties: None,
                    kind: "tool",
                    properties: None,
                    context: Some(&asked.context),
                },
                Page {
                    after: None,
                    limit: TOOLS,
                    candidates: TOOLS,
                },
            );
            black_box(found);
        }
    });
    let line = json!({
        "policies": policies, "entities": world.entities.len(), "load_s": loading, "decision_us": ours,
        "plain_us": plainly, "search_us": search, "permitted": permitted, "questions": QUESTIONS,
    });
    println!("{line}");
}

/// A governance directory with the same world, and the questions as the decision point takes them.
fn write(dir: &Path, world: &World, asked: &[Asked]) -> std::io::Result<()> {
    let governance = dir.join("governance");
    for part in ["agents", "schemas", "policies", "entities"] {
        fs::create_dir_all(governance.join(part))?;
    }
    let pep = "kind: Pep\nname: bench\nowner: bench@bench.example\npurpose: Is measured\nmay: [evaluate]\n";
    fs::write(governance.join("agents/bench.yaml"), pep)?;
    fs::write(governance.join("schemas/bench.cedarschema"), SCHEMA)?;
    let lines: Vec<&str> = world.policies.lines().collect();
    for (number, lines) in lines.chunks(20).enumerate() {
        fs::write(governance.join(format!("policies/p{number}.cedar")), lines.join("\n"))?;
    }
    fs::write(
        governance.join("entities/bench.json"),
        Value::Array(world.entities.clone()).to_string(),
    )?;
    let question = |asked: &Asked| {
        let question = json!({
            "subject": {"type": "bot", "id": asked.subject},
            "action": {"name": asked.action},
            "resource": {"type": "tool", "id": asked.resource},
            "context": asked.context,
        });
        format!("{question}\n")
    };
    fs::write(
        dir.join("questions.jsonl"),
        asked.iter().map(question).collect::<String>(),
    )
}

fn source(file: &str, text: &str) -> Source {
    Source {
        file: file.to_owned(),
        text: text.to_owned(),
    }
}
