"""Rounds that ``vllm bench`` measured."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping

from hwval.performance.bench import BenchResult
from hwval.performance.campaign import Scene
from hwval.performance.measurement import Round
from hwval.performance.promise import Question
from hwval.units import format_count

__all__ = ["replayed", "scene_of"]


def scene_of(
    name: str,
    section: Question,
    run: Callable[[int], BenchResult],
    ceiling: Mapping[str, float],
) -> Scene:
    """Return a point each of whose rounds is a command of its own."""

    def play(number: int) -> Round:
        return _round_of(name, number, run(number))

    return Scene(name=name, play=play, limits=section.limits, ceiling=ceiling)


def replayed(
    name: str, section: Question, done: BenchResult, ceiling: Mapping[str, float]
) -> Scene:
    """Return a point whose rounds were measured by one command."""

    def play(number: int) -> Round:
        if number > len(done.metrics):
            why = (f"the command told {len(done.metrics)} iterations",)
            return Round(
                point=name, number=number, duration_s=None, requests=0, valid=False, why_invalid=why
            )
        metrics = done.metrics[number - 1]
        return Round(
            point=name,
            number=number,
            duration_s=metrics.get("latency_mean_s"),
            requests=done.requests or 0,
            client=metrics,
        )

    return Scene(name=name, play=play, limits=section.limits, ceiling=ceiling)


def _round_of(name: str, number: int, result: BenchResult) -> Round:
    failed = (f"{format_count(result.failed, 'request')} failed",) if result.failed else ()
    reasons = failed or ((result.problem,) if result.problem else ())
    return Round(
        point=name,
        number=number,
        duration_s=result.duration_s,
        requests=result.requests or 0,
        failed=result.failed,
        failures={"failed": result.failed} if result.failed else {},
        client=result.metrics[0],
        valid=not reasons,
        why_invalid=reasons,
    )
