//! Searches that are answered in parts.

use serde_json::{Value, json};

use super::Pdp;

fn search(page: Value) -> Value {
    let mut body = json!({ "subject": { "type": "user" }, "action": { "name": "read" },
        "resource": { "type": "record", "id": "record-1" } });
    if !page.is_null() {
        body["page"] = page;
    }
    body
}

async fn ask(pdp: &Pdp, page: Value) -> Value {
    pdp.ask("default", "search/subject", &search(page)).await.is(200).json()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_follow_each_other() {
    let pdp = Pdp::start().await;
    let user = |id: &str| json!({ "type": "user", "id": id });
    let reply = pdp.ask("default", "search/subject", &search(Value::Null)).await.is(200);
    assert_eq!(
        reply.text(),
        "{\"results\":[{\"type\":\"user\",\"id\":\"alice\"},{\"type\":\"user\",\"id\":\"bob\"}]}"
    );
    let first = ask(&pdp, json!({ "limit": 1 })).await;
    assert_eq!(
        (&first["results"], &first["page"]["count"]),
        (&json!([user("alice")]), &json!(1))
    );
    let token = first["page"]["next_token"].as_str().unwrap();
    assert!(!token.is_empty());
    for page in [json!({ "token": token }), json!({ "token": token, "limit": 1 })] {
        let second = ask(&pdp, page).await;
        assert_eq!(second["results"], json!([user("bob")]));
        assert_eq!(second["page"]["next_token"], "");
    }
    assert_eq!(
        ask(&pdp, json!({ "limit": 0 })).await,
        json!({ "page": { "next_token": "", "count": 0 }, "results": [] })
    );
    let all = ask(&pdp, json!({ "limit": 1_000_000 })).await;
    assert_eq!(
        (all["results"].as_array().unwrap().len(), &all["page"]["next_token"]),
        (2, &json!(""))
    );
    for page in [
        json!({ "token": token, "limit": 2 }),
        json!({ "token": "x" }),
        json!({ "limit": -1 }),
    ] {
        pdp.ask("default", "search/subject", &search(page)).await.is(400);
    }
    let mut other = search(json!({ "token": token }));
    other["action"]["name"] = json!("write");
    pdp.ask("default", "search/subject", &other).await.is(400);
    // The tokens of another tenant are none.
    pdp.ask("todo", "search/subject", &search(json!({ "token": token })))
        .await
        .is(400);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_is_no_longer_than_configured() {
    let pdp = Pdp::with("[authzen]\npage_size = 1\n", "").await;
    let first = ask(&pdp, Value::Null).await;
    assert_eq!(first["results"].as_array().unwrap().len(), 1);
    let second = ask(&pdp, json!({ "token": first["page"]["next_token"] })).await;
    assert_eq!(second["results"][0]["id"], "bob");
}
