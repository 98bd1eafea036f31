"""A live engine tells of itself, and of further instances."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from hwval.catalogue import Server
from hwval.engine.base import Endpoint
from hwval.engine.startup import Startup
from hwval.live import LiveEngine
from hwval.matrix import Deadlines
from tests.fakes.process import FakeEngineProcess


def live(base_url: str, server: Server = Server.VLLM) -> LiveEngine:
    return LiveEngine(
        model_name="synthetic:llama",
        ready_s=1.0,
        startup=Startup({}, {}),
        version=None,
        promised_version=None,
        log_path=None,
        deadlines=Deadlines(),
        endpoint=Endpoint(base_url, ""),
        server=server,
    )


def test_metrics_are_those_of_the_engine_or_of_another_instance() -> None:
    """A server that does not answer tells nothing, and that is no error."""
    with FakeEngineProcess("synthetic:llama") as server:
        own = live(server.base_url).metrics_of()()
        other = live("http://127.0.0.1:9").metrics_of(Endpoint(server.base_url, ""))()
    gone = live("http://127.0.0.1:9").metrics_of()()

    assert own["vllm:generation_tokens_total"] == 0.0
    assert other.keys() == own.keys()
    assert gone == {}


def test_memory_is_asked_of_a_vllm_alone(tmp_path: Path) -> None:
    """Infinity has a log and metrics, and neither knows a KV cache: that is no wrong answer."""
    nobody = "http://127.0.0.1:9"

    assert replace(live(nobody, Server.INFINITY), log_path=tmp_path).memory_numbers() is None
    with FakeEngineProcess("synthetic:llama") as server:
        numbers = replace(live(server.base_url), log_path=tmp_path).memory_numbers()
    assert numbers is not None
    assert numbers["kv_cache_tokens"] > 0
