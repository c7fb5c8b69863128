//! Everything the demo runs on: the files, the fake provider, the server, a credential for each agent.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use config::Settings;
use fake::Provider;
use model::Tier;
use secrecy::SecretString;
use tokio::sync::mpsc;

use super::{
    admin::Admin,
    caller::{Caller, Pace},
    cast::Agent,
    event::Event,
    home::Home,
    web::Http,
};
use crate::server::{Addresses, Server};

/// The provider's own key, which no agent has.
const PROVIDER_KEY: &str = "fake-provider-key";
/// On whose behalf the support assistant answers. The audit log has a pseudonym.
const COLLEAGUE: &str = "dana@acme.example";
/// The agent for the viewer's own calls.
pub(crate) const VISITOR: &str = "visitor";

/// All of it but the server.
#[derive(Debug)]
pub(crate) struct Stage {
    pub(crate) home: Home,
    pub(crate) provider: Provider,
    pub(crate) settings: Settings,
    /// Where the server listens.
    pub(crate) addresses: Addresses,
    /// The file with the first owner's credential.
    pub(crate) owner: PathBuf,
    pub(crate) admin: Admin,
    http: Http,
    credentials: Vec<(Agent, SecretString)>,
    /// The credential for the viewer's own calls.
    pub(crate) visitor: Option<SecretString>,
}

impl Stage {
    /// Starts everything. The server has to be stopped before the stage is struck: while it runs it writes files, also
    /// into a directory that was removed.
    pub(crate) async fn set(visitor: bool) -> anyhow::Result<(Self, Server)> {
        let provider = Provider::start(fake::Config {
            expect_key: Some(PROVIDER_KEY.to_owned()),
            ..fake::Config::default()
        });
        let provider = provider.await.context("the fake provider finds no address")?;
        let home = Home::make(&provider.url(), &SecretString::from(PROVIDER_KEY), visitor)?;
        let settings = config::load(&home.configuration()).map_err(|problems| anyhow::anyhow!("{problems}"))?;
        let server = Server::start(settings.clone()).await?;
        let (addresses, owner) = (server.addresses(), server.control().owner_file());
        match welcome(addresses, &owner, visitor).await {
            Ok((http, admin, credentials, visitor)) => {
                let stage = Self {
                    home,
                    provider,
                    settings,
                    addresses,
                    owner,
                    admin,
                    http,
                    credentials,
                    visitor,
                };
                Ok((stage, server))
            }
            Err(error) => {
                server.stop("demo failed").await;
                Err(error)
            }
        }
    }

    /// The gateway's root.
    pub(crate) fn gateway(&self) -> String {
        format!("http://{}", self.addresses.agents)
    }

    /// The agents with their credentials, ready to work.
    pub(crate) fn callers(&self, pace: Pace, events: &mpsc::UnboundedSender<Event>) -> Vec<Caller> {
        let caller = |(agent, credential): &(Agent, SecretString)| Caller {
            agent: *agent,
            http: self.http.clone(),
            gateway: self.gateway(),
            credential: credential.clone(),
            pace,
            events: events.clone(),
        };
        self.credentials.iter().map(caller).collect()
    }

    /// Ends the provider and removes the files.
    pub(crate) async fn strike(self) -> anyhow::Result<()> {
        self.provider.shutdown().await;
        self.home.remove()
    }
}

type Welcome = (Http, Admin, Vec<(Agent, SecretString)>, Option<SecretString>);

/// Has a credential issued for each agent.
async fn welcome(addresses: Addresses, owner: &Path, visitor: bool) -> anyhow::Result<Welcome> {
    let http = Http::new();
    let admin = Admin::new(http.clone(), format!("http://{}", addresses.admin), owner)?;
    let mut credentials = Vec::new();
    for agent in Agent::ALL {
        let (tier, user) = match agent {
            Agent::SupportAssistant => (Tier::Interactive, Some(COLLEAGUE)),
            Agent::NightlyReport | Agent::SiteAuditor | Agent::FraudAnalyst => (Tier::Background, None),
        };
        credentials.push((agent, admin.issue(agent.name(), tier, user).await?));
    }
    let visitor = match visitor {
        true => Some(admin.issue(VISITOR, Tier::Api, None).await?),
        false => None,
    };
    Ok((http, admin, credentials, visitor))
}
