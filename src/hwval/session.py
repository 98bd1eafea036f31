"""One cell's engine from the lease of its devices to its removal, with one diagnosis if it fails.

Everything that takes a cell to a live server stands in ``CellSession._start`` in its order; every
way out of it, also half way, leaves nothing behind.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import ExitStack
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

from hwval.catalogue import EngineKind
from hwval.cell import Cell
from hwval.client import list_models
from hwval.client import server_version
from hwval.clock import Stopwatch
from hwval.clock import sleep
from hwval.engine.base import Autopsy
from hwval.engine.base import Endpoint
from hwval.engine.base import Engine
from hwval.engine.base import Workbench
from hwval.engine.spec import LeasedDevices
from hwval.engine.startup import is_complete
from hwval.engine.startup import read_startup
from hwval.engine.startup import split_lines
from hwval.engine.wait import wait_until_ready
from hwval.errors import HostError
from hwval.errors import HwvalError
from hwval.errors import LabError
from hwval.failure import Failure
from hwval.failure import StartFailed
from hwval.failure import explain
from hwval.generate import Generation
from hwval.launch import LaunchSettings
from hwval.launch import hub_name
from hwval.launch import lease_for
from hwval.launch import log_file_name
from hwval.launch import make_engine
from hwval.live import LiveEngine
from hwval.placement import PlacedCell
from hwval.redaction import Redactor
from hwval.redaction import secret_values
from hwval.result import EngineRecord

__all__ = ["CellSession", "Instance"]

Progress = Callable[[str, float | None, float | None], None]
# A vLLM 0.32 whose engine process was killed ended by itself after 4.8 s.
_DYING_S: Final = 10.0
# The log of a container passes through the daemon: it may lag behind the first answer.
_LOG_LAG_S: Final = 2.0
_POLL_S: Final = 0.1
# Another run may hold the devices; two that wait for each other's would do so for ever.
_INSTANCE_WAIT_S: Final = 120.0


@dataclass(frozen=True, slots=True)
class Instance:
    """A further engine of the same cell.

    Attributes:
        endpoint: Where it answers.
        lease: The devices that it runs on.
    """

    endpoint: Endpoint
    lease: LeasedDevices


class CellSession:
    """The engine of one cell; opened once, also when it fails, and closed for good.

    Args:
        placed: The cell and its place on this host.
        settings: What all sessions of a run share.
        progress: Told what is going on, with elapsed and allowed seconds.
    """

    def __init__(self, placed: PlacedCell, settings: LaunchSettings, *, progress: Progress) -> None:
        self.cell: Cell = placed.cell
        self._placed = placed
        self._settings = settings
        self._progress = progress
        self._exit = ExitStack()
        self._engine: Engine | None = None
        self._live: LiveEngine | None = None
        self._generation: Generation | None = None
        self._failure: Failure | None = None
        self._records: list[EngineRecord] = []
        self._ready: EngineRecord | None = None
        self._opened_by = ""
        self._opened_in_s = 0.0
        self.lease = LeasedDevices()
        """The devices of the live engine; none before the start."""

    def open(self, question: str) -> LiveEngine:
        """Return the live engine; the first call starts it.

        Args:
            question: Who asks; a failure of the start is this question's.

        Raises:
            StartFailed: It did not come up, now or before, or it died.
        """
        if self._failure is not None:
            raise StartFailed(self._failure)
        if self._live is None:
            watch = Stopwatch()
            self._opened_by = question
            try:
                self._live = self._start(watch)
            except Exception as error:  # noqa: BLE001 - also what nobody foresaw starts only once
                self._fail(question, error)
            finally:
                self._opened_in_s = watch.elapsed_s
        if self._failure is not None:
            raise StartFailed(self._failure)
        assert self._live is not None  # noqa: S101 - for the type checker
        return self._live

    def generation(self) -> Generation:
        """Return the means to ask the live engine for text, the same for all questions."""
        if self._live is None:
            raise ValueError(f"the engine of {self.cell} is not open")
        if self._generation is None:
            self._generation = self._exit.enter_context(self._live.generation())
        return self._generation

    def workbench(self) -> Workbench | None:
        """Return where commands can run beside the live engine, None where they cannot."""
        return self._engine if isinstance(self._engine, Workbench) else None

    @contextmanager
    def idle(self) -> Iterator[Workbench | None]:
        """Give the cell's devices to other commands until the block ends.

        The engine is removed first; the next question that asks for it starts it anew. None for an
        engine that is not ours.

        Raises:
            StartFailed: The engine did not come up before, or it died.
            LabError: The place for them could not be made.
        """
        if self._failure is not None:
            raise StartFailed(self._failure)
        if self._placed.image.engine is EngineKind.EXTERNAL:
            yield None
            return
        self.close()
        self._live = self._generation = None
        tell = self._telling(Stopwatch())
        with ExitStack() as stack:
            lease = stack.enter_context(lease_for(self._placed, self._settings, progress=tell))
            engine = make_engine(
                self._placed, self._settings, lease=lease, progress=tell, idle=True
            )
            stack.callback(engine.close)
            if self._placed.image.engine is EngineKind.DOCKER:
                engine.start()
            yield engine if isinstance(engine, Workbench) else None

    @contextmanager
    def more_instances(self, count: int) -> Iterator[tuple[Instance, ...]]:
        """Run ``count`` further engines of this cell, each on devices of its own.

        On processors, which have no partitions here, they share those of the first.

        Raises:
            HwvalError: One of them did not come up.
        """
        with ExitStack() as stack:
            engines = [self._start_instance(number, stack) for number in range(2, count + 2)]
            for engine, _ in engines:
                wait_until_ready(
                    engine,
                    cell_id=engine.name,
                    deadline_s=self._placed.entry.deadlines.load_s,
                    progress=self._progress,
                )
            yield tuple(Instance(engine.endpoint(), lease) for engine, lease in engines)

    def _start_instance(self, number: int, stack: ExitStack) -> tuple[Engine, LeasedDevices]:
        cell, watch = self.cell, Stopwatch()
        variant = f"{cell.variant}-instance-{number}" if cell.variant else f"instance-{number}"
        # A name of its own, for its container and its log.
        entry = replace(self._placed.entry, cell=replace(cell, variant=variant))
        placed = replace(self._placed, entry=entry)

        def wait(text: str) -> None:
            self._progress(text, watch.elapsed_s, _INSTANCE_WAIT_S)
            if watch.elapsed_s > _INSTANCE_WAIT_S:
                raise HostError(
                    f"lease devices for {entry.cell.id}: {text}, expected them within "
                    f"{_INSTANCE_WAIT_S:.0f} s. End the run that holds them, or ask for fewer "
                    "instances."
                )

        lease = self.lease
        if placed.vendor != "cpu":
            lease = stack.enter_context(lease_for(placed, self._settings, progress=wait))
        engine = make_engine(placed, self._settings, lease=lease, progress=self._say)
        stack.callback(engine.close)
        self._say(f"starting instance {number}")
        engine.start()
        return engine, lease

    def _say(self, text: str) -> None:
        self._progress(text, None, None)

    def _telling(self, watch: Stopwatch) -> Callable[[str], None]:
        """Return what tells what is going on, with the time since ``watch`` was started."""

        def tell(text: str) -> None:
            self._progress(text, watch.elapsed_s, None)

        return tell

    def failure_of(self, question: str, *, seen: str = "") -> Failure | None:
        """Return why the cell can no longer be asked, None while its engine is well.

        A vLLM whose engine process died answers on for some seconds, with errors and unhealthy;
        those are waited for, so that one death is one failure.

        Args:
            question: The question that just ended badly; a death found now is its.
            seen: How it ended, in one line; empty if that says nothing of the engine.
        """
        if self._failure is None and self._engine is not None and self._live is not None:
            try:
                end = _wait_for_end(self._engine, self._live)
            except LabError as error:
                self._fail(question, error)
                return self._failure
            if end is not None:
                dead = HwvalError(f"engine for {self.cell}: {end} under {question}")
                self._fail(question, dead, seen=seen)
        return self._failure

    def opened_in_s(self, question: str) -> float:
        """Return the seconds that ``question`` spent on starting the engine."""
        return self._opened_in_s if question == self._opened_by else 0.0

    def take_records(self) -> list[EngineRecord]:
        """Return the records of starts that nobody took yet."""
        records, self._records = self._records, []
        return records

    def close(self) -> None:
        """Remove the engine and give its devices back; a second call does nothing."""
        self._exit.close()
        self._engine = None

    def _start(self, watch: Stopwatch) -> LiveEngine:
        self._ready = None
        entry, settings = self._placed.entry, self._settings
        tell = self._telling(watch)
        self.lease = self._exit.enter_context(lease_for(self._placed, settings, progress=tell))
        self._engine = make_engine(self._placed, settings, lease=self.lease, progress=tell)
        self._exit.callback(self._engine.close)
        tell("starting the engine")
        self._engine.start()
        ready_s = wait_until_ready(
            self._engine,
            cell_id=self.cell.id,
            deadline_s=entry.deadlines.load_s,
            progress=self._progress,
        )
        return self._describe(self._engine, ready_s)

    def _describe(self, engine: Engine, ready_s: float) -> LiveEngine:
        endpoint = engine.endpoint()
        version = server_version(endpoint)
        startup = read_startup(_read_start(engine.log_path), ready_s=ready_s)
        self._ready = self._record(
            ready=True,
            versions={"vllm": version} if version else {},
            phases_s=startup.phases_s,
            numbers={"ready_s": ready_s, **startup.numbers},
        )
        self._records.append(self._ready)
        return LiveEngine(
            model_name=self._served_name(endpoint),
            ready_s=ready_s,
            startup=startup,
            version=version,
            promised_version=self._placed.image.vllm,
            log_path=engine.log_path,
            deadlines=self._placed.entry.deadlines,
            endpoint=endpoint,
            server=self._placed.image.server,
        )

    def _served_name(self, endpoint: Endpoint) -> str:
        """Return the model's name in requests; who started a server himself names it as the Hub."""
        name, plain = self.cell.model, hub_name(self.cell)
        if plain == name or self._placed.image.engine is not EngineKind.EXTERNAL:
            return name
        served = {model.id for model in list_models(endpoint)}
        return plain if plain in served and name not in served else name

    def _fail(self, question: str, error: Exception, *, seen: str = "") -> None:
        autopsy = self._engine.autopsy() if self._engine is not None else None
        log_path = autopsy.log_path if autopsy is not None else None
        diagnosis = explain(error, autopsy)
        self._failure = Failure(question, error, diagnosis, log_path, autopsy, seen)
        self._live = None
        kept = None
        if autopsy is not None and log_path is not None:
            try:
                kept = self._keep(autopsy)
            except OSError as trouble:  # on a full disk, for one: the diagnosis says so
                error.add_note(f"the autopsy could not be kept: {trouble}")
        found = self._failure.to_json()
        of_start = self._ready or self._record(ready=False)
        self._records.append(dataclasses.replace(of_start, diagnosis=found, autopsy=kept))
        try:
            self.close()
        except HwvalError as trouble:  # the failure itself is what must be told
            error.add_note(f"and then: {trouble}")

    def _keep(self, autopsy: Autopsy) -> str:
        path = self._settings.run_dir / "logs" / f"{log_file_name(self.cell)}.autopsy.json"
        description = {
            "state": dataclasses.asdict(autopsy.state),
            "notes": dict(autopsy.notes),
            "kernel_log": list(autopsy.kernel_log),
            "inspect": dict(autopsy.inspect),
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        clean = Redactor(secret_values()).tree(description)
        path.write_text(json.dumps(clean, indent=2, ensure_ascii=False, default=str), "utf-8")
        return str(path.relative_to(self._settings.run_dir))

    def _record(self, *, ready: bool, **facts: Any) -> EngineRecord:
        engine = self._engine
        log_path = engine.log_path if engine is not None else None
        is_kept = log_path is not None and log_path.is_file()
        return EngineRecord(
            cell=self.cell.id,
            engine=str(self._placed.image.engine),
            command=engine.command_line if engine is not None else "",
            image_digest=engine.image_digest() if engine is not None else None,
            ready=ready,
            log=str(log_path.relative_to(self._settings.run_dir)) if log_path and is_kept else None,
            **facts,
        )


def _wait_for_end(engine: Engine, live: LiveEngine) -> str | None:
    """Return how an unhealthy engine ended, None for one that is healthy."""
    watch = Stopwatch()
    while True:
        state = engine.state()
        if not state.running:
            return f"ended (exit code {state.exit_code})"
        if live.is_healthy():
            return None
        if watch.elapsed_s > _DYING_S:
            return f"still unhealthy after {_DYING_S:.0f} s"
        sleep(_POLL_S)


def _read_start(path: Path | None) -> list[str]:
    """Return the log of a ready engine, once it tells the end of the start or will not."""
    watch = Stopwatch()
    lines = _read_log(path)
    while path is not None and not is_complete(lines) and watch.elapsed_s < _LOG_LAG_S:
        sleep(_POLL_S)
        lines = _read_log(path)
    return lines


def _read_log(path: Path | None) -> list[str]:
    if path is None or not path.exists():
        return []
    return split_lines(path.read_text("utf-8", "replace"))
