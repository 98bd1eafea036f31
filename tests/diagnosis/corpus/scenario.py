"""What one start of the corpus is: a checkpoint, what is done to it, its command, its cause."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.diagnosis.corpus.start import Start

__all__ = ["Scenario"]


@dataclass(frozen=True, slots=True)
class Scenario:
    """One start.

    In ``arguments``, ``environment``, ``wrapper`` and ``container``, ``{model}`` is the
    checkpoint's folder, ``{work}`` a folder that only this start uses, ``{port}`` its TCP port.

    Attributes:
        name: Name of the log.
        how: What was done, in words.
        cause: Id of the root cause; None for an engine that does what it should.
        evidence: Part of each line that says why; empty where no line does.
        also: Causes that are right as well.
        secondary: Causes of further errors, which only follow from the first.
        from_log_alone: The cause that the log shows to those who know neither exit code nor OOM
            flag; None if it is ``cause``.
        model: Name of the synthetic checkpoint.
        damage: What is done to a copy of it before the start.
        served: What stands in the model's place on the command line.
        arguments: What follows the model.
        environment: Variables besides the usual ones; an empty value takes one away.
        wrapper: Words in front of the command.
        container: Options of ``docker run``; None for a start without container.
        image: Image of the container; None for the one of vLLM.
        command: Words that replace all that stands before ``arguments``.
        act: What is done with the engine once it runs.
        deadline_s: When a start that is neither ready nor dead is given up, in seconds.
        is_known_hang: Whether it is expected to reach the deadline.
    """

    name: str
    how: str
    cause: str | None
    evidence: str = ""
    also: tuple[str, ...] = ()
    secondary: tuple[str, ...] = ()
    from_log_alone: str | None = None
    model: str = "llama"
    damage: Callable[[Path], None] | None = None
    served: str = "{model}"
    arguments: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    wrapper: tuple[str, ...] = ()
    container: tuple[str, ...] | None = None
    image: str | None = None
    command: tuple[str, ...] | None = None
    act: Callable[[Start], None] | None = None
    deadline_s: float = 120.0
    is_known_hang: bool = False
