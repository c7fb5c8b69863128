//! `[authzen]`: how the decision point answers.

use std::{net::SocketAddr, ops::RangeInclusive};

use control::{AuthzenSettings, Recording};
use schemars::JsonSchema;
use serde::Deserialize;

use super::{limits::within, listen::is_public};
use crate::{
    node::{Field, Placed},
    problem::Findings,
    quantity::Size,
};

/// The decision point: the AuthZEN Authorization API on the agents' listener.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "Authzen")]
pub(crate) struct RawAuthzen {
    /// The address by which enforcement points know it, such as `https://pdp.acme.example`: it stands in its metadata. The
    /// listener's own if absent, where that is a loopback one; else there is no metadata.
    public_url: Field<String>,
    /// When an answer leaves: `durable` is once its entry is on the disk, `buffered` once it is among those that are about
    /// to be written, so that a crash may lose the last of them.
    #[schemars(extend("default" = "durable"))]
    record: Field<RawRecord>,
    /// Whether anybody may ask without a credential, of the tenant `default`. For development: only where `agents` is a
    /// loopback address.
    #[schemars(extend("default" = false))]
    allow_unauthenticated: Field<bool>,
    /// The most items of a batch.
    #[schemars(extend("default" = 200, "minimum" = EVALUATIONS.start(), "maximum" = EVALUATIONS.end()))]
    max_evaluations: Field<u64>,
    /// The most results on a page of a search.
    #[schemars(extend("default" = 1000, "minimum" = PAGES.start(), "maximum" = PAGES.end()))]
    page_size: Field<u64>,
    /// The longest body of a request.
    #[schemars(extend("default" = "256KiB"))]
    request_size: Field<Size>,
}

/// When an answer leaves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
enum RawRecord {
    /// Once its entry is on the disk.
    Durable,
    /// Once its entry is among those that are about to be written.
    Buffered,
}

/// A batch is decided in one go: a longer one would keep others waiting.
const EVALUATIONS: RangeInclusive<u64> = 1..=1_000;
/// A page is written in one piece.
const PAGES: RangeInclusive<u64> = 1..=10_000;
const SIZES: RangeInclusive<Size> = Size(1 << 10)..=Size(16 << 20);

impl TryFrom<(RawAuthzen, SocketAddr)> for Checked {
    type Error = Findings;

    /// With the address of the agents' listener.
    fn try_from((raw, agents): (RawAuthzen, SocketAddr)) -> Result<Self, Findings> {
        let mut findings = Findings::default();
        let default = AuthzenSettings::default();
        let number =
            |value: Option<u64>, default: usize| value.and_then(|value| usize::try_from(value).ok()).unwrap_or(default);
        let public_url = raw.public_url.given().and_then(|url| public_url(&url, &mut findings));
        let allow_unauthenticated = raw.allow_unauthenticated.given();
        if let Some(Placed { mark, value: true }) = &allow_unauthenticated
            && is_public(agents)
        {
            findings.add_with_help(
                *mark,
                format!("anybody who reaches {agents} could ask the decision point"),
                "`allow_unauthenticated` is for development on one machine: leave it out and declare enforcement points \
                 (`kind: Pep`), or let `agents` in [listen] be a loopback address",
            );
        }
        let settings = AuthzenSettings {
            public_url,
            record: match raw.record.value() {
                Some(RawRecord::Buffered) => Recording::Buffered,
                Some(RawRecord::Durable) | None => Recording::Durable,
            },
            allow_unauthenticated: allow_unauthenticated.is_some_and(|allow| allow.value),
            max_evaluations: number(
                within(raw.max_evaluations, EVALUATIONS, &mut findings),
                default.max_evaluations,
            ),
            page_size: number(within(raw.page_size, PAGES, &mut findings), default.page_size),
            request_bytes: number(
                within(raw.request_size, SIZES, &mut findings).map(|size| size.0),
                default.request_bytes,
            ),
        };
        findings.conclude(Some(Self(settings)))
    }
}

/// What `[authzen]` says.
pub(super) struct Checked(pub(super) AuthzenSettings);

/// A decision point's identifier has the scheme `https` and neither query nor fragment (AuthZEN Authorization API 1.0,
/// section 9.1.1). A path is none of ours: its metadata would be that of a tenant.
fn public_url(url: &Placed<String>, findings: &mut Findings) -> Option<String> {
    let text = url.value.strip_suffix('/').unwrap_or(&url.value);
    let parsed = text.parse::<http::Uri>().ok();
    let host = parsed.as_ref().and_then(http::Uri::host).unwrap_or_default();
    let local = matches!(host, "localhost" | "127.0.0.1" | "[::1]");
    let scheme = parsed.as_ref().and_then(http::Uri::scheme_str);
    let plain = !text.contains(['?', '#', '@']) && parsed.as_ref().is_some_and(|uri| matches!(uri.path(), "" | "/"));
    match scheme {
        Some("https") if plain && !host.is_empty() => Some(text.to_owned()),
        Some("http") if plain && local => Some(text.to_owned()),
        Some("http") if plain => {
            let help =
                "enforcement points must reach it through TLS: write `https://`; `http://` is for a loopback address";
            findings.add_with_help(url.mark, "`public_url` is not encrypted", help);
            None
        }
        _ => {
            let help = "it is `https://`, a host and perhaps a port, such as \"https://pdp.acme.example\"";
            findings.add_with_help(url.mark, "`public_url` is not the address of a decision point", help);
            None
        }
    }
}
