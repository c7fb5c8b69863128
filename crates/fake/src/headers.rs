//! The response headers that the providers add to their answers.

use std::time::Duration;

use http::{
    HeaderMap, HeaderName, HeaderValue,
    header::{self, CONTENT_TYPE},
};

use crate::{refusal::Dialect, script::Script};

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const EVENTS: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
pub(crate) const HTML: HeaderValue = HeaderValue::from_static("text/html");

/// The headers of every answer of a provider, whatever it is an answer to. The limits are those of a large account that
/// is hardly used, and do not move.
pub(crate) fn provider(headers: &mut HeaderMap, dialect: Dialect, request_id: &str, now: u64, took: Duration) {
    let mut fixed = |name, value| {
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static(value));
    };
    match dialect {
        Dialect::OpenAi => {
            fixed("openai-organization", "org-simulated");
            fixed("openai-version", "2020-10-01");
            fixed("x-ratelimit-limit-requests", "10000");
            fixed("x-ratelimit-limit-tokens", "2000000");
            fixed("x-ratelimit-remaining-requests", "9999");
            fixed("x-ratelimit-remaining-tokens", "1999000");
            fixed("x-ratelimit-reset-requests", "6ms");
            fixed("x-ratelimit-reset-tokens", "30ms");
            let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
            headers.insert("openai-processing-ms", HeaderValue::from(millis));
            insert(headers, "x-request-id", request_id);
        }
        Dialect::Anthropic => {
            fixed("anthropic-organization-id", "00000000-0000-4000-8000-000000000000");
            fixed("anthropic-ratelimit-requests-limit", "4000");
            fixed("anthropic-ratelimit-requests-remaining", "3999");
            fixed("anthropic-ratelimit-tokens-limit", "2400000");
            fixed("anthropic-ratelimit-tokens-remaining", "2399000");
            let reset = rfc3339(now);
            insert(headers, "anthropic-ratelimit-requests-reset", &reset);
            insert(headers, "anthropic-ratelimit-tokens-reset", &reset);
            insert(headers, "request-id", request_id);
        }
    }
}

/// The API key that a request presents: Anthropic's header, or Azure's, or a bearer credential.
pub(crate) fn key(headers: &HeaderMap) -> Option<&[u8]> {
    let key = |name| headers.get(name).map(HeaderValue::as_bytes);
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes)?;
        Some(value.strip_prefix(b"Bearer ").unwrap_or(value))
    };
    key("x-api-key").or_else(|| key("api-key")).or_else(bearer)
}

/// What the script says about headers.
pub(crate) fn scripted(headers: &mut HeaderMap, script: &Script) {
    let words = [
        (CONTENT_TYPE, &script.content_type),
        (header::RETRY_AFTER, &script.retry_after),
        (header::LOCATION, &script.location),
    ];
    for (name, value) in words {
        if let Some(value) = value {
            headers.insert(name, value.clone());
        }
    }
}

fn insert(headers: &mut HeaderMap, name: &'static str, value: &str) {
    // The values made here are plain ASCII.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// Seconds since 1970 as a date and time in UTC (RFC 3339). The year arithmetic is Hinnant's `civil_from_days`.
fn rfc3339(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 {
        shifted_month + 3
    } else {
        shifted_month - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        let table = [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_399, "2000-02-28T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_767_225_599, "2025-12-31T23:59:59Z"),
        ];
        for (seconds, text) in table {
            assert_eq!(rfc3339(seconds), text);
        }
    }
}
