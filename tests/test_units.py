"""Units are read and written in one place."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.units import format_bytes
from hwval.units import format_count
from hwval.units import format_duration_s
from hwval.units import parse_bytes
from hwval.units import parse_duration_s


@pytest.mark.parametrize(
    ("text", "duration_s"),
    [("250 ms", 0.25), ("90s", 90), (" 1.5 min ", 90), ("2 h", 7200), ("0 s", 0)],
)
def test_duration_is_read(text: str, duration_s: float) -> None:
    """A number and a unit, with or without a space."""
    assert parse_duration_s(text) == duration_s


@pytest.mark.parametrize(
    ("text", "size_bytes"),
    [("16 GiB", 2**34), ("16 GB", 16 * 10**9), ("1.5 KiB", 1536), ("7B", 7), ("2 TiB", 2**41)],
)
def test_size_is_read(text: str, size_bytes: int) -> None:
    """Powers of 1000 and of 1024 are told apart by their names."""
    assert parse_bytes(text) == size_bytes


@pytest.mark.parametrize("text", ["20", "20 m", "-1 s", "", "s", "1e3 s", "1 H", "1 s s", "1_0 s"])
def test_duration_without_a_known_unit_is_refused(text: str) -> None:
    """The message shows what was written, what is allowed, and an example."""
    with pytest.raises(ValueError, match=r"is not a number with a unit of ms, s, min, h, as in"):
        parse_duration_s(text)


@pytest.mark.parametrize("text", ["16", "16 gib", "16 Gb", "GiB", "-1 B", "1_0 B"])
def test_size_without_a_known_unit_is_refused(text: str) -> None:
    """Case matters: Gb is not GB."""
    with pytest.raises(ValueError, match=r"with a unit of B, kB, .*TiB, as in '16 GiB'"):
        parse_bytes(text)


@pytest.mark.parametrize(
    ("duration_s", "text"),
    [
        (0, "0 ms"), (0.9994, "999 ms"), (0.9996, "1.0 s"), (59.94, "59.9 s"),
        (59.96, "1 min 00 s"), (119.6, "2 min 00 s"), (3599.4, "59 min 59 s"),
        (3599.6, "1 h 00 min"), (90061, "25 h 01 min"),
    ],
)  # fmt: skip
def test_duration_is_written_with_two_units(duration_s: float, text: str) -> None:
    """Rounding never shows 60 of a smaller unit."""
    assert format_duration_s(duration_s) == text


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (1023, "1023 B"), (1024, "1.00 KiB"), (10 * 2**20, "10.0 MiB"), (700 * 2**20, "700 MiB"),
        (2**40, "1.00 TiB"), (2**52, "4096 TiB"), (-(2**20), "-1.00 MiB"),
    ],
)  # fmt: skip
def test_size_is_written_with_three_digits(size_bytes: int, text: str) -> None:
    """The unit is the largest that keeps at least one digit before the point."""
    assert format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("number", "text"), [(0, "0 rounds"), (1, "1 round"), (2, "2 rounds"), (1200, "1,200 rounds")]
)
def test_count_has_the_form_of_its_noun(number: int, text: str) -> None:
    """One of it, or many."""
    assert format_count(number, "round") == text


@given(st.integers(min_value=0, max_value=2**60))
def test_written_size_reads_back(size_bytes: int) -> None:
    """What is shown is within half a percent of what is meant."""
    assert parse_bytes(format_bytes(size_bytes)) == pytest.approx(size_bytes, rel=0.005)


@given(st.floats(min_value=0, max_value=1e6))
def test_written_duration_never_shows_sixty(duration_s: float) -> None:
    """Seconds and minutes stay below 60."""
    text = format_duration_s(duration_s)

    assert "60 s" not in text.split(" min ")[-1:]
    assert "60 min" not in text
    assert "1000 ms" not in text
