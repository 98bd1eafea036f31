"""A server that already runs: nothing is started or stopped, the questions are the same."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from hwval.client import find_api_path
from hwval.client import list_models
from hwval.client import probe_ready
from hwval.engine.base import Autopsy
from hwval.engine.base import Endpoint
from hwval.engine.base import EngineState
from hwval.errors import EngineUnreachable
from hwval.errors import UsageError

__all__ = ["ExternalEngine"]

_PROBE_TIMEOUT_S: Final = 5.0


class ExternalEngine:
    """A running OpenAI-compatible server: a Kubernetes service, llama.cpp, Ollama, Infinity.

    Args:
        url: Its address, with or without ``/v1``.
        api_key_variable: Name of the environment variable that holds its key, if it wants one.

    Raises:
        UsageError: No http(s) URL, or one with a password in it.
    """

    def __init__(self, url: str, *, api_key_variable: str | None = None) -> None:
        self._base_url = _base_url(url)
        self._api_key = os.environ.get(api_key_variable, "") if api_key_variable else ""
        self._api_path = "/v1"

    @property
    def name(self) -> str:
        """The URL."""
        return self._base_url

    @property
    def log_path(self) -> Path | None:
        """None: its log is where its owner keeps it."""
        return None

    @property
    def command_line(self) -> str:
        """The URL; there is no command that would start it."""
        return self._base_url

    def start(self) -> None:
        """Check that it answers, and find its routes.

        Raises:
            EngineUnreachable: It does not.
            ResponseError: It answers, but refuses to list its models (for example a wrong key).
        """
        if not probe_ready(self.endpoint(), timeout_s=_PROBE_TIMEOUT_S):
            # Asking again for what must work gives the reason: refused, timed out, 401, 503.
            list_models(self.endpoint(), timeout_s=_PROBE_TIMEOUT_S)
            raise EngineUnreachable(
                f"reach the server at {self._base_url}: /health is not answered with status 200, "
                "expected a server that is ready. Wait until it has started."
            )
        self._api_path = find_api_path(self.endpoint(), timeout_s=_PROBE_TIMEOUT_S)

    def image_digest(self) -> str | None:
        """Return None: there is no image."""
        return None

    def endpoint(self) -> Endpoint:
        """Return where it answers."""
        return Endpoint(self._base_url, self._api_key, self._api_path)

    def state(self) -> EngineState:
        """Return whether it answers; nothing else is known from outside."""
        return EngineState(running=probe_ready(self.endpoint(), timeout_s=_PROBE_TIMEOUT_S))

    def autopsy(self) -> Autopsy:
        """Return its state; log and kernel belong to its owner."""
        return Autopsy(
            state=self.state(),
            notes={"log": "the server is not ours", "kernel log": "the server is not ours"},
        )

    def close(self) -> None:
        """Do nothing: who did not start it does not stop it."""


def _base_url(url: str) -> str:
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"engine URL {url!r}: expected http://HOST:PORT, with or without /v1")
    if parts.username or parts.password:
        raise UsageError(
            f"engine URL at {parts.hostname}: holds a user or password, expected none. Put the key "
            "into an environment variable and name that."
        )
    path = parts.path.rstrip("/").removesuffix("/v1").rstrip("/")
    return f"{parts.scheme}://{parts.netloc}{path}"
