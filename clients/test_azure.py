"""Azure's own client, unmodified: another endpoint and key, and nothing else."""

import pytest
from openai import AzureOpenAI, NotFoundError, PermissionDeniedError

import harness
from harness import UPSTREAM_KEYS

QUESTION = [{"role": "user", "content": "What is a bailiwick?"}]
VERSION = "2024-10-21"


@pytest.fixture(scope="module")
def server(start):
    return start(agents={"mover": harness.agent("mover", limit="100 USD", per="total")}, policies=POLICIES, upstreams=AZURE)


POLICIES = {
    "mover": '@id("mover") permit (principal == Agent::"mover", action in Action::"llm:use", resource)\n'
    '  unless { resource has name && resource.name == "gpt-4o" };'
}

AZURE = """
[upstreams.azure]
preset = "azure"
base_url = "FAKE"
api_key = { env = "OPENAI_API_KEY" }
models = { "gpt-4o-mini" = "my-deployment", "whisper-1" = "ears" }

[upstreams.foundry]
preset = "azure-v1"
base_url = "FAKE"
api_key = { env = "OPENAI_API_KEY" }
models = { "gpt-4o-mini" = "my-deployment" }
"""


@pytest.fixture(scope="module")
def keys(server):
    return {"mover": server.key("mover")}


@pytest.fixture(params=["azure", "foundry"])
def upstream(request):
    return request.param


def client(server, keys, upstream, **more) -> AzureOpenAI:
    return AzureOpenAI(
        azure_endpoint=f"{server.agents_url}/{upstream}", api_key=keys["mover"], api_version="2024-06-01", **more
    )


def sent(trail) -> dict:
    """The only call that the provider saw: with the operator's key, in Azure's header and no other."""
    (call,) = trail.wait_until_finished()
    headers = dict(call["headers"])
    assert headers["api-key"] == UPSTREAM_KEYS["OPENAI_API_KEY"]
    assert "authorization" not in headers
    assert call["model"] == "my-deployment"
    return call


def path(upstream: str, operation: str) -> str:
    if upstream == "foundry":
        return f"/openai/v1/{operation}"
    return f"/openai/deployments/my-deployment/{operation}?api-version={VERSION}"


def check(trail, upstream):
    call = sent(trail)
    assert call["path"] == path(upstream, "chat/completions")
    intent, outcome = trail.attempt()
    assert (intent["action"]["upstream"], intent["action"]["model"]) == (upstream, "gpt-4o-mini")
    assert (outcome["status"], outcome["source"]) == ("ok", "provider")
    assert outcome["usage"] == call["billed"] and outcome["cost"] > 0


def test_a_call(server, keys, trail, upstream):
    with client(server, keys, upstream) as azure:
        reply = azure.chat.completions.create(model="gpt-4o-mini", messages=QUESTION)
    assert reply.choices[0].message.content
    check(trail, upstream)


def test_a_stream(server, keys, trail, upstream):
    with client(server, keys, upstream) as azure:
        chunks = list(azure.chat.completions.create(model="gpt-4o-mini", messages=QUESTION, stream=True))
    assert chunks[-1].choices[0].finish_reason
    check(trail, upstream)


def test_a_deployment_that_the_client_is_made_for(server, keys, trail, upstream):
    """Such a client writes its deployment into every path; the model is then the label that its user likes."""
    with client(server, keys, upstream, azure_deployment="my-deployment") as azure:
        azure.chat.completions.create(model="the small one", messages=QUESTION)
    check(trail, upstream)


def test_what_policy_denies(server, keys, trail, upstream):
    with client(server, keys, upstream) as azure, pytest.raises(PermissionDeniedError) as denied:
        azure.chat.completions.create(model="gpt-4o", messages=QUESTION)
    assert denied.value.code == "policy_denied"
    assert trail.calls() == []


def test_what_is_not_governed(server, keys, trail, upstream):
    with client(server, keys, upstream) as azure:
        for ask in (azure.files.list, azure.batches.list, azure.fine_tuning.jobs.list):
            with pytest.raises(NotFoundError) as refused:
                ask()
            assert '"/openai/' in refused.value.message and "is not a governed endpoint" in refused.value.message
    assert trail.calls() == []
