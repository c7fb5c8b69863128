//! What the demo asks of the administration listener, as its owner: what any script could.

use std::path::Path;

use anyhow::{Context as _, ensure};
use api::wire;
use control::BudgetReport;
use http::{HeaderMap, HeaderValue, header};
use model::{AgentName, TenantName, Tier};
use secrecy::{ExposeSecret as _, SecretString};
use serde::de::DeserializeOwned;

use super::web::Http;

/// An owner who asks.
#[derive(Clone, Debug)]
pub(crate) struct Admin {
    http: Http,
    /// The listener's root, such as `http://127.0.0.1:7401`.
    base: String,
    credential: SecretString,
}

impl Admin {
    /// With the credential in a file of the data directory.
    pub(crate) fn new(http: Http, base: String, credential: &Path) -> anyhow::Result<Self> {
        let text = std::fs::read_to_string(credential);
        let text = text.with_context(|| format!("cannot read {}", credential.display()))?;
        let credential = SecretString::from(text.trim());
        Ok(Self { http, base, credential })
    }

    /// Issues a credential.
    pub(crate) async fn issue(&self, agent: &str, tier: Tier, user: Option<&str>) -> anyhow::Result<SecretString> {
        let new = wire::NewKey {
            tenant: TenantName::default_tenant(),
            agent: AgentName::new(agent)?,
            label: "demo".to_owned(),
            tier,
            user: user.map(str::to_owned),
            upstreams: Vec::new(),
            models: Vec::new(),
            expires: None,
        };
        let issued: wire::IssuedKey = self.ask("POST", "/api/v1/keys", serde_json::to_vec(&new)?).await?;
        Ok(SecretString::from(issued.key.reveal()))
    }

    /// How budgets stand.
    pub(crate) async fn budgets(&self) -> anyhow::Result<Vec<BudgetReport>> {
        let budgets: wire::Budgets = self.ask("GET", "/api/v1/budgets", Vec::new()).await?;
        Ok(budgets.budgets)
    }

    /// How many entries the audit log has.
    pub(crate) async fn log_size(&self) -> anyhow::Result<u64> {
        let entries: wire::Entries = self.ask("GET", "/api/v1/audit?limit=1", Vec::new()).await?;
        Ok(entries.size)
    }

    /// The entries behind the first `seen`; waits a while for one.
    pub(crate) async fn entries_after(&self, seen: u64) -> anyhow::Result<wire::Entries> {
        let path = format!("/api/v1/audit/wait?after={seen}&timeout_s=10");
        self.ask("GET", &path, Vec::new()).await
    }

    async fn ask<T: DeserializeOwned>(&self, method: &str, path: &str, body: Vec<u8>) -> anyhow::Result<T> {
        let mut headers = HeaderMap::new();
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", self.credential.expose_secret()))?;
        bearer.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, bearer);
        let answer = self
            .http
            .ask(method, &format!("{}{path}", self.base), headers, body)
            .await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(answer.status.is_success(), "{method} {path}: {} {text}", answer.status);
        // Not with the text: it may hold a credential.
        serde_json::from_slice(&answer.body).with_context(|| format!("{method} {path}: not the answer expected"))
    }
}
