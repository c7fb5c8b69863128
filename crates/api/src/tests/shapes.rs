//! What the answers say.

use std::time::Duration;

use control::LoadProblem;
use entry::Role;
use serde_json::{Value, json};

use super::world::{World, declared};

const OWNER: Option<Role> = Some(Role::Owner);

#[tokio::test]
async fn a_key_is_issued_listed_and_revoked() {
    let world = World::new().await;
    let order = json!({
        "agent": "reader", "label": "laptop", "tier": "background", "models": ["gpt-4o-mini"],
        "expires": "2100-01-01T00:00:00Z"
    });
    let issued = world.ask(Some(Role::Operator), "POST", "/api/v1/keys", order).await;
    assert_eq!(issued.status, 201);
    let issued = issued.json();
    let (id, key) = (issued["id"].as_str().unwrap(), issued["key"].as_str().unwrap());
    assert!(key.starts_with("bwk_"), "a key says what it is");
    let listed = world.get(Role::Viewer, "/api/v1/keys").await;
    let mut expected = json!({
        "tenant": "default", "id": id, "agent": "reader", "label": "laptop", "tier": "background", "upstreams": [],
        "models": ["gpt-4o-mini"], "issued": listed["keys"][0]["issued"], "expires": "2100-01-01T00:00:00.000000Z",
        "state": "active"
    });
    assert_eq!(listed, json!({ "keys": [expected.clone()] }));
    for _ in 0..2 {
        let path = format!("/api/v1/keys/{id}?note=lost%20laptop");
        assert_eq!(world.ask(OWNER, "DELETE", &path, Value::Null).await.status, 204);
    }
    expected["state"] = json!("revoked");
    assert_eq!(
        world.get(Role::Viewer, "/api/v1/keys").await,
        json!({ "keys": [expected] })
    );
    let last = world.get(Role::Auditor, "/api/v1/audit?limit=1").await;
    let event = json!({ "key_revoked": { "key": id, "note": "lost laptop", "by": "owner" } });
    assert_eq!(last["entries"][0]["entry"]["event"], event);
    assert!(
        !world
            .get(Role::Auditor, "/api/v1/audit")
            .await
            .to_string()
            .contains(key)
    );
}

#[tokio::test]
async fn state_is_listed() {
    let world = World::new().await;
    let agents = world.get(Role::Viewer, "/api/v1/agents").await;
    let expected = json!({ "agents": [{
        "tenant": "default", "name": "reader", "owner": "data-team@acme.example", "team": "data", "product": "reports",
        "environment": "test", "purpose": "Reads", "keys": 0, "actions": 0, "in_flight": 0
    }] });
    assert_eq!(agents, expected);
    let budgets = world.get(Role::Viewer, "/api/v1/budgets").await;
    assert_eq!(budgets["budgets"][0]["limit"], "5");
    assert_eq!(budgets["budgets"][0]["remaining"], "5");
    let admins = world.get(Role::Viewer, "/api/v1/admins").await;
    let names: Vec<_> = admins["admins"]
        .as_array()
        .unwrap()
        .iter()
        .map(|admin| &admin["name"])
        .collect();
    assert_eq!(names, ["approver", "auditor", "operator", "owner", "viewer"]);
    assert_eq!(
        world.get(Role::Viewer, "/api/v1/upstreams").await,
        json!({ "upstreams": [] })
    );
    assert_eq!(world.get(Role::Auditor, "/api/v1/sinks").await, json!({ "sinks": [] }));
    assert_eq!(
        world.ask(None, "GET", "/readyz", Value::Null).await.json(),
        json!({ "ready": true })
    );
}

#[tokio::test]
async fn an_overrun_is_accepted_by_name_and_with_a_note() {
    let world = World::new().await;
    assert_eq!(
        world.get(Role::Viewer, "/api/v1/overruns").await,
        json!({ "overruns": [] })
    );
    let whole = json!({ "upstream": "openai", "model": "gpt-4o-mini", "note": "refunded" });
    let with = |key: &str, value: Value| {
        let mut body = whole.clone();
        body[key] = value;
        body
    };
    for (body, status, code, detail) in [
        (
            whole.clone(),
            404,
            "not_found",
            "there is no overrun of openai/gpt-4o-mini to accept in tenant default; there is none at all",
        ),
        (
            with("tenant", json!("nobody")),
            404,
            "not_found",
            "there is no tenant \"nobody\"",
        ),
        (with("note", json!(" ")), 422, "invalid", "say in the note why"),
        (with("note", json!("a\nb")), 422, "invalid", "no control characters"),
        (
            with("note", json!("x".repeat(201))),
            422,
            "invalid",
            "at most 200 characters",
        ),
        (with("notes", json!("x")), 422, "invalid", "unknown field `notes`"),
        (
            json!({ "upstream": "openai", "model": "m" }),
            422,
            "invalid",
            "missing field `note`",
        ),
    ] {
        let answer = world.ask(OWNER, "POST", "/api/v1/overruns/accept", body.clone()).await;
        assert_eq!((answer.status, answer.code()), (status, code.to_owned()), "{body}");
        let told = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(told.contains(detail), "{body}: {told}");
    }
}

#[tokio::test]
async fn costs_of_nothing_are_nothing_and_say_how_far_they_go() {
    let world = World::new().await;
    let size = world.get(Role::Auditor, "/api/v1/audit").await["size"].clone();
    let tokens = json!({
        "total": 0, "input": 0, "cache_read": 0, "cache_write": 0, "audio_input": 0, "image_input": 0, "output": 0,
        "reasoning": 0, "audio_output": 0, "image_output": 0
    });
    let total = json!({ "cost_usd": "0", "calls": 0, "failed": 0, "duration_ms": 0, "tokens": tokens });
    let expected = json!({
        "by": ["team", "user"], "since": "2026-10-31T23:00:00.000000Z", "lines": [], "total": total,
        "entries": { "default": size }
    });
    let path = "/api/v1/cost?by=team,user&since=2026-11-01&zone=Europe/Berlin&filter=team%3Ddata&filter=user%3Dann";
    assert_eq!(world.get(Role::Viewer, path).await, expected);
    for (path, status, detail) in [
        ("by=teem", 422, "did you mean `team`?"),
        ("by=team,team", 422, "the label team is named twice"),
        ("since=2026-11-02&until=2026-11-01", 422, "which is not after its begin"),
        ("until=2026-11-02T10:00:01Z", 422, "is not a whole minute"),
        ("top=0", 422, "1 to 10000 lines"),
        ("group=team", 422, "there is no parameter \"group\""),
        ("tenant=nobody", 404, "there is no tenant \"nobody\""),
    ] {
        let path = format!("/api/v1/cost?{path}");
        let answer = world.ask(OWNER, "GET", &path, Value::Null).await;
        let told = answer.json()["detail"].as_str().unwrap().to_owned();
        assert!(answer.status == status && told.contains(detail), "{path}: {told}");
    }
}

#[tokio::test]
async fn the_trail_is_paged() {
    let world = World::new().await;
    let all = world.get(Role::Auditor, "/api/v1/audit?from=0&tenant=_system").await;
    let size = all["size"].as_u64().unwrap();
    let entries = all["entries"].as_array().unwrap();
    assert_eq!(entries.len() as u64, size);
    for (index, entry) in entries.iter().enumerate() {
        assert_eq!(entry["entry"]["index"], index);
        let one = world
            .get(Role::Auditor, &format!("/api/v1/audit/{index}?tenant=_system"))
            .await;
        assert_eq!(&one, entry);
    }
    let two = world
        .get(Role::Auditor, "/api/v1/audit?from=1&limit=2&tenant=_system")
        .await;
    assert_eq!(two["entries"].as_array().unwrap(), &entries[1..3]);
    let last = world.get(Role::Auditor, "/api/v1/audit?limit=2&tenant=_system").await;
    assert_eq!(last["entries"].as_array().unwrap(), &entries[entries.len() - 2..]);
}

#[tokio::test]
async fn waiting_ends_with_the_next_entry_or_with_the_server() {
    let world = World::new().await;
    let size = world.get(Role::Auditor, "/api/v1/audit").await["size"]
        .as_u64()
        .unwrap();
    let path = format!("/api/v1/audit/wait?after={size}");
    let (waited, issued) = tokio::join!(
        world.get(Role::Auditor, &path),
        world.ask(OWNER, "POST", "/api/v1/keys", json!({ "agent": "reader" })),
    );
    assert_eq!(issued.status, 201);
    assert_eq!(waited["size"], size + 1);
    assert_eq!(waited["entries"][0]["entry"]["index"], size);
    let nothing = format!("/api/v1/audit/wait?after={}&timeout_s=0", size + 1);
    assert_eq!(world.get(Role::Auditor, &nothing).await["entries"], json!([]));
    let path = format!("/api/v1/audit/wait?after={}", size + 1);
    let stopped = tokio::time::timeout(Duration::from_secs(10), async {
        world.stop.send_replace(true);
        world.get(Role::Auditor, &path).await
    });
    assert_eq!(stopped.await.unwrap()["entries"], json!([]));
}

#[tokio::test]
async fn a_reload_says_what_changed_or_what_is_wrong() {
    let world = World::new().await;
    let reload = async || world.ask(OWNER, "POST", "/api/v1/reload", Value::Null).await;
    assert_eq!(reload().await.json(), json!({ "changes": [] }));
    let mut more = declared();
    more.tenants.values_mut().next().unwrap().agents[0].purpose = "Reads more".to_owned();
    *world.declared.lock().unwrap() = Ok(more);
    assert_eq!(reload().await.json(), json!({ "changes": ["agent_loaded reader"] }));
    *world.declared.lock().unwrap() = Err(vec![LoadProblem {
        file: "governance/agents/reader.yaml".to_owned(),
        line: Some(3),
        column: None,
        message: "`budget` is missing".to_owned(),
        help: Some("cost limits are mandatory".to_owned()),
    }]);
    let answer = reload().await;
    assert_eq!(answer.code(), "declarations_invalid");
    let problem = json!({
        "file": "governance/agents/reader.yaml", "line": 3, "message": "`budget` is missing",
        "help": "cost limits are mandatory"
    });
    assert_eq!(answer.json()["problems"], json!([problem]));
}

#[tokio::test]
async fn the_store_that_stopped_is_not_ready() {
    let world = World::new().await;
    world.control.stop("requested").await;
    let answer = world
        .ask(OWNER, "POST", "/api/v1/keys", json!({ "agent": "reader" }))
        .await;
    assert_eq!(answer.code(), "unavailable");
    assert_eq!(answer.headers["retry-after"], "1");
}
