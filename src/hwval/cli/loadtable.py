"""Shows people what a load came to. What servers say is somebody else's text, and made harmless."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING
from typing import Any
from typing import Final

from rich.box import Box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from hwval.inert import one_line
from hwval.units import format_duration_s

if TYPE_CHECKING:
    from hwval.load import Summary
    from hwval.load.summary import Distribution

__all__ = ["print_load"]

_RULE: Final = Box("    \n    \n -- \n    \n    \n    \n    \n    \n", ascii=True)
_LATENCIES: Final = (
    ("time to first token", "ttft_s"),
    ("between tokens (ITL)", "itl_s"),
    ("per token after the first", "tpot_s"),
    ("whole answer", "e2el_s"),
)
_STATISTICS: Final = ("mean", "p50", "p90", "p99")
_SHORTEST_LABEL: Final = 12
_NONE: Final = "none"


def print_load(
    console: Console,
    summary: Summary,
    settings: Mapping[str, Any],
) -> None:
    """Print a summary.

    Args:
        console: Where to; its width and colours are respected.
        summary: What the load came to.
        settings: What was asked for.
    """
    console.print(Text(one_line(_heading(settings)), "bold"))
    _print_latencies(console, summary)
    console.print()
    facts = Table(show_header=False, box=None, padding=(0, 2, 0, 0))
    facts.add_column(no_wrap=True)
    facts.add_column(overflow="fold")
    for label, fact in _facts(summary, is_exact=not settings["approximate_prompt_lengths"]).items():
        facts.add_row(Text(label), Text(fact))
    facts.add_row(Text("seed"), Text(f"{settings['seed']} (--seed repeats the run)"))
    console.print(facts)
    for kind, count in summary.failures.items():
        detail = one_line(summary.failure_examples[kind])
        console.print(Text.assemble((f"{count} failed", "bold red"), f": {kind}: {detail}"))
    if summary.ended_by:
        console.print(Text.assemble(("ended early", "bold yellow"), f": {summary.ended_by}"))
    if summary.concurrency_bound:
        reason = summary.concurrency_bound_reason
        console.print(Text.assemble(("concurrency-bound", "bold yellow"), f": {reason}"))
    for reason in summary.client_bound_reasons:
        console.print(Text.assemble(("client-bound", "bold yellow"), f": {reason}"))
    for note in summary.notes:
        console.print(Text(f"note: {note}"))


def _print_latencies(console: Console, summary: Summary) -> None:
    rows = [(label, _row_ms(getattr(summary, name))) for label, name in _LATENCIES]
    digits = [max(map(len, column)) for column in zip(*(row for _, row in rows), strict=True)]
    if console.width < _SHORTEST_LABEL + 1 + sum(max(4, many) + 1 for many in digits):
        # Too narrow for a table; a number that is cut is another number.
        for label, row in rows:
            named = zip(_STATISTICS, row, strict=True)
            text = ", ".join(f"{name} {value}" for name, value in named)
            console.print(Text(f"{label}, ms: {text}"))
        return
    table = Table(box=_RULE, show_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("latency, ms", overflow="fold", min_width=_SHORTEST_LABEL)
    for name, many in zip(_STATISTICS, digits, strict=True):
        table.add_column(name, justify="right", no_wrap=True, min_width=many)
    for label, row in rows:
        table.add_row(label, *row)
    console.print(table)


def _heading(settings: Mapping[str, Any]) -> str:
    if settings["loop"] == "closed":
        how = f"{settings['concurrency']} at a time"
    elif settings["rate_per_s"] is not None:
        how = f"{settings['rate_per_s']:g} requests/s"
    else:
        how = "by a trace"
    return f"{settings['model']} at {settings['url']}, {settings['endpoint']}, {how}"


def _row_ms(found: Distribution | None) -> tuple[str, ...]:
    if found is None:
        return ("-",) * len(_STATISTICS)
    return tuple(f"{value * 1e3:,.2f}" for value in (found.mean, found.p50, found.p90, found.p99))


def _facts(summary: Summary, *, is_exact: bool) -> dict[str, str]:
    counts = [f"{summary.answered:,} answered", f"{summary.failed:,} failed"]
    counts += [f"{summary.unfinished:,} unfinished"] if summary.unfinished else []
    counts += [f"{summary.unsent:,} not sent"] if summary.unsent else []
    facts = {
        "requests": ", ".join(counts),
        "duration": _NONE if summary.duration_s is None else format_duration_s(summary.duration_s),
        "output": f"{_number(summary.output_tokens_per_s)} tokens/s, "
        f"{summary.output_tokens:,} tokens",
        "answers": f"{_number(summary.request_per_s)} requests/s",
        "prompts": "exact lengths" if is_exact else "approximate lengths (no --tokenizer)",
    }
    if summary.input_tokens is not None:
        facts["prompts"] += f", {summary.input_tokens:,} tokens as the server counts"
    if summary.good_share is not None and summary.goal_share is not None:
        word = "missed" if summary.missed_goals else "kept"
        facts["goodput"] = (
            f"{_number(summary.goodput_request_per_s)} requests/s; goals {word}: "
            f"{summary.good_share:.1%} of requests met them, {summary.goal_share:.1%} wanted"
        )
    worst = max(summary.clients, key=lambda client: client.cpu_share)
    facts["generator"] = f"{len(summary.clients)} x {summary.loop}, {worst.cpu_share:.0%} of a core"
    if worst.loop_lag_p99_s is not None:
        facts["generator"] += f", loop lag {worst.loop_lag_p99_s * 1e3:.1f} ms (p99)"
    return facts


def _number(value: float | None) -> str:
    return _NONE if value is None else f"{value:,.2f}"
