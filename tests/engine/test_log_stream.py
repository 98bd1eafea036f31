"""A log on its way into a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hwval.engine.log_stream import LogStream
from hwval.errors import DaemonError
from hwval.redaction import Redactor

SECRET = "hf_abcabd"


def copied(path: Path, *parts: bytes, error: Exception | None = None) -> LogStream:
    """Return a stream after its end, or after an error in it."""

    def source() -> Iterator[bytes]:
        yield from parts
        if error is not None:
            raise error

    stream = LogStream(source, path, Redactor([SECRET]))
    stream.start()
    assert stream.join(10.0)
    return stream


def test_secret_is_taken_out_wherever_parts_cut_it(tmp_path: Path) -> None:
    """Also at the end of a last line without its end."""
    path = tmp_path / "logs/a.log"
    token = SECRET.encode()
    for cut in range(1, len(token)):
        stream = copied(path, b"key=" + token + b"\ntail:" + token[:cut], token[cut:])

        assert path.read_bytes() == b"key=[secret]\ntail:[secret]"
        assert stream.failure is None


def test_log_that_breaks_off_keeps_what_was_held_back(tmp_path: Path) -> None:
    """What looked like the beginning of a secret was none."""
    path = tmp_path / "a.log"
    stream = copied(path, b"found hf_ab", error=DaemonError("follow the log: gone"))

    assert path.read_bytes() == b"found hf_ab"
    assert stream.failure == "broke off: follow the log: gone"
