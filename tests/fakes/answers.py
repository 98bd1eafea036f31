"""What a generation request comes to, decided before its first token is sent.

Since the whole answer is known in advance, a stream, a whole response and a repeat of either are
the same text by construction; every difference is one that the scenario asks for.

Source: answers of vLLM 0.32.0's server, compared field by field (`tests/test_fake_engine.py`
holds the shapes). Left out: tools, structured output, n above 1, prompt_logprobs.
"""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from typing import Final

from tests.fakes import text
from tests.fakes.question import ApiError
from tests.fakes.question import Prompt
from tests.fakes.scenario import Scenario

COMPLETION_DEFAULT_TOKENS: Final = 16
BINARY_GARBAGE: Final = [0, 1, 2, 255, 254, 8, 27]
_nonces: Final = itertools.count()


@dataclass(frozen=True, slots=True)
class Answer:
    """One prompt's answer: `pieces[i]` is the text that token `ids[i]` adds."""

    prompt_ids: list[int]
    prompt_text: str
    ids: list[int]
    pieces: list[str]
    finish_reason: str
    stop_reason: str | None
    echo: bool


def plan_answer(
    body: Mapping[str, Any],
    prompt: Prompt,
    *,
    chat: bool,
    max_model_len: int,
    scenario: Scenario,
    stored: Mapping[str, text.Stored],
) -> Answer:
    """Decide the whole answer to one prompt.

    Args:
        body: the request.
        prompt: one of the request's.
        chat: whether this is a chat; its answer may fill the context.
        max_model_len: context length, tokens.
        scenario: which faults the text has.
        stored: answers by sha256 of the prompt.

    Raises:
        ApiError: a parameter is out of range or the prompt is beyond the context.
    """
    ids, prompt_text = prompt.ids, prompt.text
    counted = min(len(ids), max_model_len + 1) if prompt.is_text else len(ids)
    echo_only = bool(body.get("echo")) and body.get("max_tokens") == 0
    limit = 1 if echo_only else _output_limit(body, counted, max_model_len, scenario, chat=chat)
    found = stored.get(hashlib.sha256(prompt_text.encode("utf-8", "replace")).hexdigest())
    parts = None if found is None or scenario.garbage else found.parts()
    if found is not None:
        output = text.encode(found.text) if parts is None else [0] * len(parts)
    else:
        endless = bool(body.get("ignore_eos"))
        output = text.generate(ids, _seed(body, scenario), limit, endless=endless)
    output = output[:limit]
    output, pieces = _spoil(output, scenario) if parts is None else (output, parts[:limit])
    finish = "length" if len(output) == limit else "stop"
    output, pieces, stop = _apply_stop(output, pieces, _stop_strings(body, scenario))
    return Answer(
        prompt_ids=ids,
        prompt_text=prompt_text,
        ids=output,
        pieces=[""] if echo_only else pieces,
        finish_reason=finish if stop is None else "stop",
        stop_reason=stop,
        echo=bool(body.get("echo")) and not chat,
    )


def completion_logprobs(answer: Answer, steps: range, count: int) -> dict[str, Any]:
    """Write the logprobs of some of an answer's tokens in the completions form.

    Args:
        answer: the answer.
        steps: which of its tokens; step 0 of an echoed answer carries the prompt's too.
        count: alternatives per token.
    """
    shown = answer.prompt_ids if answer.echo and steps.start == 0 else []
    tokens = [*text.pieces(shown), *answer.pieces[steps.start : steps.stop]]
    ids = [*shown, *answer.ids[steps.start : steps.stop]]
    before = answer.pieces[: steps.start] if not shown else []
    lead = answer.prompt_text if answer.echo and not shown else ""
    offset = len(lead) + sum(map(len, before))
    first = 0 if shown else len(answer.prompt_ids) + steps.start
    result: dict[str, Any] = {
        "text_offset": [],
        "token_logprobs": [],
        "tokens": tokens,
        "top_logprobs": [],
    }
    for index, (token_id, token) in enumerate(zip(ids, tokens, strict=True)):
        value = text.logprob(token_id, first + index) if first + index else None
        result["text_offset"].append(offset)
        result["token_logprobs"].append(value)
        alternatives = _alternatives(token_id, token, value, count)
        result["top_logprobs"].append(dict(alternatives) if value is not None else None)
        offset += len(token)
    return result


def chat_logprobs(answer: Answer, steps: range, count: int) -> dict[str, Any]:
    """Write the logprobs of some of an answer's tokens in the chat form."""
    content = []
    for step in steps:
        token_id, token = answer.ids[step], answer.pieces[step]
        value = text.logprob(token_id, len(answer.prompt_ids) + step)
        top = _alternatives(token_id, token, value, count)[:count]
        content.append(
            _chat_logprob(token, value) | {"top_logprobs": [_chat_logprob(*t) for t in top]}
        )
    return {"content": content}


def _output_limit(
    body: Mapping[str, Any], prompt_tokens: int, context: int, scenario: Scenario, *, chat: bool
) -> int:
    wanted = body.get("max_completion_tokens") or body.get("max_tokens")
    if wanted is None and body.get("max_tokens") is None:
        wanted = context if chat else COMPLETION_DEFAULT_TOKENS
    wanted = wanted or 0
    if wanted > context:
        raise _out_of_range(
            f"max_tokens={wanted} cannot be greater than max_model_len={context}. "
            "Please request fewer output tokens.",
            "max_tokens",
            wanted,
        )
    if prompt_tokens > context:
        least = "at least " if prompt_tokens == context + 1 else ""
        raise _out_of_range(
            f"This model's maximum context length is {context} tokens. However, your prompt "
            f"contains {least}{prompt_tokens} input tokens, which exceeds this limit even without "
            "any output tokens. Please reduce the length of the input prompt.",
            "input_tokens",
            prompt_tokens,
            scenario.context_error_status,
        )
    limit = min(wanted, context - prompt_tokens)
    if limit < 1:
        raise _out_of_range(f"max_tokens must be at least 1, got {limit}.", "max_tokens", limit)
    return int(limit)


def _out_of_range(message: str, param: str, value: int, status: int = 400) -> ApiError:
    return ApiError(status, f"{message} (parameter={param}, value={value})", param=param)


def _seed(body: Mapping[str, Any], scenario: Scenario) -> object:
    if scenario.ignore_seed:
        return ("unstable", next(_nonces))
    temperature = body.get("temperature")
    if temperature == 0:
        return "greedy"
    return body["seed"] if body.get("seed") is not None else ("unseeded", next(_nonces))


def _spoil(ids: list[int], scenario: Scenario) -> tuple[list[int], list[str]]:
    if scenario.garbage == "repetition":
        ids = ids[:1] * len(ids)
    elif scenario.garbage == "binary":
        ids = [BINARY_GARBAGE[index % len(BINARY_GARBAGE)] for index in range(len(ids))]
    elif scenario.garbage == "empty":
        return [0], [""]
    return ids, text.pieces(ids)


def _stop_strings(body: Mapping[str, Any], scenario: Scenario) -> list[str]:
    if scenario.ignore_stop:
        return []
    stop = body.get("stop") or []
    return [stop] if isinstance(stop, str) else stop


def _apply_stop(
    ids: list[int], pieces: list[str], stops: list[str]
) -> tuple[list[int], list[str], str | None]:
    """Cut an answer before the first stop string; the token that completes it still counts."""
    whole = "".join(pieces)
    found = [(whole.find(stop), stop) for stop in stops if stop and stop in whole]
    if not found:
        return ids, pieces, None
    start, stop = min(found)
    kept: list[str] = []
    position = 0
    for piece in pieces:
        kept.append(piece[: max(0, start - position)])
        position += len(piece)
        if position >= start + len(stop):
            break
    return ids[: len(kept)], kept, stop


def _alternatives(
    token_id: int, token: str, value: float | None, count: int
) -> list[tuple[str, float]]:
    value = value or 0.0
    others = [
        (text.decode([text.BYTE_TOKENS + (token_id + rank) % len(text.WORDS)]), value - rank)
        for rank in range(1, count)
    ]
    return [(token, value), *others]


def _chat_logprob(token: str, value: float) -> dict[str, Any]:
    return {"token": token, "logprob": value, "bytes": list(token.encode("utf-8", "replace"))}
