"""What a container's state says of its end."""

from __future__ import annotations

from typing import Any

import pytest

from hwval.diagnosis import Circumstances


def state(**fields: Any) -> list[dict[str, Any]]:
    base = {"Status": "exited", "Running": False, "OOMKilled": False, "ExitCode": 0, "Error": ""}
    return [{"Id": "abc", "State": base | fields}]


def test_dead_container() -> None:
    """Exit code and OOM flag are told."""
    found = Circumstances.of_inspect(state(ExitCode=137, OOMKilled=True))

    assert (found.exit_code, found.oom_killed, found.failed, found.signal) == (137, True, True, 9)


def test_container_that_never_started() -> None:
    """Docker's own words are kept."""
    found = Circumstances.of_inspect(state(Status="created", ExitCode=128, Error="no device"))

    assert (found.runtime_error, found.failed) == ("no device", True)


def test_living_container_has_no_exit_code() -> None:
    """Docker writes 0 for it."""
    found = Circumstances.of_inspect(state(Status="running", Running=True)[0])

    assert (found.exit_code, found.failed) == (None, None)


@pytest.mark.parametrize(
    "document", [None, [], {}, [1], {"State": 1}, {"State": {}}, state() * 2, "x"]
)
def test_what_is_not_a_container_is_refused(document: Any) -> None:
    """Somebody gave another file."""
    with pytest.raises(ValueError, match="State"):
        Circumstances.of_inspect(document)


@pytest.mark.parametrize(
    ("code", "signal"),
    [(None, None), (0, None), (1, None), (137, 9), (-9, 9), (139, 11), (255, None)],
)
def test_signal(code: int | None, signal: int | None) -> None:
    """A shell adds 128, Python negates."""
    assert Circumstances(exit_code=code).signal == signal
