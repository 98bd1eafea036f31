"""Vectors: what is wrong with them, how close two are, and the file that keeps them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hwval.capability.embedding import TEXTS
from hwval.capability.embedding import Embeddings
from hwval.capability.embedding import cosine
from hwval.capability.embedding import load_embeddings
from hwval.capability.embedding import lowest_cosine
from hwval.capability.embedding import trouble_with
from hwval.errors import ResponseError
from hwval.errors import UsageError

_NUMBERS = st.lists(st.floats(-100, 100), min_size=3, max_size=3)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        pytest.param([1.0, 0.0], [2.0, 0.0], 1.0, id="same-way"),
        pytest.param([1.0, 0.0], [0.0, 3.0], 0.0, id="across"),
        pytest.param([1.0, 1.0], [-1.0, -1.0], -1.0, id="opposite"),
    ],
)
def test_cosine(one: list[float], other: list[float], expected: float) -> None:
    """Length plays no role."""
    assert cosine(one, other) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("one", "other"),
    [pytest.param([1.0], [1.0, 2.0], id="lengths"), pytest.param([0.0], [1.0], id="zero")],
)
def test_no_angle_is_no_number(one: list[float], other: list[float]) -> None:
    """And nothing that could be kept: a journal takes no NaN."""
    assert math.isnan(cosine(one, other))
    with pytest.raises(ResponseError, match="vectors 1 have no angle"):
        lowest_cosine([[1.0], one], [[1.0], other])


@given(_NUMBERS, _NUMBERS)
def test_cosine_stays_within_its_range(one: list[float], other: list[float]) -> None:
    """Up to rounding, and the same from both sides."""
    value = cosine(one, other)

    assert math.isnan(value) or abs(value) <= 1 + 1e-9
    assert value == cosine(other, one) or math.isnan(value)


@pytest.mark.parametrize(
    ("vectors", "dimension", "is_normalized", "trouble"),
    [
        pytest.param([[1, 0], [0, 1]], 2, True, "", id="fine"),
        pytest.param([[3, 0], [0, 3]], None, False, "", id="any-length"),
        pytest.param([[1, 0], [0, 1]], 3, False, "[2] elements, expected 3", id="dimension"),
        pytest.param([[1, 0], [1]], None, False, "expected one number", id="ragged"),
        pytest.param([[1, 0], [math.nan, 0]], None, False, "vector 1 has the length nan", id="nan"),
        pytest.param([[0, 0], [1, 0]], None, False, "vector 0 has the length 0.0", id="zero"),
        pytest.param([[3, 0], [0, 3]], None, True, "length 3, expected 1", id="not-normalized"),
        pytest.param([[1, 0], [1, 1e-3]], None, False, "are all alike", id="collapsed"),
    ],
)
def test_trouble_with_vectors(
    vectors: Sequence[Sequence[float]], *, dimension: int | None, is_normalized: bool, trouble: str
) -> None:
    """The first thing that is wrong."""
    told = trouble_with(vectors, dimension=dimension, is_normalized=is_normalized)

    assert trouble in told
    assert bool(told) == bool(trouble)


def test_vectors_survive_their_file(tmp_path: Path) -> None:
    """What is read is what was written."""
    kept = Embeddings("c", "m", TEXTS, tuple((float(n), 1.0) for n in range(len(TEXTS))))
    file = tmp_path / "embeddings.json"
    file.write_text(kept.to_json(), "utf-8")

    assert load_embeddings(file) == kept


def test_a_reference_of_another_model_must_have_its_dimension() -> None:
    """A quantized model is held against the one that it was made from; the engine errs alone."""
    kept = Embeddings("c", "m", TEXTS, ((1.0, 0.0),) * len(TEXTS))
    longer = [[1.0, 0.0, 0.0]] * len(TEXTS)

    assert kept.least_cosine(kept.vectors, model="m-fp8") == 1
    with pytest.raises(UsageError, match="of the model m and have 2 elements, those of m-fp8 3"):
        kept.least_cosine(longer, model="m-fp8")
    with pytest.raises(ResponseError, match="2 and 3 elements"):
        kept.least_cosine(longer, model="m")


_FULL = {"kind": "embeddings", "version": 1, "cell": "c", "model": "m", "texts": TEXTS}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param({**_FULL, "vectors": [[1.0]] * 3}, "3 vectors of 4 texts", id="three"),
        pytest.param({**_FULL, "vectors": []}, "0 vectors of 4 texts", id="none"),
        pytest.param({**_FULL, "vectors": [[]] * 4}, "vector 0 has the length 0.0", id="empty"),
        pytest.param({**_FULL, "vectors": [[1.0]] * 3 + [[1.0, 2.0]]}, "of 1 and 2", id="ragged"),
        pytest.param({**_FULL, "vectors": [[1.0]] * 3 + [[math.nan]]}, "length nan", id="nan"),
        pytest.param({**_FULL, "vectors": [[1.0]] * 3 + [[math.inf]]}, "length inf", id="inf"),
        pytest.param({**_FULL, "vectors": 4}, "that hwval wrote", id="number"),
        pytest.param({"kind": "reference", "version": 1}, "no embeddings of version 1", id="kind"),
        pytest.param(
            {"kind": "embeddings", "version": 1, "texts": ["a"]}, "of other texts", id="texts"
        ),
        pytest.param({"kind": "embeddings", "version": 1}, "that hwval wrote", id="missing"),
        pytest.param([], "that hwval wrote", id="list"),
    ],
)
def test_wrong_files_are_refused(content: object, message: str, tmp_path: Path) -> None:
    """In one line that names the file."""
    file = tmp_path / "embeddings.json"
    file.write_text(json.dumps(content), "utf-8")

    with pytest.raises(UsageError, match=message):
        load_embeddings(file)


def test_missing_file_is_refused(tmp_path: Path) -> None:
    """With the reason of the system."""
    with pytest.raises(UsageError, match="No such file"):
        load_embeddings(tmp_path / "none.json")
