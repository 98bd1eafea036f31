"""Takes the clothes off a log line: who wrote it, how loud, and what it says.

The same message arrives as `(EngineCore_DP0 pid=25) ERROR 01-02 03:04:05 [core.py:7] text`, behind
the name of a compose service, the time of a cluster's log, a syslog header, `[rank0]:` or terminal
escapes, or several of these, in any order that a lab's tools put them in.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Final

from hwval.diagnosis.scan import HotLine

__all__ = ["LogLine", "read_line"]

_MAX_LAYERS: Final = 8

# Escapes as bytes, as syslog writes them, and what is left when only the escape character is lost.
_ESCAPES: Final = re.compile(
    r"\x1b\[[0-9;?]{0,30}[ -/]{0,3}[@-~]|\x1b\][^\x07]{0,200}\x07|#033\[[0-9;]{0,20}m|"
    r"(?:\^\[|ESC)\[[0-9;]{0,20}m|\[[01](?:;[0-9]{1,3}){0,6}m"
)
# Bounded repeats all through: whatever a line says, its head is peeled in constant time.
_PROCESS: Final = re.compile(
    r"^\s{0,40}\(?(?P<process>[A-Za-z_][\w.:/= -]{0,60}?[ ,]pid=\d+|[A-Za-z_]\w{0,40} rank=\d+|"
    r"pid=\d+|EngineCore\w{0,40}|Worker_\w{1,40}|APIServer\w{0,40})(?:[ ,][^()]{0,80})?\) ?"
)
_RANK: Final = re.compile(r"^\s{0,40}\[(?P<process>(?:default\d+|[Rr]ank ?\d+))\]:? ?")
_LEVELS: Final = r"TRACE|DEBUG|INFO|WARNING|WARN|ERROR|CRITICAL|FATAL|SUCCESS"
_TIME: Final = (
    r"(?:\d{4}[-/]\d\d[-/]\d\d[T ]|\d\d[-/]\d\d |\d{4} )?\d\d:\d\d:\d\d(?:[.,]\d+)?"
    r"(?:Z|[+-]\d\d:?\d\d)?"
)
# vLLM's own header, old and new; the place is dropped, it changes with every version.
_VLLM: Final = re.compile(
    rf"^\s{{0,40}}(?P<level>{_LEVELS}):? +{_TIME} (?:\[[^\]\s]+:\d+\] ?|[\w./-]+\.py:\d+\] ?)?"
)
_PLAIN_LEVEL: Final = re.compile(
    rf"^\s{{0,3}}\[?(?P<level>{_LEVELS})(?::[\w.]+:|: {{0,8}}| - | {{1,8}}|\t| +\| +|\]:? )"
)
_TIMED_LEVEL: Final = re.compile(
    rf"^\s{{0,3}}\[?{_TIME}\]?[ \t]*(?:[-|] *)?(?:[\w.]+ *[-|] *)?\[?(?P<level>{_LEVELS})\b\]?"
    r"(?: *[-|:] *| +)(?:[\w./-]+:\d+\]? *[-|:]? ?)?"
)
_GLOG: Final = re.compile(
    r"^\s{0,3}\[?(?P<glog>[EWIF])\d{3,8} \d\d:\d\d:\d\d[.\d]* +(?:\d+ )?[\w./-]+:\d+\] ?"
)
_GLOG_LEVELS: Final = {"E": "ERROR", "W": "WARNING", "I": "INFO", "F": "FATAL"}
# What carries somebody else's log: a cluster, a compose file, systemd, a runner, a quotation.
_CARRIERS: Final = (
    re.compile(
        r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d[.\d]*(?:Z|[+-]\d\d:?\d\d) (?:std(?:out|err) [FP] )?"
    ),
    re.compile(r"^[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d [\w.-]+ [\w./@-]+(?:\[\d+\])?: ?"),
    re.compile(r"^[\w.-]+ +\| ?"),
    re.compile(rf"^{_TIME} +\| "),
    re.compile(rf"^\[{_TIME}\] "),
    re.compile(r"^> "),
    re.compile(r"^[│|] "),
)
# What an editor or a page makes of plain quotation marks and blanks.
_TYPOGRAPHY: Final = str.maketrans("\u201c\u201d\u2018\u2019\u00a0", "\"\"'' ")
_LEVEL_NAMES: Final = ("level", "levelname", "severity")
_LOUD: Final = frozenset({"ERROR", "CRITICAL", "FATAL"})
_QUIET: Final = frozenset({"TRACE", "DEBUG", "INFO", "SUCCESS"})


@dataclass(frozen=True, slots=True)
class LogLine:
    """One message.

    Attributes:
        number: Line of the file, from 1.
        process: Who wrote it, as its prefix says; empty where none does.
        level: ``error``, ``warning``, ``info`` (and below), or empty where none is given.
        text: What it says, its indentation kept.
        raw: The whole line without terminal escapes.
    """

    number: int
    process: str
    level: str
    text: str
    raw: str

    @property
    def header(self) -> tuple[str, str]:
        """Who said it and how loud: lines of one message share both."""
        return self.process, self.level


def read_line(line: HotLine) -> LogLine:
    """Return what a line says, without what carries it."""
    text = line.text
    if "\x1b" in text or ("m" in text and ("[0" in text or "[1" in text)):
        text = _ESCAPES.sub("", text)
    raw, process, level = text, "", ""
    if text.startswith("{"):
        text, level = _unpacked(text)
    if not text.isascii():
        text = text.translate(_TYPOGRAPHY)
    for _ in range(_MAX_LAYERS):
        peeled = _peel(text)
        if peeled is None:
            break
        text, who, how = peeled
        # The outer names are of those who passed it on.
        process, level = who or process, how or level
    return LogLine(line.number, process, level, text.rstrip(), raw)


def _unpacked(text: str) -> tuple[str, str]:
    """Return message and level of a line that a runtime or a logger wrote as JSON."""
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return text, ""
    if not isinstance(record, dict):
        return text, ""
    level = next((record[name] for name in _LEVEL_NAMES if name in record), "")
    message = record.get("log") or (level and (record.get("message") or record.get("msg")))
    if not isinstance(message, str) or not message:
        return text, ""
    return message.rstrip(), _loudness(str(level).upper()) if level else ""


def _peel(text: str) -> tuple[str, str, str] | None:
    """Return the text without its outermost layer, and the process and level it named."""
    head = text[:200]
    for pattern in (_PROCESS, _RANK):
        match = pattern.match(head)
        if match:
            return text[match.end() :], match["process"], ""
    for pattern in (_VLLM, _TIMED_LEVEL, _PLAIN_LEVEL):
        match = pattern.match(head)
        if match:
            return text[match.end() :], "", _loudness(match["level"])
    match = _GLOG.match(head)
    if match:
        return text[match.end() :], "", _loudness(_GLOG_LEVELS[match["glog"]])
    for pattern in _CARRIERS:
        match = pattern.match(head)
        if match:
            return text[match.end() :], "", ""
    return None


def _loudness(level: str) -> str:
    if level in _LOUD:
        return "error"
    return "info" if level in _QUIET else "warning"
