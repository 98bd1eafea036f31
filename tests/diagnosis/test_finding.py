"""A failure keeps its identity over runs and hosts."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.diagnosis.finding import failure_fingerprint
from hwval.diagnosis.finding import normalise

WORDS = "RuntimeError: tensor on device {device} of {file} needs {size} GiB at {address}"
PREFIX = (
    "(EngineCore pid={pid}) ERROR {month:02}-{day:02} {hour:02}:00:{second:02} [core.py:{line}] "
)
NUMBERS = st.integers(0, 10**9)


@given(
    pid=st.integers(1, 2**22),
    month=st.integers(1, 12),
    day=st.integers(1, 31),
    hour=st.integers(0, 23),
    second=st.integers(0, 59),
    line=NUMBERS,
    device=NUMBERS,
    size=st.floats(0.01, 9999.0).map(lambda size: f"{size:.2f}"),
    address=st.integers(0, 2**48).map(hex),
    file=st.lists(st.from_regex(r"[A-Za-z0-9_.-]+", fullmatch=True), min_size=2, max_size=5).map(
        lambda parts: "/" + "/".join(parts)
    ),
)
def test_fingerprint_ignores_what_differs_between_runs(**varying: object) -> None:
    """Process ids, times, source lines, paths, addresses and numbers are not part of a failure."""
    seen = failure_fingerprint("unknown", (PREFIX + WORDS).format_map(varying))
    bare = WORDS.format(device=0, file="/a/b", size="1.50", address="0x7f")

    assert seen == failure_fingerprint("unknown", bare)


@pytest.mark.parametrize(
    ("one", "other"),
    [("KeyError: 'a'", "KeyError: 'b'"), ("ValueError: x", "TypeError: x"), ("", "x")],
)
def test_other_words_are_another_failure(one: str, other: str) -> None:
    """A ledger entry does not excuse what it was not written for."""
    assert failure_fingerprint("unknown", one) != failure_fingerprint("unknown", other)


def test_cause_stands_in_the_fingerprint() -> None:
    """A ledger may name the cause alone."""
    assert re.fullmatch(r"disk-full:[0-9a-f]{10}", failure_fingerprint("disk-full", "x"))


@given(st.text())
def test_normalising_twice_changes_nothing_more(text: str) -> None:
    """What is left holds nothing that would be taken out."""
    once = normalise(text)

    assert failure_fingerprint("a", once) == failure_fingerprint("a", normalise(once))
