"""Checks of accelerators."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.doctor import State
from hwval.doctor import examine
from hwval.host import Device
from hwval.host import DeviceNode
from hwval.host import Host
from hwval.host import probe_host
from tests.doctor.examples import GIB
from tests.doctor.examples import MI60
from tests.doctor.examples import MI300X
from tests.doctor.examples import PLAIN
from tests.doctor.examples import RTX
from tests.doctor.examples import cells
from tests.doctor.examples import host_with
from tests.doctor.examples import matrix
from tests.doctor.examples import named
from tests.host.trees import mi300x
from tests.host.trees import strix_halo

MODEL = "Qwen/Qwen3-0.6B"
ROCM = "vllm/vllm-openai-rocm:v0.32.0"


def test_machine_in_order_has_no_remedies() -> None:
    """Nothing to do, nothing said."""
    checks = examine(host_with(MI300X))

    assert {check.state for check in checks} == {State.OK}
    assert {check.remedy for check in checks} == {""}


def closed(device: Device, group_id: int) -> Device:
    (node,) = device.nodes
    return replace(device, nodes=(replace(node, openable=False, group_id=group_id),))


def test_closed_nodes_name_their_numeric_group() -> None:
    """Which node, and how this user gets into its group."""
    check = named(examine(host_with(closed(MI60, 993))), "device-access")

    assert (check.state, check.text) == (
        State.PROBLEM,
        "this user may not open /dev/dri/renderD128",
    )
    assert "getent group 993" in check.remedy


def test_nodes_of_root_alone_need_their_rules() -> None:
    """No group to join."""
    check = named(examine(host_with(closed(MI60, 0))), "device-access")

    assert "udev" in check.remedy


@pytest.mark.parametrize(
    ("host", "state", "words"),
    [
        pytest.param(
            host_with(replace(MI60, nodes=())), State.PROBLEM, "no node under /dev", id="no-node"
        ),
        pytest.param(host_with(MI60, control_nodes=()), State.PROBLEM, "for /dev/kfd", id="no-kfd"),
        pytest.param(
            host_with(
                replace(MI60, nodes=(DeviceNode("/dev/dri/renderD128", 993),)),
                control_nodes=(DeviceNode("/dev/kfd", 110),),
            ),
            State.NOT_CHECKABLE,
            "groups 110, 993",
            id="saved-tree",
        ),
        pytest.param(host_with(RTX, control_nodes=()), State.OK, "1 nodes", id="nvidia"),
    ],
)
def test_nodes_are_there_and_open(host: Host, state: State, words: str) -> None:
    """AMD needs the shared node too; of a saved tree nobody knows who could open it."""
    check = named(examine(host), "device-access")

    assert check.state is state
    assert words in check.text


def test_matrix_wants_another_partition_mode(tmp_path: Path) -> None:
    """What is, what is wanted, and the commands."""
    host = host_with(MI300X)
    text = matrix("gfx942-mi300x-cpx-nps4", ROCM, MODEL)
    check = named(examine(host, cells(tmp_path, host, text)), "partition-mode")

    assert check.state is State.PROBLEM
    assert "1 devices are in SPX/NPS1, the matrix wants CPX/NPS4" in check.text
    assert "--memory-partition NPS4" in check.remedy


def test_partition_mode_of_a_cell_is_checked_too(tmp_path: Path) -> None:
    """`partition_mode` of a matrix divides whole cards."""
    host = host_with(MI300X)
    text = matrix("gfx942-mi300x", ROCM, MODEL, more="partition_mode: cpx/nps1\n")
    check = named(examine(host, cells(tmp_path, host, text)), "partition-mode")

    assert check.state is State.PROBLEM
    assert "wants CPX/NPS1" in check.text


def test_right_partition_mode_is_told(tmp_path: Path) -> None:
    """64 partitions of eight cards."""
    host = probe_host(mi300x(tmp_path / "tree", compute="CPX", memory="NPS4"))
    text = matrix("gfx942-mi300x-cpx-nps4", ROCM, MODEL)
    check = named(examine(host, cells(tmp_path, host, text)), "partition-mode")

    assert (check.state, check.text) == (
        State.OK,
        "64 devices are in CPX/NPS4 as the matrix wants",
    )


def test_matrix_of_several_modes_runs_in_parts(tmp_path: Path) -> None:
    """What runs in this mode is fine; the rest waits for another mode."""
    host = host_with(MI300X)
    text = matrix("[gfx942-mi300x, gfx942-mi300x-cpx-nps4]", ROCM, MODEL)
    checks = examine(host, cells(tmp_path, host, text))
    found = [check for check in checks if check.name == "partition-mode"]

    assert [check.state for check in found] == [State.OK, State.WARNING]


def test_driver_that_tells_no_mode(tmp_path: Path) -> None:
    """Nobody can say then."""
    host = host_with(replace(MI300X, compute_partition="", memory_partition=""))
    placed = cells(tmp_path, host, matrix("gfx942-mi300x", ROCM, MODEL))

    assert named(examine(host, placed), "partition-mode").state is State.NOT_CHECKABLE


def test_servers_outside_have_their_own_code(tmp_path: Path) -> None:
    """What runs already needs no image of ours."""
    host = host_with(MI60)
    placed = cells(tmp_path, host, matrix("gfx906-mi60", "external:llama.cpp", MODEL))

    assert "hsa-override" not in {check.name for check in examine(host, placed)}


def test_cards_in_different_modes_are_told() -> None:
    """Someone set one card and forgot the others."""
    other = replace(MI300X, id="amd-1", compute_partition="CPX")

    assert named(examine(host_with(MI300X, other)), "partition-mode").state is State.WARNING


@pytest.mark.parametrize(
    ("driver", "image", "state"),
    [
        ("580.65.06", "vllm/vllm-openai:v0.32.0", State.OK),
        ("570.86.15", "vllm/vllm-openai:v0.32.0", State.WARNING),
        ("570.86.15", "vllm/vllm-openai:v0.32.0-cu129", State.OK),
        ("570.86.15", "vllm/vllm-openai:v0.32.0-cu130", State.PROBLEM),
        ("570.86.15", "vllm/vllm-openai:v0.10.2", State.OK),
        ("470.223.02", "vllm/vllm-openai:v0.10.2", State.PROBLEM),
        ("", "vllm/vllm-openai:v0.10.2", State.NOT_CHECKABLE),
    ],
)
def test_driver_is_new_enough_for_the_image(
    tmp_path: Path, driver: str, image: str, state: State
) -> None:
    """CUDA 12 needs 525, CUDA 13 needs 580; the tag says which where it does."""
    host = host_with(RTX, drivers={"nvidia": driver} if driver else {})
    text = matrix("sm_86-rtx3060-12gb", image, MODEL)

    assert named(examine(host, cells(tmp_path, host, text)), "driver").state is state


FORCED = "environment: {HSA_OVERRIDE_GFX_VERSION: 11.0.0}\n"
CARD_7600 = replace(MI60, architecture="gfx1102", memory_bytes=8 * GIB)


@pytest.mark.parametrize(
    ("device", "hardware", "state", "words"),
    [
        pytest.param(
            CARD_7600, ("gfx1102-7600", ""), State.PROBLEM, "HSA_OVERRIDE_GFX_VERSION: 11.0.0",
            id="missing",
        ),
        pytest.param(
            CARD_7600, ("gfx1102-7600", FORCED), State.OK, "", id="set",
        ),
        pytest.param(
            MI60, ("gfx906-mi60", ""), State.PROBLEM, "an image that is built for gfx906",
            id="no-relative",
        ),
        pytest.param(
            MI300X, ("gfx942-mi300x", FORCED), State.WARNING, "leave HSA_OVERRIDE_GFX_VERSION out",
            id="needless",
        ),
        pytest.param(MI300X, ("gfx942-mi300x", ""), State.OK, "", id="built-for"),
    ],
)  # fmt: skip
def test_architecture_that_the_image_lacks(
    tmp_path: Path, device: Device, hardware: tuple[str, str], state: State, words: str
) -> None:
    """Some run a relative's code if they are told to; others need another image."""
    host = host_with(device)
    placed = cells(tmp_path, host, matrix(hardware[0], ROCM, MODEL, more=hardware[1]))
    check = named(examine(host, placed), "hsa-override")

    assert check.state is state
    assert words in check.remedy


@pytest.mark.parametrize(
    ("told_bytes", "state"), [(110 * GIB, State.OK), (GIB // 2, State.WARNING)]
)
def test_integrated_gpu_and_its_kernel(tmp_path: Path, told_bytes: int, state: State) -> None:
    """An old kernel tells programs of the carve-out alone."""
    host = probe_host(strix_halo(tmp_path, told_bytes=told_bytes))
    check = named(examine(host), "unified-memory")

    assert check.state is state
    assert "may use 110 GiB of the host's memory (carve-out 512 MiB, GTT 110 GiB)" in check.text


@pytest.mark.parametrize(
    ("device", "state", "words"),
    [
        (replace(MI60, power_state="suspended"), State.WARNING, "0000:03:00.0/power/control"),
        (replace(RTX, persistence=False), State.WARNING, "nvidia-smi -pm 1"),
        (replace(RTX, persistence=None), State.NOT_CHECKABLE, ""),
        (MI60, State.OK, ""),
    ],
)
def test_low_power_states(device: Device, state: State, words: str) -> None:
    """A card that sleeps wakes at the first start, which is then slow."""
    check = named(examine(host_with(device)), "power-state")

    assert check.state is state
    assert words in check.remedy


@pytest.mark.parametrize(
    ("device", "state", "words"),
    [
        (replace(MI60, processes=(17, 4711)), State.WARNING, "processes 17, 4711 use"),
        (replace(MI60, used_bytes=5 * GIB), State.WARNING, "5.00 GiB are in use"),
        (replace(MI60, used_bytes=None), State.NOT_CHECKABLE, "nothing tells"),
        (replace(MI60, used_bytes=5 * GIB, unified=True), State.OK, "no other process"),
    ],
)
def test_others_on_the_device(device: Device, state: State, words: str) -> None:
    """By their ids, or by the memory that someone unseen holds."""
    check = named(examine(host_with(device)), "device-users")

    assert check.state is state
    assert words in check.text


def test_machine_without_accelerators(tmp_path: Path) -> None:
    """Fine for processors; a problem for a matrix that has no cell for them."""
    placed = cells(tmp_path, PLAIN, matrix("gfx906-mi60", ROCM, MODEL))

    assert named(examine(PLAIN), "devices").state is State.OK
    assert named(examine(PLAIN, placed), "devices").state is State.PROBLEM
    hidden = replace(PLAIN, notes={"kfd node 1": "Operation not permitted"})
    assert named(examine(hidden), "devices").state is State.NOT_CHECKABLE
