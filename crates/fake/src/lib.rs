//! A simulated model provider that speaks the OpenAI and Anthropic dialects, for the demo and the tests.
//!
//! It is an HTTP/1.1 server that answers like the real ones, at once and for nothing: JSON and event streams, tool
//! calls, usage figures, errors, rate-limit headers. It records every call, with what it bills for it, so that a test
//! can compare what a gateway says with what the provider saw.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use fake::{Config, Provider};
//!
//! let provider = Provider::start(Config { output_tokens: 12, ..Config::default() }).await?;
//! println!("export OPENAI_BASE_URL={}/v1 OPENAI_API_KEY=any", provider.url());
//! let calls = provider.calls();
//! // ... something calls it ...
//! # assert!(calls.snapshot().is_empty());
//! for call in calls.snapshot() {
//!     println!("{} {} billed {} tokens", call.path, call.model, call.billed.output);
//! }
//! provider.shutdown().await;
//! # Ok(())
//! # }
//! ```
//!
//! # Endpoints
//! OpenAI's `POST /v1/chat/completions`, `/v1/responses`, `/v1/completions`, `/v1/embeddings`, `/v1/moderations`,
//! `/v1/images/generations`, `/v1/images/edits`, `/v1/images/variations`, `/v1/audio/speech`, `/v1/audio/transcriptions`
//! and `/v1/audio/translations`; Anthropic's `POST /v1/messages` and `/v1/messages/count_tokens`; `GET /v1/models` and
//! `/v1/models/{id}` of both. Anything else is answered with the provider's own 404 or 405. The endpoints that generate
//! text stream, and so do pictures made or edited (one at a time, with `partial_images`), speech billed by tokens
//! (`stream_format: sse`) and transcripts billed by tokens. Where both providers have the same path, a request with
//! `anthropic-version` or `x-api-key` is Anthropic's.
//!
//! OpenAI's endpoints are also where Azure OpenAI has them: below `/openai/v1`, and below
//! `/openai/deployments/{deployment}` with a dated `api-version` in the query. These want the key in `api-key`.
//!
//! Any model is answered except [`UNKNOWN_MODEL`]. Input is billed at about a quarter of the bytes of the text, and never
//! at more tokens than the request has bytes. Output is prose, [`Config::output_tokens`] tokens of it or what the
//! request's output limit allows. A request that offers tools and ends with a user's message is answered with one call
//! of the first tool, or of the one `tool_choice` names, with arguments that its schema requires; a request that ends
//! with a tool's result is answered with text, so that an agent's loop ends.
//!
//! # Scripts
//! A call can ask for other behaviour in the request header `fake-script` ([`SCRIPT_HEADER`]): words separated by `;`,
//! as in `fake-script: latency=50ms; cut-after=3`. A word that is not understood is answered with status 400 that
//! names it. Durations are whole numbers with `us`, `ms` or `s`.
//!
//! | word | what the provider does |
//! | --- | --- |
//! | `latency=50ms` | waits before the first byte, also of an error |
//! | `chunk-delay=5ms` | waits between the events of a stream |
//! | `status=500` | answers with this status (300 to 599) and the dialect's error body; `status=200` exempts the call from [`Config::error_every`] |
//! | `retry-after=2` | adds the header `Retry-After` |
//! | `location=URL` | adds the header `Location` |
//! | `content-type=text/html` | answers with this content type; an error answered as `text/html` is a page |
//! | `hang` | never answers; the connection stays open |
//! | `cut-after=3` | closes the connection after 3 events of a stream, or in the middle of a JSON document (0: after the head) |
//! | `hang-after=3` | the same, but the connection stays open and nothing more comes |
//! | `error-after=3` | ends a stream with an error event after 3 events |
//! | `model=NAME` | names this model in the answer |
//! | `output=50` | produces 50 tokens for each choice, whatever the request's limit: a provider that ignores it |
//! | `events=5` | sends the text in 5 deltas (of one token each unless another word says more) |
//! | `bytes=1000` | puts 1000 bytes into each delta (with `events`, exactly that many such deltas) |
//! | `reasoning=20` | 20 of the output tokens of each choice are not shown; they count against the limit |
//! | `omit-usage` | reports no usage |
//! | `usage-input=100` | bills and reports this many input tokens in all |
//! | `usage-output=500` | bills and reports this many output tokens in all |
//! | `cached=100` | of the input tokens, this many were served from the cache (at most all) |
//! | `cache-write=100` | of the rest, this many were written to the cache |
//! | `cache-write-1h=100` | of the rest, this many were written to the cache for an hour; Anthropic only |
//! | `bill-abandoned` | bills a call in full that its client leaves |
//! | `first=2` | all this holds for the first 2 calls with this very script; later ones are answered as usual |
//!
//! Events are counted as they go over the wire: OpenAI's role chunk, Anthropic's `ping` and the final `[DONE]` count.
//!
//! # The record
//! [`Calls`] in the same process; over HTTP `GET /_fake/calls` (a list of [`SeenCall`] without bodies; `?after=N` leaves
//! out the first N), `GET /_fake/body/N` (the body of call N), `GET /_fake/count` ([`Count`]; `?received=N` or
//! `?finished=N` waits until there are so many) and `POST /_fake/reset`.

pub use self::{
    calls::{Billed, Calls, Count, Finished, SeenCall},
    config::Config,
    models::UNKNOWN_MODEL,
    provider::Provider,
    script::SCRIPT_HEADER,
};

mod anthropic;
mod azure;
mod body;
mod calls;
mod completion;
mod config;
mod conn;
mod events;
mod headers;
mod ids;
mod inspect;
mod models;
mod openai;
mod out;
mod prose;
mod provider;
mod refusal;
mod request;
mod responses;
mod route;
mod script;
mod service;
mod texts;
mod tools;
mod turns;
mod wire;
mod work;
