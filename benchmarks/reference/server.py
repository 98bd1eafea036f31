"""Streams tokens at exact times and records when: the truth that load generators are held to.

    python benchmarks/reference/server.py [--ttft S] [--ttft-spread S] [--itl S] [--together]

It never sleeps while a stream runs: one thread looks at its sockets and at the clock in turn, so
that a token leaves within microseconds of its time, as long as its core can send as many. `GET
/record` tells for each request when it had been read, when its first token was due, and when each
was handed to the kernel, on CLOCK_MONOTONIC; what a token left later than it was due is this
server's own error. `POST /reset` forgets all that.
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
from functools import cache
from time import monotonic_ns
from typing import Any
from typing import Final

MODEL: Final = "reference"
_LENGTH: Final = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_PIECE: Final = " the"
_HEAD: Final = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
# A token takes some 8 us to send, and so an arrival is seen within 70 us.
_TOKENS_PER_LOOK: Final = 8


class Stream:
    """One answer: what is said, when its tokens are due and when they left."""

    __slots__ = ("begin", "due_ns", "end", "first_due_ns", "left", "middle", "received_ns",
                 "send", "sent_ns")  # fmt: skip

    def __init__(self, client: socket.socket, received_ns: int, first_due_ns: int) -> None:
        self.send = client.sendall
        self.received_ns = received_ns
        self.first_due_ns = self.due_ns = first_due_ns
        self.sent_ns = array("q")

    def take(self, body: dict[str, Any], *, chat: bool) -> None:
        """Write all of the answer before its first token is due."""
        self.left = int(body.get("max_tokens") or body.get("max_completion_tokens") or 16)
        prompt_tokens = len(str(body.get("prompt") or body.get("messages")).split())
        has_usage = bool((body.get("stream_options") or {}).get("include_usage"))
        self.begin, self.middle = _begin(chat=chat), _token(chat=chat)
        self.end = _end(self.left, prompt_tokens if has_usage else None, chat=chat)


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
        self._starting: list[tuple[int, int, Stream]] = []
        # All have the same time between tokens: who went first is first again, and none is sorted.
        self._flowing: deque[Stream] = deque()
        self._order = itertools.count()
        self._buffers: dict[int, tuple[socket.socket, bytearray]] = {}
        self._inbox: deque[tuple[int, bytes, int]] = deque()
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
            is_idle = not (self._flowing or self._starting or self._inbox)
            for number, _ in self._epoll.poll(None if is_idle else 0):
                if number == self._listener.fileno():
                    self._accept()
                else:
                    self._receive(number)
            self._send_due()
            if self._starting and self._starting[0][0] <= monotonic_ns():
                self._start(heapq.heappop(self._starting)[2])
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
            spread = self._random.uniform(-0.5, 0.5) * self._spread_ns
            due_ns = self._step(received_ns + self._ttft_ns + int(spread))
            stream = Stream(client, received_ns, due_ns)
            stream.take(json.loads(body), chat=b"chat" in path)
            self._streams.append(stream)
            heapq.heappush(self._starting, (due_ns, next(self._order), stream))
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

    def _start(self, stream: Stream) -> None:
        """Send a stream's first token."""
        self._send(stream, monotonic_ns(), before=stream.begin)

    def _send_due(self) -> None:
        """Send tokens that are due, a few at most."""
        flowing = self._flowing
        for _ in range(min(_TOKENS_PER_LOOK, len(flowing))):
            stream = flowing[0]
            now_ns = monotonic_ns()
            if stream.due_ns > now_ns:
                return
            flowing.popleft()
            self._send(stream, now_ns)

    def _send(self, stream: Stream, now_ns: int, before: bytes = b"") -> None:
        stream.sent_ns.append(now_ns)
        stream.due_ns += self._itl_ns
        stream.left -= 1
        try:
            if stream.left:
                stream.send(before + stream.middle)
                self._flowing.append(stream)
            else:
                stream.send(before + stream.end)
        except OSError:
            return  # gone: its stream ends here

    def _record(self) -> list[dict[str, Any]]:
        return [
            {
                "received_ns": stream.received_ns,
                "first_due_ns": stream.first_due_ns,
                "itl_ns": self._itl_ns,
                "sent_ns": list(stream.sent_ns),
            }
            for stream in self._streams
        ]

    def _send_json(self, client: socket.socket, value: object) -> None:
        body = json.dumps(value).encode()
        head = f"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {len(body)}"
        client.sendall(head.encode() + b"\r\n\r\n" + body)


@cache
def _begin(*, chat: bool) -> bytes:
    """Return what stands before the first token's event."""
    return _HEAD + (_token(chat=chat, role="assistant", text="") if chat else b"")


@cache
def _token(
    *, chat: bool, text: str = _PIECE, finish: str | None = None, role: str | None = None
) -> bytes:
    """Return a token's event, as vLLM writes it."""
    choice: dict[str, Any] = {"index": 0}
    if chat:
        choice["delta"] = ({"role": role} if role else {}) | {"content": text}
    else:
        choice["text"] = text
    choice |= {"logprobs": None, "finish_reason": finish, "stop_reason": None}
    return _chunk({"choices": [choice | {"token_ids": None}]}, chat=chat)


@cache
def _end(tokens: int, prompt_tokens: int | None, *, chat: bool) -> bytes:
    """Return the last token's event and what follows it, usage where the prompt is counted."""
    last = _token(chat=chat, finish="length")
    if prompt_tokens is not None:
        usage = {
            "prompt_tokens": prompt_tokens,
            "total_tokens": prompt_tokens + tokens,
            "completion_tokens": tokens,
        }
        last += _chunk({"choices": [], "usage": usage}, chat=chat)
    return last + _framed(b"[DONE]") + b"0\r\n\r\n"


def _chunk(more: dict[str, Any], *, chat: bool) -> bytes:
    head = {
        "id": "cmpl-0123456789abcdef0123456789abcdef",
        "object": "chat.completion.chunk" if chat else "text_completion",
        "created": 1_700_000_000,
        "model": MODEL,
    }
    return _framed(json.dumps(head | more, separators=(",", ":")).encode())


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
