//! One request: read it, decide what to answer, take the time the script asks for, answer.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::{
    UNKNOWN_MODEL, anthropic,
    body::{Body, Pace, Stream},
    calls::{Arrival, Calls, Finished, Ticket},
    completion::{Completion, Moment},
    config::Config,
    conn::Conn,
    headers,
    ids::Ids,
    inspect, models, openai,
    out::Out,
    refusal::{Dialect, Refusal},
    request::Ask,
    script::Script,
};

type BoxError = Box<dyn Error + Send + Sync>;

/// A longer request is refused with status 413, as Anthropic does.
const REQUEST_MAX: usize = 32 << 20;

/// What all calls share.
pub(crate) struct State {
    pub(crate) config: Config,
    pub(crate) calls: Calls,
    /// Makes the identifiers differ from those of another provider.
    pub(crate) seed: u64,
}

/// What a path and method lead to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint {
    Generate,
    Models,
    Nowhere,
    WrongMethod,
}

/// A successful answer.
enum Answer {
    Models,
    Completion { answer: Box<Completion>, stream: bool },
}

/// A call that has been recorded and decided.
struct Decided {
    dialect: Dialect,
    answer: Result<Answer, Refusal>,
    script: Script,
    ticket: Ticket,
    request_id: String,
    now: u64,
}

/// Answers one request on the connection `conn`. An error, which is a request that breaks off, closes it.
pub(crate) async fn answer(
    state: Arc<State>,
    conn: Arc<Conn>,
    request: Request<Incoming>,
) -> Result<Response<Body>, BoxError> {
    let started = Instant::now();
    let (parts, body) = request.into_parts();
    if parts.uri.path().starts_with(inspect::PREFIX) {
        return Ok(inspect::answer(&state.calls, &parts.method, &parts.uri, conn).await);
    }
    let body = match Limited::new(body, REQUEST_MAX).collect().await {
        Ok(body) => Some(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => None,
        Err(error) => return Err(error),
    };
    let decided = decide(&state, &parts, body.as_deref());
    drop((parts, body));
    let latency = decided.script.latency.unwrap_or(state.config.latency);
    if !latency.is_zero() {
        tokio::time::sleep(latency).await;
    }
    if decided.script.hang {
        std::future::pending::<()>().await;
    }
    Ok(respond(&state.config, decided, started.elapsed(), conn))
}

/// Records the call and decides its answer. A request without a body was too long. Nothing here waits.
fn decide(state: &State, parts: &Parts, body: Option<&[u8]>) -> Decided {
    let (dialect, endpoint) = route(parts);
    let refuse_long = || Refusal::scripted(dialect, StatusCode::PAYLOAD_TOO_LARGE);
    let ask = match (endpoint, body) {
        (Endpoint::Generate, body) => Some(body.ok_or_else(refuse_long).and_then(|body| Ask::parse(dialect, body))),
        _ => None,
    };
    let asked = ask.as_ref().and_then(|ask| ask.as_ref().ok());
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut ticket = state.calls.begin(Arrival {
        at_micros: u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX),
        method: parts.method.as_str(),
        path: parts.uri.path_and_query().map_or("", |path| path.as_str()),
        model: asked.map_or("", |ask| &ask.model),
        stream: asked.is_some_and(|ask| ask.stream),
        headers: &parts.headers,
        body: body.unwrap_or_default(),
    });
    let ids = Ids::new(state.seed, ticket.number());
    let now = since_1970.as_secs();
    let (script, answer) = match Script::of(&parts.headers) {
        Ok(script) => {
            let answer = refuse_early(state, dialect, &parts.headers, &script, ticket.number()).and_then(|()| {
                let moment = Moment {
                    ids,
                    created: now,
                    output_tokens: state.config.output_tokens,
                };
                match (endpoint, ask) {
                    (Endpoint::Generate, Some(ask)) => generate(dialect, &ask?, &script, &moment),
                    (Endpoint::Models, _) => Ok(Answer::Models),
                    (Endpoint::WrongMethod, _) => {
                        Err(Refusal::wrong_method(dialect, parts.method.as_str(), parts.uri.path()))
                    }
                    _ => Err(Refusal::no_path(dialect, parts.method.as_str(), parts.uri.path())),
                }
            });
            (script, answer)
        }
        Err(error) => (Script::default(), Err(Refusal::invalid(dialect, error.to_string()))),
    };
    if let Ok(Answer::Completion { answer, .. }) = &answer
        && script.bill_abandoned
    {
        ticket.outcome.billed = answer.billed;
    }
    let request_id = match dialect {
        Dialect::OpenAi => ids.id("req_", 32, u64::MAX - 1),
        Dialect::Anthropic => ids.id("req_01", 22, u64::MAX - 1),
    };
    Decided {
        dialect,
        answer,
        script,
        ticket,
        request_id,
        now,
    }
}

/// The dialect is known by the path; where both have the same path, by the header that Anthropic requires.
fn route(parts: &Parts) -> (Dialect, Endpoint) {
    let anthropic = parts.headers.contains_key("anthropic-version") || parts.headers.contains_key("x-api-key");
    let guess = if anthropic { Dialect::Anthropic } else { Dialect::OpenAi };
    match (parts.uri.path(), &parts.method) {
        ("/v1/chat/completions", &Method::POST) => (Dialect::OpenAi, Endpoint::Generate),
        ("/v1/chat/completions", _) => (Dialect::OpenAi, Endpoint::WrongMethod),
        ("/v1/messages", &Method::POST) => (Dialect::Anthropic, Endpoint::Generate),
        ("/v1/messages", _) => (Dialect::Anthropic, Endpoint::WrongMethod),
        ("/v1/models", &Method::GET) => (guess, Endpoint::Models),
        ("/v1/models", _) => (guess, Endpoint::WrongMethod),
        _ => (guess, Endpoint::Nowhere),
    }
}

/// What is refused whatever the request says: a wrong key, and what the script or the configuration wants refused.
fn refuse_early(
    state: &State,
    dialect: Dialect,
    headers: &HeaderMap,
    script: &Script,
    number: u64,
) -> Result<(), Refusal> {
    if let Some(expected) = &state.config.expect_key {
        let given = headers.get("x-api-key").map(HeaderValue::as_bytes).or_else(|| {
            let value = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
            value.map(|value| value.strip_prefix(b"Bearer ").unwrap_or(value))
        });
        if given != Some(expected.as_bytes()) {
            return Err(Refusal::unauthorized(dialect, given.is_some()));
        }
    }
    if let Some(status) = script.status.filter(|status| *status != StatusCode::OK) {
        return Err(Refusal::scripted(dialect, status));
    }
    let unlucky = state
        .config
        .error_every
        .is_some_and(|every| number.is_multiple_of(every));
    if unlucky && script.status.is_none() {
        return Err(Refusal::scripted(dialect, StatusCode::INTERNAL_SERVER_ERROR));
    }
    Ok(())
}

fn generate(dialect: Dialect, ask: &Ask<'_>, script: &Script, moment: &Moment) -> Result<Answer, Refusal> {
    if ask.model == UNKNOWN_MODEL {
        return Err(Refusal::no_model(dialect, &ask.model));
    }
    let answer = Box::new(Completion::plan(dialect, ask, script, moment));
    Ok(Answer::Completion {
        answer,
        stream: ask.stream,
    })
}

/// Makes the response. The call ends with it, or with its body.
fn respond(config: &Config, decided: Decided, took: Duration, conn: Arc<Conn>) -> Response<Body> {
    let Decided {
        dialect,
        answer,
        script,
        mut ticket,
        request_id,
        now,
    } = decided;
    let (status, kind, body) = match answer {
        Err(refusal) => {
            ticket.outcome.status = Some(refusal.status.as_u16());
            ticket.finish(Finished::Error);
            let html = script
                .content_type
                .as_ref()
                .is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
            let (kind, bytes) = if html {
                (headers::HTML, refusal.html())
            } else {
                (headers::JSON, refusal.json(&request_id))
            };
            (refusal.status, kind, Body::plain(bytes, conn))
        }
        Ok(Answer::Models) => {
            ticket.outcome.status = Some(200);
            ticket.finish(Finished::Completed);
            (StatusCode::OK, headers::JSON, Body::plain(models::list(dialect), conn))
        }
        Ok(Answer::Completion { answer, stream: false }) => {
            ticket.outcome.status = Some(200);
            ticket.outcome.billed = answer.billed;
            if script.stop.is_some() {
                ticket.answering(200);
            }
            (
                StatusCode::OK,
                headers::JSON,
                Body::document(document(&answer), script.stop, conn, ticket),
            )
        }
        Ok(Answer::Completion { answer, stream: true }) => {
            ticket.answering(200);
            let pace = Pace {
                delay: script.chunk_delay.unwrap_or(config.chunk_delay),
                stop: script.stop,
                bill_abandoned: script.bill_abandoned,
                request_id: request_id.clone(),
            };
            let stream = Stream::new(*answer, pace, conn, ticket);
            (StatusCode::OK, headers::EVENTS, Body::Stream(Box::new(stream)))
        }
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().reserve(12);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    headers::provider(response.headers_mut(), dialect, &request_id, now, took);
    headers::scripted(response.headers_mut(), &script);
    response
}

fn document(answer: &Completion) -> Bytes {
    let mut out = Out::with_capacity(answer.size_hint());
    match answer.dialect {
        Dialect::OpenAi => openai::document(answer, &mut out),
        Dialect::Anthropic => anthropic::document(answer, &mut out),
    }
    out.take()
}
