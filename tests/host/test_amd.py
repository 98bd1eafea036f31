"""AMD devices from saved files of the kernel's compute driver."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hwval.host import Device
from hwval.host import DeviceNode
from hwval.host.amd import format_gfx
from hwval.host.amd import probe_amd
from tests.host.trees import MI300X_BYTES
from tests.host.trees import mi300x
from tests.host.trees import strix_halo
from tests.host.trees import two_mi60
from tests.host.trees import write

GIB = 2**30


def write_node(root: Path, number: int, properties: dict[str, int], *banks: dict[str, int]) -> Path:
    """Write one node of the topology as the driver shows it."""
    node = root / "sys/class/kfd/kfd/topology/nodes" / str(number)
    for index, bank in enumerate(banks):
        folder = node / "mem_banks" / str(index)
        folder.mkdir(parents=True)
        folder.joinpath("properties").write_text(lines(bank))
    node.mkdir(parents=True, exist_ok=True)
    node.joinpath("properties").write_text(lines(properties))
    return node


def lines(properties: dict[str, int]) -> str:
    return "".join(f"{name} {value}\n" for name, value in properties.items())


def write_processor(root: Path) -> None:
    bank = {"heap_type": 0, "size_in_bytes": 256 * GIB, "flags": 0}
    write_node(root, 0, {"cpu_cores_count": 64, "simd_count": 0, "gfx_target_version": 0}, bank)


def write_card(root: Path, number: int, *, minor: int, version: int, **more: int) -> Path:
    properties = {
        "cpu_cores_count": 0,
        "simd_count": 256,
        "mem_banks_count": 1,
        "gfx_target_version": version,
        "location_id": 0x300,
        "domain": 0,
        "drm_render_minor": minor,
    }
    bank = {"heap_type": 1, "size_in_bytes": 32 * GIB, "flags": 0, "width": 4096}
    return write_node(root, number, properties | more, bank)


@pytest.mark.parametrize(
    ("version", "name"),
    [
        (90006, "gfx906"),
        (90008, "gfx908"),
        (90010, "gfx90a"),
        (90402, "gfx942"),
        (90500, "gfx950"),
        (110001, "gfx1101"),
        (110501, "gfx1151"),
        (120001, "gfx1201"),
    ],
)
def test_architecture_follows_from_the_drivers_number(version: int, name: str) -> None:
    """The last two digits of the name are hexadecimal."""
    assert format_gfx(version) == name


def test_two_cards_are_read_and_the_processor_is_not_one(tmp_path: Path) -> None:
    """Order, address, memory, identity and the render node with its group come from the driver."""
    write_processor(tmp_path)
    write_card(tmp_path, 1, minor=128, version=90006, unique_id=0x21A5B83D9F0C4E17)
    write_card(tmp_path, 2, minor=129, version=90006, location_id=0x2600, unique_id=0)
    device_nodes = tmp_path / "dev/dri"
    device_nodes.mkdir(parents=True)
    device_nodes.joinpath("renderD128").touch()
    product = tmp_path / "sys/class/drm/renderD128/device/product_name"
    product.parent.mkdir(parents=True)
    product.write_text("AMD Instinct MI60\n")
    driver = tmp_path / "sys/module/amdgpu/version"
    driver.parent.mkdir(parents=True)
    driver.write_text("6.10.5\n")

    facts = probe_amd(tmp_path)

    group = os.stat(device_nodes / "renderD128").st_gid  # noqa: PTH116
    assert facts.driver == "6.10.5"
    assert facts.notes == {}
    assert facts.devices == (
        Device(
            id="amd-0000:03:00.0",
            vendor="rocm",
            architecture="gfx906",
            index=0,
            name="AMD Instinct MI60",
            memory_bytes=32 * GIB,
            uuid="GPU-21a5b83d9f0c4e17",
            pci_address="0000:03:00.0",
            nodes=(DeviceNode("/dev/dri/renderD128", group),),
        ),
        Device(
            id="amd-0000:26:00.0",
            vendor="rocm",
            architecture="gfx906",
            index=1,
            memory_bytes=32 * GIB,
            pci_address="0000:26:00.0",
        ),
    )


def test_nodes_come_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    """Node 10 follows node 9, as the runtime counts them."""
    for number in (2, 10, 9):
        write_card(tmp_path, number, minor=128 + number, version=90402, location_id=number << 8)

    addresses = [device.pci_address for device in probe_amd(tmp_path).devices]

    assert addresses == ["0000:02:00.0", "0000:09:00.0", "0000:0a:00.0"]


def test_partitions_of_one_card_have_names_of_their_own(tmp_path: Path) -> None:
    """They share an address; a lease must tell them apart."""
    for number in (1, 2):
        write_card(tmp_path, number, minor=127 + number, version=90402)

    assert [device.id for device in probe_amd(tmp_path).devices] == [
        "amd-0000:03:00.0",
        "amd-0000:03:00.0-1",
    ]


def test_hidden_node_leaves_a_note(tmp_path: Path) -> None:
    """A container that may not use a card is told so by the driver, not by silence."""
    node = write_card(tmp_path, 1, minor=128, version=90402)
    node.joinpath("properties").unlink()
    node.joinpath("properties").mkdir()

    facts = probe_amd(tmp_path)

    assert facts.devices == ()
    assert facts.notes == {"kfd node 1": "Is a directory"}


def test_memory_that_is_not_named_is_unknown(tmp_path: Path) -> None:
    """An integrated card may show system memory alone; that is not its own."""
    write_node(
        tmp_path,
        1,
        {"simd_count": 80, "gfx_target_version": 110501, "location_id": 0xC500},
        {"heap_type": 0, "size_in_bytes": 64 * GIB},
    )

    (device,) = probe_amd(tmp_path).devices

    assert device.architecture == "gfx1151"
    assert device.memory_bytes is None


def test_machine_without_the_driver_has_none(tmp_path: Path) -> None:
    """No folder, no device, no note."""
    assert probe_amd(tmp_path) == ((), "", {})


def test_workstation_tells_power_memory_and_users(tmp_path: Path) -> None:
    """What the doctor judges: who uses a card, whether it sleeps, how much it may draw."""
    first, second = probe_amd(two_mi60(tmp_path)).devices

    assert (first.name, first.memory_bytes, first.vram_bytes) == (
        *("AMD Instinct MI60", 32 * GIB),
        32 * GIB,
    )
    assert (first.processes, second.processes) == ((4711,), ())
    assert (first.power_state, second.power_state) == ("active", "suspended")
    assert (first.used_bytes, second.used_bytes) == (0, 3 * GIB)
    assert (first.power_limit_w, first.numa_node, first.unified) == (225.0, None, False)
    assert (first.compute_partition, first.partition_mode) == ("", "")


@pytest.mark.parametrize("in_high_bits", [False, True])
def test_cpx_makes_eight_devices_of_a_card(tmp_path: Path, *, in_high_bits: bool) -> None:
    """Each with its own render node, name, and an eighth of the memory; modes are the card's."""
    root = mi300x(tmp_path, compute="CPX", memory="NPS4", in_high_bits=in_high_bits)
    devices = probe_amd(root).devices

    assert len(devices) == len({device.id for device in devices}) == 64
    assert len({device.nodes for device in devices}) == 64
    assert [device.id for device in devices[:9:4]] == [
        *("amd-0000:0c:00.0", "amd-0000:0c:00.0-4"),
        "amd-0000:1c:00.0",
    ]
    assert {device.partition_mode for device in devices} == {"cpx/nps4"}
    assert {device.memory_bytes for device in devices} == {MI300X_BYTES // 8}
    assert {device.name for device in devices} == {"AMD Instinct MI300X OAM"}
    assert devices[-1].nodes[0].path == "/dev/dri/renderD191"
    assert len({device.pci_address for device in devices}) == 8


def test_spx_leaves_cards_whole(tmp_path: Path) -> None:
    """Eight devices with all of their memory."""
    devices = probe_amd(mi300x(tmp_path, compute="SPX", memory="NPS1")).devices

    assert [device.memory_bytes for device in devices] == [MI300X_BYTES] * 8
    assert {device.partition_mode for device in devices} == {"spx/nps1"}
    assert [device.numa_node for device in devices] == [0, 0, 0, 0, 1, 1, 1, 1]


def test_function_of_a_virtual_card_is_its_own(tmp_path: Path) -> None:
    """Where the kernel has a device of that number, it is no partition."""
    for number in (1, 2):
        write_card(tmp_path, number, minor=127 + number, version=90402, location_id=0x300 + number)
        write(tmp_path, {f"sys/bus/pci/devices/0000:03:00.{number}/vendor": "0x1002\n"})

    assert [device.id for device in probe_amd(tmp_path).devices] == [
        *("amd-0000:03:00.1", "amd-0000:03:00.2"),
    ]


def test_integrated_gpu_has_what_it_is_given_of_main_memory(tmp_path: Path) -> None:
    """Its carve-out is 512 MiB; engines may use the 110 GiB of GTT."""
    facts = probe_amd(strix_halo(tmp_path))
    (device,) = facts.devices

    assert (device.architecture, device.unified) == ("gfx1151", True)
    assert (device.memory_bytes, device.vram_bytes, device.gtt_bytes) == (
        *(110 * GIB, GIB // 2),
        110 * GIB,
    )
    assert facts.notes == {}


def test_old_kernel_tells_of_the_carve_out_alone(tmp_path: Path) -> None:
    """The device still has what it is given; the note says what programs see."""
    facts = probe_amd(strix_halo(tmp_path, told_bytes=GIB // 2))

    assert facts.devices[0].memory_bytes == 110 * GIB
    assert facts.notes["amd-0000:c5:00.0"].startswith(
        "its driver tells programs of 512 MiB only, the carve-out"
    )


def test_driver_without_its_compute_part_leaves_a_note(tmp_path: Path) -> None:
    """A graphics driver without kfd would look like a machine without a card."""
    root = write(tmp_path, {"sys/module/amdgpu/version": "6.10.5\n"})

    assert "kfd" in probe_amd(root).notes["amd devices"]
