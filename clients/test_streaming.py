"""Streams as they pass: not held back, cut when they must be, and left when the client leaves."""

import anthropic
import openai
import pytest
from anthropic import Anthropic
from openai import AsyncOpenAI, OpenAI

from harness import scripted

MESSAGES = [{"role": "user", "content": "What is a bailiwick?"}]
OPENAI = {"model": "gpt-4o-mini", "messages": MESSAGES, "stream": True}
ANTHROPIC = {"model": "claude-haiku-4-5", "messages": MESSAGES, "stream": True, "max_tokens": 50}

# A provider that sends this much and then nothing, with its connection open: what arrives cannot have waited for more.
STALLED = scripted("hang-after=4")
# A provider to which an output limit means nothing. It has more to say than all buffers on the way can take.
ENDLESS = scripted("output=2000000", "bytes=1000")


@pytest.mark.parametrize("options", [{}, {"stream_options": {"include_usage": True}}], ids=["hidden usage", "asked"])
def test_events_pass_before_the_last_is_sent(act_as, trail, options):
    act_as("tester")
    with OpenAI() as client:
        with client.chat.completions.create(**OPENAI, **options, extra_headers=STALLED) as stream:
            seen = [next(stream) for _ in range(4)]
            (call,) = trail.calls()
            assert call["finished"] == "open", "the provider is not done"
    assert "".join(chunk.choices[0].delta.content for chunk in seen) == "An agent with"
    assert_left_by_the_client(trail)


def test_events_of_anthropic_pass_before_the_last_is_sent(act_as, trail):
    act_as("tester")
    with Anthropic() as client:
        # The SDK swallows the third event, a ping.
        with client.messages.create(**ANTHROPIC, extra_headers=STALLED) as stream:
            seen = [next(stream) for _ in range(3)]
            (call,) = trail.calls()
            assert call["finished"] == "open"
    assert [event.type for event in seen] == ["message_start", "content_block_start", "content_block_delta"]
    assert_left_by_the_client(trail)


async def test_an_async_client_that_leaves(act_as, trail):
    act_as("tester")
    async with AsyncOpenAI() as client:
        stream = await client.chat.completions.create(**OPENAI, extra_headers=STALLED)
        await anext(aiter(stream))
        await stream.close()
    assert_left_by_the_client(trail)


def test_a_client_that_stops_waiting(act_as, trail):
    act_as("tester")
    with OpenAI(timeout=0.3, max_retries=0) as client, pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers=scripted("hang"))
    assert_left_by_the_client(trail)


def assert_left_by_the_client(trail):
    """The provider's call is cancelled, and what is held is booked: what the provider will charge is not known."""
    (call,) = trail.wait_until_finished()
    assert call["finished"] == "client_gone"
    intent, outcome = trail.attempt()
    assert outcome["status"] == "client_gone"
    assert outcome["source"] == "hold"
    assert outcome["cost"] == intent["hold"] > 0


def test_a_provider_without_limits_is_cut(act_as, trail):
    act_as("tester")
    with OpenAI() as client, pytest.raises(openai.APIError) as caught:
        for _ in client.chat.completions.create(**OPENAI, max_completion_tokens=10, extra_headers=ENDLESS):
            pass
    assert caught.value.code == "hold_exceeded"
    assert caught.value.body["type"] == "insufficient_quota"
    assert_cut(trail)


def test_a_provider_without_limits_is_cut_for_anthropic(act_as, trail):
    act_as("tester")
    with Anthropic() as client, pytest.raises(anthropic.APIStatusError) as caught:
        for _ in client.messages.create(**ANTHROPIC, extra_headers=ENDLESS):
            pass
    assert caught.value.body["error"]["message"].startswith("hold_exceeded: ")
    assert caught.value.type == "billing_error"
    assert_cut(trail)


def assert_cut(trail):
    (call,) = trail.wait_until_finished()
    assert call["finished"] == "client_gone", "nothing more is bought"
    intent, outcome = trail.attempt()
    assert outcome["status"] == "cut"
    assert outcome["cost"] >= intent["hold"]
    assert outcome["cost"] - intent["hold"] == outcome.get("overrun", 0)
    assert 0 < outcome["usage"]["output"] <= call["billed"]["output"], "no more than the provider can prove"


@pytest.mark.parametrize(
    "script, code", [("cut-after=5", "upstream_broken"), ("error-after=5", None)], ids=["breaks off", "fails"]
)
def test_a_stream_that_ends_early(act_as, trail, script, code):
    """The SDK raises the first error it is sent. A provider's own has no code of ours."""
    act_as("tester")
    with OpenAI() as client, pytest.raises(openai.APIError) as caught:
        list(client.chat.completions.create(**OPENAI, extra_headers=scripted(script)))
    assert caught.value.code == code
    intent, outcome = trail.attempt()
    assert outcome["status"] in ("broken", "upstream_error")
    assert outcome["cost"] == intent["hold"], "what it used is not known"
