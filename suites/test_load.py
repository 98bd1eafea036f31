"""Does the engine come up, in time, as what the cell says?"""

from __future__ import annotations

import pytest

from fixtures.record import Record
from hwval.cell import Cell
from hwval.live import LiveEngine
from hwval.matrix import PromisesSection

pytestmark = pytest.mark.load


def test_healthy(engine: LiveEngine, record: Record) -> None:
    """The server starts and answers healthy."""
    record.number("ready_s", engine.ready_s)

    assert engine.is_healthy()


def test_ready_in_time(engine: LiveEngine, promises: PromisesSection, record: Record) -> None:
    """The server is ready within the promised time."""
    limit_s = record.needed(promises.load.ready_within, "the matrix promises no time")
    record.number("ready_s", engine.ready_s)

    assert engine.ready_s <= limit_s


def test_serves_model(engine: LiveEngine, cell: Cell) -> None:
    """The server offers the model of the cell, with the context length the cell asks for."""
    served = engine.served_model()

    assert served.id == engine.model_name
    assert cell.max_model_len_tokens in {None, served.max_context_tokens}


def test_version(engine: LiveEngine, record: Record) -> None:
    """The server is the version that the image promises."""
    promised = record.needed(engine.promised_version, "the image promises no version")
    version = record.needed(engine.version, "the server does not tell its version")

    assert version == promised


def test_startup_phases(engine: LiveEngine, record: Record) -> None:
    """The log tells where the start-up time went."""
    record.needed(engine.log_path, "a server that already runs gives no log")
    for phase, duration_s in engine.startup.phases_s.items():
        record.number(f"startup_{phase}_s", duration_s)

    assert engine.startup.phases_s


def test_memory(engine: LiveEngine, record: Record) -> None:
    """The engine tells how much memory weights and KV cache take."""
    numbers = record.needed(engine.memory_numbers(), "neither log nor /metrics tell")
    for name, value in numbers.items():
        record.number(name, value)

    assert numbers.get("kv_cache_tokens", 0) > 0
