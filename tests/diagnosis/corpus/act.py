"""What is done with an engine of the corpus once it runs; each makes a function of the start."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from signal import Signals
from typing import Any
from typing import Final

import httpx

from tests.diagnosis.corpus.start import Start

__all__ = ["Act", "abuse", "converse", "kill_child", "stop"]

Act = Callable[[Start], None]
_PATIENCE_S: Final = 10.0  # between the two signals of `docker stop`
_LOADING: Final = "Starting to load model"


def stop(number: Signals, *, after: str = _LOADING) -> Act:
    """Send a signal once the log says ``after``; SIGKILL if that is not enough, as Docker does."""

    def act(start: Start) -> None:
        if start.wait_for(after):
            start.send(number)
            start.wait_for_end(_PATIENCE_S)
        if start.exit_code is None:
            start.send(Signals.SIGKILL)
            start.wait_for_end(_PATIENCE_S)

    return act


def kill_child(title: str, number: Signals) -> Act:
    """Send a signal to a process of a serving engine, ask it something, and wait for the end."""

    def act(start: Start) -> None:
        if start.wait_for():
            _ask(start, "/v1/completions", prompt="Before", max_tokens=4)
            start.child(title).send_signal(number)
            _ask(start, "/v1/completions", prompt="After", max_tokens=4)
            start.wait_for_end()

    return act


def converse(times: int) -> Act:
    """Ask many times, some of them streams."""

    def act(start: Start) -> None:
        start.wait_for()
        for number in range(times):
            content = f"What is {number} and {number}?"
            _ask(start, "/v1/chat/completions", messages=[{"role": "user", "content": content}],
                 max_tokens=100, stream=number % 2 == 0)  # fmt: skip

    return act


def abuse(start: Start) -> None:
    """Ask what an engine must refuse, and hang up in the middle of an answer."""
    start.wait_for()
    chat, hello = "/v1/chat/completions", [{"role": "user", "content": "Hello"}]
    _ask(start, "/v1/completions", prompt="far too long " * 4000, max_tokens=4)
    _ask(start, "/v1/completions", prompt="Hello", max_tokens=1_000_000)
    _ask(start, "/v1/completions", prompt="Hello", temperature=-3)
    _ask(start, "/v1/completions", model="another", prompt="Hello")
    _ask(start, chat, messages="not a list")
    _ask(start, chat, messages=[{"role": "user", "content": [{"type": "image_url",
         "image_url": {"url": "data:image/png;base64,AAAA"}}]}])  # fmt: skip
    _ask(start, chat, messages=hello, response_format={"type": "json_schema", "json_schema": {
         "name": "bad", "schema": {"type": "nothing"}}}, max_tokens=4)  # fmt: skip
    _ask(start, chat, messages=hello, tools=[{"type": "function", "function": {"name": "f"}}],
         tool_choice="auto")  # fmt: skip
    _ask(start, "/v1/embeddings", input="Hello")
    _ask(start, "/no/such/route")
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(start.url + chat, content=b"{", timeout=30)
    question = {"prompt": "Tell me everything", "max_tokens": 1500, "stream": True}
    with httpx.stream("POST", start.url + "/v1/completions", json=question, timeout=30) as answer:
        next(answer.iter_bytes())
    _ask(start, chat, messages=hello, max_tokens=8)


def _ask(start: Start, path: str, **question: Any) -> None:
    """Ask, whatever comes: what the engine says of it stands in its log."""
    with contextlib.suppress(httpx.HTTPError):
        httpx.post(start.url + path, json=question, timeout=60)
