"""A registry of images on loopback with one image in it, so that pulls are tested for real.

Source: the OCI distribution specification; manifests in Docker's schema 2, which all daemons take.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
import threading
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer
from typing import Any
from typing import Self

_DOCKER = "application/vnd.docker"
MANIFEST_TYPE = f"{_DOCKER}.distribution.manifest.v2+json"


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


class Registry:
    """Serves ``small:1``; every other name is unknown, and ``secret:1`` is forbidden."""

    def __init__(self) -> None:
        self.blobs: dict[str, tuple[str, bytes]] = {}
        self.manifest = self._make_image()
        self.silent = threading.Event()
        self.released = threading.Event()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    @property
    def address(self) -> str:
        """Host and port, as they stand before an image's name."""
        return f"127.0.0.1:{self._server.server_port}"

    def _make_image(self) -> bytes:
        layer = io.BytesIO()
        with tarfile.open(fileobj=layer, mode="w") as archive:
            entry = tarfile.TarInfo("greeting")
            entry.size = 5
            archive.addfile(entry, io.BytesIO(b"hello"))
        config = {
            "architecture": "amd64", "os": "linux", "config": {"Cmd": ["/greeting"]},
            "rootfs": {"type": "layers", "diff_ids": [_digest(layer.getvalue())]},
        }  # fmt: skip
        packed = gzip.compress(layer.getvalue(), mtime=0)
        parts = {
            "config": (f"{_DOCKER}.container.image.v1+json", json.dumps(config).encode()),
            "layer": (f"{_DOCKER}.image.rootfs.diff.tar.gzip", packed),
        }
        described: dict[str, dict[str, Any]] = {}
        for part, (kind, data) in parts.items():
            self.blobs[_digest(data)] = (kind, data)
            described[part] = {"mediaType": kind, "size": len(data), "digest": _digest(data)}
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": MANIFEST_TYPE,
                "config": described["config"],
                "layers": [described["layer"]],
            }
        ).encode()

    def answer(self, path: str) -> tuple[int, str, bytes]:
        """Return status, content type and body for a path."""
        if path == "/v2/":
            return 200, "application/json", b"{}"
        if path.startswith("/v2/secret/"):
            return 403, "application/json", b'{"errors": [{"code": "DENIED", "message": "denied"}]}'
        if path in {"/v2/small/manifests/1", f"/v2/small/manifests/{_digest(self.manifest)}"}:
            return 200, MANIFEST_TYPE, self.manifest
        digest = path.removeprefix("/v2/small/blobs/")
        if digest in self.blobs:
            return 200, *self.blobs[digest]
        unknown = {"errors": [{"code": "MANIFEST_UNKNOWN", "message": "manifest unknown"}]}
        return 404, "application/json", json.dumps(unknown).encode()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        registry = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                if registry.silent.is_set():
                    registry.released.wait(30)
                status, kind, body = registry.answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", kind)
                self.send_header("Content-Length", str(len(body)))
                self.send_header("Docker-Content-Digest", _digest(body))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 - the name that the server looks for

            def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
                """Say nothing."""

        return Handler

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.released.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
