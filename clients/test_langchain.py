"""LangChain's ChatOpenAI, which brings its own idea of streaming and of tools."""

import openai
import pytest
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI

from denials import assert_denied_once

QUESTION = "What is a bailiwick?"


@pytest.fixture
def chat(act_as):
    act_as("tester")
    return ChatOpenAI(model="gpt-4o-mini")


def weather(city: str) -> str:
    """What the weather is like in a city."""
    return f"clear in {city}"


def test_invoke(chat, trail):
    reply = chat.invoke(QUESTION)
    assert reply.content.startswith("An agent with a budget")
    (call,) = trail.calls()
    assert reply.usage_metadata["output_tokens"] == call["billed"]["output"]
    assert trail.attempt().outcome["provider_id"] == reply.response_metadata["id"]


async def test_ainvoke(chat, trail):
    reply = await chat.ainvoke(QUESTION)
    assert reply.content.startswith("An agent with a budget")
    assert trail.attempt().outcome["status"] == "ok"


@pytest.mark.parametrize("usage", [None, True, False], ids=["default", "usage", "no usage"])
def test_stream(act_as, trail, usage):
    act_as("tester")
    chat = ChatOpenAI(model="gpt-4o-mini", stream_usage=usage)
    pieces = list(chat.stream(QUESTION))
    whole = pieces[0]
    for piece in pieces[1:]:
        whole += piece
    assert whole.content.startswith("An agent with a budget")
    assert len(pieces) > 10
    assert (whole.usage_metadata is not None) == bool(usage)
    assert trail.attempt().outcome["source"] == "provider"


def test_tools(chat, trail):
    with_tools = chat.bind_tools([weather])
    question = HumanMessage(QUESTION)
    asked = with_tools.invoke([question])
    (call,) = asked.tool_calls
    assert (call["name"], call["args"]) == ("weather", {"city": "example"})
    answer = with_tools.invoke([question, asked, ToolMessage(weather(**call["args"]), tool_call_id=call["id"])])
    assert answer.content.startswith("An agent with a budget")
    assert [attempt.outcome["status"] for attempt in trail.attempts()] == ["ok", "ok"]


@pytest.mark.parametrize(
    "agent, model, kind, reason",
    [
        ("narrow", "gpt-4o", openai.PermissionDeniedError, "policy_denied"),
        ("broke", "gpt-4o-mini", openai.APIStatusError, "budget_exhausted"),
    ],
)
@pytest.mark.parametrize(
    "ask", [lambda chat: chat.invoke(QUESTION), lambda chat: list(chat.stream(QUESTION))], ids=["invoke", "stream"]
)
def test_a_denial(act_as, trail, agent, model, kind, reason, ask):
    act_as(agent)
    with pytest.raises(kind) as caught:
        ask(ChatOpenAI(model=model))
    assert caught.value.code == reason
    assert_denied_once(caught.value, reason, trail, agent)
