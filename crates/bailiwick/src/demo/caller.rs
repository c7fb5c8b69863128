//! An agent's side of a call: what any SDK does, and telling what came of it.

use std::time::{Duration, Instant};

use anyhow::Context as _;
use http::{HeaderMap, HeaderValue, header};
use hyper::body::Incoming;
use llm::sse::{Block, Splitter};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::Value;
use tokio::sync::mpsc;

use super::{
    cast::Agent,
    event::{Called, Event, State, Tone},
    reply::{Dialect, Reply},
    web::{self, Http},
};

/// How fast everything goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// So that a person can follow.
    Watched,
    /// As fast as it goes without changing what happens.
    Fast,
}

impl Pace {
    /// So many milliseconds of the watched pace, at this one.
    pub(crate) fn of(self, millis: u64) -> Duration {
        match self {
            Self::Watched => Duration::from_millis(millis),
            Self::Fast => Duration::from_micros(millis * 50),
        }
    }
}

/// How the fake provider is to answer one call: times in milliseconds at the watched pace.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Manner {
    /// Until its first byte.
    pub(crate) latency: u64,
    /// Between two events of a stream.
    pub(crate) chunk_delay: u64,
    /// How many tokens it answers, where it does not call a tool.
    pub(crate) output: u64,
}

/// A call to make.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// Where to, and how.
    pub(crate) dialect: Dialect,
    /// The request. It names the model, and whether it wants a stream.
    pub(crate) body: Value,
    /// The kind of task it is for.
    pub(crate) task: &'static str,
    /// What the provider is to do.
    pub(crate) manner: Manner,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// The provider's reply.
    Reply(Reply),
    /// Bailiwick said no.
    Refused {
        /// The HTTP status.
        status: u16,
        /// The stable code.
        reason: String,
        /// In words.
        message: String,
    },
    /// The provider failed.
    Failed(String),
}

/// An agent with a credential.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    pub(crate) agent: Agent,
    pub(crate) http: Http,
    /// The gateway's root, such as `http://127.0.0.1:7400`.
    pub(crate) gateway: String,
    pub(crate) credential: SecretString,
    pub(crate) pace: Pace,
    pub(crate) events: mpsc::UnboundedSender<Event>,
}

impl Caller {
    /// Says what the agent does now.
    pub(crate) fn doing(&self, state: State, what: impl Into<String>) {
        let (agent, what) = (self.agent, what.into());
        self.tell(Event::Doing { agent, state, what });
    }

    /// Says something worth a line.
    pub(crate) fn note(&self, tone: Tone, text: impl Into<String>) {
        let (agent, text) = (self.agent, text.into());
        self.tell(Event::Note { agent, tone, text });
    }

    /// Does something that is not a call for a while.
    pub(crate) async fn pause(&self, millis: u64) {
        tokio::time::sleep(self.pace.of(millis)).await;
    }

    /// Makes a call. `progress` hears of every piece of a streamed reply.
    ///
    /// # Errors
    /// That there was no whole answer, not even a refusal.
    pub(crate) async fn call(&self, ask: &Ask, mut progress: impl FnMut(&Reply) + Send) -> anyhow::Result<Answer> {
        let started = Instant::now();
        let field = |name: &str| ask.body.get(name);
        let stream = field("stream").and_then(Value::as_bool).unwrap_or_default();
        let model = field("model").and_then(Value::as_str).unwrap_or_default();
        let url = format!("{}{}", self.gateway, ask.dialect.path());
        let body = serde_json::to_vec(&ask.body)?;
        let response = self.http.send("POST", &url, self.headers(ask)?, body).await?;
        let (head, body) = response.into_parts();
        let said = |name: &str| {
            head.headers
                .get(name)
                .and_then(|value| value.to_str().ok())
                .map(str::to_owned)
        };
        let denied = said("bailiwick-decision").is_some_and(|decision| decision == "deny");
        let reply = if stream && head.status.is_success() {
            streamed(ask.dialect, body, &mut progress).await?
        } else {
            Reply::read(ask.dialect, &web::whole(body).await?)
        };
        let called = Called {
            agent: self.agent,
            upstream: ask.dialect.upstream(),
            model: model.to_owned(),
            stream,
            task: ask.task,
            status: head.status.as_u16(),
            request_id: said("bailiwick-request-id").unwrap_or_default(),
            reason: said("bailiwick-reason").filter(|_| denied),
            cost_usd: said("bailiwick-cost-usd"),
            input_tokens: reply.input_tokens,
            output_tokens: reply.output_tokens,
            took: started.elapsed(),
        };
        let answer = match (&called.reason, &reply.error) {
            (Some(reason), message) => Answer::Refused {
                status: called.status,
                reason: reason.clone(),
                message: message.clone().unwrap_or_default(),
            },
            (None, Some(error)) => Answer::Failed(error.clone()),
            (None, None) => Answer::Reply(reply),
        };
        self.tell(Event::Called(Box::new(called)));
        Ok(answer)
    }

    fn headers(&self, ask: &Ask) -> anyhow::Result<HeaderMap> {
        let mut headers = HeaderMap::new();
        let credential = self.credential.expose_secret();
        let secret = match ask.dialect {
            Dialect::OpenAi => {
                let value = HeaderValue::from_str(&format!("Bearer {credential}"))?;
                headers.entry(header::AUTHORIZATION).or_insert(value)
            }
            Dialect::Anthropic => {
                headers.insert("anthropic-version", HeaderValue::from_static("2023-06-01"));
                headers.entry("x-api-key").or_insert(HeaderValue::from_str(credential)?)
            }
        };
        secret.set_sensitive(true);
        headers.insert("bailiwick-task", HeaderValue::from_static(ask.task));
        // By this the provider's own record knows the agents apart: Bailiwick passes it on.
        let user_agent = format!("{}/1.0", self.agent);
        headers.insert(header::USER_AGENT, HeaderValue::from_str(&user_agent)?);
        let Manner {
            latency,
            chunk_delay,
            output,
        } = ask.manner;
        let micros = |millis| self.pace.of(millis).as_micros();
        let script = format!(
            "latency={}us; chunk-delay={}us; output={output}",
            micros(latency),
            micros(chunk_delay)
        );
        // A tool call is as long as its arguments are.
        let script = match ask.body.get("tools") {
            Some(_) => format!("latency={}us", micros(latency)),
            None => script,
        };
        headers.insert(fake::SCRIPT_HEADER, HeaderValue::from_str(&script)?);
        Ok(headers)
    }

    fn tell(&self, event: Event) {
        // Nobody listens once the demo was interrupted.
        drop(self.events.send(event));
    }
}

async fn streamed(
    dialect: Dialect,
    mut body: Incoming,
    progress: &mut (impl FnMut(&Reply) + Send),
) -> anyhow::Result<Reply> {
    let mut reply = Reply::default();
    let mut splitter = Splitter::new();
    while let Some(part) = web::next(&mut body).await.context("while reading a stream")? {
        splitter.push(&part, |block, _| {
            if let Block::Event(event) = block {
                reply.event(dialect, event.data);
            }
        });
        progress(&reply);
    }
    Ok(reply)
}
