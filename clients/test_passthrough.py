"""What Bailiwick does not know, it does not touch: requests and replies pass byte for byte."""

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import httpx
import pytest
from openai import OpenAI

import harness
from trail import Trail

MESSAGES = [{"role": "user", "content": "Grüezi 👋\u2028 \u0000"}]
UNKNOWN = {"x_new": {"deep": [1.10, None, "é\n"]}, "zeta": 12345678901234567890123, "another": []}

# No SDK writes such a body, and some proxy that parses and prints it again would change every part of it.
ODD = (
    b' {\n\t"messages" : [{"content":"\\u00e9\xc3\xa9 \\/", "role":"user", "name":"x"}],\r\n'
    b'"a":1.10, "b":1E400, "c":-0, "big":123456789012345678901234567890, "dup":{"k":1,"k":2}, '
    b'"model":"gpt-4o-mini" , "" : [ ] } \n'
)


def added_to(sent: bytes, arrived: bytes) -> dict:
    """What was put into a body behind its opening brace. Everything else must be as it was sent."""
    brace = sent.index(b"{") + 1
    assert arrived.startswith(sent[:brace]) and arrived.endswith(sent[brace:])
    added = arrived[brace : len(arrived) - len(sent[brace:])]
    assert added == b"" or added.endswith(b",")
    return json.loads(b"{" + added.rstrip(b",") + b"}")


LIMIT = {"max_completion_tokens": 4096}
USAGE = {"stream_options": {"include_usage": True}}


@pytest.mark.parametrize(
    "request_fields, added",
    [
        ({}, LIMIT),
        ({"max_completion_tokens": 7}, {}),
        ({"max_tokens": 7}, {}),
        ({"stream": True}, LIMIT | USAGE),
        ({"stream": True, "max_tokens": 7}, USAGE),
        ({"stream": True, "max_tokens": 7} | USAGE, {}),
    ],
    ids=["nothing said", "limit", "older limit", "stream", "stream and limit", "all said"],
)
def test_a_request_leaves_as_it_came(act_as, trail, request_fields, added):
    act_as("tester")
    with OpenAI() as client:
        raw = client.chat.completions.with_raw_response.create(
            model="gpt-4o-mini", messages=MESSAGES, extra_body=UNKNOWN, **request_fields
        )
        sent = raw.http_request.content
        if "stream" in request_fields:
            list(raw.parse())
    assert b"x_new" in sent
    (arrived,) = trail.bodies()
    assert added_to(sent, arrived) == added


def test_even_an_odd_request(server, keys, trail):
    headers = {"Authorization": f"Bearer {keys['tester']}", "Content-Type": "application/json"}
    reply = httpx.post(f"{server.agents_url}/openai/v1/chat/completions?beta=a%2Fb", content=ODD, headers=headers)
    assert reply.status_code == 200, reply.text
    (arrived,) = trail.bodies()
    assert added_to(ODD, arrived) == LIMIT
    (call,) = trail.calls()
    assert call["path"] == "/v1/chat/completions?beta=a%2Fb"


def test_headers_pass_but_for_identity(act_as, server, trail):
    act_as("tester")
    unknown = {"X-New-Header": "kept", "OpenAI-Beta": "kept=v2"}
    identity = {"X-Forwarded-For": "10.1.2.3", "X-User-Id": "boss", "Cookie": "a=b", "OpenAI-Organization": "org-other"}
    with OpenAI() as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers=unknown | identity)
    (call,) = trail.calls()
    arrived = {name.lower(): value for name, value in call["headers"]}
    assert unknown.items() <= {name: arrived.get(name.lower()) for name in unknown}.items()
    assert not {name.lower() for name in identity} & arrived.keys()
    assert arrived["host"] == server.fake.url.removeprefix("http://")
    assert arrived["x-stainless-lang"] == "python"


# A provider of next year: fields, headers and events that nobody knows yet, and its own way to write JSON.
REPLY = (
    b'{ "id":"chatcmpl-9", "object":"chat.completion","created":1,"model":"gpt-4o-mini",\n'
    b'"novel":{"a":1.0e2,"\\u0062":[]},\n'
    b'"choices":[{"index":0,"finish_reason":"stop",\n'
    b'"message":{"role":"assistant","content":"\xc3\xa9","feeling":"\\u00e9"}}],'
    b'"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11,"new_tokens":1}}\n\n'
)
CHUNK = b'"id":"chatcmpl-9","object":"chat.completion.chunk","created":1,"model":"gpt-4o-mini"'
EVENTS = [
    b": a comment\n\n",
    b'retry: 100\nevent: novel\ndata: {"novel":[1.0e2]}\n\n',
    b"data: {" + CHUNK + b',\ndata: "choices":[{"index":0,"delta":{"content":"\xc3\xa9","feeling":1}}] }\n\n',
    b'data:{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],' + CHUNK + b"}\r\n\r\n",
]
USAGE_EVENT = (
    b"data: {" + CHUNK + b',"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":2,"total_tokens":11}}\n\n'
)
DONE = b"data: [DONE]\n\n"


class Novel(BaseHTTPRequestHandler):
    """Answers every call with the bytes above."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        body = b"".join([*EVENTS, USAGE_EVENT, DONE]) if asked.get("stream") else REPLY
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream" if asked.get("stream") else "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("X-Novel", "kept")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def novel(start):
    """A server with such a provider behind the upstream `novel`."""
    provider = ThreadingHTTPServer(("127.0.0.1", 0), Novel)
    # Connections that Bailiwick keeps open must not keep the provider from ending.
    provider.daemon_threads = True
    thread = Thread(target=provider.serve_forever, daemon=True)
    thread.start()
    upstream = f'[upstreams.novel]\nkind = "openai"\nbase_url = "http://127.0.0.1:{provider.server_port}"\n'
    yield start(
        agents={"reader": harness.agent("reader")},
        policies={"reader": harness.permit("reader")},
        configuration=upstream,
    )
    provider.shutdown()
    provider.server_close()
    thread.join()


@pytest.fixture(scope="module")
def novel_key(novel):
    return novel.key("reader")


@pytest.mark.parametrize(
    "asked, expected",
    [
        ({}, REPLY),
        ({"stream": True} | USAGE, b"".join([*EVENTS, USAGE_EVENT, DONE])),
        ({"stream": True}, b"".join([*EVENTS, DONE])),
    ],
    ids=["json", "stream", "stream without its usage"],
)
def test_a_reply_arrives_as_it_left(novel, novel_key, asked, expected):
    trail = Trail(novel)
    reply = httpx.post(
        f"{novel.agents_url}/novel/v1/chat/completions",
        json={"model": "gpt-4o-mini", "messages": MESSAGES} | asked,
        headers={"Authorization": f"Bearer {novel_key}"},
    )
    assert reply.content == expected
    assert reply.headers["x-novel"] == "kept"
    outcome = trail.attempt().outcome
    assert outcome["source"] == "provider"
    assert (outcome["usage"]["input"], outcome["usage"]["output"]) == (9, 2)


def test_an_sdk_sees_the_new_fields(novel, novel_key):
    with OpenAI(base_url=f"{novel.agents_url}/novel/v1", api_key=novel_key) as client:
        reply = client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert reply.novel == {"a": 100.0, "b": []}
    assert reply.choices[0].message.feeling == "é"
