"""
Connections that clients keep open: SDKs pool them, and send the next request on one without asking. A reply that does
not say `Connection: close` promises that this works, whatever the reply is.
"""

import json
import select
import socket
from http.client import HTTPResponse

import pytest

BODY = json.dumps(
    {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "What is a bailiwick? " * 50}]}
).encode()
CHAT = "/openai/v1/chat/completions"


@pytest.mark.parametrize(
    "path, agent, status",
    [
        (CHAT, None, 401),
        ("/openai/v1/files", "tester", 404),
        ("/nowhere/v1/chat/completions", "tester", 404),
        (CHAT, "broke", 402),
        (CHAT, "tester", 200),
    ],
    ids=["wrong key", "unknown endpoint", "unknown upstream", "no budget", "allowed"],
)
def test_a_slow_body_does_not_break_the_next_request(server, keys, path, agent, status):
    """A body that comes behind its head, as from every client that writes the two one after the other."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bailiwick\r\nContent-Type: application/json\r\n"
        f"Authorization: Bearer {keys.get(agent, 'bwk_wrong')}\r\nContent-Length: {len(BODY)}\r\n\r\n"
    ).encode()
    host, port = server.agents_url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=10) as connection:
        connection.sendall(head)
        # A server may answer before it has the body, or wait for it.
        if readable(connection):
            first = reply_on(connection)
            assert first.will_close or not readable(connection), "closed, and it did not say so"
            connection.sendall(BODY)
        else:
            connection.sendall(BODY)
            first = reply_on(connection)
        assert first.status == status
        if not first.will_close:
            connection.sendall(head + BODY)
            assert reply_on(connection).status == status


def readable(connection) -> bool:
    """Whether something comes, be it the end. It comes at once or not at all."""
    return bool(select.select([connection], [], [], 0.2)[0])


def reply_on(connection) -> HTTPResponse:
    reply = HTTPResponse(connection, method="POST")
    reply.begin()
    reply.read()
    return reply
