"""What every question of the load generator works with."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass

from hwval.load.workload import Workload
from hwval.performance.campaign import Campaign
from hwval.performance.campaign import Scene
from hwval.performance.measurement import Round
from hwval.performance.play import Player
from hwval.performance.promise import LoadQuestion
from hwval.stats import Looks
from hwval.threshold import Check
from hwval.threshold import Limit

__all__ = ["Asked", "Checks", "derived_checks", "others_than"]

Checks = tuple[Check, ...]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a question works with.

    Attributes:
        player: Plays loads against the cell's engine.
        campaign: Keeps what is measured.
    """

    player: Player
    campaign: Campaign

    def workload(self, section: LoadQuestion, point: str, number: int, requests: int) -> Workload:
        """Return the requests of a round."""
        return Workload(
            requests=requests,
            input_tokens=section.input_tokens,
            output_tokens=section.output_tokens,
            kind=section.endpoint,
            tokenizer=self.player.subject.tokenizer,
            room=self.player.subject.room,
            seed=self.player.seed(point, number),
        )

    def ceiling(
        self, section: LoadQuestion, batch: int, *, is_cached: bool = False
    ) -> Mapping[str, float]:
        """Return what the roofline allows at a point."""
        roofline = self.player.subject.roofline
        if roofline is None:
            return {}
        return roofline.at(
            batch=batch,
            input_tokens=section.input_tokens.low_tokens,
            output_tokens=section.output_tokens.low_tokens,
            is_cached=is_cached,
        )

    def warm_up(self, section: LoadQuestion, point: str, concurrency: int) -> Callable[[], None]:
        """Return what is done once before the rounds of a point with so many streams."""

        def work() -> None:
            requests = section.warm_up_requests(concurrency)
            workload = self.workload(section, point, 0, requests)
            self.player.warm_up(workload, concurrency=concurrency, point=point)

        return work

    def closed(
        self,
        section: LoadQuestion,
        name: str,
        *,
        requests: int,
        concurrency: int,
        limits: Mapping[str, Limit] | None = None,
        **place: int,
    ) -> Scene:
        """Return a point with so many streams at a time."""

        def play(number: int) -> Round:
            workload = self.workload(section, name, number, requests)
            plan = self.player.plan(workload, concurrency=concurrency)
            return self.player.round(name, number, plan)

        return Scene(
            name=name,
            play=play,
            prepare=self.warm_up(section, name, concurrency),
            limits=section.limits if limits is None else limits,
            ceiling=self.ceiling(section, concurrency),
            concurrency=place.get("concurrency_shown"),
        )


def others_than(metric: str, limits: Mapping[str, Limit]) -> dict[str, Limit]:
    """Return the limits of single points: without that of a metric which compares points."""
    return {name: limit for name, limit in limits.items() if name != metric}


def derived_checks(
    campaign: Campaign, section: LoadQuestion, metric: str, values: Sequence[float], looks: Looks
) -> Iterator[Check]:
    """Keep a metric that compares points, one value a round, and hold it against its limit."""
    campaign.derived[metric] = list(values)
    if limit := section.limits.get(metric):
        yield from campaign.judge_values(metric, limit, campaign.derived[metric], looks=looks)
