"""
Personal data in what agents and enforcement points send is found in no entry: not as the API tells it, not in the
exported log, not in what is streamed out, not in the index that searches look into.

Every text of a request in which people write about people has a canary in it: prompts, tools and their results, files,
metadata, headers, queries; the questions of enforcement points, their persons and their notes. What is copied as it was
said has none, and docs/entries.md lists it: names of models, what an agent says in `Bailiwick-Run` and `Bailiwick-Task`, names
of tools that a rule names or a policy looks at, values of questions that the schema does not call personal.
"""

import base64
import itertools
import json

import httpx
import pytest

import harness
from harness import scripted

NUMBERS = itertools.count()
USED = set()
# So many letters of a canary are enough to know it.
BEGIN = 8


def canary(kind: str = "") -> str:
    """A text that stands nowhere else: a name, or another thing that tells who somebody is."""
    number = next(NUMBERS)
    letters = "".join(chr(ord("a") + number // 26**place % 26) for place in (2, 1, 0))
    # No two begin alike, so that one that is cut short is found too.
    name = f"qz{letters}kanarienvogel"
    USED.add(name)
    match kind:
        case "mail":
            return f"{name}@personal.example"
        case "url":
            return f"https://personal.example/{name}.png"
        case "card":
            return f"4111 1111 1111 1111 {name}"
        case _:
            return name


def said(*more: str) -> str:
    return " ".join((f"My name is {canary()}, write to {canary('mail')}, my card is {canary('card')}.", *more))


def tool(**more) -> dict:
    parameters = {"type": "object", "properties": {"who": {"type": "string", "description": canary()}}}
    return {"name": "find_person", "description": said(), **more, "parameters": parameters}


def chat(**more) -> dict:
    picture = {"type": "image_url", "image_url": {"url": canary("url")}}
    call = {"id": "c1", "type": "function", "function": {"name": "find_person", "arguments": json.dumps({"who": canary()})}}
    return {
        "model": "gpt-4o-mini",
        "messages": [
            {"role": "system", "content": said(), "name": canary()},
            {"role": "user", "content": [{"type": "text", "text": said()}, picture], "name": canary()},
            {"role": "assistant", "content": said(), "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c1", "content": said()},
        ],
        "tools": [{"type": "function", "function": tool()}],
        "user": canary("mail"),
        "safety_identifier": canary(),
        "prompt_cache_key": canary(),
        "metadata": {canary(): canary("mail")},
        "x_unknown": {"deep": [said()]},
    } | more


def message(**more) -> dict:
    schema = {"type": "object", "properties": {"who": {"type": "string", "description": canary()}}}
    return {
        "model": "claude-haiku-4-5",
        "max_tokens": 50,
        "system": [{"type": "text", "text": said()}],
        "messages": [
            {"role": "user", "content": said()},
            {
                "role": "assistant",
                "content": [{"type": "tool_use", "id": "t1", "name": "find_person", "input": {"who": canary()}}],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": said()}]},
        ],
        "tools": [{"name": "find_person", "description": said(), "input_schema": schema}],
        "metadata": {"user_id": canary("mail")},
        "stop_sequences": [canary()],
    } | more


def question(**more) -> dict:
    return {
        "model": "gpt-4o-mini",
        "instructions": said(),
        "input": [{"role": "user", "content": said()}, {"type": "function_call_output", "call_id": "c1", "output": said()}],
        "tools": [{"type": "function", **tool()}],
        "user": canary("mail"),
        "metadata": {"customer": canary()},
    } | more


OPENAI = "/openai/v1"


def calls() -> list:
    """One of each endpoint, and of each way a call can go wrong, as a path, the body and what the provider does."""
    text = {"model": "gpt-4o-mini", "prompt": said(), "suffix": said(), "max_tokens": 9, "user": canary()}
    embeddings = {"model": "text-embedding-3-small", "input": [said(), said()], "user": canary("mail")}
    picture = {"model": "gpt-image-1", "prompt": said(), "quality": "low", "size": "1024x1024", "user": canary()}
    speech = {"model": "tts-1", "input": said(), "voice": "alloy", "instructions": said()}
    counted = {key: value for key, value in message().items() if key in ("model", "system", "messages", "tools")}
    good = [
        (f"{OPENAI}/chat/completions", chat(), ""),
        (f"{OPENAI}/chat/completions?who={canary()}", chat(stream=True), ""),
        (f"{OPENAI}/responses", question(), ""),
        (f"{OPENAI}/responses", question(stream=True), ""),
        (f"{OPENAI}/completions", text, ""),
        (f"{OPENAI}/embeddings", embeddings, ""),
        (f"{OPENAI}/moderations", {"input": said()}, ""),
        (f"{OPENAI}/images/generations", picture, ""),
        (f"{OPENAI}/audio/speech", speech, ""),
        ("/anthropic/v1/messages", message(), ""),
        ("/anthropic/v1/messages", message(stream=True), ""),
        ("/anthropic/v1/messages/count_tokens", counted, ""),
    ]
    bad = [
        # Not permitted, no price, no number, no such path, no JSON.
        (f"{OPENAI}/chat/completions", chat(model="gpt-4o"), ""),
        (f"{OPENAI}/chat/completions", chat(model="no-price"), ""),
        (f"{OPENAI}/chat/completions", chat(n=canary()), ""),
        (f"{OPENAI}/chat/completions", chat(messages=canary()), ""),
        (f"{OPENAI}/nowhere/{canary()}", chat(), ""),
        (f"/nowhere/{canary()}", chat(), ""),
        (f"{OPENAI}/chat/completions", ("{" + said()).encode(), ""),
        # The provider fails, breaks off, sends away.
        *(
            (path, body(), script)
            for path, body in ((f"{OPENAI}/chat/completions", chat), ("/anthropic/v1/messages", message))
            for script in ("status=401", "status=500", "cut-after=1", "status=302; location=/x")
        ),
        # Streams that break off, and that would be dearer than was held.
        (f"{OPENAI}/chat/completions", chat(stream=True), "cut-after=3"),
        (f"{OPENAI}/chat/completions", chat(stream=True, max_tokens=5), "output=100000"),
    ]
    return good + bad


def files() -> list:
    """The endpoints that take files, which have names."""
    sound = (f"{canary()}.mp3", canary().encode() + b"\0" * 40_000, "audio/mpeg")
    image = (f"{canary()}.png", canary().encode(), "image/png")
    edit = {"model": "gpt-image-1", "prompt": said(), "quality": "low", "size": "1024x1024", "user": canary()}
    return [
        (f"{OPENAI}/audio/transcriptions", {"model": "whisper-1", "prompt": said()}, {"file": sound}),
        (f"{OPENAI}/images/edits", edit, {"image": image}),
    ]


def headers(key: str) -> dict:
    return {
        "Authorization": f"Bearer {key}",
        "User-Agent": f"agent of {canary()}",
        "Idempotency-Key": canary("mail"),
        "X-User-Id": canary(),
        "X-Forwarded-For": canary(),
        "Cookie": f"session={canary()}",
        "OpenAI-Organization": canary(),
        "Referer": canary("url"),
        "traceparent": f"00-{canary()}-01",
        "Bailiwick-Run": "run-1",
        "Bailiwick-Task": "task-1",
    }


SCHEMA = """
entity person { @personal email?: String, @personal nick?: String, @personal friends?: Set<person>, role?: String };
@personal entity mailbox { @personal owner?: String };
entity document;
action "read" appliesTo { principal: person, resource: [document, mailbox], context: { @personal caller?: String } };
"""
POLICY = """
@id("readers")
permit (principal, action == Action::"read", resource)
when { principal has role && principal.role == "reader" };
"""
PEP = {"kind": "Pep", "name": "papers", "owner": "tests@acme.example", "purpose": "Asks", "may": ["evaluate", "search"]}


def asked() -> list:
    """Questions of an enforcement point: about people, of people, and with more in them than the schema knows."""

    def one(role: str, resource: dict) -> dict:
        person = {
            "email": canary("mail"),
            "nick": canary(),
            "friends": [{"type": "person", "id": canary("mail")}],
            "role": role,
            "unknown": said(),
        }
        return {
            "subject": {"type": "person", "id": canary("mail"), "properties": person},
            "action": {"name": "read", "properties": {"unknown": said()}},
            "resource": resource,
            "context": {"caller": canary(), "unknown": {"deep": [said()]}},
        }

    def mailbox() -> dict:
        return {"type": "mailbox", "id": canary("mail"), "properties": {"owner": canary(), "unknown": said()}}

    document = {"type": "document", "id": "d1", "properties": {"unknown": said()}}
    batch = {"evaluations": [one("reader", mailbox()), one("guest", document)], "options": {"unknown": said()}}
    return [
        ("evaluation", one("reader", document)),
        ("evaluation", one("guest", mailbox())),
        ("evaluation", {"subject": {"type": "nobody", "id": canary()}, "action": {"name": "read"}, "resource": document}),
        ("evaluations", batch),
        ("search/resource", one("reader", {"type": "document"})),
        ("search/subject", one("reader", document) | {"subject": {"type": "person"}}),
    ]


@pytest.fixture(scope="module")
def server(start, tmp_path_factory):
    streamed = tmp_path_factory.mktemp("streamed")
    sinks = "".join(
        f'[[sinks]]\nname = "{form}"\nkind = "file"\nformat = "{form}"\nfrom = "beginning"\npath = "{streamed / form}"\n'
        for form in ("json", "cloudevents")
    )
    permits = "".join(
        f'@id("use-{number}") permit (principal == Agent::"loud", action in Action::"llm:use", resource in Upstream::"{upstream}");\n'
        for number, upstream in enumerate(("openai", "anthropic"))
    )
    forbids = '@id("small-ones") forbid (principal, action, resource == Model::"openai/gpt-4o");\n'
    server = start(
        agents={"loud": harness.agent("loud", limit="100 USD", per="total", owner=canary("mail"))},
        policies={"loud": permits + forbids},
        configuration=sinks,
    )
    server.streamed = streamed
    governance = server.directory / "governance"
    texts = {
        "schemas/papers.cedarschema": SCHEMA,
        "policies/papers.cedar": POLICY,
        "rules/papers.yaml": json.dumps(PEP),
        "entities/papers.json": json.dumps([{"uid": {"type": "person", "id": canary("mail")}, "attrs": {"role": "reader"}, "parents": []}]),
    }
    for name, text in texts.items():
        path = governance / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    server.run("apply")
    return server


@pytest.fixture(scope="module")
def done(server) -> dict:
    """Sends everything. How often which status was answered."""
    post = httpx.Client(timeout=harness.PATIENCE_S).post
    statuses = {}

    def note(reply):
        statuses[reply.status_code] = statuses.get(reply.status_code, 0) + 1

    key = server.key("loud", "--user", canary("mail"))
    for path, body, script in calls():
        sent = headers(key) | (scripted(script) if script else {})
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        note(post(server.agents_url + path, content=content, headers=sent | {"Content-Type": "application/json"}))
    for path, fields, attached in files():
        note(post(server.agents_url + path, data=fields, files=attached, headers=headers(key)))
    pep = server.json("key", "issue", "--pep", "papers")["key"]
    for path, body in asked():
        sent = {"Authorization": f"Bearer {pep}", "X-Request-ID": canary()}
        note(post(f"{server.agents_url}/access/v1/{path}", json=body, headers=sent))
    return statuses


def found(text: str) -> list:
    """Which canaries stand in a text, also as others would write their bytes."""
    plain = [name for name in USED if name[:BEGIN] in text]
    hidden = [
        name
        for name in USED
        # All three places in which a text can begin in base64, without what its neighbours decide of the ends.
        if any(base64.b64encode(b"\0" * skip + name.encode()).decode()[4:-4] in text for skip in range(3))
        or name.encode().hex() in text
    ]
    return plain + hidden


def test_everything_was_sent(server, done):
    assert {200, 400, 403, 404, 500, 502} <= set(done), done
    assert done[200] > 15, done
    arrived = json.dumps(server.fake.calls()) + "".join(
        server.fake.body(call["number"]).decode("latin-1") for call in server.fake.calls()
    )
    assert len(found(arrived)) > 50, "what must be found nowhere else is found at the provider"
    kinds = {next(iter(entry["event"])) for entry in server.entries()}
    assert {"intent", "outcome", "denial", "decided"} <= kinds


def test_no_entry_has_a_canary(server, done):
    for tenant in ("default", "_system"):
        start = 0
        while True:
            page = server.admin("audit", tenant=tenant, limit=1000, **{"from": start})
            assert found(json.dumps(page)) == []
            start += len(page["entries"])
            if start >= page["size"]:
                break


def test_no_search_finds_one(server, done):
    for name in sorted(USED):
        page = server.admin("audit/search", q=name)
        assert page["entries"] == [], name
        assert all(log["indexed"] == log["size"] for log in page["logs"].values())


def test_nothing_that_leaves_has_one(server, done, tmp_path):
    server.stop()
    server.run("audit", "export", "--data", server.data, "--tiles", tmp_path / "log", config=False)
    exported = [path for path in (tmp_path / "log").rglob("*") if path.is_file()]
    assert any("entries" in path.parts for path in exported)
    streamed = [path for path in server.streamed.iterdir() if path.is_file() and path.stat().st_size > 10_000]
    assert len(streamed) == 2
    for path in exported + streamed:
        assert found(path.read_bytes().decode("latin-1")) == [], path


def test_the_projection_and_the_tables_of_the_log_have_none(server, done):
    names = {"projections.db": None, "tiles.db": None, "bailiwick.db": {"batch"}}
    for name, only in names.items():
        for table, rows in harness.tables(server.data / name).items():
            # Who is behind a pseudonym, and entities that people have stored, are kept beside the log, and erased there.
            if only is None or table in only:
                assert found(rows) == [], (name, table)
