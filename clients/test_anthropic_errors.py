"""Anthropic's Python SDK: a refusal is its own exception with our reason in it, and is not tried again."""

import anthropic
import pytest
from anthropic import Anthropic, AsyncAnthropic

from denials import assert_denied_once
from harness import scripted

QUESTION = {"max_tokens": 100, "messages": [{"role": "user", "content": "What is a bailiwick?"}]}

# Who, which model, what they get.
DENIALS = {
    "forbidden model": (
        "narrow",
        "claude-sonnet-5",
        anthropic.PermissionDeniedError,
        403,
        "policy_denied",
        "permission_error",
    ),
    "no budget": (
        "broke",
        "claude-haiku-4-5",
        anthropic.PaymentRequiredError,
        402,
        "budget_exhausted",
        "billing_error",
    ),
    "no price": (
        "tester",
        "claude-unheard-of",
        anthropic.PermissionDeniedError,
        403,
        "unpriced_model",
        "permission_error",
    ),
}


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
@pytest.mark.parametrize("case", DENIALS.values(), ids=DENIALS)
def test_a_denial(act_as, trail, case, stream):
    agent, model, kind, status, reason, shape = case
    act_as(agent)
    with Anthropic() as client, pytest.raises(kind) as caught:
        client.messages.create(model=model, stream=stream, **QUESTION)
    error = caught.value
    assert type(error) is kind
    assert error.status_code == status
    assert error.type == shape
    # The body has no field for a code of ours.
    assert error.body["error"]["message"].startswith(f"{reason}: ")
    assert reason in str(error)
    assert_denied_once(error, reason, trail, agent)


async def test_a_denial_of_the_async_client(act_as, trail):
    act_as("narrow")
    async with AsyncAnthropic() as client:
        with pytest.raises(anthropic.PermissionDeniedError) as caught:
            await client.messages.create(model="claude-sonnet-5", **QUESTION)
    assert_denied_once(caught.value, "policy_denied", trail, "narrow")


def test_a_denial_in_the_stream_helper(act_as, trail):
    act_as("broke")
    with Anthropic() as client, pytest.raises(anthropic.PaymentRequiredError) as caught:
        with client.messages.stream(model="claude-haiku-4-5", **QUESTION):
            pytest.fail("nothing comes")
    assert caught.value.status_code == 402
    assert_denied_once(caught.value, "budget_exhausted", trail, "broke")


def test_a_wrong_key(act_as, trail, monkeypatch):
    act_as("tester")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-somebody-elses")
    with Anthropic() as client, pytest.raises(anthropic.AuthenticationError) as caught:
        client.messages.create(model="claude-haiku-4-5", **QUESTION)
    assert caught.value.body["error"]["message"].startswith("invalid_credential: ")
    assert "sk-ant-somebody-elses" not in str(caught.value)
    assert_denied_once(caught.value, "invalid_credential", trail, "", recorded=False)


def test_an_endpoint_that_is_not_governed(act_as, trail):
    act_as("tester")
    with Anthropic() as client, pytest.raises(anthropic.NotFoundError) as caught:
        client.messages.batches.list()
    assert caught.value.body["error"]["message"].startswith("unknown_endpoint: ")
    assert_denied_once(caught.value, "unknown_endpoint", trail, "tester")


@pytest.mark.parametrize(
    "status, kind",
    [(429, anthropic.RateLimitError), (500, anthropic.InternalServerError), (529, anthropic.InternalServerError)],
)
def test_the_providers_own_errors(act_as, trail, status, kind):
    act_as("tester")
    with Anthropic(max_retries=0) as client, pytest.raises(kind) as caught:
        client.messages.create(model="claude-haiku-4-5", extra_headers=scripted(f"status={status}"), **QUESTION)
    assert caught.value.status_code == status
    assert caught.value.response.headers["bailiwick-decision"] == "allow"
    outcome = trail.attempt().outcome
    assert (outcome["status"], outcome["http"], outcome["cost"]) == ("upstream_error", status, 0)
