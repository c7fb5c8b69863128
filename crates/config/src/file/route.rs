//! `[routes.NAME]`: how calls to an upstream are tried.

use std::{borrow::Cow, collections::BTreeMap, fmt, ops::RangeInclusive, time::Duration};

use control::{Cause, Fallback, Limits, ModelPattern, Places, Retry, RouteSpec};
use model::UpstreamName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};

use super::{
    Upstream,
    limits::{IN_FLIGHT, SIZES, TIMES, within},
};
use crate::{
    node::{Field, Keyed, Placed},
    problem::{Findings, Mark},
    quantity::{Size, Time},
    suggest::{self, shown},
};

/// Each is looked through for every call.
const MAX_ROUTES: usize = 64;
/// An action has at most this many attempts at one target, and four times as many in all.
const TRIES: RangeInclusive<u64> = 1..=5;
const MAX_FALLBACKS: usize = 3;
const MAX_MODELS: usize = 64;
const MAX_NAME: usize = 128;
/// A call that waits binds memory and a connection.
const QUEUE: RangeInclusive<u64> = 0..=100_000;

/// How the calls of some models are tried. Where several routes fit, the one that names the model most closely is taken.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Route", extend("required" = ["upstream"]))]
pub(crate) struct RawRoute {
    /// The upstream whose calls it is for.
    upstream: Field<String>,
    /// The models it is for, exactly or with a `*` at the end. Every model if absent.
    models: Field<Vec<Field<String>>>,
    /// How many attempts the upstream gets, and each fallback.
    #[schemars(extend("default" = 1, "minimum" = TRIES.start(), "maximum" = TRIES.end()))]
    tries: Field<u64>,
    /// After which failures another attempt is made, here or at a fallback: `connect`, `timeout` (no first byte in time),
    /// `broken` (the connection broke before the reply), a status such as 429, or `5xx`.
    #[schemars(extend("default" = ["connect"]))]
    retry_on: Field<Vec<Field<RawCause>>>,
    /// The wait before the second attempt; it doubles with each further one.
    #[schemars(extend("default" = "200ms"))]
    backoff: Field<Time>,
    /// The longest wait. An upstream that asks for a longer one is not asked again.
    #[schemars(extend("default" = "5s"))]
    longest_backoff: Field<Time>,
    /// Where a call goes that failed here, in this order, as far as policies and budgets let it.
    fallback: Field<Vec<Field<RawFallback>>>,
    /// How long connecting may take. As under `[timeouts]` if absent; so for the other times.
    connect_timeout: Field<Time>,
    /// How long the upstream may take to its first byte.
    first_byte_timeout: Field<Time>,
    /// How long the upstream may pause in the middle of a reply.
    idle_timeout: Field<Time>,
    /// How long a call may take in all, with every attempt and the waits between them.
    total_timeout: Field<Time>,
    /// The longest request body, if shorter than under `[limits]`.
    request_size: Field<Size>,
    /// The most calls that run at once. No bound of its own if absent.
    #[schemars(extend("minimum" = IN_FLIGHT.start(), "maximum" = IN_FLIGHT.end()))]
    in_flight: Field<u64>,
    /// The most calls that wait for a place, shared fairly among agents.
    #[schemars(extend("default" = 0, "minimum" = QUEUE.start(), "maximum" = QUEUE.end()))]
    queue: Field<u64>,
    /// How long a call waits for a place.
    #[schemars(extend("default" = "10s"))]
    queue_timeout: Field<Time>,
}

/// Another place for a call.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "a fallback such as { upstream = \"azure\" }"
)]
#[schemars(rename = "Fallback", extend("required" = ["upstream"]))]
struct RawFallback {
    /// An upstream of the same kind.
    upstream: Field<String>,
    /// The model to ask for there. The same one if absent.
    model: Field<String>,
}

/// The failures that a word or a status stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
struct RawCause(Vec<Cause>);

impl RawCause {
    fn parse(text: &str) -> Result<Self, String> {
        let one = |cause| Ok(Self(vec![cause]));
        match text {
            "connect" => one(Cause::Connect),
            "timeout" => one(Cause::Timeout),
            "broken" => one(Cause::Broken),
            "5xx" => Ok(Self((500..=599).map(Cause::Status).collect())),
            status => match status.parse() {
                Ok(status @ 400..=599) => one(Cause::Status(status)),
                _ => Err(format!(
                    "`{}` is no failure that can be tried again\nwrite \"connect\", \"timeout\", \"broken\", a status from 400 \
                     to 599, or \"5xx\"",
                    shown(text)
                )),
            },
        }
    }
}

impl<'de> Deserialize<'de> for RawCause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = RawCause;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a failure such as \"connect\" or 429")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<RawCause, E> {
                RawCause::parse(text).map_err(E::custom)
            }

            fn visit_i128<E: de::Error>(self, number: i128) -> Result<RawCause, E> {
                RawCause::parse(&number.to_string()).map_err(E::custom)
            }

            fn visit_i64<E: de::Error>(self, number: i64) -> Result<RawCause, E> {
                RawCause::parse(&number.to_string()).map_err(E::custom)
            }

            fn visit_u64<E: de::Error>(self, number: u64) -> Result<RawCause, E> {
                RawCause::parse(&number.to_string()).map_err(E::custom)
            }
        }

        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for RawCause {
    fn schema_name() -> Cow<'static, str> {
        "Cause".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [
                { "type": "integer", "minimum": 400, "maximum": 599 },
                { "type": "string", "pattern": "^(connect|timeout|broken|5xx|[45][0-9][0-9])$" },
            ],
        })
    }
}

/// Reads every route. Upstreams are looked up among those that are declared.
pub(super) fn routes(
    field: Field<Keyed<RawRoute>>,
    upstreams: &[Upstream],
    limits: &Limits,
    findings: &mut Findings,
    warnings: &mut Findings,
) -> Vec<RouteSpec> {
    let Some(Placed {
        mark,
        value: Keyed(entries),
    }) = field.given()
    else {
        return Vec::new();
    };
    if entries.len() > MAX_ROUTES {
        let message = format!("there are {} routes, more than {MAX_ROUTES}", entries.len());
        findings.add_with_help(mark, message, "one route can name several models");
    }
    let mut taken: BTreeMap<(UpstreamName, String), String> = BTreeMap::new();
    let mut routes = Vec::new();
    for (name, raw) in entries {
        let Some(raw) = raw.value() else { continue };
        let mark = name.mark;
        let Some(route) = route(name, raw, upstreams, findings) else {
            continue;
        };
        let patterns = route.models.iter().map(ToString::to_string);
        let patterns = patterns.chain(route.models.is_empty().then(|| "every model".to_owned()));
        for pattern in patterns {
            if let Some(other) = taken.insert((route.upstream.clone(), pattern.clone()), route.name.clone()) {
                let message = format!(
                    "the routes `{other}` and `{}` are both for {pattern} of {}",
                    route.name, route.upstream
                );
                findings.add_with_help(
                    mark,
                    message,
                    "a model's route must be clear: leave it out of one of them",
                );
            }
        }
        warn(mark, &route, limits, warnings);
        routes.push(route);
    }
    routes
}

/// Adds what is legal but looks like a mistake.
fn warn(mark: Mark, route: &RouteSpec, limits: &Limits, warnings: &mut Findings) {
    let name = shown(&route.name);
    let mut add = |message: String, help: &str| warnings.add_with_help(mark, message, help);
    if route.retry.on.is_empty() && (route.retry.tries > 1 || !route.fallback.is_empty()) {
        add(
            format!("the route `{name}` never tries again: its `retry_on` is empty"),
            "say after which failures, such as retry_on = [\"connect\", 429], or remove `tries` and `fallback`",
        );
    }
    let total = route.total.unwrap_or(limits.total_timeout);
    if route.first_byte.is_some_and(|first_byte| first_byte > total) {
        add(
            format!("the calls of the route `{name}` may take less in all than to their first byte"),
            "make `first_byte_timeout` shorter than `total_timeout`, which is as under [timeouts] if it is not set",
        );
    }
    if route.retry.backoff > route.retry.longest {
        add(
            format!("the first wait of the route `{name}` is longer than its longest"),
            "make `backoff` shorter than `longest_backoff`, which is 5s if it is not set",
        );
    }
    for (nth, fallback) in route.fallback.iter().enumerate() {
        if route.fallback.iter().take(nth).any(|earlier| earlier == fallback) {
            let message = format!("the route `{name}` has the fallback `{}` twice", fallback.upstream);
            add(message, "`tries` says how often each place is asked");
        }
    }
}

fn route(name: Placed<String>, raw: RawRoute, upstreams: &[Upstream], findings: &mut Findings) -> Option<RouteSpec> {
    if !(1..=MAX_NAME).contains(&name.value.len()) || name.value.chars().any(char::is_control) {
        findings.add(
            name.mark,
            format!("`{}` cannot be the name of a route", shown(&name.value)),
        );
    }
    let missing = format!("the route `{}` has no `upstream`", shown(&name.value));
    let help = "the name of one of [upstreams]";
    let upstream = raw.upstream.required(Some(name.mark), missing, help, findings);
    let upstream = upstream.and_then(|upstream| declared(&upstream, upstreams, findings));
    let models = patterns(raw.models, findings);
    let fallback = fallbacks(raw.fallback, upstream, upstreams, findings);
    let retry = retry(raw.tries, raw.retry_on, raw.backoff, raw.longest_backoff, findings);
    let places = places(raw.in_flight, raw.queue, raw.queue_timeout, findings);
    let mut time = |field| within(field, TIMES, findings).map(|time: Time| time.0);
    let (connect, first_byte) = (time(raw.connect_timeout), time(raw.first_byte_timeout));
    let (idle, total) = (time(raw.idle_timeout), time(raw.total_timeout));
    let request_bytes = within(raw.request_size, SIZES, findings);
    Some(RouteSpec {
        name: name.value,
        upstream: upstream?.name().clone(),
        models: models.iter().map(|model| ModelPattern::new(model)).collect(),
        retry,
        fallback,
        connect,
        first_byte,
        idle,
        total,
        request_bytes: request_bytes.map(|size| usize::try_from(size.0).unwrap_or(usize::MAX)),
        places,
    })
}

fn declared<'a>(name: &Placed<String>, upstreams: &'a [Upstream], findings: &mut Findings) -> Option<&'a Upstream> {
    let found = upstreams.iter().find(|upstream| upstream.name().as_str() == name.value);
    if found.is_none() {
        let names: Vec<&str> = upstreams.iter().map(|upstream| upstream.name().as_str()).collect();
        let help = match suggest::nearest(&name.value, &names) {
            Some(near) => format!("did you mean `{near}`?"),
            None if names.is_empty() => "none is declared: add one under [upstreams.NAME]".to_owned(),
            None => format!("declared are: {}", names.join(", ")),
        };
        let message = format!("there is no upstream `{}`", shown(&name.value));
        findings.add_with_help(name.mark, message, help);
    }
    found
}

fn patterns(field: Field<Vec<Field<String>>>, findings: &mut Findings) -> Vec<String> {
    let Some(Placed { mark, value }) = field.given() else {
        return Vec::new();
    };
    if value.is_empty() || value.len() > MAX_MODELS {
        let message = format!("`models` has {} names, not 1 to {MAX_MODELS}", value.len());
        findings.add_with_help(mark, message, "leave it out for every model");
    }
    let mut names = Vec::new();
    for name in value.into_iter().filter_map(Field::given) {
        if name.value.find('*').is_some_and(|at| at + 1 < name.value.len()) {
            let message = format!("the `*` of `{}` is not at its end", shown(&name.value));
            findings.add_with_help(
                name.mark,
                message,
                "write the beginning of the names and one `*`, such as \"gpt-4.1*\"",
            );
            continue;
        }
        names.extend(model_name(name, findings));
    }
    names
}

fn model_name(name: Placed<String>, findings: &mut Findings) -> Option<String> {
    if (1..=MAX_NAME).contains(&name.value.len()) && !name.value.chars().any(char::is_control) {
        return Some(name.value);
    }
    findings.add(name.mark, format!("`{}` is no name of a model", shown(&name.value)));
    None
}

fn fallbacks(
    field: Field<Vec<Field<RawFallback>>>,
    from: Option<&Upstream>,
    upstreams: &[Upstream],
    findings: &mut Findings,
) -> Vec<Fallback> {
    let Some(Placed { mark, value }) = field.given() else {
        return Vec::new();
    };
    if value.len() > MAX_FALLBACKS {
        let message = format!("there are {} fallbacks, more than {MAX_FALLBACKS}", value.len());
        findings.add_with_help(mark, message, "a caller waits for all of them");
    }
    let mut fallbacks = Vec::new();
    for Placed { mark, value: raw } in value.into_iter().filter_map(Field::given) {
        let help = "the name of one of [upstreams]";
        let upstream = raw
            .upstream
            .required(Some(mark), "the fallback has no `upstream`", help, findings);
        let model = raw.model.given().and_then(|model| model_name(model, findings));
        let Some(to) = upstream.and_then(|upstream| declared(&upstream, upstreams, findings)) else {
            continue;
        };
        check_fallback(mark, from, to, model.is_some(), findings);
        fallbacks.push(Fallback {
            upstream: to.name().clone(),
            model,
        });
    }
    fallbacks
}

fn check_fallback(mark: Mark, from: Option<&Upstream>, to: &Upstream, other_model: bool, findings: &mut Findings) {
    let Some(from) = from else { return };
    if from.kind() != to.kind() {
        let message = format!("`{}` and `{}` are upstreams of different kinds", from.name(), to.name());
        findings.add_with_help(
            mark,
            message,
            "a fallback must speak the dialect that the caller speaks",
        );
    } else if from.name() == to.name() && !other_model {
        let message = format!("the fallback is where the call comes from: `{}`", to.name());
        findings.add_with_help(
            mark,
            message,
            "name another upstream, or a `model`; `tries` is for trying the same again",
        );
    }
}

fn retry(
    tries: Field<u64>,
    on: Field<Vec<Field<RawCause>>>,
    backoff: Field<Time>,
    longest: Field<Time>,
    findings: &mut Findings,
) -> Retry {
    let default = Retry::default();
    let tries = within(tries, TRIES, findings).and_then(|tries| u8::try_from(tries).ok());
    let on = on.value().map(|causes| {
        causes
            .into_iter()
            .filter_map(Field::value)
            .flat_map(|cause| cause.0)
            .collect()
    });
    let mut time = |field| within(field, TIMES, findings).map(|time: Time| time.0);
    Retry {
        tries: tries.unwrap_or(default.tries),
        on: on.unwrap_or(default.on),
        backoff: time(backoff).unwrap_or(default.backoff),
        longest: time(longest).unwrap_or(default.longest),
    }
}

fn places(running: Field<u64>, queue: Field<u64>, patience: Field<Time>, findings: &mut Findings) -> Option<Places> {
    let alone = [(queue.mark(), "queue"), (patience.mark(), "queue_timeout")];
    if !running.is_present() {
        for (mark, key) in alone.into_iter().filter_map(|(mark, key)| Some((mark?, key))) {
            findings.add_with_help(
                mark,
                format!("`{key}` says nothing without `in_flight`"),
                "set `in_flight`, or remove it",
            );
        }
    }
    let running = within(running, IN_FLIGHT, findings);
    let waiting = within(queue, QUEUE, findings).unwrap_or(0);
    let patience = within(patience, TIMES, findings).map_or(Duration::from_secs(10), |time: Time| time.0);
    let count = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    Some(Places {
        running: count(running?),
        waiting: count(waiting),
        patience,
    })
}
