"""What pictures are made of."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.pictures.series import PERCENTILES
from hwval.pictures.series import THROUGHPUT
from hwval.pictures.series import Series
from hwval.pictures.series import bars_of
from hwval.pictures.series import percentiles_of
from hwval.pictures.series import read_series
from hwval.result import Run
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_measurement
from tests.fakes.sample_run import measured_run

CELL = make_cell()


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Three cells with a curve each."""
    return measured_run(tmp_path)


def test_measurements_of_a_run_are_found(run: Run) -> None:
    """One for each question that attached one, with its cell and folder."""
    found = list(read_series(run))

    assert [series.record for series in found] == list(run.cells)
    assert {series.vendor for series in found} == {"rocm", "cuda"}
    assert all((run.folder / series.folder / "performance.json").is_file() for series in found)
    assert all(series.is_a_curve for series in found)


@pytest.mark.parametrize("content", ["", "{}", '{"format": 99}', "[1]", "\x00"])
def test_what_cannot_be_read_is_left_out(run: Run, content: str) -> None:
    """A damaged file costs its own picture alone."""
    first = next(read_series(run))
    (run.folder / first.folder / "performance.json").write_text(content)

    assert len(list(read_series(run))) == 2


def test_nothing_outside_the_folder_is_read(run: Run) -> None:
    """A journal may name any path."""
    verdicts = [replace(one, files={"x": "../performance.json"}) for one in run.verdicts]
    (run.folder.parent / "performance.json").write_text(make_measurement(run.cells[0]).to_json())

    assert list(read_series(replace(run, verdicts=tuple(verdicts)))) == []


@pytest.mark.parametrize(
    ("hardware", "vendor"),
    [
        ("gfx942-mi300x x8", "rocm"),
        ("sm_90-h100", "cuda"),
        ("tpu-v5e", "tpu"),
        ("cpu", "cpu"),
        ("external", "external"),
    ],
)
def test_vendor_follows_from_the_hardware(hardware: str, vendor: str) -> None:
    """As keys of the catalogue begin."""
    cell = make_cell(hardware=hardware)

    assert Series(cell, make_measurement(cell), "files").vendor == vendor


def test_range_is_that_of_the_rounds() -> None:
    """Three rounds of 0.97, 1 and 1.04 times the value; one round has none."""
    cell = make_cell()
    measurement = make_measurement(cell, concurrencies=(1,))
    series = Series(cell, measurement, "files")
    (point,) = measurement.points
    found = series.range_of(point, THROUGHPUT)
    single = replace(measurement, rounds=measurement.rounds[:1])

    assert found is not None
    assert found[0] < point.client[THROUGHPUT] < found[1]
    assert found[1] - found[0] == pytest.approx(0.1745 * point.client[THROUGHPUT], rel=0.01)
    assert Series(cell, single, "files").range_of(point, THROUGHPUT) is None


@pytest.mark.parametrize(
    ("requests", "fewest", "told"),
    [
        (1, 1, ["p50"]),
        (10, 9, ["p50"]),
        (10, 10, ["p50", "p90"]),
        (100, 99, ["p50", "p90"]),
        (100, 100, ["p50", "p90", "p99"]),
        (0, 0, ["p50", "p90", "p99"]),
    ],
)
def test_round_with_fewest_requests_decides(requests: int, fewest: int, told: list[str]) -> None:
    """If any tells how many it had."""
    measurement = make_measurement(CELL, concurrencies=(1,))
    first, *others = (replace(one, requests=requests) for one in measurement.rounds)
    foul = replace(first, requests=3, valid=False)
    rounds = (foul, replace(first, requests=fewest), *others)
    series = Series(CELL, replace(measurement, rounds=rounds), "files")

    found = series.latencies(measurement.points[0])
    assert [list(found[name]) for name in ("ttft", "tpot", "e2el")] == [told] * 3


@pytest.mark.parametrize(
    ("tokens", "told"),
    [
        (0, ["p50", "p90", "p99"]),  # it does not tell
        (1, ["p50"]),
        (10, ["p50"]),
        (11, ["p50", "p90"]),
        (101, ["p50", "p90", "p99"]),
    ],
)
def test_one_answer_has_many_times_between_tokens(tokens: int, told: list[str]) -> None:
    """One for each token behind its first."""
    measurement = make_measurement(CELL, concurrencies=(1,))
    rounds = [
        replace(one, requests=1, duration_s=0.7, client={THROUGHPUT: tokens / 0.7})
        for one in measurement.rounds
    ]
    series = Series(CELL, replace(measurement, rounds=rounds), "files")

    assert list(series.latencies(measurement.points[0])["itl"]) == told


@given(st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=300))
def test_percentiles_are_those_of_the_load_generator(values: list[float]) -> None:
    """That takes them with numpy."""
    found = percentiles_of(values)
    told = [name for name, fewest in PERCENTILES.items() if len(values) >= fewest]

    assert list(found) == told
    for name, value in found.items():
        assert value == pytest.approx(float(np.percentile(values, int(name[1:]))))


def test_one_concurrency_is_no_curve() -> None:
    """Nor are rates."""
    cell = make_cell()
    one = make_measurement(cell, concurrencies=(8,))
    rates = make_measurement(cell)
    points = [replace(point, concurrency=None, rate_per_s=2.0) for point in rates.points]

    assert not Series(cell, one, "files").is_a_curve
    assert not Series(cell, replace(rates, points=points), "files").is_a_curve


def test_nearest_point_stands_for_its_ceiling() -> None:
    """A point that does not count stands for nothing."""
    cell = make_cell()
    measurement = make_measurement(cell, speed=100, concurrencies=(1, 2, 4), invalid=(1,))
    (bar,) = bars_of([Series(cell, measurement, "files")])

    assert bar.point.concurrency == 2
    assert bar.share == pytest.approx(100 / (1 + 2 / 60) / 130)


def test_ceiling_of_a_latency_is_its_least() -> None:
    """Twice the time that the roofline allows is half of what is possible."""
    cell = make_cell()
    measurement = make_measurement(cell, concurrencies=(1,))
    point = replace(
        measurement.points[0],
        client={"ttft_p50_s": 0.2, "unheard_of": 1.0, "itl_p50_s": 0.0},
        ceiling={"ttft_p50_s": 0.1, "unheard_of": 2.0, "itl_p50_s": 0.1, "tpot_p50_s": 0.1},
    )
    (bar,) = bars_of([Series(cell, replace(measurement, points=(point,)), "files")])

    assert (bar.metric, bar.share) == ("ttft_p50_s", 0.5)
