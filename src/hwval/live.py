"""A live engine: what its start told, and the ways to ask it."""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path

from hwval.catalogue import Server
from hwval.client import ServedModel
from hwval.client import fetch_metric_labels
from hwval.client import fetch_metrics
from hwval.client import list_models
from hwval.client import openai_client
from hwval.client import probe_ready
from hwval.engine.base import Endpoint
from hwval.engine.startup import Startup
from hwval.errors import HwvalError
from hwval.generate import Generation
from hwval.matrix import Deadlines

__all__ = ["LiveEngine"]


@dataclass(frozen=True, slots=True)
class LiveEngine:
    """An engine that took requests, and what its start told.

    Attributes:
        model_name: Name under which it serves the cell's model.
        ready_s: Seconds from start to ready.
        startup: What its log says of the start.
        version: vLLM version as the server says, None where it does not.
        promised_version: Version that the image stands for, None where it names none.
        log_path: Its log; None for a server that already runs.
        deadlines: How long things may take for this cell.
        endpoint: Where it answers, with its key.
        server: What program it is.
    """

    model_name: str
    ready_s: float
    startup: Startup
    version: str | None
    promised_version: str | None
    log_path: Path | None
    deadlines: Deadlines
    endpoint: Endpoint = field(repr=False)
    server: Server = Server.VLLM

    def is_healthy(self) -> bool:
        """Ask the server now."""
        return probe_ready(self.endpoint)

    def served_model(self) -> ServedModel:
        """Return the cell's model as the server lists it, or the first one if it is not there."""
        models = list_models(self.endpoint)
        return next((model for model in models if model.id == self.model_name), models[0])

    def memory_numbers(self) -> Mapping[str, float] | None:
        """Return what log and /metrics say of weights and KV cache, None where neither speaks.

        Only a vLLM does; Infinity has no cache, and others keep it to themselves.
        """
        if self.server is not Server.VLLM:
            return None
        numbers = dict(self.startup.numbers)
        for labels in fetch_metric_labels(self.endpoint, "vllm:cache_config_info"):
            tokens = labels.get("kv_cache_size_tokens", "")
            if "kv_cache_tokens" not in numbers and tokens.isdigit():
                numbers["kv_cache_tokens"] = float(tokens)
        return numbers if numbers or self.log_path is not None else None

    def metrics_of(self, endpoint: Endpoint | None = None) -> Callable[[], Mapping[str, float]]:
        """Return what asks ``/metrics``, summed over labels; it gives nothing where they do not.

        Args:
            endpoint: Of another instance of the same engine; this one's if None.
        """
        asked = endpoint or self.endpoint

        def ask() -> Mapping[str, float]:
            try:
                return fetch_metrics(asked)
            except HwvalError:
                return {}

        return ask

    @contextmanager
    def generation(self) -> Iterator[Generation]:
        """Give the means to ask for text, and close their connections afterwards."""
        with openai_client(self.endpoint, self.deadlines.answer_s) as client:
            yield Generation(
                client,
                model=self.model_name,
                context_tokens=self.served_model().max_context_tokens,
                metrics=lambda: fetch_metrics(self.endpoint),
            )
