"""From a placed cell to an engine that can be started: its devices, its model's files, its kind."""

from __future__ import annotations

import hashlib
import os
import socket
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
from hwval.catalogue import Server
from hwval.cell import Cell
from hwval.engine.base import Engine
from hwval.engine.lease import cpu_slots
from hwval.engine.lease import lease_cpus
from hwval.engine.lease import lease_devices
from hwval.engine.lease import leased
from hwval.engine.spec import EngineSpec
from hwval.engine.spec import LeasedDevices
from hwval.engine.spec import Mount
from hwval.engine.spec import Program
from hwval.engine.spec import Vendor
from hwval.engine.spec import build_spec
from hwval.errors import ModelSourceError
from hwval.errors import UsageError
from hwval.forecast.hub import hub_folder
from hwval.placement import EXTERNAL_KEY_VARIABLE
from hwval.placement import PlacedCell

__all__ = [
    "LaunchSettings",
    "container_spec",
    "file_stem",
    "hub_name",
    "lease_for",
    "make_engine",
    "reproducing_spec",
    "tokenizer_folder",
]

Progress = Callable[[str], None]
_KFD: Final = Path("/dev/kfd")
# The engine's own command stays, as words that the shell does not look at.
_SLEEP: Final = ("sh", "-c", "exec sleep infinity")
_MODELS_IN_CONTAINER: Final = "/models"
_VENDORS: Final[dict[str, Vendor]] = {"cpu": "cpu", "rocm": "rocm", "cuda": "cuda", "tpu": "tpu"}
_PROGRAMS: Final[dict[Server, Program]] = {Server.VLLM: "vllm", Server.INFINITY: "infinity"}


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
        slots = cpu_slots(settings.cpu_slots, _processors(placed, settings.cpu_slots))
        with lease_cpus(slots, cache_dir=folder, progress=progress, owner=cell.id) as lease:
            yield lease
        return
    devices, count = placed.devices, placed.lease_count
    with lease_devices(devices, count, cache_dir=folder, progress=progress, owner=cell.id) as lease:
        yield _with_shared_groups(lease)


def _processors(placed: PlacedCell, slots: int) -> list[int]:
    """Return the processors that engines may have.

    One stays free for what measures them, where there are more than engines.
    """
    cpus = sorted(os.sched_getaffinity(0))
    is_measured = placed.entry.promises.performance.is_asked
    return cpus[:-1] if is_measured and len(cpus) > slots else cpus


def _with_shared_groups(lease: LeasedDevices) -> LeasedDevices:
    """Add the group of the node that all AMD devices share: it need not be that of their own."""
    try:
        shared = _KFD.stat().st_gid
    except OSError:
        return lease  # no AMD host
    return replace(lease, group_ids=tuple(sorted({*lease.group_ids, shared})))


def make_engine(
    placed: PlacedCell,
    settings: LaunchSettings,
    *,
    lease: LeasedDevices,
    progress: Progress,
    idle: bool = False,
) -> Engine:
    """Return the engine of a cell, not started; prepares what it needs first.

    Args:
        placed: The cell and its place.
        settings: Of the run.
        lease: The devices that it may use.
        progress: Told what takes time.
        idle: Whether it is only a place for other commands: a container that serves nothing.

    Raises:
        LabError: The environment or the model's files cannot be had.
    """
    cell = placed.cell
    if settings.external_url is not None:
        from hwval.engine.external import ExternalEngine

        return ExternalEngine(settings.external_url, api_key_variable=EXTERNAL_KEY_VARIABLE)
    model = _model_folder(cell, settings.cache_dir)
    name = f"{file_stem(cell)}.idle.log" if idle else log_file_name(cell)
    log_path = settings.run_dir / "logs" / name
    log_path.parent.mkdir(parents=True, exist_ok=True)
    if placed.image.engine is EngineKind.VENV:
        from hwval.engine.environment import prepare_environment
        from hwval.engine.venv import VenvEngine

        return VenvEngine(
            _at_revision(cell),
            environment=prepare_environment(settings.cache_dir, progress=progress),
            model_argument=str(model) if model else hub_name(cell),
            lease=lease,
            log_path=log_path,
            cache_dir=settings.cache_dir,
            secret_names=("HF_TOKEN", *placed.entry.pass_environment),
        )
    from hwval.engine.docker import DockerEngine

    # On the host's network the image's own port may be another engine's.
    port = _free_port() if "host-network" in cell.privileges else None
    spec = container_spec(placed, settings, lease=lease, model=model, port=port)
    return DockerEngine(
        replace(spec, entrypoint=_SLEEP) if idle else spec,
        log_path=log_path,
        run_id=settings.run_id,
        pull=settings.pull,
        progress=progress,
        pull_s=placed.entry.deadlines.pull_s,
    )


def container_spec(
    placed: PlacedCell,
    settings: LaunchSettings,
    *,
    lease: LeasedDevices,
    model: Path | None,
    port: int | None = None,
) -> EngineSpec:
    """Return the container of a cell.

    Args:
        placed: The cell and its place.
        settings: Of the run.
        lease: The devices it may use.
        model: Folder of the model's files on this host, None for a model of the Hub.
        port: Where it listens; the image's own port if None.

    Raises:
        UsageError: Nobody knows how such a container is started.
    """
    cell, image = placed.cell, placed.image
    is_vllm = image.server is Server.VLLM
    target = f"{_MODELS_IN_CONTAINER}/{model.name}" if model else hub_name(cell)
    spec = build_spec(
        _at_revision(cell),
        vendor=_VENDORS[placed.vendor],
        serve=image.serve_prefix,
        model_argument=target,
        lease=lease,
        mounts=(Mount(model, target, read_only=True),) if model else (),
        hf_cache=_hf_cache() if model is None else None,
        vllm_cache=_compile_cache(settings.cache_dir, cell.image) if is_vllm else None,
        secret_names=("HF_TOKEN", *placed.entry.pass_environment),
        entrypoint=image.entrypoint_override,
        port=port or image.port,
        program=_program(placed),
    )
    if image.entrypoint is Entrypoint.API_SERVER:
        return replace(spec, command=("--model", *spec.command))
    return spec


def _free_port() -> int:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        return int(unused.getsockname()[1])


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


def tokenizer_folder(cell: Cell, cache_dir: Path) -> Path | None:
    """Return the folder of a model's ``tokenizer.json``, None where this host has none."""
    if cell.model.startswith("hub:"):
        folder = hub_folder(cell.model.removeprefix("hub:"))
    elif cell.model.startswith("synthetic:") or Path(cell.model).is_dir():
        folder = _model_folder(cell, cache_dir)
    else:
        folder = None
    return folder if folder is not None and (folder / "tokenizer.json").is_file() else None


def hub_name(cell: Cell) -> str:
    """Return a cell's model as the Hub names it, without its revision."""
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
    devices = placed.devices[: placed.lease_count]
    lease = LeasedDevices() if placed.vendor == "cpu" else _with_shared_groups(leased(devices))
    model = _model_folder(placed.cell, cache_dir)
    return container_spec(placed, settings, lease=lease, model=model)


def _program(placed: PlacedCell) -> Program:
    program = _PROGRAMS.get(placed.image.server)
    if program is None:
        raise UsageError(
            f"{placed.cell}: nobody knows how a container of {placed.image.server} is started; "
            "start it by hand and give its address by --engine-url"
        )
    return program
