"""`hwval load` as people and programs call it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.calling import Call
from tests.fakes.process import FakeEngineProcess
from tests.load.scripted import Script
from tests.load.scripted import serve

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


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (("127.0.0.1:80",), "expected http://HOST:PORT"),
        (("http://127.0.0.1:9",), "Connection refused"),
        (("URL", "--model", "nope"), "it serves 'fake'; name one of these"),
        (("URL", "--api-key-env", "NO_SUCH"), "NO_SUCH: no such variable"),
        (("URL", "--input-tokens", "x"), "length 'x'"),
        (("URL", "--output-tokens", "0"), "length '0'"),
        (("URL", "--rate", "0"), "rate from 0 to 0"),
        (("URL", "--ramp", "5 s"), "expected --rate"),
        (("URL", "--rate", "1", "--trace", "t.jsonl"), "t.jsonl: cannot be read"),
        (("URL", "--slo", "itl=5ms"), "expected ttft, tpot or e2el"),
        (("URL", "--slo", "ttft=5"), "with a unit"),
        (("URL", "--slo", "ttft=0s"), "expected more than 0"),
        (("URL", "--timeout", "5"), "with a unit"),
        (("URL", "--processes", "many"), "or auto"),
        (("URL", "--processes", "0"), "or auto"),
        (("URL", "--body", "{"), "no JSON"),
        (("URL", "--body", "[]"), "expected a JSON object"),
        (("URL", "--tokenizer", "none"), "expected tokenizer.json"),
        (("URL", "--burstiness", "0", "--rate", "5"), "burstiness 0"),
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


def test_rate_and_trace_exclude_each_other(hwval: Call, tmp_path: Path) -> None:
    """A trace has times of its own."""
    (tmp_path / "t.jsonl").write_text('{"at_s": 0, "input_tokens": 1, "output_tokens": 1}')
    code, _, err = hwval("load", "http://127.0.0.1:9", "--rate", "1", "--trace", "t.jsonl")

    assert code == 2
    assert "name one of them" in err


def test_wrong_key_is_told(hwval: Call, engine: FakeEngineProcess) -> None:
    """Before anything is measured."""
    code, _, err = hwval("load", engine.base_url)

    assert code == 2
    assert "status 401" in err


def test_progress_is_for_terminals(engine: FakeEngineProcess) -> None:
    """On standard error, with what is done and left; the answer stays clean."""
    command = Path(sys.executable).with_name("hwval")
    ours, theirs = pty.openpty()
    environment: dict[str, Any] = os.environ | {"ENGINE_KEY": "s3cret-key", "TERM": "xterm"}
    arguments = ("--requests", "4", "--output-tokens", "300", "--api-key-env", "ENGINE_KEY")
    with os.fdopen(ours, "rb", buffering=0) as terminal:
        done = subprocess.run(
            [command, "load", engine.base_url, *arguments, "--json"],
            stdout=subprocess.PIPE, stderr=theirs, env=environment, check=False,
        )  # fmt: skip
        os.close(theirs)
        shown = terminal.read(65536)

    assert done.returncode == 0
    assert json.loads(done.stdout)["failed"] == 0
    assert b"requests" in shown
    assert b"0 failed" in shown
