//! One request: read it, decide what to answer, take the time the script asks for, answer.

use std::{
    error::Error,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;

use crate::{
    UNKNOWN_MODEL, azure,
    body::{Body, Pace, Stream},
    calls::{Arrival, Calls, Finished, Ticket},
    completion::{Completion, Moment},
    config::Config,
    conn::Conn,
    events::{self, Source},
    headers,
    ids::Ids,
    inspect, models,
    refusal::{Dialect, Refusal},
    request::Ask,
    route::{Endpoint, route},
    script::Script,
    turns::Turns,
    work::{self, Done, Job, Made},
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
    /// Scripts that hold for a few calls only.
    pub(crate) turns: Turns,
}

/// What is asked for, where it stands in the body.
enum Asked<'a> {
    Words(Ask<'a>),
    Work(Job),
}

impl Asked<'_> {
    fn model(&self) -> &str {
        match self {
            Self::Words(ask) => &ask.model,
            Self::Work(job) => job.model(),
        }
    }

    fn stream(&self) -> bool {
        match self {
            Self::Words(ask) => ask.stream,
            Self::Work(job) => job.stream(),
        }
    }
}

/// A successful answer.
enum Answer {
    /// Something that is neither billed nor generated.
    Listed(Bytes),
    Done(Done),
    Made(work::Stream),
    Completion {
        answer: Box<Completion>,
        stream: bool,
    },
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
    let azure = azure::path_of(parts.uri.path());
    let (dialect, endpoint) = route(parts, azure.as_ref().map(|path| path.as_deref()));
    let refuse_long = || Refusal::scripted(dialect, StatusCode::PAYLOAD_TOO_LARGE);
    let content_type = parts.headers.get(header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let body_or_refusal = || body.ok_or_else(refuse_long);
    let ask = match endpoint {
        Endpoint::Generate(wire) => Some(
            body_or_refusal()
                .and_then(|body| Ask::parse(wire, body))
                .map(Asked::Words),
        ),
        Endpoint::Work(kind) => Some(
            body_or_refusal()
                .and_then(|body| Job::parse(kind, content_type, body))
                .map(Asked::Work),
        ),
        _ => None,
    };
    let asked = ask.as_ref().and_then(|ask| ask.as_ref().ok());
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let mut ticket = state.calls.begin(Arrival {
        at_micros: u64::try_from(since_1970.as_micros()).unwrap_or(u64::MAX),
        method: parts.method.as_str(),
        path: parts.uri.path_and_query().map_or("", |path| path.as_str()),
        model: match endpoint {
            Endpoint::Model(id) => id,
            _ => asked.map_or("", Asked::model),
        },
        stream: asked.is_some_and(Asked::stream),
        headers: &parts.headers,
        body: body.unwrap_or_default(),
    });
    let ids = Ids::new(state.seed, ticket.number());
    let now = since_1970.as_secs();
    let (script, answer) = match Script::of(&parts.headers) {
        Ok(script) => {
            let script = state.turns.now(script, &parts.headers);
            let answer = refuse_early(state, dialect, parts, &script, ticket.number()).and_then(|()| {
                let moment = Moment {
                    ids,
                    created: now,
                    output_tokens: state.config.output_tokens,
                };
                match (endpoint, ask) {
                    (_, Some(ask)) => produce(dialect, &ask?, &script, &moment),
                    (Endpoint::Models, _) => Ok(Answer::Listed(models::list(dialect))),
                    (Endpoint::Model(id), _) => models::one(dialect, id).map(Answer::Listed),
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
    if script.bill_abandoned {
        match &answer {
            Ok(Answer::Completion { answer, .. }) => ticket.outcome.billed = answer.billed,
            Ok(Answer::Done(done)) => ticket.outcome.billed = done.billed,
            Ok(Answer::Made(stream)) => ticket.outcome.billed = stream.billed(),
            Ok(Answer::Listed(_)) | Err(_) => {}
        }
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

/// What is refused whatever the request says: a wrong key, and what the script or the configuration wants refused.
fn refuse_early(state: &State, dialect: Dialect, parts: &Parts, script: &Script, number: u64) -> Result<(), Refusal> {
    azure::refuse(parts)?;
    if let Some(expected) = &state.config.expect_key {
        let given = headers::key(&parts.headers);
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

fn produce(dialect: Dialect, asked: &Asked<'_>, script: &Script, moment: &Moment) -> Result<Answer, Refusal> {
    if asked.model() == UNKNOWN_MODEL {
        return Err(Refusal::no_model(dialect, asked.model()));
    }
    match asked {
        Asked::Words(ask) => Ok(Answer::Completion {
            answer: Box::new(Completion::plan(ask, script, moment)),
            stream: ask.stream,
        }),
        Asked::Work(job) => job.made(script, moment).map(|made| match made {
            Made::Whole(done) => Answer::Done(done),
            Made::Stream(stream) => Answer::Made(stream),
        }),
    }
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
    let streamed = |source, conn, mut ticket: Ticket| {
        ticket.answering(200);
        let pace = Pace {
            delay: script.chunk_delay.unwrap_or(config.chunk_delay),
            stop: script.stop,
            bill_abandoned: script.bill_abandoned,
            request_id: request_id.clone(),
        };
        let stream = Stream::new(source, pace, conn, ticket);
        (StatusCode::OK, headers::EVENTS, Body::Stream(Box::new(stream)))
    };
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
        Ok(Answer::Listed(list)) => {
            ticket.outcome.status = Some(200);
            ticket.finish(Finished::Completed);
            (StatusCode::OK, headers::JSON, Body::plain(list, conn))
        }
        Ok(Answer::Done(done)) => whole(done, &script, conn, ticket),
        Ok(Answer::Completion { answer, stream: false }) => {
            let done = Done {
                kind: headers::JSON,
                body: events::document(&answer),
                billed: answer.billed,
            };
            whole(done, &script, conn, ticket)
        }
        Ok(Answer::Completion { answer, stream: true }) => streamed(Source::words(answer), conn, ticket),
        Ok(Answer::Made(stream)) => streamed(Source::Work(stream), conn, ticket),
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().reserve(12);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    headers::provider(response.headers_mut(), dialect, &request_id, now, took);
    headers::scripted(response.headers_mut(), &script);
    response
}

/// A response that is one document. The call ends with its body.
fn whole(done: Done, script: &Script, conn: Arc<Conn>, mut ticket: Ticket) -> (StatusCode, HeaderValue, Body) {
    ticket.outcome.status = Some(200);
    ticket.outcome.billed = done.billed;
    if script.stop.is_some() {
        ticket.answering(200);
    }
    let body = Body::document(done.body, script.stop, conn, ticket);
    (StatusCode::OK, done.kind, body)
}
