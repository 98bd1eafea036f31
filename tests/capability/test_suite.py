"""The suites of capabilities and generated text, end to end against the fault-injecting engine."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from hwval.capability.promise import QUESTIONS
from hwval.catalogue import Capability
from hwval.verdict import Outcome
from tests.fakes.process import FakeEngineProcess
from tests.fakes.scenario import SKILLS
from tests.fakes.skills import DIMENSION
from tests.fixtures.hardware_run import HardwareRun
from tests.fixtures.hardware_run import StartedRun

TEXT = ("completions", "chat")
BOTH = ("capabilities", "generate")
HELD: dict[str, dict[str, Any]] = {
    "generate": {"reference": {"file": "answers.json"}},
    "capabilities": {"embeddings": {"reference": "vectors.json"}},
}
Ask = Callable[..., HardwareRun]


@pytest.fixture(scope="module")
def ask(tmp_path_factory: pytest.TempPathFactory) -> Ask:
    """Run the suites on one engine; the model's weights count as real unless it says otherwise."""
    cache_dir = tmp_path_factory.mktemp("cache")

    def run(
        *markers: str,
        promises: dict[str, Any] | None = None,
        offers: tuple[str, ...] = TEXT,
        files: dict[str, str] | None = None,
        weights: str = "real",
        **scenario: Any,
    ) -> HardwareRun:
        folder = tmp_path_factory.mktemp("run")
        for name, content in (files or {}).items():
            (folder / name).write_text(content, "utf-8")
        matrix = folder / "matrix.yaml"
        matrix.write_text(yaml.safe_dump(_matrix(offers, promises or {}, weights)), "utf-8")
        arguments = ["--max-model-len", "4096"]
        with FakeEngineProcess("fake", {"itl_s": 0, **scenario}, arguments) as server:
            started = StartedRun(
                folder,
                [
                    f"--engine-url={server.base_url}",
                    f"--matrix={matrix}",
                    "-m",
                    f"cpu and ({' or '.join(markers)})",
                ],
                {"HWVAL_ENGINE_API_KEY": str(server.api_key)},
                cache_dir=cache_dir,
            )
            try:
                return started.finish()
            finally:
                started.kill()

    return run


def _matrix(offers: tuple[str, ...], promises: dict[str, Any], weights: str) -> dict[str, Any]:
    everything = [str(capability) for capability in Capability]
    # Not vLLM by name: its flags are not looked at.
    image = {"engine": "external", "server": "other", "capabilities": everything}
    return {
        "axes": {"hardware": "cpu", "image": "external:fake", "model": "fake", "dtype": "auto"},
        "promises": promises,
        "weights": weights,
        "catalogue": {
            "images": {"external:fake": {**image, "vendors": ["cpu"], "source": "tests"}},
            "models": {"fake": {"capabilities": list(offers), "source": "tests"}},
        },
    }


def _outcomes(run: HardwareRun, suite: str) -> dict[str, Outcome]:
    assert run.records is not None, run.output
    return {
        verdict.question.removeprefix(f"{suite}/"): verdict.outcome
        for verdict in run.run.verdicts
        if verdict.question.startswith(f"{suite}/")
    }


def _reasons(run: HardwareRun) -> dict[str, str]:
    return {verdict.question.partition("/")[2]: verdict.reason for verdict in run.run.verdicts}


@pytest.fixture(scope="module")
def able(ask: Ask) -> HardwareRun:
    """An engine that does everything that is promised of it."""
    return ask(
        *BOTH,
        offers=(*TEXT, *SKILLS),
        promises={"capabilities": {"embeddings": {"dimension": DIMENSION, "normalized": True}}},
        skills=SKILLS,
    )


@pytest.fixture(scope="module")
def kept(able: HardwareRun) -> dict[str, str]:
    """What the able engine left for others to be held against, by file name."""
    paths = {title: path for verdict in able.run.verdicts for title, path in verdict.files.items()}
    names = {"embeddings": "vectors.json", "reference": "answers.json"}
    return {name: (able.folder / paths[title]).read_text("utf-8") for title, name in names.items()}


def test_able_engine_passes(able: HardwareRun) -> None:
    """Every question but those that a matrix must give figures for."""
    skills, text = _outcomes(able, "capabilities"), _outcomes(able, "generate")

    assert {*skills.values(), *text.values()} == {Outcome.PASS}, _reasons(able)
    assert skills.keys() == QUESTIONS.keys() - {"needle", "embedding_parity"}
    assert {"sound_text", "perplexity", "prompt_logprobs", "greedy", "busy_batch"} <= text.keys()
    assert able.exit_code == 0


def test_what_came_back_is_kept(able: HardwareRun, kept: dict[str, str]) -> None:
    """Vectors and answers for other cells, texts and a sound for people."""
    titles = {title for verdict in able.run.verdicts for title in verdict.files}

    assert {json.loads(content)["kind"] for content in kept.values()} == {"embeddings", "reference"}
    assert {"sound", "texts"} <= titles


def test_promised_and_refused_is_a_failure_with_the_servers_words(ask: Ask) -> None:
    """A model of text that is promised to see, hear, and embed."""
    run = ask("capabilities", offers=(*TEXT, "embeddings", "vision", "audio-in"))
    reasons = _reasons(run)

    assert set(_outcomes(run, "capabilities").values()) == {Outcome.FAIL}
    assert "Not Found" in reasons["embedding_order"]
    assert "fake is not a multimodal model" in reasons["picture_colour"]
    assert "fake is not a multimodal model" in reasons["audio_in"]
    assert run.exit_code == 1


@pytest.mark.parametrize(
    ("scenario", "caught"),
    [
        pytest.param(
            {
                "lies": ["shuffled", "blind", "deaf", "silent", "schema", "flat"],
                "garbage": "repetition",
            },
            {
                *("embedding_order", "embedding_batch"),
                *("picture_seen", "picture_colour", "picture_shape", "audio_heard"),
                *("audio_out", "structured_output", "tool_named", "tool_required", "tool_chosen"),
                *("sound_text", "logprobs", "prompt_logprobs", "greedy", "perplexity"),
                *("reference", "embedding_parity"),
            },
            id="loops-and-flat-logits",
        ),
        pytest.param(
            {"lies": ["alike", "no-call", "nan"], "garbage": "empty"},
            {
                *("embedding_dimension", "embedding_meaning", "embedding_parity"),
                *("tool_named", "tool_required", "tool_chosen"),
                *("sound_text", "completion", "logprobs", "prompt_logprobs", "greedy"),
            },
            id="nothing-and-nan",
        ),
    ],
)
def test_lies_and_garbage_are_caught(
    scenario: dict[str, Any], caught: set[str], kept: dict[str, str], ask: Ask
) -> None:
    """By the questions that are about them; what is well passes."""
    run = ask(
        *BOTH,
        offers=(*TEXT, *SKILLS),
        promises=HELD,
        files=kept,
        skills=SKILLS,
        **scenario,
    )
    asked = _outcomes(run, "capabilities") | _outcomes(run, "generate")

    assert caught <= {name for name, outcome in asked.items() if outcome is Outcome.FAIL}
    assert asked["audio_in"] is Outcome.PASS
    assert run.exit_code == 1


def test_mixed_up_batch_is_caught(ask: Ask) -> None:
    """Answers to other prompts are no near ties."""
    asked = _outcomes(ask("generate", lies=["crosstalk"], ttft_s=0.1), "generate")

    assert asked["batch"] is Outcome.FAIL
    assert asked["busy_batch"] is Outcome.FAIL
    assert asked["greedy_repeats"] is Outcome.PASS


def test_random_weights_are_asked_for_form_and_promises(ask: Ask, kept: dict[str, str]) -> None:
    """Pictures are taken and JSON fits; what is meant is nobody's to judge, but figures hold."""
    bound = {"perplexity": {"at_most": 1.001, "source": "tests"}}
    run = ask(
        *BOTH,
        offers=(*TEXT, *SKILLS),
        promises={**HELD, "generate": HELD["generate"] | bound},
        files=kept,
        weights="dummy",
        skills=SKILLS,
        lies=["blind", "deaf"],
    )
    asked = _outcomes(run, "capabilities") | _outcomes(run, "generate")
    pictures = ("picture_seen", "picture_colour", "picture_shape")
    meaning = (*pictures, "audio_heard", "tool_chosen", "embedding_meaning", "sound_text")

    assert {asked[name] for name in meaning} == {Outcome.NOT_RUN}
    assert asked["structured_output"] is Outcome.PASS
    assert asked["embedding_parity"] is Outcome.PASS
    assert asked["reference"] is Outcome.PASS
    assert [name for name in asked if asked[name] is Outcome.FAIL] == ["perplexity"]


def test_server_of_embeddings_alone_is_asked_for_no_text(ask: Ask) -> None:
    """The questions about text are NOT RUN, and the cell passes by its vectors."""
    run = ask(*BOTH, offers=("embeddings",), skills=["embeddings"])

    assert set(_outcomes(run, "generate").values()) <= {Outcome.NOT_RUN}
    assert set(_outcomes(run, "capabilities").values()) == {Outcome.PASS}
    assert run.exit_code == 0
