"""The table ``gpu_metrics`` that amdgpu publishes for each card: budgets, throttling, energy.

Sources: drivers/gpu/drm/amd/include/kgd_pp_interface.h of the Linux kernel (structures
``gpu_metrics_v*``, attributes of v1.9), drivers/gpu/drm/amd/pm/swsmu/inc/amdgpu_smu.h (bits
``SMU_THROTTLER_*``). Offsets are those of the C structures on 64-bit machines; those of v1.6 were
held against amd_smi's own declarations, those of v2.4 and v3.0 against decoders of other programs.

Only revisions that tell of throttling in a way that does not depend on the chip, or of energy, are
read. v1.0 to v1.2, v2.0 and v2.1 have the chip's own bits alone; v1.4 and v1.5 always leave theirs
empty.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from collections.abc import Mapping
from typing import Final
from typing import NamedTuple

from hwval.telemetry.reading import Reading

__all__ = ["parse_gpu_metrics"]

_HEADER: Final = struct.Struct("<HBB")  # bytes of the structure, format, content
_SELF_DESCRIBING: Final = (1, 9)
_ENERGY_J: Final = 2.0**-16

# Throttling by counters: how many cycles of the firmware each reason has slowed the card.
_THROTTLED: Final = {
    "prochot": "processor hot signal",
    "socket": "socket at its thermal limit",
    "regulators": "voltage regulators at their thermal limit",
    "memory": "memory at its thermal limit",
    "cores": "processor cores at their thermal limit",
    "graphics": "graphics at its thermal limit",
    "soc": "SoC at its thermal limit",
}
_CAPPED: Final = ("ppt", "spl", "fppt", "sppt")

# Throttling by bits of the moment. Power and current (PPT, SPL, TDC, EDC, APCC) are budgets that
# cards meet at full load, as their maker means them to.
_BUDGET_BITS: Final = 0x00FF_00FF
_SIGNAL_BITS: Final = {
    44: "voltage regulator hot signal",
    45: "voltage regulator hot signal",
    46: "processor hot signal",
    47: "processor hot signal",
}
_THERMAL_BITS: Final = {
    32: "graphics at its thermal limit",
    33: "processor cores at their thermal limit",
    34: "memory at its thermal limit",
    35: "edge at its thermal limit",
    36: "hotspot at its thermal limit",
    37: "SoC at its thermal limit",
    38: "voltage regulators at their thermal limit",
    39: "voltage regulators at their thermal limit",
    40: "voltage regulators at their thermal limit",
    41: "voltage regulators at their thermal limit",
    42: "liquid at its thermal limit",
    43: "liquid at its thermal limit",
}
# Where a table has the temperature of the place that a bit is about; else its hottest counts.
_PLACES: Final = {34: "memory_c", 35: "edge_c", 36: "hotspot_c"}
# Firmware of Navi 2x to 4x sets thermal bits on cool, idle cards too; that of the hotspot stands
# nearly always, and 100 there is ordinary. No limit of these cards is below the first number, that
# of the hotspot is 110.
_HOT_C: Final = 85.0
_HOT_AT_C: Final = {36: 105.0}


class _Field(NamedTuple):
    """Where a table has something: a format of ``struct``, and bytes from its start."""

    code: str
    offset: int


_Layout = Mapping[str, _Field]
_Table = Mapping[str, tuple[int, ...]]


def _instinct(*, energy: int, clocks: int, cycles: int | None = None) -> _Layout:
    layout = {
        "temperatures": _Field("3H", 4),
        "power": _Field("H", 10),
        "energy": _Field("Q", energy),
        "clocks": _Field("8H", clocks),
    }
    if cycles is not None:
        names = ("cycles", "prochot", "ppt", "socket", "regulators", "memory")
        layout |= {name: _Field("I", cycles + 4 * place) for place, name in enumerate(names)}
    return layout


_APU: Final[_Layout] = {
    "temperatures": _Field("12H", 4),
    "clocks": _Field("H", 76),
    "status": _Field("Q", 120),
}
_V1_7: Final = _instinct(energy=24, clocks=296, cycles=40)
# By format, content and size; 0 is any size, where only what follows the fields has changed.
# v1.6 exists with and without engines' activities in front; AMD's own driver appends to it.
_LAYOUTS: Final[Mapping[tuple[int, int, int], _Layout]] = {
    (1, 3, 120): {
        "temperatures": _Field("6H", 4),
        "edge_c": _Field("H", 4),
        "hotspot_c": _Field("H", 6),
        "memory_c": _Field("H", 8),
        "power": _Field("H", 22),
        "clocks": _Field("H", 54),
        "status": _Field("Q", 112),
    },
    (1, 4, 288): _instinct(energy=24, clocks=240),
    (1, 5, 360): _instinct(energy=88, clocks=312),
    (1, 6, 384): _instinct(energy=88, clocks=336, cycles=104),
    (1, 6, 312): _instinct(energy=16, clocks=264, cycles=32),
    (1, 6, 1664): _instinct(energy=16, clocks=264, cycles=32),
    (1, 7, 0): _V1_7,
    (1, 8, 0): _V1_7,
    (2, 2, 128): _APU,
    (2, 3, 152): _APU,
    (2, 4, 168): _APU,
    (3, 0, 264): {
        "temperatures": _Field("18H", 4),
        "power": _Field("I", 112),
        "clocks": _Field("H", 174),
        "prochot": _Field("I", 228),
        "spl": _Field("I", 232),
        "fppt": _Field("I", 236),
        "sppt": _Field("I", 240),
        "cores": _Field("I", 244),
        "graphics": _Field("I", 248),
        "soc": _Field("I", 252),
    },
}
# Attributes of v1.9, by their numbers.
_ATTRIBUTES: Final = {
    0: "temperatures",
    1: "temperatures",
    2: "temperatures",
    3: "power",
    7: "energy",
    9: "cycles",
    10: "prochot",
    11: "ppt",
    12: "socket",
    13: "regulators",
    14: "memory",
    33: "clocks",
}
_ATTRIBUTE_CODES: Final = "BbHhIiQq"


def parse_gpu_metrics(data: bytes) -> Reading | None:
    """Return what a table says; None for one that is cut short or of a revision not known here.

    Args:
        data: The file ``gpu_metrics`` of a card.
    """
    try:
        size, *revision = _HEADER.unpack_from(data)
        if tuple(revision) == _SELF_DESCRIBING:
            table = _attributes(data)
        else:
            table = _fields(data, size, *revision)
    except (struct.error, IndexError):
        return None
    return _reading(table, is_apu=revision[0] > 1) if table else None


def _fields(data: bytes, size: int, form: int, content: int) -> _Table:
    layout = _LAYOUTS.get((form, content, size)) or _LAYOUTS.get((form, content, 0), {})
    if len(data) < size:
        raise struct.error(f"{len(data)} of {size} bytes")
    return {name: _unpack(data, *place) for name, place in layout.items()}


def _attributes(data: bytes) -> _Table:
    """Return the attributes of a self-describing table.

    Each is a word of its number, type and count, and then its values, with nothing between.
    """
    (count,) = struct.unpack_from("<i", data, _HEADER.size)
    offset = _HEADER.size + 4
    table: dict[str, tuple[int, ...]] = {}
    for _ in range(count):
        (word,) = struct.unpack_from("<Q", data, offset)
        code = f"{word & 0x3FF}{_ATTRIBUTE_CODES[word >> 20 & 0xF]}"
        values = _unpack(data, code, offset + 8)
        offset += 8 + struct.calcsize(f"<{code}")
        if name := _ATTRIBUTES.get(word >> 10 & 0x3FF):
            table[name] = (*table.get(name, ()), *values)
    return table


def _unpack(data: bytes, code: str, offset: int) -> tuple[int, ...]:
    """Return the values of a field; all ones is how the driver says that there is none."""
    width = struct.calcsize(f"<{code[-1]}")
    values = struct.unpack_from(f"<{code}", data, offset)
    return tuple(value for value in values if value != 2 ** (8 * width) - 1)


def _reading(table: _Table, *, is_apu: bool) -> Reading:
    temperatures = [value / 100 if is_apu else value for value in table.get("temperatures", ())]
    hottest_c = max(temperatures, default=None)
    power, energy, clocks = (table.get(name, ()) for name in ("power", "energy", "clocks"))
    status = sum(table.get("status", ()))
    counts = _counts(table)
    capped = [counts[name] for name in _CAPPED if name in counts]
    return Reading(
        power_w=power[0] / (1000 if is_apu else 1) if power else None,
        energy_j=energy[0] * _ENERGY_J if energy else None,
        clock_hz=sum(clocks) / len(clocks) * 1e6 if clocks else None,
        temperature_c=hottest_c,
        is_power_capped=bool(status & _BUDGET_BITS),
        power_capped_count=sum(capped) if capped else None,
        slowdowns=tuple(dict.fromkeys(_slowdowns(table, status, hottest_c or 0.0))),
        throttle_counts={why: counts[name] for name, why in _THROTTLED.items() if name in counts},
    )


def _counts(table: _Table) -> dict[str, int]:
    """Return the counters of throttling.

    One that has counted every cycle there was counts something else: some pairs of driver and
    firmware of MI300X do so on idle cards.
    """
    counts = {name: table[name][0] for name in (*_THROTTLED, *_CAPPED) if table.get(name)}
    cycles = table.get("cycles")
    return {name: count for name, count in counts.items() if not cycles or count < cycles[0]}


def _slowdowns(table: _Table, status: int, hottest_c: float) -> Iterator[str]:
    for bit, why in _SIGNAL_BITS.items():
        if status >> bit & 1:
            yield why
    for bit, why in _THERMAL_BITS.items():
        own_c = max(table.get(_PLACES.get(bit, ""), ()), default=hottest_c)
        if status >> bit & 1 and own_c >= _HOT_AT_C.get(bit, _HOT_C):
            yield why
