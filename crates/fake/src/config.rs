//! How a simulated provider behaves when a call's script does not say otherwise.

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

/// How a [`Provider`](crate::Provider) behaves. A call can deviate by its [script](crate#scripts).
#[derive(Clone)]
pub struct Config {
    /// Where to listen. Port 0 asks for a free one; [`Provider::addr`](crate::Provider::addr) tells which.
    pub listen: SocketAddr,
    /// How long a call waits before its first byte (and before an error).
    pub latency: Duration,
    /// How long a stream waits between two events. Zero writes what there is as fast as the client reads it.
    pub chunk_delay: Duration,
    /// Every call whose number is a multiple of this is answered with status 500.
    pub error_every: Option<u64>,
    /// The only API key that is accepted, as `Authorization: Bearer KEY`, `x-api-key: KEY` or `api-key: KEY`. `None` accepts all
    /// calls, in Azure's paths all that have an `api-key`.
    pub expect_key: Option<String>,
    /// How many tokens an answer has where neither the request's output limit nor its script makes it shorter or longer.
    pub output_tokens: u64,
    /// How many calls are remembered; the oldest are forgotten first.
    pub keep_calls: usize,
    /// How many bytes of headers and bodies are remembered over all calls; the oldest calls lose theirs first.
    pub keep_bytes: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            latency: Duration::ZERO,
            chunk_delay: Duration::ZERO,
            error_every: None,
            expect_key: None,
            output_tokens: 40,
            keep_calls: 100_000,
            keep_bytes: 128 << 20,
        }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("listen", &self.listen)
            .field("latency", &self.latency)
            .field("chunk_delay", &self.chunk_delay)
            .field("error_every", &self.error_every)
            .field("expect_key", &self.expect_key.as_ref().map(|_| "(hidden)"))
            .field("output_tokens", &self.output_tokens)
            .field("keep_calls", &self.keep_calls)
            .field("keep_bytes", &self.keep_bytes)
            .finish()
    }
}
