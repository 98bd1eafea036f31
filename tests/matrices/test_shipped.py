"""The matrices that ship: each loads, is planned in full, and runs on the machine it is for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import jsonschema
import pytest
import yaml
from typer.testing import CliRunner

from hwval.catalogue import Capability
from hwval.catalogue import EngineKind
from hwval.cli import app
from hwval.ledger import load_ledgers
from hwval.matrix import is_asked
from hwval.matrix import load_matrices
from hwval.matrix import matrix_json_schema
from hwval.matrix import offered_capabilities
from hwval.performance.promise import PerformanceSection
from hwval.placement import PlacedCell
from hwval.placement import Selection
from hwval.placement import select
from hwval.planning.plan import PlanVerdict
from hwval.resources import resource_path
from hwval.threshold import Limit
from tests.matrices.machines import MACHINES
from tests.matrices.physics import floor_problem

FOLDER = resource_path("matrices/smoke.yaml").parent
SHIPPED = sorted(
    path.stem for path in FOLDER.glob("*.yaml") if not path.stem.endswith("ledger")
)  # fmt: skip
# Matrix -> machines that together run every cell of it that is not impossible.
RUNS_ON = {
    "nvidia-12gb": ["ada-12gb", "ampere-12gb"],
    "multi-vendor": ["ada-12gb", "strix-halo", "tpu-v5e"],
    "mi60-dual": ["mi60-dual"],
    "mi300x-cpx": ["mi300x-cpx"],
    "strix-halo": ["strix-halo"],
    "mi300x-release": ["mi300x", "mi300x-cpx-nps1"],
    "smoke": ["mi60-dual"],
}
# What the planner must say is impossible, by matrix.
IMPOSSIBLE = {
    "nvidia-12gb": ["*mistral-small-*", "*mistral-nemo-*", "*llama-3.1-8b-*"],
    "multi-vendor": ["*ministral-3-3b-instruct-*", "*ministral-3-8b-instruct-*"],
    "mi60-dual": ["*__one-card", "*__meta-llama-llama-3.3-70b-instruct__*"],
    "mi300x-cpx": ["gfx942-mi300x-cpx-nps4__*llama-2-13b*"],
    "strix-halo": ["gfx1100-7900xtx__*", "gfx1102-7600__*"],
    "mi300x-release": ["*llama-3.1-70b-*__cpx"],
}


def selection_of(name: str, machine: str = "mi60-dual") -> Selection:
    """Return a shipped matrix as a machine plans it."""
    return select([resource_path(f"matrices/{name}.yaml")], MACHINES[machine]())


def test_every_matrix_has_its_machine() -> None:
    """A matrix that nobody can run would be no promise."""
    assert set(SHIPPED) == set(RUNS_ON)
    assert set(SHIPPED) - {"smoke"} == set(IMPOSSIBLE)


def test_all_matrices_load_together() -> None:
    """No cell stands in two of them."""
    entries = [
        entry
        for matrix in load_matrices([resource_path(f"matrices/{name}.yaml") for name in SHIPPED])
        for entry in matrix.entries
    ]
    assert len({entry.cell.id for entry in entries}) == len(entries) > 60


@pytest.mark.parametrize("name", SHIPPED)
def test_editors_find_no_mistake(name: str) -> None:
    """The JSON Schema that editors check by accepts what this project accepts."""
    written = yaml.safe_load(resource_path(f"matrices/{name}.yaml").read_text("utf-8"))
    mistakes = jsonschema.Draft202012Validator(matrix_json_schema()).iter_errors(written)
    assert [mistake.message for mistake in mistakes] == []


@pytest.mark.parametrize("name", SHIPPED)
def test_every_cell_is_planned(name: str, tmp_path: Path) -> None:
    """`hwval plan --json` on a saved probe gives each cell a verdict and a ceiling or a reason."""
    saved = tmp_path / "host.json"
    saved.write_text(json.dumps(MACHINES[RUNS_ON[name][0]]().to_json()), "utf-8")
    matrix = str(resource_path(f"matrices/{name}.yaml"))
    given = ["plan", "--matrix", matrix, "--host", str(saved), "--json"]
    answer = CliRunner().invoke(app, given)
    assert answer.exit_code == 0, answer.output
    cells = json.loads(answer.stdout)["cells"]
    assert cells
    for cell in cells:
        assert cell["verdict"] in {"run", "uncertain", "elsewhere", "impossible", "unknown"}
        assert cell["planned"] in {"run", "uncertain", "impossible", "unknown"}, cell["cell"]
        assert cell["planned"] == "run" or cell["reasons"], cell["cell"]


@pytest.mark.parametrize("name", sorted(IMPOSSIBLE))
def test_impossible_cells_are_those_that_are_meant(name: str) -> None:
    """The planner rules out what the matrix shows as impossible, and nothing else."""
    patterns = IMPOSSIBLE[name]
    found = [each for each in selection_of(name).placed if each.forecast is not None]
    for placed in found:
        meant = any(fnmatchcase(placed.cell.id, pattern) for pattern in patterns)
        assert placed.forecast is not None
        assert placed.forecast.is_impossible is meant, placed.cell.id
    for pattern in patterns:
        assert any(fnmatchcase(placed.cell.id, pattern) for placed in found), pattern


@pytest.mark.parametrize("name", sorted(RUNS_ON))
def test_every_possible_cell_runs_on_its_machine(name: str) -> None:
    """Given the machines a matrix is for, no cell is elsewhere on all of them."""
    left = {placed.cell.id for placed in selection_of(name).placed}
    for machine in RUNS_ON[name]:
        left -= {placed.cell.id for placed in selection_of(name, machine).placed if _fits(placed)}
    assert left == set()


def _fits(placed: PlacedCell) -> bool:
    return not placed.why_not or (placed.forecast is not None and placed.forecast.is_impossible)


@pytest.mark.parametrize("name", SHIPPED)
def test_ledger_names_cells_of_its_matrix(name: str) -> None:
    """Each matrix has a ledger, and each entry names a cell that is asked its question."""
    (matrix,) = load_matrices([resource_path(f"matrices/{name}.yaml")])
    assert matrix.ledger_path is not None
    assert matrix.ledger_path.is_file()
    for issue in load_ledgers([matrix.ledger_path]).issues:
        named = [entry for entry in matrix.entries if issue.names(entry.cell.id)]
        assert named, issue
        assert all(is_asked(entry, issue.question) for entry in named)


def limits_of(placed: PlacedCell, question: str) -> dict[str, Limit]:
    """Return what a cell promises of a question of speed."""
    section = getattr(placed.entry.promises.performance, question)
    return {} if section is None else dict(section.limits)


def floors_of(placed: PlacedCell) -> Iterator[tuple[str, float, int]]:
    """Yield each rate of output that a cell promises, with the requests that may be under way."""
    if (limit := limits_of(placed, "single_stream").get("decode_tokens_per_s")) is not None:
        for bound in filter(None, (limit.bound, limit.good, limit.excellent)):
            yield "decode_tokens_per_s", bound, 1
    if (limit := limits_of(placed, "bench_throughput").get("total_tokens_per_s")) is not None:
        asked = placed.entry.promises.performance.bench_throughput
        assert asked is not None
        answers = asked.output_tokens / (asked.input_tokens + asked.output_tokens)
        for bound in filter(None, (limit.bound, limit.good)):
            places = int(placed.cell.arg("max-num-seqs") or 256)
            yield "total_tokens_per_s", bound * answers, places
    if (limit := limits_of(placed, "bench_latency").get("latency_mean_s")) is not None:
        batch = placed.entry.promises.performance.bench_latency
        assert batch is not None
        for bound in filter(None, (limit.bound, limit.good)):
            tokens = batch.batch * batch.output_tokens
            yield "latency_mean_s", tokens / bound, batch.batch
    sweep = placed.entry.promises.performance.concurrency_sweep
    for streams, limits in (sweep.limits_at if sweep else {}).items():
        yield "output_tokens_per_s", limits["output_tokens_per_s"].bound or 0, int(streams)


@pytest.mark.parametrize("name", SHIPPED)
def test_no_promise_is_above_its_ceiling(name: str) -> None:
    """Physics allows every floor and every band."""
    for placed in selection_of(name).placed:
        assert placed.forecast is not None
        for metric, floor, requests in floors_of(placed):
            problem = floor_problem(placed.forecast, decode_tokens_per_s=floor, batch=requests)
            assert problem is None, f"{placed.cell.id}: {metric}: {problem}"


@pytest.mark.parametrize("name", SHIPPED)
def test_workload_fits_the_context(name: str) -> None:
    """No request is longer than the context that the cell is started with."""
    for placed in selection_of(name).placed:
        longest = placed.cell.max_model_len_tokens
        performance = placed.entry.promises.performance
        for question in performance.model_fields_set:
            section = getattr(performance, question)
            context = getattr(section, "context_tokens", 0)
            assert longest is None or context <= longest, f"{placed.cell.id}: {question}"
        needle = placed.entry.promises.capabilities.needle
        assert needle is None or longest is None or needle.tokens < longest


@pytest.mark.parametrize("name", SHIPPED)
def test_every_number_has_a_source(name: str) -> None:
    """A limit says where it is from."""
    for placed in selection_of(name).placed:
        performance = placed.entry.promises.performance
        asked = [getattr(performance, name) for name in performance.model_fields_set]
        for section in filter(None, asked):
            for metric, limit in section.all_limits():
                assert limit.source, f"{placed.cell.id}: {metric}"


def test_throughput_fills_every_place_to_the_end() -> None:
    """Requests are a multiple of the places, else the last of them run alone."""
    for placed in selection_of("mi300x-release").placed:
        asked = placed.entry.promises.performance.bench_throughput
        places = placed.cell.arg("max-num-seqs")
        if asked is not None and places is not None:
            assert asked.requests % int(places) == 0


def test_every_question_of_speed_is_asked_by_a_shipped_matrix() -> None:
    """Each measurement has an example on a machine that is documented."""
    asked = {
        question
        for name in SHIPPED
        for placed in selection_of(name).placed
        for question in placed.entry.promises.performance.model_fields_set
        if getattr(placed.entry.promises.performance, question) is not None
    }

    assert asked == set(PerformanceSection.model_fields)


def test_published_numbers_are_held_against_the_program_that_measured_them() -> None:
    """Whole batches and whole runs were published by vLLM's own scripts, inside the image."""
    for placed in selection_of("mi300x-release").placed:
        for question in ("fixed_batch", "offline"):
            assert limits_of(placed, question) == {}, placed.cell.id


def test_prefix_caching_and_chunks_are_asked_on_and_off() -> None:
    """Two cells that differ in nothing else, one held against the other."""
    pair = [
        placed
        for placed in selection_of("nvidia-12gb").placed
        if placed.cell.variant in {"cached-chunked", "plain"}
    ]
    flags = ("enable-prefix-caching", "enable-chunked-prefill")

    assert [[one.cell.arg(flag) for flag in flags] for one in pair] == [[True] * 2, [False] * 2]
    assert pair[0].entry.promises.performance.partners == {"plain"}


def test_embeddings_are_asked_of_the_embeddings_service() -> None:
    """It is asked for vectors and not for text."""
    (placed,) = [each for each in selection_of("mi60-dual").placed if "infinity" in each.cell.image]
    offered = offered_capabilities(placed.entry.catalogue, placed.cell.image, placed.cell.model)
    assert offered == {Capability.EMBEDDINGS}
    assert is_asked(placed.entry, "capabilities/embedding_dimension")
    assert not is_asked(placed.entry, "capabilities/structured_output")


def test_other_servers_are_external_cells() -> None:
    """Each server that the machine is compared with is a cell of its own."""
    servers = {
        placed.cell.image.removeprefix("external:")
        for placed in selection_of("strix-halo", "strix-halo").placed
        if placed.image.engine is EngineKind.EXTERNAL
    }
    assert servers == {"llama.cpp", "ollama", "text-generation-webui", "transformers"}


def test_known_failures_are_run_although_impossible() -> None:
    """The ledger names them, so that a release in which they work is noticed."""
    selection = selection_of("multi-vendor", "strix-halo")
    fp8 = [each for each in selection.placed if "ministral-3" in each.cell.id]
    fp8 = [each for each in fp8 if "instruct" in each.cell.id]
    assert len(fp8) == 2
    assert {each.ruled_out for each in fp8} == {""}
    assert {each.forecast.verdict for each in fp8 if each.forecast} == {PlanVerdict.IMPOSSIBLE}
