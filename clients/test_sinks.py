"""Entries on their way out, taken by the receiver of the manual and read by the CloudEvents SDK: other code than ours."""

import base64
import hashlib
import http.server
import json
import re
import threading
from pathlib import Path

import httpx
import pytest
from cloudevents.core.bindings.http import HTTPMessage, from_structured
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent

import harness

MANUAL = Path(__file__).resolve().parent.parent / "docs" / "operating" / "streaming-out.md"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()


class Receiver:
    """The receiver that the manual shows, which answers the first requests as it is told."""

    def __init__(self, monkeypatch, statuses, secret=SECRET):
        monkeypatch.setenv("SIEM_SECRET", secret)
        (code,) = re.findall(r"```python\n(.*?)```", MANUAL.read_text(), re.DOTALL)
        names = {"__name__": "receiver"}
        exec(compile(code, str(MANUAL), "exec"), names)
        self.taken = names["taken"]
        self.bodies = []
        self.ids = []
        self.changed = threading.Condition()
        outer, statuses = self, list(statuses)

        class Handler(names["Receiver"]):
            def do_POST(self):
                outer.ids.append(self.headers["webhook-id"])
                if statuses:
                    self.rfile.read(int(self.headers["content-length"]))
                    self.send_response(statuses.pop(0))
                    self.end_headers()
                    return
                super().do_POST()
                with outer.changed:
                    outer.changed.notify_all()

            def is_signed(self, body):
                good = super().is_signed(body)
                if good and (not outer.bodies or outer.bodies[-1] != body):
                    outer.bodies.append(body)
                return good

            def log_message(self, *_):
                pass

        self.server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/bailiwick"
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def wait_for(self, ids):
        with self.changed:
            done = self.changed.wait_for(
                lambda: ids <= {name for _, name in self.taken}, timeout=harness.PATIENCE_S
            )
        assert done, ids - {name for _, name in self.taken}

    def stop(self):
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def receiver(monkeypatch):
    receiver = Receiver(monkeypatch, [500, 503, 500])
    yield receiver
    receiver.stop()


@pytest.fixture
def server(start, receiver):
    sink = f"""
[[sinks]]
name = "siem"
kind = "webhook"
format = "cloudevents"
url = "{receiver.url}"
secret = {{ env = "SIEM_SECRET" }}
batch = 4
from = "beginning"
"""
    return start(
        agents={"tester": harness.agent("tester")},
        policies={"tester": harness.permit("tester")},
        configuration=sink,
        SIEM_SECRET=SECRET,
    )


@pytest.fixture
def keys(server):
    return {"tester": server.key("tester")}


def logged(server) -> dict:
    """All entries of both logs by the ids of their events."""
    found = {}
    for tenant in ("default", "_system"):
        listed = server.json("audit", "list", "--from", 0, "--limit", 100000, "--tenant", tenant)
        found |= {f"{tenant}/{entry['entry']['index']}": entry["entry"] for entry in listed["entries"]}
    return found


def test_signed_events_arrive_and_are_what_was_logged(server, keys, receiver):
    question = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a bailiwick?"}]}
    for _ in range(3):
        url = f"{server.agents_url}/openai/v1/chat/completions"
        httpx.post(url, json=question, headers={"authorization": f"Bearer {keys['tester']}"}).raise_for_status()
    server.key("tester", "--name", "“naïve” \\ laptop 🙂")
    entries = logged(server)
    receiver.wait_for(set(entries))
    assert len(set(receiver.ids[:4])) == 1, "the same events have the same id, however often they are sent"
    seen = set()
    for body in receiver.bodies:
        events = json.loads(body)
        assert 1 <= len(events) <= 4
        for event in events:
            message = HTTPMessage({"content-type": "application/cloudevents+json"}, json.dumps(event).encode())
            read = from_structured(message, JSONFormat(), CloudEvent)
            assert read.get_source().endswith(f"/{event['tenant']}")
            assert read.get_id() == f"{event['tenant']}/{event['leafindex']}"
            seen.add(read.get_id())
            if read.get_id() not in entries:
                continue  # Committed since.
            entry = entries[read.get_id()]
            assert read.get_data() == entry
            (kind,) = entry["event"]
            assert read.get_type() == f"dev.bailiwick.{kind}"
            assert read.get_time().timestamp() == pytest.approx(entry["time"] / 1e6, abs=1e-5)
            # The data stand in the entry's own bytes, so its leaf can be worked out from them.
            data = json.dumps(event["data"], separators=(",", ":"), ensure_ascii=False).encode()
            assert data in body
            leaf = hashlib.sha256(b"\0" + data).digest()
            assert base64.b64decode(event["leafhash"]) == leaf
    assert set(entries) <= seen
    (sink,) = server.json("sink", "list")["sinks"]
    assert sink["state"] == "ok" and sink["failures"] == 3


def test_a_kill_at_the_seam_misses_nothing_and_changes_nothing(server, keys, receiver):
    receiver.wait_for(set(logged(server)))
    server.process.kill()
    server.start()
    entries = logged(server)
    receiver.wait_for(set(entries))
    # Each leaf is the one that came first: what came twice was the same.
    events = [event for body in receiver.bodies for event in json.loads(body)]
    leaves = {}
    for event in events:
        assert leaves.setdefault(event["id"], event["leafhash"]) == event["leafhash"]


def test_another_secret_is_refused_and_nothing_is_lost(start, monkeypatch):
    other = Receiver(monkeypatch, [], secret="whsec_" + base64.b64encode(bytes(32)).decode())
    sink = f"""
[[sinks]]
name = "siem"
kind = "webhook"
format = "cloudevents"
url = "{other.url}"
secret = {{ env = "SIEM_SECRET" }}
from = "beginning"
"""
    server = start(configuration=sink, SIEM_SECRET=SECRET)
    while True:
        (sink,) = server.json("sink", "list")["sinks"]
        if sink["state"] == "failing":
            break
    assert "401" in sink["error"] and "secret" in sink["error"]
    assert other.taken == {} and sink["delivered"] == 0 and sink["behind"] > 0
    server.stop()
    other.stop()
