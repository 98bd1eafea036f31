"""One start per cell, one diagnosis if it fails, nothing left behind."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwval import session as session_module
from hwval.catalogue import EngineKind
from hwval.engine.base import Autopsy
from hwval.engine.base import Completed
from hwval.engine.base import Endpoint
from hwval.engine.base import EngineState
from hwval.engine.startup import Startup
from hwval.errors import DaemonError
from hwval.errors import EngineExited
from hwval.errors import HostError
from hwval.errors import ImageError
from hwval.errors import LabError
from hwval.errors import ModelSourceError
from hwval.failure import StartFailed
from hwval.host import Host
from hwval.launch import LaunchSettings
from hwval.launch import lease_for
from hwval.launch import log_file_name
from hwval.live import LiveEngine
from hwval.matrix import Deadlines
from hwval.placement import PlacedCell
from hwval.placement import select
from hwval.resources import resource_path
from hwval.session import CellSession
from tests.fakes.process import FakeEngineProcess

HOST = Host("lab", "6.8", "x86_64", "3.12", "EPYC", (), (0, 1), 2**36)
NO_DISK = (
    "(EngineCore pid=7) ERROR 11-20 10:00:00 [core.py:1] OSError: [Errno 28] No space "
    "left on device"
)


@dataclass
class ScriptedEngine:
    """An engine that does what the test says and counts what is asked of it."""

    log_path: Path
    base_url: str = "http://127.0.0.1:9"
    error: BaseException | None = None
    lost: Exception | None = None
    close_error: Exception | None = None
    running: bool = True
    exit_code: int | None = None
    asked: list[str] = field(default_factory=list)

    name = "scripted"
    command_line = "vllm serve x"

    def start(self) -> None:
        self.asked.append("start")
        if self.error is not None:
            raise self.error

    def image_digest(self) -> str | None:
        return "sha256:0f"

    def endpoint(self) -> Endpoint:
        return Endpoint(self.base_url, "fake-key")

    def state(self) -> EngineState:
        if self.lost is not None:
            raise self.lost
        return EngineState(self.running, self.exit_code)

    def autopsy(self) -> Autopsy:
        self.asked.append("autopsy")
        notes = {"kernel log": "not permitted"}
        return Autopsy(EngineState(running=False, exit_code=1), self.log_path, notes=notes)

    def close(self) -> None:
        self.asked.append("close")
        if self.close_error is not None:
            raise self.close_error


@pytest.fixture
def placed() -> PlacedCell:
    """A cell on this processor."""
    cells = ["cpu__*__synthetic-llama__bfloat16"]
    (placed,) = select([resource_path("matrices/smoke.yaml")], HOST, cells=cells).placed
    return placed


@pytest.fixture
def settings(tmp_path: Path) -> LaunchSettings:
    """Settings of a run whose folders are the test's own."""
    (tmp_path / "run" / "logs").mkdir(parents=True)
    return LaunchSettings("r1", tmp_path / "run", tmp_path / "cache")


@pytest.fixture
def script(
    placed: PlacedCell, settings: LaunchSettings, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., tuple[CellSession, ScriptedEngine]]:
    """Makes a session whose engine is scripted."""

    def make(
        log: str = "Application startup complete.", **fields: Any
    ) -> tuple[CellSession, ScriptedEngine]:
        log_path = settings.run_dir / "logs" / "a.log"
        log_path.write_text(log)
        engine = ScriptedEngine(log_path, **fields)
        monkeypatch.setattr(session_module, "make_engine", lambda *_, **__: engine)
        return CellSession(placed, settings, progress=lambda *_: None), engine

    return make


def test_engine_is_started_once_for_all_questions(script: Any) -> None:
    """The first question starts it; the others get the same one."""
    with FakeEngineProcess("synthetic:llama") as server:
        session, engine = script(base_url=server.base_url)
        first, second = session.open("load/healthy"), session.open("load/version")

        assert first is second
        assert first.is_healthy()
        assert engine.asked == ["start"]
        assert session.opened_in_s("load/healthy") >= first.ready_s
        assert session.opened_in_s("load/version") == 0.0
        session.close()
        session.close()
    assert engine.asked == ["start", "close"]


def test_start_is_recorded_once_with_what_the_server_says(script: Any) -> None:
    """The record is handed over to the first who takes it."""
    with FakeEngineProcess("synthetic:llama") as server:
        session, _ = script(base_url=server.base_url)
        live = session.open("load/healthy")
        (record,), nothing = session.take_records(), session.take_records()
        session.close()

    assert nothing == []
    assert (record.ready, record.versions, record.log) == (True, {"vllm": "0.32.0"}, "logs/a.log")
    assert record.numbers["ready_s"] == live.ready_s
    assert record.image_digest == "sha256:0f"


def test_live_engine_tells_of_its_model(script: Any, placed: PlacedCell) -> None:
    """Name, context length, version and memory as the server and the catalogue say."""
    with FakeEngineProcess("synthetic:llama", args=["--max-model-len", "512"]) as server:
        session, _ = script(base_url=server.base_url)
        live: LiveEngine = session.open("load/healthy")
        served, numbers = live.served_model(), live.memory_numbers() or {}
        with live.generation() as generation:
            context_tokens = generation.context_tokens
        session.close()

    assert (served.id, served.max_context_tokens, context_tokens) == ("synthetic:llama", 512, 512)
    assert (live.version, live.promised_version) == ("0.32.0", placed.image.vllm)
    assert numbers["kv_cache_tokens"] == 65536


def test_failed_start_is_diagnosed_once_and_cleaned_up(script: Any) -> None:
    """Every question gets the same failure; the engine is removed behind the first."""
    session, engine = script(NO_DISK, error=EngineExited("it died", exit_code=1))
    failures = []
    for question in ("load/healthy", "load/version"):
        with pytest.raises(StartFailed) as caught:
            session.open(question)
        failures.append(caught.value.failure)

    assert failures[0] is failures[1]
    assert (failures[0].question, failures[0].diagnosis.cause) == ("load/healthy", "disk-full")
    assert engine.asked == ["start", "autopsy", "close"]
    (record,) = session.take_records()
    assert (record.ready, (record.diagnosis or {})["cause"]) == (False, "disk-full")


def test_records_keep_the_whole_diagnosis(script: Any) -> None:
    """What a report needs to explain a dead engine is in the journal, without the rules."""
    session, _ = script(NO_DISK, error=EngineExited("it died", exit_code=1))
    with pytest.raises(StartFailed) as caught:
        session.open("load/healthy")
    (record,) = session.take_records()
    found, kept = caught.value.failure.diagnosis, dict(record.diagnosis or {})

    assert kept.pop("title") == "disk full or not writable"
    assert kept.pop("rule") == found.rule
    assert kept == found.to_json()


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (DaemonError("no daemon"), "engine-daemon-failure"),
        (ImageError("no image"), "image-unavailable"),
        (ModelSourceError("no files"), "gated-or-missing-model"),
        (HostError("no disk"), "host-resource-limit"),
        (LabError("no lab"), "host-resource-limit"),
    ],
    ids=lambda value: value if isinstance(value, str) else type(value).__name__,
)
def test_trouble_of_the_lab_is_named_by_its_type(script: Any, error: LabError, cause: str) -> None:
    """The log of an engine that the lab could not start proves nothing."""
    session, _ = script(NO_DISK, error=error)
    with pytest.raises(StartFailed) as caught:
        session.open("load/healthy")
    found = caught.value.failure.diagnosis

    assert (found.cause, found.family, found.summary) == (cause, "lab", str(error))


def test_autopsy_that_cannot_be_kept_hides_nothing(script: Any, settings: LaunchSettings) -> None:
    """A full disk is what the log tells of, not an error of the harness."""
    session, engine = script(NO_DISK, error=EngineExited("it died", exit_code=1))
    name = f"{log_file_name(session.cell)}.autopsy.json"
    (settings.run_dir / "logs" / name).mkdir()  # in the way
    with pytest.raises(StartFailed) as caught:
        session.open("load/healthy")

    assert caught.value.failure.diagnosis.cause == "disk-full"
    assert "the autopsy could not be kept" in caught.value.failure.text()
    assert engine.asked == ["start", "autopsy", "close"]


def test_trouble_before_there_is_an_engine_is_told_too(
    placed: PlacedCell, settings: LaunchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No environment, no model: no engine to dissect, and the failure says why."""

    def refuse(*_: object, **__: object) -> object:
        raise ModelSourceError("find the model: none")

    monkeypatch.setattr(session_module, "make_engine", refuse)
    session = CellSession(placed, settings, progress=lambda *_: None)
    with pytest.raises(StartFailed) as caught:
        session.open("load/healthy")
    (record,) = session.take_records()

    assert (caught.value.failure.autopsy, caught.value.failure.log_path) == (None, None)
    assert (record.command, record.log, record.ready) == ("", None, False)


def test_interrupt_leaves_nothing_behind(script: Any) -> None:
    """Ctrl-C in the middle of a start: closing the session removes the half-started engine."""
    session, engine = script(error=KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        session.open("load/healthy")
    session.close()

    assert engine.asked == ["start", "close"]


def test_devices_are_free_again_after_a_failure(
    script: Any, placed: PlacedCell, settings: LaunchSettings
) -> None:
    """The next cell does not wait for a dead one."""
    session, _ = script(error=EngineExited("it died"))
    with pytest.raises(StartFailed):
        session.open("load/healthy")
    waited: list[str] = []
    with lease_for(placed, settings, progress=waited.append):
        pass

    assert waited == []


def test_well_engine_has_no_failure(script: Any) -> None:
    """A wrong answer of an engine that lives is the question's own."""
    with FakeEngineProcess("synthetic:llama") as server:
        session, _ = script(base_url=server.base_url)
        session.open("load/healthy")

        assert session.failure_of("generate/chat") is None
        session.close()


def test_death_under_a_question_is_that_questions(script: Any) -> None:
    """It is found when the question ends badly; all later ones are blocked by it."""
    with FakeEngineProcess("synthetic:llama") as server:
        session, engine = script(NO_DISK, base_url=server.base_url)
        session.open("load/healthy")
    engine.running, engine.exit_code = False, 1
    failure = session.failure_of("generate/batch", seen="question 136: status 500.")

    assert failure is not None
    assert failure.reason.startswith("question 136: status 500. The engine failed: ")
    assert failure.reason.endswith(failure.diagnosis.summary)
    assert f"why: {failure.reason}" in failure.text()
    assert (failure.question, failure.diagnosis.cause) == ("generate/batch", "disk-full")
    came_up, died = session.take_records()
    assert (died.diagnosis or {})["cause"] == "disk-full"
    assert replace(died, diagnosis=None, autopsy=None) == came_up  # the same start
    assert session.failure_of("generate/chat") is failure
    with pytest.raises(StartFailed):
        session.open("generate/chat")
    assert engine.asked == ["start", "autopsy", "close"]


def test_a_second_start_that_fails_is_not_the_first(script: Any) -> None:
    """Its record has nothing of the start before it."""
    with FakeEngineProcess("synthetic:llama") as server:
        session, engine = script(NO_DISK, base_url=server.base_url)
        session.open("load/healthy")
        with session.idle():
            pass
        engine.error = EngineExited("it died", exit_code=1)
        with pytest.raises(StartFailed):
            session.open("performance/offline")
    first, second = session.take_records()

    assert (first.ready, second.ready, second.numbers) == (True, False, {})
    assert (second.diagnosis or {})["cause"] == "disk-full"


def test_daemon_that_dies_under_a_question_is_the_labs(script: Any) -> None:
    """Nobody can look at the engine any more: INFRA, not a crash of the run."""
    with FakeEngineProcess("synthetic:llama") as server:
        session, engine = script(base_url=server.base_url)
        session.open("load/healthy")
        engine.lost = DaemonError("look at the container: no answer")
        engine.close_error = DaemonError("remove the container: no answer")
        failure = session.failure_of("generate/chat")

    assert failure is not None
    assert (failure.diagnosis.family, failure.question) == ("lab", "generate/chat")
    assert "and then: remove the container: no answer" in failure.text()


def test_what_nobody_foresaw_starts_only_once(script: Any) -> None:
    """An error of hwval's own is told with its traceback, and is never the product's."""
    session, engine = script(error=ZeroDivisionError("division by zero"))
    for question in ("load/healthy", "load/version"):
        with pytest.raises(StartFailed) as caught:
            session.open(question)

    failure = caught.value.failure
    assert (failure.diagnosis.cause, failure.diagnosis.family) == ("harness-error", "lab")
    assert "Traceback" in failure.text()
    assert engine.asked == ["start", "autopsy", "close"]


def test_engine_that_stays_unhealthy_is_dead(script: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that answers errors while its process lives is waited for, not for ever."""
    monkeypatch.setattr(session_module, "_DYING_S", 0.2)
    with FakeEngineProcess("synthetic:llama") as server:
        session, _ = script(base_url=server.base_url)
        session.open("load/healthy")
    failure = session.failure_of("generate/chat")

    assert failure is not None
    assert "still unhealthy after 0 s under generate/chat" in str(failure.error)


def test_server_that_runs_already_is_asked_and_left_alone(
    placed: PlacedCell, settings: LaunchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its key comes from the environment; closing the session does not stop it."""
    monkeypatch.setenv("HWVAL_ENGINE_API_KEY", "fake-key")
    with FakeEngineProcess("synthetic:llama") as server:
        outside = LaunchSettings(
            "r1", settings.run_dir, settings.cache_dir, external_url=f"{server.base_url}/v1"
        )
        session = CellSession(placed, outside, progress=lambda *_: None)
        live = session.open("load/healthy")
        session.close()

        assert (live.log_path, live.startup) == (None, Startup({}, {}))
        assert live.is_healthy()


@pytest.mark.parametrize(
    ("served", "name"),
    [
        pytest.param("org/model", "org/model", id="as-the-hub"),
        pytest.param("hub:org/model@abc", "hub:org/model@abc", id="as-the-matrix"),
        pytest.param("house-model", "hub:org/model@abc", id="as-somebody-liked"),
    ],
)
def test_running_server_may_name_its_model_as_the_hub_does(
    placed: PlacedCell, settings: LaunchSettings, served: str, name: str
) -> None:
    """Who starts a server by hand gives it no name of a matrix."""
    entry = replace(placed.entry, cell=replace(placed.cell, model="hub:org/model@abc"))
    image = placed.image.model_copy(update={"engine": EngineKind.EXTERNAL})
    outside = replace(placed, entry=entry, image=image)
    with FakeEngineProcess(served, api_key=None) as server:
        asked = replace(settings, external_url=server.base_url)
        session = CellSession(outside, asked, progress=lambda *_: None)
        live = session.open("load/healthy")
        session.close()

    assert live.model_name == name


def test_slow_start_ends_at_its_deadline(script: Any, placed: PlacedCell) -> None:
    """An engine that lives but never listens is a start-up timeout."""
    object.__setattr__(placed.entry, "deadlines", Deadlines(load_s=0.3))
    session, _ = script()
    with pytest.raises(StartFailed) as caught:
        session.open("load/healthy")

    assert caught.value.failure.diagnosis.cause == "startup-timeout"
    assert "300 ms" in caught.value.failure.text()


@dataclass
class BesideEngine(ScriptedEngine):
    """An engine beside which commands can run."""

    beside_url = "http://127.0.0.1:8000"
    model_argument = "/models/tiny"

    def run_beside(self, command: Any, timeout_s: float) -> Completed:
        return Completed(0, f"{' '.join(command)} in {timeout_s} s")


@dataclass
class Yard:
    """A session that makes several engines, and what it made.

    Attributes:
        session: The session.
        made: Each engine with the variant of its cell and whether it serves nothing.
    """

    session: CellSession
    made: list[tuple[str, bool, BesideEngine]] = field(default_factory=list)


@pytest.fixture
def yard(
    placed: PlacedCell, settings: LaunchSettings, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Yard]:
    """A session whose engines all answer at the same address."""
    found = Yard(CellSession(placed, settings, progress=lambda *_: None))
    with FakeEngineProcess("synthetic:llama") as server:

        def make(one: PlacedCell, *_: Any, idle: bool = False, **__: Any) -> BesideEngine:
            log_path = settings.run_dir / "logs" / f"{len(found.made)}.log"
            log_path.write_text("Application startup complete.")
            engine = BesideEngine(log_path, base_url=server.base_url)
            found.made.append((one.cell.variant, idle, engine))
            return engine

        monkeypatch.setattr(session_module, "make_engine", make)
        yield found
        found.session.close()


def test_commands_run_beside_an_engine_that_allows_it(yard: Yard, script: Any) -> None:
    """The engine itself is the place; one that cannot is none."""
    yard.session.open("performance/bench_serve")

    assert yard.session.workbench() is yard.made[0][2]
    other, _ = script()
    assert other.workbench() is None


def test_idle_devices_are_the_commands_alone(yard: Yard) -> None:
    """The engine goes first, and is started anew for the next question."""
    session, made = yard.session, yard.made
    session.open("performance/serving")
    with session.idle() as place:
        assert made[0][2].asked == ["start", "close"]
        assert place is made[1][2]
        assert session.failure_of("performance/bench_latency") is None
    session.open("performance/offline")

    assert [idle for _, idle, _ in made] == [False, True, False]
    assert made[1][2].asked == ["close"]  # an environment is there without being started
    assert made[2][2].asked == ["start"]


def test_wait_for_idle_devices_tells_its_time(yard: Yard, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another run may hold them."""
    told: list[tuple[str, float | None]] = []

    def wait(*args: Any, progress: Callable[[str], None]) -> Any:
        progress("waiting for devices")
        return lease_for(*args, progress=progress)

    monkeypatch.setattr(session_module, "lease_for", wait)
    yard.session._progress = lambda text, elapsed_s, _: told.append((text, elapsed_s))
    with yard.session.idle():
        pass

    assert told[0][0] == "waiting for devices"
    assert told[0][1] is not None


def test_instances_have_names_of_their_own(yard: Yard) -> None:
    """So have their logs and containers; all of them end with the block."""
    session, made = yard.session, yard.made
    session.open("performance/partitions")
    with session.more_instances(2) as instances:
        endpoints = {instance.endpoint.base_url for instance in instances}
        leases = {instance.lease for instance in instances}
        assert [engine.asked for _, _, engine in made] == [["start"]] * 3

    assert [variant for variant, _, _ in made] == ["", "instance-2", "instance-3"]
    assert endpoints == {made[0][2].base_url}
    assert leases == {session.lease}  # processors are shared
    assert [engine.asked[-1] for _, _, engine in made] == ["start", "close", "close"]
