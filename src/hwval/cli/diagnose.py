"""`hwval diagnose`: the root cause of any vLLM log, outside any run too."""

from __future__ import annotations

import json
import os
import stat
import sys
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from typing import Annotated
from typing import BinaryIO
from typing import Final
from typing import cast

import typer

from hwval.cli.common import AsJson
from hwval.cli.common import console
from hwval.errors import UsageError
from hwval.inert import one_line

if TYPE_CHECKING:
    from hwval.diagnosis import Circumstances
    from hwval.diagnosis import Diagnosis
    from hwval.redaction import Redactor

__all__ = ["diagnose"]

_STANDARD_INPUT: Final = "-"
_MAX_BESIDES_BYTES: Final = 5 << 20
"""How much of a kernel's log (its end) or of a description of a container is read."""
_MAX_EXIT_CODE: Final = 255

Excerpt = dict[int, str]


def diagnose(
    logs: Annotated[list[str], typer.Argument(metavar="LOG", help="Logs; - is standard input.")],
    *,
    exit_code: Annotated[
        int | None,
        typer.Option("--exit-code", metavar="N", help="Exit status of the engine, 0 to 255."),
    ] = None,
    oom_killed: Annotated[
        bool, typer.Option("--oom-killed", help="The kernel killed it for memory.")
    ] = False,
    inspect: Annotated[
        str | None,
        typer.Option("--inspect", metavar="FILE", help="`docker inspect` of its container."),
    ] = None,
    kernel_log: Annotated[
        str | None,
        typer.Option("--kernel-log", metavar="FILE", help="`dmesg` of that time."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say why vLLM failed: root cause, evidence, remedy."""
    from hwval.redaction import Redactor
    from hwval.redaction import secret_values

    if [*logs, inspect, kernel_log].count(_STANDARD_INPUT) > 1:
        raise UsageError("- stands for standard input, which can be read only once")
    is_more_known = oom_killed or {exit_code, inspect, kernel_log} != {None}
    if len(logs) > 1 and is_more_known:
        raise UsageError(
            f"{len(logs)} logs: --exit-code, --oom-killed, --inspect and --kernel-log tell of one "
            "engine; name one log"
        )
    known = _circumstances(exit_code, inspect, kernel_log, oom_killed=oom_killed)
    answers = _Answers(Redactor(secret_values()), as_json=as_json)
    for log in logs:
        answers.add(log, known)
    raise typer.Exit(answers.finish())


class _Answers:
    """Prints each answer when it is there, and remembers what they come to."""

    def __init__(self, redactor: Redactor, *, as_json: bool) -> None:
        self._redactor = redactor
        self._as_json = as_json
        self._given: list[tuple[str, Diagnosis | None]] = []

    def add(self, log: str, known: Circumstances) -> None:
        try:
            answer, excerpt = _diagnose(log, known)
        except UsageError as error:
            # The other logs still get their answers.
            typer.echo(f"hwval: {error}", err=True)
            self._given.append((_name(log), None))
            return
        if self._as_json:
            described = self._redactor.tree(answer.to_json())
            typer.echo(json.dumps({"file": log, **cast("dict[str, object]", described)}))
        else:
            self._print(log, answer, excerpt)
        self._given.append((_name(log), answer))

    def _print(self, log: str, answer: Diagnosis, excerpt: Excerpt) -> None:
        from hwval.cli.answer import print_answer

        if any(earlier and earlier.cause for _, earlier in self._given[-1:]):
            typer.echo()
        print_answer(console(), _name(log), answer, excerpt, self._redactor)

    def finish(self) -> int:
        """Print what they come to and return the exit status."""
        from hwval.cli.answer import print_overview

        if len(self._given) > 1 and not self._as_json:
            print_overview(console(), self._given)
        answers = [answer for _, answer in self._given]
        if None in answers:
            return 2
        return int(any(answer and answer.cause for answer in answers))


def _diagnose(log: str, known: Circumstances) -> tuple[Diagnosis, Excerpt]:
    from hwval.cli.excerpt import PassingLog
    from hwval.cli.excerpt import read_excerpt
    from hwval.diagnosis import diagnose_stream

    with _opened(log) as stream:
        if log != _STANDARD_INPUT and stat.S_ISREG(os.fstat(stream.fileno()).st_mode):
            answer = diagnose_stream(stream, known)
            stream.seek(0)
            return answer, read_excerpt(stream, answer.evidence) if answer.evidence else {}
        with PassingLog(stream) as passing:
            answer = diagnose_stream(cast("BinaryIO", passing), known)
            return answer, passing.excerpt(answer.evidence) if answer.evidence else {}


def _circumstances(
    exit_code: int | None, inspect: str | None, kernel_log: str | None, *, oom_killed: bool
) -> Circumstances:
    """Return what the options tell; what is said outright wins over what a file says."""
    from hwval.diagnosis import Circumstances

    if exit_code is not None and not 0 <= exit_code <= _MAX_EXIT_CODE:
        raise UsageError(
            f"--exit-code {exit_code}: not an exit status of 0 to {_MAX_EXIT_CODE}; "
            "give a signal as 128 plus its number, 137 for SIGKILL"
        )
    known = _inspected(inspect) if inspect is not None else Circumstances()
    if exit_code is not None:
        known = replace(known, exit_code=exit_code, failed=exit_code != 0 or None)
    if oom_killed:
        known = replace(known, oom_killed=True, failed=True)
    if kernel_log is not None:
        known = replace(known, kernel_log=_kernel_lines(kernel_log))
    return known


def _inspected(name: str) -> Circumstances:
    from hwval.diagnosis import Circumstances

    with _opened(name) as stream:
        content = stream.read(_MAX_BESIDES_BYTES)
    try:
        return Circumstances.of_inspect(json.loads(content))
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{one_line(name)}: not what `docker inspect CONTAINER` prints: {one_line(str(error))}"
        ) from error


def _kernel_lines(name: str) -> tuple[str, ...]:
    """Return the end of a kernel's log; what it told long before is not of this engine."""
    from hwval.diagnosis.scan import utf8_chunks

    tail: deque[bytes] = deque()
    with _opened(name) as stream:
        for chunk in utf8_chunks(stream):
            tail.append(chunk)
            while sum(map(len, tail)) - len(tail[0]) >= _MAX_BESIDES_BYTES:
                tail.popleft()
    text = b"".join(tail)[-_MAX_BESIDES_BYTES:].decode("utf-8", "replace")
    return tuple(text.splitlines())


@contextmanager
def _opened(name: str) -> Iterator[BinaryIO]:
    """Open a file or standard input; what cannot be read is a person's mistake."""
    if name == _STANDARD_INPUT and sys.stdin is None:
        raise UsageError("standard input is closed; name a file")
    try:
        if name == _STANDARD_INPUT:
            yield sys.stdin.buffer
        else:
            with Path(name).open("rb") as stream:
                yield stream
    except OSError as error:
        why = one_line(error.strerror or str(error))
        raise UsageError(
            f"{_name(name)}: cannot be read: {why}; name a file, or - for standard input"
        ) from error


def _name(log: str) -> str:
    return "standard input" if log == _STANDARD_INPUT else one_line(log)
