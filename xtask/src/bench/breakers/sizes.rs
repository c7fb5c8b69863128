//! What calls cost: the sizes of real requests (`xtask/data/request-sizes.txt`) at one price.

use anyhow::{Context as _, Result};
use model::NanoUsd;

use super::random::Random;

/// Nano-dollars a token in and out: 2.50 and 10 USD for a million, about what a large general model costs. The figures are
/// ratios and do not depend on it.
const PRICE: (i64, i64) = (2_500, 10_000);

/// The costs of calls, by service.
pub(super) struct Sizes {
    pub(super) code: Vec<NanoUsd>,
    pub(super) conversation: Vec<NanoUsd>,
}

impl Sizes {
    pub(super) fn read() -> Result<Self> {
        let text = include_str!("../../../data/request-sizes.txt");
        let (code, conversation) = text.split_once("\nconversation\n").context("no conversations")?;
        let (_, code) = code.split_once("\ncode\n").context("no code")?;
        Ok(Self {
            code: costs(code)?,
            conversation: costs(conversation)?,
        })
    }
}

fn costs(text: &str) -> Result<Vec<NanoUsd>> {
    let cost = |pair: &str| {
        let (input, output) = pair.split_once('/').context("IN/OUT")?;
        let (input, output): (i64, i64) = (input.parse()?, output.parse()?);
        Ok(NanoUsd(input * PRICE.0 + output * PRICE.1))
    };
    text.split_whitespace().map(cost).collect()
}

/// The cost of one call, drawn from those of a service.
pub(super) fn draw(costs: &[NanoUsd], random: &mut Random) -> NanoUsd {
    random.of(costs).copied().unwrap_or_default()
}
