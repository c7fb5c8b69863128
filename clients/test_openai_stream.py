"""OpenAI's Python SDK: chat completions as a stream, and the usage chunk that Bailiwick asks for on its own."""

import pytest
from openai import AsyncOpenAI, OpenAI

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a bailiwick?"}]}
NOT_ASKED = [{}, {"stream_options": {"include_usage": False}}, {"stream_options": {"include_obfuscation": False}}]
ASKED = {"stream_options": {"include_usage": True}}


@pytest.fixture
def client(act_as):
    act_as("tester")
    with OpenAI() as client:
        yield client


def text_of(chunks) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)


@pytest.mark.parametrize("options", NOT_ASKED, ids=["absent", "no", "unsaid"])
def test_usage_stays_hidden_from_who_did_not_ask(client, trail, options):
    chunks = list(client.chat.completions.create(**QUESTION, stream=True, **options))
    assert text_of(chunks).startswith("An agent with a budget")
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all(chunk.choices for chunk in chunks), "no chunk without choices"
    assert all(chunk.usage is None for chunk in chunks)
    # Bailiwick did ask, and settled by the answer.
    (call,) = trail.calls()
    outcome = trail.attempt().outcome
    assert (outcome["status"], outcome["source"]) == ("ok", "provider")
    assert outcome["usage"] == call["billed"]
    assert outcome["provider_id"] == chunks[0].id


def test_usage_comes_once_to_who_asked(client, trail):
    chunks = list(client.chat.completions.create(**QUESTION, stream=True, **ASKED))
    assert text_of(chunks).startswith("An agent with a budget")
    (last,) = (chunk for chunk in chunks if not chunk.choices)
    assert last is chunks[-1]
    assert [chunk for chunk in chunks if chunk.usage] == [last]
    (call,) = trail.calls()
    assert last.usage.completion_tokens == call["billed"]["output"]
    assert trail.attempt().outcome["usage"] == call["billed"]


@pytest.mark.parametrize("options", [{}, ASKED], ids=["hidden", "asked"])
async def test_the_async_client_gets_the_same(act_as, trail, options):
    act_as("tester")
    async with AsyncOpenAI() as client:
        stream = await client.chat.completions.create(**QUESTION, stream=True, **options)
        chunks = [chunk async for chunk in stream]
    assert text_of(chunks).startswith("An agent with a budget")
    assert sum(not chunk.choices for chunk in chunks) == (1 if options else 0)
    assert trail.attempt().outcome["status"] == "ok"


def test_the_stream_helper(client, trail):
    with client.chat.completions.stream(**QUESTION) as stream:
        kinds = {event.type for event in stream}
        reply = stream.get_final_completion()
    assert {"chunk", "content.delta", "content.done"} <= kinds
    assert reply.choices[0].message.content.startswith("An agent with a budget")
    assert trail.attempt().outcome["status"] == "ok"


def test_several_choices(client, trail):
    chunks = list(client.chat.completions.create(**QUESTION, stream=True, n=2, max_completion_tokens=6))
    for index in range(2):
        mine = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
        assert "".join(choice.delta.content or "" for choice in mine).startswith("An agent with")
        assert mine[-1].finish_reason == "length"
    assert trail.attempt().outcome["usage"]["output"] == 12


def test_headers_come_before_the_stream(client, trail):
    raw = client.chat.completions.with_raw_response.create(**QUESTION, stream=True)
    list(raw.parse())
    attempt = trail.attempt()
    assert raw.headers["bailiwick-request-id"] == attempt.intent["action"]["id"]
    assert raw.headers["bailiwick-decision"] == "allow"
    # What it costs is not known yet when they are sent.
    assert "bailiwick-cost-usd" not in raw.headers
