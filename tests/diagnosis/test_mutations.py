"""Real logs cut, spliced, garbled, carried elsewhere: there is an answer, and it points right."""

from __future__ import annotations

import io
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from hwval.diagnosis import Circumstances
from hwval.diagnosis import diagnose_stream

LOGS = [path.read_bytes() for path in sorted((Path(__file__).parent / "logs").rglob("*.log"))]
KNOWN_FAILED = Circumstances(failed=True)
CARRIERS = (
    b"2026-11-20T10:00:01.123456789Z stderr F ",
    b"vllm-1  | ",
    b"Nov 20 10:00:01 host vllm[12]: ",
    b"\x1b[36m",
    b"> ",
)

places = st.floats(0, 1, exclude_max=True)
logs = st.sampled_from(LOGS)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """A real log after some accidents."""
    data = draw(logs)
    for _ in range(draw(st.integers(1, 6))):
        at = int(draw(places) * (len(data) + 1))
        match draw(st.integers(0, 5)):
            case 0:  # a piece is lost, its beginning for example
                data = data[:at] + data[at + draw(st.integers(0, 4000)) :]
            case 1:  # another process writes in between
                other = draw(logs)
                begin = int(draw(places) * (len(other) + 1))
                data = data[:at] + other[begin : begin + 3000] + data[at:]
            case 2:  # no text at all
                data = data[:at] + draw(st.binary(max_size=60)) + data[at:]
            case 3:  # other line ends, or none
                data = data.replace(b"\n", draw(st.sampled_from([b"\r\n", b"\r", b" ", b"\n\n"])))
            case 4:  # one line that does not end
                data = (
                    data[:at] + draw(st.sampled_from([b"(a ", b" ", b"Error "])) * 9000 + data[at:]
                )
            case _:
                data = data.replace(b"\n", b"\n" + draw(st.sampled_from(CARRIERS)))
    return data


@given(mutated())
def test_answer_points_into_the_log(data: bytes) -> None:
    """The evidence stands in the line that it names, whatever happened to the log."""
    found = diagnose_stream(io.BytesIO(data), KNOWN_FAILED)

    assert found.cause is not None
    assert found == diagnose_stream(io.BytesIO(data), KNOWN_FAILED)
    if found.evidence is not None and b"\x00" not in data:
        line = data.split(b"\n")[found.evidence.line - 1].decode("utf-8", "replace")
        for word in found.evidence.text.split()[:5]:
            assert word in line


@given(st.sampled_from(CARRIERS), logs)
def test_what_carries_a_log_does_not_matter(carrier: bytes, data: bytes) -> None:
    """A cluster, a compose file, systemd, a terminal or a quotation: same cause, same line."""
    carried = b"\n".join(carrier + line for line in data.split(b"\n"))
    bare = diagnose_stream(io.BytesIO(data), KNOWN_FAILED)
    found = diagnose_stream(io.BytesIO(carried), KNOWN_FAILED)

    assert (found.cause, found.fingerprint) == (bare.cause, bare.fingerprint)
    assert (found.evidence and found.evidence.line) == (bare.evidence and bare.evidence.line)
