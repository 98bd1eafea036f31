"""How a cell becomes the run of an engine."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest

from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.cell import Weights
from hwval.engine.spec import EngineSpec
from hwval.engine.spec import LeasedDevices
from hwval.engine.spec import Mount
from hwval.engine.spec import Vendor
from hwval.engine.spec import build_spec
from hwval.engine.spec import serve_arguments
from hwval.errors import UsageError

CELL = Cell("cpu", 1, "org/image:1", "org/model", Dtype.FLOAT16)


def cell(**fields: Any) -> Cell:
    return dataclasses.replace(CELL, **fields)


def arguments(which: Cell) -> tuple[str, ...]:
    return serve_arguments(which, model_argument="/model", host="127.0.0.1", port=8123)


def spec_of(which: Cell = CELL, vendor: Vendor = "cpu", **options: Any) -> EngineSpec:
    lease = options.pop("lease", LeasedDevices())
    options = {"serve": (), "model_argument": "/model"} | options
    return build_spec(which, vendor=vendor, lease=lease, **options)


def test_arguments_of_a_plain_cell() -> None:
    """The model comes first, then the address, the name that is served, and the dtype."""
    assert arguments(CELL) == (
        "/model", "--host", "127.0.0.1", "--port", "8123",
        "--served-model-name", "org/model", "--dtype", "float16",
    )  # fmt: skip


def test_auto_dtype_is_left_to_vllm() -> None:
    """The dtype ``auto`` gives no flag."""
    assert "--dtype" not in arguments(cell(dtype=Dtype.AUTO))


def test_dummy_weights_ask_for_the_dummy_loader() -> None:
    """Dummy weights are vLLM's own load format."""
    given = arguments(cell(weights=Weights.DUMMY))
    assert given[given.index("--load-format") + 1] == "dummy"


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (True, ("--flag",)),
        (False, ("--no-flag",)),
        (4, ("--flag", "4")),
        (0.9, ("--flag", "0.9")),
        ('{"a": 1}', ("--flag", '{"a": 1}')),
        (-1, ("--flag=-1",)),
        ("-x", ("--flag=-x",)),
    ],
)
def test_engine_argument_becomes_a_flag(value: Any, words: tuple[str, ...]) -> None:
    """Each kind of value has its form on the command line."""
    assert arguments(cell(engine_args=(("flag", value),)))[-len(words) :] == words


def test_engine_arguments_keep_their_order() -> None:
    """Flags stand as the cell has them."""
    given = arguments(cell(engine_args=(("b", 1), ("a", 2))))
    assert given[-4:] == ("--b", "1", "--a", "2")


@pytest.mark.parametrize("name", ["port", "api-key", "dtype", "served-model-name"])
def test_argument_that_follows_from_the_cell_is_refused(name: str) -> None:
    """A matrix cannot say twice, and differently, what the cell says."""
    with pytest.raises(UsageError, match=rf"engine argument {name}, expected none of"):
        arguments(cell(engine_args=((name, "x"),)))


def test_load_format_is_free_for_real_weights_only() -> None:
    """Real weights may be loaded in any format, dummy ones in theirs alone."""
    own = (("load-format", "safetensors"),)
    assert arguments(cell(engine_args=own))[-2:] == ("--load-format", "safetensors")
    with pytest.raises(UsageError, match="load-format"):
        arguments(cell(engine_args=own, weights=Weights.DUMMY))


def test_command_follows_the_images_entrypoint() -> None:
    """What the image's entrypoint lacks stands before the arguments."""
    assert spec_of(serve=("vllm", "serve")).command[:3] == ("vllm", "serve", "/model")
    assert spec_of().command[0] == "/model"
    assert "0.0.0.0" in spec_of().command


def test_amd_gets_the_leased_nodes_and_no_more() -> None:
    """An AMD cell sees its own render nodes, the compute node and the numeric groups."""
    nodes = ("/dev/dri/renderD130", "/dev/dri/renderD131")
    lease = LeasedDevices(indices=(2, 3), nodes=nodes, group_ids=(44, 992))
    spec = spec_of(vendor="rocm", lease=lease)
    assert spec.devices == ("/dev/kfd", *nodes)
    assert spec.group_ids == (44, 992)
    assert dict(spec.environment)["HIP_VISIBLE_DEVICES"] == "0,1"
    assert spec.nvidia_devices == ()
    assert spec.privileges == ()


def test_shared_node_stands_once() -> None:
    """A probe that counts the shared node among the leased ones changes nothing."""
    lease = LeasedDevices(indices=(0,), nodes=("/dev/kfd", "/dev/dri/renderD128"))
    spec = spec_of(vendor="rocm", lease=lease)
    assert spec.devices == ("/dev/kfd", "/dev/dri/renderD128")
    assert dict(spec.environment)["HIP_VISIBLE_DEVICES"] == "0"


def test_privileged_container_is_told_which_devices_are_its_own() -> None:
    """It sees every device of the host, so masks count as the host does."""
    lease = LeasedDevices(indices=(2, 3), nodes=("/dev/dri/renderD130", "/dev/dri/renderD131"))
    amd = spec_of(cell(privileges=("privileged",)), "rocm", lease=lease)
    assert dict(amd.environment)["HIP_VISIBLE_DEVICES"] == "2,3"
    nvidia = LeasedDevices(indices=(1,), uuids=("GPU-a",))
    cuda = spec_of(cell(privileges=("privileged",)), "cuda", lease=nvidia)
    assert dict(cuda.environment)["CUDA_VISIBLE_DEVICES"] == "GPU-a"
    assert "CUDA_VISIBLE_DEVICES" not in dict(spec_of(vendor="cuda", lease=nvidia).environment)


@pytest.mark.parametrize(
    ("nodes", "devices"),
    [
        (("/dev/accel0", "/dev/accel1"), ("/dev/accel0", "/dev/accel1")),
        (("/dev/vfio/0",), ("/dev/vfio/vfio", "/dev/vfio/0")),
        ((), ()),
    ],
    ids=["own-driver", "vfio", "none-known"],
)
def test_tpu_gets_its_nodes(nodes: tuple[str, ...], devices: tuple[str, ...]) -> None:
    """Older chips have a driver of their own, newer ones go by VFIO and its common node."""
    spec = spec_of(vendor="tpu", lease=LeasedDevices(indices=(0,), nodes=nodes))
    assert spec.devices == devices
    assert spec.memlock_unlimited
    assert spec.privileges == ()
    assert dict(spec.environment)["TPU_VISIBLE_CHIPS"] == "0"


def test_nobody_but_a_tpu_locks_memory() -> None:
    """The limit of locked memory stays for all others."""
    for vendor in ("cpu", "rocm", "cuda"):
        assert not spec_of(vendor=vendor).memlock_unlimited


def infinity_of(which: Cell, **options: Any) -> tuple[str, ...]:
    return spec_of(which, program="infinity", port=7997, **options).command


def test_arguments_of_infinity() -> None:
    """Its command, and a prefix that makes its routes those of other servers."""
    assert infinity_of(CELL) == (
        "v2", "--model-id", "/model", "--served-model-name", "org/model",
        "--host", "0.0.0.0", "--port", "7997", "--url-prefix", "/v1",
        "--device", "cpu", "--dtype", "float16",
    )  # fmt: skip
    assert "--dtype" not in infinity_of(cell(dtype=Dtype.AUTO))


@pytest.mark.parametrize(("vendor", "device"), [("cuda", "cuda"), ("rocm", "cuda"), ("cpu", "cpu")])
def test_infinity_computes_on_the_leased_devices(vendor: Vendor, device: str) -> None:
    """ROCm answers to the name that torch gives NVIDIA's devices."""
    given = infinity_of(CELL, vendor=vendor)
    assert given[given.index("--device") + 1] == device


def test_flags_of_infinity_are_its_own() -> None:
    """Its flags follow; those that follow from the cell are refused, as are dummy weights."""
    assert infinity_of(cell(engine_args=(("batch-size", 8),)))[-2:] == ("--batch-size", "8")
    with pytest.raises(UsageError, match="engine argument url-prefix, expected none of"):
        infinity_of(cell(engine_args=(("url-prefix", "/x"),)))
    with pytest.raises(UsageError, match="Infinity has no dummy weights"):
        infinity_of(cell(weights=Weights.DUMMY))


def test_infinity_is_told_how_to_log() -> None:
    """Lines in one piece, no frame of variables around an error; its threads are its own affair."""
    leased = LeasedDevices(cpus=(0, 1))
    given = dict(spec_of(program="infinity", lease=leased).environment)

    assert (given["COLUMNS"], given["_TYPER_STANDARD_TRACEBACK"]) == ("200", "1")
    assert "VLLM_CPU_OMP_THREADS_BIND" not in given
    own = spec_of(cell(environment=(("COLUMNS", "80"),)), program="infinity").environment
    assert dict(own)["COLUMNS"] == "80"
    assert spec_of(lease=leased).environment == (
        ("HF_HUB_OFFLINE", "1"),
        ("VLLM_CPU_OMP_THREADS_BIND", "0-1"),
    )


def test_infinity_reads_its_key_from_its_own_variable() -> None:
    """A key in a flag would show in process lists; each server has its variable."""
    assert spec_of(program="infinity").api_key_variable == "INFINITY_API_KEY"
    assert spec_of().api_key_variable == "VLLM_API_KEY"


def test_nvidia_devices_go_by_identity() -> None:
    """A request names identities, and indices only where there are none."""
    with_ids = LeasedDevices(indices=(1,), uuids=("GPU-a",))
    assert spec_of(vendor="cuda", lease=with_ids).nvidia_devices == ("GPU-a",)
    without = LeasedDevices(indices=(1, 3))
    assert spec_of(vendor="cuda", lease=without).nvidia_devices == ("1", "3")
    assert spec_of(vendor="cuda", lease=with_ids).devices == ()


@pytest.mark.parametrize(
    ("args", "binding"),
    [
        ((), "0-3,8"),
        ((("tensor-parallel-size", 2),), "0-1|2-3"),
        ((("data-parallel-size", 2), ("tensor-parallel-size", 2)), "0|1|2|3"),
    ],
)
def test_cpu_workers_share_the_leased_processors(args: Any, binding: str) -> None:
    """Each worker is bound to its own share of the leased processors."""
    lease = LeasedDevices(cpus=(8, 0, 1, 2, 3))
    spec = spec_of(cell(engine_args=args), lease=lease)
    assert spec.cpuset == "0-3,8"
    assert dict(spec.environment)["VLLM_CPU_OMP_THREADS_BIND"] == binding


def test_no_binding_where_processors_do_not_suffice() -> None:
    """Fewer processors than workers leave the binding to vLLM."""
    args = (("tensor-parallel-size", 4),)
    spec = spec_of(cell(engine_args=args), lease=LeasedDevices(cpus=(0, 1)))
    assert "VLLM_CPU_OMP_THREADS_BIND" not in dict(spec.environment)


def test_cells_environment_wins() -> None:
    """What the matrix sets stands over what is derived."""
    own = (("HF_HUB_OFFLINE", "0"), ("VLLM_CPU_KVCACHE_SPACE", "4"))
    environment = dict(spec_of(cell(environment=own)).environment)
    assert environment == {"HF_HUB_OFFLINE": "0", "VLLM_CPU_KVCACHE_SPACE": "4"}


@pytest.mark.parametrize(("model", "offline"), [("/models/a", "1"), ("org/model", None)])
def test_local_models_ask_no_hub(model: str, offline: str | None) -> None:
    """A model in a folder is loaded without the Hub; one by name is not."""
    environment = dict(spec_of(model_argument=model).environment)
    assert environment.get("HF_HUB_OFFLINE") == offline


def test_caches_are_mounted_where_the_engine_looks() -> None:
    """Given caches are mounted to write and named in the environment."""
    spec = spec_of(hf_cache=Path("/hf"), vllm_cache=Path("/vc"))
    environment = dict(spec.environment)
    assert spec.mounts == (
        Mount(Path("/hf"), environment["HF_HOME"], read_only=False),
        Mount(Path("/vc"), environment["VLLM_CACHE_ROOT"], read_only=False),
    )
    assert spec_of().mounts == ()


def test_shared_memory_of_the_host_takes_the_place_of_its_own() -> None:
    """A size of its own would be refused beside it; other privileges stay as they are."""
    spec = spec_of(cell(privileges=("ipc-host", "ptrace")))
    assert spec.privileges == ("ipc-host", "ptrace")
    assert spec.ipc_host
    assert spec.shm_bytes is None


def test_host_network_listens_on_loopback_alone() -> None:
    """On the host's network the server must not be open to others."""
    spec = spec_of(cell(privileges=("host-network",)), port=8321)
    assert "127.0.0.1" in spec.command
    assert "0.0.0.0" not in spec.command
    assert "8321" in spec.command
