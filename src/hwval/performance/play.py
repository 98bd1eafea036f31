"""Plays one load against an engine and looks at it from three sides: client, engine, device."""

from __future__ import annotations

import threading
from collections.abc import Callable
from collections.abc import Mapping
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from dataclasses import field
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Final
from typing import Self
from zlib import crc32

from hwval.clock import Stopwatch
from hwval.engine.base import Endpoint
from hwval.errors import HwvalError
from hwval.load import Ask
from hwval.load import Goals
from hwval.load import Limits
from hwval.load import LoadPlan
from hwval.load import LoadRun
from hwval.load import Progress
from hwval.load import Target
from hwval.load import processes_for
from hwval.load import run_load
from hwval.load import summarise
from hwval.load.request import Kind
from hwval.load.room import Room
from hwval.load.room import beyond_context
from hwval.load.sample import Sample
from hwval.load.workload import Workload
from hwval.performance.ceilings import Roofline
from hwval.performance.client_side import came_at_once
from hwval.performance.client_side import client_bound
from hwval.performance.client_side import client_numbers
from hwval.performance.client_side import cut_short
from hwval.performance.client_side import disagreements
from hwval.performance.client_side import own_failures
from hwval.performance.client_side import silence
from hwval.performance.client_side import why_invalid
from hwval.performance.engine_side import engine_numbers
from hwval.performance.engine_side import peak_numbers
from hwval.performance.measurement import GONE_SILENT
from hwval.performance.measurement import Round
from hwval.performance.reservoir import Reservoir
from hwval.telemetry import DeviceWatch
from hwval.telemetry import Seen
from hwval.telemetry import Sensor

__all__ = ["Player", "Subject"]

# Rendering the metrics takes the server some milliseconds, which streams feel.
_LOOK_EVERY_S: Final = 5.0
_FIRST_LOOK_S: Final = 0.5
_LOOK_END_S: Final = 15.0
_MOST_TTFT_VALUES: Final = 20_000

Metrics = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Subject:
    """The engine that is measured.

    Attributes:
        cell: Id of its cell.
        endpoint: Where it answers.
        model: Name under which it serves the model.
        metrics: Returns what its ``/metrics`` say, empty where it has none.
        tokenizer: Folder of the model's tokenizer; None makes lengths of prompts approximate.
        sensors: Of its devices.
        roofline: What its plan allows; None where that is not known.
        answer_s: Longest time of one request that waits for no other, seconds > 0.
        room: What it has room for.
    """

    cell: str
    endpoint: Endpoint
    model: str
    metrics: Callable[[], Metrics]
    tokenizer: Path | None = None
    sensors: Sequence[Sensor] = ()
    roofline: Roofline | None = None
    answer_s: float = 300.0
    room: Room = field(default_factory=Room)


@dataclass(slots=True)
class Player:
    """Plays loads of one question.

    Attributes:
        subject: The engine.
        question: Which question it is for.
        deadline_s: Longest time of one load.
        marks_client_bound: Whether rounds in which the generator was the limit count, with a note;
            not those whose answers came at once.
        tell: Shows how far it is.
        run: Sends a load; the load generator's own.
        ttft_values_s: Point -> times to first token of requests in rounds that count, a fair sample
            if they are many.
    """

    subject: Subject
    question: str
    deadline_s: float
    marks_client_bound: bool = False
    tell: Callable[[str], None] = lambda _text: None
    run: Callable[[LoadPlan, Callable[[Progress], None] | None], LoadRun] = run_load
    ttft_values_s: dict[str, list[float]] = field(default_factory=dict)
    _kept: dict[str, Reservoir] = field(default_factory=dict, init=False)

    def seed(self, point: str, number: int) -> int:
        """Return the seed of a round: the same in every cell, another in every round."""
        return crc32(f"{self.question} {point} {number}".encode())

    def plan(
        self, workload: Workload, *, concurrency: int | None, rate_per_s: float | None = None
    ) -> LoadPlan:
        """Return a load of this workload; its warm-ups are left to `warm_up`."""
        made = workload.make()
        return self.plan_of(
            made.asks, kind=workload.kind, concurrency=concurrency, rate_per_s=rate_per_s
        )

    def plan_of(
        self,
        asks: Sequence[Ask],
        *,
        kind: Kind = "completions",
        concurrency: int | None = None,
        rate_per_s: float | None = None,
    ) -> LoadPlan:
        """Return a load of these requests."""
        subject = self.subject
        # Where all is sent at once or as it comes, a request may wait for those before it; that is
        # slow, not failed.
        is_queued = concurrency is None or 1 < len(asks) <= concurrency
        request_s = self.deadline_s if is_queued else min(subject.answer_s, self.deadline_s)
        return LoadPlan(
            target=Target(
                base_url=subject.endpoint.base_url,
                model=subject.model,
                kind=kind,
                api_key=subject.endpoint.api_key,
            ),
            asks=tuple(asks),
            concurrency=concurrency,
            limits=Limits(request_s=request_s, run_s=self.deadline_s),
            processes=processes_for(concurrency or min(len(asks), 256), rate_per_s),
        )

    def learn_room(self, kind: Kind, tokens: int) -> Room:
        """Return what the engine has room for, asked by its own counts where that is close.

        Args:
            kind: Which API is asked.
            tokens: Longest request, prompt and answer together.
        """
        subject = self.subject

        def send(asks: Sequence[Ask]) -> Sequence[Sample]:
            plan = self.plan_of(asks, kind=kind, concurrency=1)
            return self._send([plan], "how it counts")[0].samples

        return subject.room.learned(tokens, kind=kind, tokenizer=subject.tokenizer, send=send)

    def warm_up(self, workload: Workload, *, concurrency: int, point: str) -> None:
        """Send requests that do not count; how they end shows in the rounds that follow."""
        if workload.requests < 1:
            return
        warm = replace(workload, rate=None, seed=self.seed(point, 0))
        self._send([self.plan(warm, concurrency=concurrency)], f"{point} · warm-up")

    def round(
        self,
        point: str,
        number: int,
        plan: LoadPlan,
        *,
        goals: Goals | None = None,
        counted: Callable[[Sample], bool] = lambda _sample: True,
        beside: Sequence[tuple[Subject, LoadPlan]] = (),
    ) -> Round:
        """Play one load and return what was seen of it.

        Args:
            point: Name of its point.
            number: Of the round, from 1.
            plan: The load.
            goals: What a good request keeps.
            counted: Which requests the client's numbers are about; all must be answered.
            beside: Loads of further engines at the same time; their requests count too.
        """
        subjects = [self.subject, *(subject for subject, _ in beside)]
        sensors = [sensor for subject in subjects for sensor in subject.sensors]
        looks = [_Looks(subject.metrics) for subject in subjects]
        before = [look.metrics() for look in looks]
        with DeviceWatch(sensors) as watch, _looking(looks):
            plans = [plan, *(other for _, other in beside)]
            runs = self._send(plans, f"{point} · round {number}")
        after = [look.metrics() for look in looks]
        run = _merged(runs)
        engine = _together(
            [
                # Without a look before, the counters would tell of the engine's whole life.
                (engine_numbers(then, now) if then else {}) | peak_numbers(look.seen)
                for then, now, look in zip(before, after, looks, strict=True)
            ]
        )
        summary = summarise(run, goals)
        about = replace_samples(run, counted)
        client = client_numbers(about, summary if about is run else summarise(about, goals))
        seen = _seen_of(watch, run)
        bound = [why] if (why := client_bound(summary)) else []
        is_marked = self.marks_client_bound and not came_at_once(client)
        refused, marked = ([], bound) if is_marked else (bound, [])
        cut = [why for one, asked in zip(runs, plans, strict=True) for why in cut_short(one, asked)]
        own = own_failures(run)
        context_tokens = self.subject.room.context_tokens
        overlong = [
            failure
            for one, asked in zip(runs, plans, strict=True)
            for failure in beyond_context(one.samples, asked.asks, context_tokens)
        ]
        silent = list(silence(run))
        reasons = (
            *silent,
            *why_invalid(summary, engine, seen.throttled, own, overlong),
            *cut,
            *refused,
        )
        if not reasons:
            self._keep_ttft(point, about)
        return Round(
            point=point,
            number=number,
            duration_s=summary.duration_s,
            requests=summary.requests,
            failed=summary.failed - len(own) - len(overlong),
            failures={
                **summary.failures,
                **({GONE_SILENT if silent else "cut off": n} if (n := summary.unfinished) else {}),
                **({"not sent": summary.unsent} if summary.unsent else {}),
            },
            client=client,
            engine=engine,
            device={**seen.numbers, **_energy(seen.numbers, summary.output_tokens)},
            valid=not reasons,
            why_invalid=reasons,
            notes=(*marked, *summary.notes, *disagreements(summary, engine)),
        )

    def _keep_ttft(self, point: str, run: LoadRun) -> None:
        if point not in self._kept:
            values = self.ttft_values_s.setdefault(point, [])
            self._kept[point] = Reservoir(_MOST_TTFT_VALUES, values)
        self._kept[point].add(one.ttft_s for one in run.samples if one.failure is None)

    def _send(self, plans: Sequence[LoadPlan], what: str) -> list[LoadRun]:
        show = _Shown(self.tell, what, plans)
        if len(plans) == 1:
            return [self.run(plans[0], show.of(0))]
        with ThreadPoolExecutor(len(plans)) as pool:
            pending = [
                pool.submit(self.run, plan, show.of(place)) for place, plan in enumerate(plans)
            ]
            return [one.result() for one in pending]


class _Shown:
    """Shows how far several loads of the same time are, as one."""

    def __init__(self, tell: Callable[[str], None], what: str, plans: Sequence[LoadPlan]) -> None:
        self._tell, self._what = tell, what
        self._all = [Progress("", 0, 0, len(plan.asks)) for plan in plans]
        self._watch = Stopwatch()
        self._lock = threading.Lock()

    def of(self, place: int) -> Callable[[Progress], None]:
        """Return what takes the progress of one of the loads, from any thread."""

        def show(progress: Progress) -> None:
            with self._lock:
                self._all[place] = progress
                self._show(progress.stage)

        return show

    def _show(self, stage: str) -> None:
        ended, failed, total = (
            sum(getattr(one, name) for one in self._all) for name in ("ended", "failed", "total")
        )
        rate = ended / self._watch.elapsed_s if self._watch.elapsed_s > 0 else 0.0
        told = f", {failed} failed" if failed else ""
        self._tell(f"{self._what} · {stage}: {ended} of {total}{told}, {rate:.3g}/s")


def replace_samples(run: LoadRun, counted: Callable[[Sample], bool]) -> LoadRun:
    """Return the run with those samples alone that are counted; the run itself if all are."""
    samples = tuple(sample for sample in run.samples if counted(sample))
    return run if len(samples) == len(run.samples) else run._replace(samples=samples)


class _Looks:
    """What an engine says of itself while a load runs; a look that fails is left out."""

    def __init__(self, metrics: Callable[[], Metrics]) -> None:
        self._metrics = metrics
        self.seen: list[Metrics] = []

    def metrics(self) -> Metrics:
        """Look now."""
        try:
            return self._metrics()
        except HwvalError:
            return {}  # no metrics, or no engine: the load itself tells which


class _looking:  # noqa: N801 - used as a function
    """Looks at engines now and then until the block ends."""

    def __init__(self, looks: Sequence[_Looks]) -> None:
        self._looks = looks
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._work, name="metrics", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end.set()
        self._thread.join(_LOOK_END_S)

    def _work(self) -> None:
        wait_s = _FIRST_LOOK_S
        while not self._end.wait(wait_s):
            for look in self._looks:
                if found := look.metrics():
                    look.seen.append(found)
            wait_s = _LOOK_EVERY_S


def _merged(runs: Sequence[LoadRun]) -> LoadRun:
    """Return several runs of the same time as one; their clock is the same."""
    if len(runs) == 1:
        return runs[0]
    return runs[0]._replace(
        samples=tuple(sample for run in runs for sample in run.samples),
        healths=tuple(health for run in runs for health in run.healths),
    )


def _together(engines: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the numbers of one engine; of several only what adds up."""
    if len(engines) == 1:
        return engines[0]
    added = ("generation_tokens", "prompt_tokens", "preemptions", "requests_done")
    return {
        name: sum(one[name] for one in engines)
        for name in added
        if all(name in one for one in engines)
    }


def _seen_of(watch: DeviceWatch, run: LoadRun) -> Seen:
    """Return what was seen of devices, with the energy of the load alone.

    Processes of the generator start before it and are read out behind it, while devices idle.
    """
    sent = [sample for sample in run.samples if sample.sent_ns]
    if not sent:
        return watch.seen
    begin_ns, end_ns = min(one.sent_ns for one in sent), max(one.ended_ns for one in sent)
    return watch.seen_between(begin_ns / 1e9, end_ns / 1e9)


def _energy(device: Mapping[str, float], output_tokens: int) -> dict[str, float]:
    energy_j = device.get("device_energy_j")
    if not energy_j or not output_tokens:
        return {}
    return {
        "energy_j_per_token": energy_j / output_tokens,
        "output_tokens_per_j": output_tokens / energy_j,
    }
