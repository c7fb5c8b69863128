"""
Secrets stay where they belong: the provider's key goes to the provider and nowhere else, the agent's key to Bailiwick
and nowhere else, and no log, entry, metric, error or file has either.
"""

import base64
import functools
import json

import anthropic
import httpx
import openai
import pytest

import harness
from harness import UPSTREAM_KEYS, scripted

MESSAGES = [{"role": "user", "content": "canary-prompt-7be1 What is a bailiwick?"}]
CHAT = {"model": "gpt-4o-mini", "messages": MESSAGES}
MESSAGE = {"model": "claude-haiku-4-5", "messages": MESSAGES, "max_tokens": 50}

OPENAI = ("/openai/v1/chat/completions", CHAT)
ANTHROPIC = ("/anthropic/v1/messages", MESSAGE)

# One of each way a call can go, as (path, body) and a script for the provider.
CALLS = [
    (*OPENAI, ""),
    (*ANTHROPIC, ""),
    (OPENAI[0], CHAT | {"stream": True}, ""),
    (ANTHROPIC[0], MESSAGE | {"stream": True}, ""),
    (OPENAI[0], CHAT | {"model": "no-price"}, ""),
    (OPENAI[0], CHAT | {"n": "x"}, ""),
    ("/openai/v1/nowhere", CHAT, ""),
    ("/nowhere/v1/chat/completions", CHAT, ""),
    *(
        (*of, script)
        for of in (OPENAI, ANTHROPIC)
        for script in ("status=401", "status=500", "cut-after=1", "status=302; location=/x")
    ),
    (OPENAI[0], CHAT | {"stream": True}, "cut-after=3"),
    (OPENAI[0], CHAT | {"stream": True, "max_tokens": 5}, "output=100000"),
]


@pytest.fixture(scope="module")
def server(start):
    """A server that logs all it can, and lets its libraries do the same."""
    agents = {"loud": harness.agent("loud", owner="canary-owner@acme.example")}
    return start(agents=agents, policies={"loud": harness.permit("loud")}, BAILIWICK_LOG="trace")


@pytest.fixture(scope="module")
def keys(server):
    return {"loud": server.key("loud", "--user", "canary-user@acme.example")}


@pytest.fixture(scope="module")
def replies(server, keys) -> list:
    """What an agent gets to see of all that can happen: status, headers and body."""
    # Each on a connection of its own: what is tested here are contents.
    post = functools.partial(httpx.post, timeout=harness.PATIENCE_S)
    seen = []
    for path, body, script in CALLS:
        for headers in credentials(keys["loud"]):
            script_headers = scripted(script) if script else {}
            seen.append(post(f"{server.agents_url}{path}", json=body, headers=headers | script_headers))
    for key in wrong(keys["loud"]):
        for headers in credentials(key):
            seen.append(post(f"{server.agents_url}{OPENAI[0]}", json=CHAT, headers=headers))
    revoked = server.issue("loud")
    server.run("key", "revoke", revoked["id"])
    seen.append(post(f"{server.agents_url}{OPENAI[0]}", json=CHAT, headers=credentials(revoked["key"])[0]))
    return [(reply.status_code, str(reply.headers.raw), reply.text) for reply in seen]


def credentials(key: str) -> list:
    """Where SDKs put a key."""
    return [{"Authorization": f"Bearer {key}"}, {"x-api-key": key, "anthropic-version": "2023-06-01"}]


def wrong(key: str) -> list:
    """A key with a slip of the pen is still most of a key."""
    return [key[:-1], key + "0", key.swapcase(), f"sk-{key}"]


def spellings(secret: str) -> set:
    """A secret as it stands, without its prefix, and as others would print its bytes."""
    bare = secret.split("_", 1)[-1] if secret.startswith(("bwk_", "bwa_")) else secret
    return {secret, bare, bare.upper(), base64.b64encode(secret.encode()).decode().rstrip("="), secret.encode().hex()}


@pytest.fixture(scope="module")
def secrets(server, keys) -> set:
    found = {*keys.values(), *wrong(keys["loud"]), *UPSTREAM_KEYS.values(), server.owner_credential()}
    return set().union(*map(spellings, found))


def leaks(text: str, secrets: set) -> list:
    """Where a secret stands, for a message that does not repeat it whole."""
    return [f"{secret[:12]}... at {text.index(secret)}" for secret in secrets if secret in text]


def test_the_provider_sees_its_own_key_only(server, replies, secrets):
    calls = server.fake.calls()
    assert len(calls) > 10
    assert leaks(json.dumps(calls), secrets), "what must be found nowhere else is found here"
    for call in calls:
        expected = UPSTREAM_KEYS["ANTHROPIC_API_KEY" if call["path"] == "/v1/messages" else "OPENAI_API_KEY"]
        assert call["credential"] == expected
        values = [value for _, value in call["headers"]]
        assert sum(expected in value for value in values) == 1
        assert "bwk_" not in json.dumps(call["headers"])
        assert b"bwk_" not in server.fake.body(call["number"])


def test_the_agent_sees_no_key(replies, secrets):
    assert {200, 400, 401, 403, 404, 500, 502} <= {status for status, _, _ in replies}
    for status, headers, body in replies:
        assert leaks(headers, secrets) == [], status
        assert leaks(body, secrets) == [], (status, body[:300])


def test_the_sdks_exceptions_have_no_key(server, keys, monkeypatch, secrets):
    key = wrong(keys["loud"])[0]
    for name, value in server.sdk_environment(key).items():
        monkeypatch.setenv(name, value)
    with openai.OpenAI() as client, pytest.raises(openai.AuthenticationError) as first:
        client.chat.completions.create(**CHAT)
    with anthropic.Anthropic() as client, pytest.raises(anthropic.AuthenticationError) as second:
        client.messages.create(**MESSAGE)
    for caught in (first, second):
        assert leaks(f"{caught.value} {caught.value!r} {caught.value.body} {caught.value.response.text}", secrets) == []


def test_the_servers_log_has_no_secret(server, replies, secrets):
    log = server.log.read_text()
    assert len(log.splitlines()) > 10, "it says something"
    assert leaks(log, secrets) == []
    assert leaks(log, {"canary-prompt-7be1", "canary-user", "What is a bailiwick"}) == []


def test_the_metrics_have_no_secret(server, replies, secrets):
    metrics = server.metrics()
    assert "bailiwick_denials_total" in metrics
    assert leaks(metrics, secrets) == []


def test_the_audit_log_has_no_secret_and_no_content(server, replies, secrets):
    listed = server.run("audit", "list", "--limit", "1000", "--json")
    system = json.dumps(server.admin("audit", tenant="_system", limit=1000))
    assert len(server.entries()) > 40
    content = {"canary-prompt-7be1", "An agent with a budget", "canary-user", "canary-owner"}
    for text in (listed, system):
        assert leaks(text, secrets | content) == []


def test_the_commands_that_list_show_no_secret(server, replies, secrets):
    for command in (["key", "list"], ["agent", "list"], ["budget", "list"], ["audit", "list"]):
        for form in ([], ["--json"]):
            assert leaks(server.run(*command, *form), secrets) == [], command


def test_no_file_has_a_secret(server, replies, secrets):
    """Every file below the server's directory but the one that is there to hold the owner's credential."""
    files = [path for path in server.directory.rglob("*") if path.is_file()]
    databases = [path for path in files if path.read_bytes().startswith(b"SQLite format 3")]
    assert databases, "the database is among them"
    for path in files:
        if path.name == "owner.credential":
            assert path.stat().st_mode & 0o077 == 0, "only its owner can read it"
            continue
        content = path.read_bytes().decode("latin-1")
        assert leaks(content, secrets) == [], path
        assert leaks(content, {"canary-prompt-7be1", "An agent with a budget"}) == [], path
    for path in databases:
        # As pages or as rows: what is split over pages is no secret kept.
        for table, rows in harness.tables(path).items():
            assert leaks(rows, secrets) == [], (path, table)
