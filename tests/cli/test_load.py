"""`hwval load` as people and programs call it."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from array import array
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from rich.console import Console

from hwval.cli.loadtable import print_load
from hwval.load import summarise
from hwval.load.health import Health
from hwval.load.run import LoadRun
from hwval.load.summary import Distribution
from tests.cli.calling import Call
from tests.fakes.process import FakeEngineProcess
from tests.load.scripted import EVENTS_HEAD
from tests.load.scripted import LAST_CHUNK
from tests.load.scripted import Script
from tests.load.scripted import chunk
from tests.load.scripted import event
from tests.load.scripted import serve
from tests.load.scripted import stream
from tests.load.scripted import token
from tests.load.scripted import usage
from tests.load.scripted import whole

QUIET = Health(wall_s=10, cpu_s=1, starved_s=0.1, lags_ns=array("q"))
FAST = ("--requests", "6", "--output-tokens", "4", "--input-tokens", "5", "--warmup", "1")


@pytest.fixture(scope="module")
def engine() -> Iterator[FakeEngineProcess]:
    """A healthy engine that wants a key."""
    with FakeEngineProcess(scenario={"ttft_s": 0.02}, api_key="s3cret-key") as running:
        yield running


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Options that name the variable with the engine's key."""
    monkeypatch.setenv("ENGINE_KEY", "s3cret-key")
    return ("--api-key-env", "ENGINE_KEY")


def test_json_is_what_the_design_promises(
    hwval: Call, engine: FakeEngineProcess, key: tuple[str, str]
) -> None:
    """Base units under the agreed names; URL with /v1 too."""
    code, out, err = hwval(
        *("load", f"{engine.base_url}/v1", "--model", "fake", "--json", *FAST, *key),
        *("--concurrency", "3", "--seed", "7", "--processes", "2", "--endpoint", "chat"),
    )
    data = json.loads(out)

    assert (code, err) == (0, "")
    assert (data["requests"], data["failed"], data["output_tokens"]) == (6, 0, 24)
    for name in ("ttft_s", "itl_s", "tpot_s", "e2el_s"):
        assert {"mean", "p50", "p90", "p99"} == set(data[name])
    assert data["ttft_s"]["p50"] >= 0.02
    assert data["request_per_s"] == pytest.approx(6 / data["duration_s"])
    assert data["output_tokens_per_s"] == pytest.approx(24 / data["duration_s"])
    assert data["approximate_prompt_lengths"] is True
    assert (data["settings"]["seed"], data["settings"]["processes"]) == (7, 2)
    assert "s3cret" not in out


def test_people_get_a_table(
    hwval: Call, engine: FakeEngineProcess, key: tuple[str, str], tmp_path: Path
) -> None:
    """Latencies with units, throughput, goals, and whether lengths are exact."""
    from hwval.synthetic.tokenizer import train_tokenizer

    train_tokenizer(1024).save(str(tmp_path / "tokenizer.json"))
    code, out, _ = hwval(
        *("load", engine.base_url, *FAST, *key, "--rate", "200", "--ramp", "10 ms"),
        *("--slo", "ttft=5s", "--slo", "e2el=1min", "--tokenizer", str(tmp_path)),
        *("--input-tokens", "30..40", "--shared-prefix-tokens", "20"),
    )

    assert code == 0
    assert "latency, ms" in out
    assert "time to first token" in out
    assert "tokens/s" in out
    assert "exact lengths" in out
    assert "goals kept: 100.0% of requests met them" in out
    assert "200 requests/s" in out
    assert "--seed repeats the run" in out


def test_trace_is_an_open_loop(
    hwval: Call, engine: FakeEngineProcess, key: tuple[str, str], tmp_path: Path
) -> None:
    """With its own number and lengths."""
    lines = [{"at_s": 0.01 * n, "input_tokens": 3, "output_tokens": 2 + n} for n in range(3)]
    (tmp_path / "t.jsonl").write_text("\n".join(map(json.dumps, lines)))
    arguments = ("load", engine.base_url, "--model", "fake", "--trace", "t.jsonl", *key)
    _, out, _ = hwval(*arguments, "--json")
    data = json.loads(out)

    assert (data["requests"], data["output_tokens"]) == (3, 9)
    assert data["settings"]["loop"] == "open"
    assert "by a trace" in hwval(*arguments)[1]


def test_missed_goals_are_a_negative_answer(
    hwval: Call, engine: FakeEngineProcess, key: tuple[str, str]
) -> None:
    """Exit status 1."""
    code, out, _ = hwval("load", engine.base_url, *FAST, *key, "--slo", "ttft=1ms")

    assert code == 1
    assert "goals missed: 0.0% of requests met them" in out


def test_failed_requests_are_a_negative_answer(hwval: Call) -> None:
    """Exit status 1, each kind with what the server said, made harmless; other kinds go on."""
    scenario = {"error_every": 2, "error_status": 503}
    with FakeEngineProcess(scenario=scenario, api_key=None) as engine:
        code, out, _ = hwval("load", engine.base_url, *FAST)

    assert code == 1
    assert "3 failed: status 503: fault injected" in out
    assert "3 answered, 3 failed" in out


def test_secrets_and_control_characters_are_not_shown(
    hwval: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server may repeat the key it was given, and write what it likes."""
    models = json.dumps({"data": [{"id": "m"}]}).encode()
    body = json.dumps({"error": {"message": "bad key s3cret-key \x1b[31m"}}).encode()
    answers = [
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(models) + models,
        b"HTTP/1.1 401 No\r\ncontent-length: %d\r\n\r\n" % len(body) + body,
    ]
    monkeypatch.setenv("K", "s3cret-key")
    for more in ((), ("--json",)):
        with serve(Script(answers)) as url:
            code, out, _ = hwval("load", url, *FAST, "--api-key-env", "K", *more)

        assert code == 1
        assert "bad key [secret]" in out
        assert "s3cret-key" not in out
        assert "\x1b" not in out


def test_hostile_server_is_counted_by_kind(hwval: Call) -> None:
    """Each answer by what was wrong with it; those that are whole are measured."""
    models = json.dumps({"data": [{"id": "m"}]}).encode()
    gzipped = b"\r\ncontent-encoding: gzip\r\n\r\n"
    many = chunk(event(token("x" * 1000))) * 80_000
    answers = [
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(models) + models,
        whole(4),
        b"HTTP/1.1 429 Slow\r\ncontent-length: 4\r\n\r\nslow",
        b"HTTP/1.1 307 There\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n",
        stream(token(), {"error": {"message": "\ud800 half"}}),
        stream(token(), b'{"choices": [{"text": "\xff"}]}'),
        stream(*[token()] * 3, token(finish="length"), usage(-4)),
        whole(4).replace(b"\r\n\r\n", gzipped, 1),
        b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 3\r\n\r\n<b>",
        EVENTS_HEAD + many,
        EVENTS_HEAD + chunk(event(token())),
        whole(4).replace(LAST_CHUNK, b"0\r\nx-trailer: 1\r\n\r\n"),
    ]
    with serve(Script(answers)) as url:
        code, out, err = hwval(
            *("load", url, "--json", "--requests", "11", "--concurrency", "1", "--warmup", "0"),
            *("--output-tokens", "4", "--input-tokens", "5", "--stall", "1s"),
        )
    data = json.loads(out)

    assert (code, err) == (1, "")
    assert data["failures"] == {
        "status 429": 1, "status 307": 1, "error in the stream": 1, "malformed answer": 1,
        "wrong token count": 1, "not streamed": 2, "answer too long": 1, "stalled": 1,
    }  # fmt: skip
    assert (data["requests"] - data["failed"], data["output_tokens"]) == (2, 8)
    assert data["clients"][0]["peak_memory_bytes"] < 400e6


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("127.0.0.1:80",), "expected http://HOST:PORT"),
        (("http://127.0.0.1:9",), "Connection refused"),
        (("URL", "--model", "nope"), "it serves 'fake'; name one of these"),
        (("URL", "--api-key-env", "NO_SUCH"), "NO_SUCH: no such variable"),
        (("URL", "--input-tokens", "x"), "--input-tokens: length 'x'"),
        (("URL", "--output-tokens", "0"), "--output-tokens: length '0'"),
        (("URL", "--input-tokens", "99999999"), "--input-tokens '99999999': expected 10,000,000"),
        (("URL", "--output-tokens", "99999999~5"), "expected 10,000,000 tokens at most"),
        (("URL", "--output-tokens", "128~500"), "expected a deviation of 128 tokens at most"),
        (("URL", "--input-tokens", "1000000", "--requests", "501"), "expected 500,000,000 at most"),
        (("URL", "--requests", "1000001"), "--requests 1,000,001: expected 1 to 1,000,000"),
        (("URL", "--requests", "0"), "--requests 0: expected 1 to"),
        (("URL", "--warmup", "-1"), "--warmup -1: expected 0 to"),
        (("URL", "--slo", "ttft=1s", "--slo-share", "2"), "--slo-share 2.0: expected 0 to 1"),
        (("URL", "--rate", "0"), "--rate 0: expected a finite number above 0"),
        (("URL", "--rate", "nan"), "--rate nan: expected"),
        (("URL", "--rate", "5", "--ramp", "1 s", "--ramp-from", "-1"), "--ramp-from -1: expected"),
        (("URL", "--ramp", "5 s"), "--ramp: does nothing without --rate"),
        (("URL", "--rate", "5", "--ramp-from", "1"), "--ramp-from: does nothing without --ramp"),
        (("URL", "--burstiness", "2"), "--burstiness: does nothing without --rate"),
        (("URL", "--prefixes", "2"), "--prefixes: does nothing without --shared-prefix-tokens"),
        (("URL", "--slo-share", "0.5"), "--slo-share: does nothing without --slo"),
        (("URL", "--trace", "t.jsonl", "--requests", "5"), "--requests and --trace"),
        (("URL", "--trace", "t.jsonl", "--input-tokens", "5"), "--input-tokens and --trace"),
        (("URL", "--trace", "t.jsonl"), "t.jsonl: cannot be read"),
        (("URL", "--slo", "itl=5ms"), "expected ttft, tpot or e2el"),
        (("URL", "--slo", "ttft=5"), "with a unit"),
        (("URL", "--slo", "ttft=1s", "--slo", "ttft=2s"), "ttft has a goal already"),
        (("URL", "--slo", "ttft=0s"), "--slo 'ttft=0s': '0s' is no time above 0"),
        (("URL", "--slo", "ttft"), "--slo 'ttft': "),
        (("URL", "--timeout", "5"), "with a unit"),
        (("URL", "--processes", "many"), "or auto"),
        (("URL", "--processes", "0"), "or auto"),
        (("URL", "--processes", "9999999999999"), "on this machine, or auto"),
        (("URL", "--processes", "2", "--concurrency", "1"), "expected 1 at most, or auto"),
        (("URL", "--processes", "2", "--requests", "1"), "expected 1 at most, or auto"),
        (("URL", "--body", "{"), "no JSON"),
        (("URL", "--body", "[]"), "expected a JSON object"),
        (("URL", "--body", '{"max_tokens": 9}'), "max_tokens: --output-tokens says it"),
        (("URL", "--tokenizer", "none"), "expected tokenizer.json"),
        (("URL", "--burstiness", "0", "--rate", "5"), "--burstiness 0"),
        (("URL", "--shared-prefix-tokens", "500"), "shared prefix of 500"),
    ],
)
def test_mistake_is_one_line(
    hwval: Call,
    engine: FakeEngineProcess,
    key: tuple[str, str],
    arguments: tuple[str, ...],
    problem: str,
) -> None:
    """Exit status 2 before anything is sent."""
    named = [engine.base_url if one == "URL" else one for one in arguments]
    code, out, err = hwval("load", *(key if "--api-key-env" not in named else ()), *named)

    assert (code, out) == (2, "")
    assert err.startswith("hwval: ")
    assert err.count("\n") == 1
    assert problem in err


def test_rate_and_trace_exclude_each_other(hwval: Call) -> None:
    """A trace has times of its own."""
    code, _, err = hwval("load", "http://127.0.0.1:9", "--rate", "1", "--trace", "t.jsonl")

    assert code == 2
    assert "name one of them" in err


def test_wrong_key_is_told(hwval: Call, engine: FakeEngineProcess) -> None:
    """Before anything is measured."""
    code, _, err = hwval("load", engine.base_url)

    assert code == 2
    assert "status 401" in err
    assert "--api-key-env names the key's variable: does it want one?" in err


def test_deadline_is_no_failure(
    hwval: Call, engine: FakeEngineProcess, key: tuple[str, str]
) -> None:
    """What was not sent has a count of its own; exit status 0 for what was answered."""
    arguments = ("load", engine.base_url, *key, "--output-tokens", "4", "--warmup", "0")
    code, out, _ = hwval(*arguments, "--rate", "5", "--requests", "99", "--deadline", "1 s")

    assert code == 0
    assert " answered, 0 failed, " in out
    assert " not sent" in out
    assert "ended early: the run had 1 s" in out


def test_nothing_answered_is_a_negative_answer(hwval: Call) -> None:
    """Whatever ended it."""
    with FakeEngineProcess(scenario={"ttft_s": 60}, api_key=None) as slow:
        code, out, _ = hwval(
            "load", slow.base_url, *FAST, "--warmup", "0", "--deadline", "1 s", "--json"
        )
    data = json.loads(out)

    assert code == 1
    assert (data["failed"], data["unfinished"], data["unsent"]) == (0, 6, 0)
    assert data["ttft_s"] is None


def test_open_loop_that_its_concurrency_holds_back_says_so(
    hwval: Call, engine: FakeEngineProcess, key: tuple[str, str]
) -> None:
    """It is the plan's limit, not the generator's."""
    code, out, _ = hwval("load", engine.base_url, *key, "--rate", "500", "--requests", "40",
                         "--concurrency", "1", "--output-tokens", "4")  # fmt: skip

    assert code == 0
    assert "concurrency-bound: " in out
    assert "1 were in flight already (--concurrency)" in out


@pytest.fixture
def heeded_interrupt() -> Iterator[None]:
    """Let programs that are started heed Ctrl-C; what runs in the background was told not to."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("heeded_interrupt")
def test_interrupt_shows_what_was_measured(engine: FakeEngineProcess) -> None:
    """The table, and exit status 130; nothing of other processes' tracebacks."""
    command = Path(sys.executable).with_name("hwval")
    environment: dict[str, Any] = os.environ | {"ENGINE_KEY": "s3cret-key"}
    sent = [*("--requests", "3000", "--output-tokens", "9"), "--api-key-env", "ENGINE_KEY"]
    before = len(httpx.get(f"{engine.base_url}/fake/requests").json())
    with subprocess.Popen(
        [command, "load", engine.base_url, *sent],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment, text=True,
        process_group=0,
    ) as running:  # fmt: skip
        while len(httpx.get(f"{engine.base_url}/fake/requests").json()) < before + 30:
            assert running.poll() is None
        os.killpg(running.pid, signal.SIGINT)
        out, err = running.communicate()

    assert (running.returncode, err) == (130, "")
    assert "time to first token" in out
    assert " 0 failed, 8 unfinished, " in out
    assert "ended early: the run was interrupted" in out


@pytest.mark.parametrize("columns", [80, 60, 40])
def test_no_digit_is_cut(columns: int) -> None:
    """On a narrow terminal the table becomes lines."""
    slow = Distribution(123.45678, 123.45678, 123.45678, 123.45678)
    summary = replace(
        summarise(LoadRun((), (), (QUIET,), "uvloop")),
        ttft_s=slow, itl_s=slow, tpot_s=slow, e2el_s=slow,
    )  # fmt: skip
    settings = {
        "loop": "closed", "concurrency": 8, "model": "m", "url": "http://h", "endpoint": "chat",
        "approximate_prompt_lengths": True, "seed": 1,
    }  # fmt: skip
    stream = StringIO()
    print_load(Console(file=stream, width=columns), summary, settings)
    lines = stream.getvalue().splitlines()

    assert sum(line.count("123,456.78") for line in lines) == 16
    assert max(map(len, lines)) <= columns


def test_help_is_legible_at_80_columns(hwval: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    """No option's name is cut."""
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    code, out, _ = hwval("load", "--help")

    assert code == 0
    assert "--shared-prefix-tokens " in out
    assert "…" not in out


def _read_terminal(descriptor: int) -> Iterator[bytes]:
    """Yield what a program writes until it ends, which Linux tells as an error."""
    with suppress(OSError):
        while data := os.read(descriptor, 65536):
            yield data


def test_progress_is_for_terminals(engine: FakeEngineProcess) -> None:
    """On standard error, with what is done and left; the answer stays clean."""
    command = Path(sys.executable).with_name("hwval")
    ours, theirs = pty.openpty()
    environment: dict[str, Any] = os.environ | {"ENGINE_KEY": "s3cret-key", "TERM": "xterm"}
    arguments = ("--requests", "4", "--output-tokens", "300", "--api-key-env", "ENGINE_KEY")
    with subprocess.Popen(
        [command, "load", engine.base_url, *arguments, "--json"],
        stdout=subprocess.PIPE, stderr=theirs, env=environment,
    ) as running:  # fmt: skip
        os.close(theirs)
        shown = b"".join(_read_terminal(ours))
        out, _ = running.communicate()
    os.close(ours)

    assert running.returncode == 0
    assert json.loads(out)["failed"] == 0
    assert b"requests" in shown
    assert b"0 failed" in shown


@pytest.mark.parametrize("endpoint", ["completions", "chat"])
def test_prompts_that_fill_the_context_fit(hwval: Call, endpoint: str) -> None:
    """The server tells how it counts, by two requests before the others."""
    with FakeEngineProcess(args=["--max-model-len", "2048"], api_key=None) as engine:
        code, out, err = hwval(
            *("load", engine.base_url, "--json", "--requests", "4", "--endpoint", endpoint),
            *("--input-tokens", "2040", "--output-tokens", "8"),
        )
    data = json.loads(out)

    assert (code, err, data["failed"]) == (0, "", 0)
    assert 1940 < data["input_tokens"] / 4 <= 2040


@pytest.mark.parametrize(
    ("told", "expected", "problem"),
    [
        ({}, 2, "too long for the server's context of unknown length"),
        ({"max_model_len": 100_000}, 1, ""),
    ],
    ids=["may be too long", "surely fits"],
)
def test_refusal_of_a_prompt_is_the_servers_mistake_if_it_fits(
    hwval: Call, told: dict[str, int], expected: int, problem: str
) -> None:
    """Otherwise it is ours, and says what to change."""
    models = json.dumps({"data": [{"id": "m", **told}]}).encode()
    refusal = json.dumps({"error": {"message": "maximum context length is 4 tokens"}}).encode()
    answers = [
        b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(models) + models,
        b"HTTP/1.1 400 Bad\r\ncontent-length: %d\r\n\r\n" % len(refusal) + refusal,
    ]
    with serve(Script(answers)) as url:
        code, out, err = hwval("load", url, *FAST)

    assert (code, problem in err, bool(err)) == (expected, True, bool(problem))
    assert "6 failed: status 400" in out
