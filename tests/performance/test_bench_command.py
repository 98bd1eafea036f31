"""Why a command of `vllm bench` measured nothing, and whose fault that is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import field

import pytest

from hwval.engine.base import Completed
from hwval.errors import EngineError
from hwval.errors import HostError
from hwval.performance.bench import NotMeasured
from hwval.performance.bench_command import NoSuchBench
from hwval.performance.bench_command import run_bench

OWN, BESIDE = True, False
USAGE = "usage: vllm bench latency [options]\nvllm bench latency: error: argument --x: bad value\n"


@dataclass
class Place:
    """Where commands run: `cat` finds the file or not, everything else ends as it was told."""

    done: Completed
    written: Completed = field(default_factory=lambda: Completed(0, "{}"))
    words: list[Sequence[str]] = field(default_factory=list)
    beside_url: str = "http://127.0.0.1:1"
    model_argument: str = "/model"

    def run_beside(self, command: Sequence[str], timeout_s: float) -> Completed:
        assert timeout_s >= 0
        self.words.append(command)
        return {"cat": self.written, "rm": Completed(0, "")}.get(command[0], self.done)


def run(
    place: Place, *, has_engine: bool = OWN, timeout_s: float = 60.0, which: str = "latency"
) -> str:
    return run_bench(
        place,
        lambda result: ["vllm", "bench", which, "--output-json", result],
        timeout_s,
        has_engine=has_engine,
        keep=lambda _what, _printed: None,
    )


def test_what_a_command_wrote_is_returned_and_removed() -> None:
    """The file has a random name, and goes in any case."""
    place = Place(Completed(0, "done"), Completed(0, '{"a": 1}'))

    assert run(place) == '{"a": 1}'
    assert [words[0] for words in place.words] == ["vllm", "cat", "rm"]
    assert place.words[0][-1] == place.words[1][-1] == place.words[2][-1]


def test_what_a_command_printed_is_kept() -> None:
    """Above all when it failed."""
    kept: list[tuple[str, str]] = []
    with pytest.raises(NotMeasured):
        run_bench(
            Place(Completed(1, "why")),
            lambda _: ["vllm", "bench", "serve"],
            9.0,
            has_engine=BESIDE,
            keep=lambda what, printed: kept.append((what, printed)),
        )

    assert kept == [("vllm bench serve", "why")]


@pytest.mark.parametrize("has_engine", [OWN, BESIDE])
@pytest.mark.parametrize(
    ("place", "why"),
    [
        (Place(Completed(124, "step 1\nstep 2")), "no result in 60 s: step 2"),
        (Place(Completed(2, USAGE)), "exit status 2: .*argument --x: bad value"),
        (Place(Completed(1, "ZeroDivisionError: division by zero")), "division by zero"),
        (Place(Completed(1, "")), "it printed nothing"),
        (Place(Completed(0, ""), Completed(1, "cat: no such file")), "left no result: cat: no"),
    ],
)
def test_command_that_measured_nothing_says_nothing_of_the_engine(
    place: Place,
    why: str,
    has_engine: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    """Too late, its own arguments, its own crash, or no file."""
    with pytest.raises(NotMeasured, match=why):
        run(place, has_engine=has_engine)


def test_command_that_had_to_be_killed_was_late() -> None:
    """`timeout` says so by the status of a kill; earlier than that it was somebody else."""
    killed = Place(Completed(137, "step 1"))
    with pytest.raises(NotMeasured, match="no result in 0 s"):
        run(killed, timeout_s=0.0)
    with pytest.raises(NotMeasured, match="exit status 137"):
        run(killed, has_engine=BESIDE)


@pytest.mark.parametrize(
    "printed",
    [
        "ValueError: Initial test run failed - Please make sure ... Error: Internal Server Error",
        "aiohttp.client_exceptions.ServerDisconnectedError: Server disconnected",
    ],
)
def test_engine_that_refuses_is_its_own_failure(printed: str) -> None:
    """The client beside it only tells."""
    with pytest.raises(EngineError, match="exit status 1"):
        run(Place(Completed(1, printed)), has_engine=BESIDE)


@pytest.mark.parametrize(
    ("code", "printed", "why"),
    [
        (1, "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.", "memory"),
        (1, "EngineCore failed to start.\nRuntimeError: odd", "odd"),
        (139, "loading", "exit status 139: loading"),
    ],
)
def test_death_of_its_own_engine_is_the_engines_failure(code: int, printed: str, why: str) -> None:
    """By the rules for every engine's log, and by signals."""
    with pytest.raises(EngineError, match=why):
        run(Place(Completed(code, printed)))


def test_lab_that_fails_a_command_is_neither() -> None:
    """A full disk is nobody's speed."""
    with pytest.raises(HostError, match="disk-full"):
        run(Place(Completed(1, "OSError: [Errno 28] No space left on device")))


@pytest.mark.parametrize(
    "done",
    [
        Completed(127, "sh: vllm: not found"),
        Completed(
            2, "vllm: error: argument subparser: invalid choice: 'bench' (choose from serve)"
        ),
        Completed(1, "ValueError: Token id 9999 is out of vocabulary"),
    ],
)
def test_image_or_model_without_the_command(done: Completed) -> None:
    """It does not apply."""
    with pytest.raises(NoSuchBench):
        run(Place(done))


def test_engine_that_makes_unknown_tokens_is_no_missing_command() -> None:
    """Only `vllm bench latency` draws ids itself."""
    with pytest.raises(NotMeasured, match="out of vocabulary"):
        run(
            Place(Completed(1, "ValueError: Token id 9999 is out of vocabulary")),
            which="throughput",
        )
