"""OpenAI's Python SDK: a refusal is its own exception with our reason in it, and is not tried again."""

import openai
import pytest
from openai import AsyncOpenAI, OpenAI

from denials import assert_denied_once
from harness import scripted

MESSAGES = [{"role": "user", "content": "What is a bailiwick?"}]

# Who, what they ask for, what they get.
DENIALS = {
    "forbidden model": ("narrow", {"model": "gpt-4o"}, openai.PermissionDeniedError, 403, "policy_denied"),
    "no budget": ("broke", {"model": "gpt-4o-mini"}, openai.APIStatusError, 402, "budget_exhausted"),
    "no price": ("tester", {"model": "gpt-unheard-of"}, openai.PermissionDeniedError, 403, "unpriced_model"),
    "no bound": (
        "tester",
        {"model": "gpt-4o-mini", "extra_body": {"web_search_options": {}}},
        openai.PermissionDeniedError,
        403,
        "unbounded_feature",
    ),
    "not understood": ("tester", {"model": "gpt-4o-mini", "n": 0}, openai.BadRequestError, 400, "invalid_request"),
}


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("case", DENIALS.values(), ids=DENIALS)
def test_a_denial(act_as, trail, case, stream):
    agent, request, kind, status, reason = case
    act_as(agent)
    with OpenAI() as client, pytest.raises(kind) as caught:
        client.chat.completions.create(messages=MESSAGES, stream=stream, **request)
    error = caught.value
    assert type(error) is kind
    assert error.status_code == status
    assert error.code == reason
    assert error.body["code"] == reason
    assert error.body["message"] in str(error)
    assert_denied_once(error, reason, trail, agent)


async def test_a_denial_of_the_async_client(act_as, trail):
    act_as("narrow")
    async with AsyncOpenAI() as client:
        with pytest.raises(openai.PermissionDeniedError) as caught:
            await client.chat.completions.create(model="gpt-4o", messages=MESSAGES)
    assert caught.value.code == "policy_denied"
    assert_denied_once(caught.value, "policy_denied", trail, "narrow")


def test_an_exhausted_budget_says_what_is_left(act_as, trail):
    act_as("broke")
    with OpenAI() as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert "0.000001 USD" in caught.value.message
    assert caught.value.response.headers["bailiwick-budget-remaining-usd"] == "0.000001"
    (denial,) = trail.denials()
    assert denial["over"]["limit"] == 1000
    assert denial["over"]["asked"] > 1000


@pytest.mark.parametrize("key", ["bwk_not-one-of-ours", "sk-somebody-elses"])
def test_a_wrong_key(act_as, trail, monkeypatch, key):
    act_as("tester")
    monkeypatch.setenv("OPENAI_API_KEY", key)
    with OpenAI() as client, pytest.raises(openai.AuthenticationError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert caught.value.code == "invalid_credential"
    assert key not in str(caught.value)
    assert_denied_once(caught.value, "invalid_credential", trail, "", recorded=False)


@pytest.mark.parametrize(
    "ask",
    [
        lambda client: client.files.list(),
        lambda client: client.batches.list(),
        lambda client: client.responses.retrieve("resp_1"),
    ],
    ids=["files", "batches", "a stored response"],
)
def test_an_endpoint_that_is_not_governed(act_as, trail, ask):
    act_as("tester")
    with OpenAI() as client, pytest.raises(openai.NotFoundError) as caught:
        ask(client)
    assert caught.value.code == "unknown_endpoint"
    assert_denied_once(caught.value, "unknown_endpoint", trail, "tester")


def test_an_upstream_that_is_not_there(act_as, trail, server, monkeypatch):
    act_as("tester")
    monkeypatch.setenv("OPENAI_BASE_URL", f"{server.agents_url}/nowhere/v1")
    with OpenAI() as client, pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES)
    assert caught.value.code == "unknown_upstream"
    assert_denied_once(caught.value, "unknown_upstream", trail, "tester")


def test_a_request_that_is_too_large(act_as, trail):
    act_as("tester")
    huge = [{"role": "user", "content": "x" * (33 << 20)}]
    with OpenAI() as client, pytest.raises(openai.APIStatusError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=huge)
    assert (caught.value.status_code, caught.value.code) == (413, "request_too_large")
    assert_denied_once(caught.value, "request_too_large", trail, "tester")


def test_the_providers_rate_limit_is_retried_as_ever(act_as, trail):
    """What is not a refusal is the provider's word and the SDK's business: each try is governed on its own."""
    act_as("tester")
    with OpenAI() as client, pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers=scripted("status=429"))
    assert caught.value.response.headers["bailiwick-decision"] == "allow"
    assert caught.value.response.request.headers["x-stainless-retry-count"] == "2"
    attempts = trail.attempts()
    assert [(attempt.outcome["status"], attempt.outcome["http"]) for attempt in attempts] == [
        ("upstream_error", 429)
    ] * 3
    assert [attempt.outcome["cost"] for attempt in attempts] == [0, 0, 0]
    assert len(trail.calls()) == 3


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_the_providers_failure(act_as, trail, stream):
    act_as("tester")
    with OpenAI(max_retries=0) as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(
            model="gpt-4o-mini", messages=MESSAGES, stream=stream, extra_headers=scripted("status=500")
        )
    assert caught.value.status_code == 500
    assert caught.value.response.headers["bailiwick-decision"] == "allow"
    outcome = trail.attempt().outcome
    assert (outcome["status"], outcome["http"], outcome["cost"]) == ("upstream_error", 500, 0)


def test_a_provider_that_goes_away(act_as, trail):
    act_as("tester")
    with OpenAI(max_retries=0) as client, pytest.raises(openai.InternalServerError) as caught:
        client.chat.completions.create(model="gpt-4o-mini", messages=MESSAGES, extra_headers=scripted("cut-after=1"))
    assert (caught.value.status_code, caught.value.code) == (502, "upstream_broken")
    assert caught.value.response.headers["x-should-retry"] == "true"
    intent, outcome = trail.attempt()
    assert outcome["status"] == "broken"
    assert outcome["cost"] == intent["hold"], "what it used is not known"
