"""What `hwval plan` tells: where lines are short blocks for people, else one line a cell, or JSON.

Cells of one hardware and image stand together under one heading, so that their rows stay short.
In a pipe every row is whole: id, figures and reason, for ``grep`` and ``sort``.
"""

from __future__ import annotations

import textwrap
from collections import Counter
from collections import defaultdict
from collections.abc import Callable
from collections.abc import Iterator
from collections.abc import Sequence
from typing import TYPE_CHECKING
from typing import Any
from typing import Final
from typing import NamedTuple

from hwval.units import format_bytes

if TYPE_CHECKING:
    from hwval.forecast import Forecast
    from hwval.placement import PlacedCell

__all__ = [
    "counts_line",
    "pipe_lines",
    "planned_json",
    "planned_words",
    "terminal_lines",
    "verdict_of",
]

_HEADINGS: Final = ("needs", "of", "spare", "context", "decode/s", "prefill/s")
_INDENT: Final = " " * 12
_NOTHING: Final = "-"
_WORDS: Final = ("run", "uncertain", "unknown", "impossible", "elsewhere")


class _Figures(NamedTuple):
    """What a row shows of a plan, in the order of the headings; a dash where it is not known."""

    needs: str = _NOTHING
    of: str = _NOTHING
    spare: str = _NOTHING
    context: str = _NOTHING
    decode: str = _NOTHING
    prefill: str = _NOTHING


def verdict_of(placed: PlacedCell) -> str:
    """Return the word for a cell: impossible wherever it is, elsewhere, or what is planned here."""
    planned = str(placed.forecast.verdict) if placed.forecast is not None else "run"
    return "elsewhere" if placed.why_not and planned != "impossible" else planned


def counts_line(cells: Sequence[PlacedCell]) -> str:
    """Return how many cells come to which verdict."""
    counts = Counter(verdict_of(placed) for placed in cells)
    here = {"run": "run here", "uncertain": "uncertain here", "unknown": "unknown here"}
    return ", ".join(f"{counts[word]:,} {here.get(word, word)}" for word in _WORDS if counts[word])


def planned_json(placed: PlacedCell) -> dict[str, Any]:
    """Return one object of `hwval plan --json`: what is known of a cell, in base units."""
    planned = placed.forecast.to_json() if placed.forecast is not None else {"reasons": []}
    elsewhere = [{"rule": "host", "text": placed.why_not}] if placed.why_not else []
    return {
        "cell": placed.cell.id,
        **planned,
        "verdict": verdict_of(placed),
        "reasons": [*elsewhere, *planned["reasons"]],
        "planned": planned.get("verdict"),
        "runs": not placed.why_not and not placed.ruled_out,
    }


def planned_words(forecast: Forecast) -> str:
    """Return memory, context and ceilings as a sentence."""
    return _sentence(_figures(forecast))


def pipe_lines(cells: Sequence[PlacedCell]) -> Iterator[str]:
    """Yield one line a cell, everything in it."""
    rows = [
        (verdict_of(placed), placed.cell.id, *_figures(placed.forecast), _why(placed))
        for placed in cells
    ]
    yield from _aligned([("verdict", "cell", *_HEADINGS, "why"), *rows])


def terminal_lines(cells: Sequence[PlacedCell], columns: int) -> Iterator[str]:
    """Yield blocks of cells, each followed by what is to be said of them.

    Args:
        cells: The cells, in the order of the matrix.
        columns: Width of the terminal.
    """
    blocks: defaultdict[str, list[PlacedCell]] = defaultdict(list)
    for placed in cells:
        cell = placed.cell
        count = f" x{cell.device_count}" if cell.device_count > 1 else ""
        blocks[f"{cell.hardware}{count} on {cell.image}"].append(placed)
    for heading, block in blocks.items():
        yield heading
        reasons = _common(block, _reasons) if len(block) > 1 else ()
        notes = _common(block, _told)
        yield from _wrapped(sorted({placed.why_not for placed in block} - {""}), columns, "  ")
        yield from _wrapped([f"all: {text}" for text in reasons], columns, "  ")
        yield from _wrapped([f"note: {text}" for text in notes], columns, "  ")
        yield from _block(block, columns, (*reasons, *notes))
        yield ""


def _common(
    block: Sequence[PlacedCell], told: Callable[[PlacedCell], Sequence[str]]
) -> tuple[str, ...]:
    """Return what is told of every cell of a block, so that it is told once."""
    first, *others = (told(placed) for placed in block)
    return tuple(text for text in first if all(text in other for other in others))


def _block(block: Sequence[PlacedCell], columns: int, common: Sequence[str]) -> Iterator[str]:
    rows = [(verdict_of(placed), _name(placed), *_figures(placed.forecast)) for placed in block]
    lines = list(_aligned([("verdict", "cell", *_HEADINGS), *rows]))
    fits = max(map(len, lines)) <= columns
    if fits:
        yield from lines
    for placed in block:
        notes = [*_notes(placed, common), *_note_lines(placed, common)]
        if not fits:
            notes = [_sentence(_figures(placed.forecast)), *notes]
        if notes:
            yield f"{verdict_of(placed):<10}  {placed.cell.id}"
            yield from _wrapped(notes, columns, _INDENT)


def _aligned(rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield rows with words to the left and figures to the right; empty columns are left out."""
    columns = []
    for heading, *texts in zip(*rows, strict=True):
        width = max(map(len, (heading, *texts)))
        if heading in _HEADINGS and set(texts) == {_NOTHING}:
            continue
        align = str.rjust if heading in _HEADINGS else str.ljust
        columns.append([align(text, width) for text in (heading, *texts)])
    for row in zip(*columns, strict=True):
        yield "  ".join(row).rstrip()


def _figures(forecast: Forecast | None) -> _Figures:
    if forecast is None:
        return _Figures()
    found = _Figures()
    memory, ceiling = forecast.plan.memory, forecast.plan.ceiling
    if memory is not None:
        required, margin = memory.required_bytes, memory.margin_bytes
        surely, perhaps = (f"{tokens:,}" for tokens in memory.longest_tokens)
        found = found._replace(
            needs=_range(required.low, required.high),
            of=format_bytes(memory.requested_bytes),
            spare=_spare(margin.low, margin.high),
            context=surely if surely == perhaps else f"{surely}..{perhaps}",
        )
    if ceiling is not None:
        prefill = ceiling.prefill_tokens_per_s
        found = found._replace(
            decode=_speed(ceiling.decode_tokens_per_s),
            prefill=_NOTHING if prefill is None else _speed(prefill),
        )
    return found


def _sentence(figures: _Figures) -> str:
    told = []
    if figures.needs != _NOTHING:
        told.append(f"needs {figures.needs} of {figures.of}, spare {figures.spare}")
        told.append(f"{figures.context} tokens of context fit")
    if figures.decode != _NOTHING:
        told.append(f"decodes at most {figures.decode} tokens/s")
    if figures.prefill != _NOTHING:
        told.append(f"prefills at most {figures.prefill} tokens/s")
    return ", ".join(told) or "no figures"


def _reasons(placed: PlacedCell) -> tuple[str, ...]:
    """Return what made the verdict of a cell."""
    if placed.forecast is None:
        return ()
    return tuple(reason.text for reason in placed.forecast.against)


def _notes(placed: PlacedCell, common: Sequence[str] = ()) -> list[str]:
    """Return what is to be said of a cell beside its figures and beside where it can run."""
    forecast = placed.forecast
    if forecast is None:
        return []
    notes = [text for text in _reasons(placed) if text not in common]
    if forecast.plan.advice:
        notes.append(f"change: {', or '.join(forecast.plan.advice)}")
    if forecast.is_impossible and not placed.why_not and not placed.ruled_out:
        notes.append("run all the same: the ledger names it")
    if notes and placed.why_not and not forecast.is_impossible:
        notes.insert(0, f"{forecast.verdict} on its own hardware:")
    return notes


def _told(placed: PlacedCell) -> tuple[str, ...]:
    """Return the notes of a cell's plan, which decide nothing."""
    if placed.forecast is None:
        return ()
    return tuple(dict.fromkeys(note.text for note in placed.forecast.plan.notes))


def _note_lines(placed: PlacedCell, common: Sequence[str] = ()) -> list[str]:
    return [f"note: {text}" for text in _told(placed) if text not in common]


def _why(placed: PlacedCell) -> str:
    texts = (placed.why_not, *_notes(placed), *_note_lines(placed))
    return "; ".join(filter(None, texts)).replace(":;", ":")


def _name(placed: PlacedCell) -> str:
    cell = placed.cell
    model = cell.model.rpartition("/")[2]  # the id has all of it
    return " ".join(filter(None, (model, str(cell.dtype), cell.variant)))


def _range(low: float, high: float) -> str:
    """Return bounds with one unit where they share it."""
    first, last = format_bytes(max(0, round(low))), format_bytes(max(0, round(high)))
    return last if first == last else _joined(first, last)


def _joined(first: str, last: str) -> str:
    number, _, unit = first.partition(" ")
    return f"{number}..{last}" if last.endswith(f" {unit}") else f"{first}..{last}"


def _spare(low: float, high: float) -> str:
    """Return what is left over at least; where nothing is, what is missing at least."""
    if low >= 0:
        return f"+{format_bytes(round(low))}"
    if high < 0:
        return f"-{format_bytes(round(-high))}"
    return _joined(f"-{format_bytes(round(-low))}", f"+{format_bytes(round(high))}")


def _speed(tokens_per_s: float) -> str:
    if tokens_per_s >= 1000:
        digits = 3 - len(str(int(tokens_per_s)))
        return f"{round(tokens_per_s, digits):,.0f}"
    return f"{tokens_per_s:.3g}"


def _wrapped(texts: Sequence[str], columns: int, indent: str) -> Iterator[str]:
    for text in texts:
        yield textwrap.fill(
            text,
            max(columns, 40),
            initial_indent=indent,
            subsequent_indent=indent,
            break_on_hyphens=False,
        )
