//! `bailiwick key issue`

use api::wire;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use jiff::Timestamp;
use model::{AgentName, PepName, TenantName, Tier, UpstreamName};

use crate::cli::{
    Common, Failure,
    client::Client,
    length::End,
    output::{Output, QUIET, hint},
    target::Target,
};

/// Issue a credential for an agent, or for an enforcement point
///
/// It is printed on standard output, this once; only a hash of it is kept. An agent can have several.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  bailiwick key issue assistant
  bailiwick key issue assistant --name laptop --expires 30d
  bailiwick key issue assistant --tier background --upstream openai --model gpt-4o-mini
  bailiwick key issue --pep api-gateway --expires 365d
  OPENAI_API_KEY=$(bailiwick key issue assistant) python agent.py")]
pub(in crate::cli) struct Args {
    /// The agent it authenticates
    #[arg(value_name = "AGENT", required_unless_present = "pep")]
    agent: Option<AgentName>,
    /// The enforcement point it authenticates, in place of an agent: it asks the decision point
    #[arg(long, value_name = "PEP", conflicts_with_all = ["agent", "tier", "user", "upstreams", "models"])]
    pep: Option<PepName>,
    /// What to call it [default: the agent's name]
    #[arg(long, value_name = "LABEL")]
    name: Option<String>,
    /// When it stops working: after a time such as 12h or 30d, or at an instant such as 2027-01-31T12:00:00Z
    #[arg(long, value_name = "WHEN", value_parser = End::parse)]
    expires: Option<End>,
    /// What kind of work it is for
    #[arg(long, value_name = "TIER", default_value = "api", value_parser = tier())]
    tier: Tier,
    /// The user on whose behalf it acts; the audit trail only has a pseudonym
    #[arg(long, value_name = "ID")]
    user: Option<String>,
    /// An upstream it may reach; give it several times for more than one [default: all]
    #[arg(long = "upstream", value_name = "NAME")]
    upstreams: Vec<UpstreamName>,
    /// A model it may ask for; give it several times for more than one [default: all]
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// The agent's tenant
    #[arg(long, default_value = "default")]
    tenant: TenantName,
    #[command(flatten)]
    target: Target,
}

fn tier() -> impl TypedValueParser<Value = Tier> {
    let words = Tier::ALL.map(Tier::as_str);
    PossibleValuesParser::new(words).try_map(|word| {
        let tier = Tier::ALL.into_iter().find(|tier| tier.as_str() == word);
        tier.ok_or("this is no tier")
    })
}

pub(super) async fn run(common: &Common, args: &Args, out: &mut Output) -> Result<(), Failure> {
    let past = || Failure::Usage("--expires has to be in the future".to_owned());
    let expires = args
        .expires
        .map(|end| end.from(Timestamp::now()).ok_or_else(past))
        .transpose()?;
    let expires = expires.map(|end| end.strftime("%Y-%m-%dT%H:%M:%S%.fZ").to_string());
    let agent = match (&args.pep, &args.agent) {
        (Some(pep), _) => return for_pep(common, args, pep, expires, out).await,
        (None, Some(agent)) => agent.clone(),
        (None, None) => {
            return Err(Failure::Usage(
                "name an agent, or an enforcement point with --pep".to_owned(),
            ));
        }
    };
    let new = wire::NewKey {
        tenant: args.tenant.clone(),
        agent,
        label: args.name.clone().unwrap_or_default(),
        tier: args.tier,
        user: args.user.clone(),
        upstreams: args.upstreams.clone(),
        models: args.models.clone(),
        expires,
    };
    let client = args.target.client(common)?;
    let issued: wire::IssuedKey = client.post("/api/v1/keys", Some(&new)).await?;
    out.show(&issued, |out| out.line(issued.key.reveal()))?;
    if !out.is_json() {
        let base = args.target.agents_url(common);
        hint(explain(&issued, &new, &upstreams(&client).await, base));
    }
    Ok(())
}

async fn for_pep(
    common: &Common,
    args: &Args,
    pep: &PepName,
    expires: Option<String>,
    out: &mut Output,
) -> Result<(), Failure> {
    let new = wire::NewPepKey {
        tenant: args.tenant.clone(),
        pep: pep.clone(),
        label: args.name.clone().unwrap_or_default(),
        expires,
    };
    let client = args.target.client(common)?;
    let issued: wire::IssuedPepKey = client.post("/api/v1/pep-keys", Some(&new)).await?;
    out.show(&issued, |out| out.line(issued.key.reveal()))?;
    if !out.is_json() {
        let base = args.target.agents_url(common);
        let base = base.unwrap_or_else(|| "http://ADDRESS".to_owned());
        hint(format!(
            "\nThat is credential {} of {}, shown this once and kept nowhere. It is sent as `Authorization: Bearer ...` \
             to\n\n  {base}/access/v1/evaluation",
            issued.id, issued.pep
        ));
    }
    Ok(())
}

/// The upstreams, for the hints. The credential is out: whatever happens now is no failure.
async fn upstreams(client: &Client) -> Vec<control::UpstreamReport> {
    let listed: Result<wire::Upstreams, Failure> = client.get("/api/v1/upstreams").await;
    listed.map(|listed| listed.upstreams).unwrap_or_default()
}

fn explain(
    issued: &wire::IssuedKey,
    new: &wire::NewKey,
    upstreams: &[control::UpstreamReport],
    base: Option<String>,
) -> String {
    let mut text = format!(
        "\nThat is credential {} of {}, shown this once and kept nowhere.",
        issued.id, issued.agent
    );
    if let Some(expires) = &issued.expires {
        text.push_str(&format!(" It expires at {expires}."));
    }
    let base = base.unwrap_or_else(|| "http://ADDRESS".to_owned());
    let allowed = |upstream: &&control::UpstreamReport| {
        new.upstreams.is_empty() || new.upstreams.iter().any(|name| name.as_str() == upstream.name)
    };
    for (kind, prefix, suffix) in [("openai", "OPENAI", "/v1"), ("anthropic", "ANTHROPIC", "")] {
        let Some(upstream) = upstreams.iter().filter(allowed).find(|upstream| upstream.kind == kind) else {
            continue;
        };
        text.push_str(&format!(
            "\n\n  export {prefix}_BASE_URL={base}/{}{suffix}\n  export {prefix}_API_KEY=... {QUIET}# the line above{QUIET:#}",
            upstream.name
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_hints_are_ready_to_use() {
        let new: wire::NewKey = serde_json::from_str(r#"{ "agent": "assistant", "upstreams": ["azure"] }"#).unwrap();
        let issued = r#"{ "tenant": "default", "id": "key-1", "agent": "assistant", "key": "bwk_canary" }"#;
        let issued: wire::IssuedKey = serde_json::from_str(issued).unwrap();
        let upstream = |name: &str, kind: &str| control::UpstreamReport {
            name: name.to_owned(),
            kind: kind.to_owned(),
            base_url: String::new(),
        };
        let upstreams = [
            upstream("openai", "openai"),
            upstream("azure", "openai"),
            upstream("claude", "anthropic"),
        ];
        let text = explain(&issued, &new, &upstreams, Some("http://127.0.0.1:7400".to_owned()));
        assert!(
            text.contains("export OPENAI_BASE_URL=http://127.0.0.1:7400/azure/v1\n"),
            "{text}"
        );
        assert!(!text.contains("ANTHROPIC"), "{text}");
        assert!(!text.contains("canary") && !format!("{issued:?}").contains("canary"));
        let all = wire::NewKey {
            upstreams: Vec::new(),
            ..new
        };
        let text = explain(&issued, &all, &upstreams, None);
        assert!(
            text.contains("export ANTHROPIC_BASE_URL=http://ADDRESS/claude\n"),
            "{text}"
        );
    }
}
