"""Exceptions out of interleaved, cut and pasted logs."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hwval.diagnosis.events import Event
from hwval.diagnosis.events import read_events
from hwval.diagnosis.lines import read_line
from hwval.diagnosis.scan import HotLine

CORE = "(EngineCore pid=2) ERROR 11-20 10:00:01 [core.py:9] "
TRACEBACK = """Traceback (most recent call last):
  File "/app/vllm/core.py", line 7, in run
    raise ValueError("code, not a message")
          ^^^^^^^^^^
  File "/app/vllm/model.py", line 9, in load
    self.weights = torch.empty(
ValueError: no"""


def events(text: str) -> list[Event]:
    return list(
        read_events(read_line(HotLine(n, line)) for n, line in enumerate(text.split("\n"), 1))
    )


def prefixed(prefix: str, text: str) -> str:
    return "\n".join(prefix + line for line in text.split("\n"))


def test_traceback_is_one_event_with_its_frames() -> None:
    """Code lines look like errors and are none."""
    (event,) = events(TRACEBACK)

    assert (event.exception, event.line.number, event.line.text) == (
        "ValueError",
        7,
        "ValueError: no",
    )
    assert event.traceback.frames == ["/app/vllm/core.py:run", "/app/vllm/model.py:load"]


def test_processes_are_told_apart() -> None:
    """Two tracebacks line by line into each other."""
    one = prefixed("(Worker_TP0 pid=1) ERROR 11-20 10:00:01 [x.py:1] ", TRACEBACK).split("\n")
    two = prefixed(
        "(Worker_TP1 pid=2) ERROR 11-20 10:00:01 [x.py:1] ", TRACEBACK.replace("no", "yes")
    ).split("\n")
    found = events("\n".join(line for pair in zip(one, two, strict=True) for line in pair))

    assert [(e.line.process, e.line.text, len(e.traceback.frames)) for e in found] == [
        ("Worker_TP0 pid=1", "ValueError: no", 2),
        ("Worker_TP1 pid=2", "ValueError: yes", 2),
    ]


def test_chain_yields_its_exceptions_in_their_order() -> None:
    """The sentence between them is an event of no class."""
    found = events(f"{TRACEBACK}\n\nThe above exception was the direct cause of the following:\n\n"
                   f"{TRACEBACK.replace('ValueError', 'RuntimeError')}")  # fmt: skip

    assert [e.exception for e in found if e.exception] == ["ValueError", "RuntimeError"]


def test_message_goes_on_in_the_next_lines() -> None:
    """pydantic says what is wrong in the second line; it belongs to the same traceback."""
    text = TRACEBACK.replace(
        "ValueError: no", "pydantic_core._pydantic_core.ValidationError: 1 validation error for X"
    )
    first, second = events(f"{text}\n  Value error, it is too long")

    assert first.exception.endswith("ValidationError")
    assert (second.continued, second.line.text) == (True, "  Value error, it is too long")
    assert second.traceback is first.traceback


def test_frames_may_follow_the_message() -> None:
    """Older workers print the message, then the frames without a head, then the exception."""
    text = TRACEBACK.split("\n", 1)[1]
    first, second = events(
        prefixed(CORE, f"Exception in worker W while processing method f: no\n{text}")
    )

    assert first.traceback.frames == second.traceback.frames
    assert len(first.traceback.frames) == 2


def test_message_may_stand_before_the_head() -> None:
    """The line that announces the frames says what happened, too."""
    first, second = events(f"Exception in worker W: no memory, {TRACEBACK}")

    assert first.line.number == 1
    assert first.traceback is second.traceback


def test_message_right_above_the_head_belongs_to_it() -> None:
    """As a logger prints an exception; another exception right above is one of its own."""
    first, second = events(prefixed(CORE, f"The template failed.\n{TRACEBACK}"))
    earlier, later = events(f"RuntimeError: one\n{TRACEBACK}")

    assert first.traceback is second.traceback
    assert (len(earlier.traceback.frames), len(later.traceback.frames)) == (0, 2)


def test_head_may_be_cut_off() -> None:
    """Frames alone open a traceback."""
    (event,) = events("\n".join(TRACEBACK.split("\n")[4:]))

    assert event.traceback.frames == ["/app/vllm/model.py:load"]


def test_pasted_traceback_without_indentation() -> None:
    """Markdown ate the blanks; code is still not a message."""
    (event,) = events("\n".join(line.strip() for line in TRACEBACK.split("\n")))

    assert event.line.text == "ValueError: no"


def test_blank_lines_between_and_nested_indentation() -> None:
    """As some terminals copy it, and as an exception inside a message stands."""
    assert [e.line.text for e in events(TRACEBACK.replace("\n", "\n\n"))] == ["ValueError: no"]
    assert [e.line.text.strip() for e in events(prefixed("      ", TRACEBACK))] == [
        "ValueError: no"
    ]


def test_exception_without_a_message() -> None:
    """A bare assertion."""
    (event,) = events(TRACEBACK.replace("ValueError: no", "AssertionError"))

    assert (event.exception, len(event.traceback.frames)) == ("AssertionError", 2)


def test_class_without_a_telling_name_ends_a_traceback() -> None:
    """Not every exception says that it is one."""
    (event,) = events(TRACEBACK.replace("ValueError: no", "zmq.error.Again: Resource busy"))

    assert event.exception == "zmq.error.Again"


def test_traceback_whose_end_is_missing_does_not_swallow_the_log() -> None:
    """Much later lines are read for themselves."""
    cut = "\n".join(TRACEBACK.split("\n")[:3])
    found = events(cut + "\n" * 100 + "    error: it failed")

    assert [e.line.text.strip() for e in found] == ["error: it failed"]


@given(
    st.lists(
        st.sampled_from([*TRACEBACK.split("\n"), "", CORE + "x", "During handling", "a" * 300]),
        max_size=40,
    )
)
def test_any_mixture_is_read(lines: list[str]) -> None:
    """Events come in the order of their lines."""
    numbers = [event.line.number for event in events("\n".join(lines))]

    assert numbers == sorted(numbers)
