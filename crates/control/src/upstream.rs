//! An upstream: where requests may go, and what has to be known to send them there.

mod transport;

use llm::Dialect;
use model::UpstreamName;
use secrecy::SecretString;

pub use transport::{ClientIdentity, Fingerprint, Http2, Proxy, Transport, TransportSpec};

/// A secret that is never shown: `Debug` prints a placeholder, dropping wipes the memory.
pub type Secret = SecretString;

/// A remote model provider.
#[derive(Clone, Debug)]
pub struct UpstreamSpec {
    /// The first path segment of requests to it.
    pub name: UpstreamName,
    /// The dialect it speaks.
    pub kind: Dialect,
    /// What the rest of the path is appended to, without a trailing slash.
    pub base_url: String,
    /// The credential that is put on requests; `None` for servers that want none.
    pub credential: Option<Secret>,
    /// The provider of the price catalogue whose prices apply.
    pub prices: String,
    /// Whether the output limit is written as `max_tokens` (older OpenAI-compatible servers) and not as
    /// `max_completion_tokens`.
    pub legacy_output_limit: bool,
    /// Whether it keeps to the output limit that is written into requests. One that does not is held for the model's
    /// maximum, and called with streams, which can be cut.
    pub honours_output_limit: bool,
    /// Whether the name of its host may lead to an address inside the network (private, loopback, link-local).
    pub private_network: bool,
    /// How it is reached.
    pub transport: Transport,
}

impl UpstreamSpec {
    /// An upstream without a credential, priced as the provider whose dialect it speaks.
    pub fn new(name: UpstreamName, kind: Dialect, base_url: &str) -> Self {
        Self {
            name,
            kind,
            base_url: base_url.to_owned(),
            credential: None,
            prices: kind_name(kind).to_owned(),
            legacy_output_limit: false,
            honours_output_limit: true,
            private_network: false,
            transport: Transport::default(),
        }
    }

    /// The dialect as manifests and entries spell it.
    pub fn kind_name(&self) -> &'static str {
        kind_name(self.kind)
    }

    /// The host of the base URL, without its port.
    pub fn host(&self) -> &str {
        let authority = self
            .base_url
            .split_once("://")
            .map_or(self.base_url.as_str(), |(_, rest)| rest);
        let authority = authority.split('/').next().unwrap_or_default();
        match authority.strip_prefix('[') {
            Some(literal) => literal.split(']').next().unwrap_or_default(),
            None => authority.split(':').next().unwrap_or_default(),
        }
    }
}

fn kind_name(kind: Dialect) -> &'static str {
    match kind {
        Dialect::OpenAi => "openai",
        Dialect::Anthropic => "anthropic",
    }
}
