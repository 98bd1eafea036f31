"""Start-up phases and numbers from logs of many versions."""

# ruff: noqa: E501 - log lines are as long as they are

from __future__ import annotations

from pathlib import Path

import pytest

from hwval.engine.startup import Startup
from hwval.engine.startup import current_phase
from hwval.engine.startup import read_startup
from hwval.engine.startup import split_lines

GIB = 2**30
LOGS = Path(__file__).parents[1] / "diagnosis" / "logs"
INFINITY = (LOGS / "infinity-cpu-0.0.77" / "healthy-refusals.log").read_text("utf-8")

CPU_0_32 = """\
(APIServer pid=9) INFO 03-04 10:00:02 [api_utils.py:347]  ▄▄ ▄█ █     █     █ ▀▄▀ █  version 0.32.0
(APIServer pid=9) INFO 03-04 10:00:02 [api_utils.py:286] non-default args: {'model': '/m'}
(APIServer pid=9) INFO 03-04 10:00:05 [model.py:733] Resolved architecture: LlamaForCausalLM
(APIServer pid=9) INFO 03-04 10:00:05 [model.py:2152] Using max model len 512
(EngineCore pid=10) INFO 03-04 10:00:11 [core.py:133] Initializing a V1 LLM engine (v0.32.0) with
(Worker pid=11) INFO 03-04 10:00:15 [cpu_model_runner.py:68] Starting to load model /m...
Loading safetensors checkpoint shards: 100% Completed | 1/1 [00:00<00:00, 284.01it/s]
(Worker pid=11) INFO 03-04 10:00:15 [default_loader.py:501] Loading weights took 0.25 seconds
(Worker pid=11) INFO 03-04 10:00:15 [cpu_worker.py:260] Explicitly set (1.5/6.09) GiB for KV cache on node 0.
(EngineCore pid=10) INFO 03-04 10:00:16 [kv.py:1] CPU KV cache size: 2,097,152 tokens, Maximum concurrency for 512 tokens per request: 4096.00x
(EngineCore pid=10) INFO 03-04 10:00:19 [core.py:402] init engine (profile, create kv cache, warmup model) took 2.90 s
(APIServer pid=9) INFO 03-04 10:00:20 [entry.py:140] Starting vLLM server on http://127.0.0.1:1
INFO:     Started server process [9]
INFO:     Application startup complete.
(APIServer pid=9) INFO 03-04 11:00:00 [loggers.py:335] Engine 000: Running: 0 reqs
"""

GPU_0_13_TWO_WORKERS = """\
\x1b[0;36m(APIServer pid=1)\x1b[0;0m INFO 12-31 23:58:50 [api_server.py:1] vLLM API server version 0.13.0
\x1b[0;36m(APIServer pid=1)\x1b[0;0m INFO 12-31 23:58:55 [model.py:1661] Using max model len 8192
\x1b[0;36m(Worker_TP0 pid=3)\x1b[0;0m INFO 12-31 23:59:05 [r.py:1] Starting to load model org/m...
\x1b[0;36m(Worker_TP0 pid=3)\x1b[0;0m INFO 12-31 23:59:35 [r.py:2] Model loading took 7.5 GiB memory and 29.6 seconds
\x1b[0;36m(Worker_TP1 pid=4)\x1b[0;0m INFO 12-31 23:59:34 [r.py:2] Model loading took 8.0 GiB memory and 29.1 seconds
\x1b[0;36m(Worker_TP0 pid=3)\x1b[0;0m INFO 01-01 00:00:25 [monitor.py:34] torch.compile takes 40.00 s in total
\x1b[0;36m(Worker_TP1 pid=4)\x1b[0;0m INFO 01-01 00:00:26 [monitor.py:34] torch.compile takes 42.00 s in total
\x1b[0;36m(Worker_TP1 pid=4)\x1b[0;0m INFO 01-01 00:00:30 [w.py:1] Available KV cache memory: 12.0 GiB
\x1b[0;36m(Worker_TP0 pid=3)\x1b[0;0m INFO 01-01 00:00:30 [w.py:1] Available KV cache memory: 12.5 GiB
\x1b[0;36m(EngineCore pid=2)\x1b[0;0m INFO 01-01 00:00:31 [kv.py:1] GPU KV cache size: 282,624 tokens
\x1b[0;36m(EngineCore pid=2)\x1b[0;0m INFO 01-01 00:00:31 [kv.py:2] Maximum concurrency for 8,192 tokens per request: 34.50x
\x1b[0;36m(Worker_TP0 pid=3)\x1b[0;0m INFO 01-01 00:00:49 [r.py:3] Graph capturing finished in 17 secs, took 0.75 GiB
\x1b[0;36m(EngineCore pid=2)\x1b[0;0m INFO 01-01 00:00:50 [core.py:259] init engine (profile, create kv cache, warmup model) took 75.0 seconds
\x1b[0;36m(APIServer pid=1)\x1b[0;0m INFO 01-01 00:00:53 [api_server.py:2] Starting vLLM API server 0 on http://0.0.0.0:8000
\x1b[0;36m(APIServer pid=1)\x1b[0;0m INFO:     Application startup complete.
"""

GPU_0_6 = """\
INFO 09-30 08:00:00 api_server.py:526] vLLM API server version 0.6.1.post2
INFO 09-30 08:00:08 llm_engine.py:223] Initializing an LLM engine (v0.6.1.post2) with config: model='m'
INFO 09-30 08:00:10 model_runner.py:997] Starting to load model m...
INFO 09-30 08:00:22 model_runner.py:1008] Loading model weights took 14.0 GB
INFO 09-30 08:00:25 gpu_executor.py:122] # GPU blocks: 27999, # CPU blocks: 2048
INFO 09-30 08:00:30 model_runner.py:1311] Capturing the model for CUDA graphs. This may lead to
INFO 09-30 08:00:45 model_runner.py:1430] Graph capturing finished in 15 secs.
INFO:     Uvicorn running on http://0.0.0.0:8000 (Press CTRL+C to quit)
"""


def test_cpu_start_is_split_into_phases() -> None:
    """Whole seconds come from time stamps, fractions from vLLM's own clock where it has one."""
    startup = read_startup(CPU_0_32, ready_s=20.5)

    assert startup.phases_s == {
        "import": 2.25,
        "config": 3.0,
        "engine_init": 10.0,
        "weights_load": 0.25,
        "profile_and_kv": 1.0,
        "warmup": 3.0,
        "server_start": 1.0,
    }


def test_cpu_start_names_its_kv_cache() -> None:
    """The CPU build says no size of the weights, so none is there."""
    assert read_startup(CPU_0_32).numbers == {
        "kv_cache_bytes": 1.5 * GIB,
        "kv_cache_tokens": 2097152,
        "max_concurrency": 4096.0,
    }


def test_phases_run_over_new_year() -> None:
    """Time stamps have no year; the start goes on past midnight of 31 December."""
    startup = read_startup(GPU_0_13_TWO_WORKERS)

    assert startup.phases_s == {
        "config": 5.0,
        "engine_init": 10.0,
        "weights_load": 29.6,
        "compile": 42.0,
        "profile_and_kv": 14.0,
        "graph_capture": 17.0,
        "warmup": 1.0,
        "server_start": 3.0,
    }


def test_numbers_of_several_workers_are_the_fullest_and_the_tightest() -> None:
    """What fits on every device decides, so weights take the largest and caches the smallest."""
    assert read_startup(GPU_0_13_TWO_WORKERS).numbers == {
        "weights_bytes": 8.0 * GIB,
        "kv_cache_bytes": 12.0 * GIB,
        "kv_cache_tokens": 282624,
        "max_concurrency": 34.5,
        "graph_capture_bytes": 0.75 * GIB,
    }


def test_old_wording_is_read_and_missing_lines_leave_nothing() -> None:
    """Version 0.6 says blocks and no tokens; what it does not say is absent, not zero."""
    startup = read_startup(GPU_0_6)

    assert startup == Startup(
        phases_s={
            "engine_init": 10.0,
            "weights_load": 12.0,
            "profile_and_kv": 3.0,
            "graph_capture": 20.0,
            "server_start": 0.0,
        },
        numbers={"weights_bytes": 14.0 * GIB, "kv_cache_blocks": 27999},
    )


def test_draft_model_adds_to_the_compilation_of_its_worker() -> None:
    """A worker compiles two models one after the other."""
    log = (
        "INFO 05-05 05:00:00 [a.py:1] vLLM API server version 0.20.1\n"
        "(EngineCore pid=2) INFO 05-05 05:00:10 [r.py:1] Loading weights took 9.50 seconds\n"
        "(EngineCore pid=2) INFO 05-05 05:00:40 [m.py:1] torch.compile took 20.00 s in total\n"
        "(EngineCore pid=2) INFO 05-05 05:00:50 [m.py:1] torch.compile took 5.00 s in total\n"
        "(EngineCore pid=2) INFO 05-05 05:01:00 [k.py:1] GPU KV cache size: 1,000 tokens\n"
    )

    assert read_startup(log).phases_s == {
        "weights_load": 9.5,
        "compile": 25.0,
        "profile_and_kv": 25.0,
    }


def test_failed_start_keeps_the_phases_it_finished() -> None:
    """A log that ends in the middle tells how far it came."""
    log = CPU_0_32.partition("Loading safetensors")[0]

    assert list(read_startup(log).phases_s) == ["config", "engine_init"]


@pytest.mark.parametrize("log", ["", "Traceback (most recent call last):\n  ...\n"])
def test_foreign_text_says_nothing(log: str) -> None:
    """Without a line of vLLM's there is no phase, no number and no version."""
    assert read_startup(log, ready_s=3.0) == Startup()


@pytest.mark.parametrize(
    ("line", "activity"),
    [
        pytest.param("", "starting", id="nothing-yet"),
        pytest.param(
            "Loading safetensors checkpoint shards:  50% Completed | 2/4 [00:01<00:01,  1.9it/s]\r"
            "Loading safetensors checkpoint shards:  75% Completed | 3/4 [00:02<00:00,  1.9it/s]",
            "loading weights 3/4",
            id="bar-rewritten-in-place",
        ),
        pytest.param(
            "Capturing CUDA graphs (decode, FULL):  18%|#7        | 12/67 [00:01<00:06, 8.6it/s]",
            "capturing graphs 12/67",
            id="graphs",
        ),
        pytest.param(
            "Capturing CUDA graph shapes:  50%|#####     | 5/10 [00:01<00:01,  4.0it/s]",
            "capturing graphs 5/10",
            id="graphs-before-0.11",
        ),
        pytest.param("INFO 01-02 03:04:05 [m.py:1] Starting torch.compile", "compiling", id="0.32"),
        pytest.param(
            "INFO 01-02 03:04:05 [b.py:5] Dynamo bytecode transform time: 3.66 s",
            "compiling",
            id="dynamo",
        ),
        pytest.param(CPU_0_32, "ready", id="whole-log"),
    ],
)
def test_current_phase_follows_the_last_telling_line(line: str, activity: str) -> None:
    """Lines that say nothing about progress do not change it."""
    lines = [*split_lines(line), "WARNING 01-02 03:04:05 [x.py:1] something else"]
    if activity == "ready":
        lines = [text for text in lines if "Engine 000" not in text]

    assert current_phase(lines) == activity


def test_start_of_infinity_is_split_into_phases() -> None:
    """Its time stamps have milliseconds; what loads the weights it does not say apart."""
    startup = read_startup(INFINITY, ready_s=20.0)

    assert startup.numbers == {}
    assert startup.phases_s == pytest.approx(
        {"import": 7.857, "config": 0.018, "warmup": 12.109, "server_start": 0.016}
    )


@pytest.mark.parametrize(
    ("lines", "activity"),
    [(6, "loading weights"), (12, "warming up"), (26, "starting the server"), (99, "ready")],
)
def test_what_a_starting_infinity_does(lines: int, activity: str) -> None:
    """As its log grows."""
    assert current_phase(split_lines(INFINITY)[:lines]) == activity
