"""OpenAI's Python SDK: chat completions as one JSON reply."""

from decimal import Decimal

import pytest
from openai import AsyncOpenAI, OpenAI

from harness import scripted
from prices import usd

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a bailiwick?"}]}


@pytest.fixture
def client(act_as):
    act_as("tester")
    with OpenAI() as client:
        yield client


def test_a_completion_arrives_whole(client, trail):
    reply = client.chat.completions.create(**QUESTION)
    (call,) = trail.calls()
    assert reply.model == "gpt-4o-mini"
    assert reply.choices[0].finish_reason == "stop"
    assert reply.choices[0].message.content.startswith("An agent with a budget")
    assert reply.usage.completion_tokens == call["billed"]["output"]
    assert reply.usage.prompt_tokens == call["billed"]["input"]
    assert reply.service_tier == "default" and reply.system_fingerprint, "fields that Bailiwick does not read"

    attempt = trail.attempt()
    assert attempt.outcome["status"] == "ok"
    assert attempt.outcome["source"] == "provider"
    assert attempt.outcome["provider_id"] == reply.id
    assert attempt.outcome["usage"] == call["billed"]
    assert attempt.intent["action"]["agent"] == "tester"
    assert attempt.intent["action"]["upstream"] == "openai"
    assert attempt.intent["action"]["model"] == "gpt-4o-mini"


async def test_the_async_client_gets_the_same(act_as, trail):
    act_as("tester")
    async with AsyncOpenAI() as client:
        reply = await client.chat.completions.create(**QUESTION)
    assert reply.choices[0].message.content.startswith("An agent with a budget")
    assert trail.attempt().outcome["provider_id"] == reply.id


def test_several_choices(client, trail):
    reply = client.chat.completions.create(**QUESTION, n=3, max_completion_tokens=5)
    assert [choice.finish_reason for choice in reply.choices] == ["length"] * 3
    assert reply.usage.completion_tokens == 15
    assert trail.attempt().outcome["usage"]["output"] == 15


def test_headers_say_what_was_decided_and_what_it_cost(client, server, trail):
    before = Decimal(server.budget("tester")["remaining"])
    raw = client.chat.completions.with_raw_response.create(**QUESTION)
    intent, outcome = trail.attempt()
    assert raw.headers["bailiwick-request-id"] == intent["action"]["id"]
    assert raw.headers["bailiwick-decision"] == "allow"
    assert Decimal(raw.headers["bailiwick-cost-usd"]) == usd(outcome["cost"])
    assert outcome["cost"] > 0
    # What is left is told as it was when the call was held.
    assert Decimal(raw.headers["bailiwick-budget-remaining-usd"]) == before - usd(intent["hold"])
    assert Decimal(server.budget("tester")["remaining"]) == before - usd(outcome["cost"])
    assert raw.headers["x-request-id"].startswith("req_"), "the provider's own headers pass"
    assert raw.headers["x-ratelimit-limit-requests"] == "10000"


def test_an_agent_labels_its_calls(client, server, trail):
    labels = {"Bailiwick-Run": "nightly 7", "Bailiwick-Task": "summary"}
    client.chat.completions.create(**QUESTION, extra_headers=labels)
    action = trail.attempt().intent["action"]
    assert (action["run"], action["task"]) == ("nightly 7", "summary")
    (call,) = trail.calls()
    sent = {name.lower() for name, _ in call["headers"]}
    assert not any(name.startswith("bailiwick-") for name in sent)


def test_what_is_not_reported_is_booked_in_full(client, trail):
    reply = client.chat.completions.create(**QUESTION, extra_headers=scripted("omit-usage"))
    assert reply.usage is None
    intent, outcome = trail.attempt()
    assert outcome["source"] == "hold"
    assert outcome["cost"] == intent["hold"]
