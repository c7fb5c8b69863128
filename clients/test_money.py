"""What the log books is what the provider bills, to the billionth of a dollar, whatever the form of the reply."""

from decimal import Decimal

import pytest
from anthropic import Anthropic
from openai import OpenAI

import harness
import prices
from harness import scripted

LONG = [{"role": "user", "content": "How much is it? " * 300}]

# A price that is no whole number of billionths, so that sums must be rounded: 27.5 and 2.75 to the token.
ODD_PRICE = """
[[prices]]
provider = "openai"
model = "half-a-nano"
input = "0.0275"
cache_read = "0.00275"
output = "0.1105"
"""
ODD = {"input": Decimal("27.5e-9"), "cache_read": Decimal("2.75e-9"), "output": Decimal("110.5e-9")}


@pytest.fixture(scope="module")
def server(start):
    return start(
        agents={agent: harness.agent(agent, limit="100 USD", per="total") for agent in ("json", "stream")},
        policies={agent: harness.permit(agent) for agent in ("json", "stream")},
        configuration=ODD_PRICE,
    )


@pytest.fixture(scope="module")
def keys(server):
    return {agent: server.key(agent) for agent in ("json", "stream")}


def ask_openai(agent: str, model: str, script: str, **more):
    stream = {"stream": True} if agent == "stream" else {}
    with OpenAI() as client:
        reply = client.chat.completions.create(
            model=model, messages=LONG, extra_headers=scripted(script), **stream, **more
        )
        return list(reply) if stream else reply


def ask_anthropic(agent: str, model: str, script: str, **more):
    asked = {"model": model, "messages": LONG, "max_tokens": 500, "extra_headers": scripted(script)} | more
    with Anthropic() as client:
        if agent == "stream":
            return list(client.messages.create(**asked, stream=True))
        return client.messages.create(**asked)


HOUR = {"system": [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral", "ttl": "1h"}}]}
CASES = [
    (ask_openai, "gpt-4o-mini", "output=17", {}),
    (ask_openai, "gpt-4o-mini", "cached=512", {}),
    (ask_openai, "gpt-4o-mini", "cached=1024; reasoning=20", {"max_completion_tokens": 100}),
    (ask_openai, "gpt-4o-mini", "output=3", {"n": 4}),
    (ask_openai, "half-a-nano", "output=3", {}),
    (ask_openai, "half-a-nano", "cached=513; output=8", {}),
    (ask_anthropic, "claude-haiku-4-5", "output=17", {}),
    (ask_anthropic, "claude-haiku-4-5", "cached=500; cache-write=300", {}),
    (ask_anthropic, "claude-haiku-4-5", "cached=100; cache-write=200; cache-write-1h=300", HOUR),
    (ask_anthropic, "claude-haiku-4-5", "reasoning=100; output=50", {}),
]


def bill(call: dict) -> int:
    """What the provider charges for a call."""
    listed = ODD if call["model"] == "half-a-nano" else prices.of_model(call["model"])
    return prices.nano_usd(listed, call["billed"])


def test_what_is_booked_is_what_is_billed(act_as, server, trail):
    bills = {}
    for agent in ("json", "stream"):
        act_as(agent)
        before = len(trail.calls())
        for ask, model, script, more in CASES:
            ask(agent, model, script, **more)
        calls = trail.calls()[before:]
        bills[agent] = [bill(call) for call in calls]

        # Calls were made one after the other, so both sides have them in the same order.
        attempts = [attempt for attempt in trail.attempts() if attempt.intent["action"]["agent"] == agent]
        assert [attempt.outcome["usage"] for attempt in attempts] == [call["billed"] for call in calls]
        assert [attempt.outcome["cost"] for attempt in attempts] == bills[agent]
        assert all(attempt.outcome["cost"] <= attempt.intent["hold"] for attempt in attempts)
        assert all(attempt.outcome["source"] == "provider" for attempt in attempts)
        assert sum(call["billed"].get("cache_read", 0) for call in calls) > 0

        budget = server.budget(agent)
        assert Decimal(budget["spent"]) == prices.usd(sum(bills[agent]))
        assert Decimal(budget["held"]) == 0
        assert Decimal(budget["remaining"]) == 100 - prices.usd(sum(bills[agent]))
    assert bills["stream"] == bills["json"], "the form of a reply does not change its price"
    assert all(bills["json"])


def test_the_metrics_agree(server):
    """Runs behind the test above, whose calls it counts."""
    lines = server.metrics().splitlines()
    for agent in ("json", "stream"):
        costs = [
            int(line.split()[-1])
            for line in lines
            if line.startswith("bailiwick_cost_nano_usd_total{") and f'agent="{agent}"' in line
        ]
        assert prices.usd(sum(costs)) == Decimal(server.budget(agent)["spent"])


def test_a_known_price(act_as, trail):
    """By hand, so that nothing is only as right as the price list."""
    act_as("json")
    ask_openai("json", "gpt-4o-mini", "usage-input=1000; cached=400; usage-output=100")
    ask_anthropic("json", "claude-haiku-4-5", "usage-input=1000; cached=400; cache-write=100; usage-output=100")
    openai, anthropic = trail.attempts()
    assert openai.outcome["cost"] == 600 * 150 + 400 * 75 + 100 * 600
    assert anthropic.outcome["cost"] == 500 * 1_000 + 400 * 100 + 100 * 1_250 + 100 * 5_000
