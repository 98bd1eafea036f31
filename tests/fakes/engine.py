"""A fault-injecting stand-in for `vllm serve`: the same command line, log, API and ways to die.

Why it exists: what hwval does about slow, hanging, dying and lying engines can only be tested with
an engine that does so on request, in milliseconds and without a model. It needs nothing but
Python's standard library, so that its container image is a bare Debian with Python.

    FAKE_ENGINE='{"die_at": "weights"}' python3 -m tests.fakes.engine serve MODEL --port 0

`scenario` has the faults, `startup` the phases, `server` the routes, `answers` the texts. Beside
vLLM's routes, ``GET /fake/requests`` gives the times that this engine recorded (`metrics`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from types import FrameType
from typing import Final

from tests.fakes.scenario import Scenario
from tests.fakes.scenario import ScenarioError
from tests.fakes.scenario import load_scenario
from tests.fakes.server import FakeEngine
from tests.fakes.startup import Command
from tests.fakes.startup import parse_command
from tests.fakes.startup import run_startup
from tests.fakes.vllm_log import log
from tests.fakes.vllm_log import log_serving
from tests.fakes.vllm_log import log_uvicorn

EXIT_BAD_SCENARIO: Final = 64
EXIT_TERMINATED: Final = 143


async def serve(command: Command, scenario: Scenario) -> None:
    """Listen until SIGTERM or SIGINT."""
    engine = FakeEngine(command, scenario)
    server = await asyncio.start_server(
        engine.handle_client, command.host, command.port, backlog=1024
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGINT, stop.set)
    if not scenario.ignore_sigterm:
        loop.add_signal_handler(signal.SIGTERM, stop.set)
    port = server.sockets[0].getsockname()[1]
    log_serving(f"http://{command.host}:{port}")
    statistics = asyncio.create_task(engine.log_statistics())
    await stop.wait()
    statistics.cancel()
    log("APIServer", "launcher.py:254", "[shutdown] API server: shutdown triggered")
    log_uvicorn("Shutting down")
    log_uvicorn("Waiting for application shutdown.")
    log_uvicorn("Application shutdown complete.")


def main(arguments: list[str]) -> int:
    """Run the engine; returns the exit code of an orderly end."""
    try:
        scenario = load_scenario(os.environ)
    except (ScenarioError, TypeError, OSError) as error:
        print(f"fake engine: {error}", file=sys.stderr)
        return EXIT_BAD_SCENARIO
    signal.signal(signal.SIGTERM, signal.SIG_IGN if scenario.ignore_sigterm else _terminate)
    command = parse_command(arguments, scenario)
    run_startup(command, scenario)
    asyncio.run(serve(command, scenario))
    return 0


def _terminate(_number: int, _frame: FrameType | None) -> None:
    os._exit(EXIT_TERMINATED)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
