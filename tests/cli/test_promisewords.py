"""What a cell is promised, in words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.cli.promisewords import limits_of
from hwval.cli.promisewords import promise_rows
from hwval.cli.promisewords import settings_words
from hwval.matrix import PromisesSection
from hwval.matrix import load_matrices
from hwval.performance.ceilings import Roofline
from hwval.performance.promise import Serving
from hwval.planning.roofline import Ceiling
from hwval.threshold import METRICS

MATRICES = Path(__file__).parents[2] / "matrices"
FILES = sorted(file for file in MATRICES.glob("*.yaml") if "ledger" not in file.name)


def test_settings_are_written_as_in_a_matrix() -> None:
    """Durations with their unit, lengths as they were written, lists, sections in brackets."""
    section = Serving.model_validate(
        {"rates_per_s": [1, 2.5], "input_tokens": "64..256", "output_tokens": "128~32",
         "round_deadline": "10 min", "goals": {"ttft": "500 ms"}}
    )  # fmt: skip
    words = settings_words(section)

    assert "rates_per_s 1 2.5" in words
    assert "input_tokens 64..256, output_tokens 128~32" in words
    assert "round_deadline 10 min 00 s" in words
    assert "goals (ttft 500 ms)" in words
    assert "limits" not in words
    assert "warm_up" not in words


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_every_promise_of_every_matrix_has_words(file: Path) -> None:
    """And every limit belongs to a row of its question."""
    for entry in load_matrices([file])[0].entries:
        rows = {question: words for question, words, _ in promise_rows(entry)}
        limits = list(limits_of(entry, None))

        assert {one.question for one in limits} <= rows.keys()
        assert all(one.words and one.metric in METRICS for one in limits)
        promised = entry.promises.performance.model_dump(exclude_none=True)
        assert {f"performance/{name}" for name in promised} <= rows.keys()


def test_part_of_a_ceiling_is_a_number_where_it_is_known() -> None:
    """Not for commands whose prompts may be cached, and not where the batch decides."""
    entry = load_matrices([MATRICES / "smoke.yaml"])[0].entries[0]
    limit = {"of_ceiling": "25 %"}
    section = {
        "single_stream": {"limits": {"decode_tokens_per_s": limit, "output_tokens_per_s": limit}},
        "bench_serve": {"limits": {"ttft_p99_s": limit}},
    }
    promises = PromisesSection.model_validate({"performance": section})
    roofline = Roofline(Ceiling(100.0, 5000.0, "bandwidth", 1e9))
    found = {
        (one.question, one.metric): one.words
        for one in limits_of(replace(entry, promises=promises), roofline)
    }
    share = "25 % of what the roofline allows"

    assert found["performance/single_stream", "decode_tokens_per_s"] == (
        f"{share} (25 tokens/s of 100 tokens/s)",
    )
    assert found["performance/single_stream", "output_tokens_per_s"] == (share,)
    assert found["performance/bench_serve", "ttft_p99_s"] == (share,)
