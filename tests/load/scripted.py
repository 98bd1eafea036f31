"""A server that says exactly the bytes that a test wrote down."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from typing import Any

EVENTS_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
    b"transfer-encoding: chunked\r\n\r\n"
)
LAST_CHUNK = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """Frame a piece of a chunked body."""
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def event(value: object) -> bytes:
    """Write one server-sent event."""
    return b"data: " + (value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n\n"


def token(text: str = " a", finish: str | None = None) -> dict[str, Any]:
    """Describe one token of a completion."""
    return {"choices": [{"index": 0, "text": text, "finish_reason": finish}]}


def usage(tokens: int, prompt_tokens: int = 3) -> dict[str, Any]:
    """Describe the counts at the end of a stream."""
    counts = {"completion_tokens": tokens, "prompt_tokens": prompt_tokens}
    return {"choices": [], "usage": counts}


def stream(*values: object, done: bool = True) -> bytes:
    """Write a whole answer of events, each in a chunk of its own."""
    body = b"".join(chunk(event(value)) for value in values)
    return EVENTS_HEAD + body + (chunk(event(b"[DONE]")) if done else b"") + LAST_CHUNK


def whole(tokens: int = 2) -> bytes:
    """Write an answer of so many tokens that nothing is wrong with."""
    middle = [token() for _ in range(tokens - 1)]
    return stream(*middle, token(finish="length"), usage(tokens))


class Script:
    """What the server does on each connection.

    Args:
        answers: Bytes said to each request in turn; the last one again and again. None says
            nothing and keeps the connection open.
        closes: Whether a connection is closed after its first answer.
    """

    def __init__(self, answers: Sequence[bytes | None], *, closes: bool = False) -> None:
        self.answers = answers
        self.closes = closes
        self.requests: list[bytes] = []
        self.connections = 0
        self._lock = threading.Lock()

    def next_answer(self, request: bytes) -> bytes | None:
        """Note a request and return what is said to it."""
        with self._lock:
            self.requests.append(request)
            return self.answers[min(len(self.requests), len(self.answers)) - 1]


@contextmanager
def serve(script: Script) -> Iterator[str]:
    """Run a script on a free port and give its URL."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listener:
        thread = threading.Thread(target=_accept, args=(listener, script), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def _accept(listener: socket.socket, script: Script) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        script.connections += 1
        threading.Thread(target=_talk, args=(client, script), daemon=True).start()


def _talk(client: socket.socket, script: Script) -> None:
    with client, contextlib.suppress(OSError):
        while (request := _read_request(client)) is not None:
            answer = script.next_answer(request)
            if answer is not None:
                client.sendall(answer)
            if script.closes:
                return


def _read_request(client: socket.socket) -> bytes | None:
    data = b""
    while b"\r\n\r\n" not in data:
        more = client.recv(65536)
        if not more:
            return None
        data += more
    head, _, body = data.partition(b"\r\n\r\n")
    lengths = [
        int(line.split(b":")[1])
        for line in head.split(b"\r\n")
        if line.lower().startswith(b"content-length")
    ]
    length = sum(lengths)
    while len(body) < length:
        body += client.recv(65536)
    return head + b"\r\n\r\n" + body
