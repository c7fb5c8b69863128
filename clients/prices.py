"""What a call costs, worked out again from the shipped price list with decimal numbers."""

import json
from decimal import ROUND_CEILING, Decimal
from functools import cache
from pathlib import Path

CATALOGUE = Path(__file__).resolve().parent.parent / "crates" / "pricing" / "data" / "catalogue.jsonl"

# Which price a class of tokens has. The fake provider bills in these classes.
FIELDS = {
    "input": "input_cost_per_token",
    "cache_read": "cache_read_input_token_cost",
    "cache_write": "cache_creation_input_token_cost",
    "cache_write_1h": "cache_creation_input_token_cost_above_1hr",
    "output": "output_cost_per_token",
}


@cache
def of_model(model: str) -> dict:
    """A model's prices in US dollars a token, by class of tokens."""
    with CATALOGUE.open() as lines:
        line = next(line for line in lines if line.startswith(f'{{"model":"{model}",'))
    prices = json.loads(line)["prices"]
    return {kind: Decimal(prices[field]) for kind, field in FIELDS.items() if field in prices}


def nano_usd(prices: dict, billed: dict) -> int:
    """What `billed` costs in billionths of a dollar. A fraction of one is rounded up, once."""
    dollars = sum(prices[kind] * billed[kind] for kind in FIELDS if billed.get(kind))
    return int((dollars * 10**9).to_integral_value(ROUND_CEILING))


def usd(nano: int) -> Decimal:
    return Decimal(nano) / 10**9
