"""What the engine can do beside text: vectors, pictures, sounds, tools, grammars.

A scenario names the skills it has; without one it refuses as vLLM does with a model of text alone,
or ignores the wish, as servers do that do not know it. It really looks at pictures, so that a
question about them is asked end to end.

Source: answers of vLLM 0.32.0's server to the same requests, with and without `--runner pooling`.
"""

from __future__ import annotations

import base64
import hashlib
import io
import json
import math
import re
import struct
import wave
import zlib
from collections.abc import Mapping
from collections.abc import Sequence
from itertools import pairwise
from typing import Any
from typing import Final

from tests.fakes import text
from tests.fakes.answers import Answer
from tests.fakes.question import ApiError
from tests.fakes.scenario import Scenario

DIMENSION: Final = 256
INKS: Final = {
    "red": (220, 20, 30),
    "green": (20, 160, 40),
    "blue": (20, 60, 220),
    "yellow": (250, 220, 20),
}


def check_wishes(body: Mapping[str, Any], scenario: Scenario, model: str) -> None:
    """Refuse what a model cannot do.

    Raises:
        ApiError: pictures or sounds for a model of text, or log probabilities that are no numbers.
    """
    kinds = {part.get("type") for part in _parts(body)}
    skills = set(scenario.skills)
    if (kinds & {"image_url"} and "vision" not in skills) or (
        kinds & {"input_audio"} and "audio-in" not in skills
    ):
        raise ApiError(400, f"{model} is not a multimodal model")
    wants_numbers = body.get("logprobs") is not None or body.get("prompt_logprobs") is not None
    if wants_numbers and "nan" in scenario.lies:
        raise ApiError(400, "Out of range float values are not JSON compliant")


def adorn(
    whole: dict[str, Any], body: Mapping[str, Any], answers: Sequence[Answer], scenario: Scenario
) -> None:
    """Put into a whole answer what was wished for beyond text.

    Args:
        whole: the answer, which is changed.
        body: the request.
        answers: what was generated, one for each prompt.
        scenario: skills and lies.
    """
    for choice, answer in zip(whole["choices"], answers, strict=True):
        if "message" in choice:
            _adorn_message(choice, body, scenario)
        elif body.get("prompt_logprobs") is not None:
            choice["prompt_logprobs"] = _prompt_logprobs(answer)
        if "flat" in scenario.lies:
            _flatten(choice)


def embed(body: Mapping[str, Any], scenario: Scenario, model: str) -> dict[str, Any]:
    """Return the answer to a request for vectors."""
    wanted = body.get("input", [])
    texts = [wanted] if isinstance(wanted, str) else wanted
    vectors = [_vector(item, place, scenario) for place, item in enumerate(texts)]
    if "shuffled" in scenario.lies:
        vectors.reverse()
    data = [
        {"index": index, "object": "embedding", "embedding": vector}
        for index, vector in enumerate(vectors)
    ]
    tokens = sum(len(text.encode(item)) for item in texts)
    usage = {"prompt_tokens": tokens, "total_tokens": tokens}
    return {"object": "list", "model": model, "data": data, "usage": usage}


def transcribe(body: bytes) -> dict[str, Any]:
    """Return the answer to an uploaded sound.

    Raises:
        ApiError: there is no WAV file in it.
    """
    start = body.find(b"RIFF")
    if start < 0:
        raise ApiError(400, "Invalid or unsupported audio file.")
    _read_wave(body[start:])
    return {"text": "A tone.", "usage": {"type": "duration", "seconds": 2}}


def _adorn_message(choice: dict[str, Any], body: Mapping[str, Any], scenario: Scenario) -> None:
    message, skills = choice["message"], set(scenario.skills)
    media = [part for part in _parts(body) if part.get("type") in {"image_url", "input_audio"}]
    if media:
        _say(choice, _describe(media[0], body, scenario))
    if "audio" in (body.get("modalities") or ()) and "audio-out" in skills:
        sound = base64.b64encode(_tone("silent" in scenario.lies)).decode()
        message["audio"] = {"id": "audio-1", "data": sound, "expires_at": 0, "transcript": ""}
    format_ = body.get("response_format") or {}
    if format_.get("type") == "json_schema" and "structured-output" in skills:
        _say(choice, json.dumps(_sample(format_["json_schema"]["schema"], scenario)))
    if body.get("tools") and "tools" in skills and "no-call" not in scenario.lies:
        function = body["tools"][0]["function"]
        arguments = json.dumps(_sample(function["parameters"], scenario))
        call = {"name": function["name"], "arguments": arguments}
        message |= {"content": ""}
        message["tool_calls"] = [{"id": "call-1", "type": "function", "function": call}]
        choice["finish_reason"] = "tool_calls"


def _say(choice: dict[str, Any], answer: str) -> None:
    choice["message"]["content"] = answer
    choice["finish_reason"] = "stop"
    if choice.get("logprobs") is not None:
        token = {"token": answer, "logprob": -0.5, "bytes": list(answer.encode())}
        choice["logprobs"] = {"content": [token | {"top_logprobs": []}]}


def _describe(part: Mapping[str, Any], body: Mapping[str, Any], scenario: Scenario) -> str:
    if part["type"] == "input_audio":
        hertz = _read_wave(base64.b64decode(part["input_audio"]["data"]))
        return "A tone." if "deaf" in scenario.lies else f"A tone of {hertz:.0f} Hz."
    if "blind" in scenario.lies:
        return "A picture."
    picture = base64.b64decode(part["image_url"]["url"].partition("base64,")[2])
    rows = _read_png(picture)
    asks_colour = any("colour" in str(item.get("text")) for item in _parts(body))
    return f"{_colour(rows) if asks_colour else _shape(rows)}.".capitalize()


def _read_png(data: bytes) -> list[list[tuple[int, int, int]]]:
    width, height = struct.unpack(">II", data[16:24])
    start = data.index(b"IDAT")
    size = struct.unpack(">I", data[start - 4 : start])[0]
    raw = zlib.decompress(data[start + 4 : start + 4 + size])
    stride = 1 + 3 * width
    lines = [raw[row * stride + 1 : (row + 1) * stride] for row in range(height)]
    return [list(zip(line[::3], line[1::3], line[2::3], strict=True)) for line in lines]


def _colour(rows: list[list[tuple[int, int, int]]]) -> str:
    seen = rows[len(rows) // 2][len(rows[0]) // 2]
    return min(INKS, key=lambda name: math.dist(INKS[name], seen))


def _shape(rows: list[list[tuple[int, int, int]]]) -> str:
    """Tell a shape by how much of its bounding box it fills."""
    inked = [
        (x, y) for y, row in enumerate(rows) for x, pixel in enumerate(row) if min(pixel) < 200
    ]
    xs, ys = {x for x, _ in inked}, {y for _, y in inked}
    filled = len(inked) / (len(xs) * len(ys))
    fills = {"triangle": 0.5, "circle": math.pi / 4, "square": 1.0}
    return min(fills, key=lambda name: abs(fills[name] - filled))


def _sample(schema: Mapping[str, Any], scenario: Scenario) -> Any:
    """Return a small value that fits a schema, or one that does not if the scenario lies."""
    if "enum" in schema:
        return schema["enum"][0]
    kind = schema.get("type")
    if kind == "object":
        return {name: _sample(value, scenario) for name, value in schema["properties"].items()}
    if kind == "array":
        return [_sample(schema["items"], scenario)] * schema.get("minItems", 0)
    if kind == "integer":
        return -1 if "schema" in scenario.lies else schema.get("minimum", 0)
    return True if kind == "boolean" else "text"


def _vector(item: str, place: int, scenario: Scenario) -> list[float]:
    """Add up a vector of each word, so that texts with common words are close."""
    words = re.findall(r"\w{4,}", item.lower()) or [item]
    if "alike" in scenario.lies:
        words = ["word"]
    if "batch" in scenario.lies:
        words = [*words, str(place)]
    parts = [hashlib.shake_256(word.encode()).digest(2 * DIMENSION) for word in words]
    columns = zip(*(struct.unpack(f"<{DIMENSION}h", part) for part in parts), strict=True)
    values = [float(sum(column)) for column in columns]
    size = math.hypot(*values)
    return [value / size for value in values]


def _prompt_logprobs(answer: Answer) -> list[dict[str, Any] | None]:
    steps: list[dict[str, Any] | None] = [None]
    for position, token_id in enumerate(answer.prompt_ids[1:], 1):
        value = text.logprob(token_id, position)
        token = {"logprob": value, "rank": 1, "decoded_token": text.decode([token_id])}
        steps.append({str(token_id): token})
    return steps


def _flatten(choice: dict[str, Any]) -> None:
    """Give every token the same log probability, as zeroed logits do."""
    told = choice.get("logprobs") or {}
    if "token_logprobs" in told:
        told["token_logprobs"] = [value and -7.0 for value in told["token_logprobs"]]
    for step in choice.get("prompt_logprobs") or ():
        for token in (step or {}).values():
            token["logprob"] = -7.0


def _tone(is_silent: bool) -> bytes:  # noqa: FBT001 - of this module alone
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        level = 0 if is_silent else 8000
        sound.writeframes(b"".join(struct.pack("<h", level * (n % 16 < 8)) for n in range(8000)))
    return file.getvalue()


def _read_wave(data: bytes) -> float:
    """Return the frequency of a tone of 16 bits, by how often it rises through zero."""
    try:
        with wave.open(io.BytesIO(data)) as sound:
            samples = memoryview(sound.readframes(sound.getnframes())).cast("h")
            rising = sum(one < 0 <= other for one, other in pairwise(samples))
            return round(rising * int(sound.getframerate()) / len(samples), -1)
    except (wave.Error, EOFError) as error:
        raise ApiError(400, f"Invalid or unsupported audio file: {error}") from error


def _parts(body: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the parts of all messages; a message of plain text has none."""
    contents = [message.get("content") for message in body.get("messages") or ()]
    return [part for content in contents if isinstance(content, list) for part in content]
