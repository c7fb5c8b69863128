"""Anthropic's Python SDK: an agent's loop of tool use, result and answer."""

import pytest
from anthropic import Anthropic

TOOLS = [
    {
        "name": "weather",
        "description": "What the weather is like",
        "input_schema": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
            "required": ["city", "days"],
        },
    }
]
QUESTION = {"role": "user", "content": "What will the weather be like in Zürich?"}


@pytest.fixture
def client(act_as):
    act_as("tester")
    with Anthropic() as client:
        yield client


def whole(client, messages):
    return client.messages.create(model="claude-haiku-4-5", max_tokens=200, messages=messages, tools=TOOLS)


def streamed(client, messages):
    with client.messages.stream(model="claude-haiku-4-5", max_tokens=200, messages=messages, tools=TOOLS) as stream:
        return stream.get_final_message()


@pytest.mark.parametrize("ask", [whole, streamed])
def test_the_loop_ends_with_an_answer(client, trail, ask):
    reply = ask(client, [QUESTION])
    assert reply.stop_reason == "tool_use"
    (use,) = reply.content
    assert (use.type, use.name, use.input) == ("tool_use", "weather", {"city": "example", "days": 1})

    said = {"role": "assistant", "content": [{"type": "tool_use", "id": use.id, "name": use.name, "input": use.input}]}
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": use.id, "content": "clear"}]}
    answer = ask(client, [QUESTION, said, result])
    assert answer.stop_reason == "end_turn"
    assert answer.content[0].text.startswith("An agent with a budget")

    attempts = trail.attempts()
    assert [attempt.outcome["status"] for attempt in attempts] == ["ok", "ok"]
    assert [attempt.outcome["usage"] for attempt in attempts] == [call["billed"] for call in trail.calls()]
