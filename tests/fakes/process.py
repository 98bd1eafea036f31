"""The fault-injecting engine as a child process of a test."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from typing import Final
from typing import Self

ROOT: Final = Path(__file__).resolve().parents[2]
POLL_S: Final = 0.02
_ADDRESS: Final = re.compile(r"Starting vLLM server on http://\S+:(\d+)")


class FakeEngineProcess:
    """An engine on a free port of 127.0.0.1; ended for sure when the block ends.

    Args:
        model: what is served, and its name.
        scenario: fields of `tests.fakes.scenario.Scenario`.
        args: further arguments of `vllm serve`.
        api_key: required of clients; None for none.
        wait_s: seconds to wait until it listens; 0 does not wait, for engines that never do.

    Attributes:
        log_path: standard output and standard error together.
        process: the child.
    """

    def __init__(
        self,
        model: str = "fake",
        scenario: Mapping[str, Any] | None = None,
        args: Sequence[str] = (),
        *,
        api_key: str | None = "fake-key",
        wait_s: float = 20.0,
    ) -> None:
        self.model = model
        self.api_key = api_key
        self._scenario = dict(scenario or {})
        self._arguments = ["serve", model, "--host", "127.0.0.1", "--port", "0", *args]
        self._wait_s = wait_s
        self._folder = tempfile.TemporaryDirectory(prefix="fake-engine-")
        self.log_path = Path(self._folder.name) / "engine.log"
        self.process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FAKE_ENGINE": json.dumps(self._scenario),
        }
        environment.pop("VLLM_API_KEY", None)
        if self.api_key is not None:
            environment["VLLM_API_KEY"] = self.api_key
        with self.log_path.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "tests.fakes.engine", *self._arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=environment,
            )
        try:
            self._wait_until_listening()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def port(self) -> int:
        """The port it listens on.

        Raises:
            RuntimeError: it does not listen (yet).
        """
        found = _ADDRESS.search(self.log)
        if found is None:
            raise RuntimeError(f"finding the fake engine's port: not listening.\n{self.log}")
        return int(found.group(1))

    @property
    def base_url(self) -> str:
        """Its address, without ``/v1``."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """Everything it printed so far."""
        return self.log_path.read_text(encoding="utf-8", errors="replace")

    @property
    def exit_code(self) -> int | None:
        """Exit code, negative for a signal; None while it lives."""
        return self.process.poll() if self.process else None

    def wait(self, timeout_s: float = 20.0) -> int:
        """Wait until it ends by itself and return its exit code.

        Raises:
            subprocess.TimeoutExpired: it did not.
        """
        if self.process is None:
            raise RuntimeError("waiting for the fake engine: not started")
        return self.process.wait(timeout_s)

    def terminate(self) -> None:
        """Send SIGTERM."""
        if self.process is not None:
            self.process.terminate()

    def close(self) -> None:
        """Kill it if it lives and remove its folder."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()
        self._folder.cleanup()

    def _wait_until_listening(self) -> None:
        deadline_s = time.monotonic() + self._wait_s
        while self._wait_s and "Application startup complete." not in self.log:
            if self.exit_code is not None or time.monotonic() > deadline_s:
                raise RuntimeError(
                    f"starting the fake engine: exit code {self.exit_code}, "
                    f"expected to listen within {self._wait_s} s.\n{self.log}"
                )
            time.sleep(POLL_S)
