"""What a client asks: reading a request, and refusing it in vLLM's words where vLLM would.

Source: error bodies of vLLM 0.32.0's server for the same requests.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from typing import Final
from typing import NamedTuple

from tests.fakes import text
from tests.fakes.wire import Request

MAX_LOGPROBS: Final = 20


class ApiError(Exception):
    """An error that the client gets as vLLM's error body.

    Args:
        status: HTTP status.
        message: what the client reads.
        kind: `type` of the error body.
        param: name of the offending parameter.
    """

    def __init__(
        self, status: int, message: str, kind: str = "BadRequestError", param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.body = {"error": {"message": message, "type": kind, "param": param, "code": status}}


def parse_body(request: Request) -> dict[str, Any]:
    """Read a request's JSON object.

    Raises:
        ApiError: wrong content type, not JSON, or not an object.
    """
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        reason = "Unsupported Media Type: Only 'application/json' is allowed"
        raise ApiError(400, f"1 validation error:\n  {reason}", "Bad Request")
    try:
        body = json.loads(request.body)
    except ValueError as error:
        where = getattr(error, "pos", 0)
        reason = getattr(error, "msg", str(error))
        detail = (
            f"{{'type': 'json_invalid', 'loc': 'body.{where}', 'msg': 'JSON decode error', "
            f"'input': '<dict of 0 items>', 'ctx': {{'error': {reason!r}}}}}"
        )
        message = f"1 validation error:\n  {detail}"
        raise ApiError(400, message, "Bad Request", f"body.{where}") from error
    if not isinstance(body, dict):
        raise ApiError(400, "1 validation error:\n  not an object", "Bad Request", "body")
    return body


class Prompt(NamedTuple):
    """One prompt.

    Attributes:
        ids: its tokens.
        text: its text.
        is_text: whether it came as text; vLLM stops counting the tokens of such a one early.
    """

    ids: list[int]
    text: str
    is_text: bool


def read_prompts(body: Mapping[str, Any], *, chat: bool) -> list[Prompt]:
    """Find a request's prompts as token ids and text.

    Raises:
        ApiError: there is none, or it is of no known form.
    """
    if chat:
        if not isinstance(body.get("messages"), list):
            raise _missing("messages", body)
        rendered = text.render_chat(body["messages"])
        return [Prompt(text.encode(rendered), rendered, is_text=True)]
    prompt = body.get("prompt")
    if not prompt:
        message = "Either prompt or prompt_embeds must be provided and non-empty."
        raise ApiError(400, f"{message} (parameter=prompt)", param="prompt")
    many = prompt if isinstance(prompt, list) and not isinstance(prompt[0], int) else [prompt]
    return [
        Prompt(text.encode(item), item, is_text=True)
        if isinstance(item, str)
        else Prompt(item, text.decode(item), is_text=False)
        for item in many
    ]


def check_sampling(body: Mapping[str, Any]) -> None:
    """Refuse what vLLM refuses about sampling parameters.

    Raises:
        ApiError: wrong type or out of range.
    """
    for name in ("max_tokens", "max_completion_tokens", "seed"):
        value = body.get(name)
        if value is not None and not isinstance(value, int):
            detail = (
                f"{{'type': 'int_parsing', 'loc': 'body.{name}', 'msg': 'Input should be a valid "
                f"integer, unable to parse string as an integer', 'input': {value!r}}}"
            )
            raise ApiError(400, f"1 validation error:\n  {detail}", "Bad Request", f"body.{name}")
    temperature = body.get("temperature")
    if temperature is not None and temperature < 0:
        value = float(temperature)
        message = (
            f"temperature must be non-negative, got {value}. (parameter=temperature, value={value})"
        )
        raise ApiError(400, message, param="temperature")
    wanted = logprob_count(body) or 0
    if wanted > MAX_LOGPROBS:
        message = (
            f"Requested sample logprobs of {wanted}, which is greater than max allowed: "
            f"{MAX_LOGPROBS} (parameter=logprobs, value={wanted})"
        )
        raise ApiError(400, message, param="logprobs")
    if body.get("n") not in {None, 1}:
        raise ApiError(400, "The fake engine answers n=1 alone. (parameter=n)", param="n")


def logprob_count(body: Mapping[str, Any]) -> int | None:
    """Return how many alternatives per token are wanted, None for no logprobs at all."""
    wanted = body.get("logprobs")
    if isinstance(wanted, bool):
        return int(body.get("top_logprobs") or 0) if wanted else None
    return wanted


def _missing(name: str, body: Mapping[str, Any]) -> ApiError:
    detail = (
        f"{{'type': 'missing', 'loc': 'body.{name}', 'msg': 'Field required', "
        f"'input': '<dict of {len(body)} items>'}}"
    )
    return ApiError(400, f"1 validation error:\n  {detail}", "Bad Request", f"body.{name}")
