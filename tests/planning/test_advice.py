"""What is advised where memory does not suffice."""

from __future__ import annotations

import pytest

from hwval.planning.advice import advice_of
from hwval.planning.advice import idle_note
from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.interval import GIB_BYTES
from hwval.planning.memory import plan_memory
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from hwval.planning.partition import parse_partition
from tests.planning.configs import LLAMA_8B

SHAPE = read_shape(LLAMA_8B)
BY_TWO = "`engine: {tensor-parallel-size: 2}`"
CARD = MemoryDevice("cuda", 24 * GIB_BYTES)


def advised(cache_gib: int, tokens: int, key: str = "--kv-cache-memory-bytes") -> tuple[str, ...]:
    settings = EngineSettings(
        version=(0, 32),
        max_model_len_tokens=tokens,
        kv_cache_memory_bytes=cache_gib * GIB_BYTES,
        cache_key=key,
    )
    return advice_of(plan_memory(SHAPE, settings, CARD), None, settings, None)


@pytest.mark.parametrize(
    ("cache_gib", "tokens", "expected"),
    [
        (1, 8192, ()),
        (100, 8192, ("--kv-cache-memory-bytes 1G..4G fits",)),
        (100, 30000, ("--kv-cache-memory-bytes 4G fits",)),
        (100, 131072, ()),
        (1, 16384, ("--max-model-len 8176 fits", "--kv-cache-memory-bytes 2G..4G fits")),
    ],
)
def test_sizes_of_the_cache_that_fit(
    cache_gib: int, tokens: int, expected: tuple[str, ...]
) -> None:
    """From one request up to what is surely left; none if not even the former fits."""
    assert advised(cache_gib, tokens) == expected


def test_variable_has_no_unit() -> None:
    """It is GiB without saying so."""
    assert advised(100, 8192, "VLLM_CPU_KVCACHE_SPACE") == ("VLLM_CPU_KVCACHE_SPACE 1..4 fits",)


def test_more_devices_or_partitions() -> None:
    """They are named by what the cell has."""
    settings = EngineSettings(version=(0, 32), max_model_len_tokens=131072)
    memory = plan_memory(SHAPE, settings, CARD)

    assert advice_of(memory, 2, settings, None)[-1].endswith("2 fits, on 2 such devices")
    partition = parse_partition("cpx/nps4")
    assert advice_of(memory, 2, settings, partition)[-1].endswith("of the 8 partitions of a device")


@pytest.mark.parametrize(
    ("count", "spread", "can_spread", "fits", "expected"),
    [
        (2, Parallelism(2), True, True, None),
        (4, Parallelism(1, 2, 2), True, True, None),
        (2, Parallelism(4), True, True, None),
        (2, Parallelism(), True, True,
         f"1 of the 2 devices of this cell; write {BY_TWO} or `hardware: mi60`"),
        (4, Parallelism(1, 2), True, True,
         f"2 of the 4 devices of this cell; write {BY_TWO} or `hardware: mi60 x2`"),
        (3, Parallelism(), False, True, "1 of the 3 devices of this cell; write `hardware: mi60`"),
        (3, Parallelism(1, 2), True, True,
         "2 of the 3 devices of this cell; write `hardware: mi60 x2`"),
        (3, Parallelism(), False, False, "1 of the 3 devices of this cell"),
    ],
)  # fmt: skip
def test_idle_devices_are_told(
    count: int, spread: Parallelism, *, can_spread: bool, fits: bool, expected: str | None
) -> None:
    """Every kind of parallelism takes devices; what cannot work is not advised."""
    notes = idle_note("mi60", count, spread, can_spread=can_spread, fits=fits)
    assert [note.text for note in notes] == ([f"the engine takes {expected}"] if expected else [])
