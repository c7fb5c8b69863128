//! An upstream: where requests may go, and what has to be known to send them there. As it is declared: nothing here sends
//! anything.

mod preset;
mod template;
mod transport;

use std::collections::BTreeMap;

use entry::UpstreamRecord;
use llm::{Dialect, Endpoint, EndpointError, Target};
use model::UpstreamName;
use secrecy::SecretString;

pub use preset::Preset;
pub use template::{HeaderTemplate, MAX_TEMPLATE, PathTemplate, QueryTemplate, TemplateError};
pub use transport::{ClientIdentity, Fingerprint, Http2, Proxy, Transport, TransportSpec};

use template::PathSegment;
use transport::sha256;

/// A secret that is never shown: `Debug` prints a placeholder, dropping wipes the memory.
pub type Secret = SecretString;

/// A remote model provider.
#[derive(Clone, Debug)]
pub struct UpstreamSpec {
    /// The first path segment of requests to it.
    pub name: UpstreamName,
    /// The dialect it speaks.
    pub kind: Dialect,
    /// What the path is appended to, without a trailing slash. Scheme, host and port are always these.
    pub base_url: String,
    /// The path of a call below the base URL.
    pub path: PathTemplate,
    /// The paths of single endpoints, where they have another.
    pub paths: Vec<(Endpoint, PathTemplate)>,
    /// What is added to the query.
    pub query: QueryTemplate,
    /// What is put on requests. If the credential stands in one of them, it is put on there and nowhere else.
    pub headers: Vec<HeaderTemplate>,
    /// The provider's names of models, by the names under which agents, policies and prices know them. A model that is
    /// not here has one name.
    pub models: BTreeMap<String, String>,
    /// Whether agents may ask in the paths of Azure's clients, which name the deployment.
    pub azure_paths: bool,
    /// The credential that is put on requests; `None` for servers that want none.
    pub credential: Option<Secret>,
    /// The provider of the price catalogue whose prices apply.
    pub prices: String,
    /// Whether the output limit is written as `max_tokens` (older OpenAI-compatible servers) and not as
    /// `max_completion_tokens`.
    pub legacy_output_limit: bool,
    /// Whether it takes `stream_options.include_usage`. One that does not is not asked for the usage of a stream.
    pub stream_usage_option: bool,
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
            path: PathTemplate::default(),
            paths: Vec::new(),
            query: QueryTemplate::default(),
            headers: Vec::new(),
            models: BTreeMap::new(),
            azure_paths: false,
            credential: None,
            prices: kind_name(kind).to_owned(),
            legacy_output_limit: false,
            stream_usage_option: true,
            honours_output_limit: true,
            private_network: false,
            transport: Transport::default(),
        }
    }

    /// The dialect as manifests and entries spell it.
    pub fn kind_name(&self) -> &'static str {
        kind_name(self.kind)
    }

    /// What a caller asks for with this method and path below the upstream's segment.
    ///
    /// # Errors
    /// It is not governed, so it is not forwarded.
    pub fn find<'p>(&'p self, method: &str, path: &'p str) -> Result<Target<'p>, EndpointError> {
        let found = match self.azure_paths {
            true => Endpoint::find_azure(method, path),
            false => Endpoint::find(self.kind, method, path),
        }?;
        let known = |id: &'p str| {
            if found.endpoint.has_body() {
                self.known_as(id)
            } else {
                id
            }
        };
        Ok(Target {
            id: found.id.map(known),
            ..found
        })
    }

    /// The name under which policies and prices know what a path calls a deployment: itself, or the model of which it is
    /// the only deployment's name.
    fn known_as<'n>(&'n self, deployment: &'n str) -> &'n str {
        let mut models = self.models.iter().filter(|(_, name)| *name == deployment);
        match (self.models.contains_key(deployment), models.next(), models.next()) {
            (false, Some((model, _)), None) => model,
            _ => deployment,
        }
    }

    /// The provider's name for a model.
    pub fn sent_as<'n>(&'n self, model: &'n str) -> &'n str {
        self.models.get(model).map_or(model, String::as_str)
    }

    /// Where a call goes, without the query.
    ///
    /// # Errors
    /// The model has to stand in the path and cannot: there is none, or its name is a step in a path.
    pub fn address(&self, endpoint: Endpoint, model: &str) -> Result<String, NoSegment> {
        let exception = self.paths.iter().find(|(of, _)| *of == endpoint);
        let path = exception.map_or(&self.path, |(_, path)| path);
        let segment = PathSegment::new(self.sent_as(model));
        if segment.is_none() && (path.names_model() || endpoint.path().contains('{')) {
            return Err(NoSegment);
        }
        let mut address = String::with_capacity(self.base_url.len() + path.as_str().len() + model.len() + 32);
        address.push_str(&self.base_url);
        path.expand(endpoint, segment, &mut address);
        Ok(address)
    }

    /// The query to send, given the caller's. A version of Azure's API is the operator's to choose.
    pub fn query(&self, asked: Option<&str>) -> Option<String> {
        let own: &[&str] = if self.azure_paths { &["api-version"] } else { &[] };
        self.query.merge(asked, own)
    }

    /// What the log says of it: everything that decides where requests go, and no secret.
    pub fn record(&self) -> UpstreamRecord {
        let reached = self.transport.declared();
        let default = PathTemplate::default();
        let written = |path: &PathTemplate| path.as_str().to_owned();
        let exceptions = self.paths.iter();
        let headers = self.headers.iter();
        UpstreamRecord {
            name: self.name.clone(),
            kind: self.kind_name().to_owned(),
            base_url: self.base_url.clone(),
            prices: self.prices.clone(),
            honours_output_limit: self.honours_output_limit,
            path: (self.path != default).then(|| written(&self.path)),
            paths: exceptions
                .map(|(endpoint, path)| (endpoint.operation().to_owned(), written(path)))
                .collect(),
            query: self.query.as_str().to_owned(),
            headers: headers
                .map(|header| (header.name().to_owned(), header.as_str().to_owned()))
                .collect(),
            models: self.models.clone(),
            azure_paths: self.azure_paths,
            private_network: self.private_network,
            proxy: reached.proxy.as_ref().map(Proxy::address),
            http2: reached.http2.chosen().map(str::to_owned),
            ca: reached.ca.as_deref().map(sha256),
            client_certificate: reached.identity.as_ref().map(|own| sha256(&own.certificate)),
        }
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

/// A path has to name the model, and there is none, or one whose name is a step in a path (`.`, `..`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "this upstream takes the model's name as a part of its path, and the request names none that could be one; name a \
     model as this gateway's configuration does"
)]
pub struct NoSegment;

fn kind_name(kind: Dialect) -> &'static str {
    match kind {
        Dialect::OpenAi => "openai",
        Dialect::Anthropic => "anthropic",
    }
}

#[cfg(test)]
mod tests;
