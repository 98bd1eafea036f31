"""Tables of amdgpu, packed by hand as the kernel lays them out."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.telemetry.gpu_metrics import parse_gpu_metrics
from hwval.telemetry.reading import Reading

ABSENT = 0xFFFF


def v1_3(status: int, *, hotspot_c: int = 60, memory_c: int = 55, power_w: int = 250) -> bytes:
    """Return a table of a Navi card or an MI200, 120 bytes."""
    return struct.pack(
        "<HBB 6H 4H QQ 7H 7H I 4H 2I 4H Q 4H Q",
        *(120, 1, 3),
        *(50, hotspot_c, memory_c, ABSENT, ABSENT, ABSENT),
        *(99, 30, 0, power_w),
        *(0, 1),
        *[ABSENT] * 7,
        *(2400, *[1000] * 6),
        0xFFFF_FFFF,  # the chip's own bits say nothing here
        *[0] * 4,
        *[0] * 2,
        *[ABSENT] * 4,
        0,
        *[ABSENT] * 4,
        status,
    )


def residencies(*, cycles: int = 5000, heat: int = 0, power: int = 0) -> tuple[int, ...]:
    """Return the counters of an MI300: of cycles, then by reason."""
    return (cycles, 0, power, heat, 0, 0)


def v1_6(counters: tuple[int, ...], *, size: int = 312) -> bytes:
    """Return the head of a table of an MI300, filled up to its size."""
    head = struct.pack(
        "<HBB 6H QQ 6I", size, 1, 6, 70, 65, ABSENT, 705, 100, 40, 2**20, 1, *counters
    )
    return head.ljust(264, b"\0") + struct.pack("<8H", *[1300] * 4, *[ABSENT] * 4) + bytes(32)


def v1_7(counters: tuple[int, ...]) -> bytes:
    head = struct.pack("<HBB 6H QQQ 6I", 72, 1, 7, 70, 65, 60, 705, 0, 0, 5300, 2**17, 1, *counters)
    return head.ljust(312, b"\xff")


def v1_9(counters: tuple[int, ...]) -> bytes:
    """Return a self-describing table: words of unit, type, number and count, and values."""

    def attribute(number: int, kind: int, code: str, *values: int) -> bytes:
        word = 2 << 24 | kind << 20 | number << 10 | len(values)
        return struct.pack(f"<Q{len(values)}{code}", word, *values)

    parts = [
        attribute(0, 2, "H", 70),
        attribute(1, 2, "H", 75),
        attribute(3, 2, "H", 705),
        attribute(4, 0, "B", 100),  # not read; three of its kind leave all after it unaligned
        attribute(7, 6, "Q", 2**20),
        attribute(33, 2, "H", 1300, 1300),
        *(attribute(9 + place, 4, "I", count) for place, count in enumerate(counters)),
    ]
    body = b"".join(parts)
    return struct.pack("<HBBi", 8 + len(body), 1, 9, len(parts)) + body


def apu(content: int, size: int, status: int, *, hottest_c: float = 60.0) -> bytes:
    """Return a table of v2.2 to v2.4."""
    head = struct.pack("<HBB 12H", size, 2, content, *[int(hottest_c * 100)] * 2, *[ABSENT] * 10)
    clocks = struct.pack("<H", 1600)
    return (head.ljust(76, b"\0") + clocks).ljust(120, b"\xff") + struct.pack(
        f"<Q{size - 128}x", status
    )


def v3_0(*counters: int) -> bytes:
    """Return a table of a Strix Halo; counters from the hot signal to the SoC."""
    head = struct.pack("<HBB 18H", 264, 3, 0, 6700, 6100, *[ABSENT] * 16)
    power = head.ljust(112, b"\0") + struct.pack("<I", 80_000)
    clocks = power.ljust(174, b"\0") + struct.pack("<H", 2900)
    return clocks.ljust(228, b"\xff") + struct.pack("<7I", *counters) + bytes(8)


def test_card_at_its_budget_is_capped_and_nothing_else() -> None:
    """Power, sustained and peak current; absent values are none."""
    for bit in (0, 3, 16, 22):
        assert parse_gpu_metrics(v1_3(1 << bit)) == Reading(
            power_w=250.0, clock_hz=2.4e9, temperature_c=60.0, is_power_capped=True, energy_j=None
        )


@pytest.mark.parametrize(
    ("bit", "hotspot_c", "slowdowns"),
    [
        (47, 40, ("processor hot signal",)),
        (44, 40, ("voltage regulator hot signal",)),
        (39, 90, ("voltage regulators at their thermal limit",)),
        (39, 60, ()),
        (34, 90, ()),
        (36, 108, ("hotspot at its thermal limit",)),
        (36, 102, ()),
        (36, 37, ()),
        (57, 108, ()),
    ],
)
def test_status_bits(bit: int, hotspot_c: int, slowdowns: tuple[str, ...]) -> None:
    """Thermal ones count on a card that is hot; firmware sets them on cool ones too."""
    found = parse_gpu_metrics(v1_3(1 << bit, hotspot_c=hotspot_c))

    assert found is not None
    assert found.slowdowns == slowdowns
    assert not found.is_power_capped


def test_bit_is_about_its_own_place_where_the_table_has_it() -> None:
    """Memory is as hot as 90 degrees under any load, and says nothing of the hotspot."""
    status = 1 << 34 | 1 << 35 | 1 << 36
    found = parse_gpu_metrics(v1_3(status, hotspot_c=90, memory_c=106))
    unknown = parse_gpu_metrics(v1_3(status, hotspot_c=90, memory_c=ABSENT))

    assert found is not None
    assert found.slowdowns == ("memory at its thermal limit",)
    assert unknown is not None
    assert unknown.slowdowns == ("memory at its thermal limit",)


def test_status_that_is_absent_is_none() -> None:
    """All ones would be every reason at once."""
    found = parse_gpu_metrics(v1_3(2**64 - 1, hotspot_c=110))

    assert found is not None
    assert (found.slowdowns, found.is_power_capped) == ((), False)


@pytest.mark.parametrize(
    ("table", "temperature_c", "energy_j"),
    [
        (v1_6(residencies(heat=12, power=4000)), 70.0, 16.0),
        (v1_6(residencies(heat=12, power=4000), size=1664).ljust(1664, b"\0"), 70.0, 16.0),
        (v1_9(residencies(heat=12, power=4000)), 75.0, 16.0),
    ],
    ids=["v1.6", "v1.6 of AMD's driver", "v1.9"],
)
def test_counters_of_an_instinct(table: bytes, temperature_c: float, energy_j: float) -> None:
    """By reason; the budget's own is apart."""
    assert parse_gpu_metrics(table) == Reading(
        power_w=705.0,
        energy_j=energy_j,
        clock_hz=1.3e9,
        temperature_c=temperature_c,
        power_capped_count=4000,
        throttle_counts={
            "processor hot signal": 0,
            "socket at its thermal limit": 12,
            "voltage regulators at their thermal limit": 0,
            "memory at its thermal limit": 0,
        },
    )


def test_fields_that_moved() -> None:
    """v1.7 has the bandwidth of the memory in front, and clocks after the links."""
    found = parse_gpu_metrics(v1_7(residencies(heat=12)))

    assert found is not None
    assert (found.energy_j, found.clock_hz) == (2.0, None)
    assert found.throttle_counts["socket at its thermal limit"] == 12


def test_counter_of_every_cycle_is_none_of_throttling() -> None:
    """As a driver and a firmware of MI300X have it on an idle card."""
    found = parse_gpu_metrics(v1_6(residencies(cycles=5000, heat=5000, power=5000)))

    assert found is not None
    assert found.power_capped_count is None
    assert "socket at its thermal limit" not in found.throttle_counts


@pytest.mark.parametrize(("content", "size"), [(2, 128), (3, 152), (4, 168)])
def test_apu_tells_hundredths_of_a_degree(content: int, size: int) -> None:
    """Its budgets have bits of their own."""
    found = parse_gpu_metrics(apu(content, size, 1 << 7 | 1 << 33, hottest_c=95.5))

    assert found == Reading(
        clock_hz=1.6e9,
        temperature_c=95.5,
        is_power_capped=True,
        slowdowns=("processor cores at their thermal limit",),
    )


def test_counters_of_strix_halo() -> None:
    """Milliwatts; three budgets are one."""
    found = parse_gpu_metrics(v3_0(37, 9, 0, 4, 0, 12, 3))

    assert found == Reading(
        power_w=80.0,
        clock_hz=2.9e9,
        temperature_c=67.0,
        power_capped_count=13,
        throttle_counts={
            "processor hot signal": 37,
            "processor cores at their thermal limit": 0,
            "graphics at its thermal limit": 12,
            "SoC at its thermal limit": 3,
        },
    )


@pytest.mark.parametrize(
    "table",
    [v1_3(1), v1_6(residencies()), v1_9(residencies()), apu(4, 168, 1), v3_0(*[1] * 7)],
    ids=["v1.3", "v1.6", "v1.9", "v2.4", "v3.0"],
)
def test_table_that_is_cut_short_says_nothing(table: bytes) -> None:
    """At any byte."""
    for length in range(len(table)):
        assert parse_gpu_metrics(table[:length]) is None


@pytest.mark.parametrize(
    "header",
    [(120, 1, 2), (120, 1, 10), (312, 1, 5), (128, 2, 1), (260, 3, 0), (264, 4, 0), (0, 0, 0)],
)
def test_revision_that_is_not_known_says_nothing(header: tuple[int, int, int]) -> None:
    """Nor does one of another size, whose fields may stand elsewhere."""
    assert parse_gpu_metrics(struct.pack("<HBB", *header).ljust(400, b"\x01")) is None


@given(st.binary(max_size=600), st.sampled_from([(1, 3), (1, 6), (1, 7), (1, 9), (2, 4), (3, 0)]))
def test_garbage_never_fails(rest: bytes, revision: tuple[int, int]) -> None:
    """Whatever a driver writes, a run goes on."""
    for size in (0, 4 + len(rest), 312, 120):
        found = parse_gpu_metrics(struct.pack("<HBB", size, *revision) + rest)

        assert found is None or isinstance(found, Reading)
