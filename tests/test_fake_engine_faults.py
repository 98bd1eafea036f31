"""The faults of the fault-injecting engine, each seen from outside the process."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from openai import InternalServerError

from tests.fakes import text
from tests.fakes.asking import complete
from tests.fakes.asking import open_client
from tests.fakes.asking import post
from tests.fakes.asking import read_events
from tests.fakes.process import FakeEngineProcess

MESSAGES: list[Any] = [{"role": "user", "content": "hello"}]


class TestStartFaults:
    def test_phase_takes_its_time(self) -> None:
        """A slow phase lasts, and the log says how long it was."""
        with FakeEngineProcess(scenario={"phase_s": {"weights": 0.3}}) as engine:
            assert "Loading weights took 0.30 seconds" in engine.log

    def test_cuda_log_has_memory_and_graphs(self) -> None:
        """The log of the cuda platform names weights memory and graph capture."""
        with FakeEngineProcess(scenario={"platform": "cuda", "weights_gib": 7.5}) as engine:
            assert "Model loading took 7.5 GiB memory and 0.000000 seconds" in engine.log
            assert "GPU KV cache size: 65,536 tokens" in engine.log
            assert "Graph capturing finished in 0 secs" in engine.log

    @pytest.mark.parametrize("busy", [True, False], ids=["busy", "idle"])
    def test_hang_uses_the_cpu_or_not(self, busy: bool) -> None:  # noqa: FBT001
        """A hanging engine lives, does not listen, and burns CPU only when busy."""
        scenario = {"hang_at": "weights", "hang_busy": busy}
        with FakeEngineProcess(scenario=scenario, wait_s=0) as engine:
            deadline_s = time.monotonic() + 20
            while "Starting to load model" not in engine.log and time.monotonic() < deadline_s:
                time.sleep(0.01)
            before_s = _cpu_s(engine)
            time.sleep(0.5)
            used_s = _cpu_s(engine) - before_s

            assert engine.exit_code is None
            assert "Loading weights took" not in engine.log
            assert (used_s > 0) == busy

    @pytest.mark.parametrize("phase", ["boot", "engine", "kv_cache", "serve"])
    def test_death_at_a_phase_leaves_log_and_code(self, phase: str) -> None:
        """A death prints its last words and gives its exit code."""
        scenario = {"die_at": phase, "die_log": "ValueError: no such thing", "die_exit_code": 3}
        with FakeEngineProcess(scenario=scenario, wait_s=0) as engine:
            assert engine.wait() == 3
            assert engine.log.endswith("ValueError: no such thing\n")

    @pytest.mark.parametrize("name", ["SIGSEGV", "SIGKILL"])
    def test_death_by_signal(self, name: str) -> None:
        """The process can send itself a deadly signal."""
        with FakeEngineProcess(scenario={"die_at": "weights", "die_signal": name}, wait_s=0) as e:
            assert e.wait() == -signal.Signals[name]

    def test_memory_is_taken_up_to_the_cap(self) -> None:
        """Where no limit ends it, the allocation stops at its cap and says so."""
        scenario = {"oom_at": "weights", "oom_cap_bytes": 64 << 20}
        with FakeEngineProcess(scenario=scenario, wait_s=0) as engine:
            assert engine.wait() == 70
            assert "expected a memory limit to end it" in engine.log

    def test_refused_flag_is_a_usage_error(self) -> None:
        """A refused flag ends it as vLLM's argument parser does."""
        scenario = {"refused_flags": ["--quantization"]}
        args = ["--quantization=awq"]
        with FakeEngineProcess(scenario=scenario, args=args, wait_s=0) as engine:
            assert engine.wait() == 2
            assert "vllm: error: unrecognized arguments: --quantization=awq" in engine.log

    def test_unknown_flags_are_taken(self) -> None:
        """Flags that change nothing here are accepted."""
        with FakeEngineProcess(args=["--enforce-eager", "--kv-cache-dtype", "fp8"]) as engine:
            assert httpx.get(f"{engine.base_url}/health").status_code == 200

    def test_sigterm_can_be_ignored(self) -> None:
        """With ignore_sigterm it lives on."""
        with FakeEngineProcess(scenario={"ignore_sigterm": True}) as engine:
            engine.terminate()

            assert httpx.get(f"{engine.base_url}/health").status_code == 200
            with pytest.raises(subprocess.TimeoutExpired):
                engine.wait(timeout_s=0.3)

    def test_unknown_scenario_key_is_an_error(self) -> None:
        """A misspelt fault does not give a healthy engine."""
        with FakeEngineProcess(scenario={"die_in": "weights"}, wait_s=0) as engine:
            assert engine.wait() == 64
            assert "scenario key 'die_in', expected one of" in engine.log


class TestAnswerFaults:
    def test_every_kth_request_is_refused(self) -> None:
        """With error_every=2 the second and fourth request fail with the given status."""
        scenario = {"error_every": 2, "error_status": 503}
        with FakeEngineProcess(scenario=scenario) as engine:
            body = {"prompt": "ba", "max_tokens": 1}
            codes = [post(engine, "/v1/completions", body).status_code for _ in range(4)]

        assert codes == [200, 503, 200, 503]

    def test_server_error_reaches_the_client_as_one(self) -> None:
        """The openai client sees an injected 500 as InternalServerError."""
        with (
            FakeEngineProcess(scenario={"error_every": 1}) as engine,
            open_client(engine) as client,
            pytest.raises(InternalServerError, match="fault injected"),
        ):
            complete(client)

    def test_stalled_stream_keeps_the_connection(self) -> None:
        """After its tokens a stalled stream says nothing more, and nothing ends it."""
        with FakeEngineProcess(scenario={"stall_after_tokens": 2}) as engine:
            events, error = read_events(engine)

        assert len(events) == 2
        assert error is httpx.ReadTimeout

    def test_cut_stream_ends_without_done(self) -> None:
        """After its tokens a cut stream's connection closes in mid-answer."""
        with FakeEngineProcess(scenario={"cut_after_tokens": 3}) as engine:
            events, error = read_events(engine)

        assert len(events) == 3
        assert error is httpx.RemoteProtocolError

    def test_malformed_event_is_no_json(self) -> None:
        """A malformed stream has an event that no parser takes."""
        with FakeEngineProcess(scenario={"malformed_after_tokens": 1}) as engine:
            events, error = read_events(engine)

        assert error is None
        with pytest.raises(json.JSONDecodeError):
            json.loads(events[1])

    def test_identity_can_be_wrong(self) -> None:
        """Served name, version and health can differ from what was asked for."""
        scenario = {"served_name": "other", "version": "0.1.0", "health_status": 503}
        with FakeEngineProcess(scenario=scenario) as engine, open_client(engine) as client:
            assert [card.id for card in client.models.list()] == ["other"]
            assert httpx.get(f"{engine.base_url}/version").json() == {"version": "0.1.0"}
            assert httpx.get(f"{engine.base_url}/health").status_code == 503

    @pytest.mark.parametrize(
        ("kind", "expected"),
        [
            pytest.param("repetition", None, id="repetition"),
            pytest.param("binary", "\x00\x01\x02\ufffd\ufffd\x08\x1b\x00", id="binary"),
            pytest.param("empty", "", id="empty"),
        ],
    )
    def test_garbage_text(self, kind: str, expected: str | None) -> None:
        """Garbage comes in the kind asked for, streamed or not."""
        with FakeEngineProcess(scenario={"garbage": kind}) as engine, open_client(engine) as client:
            whole = complete(client).choices[0].text
            stream = client.completions.create(
                model="fake", prompt="ba be", max_tokens=8, temperature=0, stream=True
            )
            streamed = "".join(chunk.choices[0].text for chunk in stream)

        assert streamed == whole
        assert whole == (whole.split()[0].join([" "] * 9)[:-1] if expected is None else expected)

    def test_stored_answers_are_echoed(self, tmp_path: Path) -> None:
        """A prompt whose hash is stored gets its stored text, a chat by its rendered prompt."""
        rows = [(" ba be", "the answer"), (text.render_chat(MESSAGES), "{}")]
        stored = tmp_path / "answers.jsonl"
        stored.write_text("\n".join(_stored_row(*row) for row in rows), encoding="utf-8")
        scenario = {"answers_file": str(stored)}
        with FakeEngineProcess(scenario=scenario) as engine, open_client(engine) as client:
            completed = complete(client, " ba be", max_tokens=100).choices[0]
            chat = client.chat.completions.create(model="fake", messages=MESSAGES)

        assert (completed.text, completed.finish_reason) == ("the answer", "stop")
        assert chat.choices[0].message.content == "{}"

    def test_dies_while_serving(self) -> None:
        """After its requests the next one kills it; the client sees the connection end."""
        scenario = {"die_after_requests": 1, "die_log": "EngineDeadError", "die_exit_code": 1}
        with FakeEngineProcess(scenario=scenario) as engine:
            body = {"prompt": "ba"}
            assert post(engine, "/v1/completions", body).status_code == 200
            with pytest.raises(httpx.RemoteProtocolError):
                post(engine, "/v1/completions", body)

            assert engine.wait() == 1
            assert engine.log.endswith("EngineDeadError\n")

    def test_text_faults_break_their_promise(self) -> None:
        """Stops, seeds, usage and streams can each be wrong."""
        scenario = {
            "ignore_stop": True,
            "ignore_seed": True,
            "usage_error_tokens": 3,
            "drop_stream_text": True,
            "context_error_status": 500,
        }
        with FakeEngineProcess(scenario=scenario) as engine, open_client(engine) as client:
            answer = complete(client, stop=[" "])
            other = complete(client)
            events, _ = read_events(engine)
            with pytest.raises(InternalServerError):
                complete(client, [70] * 5000)

        assert answer.choices[0].finish_reason == "length"
        assert answer.choices[0].text != other.choices[0].text
        assert answer.usage is not None
        assert answer.usage.completion_tokens == 8 + 3
        assert json.loads(events[-2])["choices"][0]["text"] == ""

    def test_pacing_is_kept_and_recorded(self) -> None:
        """Tokens come no earlier than their deadlines, and the engine's record says when."""
        scenario = {"ttft_s": 0.1, "itl_s": 0.01}
        with FakeEngineProcess(scenario=scenario) as engine, open_client(engine) as client:
            complete(client, max_tokens=11)
            (times,) = httpx.get(f"{engine.base_url}/fake/requests").json()

        assert times["tokens"] == 11
        assert times["ended"] == "length"
        assert times["first_token_s"] - times["received_s"] >= 0.1
        assert times["last_token_s"] - times["received_s"] >= 0.1 + 10 * 0.01


def _cpu_s(engine: FakeEngineProcess) -> float:
    assert engine.process is not None
    fields = Path(f"/proc/{engine.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def _stored_row(prompt: str, answer: str) -> str:
    digest = hashlib.sha256(prompt.encode()).hexdigest()
    return json.dumps({"prompt_sha256": digest, "text": answer})
