"""HTTP to an engine: readiness, models, version, metrics, and errors in the project's terms."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from http.server import ThreadingHTTPServer

import pytest

from hwval import client
from hwval.engine.base import Endpoint
from hwval.errors import EngineUnreachable
from hwval.errors import ResponseError
from tests.fakes.process import FakeEngineProcess

METRICS = """\
# HELP vllm:num_requests_running Requests in execution.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 1.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:request_success_total{engine="0",finished_reason="stop"} 4.0
vllm:time_to_first_token_seconds_bucket{le="0.1"} 3.0
vllm:time_to_first_token_seconds_bucket{le="+Inf"} 5.0
vllm:time_to_first_token_seconds_sum 0.75
vllm:age_seconds NaN
process_resident_memory_bytes 5.5e+08
vllm:cache_config_info{block_size="128",name="a \\"b\\" \\\\ c",num_gpu_blocks="16384"} 1.0
"""


@contextmanager
def serve(answers: dict[str, tuple[int, str]], *, charset: str = "utf-8") -> Iterator[Endpoint]:
    """Answer GET requests from a table of path -> status and body; other paths get 404."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = answers.get(self.path, (404, "not here"))
            if self.path == "/v1/secret" and self.headers["Authorization"] != "Bearer key":
                status = 401
            self.send_response(status)
            self.send_header("Content-Length", str(len(body.encode())))
            self.send_header("Content-Type", f"text/plain; charset={charset}")
            self.end_headers()
            self.wfile.write(body.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Stay quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield Endpoint(f"http://127.0.0.1:{server.server_port}", "key")
        server.shutdown()


@pytest.fixture
def nobody() -> Endpoint:
    """An address of this machine where nothing listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        return Endpoint(f"http://127.0.0.1:{holder.getsockname()[1]}", "key")


@pytest.mark.parametrize(
    ("answers", "is_ready"),
    [
        pytest.param({"/health": (200, "")}, True, id="healthy"),
        pytest.param({"/health": (503, "")}, False, id="engine-dead"),
        pytest.param({"/v1/models": (200, "{}")}, True, id="no-health-but-models"),
        pytest.param({"/health": (503, ""), "/v1/models": (200, "{}")}, False, id="health-wins"),
        pytest.param({}, False, id="neither"),
    ],
)
def test_readiness_is_health_or_a_list_of_models(
    answers: dict[str, tuple[int, str]], *, is_ready: bool
) -> None:
    """A server without /health is ready once it lists models; one with /health is asked alone."""
    with serve(answers) as endpoint:
        assert client.probe_ready(endpoint) is is_ready


def test_nobody_there_is_not_ready(nobody: Endpoint) -> None:
    """A refused connection is no error while one waits."""
    assert client.probe_ready(nobody) is False


def test_silent_server_is_not_ready() -> None:
    """A server that takes the connection and never answers ends the probe after its limit."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        endpoint = Endpoint(f"http://127.0.0.1:{server.getsockname()[1]}", "")

        assert client.probe_ready(endpoint, timeout_s=0.05) is False


def test_proxies_of_the_environment_are_not_asked_for_this_machine(
    monkeypatch: pytest.MonkeyPatch, nobody: Endpoint
) -> None:
    """A proxy that is set up for the internet does not stand between this machine and itself."""
    monkeypatch.setenv("http_proxy", nobody.base_url)
    monkeypatch.setenv("no_proxy", "")
    with serve({"/health": (200, "")}) as endpoint:
        assert client.probe_ready(endpoint)


def test_models_carry_their_context_length() -> None:
    """vLLM says max_model_len; a server that does not leaves it unknown."""
    body = '{"data": [{"id": "a", "max_model_len": 512, "owned_by": "vllm"}, {"id": "b"}]}'
    with serve({"/v1/models": (200, body)}) as endpoint:
        models = client.list_models(endpoint)

    assert models == (client.ServedModel("a", 512, "vllm"), client.ServedModel("b", None))


@pytest.mark.parametrize(
    ("answers", "api_path"),
    [
        pytest.param({"/v1/models": (200, "{}")}, "/v1", id="as-openai"),
        pytest.param({"/models": (200, "{}")}, "", id="at-the-root"),
        pytest.param({"/models": (401, "")}, "", id="at-the-root-with-a-key"),
        pytest.param({"/models": (200, "{}"), "/v1/models": (401, "")}, "/v1", id="both"),
        pytest.param({}, "/v1", id="neither"),
    ],
)
def test_routes_stand_below_v1_or_at_the_root(
    answers: dict[str, tuple[int, str]], api_path: str
) -> None:
    """Infinity without --url-prefix has them at the root; who wants a key has them there too."""
    with serve(answers) as endpoint:
        assert client.find_api_path(endpoint, timeout_s=10.0) == api_path


def test_routes_at_the_root_are_asked_there() -> None:
    """By the list of models, by the probe of a server without /health, and by OpenAI's client."""
    with serve({"/models": (200, '{"data": [{"id": "m"}]}')}) as at:
        endpoint = Endpoint(at.base_url, "key", api_path="")

        assert client.list_models(endpoint) == (client.ServedModel("m"),)
        assert client.probe_ready(endpoint)
        with client.openai_client(endpoint, 5.0) as openai:
            assert str(openai.base_url).rstrip("/") == at.base_url


@pytest.mark.parametrize(
    ("status", "body", "message"),
    [
        pytest.param(401, "Unauthorized", "status 401 with 'Unauthorized'", id="refused"),
        pytest.param(200, "<html>", "'<html>', expected JSON", id="not-json"),
        pytest.param(200, "[1]", r"\[1\], expected an object with a list", id="not-an-object"),
        pytest.param(200, '{"data": [{"id": 7}]}', "expected an object with a text", id="no-id"),
    ],
)
def test_answers_in_another_form_are_response_errors(status: int, body: str, message: str) -> None:
    """What came and what was expected stand in the message."""
    with (
        serve({"/v1/models": (status, body)}) as endpoint,
        pytest.raises(ResponseError, match=message),
    ):
        client.list_models(endpoint)


def test_long_bodies_are_cut_in_messages() -> None:
    """A page of HTML does not fill the report."""
    with (
        serve({"/v1/models": (500, "x" * 5000)}) as endpoint,
        pytest.raises(ResponseError) as caught,
    ):
        client.list_models(endpoint)

    assert len(str(caught.value)) < 400


def test_lost_server_is_unreachable(nobody: Endpoint) -> None:
    """Beyond readiness no answer is an error that names the address."""
    with pytest.raises(EngineUnreachable, match=rf"ask {nobody.base_url} for /v1/models: Connect"):
        client.list_models(nobody)


@contextmanager
def stream(part: bytes, *, pause_s: float) -> Iterator[Endpoint]:
    """Answer any request with the same bytes again and again until the client has gone."""

    def work(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection, suppress(OSError):
            connection.recv(1 << 16)
            connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
            while not gone.wait(pause_s):
                connection.sendall(part)

    gone = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=work, args=(listener,))
        thread.start()
        yield Endpoint(f"http://127.0.0.1:{listener.getsockname()[1]}", "key")
        gone.set()
        thread.join()


def test_answer_that_drips_is_given_up() -> None:
    """The limit is of the whole answer, not of the time between two of its bytes."""
    with (
        stream(b" ", pause_s=0.02) as endpoint,
        pytest.raises(EngineUnreachable, match=r"did not end, expected an answer within 0\.3 s"),
    ):
        client.list_models(endpoint, timeout_s=0.3)


def test_charset_that_nobody_knows_is_none() -> None:
    """What a server says of its text cannot end a run."""
    with serve({"/metrics": (200, METRICS)}, charset="klingon") as endpoint:
        assert client.fetch_metrics(endpoint)


def test_answer_without_end_is_given_up() -> None:
    """An answer larger than any page is kept to its limit."""
    with (
        stream(b" " * (1 << 20), pause_s=0) as endpoint,
        pytest.raises(ResponseError, match="an answer of more than 32 MiB"),
    ):
        client.list_models(endpoint)


def test_version_is_unknown_to_other_servers() -> None:
    """/version is vLLM's own; without it there is no version and no error."""
    with serve({"/version": (200, '{"version": "0.32.0"}')}) as endpoint:
        assert client.server_version(endpoint) == "0.32.0"
    with serve({}) as endpoint:
        assert client.server_version(endpoint) is None
    with serve({"/version": (200, '"0.5.7"')}) as endpoint:
        assert client.server_version(endpoint) is None


def test_metrics_are_summed_over_labels() -> None:
    """Engines and reasons add up; buckets and values that are no number are left out."""
    with serve({"/metrics": (200, METRICS)}) as endpoint:
        metrics = client.fetch_metrics(endpoint)

    assert metrics == {
        "vllm:num_requests_running": 3.0,
        "vllm:request_success_total": 4.0,
        "vllm:time_to_first_token_seconds_sum": 0.75,
        "process_resident_memory_bytes": 5.5e8,
        "vllm:cache_config_info": 1.0,
    }


def test_labels_of_an_info_metric_are_read() -> None:
    """vLLM puts facts into labels; quotes and backslashes in them are unescaped."""
    with serve({"/metrics": (200, METRICS)}) as endpoint:
        labels = client.fetch_metric_labels(endpoint, "vllm:cache_config_info")
        nothing = client.fetch_metric_labels(endpoint, "vllm:absent")

    assert labels == ({"block_size": "128", "name": 'a "b" \\ c', "num_gpu_blocks": "16384"},)
    assert nothing == ()


def test_openai_client_asks_with_the_engines_key_and_never_retries() -> None:
    """A second attempt would hide that the first one failed."""
    openai = pytest.importorskip("openai")
    with FakeEngineProcess(scenario={"error_every": 2}) as fake:
        endpoint = Endpoint(fake.base_url, "fake-key")
        questions = client.openai_client(endpoint, timeout_s=10)
        first = questions.completions.create(model="fake", prompt="hello", max_tokens=3)

        assert first.usage is not None
        assert first.usage.completion_tokens == 3
        with pytest.raises(openai.InternalServerError):
            questions.completions.create(model="fake", prompt="hello", max_tokens=3)
        questions.close()


def test_fake_engine_answers_everything_that_is_asked_here() -> None:
    """Models, version and metrics come from an engine as vLLM serves them."""
    with FakeEngineProcess() as fake:
        endpoint = Endpoint(fake.base_url, "fake-key")

        assert client.probe_ready(endpoint)
        assert [model.id for model in client.list_models(endpoint)] == ["fake"]
        assert client.server_version(endpoint) == "0.32.0"
        assert client.fetch_metrics(endpoint)["vllm:num_requests_running"] == 0
