//! What an answer says besides yes and no: obligations, that somebody has to approve, and reasons.

use entry::Decision;
use serde_json::{Value, json};

use super::Pdp;

const SCHEMA: &str = "entity clerk;\nentity payment;\n\
    action refund appliesTo { principal: clerk, resource: payment, context: { amount?: Long, approval_ok?: Bool } };\n\
    action view appliesTo { principal: clerk, resource: payment };\n";

const POLICIES: &str = r#"
@id("clerks-view")
permit (principal is clerk, action == Action::"view", resource is payment);

@id("clerks-refund")
@reason_user("Done.")
@obligation_notification("{\"channel\": \"finance\"}")
permit (principal is clerk, action == Action::"refund", resource is payment)
unless { principal == clerk::"mallory" };

@id("large-refunds")
@approval("refund")
@reason_user("Ask your team lead.")
@reason_admin("Refunds over 500 need the approval of a team lead.")
@obligation_custom("tell-team-lead")
forbid (principal, action == Action::"refund", resource is payment)
when { context has amount && context.amount > 500 }
unless { context has approval_ok };

@id("huge-refunds")
@priority("1")
@reason_user("Nobody refunds that much.")
@obligation_session_termination("")
@obligation_step_up("{\"acr\": \"high\"}")
forbid (principal, action == Action::"refund", resource is payment)
when { context has amount && context.amount > 100000 };
"#;

const FILES: [(&str, &str); 2] = [
    ("governance/schemas/payments.cedarschema", SCHEMA),
    ("governance/policies/payments.cedar", POLICIES),
];

pub(super) async fn payments(manifest: &str) -> Pdp {
    Pdp::with_files("", manifest, &FILES).await
}

pub(super) fn refund(clerk: &str, amount: u64) -> Value {
    json!({ "subject": { "type": "clerk", "id": clerk }, "action": { "name": "refund" },
        "resource": { "type": "payment", "id": "p-1" }, "context": { "amount": amount } })
}

async fn ask(pdp: &Pdp, question: &Value) -> Value {
    pdp.ask("default", "evaluation", question).await.is(200).json()
}

/// What a refund of so much obliges to: by the names of the policies, then of the annotations.
fn obligations(amount: u64) -> Value {
    match amount {
        0..=500 => json!([{ "id": "clerks-refund-1", "type": "notification", "properties": { "channel": "finance" } }]),
        501..=100_000 => {
            json!([{ "id": "large-refunds-1", "type": "custom", "properties": { "value": "tell-team-lead" } }])
        }
        _ => json!([
            { "id": "huge-refunds-1", "type": "session_termination" },
            { "id": "huge-refunds-2", "type": "step-up", "properties": { "acr": "high" } },
            { "id": "large-refunds-3", "type": "custom", "properties": { "value": "tell-team-lead" } },
        ]),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn policies_oblige_and_ask_for_approval() {
    let pdp = payments("").await;
    for (amount, decision) in [(500, true), (501, false), (100_001, false)] {
        let mut context = json!({ "obligations": obligations(amount) });
        // What another forbids besides, nobody can approve.
        if amount == 501 {
            context["approval_required"] = json!(true);
            context["template"] = json!("refund");
        }
        let found = ask(&pdp, &refund("carla", amount)).await;
        assert_eq!(found, json!({ "decision": decision, "context": context }), "{amount}");
    }
    // Nor what nobody permits.
    let denied = ask(&pdp, &refund("mallory", 501)).await;
    assert_eq!(
        denied,
        json!({ "decision": false, "context": { "obligations": obligations(501) } })
    );
    let batch = json!({ "evaluations": [refund("carla", 501), refund("carla", 1)] });
    let batch = pdp.ask("default", "evaluations", &batch).await.is(200).json();
    assert_eq!(batch["evaluations"][0], ask(&pdp, &refund("carla", 501)).await);
    assert_eq!(batch["evaluations"][1], ask(&pdp, &refund("carla", 1)).await);

    let decided = pdp.decided();
    let outcomes: Vec<_> = decided[..4].iter().map(|decided| decided.items[0].outcome).collect();
    let expected = [
        Decision::Permit,
        Decision::ApprovalRequired,
        Decision::Deny,
        Decision::Deny,
    ];
    assert_eq!(outcomes, expected);
    assert_eq!(decided[1].items[0].code, "approval_required");
    assert_eq!(decided[1].items[0].policies, ["large-refunds"]);
}

/// Nobody approves what they ask for themselves.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callers_own_approval_counts_for_nothing() {
    let pdp = payments("").await;
    let honest = pdp.ask("default", "evaluation", &refund("carla", 501)).await.is(200);
    assert_eq!(honest.json()["decision"], false);
    assert_eq!(honest.json()["context"]["approval_required"], true);
    for said in [json!(true), json!(false), json!("true"), json!({ "by": "team-lead" })] {
        let mut asked = refund("carla", 501);
        asked["context"]["approval_ok"] = said.clone();
        let item = json!({ "evaluations": [asked.clone()] });
        let reply = pdp.ask("default", "evaluations", &item).await.is(200);
        assert_eq!(reply.json()["evaluations"][0], honest.json(), "{said}");
        for place in ["/subject", "/action", "/resource"] {
            asked.pointer_mut(place).unwrap()["properties"] = json!({ "approval_ok": said });
        }
        asked["approval_ok"] = said.clone();
        asked["approved"] = said.clone();
        let reply = pdp.ask("default", "evaluation", &asked).await.is(200);
        assert_eq!(reply.text(), honest.text(), "{said}");
    }
    for decided in pdp.decided() {
        let item = &decided.items[0];
        let input = item.input.as_ref().unwrap();
        assert_eq!(item.outcome, Decision::ApprovalRequired);
        assert!(
            !input.approved && !input.context.contains_key("approval_ok"),
            "{input:?}"
        );
    }
    // A search finds what is permitted, and nothing that has to be approved first.
    let search = |amount: u64| {
        json!({ "subject": { "type": "clerk", "id": "carla" }, "resource": { "type": "payment", "id": "p-1" },
            "context": { "amount": amount, "approval_ok": true } })
    };
    for (amount, expected) in [(500, vec!["refund", "view"]), (501, vec!["view"])] {
        let found = pdp
            .ask("default", "search/action", &search(amount))
            .await
            .is(200)
            .json();
        let results: Vec<_> = expected.iter().map(|name| json!({ "name": name })).collect();
        assert_eq!(found, json!({ "results": results }), "{amount}");
    }
}

/// Without `reasons` in its manifest an enforcement point reads what it has to do, and not a word of why.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reasons_are_for_those_who_asked_for_them() {
    let pdp = payments("reasons: []\n").await;
    let view = |clerk: &str, action: &str| {
        json!({ "subject": { "type": clerk, "id": "carla" }, "action": { "name": action },
            "resource": { "type": "payment", "id": "p-1" } })
    };
    for (question, expected) in [
        (view("clerk", "view"), "{\"decision\":true}"),
        (view("user", "view"), "{\"decision\":false}"),
        (view("clerk", "fly"), "{\"decision\":false}"),
    ] {
        let bare = pdp.ask("default", "evaluation", &question).await.is(200);
        assert_eq!(bare.text(), expected, "{question}");
        let batch = json!({ "evaluations": [question] });
        let batch = pdp.ask("default", "evaluations", &batch).await.is(200);
        assert_eq!(batch.text(), format!("{{\"evaluations\":[{expected}]}}"));
    }
    let mut manifest = "reasons: []".to_owned();
    for (reasons, user, admin) in [
        ("[user]", true, false),
        ("[admin]", false, true),
        ("[admin, user]", true, true),
    ] {
        let now = format!("reasons: {reasons}");
        pdp.world.edit("governance/rules/suite.yaml", &manifest, &now);
        manifest = now;
        pdp.world.run(&["apply"]).exits(0);
        for (amount, code, status, told, why, policies) in [
            (1, "permitted", "200", Some("Done."), None, &["clerks-refund"][..]),
            (
                501,
                "approval_required",
                "403",
                Some("Ask your team lead."),
                Some("Refunds over 500 need the approval of a team lead."),
                &["large-refunds"],
            ),
            // Of several the one with the highest priority speaks, if it has something to say.
            (
                100_001,
                "forbidden",
                "403",
                Some("Nobody refunds that much."),
                Some("Refunds over 500 need the approval of a team lead."),
                &["huge-refunds", "large-refunds"],
            ),
        ] {
            let found = ask(&pdp, &refund("carla", amount)).await;
            let context = &found["context"];
            let under = |text: Option<&str>, wanted: bool| text.filter(|_| wanted).map(|text| json!({ status: text }));
            assert_eq!(context["code"], code, "{reasons} {amount}");
            assert_eq!(
                context.get("reason_user").cloned(),
                under(told, user),
                "{reasons} {amount}"
            );
            assert_eq!(
                context.get("reason_admin").cloned(),
                under(why, admin),
                "{reasons} {amount}"
            );
            let named = admin.then(|| json!(policies));
            assert_eq!(context.get("policies").cloned(), named, "{reasons} {amount}");
            assert!(context["obligations"].is_array(), "{reasons} {amount}");
        }
        let unknown = ask(&pdp, &view("clerk", "fly")).await;
        assert_eq!(
            unknown,
            json!({ "decision": false, "context": { "code": "unknown_action" } })
        );
    }
}
