"""The one door for HTTP to an engine: readiness, models, version, metrics and the OpenAI client.

Nothing here retries and nothing here takes a proxy from the environment to reach this machine: both
would hide a failure of the engine behind the tool that looks for it.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING
from typing import Any
from typing import Final
from typing import NamedTuple
from urllib.parse import urlsplit

from hwval.clock import Stopwatch
from hwval.engine.base import Endpoint
from hwval.errors import EngineUnreachable
from hwval.errors import ResponseError

if TYPE_CHECKING:
    import httpx
    from openai import OpenAI

__all__ = [
    "ServedModel",
    "fetch_metric_labels",
    "fetch_metrics",
    "find_api_path",
    "list_models",
    "openai_client",
    "probe_ready",
    "server_version",
]

_TIMEOUT_S: Final = 10.0
_HTTP_OK: Final = 200
# The metrics of eight engines with all their histograms are below 1 MiB.
_MOST_BODY_BYTES: Final = 32 << 20
# What servers answer that do not know a path: FastAPI and Go 404, some proxies 405 or 501.
_NO_SUCH_PATH: Final = frozenset({404, 405, 501})
_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})
_SHOWN_BODY_CHARACTERS: Final = 200
_SAMPLE: Final = re.compile(
    r"^(?P<name>[a-zA-Z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)", re.MULTILINE
)
_LABEL: Final = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPED: Final = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


@dataclass(frozen=True, slots=True)
class ServedModel:
    """One entry of ``/v1/models``.

    Attributes:
        id: Name to put into requests.
        max_context_tokens: Context length that the server says, None where it says none.
        owner: Whose it is, by which servers name themselves (``vllm``, ``infinity``); may be empty.
    """

    id: str
    max_context_tokens: int | None = None
    owner: str = ""


class _Sample(NamedTuple):
    name: str
    labels: str
    value: float


def probe_ready(endpoint: Endpoint, timeout_s: float = 2.0) -> bool:
    """Return whether the server takes requests now; any failure to answer is False.

    ``/health`` decides; a server without it (Ollama and others) is ready once it lists its models.

    Args:
        endpoint: The server.
        timeout_s: Longest wait for one answer, seconds > 0.
    """
    try:
        with _http(endpoint, timeout_s) as http:
            status = _get(http, "/health").status_code
            if status in _NO_SUCH_PATH:
                status = _get(http, f"{endpoint.api_path}/models").status_code
    except (EngineUnreachable, ResponseError):
        return False
    return status == _HTTP_OK


def find_api_path(endpoint: Endpoint, timeout_s: float) -> str:
    """Return what stands before the routes of OpenAI's API: ``/v1``, or nothing.

    Infinity has its routes at the root unless it is told otherwise.

    Args:
        endpoint: The server.
        timeout_s: Longest wait for one answer, seconds > 0.

    Raises:
        EngineUnreachable: No answer.
    """
    with _http(endpoint, timeout_s) as http:
        is_elsewhere = (
            _get(http, "/v1/models").status_code in _NO_SUCH_PATH
            and _get(http, "/models").status_code not in _NO_SUCH_PATH
        )
    return "" if is_elsewhere else "/v1"


def list_models(endpoint: Endpoint, timeout_s: float = _TIMEOUT_S) -> tuple[ServedModel, ...]:
    """Return the models that the server offers, in its order.

    Args:
        endpoint: The server.
        timeout_s: Longest wait, seconds > 0.

    Raises:
        EngineUnreachable: No answer.
        ResponseError: An error status, or not the form of OpenAI's ``GET /v1/models``.
    """
    data = _get_json(endpoint, f"{endpoint.api_path}/models", timeout_s)
    entries = data.get("data") if isinstance(data, dict) else None
    if not isinstance(entries, list):
        raise ResponseError(
            f"list models of {endpoint.base_url}: {_shorten(repr(data))}, expected an object with "
            "a list under 'data'. Is this an OpenAI-compatible server?"
        )
    return tuple(_served_model(endpoint, entry) for entry in entries)


def server_version(endpoint: Endpoint) -> str | None:
    """Return what vLLM says its version is; None for a server that does not know the question.

    Args:
        endpoint: The server.

    Raises:
        EngineUnreachable: No answer.
        ResponseError: An error status other than "no such path".
    """
    with _http(endpoint, _TIMEOUT_S) as http:
        response = _get(http, "/version")
    if response.status_code in _NO_SUCH_PATH:
        return None
    data = _decode(endpoint, "/version", response)
    version = data.get("version") if isinstance(data, dict) else None
    return version if isinstance(version, str) else None


def fetch_metrics(endpoint: Endpoint) -> Mapping[str, float]:
    """Return metric name -> value, summed over all labels (engines, models, reasons).

    Histogram buckets are left out, since they are cumulative and have no sum; so are values that
    are no finite number.

    Args:
        endpoint: The server.

    Raises:
        EngineUnreachable: No answer.
        ResponseError: An error status.
    """
    totals: dict[str, float] = {}
    for sample in _samples(_get_metrics(endpoint)):
        if not sample.name.endswith("_bucket"):
            totals[sample.name] = totals.get(sample.name, 0.0) + sample.value
    return totals


def fetch_metric_labels(endpoint: Endpoint, name: str) -> tuple[Mapping[str, str], ...]:
    """Return the labels of each sample of a metric: one for each engine behind the server.

    vLLM tells facts this way: ``vllm:cache_config_info`` has the value 1 and labels such as
    ``num_gpu_blocks`` and ``kv_cache_size_tokens``.

    Args:
        endpoint: The server.
        name: Full name of the metric.

    Raises:
        EngineUnreachable: No answer.
        ResponseError: An error status.
    """
    return tuple(
        {key: _unescape(value) for key, value in _LABEL.findall(sample.labels)}
        for sample in _samples(_get_metrics(endpoint))
        if sample.name == name
    )


def openai_client(endpoint: Endpoint, timeout_s: float) -> OpenAI:
    """Return OpenAI's own client for this server, which never retries.

    Args:
        endpoint: The server.
        timeout_s: Longest wait for one answer, or between two parts of a stream; seconds > 0.
    """
    from openai import DefaultHttpxClient
    from openai import OpenAI

    return OpenAI(
        base_url=f"{endpoint.base_url}{endpoint.api_path}",
        # The client insists on a key; servers without authentication ignore it.
        api_key=endpoint.api_key or "none",
        max_retries=0,
        timeout=timeout_s,
        http_client=DefaultHttpxClient(
            trust_env=not _is_loopback(endpoint),
            timeout=timeout_s,
            verify=_needs_certificates(endpoint),
        ),
    )


def _http(endpoint: Endpoint, timeout_s: float) -> httpx.Client:
    import httpx

    # Compressed, a short answer could unfold to any size.
    headers = {"Accept-Encoding": "identity"}
    if endpoint.api_key:
        headers["Authorization"] = f"Bearer {endpoint.api_key}"
    return httpx.Client(
        base_url=endpoint.base_url,
        headers=headers,
        timeout=timeout_s,
        trust_env=not _is_loopback(endpoint),
        verify=_needs_certificates(endpoint),
    )


def _needs_certificates(endpoint: Endpoint) -> bool:
    # They take longer to load than a local answer takes to come.
    return endpoint.base_url.startswith("https:")


def _is_loopback(endpoint: Endpoint) -> bool:
    return urlsplit(endpoint.base_url).hostname in _LOOPBACK


def _get(http: httpx.Client, path: str) -> httpx.Response:
    """Return a whole answer; one that never ends or drips is given up."""
    import httpx

    watch, body, limit_s = Stopwatch(), bytearray(), http.timeout.read or _TIMEOUT_S
    try:
        with http.stream("GET", path) as response:
            for part in response.iter_bytes():
                body += part
                if len(body) > _MOST_BODY_BYTES:
                    raise ResponseError(
                        f"ask {_base_url(http)} for {path}: an answer of more than "
                        f"{_MOST_BODY_BYTES >> 20} MiB, expected a page of text"
                    )
                if watch.elapsed_s > limit_s:
                    raise httpx.ReadTimeout("the answer did not end")
    except (httpx.TransportError, httpx.DecodingError, httpx.InvalidURL) as error:
        raise EngineUnreachable(
            f"ask {_base_url(http)} for {path}: {type(error).__name__}: {error or 'no detail'}, "
            f"expected an answer within {limit_s:g} s"
        ) from error
    headers = {"Content-Type": response.headers.get("Content-Type", "")}  # its charset, if known
    return httpx.Response(response.status_code, headers=headers, content=bytes(body))


def _base_url(http: httpx.Client) -> str:
    return str(http.base_url).rstrip("/")


def _get_json(endpoint: Endpoint, path: str, timeout_s: float) -> Any:
    with _http(endpoint, timeout_s) as http:
        return _decode(endpoint, path, _get(http, path))


def _get_metrics(endpoint: Endpoint) -> str:
    with _http(endpoint, _TIMEOUT_S) as http:
        response = _get(http, "/metrics")
    _require_ok(endpoint, "/metrics", response)
    return response.text


def _decode(endpoint: Endpoint, path: str, response: httpx.Response) -> Any:
    _require_ok(endpoint, path, response)
    try:
        return response.json()
    except ValueError as error:
        raise ResponseError(
            f"ask {endpoint.base_url} for {path}: {_shorten(response.text)!r}, expected JSON"
        ) from error


def _require_ok(endpoint: Endpoint, path: str, response: httpx.Response) -> None:
    if response.status_code != _HTTP_OK:
        raise ResponseError(
            f"ask {endpoint.base_url} for {path}: status {response.status_code} with "
            f"{_shorten(response.text)!r}, expected status {_HTTP_OK}"
        )


def _served_model(endpoint: Endpoint, entry: object) -> ServedModel:
    if not isinstance(entry, dict) or not isinstance(entry.get("id"), str):
        raise ResponseError(
            f"list models of {endpoint.base_url}: {_shorten(repr(entry))}, expected an object "
            "with a text under 'id'"
        )
    context = entry.get("max_model_len")
    owner = entry.get("owned_by")
    return ServedModel(
        entry["id"],
        context if isinstance(context, int) else None,
        owner if isinstance(owner, str) else "",
    )


def _samples(text: str) -> Iterator[_Sample]:
    """Read Prometheus' text format.

    Source: https://prometheus.io/docs/instrumenting/exposition_formats/ (text-based format).
    """
    for match in _SAMPLE.finditer(text):
        try:
            value = float(match["value"])
        except ValueError:
            continue  # not a sample: comments start with "#", anything else is foreign
        if math.isfinite(value):
            yield _Sample(match["name"], match["labels"] or "", value)


def _unescape(text: str) -> str:
    return re.sub(r"\\[\\\"n]", lambda found: _ESCAPED[found[0]], text)


def _shorten(text: str) -> str:
    if len(text) <= _SHOWN_BODY_CHARACTERS:
        return text
    return f"{text[:_SHOWN_BODY_CHARACTERS]}…"
