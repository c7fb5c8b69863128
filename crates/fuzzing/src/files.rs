//! What people write: the configuration, manifests, policies and entities. Mistakes are told with their place.

use model::{AgentName, NanoUsd, Tier, UpstreamName};
use policy::{Action, AgentFacts, Bundle, Decision, Problem, Question, Resource, Source, Sources};

use crate::{assert_plain, must};

/// A `bailiwick.toml`.
pub fn config_settings(data: &[u8]) {
    let found = config::check_settings(data.to_vec());
    assert_eq!(config::check_settings(data.to_vec()), found);
    if let Err(problems) = &found {
        assert!(!problems.is_empty(), "refused without a reason");
    }
    for problem in found.unwrap_or_else(|problems| problems) {
        assert_eq!(problem.file, "bailiwick.toml");
        told(
            data,
            problem.line,
            problem.column,
            &problem.message,
            problem.help.as_deref(),
        );
    }
}

/// A manifest of agents.
pub fn config_manifest(data: &[u8]) {
    let found = config::check_manifest(data.to_vec());
    assert_eq!(config::check_manifest(data.to_vec()), found);
    match found {
        Ok(agents) => assert!(agents <= data.len()),
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            // To YAML a carriage return of its own ends a line too.
            let lines = String::from_utf8_lossy(data).replace("\r\n", " \n").replace('\r', "\n");
            for problem in problems {
                assert_eq!(problem.file, "agents.yaml");
                told(
                    lines.as_bytes(),
                    problem.line,
                    problem.column,
                    &problem.message,
                    problem.help.as_deref(),
                );
            }
        }
    }
}

/// A file of policies: strict validation says what is wrong with it, or it decides, and denies what nothing permits.
pub fn policy_rules(data: &[u8]) {
    let Some((file, agents)) = parts(data) else { return };
    let found = Bundle::compile(&only(|sources| sources.policies.push(file.clone())), &agents);
    check_bundle(&file, &agents, found);
}

/// A file of entities, beside a policy that speaks of some.
pub fn policy_entities(data: &[u8]) {
    const POLICY: &str = "@id(\"all\")\npermit (principal in Team::\"a\", action, resource);\n";
    let Some((file, agents)) = parts(data) else { return };
    let policy = Source {
        file: "p.cedar".to_owned(),
        text: POLICY.to_owned(),
    };
    let sources = only(|sources| {
        sources.policies.push(policy);
        sources.entities.push(file.clone());
    });
    let found = Bundle::compile(&sources, &agents);
    check_bundle(&file, &agents, found);
}

/// A fragment of schema: refused with its places, or compiled.
pub fn policy_schema(data: &[u8]) {
    let Some((file, agents)) = parts(data) else { return };
    let found = Bundle::compile(&only(|sources| sources.schemas.push(file.clone())), &agents);
    check_bundle(&file, &agents, found);
}

fn only(add: impl FnOnce(&mut Sources)) -> Sources {
    let mut sources = Sources::default();
    add(&mut sources);
    sources
}

/// The text as a file, and an agent to have policies for.
fn parts(data: &[u8]) -> Option<(Source, [AgentFacts; 1])> {
    let text = std::str::from_utf8(data).ok()?.to_owned();
    let agent = AgentFacts {
        name: must(AgentName::new("bot"), "it is a name"),
        team: "a".to_owned(),
        product: "b".to_owned(),
        environment: "c".to_owned(),
    };
    let file = "f".to_owned();
    Some((Source { file, text }, [agent]))
}

fn check_bundle(file: &Source, agents: &[AgentFacts; 1], found: Result<Bundle, Vec<Problem>>) {
    let own = |problem: &Problem| {
        let text = if problem.file == file.file {
            file.text.as_bytes()
        } else {
            b""
        };
        told(
            text,
            problem.line,
            problem.column,
            &problem.message,
            problem.help.as_deref(),
        );
    };
    let bundle = match found {
        Ok(bundle) => bundle,
        Err(problems) => {
            assert!(!problems.is_empty(), "refused without a reason");
            problems.iter().for_each(own);
            return;
        }
    };
    bundle.warnings().iter().for_each(own);
    let [agent] = agents;
    let upstream = must(UpstreamName::new("openai"), "it is a name");
    let tools = ["search".to_owned()];
    for action in Action::ALL {
        let resource = match action {
            Action::List => Resource::Upstream { upstream: &upstream },
            _ => Resource::Model {
                upstream: &upstream,
                model: "m",
            },
        };
        let question = Question {
            agent: &agent.name,
            user: None,
            tier: Tier::Background,
            action,
            resource,
            stream: true,
            max_output_tokens: u64::MAX,
            tools: &tools,
            worst_case: NanoUsd(1_000),
            task: Some("t"),
            run: None,
        };
        let (first, second) = (bundle.decide(&question), bundle.decide(&question));
        assert_eq!(
            format!("{first:?}"),
            format!("{second:?}"),
            "decided otherwise the second time"
        );
        if let Decision::Permit(permit) = first {
            assert!(!permit.policies().is_empty(), "permitted by nothing");
            let known = |id| bundle.policy_ids().contains(id);
            assert!(
                permit.policies().iter().all(known),
                "permitted by a policy that is not there"
            );
        }
    }
}

/// A problem has a place inside the text, if it has one, and words that a terminal can show.
fn told(text: &[u8], line: Option<u32>, column: Option<u32>, message: &str, help: Option<&str>) {
    let text = String::from_utf8_lossy(text);
    let lines: Vec<&str> = text.split('\n').collect();
    if let Some(line) = line {
        let nth = usize::try_from(line)
            .ok()
            .and_then(|line| lines.get(line.checked_sub(1)?));
        let Some(words) = nth else {
            panic!("line {line} of {}: {message}", lines.len());
        };
        let column = usize::try_from(column.unwrap_or(1)).unwrap_or(usize::MAX);
        let end = words.chars().count() + 1;
        assert!((1..=end).contains(&column), "column {column} of {end}: {message}");
    } else {
        assert_eq!(column, None);
    }
    assert_plain(message);
    help.into_iter().for_each(assert_plain);
}
