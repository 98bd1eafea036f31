"""Requests for what is more than text: vectors, pictures, sounds, tools, grammars.

Whatever the server refuses comes through as the client's error, with the server's words.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

from hwval.capability.picture import draw_png
from hwval.capability.sound import TONE_HZ
from hwval.capability.sound import make_tone
from hwval.capability.structured import CITY
from hwval.capability.structured import SCHEMA
from hwval.capability.structured import TOOL
from hwval.capability.structured import TOOL_NAME
from hwval.capability.structured import trouble_with
from hwval.errors import ResponseError
from hwval.generate import in_agreed_form
from hwval.inert import one_line

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletion

__all__ = ["Filled", "Skills", "ToolCall"]

_FEW_TOKENS: Final = 16
_SHORT_TOKENS: Final = 64
_LONG_TOKENS: Final = 512
_SHOWN_CHARACTERS: Final = 300
_HEARD: Final = "What do you hear? Answer in one sentence."
# Greedy decoding of random weights chooses blanks for ever, which JSON allows between its parts.
_UNSTUCK: Final[Mapping[str, Any]] = {"temperature": 1.0, "seed": 7}
_GREEDY: Final[Mapping[str, Any]] = {"temperature": 0.0}


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A call that the server read out of an answer.

    Attributes:
        name: Of the tool.
        arguments: JSON text.
        finish_reason: Of the answer.
        asked: What was asked for, in words.
        hint: What is likely to mend a call that is wrong; empty where nothing is known.
    """

    name: str
    arguments: str
    finish_reason: str | None
    asked: str = ""
    hint: str = ""

    def check(self, *, city: str = "") -> None:
        """Go on if the call is of the tool, and its arguments fit.

        Args:
            city: What the arguments must speak of, where the model understands the question.

        Raises:
            ResponseError: What was asked for, what came back and what may mend it.
        """
        trouble = trouble_with(self.arguments, is_call=True)
        if self.name != TOOL_NAME:
            trouble = f"the call is of {self.name!r}"
        elif not trouble and city not in self.arguments:
            trouble = f"its arguments {self.arguments!r} are not about {city}"
        if trouble:
            came = f"{self.asked}: {trouble} (finish_reason {self.finish_reason})"
            raise ResponseError("; ".join(filter(None, [came, self.hint])))


@dataclass(frozen=True, slots=True)
class Filled:
    """An answer that had to fit a schema.

    Attributes:
        text: JSON text.
        is_cut: Whether it ended at its limit of tokens.
    """

    text: str
    is_cut: bool


class Skills:
    """Requests to one engine.

    Args:
        client: OpenAI client that does not retry.
        model: Name under which the engine serves the model.
        has_meaning: Whether the weights are real; the answers of random ones are drawn, so that
            they end.
        tools_hint: What is likely to be the matter where a tool is not called.
    """

    def __init__(
        self, client: OpenAI, *, model: str, has_meaning: bool, tools_hint: str = ""
    ) -> None:
        self.has_meaning = has_meaning
        self._tools_hint = tools_hint
        self._client = client
        self._model = model
        self._sampling = _GREEDY if has_meaning else _UNSTUCK

    @in_agreed_form()
    def embed(self, texts: Sequence[str]) -> list[list[float]]:
        """Return one vector for each text, in their order.

        Raises:
            ResponseError: Another number of vectors, or they stand in no order.
        """
        with _in_the_servers_words():
            answer = self._client.embeddings.create(
                model=self._model, input=list(texts), encoding_format="float"
            )
        vectors = sorted(answer.data, key=lambda item: item.index)
        if [item.index for item in vectors] != list(range(len(texts))):
            found = [item.index for item in vectors]
            raise ResponseError(f"embed {len(texts)} texts: vectors {found} came back")
        # JSON has no NaN, so some servers write null for it.
        return [
            [math.nan if one is None else float(one) for one in item.embedding] for item in vectors
        ]

    def name_colour(self, shape: str, colour: str) -> str:
        """Show a picture and return what the model says of its colour, in small letters."""
        return self._look(shape, colour, "Which colour is the shape? Answer with one word.")

    def name_shape(self, shape: str, colour: str) -> str:
        """Show a picture and return what the model says of its shape, in small letters."""
        question = "Which shape is it: circle, square or triangle? Answer with one word."
        return self._look(shape, colour, question)

    @in_agreed_form()
    def read_picture(self, shape: str, colour: str) -> tuple[tuple[str, float], ...]:
        """Show a picture and return tokens of the answer with their log probabilities.

        Empty if the server tells none.
        """
        return self._told([_picture(shape, colour), _text("What is in the picture?")])

    @in_agreed_form()
    def hear_tone(self, hertz: float) -> tuple[tuple[str, float], ...]:
        """Send a tone with a chat request and return tokens of the answer, as `read_picture`."""
        return self._told([_tone(hertz), _text(_HEARD)])

    @in_agreed_form()
    def transcribe_tone(self) -> str:
        """Send a tone to the endpoint of transcriptions and return the text that comes back."""
        with _in_the_servers_words():
            answer = self._client.audio.transcriptions.create(
                model=self._model,
                file=("tone.wav", make_tone(), "audio/wav"),
                temperature=0.0,
                # vLLM's own: random weights would go on to the end of the context.
                extra_body={"max_completion_tokens": _SHORT_TOKENS},
            )
        if not isinstance(answer.text, str):
            raise TypeError(f"{answer.text!r} in the place of a text")
        return answer.text

    def describe_tone(self) -> str:
        """Send a tone with a chat request and return what the model says."""
        return self._chat_text([_tone(), _text(_HEARD)])

    @in_agreed_form()
    def speak(self, voice: str | None) -> bytes:
        """Ask for an answer by voice and return the sound, as the server sent it.

        Raises:
            ResponseError: There is no sound in the answer, or it is no Base64.
        """
        # OpenAI's API has the voice inside `audio`; vLLM-Omni reads it beside, as `speaker`, alone.
        named = {"audio": {"voice": voice, "format": "wav"}, "extra_body": {"speaker": voice}}
        answer = self._chat(
            "Say: good morning, the kettle is on.",
            modalities=["text", "audio"],
            **(named if voice else {}),
        )
        for choice in answer.choices:
            if choice.message.audio is not None:
                try:
                    return base64.b64decode(choice.message.audio.data)
                except (TypeError, ValueError) as error:
                    raise ResponseError(f"the audio of the answer is no Base64: {error}") from error
        raise ResponseError("an answer by voice was asked for, and none of its choices has audio")

    def call_named_tool(self) -> ToolCall:
        """Have the model call the tool by name."""
        return self._call({"type": "function", "function": {"name": TOOL_NAME}}, "that tool")

    def call_required_tool(self) -> ToolCall:
        """Have the model call some tool, of which there is one."""
        return self._call("required", "'required'")

    def call_tool(self) -> ToolCall:
        """Leave it to the model whether it calls the tool, and ask a question that needs it."""
        return self._call("auto", "'auto'")

    @in_agreed_form()
    def fill_schema(self) -> Filled:
        """Ask for an answer that fits `structured.SCHEMA`."""
        schema = {"name": "city", "schema": SCHEMA, "strict": True}
        answer = self._chat(
            f"Describe {CITY} as JSON, for 3 days.",
            max_tokens=_LONG_TOKENS,
            response_format={"type": "json_schema", "json_schema": schema},
            **self._sampling,
        )
        choice = answer.choices[0]
        return Filled(_content(choice), choice.finish_reason == "length")

    @in_agreed_form()
    def _call(self, choice: Any, words: str) -> ToolCall:
        import openai

        asked = f"one call of {TOOL_NAME} was asked for (tool_choice: {words})"
        question = f"What will the weather be in {CITY} over the next 3 days? Use the tool."
        try:
            answer = self._chat(
                question,
                max_tokens=_LONG_TOKENS,
                tools=[TOOL],
                tool_choice=choice,
                parallel_tool_calls=False,
                **self._sampling,
            )
        except openai.APIStatusError as error:
            refused = self._with_hint(f"{asked}, and the server refused")
            text = f"{refused}: {one_line(str(error))}"
            raise type(error)(text, response=error.response, body=error.body) from None
        told = answer.choices[0]
        calls = told.message.tool_calls or []
        if len(calls) != 1 or calls[0].type != "function":
            said = (told.message.content or "")[:200]
            raise ResponseError(
                self._with_hint(
                    f"{asked}, and {len(calls)} came back (finish_reason {told.finish_reason}, "
                    f"content {said!r})"
                )
            )
        call = calls[0].function
        if not isinstance(call.arguments, str):
            raise TypeError(f"arguments {call.arguments!r} in the place of a JSON text")
        return ToolCall(call.name, call.arguments, told.finish_reason, asked, self._tools_hint)

    def _with_hint(self, text: str) -> str:
        return "; ".join(filter(None, [text, self._tools_hint]))

    def _look(self, shape: str, colour: str, question: str) -> str:
        return self._chat_text([_picture(shape, colour), _text(question)]).lower()

    @in_agreed_form()
    def _chat_text(self, parts: list[dict[str, Any]]) -> str:
        answer = self._chat(parts, max_tokens=_SHORT_TOKENS, **_GREEDY)
        return _content(answer.choices[0])

    def _told(self, parts: list[dict[str, Any]]) -> tuple[tuple[str, float], ...]:
        answer = self._chat(parts, max_tokens=_FEW_TOKENS, logprobs=True, **_GREEDY)
        told = answer.choices[0].logprobs
        return tuple((token.token, token.logprob) for token in (told and told.content) or ())

    def _chat(self, content: str | list[dict[str, Any]], **wishes: Any) -> ChatCompletion:
        messages = [{"role": "user", "content": content}]
        request: dict[str, Any] = {"model": self._model, "messages": messages, **wishes}
        with _in_the_servers_words():
            answer: ChatCompletion = self._client.chat.completions.create(**request)
        return answer


@contextmanager
def _in_the_servers_words() -> Iterator[None]:
    """Let a refusal say what the server said, where the client shows the status alone."""
    import openai

    try:
        yield
    except openai.APIStatusError as error:
        words = one_line(error.response.text)[:_SHOWN_CHARACTERS]
        message = error.body.get("message") if isinstance(error.body, dict) else None
        if (message or words) not in str(error):
            told = f"{one_line(str(error))} from {error.request.url.path}: {words}"
            raise type(error)(told, response=error.response, body=error.body) from None
        raise


def _content(choice: Any) -> str:
    said = choice.message.content or ""
    if not isinstance(said, str):
        raise TypeError(f"{said!r} in the place of a text")
    return said


def _picture(shape: str, colour: str) -> dict[str, Any]:
    picture = base64.b64encode(draw_png(shape, colour)).decode("ascii")
    return {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{picture}"}}


def _tone(hertz: float = TONE_HZ) -> dict[str, Any]:
    sound = base64.b64encode(make_tone(hertz)).decode("ascii")
    return {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}}


def _text(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}
