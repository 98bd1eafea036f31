"""The errors that hwval raises, and the exit codes they lead to.

    HwvalError
    ├─ UsageError              a person's file or command line is wrong; nothing was started
    │  ├─ MatrixError          a matrix: file, line, what was seen, what is allowed
    │  └─ SelectionError       a selection that names nothing, or nothing that exists
    ├─ LabError                the lab failed, not the product: the verdict is INFRA
    │  ├─ DaemonError          no Docker daemon, or it refused or died
    │  ├─ ImageError           the image could not be had
    │  ├─ HostError            this machine lacks something (disk, device, permission)
    │  └─ ModelSourceError     the model's files could not be had
    ├─ EngineError             the engine failed: the verdict is FAIL, the diagnosis says why
    │  ├─ EngineExited         it died before it was ready, or under a question
    │  ├─ EngineStartTimeout   it lived but was not ready in time
    │  └─ EngineUnreachable    a server that was ready stopped answering
    └─ ResponseError           the server answered, but not in the agreed form
       └─ RequestRefused       it answered with the status of an error

A missed limit is not an error: it is a verdict (see ``hwval.verdict``).
"""

from __future__ import annotations

__all__ = [
    "DaemonError",
    "EngineError",
    "EngineExited",
    "EngineStartTimeout",
    "EngineUnreachable",
    "HostError",
    "HwvalError",
    "ImageError",
    "LabError",
    "MatrixError",
    "ModelSourceError",
    "RequestRefused",
    "ResponseError",
    "SelectionError",
    "UsageError",
]


class HwvalError(Exception):
    """Base of every error that hwval raises on purpose."""


class UsageError(HwvalError):
    """A command line or a file that a person wrote is wrong; printed as one line."""


class MatrixError(UsageError):
    """A matrix file is wrong.

    Args:
        problem: What was seen and what is allowed, without the position.
        file: The matrix file as the user named it; None if the text came from elsewhere.
        line: Line in that file, from 1; None if the whole file is meant.
    """

    def __init__(self, problem: str, *, file: str | None = None, line: int | None = None) -> None:
        where = ":".join(str(part) for part in (file, line) if part is not None)
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.file = file
        self.line = line


class SelectionError(UsageError):
    """A selection of cells names nothing, or nothing that exists."""


class LabError(HwvalError):
    """The lab failed, not the product; the verdict is INFRA."""


class DaemonError(LabError):
    """The Docker daemon is absent, refused or died."""


class ImageError(LabError):
    """The image could not be pulled or found."""


class HostError(LabError):
    """This machine lacks something that the cell needs."""


class ModelSourceError(LabError):
    """The model's files could not be had."""


class EngineError(HwvalError):
    """The engine failed; the verdict is FAIL and the diagnosis names the cause."""


class EngineExited(EngineError):  # noqa: N818 - named for the event, as asyncio.TimeoutError is
    """The engine's process ended.

    Args:
        message: The full sentence.
        exit_code: Exit status of the process, None if it is not known.
        oom_killed: Whether the runtime says that the kernel killed it for memory.
    """

    def __init__(
        self, message: str, *, exit_code: int | None = None, oom_killed: bool = False
    ) -> None:
        super().__init__(message)
        self.exit_code = exit_code
        self.oom_killed = oom_killed


class EngineStartTimeout(EngineError):  # noqa: N818 - see EngineExited
    """The engine lived but was not ready by its deadline."""


class EngineUnreachable(EngineError):  # noqa: N818 - see EngineExited
    """A server that was ready no longer answers."""


class ResponseError(HwvalError):
    """The server answered, but not in the agreed form.

    Args:
        message: The full sentence.
        status: HTTP status with which it refused; None for an answer that is wrong otherwise.
    """

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class RequestRefused(ResponseError):  # noqa: N818 - see EngineExited
    """The server answered with the status of an error, 400 and more."""
