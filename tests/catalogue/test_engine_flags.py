"""Which flags which release knows, and what is told of those that it does not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from hwval.catalogue import FlagEffect
from hwval.catalogue import load_engine_flags
from hwval.catalogue.engine_flags import EngineFlags
from hwval.catalogue.engine_flags import EngineFlagsSection
from hwval.catalogue.engine_flags import FlagFinding
from hwval.cell import ArgValue

FLAGS = load_engine_flags()
VALUED = {
    *("num-scheduler-steps", "swap-space", "max-seq-len-to-capture", "speculative-model"),
    *("num-speculative-tokens", "device", "preemption-mode"),
}
REFUSED, DEPRECATED = FlagEffect.REFUSED, FlagEffect.DEPRECATED
IGNORED, ABBREVIATED = FlagEffect.IGNORED, FlagEffect.ABBREVIATED
SMALL: dict[str, Any] = {
    "source": "x",
    "flags": {},
    "variables": {},
    "releases": {
        "1.0.0": {"value": ["old", "kept"], "variables": ["VLLM_OLD"]},
        "1.2.0": {"value": ["new"], "gone": ["old"], "variables_gone": ["VLLM_OLD"]},
    },
}


def ask(version: str | None, name: str, value: ArgValue = 1, **options: bool) -> list[FlagFinding]:
    return list(FLAGS.findings(((name, value),), (), version, **options))


def ask_variable(version: str | None, name: str) -> list[FlagFinding]:
    return list(FLAGS.findings((), ((name, "1"),), version))


@pytest.mark.parametrize(
    ("name", "last", "gone"),
    [
        ("num-scheduler-steps", "0.10.0", "0.10.1"),
        ("multi-step-stream-outputs", "0.10.0", "0.10.1"),
        ("swap-space", "0.17.1", "0.18.0"),
        ("use-v2-block-manager", "0.9.2", "0.10.0"),
        ("disable-log-requests", "0.16.0", "0.17.0"),
        ("max-seq-len-to-capture", "0.10.2", "0.11.0"),
        ("speculative-model", "0.8.2", "0.8.3"),
        ("num-speculative-tokens", "0.8.2", "0.8.3"),
        ("device", "0.9.2", "0.10.0"),
        ("preemption-mode", "0.10.2", "0.11.0"),
        ("worker-use-ray", "0.6.6.post1", "0.7.0"),
    ],
)
def test_flags_that_are_gone(name: str, last: str, gone: str) -> None:
    """The last release that takes a flag, and the first that refuses it, says since when."""
    (refused,) = ask(gone, name)

    value: ArgValue = 1 if name in VALUED else True
    assert not [found for found in ask(last, name, value) if found.effect is REFUSED]
    assert (refused.effect, refused.is_certain) == (REFUSED, True)
    assert f"vLLM {gone} refuses --{name}, gone since {gone}; " in refused.text


@pytest.mark.parametrize(
    ("name", "before", "first"),
    [
        ("speculative-config", "0.8.1", "0.8.2"),
        ("async-scheduling", "0.9.2", "0.10.0"),
        ("max-cudagraph-capture-size", "0.11.0", "0.11.1"),
        ("kv-cache-memory-bytes", "0.10.1.1", "0.10.2"),
        ("attention-backend", "0.12.0", "0.13.0"),
    ],
)
def test_flags_that_came_later(name: str, before: str, first: str) -> None:
    """A flag of a newer release is refused by an older one, which says from when on it is there."""
    (refused,) = ask(before, name, value="x")

    assert ask(first, name, value="x") == [] or name == "async-scheduling"
    assert refused.text == f"vLLM {before} refuses --{name}, which is there from {first} on"


@pytest.mark.parametrize(
    ("name", "value", "version", "text"),
    [
        (
            "enable-chunked-prefill",
            "False",
            "0.32.0",
            (
                "vLLM 0.32.0 refuses --enable-chunked-prefill False, which takes no value; "
                "write enable-chunked-prefill: false"
            ),
        ),
        (
            "enforce-eager",
            "true",
            "0.32.0",
            (
                "vLLM 0.32.0 refuses --enforce-eager true, which takes no value; "
                "write enforce-eager: true"
            ),
        ),
        (
            "enforce-eager",
            False,
            "0.6.3",
            "vLLM 0.6.3 refuses --no-enforce-eager; leave it out",
        ),
        (
            "max-model-len",
            True,
            "0.33.0",
            "vLLM 0.33.0 refuses --max-model-len without a value; write one",
        ),
        (
            "max-model-len",
            False,
            "0.33.0",
            "vLLM 0.33.0 refuses --no-max-model-len; leave it out",
        ),
        (
            "disable-log-stats",
            0,
            "0.33.0",
            "vLLM 0.33.0 refuses --disable-log-stats 0, which takes no value; leave it out",
        ),
        (
            "enable-chunked-prefill",
            False,
            "0.8.4",
            'vLLM 0.8.4 refuses --no-enable-chunked-prefill; write "False" in quotes',
        ),
    ],
)
def test_how_flags_are_written(name: str, value: ArgValue, version: str, text: str) -> None:
    """The form changed: True and False were words once, and are --flag and --no-flag today."""
    (found,) = ask(version, name, value)

    assert found == FlagFinding(name, REFUSED, text, is_certain=True)


@pytest.mark.parametrize(
    ("name", "value", "version"),
    [
        ("enable-chunked-prefill", "False", "0.6.3"),
        ("enable-chunked-prefill", False, "0.8.5"),
        ("enforce-eager", True, "0.4.2"),
        ("enforce-eager", False, "0.9.0"),
        ("max-model-len", 4096, "0.33.0"),
        ("hf-token", True, "0.33.0"),
        ("compilation-config.cudagraph_mode", "NONE", "0.32.0"),
    ],
)
def test_what_is_right_is_not_mentioned(name: str, value: ArgValue, version: str) -> None:
    """A command line of its release has no findings."""
    assert ask(version, name, value) == []


def test_a_mistyped_flag_is_told_with_near_ones() -> None:
    """What no release ever knew is a mistake of writing."""
    (found,) = ask("0.33.0", "max-modle-len")

    assert found.is_certain
    assert "which no release up to 0.33.0 knows; did you mean 'max-model-len'" in found.text


def test_an_abbreviation_works_until_there_are_two() -> None:
    """The parser takes the beginning of one flag, the planner does not."""
    (short,) = ask("0.32.0", "max-model")
    (doubtful,) = ask("0.32.0", "max-num")
    (negated,) = ask("0.32.0", "no-enforce-eager", value=True)
    (another,) = ask("0.32.0", "long-prefill-token-threshold", value=False)

    assert short.effect is ABBREVIATED
    assert "--max-model is short for --max-model-len" in short.text
    assert doubtful.effect is REFUSED
    assert "is short for --no-long-prefill-token-threshold-adaptive" in another.text
    assert negated.text == "write enforce-eager: false in place of no-enforce-eager"


def test_parts_of_flags_came_later() -> None:
    """--compilation-config.mode is understood from 0.9 on."""
    (found,) = ask("0.8.5", "compilation-config.level", value=3)

    assert "are understood from 0.9.0 on" in found.text


@pytest.mark.parametrize(
    ("version", "effect", "text"),
    [
        ("0.9.1", None, ""),
        ("0.10.1", DEPRECATED, "--disable-log-requests is deprecated since 0.10.1; leave it out"),
        ("0.17.0", REFUSED, "gone since 0.17.0; leave it out (requests are logged only with"),
    ],
)
def test_deprecation(version: str, effect: FlagEffect | None, text: str) -> None:
    """First a flag is taken, then it is warned of, then it is refused."""
    found = ask(version, "disable-log-requests", value=True)

    assert [finding.effect for finding in found] == ([] if effect is None else [effect])
    assert all(text in finding.text for finding in found)


@pytest.mark.parametrize(
    ("name", "version", "text"),
    [
        ("VLLM_USE_TRITON_FLASH_ATTN", "0.11.1", "gone since 0.11.1; leave it out (see"),
        ("VLLM_ATTENTION_BACKEND", "0.15.0", "write the flag attention-backend"),
        ("VLLM_USE_V1", "0.33.0", "gone since 0.11.1; leave it out (there is no other engine)"),
        ("VLLM_ROCM_USE_ATIER", "0.33.0", "did you mean 'VLLM_ROCM_USE_AITER'"),
        ("VLLM_ROCM_USE_AITER", "0.6.3", "which is there from 0.8.2 on"),
        ("PYTORCH_ROCM_ARCH", "0.33.0", "read where PyTorch is built, not where it runs"),
    ],
)
def test_variables_that_do_nothing(name: str, version: str, text: str) -> None:
    """vLLM ignores variables that it does not know: nothing is refused, and nothing happens."""
    (found,) = ask_variable(version, name)

    assert found.effect is IGNORED
    assert text in found.text


def test_unread_variables_are_refused_if_asked() -> None:
    """A flag makes an error of what is a warning else."""
    strict = (("fail-on-environ-validation", True),)
    (found,) = FLAGS.findings(strict, (("VLLM_USE_V1", "1"), ("NCCL_DEBUG", "INFO")), "0.33.0")

    assert found.effect is REFUSED
    assert found.text.endswith("; --fail-on-environ-validation makes that an error")


@pytest.mark.parametrize(
    ("name", "version"),
    [
        ("VLLM_ATTENTION_BACKEND", "0.14.1"),
        ("VLLM_CPU_KVCACHE_SPACE", "0.33.0"),
        ("NCCL_MIN_NCHANNELS", "0.33.0"),
        ("HF_HOME", None),
    ],
)
def test_other_variables_are_not_judged(name: str, version: str | None) -> None:
    """Those that are read, and those that are not vLLM's own."""
    assert ask_variable(version, name) == []


def test_what_is_not_known_for_sure() -> None:
    """An unknown release, one that nobody looked at, and a fork: told, and never certain."""
    (unknown,) = ask(None, "swap-space")
    (newer,) = ask("0.99.0", "swap-space")
    (fork,) = ask("0.18.0", "swap-space", is_fork=True)
    (own,) = ask("0.18.0", "flag-of-its-own", is_fork=True)

    assert not any(found.is_certain for found in (unknown, newer, fork, own))
    assert unknown.text.endswith("; which vLLM this image holds is not known")
    assert newer.text.endswith("; 0.99.0 was not looked at, only 0.4.2 to 0.33.0")
    assert fork.text.endswith("; this image holds a fork of 0.18.0, which may differ")
    assert own.effect is FlagEffect.UNKNOWN


def test_between_two_releases() -> None:
    """Where both neighbours say the same it is certain, else it is not."""
    flags = EngineFlags(EngineFlagsSection.model_validate(SMALL))
    old, kept, new, never = (
        flags.findings(((name, 1),), (), "1.1.0") for name in ("old", "kept", "new", "never")
    )

    assert kept == ()
    assert [found.is_certain for found in (*old, *new, *never)] == [False, False, True]
    assert old[0].text == (
        "vLLM 1.2.0 refuses --old, gone since 1.2.0; leave it out; "
        "1.1.0 itself was not looked at, and the next one differs"
    )


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"releases": {"1.2.0": {}, "1.0.0": {}}}, "oldest first"),
        ({"releases": {}}, "at least one"),
        ({"releases": {"1.0.0": {"gone": ["never"]}}}, "'never' is gone and never was there"),
        ({"flags": {"nobodys": {"instead": "x"}}}, "'nobodys' is a flag of no release"),
    ],
)
def test_file_that_contradicts_itself(changes: dict[str, Any], problem: str) -> None:
    """A history has an order, and nothing leaves that never came."""
    with pytest.raises(ValidationError, match=problem):
        EngineFlagsSection.model_validate(SMALL | changes)


def test_shipped_history_is_whole() -> None:
    """Every release is replayed; each replacement is a flag that the newest takes."""
    newest = FLAGS.known(FLAGS.newest)

    assert (len(FLAGS.known("0.4.2")), len(FLAGS.known("0.32.0"))) == (81, 317)
    assert {"max-model-len", "tensor-parallel-size", "enable-auto-tool-choice"} <= newest
    with pytest.raises(KeyError):
        FLAGS.known("0.0.1")


@given(
    st.text(alphabet="abcdefghijklmnopqrstuvwxyz-.", min_size=1, max_size=20),
    st.one_of(st.booleans(), st.integers(), st.text(max_size=5)),
    st.one_of(st.none(), st.text(alphabet="0123456789.rc", max_size=10)),
    st.booleans(),
)
def test_any_command_line_is_answered(
    name: str,
    value: ArgValue,
    version: str | None,
    is_fork: bool,  # noqa: FBT001 - drawn
) -> None:
    """Whatever is written, each flag has one finding at most, and never a crash."""
    found = FLAGS.findings(((name, value),), ((name.upper(), "1"),), version, is_fork=is_fork)

    assert len(found) <= 2
    assert not any(finding.is_certain for finding in found if is_fork or version is None)


def test_short_forms_are_told_by_their_long_names() -> None:
    """Command lines of others have -tp; with two dashes no release takes it."""
    (found,) = ask("0.32.0", "tp", "8")

    assert found.effect is REFUSED
    assert found.text == (
        "vLLM 0.32.0 refuses --tp, as its short form has one dash; write tensor-parallel-size"
    )


def test_truth_is_no_number() -> None:
    """Asked first or second: 0 is a value, and false is a flag of its own."""
    assert ask("0.33.0", "max-num-seqs", 0) == []
    assert [found.effect for found in ask("0.33.0", "max-num-seqs", value=False)] == [REFUSED]
