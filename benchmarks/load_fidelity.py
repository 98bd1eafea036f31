"""Compares what load generators report with what the server itself recorded.

    python benchmarks/load_fidelity.py [--streams N ...] [--tokens N] [--rounds N] [--together]
                                       [--tool NAME=PROGRAM ...] [--tokenizer FOLDER]
    python benchmarks/load_fidelity.py --rates R ... [--streams N ...] [--rounds N] [--together]

The server is `reference/server.py` beside this file, alone on the first core; each generator runs
on the second one (`--cores` names others), one after the other against the same paces. Compared
are `hwval load`, and `vllm bench serve`, `guidellm` and `aiperf` where they are installed, or where
`--tool vllm=/path/to/vllm` says. Those need a tokenizer: one is made on the spot, or named.

Truth is on the same clock as the generator: from a request fully read to its first token handed to
the kernel, between tokens, tokens per second from first request to last token. The server's own
error (token handed over after it was due) is printed beside it. Aim: p99 TTFT within 5 % of truth
at 256 streams on one core, 10 % at 512.

With `--rates`, `hwval load` alone is given tokens faster and faster, by shorter times between
tokens of the same number of streams; the last line tells the highest rate that one core sustains:
p99 TTFT and ITL within 5 % of truth, no mark of a client-bound run. Past what the server's core can
send, its tokens leave late; the truth is still when they left.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from typing import Final
from typing import NamedTuple

import httpx
import numpy as np
from numpy.typing import NDArray

from hwval.clock import Stopwatch

_HERE: Final = Path(__file__).resolve().parent
_TIMEOUT_S: Final = 300.0
_INPUT_TOKENS: Final = 64
_SUSTAINED_ERROR: Final = 0.05
_CLIENT_BOUND: Final = "client-bound"
_STREAMS: Final = (64, 256, 512)
_STREAMS_AT_RATES: Final = 512
_RATE_WAVE_S: Final = 2.0


class Figures(NamedTuple):
    """What a run was like, by the server or by a generator; milliseconds and tokens per second."""

    ttft_mean_ms: float
    ttft_p99_ms: float
    itl_mean_ms: float
    itl_p99_ms: float
    tokens_per_s: float


class Scene(NamedTuple):
    """What every generator is asked for."""

    url: str
    streams: int
    requests: int
    tokens: int
    tokenizer: Path
    folder: Path


class Run(NamedTuple):
    """One generator's run beside the truth."""

    reported: Figures
    true: Figures
    wall_s: float
    pacing_p99_ms: float
    remark: str

    @property
    def error(self) -> float:
        """How far the reported p99 TTFT is from the true one, relative."""
        return self.reported.ttft_p99_ms / self.true.ttft_p99_ms - 1

    @property
    def itl_error(self) -> float:
        """How far the reported p99 ITL is from the true one, relative."""
        return self.reported.itl_p99_ms / self.true.itl_p99_ms - 1

    @property
    def is_sustained(self) -> bool:
        """Whether the generator kept up: it says so itself, and its numbers are near the truth."""
        is_near = max(abs(self.error), abs(self.itl_error)) <= _SUSTAINED_ERROR
        return is_near and _CLIENT_BOUND not in self.remark


class Tool(NamedTuple):
    """A load generator."""

    command: Callable[[str, Scene], list[str]]
    read: Callable[[Scene, str], tuple[Figures, str]]


def hwval_command(program: str, scene: Scene) -> list[str]:
    """Return the command line of `hwval load`."""
    return [
        *(program, "load", scene.url, "--json", "--concurrency", str(scene.streams)),
        *("--requests", str(scene.requests), "--output-tokens", str(scene.tokens)),
        *("--input-tokens", str(_INPUT_TOKENS), "--warmup", "8", "--processes", "1"),
    ]


def read_hwval(_: Scene, output: str) -> tuple[Figures, str]:
    """Read what `hwval load --json` printed."""
    data = json.loads(output)
    figures = Figures(
        data["ttft_s"]["mean"] * 1e3,
        data["ttft_s"]["p99"] * 1e3,
        data["itl_s"]["mean"] * 1e3,
        data["itl_s"]["p99"] * 1e3,
        data["output_tokens_per_s"],
    )
    client = data["clients"][0]
    cpu_us = client["cpu_share"] * data["duration_s"] / data["output_tokens"] * 1e6
    remarks = [
        f"cpu {client['cpu_share']:.0%}, {cpu_us:.1f} us a token",
        f"lag p99 {client['loop_lag_p99_s'] * 1e3:.1f} ms",
        f"{client['peak_memory_bytes'] / 1e6:.0f} MB for {data['output_tokens']:,} tokens",
    ]
    return figures, ", ".join(remarks + [_CLIENT_BOUND] * data["client_bound"])


def vllm_command(program: str, scene: Scene) -> list[str]:
    """Return the command line of `vllm bench serve`."""
    return [
        *(program, "bench", "serve", "--backend", "openai", "--base-url", scene.url),
        *("--endpoint", "/v1/completions", "--model", "reference"),
        *("--tokenizer", str(scene.tokenizer), "--dataset-name", "random"),
        *("--random-input-len", str(_INPUT_TOKENS), "--random-output-len", str(scene.tokens)),
        *("--num-prompts", str(scene.requests), "--max-concurrency", str(scene.streams)),
        *("--ignore-eos", "--save-result", "--result-dir", str(scene.folder)),
        *("--result-filename", "vllm.json", "--disable-tqdm"),
    ]


def read_vllm(scene: Scene, _: str) -> tuple[Figures, str]:
    """Read the result file of `vllm bench serve`."""
    data = json.loads((scene.folder / "vllm.json").read_text())
    names = ("mean_ttft_ms", "p99_ttft_ms", "mean_itl_ms", "p99_itl_ms", "output_throughput")
    return Figures(*(data[name] for name in names)), ""


def guidellm_command(program: str, scene: Scene) -> list[str]:
    """Return the command line of GuideLLM."""
    backend = f"kind=openai_http,target={scene.url},model=reference,request_format=/v1/completions"
    shape = f"prompt_tokens={_INPUT_TOKENS},output_tokens={scene.tokens}"
    return [
        *(program, "run", "--disable-console", "--backend", backend),
        *("--profile", f"kind=concurrent,streams={scene.streams}"),
        *("--constraint", f"kind=max_requests,count={scene.requests}"),
        *("--tokenizer", f"kind=huggingface_auto,model={scene.tokenizer}"),
        *("--data", f"kind=synthetic_text,{shape}"),
        *("--output", f"kind=json,path={scene.folder / 'guidellm.json'}"),
    ]


def read_guidellm(scene: Scene, _: str) -> tuple[Figures, str]:
    """Read the result file of GuideLLM."""
    data = json.loads((scene.folder / "guidellm.json").read_text())
    metrics = data["benchmarks"][0]["metrics"]

    def of(name: str) -> dict[str, Any]:
        found: dict[str, Any] = metrics[name]["successful"]
        return found

    ttft, itl = of("time_to_first_token_ms"), of("inter_token_latency_ms")
    figures = Figures(
        ttft["mean"],
        ttft["percentiles"]["p99"],
        itl["mean"],
        itl["percentiles"]["p99"],
        of("output_tokens_per_second")["mean"],
    )
    return figures, "its ITL is per request"


def aiperf_command(program: str, scene: Scene) -> list[str]:
    """Return the command line of AIPerf."""
    return [
        *(program, "profile", "--model", "reference", "--url", scene.url, "--streaming"),
        *("--endpoint-type", "completions", "--tokenizer", str(scene.tokenizer)),
        *("--concurrency", str(scene.streams), "--request-count", str(scene.requests)),
        *("--synthetic-input-tokens-mean", str(_INPUT_TOKENS)),
        *("--output-tokens-mean", str(scene.tokens), "--ui", "none"),
        *("--use-server-token-count", "--extra-inputs", "ignore_eos:true"),
        *("--artifact-dir", str(scene.folder / "aiperf")),
    ]


def read_aiperf(scene: Scene, _: str) -> tuple[Figures, str]:
    """Read the result file of AIPerf."""
    (file,) = (scene.folder / "aiperf").rglob("profile_export_aiperf.json")
    data = json.loads(file.read_text())
    ttft, itl = data["time_to_first_token"], data["inter_token_latency"]
    rate = data["output_token_throughput"]["avg"]
    figures = Figures(ttft["avg"], ttft["p99"], itl["avg"], itl["p99"], rate)
    return figures, "its ITL is per request"


TOOLS: Final = {
    "hwval": Tool(hwval_command, read_hwval),
    "vllm": Tool(vllm_command, read_vllm),
    "guidellm": Tool(guidellm_command, read_guidellm),
    "aiperf": Tool(aiperf_command, read_aiperf),
}


@contextmanager
def serve(core: str, *options: str) -> Iterator[str]:
    """Run the reference server on a core of its own and give its URL."""
    command = [
        "taskset",
        "-c",
        core,
        sys.executable,
        str(_HERE / "reference" / "server.py"),
        *options,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        try:
            assert server.stdout is not None
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


def truth(url: str, requests: int) -> tuple[Figures, float]:
    """Return the server's record of the last requests, and the p99 of its own error, ms."""
    record = httpx.get(f"{url}/record", timeout=60).json()[-requests:]
    ttfts = [(one["sent_ns"][0] - one["received_ns"]) / 1e6 for one in record]
    gaps = np.concatenate([np.diff(one["sent_ns"]) for one in record]) / 1e6
    late = np.concatenate([_late_ms(one) for one in record])
    begun_ns = min(one["received_ns"] for one in record)
    wall_s = (max(one["sent_ns"][-1] for one in record) - begun_ns) / 1e9
    tokens = sum(len(one["sent_ns"]) for one in record)
    figures = Figures(
        float(np.mean(ttfts)),
        float(np.percentile(ttfts, 99)),
        float(np.mean(gaps)),
        float(np.percentile(gaps, 99)),
        tokens / wall_s,
    )
    return figures, float(np.percentile(late, 99))


def _late_ms(one: dict[str, Any]) -> NDArray[np.float64]:
    """Return how much later than it was due each token of a request left."""
    due_ns = one["first_due_ns"] + np.arange(len(one["sent_ns"])) * one["itl_ns"]
    late: NDArray[np.float64] = (np.array(one["sent_ns"]) - due_ns) / 1e6
    return late


def measure(tool: Tool, program: str, scene: Scene, core: str) -> Run:
    """Run a generator once.

    Raises:
        RuntimeError: It failed.
    """
    httpx.post(f"{scene.url}/reset", timeout=60)
    command = ["taskset", "-c", core, *tool.command(program, scene)]
    watch = Stopwatch()
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_TIMEOUT_S)
    wall_s = watch.elapsed_s
    if done.returncode:
        raise RuntimeError(
            f"{' '.join(command)}: exit status {done.returncode}\n"
            f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    reported, remark = tool.read(scene, done.stdout)
    true, pacing_ms = truth(scene.url, scene.requests)
    return Run(reported, true, wall_s, pacing_ms, remark)


def make_tokenizer(folder: Path) -> Path:
    """Write a small tokenizer for generators that insist on one."""
    from hwval.synthetic.tokenizer import train_tokenizer
    from hwval.synthetic.tokenizer import write_tokenizer

    folder.mkdir()
    write_tokenizer(train_tokenizer(1024), folder, max_context_tokens=4096)
    config = {"model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": 1024}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


def show(name: str, streams: int, runs: list[Run]) -> None:
    """Print the round in which the server was most exact, and how far off each round was.

    Other programs on the server's core delay its tokens; where they did, truth is less true.
    """
    best = min(runs, key=lambda run: run.pacing_p99_ms)
    cells = [
        f"{reported:9,.1f} /{true:9,.1f}"
        for reported, true in zip(best.reported, best.true, strict=True)
    ]
    each = "; ".join(
        f"{run.error:+.1%}, {run.itl_error:+.1%} ({run.pacing_p99_ms:.2f} ms)" for run in runs
    )
    print(
        f"{name:9}{streams:6} {' '.join(cells)} {best.error:+8.1%} {best.wall_s:6.1f} s"
        f"{'  ' if best.remark else ''}{best.remark}\n"
        f"{'':15} rounds, p99 TTFT, p99 ITL (server late p99): {each}",
        flush=True,
    )


def _parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--streams", type=int, nargs="+")
    parser.add_argument("--tokens", type=int, default=100)
    parser.add_argument("--waves", type=int, default=2, help="requests for each stream")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--together", action="store_true", help="tokens leave in batches")
    parser.add_argument("--rates", type=int, nargs="+", help="tokens per second, of all streams")
    parser.add_argument("--cores", nargs=2, default=["0", "1"], help="of server and generator")
    parser.add_argument("--tool", action="append", default=[], metavar="NAME=PROGRAM")
    parser.add_argument("--only", nargs="+", choices=TOOLS, default=list(TOOLS))
    parser.add_argument("--tokenizer", type=Path)
    return parser.parse_args()


def compare(options: argparse.Namespace, folder: Path) -> None:
    """Measure every generator at each number of streams."""
    named = dict(one.split("=", 1) for one in options.tool)
    found = {name: named.get(name) or shutil.which(name) for name in TOOLS} | {"hwval": _own()}
    programs = {name: path for name, path in found.items() if path and name in options.only}
    extra = ["--together"] if options.together else []
    tokenizer = options.tokenizer or make_tokenizer(folder / "tokenizer")
    with serve(options.cores[0], *extra) as url:
        for streams in options.streams or _STREAMS:
            scene = Scene(url, streams, streams * options.waves, options.tokens, tokenizer, folder)
            for name, program in programs.items():
                runs = list(rounds(name, program, scene, options))
                if runs:
                    show(name, streams, runs)


def climb(options: argparse.Namespace, folder: Path) -> None:
    """Measure `hwval load` at each token rate, and say which was the highest that it sustained."""
    for streams in options.streams or (_STREAMS_AT_RATES,):
        sustained = [0.0]
        for rate in options.rates:
            itl_s = streams / rate
            tokens = max(2, round(_RATE_WAVE_S / itl_s))
            extra = ["--itl", str(itl_s), *(["--together"] if options.together else [])]
            with serve(options.cores[0], *extra) as url:
                scene = Scene(url, streams, streams * options.waves, tokens, folder, folder)
                runs = list(rounds("hwval", _own(), scene, options))
            if runs:
                show(f"{rate:,}", streams, runs)
                sustained += [run.true.tokens_per_s for run in runs if run.is_sustained]
        print(
            f"{streams} streams, highest rate sustained on one core: {max(sustained):,.0f} tokens/s"
        )


def rounds(name: str, program: str, scene: Scene, options: argparse.Namespace) -> Iterator[Run]:
    """Measure a generator again and again; what fails is told and left out."""
    for number in range(options.rounds):
        place = scene.folder / f"{name}-{scene.streams}-{number}"
        place.mkdir(exist_ok=True)
        try:
            yield measure(TOOLS[name], program, scene._replace(folder=place), options.cores[1])
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            print(f"{name}: {error}", file=sys.stderr)


def _own() -> str:
    return str(Path(sys.executable).with_name("hwval"))


def main() -> None:
    """Measure and print."""
    options = _parsed()
    print(f"{platform.machine()}, {os.cpu_count()} processors, Python {platform.python_version()}")
    print(f"tokens {'in batches' if options.together else 'each by itself'}; reported / true")
    heads = ("TTFT mean, ms", "TTFT p99, ms", "ITL mean, ms", "ITL p99, ms", "tokens/s")
    print(f"{'tool':9}{'streams':>6}{' '.join(f'{head:>20}' for head in heads)} p99 TTFT   wall")
    with tempfile.TemporaryDirectory() as folder:
        (climb if options.rates else compare)(options, Path(folder))


if __name__ == "__main__":
    main()
