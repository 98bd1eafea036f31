"""How one copy of a model is spread over devices."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Parallelism"]


@dataclass(frozen=True, slots=True)
class Parallelism:
    """Ranks of one engine.

    Attributes:
        tensor: Ranks that every layer is split over, >= 1.
        pipeline: Stages that the layers are dealt out to, >= 1.
        data: Copies of the engine's dense layers, >= 1.
        expert_parallel: Whether experts are kept whole and spread over tensor x data ranks.
    """

    tensor: int = 1
    pipeline: int = 1
    data: int = 1
    expert_parallel: bool = False

    def __post_init__(self) -> None:
        if min(self.tensor, self.pipeline, self.data) < 1:
            raise ValueError("every parallel size is at least 1")

    @property
    def ranks(self) -> int:
        """Devices that the engine takes."""
        return self.tensor * self.pipeline * self.data

    @property
    def expert_ranks(self) -> int:
        """Ranks that experts are spread over; 1 where they are split instead."""
        return self.tensor * self.data if self.expert_parallel else 1
