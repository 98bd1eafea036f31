"""Requests as bytes, made before the clock starts."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from typing import Any
from typing import Literal
from urllib.parse import urlsplit

from hwval.errors import UsageError

__all__ = ["Ask", "Kind", "Target"]

Kind = Literal["completions", "chat"]


@dataclass(frozen=True, slots=True)
class Ask:
    """What one request asks for.

    Attributes:
        prompt: The prompt, or what the user says in a chat.
        output_tokens: Longest answer, >= 1.
        at_s: When it is sent, seconds after the start; None in a closed loop.
        input_tokens: Length of the prompt by the model's own tokenizer; None where that is not
            known. A chat's template adds to it.
        fits: Whether prompt and answer surely fit into the server's context; see ``room.py``.
    """

    prompt: str
    output_tokens: int
    at_s: float | None = None
    input_tokens: int | None = None
    fits: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Where requests go and what they have in common.

    Attributes:
        base_url: ``http(s)://HOST[:PORT][/PATH]``, without ``/v1``.
        model: Name of the served model.
        kind: Which of the two APIs.
        ignore_eos: Whether answers go on to their full length; not every server knows the field.
        extra: Further fields of the body; None takes a field out.
        api_key: Sent as a bearer token; empty for none.
    """

    base_url: str
    model: str
    kind: Kind = "completions"
    ignore_eos: bool = True
    extra: Mapping[str, Any] = field(default_factory=dict)
    api_key: str = field(default="", repr=False)

    @property
    def host(self) -> str:
        """Name or address to connect to."""
        return urlsplit(self.base_url).hostname or ""

    @property
    def port(self) -> int:
        """Port to connect to."""
        return urlsplit(self.base_url).port or (443 if self.uses_tls else 80)

    @property
    def uses_tls(self) -> bool:
        """Whether the connection is encrypted; times are then those after decryption."""
        return urlsplit(self.base_url).scheme == "https"

    def request_bytes(self, ask: Ask) -> bytes:
        """Return a whole HTTP/1.1 request.

        Raises:
            UsageError: The key cannot stand in a header.
        """
        body = json.dumps(self._body(ask), ensure_ascii=False).encode("utf-8", "replace")
        parts = urlsplit(self.base_url)
        path = "chat/completions" if self.kind == "chat" else "completions"
        lines = [
            f"POST {parts.path}/v1/{path} HTTP/1.1",
            f"Host: {parts.netloc}",
            "Content-Type: application/json",
            "Accept: text/event-stream",
            f"Content-Length: {len(body)}",
        ]
        if self.api_key:
            if not (self.api_key.isascii() and self.api_key.isprintable()):
                raise UsageError("the API key has characters that no header can hold")
            lines.append(f"Authorization: Bearer {self.api_key}")
        return "\r\n".join([*lines, "", ""]).encode("ascii") + body

    def _body(self, ask: Ask) -> dict[str, Any]:
        body: dict[str, Any] = {"model": self.model}
        if self.kind == "chat":
            body["messages"] = [{"role": "user", "content": ask.prompt}]
        else:
            body["prompt"] = ask.prompt
        body |= {
            "max_tokens": ask.output_tokens,
            "temperature": 0,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
        if self.ignore_eos:
            body["ignore_eos"] = True
        return {key: value for key, value in (body | dict(self.extra)).items() if value is not None}
