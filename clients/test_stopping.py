"""A server that is asked to stop: it finishes what is in flight, signs its log, and has nothing to complain about."""

import json

import httpx
import pytest
from openai import OpenAI

import harness
from harness import scripted

QUESTION = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a bailiwick?"}]}


@pytest.fixture
def server(start):
    """A server of the test's own: it ends."""
    return start(agents={"tester": harness.agent("tester")}, policies={"tester": harness.permit("tester")})


@pytest.fixture
def keys(server):
    return {"tester": server.key("tester")}


def test_a_stop_is_clean(act_as, server):
    act_as("tester")
    with OpenAI() as client:
        client.chat.completions.create(**QUESTION)
    server.stop()
    log = [json.loads(line) for line in server.log.read_text().splitlines()]
    assert [line for line in log if line["level"] != "INFO"] == []
    for tenant in server.verify():
        assert tenant["signed"] == tenant["guarded"] == tenant["entries"]


def test_what_is_in_flight_is_finished(act_as, server, trail):
    act_as("tester")
    slow = scripted("chunk-delay=120ms", "events=8")
    with OpenAI() as client:
        stream = client.chat.completions.create(**QUESTION, stream=True, extra_headers=slow)
        chunks = [next(stream)]
        (call,) = trail.calls()
        server.process.ask_to_end()
        assert call["finished"] == "open"
        chunks += stream
    assert chunks[-1].choices[0].finish_reason == "stop"
    server.stop()
    (call,) = server.fake.calls()
    assert call["finished"] == "completed"
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.agents_url}/healthz")
