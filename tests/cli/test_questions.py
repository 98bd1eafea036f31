"""Which questions a cell will be asked."""

from __future__ import annotations

import re
from pathlib import Path

from hwval.cli.questions import ALL_QUESTIONS
from hwval.cli.questions import asked_questions
from hwval.host import probe_host
from hwval.matrix import is_asked
from hwval.placement import select

ROOT = Path(__file__).parents[2]


def test_every_question_of_the_suites_is_known() -> None:
    """The wheel has no suites, so their names stand in it once more."""
    written = {
        f"{path.stem.removeprefix('test_')}/{name}"
        for path in (ROOT / "suites").glob("test_*.py")
        for name in re.findall(r"^def test_(\w+)", path.read_text("utf-8"), re.MULTILINE)
    }

    assert set(ALL_QUESTIONS) == written
    assert len(ALL_QUESTIONS) == len(written)


def test_nothing_is_asked_that_a_run_would_not_collect() -> None:
    """And of what is collected, only what a capability or a flag stands against is left out."""
    selection = select([ROOT / "matrices" / "smoke.yaml"], probe_host())
    for placed in selection.placed:
        for question, why_not in asked_questions(placed):
            if is_asked(placed.entry, question):
                assert why_not != "the matrix promises nothing of it"
            else:
                assert why_not


def test_flags_of_the_server_stand_against_a_question() -> None:
    """Tools are promised by the image and the model, and the server is started without them."""
    selection = select([ROOT / "matrices" / "mi60-dual.yaml"], probe_host())
    awq = selection.placed[0]
    found = dict(asked_questions(awq))

    assert found["load/healthy"] == ""
    assert found["capabilities/tool_named"] == (
        "the server is started without tool-call-parser and enable-auto-tool-choice"
    )
