from __future__ import annotations

from pathlib import Path

import pytest

from hwval.capability.embedding import TEXTS
from hwval.capability.embedding import Embeddings
from hwval.errors import MatrixError
from hwval.matrix import Deadlines
from hwval.quality.reference import Reference
from tests.matrix.loading import AXES
from tests.matrix.loading import CELL_ID
from tests.matrix.loading import load


def test_included_cell_stands_over_the_matrix(tmp_path: Path) -> None:
    """Mappings are merged key by key, everything else is replaced."""
    matrix = load(
        tmp_path,
        AXES
        + """\
engine: {max-model-len: 512, enforce-eager: true}
environment: {A: 1, B: 2}
pass_environment: [HF_TOKEN]
promises: {load: {ready_within: 1 min}}
deadlines: {pull: 1 h, load: 5 min}
include:
  - name: long
    engine: {max-model-len: 1024}
    environment: {B: 3}
    pass_environment: []
    promises: {load: {ready_within: 2 min}}
    deadlines: {answer: 1 s}
""",
    )

    entry = matrix.entries[1]
    assert entry.cell.id == f"{CELL_ID}__long"
    assert entry.cell.engine_args == (("enforce-eager", True), ("max-model-len", 1024))
    assert entry.cell.environment == (("A", "1"), ("B", "3"))
    assert entry.pass_environment == ()
    assert entry.promises.load.ready_within == 120
    assert entry.deadlines == Deadlines(pull_s=3600, load_s=300, answer_s=1)


def test_longer_promise_moves_the_default_deadline(tmp_path: Path) -> None:
    """Nobody gives up before the promised time."""
    matrix = load(tmp_path, AXES + "promises: {load: {ready_within: 2 h}}")

    assert matrix.entries[0].deadlines.load_s == 7200


def test_limits_of_two_layers_may_not_contradict_each_other(tmp_path: Path) -> None:
    """A variant's floor above what the matrix calls good is a mistake, though each is none."""
    text = """
promises: {performance: {single_stream: {limits: {decode_tokens_per_s: {floor: 10, good: 20}}}}}
include:
  - name: fast
    promises: {performance: {single_stream: {limits: {decode_tokens_per_s: {floor: 30}}}}}
"""

    with pytest.raises(MatrixError, match=r"good \(20\) is below floor \(30\)"):
        load(tmp_path, AXES + text)


_VECTORS = Embeddings("c", "m", TEXTS, ((1.0,),) * len(TEXTS)).to_json()
_ANSWERS = Reference("c", "m", None, "2026-11-21", (), (), ()).to_json()


@pytest.mark.parametrize(
    ("promises", "told", "right", "wrong"),
    [
        pytest.param(
            "promises:\n  generate:\n    reference: {file: a.json}\n",
            r"x\.yaml:4: promises\.generate\.reference\.file: ",
            _ANSWERS,
            _VECTORS,
            id="of-the-matrix",
        ),
        pytest.param(
            "variants:\n  - name: v\n    promises:\n      capabilities:\n"
            "        embeddings: {reference: a.json}\n",
            r"x\.yaml:6: .*promises\.capabilities\.embeddings\.reference: ",
            _VECTORS,
            _ANSWERS,
            id="of-a-variant",
        ),
    ],
)
def test_files_of_promises_must_be_there_and_of_their_kind(
    tmp_path: Path, promises: str, told: str, right: str, wrong: str
) -> None:
    """Before a cell is started for hours; they stand beside the matrix."""
    with pytest.raises(MatrixError, match=f"{told}no such file"):
        load(tmp_path, AXES + promises)
    for content in (wrong, "{}", "vectors"):
        (tmp_path / "a.json").write_text(content)
        with pytest.raises(MatrixError, match=told):
            load(tmp_path, AXES + promises)
    (tmp_path / "a.json").write_text(right)

    assert load(tmp_path, AXES + promises).entries
