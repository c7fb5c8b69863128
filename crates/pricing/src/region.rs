//! Where a call is processed: some providers charge more for keeping it in one region.

use serde::{Deserialize, Serialize};

/// Where the provider processes a call, as far as its price depends on it. Declared for an upstream, or learnt from its
/// address or its reply; the usage figures alone do not tell.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Region {
    /// Nobody said: priced at the dearest region that the catalogue lists for the model, never too low.
    #[default]
    Undeclared,
    /// Wherever the provider likes: the list price.
    Global,
    /// Kept in the United States.
    Us,
    /// Kept in the European Union.
    Eu,
}

impl Region {
    /// What the host name of an upstream says. OpenAI processes in a region when the request goes to that region's host
    /// (<https://developers.openai.com/api/docs/guides/your-data>); other providers' hosts say nothing about it.
    pub fn of_host(host: &str) -> Self {
        match host {
            "api.openai.com" => Self::Global,
            "us.api.openai.com" => Self::Us,
            "eu.api.openai.com" => Self::Eu,
            _ => Self::Undeclared,
        }
    }

    /// What `usage.inference_geo` in a reply of Anthropic's says
    /// (<https://platform.claude.com/docs/en/build-with-claude/data-residency>). It depends on the request and on the
    /// workspace's default, so before the reply the region is undeclared.
    pub fn of_inference_geo(geo: &str) -> Self {
        match geo {
            // Models that cannot be kept in a region answer `not_available`.
            "global" | "not_available" => Self::Global,
            "us" => Self::Us,
            _ => Self::Undeclared,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_undeclared() {
        for (host, region) in [
            ("api.openai.com", Region::Global),
            ("us.api.openai.com", Region::Us),
            ("eu.api.openai.com", Region::Eu),
            ("jp.api.openai.com", Region::Undeclared),
            ("api.anthropic.com", Region::Undeclared),
            ("api.openai.com.example", Region::Undeclared),
        ] {
            assert_eq!(Region::of_host(host), region, "{host}");
        }
        for (geo, region) in [
            ("global", Region::Global),
            ("not_available", Region::Global),
            ("us", Region::Us),
            ("eu", Region::Undeclared),
        ] {
            assert_eq!(Region::of_inference_geo(geo), region, "{geo}");
        }
    }
}
