"""A server that already runs."""

from __future__ import annotations

import pytest

from hwval.client import list_models
from hwval.engine.base import EngineState
from hwval.engine.external import ExternalEngine
from hwval.errors import EngineUnreachable
from hwval.errors import ResponseError
from hwval.errors import UsageError
from tests.fakes.process import FakeEngineProcess
from tests.test_client import serve


@pytest.mark.parametrize(
    ("url", "base_url"),
    [
        pytest.param("http://host:8000", "http://host:8000", id="bare"),
        pytest.param("http://host:8000/", "http://host:8000", id="slash"),
        pytest.param("http://host:8000/v1", "http://host:8000", id="v1"),
        pytest.param("https://host/team/a/v1/", "https://host/team/a", id="prefix"),
    ],
)
def test_address_is_taken_with_or_without_v1(url: str, base_url: str) -> None:
    """People paste what their client is configured with."""
    engine = ExternalEngine(url)

    assert engine.endpoint().base_url == base_url
    assert engine.name == engine.command_line == base_url
    assert engine.log_path is None


@pytest.mark.parametrize("url", ["host:8000", "ftp://host", "http://", ""])
def test_anything_else_is_refused(url: str) -> None:
    """The message shows the form."""
    with pytest.raises(UsageError, match=r"expected http://HOST:PORT"):
        ExternalEngine(url)


def test_password_in_the_address_is_refused_and_not_repeated() -> None:
    """It would stand in every report."""
    with pytest.raises(UsageError, match="environment variable") as caught:
        ExternalEngine("http://me:hunter2@host:8000")

    assert "hunter2" not in str(caught.value)


def test_running_server_is_left_running(monkeypatch: pytest.MonkeyPatch) -> None:
    """start checks, close does nothing, the key comes from the named variable."""
    with FakeEngineProcess() as fake:
        monkeypatch.setenv("KEY", "fake-key")
        engine = ExternalEngine(f"{fake.base_url}/v1", api_key_variable="KEY")
        engine.start()
        engine.close()

        assert engine.endpoint().api_key == "fake-key"
        assert engine.state() == EngineState(running=True)
        assert engine.autopsy().state.running


def test_absent_server_is_unreachable() -> None:
    """Who asks for a server that runs is told that it does not."""
    engine = ExternalEngine("http://127.0.0.1:9")

    assert not engine.state().running
    with pytest.raises(EngineUnreachable, match=r"ask http://127.0.0.1:9 for /v1/models"):
        engine.start()


def test_server_that_is_not_ready_is_said() -> None:
    """It lists its models, and its health says no."""
    with (
        serve({"/health": (503, ""), "/v1/models": (200, '{"data": []}')}) as endpoint,
        pytest.raises(EngineUnreachable, match="/health is not answered with status 200"),
    ):
        ExternalEngine(endpoint.base_url).start()


def test_refused_key_is_said() -> None:
    """A server without /health that wants a key."""
    with (
        serve({"/v1/models": (401, "no key")}) as endpoint,
        pytest.raises(ResponseError, match="status 401"),
    ):
        ExternalEngine(endpoint.base_url).start()


def test_routes_are_found_at_the_start() -> None:
    """An Infinity that was started as its documentation says has them at the root."""
    models = '{"object": "list", "data": [{"id": "org/name", "capabilities": ["embed"]}]}'
    with serve({"/health": (200, '{"unix": 1.0}'), "/models": (200, models)}) as endpoint:
        engine = ExternalEngine(endpoint.base_url)
        engine.start()

        assert engine.endpoint().api_path == ""
        assert [model.id for model in list_models(engine.endpoint())] == ["org/name"]
