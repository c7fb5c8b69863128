//! Searching the audit trail.

use axum::{Json, extract::State};
use control::{
    AdminError, IndexReport, SEARCH_FILTERS, SearchQuery, SearchReport, TraceQuery, TraceReport, search_condition,
};
use jiff::{Zoned, tz::TimeZone};
use model::{NanoUsd, TenantName, nearest};
use serde::Deserialize;

use crate::{
    caller::Caller,
    cost::time,
    input::{Parameters, Segment},
    listener::Shared,
    problem::Problem,
};

/// What can stand after the `?` beside the filters.
const PARAMETERS: [&str; 10] = [
    "tenant", "q", "since", "until", "zone", "min_cost", "max_cost", "order", "limit", "cursor",
];
/// What may come more than once.
const REPEATED: [&str; 2] = ["tenant", "q"];

/// Entries that fit. The parameters are taken as pairs: filters may come more than once.
pub(crate) async fn search(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Parameters(pairs): Parameters<Vec<(String, String)>>,
) -> Result<Json<SearchReport>, Problem> {
    let query = query(&pairs, &jiff::Timestamp::now())?;
    Ok(Json(shared.control.search_log(&actor, query).await?))
}

fn query(pairs: &[(String, String)], now: &jiff::Timestamp) -> Result<SearchQuery, AdminError> {
    let invalid = |what: &str, why: &dyn std::fmt::Display| AdminError::Invalid(format!("{what}: {why}"));
    let mut query = SearchQuery::default();
    let (mut since, mut until, mut zone) = (None, None, TimeZone::UTC);
    for (at, (name, value)) in pairs.iter().enumerate() {
        let once = !REPEATED.contains(&name.as_str()) && !SEARCH_FILTERS.contains(&name.as_str());
        if once && pairs.iter().take(at).any(|(earlier, _)| earlier == name) {
            return Err(AdminError::Invalid(format!("`{name}` is given twice")));
        }
        match name.as_str() {
            "tenant" => {
                let tenant = TenantName::new(value).map_err(|why| invalid("tenant", &why))?;
                query.tenants.push(tenant);
            }
            "q" => query.texts.push(value.clone()),
            "since" => since = Some(value),
            "until" => until = Some(value),
            "zone" => zone = time::zone(value)?,
            "min_cost" => query.min_cost = Some(amount("min_cost", value)?),
            "max_cost" => query.max_cost = Some(amount("max_cost", value)?),
            "order" => {
                query.oldest_first = match value.as_str() {
                    "newest" => false,
                    "oldest" => true,
                    _ => return Err(invalid("order", &"write newest or oldest, which comes first")),
                }
            }
            "limit" => query.limit = Some(value.parse().map_err(|_| invalid("limit", &"write a whole number"))?),
            "cursor" => query.cursor = Some(value.clone()),
            filter if SEARCH_FILTERS.contains(&filter) => {
                search_condition(filter, value)?;
                query.only.push((name.clone(), value.clone()));
            }
            unknown => return Err(no_parameter(unknown)),
        }
    }
    let now: Zoned = now.to_zoned(zone);
    let instant = |text: Option<&String>, what| text.map(|text| time::instant(what, text, &now)).transpose();
    (query.since, query.until) = (instant(since, "since")?, instant(until, "until")?);
    Ok(query)
}

/// US dollars, with the currency or without.
fn amount(what: &str, text: &str) -> Result<NanoUsd, AdminError> {
    let number = text.trim().trim_end_matches("USD").trim_end();
    format!("{number} USD").parse().map_err(|_| {
        AdminError::Invalid(format!(
            "{what}: {text:?} is no amount: write US dollars, such as 1 or 0.25"
        ))
    })
}

fn no_parameter(unknown: &str) -> AdminError {
    let known: Vec<&str> = PARAMETERS.into_iter().chain(SEARCH_FILTERS).collect();
    let near = nearest(unknown, &known).map(|near| format!("did you mean `{near}`? "));
    AdminError::Invalid(format!(
        "there is no parameter {unknown:?}: {}the parameters are {}, and the filters {}",
        near.unwrap_or_default(),
        PARAMETERS.join(", "),
        SEARCH_FILTERS.join(", ")
    ))
}

/// Whose log.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Whose {
    tenant: Option<TenantName>,
}

/// One action, as a tree.
pub(crate) async fn trace(
    State(shared): State<Shared>,
    Caller(actor): Caller,
    Segment(id): Segment<String>,
    Parameters(Whose { tenant }): Parameters<Whose>,
) -> Result<Json<TraceReport>, Problem> {
    Ok(Json(shared.control.trace(&actor, TraceQuery { id, tenant }).await?))
}

/// How far the index is.
pub(crate) async fn index(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<IndexReport>, Problem> {
    Ok(Json(shared.control.search_index(&actor)?))
}

/// Throws the index away, to be made again.
pub(crate) async fn reindex(State(shared): State<Shared>, Caller(actor): Caller) -> Result<Json<IndexReport>, Problem> {
    Ok(Json(shared.control.reindex(&actor).await?))
}

#[cfg(test)]
mod tests {
    use model::Timestamp;

    use super::*;

    fn parse(text: &str) -> Result<SearchQuery, String> {
        let pairs: Vec<(String, String)> = text
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect();
        let now = "2026-11-23T12:34:56Z".parse().unwrap();
        query(&pairs, &now).map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Option<Timestamp> {
        let at: jiff::Timestamp = text.parse().unwrap();
        Some(Timestamp::from_unix_micros(at.as_microsecond()))
    }

    #[test]
    fn a_question_is_read() {
        let found = parse(
            "tenant=a&tenant=b&agent=x&agent=y&q=nightly report&q=z&since=-2h&until=2026-11-23T12:00:01.5Z&min_cost=1\
             &max_cost=2.5 USD&order=oldest&limit=7",
        );
        let tenant = |name| TenantName::new(name).unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = SearchQuery {
            tenants: vec![tenant("a"), tenant("b")],
            only: vec![pair("agent", "x"), pair("agent", "y")],
            texts: vec!["nightly report".to_owned(), "z".to_owned()],
            since: at("2026-11-23T10:34:00Z"),
            until: at("2026-11-23T12:00:01.5Z"),
            min_cost: Some(NanoUsd(1_000_000_000)),
            max_cost: Some(NanoUsd(2_500_000_000)),
            oldest_first: true,
            limit: Some(7),
            cursor: None,
        };
        assert_eq!(found, Ok(expected));
        assert_eq!(parse("since=-2h").unwrap().since, parse("since=2h").unwrap().since);
    }

    #[test]
    fn mistakes_are_told_with_what_was_meant() {
        for (text, told) in [
            ("agnet=x", "there is no parameter \"agnet\": did you mean `agent`?"),
            ("kind=intents", "there is no kind \"intents\": did you mean `intent`?"),
            ("limit=1&limit=2", "`limit` is given twice"),
            ("limit=all", "limit: write a whole number"),
            ("order=up", "order: write newest or oldest"),
            ("min_cost=much", "min_cost: \"much\" is no amount"),
            ("min_cost=1 EUR", "min_cost: \"1 EUR\" is no amount"),
            ("tenant=No", "tenant: a name starts with"),
            ("since=tomorow", "since: \"tomorow\" is no time"),
            ("user=pseudonym:ann", "32 hexadecimal digits"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
