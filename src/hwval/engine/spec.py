"""Turns a cell into the exact run of its engine, without starting anything.

Pure, so that the reproducing command line and the container that really runs come from the same
value, and so that every rule about devices and privileges is tested without any hardware.
"""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from typing import Literal

from hwval.cell import ArgValue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.cell import Weights
from hwval.errors import UsageError

__all__ = [
    "API_KEY_VARIABLE",
    "EngineSpec",
    "LeasedDevices",
    "Mount",
    "Program",
    "Vendor",
    "build_spec",
    "rank_count",
    "serve_arguments",
]

Vendor = Literal["cpu", "rocm", "cuda", "tpu"]
Program = Literal["vllm", "infinity"]
"""Servers whose command line is known here."""

API_KEY_VARIABLE: Final = "VLLM_API_KEY"
"""Variable that vLLM reads its key from; a flag would show in process lists and logs."""

# Set here for every engine: a matrix that named them too would contradict its own cell.
_OWN_FLAGS: Final = frozenset({"api-key", "dtype", "host", "model", "port", "served-model-name"})
_INFINITY_FLAGS: Final = (_OWN_FLAGS - {"model"}) | {"device", "model-id", "url-prefix"}
_API_KEY_VARIABLES: Final[dict[Program, str]] = {
    "vllm": API_KEY_VARIABLE,
    "infinity": "INFINITY_API_KEY",
}
_KFD: Final = "/dev/kfd"
_RENDER_NODE: Final = "/dev/dri/renderD"
_VFIO: Final = "/dev/vfio/"
_INFINITY_ENVIRONMENT: Final = {
    "DO_NOT_TRACK": "1",  # it tells its author of every start
    # Its log is a table as wide as a terminal, where lines are broken within words that tell why.
    "COLUMNS": "200",
    # An error at the start would show all variables, the key among them, in a frame.
    "_TYPER_STANDARD_TRACEBACK": "1",
}
_HF_HOME: Final = "/cache/huggingface"
_VLLM_CACHE: Final = "/cache/vllm"
_DEFAULT_SHM_BYTES: Final = 16 * 2**30


def serve_arguments(cell: Cell, *, model_argument: str, host: str, port: int) -> tuple[str, ...]:
    """Return what follows ``vllm serve`` for a cell, the same in every kind of engine.

    Args:
        cell: The cell.
        model_argument: What vLLM shall load: a path as the engine sees it, or a Hub name.
        host: Address to listen on.
        port: TCP port to listen on, 1-65535.

    Raises:
        UsageError: The cell's engine arguments name a flag that this function sets itself.

    Source: ``vllm serve --help`` of 0.32.0. ``auto`` is vLLM's own default for ``--dtype``.
    """
    _refuse_own_flags(
        cell, _OWN_FLAGS | ({"load-format"} if cell.weights is Weights.DUMMY else frozenset())
    )
    arguments = [model_argument, "--host", host, "--port", str(port)]
    arguments += ["--served-model-name", cell.model]
    if cell.dtype is not Dtype.AUTO:
        arguments += ["--dtype", cell.dtype.value]
    if cell.weights is Weights.DUMMY:
        arguments += ["--load-format", "dummy"]
    for name, value in cell.engine_args:
        arguments += _flag(name, value)
    return tuple(arguments)


def _infinity_arguments(
    cell: Cell, *, model_argument: str, host: str, port: int, vendor: Vendor
) -> tuple[str, ...]:
    """Return what follows ``infinity_emb`` for a cell.

    Its routes stand below ``/v1`` like those of other servers here, its health does not.

    Raises:
        UsageError: The cell's engine arguments name a flag that this function sets itself, or its
            weights are not real.

    Source: github.com/michaelfeil/infinity, libs/infinity_emb/infinity_emb/cli.py (``v2``),
    infinity_server.py (routes) and primitives.py (devices: ROCm answers to torch's ``cuda``).
    """
    if cell.weights is Weights.DUMMY:
        raise UsageError(f"build the command of {cell.id}: Infinity has no dummy weights")
    _refuse_own_flags(cell, _INFINITY_FLAGS)
    arguments = ["v2", "--model-id", model_argument, "--served-model-name", cell.model]
    arguments += ["--host", host, "--port", str(port), "--url-prefix", "/v1"]
    arguments += ["--device", "cpu" if vendor == "cpu" else "cuda"]
    if cell.dtype is not Dtype.AUTO:
        arguments += ["--dtype", cell.dtype.value]
    for name, value in cell.engine_args:
        arguments += _flag(name, value)
    return tuple(arguments)


def _refuse_own_flags(cell: Cell, own: frozenset[str]) -> None:
    taken = sorted(own.intersection(name for name, _ in cell.engine_args))
    if taken:
        raise UsageError(
            f"build the command of {cell.id}: engine argument {', '.join(taken)}, expected none of "
            f"{', '.join(sorted(own))}: they follow from the cell. Remove it from the matrix."
        )


def _flag(name: str, value: ArgValue) -> tuple[str, ...]:
    if isinstance(value, bool):
        return (f"--{name}" if value else f"--no-{name}",)
    text = str(value)
    # argparse takes a word that starts with a dash for the next flag.
    return (f"--{name}={text}",) if text.startswith("-") else (f"--{name}", text)


@dataclass(frozen=True, slots=True)
class Mount:
    """A folder or file of the host inside the container.

    Attributes:
        source: Absolute path on the host; it must exist.
        target: Absolute path in the container.
        read_only: Whether the container may only read.
    """

    source: Path
    target: str
    read_only: bool


@dataclass(frozen=True, slots=True)
class LeasedDevices:
    """The share of this host that one engine may use.

    Attributes:
        indices: Positions of the devices as the vendor's tools count them.
        nodes: Device nodes of these devices alone, for example ``/dev/dri/renderD128``.
        group_ids: Numeric groups that own the nodes on this host; names may not exist in an image.
        uuids: Identities of the devices, where the vendor gives them.
        cpus: Logical processors, empty for all.
    """

    indices: tuple[int, ...] = ()
    nodes: tuple[str, ...] = ()
    group_ids: tuple[int, ...] = ()
    uuids: tuple[str, ...] = ()
    cpus: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class EngineSpec:
    """One container of an engine, complete; the values of secrets are not in it.

    Attributes:
        cell_id: The cell it serves.
        image: Image reference.
        entrypoint: What replaces the image's entrypoint, None to keep it.
        command: What follows the entrypoint.
        environment: Variables in the order they are set.
        secret_names: Variables of the host that are passed on by name where they are set.
        api_key_variable: Variable that the server reads its key from.
        mounts: Folders of the host.
        devices: Device nodes of the host, under the same path in the container.
        group_ids: Groups that the process gets besides its own.
        nvidia_devices: Identities or indices for a request to NVIDIA's container runtime.
        shm_bytes: Size of ``/dev/shm``, None for the runtime's default.
        ipc_host: Whether it shares the host's memory segments.
        memlock_unlimited: Whether it may lock memory without limit, for devices that read it.
        cpuset: Logical processors, as ``0-3,8``; None for all.
        memory_bytes: Limit, without swap; None for none.
        privileges: Names that the matrix asked for; docs/matrix.md has them.
        port: TCP port that the server listens on inside the container.
    """

    cell_id: str
    image: str
    entrypoint: tuple[str, ...] | None
    command: tuple[str, ...]
    environment: tuple[tuple[str, str], ...] = ()
    secret_names: tuple[str, ...] = ()
    api_key_variable: str = API_KEY_VARIABLE
    mounts: tuple[Mount, ...] = ()
    devices: tuple[str, ...] = ()
    group_ids: tuple[int, ...] = ()
    nvidia_devices: tuple[str, ...] = ()
    shm_bytes: int | None = None
    ipc_host: bool = False
    memlock_unlimited: bool = False
    cpuset: str | None = None
    memory_bytes: int | None = None
    privileges: tuple[str, ...] = ()
    port: int = 8000


def build_spec(
    cell: Cell,
    *,
    vendor: Vendor,
    serve: tuple[str, ...],
    model_argument: str,
    lease: LeasedDevices,
    mounts: tuple[Mount, ...] = (),
    entrypoint: tuple[str, ...] | None = None,
    hf_cache: Path | None = None,
    vllm_cache: Path | None = None,
    secret_names: tuple[str, ...] = ("HF_TOKEN",),
    port: int = 8000,
    program: Program = "vllm",
) -> EngineSpec:
    """Return the container that serves ``cell`` with the leased devices and nothing more.

    Args:
        cell: The cell.
        vendor: Whose devices the cell runs on.
        serve: What must stand before vLLM's arguments after the image's entrypoint: nothing for
            an image whose entrypoint is ``vllm serve``, those two words for one without.
        model_argument: The model as the container sees it: absolute path or Hub name.
        lease: Devices and processors of this engine.
        mounts: Further folders, for example the model's.
        entrypoint: Replacement for the image's entrypoint, None to keep it.
        hf_cache: Host folder that becomes ``HF_HOME``.
        vllm_cache: Host folder that becomes ``VLLM_CACHE_ROOT``, where compiled code is kept.
        secret_names: Variables of the host to pass by name.
        port: Port inside the container; with ``host-network`` a free port of the host.
        program: What the image starts.

    Raises:
        UsageError: An engine argument that follows from the cell.

    Source of each vendor's devices and variables: docs/design/0015-devices-of-containers.md.
    """
    ipc_host = "ipc-host" in cell.privileges
    # On the host's network an open port would be open to everyone.
    host = "127.0.0.1" if "host-network" in cell.privileges else "0.0.0.0"  # noqa: S104
    if program == "infinity":
        arguments = _infinity_arguments(
            cell, model_argument=model_argument, host=host, port=port, vendor=vendor
        )
    else:
        arguments = serve_arguments(cell, model_argument=model_argument, host=host, port=port)
    folders = (("HF_HOME", hf_cache, _HF_HOME), ("VLLM_CACHE_ROOT", vllm_cache, _VLLM_CACHE))
    caches = {
        name: Mount(source, target, read_only=False)
        for name, source, target in folders
        if source is not None
    }
    variables = {name: mount.target for name, mount in caches.items()}
    variables |= _derived_environment(program, model_argument)
    variables |= _device_environment(cell, vendor, lease, program)
    variables |= dict(cell.environment)  # what the matrix says wins
    return EngineSpec(
        cell_id=cell.id,
        image=cell.image,
        entrypoint=entrypoint,
        command=serve + arguments,
        environment=tuple(variables.items()),
        secret_names=secret_names,
        api_key_variable=_API_KEY_VARIABLES[program],
        mounts=(*mounts, *caches.values()),
        devices=_device_nodes(vendor, lease),
        group_ids=lease.group_ids if vendor in {"rocm", "tpu"} else (),
        nvidia_devices=_nvidia_devices(lease) if vendor == "cuda" else (),
        shm_bytes=None if ipc_host else cell.shm_bytes or _DEFAULT_SHM_BYTES,
        ipc_host=ipc_host,
        memlock_unlimited=vendor == "tpu",
        cpuset=_ranges(lease.cpus) or None,
        memory_bytes=cell.memory_bytes,
        privileges=cell.privileges,
        port=port,
    )


def _nvidia_devices(lease: LeasedDevices) -> tuple[str, ...]:
    # Indices change with a reboot or a card that falls off the bus; identities do not.
    return lease.uuids or tuple(str(index) for index in lease.indices)


def _device_nodes(vendor: Vendor, lease: LeasedDevices) -> tuple[str, ...]:
    """Return the leased nodes and the one that all devices of a vendor share."""
    nodes = lease.nodes
    if vendor == "rocm":
        return tuple(dict.fromkeys((_KFD, *nodes)))
    if vendor == "tpu" and any(node.startswith(_VFIO) for node in nodes):
        return tuple(dict.fromkeys((f"{_VFIO}vfio", *nodes)))
    return nodes if vendor == "tpu" else ()


def _derived_environment(program: Program, model_argument: str) -> dict[str, str]:
    """Return the variables that follow from the model and the server."""
    variables = {"HF_HUB_OFFLINE": "1"} if model_argument.startswith("/") else {}
    return variables | (_INFINITY_ENVIRONMENT if program == "infinity" else {})


def _device_environment(
    cell: Cell, vendor: Vendor, lease: LeasedDevices, program: Program
) -> dict[str, str]:
    """Return the variables that make the leased devices the visible ones."""
    leased = ",".join(map(str, lease.indices))
    # A privileged container sees all nodes of the host, whatever it was given.
    sees_all = "privileged" in cell.privileges
    if vendor == "rocm":
        # The runtime sees only devices whose nodes it can open, and counts them from 0.
        count = sum(node.startswith(_RENDER_NODE) for node in lease.nodes)
        visible = leased if sees_all else ",".join(map(str, range(count)))
        return {"HIP_VISIBLE_DEVICES": visible} if visible else {}
    if vendor == "cuda":
        visible = ",".join(_nvidia_devices(lease))
        return {"CUDA_VISIBLE_DEVICES": visible} if visible and sees_all else {}
    if vendor == "tpu":
        # Nodes keep their numbers in the container, and chips are named by them.
        return {"TPU_VISIBLE_CHIPS": leased} if leased else {}
    binding = _omp_binding(cell, lease.cpus) if program == "vllm" else ""
    return {"VLLM_CPU_OMP_THREADS_BIND": binding} if binding else {}


def _omp_binding(cell: Cell, cpus: Sequence[int]) -> str:
    """Return one processor list for each worker, empty where they do not suffice.

    Source: vllm/utils/ompmultiprocessing.py of 0.32.0: lists are separated by ``|``, and there
    must be as many as workers on this machine.
    """
    workers = rank_count(cell)
    share = len(cpus) // workers
    ordered = sorted(cpus)
    lists = (ordered[rank * share : (rank + 1) * share] for rank in range(workers))
    return "|".join(_ranges(part) for part in lists) if share else ""


def rank_count(cell: Cell) -> int:
    """Return how many ranks the engine of a cell has, by its three sizes of parallelism, >= 1."""
    ranks = cell.tensor_parallel_size
    for axis in ("pipeline-parallel-size", "data-parallel-size"):
        given = cell.arg(axis)
        ranks *= given if isinstance(given, int) and given > 0 else 1
    return max(ranks, 1)


def _ranges(numbers: Iterable[int]) -> str:
    """Return numbers as the kernel writes lists of processors: ``0-3,8``."""
    runs: list[list[int]] = []
    for number in sorted(set(numbers)):
        if runs and number == runs[-1][-1] + 1:
            runs[-1] = [runs[-1][0], number]
        else:
            runs.append([number])
    return ",".join("-".join(map(str, run)) for run in runs)
