"""Anthropic's Python SDK: messages, whole and streamed."""

from decimal import Decimal

import pytest
from anthropic import Anthropic, AsyncAnthropic

from prices import usd

QUESTION = {
    "model": "claude-haiku-4-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "What is a bailiwick?"}],
}


@pytest.fixture
def client(act_as):
    act_as("tester")
    with Anthropic() as client:
        yield client


def test_a_message_arrives_whole(client, trail):
    raw = client.messages.with_raw_response.create(**QUESTION)
    reply = raw.parse()
    (call,) = trail.calls()
    assert reply.content[0].text.startswith("An agent with a budget")
    assert reply.stop_reason == "end_turn"
    assert reply.usage.output_tokens == call["billed"]["output"]

    intent, outcome = trail.attempt()
    assert outcome["status"] == "ok"
    assert outcome["usage"] == call["billed"]
    assert outcome["provider_id"] == reply.id
    assert intent["action"]["upstream"] == "anthropic"
    assert intent["limit"] == 100
    assert raw.headers["bailiwick-request-id"] == intent["action"]["id"]
    assert raw.headers["bailiwick-decision"] == "allow"
    assert Decimal(raw.headers["bailiwick-cost-usd"]) == usd(outcome["cost"])
    assert Decimal(raw.headers["bailiwick-budget-remaining-usd"]) > 0
    assert raw.headers["request-id"].startswith("req_01"), "the provider's own headers pass"


def test_a_request_leaves_as_it_came(client, trail):
    raw = client.messages.with_raw_response.create(**QUESTION, extra_body={"x_new": {"deep": [1.10, None, "é"]}})
    (arrived,) = trail.bodies()
    assert arrived == raw.http_request.content
    (call,) = trail.calls()
    sent = {name.lower(): value for name, value in call["headers"]}
    assert sent["anthropic-version"] == raw.http_request.headers["anthropic-version"]


async def test_the_async_client_gets_the_same(act_as, trail):
    act_as("tester")
    async with AsyncAnthropic() as client:
        reply = await client.messages.create(**QUESTION)
    assert reply.content[0].text.startswith("An agent with a budget")
    assert trail.attempt().outcome["provider_id"] == reply.id


def test_events_arrive_in_their_order(client, trail):
    kinds = [event.type for event in client.messages.create(**QUESTION, stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert set(kinds[2:-3]) == {"content_block_delta"}
    (call,) = trail.calls()
    outcome = trail.attempt().outcome
    assert (outcome["status"], outcome["source"]) == ("ok", "provider")
    assert outcome["usage"] == call["billed"]


def test_the_stream_helper(client, trail):
    with client.messages.stream(**QUESTION) as stream:
        text = "".join(stream.text_stream)
        reply = stream.get_final_message()
    assert text.startswith("An agent with a budget")
    assert reply.content[0].text == text
    (call,) = trail.calls()
    assert reply.usage.output_tokens == call["billed"]["output"]
    assert trail.attempt().outcome["provider_id"] == reply.id


async def test_the_async_stream_helper(act_as, trail):
    act_as("tester")
    async with AsyncAnthropic() as client, client.messages.stream(**QUESTION) as stream:
        text = "".join([piece async for piece in stream.text_stream])
    assert text.startswith("An agent with a budget")
    assert trail.attempt().outcome["status"] == "ok"
