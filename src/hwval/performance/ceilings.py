"""What the roofline allows at a point of a workload, from the plan of its cell.

Bounds are on the safe side: what is not known makes a ceiling higher, never lower, so that only
what physics forbids is called impossible.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from hwval.planning.memory import MemoryPlan
from hwval.planning.roofline import Ceiling

__all__ = ["Roofline"]

# Blocks are allocated whole; a block less is surely read. 128 is the largest block of any backend
# (vLLM on processors).
_BLOCK_TOKENS: Final = 128
_STATISTICS: Final = ("mean", "p50", "p90", "p95", "p99")


@dataclass(frozen=True, slots=True)
class Roofline:
    """The ceilings of one cell.

    Attributes:
        ceiling: Of a single request without context.
        memory: How its cache is laid out; None where that is not known.
        tensor_parallel: Ranks that read at the same time.
        is_speculative: Whether a step may answer several tokens, so that steps bound no tokens.
    """

    ceiling: Ceiling
    memory: MemoryPlan | None = None
    tensor_parallel: int = 1
    is_speculative: bool = False

    def step_s(self, batch: int, context_tokens: int) -> float:
        """Return the shortest time of a decode step.

        Weights are read once for all requests, keys and values for each; the arithmetic grows with
        the requests (S. Williams and others, "Roofline", CACM 52(4), 2009). Of a mixture of experts
        the weights that one token uses are counted, the least that any batch reads.

        Args:
            batch: Requests in the step, >= 1.
            context_tokens: Tokens that each has behind it at least.
        """
        alone_s = 1 / self.ceiling.decode_tokens_per_s
        step_s = alone_s
        if self.ceiling.bound_by == "bandwidth":
            step_s += alone_s * batch * self._kv_bytes(context_tokens) / self.ceiling.weights_bytes
        if self.ceiling.prefill_tokens_per_s:
            step_s = max(step_s, batch / self.ceiling.prefill_tokens_per_s)
        return step_s

    def at(
        self, *, batch: int, input_tokens: int, output_tokens: int, is_cached: bool = False
    ) -> dict[str, float]:
        """Return metric name -> the most of a rate and the least of a latency.

        Args:
            batch: Most requests at a time, >= 1.
            input_tokens: Length of the shortest prompt.
            output_tokens: Length of the shortest answer.
            is_cached: Whether prompts may be found in the prefix cache, so that reading them is
                not bounded.
        """
        found: dict[str, float] = {}
        prefill = None if is_cached else self.ceiling.prefill_tokens_per_s
        ttft_s = 0.0
        if prefill:
            ttft_s = input_tokens / prefill
            found |= {"prefill_tokens_per_s": prefill, "input_tokens_per_s": prefill}
            found["total_tokens_per_s"] = prefill
            found |= {f"ttft_{name}_s": ttft_s for name in _STATISTICS}
        if self.is_speculative:
            return found
        alone_s, together_s = self.step_s(1, input_tokens), self.step_s(batch, input_tokens)
        rate = batch / together_s
        found |= {"decode_tokens_per_s": 1 / alone_s, "output_tokens_per_s": rate}
        found["request_per_s"] = rate / output_tokens
        # A batch of requests of one length that are answered together.
        if latency_s := batch * ttft_s + (output_tokens - 1) * together_s:
            found["latency_mean_s"] = latency_s
        if output_tokens > 1:
            found |= {f"tpot_{name}_s": alone_s for name in _STATISTICS}
            least_s = ttft_s + (output_tokens - 1) * alone_s
            found |= {f"e2el_{name}_s": least_s for name in _STATISTICS}
        return found

    def _kv_bytes(self, context_tokens: int) -> float:
        surely = context_tokens - _BLOCK_TOKENS
        if self.memory is None or surely < 1:
            return 0.0
        return self.memory.cache.request_bytes(surely, 1) * self.tensor_parallel
