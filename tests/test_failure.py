"""Why an engine failed: the log, its end, and the words of the container's daemon."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from hwval import failure as failure_module
from hwval.engine.base import Autopsy
from hwval.engine.base import EngineState
from hwval.errors import DaemonError
from hwval.errors import EngineExited
from hwval.errors import EngineStartTimeout
from hwval.errors import HostError
from hwval.errors import HwvalError
from hwval.errors import ImageError
from hwval.errors import LabError
from hwval.errors import ModelSourceError
from hwval.failure import Failure
from hwval.failure import explain
from hwval.judgement import verdict_of_diagnosis
from hwval.verdict import Outcome

# Source of the messages: CPython 3.12, vLLM 0.32.0, Docker 28 with runc.
NO_DISK = (
    "(EngineCore pid=7) ERROR 11-20 10:00:00 [core.py:1] OSError: [Errno 28] No space "
    "left on device"
)
HEALTHY = "INFO 11-20 10:00:00 [launcher.py:1] Route: /health, Methods: GET"
RIDDLE = "ERROR 11-20 10:00:00 [core.py:1] ValueError: the riddle of the day"
NO_COMMAND = (
    "OCI runtime create failed: runc create failed: unable to start container process: exec: "
    '"vllm": executable file not found in $PATH: unknown'
)

MakeAutopsy = Callable[..., Autopsy]


@pytest.fixture
def dead(tmp_path: Path) -> MakeAutopsy:
    """Makes the autopsy of an engine with that log and that end."""

    def make(log: str = "", state_error: str = "", **fields: Any) -> Autopsy:
        path = tmp_path / "engine.log"
        path.write_text(log)
        beside = {name: fields.pop(name) for name in ("kernel_log", "notes") if name in fields}
        inspect = {"State": {"Error": state_error}} if state_error else {}
        return Autopsy(EngineState(running=False, **fields), path, inspect, **beside)

    return make


def outcome_of(error: Exception, autopsy: Autopsy | None = None) -> tuple[str | None, Outcome]:
    """Return cause and verdict of a failure."""
    found = explain(error, autopsy)
    return found.cause, verdict_of_diagnosis(found).outcome


def test_a_server_of_others_is_not_searched_for_a_log() -> None:
    """There is none here; what the layer below said is told all the same."""
    error = HwvalError("engine for a cell: ended")
    error.__cause__ = OSError("connection refused")
    foreign = Autopsy(EngineState(running=False), notes={"log": "the server is not ours"})
    for known in (HwvalError("engine for a cell: ended"), error):
        found = explain(known, foreign)

        assert found.cause == "cause-not-in-log"
        assert found.summary.startswith("The server does not answer. It was not started by hwval")
        assert found.summary.endswith("connection refused") == (known is error)
        assert "docker" not in found.remedy
        title = Failure("load/healthy", known, found, autopsy=foreign).title
        assert title == "a server that is not ours does not answer"


class TestLog:
    def test_cause_and_line_come_from_the_log(self, dead: MakeAutopsy) -> None:
        """The evidence has its line; a cause of the lab is INFRA."""
        error, autopsy = EngineExited("it died", exit_code=1), dead(f"{HEALTHY}\n{NO_DISK}\n")
        found = explain(error, autopsy)

        assert found.evidence is not None
        assert found.evidence.line == 2
        assert outcome_of(error, autopsy) == ("disk-full", Outcome.INFRA)

    def test_death_without_a_word_is_told_as_such(self, dead: MakeAutopsy) -> None:
        """An exit code that nobody explains is no cause, and no healthy engine either."""
        error = EngineExited("it died", exit_code=3)
        found = explain(error, dead(HEALTHY, exit_code=3))

        assert (found.cause, found.family) == ("cause-not-in-log", "none")
        assert "exit code 3" in found.summary

    def test_healthy_log_of_an_engine_that_died_under_a_question(self, dead: MakeAutopsy) -> None:
        """That it served before does not make it healthy."""
        log = f"{HEALTHY}\nINFO:     Application startup complete.\n"

        cause, outcome = outcome_of(HwvalError("engine: ended"), dead(log, exit_code=1))

        assert (cause, outcome) == ("cause-not-in-log", Outcome.FAIL)

    def test_log_that_is_not_there(self, tmp_path: Path) -> None:
        """An engine that wrote nothing is explained by its end."""
        autopsy = Autopsy(EngineState(running=False, exit_code=143), tmp_path / "none.log")
        error = EngineExited("it died", exit_code=143)

        assert outcome_of(error, autopsy) == ("terminated-by-signal", Outcome.INFRA)
        assert not hasattr(error, "__notes__")

    def test_log_that_cannot_be_read_is_told(self, tmp_path: Path) -> None:
        """The failure is explained without it, and says so."""
        error = EngineExited("it died", exit_code=143)

        explain(error, Autopsy(EngineState(running=False, exit_code=143), tmp_path))

        assert "the log cannot be read" in error.__notes__[0]


class TestEnd:
    def test_oom_flag_decides(self, dead: MakeAutopsy) -> None:
        """The kernel's kill leaves nothing in the log: the flag of the runtime is the evidence."""
        autopsy = dead(HEALTHY, exit_code=137, oom_killed=True)
        found = explain(EngineExited("it died", exit_code=137), autopsy)

        assert (found.cause, found.evidence) == ("host-oom-killed", None)
        assert verdict_of_diagnosis(found).outcome is Outcome.FAIL

    def test_kill_with_the_flag_unset_is_somebodys(self, dead: MakeAutopsy) -> None:
        """The runtime says that memory was not the reason."""
        autopsy = dead(HEALTHY, exit_code=137)

        assert outcome_of(EngineExited("it died"), autopsy)[0] == "terminated-by-signal"

    def test_kill_without_a_flag_is_most_likely_memory(self, dead: MakeAutopsy) -> None:
        """Where the state could not be read, a false flag says nothing."""
        autopsy = dead(HEALTHY, notes={"state": "no answer of the daemon"})
        error = EngineExited("it died", exit_code=137)

        assert outcome_of(error, autopsy)[0] == "host-oom-killed"
        assert outcome_of(error)[0] == "host-oom-killed"

    def test_kill_in_another_container_is_not_this_ones(self, dead: MakeAutopsy) -> None:
        """The kernel tells of the whole host; the daemon knows whose process it was."""
        kernel = (
            "[9.1] oom-kill:constraint=CONSTRAINT_MEMCG,task=python3,pid=77,uid=0",
            "[9.2] Memory cgroup out of memory: Killed process 77 (python3) total-vm:1kB",
        )
        error, state = EngineExited("it died"), {"exit_code": 1, "kernel_log": kernel}
        inspected = dead(NO_DISK, **state, state_error="it ended")

        assert outcome_of(error, inspected)[0] == "disk-full"
        assert outcome_of(error, dead(HEALTHY, **state))[0] == "host-oom-killed"

    def test_deadline(self, dead: MakeAutopsy) -> None:
        """An engine that lived and was not ready hung, unless its log knows better."""
        error = EngineStartTimeout("not ready")

        assert outcome_of(error, dead(HEALTHY))[0] == "startup-timeout"
        assert outcome_of(error, dead(NO_DISK))[0] == "disk-full"

    def test_error_of_the_state_is_heard(self, dead: MakeAutopsy) -> None:
        """What the runtime noted on the container tells why it never ran: the image's fault."""
        error = EngineExited("start the container", exit_code=127)

        assert outcome_of(error, dead(state_error=NO_COMMAND, exit_code=127)) == (
            "image-command-missing",
            Outcome.FAIL,
        )


class TestLab:
    @pytest.mark.parametrize(
        ("error", "cause"),
        [
            (DaemonError("start it: words that no rule knows. Do this."), "engine-daemon-failure"),
            (ImageError("start it: words that no rule knows. Do this."), "image-unavailable"),
            (ModelSourceError("find it: nothing is there. Do this."), "gated-or-missing-model"),
            (HostError("lock it: words that no rule knows. Do this."), "host-resource-limit"),
            (LabError("try it: words that no rule knows. Do this."), "host-resource-limit"),
        ],
        ids=lambda value: value if isinstance(value, str) else type(value).__name__,
    )
    def test_words_that_no_rule_knows(self, dead: MakeAutopsy, error: LabError, cause: str) -> None:
        """The type of the error decides, its message has the remedy; the log proves nothing."""
        found = explain(error, dead(NO_DISK))

        assert (found.cause, found.family, found.remedy) == (cause, "lab", "Do this.")
        assert found.summary == str(error).removesuffix(". Do this.")
        assert outcome_of(error) == (cause, Outcome.INFRA)

    def test_same_words_have_the_same_fingerprint(self) -> None:
        """Identity is the words, without numbers and paths."""
        first, second = (
            explain(DaemonError(f"look at /var/run/{name}/docker.sock: no. Wait."), None)
            for name in ("a", "b")
        )

        assert first.fingerprint == second.fingerprint
        assert first.fingerprint != explain(DaemonError("it refused. Wait."), None).fingerprint

    def test_error_of_hwvals_own_is_never_the_products(self) -> None:
        """The cause says whose it is, in the text too."""
        error = ZeroDivisionError("division by zero")
        failure = Failure("load/healthy", error, explain(error, None))

        assert outcome_of(error) == ("harness-error", Outcome.INFRA)
        assert failure.text().splitlines()[0] == "harness-error: hwval itself failed"

    def test_diagnosis_that_fails_hides_nothing(
        self, dead: MakeAutopsy, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A cell whose failure cannot be explained has failed none the less."""

        def broken(*_: object) -> None:
            raise ZeroDivisionError("in the diagnosis")

        monkeypatch.setattr(failure_module, "diagnose_file", broken)
        error, autopsy = EngineExited("it died"), dead(NO_DISK)
        failure = Failure("load/healthy", error, explain(error, autopsy))

        assert failure.diagnosis.cause == "harness-error"
        assert "seen: it died" in failure.text()
        assert "ZeroDivisionError: in the diagnosis" in failure.text()


class TestText:
    def test_reads_from_cause_to_context(self, dead: MakeAutopsy) -> None:
        """Why it failed comes first, then evidence, remedy and identity, then where to look."""
        log = "".join(f"line {number}\n" for number in range(1, 10)) + f"{RIDDLE}\nbehind\n"
        autopsy = dead(log, exit_code=1, notes={"kernel log": "not permitted"})
        error = EngineExited("it died", exit_code=1)
        found = explain(error, autopsy)
        failure = Failure("load/healthy", error, found, autopsy.log_path, autopsy)

        assert failure.text().splitlines() == [
            "unknown: an error that no rule knows",
            f"why: {found.summary}",
            f"evidence, line 10: {RIDDLE}",
            f"remedy: {found.remedy}",
            f"fingerprint: {found.fingerprint}",
            "seen: it died",
            "no kernel log: not permitted",
            f"log: {autopsy.log_path}",
            "   7 | line 7",
            "   8 | line 8",
            "   9 | line 9",
            f"> 10 | {RIDDLE}",
            "  11 | behind",
        ]

    def test_log_cannot_act_on_the_reader(self, dead: MakeAutopsy) -> None:
        """Colours and what a progress bar drew over are gone, other controls are visible."""
        log = f"50%\r\x1b[31m100%\x1b[0m\n\u202etricky\n{RIDDLE}\n"
        autopsy = dead(log, exit_code=1)
        error = EngineExited("it died", exit_code=1)
        text = Failure("q", error, explain(error, autopsy), autopsy.log_path, autopsy).text()

        assert text.splitlines()[-3:-1] == ["  1 | 100%", "  2 | \\u202etricky"]
        assert "\x1b" not in text

    def test_log_that_is_gone_is_not_missed(self, dead: MakeAutopsy) -> None:
        """The evidence itself is kept with the diagnosis."""
        autopsy = dead(RIDDLE, exit_code=1)
        error = EngineExited("it died", exit_code=1)
        failure = Failure("q", error, explain(error, autopsy), autopsy.log_path, autopsy)
        assert autopsy.log_path is not None
        autopsy.log_path.unlink()

        assert f"evidence, line 1: {RIDDLE}" in failure.text()
        assert " | " not in failure.text()
