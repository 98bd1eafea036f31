"""The clothes of a log line, one after the other and together."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.diagnosis.lines import read_line
from hwval.diagnosis.scan import HotLine

MESSAGE = "ValueError: no"


@pytest.mark.parametrize(
    ("prefix", "process", "level"),
    [
        ("", "", ""),
        ("ERROR 11-20 10:00:01 [core.py:9] ", "", "error"),
        ("ERROR 11-20 10:00:01 core.py:9] ", "", "error"),
        ("INFO 11-20 10:00:01 [v1/engine/core.py:9] ", "", "info"),
        ("WARNING 2026-11-20 10:00:01 [a.py:9] ", "", "warning"),
        ("(Core_DP0 pid=25) ERROR 11-20 10:00:01 [core.py:9] ", "Core_DP0 pid=25", "error"),
        ("(EngineCore pid=25) ", "EngineCore pid=25", ""),
        ("(VllmWorker rank=1 pid=9) ", "VllmWorker rank=1 pid=9", ""),
        ("(Worker_TP0_EP0 pid=9) ERROR 11-20 10:00:01 [x.py:1] ", "Worker_TP0_EP0 pid=9", "error"),
        ("(RayWorkerWrapper pid=9, ip=10.1.0.7) ", "RayWorkerWrapper pid=9", ""),
        ("VllmWorker pid=214) ERROR 11-20 10:00:01 w.py:3] ", "VllmWorker pid=214", "error"),
        ("(EngineCore_DP0 pid=2) (Worker_TP1 pid=9) ERROR 11-20 10:00:01 [x.py:1] ",
         "Worker_TP1 pid=9", "error"),
        ("(EngineCore_DP0 pid=2)ESC[0;0m ", "EngineCore_DP0 pid=2", ""),
        ("[rank0]: ", "rank0", ""),
        ("[rank6]:[E509 01:24:46.197300260 ProcessGroupNCCL.cpp:2119] ", "rank6", "error"),
        ("\x1b[1;36m(APIServer pid=1)\x1b[0;0m ", "APIServer pid=1", ""),
        ("[1;36m(APIServer pid=1)[0;0m ", "APIServer pid=1", ""),
        ("#033[1;36m(APIServer pid=1)#033[0;0m ", "APIServer pid=1", ""),
        ("vllm-1  | ", "", ""),
        ("2026-11-20T10:00:01.123456789Z stderr F ", "", ""),
        ("2026-11-20T10:00:01.1234567Z ", "", ""),
        ("2026-11-20 10:00:01.639 | ", "", ""),
        ("Nov 20 10:00:01 host vllm[12]: (APIServer pid=1) ", "APIServer pid=1", ""),
        ("2026-11-20 10:00:01,123 - vllm - ERROR - ", "", "error"),
        ("[2026-11-20 10:00:01] ERROR ", "", "error"),
        ("ERROR:    ", "", "error"),
        ("INFO:     ", "", "info"),
        ("> ", "", ""),
    ],
)  # fmt: skip
def test_prefix_is_taken_off(prefix: str, process: str, level: str) -> None:
    """Who says it and how loud, whatever carries the line."""
    line = read_line(HotLine(7, prefix + MESSAGE))

    assert (line.number, line.process, line.level, line.text) == (7, process, level, MESSAGE)


def test_indentation_is_kept() -> None:
    """It tells code from messages."""
    line = read_line(
        HotLine(1, "(EngineCore pid=2) ERROR 11-20 10:00:01 [core.py:9]     raise x  ")
    )

    assert line.text == "    raise x"
    assert read_line(HotLine(1, "          File x")).text == "          File x"


@pytest.mark.parametrize(
    ("text", "level", "message"),
    [
        ('{"log":"(EngineCore pid=2) ERROR no\\n","stream":"stderr"}', "error", "no"),
        ('{"levelname": "ERROR", "message": "no"}', "error", "no"),
        ('{"level": "info", "msg": "yes"}', "info", "yes"),
        ('{"message": "no", "code": 400}', "", '{"message": "no", "code": 400}'),
        ("{broken", "", "{broken"),
    ],
)
def test_json_is_unpacked(text: str, level: str, message: str) -> None:
    """As the files of a container runtime and structured loggers have it."""
    line = read_line(HotLine(1, text))

    assert (line.level, line.text, line.raw) == (level, message, text)


def test_typography_becomes_plain() -> None:
    """A page that a log was pasted into sets its quotation marks; the evidence keeps them."""
    line = read_line(HotLine(1, "  File \u201c/a.py\u201d, line 1, in f"))

    assert line.text == '  File "/a.py", line 1, in f'
    assert "\u201c" in line.raw


def test_raw_line_keeps_everything_but_escapes() -> None:
    """Evidence is shown as the log has it."""
    line = read_line(HotLine(1, "\x1b[1;36m(EngineCore pid=2)\x1b[0;0m ERROR no"))

    assert line.raw == "(EngineCore pid=2) ERROR no"


@pytest.mark.parametrize(
    "text", ["Tried (see above) pid=2", "a: b | c", "f(x, pid=3)", "[rank of 3] x"]
)
def test_message_is_not_mistaken_for_a_prefix(text: str) -> None:
    """Only the head of a line is clothing."""
    assert read_line(HotLine(1, text)).text == text


@given(st.text(st.characters(exclude_characters="\u201c\u201d\u2018\u2019\u00a0"), max_size=400))
def test_any_text_is_read(text: str) -> None:
    """What is left was there."""
    line = read_line(HotLine(1, text))

    assert line.text.strip() in line.raw


@given(
    st.lists(st.sampled_from(["(", "a", "word", " ", "=", "pid", "1", ":", "[", "]"]), max_size=300)
)
def test_head_of_words_takes_no_time(words: list[str]) -> None:
    """Heads that nearly are prefixes: a pattern that backtracks over them would never end."""
    assert read_line(HotLine(1, " ".join(words))).number == 1
