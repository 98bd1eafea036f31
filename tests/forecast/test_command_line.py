"""What is told of flags before an engine reads them."""

from __future__ import annotations

import pytest

from hwval.catalogue import load_catalogue
from hwval.cell import ArgValue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.forecast.command_line import Judged
from hwval.forecast.command_line import judge_command_line

CATALOGUE = load_catalogue()


def judge(image: str, name: str, value: ArgValue = 1, **environment: str) -> Judged:
    cell = Cell(
        "gfx942-mi300x",
        1,
        image,
        "Qwen/Qwen3-0.6B",
        Dtype.AUTO,
        engine_args=((name, value),),
        environment=tuple(environment.items()),
    )
    return judge_command_line(cell, CATALOGUE.image(image))


@pytest.mark.parametrize(
    ("image", "refused", "noted"),
    [
        ("vllm/vllm-openai-rocm:v0.33.0", [True], 0),
        ("vllm/vllm-openai-rocm:v0.14.1", [], 0),
        ("vllm/vllm-openai-rocm:latest", [], 1),
        ("rocm/vllm:v0.20.0_amd_dev", [False], 0),
        ("rocm/vllm-dev:main", [], 1),
        ("external:staging", [], 0),
        ("michaelf34/infinity:0.0.70", [], 0),
    ],
)
def test_what_becomes_of_a_refused_flag(image: str, refused: list[bool], noted: int) -> None:
    """Certain for a release, doubtful for a fork, a note where nobody knows which vLLM it is."""
    found = judge(image, "swap-space")

    assert [(refusal.rule, refusal.is_certain) for refusal in found.refusals] == [
        ("engine-flag", is_certain) for is_certain in refused
    ]
    assert len(found.notes) == noted


def test_what_only_has_to_be_told() -> None:
    """Deprecated flags, variables without effect and a fork's own flags rule nothing out."""
    image = "vllm/vllm-openai-rocm:v0.14.1"
    found = judge(image, "disable-log-requests", value=True, VLLM_USE_V1="1")
    own = judge("vllm/vllm-omni:v0.28.0", "omni", value=True)

    assert (found.refusals, own.refusals) == ((), ())
    assert [note.text.partition(";")[0] for note in found.notes] == [
        "--disable-log-requests is deprecated since 0.10.1",
        "vLLM 0.14.1 does not read VLLM_USE_V1=1, gone since 0.11.1",
    ]
    assert "no release up to 0.33.0 knows" in own.notes[0].text
