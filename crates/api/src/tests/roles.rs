//! Every route for every role, and for nobody.

use std::collections::BTreeSet;

use entry::Role;
use serde_json::{Value, json};

use super::world::World;
use crate::routes::routes;

/// What a route answers to owner, operator, approver, viewer, auditor and nobody.
struct Line {
    route: &'static str,
    path: &'static str,
    body: Value,
    statuses: [u16; 6],
}

fn line(route: &'static str, path: &'static str, body: Value, statuses: [u16; 6]) -> Line {
    Line {
        route,
        path,
        body,
        statuses,
    }
}

fn table() -> Vec<Line> {
    let none = Value::Null;
    let key = json!({ "agent": "reader" });
    let admin = json!({ "name": "new", "role": "viewer" });
    let overrun = json!({ "upstream": "openai", "model": "gpt-4o-mini", "note": "refunded" });
    let budget = json!({ "limit": "5 calls", "per": "day", "select": { "team": "data" }, "note": "x" });
    let note = json!({ "note": "x" });
    let everybody = [200, 200, 200, 200, 200, 200];
    let reads_state = [200, 200, 200, 200, 200, 401];
    let reads_audit = [200, 200, 403, 403, 200, 401];
    // What is to be revoked or removed is not there, which only those who may do it learn.
    let operates_on_nothing = [404, 404, 403, 403, 403, 401];
    let answers_nothing = [404, 404, 404, 403, 403, 401];
    let owns_nothing = [404, 403, 403, 403, 403, 401];
    vec![
        line("GET /healthz", "/healthz", none.clone(), everybody),
        line("GET /readyz", "/readyz", none.clone(), everybody),
        line("GET /metrics", "/metrics", none.clone(), everybody),
        line("GET /api/v1/agents", "/api/v1/agents", none.clone(), reads_state),
        line("GET /api/v1/keys", "/api/v1/keys", none.clone(), reads_state),
        line("POST /api/v1/keys", "/api/v1/keys", key, [201, 201, 403, 403, 403, 401]),
        line(
            "DELETE /api/v1/keys/{id}",
            "/api/v1/keys/key-x",
            none.clone(),
            operates_on_nothing,
        ),
        line("GET /api/v1/peps", "/api/v1/peps", none.clone(), reads_state),
        line("GET /api/v1/pep-keys", "/api/v1/pep-keys", none.clone(), reads_state),
        line(
            "POST /api/v1/pep-keys",
            "/api/v1/pep-keys",
            json!({ "pep": "nobody" }),
            operates_on_nothing,
        ),
        line("GET /api/v1/entities", "/api/v1/entities", none.clone(), reads_audit),
        line(
            "POST /api/v1/entities/bulk",
            "/api/v1/entities/bulk",
            json!([{ "remove": { "type": "Team", "id": "x" } }]),
            operates_on_nothing,
        ),
        line(
            "GET /api/v1/entities/{type}/{id}",
            "/api/v1/entities/Team/x",
            none.clone(),
            [404, 404, 403, 403, 404, 401],
        ),
        line(
            "PUT /api/v1/entities/{type}/{id}",
            "/api/v1/entities/Team/x",
            json!({ "attrs": { "unknown": 1 } }),
            [422, 422, 403, 403, 403, 401],
        ),
        line(
            "PATCH /api/v1/entities/{type}/{id}",
            "/api/v1/entities/Team/x",
            json!([]),
            [415, 415, 403, 403, 403, 401],
        ),
        line(
            "DELETE /api/v1/entities/{type}/{id}",
            "/api/v1/entities/Team/x",
            none.clone(),
            operates_on_nothing,
        ),
        line("GET /api/v1/budgets", "/api/v1/budgets", none.clone(), reads_state),
        line(
            "GET /api/v1/budgets/{name}",
            "/api/v1/budgets/reader",
            none.clone(),
            reads_state,
        ),
        line(
            "PUT /api/v1/budgets/{name}",
            "/api/v1/budgets/new",
            budget,
            [201, 200, 403, 403, 403, 401],
        ),
        line(
            "DELETE /api/v1/budgets/{name}",
            "/api/v1/budgets/nothing?note=x",
            none.clone(),
            operates_on_nothing,
        ),
        line(
            "POST /api/v1/budgets/{name}/limit",
            "/api/v1/budgets/reader/limit",
            json!({ "limit": "8 USD", "note": "x" }),
            [200, 200, 403, 403, 403, 401],
        ),
        line(
            "POST /api/v1/budgets/{name}/pause",
            "/api/v1/budgets/reader/pause",
            note.clone(),
            [200, 409, 403, 403, 403, 401],
        ),
        line(
            "POST /api/v1/budgets/{name}/resume",
            "/api/v1/budgets/reader/resume",
            note.clone(),
            [200, 409, 403, 403, 403, 401],
        ),
        line(
            "POST /api/v1/budgets/{name}/top-up",
            "/api/v1/budgets/reader/top-up",
            json!({ "amount": "3 USD", "note": "x" }),
            [200, 200, 403, 403, 403, 401],
        ),
        line("GET /api/v1/asks", "/api/v1/asks", none.clone(), reads_state),
        line(
            "POST /api/v1/asks/{action}/refuse",
            "/api/v1/asks/01a0c3d65a0071018101010101010101/refuse",
            note.clone(),
            answers_nothing,
        ),
        line(
            "POST /api/v1/asks/{action}/top-up",
            "/api/v1/asks/01a0c3d65a0071018101010101010101/top-up",
            note.clone(),
            answers_nothing,
        ),
        line(
            "POST /api/v1/policy/replays",
            "/api/v1/policy/replays",
            json!({ "since": "7d", "candidate": { "policies": [
                { "file": "policies/a.cedar", "text": "@id(\"a\") permit (principal, action, resource);" }
            ] } }),
            reads_audit,
        ),
        line(
            "POST /api/v1/simulations",
            "/api/v1/simulations",
            json!({ "since": "7d", "budgets": [
                { "name": "all", "limit": 1, "window": "total", "select": {} }
            ] }),
            reads_audit,
        ),
        line("GET /api/v1/limits", "/api/v1/limits", none.clone(), reads_state),
        line("GET /api/v1/breakers", "/api/v1/breakers", none.clone(), reads_state),
        line(
            "POST /api/v1/breakers/reset",
            "/api/v1/breakers/reset",
            json!({ "breaker": "runaway", "note": "mended" }),
            operates_on_nothing,
        ),
        line("GET /api/v1/cost", "/api/v1/cost?by=team", none.clone(), reads_state),
        line("GET /api/v1/overruns", "/api/v1/overruns", none.clone(), reads_state),
        line(
            "POST /api/v1/overruns/accept",
            "/api/v1/overruns/accept",
            overrun,
            operates_on_nothing,
        ),
        line("GET /api/v1/upstreams", "/api/v1/upstreams", none.clone(), reads_state),
        line("GET /api/v1/sinks", "/api/v1/sinks", none.clone(), reads_state),
        line("GET /api/v1/admins", "/api/v1/admins", none.clone(), reads_state),
        line(
            "POST /api/v1/admins",
            "/api/v1/admins",
            admin,
            [201, 403, 403, 403, 403, 401],
        ),
        line(
            "DELETE /api/v1/admins/{name}",
            "/api/v1/admins/nobody",
            none.clone(),
            owns_nothing,
        ),
        line("GET /api/v1/log-keys", "/api/v1/log-keys", none.clone(), reads_state),
        line(
            "POST /api/v1/log-keys",
            "/api/v1/log-keys",
            json!({}),
            [201, 403, 403, 403, 403, 401],
        ),
        line(
            "POST /api/v1/log-keys/{id}/retire",
            "/api/v1/log-keys/00000000/retire",
            json!({}),
            owns_nothing,
        ),
        line(
            "GET /api/v1/legal-holds",
            "/api/v1/legal-holds",
            none.clone(),
            reads_audit,
        ),
        line(
            "POST /api/v1/legal-holds",
            "/api/v1/legal-holds",
            json!({ "name": "case-1", "note": "x" }),
            [201, 409, 403, 403, 403, 401],
        ),
        line(
            "POST /api/v1/legal-holds/{name}/lift",
            "/api/v1/legal-holds/case-0/lift",
            note,
            owns_nothing,
        ),
        // Nothing expires there.
        line(
            "POST /api/v1/audit/expire",
            "/api/v1/audit/expire",
            json!({}),
            [409, 403, 403, 403, 403, 401],
        ),
        line(
            "POST /api/v1/reload",
            "/api/v1/reload",
            none.clone(),
            [200, 200, 403, 403, 403, 401],
        ),
        line("GET /api/v1/audit", "/api/v1/audit", none.clone(), reads_audit),
        line(
            "GET /api/v1/audit/wait",
            "/api/v1/audit/wait?after=0",
            none.clone(),
            reads_audit,
        ),
        line(
            "GET /api/v1/audit/search",
            "/api/v1/audit/search?agent=reader",
            none.clone(),
            reads_audit,
        ),
        line(
            "GET /api/v1/audit/trace/{id}",
            "/api/v1/audit/trace/0",
            none.clone(),
            reads_audit,
        ),
        line(
            "GET /api/v1/audit/index",
            "/api/v1/audit/index",
            none.clone(),
            reads_audit,
        ),
        line(
            "POST /api/v1/audit/reindex",
            "/api/v1/audit/reindex",
            none.clone(),
            [200, 200, 403, 403, 403, 401],
        ),
        line(
            "GET /api/v1/audit/{index}",
            "/api/v1/audit/0",
            none.clone(),
            reads_audit,
        ),
        line(
            "GET /log/{tenant}/checkpoint",
            "/log/default/checkpoint",
            none.clone(),
            reads_audit,
        ),
        line(
            "GET /log/{tenant}/tile/{*piece}",
            "/log/default/tile/0/000.p/1",
            none.clone(),
            reads_audit,
        ),
        line(
            "GET /log/{tenant}/handover/{key}",
            "/log/default/handover/00000000",
            none,
            // No key of this log was ever exchanged.
            reads_audit.map(|status| if status == 200 { 404 } else { status }),
        ),
    ]
}

#[tokio::test]
async fn each_role_gets_what_it_may() {
    let world = World::new().await;
    world.published().await;
    for Line {
        route,
        path,
        body,
        statuses,
    } in table()
    {
        let method = route.split(' ').next().unwrap();
        let callers = Role::ALL.into_iter().map(Some).chain([None]);
        for (role, status) in callers.zip(statuses) {
            let answer = world.ask(role, method, path, body.clone()).await;
            assert_eq!(answer.status, status, "{route} as {role:?}: {}", answer.text);
            match status {
                401 => assert_eq!(answer.code(), "unauthenticated"),
                403 => assert_eq!(answer.code(), "forbidden"),
                404 => assert_eq!(answer.code(), "not_found"),
                409 => assert_eq!(answer.code(), "conflict"),
                _ => {}
            }
        }
    }
}

#[test]
fn the_table_has_every_route() {
    let tested: Vec<_> = table().iter().map(|line| line.route.to_owned()).collect();
    let served: Vec<_> = routes()
        .iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    assert_eq!(tested, served);
    assert_eq!(served.iter().collect::<BTreeSet<_>>().len(), served.len());
}

#[tokio::test]
async fn who_is_removed_may_nothing_any_more() {
    let world = World::new().await;
    assert_eq!(
        world
            .ask(Some(Role::Viewer), "GET", "/api/v1/agents", Value::Null)
            .await
            .status,
        200
    );
    let removed = world
        .ask(Some(Role::Owner), "DELETE", "/api/v1/admins/viewer", Value::Null)
        .await;
    assert_eq!(removed.status, 204);
    assert_eq!(
        world
            .ask(Some(Role::Viewer), "GET", "/api/v1/agents", Value::Null)
            .await
            .status,
        401
    );
    // An owner neither removes nor changes themselves.
    let own = world
        .ask(Some(Role::Owner), "DELETE", "/api/v1/admins/owner", Value::Null)
        .await;
    assert_eq!((own.status, own.code()), (422, "invalid".to_owned()));
}
