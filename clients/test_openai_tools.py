"""OpenAI's Python SDK: an agent's loop of tool call, result and answer."""

import json

import pytest
from openai import OpenAI

TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "What the weather is like",
            "parameters": {
                "type": "object",
                "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
                "required": ["city", "days"],
                "additionalProperties": False,
            },
        },
    }
]
QUESTION = {"role": "user", "content": "What will the weather be like in Zürich?"}


@pytest.fixture
def client(act_as):
    act_as("tester")
    with OpenAI() as client:
        yield client


def whole(client, messages):
    return client.chat.completions.create(model="gpt-4o-mini", messages=messages, tools=TOOLS).choices[0]


def streamed(client, messages):
    with client.chat.completions.stream(model="gpt-4o-mini", messages=messages, tools=TOOLS) as stream:
        return stream.get_final_completion().choices[0]


@pytest.mark.parametrize("ask", [whole, streamed])
def test_the_loop_ends_with_an_answer(client, trail, ask):
    choice = ask(client, [QUESTION])
    assert choice.finish_reason == "tool_calls"
    (call,) = choice.message.tool_calls
    assert call.function.name == "weather"
    assert json.loads(call.function.arguments) == {"city": "example", "days": 1}

    said = {
        "role": "assistant",
        "tool_calls": [
            {"id": call.id, "type": "function", "function": {"name": "weather", "arguments": call.function.arguments}}
        ],
    }
    result = {"role": "tool", "tool_call_id": call.id, "content": '{"sky":"clear"}'}
    answer = ask(client, [QUESTION, said, result])
    assert answer.finish_reason == "stop"
    assert answer.message.content.startswith("An agent with a budget")

    attempts = trail.attempts()
    assert [attempt.outcome["status"] for attempt in attempts] == ["ok", "ok"]
    assert [attempt.outcome["usage"] for attempt in attempts] == [call["billed"] for call in trail.calls()]


def test_a_tool_call_arrives_in_pieces(client):
    pieces = []
    for chunk in client.chat.completions.create(model="gpt-4o-mini", messages=[QUESTION], tools=TOOLS, stream=True):
        pieces += chunk.choices[0].delta.tool_calls or []
    assert pieces[0].function.name == "weather"
    assert len(pieces) > 3, "the arguments come as the provider sends them"
    assert json.loads("".join(piece.function.arguments for piece in pieces)) == {"city": "example", "days": 1}
