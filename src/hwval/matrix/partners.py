"""Which cells are held against each other, and therefore belong into one run."""

from __future__ import annotations

from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from graphlib import CycleError
from graphlib import TopologicalSorter
from typing import Any
from typing import Final

from hwval.accuracy.promise import why_not_alike
from hwval.matrix.asking import is_asked
from hwval.matrix.asking import promises_naming
from hwval.matrix.asking import started_cell
from hwval.matrix.asking import wanted_partners
from hwval.matrix.entry import MatrixEntry
from hwval.performance.bounds import bounds_of
from hwval.performance.measurement import differing_workload
from hwval.performance.promise import ANSWERS
from hwval.performance.promise import Curve
from hwval.performance.promise import Question
from hwval.performance.promise import Related
from hwval.threshold import find_partner

__all__ = ["groups_of", "partners_among", "undecidable_relations"]

# What greedy answers with and without speculation must have in common to be compared.
_OF_ANSWERS: Final = frozenset({"output_tokens", "prompts"})


def partners_among(entries: Iterable[MatrixEntry]) -> dict[str, tuple[str, ...]]:
    """Return cell id -> ids of the cells that it is held against, as far as they are among them."""
    by_id = {entry.cell.id: entry for entry in entries}
    return {
        cell_id: tuple(
            partner
            for name in wanted_partners(entry)
            if (partner := find_partner(cell_id, name, by_id)[0]) is not None
        )
        for cell_id, entry in by_id.items()
    }


def groups_of(
    cell_ids: Iterable[str], partners: Mapping[str, Sequence[str]]
) -> list[tuple[str, ...]]:
    """Return the cells in groups: those that are held against each other, directly or by others.

    Args:
        cell_ids: Cells, each once.
        partners: Cell id -> ids that it is held against; ids that are no cells here do not count.

    Returns:
        Every cell in just one group; groups by their first cell, cells in their own order.

    Example:
        >>> groups_of(["a", "b", "c"], {"c": ["a"]})
        [('a', 'c'), ('b',)]
    """
    group = {cell_id: [cell_id] for cell_id in cell_ids}
    ranks = {cell_id: rank for rank, cell_id in enumerate(group)}
    for cell_id, others in partners.items():
        for other in others:
            if cell_id not in group or other not in group or group[cell_id] is group[other]:
                continue
            fewer, more = sorted((group[cell_id], group[other]), key=len)
            more += fewer
            group.update(dict.fromkeys(fewer, more))
    found = {id(members): members for members in group.values()}
    return [tuple(sorted(members, key=ranks.__getitem__)) for members in found.values()]


def undecidable_relations(entries: Sequence[MatrixEntry]) -> Iterator[tuple[MatrixEntry, str]]:
    """Yield each promise that holds a cell against another one and can never be decided, with why.

    Args:
        entries: All cells that could be of one run.
    """
    by_id = {entry.cell.id: entry for entry in entries}
    partners: dict[str, list[str]] = {}
    for cell_id, entry in by_id.items():
        meant: dict[str, MatrixEntry] = {}
        for name in wanted_partners(entry):
            found, why = find_partner(cell_id, name, by_id, among="these matrices")
            if found is None:
                yield entry, f"{promises_naming(entry, name)}: {why}"
            else:
                meant[name] = by_id[found]
        if meant:
            partners[cell_id] = [other.cell.id for other in meant.values()]
            yield from ((entry, why) for why in _undecided(entry, meant))
    if circle := _circle(partners):
        names = ", that against ".join(circle[1:])
        why = f"it is held against {names}: none can be measured first; take one relation away"
        yield by_id[circle[0]], why


def _circle(partners: Mapping[str, Sequence[str]]) -> list[str]:
    """Return cells each of which is held against the next, the last being the first; or none."""
    try:
        TopologicalSorter(partners).prepare()
    except CycleError as error:
        found: list[str] = error.args[1]
        return found[::-1]
    return []


def _undecided(entry: MatrixEntry, partners: Mapping[str, MatrixEntry]) -> Iterator[str]:
    """Yield what cannot be compared with the cells that are meant by names, if those are known."""
    for one in entry.promises.performance.relations:
        question = f"performance/{one.question}"
        if one.cell in partners and is_asked(entry, question):
            other = partners[one.cell]
            own, theirs = (_section(each, one.question) for each in (entry, other))
            why = f"which is not asked {one.question}; write that section there too"
            if own is not None and theirs is not None and is_asked(other, question):
                why = _why_not_comparable(one, own, theirs, other)
            if why:
                what = "answers are" if one.metric == ANSWERS else f"{one.metric} is"
                held = f"{what} held against {other.cell.id}"
                yield f"promises.performance.{one.question}: {held}, {why}"
    for label, task in entry.promises.accuracy.tasks.items():
        paired = partners.get(task.paired_with or "")
        if paired is None:
            continue
        theirs_task = paired.promises.accuracy.tasks.get(label)
        why = "which is not asked it; promise it there too"
        if theirs_task is not None:
            why = why_not_alike(label, task, theirs_task)
        if why:
            yield f"promises.accuracy.{label}: it is paired with {paired.cell.id}, {why}"


def _why_not_comparable(one: Related, own: Question, theirs: Question, other: MatrixEntry) -> str:
    """Return why a question that two cells are asked compares nothing, empty if it does."""
    there, here = (_workload(each) for each in (theirs, own))
    names = differing_workload(there, here, of_all_points=one.point is None)
    if one.metric == ANSWERS:
        names = [name for name in names if name in _OF_ANSWERS]
    if names:
        name = names[0]
        return f"which has {name} {there.get(name)}, this cell {here.get(name)}; write the same"
    if isinstance(theirs, Curve) and one.point is not None and one.point not in theirs.at:
        points = ", ".join(f"{point:g}" for point in theirs.at)
        return f"which is measured at {points}, not at {one.point:g}; write that there too"
    for bound in bounds_of(theirs, one.point, started_cell(other)):
        if bound.metric == one.metric and bound.kind == "never":
            return f"which never measures it: {bound.because} there"
    return ""


def _section(entry: MatrixEntry, question: str) -> Question | None:
    section: Question | None = getattr(entry.promises.performance, question)
    return section


def _workload(question: Question) -> dict[str, Any]:
    return question.model_dump(mode="json", exclude={"limits", "limits_at"})
