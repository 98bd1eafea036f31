"""What the fault-injecting engine shall play.

A scenario is data: a JSON object in the environment variable ``FAKE_ENGINE``, or in the file that
``FAKE_ENGINE_FILE`` names. An empty object is a healthy engine. A key that is not a field is an
error, so that a misspelt fault never turns into a healthy run.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from dataclasses import field
from pathlib import Path
from typing import Any
from typing import Final

PHASES: Final = ("boot", "config", "engine", "weights", "compile", "kv_cache", "warmup", "serve")
GARBAGE_KINDS: Final = ("repetition", "binary", "empty")
SKILLS: Final = (
    "embeddings",
    "vision",
    "audio-in",
    "audio-out",
    "tools",
    "structured-output",
)
LIES: Final = (
    "alike",
    "batch",
    "blind",
    "deaf",
    "crosstalk",
    "flat",
    "nan",
    "no-call",
    "schema",
    "shuffled",
    "silent",
)


class ScenarioError(ValueError):
    """The scenario names an unknown field, phase or kind, or is not a JSON object."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Everything that may differ from a healthy engine.

    Attributes:
        phase_s: seconds spent in a start-up phase, by phase name; others take none.
        hang_at: phase in which the start-up never ends.
        hang_busy: whether the hang burns a CPU core and keeps printing nothing.
        die_at: phase at whose end the process dies.
        die_log: text printed before a death, as it stands.
        die_exit_code: exit code of a death, 0-255.
        die_signal: name of a signal the process sends itself instead, for example ``SIGSEGV``.
        die_after_requests: number of generation requests after which the next one kills it.
        oom_at: phase in which memory is allocated until a real limit kills the process.
        oom_cap_bytes: where that stops with exit code 70 when no limit does; protects the host.
        ignore_sigterm: whether SIGTERM has no effect.
        refused_flags: command line flags answered by a usage error and exit code 2.
        platform: ``cpu`` or ``cuda``; the form of the log.
        version: what ``/version`` and the log say.
        served_name: model name served in place of the one asked for.
        health_status: HTTP status of ``/health``.
        kv_cache_tokens: tokens that the KV cache holds, as the log and ``/metrics`` say.
        weights_gib: weights memory that the log of the ``cuda`` platform says.
        slots: requests that run at the same time; the rest waits.
        ttft_s: seconds from a request's start to its first token.
        itl_s: seconds between two tokens, on absolute deadlines from the first.
        error_every: every k-th generation request is refused; 0 for none.
        error_status: status of those refusals, for example 500, 429, 503.
        stall_after_tokens: a response stops after that many tokens, its connection stays open.
        cut_after_tokens: a connection is closed after that many tokens, without an end.
        malformed_after_tokens: a stream sends a broken JSON event after that many tokens.
        garbage: one of ``GARBAGE_KINDS`` in place of text.
        answers_file: JSONL of ``{"prompt_sha256": ..., "text": ...}``; a prompt whose UTF-8 bytes
            have that sha256 gets that text. A chat's prompt is ``text.render_chat`` of it. With
            ``output_tokens`` the text counts so many.
        usage_error_tokens: added to the completion tokens in ``usage``.
        ignore_stop: whether stop strings are not honoured.
        ignore_seed: whether equal greedy or seeded requests get different text.
        leak_slots: whether a cancelled request keeps its slot.
        context_error_status: status of the answer to a prompt beyond the context.
        drop_stream_text: whether a stream loses its last token's text.
        skills: what it can do beside text, of ``SKILLS``; the rest it refuses or ignores.
        lies: what is wrong with that, of ``LIES``: vectors that are all ``alike``, that depend on
            the ``batch`` or come back ``shuffled``; answers that are ``blind`` to a picture or
            ``deaf`` to a sound; a request that gets the answer to something else when it is not
            alone (``crosstalk``);
            log probabilities that are ``flat`` or ``nan``; ``no-call`` of a tool; values outside
            their ``schema``; a ``silent`` voice.
    """

    phase_s: Mapping[str, float] = field(default_factory=dict)
    hang_at: str | None = None
    hang_busy: bool = False
    die_at: str | None = None
    die_log: str = ""
    die_exit_code: int = 1
    die_signal: str | None = None
    die_after_requests: int | None = None
    oom_at: str | None = None
    oom_cap_bytes: int = 4 << 30
    ignore_sigterm: bool = False
    refused_flags: tuple[str, ...] = ()
    platform: str = "cpu"
    version: str = "0.32.0"
    served_name: str | None = None
    health_status: int = 200
    kv_cache_tokens: int = 65536
    weights_gib: float = 0.02
    slots: int = 256
    ttft_s: float = 0.0
    itl_s: float = 0.002
    error_every: int = 0
    error_status: int = 500
    stall_after_tokens: int | None = None
    cut_after_tokens: int | None = None
    malformed_after_tokens: int | None = None
    garbage: str | None = None
    answers_file: str | None = None
    usage_error_tokens: int = 0
    ignore_stop: bool = False
    ignore_seed: bool = False
    leak_slots: bool = False
    context_error_status: int = 400
    drop_stream_text: bool = False
    skills: tuple[str, ...] = ()
    lies: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("hang_at", "die_at", "oom_at"):
            _require(name, getattr(self, name), (None, *PHASES))
        for phase in self.phase_s:
            _require("phase_s", phase, PHASES)
        _require("garbage", self.garbage, (None, *GARBAGE_KINDS))
        for skill in self.skills:
            _require("skills", skill, SKILLS)
        for lie in self.lies:
            _require("lies", lie, LIES)
        _require("platform", self.platform, ("cpu", "cuda"))


def parse_scenario(text: str) -> Scenario:
    """Read a scenario from its JSON text.

    Args:
        text: a JSON object; blank for a healthy engine.

    Raises:
        ScenarioError: not a JSON object, or an unknown field, phase or kind.
    """
    try:
        data: Any = json.loads(text) if text.strip() else {}
    except ValueError as error:
        raise ScenarioError(f"reading a scenario: {error}, expected a JSON object") from error
    if not isinstance(data, dict):
        raise ScenarioError(f"reading a scenario: {data!r}, expected a JSON object")
    known = [item.name for item in dataclasses.fields(Scenario)]
    for key in data:
        _require("scenario key", key, known)
    for name in {"refused_flags", "skills", "lies"} & data.keys():
        data[name] = tuple(data[name])
    return Scenario(**data)


def load_scenario(environment: Mapping[str, str]) -> Scenario:
    """Find the scenario in an environment: ``FAKE_ENGINE``, else ``FAKE_ENGINE_FILE``.

    Raises:
        ScenarioError: see `parse_scenario`.
        OSError: the named file cannot be read.
    """
    path = environment.get("FAKE_ENGINE_FILE")
    if "FAKE_ENGINE" in environment or path is None:
        return parse_scenario(environment.get("FAKE_ENGINE", ""))
    return parse_scenario(Path(path).read_text(encoding="utf-8"))


def _require(what: str, value: object, allowed: object) -> None:
    if value not in allowed:  # type: ignore[operator]
        raise ScenarioError(f"reading a scenario: {what} {value!r}, expected one of {allowed}")
