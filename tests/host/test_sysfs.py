"""Small files of the kernel."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.host.sysfs import device_node
from hwval.host.sysfs import parse_cpu_list
from hwval.host.sysfs import read_int
from hwval.host.sysfs import read_text


@pytest.mark.parametrize(
    ("text", "number"), [("12\n", 12), ("-1\n", -1), ("", None), ("max\n", None), ("1 2\n", None)]
)
def test_number_is_read_or_unknown(tmp_path: Path, text: str, number: int | None) -> None:
    """The kernel writes words where it has no number."""
    path = tmp_path / "file"
    path.write_text(text)

    assert read_int(path) == number


def test_absent_is_empty(tmp_path: Path) -> None:
    """A folder, a missing file and bytes that are no text raise nothing."""
    (tmp_path / "bytes").write_bytes(b"\xff\xfe")

    assert read_text(tmp_path) == read_text(tmp_path / "none") == ""
    assert read_text(tmp_path / "bytes") == "\ufffd\ufffd"


def test_node_of_this_machine_tells_whether_it_opens() -> None:
    """Everyone may use /dev/null; of a saved tree nobody knows."""
    node = device_node(Path("/"), "/dev/null")

    assert node is not None
    assert node.openable is True
    assert device_node(Path("/"), "/dev/no-such-node") is None


@given(st.sets(st.integers(0, 500)))
def test_lists_of_processors_are_read(numbers: set[int]) -> None:
    """As the kernel writes them, one by one or in ranges."""
    assert parse_cpu_list(",".join(map(str, sorted(numbers)))) == tuple(sorted(numbers))


@given(st.text(alphabet="0123456789,- \u00b2x", max_size=20))
def test_other_text_gives_no_absurd_numbers(text: str) -> None:
    """Whatever stands there, numbers come back that a machine can have, or nothing."""
    assert all(0 <= number < 2**17 for number in parse_cpu_list(text))
