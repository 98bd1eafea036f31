"""Hold the planner against engines that were really started.

    python benchmarks/fit_cases.py FIT_CASES.jsonl FIT_MODELS.json

The first file has one start a line: what was asked for and what the engine logged. The second has
the dimensions of the models, null where nobody verified them; those are counted, not guessed.
Exit 1 if an aim is missed. Without arguments there is nothing to measure, which is said.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections import Counter
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hwval.planning.engine_settings import EngineSettings
from hwval.planning.engine_settings import MemoryDevice
from hwval.planning.engine_settings import parse_version
from hwval.planning.interval import GIB_BYTES
from hwval.planning.kv_cache import kv_cache_of
from hwval.planning.memory import Fit
from hwval.planning.memory import MemoryPlan
from hwval.planning.memory import plan_memory
from hwval.planning.model_shape import ModelShape
from hwval.planning.model_shape import ShapeError
from hwval.planning.model_shape import read_shape
from hwval.planning.parallelism import Parallelism
from hwval.planning.storage import Allocator
from hwval.planning.weights import weights_of

QUANTIZATION: dict[str, dict[str, Any]] = {
    "awq": {"quant_method": "awq", "bits": 4},
    "gptq": {"quant_method": "gptq", "bits": 4, "sym": True},
    "fp8-block": {"quant_method": "fp8", "weight_block_size": [128, 128]},
    "fp8": {"quant_method": "fp8"},
    "fp8-tensor": {"quant_method": "fp8"},
    "fp8-channel": {"quant_method": "fp8"},
    "fp8-online": {"quant_method": "fp8"},
    "mxfp4": {"quant_method": "mxfp4"},
    "bnb4": {"quant_method": "bitsandbytes"},
    "nvfp4": {"quant_method": "modelopt", "quant_algo": "NVFP4"},
    "ct-w4": {
        "quant_method": "compressed-tensors",
        "config_groups": {"0": {"weights": {"num_bits": 4, "type": "int", "group_size": 128}}},
    },
}
# The linear layers of Qwen3-Next and its successors; the models file does not hold their sizes.
STATES = {
    "linear_num_key_heads": 16, "linear_num_value_heads": 32, "linear_key_head_dim": 128,
    "linear_value_head_dim": 128, "linear_conv_kernel_dim": 4, "mamba_ssm_dtype": "float32",
}  # fmt: skip
# Of latent attention the models file holds only what the cache needs; by number of layers.
LATENT: dict[int, Any] = {
    27: {"heads": (128, 128), "shared": 2, "dense": 1},
    61: {"heads": (128, 128), "shared": 1, "dense": 3},
    78: {"heads": (192, 256), "shared": 1, "dense": 3},
}
NO_FP8 = (
    "3060",
    "3080",
    "3090",
    "A100",
    "A800",
    "A10",
    "A40",
    "A5000",
    "A6000",
    "T4",
    "V100",
    "7900",
)
WRONG = {"ran": Fit.IMPOSSIBLE, "did not run": Fit.RUN}
AIMS = {"16 bit": 0.01, "FP8": 0.01, "AWQ/GPTQ": 0.03, "KV tokens": 0.01}


@dataclass(frozen=True, slots=True)
class Model:
    """A model of the models file.

    Attributes:
        shape: Its dimensions.
        group: Row of the table that its weights belong to.
        is_verified: Whether all dimensions that decide its weights were verified.
    """

    shape: ModelShape
    group: str
    is_verified: bool


def main() -> int:
    """Print the tables; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cases", type=Path, nargs="?")
    parser.add_argument("models", type=Path, nargs="?")
    parser.add_argument("--each", action="store_true", help="print every case")
    arguments = parser.parse_args()
    if arguments.models is None:
        print("fit_cases: needs the files of cases and models; nothing was measured")
        return 0
    cases = [json.loads(line) for line in arguments.cases.read_text("utf-8").splitlines() if line]
    models, unknown = {}, Counter[str]()
    for name, entry in json.loads(arguments.models.read_text("utf-8")).items():
        try:
            models[name] = model_of(name, entry)
        except ShapeError as error:
            unknown[str(error)] += 1
    print(f"{len(cases)} starts; {len(models)} models of known shape, {unknown.total()} not")
    met = [
        weights_table(cases, models, each=arguments.each),
        kv_table(cases, models, each=arguments.each),
        verdict_table(cases, models, each=arguments.each),
        overhead_table(cases, models),
        speed(cases, models),
    ]
    return 0 if all(met) else 1


def model_of(name: str, entry: dict[str, Any]) -> Model:
    """Return the model that an entry of the models file describes.

    Raises:
        ShapeError: Its dimensions were not verified.
    """
    quant = entry.get("quant")
    plain = {
        "model_type": "gpt_oss" if "gpt-oss" in name.lower() else "",
        "hidden_size": entry["hidden"],
        "num_hidden_layers": entry["layers"],
        "num_attention_heads": entry["heads"],
        "num_key_value_heads": entry["kv_heads"],
        "head_dim": entry["head_dim"],
        "intermediate_size": entry["intermediate"] or entry["moe_intermediate"],
        "vocab_size": entry["vocab"],
        "tie_word_embeddings": bool(entry.get("tied")) or not entry.get("lm_head", True),
        "max_position_embeddings": entry.get("max_position_embeddings"),
        "attention_bias": bool(entry.get("qkv_bias")),
        "qk_norm": bool(entry.get("qk_norm")),
        "sliding_window": entry.get("sliding_window"),
    }
    config = plain | moe(entry) | latent(name, entry) | pattern(entry)
    if quant:
        known = QUANTIZATION.get(quant, {"quant_method": quant})
        if entry.get("group_size") and quant in {"awq", "gptq"}:
            known = known | {"group_size": entry["group_size"]}
        config["quantization_config"] = known
    verified = "UNVERIFIED" not in entry["source"]
    return Model(read_shape(config), group_of(entry, quant), verified)


def moe(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what a config says of experts; how many are active is not in the file."""
    if not entry.get("experts"):
        return {}
    return {
        "num_experts": entry["experts"],
        "moe_intermediate_size": entry["moe_intermediate"],
        "num_experts_per_tok": min(8, entry["experts"]),
    }


def latent(name: str, entry: dict[str, Any]) -> dict[str, Any]:
    """Return what a config says of latent attention."""
    if not entry.get("mla"):
        return {}
    rest = LATENT.get(entry["layers"], LATENT[61])
    config = {
        "kv_lora_rank": entry["kv_lora_rank"],
        "qk_rope_head_dim": entry["qk_rope_head_dim"],
        "q_lora_rank": entry["q_lora_rank"],
        "qk_nope_head_dim": rest["heads"][0],
        "v_head_dim": rest["heads"][1],
        "n_shared_experts": rest["shared"],
        "first_k_dense_replace": rest["dense"],
    }
    if "index_head_dim" in (entry.get("note") or ""):
        config |= {"index_head_dim": 128, "index_n_heads": 32}
        # GLM-5.2's config.json lists indexer_types: three layers, then every fourth has its own.
        config |= {"index_topk_freq": 4, "index_skip_topk_offset": 3} if "5.2" in name else {}
    return config


def pattern(entry: dict[str, Any]) -> dict[str, Any]:
    """Return what a config says of the kinds of layers."""
    layers, full = entry["layers"], entry.get("full_attention_layers")
    text = str(entry.get("sliding_pattern") or "")
    if full and layers and full < layers and not text:
        every = layers // full
        kinds = repeated(layers, every, "linear_attention")
        return STATES | {"layer_types": kinds}
    if entry.get("sliding_window") and text:
        every = {"5": 6, "1": 2, "3": 4}.get(text.strip()[:1], 2)
        return {"layer_types": repeated(layers, every, "sliding_attention")}
    return {}


def repeated(layers: int, every: int, other: str) -> list[str]:
    """Return the kinds of layers where every so many-th has full attention."""
    return ["full_attention" if (i + 1) % every == 0 else other for i in range(layers)]


def group_of(entry: dict[str, Any], quant: str | None) -> str:
    """Return the row of the table for the weights of a model."""
    note = entry.get("note") or ""
    if "tower" in note or "vision" in note:
        return "with a tower"
    if entry.get("mla") or entry.get("full_attention_layers"):
        return "latent or hybrid"
    if quant is None:
        return "16 bit"
    if quant.startswith("fp8"):
        return "FP8"
    return "AWQ/GPTQ" if quant in {"awq", "gptq"} else quant


def settings_of(case: dict[str, Any]) -> EngineSettings:
    """Return how the engine of a case was started."""
    offload = case.get("cpu_offload_gb") or 0
    return EngineSettings(
        version=parse_version(case["vllm_version"]),
        parallelism=Parallelism(case["tp"] or 1, case["pp"] or 1),
        max_model_len_tokens=case["max_model_len"],
        gpu_memory_utilization=case["gpu_memory_utilization"],
        max_num_seqs=case["max_num_seqs"],
        max_num_batched_tokens=case["max_num_batched_tokens"],
        kv_cache_dtype=case["kv_cache_dtype"] or "auto",
        enforce_eager=bool(case["enforce_eager"]),
        cpu_offload_bytes=int(offload * GIB_BYTES),
    )


def device_of(case: dict[str, Any]) -> MemoryDevice:
    """Return what it ran on; the memory only counts where the case knows it."""
    name = case["gpu"] or ""
    return MemoryDevice(
        vendor=case["platform"],
        capacity_bytes=int((case["gpu_memory_gib"] or 24) * GIB_BYTES),
        name=name,
        unified="GB10" in name or "Strix" in name or "8060S" in name,
        native_fp8=not any(card in name for card in NO_FP8),
    )


def weights_table(cases: list[dict[str, Any]], models: dict[str, Model], *, each: bool) -> bool:
    """Print errors of the weights by group; return whether the aims are met."""
    errors = defaultdict[str, list[float]](list)
    inside = Counter[str]()
    for case in cases:
        seen = case["observed"]["weights_gib_per_rank"]
        model = models.get(case["model_key"])
        if not seen or model is None or case["speculative"] or case["cpu_offload_gb"]:
            continue
        if not model.is_verified:
            continue
        try:
            found = weights_of(
                model.shape,
                settings_of(case).parallelism,
                quantization=model.shape.quantization,
                allocator=Allocator(counts_reserved=case["platform"] == "rocm"),
                native_fp8=device_of(case).native_fp8,
            )
        except ShapeError:
            continue
        error = found.per_rank_bytes / GIB_BYTES / seen - 1
        bounds = found.bounds_bytes
        inside[model.group] += bounds.low <= seen * GIB_BYTES <= bounds.high
        errors[model.group].append(error)
        if each:
            print(f"  {case['id']} {case['model_key']} tp{case['tp']} {seen} {error:+.2%}")
    print("\nweights a rank: planned / logged - 1")
    met = table(errors)
    print(f"  inside the planner's bounds: {inside.total()} of {sum(map(len, errors.values()))}")
    return met


def kv_table(cases: list[dict[str, Any]], models: dict[str, Model], *, each: bool) -> bool:
    """Print errors of the tokens, given the memory that the log calls available."""
    errors = defaultdict[str, list[float]](list)
    for case in cases:
        available, seen = case["observed"]["kv_available_gib"], case["observed"]["kv_tokens"]
        model = models.get(case["model_key"])
        if model is None or not available or not seen or available < 0 or not case["max_model_len"]:
            continue
        settings = settings_of(case)
        cache = kv_cache_of(
            model.shape,
            settings.parallelism,
            dtype=settings.kv_cache_dtype,
            windows_are_full=settings.windows_are_full,
        )
        device = device_of(case)
        length = case["max_model_len"]
        batch = settings.batch_tokens(device, length)
        group = "KV tokens"
        if case["confidence"] == "low" and case["gpu"] and "GLM" in case["model_key"]:
            group = "KV tokens, experimental engine"
        # The log rounds the memory to 0.01 GiB: both ends count as right.
        planned = [
            cache.logged_tokens(
                (available + rounding) * GIB_BYTES,
                length,
                batch,
                by_concurrency=settings.logs_by_concurrency,
            )
            for rounding in (-0.005, 0, 0.005)
        ]
        error = planned[1] / seen - 1
        if planned[0] <= seen <= planned[2]:
            errors[f"{group}, within the log's rounding"].append(error)
        errors[group].append(error)
        if each:
            print(f"  {case['id']} {case['model_key']} {seen} {planned[1]} {error:+.3%}")
    print("\nKV tokens from the available memory: planned / logged - 1")
    return table(errors)


def verdict_table(cases: list[dict[str, Any]], models: dict[str, Model], *, each: bool) -> bool:
    """Print how often the verdict was right where size decided."""
    outcome, skipped, wrong = Counter[tuple[str, str]](), Counter[str](), []
    for case in cases:
        if not case["usable_for_fit_verdict"]:
            continue
        expected = expectation(case)
        if expected is None:
            skipped[f"failed by another cause ({case['failure_cause']})"] += 1
            continue
        try:
            plan = fit_of(case, models)
        except ShapeError as error:
            skipped["shape not known"] += 1
            line = f"{case['id']} {case['model_key']} {expected}, unknown: {error}"
        else:
            outcome[expected, plan.fit] += 1
            line = f"{case['id']} {case['model_key']} {expected}, planned {plan.fit}: {plan.reason}"
            if plan.fit == WRONG.get(expected):
                wrong.append(line)
        if each:
            print(f"  {line}")
    print("\nruns / does not run")
    for (expected, planned), count in sorted(outcome.items()):
        print(f"  {expected:12} planned {planned:12} {count}")
    for reason, count in skipped.items():
        print(f"  not graded: {reason}: {count}")
    return verdict_share(outcome, wrong)


def verdict_share(outcome: Counter[tuple[str, str]], wrong: list[str]) -> bool:
    """Print the share of right verdicts and what was wrong; return whether the aim is met."""
    graded = {key: count for key, count in outcome.items() if key[0] in WRONG}
    decided = sum(count for (_, fit), count in graded.items() if fit != Fit.UNCERTAIN)
    if not decided:
        return True
    right = 1 - len(wrong) / decided
    print(
        f"  right in {right:.1%} of {decided} decided; "
        f"uncertain {1 - decided / sum(graded.values()):.1%}"
    )
    for line in wrong:
        print(f"  wrong: {line}")
    return right >= 0.95


def expectation(case: dict[str, Any]) -> str | None:
    """Return what should have been planned; None where size did not decide."""
    if case["failure_cause"] == "size-borderline":
        return "borderline"
    if case["observed"]["outcome"] == "runs":
        return "ran"
    return "did not run" if case["failure_cause"] == "size" else None


def fit_of(case: dict[str, Any], models: dict[str, Model]) -> MemoryPlan:
    """Return the memory that is planned for a case.

    Raises:
        ShapeError: The model's shape is not known.
    """
    model = models.get(case["model_key"])
    if model is None or not model.is_verified:
        raise ShapeError(f"{case['model_key']}: dimensions are not verified")
    return plan_memory(
        model.shape, settings_of(case), device_of(case), quantization=model.shape.quantization
    )


def overhead_table(cases: list[dict[str, Any]], models: dict[str, Model]) -> bool:
    """Print how often what an engine took beside weights and cache was inside the bounds."""
    inside, outside, widths = 0, [], []
    for case in cases:
        model, observed = models.get(case["model_key"]), case["observed"]
        kept = observed["kv_available_gib"], observed["weights_gib_per_rank"]
        ran = observed["outcome"] == "runs" and case["usable_for_fit_verdict"]
        if (
            model is None
            or not ran
            or None in kept
            or case["speculative"]
            or case["cpu_offload_gb"]
        ):
            continue
        try:
            plan = plan_memory(model.shape, settings_of(case), device_of(case))
        except ShapeError:
            continue
        bounds = plan.overhead_bytes
        other = plan.requested_bytes - sum(kept) * GIB_BYTES
        widths.append((bounds.high - bounds.low) / GIB_BYTES)
        if bounds.low <= other <= bounds.high:
            inside += 1
        else:
            outside.append(f"{case['id']} {other / GIB_BYTES:.2f} GiB")
    print("\nwhat was taken beside weights and cache")
    print(f"  inside the bounds {inside}, outside {outside}")
    print(f"  bounds are {statistics.median(widths):.1f} GiB apart (median)" if widths else "")
    return True


def speed(cases: list[dict[str, Any]], models: dict[str, Model]) -> bool:
    """Print how long 10,000 plans take."""
    known = [case for case in cases if case["model_key"] in models and case["max_model_len"]]
    if not known:
        return True
    start, done = time.perf_counter(), 0
    while done < 10_000:
        for case in known:
            try:
                fit_of(case, models)
            except ShapeError:
                continue
            finally:
                done += 1
    print(f"\n{done} memory plans in {time.perf_counter() - start:.2f} s")
    return True


def table(errors: dict[str, list[float]]) -> bool:
    """Print a row for each group; return whether every aim is met by the whole group."""
    met = True
    print(f"  {'group':44} {'n':>3} {'min':>8} {'median':>8} {'max':>8} {'mean abs':>8}  aim")
    for group, values in sorted(errors.items()):
        worst = max(map(abs, values))
        aim = AIMS.get(group)
        row = (min(values), statistics.median(values), max(values), mean_abs(values))
        text = " ".join(f"{value:+8.2%}" for value in row)
        inside = "" if aim is None else f"{aim:.0%}: {sum(abs(v) <= aim for v in values)} inside"
        met &= aim is None or worst <= aim
        print(f"  {group:44} {len(values):3} {text}  {inside}")
    return met


def mean_abs(values: Iterable[float]) -> float:
    """Return the mean of the absolute values."""
    return statistics.fmean(map(abs, values))


if __name__ == "__main__":
    sys.exit(main())
