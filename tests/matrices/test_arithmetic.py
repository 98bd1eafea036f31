"""What the comments of shipped matrices say of sizes and speeds, computed once more.

Each test names the words of the comment too, so that neither changes without the other.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest

from hwval.catalogue import load_catalogue
from hwval.forecast import Forecast
from hwval.placement import PlacedCell
from hwval.placement import select
from hwval.resources import resource_path
from tests.matrices.machines import MACHINES
from tests.matrices.physics import floor_problem

GB, GIB = 10**9, 2**30


@cache
def text_of(matrix: str) -> str:
    """Return a matrix as its readers see it, comments in one line."""
    text = resource_path(f"matrices/{matrix}.yaml").read_text("utf-8")
    return " ".join(text.replace("#", " ").split())


@cache
def cells_of(matrix: str) -> tuple[PlacedCell, ...]:
    """Return the cells of a matrix as they are planned for the catalogue's hardware."""
    return select([resource_path(f"matrices/{matrix}.yaml")], MACHINES["ada-12gb"]()).placed


def planned(matrix: str, *words: str) -> Forecast:
    """Return the forecast of the one cell whose id holds these words."""
    (found,) = [cell for cell in cells_of(matrix) if all(word in cell.cell.id for word in words)]
    assert found.forecast is not None
    return found.forecast


def memory_of(matrix: str, *words: str) -> dict[str, Any]:
    """Return the memory of that cell as `hwval plan --json` tells it."""
    memory: dict[str, Any] = planned(matrix, *words).to_json()["memory"]
    return memory


def decode_of(matrix: str, *words: str) -> float:
    """Return the decode ceiling of that cell in tokens a second."""
    return float(planned(matrix, *words).to_json()["ceiling"]["decode_tokens_per_s"])


def says(matrix: str, *words: str) -> bool:
    """Return whether the matrix tells all of these."""
    missing = [word for word in words if word not in text_of(matrix)]
    assert missing == []
    return True


def near(value: float, told: float, *, by: float) -> bool:
    """Return whether a number is what was told, but for so much."""
    return abs(value - told) <= by


def weights_gb(model: str) -> float:
    """Return what the catalogue says of a model's weights, in GB."""
    weights = load_catalogue().model(model).weights_bytes
    assert weights is not None
    return weights / GB


def test_five_billion_parameters_on_12_gb() -> None:
    """92 % of 12 GiB are 11.04; five billion in two bytes leave 1.7 of them."""
    budget = 0.92 * 12
    five_billion = 5e9 * 2 / GIB
    assert budget == pytest.approx(11.04)
    assert five_billion == pytest.approx(9.31, abs=0.005)
    assert budget - five_billion == pytest.approx(1.7, abs=0.05)
    assert says("nvidia-12gb", "11.04 GiB", "9.31 GiB", "leave 1.7 GiB")


@pytest.mark.parametrize(
    ("model", "gib"),
    [("mistral-small", 41.4), ("mistral-nemo", 22.8), ("llama-3.1-8b", 15.0)],
)
def test_models_too_big_for_12_gb(model: str, gib: float) -> None:
    """Their weights alone are beyond what vLLM may take."""
    weights = memory_of("nvidia-12gb", model)["weights_bytes"] / GIB
    # Tables of positions come on top: a quarter of a GB for a million of them.
    assert weights == pytest.approx(gib, rel=0.012)
    assert weights > 11.04
    assert says("nvidia-12gb", f"{gib} GiB")


def test_own_contexts_are_too_long_for_12_gb() -> None:
    """Llama 3.2's 131,072 tokens take 14 GiB, Qwen3's 262,144 take 36."""
    llama = memory_of("nvidia-12gb", "rtx4070", "llama-3.2-3b")["kv_bytes_per_token"]
    qwen = memory_of("nvidia-12gb", "rtx4070", "qwen3-4b")["kv_bytes_per_token"]
    assert llama * 131_072 / GIB == pytest.approx(14, abs=0.05)
    assert qwen * 262_144 / GIB == pytest.approx(36, abs=0.05)
    assert says("nvidia-12gb", "131,072 and 262,144", "14 and 36 GiB")


def test_four_bits_are_3_55_times_smaller() -> None:
    """141.1 GB against 39.8: embedding and head stay in 16 bits."""
    whole = weights_gb("meta-llama/Llama-3.3-70B-Instruct")
    awq = weights_gb("casperhansen/llama-3.3-70b-instruct-awq")
    assert near(whole, 141.1, by=0.05)
    assert near(awq, 39.8, by=0.05)
    assert whole / awq == pytest.approx(3.55, abs=0.005)
    assert says("mi60-dual", "141.1 GB", "39.8 GB, 3.55 times smaller")


def test_awq_70b_on_two_mi60() -> None:
    """18.5 GiB of weights each; 32,768 tokens take 5.0 GiB of the 10.3 that are left."""
    memory = memory_of("mi60-dual", "x2__", "awq")
    cache = memory["kv_bytes_per_token"] * 32_768 / GIB
    assert memory["weights_bytes"] / GIB == pytest.approx(18.5, abs=0.15)
    assert cache == pytest.approx(5.0, abs=0.01)
    left = 0.9 * 32 - 39.77e9 / 2 / GIB
    assert left == pytest.approx(10.3, abs=0.05)
    assert 1 < (left - 2) / cache < left / cache < 2.1
    assert decode_of("mi60-dual", "x2__", "awq") == pytest.approx(54, abs=0.5)
    assert says("mi60-dual", "18.5 GiB each", "take 5.0 GiB", "10.3 GiB", "at most 54 tokens/s")


def test_one_mi60_is_too_small() -> None:
    """36.3 GiB of 28.8."""
    memory = memory_of("mi60-dual", "one-card")
    assert memory["weights_bytes"] / GIB == pytest.approx(36.3, abs=1)
    assert says("mi60-dual", "36.3 GiB of weights, of 28.8 GiB")


def test_groups_of_awq_divide_by_the_cards() -> None:
    """Inputs of the row-parallel layers are whole groups on each of two cards."""
    config = load_catalogue().model("casperhansen/llama-3.3-70b-instruct-awq").config
    assert config is not None
    heads = config["num_attention_heads"] * config.get("head_dim", 128)
    assert (heads, config["intermediate_size"]) == (8192, 28672)
    assert heads % (128 * 2) == config["intermediate_size"] % (128 * 2) == 0
    assert says("mi60-dual", "8192 / (128 x 2) and 28672 / (128 x 2)")


@pytest.mark.parametrize(
    ("model", "weights", "token", "context", "total"),
    [
        ("llama-2-7b", 13.48, 524_288, 2.15, 15.62),
        ("llama-2-13b", 26.03, 819_200, 3.36, 29.39),
    ],
)
def test_llama_2_on_a_partition(
    model: str, weights: float, token: int, context: float, total: float
) -> None:
    """Weights and the cache of 4,096 tokens, as the guide for partitions adds them."""
    memory = memory_of("mi300x-cpx", "nps4__", model)
    cache = memory["kv_bytes_per_token"] * 4096
    name = {"llama-2-7b": "meta-llama/Llama-2-7b-hf", "llama-2-13b": "meta-llama/Llama-2-13b-hf"}
    assert weights_gb(name[model]) == pytest.approx(weights, abs=0.005)
    assert memory["kv_bytes_per_token"] == token
    assert cache / GB == pytest.approx(context, abs=0.005)
    assert weights + cache / GB == pytest.approx(total, abs=0.01)
    assert says("mi300x-cpx", f"{weights} GB", f"{token:,} B", f"{context} GB", f"{total} GB")


def test_grouped_queries_need_a_part_of_the_guides_cache() -> None:
    """The guide's formula counts query heads: four times too much for 8B, eight times for 70B."""
    small = memory_of("mi300x-cpx", "x8__", "llama-3.1-8b", "float16")
    large = memory_of("mi300x-cpx", "x8__", "llama-3.1-70b")
    # Each of the eight has one of eight KV heads.
    assert small["kv_bytes_per_token"] * 8 == 131_072
    assert large["kv_bytes_per_token"] * 8 == 327_680
    assert 2 * 32 * 4096 * 2 == 524_288 == 4 * 131_072
    assert 2 * 80 * 8192 * 2 == 2_621_440 == 8 * 327_680
    whole = weights_gb("meta-llama/Llama-3.1-70B-Instruct")
    assert whole / 4 * GB > 0.9 * 24 * GIB  # four partitions are too few, eight are enough
    assert not planned("mi300x-cpx", "x8__", "llama-3.1-70b").is_impossible
    assert says("mi300x-cpx", "131,072 B, not 524,288", "327,680 B, not 2,621,440")


def test_partition_is_an_eighth_of_the_card() -> None:
    """24 GiB, 662.5 GB/s; a memory domain of NPS4 is two of them."""
    catalogue = load_catalogue()
    part, whole = (catalogue.hardware(f"gfx942-mi300x{kind}") for kind in ("-cpx-nps4", ""))
    assert whole.memory_bytes == 8 * (part.memory_bytes or 0)
    assert part.bandwidth_bytes_per_s == 662.5 * GB
    assert 2 * (part.bandwidth_bytes_per_s or 0) == 1325 * GB
    assert says("mi300x-cpx", "662.5 GB/s", "48 GB, 1325 GB/s")


def test_float32_halves_the_ceiling() -> None:
    """Twice the bytes, half the speed."""
    half = decode_of("mi300x-cpx", "x8__", "llama-3.1-8b", "float32")
    full = decode_of("mi300x-cpx", "x8__", "llama-3.1-8b", "float16")
    assert half == pytest.approx(full / 2, rel=0.01)


def test_ceilings_of_the_integrated_gpu() -> None:
    """256 GB/s over what a token reads."""
    sixteen = decode_of("strix-halo", "v0.14.1", "instruct__float16__plain")
    four = decode_of("strix-halo", "v0.14.1", "awq")
    assert sixteen == pytest.approx(256 / 27.98, rel=0.001)
    assert near(sixteen, 9.15, by=0.005)
    assert near(four, 30.4, by=0.05)
    assert near(256 / 8.99, 28.5, by=0.05)
    assert near(24 / 28.5, 0.84, by=0.005)
    assert says("strix-halo", "27.98 GB 9.15", "8.42 GB 30.4", "8.99 GB file 28.5", "84 %")
    assert near(decode_of("strix-halo", "llama.cpp"), 34.4, by=0.05)
    assert says("strix-halo", "plan` allows 34.4 of the file")


def test_mi300x_that_the_notes_compare_with() -> None:
    """One stream of 70B reads all weights but the embedding; hundreds a second are a batch's."""
    speed = load_catalogue().hardware("gfx942-mi300x").bandwidth_bytes_per_s
    read = 2 * (70_553_706_496 - 128_256 * 8192)
    assert speed is not None
    assert near(read / GB, 139, by=0.5)
    assert near(speed / read, 38, by=0.5)
    assert says("strix-halo", "gets at most 38 of 5,300 GB/s", "139 GB a token")


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        # Targets that notes about this machine give for a 14B model in 16 bits ...
        ("plain", 12),
        ("aiter", 12),
        ("aiter", 20),
        ("fp8-kv-aiter", 18),
        ("fp8-kv-aiter", 28),
        # ... and in four, where only the upper end is out of reach.
        ("awq__float16", 40),
    ],
)
def test_expectations_that_physics_forbids(cell: str, expected: float) -> None:
    """As a floor each of them is refused, with both numbers."""
    forecast = planned(
        "strix-halo", "v0.14.1", cell if "awq" in cell else f"b-instruct__float16__{cell}"
    )
    assert forecast.plan.ceiling is not None
    problem = floor_problem(forecast, decode_tokens_per_s=expected)
    assert problem is not None
    assert f"{expected:g} tokens/s" in problem
    assert f"{forecast.plan.ceiling.decode_tokens_per_s:,.4g}" in problem


@pytest.mark.parametrize("cell", ["float16__plain", "awq__float16"])
def test_bands_stand_below_the_ceiling(cell: str) -> None:
    """From acceptable to excellent, each band can be reached."""
    (placed,) = [
        one for one in cells_of("strix-halo") if "v0.14.1" in one.cell.id and cell in one.cell.id
    ]
    single = placed.entry.promises.performance.single_stream
    assert single is not None
    limit = single.limits["decode_tokens_per_s"]
    assert limit.excellent is not None
    assert (limit.bound or 0) < (limit.good or 0) < limit.excellent
    assert limit.excellent < decode_of("strix-halo", "v0.14.1", cell)


@pytest.mark.parametrize(("card", "gib", "at_most"), [("7900xtx", 24, 34), ("7600", 8, 10.3)])
def test_cards_that_the_notes_compare_with(card: str, gib: int, at_most: float) -> None:
    """The model does not fit them, and their bandwidth would not give what is told."""
    forecast = planned("strix-halo", card)
    memory = forecast.to_json()["memory"]
    assert forecast.is_impossible
    assert memory["weights_bytes"] > gib * GIB
    assert near(decode_of("strix-halo", card), at_most, by=0.5)
    assert says("strix-halo", "34 and 10.3 at most")


def test_what_was_measured_is_healthy_and_would_be_impossible_at_128_gb_s() -> None:
    """6.41 tokens/s are 70 % of the ceiling; half the bandwidth allows 4.6."""
    ceiling = decode_of("strix-halo", "v0.14.1", "float16__plain")
    assert 6.41 / ceiling == pytest.approx(0.70, abs=0.005)
    assert 128 / 27.98 < 6.41
    assert says("strix-halo", "is 70 % of the ceiling")


def test_eight_bit_cache_saves_three_percent() -> None:
    """Of the traffic at 8,192 tokens, where weights are nearly all of it."""
    memory = memory_of("strix-halo", "v0.14.1", "float16__plain")
    cache = memory["kv_bytes_per_token"] * 8192
    assert cache / 2 / (27.98 * GB + cache) == pytest.approx(0.03, abs=0.004)
    halved = memory_of("strix-halo", "v0.14.1", "fp8-kv-aiter")
    assert halved["kv_bytes_per_token"] * 2 == memory["kv_bytes_per_token"]
    assert says("strix-halo", "saves 3 % of the traffic at 8,192 tokens")


def test_bandwidth_that_the_hopes_would_take() -> None:
    """12 to 20 tokens/s of 28 GB are 336 to 560 GB/s; 18 to 28 are 504 to 784."""
    assert [rate * 28 for rate in (12, 20, 18, 28)] == [336, 560, 504, 784]
    assert says("strix-halo", "336 to 560 GB/s", "504 to 784 GB/s")


@pytest.mark.parametrize(
    ("cell", "gib", "token", "file"),
    [
        ("amd-llama-3.1-405b-instruct-fp8-kv__float16__latency", 47.7, 32_256, "410.05 GB"),
        ("meta-llama-llama-3.1-405b-instruct__float16__latency", 94.5, 64_512, "811.7 GB"),
    ],
)
def test_405b_over_eight(cell: str, gib: float, token: int, file: str) -> None:
    """Weights and cache of each card."""
    memory = memory_of("mi300x-release", cell)
    assert memory["weights_bytes"] / GIB == pytest.approx(gib, rel=0.01)
    assert memory["kv_bytes_per_token"] == token
    assert says("mi300x-release", f"{file}, {gib} GiB each", f"{token:,} B each")


def test_room_of_the_release() -> None:
    """Four million tokens in FP8, and 590 requests of 2,176 tokens in 16 bits."""
    left = 0.9 * 192 - 47.7
    assert left * GIB / 32_256 == pytest.approx(4.1e6, rel=0.02)
    assert near(0.9 * 192 - 94.5, 78, by=0.5)
    assert near(78 * GIB / 64_512 / 2176, 590, by=10)
    assert says("mi300x-release", "4 million tokens", "about 590 such requests")


def test_published_speeds_as_times() -> None:
    """2,048 tokens at 42.27 and 118.82 a second."""
    assert near(2048 / 42.27, 48.5, by=0.06)
    assert near(2048 / 118.82, 17.2, by=0.05)
    assert near(53.5 / 48.5, 1.1, by=0.01)
    assert near(19 / 17.2, 1.1, by=0.01)
    assert near(3480 / 3868, 0.9, by=0.005)
    assert near(12_000 / 13_383, 0.9, by=0.005)
    assert says("mi300x-release", "42.27 tokens/s", "118.82", "48.5 s and 17.2 s")


def test_published_batches_as_rates() -> None:
    """A batch's tokens over its time, and four fifths of them as floors."""
    (placed,) = [
        one
        for one in cells_of("mi300x-release")
        if one.cell.id.endswith("amd-llama-3.1-70b-instruct-fp8-kv__float16__latency")
    ]
    sweep = placed.entry.promises.performance.concurrency_sweep
    assert sweep is not None
    published = {1: 17.236, 8: 19.677, 32: 24.932, 128: 46.484}
    for streams, latency_s in published.items():
        rate = streams * 2048 / latency_s
        floor = sweep.limits_of(float(streams))["output_tokens_per_s"].bound
        assert floor == pytest.approx(0.8 * rate, rel=0.005)
        assert says("mi300x-release", f"{rate:,.0f}")


def test_precisions_differ_by_one_question() -> None:
    """607 and 608 of 717 are what was published."""
    assert round(607 / 717, 4) == 0.8466
    assert round(608 / 717, 3) == 0.848
    assert says("mi300x-release", "608 of 717 against 607")
    tasks = {
        placed.cell.id: placed.entry.promises.accuracy.tasks.get("mmlu_pro_biology")
        for placed in cells_of("mi300x-release")
    }
    references = {task.reference: task for task in tasks.values() if task is not None}
    assert set(references) == {0.8466, 0.848}
    assert {task.task_version for task in references.values()} == {"0"}


def test_16_bits_cannot_be_more_than_twice_as_slow() -> None:
    """The relation that is asked for is the one of the bytes, and a tenth."""
    slow = decode_of("mi300x-release", "meta-llama-llama-3.1-405b", "latency")
    fast = decode_of("mi300x-release", "amd-llama-3.1-405b", "latency")
    assert fast / slow == pytest.approx(807.5 / 405.9, rel=0.001)
    assert fast / slow < 2.2


def test_time_to_first_token_as_the_recipe_estimates_it() -> None:
    """One token, without graphs, by the program that measured the rest."""
    (placed,) = [one for one in cells_of("mi300x-release") if one.cell.variant == "first-token"]
    asked = placed.entry.promises.performance.bench_latency
    assert asked is not None
    assert placed.cell.arg("enforce-eager") is True
    assert (asked.batch, asked.input_tokens, asked.output_tokens) == (1, 128, 1)
    assert says("mi300x-release", "the whole time of an answer of one token")


def test_what_caching_and_chunks_leave() -> None:
    """An eighth of a prompt, a quarter of a step, and what is found cached at least."""
    assert (1024 - 896) / 1024 == 1 / 8
    assert 512 / 2048 == 1 / 4
    assert near(28 / 32 * 896 / 1024, 0.766, by=0.0005)
    assert says("nvidia-12gb", "an eighth is left", "a quarter of that", "76.6 %")
