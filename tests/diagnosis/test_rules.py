"""Each rule knows the line it was written for, in vLLM's form."""

from __future__ import annotations

import re
from string import Formatter

import pytest

from hwval.diagnosis import diagnose
from hwval.diagnosis.rules import Rule
from hwval.diagnosis.rules import load_rules

# cause -> lines that show it, as vLLM 0.32.0 (or what it calls) prints them, names made up.
# The number is the pattern of the rule that the line stands for.
LINES = {
    "context-length-exceeds-model": [
        (0, (
            "  Value error, User-specified max_model_len (9000) is greater than the derived "
            "max_model_len (max_position_embeddings=2048.0 or model_max_length=None in model's "
            "config.json)."
        )),
    ],
    "unsupported-quantization": [
        (0, "ValueError: bitsandbytes quantization is currently not supported in cpu."),
        (1, (
            "ValueError: The quantization method gguf is not supported for the current "
            "GPU. Minimum capability: 80. Current capability: 75."
        )),
        (2, "ValueError: Failed to find a kernel that can implement the WNA16 linear layer."),
        (3, "ValueError: Unknown quantization method: q9. Must be one of ['awq', 'fp8']."),
        (4, (
            "RuntimeError: _C::static_scaled_fp8_quant() expected at most 0 argument(s) but "
            "received 3 argument(s)."
        )),
    ],
    "unsupported-dtype": [
        (0, (
            "  Value error, The model type 'gemma3_text' does not support float16. Reason: "
            "Numerical instability."
        )),
        (1, (
            "ValueError: Bfloat16 is only supported on GPUs with compute capability of at least "
            "8.0. Your Tesla T4 GPU has compute capability 7.5."
        )),
    ],
    "unknown-engine-argument": [
        (0, "vllm: error: unrecognized arguments: --no-such-flag 1"),
        (1, "vllm serve: error: argument --max-model-len: invalid human_readable_int value: 'x'"),
    ],
    "out-of-memory-kv-cache": [
        (0, (
            "ValueError: To serve at least one request with the model's max seq len (131072), "
            "(16.00 GiB KV cache is needed, which is larger than the available KV cache memory "
            "(3.81 GiB)."
        )),
        (1, (
            "ValueError: No available memory for the cache blocks. Try increasing "
            "`gpu_memory_utilization` when initializing the engine."
        )),
    ],
    "gated-or-missing-model": [
        (0, "huggingface_hub.errors.HFValidationError: Repo id must be in the form 'repo_name'"),
        (1, "huggingface_hub.errors.RepositoryNotFoundError: 401 Client Error."),
    ],
    "port-in-use": [
        (0, "OSError: [Errno 98] Address already in use"),
        (1, "RuntimeError: bind to 127.0.0.1:8000: address already in use"),
    ],
    "disk-full": [
        (0, "OSError: [Errno 28] No space left on device: '/cache/huggingface/blob'"),
    ],
    "kernel-compile-failure": [
        (0, (
            "torch._inductor.exc.InductorError: InvalidCxxCompiler: No working C++ compiler found "
            "in torch._inductor.config.cpp.cxx: (None, 'g++')"
        )),
    ],
}  # fmt: skip
PREFIXES = (
    "",
    "(EngineCore pid=231) ERROR 11-20 10:00:01 [core.py:1105] ",
    "\x1b[0;36m(APIServer pid=17)\x1b[0;0m ",
)


def rule_of(cause: str) -> Rule:
    (rule,) = (rule for rule in load_rules() if rule.cause == cause)
    return rule


def test_every_rule_has_a_line_for_each_pattern() -> None:
    """A pattern that nobody has seen match is a guess."""
    patterns = {
        (rule.cause, number) for rule in load_rules() for number in range(len(rule.patterns))
    }

    assert {(cause, number) for cause, lines in LINES.items() for number, _ in lines} == patterns


@pytest.mark.parametrize("prefix", PREFIXES, ids=["bare", "logger", "coloured"])
@pytest.mark.parametrize(
    ("cause", "number", "line"),
    [(cause, number, line) for cause, lines in LINES.items() for number, line in lines],
)
def test_line_is_recognised(cause: str, number: int, line: str, prefix: str) -> None:
    """Whichever process prints it, with or without colours, as the second line of three."""
    rule = rule_of(cause)
    found = diagnose(["INFO 11-20 10:00:00 [a.py:1] hello", prefix + line, "Traceback: end"])

    assert rule.patterns[number].search(line)
    assert (found.cause, found.family) == (cause, rule.family)
    assert found.evidence is not None
    assert found.evidence.line == 2
    assert line.strip() in found.evidence.text


@pytest.mark.parametrize("rule", load_rules(), ids=lambda rule: rule.cause)
def test_rule_is_complete(rule: Rule) -> None:
    """Templates use groups that every pattern has; cause and family are ids."""
    wanted = {
        name
        for template in (rule.summary, rule.remedy)
        for _, name, _, _ in Formatter().parse(template)
        if name
    }

    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", rule.cause)
    assert re.fullmatch(r"[a-z]+", rule.family)
    assert rule.summary.endswith(".")
    assert rule.remedy.endswith(".")
    for pattern in rule.patterns:
        assert wanted <= pattern.groupindex.keys(), pattern.pattern


def test_causes_are_told_apart() -> None:
    """One rule a cause; a cause's ways to show are its patterns."""
    causes = [rule.cause for rule in load_rules()]

    assert len(set(causes)) == len(causes)
