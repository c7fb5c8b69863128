//! Credentials that are not, not any more, or somebody else's.

use std::time::Duration;

use entry::Status;
use http_body_util::BodyExt as _;
use model::{Reason, TenantName};

use super::{After, CHAT, Case, GOOD, Want, case, check_all};
use crate::harness::{Harness, ManualClock, Setup};

fn with(name: &str, key: &str, want: Want) -> Case {
    let head = format!(
        "POST {CHAT} HTTP/1.1\r\nhost: gateway\r\ncontent-length: {}\r\n",
        GOOD.len()
    );
    case(
        name,
        format!("{head}authorization: Bearer {key}\r\n\r\n{GOOD}"),
        want,
        After::Open,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn credentials_that_do_not_authenticate() {
    let harness = Harness::start().await;
    let (id, revoked) = harness.issue(|_| {}).await;
    let tenant = TenantName::default_tenant();
    harness
        .control
        .revoke_key(&harness.owner, tenant, id, String::new())
        .await
        .unwrap();
    let (_, narrow) = harness.issue(|order| order.models = vec!["gpt-4o".to_owned()]).await;
    let (_, elsewhere) = harness
        .issue(|order| order.upstreams = vec![model::UpstreamName::new("anthropic").unwrap()])
        .await;
    let owner = std::fs::read_to_string(harness.control.owner_file()).unwrap();
    let mut slip = harness.key.clone();
    slip.replace_range(10..11, if &slip[10..11] == "a" { "b" } else { "a" });
    let invalid = Want::Anonymous(Reason::InvalidCredential);
    check_all(
        &harness,
        vec![
            with("unknown", &format!("bwk_{}", "0".repeat(58)), invalid),
            with("misspelt", &slip, invalid),
            with("in capitals", &harness.key.to_uppercase(), invalid),
            with("cut short", &harness.key[..40], invalid),
            with("with more behind", &format!("{}0", harness.key), invalid),
            with("10 KB", &format!("bwk_{}", "a".repeat(10_000)), invalid),
            with("the provider's", crate::harness::UPSTREAM_KEY, invalid),
            with("an administrator's", owner.trim(), invalid),
            with("revoked", &revoked, Want::Denied(Reason::RevokedCredential)),
            with("for another model", &narrow, Want::Denied(Reason::CredentialScope)),
            with(
                "for another upstream",
                &elsewhere,
                Want::Denied(Reason::CredentialScope),
            ),
        ],
    )
    .await;
    // The reverse: an agent's credential administers nothing.
    assert!(harness.control.authenticate_admin(Some(&harness.key)).is_err());
    harness.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_removed_agents_credential_is_refused_with_an_entry() {
    let harness = Harness::start().await;
    harness.remove_agent().await;
    check_all(
        &harness,
        vec![with(
            "of a removed agent",
            &harness.key,
            Want::Denied(Reason::UnknownAgent),
        )],
    )
    .await;
    harness.finish().await;
}

/// A credential that has expired stays expired, whatever is done to the wall clock: the tenant's time never goes back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn setting_the_clock_back_revives_nothing() {
    let clock = ManualClock::now();
    let harness = Harness::with(Setup {
        clock: Some(clock.clone()),
        ..Setup::default()
    })
    .await;
    let hour = Duration::from_secs(3_600);
    let expires = clock.after(hour);
    let (_, key) = harness.issue(|order| order.expires = Some(expires)).await;
    let expired = Want::Denied(Reason::ExpiredCredential);
    check_all(&harness, vec![with("before", &key, Want::Allowed)]).await;
    clock.pass(hour);
    check_all(&harness, vec![with("at its end", &key, expired)]).await;
    clock.step_back(2 * hour);
    check_all(
        &harness,
        vec![
            with("set back", &key, expired),
            with("another", &harness.key, Want::Allowed),
        ],
    )
    .await;
    let order = harness
        .try_issue(|order| order.expires = Some(clock.after(Duration::from_secs(60))))
        .await;
    assert!(order.is_err(), "what has expired by the tenant's time cannot be issued");
    harness.finish().await;
}

/// A call does not outlive its credential.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_call_ends_when_its_credential_expires() {
    let clock = ManualClock::now();
    let harness = Harness::with(Setup {
        clock: Some(clock.clone()),
        ..Setup::default()
    })
    .await;
    let expires = clock.after(Duration::from_millis(300));
    let (_, key) = harness.issue(|order| order.expires = Some(expires)).await;
    for (extra, script, seen) in [
        (r#","stream":true"#, "hang-after=2", 200),
        ("", "hang", 403),
        ("", "hang-after=0", 403),
    ] {
        let settled = harness.outcomes(0).await.len();
        let mut request = Harness::scripted(harness.chat(extra), script);
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {key}").parse().unwrap());
        let response = harness.send(request).await;
        assert_eq!(response.status(), seen, "{script}");
        let text = response.into_body().collect().await.unwrap().to_bytes();
        assert!(String::from_utf8_lossy(&text).contains("expired"), "{script}: {text:?}");
        let outcome = harness.outcomes(settled + 1).await.pop().unwrap();
        assert_eq!(outcome.status, Status::Revoked, "{script}");
    }
    // One that is over in time is not touched.
    let mut request = harness.chat(r#","stream":true"#);
    request
        .headers_mut()
        .insert("authorization", format!("Bearer {key}").parse().unwrap());
    let (status, _, text) = harness.call(request).await;
    assert!(
        status == 200 && text.ends_with("data: [DONE]\n\n") && !text.contains("error"),
        "{text}"
    );
    harness.finish().await;
}
