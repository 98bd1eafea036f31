"""Answers on a loopback port as a model hub that refuses, then becomes the command that follows.

Usage: hub.py PORT ERROR-CODE COMMAND...

Source: huggingface_hub/utils/_http.py of 1.x: the header X-Error-Code names what is wrong.
"""

from __future__ import annotations

import os
import sys
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer

_STATUS = {"GatedRepo": HTTPStatus.FORBIDDEN, "RepoNotFound": HTTPStatus.UNAUTHORIZED}


def _serve(server: ThreadingHTTPServer, code: str) -> None:
    class Refusal(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(_STATUS[code])
            self.send_header("X-Error-Code", code)
            self.send_header("X-Error-Message", "Access to this model is restricted.")
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_HEAD = do_POST = do_GET  # noqa: N815 - named by the base class

        def log_message(self, *_: object) -> None:
            """Say nothing: the log is the engine's."""

    server.RequestHandlerClass = Refusal
    server.serve_forever()


if __name__ == "__main__":
    listening = ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), BaseHTTPRequestHandler)
    if os.fork() == 0:
        _serve(listening, sys.argv[2])
    listening.socket.close()
    os.execvp(sys.argv[3], sys.argv[3:])
