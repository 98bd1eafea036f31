"""Checks of what cells need: a place, room, a token."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from hwval.doctor import State
from hwval.doctor import examine
from hwval.host import Disk
from hwval.host import Docker
from hwval.host import Host
from tests.doctor.examples import DOCKER
from tests.doctor.examples import MI60
from tests.doctor.examples import MI300X
from tests.doctor.examples import PLAIN
from tests.doctor.examples import cells
from tests.doctor.examples import host_with
from tests.doctor.examples import matrix
from tests.doctor.examples import named

IMAGE = "nalanzeyu/vllm-gfx906:v0.11.2-rocm6.3"
LLAMA = "meta-llama/Llama-3.1-8B-Instruct"
GB = 10**9


def room(free_bytes: int, **more: int) -> tuple[Disk, ...]:
    """Return a disk for models, and others for other purposes with their file systems."""
    disks = [Disk("models", "/hf", free_bytes, 10**13, 1)]
    return (*disks, *(Disk(name, f"/{name}", free_bytes, 10**13, n) for name, n in more.items()))


def test_cells_that_run_here_are_counted(tmp_path: Path) -> None:
    """With the reasons of the others."""
    host = host_with(MI60)
    text = matrix("[gfx906-mi60, gfx906-mi60 x4]", IMAGE, LLAMA)
    check = named(examine(host, cells(tmp_path, host, text)), "cells")

    assert check.state is State.OK
    assert check.text.startswith("1 of 2 can run here; the others: gfx906-mi60 needs 4 devices")


def test_matrix_of_other_hardware_is_a_problem(tmp_path: Path) -> None:
    """Nothing of it can run here."""
    text = matrix("gfx906-mi60", IMAGE, LLAMA)
    check = named(examine(PLAIN, cells(tmp_path, PLAIN, text)), "cells")

    assert check.state is State.PROBLEM
    assert check.text.startswith("none of 1 can run here: gfx906-mi60 needs 1 device")


@pytest.mark.parametrize(
    ("host", "state", "words"),
    [
        pytest.param(
            host_with(MI60, disks=room(15 * GB)), State.PROBLEM, "still to be fetched", id="small"
        ),
        pytest.param(
            host_with(MI60, disks=room(17 * GB)), State.OK, "still to be fetched", id="enough"
        ),
        pytest.param(
            host_with(MI60, disks=room(17 * GB, images=1)),
            State.PROBLEM,
            "1 image of about 30 GB",
            id="shared-with-images",
        ),
        pytest.param(
            host_with(MI60, disks=room(17 * GB, images=1), docker=replace(DOCKER, images=(IMAGE,))),
            State.OK,
            "still to be fetched",
            id="image-is-here",
        ),
        pytest.param(
            host_with(MI60, disks=room(25 * GB), cached_models=(LLAMA,)),
            State.OK,
            "free for models",
            id="model-is-here",
        ),
        pytest.param(host_with(MI60, disks=()), State.NOT_CHECKABLE, "nobody looked", id="unknown"),
    ],
)
def test_room_for_models_and_images(tmp_path: Path, host: Host, state: State, words: str) -> None:
    """What is to be fetched against what is free; folders of one file system share it."""
    placed = cells(tmp_path, host, matrix("gfx906-mi60", IMAGE, LLAMA))
    check = named(examine(host, placed), "disk")

    assert check.state is state
    assert words in check.text


def test_folders_of_different_disks_are_judged_apart(tmp_path: Path) -> None:
    """The model fits its disk, the image does not fit the other."""
    host = host_with(MI60, disks=room(20 * GB, images=2))
    placed = cells(tmp_path, host, matrix("gfx906-mi60", IMAGE, LLAMA))
    found = [check for check in examine(host, placed) if check.name == "disk"]

    assert [check.state for check in found] == [State.OK, State.PROBLEM]


def test_same_model_is_counted_once(tmp_path: Path) -> None:
    """Cells of a matrix share the cache."""
    host = host_with(MI300X, disks=room(17 * GB))
    text = matrix("gfx942-mi300x", "[rocm/vllm:v0.11.0, rocm/vllm:v0.12.0]", LLAMA)

    assert named(examine(host, cells(tmp_path, host, text)), "disk").state is State.OK


def test_model_of_unknown_size_is_no_good_news(tmp_path: Path) -> None:
    """Room is not checkable then."""
    host = host_with(MI60)
    check = named(
        examine(host, cells(tmp_path, host, matrix("gfx906-mi60", IMAGE, "hub:org/unknown"))),
        "disk",
    )

    assert check.state is State.NOT_CHECKABLE
    assert "the size of org/unknown is not known" in check.text


def test_little_room_is_told_without_a_matrix() -> None:
    """Nobody knows what is needed, but little is little."""
    assert named(examine(replace(PLAIN, disks=room(5 * GB))), "disk").state is State.WARNING


@pytest.mark.parametrize(
    ("host", "model", "state"),
    [
        (host_with(MI60), LLAMA, State.PROBLEM),
        (host_with(MI60, hub_token=True), LLAMA, State.OK),
        (host_with(MI60, hub_token=None), LLAMA, State.NOT_CHECKABLE),
        (host_with(MI60, cached_models=(LLAMA,)), LLAMA, State.OK),
        (host_with(MI60), "Qwen/Qwen3-0.6B", State.OK),
        (host_with(MI60), "hub:org/unknown", State.NOT_CHECKABLE),
    ],
)
def test_gated_models_need_a_token(tmp_path: Path, host: Host, model: str, state: State) -> None:
    """Unless their files are here already."""
    placed = cells(tmp_path, host, matrix("gfx906-mi60", IMAGE, model))

    assert named(examine(host, placed), "hub-token").state is state


def test_dummy_weights_and_made_models_are_not_fetched(tmp_path: Path) -> None:
    """They need neither room nor token."""
    host = host_with(MI60, disks=room(30 * GB), docker=Docker("x", "1", images=(IMAGE,)))
    dummy = matrix("gfx906-mi60", IMAGE, LLAMA, more="weights: dummy\n")
    checks = examine(host, cells(tmp_path, host, dummy))

    assert named(checks, "disk").state is State.OK
    assert "fetched" not in named(checks, "disk").text


@pytest.mark.parametrize(
    ("more", "state"),
    [
        ("", State.WARNING),
        ("environment: {VLLM_CPU_KVCACHE_SPACE: 1}\n", State.OK),
        ("container: {memory: 8 GiB}\n", State.OK),
    ],
)
def test_engines_on_processors_leave_memory(tmp_path: Path, more: str, state: State) -> None:
    """Unless nothing limits their cache."""
    text = matrix("cpu", "vllm/vllm-openai-cpu:v0.32.0-x86_64", "Qwen/Qwen3-0.6B", more=more)
    check = named(examine(PLAIN, cells(tmp_path, PLAIN, text)), "host-memory")

    assert check.state is state
    if state is State.WARNING:
        assert check.text.startswith("1 of 1 cells on processors: nothing limits the cache")
        assert check.remedy.startswith("set `environment: {VLLM_CPU_KVCACHE_SPACE: 1}`")


@pytest.mark.parametrize(
    ("host", "hardware", "image"),
    [
        (PLAIN, "cpu", "michaelf34/infinity:0.0.77-cpu"),
        (host_with(MI60), "gfx906-mi60", IMAGE),
    ],
)
def test_memory_of_the_host_is_no_question_elsewhere(
    tmp_path: Path, host: Host, hardware: str, image: str
) -> None:
    """Other servers, and engines on devices."""
    checks = examine(host, cells(tmp_path, host, matrix(hardware, image, LLAMA)))

    assert not [check for check in checks if check.name == "host-memory"]


def test_idle_devices_are_a_warning(tmp_path: Path) -> None:
    """Who has two cards and forgets the flag leases one for nothing; one card is no mistake."""
    host = host_with(MI60)
    text = matrix("[gfx906-mi60, gfx906-mi60 x2]", IMAGE, LLAMA)
    check = named(examine(host, cells(tmp_path, host, text)), "idle devices")

    assert check.state is State.WARNING
    assert check.text == "1 of 2 cells: the engine takes 1 of the 2 devices of this cell"
    assert check.remedy == ("write `engine: {tensor-parallel-size: 2}` or `hardware: gfx906-mi60`")
