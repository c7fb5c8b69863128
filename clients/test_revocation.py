"""Revoking a key bites on the next request, and on the one that is running."""

import openai
import pytest
from openai import OpenAI

from denials import assert_denied_once
from harness import scripted

MESSAGES = [{"role": "user", "content": "What is a bailiwick?"}]


def test_the_next_request_is_refused_and_the_running_one_ends(act_as, server, trail, monkeypatch):
    act_as("tester")
    issued = server.issue("tester")
    monkeypatch.setenv("OPENAI_API_KEY", issued["key"])
    with OpenAI() as client:
        stream = client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=True, extra_headers=scripted("hang-after=4")
        )
        next(stream)
        server.run("key", "revoke", issued["id"])
        with pytest.raises(openai.APIError) as caught:
            list(stream)
        assert caught.value.code == "revoked"
        (call,) = trail.wait_until_finished()
        assert call["finished"] == "client_gone"
        intent, outcome = trail.attempt()
        assert outcome["status"] == "revoked"
        assert outcome["cost"] == intent["hold"]

        with pytest.raises(openai.AuthenticationError) as caught:
            client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert caught.value.code == "revoked_credential"
    assert len(trail.calls()) == 1


def test_other_keys_of_the_agent_go_on(act_as, server, trail):
    server.run("key", "revoke", server.issue("tester")["id"])
    act_as("tester")
    with OpenAI() as client:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert trail.attempt().outcome["status"] == "ok"


def test_a_narrowed_key_stays_narrow(act_as, server, trail, monkeypatch):
    act_as("tester")
    monkeypatch.setenv("OPENAI_API_KEY", server.key("tester", "--model", "gpt-4o-mini"))
    with OpenAI() as client, pytest.raises(openai.PermissionDeniedError) as caught:
        client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert caught.value.code == "credential_scope"
    assert_denied_once(caught.value, "credential_scope", trail, "tester")
