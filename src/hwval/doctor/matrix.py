"""Checks of what the cells of matrices need: a place, room on disks, and a token."""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Sequence
from typing import Final
from typing import NamedTuple

from hwval.catalogue import EngineKind
from hwval.catalogue import ModelFacts
from hwval.catalogue import Vendor
from hwval.cell import Weights
from hwval.doctor.check import Check
from hwval.doctor.check import joined
from hwval.doctor.check import not_checkable
from hwval.doctor.check import ok
from hwval.doctor.check import problem
from hwval.doctor.check import runnable
from hwval.doctor.check import warning
from hwval.forecast.other_server import is_other_server
from hwval.forecast.processor import CACHE_RULE
from hwval.host import Disk
from hwval.host import Host
from hwval.placement import PlacedCell
from hwval.planning.advice import IDLE_RULE
from hwval.units import format_bytes

__all__ = ["matrix_checks"]

# Unpacked images of vLLM were seen at 20 to 35 GB; nobody tells the size of one before it is here.
_IMAGE_BYTES: Final = 30 * 10**9
# Without a matrix nobody knows what is needed; a model of 8B in 16 bits is 16 GB.
_LITTLE_BYTES: Final = 20 * 10**9
_MOST_REASONS: Final = 2


class _Need(NamedTuple):
    """Bytes that are still to be fetched for one purpose, and what cannot be counted."""

    size_bytes: int
    what: str
    unknown: tuple[str, ...] = ()


def matrix_checks(host: Host, cells: Sequence[PlacedCell]) -> Iterator[Check]:
    """Yield the checks of what the cells need of a host."""
    if cells:
        yield _places(cells)
    here = runnable(cells)
    yield from _idle_devices(cells)
    yield from _host_memory(here)
    yield from _disks(host, here)
    if here:
        yield from _token(host, here)


def _places(cells: Sequence[PlacedCell]) -> Check:
    name = "cells"
    here = runnable(cells)
    # What follows a semicolon says what to change; that is what `hwval plan` is for.
    reasons = dict.fromkeys(
        (placed.why_not or placed.ruled_out).partition("; ")[0]
        for placed in cells
        if placed.why_not or placed.ruled_out
    )
    told = "; ".join(list(reasons)[:_MOST_REASONS])
    more = f"; and {len(reasons) - _MOST_REASONS} other reasons" * (len(reasons) > _MOST_REASONS)
    if here:
        rest = f"; the others: {told}{more}" if reasons else ""
        return ok(name, f"{len(here)} of {len(cells)} can run here{rest}")
    return problem(
        name,
        f"none of {len(cells)} can run here: {told}{more}",
        "see `hwval plan` for each, or take the matrix of this hardware",
    )


def _idle_devices(cells: Sequence[PlacedCell]) -> Iterator[Check]:
    """Yield whether engines leave devices of their cells idle: they are leased for nothing."""
    notes = [
        note.text
        for placed in cells
        if placed.forecast is not None
        for note in placed.forecast.plan.notes
        if note.rule == IDLE_RULE
    ]
    if notes:
        text, _, remedy = notes[0].partition("; ")
        yield warning("idle devices", f"{len(notes)} of {len(cells)} cells: {text}", remedy)


def _host_memory(here: Sequence[PlacedCell]) -> Iterator[Check]:
    """Yield whether engines on processors leave the host some memory.

    Servers other than vLLM are their makers' affair.
    """
    on_processors = [
        placed
        for placed in here
        if placed.vendor is Vendor.CPU and not is_other_server(placed.image)
    ]
    if not on_processors:
        return
    notes = [
        note.text
        for placed in on_processors
        if placed.forecast is not None
        for note in placed.forecast.plan.notes
        if note.rule == CACHE_RULE
    ]
    if not notes:
        yield ok(CACHE_RULE, "cells on processors limit what their engines take")
        return
    text, _, remedy = notes[0].partition("; ")
    many = f"{len(notes)} of {len(on_processors)} cells on processors"
    yield warning(CACHE_RULE, f"{many}: {text}", remedy)


def _disks(host: Host, here: Sequence[PlacedCell]) -> Iterator[Check]:
    name = "disk"
    if not host.disks:
        yield not_checkable(name, "nobody looked at the disks of this host")
        return
    needs = {"models": _models(host, here), "images": _images(host, here)}
    for disks in _by_filesystem(host.disks).values():
        wanted = [needs[disk.purpose] for disk in disks if disk.purpose in needs]
        size = sum(need.size_bytes for need in wanted)
        what = " and ".join(need.what for need in wanted if need.size_bytes)
        unknown = [model for need in wanted for model in need.unknown]
        yield _disk(disks, size, what, unknown)


def _disk(disks: Sequence[Disk], size: int, what: str, unknown: Sequence[str]) -> Check:
    name = "disk"
    free = disks[0].free_bytes
    where = f"{format_bytes(free)} free for {', '.join(disk.purpose for disk in disks)}"
    where += f" ({disks[0].path})"
    clean = "free some (`docker system df`, `hf cache ls`), or set HF_HOME to a larger disk"
    left_out = f"; the size of {joined(unknown)} is not known" if unknown else ""
    if size > free:
        need = f"{format_bytes(size)} are still to be fetched: {what}"
        return problem(name, f"{where}, but {need}{left_out}", clean)
    if not size and free < _LITTLE_BYTES:
        return warning(name, f"{where}, little for models and images{left_out}", clean)
    if unknown:
        return not_checkable(name, f"{where}{left_out}")
    need = f", {format_bytes(size)} still to be fetched: {what}" if size else ""
    return ok(name, f"{where}{need}")


def _by_filesystem(disks: Sequence[Disk]) -> dict[int, list[Disk]]:
    together: dict[int, list[Disk]] = {}
    for number, disk in enumerate(disks):
        # Without a number each stands for itself.
        together.setdefault(disk.filesystem or -1 - number, []).append(disk)
    return together


def _models(host: Host, here: Sequence[PlacedCell]) -> _Need:
    missing = {
        name: facts for name, facts in _from_the_hub(here).items() if not _is_cached(host, name)
    }
    known = {name: facts.weights_bytes for name, facts in missing.items() if facts.weights_bytes}
    size = sum(known.values())
    what = f"{format_bytes(size)} of {joined(known, most=2)}"
    return _Need(size, what, tuple(name for name in missing if name not in known))


def _images(host: Host, here: Sequence[PlacedCell]) -> _Need:
    wanted = {placed.cell.image for placed in here if placed.image.engine is EngineKind.DOCKER}
    if host.docker is None:
        return _Need(0, "")
    there = {image.removeprefix("docker.io/") for image in host.docker.images}
    missing = [
        image
        for image in sorted(wanted)
        if "@" not in image and _tagged(image.removeprefix("docker.io/")) not in there
    ]
    count = f"{len(missing)} image{'' if len(missing) == 1 else 's'}"
    return _Need(_IMAGE_BYTES * len(missing), f"{count} of about 30 GB")


def _tagged(image: str) -> str:
    return image if ":" in image.rpartition("/")[2] else f"{image}:latest"


def _from_the_hub(here: Sequence[PlacedCell]) -> dict[str, ModelFacts]:
    """Return the models that are fetched from the Hub, by their names there."""
    found: dict[str, ModelFacts] = {}
    for placed in here:
        model = placed.cell.model
        is_made_here = model.startswith(("/", "synthetic:")) or placed.cell.weights is Weights.DUMMY
        if is_made_here or placed.image.engine is EngineKind.EXTERNAL:
            continue
        found[model.removeprefix("hub:").partition("@")[0]] = placed.entry.catalogue.model(model)
    return found


def _is_cached(host: Host, name: str) -> bool:
    return name in (host.cached_models or ())


def _token(host: Host, here: Sequence[PlacedCell]) -> Iterator[Check]:
    name = "hub-token"
    models = {
        model: facts for model, facts in _from_the_hub(here).items() if not _is_cached(host, model)
    }
    gated = [model for model, facts in models.items() if facts.gated]
    unsure = [model for model, facts in models.items() if facts.gated is None]
    if host.hub_token:
        yield ok(name, "a token is at hand")
    elif gated and host.hub_token is None:
        yield not_checkable(name, f"{joined(gated)} need a token, and nobody looked for one")
    elif gated:
        yield problem(
            name,
            f"{joined(gated)} need a token, and there is none",
            "accept the licence on the model's page, then set HF_TOKEN or run `hf auth login`",
        )
    elif unsure:
        yield not_checkable(
            name, f"whether {joined(unsure)} need a token is not known, and there is none"
        )
    else:
        yield ok(name, "no model that is still to be fetched needs one")
