"""Short ways for tests to ask an engine: one completion, one raw request, one gauge."""

from __future__ import annotations

import time
from typing import Any

import httpx
from openai import OpenAI
from openai.types.completion import Completion

from tests.fakes.process import FakeEngineProcess


def open_client(engine: FakeEngineProcess) -> OpenAI:
    """Open an `openai` client that does not retry."""
    return OpenAI(base_url=f"{engine.base_url}/v1", api_key=engine.api_key, max_retries=0)


def complete(client: OpenAI, prompt: str | list[int] = "ba be", **options: Any) -> Completion:
    """Ask for a greedy completion of eight tokens; `options` change that."""
    options = {"max_tokens": 8, "temperature": 0} | options
    return client.completions.create(model="fake", prompt=prompt, **options)


def post(engine: FakeEngineProcess, path: str, body: Any, **options: Any) -> httpx.Response:
    """Send a request with the engine's key."""
    headers = {"Authorization": f"Bearer {engine.api_key}"}
    return httpx.post(engine.base_url + path, json=body, headers=headers, **options)


def gauge(engine: FakeEngineProcess, name: str) -> float:
    """Read one of vLLM's metrics, without its prefix."""
    lines = httpx.get(f"{engine.base_url}/metrics").text.splitlines()
    (line,) = (item for item in lines if item.startswith(f"vllm:{name}{{"))
    return float(line.rpartition(" ")[2])


def wait_for_gauge(engine: FakeEngineProcess, name: str, value: float) -> float:
    """Poll until a metric has a value, ten seconds at most; return what it has."""
    deadline_s = time.monotonic() + 10
    while gauge(engine, name) != value and time.monotonic() < deadline_s:
        time.sleep(0.01)
    return gauge(engine, name)


def read_events(engine: FakeEngineProcess) -> tuple[list[str], type[Exception] | None]:
    """Read a stream's events until it ends, breaks, or says nothing for a second."""
    events: list[str] = []
    body = {"prompt": "ba be", "max_tokens": 8, "temperature": 0, "stream": True}
    headers = {"Authorization": f"Bearer {engine.api_key}"}
    url = f"{engine.base_url}/v1/completions"
    try:
        with httpx.stream("POST", url, json=body, headers=headers, timeout=1) as answer:
            events.extend(line.removeprefix("data: ") for line in answer.iter_lines() if line)
    except httpx.HTTPError as error:
        return events, type(error)
    return events, None
