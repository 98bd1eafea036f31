"""The start-up log in vLLM's form, phase by phase.

Source: logs of vLLM 0.32.0, CPU build and CUDA build (wording from `vllm/v1`, same version).
Routes and warnings that no reader of the log uses are left out.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from typing import Final
from typing import NamedTuple
from typing import TextIO

LOADING_BAR: Final = (
    "Loading safetensors checkpoint shards:   0% Completed | 0/1 [00:00<?, ?it/s]\n"
    "Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 284.01it/s]\n"
)
WORKER_PROCESSES: Final = {"APIServer": 0, "EngineCore": 118, "Worker": 164}
ROUTES: Final = (
    ("/load", "GET"),
    ("/version", "GET"),
    ("/health", "GET"),
    ("/metrics", "GET"),
    ("/tokenize", "POST"),
    ("/detokenize", "POST"),
    ("/v1/models", "GET"),
    ("/v1/chat/completions", "POST"),
    ("/v1/completions", "POST"),
)


class Line(NamedTuple):
    """One log line: which process prints it, from which source line, as a format string."""

    process: str
    source: str
    text: str
    cuda_only: bool = False


BEGIN: Final[Mapping[str, tuple[Line, ...]]] = {
    "boot": (
        Line("APIServer", "api_utils.py:347", ""),
        Line("APIServer", "api_utils.py:347", "       █     █     █▄   ▄█"),
        Line("APIServer", "api_utils.py:347", " ▄▄ ▄█ █     █     █ ▀▄▀ █  version {version}"),
        Line("APIServer", "api_utils.py:347", "  █▄█▀ █     █     █     █  model   {model}"),
        Line("APIServer", "api_utils.py:347", "   ▀▀  ▀▀▀▀▀ ▀▀▀▀▀ ▀     ▀"),
        Line("APIServer", "api_utils.py:286", "non-default args: {arguments}"),
    ),
    "engine": (
        Line(
            "EngineCore",
            "core.py:133",
            "Initializing a V1 LLM engine (v{version}) with config: model='{model}', "
            "speculative_config=None, tokenizer='{model}', dtype=torch.{dtype}, "
            "max_seq_len={max_model_len}, load_format=auto, tensor_parallel_size={tensor_parallel}",
        ),
    ),
    "weights": (Line("Worker", "{runner}.py:68", "Starting to load model {model}..."),),
}
END: Final[Mapping[str, tuple[Line, ...]]] = {
    "config": (
        Line("APIServer", "model.py:733", "Resolved architecture: LlamaForCausalLM"),
        Line("APIServer", "model.py:2152", "Using max model len {max_model_len}"),
    ),
    "weights": (
        Line("Worker", "default_loader.py:501", "Loading weights took {phase_s:.2f} seconds"),
        Line(
            "Worker",
            "gpu_model_runner.py:5150",
            "Model loading took {weights_gib} GiB memory and {phase_s:.6f} seconds",
            cuda_only=True,
        ),
    ),
    "compile": (
        Line(
            "Worker", "monitor.py:48", "torch.compile took {phase_s:.2f} s in total", cuda_only=True
        ),
        Line("Worker", "gpu_worker.py:760", "Available KV cache memory: 1.0 GiB", cuda_only=True),
    ),
    "kv_cache": (
        Line(
            "EngineCore",
            "kv_cache_utils.py:2327",
            "{device} KV cache size: {kv_tokens:,} tokens, Maximum concurrency for "
            "{max_model_len:,} tokens per request: {concurrency:.2f}x",
        ),
    ),
    "warmup": (
        Line(
            "Worker",
            "gpu_model_runner.py:6581",
            "Graph capturing finished in {phase_s:.0f} secs, took 0.10 GiB",
            cuda_only=True,
        ),
        Line(
            "EngineCore",
            "core.py:402",
            "init engine (profile, create kv cache, warmup model) took {init_s:.2f} s",
        ),
        Line("APIServer", "entry.py:136", "Supported tasks: ['generate']"),
    ),
}


def log(process: str, source: str, text: str, *, level: str = "INFO") -> None:
    """Print one line as vLLM's formatter does; processes that it splits off get made-up pids."""
    pid = os.getpid() + WORKER_PROCESSES[process]
    stamp = time.strftime("%m-%d %H:%M:%S")
    _print(sys.stdout, f"({process} pid={pid}) {level} {stamp} [{source}] {text}")


def log_uvicorn(text: str) -> None:
    """Print one line as uvicorn does, to standard error."""
    _print(sys.stderr, f"INFO:     {text}")


def log_phase_begin(phase: str, values: Mapping[str, object]) -> None:
    """Print what vLLM says when it enters a phase."""
    _print_lines(BEGIN.get(phase, ()), values)
    if phase == "weights":
        _print(sys.stderr, LOADING_BAR)


def log_phase_end(phase: str, values: Mapping[str, object]) -> None:
    """Print what vLLM says when it leaves a phase."""
    _print_lines(END.get(phase, ()), values)


def log_serving(address: str) -> None:
    """Print the lines between a finished start-up and the first answer."""
    log("APIServer", "entry.py:140", f"Starting vLLM server on {address}")
    log("APIServer", "launcher.py:186", "Available routes are:")
    for route, method in ROUTES:
        log("APIServer", "launcher.py:195", f"Route: {route}, Methods: {method}")
    log_uvicorn(f"Started server process [{os.getpid()}]")
    log_uvicorn("Waiting for application startup.")
    log_uvicorn("Application startup complete.")


def _print_lines(lines: tuple[Line, ...], values: Mapping[str, object]) -> None:
    for line in lines:
        if not line.cuda_only or values["device"] == "GPU":
            log(line.process, line.source.format_map(values), line.text.format_map(values))


def _print(stream: TextIO, text: str) -> None:
    stream.write(text + "\n")
    stream.flush()
