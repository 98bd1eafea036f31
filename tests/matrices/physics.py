"""What no engine can keep, told apart from what matrices refuse: a second opinion."""

from __future__ import annotations

from hwval.forecast import Forecast

__all__ = ["floor_problem"]


def floor_problem(
    forecast: Forecast,
    *,
    decode_tokens_per_s: float | None = None,
    prefill_tokens_per_s: float | None = None,
    batch: int = 1,
) -> str | None:
    """Return why no engine can keep a floor, with both numbers; None if physics allows it.

    A step of ``batch`` requests takes at least as long as a step of one, so that it answers at
    most ``batch`` times as many tokens, and never more than the arithmetic allows. With speculative
    decoding a step may answer several tokens and no decode floor is judged.

    Args:
        forecast: Of the cell that the floor is promised for.
        decode_tokens_per_s: Floor of the answers of all requests together; None for none.
        prefill_tokens_per_s: Floor of the prompts; None for none.
        batch: Requests at the same time, >= 1.
    """
    ceiling = forecast.plan.ceiling
    if ceiling is None:
        return None
    decode = batch * ceiling.decode_tokens_per_s
    if ceiling.prefill_tokens_per_s is not None:
        decode = min(decode, ceiling.prefill_tokens_per_s)
    floor = None if forecast.is_speculative else decode_tokens_per_s
    if floor is not None and floor > decode:
        return _above("decode", floor, decode, batch)
    prefill = ceiling.prefill_tokens_per_s
    if prefill is not None and prefill_tokens_per_s is not None and prefill_tokens_per_s > prefill:
        return _above("prefill", prefill_tokens_per_s, prefill, batch)
    return None


def _above(what: str, floor: float, ceiling: float, batch: int) -> str:
    of = f" of {batch} requests at a time" if batch > 1 else ""
    return (
        f"a {what} floor of {floor:,.4g} tokens/s{of} is above the ceiling of {ceiling:,.4g} "
        "tokens/s that bandwidth and arithmetic allow; no engine can keep it"
    )
