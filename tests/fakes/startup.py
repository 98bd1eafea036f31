"""The way from a command line to a listening engine, with the faults a scenario puts there."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from dataclasses import dataclass
from typing import Final
from typing import NoReturn

from tests.fakes.scenario import PHASES
from tests.fakes.scenario import Scenario
from tests.fakes.vllm_log import log_phase_begin
from tests.fakes.vllm_log import log_phase_end

OOM_STEP_BYTES: Final = 16 << 20
EXIT_NO_MEMORY_LIMIT: Final = 70


@dataclass(frozen=True, slots=True)
class Command:
    """What `vllm serve` was asked for, as far as it changes an answer."""

    model: str
    host: str
    port: int
    api_key: str | None
    dtype: str
    max_model_len: int
    served_name: str
    tensor_parallel: int
    arguments: tuple[str, ...]


def parse_command(arguments: list[str], scenario: Scenario) -> Command:
    """Read the command line as vLLM does; flags this engine does not know are taken as they are.

    Exits with code 2 and a usage error for a flag that the scenario refuses.
    """
    parser = argparse.ArgumentParser(prog="vllm", allow_abbrev=False)
    parser.add_argument("command", choices=["serve"])
    parser.add_argument("model")
    parser.add_argument("--host", default="0.0.0.0")
    parser.add_argument("--port", type=int, default=8000)
    parser.add_argument("--api-key", default=os.environ.get("VLLM_API_KEY"))
    parser.add_argument("--dtype", default="auto")
    parser.add_argument("--max-model-len", type=int, default=4096)
    parser.add_argument("--served-model-name", nargs="+", default=None)
    parser.add_argument("--tensor-parallel-size", "-tp", type=int, default=1)
    known, _ = parser.parse_known_args(arguments)
    refused = [item for item in arguments if item.split("=")[0] in scenario.refused_flags]
    if refused:
        parser.error(f"unrecognized arguments: {' '.join(refused)}")
    name = scenario.served_name or (known.served_model_name or [known.model])[0]
    return Command(
        model=known.model,
        host=known.host,
        port=known.port,
        api_key=known.api_key,
        dtype=known.dtype,
        max_model_len=known.max_model_len,
        served_name=name,
        tensor_parallel=known.tensor_parallel_size,
        arguments=tuple(i for i in arguments if not known.api_key or known.api_key not in i),
    )


def run_startup(command: Command, scenario: Scenario) -> None:
    """Go through every phase; returns when the engine may listen, or never."""
    started = time.monotonic()
    for phase in PHASES:
        phase_s = scenario.phase_s.get(phase, 0.0)
        values = _log_values(command, scenario) | {"phase_s": phase_s}
        log_phase_begin(phase, values)
        time.sleep(phase_s)
        _play_faults(phase, scenario)
        log_phase_end(phase, values | {"init_s": time.monotonic() - started})


def die(scenario: Scenario) -> NoReturn:
    """End the process the way the scenario says, its last words first."""
    if scenario.die_log:
        sys.stderr.write(scenario.die_log.rstrip("\n") + "\n")
        sys.stderr.flush()
    if scenario.die_signal is not None:
        number = signal.Signals[scenario.die_signal]
        if number not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)
        # A container's first process survives signals that it has no handler for.
        os._exit(128 + number)
    os._exit(scenario.die_exit_code)


def _play_faults(phase: str, scenario: Scenario) -> None:
    if scenario.hang_at == phase:
        _hang(busy=scenario.hang_busy)
    if scenario.oom_at == phase:
        _exhaust_memory(scenario.oom_cap_bytes)
    if scenario.die_at == phase:
        die(scenario)


def _hang(*, busy: bool) -> NoReturn:
    while True:
        if not busy:
            time.sleep(3600)


def _exhaust_memory(cap_bytes: int) -> NoReturn:
    blocks: list[bytearray] = []
    while len(blocks) * OOM_STEP_BYTES < cap_bytes:
        # Bytes other than zero, so that every page is really taken.
        blocks.append(bytearray(b"\x01") * OOM_STEP_BYTES)
    sys.stderr.write(f"fake engine: took {cap_bytes} bytes, expected a memory limit to end it\n")
    os._exit(EXIT_NO_MEMORY_LIMIT)


def _log_values(command: Command, scenario: Scenario) -> dict[str, object]:
    cuda = scenario.platform == "cuda"
    return {
        "version": scenario.version,
        "model": command.model,
        "arguments": {"model_tag": command.model, "arguments": list(command.arguments)},
        "dtype": command.dtype,
        "max_model_len": command.max_model_len,
        "tensor_parallel": command.tensor_parallel,
        "device": "GPU" if cuda else "CPU",
        "runner": "gpu_model_runner" if cuda else "cpu_model_runner",
        "kv_tokens": scenario.kv_cache_tokens,
        "concurrency": scenario.kv_cache_tokens / command.max_model_len,
        "weights_gib": scenario.weights_gib,
    }
