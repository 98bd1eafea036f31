"""Requests beyond text, to an engine that has every skill, one that has none, and some that lie."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import httpx
import openai
import pytest

from hwval.capability.embedding import SAME_COSINE
from hwval.capability.embedding import TEXTS
from hwval.capability.embedding import lowest_cosine
from hwval.capability.embedding import trouble_with as trouble_with_vectors
from hwval.capability.likeness import unlikeness
from hwval.capability.picture import COLOURS
from hwval.capability.picture import SHAPES
from hwval.capability.skills import Skills
from hwval.capability.skills import ToolCall
from hwval.capability.sound import OTHER_TONE_HZ
from hwval.capability.sound import TONE_HZ
from hwval.capability.sound import trouble_with as trouble_with_sound
from hwval.capability.structured import CITY
from hwval.capability.structured import TOOL_NAME
from hwval.capability.structured import trouble_with as trouble_with_json
from hwval.client import openai_client
from hwval.engine.base import Endpoint
from hwval.errors import ResponseError
from tests.fakes.process import FakeEngineProcess
from tests.fakes.replies import client_hearing
from tests.fakes.scenario import SKILLS
from tests.fakes.skills import DIMENSION


@contextmanager
def asking(
    skills: tuple[str, ...] = SKILLS, lies: tuple[str, ...] = (), *, has_meaning: bool = True
) -> Iterator[Skills]:
    """Run a fake engine and give the means to ask it."""
    scenario = {"skills": skills, "lies": lies, "itl_s": 0}
    with FakeEngineProcess("fake", scenario, ["--max-model-len", "4096"]) as server:
        endpoint = Endpoint(server.base_url, str(server.api_key))
        with openai_client(endpoint, 10.0) as client:
            yield Skills(client, model="fake", has_meaning=has_meaning)


@pytest.fixture(scope="module")
def able() -> Iterator[Skills]:
    """An engine that can do everything."""
    with asking() as skills:
        yield skills


@pytest.fixture(scope="module")
def unable() -> Iterator[Skills]:
    """An engine that can do nothing but text."""
    with asking(skills=()) as skills:
        yield skills


def test_vectors_come_in_the_order_of_texts(able: Skills) -> None:
    """Alone, together and reversed they are the same."""
    vectors = able.embed(TEXTS)
    alone = [able.embed([text])[0] for text in TEXTS]

    assert trouble_with_vectors(vectors, dimension=DIMENSION, is_normalized=True) == ""
    assert lowest_cosine(vectors, alone) >= SAME_COSINE
    assert lowest_cosine(vectors, able.embed(TEXTS[::-1])[::-1]) >= SAME_COSINE


@pytest.mark.parametrize("lie", ["batch", "shuffled"])
def test_vectors_of_a_mixed_up_batch_are_caught(lie: str) -> None:
    """A text alone has another vector than among others."""
    with asking(lies=(lie,)) as skills:
        alone = [skills.embed([text])[0] for text in TEXTS]

        assert lowest_cosine(skills.embed(TEXTS), alone) < SAME_COSINE


def test_collapsed_vectors_are_caught() -> None:
    """One vector for everything is none."""
    with asking(lies=("alike",)) as skills:
        told = trouble_with_vectors(skills.embed(TEXTS), dimension=None, is_normalized=False)

        assert "all alike" in told


@pytest.mark.parametrize("colour", COLOURS)
def test_colour_is_seen(able: Skills, colour: str) -> None:
    """The picture arrives whole."""
    assert colour in able.name_colour("circle", colour)


@pytest.mark.parametrize("shape", SHAPES)
def test_shape_is_seen(able: Skills, shape: str) -> None:
    """Whatever its colour."""
    assert shape in able.name_shape(shape, "green")


def test_blind_model_names_no_colour() -> None:
    """It answers, and not to the picture."""
    with asking(lies=("blind",)) as skills:
        assert "red" not in skills.name_colour("circle", "red")


def test_another_picture_changes_the_answer(able: Skills) -> None:
    """And the same one does not; a blind model takes all for one."""
    circle, triangle = (able.read_picture(shape, "red") for shape in ("circle", "triangle"))

    assert unlikeness(circle, able.read_picture("circle", "red")) == 0
    assert unlikeness(circle, triangle) > 0
    with asking(lies=("blind",)) as skills:
        seen = [skills.read_picture(shape, "red") for shape in ("circle", "triangle")]
        assert unlikeness(*seen) == 0


def test_tone_is_heard_both_ways(able: Skills) -> None:
    """By chat and by the endpoint of transcriptions."""
    assert able.describe_tone() == "A tone of 440 Hz."
    assert able.transcribe_tone() == "A tone."


def test_another_tone_changes_the_answer(able: Skills) -> None:
    """And the same one does not; a deaf model takes all for one."""
    tone = able.hear_tone(TONE_HZ)

    assert unlikeness(tone, able.hear_tone(TONE_HZ)) == 0
    assert unlikeness(tone, able.hear_tone(OTHER_TONE_HZ)) > 0
    with asking(lies=("deaf",)) as skills:
        assert unlikeness(skills.hear_tone(TONE_HZ), skills.hear_tone(OTHER_TONE_HZ)) == 0


def test_voice_is_a_sound(able: Skills) -> None:
    """With and without a voice by name."""
    assert trouble_with_sound(able.speak(None)) == ""
    assert trouble_with_sound(able.speak("Cherry")) == ""


def test_voice_has_its_name_where_each_server_looks_for_it() -> None:
    """vLLM-Omni leaves the name inside ``audio`` unread, and answers by a choice of its own."""
    sent: dict[str, Any] = {}
    texts = SimpleNamespace(message=SimpleNamespace(content="Good morning.", audio=None))
    sound = SimpleNamespace(message=SimpleNamespace(audio=SimpleNamespace(data="UklGRg==")))

    def answer(**wishes: Any) -> Any:
        sent.update(wishes)
        return SimpleNamespace(choices=[texts, sound])

    client: Any = SimpleNamespace(chat=SimpleNamespace(completions=SimpleNamespace(create=answer)))
    assert Skills(client, model="m", has_meaning=True).speak("Chelsie") == b"RIFF"
    assert sent["audio"]["voice"] == sent["extra_body"]["speaker"] == "Chelsie"


def test_silent_voice_is_caught() -> None:
    """A file of zeros is no speech."""
    with asking(lies=("silent",)) as skills:
        assert "silent" in trouble_with_sound(skills.speak(None))


@pytest.mark.parametrize(
    "call",
    [Skills.call_named_tool, Skills.call_required_tool, Skills.call_tool],
    ids=["named", "required", "chosen"],
)
def test_tool_is_called(able: Skills, call: Callable[[Skills], ToolCall]) -> None:
    """With arguments that fit."""
    called = call(able)

    assert (called.name, called.finish_reason) == (TOOL_NAME, "tool_calls")
    assert trouble_with_json(called.arguments, is_call=True) == ""


@pytest.mark.parametrize("has_meaning", [True, False], ids=["real", "random"])
def test_schema_is_filled(*, has_meaning: bool) -> None:
    """Whether the answer is greedy or drawn."""
    with asking(has_meaning=has_meaning) as skills:
        filled = skills.fill_schema()

        assert trouble_with_json(filled.text) == ""
        assert CITY in filled.text
        assert not filled.is_cut


def test_values_outside_the_schema_are_caught() -> None:
    """In an answer as in a call."""
    with asking(lies=("schema",)) as skills:
        assert "-1 is less than" in trouble_with_json(skills.fill_schema().text)
        called = skills.call_named_tool()
        assert "-1 is less than" in trouble_with_json(called.arguments, is_call=True)


def test_missing_call_tells_what_came_instead() -> None:
    """An answer in words is no call."""
    with (
        asking(lies=("no-call",)) as skills,
        pytest.raises(ResponseError, match="0 came back") as told,
    ):
        skills.call_required_tool()
    assert str(told.value).startswith(
        "one call of weather_forecast was asked for (tool_choice: 'required'), and 0 came back "
        "(finish_reason stop, content '"
    )


def test_refused_call_tells_what_was_asked_and_what_may_help() -> None:
    """As vLLM answers that was started without the flags."""
    words = '{"error": {"message": "tool_choice=auto requires --tool-call-parser to be set"}}'

    with client_hearing(words, status=400) as client:
        skills = Skills(client, model="m", has_meaning=True, tools_hint="try a parser")
        with pytest.raises(openai.BadRequestError) as told:
            skills.call_named_tool()
    assert str(told.value).startswith(
        "one call of weather_forecast was asked for (tool_choice: that tool), and the server "
        "refused; try a parser: Error code: 400 - "
    )
    assert str(told.value).count("requires --tool-call-parser to be set") == 1


@pytest.mark.parametrize(
    ("ask", "words"),
    [
        pytest.param(lambda skills: skills.embed(TEXTS), "Not Found", id="embeddings"),
        pytest.param(lambda skills: skills.transcribe_tone(), "Not Found", id="transcription"),
        pytest.param(
            lambda skills: skills.describe_tone(), "fake is not a multimodal model", id="audio"
        ),
        pytest.param(
            lambda skills: skills.name_shape("circle", "red"),
            "fake is not a multimodal model",
            id="vision",
        ),
    ],
)
def test_refusal_carries_the_servers_words(
    unable: Skills, ask: Callable[[Skills], object], words: str
) -> None:
    """So that a promise that is refused says why."""
    with pytest.raises(openai.APIStatusError, match=words):
        ask(unable)


def test_silence_on_a_wish_is_told(unable: Skills) -> None:
    """A server that ignores what it does not know gives text, and no sound, call or JSON."""
    with pytest.raises(ResponseError, match="none of its choices has audio"):
        unable.speak(None)
    with pytest.raises(ResponseError, match="and 0 came back"):
        unable.call_named_tool()
    assert "is no JSON" in trouble_with_json(unable.fill_schema().text)


ODD_REPLIES = {
    "page": "<html>all is well</html>",
    "half": '{"choices": [',
    "nothing": "null",
    "no choices": "{}",
    "empty": '{"choices": [], "data": []}',
    "nulls": '{"choices": [null], "data": [null]}',
    "arguments": json.dumps(
        {
            "choices": [
                {
                    "message": {
                        "content": 5,
                        "tool_calls": [
                            {"type": "function", "function": {"name": TOOL_NAME, "arguments": {}}}
                        ],
                    }
                }
            ],
            "data": [{"index": 0, "embedding": ["x"]}],
            "text": 5,
        }
    ),
}


@pytest.mark.parametrize("reply", ODD_REPLIES.values(), ids=ODD_REPLIES.keys())
@pytest.mark.parametrize(
    "ask",
    [
        pytest.param(lambda skills: skills.embed(["a"]), id="vectors"),
        pytest.param(lambda skills: skills.call_named_tool().check(), id="tool"),
        pytest.param(lambda skills: skills.fill_schema(), id="schema"),
        pytest.param(lambda skills: skills.transcribe_tone(), id="transcription"),
        pytest.param(lambda skills: skills.describe_tone(), id="audio"),
    ],
)
def test_another_form_is_the_servers_fault(ask: Callable[[Skills], object], reply: str) -> None:
    """Status 200 with anything: a wrong answer, and no error of the lab's."""
    with client_hearing(reply) as client, pytest.raises(ResponseError):
        ask(Skills(client, model="m", has_meaning=True))


def _client(**answers: Any) -> Any:
    """A client whose server answers the same to every request."""
    vectors = SimpleNamespace(create=lambda **_: answers.get("vectors"))
    completions = SimpleNamespace(create=lambda **_: answers.get("chat"))
    return SimpleNamespace(embeddings=vectors, chat=SimpleNamespace(completions=completions))


def test_null_in_a_vector_is_no_number() -> None:
    """So that the answer is judged wrong, and does not break the judge."""
    vectors = [SimpleNamespace(index=n, embedding=[1.0, None]) for n in (0, 1)]
    client = _client(vectors=SimpleNamespace(data=vectors))
    found = Skills(client, model="m", has_meaning=True).embed(["a", "b"])

    assert math.isnan(found[0][1])
    assert "length nan" in trouble_with_vectors(found, dimension=2, is_normalized=False)


def test_sound_that_is_no_base64_is_told() -> None:
    """It is the server's fault."""
    message = SimpleNamespace(audio=SimpleNamespace(data="a"))
    client = _client(chat=SimpleNamespace(choices=[SimpleNamespace(message=message)]))

    with pytest.raises(ResponseError, match="is no Base64"):
        Skills(client, model="m", has_meaning=True).speak(None)


def test_words_of_a_server_do_nothing_to_a_terminal() -> None:
    """Escape sequences are shown, not done."""

    def refuse(**_: Any) -> None:
        request = httpx.Request("POST", "http://x/v1/embeddings")
        response: Any = httpx.Response(400, text="\x1b[2Jgone", request=request)
        raise openai.BadRequestError("Error code: 400", response=response, body=None)

    client = SimpleNamespace(embeddings=SimpleNamespace(create=refuse))
    with pytest.raises(openai.BadRequestError, match="gone") as caught:
        Skills(client, model="m", has_meaning=True).embed(["a"])  # type: ignore[arg-type] # a stand-in
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("name", "arguments", "city", "words"),
    [
        (TOOL_NAME, '{"city": "Oslo", "days": 3}', "", ""),
        (TOOL_NAME, '{"city": "Lisbon", "days": 3}', CITY, ""),
        (TOOL_NAME, '{"city": "Oslo", "days": 3}', CITY, "are not about Lisbon"),
        (TOOL_NAME, '{"city": ', "", "is no JSON"),
        ("other", '{"city": "Oslo", "days": 3}', "", "the call is of 'other'"),
    ],
)
def test_wrong_call_tells_what_was_asked_and_what_may_help(
    name: str, arguments: str, city: str, words: str
) -> None:
    """In one line, as people read it."""
    call = ToolCall(name, arguments, "stop", asked="a call was asked for", hint="try a parser")

    if not words:
        call.check(city=city)
        return
    with pytest.raises(ResponseError) as told:
        call.check(city=city)
    assert str(told.value).startswith("a call was asked for: ")
    assert words in str(told.value)
    assert str(told.value).endswith(" (finish_reason stop); try a parser")
