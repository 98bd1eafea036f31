"""From matrix files and a host to the cells that run here, with a reason for each that does not."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from hwval.catalogue import Catalogue
from hwval.catalogue import EngineKind
from hwval.catalogue import HardwareFacts
from hwval.catalogue import ImageFacts
from hwval.catalogue import Vendor
from hwval.catalogue import load_catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.cell import slug
from hwval.client import list_models
from hwval.engine.external import ExternalEngine
from hwval.engine.spec import rank_count
from hwval.errors import HwvalError
from hwval.errors import MatrixError
from hwval.errors import SelectionError
from hwval.errors import UsageError
from hwval.forecast import FIGURES_DOUBT
from hwval.forecast import Forecast
from hwval.forecast import Forecaster
from hwval.host import Device
from hwval.host import Host
from hwval.host import place
from hwval.ledger import Ledger
from hwval.ledger import load_ledgers
from hwval.matrix import Deadlines
from hwval.matrix import Matrix
from hwval.matrix import MatrixEntry
from hwval.matrix import PromisesSection
from hwval.matrix import is_asked
from hwval.matrix import load_matrices
from hwval.matrix import overlong_requests
from hwval.matrix import reimage
from hwval.matrix import select_cells
from hwval.matrix import started_cell
from hwval.matrix import to_docker
from hwval.matrix import to_venv
from hwval.matrix import undecidable_relations
from hwval.performance.ceilings import Roofline
from hwval.performance.floors import impossible_promises
from hwval.planning.partition import parse_partition

__all__ = [
    "EXTERNAL_KEY_VARIABLE",
    "PlacedCell",
    "Selection",
    "external_selection",
    "select",
    "wanted_mode",
]

EXTERNAL_KEY_VARIABLE = "HWVAL_ENGINE_API_KEY"
"""Environment variable with the key of a server that already runs."""


@dataclass(frozen=True, slots=True)
class PlacedCell:
    """A cell with its place on this host.

    Attributes:
        entry: The cell and what the matrix says of it.
        image: Facts of its image, as its tag pins them down.
        vendor: Whose software stack drives its hardware.
        devices: Devices that would do; a run leases as many as the cell needs.
        why_not: Why this host cannot run it; empty if it can.
        forecast: What is known of it before it runs, here or on its own hardware; None for cells
            that nobody planned.
        ruled_out: Why it is not run although it was selected: it is impossible, wherever it runs,
            and nobody wants to see it fail; empty if it is run.
    """

    entry: MatrixEntry
    image: ImageFacts
    vendor: Vendor
    devices: tuple[Device, ...] = ()
    why_not: str = ""
    forecast: Forecast | None = None
    ruled_out: str = ""

    @property
    def cell(self) -> Cell:
        """The cell itself."""
        return self.entry.cell

    @property
    def lease_count(self) -> int:
        """How many devices its engine gets."""
        return _lease_count(self.cell)

    @property
    def roofline(self) -> Roofline | None:
        """How fast it is at most; None where that is not known."""
        if self.forecast is None or self.forecast.plan.ceiling is None:
            return None
        return Roofline(
            self.forecast.plan.ceiling,
            self.forecast.plan.memory,
            self.cell.tensor_parallel_size,
            self.forecast.is_speculative,
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """What a run is about.

    Attributes:
        matrices: The matrices as loaded, with what they exclude.
        host: The machine that the cells are placed on.
        placed: The selected cells, each with its place or why it has none.
        unnamed: Cells that the selection leaves out.
        ledger: Known issues of all matrices.
    """

    matrices: tuple[Matrix, ...]
    host: Host
    placed: tuple[PlacedCell, ...]
    unnamed: tuple[PlacedCell, ...]
    ledger: Ledger

    @property
    def runnable(self) -> tuple[PlacedCell, ...]:
        """The cells that this host can run and that the run does not leave out."""
        return tuple(
            placed for placed in self.placed if not placed.why_not and not placed.ruled_out
        )

    @property
    def ruled_out(self) -> tuple[PlacedCell, ...]:
        """The selected cells that are impossible and therefore left out."""
        return tuple(placed for placed in self.placed if placed.ruled_out)

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why other cells cannot run here, each reason once."""
        return tuple(dict.fromkeys(placed.why_not for placed in self.placed if placed.why_not))


def select(
    files: Sequence[Path],
    host: Host,
    *,
    cells: Sequence[str] = (),
    engine: str = "auto",
    image: str | None = None,
    run_impossible: bool = False,
    fetch: bool = False,
) -> Selection:
    """Load matrices, select cells, place them on a host and plan them.

    A cell that the planner finds impossible is not run, unless that is asked for, or the ledger
    names it: whoever wrote the entry wants to see it fail, and to learn when it no longer does.

    Args:
        files: Matrix files, at least one.
        host: The machine.
        cells: Ids or globs; none selects all.
        engine: ``docker`` or ``venv`` to run every cell that way, ``auto`` as its image says.
        image: Image for every cell, in place of the matrix's.
        run_impossible: Whether impossible cells are run all the same.
        fetch: Whether the Hub is asked for the config.json of models that are not known here.

    Raises:
        MatrixError: A file is wrong.
        SelectionError: A name selects nothing, or an image does not fit.
    """
    matrices = load_matrices(files)
    entries = tuple(entry for matrix in matrices for entry in matrix.entries)
    if image is not None:
        entries = reimage(entries, image)
    elif engine != "auto":
        entries = (to_docker if engine == "docker" else to_venv)(entries)
    named = select_cells(entries, cells)
    chosen = {entry.cell.id for entry in named}
    unnamed = [entry for entry in entries if entry.cell.id not in chosen]
    ledger = load_ledgers(matrix.ledger_path for matrix in matrices if matrix.ledger_path)
    selection = Selection(
        matrices=matrices,
        host=host,
        placed=_plan_all(
            _place_all(named, host), ledger, Forecaster(fetch=fetch), run_impossible=run_impossible
        ),
        unnamed=_place_all(unnamed, host),
        ledger=ledger,
    )
    _check_engine(selection.placed, engine)
    _check_lengths(entries)
    _check_promises(selection.placed)
    _check_partners(entries)
    return selection


def external_selection(
    url: str, host: Host, files: Sequence[Path], *, cells: Sequence[str] = ()
) -> Selection:
    """Return the one cell that a running server stands for.

    Without a matrix the cell is what the server says of itself; with one, the selection must
    name exactly one cell, whose promises are then judged.

    Args:
        url: The server's address.
        host: This machine.
        files: Matrix files, none to take the server's word.
        cells: Ids or globs, as for ``select``.

    Raises:
        SelectionError: The matrix leaves more than one cell, or the server cannot be asked.
        MatrixError: A file is wrong.
        UsageError: The address is none.
    """
    engine = ExternalEngine(url, api_key_variable=EXTERNAL_KEY_VARIABLE)
    if not files:
        return Selection((), host, (_cell_of_server(url, engine),), (), Ledger())
    selection = select(files, host, cells=cells)
    if len(selection.placed) != 1:
        raise SelectionError(
            f"--engine-url {url} is one server, but {len(selection.placed)} cells are selected; "
            "name the one it stands for with --cell"
        )
    # What runs already is not impossible, and what it runs on is not known.
    placed = replace(selection.placed[0], why_not="", devices=(), forecast=None, ruled_out="")
    image = placed.image.model_copy(update={"engine": EngineKind.EXTERNAL})
    return replace(selection, placed=(replace(placed, image=image),))


def _lease_count(cell: Cell) -> int:
    """Return how many devices the engine of a cell gets.

    Where the matrix names the mode of whole cards, the engine gets as many of their partitions as
    it has ranks, so that others find room beside it; else as many devices as the matrix says.
    """
    return rank_count(cell) if cell.partition_mode else cell.device_count


def _place_all(entries: Iterable[MatrixEntry], host: Host) -> tuple[PlacedCell, ...]:
    known: dict[tuple[str, int, str], tuple[Vendor, tuple[Device, ...], str]] = {}
    images: dict[str, ImageFacts] = {}
    placed = []
    for entry in entries:
        cell = entry.cell
        wanted = (cell.hardware, _lease_count(cell), cell.partition_mode)
        if wanted not in known:
            known[wanted] = _place_hardware(entry.catalogue, *wanted, host)
        if cell.image not in images:
            images[cell.image] = entry.catalogue.image(cell.image)
        vendor, devices, why_not = known[wanted]
        image = images[cell.image]
        if vendor not in image.vendors:
            built_for = " and ".join(image.vendors)
            devices, why_not = (), f"{cell.image} is built for {built_for}, not for {vendor}"
        placed.append(PlacedCell(entry, image, vendor, devices, why_not))
    return tuple(placed)


def _plan_all(
    cells: Iterable[PlacedCell], ledger: Ledger, forecaster: Forecaster, *, run_impossible: bool
) -> tuple[PlacedCell, ...]:
    planned = []
    for placed in cells:
        entry = placed.entry
        forecast = forecaster.forecast(entry.cell, entry.catalogue, placed.image, placed.devices)
        is_left_out = (
            forecast.is_impossible
            and not run_impossible
            and not any(issue.names(entry.cell.id) for issue in ledger.issues)
        )
        why = forecast.why if is_left_out else ""
        planned.append(replace(placed, forecast=forecast, ruled_out=why))
    return tuple(planned)


def _place_hardware(
    catalogue: Catalogue, hardware: str, count: int, mode: str, host: Host
) -> tuple[Vendor, tuple[Device, ...], str]:
    facts = catalogue.hardware(hardware)
    try:
        sizes = _memory_sizes(facts, mode)
    except UsageError as error:  # the planner calls such a cell impossible, in its own words
        return facts.vendor, (), f"{hardware}: {error}"
    found = place(
        host,
        vendor=facts.vendor,
        architecture=facts.architecture,
        memory_bytes=sizes,
        count=count,
        partition_mode=wanted_mode(facts, mode),
    )
    if isinstance(found, str):
        return facts.vendor, (), f"{hardware} {found}"
    return facts.vendor, found, ""


def wanted_mode(facts: HardwareFacts, mode: str) -> str:
    """Return the partition mode that devices must be in.

    Args:
        facts: The hardware, whole or a partition of it.
        mode: What the matrix asks for; empty leaves cards that can be divided whole.
    """
    if mode and "/" not in mode:
        mode = f"{mode}/nps1"  # as the planner takes it
    return mode.lower() or facts.partition_mode.lower() or ("spx" if facts.dies else "")


def _memory_sizes(facts: HardwareFacts, mode: str) -> tuple[int, ...]:
    """Return what drivers may tell of the memory of one device, the nominal size first.

    A partition is told its share of its memory domain, or by some releases the whole of it.
    """
    if facts.memory_bytes is None:
        return ()
    whole = facts.memory_bytes
    if not mode and facts.partition_mode:
        partition = parse_partition(facts.partition_mode)
        whole *= partition.instances
    else:
        partition = parse_partition(mode, dies=facts.dies or 8)
    return tuple(dict.fromkeys((int(partition.share(whole)), int(partition.domain(whole)))))


def _check_engine(placed: Iterable[PlacedCell], engine: str) -> None:
    for cell in placed:
        if engine not in {"auto", str(cell.image.engine)}:
            raise SelectionError(
                f"--engine {engine}: {cell.cell.image} of cell {cell.cell} runs by "
                f"{cell.image.engine} and has no equivalent; name one with --image"
            )


def _check_lengths(entries: Iterable[MatrixEntry]) -> None:
    """Refuse questions whose requests are longer than the context of the engine they are for."""
    for entry in entries:
        for problem in overlong_requests(entry):
            raise MatrixError(f"{entry.source}: cell {entry.cell.id}: {problem}")


def _check_promises(placed: Iterable[PlacedCell]) -> None:
    """Refuse promises that can be kept, broken or measured by no engine: none is started."""
    for each in placed:
        entry, section = each.entry, each.entry.promises.performance
        names = type(section).model_fields
        if not any(is_asked(entry, f"performance/{name}") for name in names):
            continue
        is_sure = not entry.catalogue.hardware(each.cell.hardware).uncertain
        doubt = 1.0 if is_sure else FIGURES_DOUBT
        cell = started_cell(entry)
        for problem in impossible_promises(section, each.roofline, doubt=doubt, cell=cell):
            raise MatrixError(f"{entry.source}: cell {each.cell.id}: {problem}")


def _check_partners(entries: Sequence[MatrixEntry]) -> None:
    """Refuse promises that hold a cell against another one and can never be decided."""
    for entry, why in undecidable_relations(entries):
        raise MatrixError(f"{entry.source}: cell {entry.cell.id}: {why}")


def _cell_of_server(url: str, engine: ExternalEngine) -> PlacedCell:
    try:
        engine.start()
        models = list_models(engine.endpoint())
    except HwvalError as error:
        hint = f"its key, if it has one, is read from {EXTERNAL_KEY_VARIABLE}"
        raise SelectionError(f"--engine-url {url}: {error}; {hint}") from error
    if not models:
        raise SelectionError(f"--engine-url {url}: the server lists no model; load one into it")
    image = f"external:{slug(urlsplit(engine.name).netloc)}"
    cell = Cell("external", 1, image, models[0].id, Dtype.AUTO)
    catalogue = _knowing(load_catalogue(), image, models[0].owner)
    entry = MatrixEntry(
        cell,
        PromisesSection(),
        Deadlines(),
        ("external",),
        source="--engine-url",
        catalogue=catalogue,
    )
    return PlacedCell(entry, catalogue.image(image), Vendor.CPU)


def _knowing(catalogue: Catalogue, image: str, owner: str) -> Catalogue:
    """Return the catalogue with a server that names itself as one of those that it holds."""
    facts = catalogue.images_by_repository.get(f"external:{owner}")
    if facts is None:
        return catalogue
    return replace(catalogue, images_by_repository={**catalogue.images_by_repository, image: facts})
