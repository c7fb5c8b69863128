//! The metrics of the decision point.

use serde_json::json;

use super::obliging::{payments, refund};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_are_counted_by_how_they_ended() {
    let pdp = payments("").await;
    let lines = |text: &str| -> Vec<String> {
        let lines = text
            .lines()
            .filter(|line| line.starts_with("bailiwick_decisions_total{"));
        let mut lines: Vec<_> = lines.map(str::to_owned).collect();
        lines.sort();
        lines
    };
    assert_eq!(lines(&pdp.metrics().await), [""; 0]);
    for amount in [1, 2, 501] {
        pdp.ask("default", "evaluation", &refund("carla", amount)).await.is(200);
    }
    let batch = json!({ "evaluations": [refund("carla", 3), refund("mallory", 3), {}, refund("carla", 501)] });
    pdp.ask("default", "evaluations", &batch).await.is(200);
    let search = |kind: &str| json!({ "subject": { "type": kind, "id": "carla" }, "resource": { "type": "payment", "id": "p-1" } });
    pdp.ask("default", "search/action", &search("clerk")).await.is(200);
    pdp.ask("default", "search/action", &search("pilot")).await.is(200);
    // What makes no sense is no decision, and who is nobody gets none.
    pdp.ask("default", "evaluation", &json!({})).await.is(400);
    let nobody = pdp.request("default", "evaluation");
    let nobody = nobody.header("authorization", "Bearer bwp_x");
    pdp.send(nobody, refund("carla", 1).to_string()).await.is(401);
    let metrics = pdp.metrics().await;
    let expected = [
        ("evaluation", "approval_required", 1),
        ("evaluation", "permit", 2),
        ("evaluations", "approval_required", 1),
        ("evaluations", "deny", 2),
        ("evaluations", "permit", 1),
        ("search_action", "deny", 1),
        ("search_action", "permit", 1),
    ];
    let expected = expected.map(|(call, outcome, times)| {
        format!("bailiwick_decisions_total{{call=\"{call}\",outcome=\"{outcome}\"}} {times}")
    });
    assert_eq!(lines(&metrics), expected);
    for (call, times) in [("evaluation", 3), ("evaluations", 1), ("search_action", 2)] {
        let line = format!("\nbailiwick_decision_seconds_count{{call=\"{call}\"}} {times}\n");
        assert!(metrics.contains(&line), "{metrics}");
    }
    assert_eq!(metrics.matches("bailiwick_decision_seconds_count{").count(), 3);
}
