"""Limits, settings, disks, and what containers are told of devices."""

from __future__ import annotations

from pathlib import Path

from hwval.host.system import find_cached_models
from hwval.host.system import look_at_disks
from hwval.host.system import read_cdi_devices
from hwval.host.system import read_limits
from hwval.host.system import read_settings
from tests.host.trees import write

LIMITS = """\
Limit                     Soft Limit           Hard Limit           Units
Max locked memory         8388608              unlimited            bytes
Max open files            1024                 524288               files
"""


def test_soft_limits_are_read(tmp_path: Path) -> None:
    """What a process may have without asking; None is without limit."""
    root = write(tmp_path, {"proc/self/limits": LIMITS})

    assert read_limits(root) == {"memlock": 8388608, "nofile": 1024}
    write(root, {"proc/self/limits": LIMITS.replace("8388608  ", "unlimited")})
    assert read_limits(root)["memlock"] is None
    assert read_limits(tmp_path / "empty") == {}


def test_only_telling_words_of_the_boot_line_are_kept(tmp_path: Path) -> None:
    """It may hold anything else, secrets too."""
    line = "root=/dev/sda1 token=s3cret amd_iommu=on iommu=pt ttm.pages_limit=27648000 quiet\n"
    root = write(tmp_path, {"proc/cmdline": line, "proc/sys/kernel/numa_balancing": "0\n"})

    assert read_settings(root) == {
        "numa_balancing": "0",
        "cmdline": "amd_iommu=on iommu=pt ttm.pages_limit=27648000",
    }


def test_cdi_kinds_are_found(tmp_path: Path) -> None:
    """In YAML and JSON; other files in those folders are not read."""
    files = {
        "etc/cdi/nvidia.yaml": 'cdiVersion: "0.5.0"\nkind: nvidia.com/gpu\ndevices: []\n',
        "var/run/cdi/amd.json": '{\n  "cdiVersion": "0.6.0",\n  "kind": "amd.com/gpu",\n}\n',
        "etc/cdi/readme.txt": "kind: other.com/gpu\n",
    }

    assert read_cdi_devices(write(tmp_path, files)) == ("amd.com/gpu", "nvidia.com/gpu")


def test_disk_of_a_folder_to_come_is_that_of_its_parent(tmp_path: Path) -> None:
    """Caches are made at the first run; their room is known before."""
    now, later = look_at_disks({"models": tmp_path, "cache": tmp_path / "a/b"})

    assert (now.total_bytes, now.filesystem) == (later.total_bytes, later.filesystem)
    assert 0 < now.free_bytes <= now.total_bytes
    assert later.path == str(tmp_path / "a/b")


def test_models_are_cached_when_they_are_complete(tmp_path: Path) -> None:
    """Half a download is none."""
    folder = "models--org--{}/{}/{}"
    write(
        tmp_path,
        {
            folder.format("whole", "snapshots/0a1b", "model.safetensors"): "weights",
            folder.format("half", "snapshots/0a1b", "model-1.safetensors"): "weights",
            folder.format("half", "blobs", "f00.incomplete"): "",
            folder.format("config-only", "snapshots/0a1b", "config.json"): "{}",
        },
    )
    dangling = tmp_path / "models--org--dangling/snapshots/0a1b/model.safetensors"
    dangling.parent.mkdir(parents=True)
    dangling.symlink_to("../../blobs/gone")

    assert find_cached_models(tmp_path) == ("org/whole",)
    assert find_cached_models(tmp_path / "none") == ()
