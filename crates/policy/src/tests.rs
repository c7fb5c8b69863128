//! The small world the tests decide in, and the text forms of questions and answers.

mod asking;
mod compiling;
mod deciding;
mod entities;
mod indexing;
mod measure;
mod oracle;
mod schemas;

use model::{AgentName, NanoUsd, Pseudonym, Tier, UpstreamName};

use crate::{Action, AgentFacts, Bundle, Decision, DenialKind, Problem, Question, Resource, Source, Sources};

const ENTITIES: &str = r#"[
  {"uid": {"type": "Team", "id": "data"}, "attrs": {}, "parents": [{"type": "Team", "id": "engineering"}]},
  {"uid": {"type": "Team", "id": "engineering"}, "attrs": {}, "parents": [{"type": "Tenant", "id": "acme"}]},
  {"uid": {"type": "User", "id": "u1"}, "attrs": {}, "parents": [{"type": "Team", "id": "support"}]},
  {"uid": {"type": "Team", "id": "support"}, "attrs": {}, "parents": [{"type": "Tenant", "id": "acme"}]}
]"#;

fn agents() -> Vec<AgentFacts> {
    let facts = [
        ("nightly-report", "data", "reports", "production"),
        ("crawler", "data", "audit", "test"),
        ("reviewer", "platform", "code", "staging"),
    ];
    let facts = facts.map(|(name, team, product, environment)| AgentFacts {
        name: AgentName::new(name).unwrap(),
        team: team.to_owned(),
        product: product.to_owned(),
        environment: environment.to_owned(),
    });
    facts.into()
}

fn source(file: &str, text: &str) -> Source {
    Source {
        file: file.to_owned(),
        text: text.to_owned(),
    }
}

fn sources(policies: &[Source], entities: &[Source]) -> Sources {
    Sources {
        schemas: Vec::new(),
        policies: policies.to_vec(),
        entities: entities.to_vec(),
    }
}

fn compile(policies: &[Source]) -> Result<Bundle, Vec<Problem>> {
    Bundle::compile(&sources(policies, &[source("entities.json", ENTITIES)]), &agents())
}

fn bundle(policies: &str) -> Bundle {
    match compile(&[source("p.cedar", policies)]) {
        Ok(bundle) => bundle,
        Err(problems) => panic!("{policies}\n{}", lines(&problems)),
    }
}

fn lines(problems: &[Problem]) -> String {
    let lines: Vec<String> = problems.iter().map(Problem::to_string).collect();
    lines.join("\n")
}

/// A question that owns its parts, read from `AGENT UPSTREAM/MODEL KEY=VALUE...`, or for a list from
/// `AGENT UPSTREAM KEY=VALUE...`.
#[derive(Clone, Debug)]
struct Asked {
    agent: AgentName,
    user: Option<Pseudonym>,
    tier: Tier,
    action: Action,
    upstream: UpstreamName,
    model: Option<String>,
    stream: bool,
    max_output_tokens: u64,
    tools: Vec<String>,
    worst_case: NanoUsd,
    task: Option<String>,
    run: Option<String>,
}

impl Asked {
    fn parse(text: &str) -> Self {
        let mut words = text.split_whitespace();
        let agent = AgentName::new(words.next().unwrap()).unwrap();
        let resource = words.next().unwrap();
        let (upstream, model) = match resource.split_once('/') {
            Some((upstream, model)) => (upstream, Some(model.to_owned())),
            None => (resource, None),
        };
        let mut asked = Self {
            agent,
            user: None,
            tier: Tier::Api,
            action: if model.is_some() {
                Action::Generate
            } else {
                Action::List
            },
            upstream: UpstreamName::new(upstream).unwrap(),
            model,
            stream: false,
            max_output_tokens: 1000,
            tools: Vec::new(),
            worst_case: NanoUsd(1_000_000),
            task: None,
            run: None,
        };
        for word in words {
            match word.split_once('=').unwrap() {
                ("do", value) => asked.action = format!("llm:{value}").parse().unwrap(),
                ("stream", value) => asked.stream = value.parse().unwrap(),
                ("max", value) => asked.max_output_tokens = value.parse().unwrap(),
                ("tools", value) => asked.tools = value.split(',').map(str::to_owned).collect(),
                ("cost", value) => asked.worst_case = NanoUsd(value.parse().unwrap()),
                ("tier", value) => asked.tier = Tier::ALL.into_iter().find(|t| t.as_str() == value).unwrap(),
                ("user", value) => asked.user = Some(Pseudonym(value.to_owned())),
                ("task", value) => asked.task = Some(value.to_owned()),
                ("run", value) => asked.run = Some(value.to_owned()),
                other => panic!("{other:?}"),
            }
        }
        asked
    }

    fn question(&self) -> Question<'_> {
        Question {
            agent: &self.agent,
            user: self.user.as_ref(),
            tier: self.tier,
            action: self.action,
            resource: match &self.model {
                Some(model) => Resource::Model {
                    upstream: &self.upstream,
                    model,
                },
                None => Resource::Upstream {
                    upstream: &self.upstream,
                },
            },
            stream: self.stream,
            max_output_tokens: self.max_output_tokens,
            tools: &self.tools,
            worst_case: self.worst_case,
            task: self.task.as_deref(),
            run: self.run.as_deref(),
        }
    }
}

/// `permit IDS`, `forbid IDS`, `error IDS`, `no permit`, `unknown agent` or `not applicable`.
fn answer(decision: &Decision) -> String {
    let (word, ids) = match decision {
        Decision::Permit(permit) => ("permit", permit.policies()),
        Decision::Deny(denial) => match denial.kind {
            DenialKind::Forbidden => ("forbid", &*denial.policies),
            DenialKind::EvaluationError => ("error", &*denial.policies),
            DenialKind::NoPermit => ("no permit", &*denial.policies),
            DenialKind::UnknownAgent => ("unknown agent", &*denial.policies),
            DenialKind::NotApplicable => ("not applicable", &*denial.policies),
        },
    };
    format!("{word} {}", ids.join(" ")).trim_end().to_owned()
}

/// Decides each question over the policies and compares with what the table says.
#[track_caller]
fn check(policies: &str, table: &[(&str, &str)]) {
    let bundle = bundle(policies);
    for (question, expected) in table {
        let decision = bundle.decide(&Asked::parse(question).question());
        assert_eq!(&answer(&decision), expected, "{question}\n{policies}\n{decision:?}");
    }
}
