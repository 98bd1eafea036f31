"""From a placed cell to the container that would be started."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from hwval.catalogue import Server
from hwval.catalogue import Vendor
from hwval.catalogue import load_catalogue
from hwval.cell import Cell
from hwval.cell import Dtype
from hwval.engine.external import ExternalEngine
from hwval.engine.spec import EngineSpec
from hwval.engine.spec import LeasedDevices
from hwval.errors import HostError
from hwval.errors import ModelSourceError
from hwval.errors import UsageError
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.launch import LaunchSettings
from hwval.launch import container_spec
from hwval.launch import lease_for
from hwval.launch import log_file_name
from hwval.launch import make_engine
from hwval.launch import reproducing_spec
from hwval.launch import tokenizer_folder
from hwval.matrix import Deadlines
from hwval.matrix import MatrixEntry
from hwval.matrix import PromisesSection
from hwval.placement import PlacedCell

MI60 = tuple(
    Device(
        f"amd-{index}", "rocm", "gfx906", index=index,
        nodes=(DeviceNode(f"/dev/dri/renderD{128 + index}", 44),),
    )
    for index in range(2)
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LaunchSettings:
    """Settings whose folders are the test's own."""
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    return LaunchSettings(run_id="r1", run_dir=tmp_path / "run", cache_dir=tmp_path / "cache")


def placed(
    image: str = "hwval/fake-vllm:0.32.0",
    model: str = "hub:org/name",
    *,
    vendor: Vendor = Vendor.CPU,
    **fields: object,
) -> PlacedCell:
    """Place a cell; `fields` are further ones of it."""
    cell = Cell("any", 1, image, model, Dtype.FLOAT16)
    cell = replace(cell, **fields)  # type: ignore[arg-type] # fields of several types
    catalogue = load_catalogue()
    entry = MatrixEntry(
        cell, PromisesSection(), Deadlines(), (), "m.yaml:1", ("LAB_TOKEN",), catalogue=catalogue
    )
    return PlacedCell(entry, catalogue.image(image), vendor, devices=MI60)


def spec_of(cell: PlacedCell, settings: LaunchSettings, **lease: tuple[object, ...]) -> EngineSpec:
    devices = LeasedDevices(**lease)  # type: ignore[arg-type] # fields of several types
    return container_spec(cell, settings, lease=devices, model=None)


def test_processor_gets_its_cores_alone(settings: LaunchSettings) -> None:
    """No device nodes, no requests; the cores of its lease and threads bound to them."""
    spec = spec_of(placed(), settings, cpus=(2, 3))

    assert (spec.devices, spec.nvidia_devices, spec.cpuset) == ((), (), "2-3")
    assert dict(spec.environment)["VLLM_CPU_OMP_THREADS_BIND"] == "2-3"


def test_amd_gets_the_nodes_of_its_lease(settings: LaunchSettings) -> None:
    """The common node and those of the leased devices, with the group that owns them."""
    spec = spec_of(
        placed(vendor=Vendor.ROCM), settings, nodes=("/dev/dri/renderD129",), group_ids=(44,)
    )

    assert spec.devices == ("/dev/kfd", "/dev/dri/renderD129")
    assert spec.group_ids == (44,)


def test_nvidia_is_asked_for_by_identity(settings: LaunchSettings) -> None:
    """Indices change with a reboot."""
    spec = spec_of(placed(vendor=Vendor.CUDA), settings, uuids=("GPU-a",), indices=(3,))

    assert (spec.nvidia_devices, spec.devices) == (("GPU-a",), ())


def test_tpu_gets_its_chips(settings: LaunchSettings) -> None:
    """The chips of the lease by their numbers, and memory that may be locked."""
    spec = spec_of(
        placed("vllm/vllm-tpu:latest", vendor=Vendor.TPU), settings,
        nodes=("/dev/accel2", "/dev/accel3"), indices=(2, 3),
    )  # fmt: skip

    assert spec.devices == ("/dev/accel2", "/dev/accel3")
    assert dict(spec.environment)["TPU_VISIBLE_CHIPS"] == "2,3"
    assert spec.memlock_unlimited


def test_infinity_is_started_in_its_own_words(settings: LaunchSettings) -> None:
    """Its own command, port and variable for the key; it keeps no compiled code."""
    cell = placed("michaelf34/infinity:0.0.77", "hub:org/name@abc", dtype=Dtype.FLOAT32)
    spec = spec_of(cell, settings)

    assert spec.command[:3] == ("v2", "--model-id", "org/name")
    assert spec.command[spec.command.index("--revision") + 1] == "abc"
    assert (spec.port, spec.api_key_variable) == (7997, "INFINITY_API_KEY")
    assert "VLLM_CACHE_ROOT" not in dict(spec.environment)
    assert dict(spec.environment)["DO_NOT_TRACK"] == "1"


def test_image_whose_entrypoint_differs_gets_one(settings: LaunchSettings) -> None:
    """Tags of vLLM-Omni start different things: what starts is said with the run."""
    spec = spec_of(placed("vllm/vllm-omni:v0.14.0", vendor=Vendor.CUDA), settings)

    assert spec.entrypoint == ("vllm", "serve")
    assert spec.command[0] == "org/name"


def test_engines_on_the_hosts_network_get_ports_of_their_own(settings: LaunchSettings) -> None:
    """There the image's own port could be another engine's; elsewhere each has it to itself."""
    shared = placed(privileges=("host-network",))
    engines = [
        make_engine(shared, settings, lease=LeasedDevices(), progress=print) for _ in range(2)
    ]
    ports = [engine.command_line.split("--port ")[1].split()[0] for engine in engines]

    assert "8000" not in ports
    assert (
        "--port 8000"
        in make_engine(placed(), settings, lease=LeasedDevices(), progress=print).command_line
    )


def test_server_that_nobody_knows_to_start_is_refused(settings: LaunchSettings) -> None:
    """The message says what to do instead."""
    known = placed()
    unknown = replace(known, image=known.image.model_copy(update={"server": Server.SGLANG}))
    with pytest.raises(UsageError, match=r"container of sglang is started; .*--engine-url"):
        spec_of(unknown, settings)


def test_group_of_the_shared_node_is_passed_too(
    settings: LaunchSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some hosts give /dev/kfd another group than the render nodes."""
    shared = tmp_path / "kfd"
    shared.touch()
    if os.geteuid() == 0:
        os.chown(shared, -1, 992)
    monkeypatch.setattr("hwval.launch._KFD", shared)
    groups = reproducing_spec(placed(vendor=Vendor.ROCM), settings.cache_dir).group_ids

    assert groups == tuple(sorted({44, shared.stat().st_gid}))


@pytest.mark.parametrize(
    ("image", "command"),
    [
        ("vllm/vllm-openai:v0.32.0", ("org/name",)),
        ("vllm/vllm-openai:v0.10.0", ("--model", "org/name")),
        ("rocm/vllm:v0.32.0", ("vllm", "serve", "org/name")),
        ("vllm/vllm-openai-rocm:v0.11.0", ("vllm", "serve", "org/name")),
        ("vllm/vllm-openai-rocm:v0.32.0", ("org/name",)),
    ],
    ids=["serve", "old-api-server", "shell", "old-shell", "rocm-serve"],
)
def test_command_fits_what_the_image_starts(
    image: str, command: tuple[str, ...], settings: LaunchSettings
) -> None:
    """Old images take the model by a flag, some need the command in full."""
    spec = spec_of(placed(image, vendor=Vendor.CUDA), settings)

    assert spec.command[: len(command) + 1] == (*command, "--host")


def test_revision_of_a_hub_model_is_pinned(settings: LaunchSettings) -> None:
    """What the matrix pins is what is loaded; the name stays the cell's own."""
    spec = spec_of(placed(model="hub:org/name@0a1b2c"), settings)
    words = list(spec.command)

    assert words[0] == "org/name"
    assert words[words.index("--revision") + 1] == "0a1b2c"
    assert words[words.index("--served-model-name") + 1] == "hub:org/name@0a1b2c"
    assert spec.cell_id == "any__hwval-fake-vllm-0.32.0__hub-org-name-0a1b2c__float16"


@pytest.mark.parametrize("model", ["hub:org/name", "org/name"])
def test_model_without_a_revision_has_no_flag(model: str, settings: LaunchSettings) -> None:
    """vLLM's own default stays."""
    assert "--revision" not in spec_of(placed(model=model), settings).command


def test_revision_that_the_matrix_sets_as_a_flag_stays(settings: LaunchSettings) -> None:
    """Nothing is passed twice."""
    cell = placed(model="hub:org/name@a", engine_args=(("revision", "b"),))

    assert spec_of(cell, settings).command.count("--revision") == 1


def test_hub_model_gets_the_shared_cache(settings: LaunchSettings) -> None:
    """Nothing is downloaded or compiled twice; one compile cache an image."""
    targets = {mount.target: mount.source for mount in spec_of(placed(), settings).mounts}
    other = spec_of(placed("hwval/vllm-cpu:0.32.0"), settings)

    assert targets["/cache/huggingface"].name == "hf"
    assert targets["/cache/vllm"].parent == settings.cache_dir / "vllm"
    assert targets["/cache/vllm"] not in {mount.source for mount in other.mounts}


def test_local_model_is_mounted_to_be_read(settings: LaunchSettings, tmp_path: Path) -> None:
    """The container sees the one folder, and asks no hub."""
    folder = tmp_path / "weights"
    spec = container_spec(placed(model=str(folder)), settings, lease=LeasedDevices(), model=folder)
    (mount,) = (mount for mount in spec.mounts if mount.source == folder)

    assert (mount.target, mount.read_only, spec.command[0]) == (
        "/models/weights", True, "/models/weights",
    )  # fmt: skip
    assert dict(spec.environment)["HF_HUB_OFFLINE"] == "1"
    assert "HF_HOME" not in dict(spec.environment)


def test_secrets_are_names(settings: LaunchSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values of the host's variables are in no part of the container's description."""
    monkeypatch.setenv("LAB_TOKEN", "s3cret")
    spec = spec_of(placed(), settings)

    assert spec.secret_names == ("HF_TOKEN", "LAB_TOKEN")
    assert "s3cret" not in repr(spec)


def test_missing_folder_of_a_model_is_the_labs(settings: LaunchSettings) -> None:
    """Told before anything is started, with the cell and what to do."""
    with pytest.raises(ModelSourceError, match=r"/no/such: ?.*|/no/such is no folder on this host"):
        make_engine(
            placed(model="/no/such"), settings, lease=LeasedDevices(), progress=lambda _: None
        )


def test_reproducing_line_uses_the_cells_own_devices(settings: LaunchSettings) -> None:
    """As many as the cell needs, of those that fit here."""
    spec = reproducing_spec(placed(vendor=Vendor.ROCM), settings.cache_dir)

    assert spec.devices == ("/dev/kfd", "/dev/dri/renderD128")


def test_running_server_needs_neither_lease_nor_model(settings: LaunchSettings) -> None:
    """It is asked as it is."""
    outside = replace(settings, external_url="http://lab:8000/v1")
    cell = placed(model="/no/such")
    with lease_for(cell, outside, progress=lambda _: None) as lease:
        engine = make_engine(cell, outside, lease=lease, progress=lambda _: None)

    assert isinstance(engine, ExternalEngine)
    assert (engine.name, lease) == ("http://lab:8000", LeasedDevices())


def test_cores_are_shared_out_to_those_who_run_at_the_same_time(settings: LaunchSettings) -> None:
    """More engines than processors is a host that lacks something, not a failure of vLLM."""
    crowded = replace(settings, cpu_slots=100_000)

    with (
        pytest.raises(HostError, match="Run fewer cells at the same time"),
        lease_for(placed(), crowded, progress=lambda _: None),
    ):
        pass


def test_devices_are_leased_one_by_one(settings: LaunchSettings) -> None:
    """Two cells of one device each share a host of two; each sees its own node alone."""
    cell = placed(vendor=Vendor.ROCM)
    with (
        lease_for(cell, settings, progress=lambda _: None) as first,
        lease_for(cell, settings, progress=lambda _: None) as second,
    ):
        nodes = {*first.nodes, *second.nodes}

    assert nodes == {"/dev/dri/renderD128", "/dev/dri/renderD129"}


def test_log_names_fit_every_file_system() -> None:
    """Long ids are cut and still told apart."""
    long = placed(model="hub:" + "m" * 300).cell
    other = placed(model="hub:" + "m" * 301).cell

    assert log_file_name(placed().cell) == f"{placed().cell.id}.log"
    assert len(log_file_name(long)) < 200
    assert log_file_name(long) != log_file_name(other)


def test_measured_engine_leaves_a_processor_to_its_client(
    settings: LaunchSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others get all of them, and a single one is shared."""
    cpus = {0, 1, 2, 3}
    monkeypatch.setattr(os, "sched_getaffinity", lambda _pid: cpus)
    plain = placed()
    promises = PromisesSection.model_validate({"performance": {"offline": {}}})
    measured = replace(plain, entry=replace(plain.entry, promises=promises))

    def leased_to(cell: PlacedCell, slots: int = 1) -> tuple[int, ...]:
        shared = replace(settings, cpu_slots=slots)
        with lease_for(cell, shared, progress=lambda _line: None) as lease:
            return lease.cpus

    assert (leased_to(plain), leased_to(measured)) == ((0, 1, 2, 3), (0, 1, 2))
    assert leased_to(measured, slots=4) == (0,)
    cpus = {5}
    assert leased_to(measured) == (5,)


def test_idle_container_has_all_but_the_engine(settings: LaunchSettings) -> None:
    """Devices, mounts and variables are the cell's; its log is another file."""
    cell, lease = placed(), LeasedDevices()
    engines = [
        make_engine(cell, settings, lease=lease, progress=lambda _line: None, idle=idle)
        for idle in (False, True)
    ]
    serving, idle = (engine.command_line for engine in engines)
    start = "--entrypoint sh"

    assert start in idle
    assert "exec sleep infinity" in idle
    assert start not in serving
    assert [engine.log_path for engine in engines] == [
        settings.run_dir / "logs" / log_file_name(cell.cell),
        settings.run_dir / "logs" / f"{cell.cell.id}.idle.log",
    ]


def test_tokenizer_is_the_models_own(settings: LaunchSettings, tmp_path: Path) -> None:
    """In its folder, if it has one there; a model that was not fetched has none."""
    made = tokenizer_folder(placed(model="synthetic:llama").cell, settings.cache_dir)
    assert made is not None
    assert (made / "tokenizer.json").is_file()
    assert tokenizer_folder(placed(model=str(tmp_path)).cell, settings.cache_dir) is None
    assert tokenizer_folder(placed(model="hub:org/never").cell, settings.cache_dir) is None
    assert tokenizer_folder(placed(model="/not/there").cell, settings.cache_dir) is None
