"""Reads exceptions out of interleaved processes: what was raised, where, and in which traceback.

Each process has its own place in its own traceback. A traceback may lack its head (the log was
cut), its indentation (it was pasted) or its "Traceback" line (an older worker prints the frames
after the message); what is there is used.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from typing import Final

from hwval.diagnosis.lines import LogLine

__all__ = ["Event", "Traceback", "read_events"]

_HEAD: Final = re.compile(r"Traceback \(most recent call last\)")
_FRAME: Final = re.compile(
    r'^\s*(?:\|\s*)?File "(?P<path>[^"]+)", line (?P<line>\d+)(?:, in (?P<function>\S+))?'
)
_NATIVE_FRAME: Final = re.compile(r"^\s*(?:frame #\d+: |#\d+ +0x|@ +0x)")
_ALIGNMENT: Final = re.compile(r"[\s~^|]*")
# The last line of a traceback: a class, alone or before a colon.
_CLASS_LINE: Final = re.compile(r"\s*(?P<type>[A-Za-z_][\w.]{0,200}+)(?:(?P<colon>:)(?: |$)|\s*$)")
_TELLING_CLASS: Final = re.compile(
    r"Error|Exception|Interrupt|Exit|Warning|Failure|Timeout|Fault|Died|Dead|NotFound|Iteration|"
    r"Cancelled"
)
_CODE: Final = re.compile(
    r"(?:raise|return|await|yield|from|import|with|for|if|elif|assert|def|async|del|not|lambda) |"
    r"self\.|try:|else:|@\w|[)\]}]|"
    r"[\w.]+(?:\[[^\]]{0,80}\])?(?:, [\w.]+)*(?:: [\w\[\], |]{1,60})? = |[\w.]+\("
)
_CODE_CHARACTERS: Final = 300
_BLANKS: Final = (" ", "\t")
_CONTINUATION_LINES: Final = 25
_STALE_LINES: Final = 60
_MAX_FRAMES: Final = 400


@dataclass(slots=True)
class Traceback:
    """The frames of one exception, outermost first, each as ``path:function``."""

    frames: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Event:
    """A line that says something, with the traceback it belongs to.

    Attributes:
        line: The message.
        exception: Class of the exception that this line raises; empty for other lines.
        traceback: Frames that led here; empty where there are none.
        continued: Whether it goes on with the message of the exception before it.
    """

    line: LogLine
    exception: str
    traceback: Traceback
    continued: bool = False


@dataclass(slots=True)
class _Process:
    """Where one process stands in its own output."""

    traceback: Traceback | None = None
    after_frame: bool = False
    header: tuple[str, str] = ("", "")
    raised: Traceback | None = None
    raised_line: int = 0
    last_line: int = 0
    announced: Traceback | None = None


def read_events(lines: Iterable[LogLine]) -> Iterator[Event]:
    """Yield everything but frames and their code, in the order of the log."""
    processes: dict[str, _Process] = {}
    for line in lines:
        if len(processes) > 1000:  # process ids that never end: only what is going on matters
            processes.clear()
        event = _read(line, processes.setdefault(line.process, _Process()))
        if event is not None:
            yield event


def _read(line: LogLine, process: _Process) -> Event | None:
    if not line.text.strip():
        return None
    if line.number - process.last_line > _STALE_LINES:
        process.traceback = None  # its end was not among the lines of interest
    process.last_line = line.number
    head = _HEAD.search(line.text)
    if head is not None:
        process.traceback = _announced(line, process) or Traceback()
        process.after_frame, process.header = False, line.header
        # Some say what happened on the line that announces the frames.
        says_more = any(map(str.isalnum, line.text[: head.start()]))
        return Event(line, "", process.traceback) if says_more else None
    frame = _FRAME.search(line.text)
    if frame is not None:
        _add_frame(process, line, f"{frame['path']}:{frame['function'] or ''}")
        return None
    if _NATIVE_FRAME.search(line.text):
        return None
    if process.traceback is not None:
        return _in_traceback(line, process)
    return _outside(line, process)


def _announced(line: LogLine, process: _Process) -> Traceback | None:
    """Return the traceback of the message that stands right above its head, if one does."""
    is_next = line.number == process.raised_line + 1 and line.header == process.header
    return process.announced if is_next else None


def _add_frame(process: _Process, line: LogLine, frame: str) -> None:
    if process.traceback is None:
        # Frames that follow a message without a "Traceback" line belong to that message.
        near = line.number - process.raised_line <= 2 and process.raised is not None
        process.traceback = process.raised if near and process.raised else Traceback()
        process.header = line.header
    if len(process.traceback.frames) < _MAX_FRAMES:
        process.traceback.frames.append(frame)
    process.after_frame = True


def _in_traceback(line: LogLine, process: _Process) -> Event | None:
    if line.header != process.header and not (line.process and not line.level):
        # Somebody else speaks: what comes is not code of this traceback.
        return _outside(line, process)
    exception, is_telling = _class_of(line.text)
    if _is_code(line.text, process, is_telling=is_telling):
        process.after_frame = False
        return None
    has_frames = process.traceback is not None and bool(process.traceback.frames)
    if exception and (is_telling or has_frames):
        return _end(line, process, exception)
    if has_frames and line.text[:1] not in _BLANKS:
        return _end(line, process, "")
    return None if line.text[:1] in _BLANKS else _outside(line, process)


def _is_code(text: str, process: _Process, *, is_telling: bool) -> bool:
    """Return whether a line shows the source below a frame, or the marks under it."""
    if _ALIGNMENT.fullmatch(text):
        return True
    looks_like_code = _CODE.match(text[:_CODE_CHARACTERS].lstrip()) is not None
    if text[:1] in _BLANKS:
        return looks_like_code or (process.after_frame and not is_telling)
    return process.after_frame and looks_like_code and not is_telling


def _class_of(text: str) -> tuple[str, bool]:
    """Return the class that a line raises, empty for none, and whether its name tells as much."""
    match = _CLASS_LINE.match(text)
    if match is None:
        return "", False
    name = match["type"]
    last = name.rpartition(".")[2]
    is_telling = _TELLING_CLASS.search(last) is not None
    return (name, is_telling) if is_telling or last[:1].isupper() else ("", False)


def _end(line: LogLine, process: _Process, exception: str) -> Event:
    traceback = process.traceback or Traceback()
    process.traceback, process.announced, process.after_frame = None, None, False
    process.raised, process.raised_line, process.header = traceback, line.number, line.header
    return Event(line, exception, traceback)


def _outside(line: LogLine, process: _Process) -> Event:
    exception, is_telling = _class_of(line.text)
    near = line.number - process.raised_line <= _CONTINUATION_LINES
    if not is_telling and process.raised is not None and near and line.header == process.header:
        return Event(line, "", process.raised, continued=True)
    traceback = Traceback()
    process.raised, process.raised_line, process.header = traceback, line.number, line.header
    process.announced = None if is_telling else traceback
    return Event(line, exception if is_telling else "", traceback)
