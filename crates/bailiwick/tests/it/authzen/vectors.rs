//! What others publish that a decision point must answer.

use serde_json::{Value, json};

use super::{Pdp, vectors};

/// The schemas of the working group, for one question and for one decision. There is none of batches: each of their items
/// is a question with the defaults, and each of their answers a decision.
struct Schemas {
    request: jsonschema::Validator,
    response: jsonschema::Validator,
}

impl Schemas {
    fn new() -> Self {
        let read = |name| jsonschema::validator_for(&vectors(name)).unwrap();
        Self {
            request: read("schema-evaluation-request.json"),
            response: read("schema-evaluation-response.json"),
        }
    }

    /// Fails unless questions and answers have the form that they must have. What lacks something is denied.
    fn check(&self, endpoint: &str, asked: &Value, answered: &Value) -> Result<(), String> {
        let pairs = match (&asked["evaluations"], endpoint) {
            (Value::Array(items), "evaluations") if !items.is_empty() => {
                let decisions = answered["evaluations"].as_array().ok_or("no decisions")?;
                // Nothing in the vectors ends a batch early.
                if decisions.len() != items.len() {
                    return Err(format!("{} decisions for {} items", decisions.len(), items.len()));
                }
                let questions = items.iter().map(|item| with_defaults(asked, item));
                questions.zip(decisions.iter().cloned()).collect()
            }
            _ => vec![(asked.clone(), answered.clone())],
        };
        for (question, decision) in pairs {
            if !self.response.is_valid(&decision) {
                return Err(format!("the schema has no such decision: {decision}"));
            }
            if !self.request.is_valid(&question) && (endpoint == "evaluation" || decision["decision"] != false) {
                return Err(format!(
                    "the schema has no such question: {question}, and it is {decision}"
                ));
            }
        }
        Ok(())
    }
}

fn with_defaults(batch: &Value, item: &Value) -> Value {
    let mut question = batch.clone();
    let members = question.as_object_mut().unwrap();
    members.remove("evaluations");
    members.extend(item.as_object().unwrap().clone());
    question
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_todo_application_of_the_interop_events() {
    let pdp = Pdp::start().await;
    let schemas = Schemas::new();
    let mut wrong = Vec::new();
    for file in ["todo-decisions-1_0-01.json", "todo-decisions-1_0-02.json"] {
        let all = vectors(file);
        for (at, case) in all["evaluation"].as_array().unwrap().iter().enumerate() {
            let reply = pdp.ask("todo", "evaluation", &case["request"]).await.is(200);
            schemas.check("evaluation", &case["request"], &reply.json()).unwrap();
            let expected = json!({ "decision": case["expected"] }).to_string();
            if reply.text() != expected {
                wrong.push(format!("{file} {at}: {} is {}", case["request"], reply.text()));
            }
        }
        for case in all["evaluations"].as_array().into_iter().flatten() {
            let reply = pdp.ask("todo", "evaluations", &case["request"]).await.is(200);
            schemas.check("evaluations", &case["request"], &reply.json()).unwrap();
            // The runner compares the text of each item.
            let items = reply.json()["evaluations"]
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect::<Vec<_>>();
            let expected: Vec<_> = case["expected"]
                .as_array()
                .unwrap()
                .iter()
                .map(Value::to_string)
                .collect();
            assert_eq!(items, expected, "{}", case["request"]);
            assert_eq!(reply.text(), format!("{{\"evaluations\":[{}]}}", expected.join(",")));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_gateways_of_the_interop_events() {
    let pdp = Pdp::start().await;
    let schemas = Schemas::new();
    for case in vectors("gateway-decisions.json")["evaluation"].as_array().unwrap() {
        let reply = pdp.ask("gateway", "evaluation", &case["request"]).await.is(200);
        schemas.check("evaluation", &case["request"], &reply.json()).unwrap();
        assert_eq!(
            reply.json(),
            json!({ "decision": case["expected"] }),
            "{}",
            case["request"]
        );
    }
}

/// The cases of the scenario by which the OpenID Foundation certifies, by their sections.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certification_scenario() {
    let pdp = Pdp::start().await;
    let schemas = Schemas::new();
    let mut wrong = Vec::new();
    let mut count = 0;
    for case in vectors("certification-scenario.json")["cases"].as_array().unwrap() {
        count += 1;
        if let Err(why) = certify(&pdp, &schemas, case).await {
            let name = [&case["section"], &case["title"], &case["case"]].map(|part| part.as_str().unwrap_or_default());
            wrong.push(format!("{}: {why}", name.join(" ")));
        }
    }
    assert_eq!(count, 57);
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

async fn certify(pdp: &Pdp, schemas: &Schemas, case: &Value) -> Result<(), String> {
    let text = |key: &str| case[key].as_str();
    let endpoint = text("endpoint").unwrap();
    if let Some(path) = endpoint.strip_prefix("GET ") {
        return metadata(pdp, path).await;
    }
    let usual = json!({ "subject": { "type": "user", "id": "alice" }, "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" } });
    let mut body = case.get("request").unwrap_or(&usual).clone();
    if body.pointer("/page/token").is_some() {
        let mut first = body.clone();
        first["page"] = json!({ "limit": 1 });
        let first = pdp.ask("default", endpoint, &first).await.json();
        body["page"]["token"] = first["page"]["next_token"].clone();
        if body["page"]["token"] == "" {
            return Ok(());
        }
    }
    let body = text("raw_body").map_or_else(|| body.to_string(), str::to_owned);
    let mut request = pdp.request("default", endpoint);
    if case.get("content_type").is_some() {
        request
            .headers_mut()
            .unwrap()
            .insert("content-type", "text/plain".parse().unwrap());
    }
    if case.get("expect_header").is_some() {
        request = request.header("x-request-id", "bfe9eb29-ab87-4ca3-be83-a1d5d8305716");
    }
    let reply = pdp.send(request, body.clone()).await;
    let expected = u16::try_from(case["expect_status"].as_u64().unwrap()).unwrap();
    if reply.status != expected {
        return Err(format!("{} and not {expected}: {}", reply.status, reply.text()));
    }
    if case.get("expect_header").is_some() && reply.header("x-request-id") != "bfe9eb29-ab87-4ca3-be83-a1d5d8305716" {
        return Err("the request's id is not said again".to_owned());
    }
    // What is refused for its form has none that the schema knows.
    let asked = case.get("request").filter(|_| case.get("content_type").is_none());
    if reply.status != 200 {
        return match asked {
            Some(asked) if endpoint == "evaluation" && schemas.request.is_valid(asked) => {
                Err(format!("the schema has {asked}, which was refused"))
            }
            _ => Ok(()),
        };
    }
    let found = reply.json();
    if endpoint.starts_with("evaluation") {
        schemas.check(endpoint, asked.unwrap_or(&usual), &found)?;
    }
    match (case.get("expect_body"), case.get("expect_includes")) {
        (Some(expected), _) if expected.get("results").is_none_or(|results| results == &json!([])) => {
            if *expected != found {
                return Err(format!("{found} and not {expected}"));
            }
        }
        // More results than those of the fixture are allowed.
        (Some(expected), _) => {
            for result in expected["results"].as_array().unwrap() {
                if !found["results"].as_array().unwrap().contains(result) {
                    return Err(format!("{found} has no {result}"));
                }
            }
        }
        (None, Some(names)) => {
            for name in names.as_array().unwrap() {
                let has = |result: &Value| result["id"] == *name || result["name"] == *name;
                if !found["results"].as_array().unwrap().iter().any(has) {
                    return Err(format!("{found} has no {name}"));
                }
            }
        }
        (None, None) => shape(endpoint, &found)?,
    }
    // The suite sends a question again and compares the bodies.
    for _ in 0..2 {
        let again = pdp.send(pdp.request("default", endpoint), body.clone()).await;
        let same = without_tokens(again.json()) == without_tokens(found.clone());
        if !same || (endpoint.starts_with("eval") && again.body != reply.body) {
            return Err(format!("asked again it is {}", again.text()));
        }
    }
    Ok(())
}

fn without_tokens(mut body: Value) -> Value {
    if let Some(token) = body.pointer_mut("/page/next_token") {
        *token = json!(token != "");
    }
    body
}

fn shape(endpoint: &str, found: &Value) -> Result<(), String> {
    let is_decision = |decision: &Value| decision["decision"].is_boolean();
    let fits = match endpoint {
        "evaluation" => is_decision(found),
        "evaluations" => found["evaluations"]
            .as_array()
            .is_some_and(|items| items.iter().all(is_decision)),
        _ => found["results"].is_array() && found["page"].get("next_token").is_none_or(Value::is_string),
    };
    if fits {
        Ok(())
    } else {
        Err(format!("another shape: {found}"))
    }
}

async fn metadata(pdp: &Pdp, path: &str) -> Result<(), String> {
    let reply = pdp.get(path).await.is(200);
    assert_eq!(reply.header("content-type"), "application/json");
    let found = reply.json();
    let base = pdp.world.agents_url();
    let members = found.as_object().unwrap();
    for (name, value) in members {
        if value.is_null() || value == "" || value == &json!([]) {
            return Err(format!("`{name}` is empty"));
        }
        if name.ends_with("_endpoint") && !value.as_str().unwrap().starts_with(base) {
            return Err(format!("`{name}` is {value}"));
        }
    }
    if found["policy_decision_point"] != base {
        return Err(format!("it says it is {}", found["policy_decision_point"]));
    }
    Ok(())
}

/// A batch's defaults are replaced whole, whatever one test of the suite says (ADR 0030).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_are_not_merged_member_by_member() {
    let pdp = Pdp::start().await;
    let body = json!({
        "subject": { "type": "user", "id": "alice" },
        "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1", "properties": { "status": "active" } },
        "evaluations": [{}, { "resource": { "id": "record-1" } }],
    });
    let reply = pdp.ask("default", "evaluations", &body).await.is(200);
    assert_eq!(
        reply.json(),
        json!({ "evaluations": [{ "decision": true }, { "decision": false }] })
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn batches_end_where_their_semantic_says() {
    let pdp = Pdp::start().await;
    let items = ["read", "write", "read"].map(|action| json!({ "action": { "name": action } }));
    let body = |semantic: &str| {
        json!({ "subject": { "type": "user", "id": "bob" }, "resource": { "type": "record", "id": "record-1" },
            "options": { "evaluations_semantic": semantic, "another": [] }, "evaluations": items })
    };
    for (semantic, expected) in [
        ("execute_all", vec![true, false, true]),
        ("deny_on_first_deny", vec![true, false]),
        ("permit_on_first_permit", vec![true]),
    ] {
        let reply = pdp.ask("default", "evaluations", &body(semantic)).await.is(200).json();
        let found: Vec<_> = reply["evaluations"]
            .as_array()
            .unwrap()
            .iter()
            .map(|item| item["decision"] == true)
            .collect();
        assert_eq!(found, expected, "{semantic}");
    }
    let error = pdp.ask("default", "evaluations", &body("first")).await.is(400).json();
    assert_eq!(error["error"], "invalid_request");
}
