"""From a placed cell to an engine that can be started: its devices, its model's files, its kind."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Final
from typing import Literal

from hwval.catalogue import EngineKind
from hwval.catalogue import Entrypoint
from hwval.cell import Cell
from hwval.engine.base import Engine
from hwval.engine.lease import cpu_slots
from hwval.engine.lease import lease_cpus
from hwval.engine.lease import lease_devices
from hwval.engine.lease import leased
from hwval.engine.spec import EngineSpec
from hwval.engine.spec import LeasedDevices
from hwval.engine.spec import Mount
from hwval.engine.spec import Vendor
from hwval.engine.spec import build_spec
from hwval.errors import ModelSourceError
from hwval.errors import UsageError
from hwval.placement import EXTERNAL_KEY_VARIABLE
from hwval.placement import PlacedCell

__all__ = [
    "LaunchSettings",
    "container_spec",
    "file_stem",
    "lease_for",
    "make_engine",
    "reproducing_spec",
]

Progress = Callable[[str], None]
_MODELS_IN_CONTAINER: Final = "/models"
_CONTAINER_VENDORS: Final[dict[str, Vendor]] = {"cpu": "cpu", "rocm": "rocm", "cuda": "cuda"}


@dataclass(frozen=True, slots=True)
class LaunchSettings:
    """What all engines of a run share.

    Attributes:
        run_id: Name of the run.
        run_dir: Its folder; logs go below it.
        cache_dir: What is kept between runs: environments, checkpoints, compiled code, locks.
        pull: Whether missing images are fetched.
        external_url: Server to ask in place of starting engines, None to start them.
        cpu_slots: Engines that may share the processor at the same time, >= 1.
    """

    run_id: str
    run_dir: Path
    cache_dir: Path
    pull: Literal["missing", "never"] = "missing"
    external_url: str | None = None
    cpu_slots: int = 1


@contextmanager
def lease_for(
    placed: PlacedCell, settings: LaunchSettings, *, progress: Progress
) -> Iterator[LeasedDevices]:
    """Hold the devices of a cell until the block ends; a server that runs already needs none.

    Raises:
        HostError: The locks cannot be made.
    """
    cell = placed.cell
    if settings.external_url is not None:
        yield LeasedDevices()
        return
    folder = settings.cache_dir
    if placed.vendor == "cpu":
        slots = cpu_slots(settings.cpu_slots)
        with lease_cpus(slots, cache_dir=folder, progress=progress, owner=cell.id) as lease:
            yield lease
        return
    devices, count = placed.devices, cell.device_count
    with lease_devices(devices, count, cache_dir=folder, progress=progress, owner=cell.id) as lease:
        yield lease


def make_engine(
    placed: PlacedCell, settings: LaunchSettings, *, lease: LeasedDevices, progress: Progress
) -> Engine:
    """Return the engine of a cell, not started; prepares what it needs first.

    Raises:
        LabError: The environment or the model's files cannot be had.
    """
    cell = placed.cell
    if settings.external_url is not None:
        from hwval.engine.external import ExternalEngine

        return ExternalEngine(settings.external_url, api_key_variable=EXTERNAL_KEY_VARIABLE)
    model = _model_folder(cell, settings.cache_dir)
    log_path = settings.run_dir / "logs" / log_file_name(cell)
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if placed.image.engine is EngineKind.VENV:
        from hwval.engine.environment import prepare_environment
        from hwval.engine.venv import VenvEngine

        return VenvEngine(
            _at_revision(cell),
            environment=prepare_environment(settings.cache_dir, progress=progress),
            model_argument=str(model) if model else _hub_name(cell),
            lease=lease,
            log_path=log_path,
            cache_dir=settings.cache_dir,
            secret_names=("HF_TOKEN", *placed.entry.pass_environment),
        )
    from hwval.engine.docker import DockerDeadlines
    from hwval.engine.docker import DockerEngine

    return DockerEngine(
        container_spec(placed, settings, lease=lease, model=model),
        log_path=log_path,
        run_id=settings.run_id,
        pull=settings.pull,
        progress=progress,
        deadlines=DockerDeadlines(pull_s=placed.entry.deadlines.pull_s),
    )


def container_spec(
    placed: PlacedCell, settings: LaunchSettings, *, lease: LeasedDevices, model: Path | None
) -> EngineSpec:
    """Return the container of a cell.

    Args:
        placed: The cell and its place.
        settings: Of the run.
        lease: The devices it may use.
        model: Folder of the model's files on this host, None for a model of the Hub.
    """
    cell, image = placed.cell, placed.image
    target = f"{_MODELS_IN_CONTAINER}/{model.name}" if model else _hub_name(cell)
    spec = build_spec(
        _at_revision(cell),
        vendor=_container_vendor(placed),
        serve=image.serve_prefix,
        model_argument=target,
        lease=lease,
        mounts=(Mount(model, target, read_only=True),) if model else (),
        hf_cache=_hf_cache() if model is None else None,
        vllm_cache=_compile_cache(settings.cache_dir, cell.image),
        secret_names=("HF_TOKEN", *placed.entry.pass_environment),
    )
    if image.entrypoint is Entrypoint.API_SERVER:
        return replace(spec, command=("--model", *spec.command))
    return spec


def file_stem(cell: Cell) -> str:
    """Return a file name without suffix for a cell; long ids are cut and kept apart by a hash."""
    if len(cell.id) <= 180:
        return cell.id
    return f"{cell.id[:160]}-{hashlib.sha256(cell.id.encode()).hexdigest()[:12]}"


def log_file_name(cell: Cell) -> str:
    """Return the file name of a cell's log."""
    return f"{file_stem(cell)}.log"


def _model_folder(cell: Cell, cache_dir: Path) -> Path | None:
    if cell.model.startswith("synthetic:"):
        from hwval.synthetic import prepare_synthetic

        return prepare_synthetic(cell.model, cache_dir)
    if not cell.model.startswith("/"):
        return None
    folder = Path(cell.model)
    if not folder.is_dir():
        raise ModelSourceError(
            f"find the model for {cell.id}: {cell.model} is no folder on this host. "
            "Download it there, or name the model as hub:ORG/NAME"
        )
    return folder


def _hub_name(cell: Cell) -> str:
    return cell.model.removeprefix("hub:").partition("@")[0]


def _at_revision(cell: Cell) -> Cell:
    """Return the cell with the pinned revision of its Hub model as the flag that vLLM takes."""
    revision = cell.model.partition("@")[2] if cell.model.startswith("hub:") else ""
    if not revision or cell.arg("revision") is not None:
        return cell
    return replace(cell, engine_args=tuple(sorted((*cell.engine_args, ("revision", revision)))))


def _hf_cache() -> Path:
    folder = Path(os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _compile_cache(cache_dir: Path, image: str) -> Path:
    # One folder an image: compiled code of one vLLM must not meet another.
    folder = cache_dir / "vllm" / hashlib.sha256(image.encode()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def reproducing_spec(placed: PlacedCell, cache_dir: Path) -> EngineSpec:
    """Return the container of a cell as a run on this host would start it, for people to read.

    Args:
        placed: The cell; where it cannot run here, it is shown without devices.
        cache_dir: Folder of caches and synthetic checkpoints.
    """
    settings = LaunchSettings(run_id="by-hand", run_dir=cache_dir, cache_dir=cache_dir)
    devices = placed.devices[: placed.cell.device_count]
    lease = LeasedDevices() if placed.vendor == "cpu" else leased(devices)
    model = _model_folder(placed.cell, cache_dir)
    return container_spec(placed, settings, lease=lease, model=model)


def _container_vendor(placed: PlacedCell) -> Vendor:
    vendor = _CONTAINER_VENDORS.get(placed.vendor)
    if vendor is None:
        raise UsageError(f"{placed.cell}: containers on {placed.vendor} cannot be started yet")
    return vendor
