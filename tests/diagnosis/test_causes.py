"""Lines that say that something failed but not why, and lines that only frighten."""

from __future__ import annotations

import pytest

from hwval.diagnosis import diagnose
from hwval.diagnosis.rules import Kind
from hwval.diagnosis.rules import load_rules

WRAPPERS = [
    "RuntimeError: Engine core initialization failed. Failed core proc(s): {}",
    "EngineCore failed to start.",
    "EngineCore encountered a fatal error.",
    "EngineCore_0 hit an exception: RuntimeError",
    "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace",
    "Exception: WorkerProc initialization failed due to an exception in a background process.",
    "WorkerProc hit an exception.",
    "Worker proc VllmWorker-1 died unexpectedly, shutting down executor.",
    "RayWorkerProc rank=3 died unexpectedly, shutting down executor.",
    "Worker failed with error 'x', please check the stack trace above for the root cause",
    "AsyncLLM output_handler failed.",
    "RuntimeError: Executor failed.",
    "RuntimeError: Engine process failed to start. See stack trace for the root cause.",
    "vllm.engine.multiprocessing.MQEngineDeadError: Engine loop is not running.",
    "vllm.engine.async_llm_engine.AsyncEngineDeadError: Background loop has errored already.",
    "RuntimeError: RPCServer process died before responding to readiness probe",
    "Worker VllmWorkerProcess pid 31 died, exit code: -15",
    "Error executing method 'load_model'. This might cause deadlock in distributed execution.",
    "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.",
    "ray.exceptions.RayTaskError(ValueError): ray::RayWorkerWrapper.execute_method()",
    "concurrent.futures.process.BrokenProcessPool: A process terminated abruptly",
    "torch.multiprocessing.spawn.ProcessRaisedException:",
    "asyncio.exceptions.CancelledError",
    "TimeoutError",
    "EOFError",
    "RuntimeError: cancelled",
    "SystemExit: 1",
    "Task exception was never retrieved",
    "Error in inspecting model architecture 'BirchForCausalLM'",
    "Process SpawnProcess-1:",
]

BENIGN = [
    "resource_tracker.py:254: UserWarning: resource_tracker: There appear to be 1 leaked semaphore",
    "Failed to import from vllm._C with ModuleNotFoundError(\"No module named 'vllm._C'\")",
    "Failed to import from vllm._C with ImportError('libcuda.so.1: cannot open shared object')",
    "Failed to import from amdsmi with ModuleNotFoundError(\"No module named 'amdsmi'\")",
    "Unable to register cuDNN factory: Attempting to register factory for plugin cuDNN",
    "Error saving model info cache.",
    "Found ulimit of 1024 and failed to automatically increase with error current limit exceeds",
    "Exception in ASGI application",
    "vllm.exceptions.VLLMValidationError: This model's maximum context length is 4096 tokens.",
    'INFO: 10.0.0.1:0 - "POST /v1/completions HTTP/1.1" 400 Bad Request',
    "destroy_process_group() was not called before program exit, which can leak resources.",
]


@pytest.mark.parametrize("line", WRAPPERS)
def test_wrapper_says_nothing(line: str) -> None:
    """It is never the answer by itself, nor does it hide what is behind it."""
    assert Kind.WRAPPER in {hit.kind for hit in load_rules().hits(line)}
    assert diagnose([f"ERROR 03-04 10:11:12 [core.py:1] {line}"]).cause == "cause-not-in-log"

    found = diagnose([line, "ValueError: a birch has no leaves"])
    assert found.cause == "unknown"
    assert found.evidence is not None
    assert found.evidence.line == 2


@pytest.mark.parametrize("line", BENIGN)
def test_benign_line_is_passed_over(line: str) -> None:
    """An error that nobody knows is the answer, not the frightening line before it."""
    assert Kind.BENIGN in {hit.kind for hit in load_rules().hits(line)}

    found = diagnose([f"ERROR 03-04 10:11:12 [core.py:1] {line}", "ValueError: no leaves"])
    assert found.cause == "unknown"
    assert found.evidence is not None
    assert found.evidence.line == 2


def test_refused_start_is_not_a_refused_request() -> None:
    """The same class says both."""
    text = "vllm.exceptions.VLLMValidationError: The supplied chat template looks like a file path"

    assert Kind.BENIGN not in {hit.kind for hit in load_rules().hits(text)}
