"""Asks a live engine for text through the ``openai`` client; the questions compare what comes back.

The client's types differ between completions and chat, whole and streamed; ``Answer`` is what all
four have in common.
"""

from __future__ import annotations

import concurrent.futures
import math
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from typing import Any
from typing import Final
from typing import NamedTuple

from hwval.clock import Stopwatch
from hwval.clock import sleep
from hwval.errors import ResponseError
from hwval.inert import one_line

if TYPE_CHECKING:
    from openai import OpenAI

__all__ = ["Answer", "Generation", "HangUp", "in_agreed_form"]

_PROMPT: Final = "The first thing that a new engine should be asked is"
_UNICODE_PROMPT: Final = "Grüße, 世界! 안녕하세요, नमस्ते, مرحبا, 👩‍🚀🇳🇵 e\u0301 \u202eabc\u202c ½ ℵ₀"
# Fields of a request that are vLLM's own: the client takes them apart from those of the API.
_EXTENSIONS: Final = frozenset({"ignore_eos", "prompt_logprobs"})
_ALTERNATIVES: Final = 5
# Prompt and tokens of requests that keep a batch busy; their lengths differ, so that it changes.
_TRAFFIC: Final = tuple((f" {n} more" * (8 + 3 * n), 8 + 4 * n) for n in range(12))
# Of these at least one is a single token in the tokenizers of the model families we know.
_FILLERS: Final = (" a", " ba", " the")
_POLL_S: Final = 0.05


# What reading an answer of another form raises: the client hands on whatever the server sends.
_NOT_THE_FORM: Final = (AttributeError, LookupError, TypeError, ValueError)


@contextmanager
def in_agreed_form() -> Iterator[None]:
    """Let an answer that cannot be read be the server's fault, not that of whoever reads it.

    A server may answer 200 with a page of HTML, without choices, or with null for a text.

    Raises:
        ResponseError: Reading it failed.
    """
    try:
        yield
    except _NOT_THE_FORM as error:
        found = f"{type(error).__name__}: {one_line(str(error))[:200]}"
        raise ResponseError(
            f"the answer is not of the form that the OpenAI API has: {found}"
        ) from error


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the engine.

    Attributes:
        text: The text, pieces joined.
        finish_reason: ``stop``, ``length`` or None if the stream ended without one.
        prompt_tokens: As the server counts them; 0 where it does not say.
        output_tokens: As the server counts them; 0 where it does not say.
        role: Role of a chat answer, empty for completions.
        logprobs: Log probability of each output token, empty unless asked for.
        tokens: Text of each output token, empty unless asked for with their log probabilities.
        alternatives: Of each output token the likeliest ones in its place, itself among them if it
            is one: text -> log probability.
        pieces: Number of streamed pieces with text, 0 for a whole answer.
    """

    text: str
    finish_reason: str | None
    prompt_tokens: int = 0
    output_tokens: int = 0
    role: str = ""
    logprobs: tuple[float, ...] = ()
    tokens: tuple[str, ...] = ()
    alternatives: tuple[Mapping[str, float], ...] = ()
    pieces: int = 0


class _Filler(NamedTuple):
    word: str
    tokens: int
    on_top: int


class HangUp(NamedTuple):
    """What was left to write when clients hung up."""

    asked_tokens: int
    """All that they asked for together."""
    generated_tokens: float
    """The engine's counter when the last of them hung up."""
    left_tokens: float
    """What the engine had not written by then."""

    @property
    def is_midstream(self) -> bool:
        """Whether enough was left to see that it is written no longer."""
        return self.left_tokens > self.asked_tokens / 10


class Generation:
    """Requests to one engine, greedy and of a fixed length unless a question says otherwise.

    Args:
        client: OpenAI client that does not retry.
        model: Name under which the engine serves the model.
        context_tokens: Context length of the served model.
        metrics: Returns the engine's counters, empty where it has none.
    """

    output_tokens: Final = 24
    unicode_prompt: Final = _UNICODE_PROMPT

    def __init__(
        self,
        client: OpenAI,
        *,
        model: str,
        context_tokens: int | None,
        metrics: Any,
    ) -> None:
        self._client = client
        self._model = model
        self._context_tokens = context_tokens
        self._metrics = metrics

    @property
    def context_tokens(self) -> int:
        """Context length as the server says.

        Raises:
            ResponseError: The server does not say.
        """
        if self._context_tokens is None:
            raise ResponseError("the server does not tell its context length (max_model_len)")
        return self._context_tokens

    def fitting(self, text: str) -> str:
        """Return ``text``, or what of it fits into the context whatever the tokenizer.

        No tokenizer of a known family makes more tokens than there are bytes.
        """
        if self._context_tokens is None:
            return text
        room_bytes = max(self._context_tokens - 64, 1)
        return text.encode()[:room_bytes].decode("utf-8", "ignore")

    @property
    def longest_output_tokens(self) -> int:
        """Output that a request may ask for beside a short prompt."""
        return max(self.context_tokens - 64, 1)

    @in_agreed_form()
    def complete(self, prompt: str | Sequence[int] = _PROMPT, **wishes: Any) -> Answer:
        """Ask for a completion and wait for the whole of it."""
        answer = self._client.completions.create(**self._request(wishes), prompt=prompt)
        choice = answer.choices[0]
        usage = answer.usage
        told = choice.logprobs
        return Answer(
            text=_text(choice.text),
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=usage.completion_tokens if usage else 0,
            logprobs=_numbers(told.token_logprobs or ()) if told else (),
            tokens=tuple(told.tokens or ()) if told else (),
            alternatives=tuple(map(_likeliest, told.top_logprobs or ())) if told else (),
        )

    def speak(self, prompt: str, *, tokens: int) -> Answer:
        """Ask for ``tokens`` greedy tokens, with their alternatives, past any natural end."""
        return self.complete(prompt, max_tokens=tokens, ignore_eos=True, logprobs=_ALTERNATIVES)

    @in_agreed_form()
    def score(self, text: str) -> tuple[float, ...] | None:
        """Return the log probability of each token of ``text`` but the first, as the engine reads.

        A value that is no number comes back as NaN. vLLM tells them by ``prompt_logprobs``, other
        servers by ``echo``, as completions of the OpenAI API did; None for one that does neither.
        """
        wishes = self._request({"max_tokens": 1, "prompt_logprobs": 0})
        choice = self._client.completions.create(**wishes, prompt=text).choices[0]
        steps = (choice.model_extra or {}).get("prompt_logprobs")
        if isinstance(steps, list):
            return _numbers(_logprob_of(step) for step in steps[1:])
        return self._score_by_echo(text)

    def _score_by_echo(self, text: str) -> tuple[float, ...] | None:
        wishes = self._request({"max_tokens": 1, "logprobs": 1, "echo": True})
        answer = self._client.completions.create(**wishes, prompt=text)
        told = answer.choices[0].logprobs
        count = answer.usage.prompt_tokens if answer.usage else 0
        if told is None or told.token_logprobs is None or len(told.token_logprobs) <= count:
            return None
        return _numbers(told.token_logprobs[1:count])

    @in_agreed_form()
    def chat(self, prompt: str = _PROMPT, **wishes: Any) -> Answer:
        """Ask for a chat answer and wait for the whole of it."""
        answer = self._client.chat.completions.create(
            **self._request(wishes), messages=[{"role": "user", "content": prompt}]
        )
        choice = answer.choices[0]
        usage = answer.usage
        return Answer(
            text=_text(choice.message.content or ""),
            finish_reason=choice.finish_reason,
            prompt_tokens=usage.prompt_tokens if usage else 0,
            output_tokens=usage.completion_tokens if usage else 0,
            role=choice.message.role,
        )

    @in_agreed_form()
    def stream(self, prompt: str = _PROMPT, **wishes: Any) -> Answer:
        """Ask for a completion piece by piece."""
        request = self._request(wishes)
        with self._client.completions.create(**request, prompt=prompt, stream=True) as chunks:
            return _joined(
                (chunk.choices[0].text, chunk.choices[0].finish_reason)
                for chunk in chunks
                if chunk.choices
            )

    @in_agreed_form()
    def stream_chat(self, prompt: str = _PROMPT, **wishes: Any) -> Answer:
        """Ask for a chat answer piece by piece."""
        messages = [{"role": "user", "content": prompt}]
        request = self._request(wishes) | {"messages": messages, "stream": True}
        with self._client.chat.completions.create(**request) as chunks:
            return _joined(
                (chunk.choices[0].delta.content, chunk.choices[0].finish_reason)
                for chunk in chunks
                if chunk.choices
            )

    def complete_together(self, prompts: Sequence[str], **wishes: Any) -> list[Answer]:
        """Ask for several completions at the same time; answers come in the order of prompts."""
        with concurrent.futures.ThreadPoolExecutor(len(prompts)) as pool:
            return list(pool.map(lambda prompt: self.complete(prompt, **wishes), prompts))

    def speak_together(
        self, prompts: Sequence[str], *, tokens: int, amid_traffic: bool = False
    ) -> list[Answer]:
        """Like `speak` for all prompts at once; answers come in the order of prompts.

        Args:
            prompts: At least one.
            tokens: Of each answer.
            amid_traffic: Whether requests of other lengths, whose answers are thrown away, join
                and leave the batch meanwhile.
        """
        traffic = _TRAFFIC if amid_traffic else ()

        def disturb(text: str, output_tokens: int) -> None:
            self.complete(text, max_tokens=output_tokens, ignore_eos=True)

        with concurrent.futures.ThreadPoolExecutor(len(prompts) + len(traffic)) as pool:
            noise = [pool.submit(disturb, *request) for request in traffic]
            answers = list(pool.map(lambda prompt: self.speak(prompt, tokens=tokens), prompts))
            for request in noise:
                request.result()
        return answers

    def prompts(self, count: int) -> list[str]:
        """Return ``count`` prompts that differ from their first word on."""
        return [f"{number} is a number, and what follows it is" for number in range(1, count + 1)]

    def middle_of(self, text: str) -> str:
        """Return a piece from inside ``text`` that can serve as a stop string.

        Raises:
            ResponseError: The text is too short to have a middle.
        """
        start = len(text) // 2
        piece = text[start : start + 4]
        if len(piece) < 2:
            raise ResponseError(f"the answer {text!r} is too short to stop in its middle")
        return piece

    @property
    def word_tokens(self) -> int:
        """Tokens that one word of ``prompt_of`` takes; 1 with nearly every tokenizer."""
        return self._filler.tokens

    def prompt_of(self, *, at_least: int) -> str:
        """Return a text that the engine counts as ``at_least`` tokens, or as few more as it can.

        The engine's own count is asked for, so that no tokenizer is needed: a word is repeated,
        two measurements give its tokens and the tokens that always come on top.
        """
        filler = self._filler
        return filler.word * -(-(at_least - filler.on_top) // filler.tokens)

    def hang_up(self, *, streams: int, after_pieces: int, rounds: int = 5) -> HangUp:
        """Ask for long completions at once and close each connection in the middle of its answer.

        A small model can end its answers before a busy client gets to close them; such a round
        shows nothing, so there is another one.

        Args:
            streams: How many at once, >= 1.
            after_pieces: Pieces of each answer to read before closing, >= 1.
            rounds: Rounds until one is given up, >= 1.
        """
        asked = streams * self.longest_output_tokens
        for _ in range(rounds):
            before = self.generated_tokens() or 0
            self._begin_and_close(streams, after_pieces)
            generated = self.generated_tokens() or 0
            seen = HangUp(asked, generated, asked - (generated - before))
            if seen.is_midstream:
                break
        return seen

    def _begin_and_close(self, streams: int, after_pieces: int) -> None:
        wishes = {"max_tokens": self.longest_output_tokens, "ignore_eos": True}

        def begin(prompt: str) -> None:
            request = self._request(wishes)
            with self._client.completions.create(**request, prompt=prompt, stream=True) as chunks:
                for _ in zip(range(after_pieces), chunks, strict=False):
                    pass

        with concurrent.futures.ThreadPoolExecutor(streams) as pool:
            list(pool.map(begin, self.prompts(streams)))

    def is_idle(self, *, within_s: float) -> bool:
        """Tell whether the engine stops working on requests within ``within_s`` seconds."""
        watch = Stopwatch()
        while watch.elapsed_s < within_s:
            if self._metrics().get("vllm:num_requests_running") == 0:
                return True
            sleep(_POLL_S)
        return False

    def generated_tokens(self) -> float | None:
        """Return how many tokens the engine has generated so far, None where it does not say."""
        metrics: Mapping[str, float] = self._metrics()
        return metrics.get("vllm:generation_tokens_total")

    @cached_property
    def _filler(self) -> _Filler:
        return min((self._measure(word) for word in _FILLERS), key=lambda filler: filler.tokens)

    def _measure(self, word: str) -> _Filler:
        few, many = (
            self.complete(word * repetitions, max_tokens=1).prompt_tokens
            for repetitions in (16, 32)
        )
        tokens = (many - few) // 16
        if tokens < 1:
            raise ResponseError(f"the server counts {few} and {many} tokens for 16 and 32 words")
        return _Filler(word, tokens, few - 16 * tokens)

    def _request(self, wishes: Mapping[str, Any]) -> dict[str, Any]:
        wishes = {"temperature": 0.0, "max_tokens": self.output_tokens, **wishes}
        body = {name: wishes.pop(name) for name in _EXTENSIONS & wishes.keys()}
        return {"model": self._model, "extra_body": body or None, **wishes}


def _text(said: object) -> str:
    if not isinstance(said, str):
        raise TypeError(f"{said!r} in the place of a text")
    return said


def _numbers(values: Iterable[float | None]) -> tuple[float, ...]:
    """Return log probabilities; JSON has no NaN, so some servers write null for it."""
    return tuple(math.nan if value is None else value for value in values)


def _likeliest(top: Mapping[str, float | None] | None) -> dict[str, float]:
    """Return the tokens of one place that have a log probability; no number is none."""
    told = (top or {}).items()
    return {text: value for text, value in told if value is not None and math.isfinite(value)}


def _logprob_of(step: Any) -> float | None:
    """Return the log probability of the token that stands in the prompt, which vLLM puts first."""
    token = next(iter(step.values())) if step else {}
    logprob: float | None = token.get("logprob")
    return logprob


def _joined(pieces: Iterable[tuple[str | None, str | None]]) -> Answer:
    texts: list[str] = []
    finish_reason = None
    for text, reason in pieces:
        texts += [text] if text else []
        finish_reason = reason or finish_reason
    return Answer(text="".join(texts), finish_reason=finish_reason, pieces=len(texts))
