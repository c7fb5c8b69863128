"""Every endpoint of OpenAI's and Anthropic's SDKs besides chat and messages: unmodified, metered, and settled."""

import json

import pytest
from anthropic import Anthropic
from openai import OpenAI, PermissionDeniedError

import harness
import prices
from harness import scripted

SOUND = ("question.mp3", b"\0" * 40_000, "audio/mpeg")


@pytest.fixture(scope="module")
def server(start):
    return start(
        agents={agent: harness.agent(agent, limit="100 USD", per="total") for agent in ("maker", "writer")},
        policies={
            "maker": '@id("maker") permit (principal == Agent::"maker", action in Action::"llm:use", resource);',
            # It may generate and nothing else.
            "writer": harness.permit("writer"),
        },
    )


@pytest.fixture(scope="module")
def keys(server):
    return {agent: server.key(agent) for agent in ("maker", "writer")}


@pytest.fixture
def client(act_as):
    act_as("maker")
    with OpenAI() as client:
        yield client


def settled(trail, action: str, model: str) -> dict:
    """The outcome of the only call, which must have been booked as the provider bills it."""
    (call,) = trail.wait_until_finished()
    intent, outcome = trail.attempt()
    assert (intent["action"]["name"], intent["action"].get("model", "")) == (action, model)
    assert (outcome["status"], outcome["source"]) == ("ok", "provider")
    assert outcome["usage"] == call["billed"]
    return outcome


def of_text(outcome: dict, model: str) -> int:
    return prices.nano_usd(prices.of_model(model), outcome["usage"])


QUESTION = {"model": "gpt-4o-mini", "input": "What is a bailiwick?"}


def test_a_response(client, trail):
    reply = client.responses.create(**QUESTION, max_output_tokens=30)
    assert reply.output_text.startswith("An agent with a budget")
    assert (reply.status, reply.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    outcome = settled(trail, "llm:generate", "gpt-4o-mini")
    assert outcome["provider_id"] == reply.id
    assert outcome["usage"]["output"] == reply.usage.output_tokens == 30
    assert outcome["cost"] == of_text(outcome, "gpt-4o-mini")


def test_a_response_as_a_stream(client, trail):
    events = list(client.responses.create(**QUESTION, stream=True, extra_headers=scripted("cached=2")))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    assert text == events[-1].response.output_text
    outcome = settled(trail, "llm:generate", "gpt-4o-mini")
    assert outcome["usage"]["cache_read"] == events[-1].response.usage.input_tokens_details.cached_tokens == 2
    assert outcome["cost"] == of_text(outcome, "gpt-4o-mini")


def test_the_stream_helper_and_a_tool(client, trail):
    tool = {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
        "strict": False,
    }
    with client.responses.stream(**QUESTION, tools=[tool]) as stream:
        kinds = {event.type for event in stream}
        reply = stream.get_final_response()
    assert "response.function_call_arguments.delta" in kinds
    (call,) = reply.output
    assert (call.type, json.loads(call.arguments)) == ("function_call", {"city": "example"})
    settled(trail, "llm:generate", "gpt-4o-mini")


@pytest.mark.parametrize("stream", [False, True], ids=["json", "stream"])
def test_a_text_completion(client, trail, stream):
    reply = client.completions.create(model="gpt-4o-mini", prompt="Once upon a time", max_tokens=9, stream=stream)
    chunks = list(reply) if stream else [reply]
    assert "".join(chunk.choices[0].text for chunk in chunks).startswith("An agent with a budget")
    outcome = settled(trail, "llm:generate", "gpt-4o-mini")
    assert outcome["usage"]["output"] == 9
    assert outcome["cost"] == of_text(outcome, "gpt-4o-mini")


@pytest.mark.parametrize("more", [{}, {"encoding_format": "float"}], ids=["base64", "float"])
def test_embeddings(client, trail, more):
    model = "text-embedding-3-small"
    reply = client.embeddings.create(model=model, input=["one text", "and another"], dimensions=64, **more)
    assert [len(item.embedding) for item in reply.data] == [64, 64]
    assert sum(number * number for number in reply.data[0].embedding) == pytest.approx(1, abs=1e-4)
    outcome = settled(trail, "llm:embed", model)
    assert outcome["usage"]["input"] == reply.usage.prompt_tokens
    assert outcome["cost"] == of_text(outcome, model) > 0


def test_a_moderation_is_free(client, trail):
    reply = client.moderations.create(input="Nothing bad.")
    assert reply.results[0].flagged is False
    assert settled(trail, "llm:moderate", "")["cost"] == 0


def test_pictures(client, trail):
    reply = client.images.generate(model="gpt-image-1", prompt="A bailiwick", n=2, quality="low", size="1024x1024")
    assert [item.b64_json[:11] for item in reply.data] == ["iVBORw0KGgo"] * 2
    assert reply.usage.output_tokens == 544
    outcome = settled(trail, "llm:image", "gpt-image-1")
    # 3 tokens of text at $5 and 544 of pictures at $40 a million.
    assert outcome["cost"] == 3 * 5_000 + 544 * 40_000


def test_speech(client, trail):
    reply = client.audio.speech.create(model="tts-1", input="Grüße", voice="alloy")
    assert reply.response.headers["content-type"] == "audio/mpeg"
    assert reply.content.startswith(b"\xff\xfb")
    # 5 characters at $15 a million.
    assert settled(trail, "llm:speech", "tts-1")["cost"] == 5 * 15_000


def test_speech_as_it_comes(client, trail):
    with client.audio.speech.with_streaming_response.create(model="tts-1", input="Hello", voice="alloy") as reply:
        assert b"".join(reply.iter_bytes()).startswith(b"\xff\xfb")
    assert settled(trail, "llm:speech", "tts-1")["cost"] == 5 * 15_000


@pytest.mark.parametrize(
    ("model", "usage", "cost"),
    [
        # 3 seconds: 30 tokens heard at $2.50, 9 written at $10 a million; or $0.006 a minute.
        ("gpt-4o-transcribe", "tokens", 30 * 2_500 + 9 * 10_000),
        ("whisper-1", "duration", 3 * 100_000),
    ],
)
def test_a_transcription(client, trail, model, usage, cost):
    reply = client.audio.transcriptions.create(model=model, file=SOUND)
    assert reply.text.startswith("An agent with a budget")
    assert reply.usage.type == usage
    assert settled(trail, "llm:transcribe", model)["cost"] == cost


# The first bytes are all that the provider looks at, if that.
PICTURE = ("picture.png", b"\x89PNG\r\n\x1a\n", "image/png")
# 3 tokens of text at $5, 194 of the picture sent at $10 and 272 of the one made at $40 a million.
EDITED = 3 * 5_000 + 194 * 10_000 + 272 * 40_000


def test_a_picture_in_steps(client, trail):
    events = list(
        client.images.generate(
            model="gpt-image-1", prompt="A bailiwick", quality="low", stream=True, partial_images=2
        )
    )
    assert [event.type for event in events] == ["image_generation.partial_image"] * 2 + ["image_generation.completed"]
    assert events[-1].b64_json.startswith("iVBORw0KGgo")
    assert events[-1].usage.output_tokens == 472
    outcome = settled(trail, "llm:image", "gpt-image-1")
    # A partial picture is 100 tokens more.
    assert outcome["cost"] == 3 * 5_000 + (272 + 200) * 40_000


def test_a_picture_edited(client, trail):
    reply = client.images.edit(model="gpt-image-1", image=PICTURE, prompt="A bailiwick", quality="low")
    assert reply.usage.input_tokens_details.image_tokens == 194
    assert settled(trail, "llm:image", "gpt-image-1")["cost"] == EDITED


def test_a_picture_edited_in_steps(client, trail):
    events = list(
        client.images.edit(
            model="gpt-image-1", image=[PICTURE], prompt="A bailiwick", quality="low", stream=True, partial_images=1
        )
    )
    assert [event.type for event in events] == ["image_edit.partial_image", "image_edit.completed"]
    assert settled(trail, "llm:image", "gpt-image-1")["cost"] == EDITED + 100 * 40_000


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_variation_has_no_price(client, trail):
    """The shipped catalogue has no price for the only model that makes them, so an operator has to give one."""
    with pytest.raises(PermissionDeniedError) as denied:
        client.images.create_variation(model="dall-e-2", image=PICTURE)
    assert denied.value.code == "unpriced_model"
    assert trail.calls() == []


def test_speech_in_steps(client, trail):
    """The SDK hands events of speech over as lines: it has no type for them."""
    with client.audio.speech.with_streaming_response.create(
        model="gpt-4o-mini-tts", input="Hello there, all of you", voice="alloy", stream_format="sse"
    ) as reply:
        assert reply.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in reply.iter_lines() if line.startswith("data: ")]
    assert [event["type"] for event in events] == ["speech.audio.delta"] * 4 + ["speech.audio.done"]
    outcome = settled(trail, "llm:speech", "gpt-4o-mini-tts")
    assert events[-1]["usage"]["output_tokens"] == outcome["usage"]["audio_output"] == 23
    # 6 tokens of text at $0.60 and 23 of sound at $12 a million.
    assert outcome["cost"] == 6 * 600 + 23 * 12_000


def test_a_transcription_in_steps(client, trail):
    events = list(client.audio.transcriptions.create(model="gpt-4o-transcribe", file=SOUND, stream=True))
    assert events[-1].type == "transcript.text.done"
    assert "".join(event.delta for event in events[:-1]) == events[-1].text
    assert events[-1].usage.output_tokens == 9
    assert settled(trail, "llm:transcribe", "gpt-4o-transcribe")["cost"] == 30 * 2_500 + 9 * 10_000


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_a_translation_books_its_hold(client, trail):
    """By OpenAI's reference a translation tells no usage."""
    reply = client.audio.translations.create(model="whisper-1", file=SOUND)
    assert reply.text.startswith("An agent with a budget")
    (call,) = trail.wait_until_finished()
    intent, outcome = trail.attempt()
    assert (outcome["status"], outcome["source"]) == ("ok", "hold")
    # 3 seconds at $0.006 a minute is what the provider bills.
    assert call["billed"]["audio_ms"] == 3_000
    assert outcome["cost"] == intent["hold"] >= 3 * 100_000


def test_models(client, trail):
    assert "gpt-4o-mini" in {model.id for model in client.models.list()}
    assert settled(trail, "llm:list", "")["cost"] == 0


def test_one_model(client, trail):
    assert client.models.retrieve("gpt-4o-mini").id == "gpt-4o-mini"
    assert settled(trail, "llm:list", "gpt-4o-mini")["cost"] == 0


def test_tokens_are_counted_for_nothing(act_as, trail):
    act_as("maker")
    question = [{"role": "user", "content": "What is a bailiwick?"}]
    with Anthropic() as client:
        assert client.messages.count_tokens(model="claude-haiku-4-5", messages=question).input_tokens == 8
    assert settled(trail, "llm:count", "claude-haiku-4-5")["cost"] == 0


def test_anthropics_models(act_as, trail):
    act_as("maker")
    with Anthropic() as client:
        assert "claude-haiku-4-5" in {model.id for model in client.models.list()}
    assert settled(trail, "llm:list", "")["cost"] == 0


ASKS = {
    "llm:embed": lambda client: client.embeddings.create(model="text-embedding-3-small", input="a"),
    "llm:moderate": lambda client: client.moderations.create(input="a"),
    "llm:image": lambda client: client.images.generate(model="gpt-image-1", prompt="a"),
    "llm:speech": lambda client: client.audio.speech.create(model="tts-1", input="a", voice="alloy"),
    "llm:transcribe": lambda client: client.audio.transcriptions.create(model="whisper-1", file=SOUND),
    "llm:list": lambda client: client.models.list(),
}


@pytest.mark.parametrize("action", ASKS)
def test_each_action_needs_its_permit(act_as, trail, action):
    act_as("writer")
    with OpenAI() as client, pytest.raises(PermissionDeniedError) as denied:
        ASKS[action](client)
    assert denied.value.code == "policy_denied"
    (denial,) = trail.denials()
    assert denial["action"]["name"] == action
    assert trail.calls() == []
