"""From a log and what is known around it to one cause."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.diagnosis import Circumstances
from hwval.diagnosis import Diagnosis
from hwval.diagnosis import Evidence
from hwval.diagnosis import diagnose

HELLO = "(APIServer pid=9) INFO 11-20 10:00:00 [api_utils.py:286] non-default args: {}"
CONTEXT = (
    "ValueError: User-specified max_model_len (9) is greater than the derived max_model_len (8)"
)
NO_DISK = "OSError: [Errno 28] No space left on device"
NO_CACHE = "ValueError: No available memory for the cache blocks. Try increasing it."
GENERIC = (
    "RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
)


def cause_of(*lines: str, **known: object) -> str | None:
    return diagnose(lines, Circumstances(**known)).cause  # type: ignore[arg-type] # test's own


def test_specific_sign_wins_over_a_symptom() -> None:
    """A collective that lost its peer follows from something else, wherever its line stands."""
    lost = "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO)"

    assert cause_of(lost, NO_DISK) == "disk-full"
    assert cause_of(NO_DISK, lost) == "disk-full"
    assert cause_of(lost) == "nccl-rccl-failure"


def test_unknown_error_before_a_symptom_is_not_explained_by_it() -> None:
    """`unknown` with the right line is worth more than a wrong name."""
    lost = "RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO)"
    found = diagnose(["FooError: bar", lost])

    assert (found.cause, found.secondary) == ("unknown", ())
    assert found.evidence == Evidence(1, "FooError: bar")


def test_first_causal_line_wins_within_a_tier() -> None:
    """What came first caused the rest; the rest is told too."""
    assert cause_of(HELLO, CONTEXT, NO_CACHE) == "context-length-exceeds-model"
    assert cause_of(HELLO, NO_CACHE, CONTEXT) == "out-of-memory-kv-cache"
    assert diagnose([NO_CACHE, CONTEXT]).secondary == ("context-length-exceeds-model",)


def test_broken_lines_are_read_together() -> None:
    """A pager or a person broke them; a line with a prefix or a class stands for itself."""
    start, _, tail = CONTEXT.partition(" derived")
    end = f"derived{tail}"

    assert cause_of(start, f"    {end}") == "context-length-exceeds-model"
    assert cause_of(start, f"ERROR 11-20 10:00:00 [core.py:9] {end}") == "unknown"
    assert cause_of(start, "") == "unknown"


def test_log_may_end_with_a_hint() -> None:
    """What is said last may be why it goes no further; said long before, it is not."""
    waiting = "DEBUG 11-20 10:00:00 [utils.py:9] Waiting for 1 local, 0 remote core engine proc(s)"

    assert cause_of(HELLO, waiting) == "startup-timeout"
    assert cause_of(waiting, *[HELLO] * 9) == "cause-not-in-log"


def test_place_that_raised_may_decide() -> None:
    """The same words from deeper inside say something else."""
    choosing = '  File "/app/vllm/platforms/x.py", line 1, in check_and_update_config'
    inside = '  File "/app/other/y.py", line 1, in f'

    assert cause_of(choosing, "ValueError: no such thing") == "invalid-configuration"
    assert cause_of(choosing, inside, "ValueError: no such thing") == "unknown"


def test_wrapper_is_not_the_cause() -> None:
    """`Engine core initialization failed` says that, never why."""
    found = diagnose([HELLO, "ValueError: the real one", GENERIC])

    assert found.evidence == Evidence(2, "ValueError: the real one")
    assert cause_of(HELLO, GENERIC) == "cause-not-in-log"


def test_unknown_error_is_shown_with_its_line() -> None:
    """Nobody is told a wrong cause; the first error is the evidence, counted from 1."""
    lines = [HELLO, "", "(EngineCore pid=3) ERROR 11-20 10:00:01 [core.py:9] FooError: bar 7"]
    found = diagnose([*lines, "BarError: later"])

    assert (found.cause, found.family) == ("unknown", "none")
    assert found.evidence == Evidence(3, lines[2])
    assert found.fingerprint is not None
    assert found.fingerprint.startswith("unknown:")


def test_kernel_kill_needs_no_log() -> None:
    """The runtime's own flag decides, since a killed process says nothing."""
    found = diagnose([], Circumstances(exit_code=137, oom_killed=True))

    assert (found.cause, found.family, found.evidence) == ("host-oom-killed", "memory", None)
    assert "137" in found.summary


def test_kernel_kill_wins_over_what_the_log_says() -> None:
    """Errors of survivors follow from the kill."""
    assert cause_of(HELLO, NO_DISK, oom_killed=True, exit_code=137) == "host-oom-killed"


@pytest.mark.parametrize("code", [137, -9])
def test_signal_nine_without_the_flag_is_not_called_memory(code: int) -> None:
    """The runtime says that memory was not the reason: somebody killed it."""
    found = diagnose([HELLO], Circumstances(exit_code=code, oom_killed=False))

    assert (found.cause, found.family) == ("terminated-by-signal", "lab")


@pytest.mark.parametrize("code", [137, -9])
def test_signal_nine_where_nobody_knows_is_memory_with_a_doubt(code: int) -> None:
    """Nearly always it was; the summary says what would prove it."""
    found = diagnose([HELLO], Circumstances(exit_code=code))

    assert found.cause == "host-oom-killed"
    assert "would prove it" in found.summary


@pytest.mark.parametrize(
    ("code", "cause"),
    [(143, "terminated-by-signal"), (-15, "terminated-by-signal"), (130, "terminated-by-signal"),
     (127, "image-command-missing"), (126, "image-command-missing"),
     (135, "shared-memory-too-small"), (1, "cause-not-in-log")],
)  # fmt: skip
def test_exit_code_speaks_where_the_log_does_not(code: int, cause: str) -> None:
    """What the end of a process says by itself."""
    assert cause_of(HELLO, exit_code=code) == cause
    assert cause_of(HELLO, NO_DISK, exit_code=code) == "disk-full"


def test_kernel_log_names_an_oom_kill() -> None:
    """Its line is not one of the engine's log: no evidence line, but the cause."""
    kill = "Out of memory: Killed process 4711 (VLLM::EngineCor) total-vm:99kB, anon-rss:98kB"
    found = diagnose([HELLO], Circumstances(kernel_log=("usb 1-1: new device", kill)))

    assert (found.cause, found.evidence) == ("host-oom-killed", None)


def test_runtime_error_that_the_log_repeats_has_a_line() -> None:
    """`docker run` says on its standard error what `docker inspect` keeps."""
    said = 'could not select device driver "" with capabilities: [[gpu]]'

    assert diagnose([], Circumstances(runtime_error=said)).evidence is None
    found = diagnose([HELLO, f"docker: Error: {said}."], Circumstances(runtime_error=said))
    assert found.cause == "gpu-not-visible"
    assert found.evidence is not None
    assert found.evidence.line == 2


def test_server_that_works_is_healthy() -> None:
    """Errors of single requests, or before it was up, did not stop it."""
    ready = "(APIServer pid=9) INFO:     Application startup complete."
    failed = "(APIServer pid=9) ERROR 11-20 10:00:01 [serving.py:9] ValueError: too long"

    assert cause_of(HELLO, ready) is None
    assert cause_of(HELLO, NO_DISK, ready) is None
    assert cause_of(HELLO, ready, failed) is None
    assert cause_of(HELLO, ready, failed, "INFO:     Shutting down") is None
    assert cause_of(HELLO, ready, failed, exit_code=1) == "unknown"


def test_server_that_died_at_work_is_not() -> None:
    """What came after it was up is the cause, not what it survived at its start."""
    ready = "(APIServer pid=9) INFO:     Application startup complete."
    dead = "ERROR 11-20 10:00:02 [core.py:9] EngineCore encountered a fatal error."

    assert cause_of(NO_CACHE, ready, dead, CONTEXT, GENERIC) == "context-length-exceeds-model"
    assert cause_of(HELLO, ready, dead, "FooError: bar") == "unknown"
    boot = "INFO:     Started server process [7]"
    assert cause_of(HELLO, ready, dead, NO_CACHE, HELLO, boot, ready) is None
    assert cause_of(HELLO, dead, NO_CACHE, ready) == "out-of-memory-kv-cache"


def test_script_that_did_its_work_is_healthy() -> None:
    """An offline run has no server to come up."""
    assert cause_of(HELLO, "Throughput: 2.28 tokens/s") is None
    assert cause_of(HELLO, "Throughput: 2.28 tokens/s", "FooError: bar") == "unknown"


def test_log_that_just_stops_names_no_cause() -> None:
    """Neither an error nor a sign of life."""
    assert cause_of(HELLO) == "cause-not-in-log"
    assert cause_of() == "cause-not-in-log"


def test_fingerprint_is_the_same_for_the_same_failure() -> None:
    """Processes, times, addresses, paths, lines and numbers of a run do not matter."""
    one = diagnose(
        [
            HELLO,
            "(EngineCore pid=3) ERROR 11-20 10:00:01 [core.py:9] FooError: at 0x7f1 in /a/b/c.py:7",
        ]
    )
    two = diagnose(
        ["(Core_DP0 pid=77) ERROR 01-02 23:59:59 [core.py:812] FooError: at 0xf in /x/y.py:9"]
    )
    other = diagnose(["BarError: at 0x7f1"])

    assert one.fingerprint == two.fingerprint != other.fingerprint
    assert (
        diagnose([CONTEXT]).fingerprint
        == diagnose([HELLO, CONTEXT.replace("9", "4096")]).fingerprint
    )


def test_error_in_the_log_wins_over_the_exit_code() -> None:
    """A log that says why is believed."""
    assert cause_of(NO_DISK, exit_code=137) == "disk-full"


def test_engine_that_lived_on_is_a_timeout() -> None:
    """No error in the log and no exit: it was not ready in time."""
    assert cause_of(HELLO, timed_out=True) == "startup-timeout"
    assert cause_of(HELLO, CONTEXT, timed_out=True) == "context-length-exceeds-model"


@pytest.mark.parametrize(("code", "word"), [(3, "3"), (None, "unknown")])
def test_silent_death_says_that_the_log_does_not_tell(code: int | None, word: str) -> None:
    """The exit code is told, no cause is guessed."""
    found = diagnose([HELLO], Circumstances(exit_code=code))

    assert found.cause == "cause-not-in-log"
    assert f"(exit code {word})" in found.summary


def test_silent_deaths_are_told_apart_by_their_exit() -> None:
    """One ledger entry does not forgive them all; a shell's 139 is a signal 11."""
    one, other, crash = (
        diagnose([HELLO], Circumstances(exit_code=code)).fingerprint for code in (1, 139, -11)
    )

    assert one != other == crash


def test_kernel_speaks_after_the_log() -> None:
    """Its OOM kill may be of somebody else's process."""
    kill = "Out of memory: Killed process 4711 (python3) total-vm:99kB, anon-rss:98kB"

    assert cause_of(HELLO, CONTEXT, kernel_log=(kill,)) == "context-length-exceeds-model"
    assert cause_of(HELLO, GENERIC, kernel_log=(kill,)) == "host-oom-killed"


def test_server_that_was_stopped_before_it_failed() -> None:
    """Its shutdown breaks what depends on it; the signal came first."""
    signal = "(EngineCore pid=3) INFO 11-20 10:00:01 [core.py:9] EngineCore received signal=SIGTERM"
    dead = "ERROR 11-20 10:00:02 [async_llm.py:9] vllm.v1.engine.exceptions.EngineDeadError: x"

    assert cause_of(HELLO, signal, dead) == "terminated-by-signal"


def test_engine_that_waits_without_end_is_stuck() -> None:
    """The same line is harmless where work follows."""
    stall = (
        "(EngineCore pid=3) INFO 11-20 10:01:01 [shm_broadcast.py:9] No available shared memory "
        "broadcast block found in 60 seconds. This typically happens when some processes hang"
    )
    captured = "(Worker pid=4) INFO 11-20 10:00:01 [gpu_model_runner.py:9] Graph capturing finished"
    work = "Avg generation throughput: 25.6 tokens/s"

    assert cause_of(HELLO, captured, stall, stall) == "startup-timeout"
    assert cause_of(HELLO, captured, stall, work) is None


def test_server_that_was_interrupted_is_told_from_one_that_ended() -> None:
    """Ctrl-C breaks it, a shutdown does not."""
    ready = "INFO:     Application startup complete."
    assert cause_of(HELLO, ready, "KeyboardInterrupt: terminated") == "terminated-by-signal"
    assert cause_of(HELLO, ready, "INFO:     Shutting down") is None


def test_log_that_ends_after_a_signal_names_it() -> None:
    """Nothing else is wrong, and nothing shows that it served."""
    told = "(EngineCore pid=3) INFO 11-20 10:00:01 [core.py:9] EngineCore: received signal=SIGTERM"

    assert cause_of(HELLO, told, HELLO) == "terminated-by-signal"


def test_server_that_comes_up_and_dies_again_and_again_is_dead() -> None:
    """A flood of lines is not looked at for ever, but the last death is seen."""
    boot, ready = "INFO:     Started server process [7]", "INFO:     Application startup complete."
    dead = "ERROR 11-20 10:00:02 [core.py:9] EngineCore encountered a fatal error."

    assert cause_of(*[boot, ready, dead, "FooError: 7"] * 1000) == "unknown"
    assert cause_of(*[boot, ready, dead, "FooError: 7"] * 1000, boot, ready) is None


def test_kernel_says_nothing_of_an_engine_that_serves() -> None:
    """Nor does the kill of a browser explain an error that no rule knows."""
    kill = "Out of memory: Killed process 4711 (firefox) total-vm:99kB, anon-rss:98kB"
    ready = "INFO:     Application startup complete."

    assert cause_of(HELLO, ready, kernel_log=(kill.replace("firefox", "python3"),)) is None
    assert cause_of(HELLO, "FooError: 7", kernel_log=(kill, "oom-kill:constraint=x")) == "unknown"


@pytest.mark.parametrize("code", [139, -11, 134, 132])
def test_crash_is_told_by_its_signal(code: int) -> None:
    """No rule has a cause for it, but the exit code says what happened."""
    assert "crashed" in diagnose([HELLO], Circumstances(exit_code=code)).summary


@pytest.mark.parametrize("indent", ["    ", "\t", " " * 12])
def test_indented_log_is_read(indent: str) -> None:
    """As a step of a CI or a quotation prints it."""
    core = "(EngineCore pid=3) ERROR 11-20 10:00:01 [core.py:9] "
    lines = [core + "Traceback (most recent call last):", core + '  File "/a/b.py", line 3, in f',
             core + "    raise ValueError(", core + NO_CACHE]  # fmt: skip

    assert cause_of(*(indent + line for line in lines)) == "out-of-memory-kv-cache"


def test_healthy_engine_has_no_cause() -> None:
    """Whatever its log says, an engine that did not fail has nothing to diagnose."""
    found = diagnose([CONTEXT], Circumstances(failed=False))

    assert (found.cause, found.family, found.fingerprint) == (None, None, None)


def test_summary_and_remedy_carry_the_numbers_of_the_case() -> None:
    """A person reads what was asked and what is allowed."""
    found = diagnose([CONTEXT])

    assert "9" in found.summary
    assert "8" in found.remedy


def test_diagnosis_is_plain_data() -> None:
    """It is written into records and read by programs."""
    text = json.dumps(diagnose([HELLO, CONTEXT]).to_json())

    assert json.loads(text)["evidence"] == {"line": 2, "text": CONTEXT}


def test_long_line_is_cut() -> None:
    """Evidence stays readable, whatever an engine prints in one line."""
    found = diagnose([f"FooError: {'x' * 100_000}"])

    assert found.evidence is not None
    assert len(found.evidence.text) == 1000


@given(
    st.lists(st.text(max_size=200)),
    st.builds(
        Circumstances,
        exit_code=st.none() | st.integers(-64, 255),
        oom_killed=st.booleans(),
        timed_out=st.booleans(),
        failed=st.none() | st.booleans(),
        runtime_error=st.text(max_size=80),
        kernel_log=st.lists(st.text(max_size=80), max_size=3).map(tuple),
    ),
)
def test_any_text_gets_an_answer(lines: list[str], known: Circumstances) -> None:
    """No log crashes it, the same log gives the same answer, and evidence points into the log."""
    found = diagnose(lines, known)

    assert isinstance(found, Diagnosis)
    assert found == diagnose(lines, known)
    assert known.failed is None or (found.cause is None) == (not known.failed)
    assert found.evidence is None or 1 <= found.evidence.line <= sum(
        line.count("\n") + 1 for line in lines
    )
    json.dumps(found.to_json())
