"""Streams tokens at exact times and records when: the truth that load generators are held to.

    python benchmarks/reference/server.py [--ttft S] [--ttft-spread S] [--itl S] [--together]

It never sleeps while a stream runs: one thread looks at its sockets and at the clock in turn, so
that a token leaves within microseconds of its time. `GET /record` tells for each request when it
had been read, when each token was due and when it was handed to the kernel, on CLOCK_MONOTONIC;
the difference of the last two is this server's own error. `POST /reset` forgets all that.
"""

from __future__ import annotations

import argparse
import gc
import heapq
import itertools
import json
import random
import re
import select
import socket
from array import array
from collections import deque
from time import monotonic_ns
from typing import Any
from typing import Final

MODEL: Final = "reference"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PIECE: Final = " the"


class Stream:
    """One answer: when its tokens are due and when they left."""

    def __init__(self, received_ns: int, body: dict[str, Any], *, chat: bool) -> None:
        self.received_ns = received_ns
        self.tokens = int(body.get("max_tokens") or body.get("max_completion_tokens") or 16)
        self.prompt_tokens = len(str(body.get("prompt") or body.get("messages")).split())
        self.has_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self.chat = chat
        self.due_ns = array("q")
        self.sent_ns = array("q")

    def event(self, *, text: str, finish: str | None = None, role: str | None = None) -> bytes:
        """Return a token's event, as vLLM writes it."""
        choice: dict[str, Any] = {"index": 0}
        if self.chat:
            choice["delta"] = ({"role": role} if role else {}) | {"content": text}
        else:
            choice["text"] = text
        choice |= {"logprobs": None, "finish_reason": finish, "stop_reason": None}
        return self._chunk({"choices": [choice | {"token_ids": None}]})

    def end(self) -> bytes:
        """Return what follows the last token."""
        usage = {
            "prompt_tokens": self.prompt_tokens,
            "total_tokens": self.prompt_tokens + self.tokens,
            "completion_tokens": self.tokens,
        }
        tail = self._chunk({"choices": [], "usage": usage}) if self.has_usage else b""
        return tail + _framed(b"[DONE]") + b"0\r\n\r\n"

    def _chunk(self, more: dict[str, Any]) -> bytes:
        head = {
            "id": "cmpl-0123456789abcdef0123456789abcdef",
            "object": "chat.completion.chunk" if self.chat else "text_completion",
            "created": 1_700_000_000,
            "model": MODEL,
        }
        return _framed(json.dumps(head | more, separators=(",", ":")).encode())


class Server:
    """Serves until it is killed.

    Args:
        ttft_s: From a request's arrival to its first token.
        ttft_spread_s: Width around it; each request draws its own.
        itl_s: From one token to the next.
        together: Whether tokens of all streams leave together, as from one batch; each by itself
            otherwise.
    """

    def __init__(
        self, *, ttft_s: float, ttft_spread_s: float, itl_s: float, together: bool
    ) -> None:
        self._ttft_ns, self._spread_ns = int(ttft_s * 1e9), int(ttft_spread_s * 1e9)
        self._itl_ns = int(itl_s * 1e9)
        self._together = together
        self._random = random.Random(0)
        self._streams: list[Stream] = []
        self._due: list[tuple[int, int, Stream, socket.socket]] = []
        self._order = itertools.count()
        self._buffers: dict[int, tuple[socket.socket, bytearray]] = {}
        self._inbox: deque[tuple[int, bytes, int]] = deque()
        self._middle: dict[bool, bytes] = {}
        self._epoll = select.epoll()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
        self._listener.setblocking(False)
        self._epoll.register(self._listener, select.EPOLLIN)
        self.port: int = self._listener.getsockname()[1]

    def serve(self) -> None:
        """Look at sockets and clock in turn, forever."""
        while True:
            # Arrivals come first, since their times are half of the truth; tokens that are due
            # come second, and what a request asks for has time until its first token.
            for number, _ in self._epoll.poll(0 if self._due or self._inbox else None):
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._receive(number)
            if self._due and self._due[0][0] <= monotonic_ns():
                self._emit(*heapq.heappop(self._due))
            elif self._inbox:
                self._read(*self._inbox.popleft())

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except BlockingIOError:
                return
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
            # Reads never wait, since epoll said so; writes may, when a client does not read.
            self._epoll.register(client, select.EPOLLIN)
            self._buffers[client.fileno()] = (client, bytearray())

    def _receive(self, number: int) -> None:
        client, _ = self._buffers[number]
        try:
            data = client.recv(1 << 20)
        except ConnectionError:
            data = b""
        received_ns = monotonic_ns()
        if not data:
            self._epoll.unregister(client)
            del self._buffers[number]
            client.close()
            return
        self._inbox.append((number, data, received_ns))

    def _read(self, number: int, data: bytes, received_ns: int) -> None:
        if number not in self._buffers:
            return
        client, buffer = self._buffers[number]
        buffer += data
        while (head_end := buffer.find(b"\r\n\r\n")) >= 0:
            length = _LENGTH.search(buffer, 0, head_end)
            end = head_end + 4 + (int(length[1]) if length else 0)
            if len(buffer) < end:
                return
            request, body = bytes(buffer[:head_end]), bytes(buffer[head_end + 4 : end])
            del buffer[:end]
            self._answer(client, request.split(b" ", 2)[1], body, received_ns)

    def _answer(self, client: socket.socket, path: bytes, body: bytes, received_ns: int) -> None:
        if path.endswith(b"/completions"):
            stream = Stream(received_ns, json.loads(body), chat=b"chat" in path)
            spread = self._random.uniform(-0.5, 0.5) * self._spread_ns
            first_ns = received_ns + self._ttft_ns + int(spread)
            self._streams.append(stream)
            heapq.heappush(self._due, (self._step(first_ns), next(self._order), stream, client))
        elif path == b"/record":
            self._send_json(client, self._record())
        elif path == b"/reset":
            self._streams.clear()
            self._send_json(client, {})
        elif path == b"/v1/models":
            card = {"id": MODEL, "object": "model", "max_model_len": 1 << 20}
            self._send_json(client, {"object": "list", "data": [card]})
        else:
            self._send_json(client, {})

    def _step(self, due_ns: int) -> int:
        return due_ns // self._itl_ns * self._itl_ns + self._itl_ns if self._together else due_ns

    def _emit(self, due_ns: int, _: int, stream: Stream, client: socket.socket) -> None:
        number = len(stream.sent_ns) + 1
        if number == 1:
            head = (
                b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                b"transfer-encoding: chunked\r\n\r\n"
            )
            role = stream.event(text="", role="assistant") if stream.chat else b""
            data = head + role + stream.event(text=_PIECE)
        elif number == stream.tokens:
            data = stream.event(text=_PIECE, finish="length")
        else:
            if stream.chat not in self._middle:
                self._middle[stream.chat] = stream.event(text=_PIECE)
            data = self._middle[stream.chat]
        stream.due_ns.append(due_ns)
        stream.sent_ns.append(monotonic_ns())
        try:
            client.sendall(data)
            if number < stream.tokens:
                next_ns = due_ns + self._itl_ns
                heapq.heappush(self._due, (next_ns, next(self._order), stream, client))
            else:
                client.sendall(stream.end())
        except OSError:
            return  # gone: its stream ends here

    def _record(self) -> list[dict[str, Any]]:
        return [
            {
                "received_ns": stream.received_ns,
                "due_ns": list(stream.due_ns),
                "sent_ns": list(stream.sent_ns),
            }
            for stream in self._streams
        ]

    def _send_json(self, client: socket.socket, value: object) -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        client.sendall(head.encode() + b"\r\n\r\n" + body)


def _framed(data: bytes) -> bytes:
    payload = b"data: " + data + b"\n\n"
    return f"{len(payload):x}\r\n".encode() + payload + b"\r\n"


def main() -> None:
    """Print the port, then serve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ttft", type=float, default=0.05)
    parser.add_argument("--ttft-spread", type=float, default=0.02)
    parser.add_argument("--itl", type=float, default=0.02)
    parser.add_argument("--together", action="store_true")
    options = parser.parse_args()
    server = Server(
        ttft_s=options.ttft,
        ttft_spread_s=options.ttft_spread,
        itl_s=options.itl,
        together=options.together,
    )
    print(server.port, flush=True)
    gc.disable()  # a collection would be seen as a pause
    server.serve()


if __name__ == "__main__":
    main()
