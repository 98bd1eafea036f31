"""Requests as bytes."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hwval.errors import UsageError
from hwval.load.request import Ask
from hwval.load.request import Target


def split(raw: bytes) -> tuple[list[str], dict[str, Any]]:
    """Return head lines and body."""
    head, _, body = raw.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head
    return head.decode().split("\r\n"), json.loads(body)


def test_completion_asks_for_a_counted_stream() -> None:
    """Prompt, length, stream, usage."""
    target = Target("http://127.0.0.1:80/api", "m", api_key="k3y")
    lines, body = split(target.request_bytes(Ask("häh", 5)))

    assert lines[0] == "POST /api/v1/completions HTTP/1.1"
    assert "Host: 127.0.0.1:80" in lines
    assert "Authorization: Bearer k3y" in lines
    assert body == {
        "model": "m",
        "prompt": "häh",
        "max_tokens": 5,
        "temperature": 0,
        "stream": True,
        "stream_options": {"include_usage": True},
        "ignore_eos": True,
    }


def test_chat_asks_by_a_message() -> None:
    """Fields can be added and taken out; no key, no header."""
    target = Target(
        "http://h:1", "m", "chat", ignore_eos=False, extra={"temperature": None, "n": 1}
    )
    lines, body = split(target.request_bytes(Ask("hi", 5)))

    assert lines[0] == "POST /v1/chat/completions HTTP/1.1"
    assert not any(line.startswith("Authorization") for line in lines)
    assert body["messages"] == [{"role": "user", "content": "hi"}]
    assert body["n"] == 1
    assert not {"temperature", "ignore_eos", "prompt"} & set(body)


@pytest.mark.parametrize(
    ("url", "host", "port", "tls"),
    [
        ("http://a", "a", 80, False),
        ("https://a", "a", 443, True),
        ("https://a:8443/x", "a", 8443, True),
        ("http://[::1]:8000", "::1", 8000, False),
    ],
)
def test_address_comes_from_the_url(url: str, host: str, port: int, tls: bool) -> None:  # noqa: FBT001
    """With the usual ports."""
    target = Target(url, "m")

    assert (target.host, target.port, target.uses_tls) == (host, port, tls)


def test_key_is_not_shown() -> None:
    """Neither by repr nor by the error about it."""
    target = Target("http://a", "m", api_key="geheim\n")

    assert "geheim" not in repr(target)
    with pytest.raises(UsageError, match="API key") as caught:
        target.request_bytes(Ask("x", 1))
    assert "geheim" not in str(caught.value)
