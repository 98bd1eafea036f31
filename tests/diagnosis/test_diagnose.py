"""From a log and what is known around it to one cause."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.diagnosis import Circumstances
from hwval.diagnosis import Diagnosis
from hwval.diagnosis import Evidence
from hwval.diagnosis import diagnose

HELLO = "(APIServer pid=9) INFO 11-20 10:00:00 [api_utils.py:286] non-default args: {}"
CONTEXT = (
    "ValueError: User-specified max_model_len (9) is greater than the derived max_model_len (8)"
)
NO_MODEL = "OSError: org/x is not a local folder and is not a valid model identifier"
NO_DISK = "OSError: [Errno 28] No space left on device"
GENERIC = (
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
)


def cause_of(*lines: str, **known: object) -> str | None:
    return diagnose(lines, Circumstances(**known)).cause  # type: ignore[arg-type] # test's own


def test_specific_sign_wins_over_a_general_one() -> None:
    """A missing model often follows from something else; the higher rank wins anywhere."""
    assert cause_of(NO_MODEL, NO_DISK) == "disk-full"
    assert cause_of(NO_DISK, NO_MODEL) == "disk-full"


def test_first_causal_line_wins_within_a_rank() -> None:
    """What came first caused the rest."""
    assert cause_of(HELLO, CONTEXT, NO_DISK) == "context-length-exceeds-model"
    assert cause_of(HELLO, NO_DISK, CONTEXT) == "disk-full"


def test_wrapper_is_not_the_cause() -> None:
    """`Engine core initialization failed` says that, never why."""
    found = diagnose([HELLO, "ValueError: the real one", GENERIC])

    assert found.evidence == Evidence(2, "ValueError: the real one")
    assert cause_of(HELLO, GENERIC) == "cause-not-in-log"


def test_unknown_error_is_shown_with_its_line() -> None:
    """Nobody is told a wrong cause; the first error is the evidence, counted from 1."""
    lines = [HELLO, "", "(EngineCore pid=3) ERROR 11-20 10:00:01 [core.py:9] FooError: bar 7"]
    found = diagnose([*lines, "BarError: later"])

    assert (found.cause, found.family) == ("unknown", "none")
    assert found.evidence == Evidence(3, lines[2])
    assert found.fingerprint is not None
    assert found.fingerprint.startswith("unknown:")


def test_kernel_kill_needs_no_log() -> None:
    """The runtime's own flag decides, since a killed process says nothing."""
    found = diagnose([], Circumstances(exit_code=137, oom_killed=True))

    assert (found.cause, found.family, found.evidence) == ("host-oom-killed", "memory", None)
    assert "137" in found.summary


def test_kernel_kill_wins_over_what_the_log_says() -> None:
    """Errors of survivors follow from the kill."""
    assert cause_of(HELLO, NO_DISK, oom_killed=True, exit_code=137) == "host-oom-killed"


@pytest.mark.parametrize("code", [137, -9])
def test_signal_nine_without_the_flag_is_not_called_memory(code: int) -> None:
    """Somebody killed it; nobody knows that memory was the reason."""
    found = diagnose([HELLO], Circumstances(exit_code=code))

    assert (found.cause, found.family) == ("terminated-by-signal", "lab")


def test_error_in_the_log_wins_over_the_exit_code() -> None:
    """A log that says why is believed."""
    assert cause_of(NO_DISK, exit_code=137) == "disk-full"


def test_engine_that_lived_on_is_a_timeout() -> None:
    """No error in the log and no exit: it was not ready in time."""
    assert cause_of(HELLO, timed_out=True) == "startup-timeout"
    assert cause_of(HELLO, CONTEXT, timed_out=True) == "context-length-exceeds-model"


@pytest.mark.parametrize(("code", "word"), [(3, "3"), (None, "unknown")])
def test_silent_death_says_that_the_log_does_not_tell(code: int | None, word: str) -> None:
    """The exit code is told, no cause is guessed."""
    found = diagnose([HELLO], Circumstances(exit_code=code))

    assert found.cause == "cause-not-in-log"
    assert f"(exit code {word})" in found.summary


def test_healthy_engine_has_no_cause() -> None:
    """Whatever its log says, an engine that did not fail has nothing to diagnose."""
    found = diagnose([CONTEXT], Circumstances(failed=False))

    assert (found.cause, found.family, found.fingerprint) == (None, None, None)


def test_summary_and_remedy_carry_the_numbers_of_the_case() -> None:
    """A person reads what was asked and what is allowed."""
    assert diagnose([CONTEXT]).summary == "max-model-len 9 is more than the model allows (8)."


def test_diagnosis_is_plain_data() -> None:
    """It is written into records and read by programs."""
    text = json.dumps(diagnose([HELLO, CONTEXT]).to_json())

    assert json.loads(text)["evidence"] == {"line": 2, "text": CONTEXT}


def test_long_line_is_cut() -> None:
    """Evidence stays readable, whatever an engine prints in one line."""
    found = diagnose([f"FooError: {'x' * 100_000}"])

    assert found.evidence is not None
    assert len(found.evidence.text) == 1000


@given(
    st.lists(st.text(max_size=200)),
    st.builds(
        Circumstances,
        exit_code=st.none() | st.integers(-64, 255),
        oom_killed=st.booleans(),
        timed_out=st.booleans(),
        failed=st.booleans(),
    ),
)
def test_any_text_gets_an_answer(lines: list[str], known: Circumstances) -> None:
    """No log crashes it, the same log gives the same answer, and evidence points into the log."""
    found = diagnose(lines, known)

    assert isinstance(found, Diagnosis)
    assert found == diagnose(lines, known)
    assert (found.cause is None) == (not known.failed)
    assert found.evidence is None or 1 <= found.evidence.line <= len(lines)
    json.dumps(found.to_json())
