"""HTTP/1.1 by hand: as little as an OpenAI client needs, with every byte under our control.

A real server library would repair what this engine is asked to break: cut responses, broken
events, connections that stay open and say nothing.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from http import HTTPStatus
from typing import Any

from tests.fakes.vllm_log import log_uvicorn


@dataclass(frozen=True, slots=True)
class Request:
    """One request as it came in."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


class CutError(Exception):
    """The scenario cuts this connection, or the client has gone."""


class Connection:
    """One client's connection; answers are written whole or as a stream of events."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        peer = writer.get_extra_info("peername")
        self.peer = f"{peer[0]}:{peer[1]}"
        self._asked = ""

    @property
    def is_gone(self) -> bool:
        """Whether the client has closed its end."""
        return self._reader.at_eof() or self._writer.is_closing()

    async def read_request(self) -> Request | None:
        """Read the next request; None when the client has no more."""
        try:
            head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            first, *lines = head.split("\r\n")
            method, target, _ = first.split(" ", 2)
            self._asked = f"{method} {target}"
            pairs = (line.partition(":") for line in lines if line)
            headers = {name.strip().lower(): value.strip() for name, _, value in pairs}
            body = await self._reader.readexactly(int(headers.get("content-length", "0")))
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            return None
        return Request(method, target.partition("?")[0], headers, body)

    async def send(self, status: int, body: bytes = b"", content_type: str | None = None) -> None:
        """Send a whole answer."""
        kind = f"content-type: {content_type}\r\n" if content_type else ""
        self._write_head(status, f"content-length: {len(body)}\r\n{kind}")
        self._writer.write(body)
        await self._drain()

    async def send_json(self, status: int, value: Any) -> None:
        """Send a JSON answer, written as vLLM writes it."""
        await self.send(status, dump_json(value), "application/json")

    async def start_events(self) -> None:
        """Begin a stream of server-sent events."""
        self._write_head(
            200, "content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n"
        )
        await self._drain()

    async def send_event(self, data: bytes) -> None:
        """Send one event of a stream."""
        payload = b"data: " + data + b"\n\n"
        self._writer.write(f"{len(payload):x}\r\n".encode() + payload + b"\r\n")
        await self._drain()

    async def end_events(self) -> None:
        """Send ``[DONE]`` and end the stream."""
        await self.send_event(b"[DONE]")
        self._writer.write(b"0\r\n\r\n")
        await self._drain()

    async def close(self) -> None:
        """Close the connection; one that is gone already is fine."""
        self._writer.close()
        try:
            await self._writer.wait_closed()
        except ConnectionError:
            return

    def _write_head(self, status: int, headers: str) -> None:
        phrase = HTTPStatus(status).phrase
        log_uvicorn(f'{self.peer} - "{self._asked} HTTP/1.1" {status} {phrase}')
        self._writer.write(
            f"HTTP/1.1 {status} {phrase}\r\nserver: uvicorn\r\n{headers}\r\n".encode()
        )

    async def _drain(self) -> None:
        if self.is_gone:
            raise CutError
        try:
            await self._writer.drain()
        except ConnectionError as error:
            raise CutError from error


def dump_json(value: Any) -> bytes:
    """Write JSON as vLLM does: compact, with non-ASCII characters as they are."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")
