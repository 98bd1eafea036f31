"""Waiting for an engine: ready, dead, hung, or slow."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

import pytest

from hwval import clock
from hwval.engine import wait
from hwval.engine.base import Autopsy
from hwval.engine.base import Endpoint
from hwval.engine.base import EngineState
from hwval.engine.wait import wait_until_ready
from hwval.errors import EngineExited
from hwval.errors import EngineStartTimeout

LOADING = "INFO 01-02 03:04:05 [m.py:1] Starting to load model m...\n"


class Time:
    """A clock that only moves when someone sleeps."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self.sleeps = 0

    def sleep(self, duration_s: float) -> None:
        self.now_s += duration_s
        self.sleeps += 1


@dataclass
class ScriptedEngine:
    """An engine whose state and log follow from the seconds since its start."""

    time: Time
    log_path: Path | None
    state_at: Callable[[float], EngineState]
    log_at: Callable[[float], str] = lambda _: ""
    ready_at_s: float = float("inf")
    name: str = "scripted"
    command_line: str = "scripted"
    started_s: float = field(init=False)

    def __post_init__(self) -> None:
        self.started_s = self.time.now_s

    @property
    def age_s(self) -> float:
        return self.time.now_s - self.started_s

    def start(self) -> None:
        """Start nothing."""

    def image_digest(self) -> str | None:
        return None

    def endpoint(self) -> Endpoint:
        return Endpoint("http://127.0.0.1:1", "")

    def state(self) -> EngineState:
        if self.log_path:
            self.log_path.write_text(self.log_at(self.age_s))
        return self.state_at(self.age_s)

    def autopsy(self) -> Autopsy:
        return Autopsy(self.state())

    def close(self) -> None:
        """Close nothing."""


@pytest.fixture
def time(monkeypatch: pytest.MonkeyPatch) -> Time:
    held = Time()
    monkeypatch.setattr(clock, "monotonic_s", lambda: held.now_s)
    monkeypatch.setattr(clock, "sleep", held.sleep)
    return held


Make = Callable[..., ScriptedEngine]


@pytest.fixture
def make(time: Time, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    def make_engine(
        state_at: Callable[[float], EngineState] = lambda _: EngineState(running=True),
        **fields: object,
    ) -> ScriptedEngine:
        fields.setdefault("log_path", tmp_path / "engine.log")
        engine = ScriptedEngine(time, state_at=state_at, **fields)  # type: ignore[arg-type]
        monkeypatch.setattr(wait, "probe_ready", lambda *_, **__: engine.age_s >= engine.ready_at_s)
        return engine

    return make_engine


def test_ready_engine_returns_the_seconds_it_took(make: Make) -> None:
    """The time counts from the call to the first answer."""
    assert wait_until_ready(make(ready_at_s=7.5), cell_id="c", deadline_s=60) == 7.5


def test_death_is_known_at_the_next_look(make: Make, time: Time, tmp_path: Path) -> None:
    """The message names code, time, phase, limit and log; the log's end is a note."""
    engine = make(
        lambda age_s: EngineState(running=age_s < 3, exit_code=None if age_s < 3 else 1),
        log_at=lambda _: LOADING + "ValueError: no\n",
    )

    with pytest.raises(EngineExited) as caught:
        wait_until_ready(engine, cell_id="cpu__a__b__c", deadline_s=600)

    assert str(caught.value) == (
        "start the engine for cpu__a__b__c: exited with code 1 after 3.0 s while loading weights, "
        f"expected it ready within 10 min 00 s. See {tmp_path}/engine.log"
    )
    assert caught.value.exit_code == 1
    assert caught.value.__notes__[0].endswith("ValueError: no")
    assert time.sleeps == 12


def test_kernel_kill_is_said(make: Make) -> None:
    """A death for lack of memory is told apart from one by an error."""
    engine = make(lambda _: EngineState(running=False, exit_code=137, oom_killed=True))

    with pytest.raises(EngineExited, match="code 137, killed by the kernel for memory") as caught:
        wait_until_ready(engine, cell_id="c", deadline_s=60)

    assert caught.value.oom_killed


def test_taken_port_is_said(make: Make) -> None:
    """A port that another process holds is the lab's affair and is named."""
    engine = make(
        lambda _: EngineState(running=False, exit_code=1),
        log_at=lambda _: "OSError: [Errno 98] Address already in use\n",
    )

    with pytest.raises(EngineExited, match="its port is in use by another process"):
        wait_until_ready(engine, cell_id="c", deadline_s=60)


def test_silent_idle_engine_is_hung(make: Make) -> None:
    """No log and no processor time for a while is a hang."""
    engine = make(
        lambda age_s: EngineState(running=True, cpu_s=min(age_s, 18.0)),
        log_at=lambda age_s: LOADING * min(int(age_s), 18),
    )

    with pytest.raises(
        EngineStartTimeout,
        match=r"not ready after 1 min 00 s while loading weights, hung \(last log output 42.0 s "
        r"ago, 0.0 CPU-s used in the last 30.0 s\), expected it ready within 1 min 00 s",
    ):
        wait_until_ready(engine, cell_id="c", deadline_s=60)


def test_silent_busy_engine_still_works(make: Make) -> None:
    """A compiler may say nothing for minutes; it does use the processor."""
    engine = make(
        lambda age_s: EngineState(running=True, cpu_s=2 * age_s),
        log_at=lambda _: "Starting torch.compile\n",
    )

    with pytest.raises(
        EngineStartTimeout, match=r"compiling, still working \(.*60.0 CPU-s used in the last 30"
    ):
        wait_until_ready(engine, cell_id="c", deadline_s=60)


def test_talking_idle_engine_still_works(make: Make) -> None:
    """A download uses no processor; its progress in the log tells."""
    engine = make(
        lambda _: EngineState(running=True, cpu_s=1.0), log_at=lambda age_s: "x\n" * int(age_s)
    )

    with pytest.raises(EngineStartTimeout, match=r"still working \(last log output \d+ ms ago"):
        wait_until_ready(engine, cell_id="c", deadline_s=59.75)


def test_nothing_known_is_not_called_a_hang(make: Make) -> None:
    """Where neither log nor processor time can be seen the message says so."""
    with pytest.raises(EngineStartTimeout, match="no log and no processor time to tell a hang"):
        wait_until_ready(make(log_path=None), cell_id="c", deadline_s=60)


def test_progress_names_phase_time_and_limit(make: Make) -> None:
    """Once a second, with what the log said last."""
    seen: list[tuple[str, float, float | None]] = []
    engine = make(ready_at_s=2.5, log_at=lambda age_s: LOADING if age_s >= 1 else "")

    wait_until_ready(engine, cell_id="c", deadline_s=60, progress=lambda *args: seen.append(args))

    assert seen == [("starting", 0.0, 60), ("loading weights", 1.0, 60), ("loading weights", 2, 60)]


def test_bar_that_is_rewritten_in_place_is_read(make: Make) -> None:
    """A progress bar without a line end counts as log output and as progress."""
    bar = "Loading safetensors checkpoint shards:  50% Completed | {}/4 [00:01<00:01,  1.9it/s]\r"
    seen: list[str] = []
    engine = make(
        ready_at_s=3, log_at=lambda age_s: "".join(bar.format(i) for i in range(int(age_s) + 1))
    )

    wait_until_ready(
        engine, cell_id="c", deadline_s=60, progress=lambda *args: seen.append(args[0])
    )

    assert seen == ["loading weights 0/4", "loading weights 1/4", "loading weights 2/4"]
