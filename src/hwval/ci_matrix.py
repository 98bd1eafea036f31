"""Jobs of a CI matrix over self-hosted runners: which cells go to which runner.

Pure: takes selections of cells, places nothing and starts nothing. Cells that promises hold
against each other stay in one job, since a run judges by what it has measured itself.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from collections.abc import Iterator
from collections.abc import Mapping
from collections.abc import Sequence
from dataclasses import dataclass
from dataclasses import replace
from pathlib import Path
from typing import Any
from typing import Final

from hwval.catalogue import EngineKind
from hwval.cell import slug
from hwval.errors import UsageError
from hwval.host import Host
from hwval.matrix import groups_of
from hwval.matrix import partners_among
from hwval.placement import PlacedCell
from hwval.placement import Selection
from hwval.spelling import near_names

__all__ = [
    "ANY_HOST",
    "MOST_JOBS",
    "Job",
    "JobPlan",
    "format_matrix",
    "jobs_of_hardware",
    "jobs_of_hosts",
    "labelled",
    "pack",
    "share_out",
    "spread",
]

ANY_HOST: Final = Host("any", "", "", "", "", (), (), None)
"""A machine of which nothing is known: cells that are planned for it are planned as the catalogue
says."""

MOST_JOBS: Final = 256
"""Jobs that one matrix may make. Source: GitHub, "Workflow syntax", ``strategy.matrix``, 2026."""

_MOST_CHARACTERS: Final = 2**20 // 2
"""Of a job's output: 1 MiB, counted as UTF-16. Source: GitHub, "Workflow syntax",
``jobs.<job_id>.outputs``, 2026."""

_MOST_ARGUMENT_BYTES: Final = 2**17 - 2**10
"""Of one job's arguments, which go through a variable of the environment: Linux takes 128 KiB of
one string (MAX_ARG_STRLEN, execve(2)), and the name of the variable is part of it."""


@dataclass(frozen=True, slots=True)
class Job:
    """One job of the matrix: one run of pytest on one runner.

    Attributes:
        name: In the alphabet of run ids, unique among the jobs.
        pool: The hardware or the host whose cells it runs; jobs of a pool are shards of it.
        hardware: Keys of the hardware that its cells are for, in their order.
        devices: Most devices that one of its cells needs.
        cells: Ids of the cells that it runs, in the order of the matrix.
        ruled_out: Ids of impossible cells of the same pool. They are named too: nothing is started
            for them, and the sign-off says why; by each shard, so that in all of them a promise
            means the same other cell.
        labels: Labels of the runners that may take it.
    """

    name: str
    pool: str
    hardware: tuple[str, ...]
    devices: int
    cells: tuple[str, ...]
    ruled_out: tuple[str, ...]
    labels: tuple[str, ...]

    def arguments(self, files: Iterable[Path], image: str | None = None) -> list[str]:
        """Return what pytest is called with.

        Args:
            files: The matrix files, as the runner finds them.
            image: Image for every cell, in place of the matrix's.
        """
        return [
            *(f"--matrix={file}" for file in files),
            *([f"--image={image}"] if image else []),
            *(f"--cell={cell}" for cell in (*self.cells, *self.ruled_out)),
        ]


@dataclass(frozen=True, slots=True)
class JobPlan:
    """All jobs, and what none of them runs.

    Attributes:
        jobs: In the order of their first cells.
        left_out: Cell id -> why no job runs it.
        parted: Cell id -> ids of cells that it is held against and that no job can run with it.
    """

    jobs: tuple[Job, ...]
    left_out: Mapping[str, str]
    parted: Mapping[str, tuple[str, ...]]


def jobs_of_hardware(
    selection: Selection, *, shards: int = 1, most_cells: int | None = None
) -> JobPlan:
    """Return a job for each hardware, or for each of its shards.

    Args:
        selection: Cells, planned for ``ANY_HOST``.
        shards: Runners alike that share the cells of a hardware, >= 1.
        most_cells: Most cells of a job, >= 1, in place of a number of shards; None for any number.
            Cells that are held against each other stay together even if they are more.
    """
    left_out = {placed.cell.id: why for placed in selection.placed if (why := _why_never(placed))}
    pools: defaultdict[str, list[PlacedCell]] = defaultdict(list)
    for placed in selection.placed:
        pools[slug(f"{placed.cell.hardware} {placed.cell.partition_mode}")].append(placed)
    partners = _partners(selection)
    jobs: list[Job] = []
    for pool, members in pools.items():
        runnable = {placed.cell.id: placed for placed in members if placed.cell.id not in left_out}
        groups = groups_of(runnable, partners)
        parts = spread(groups, shards) if most_cells is None else pack(groups, most_cells)
        impossible = [placed.cell.id for placed in members if placed.ruled_out]
        jobs += _shards(pool, [[runnable[cell] for cell in part] for part in parts], impossible)
    return JobPlan(tuple(jobs), left_out, _parted(jobs, partners))


def jobs_of_hosts(selections: Mapping[str, Selection]) -> JobPlan:
    """Return a job for each host, with all that it is to run; every cell goes to one host only.

    Args:
        selections: Name of a host -> the same cells, placed on it; at least one.
    """
    placed_on = {
        host: {placed.cell.id: placed for placed in selection.placed}
        for host, selection in selections.items()
    }
    able = {
        host: {cell for cell, placed in cells.items() if not _why_not(placed)}
        for host, cells in placed_on.items()
    }
    cells = next(iter(placed_on.values()))
    left_out = {
        cell: _reasons({host: _why_not(placed[cell]) for host, placed in placed_on.items()})
        for cell in cells
        if not any(cell in ids for ids in able.values())
    }
    partners = _partners(next(iter(selections.values())))
    groups = groups_of((cell for cell in cells if cell not in left_out), partners)
    jobs: list[Job] = []
    for host, chosen in share_out(groups, able).items():
        here = placed_on[host]
        impossible = [cell for cell in left_out if here[cell].ruled_out and not here[cell].why_not]
        jobs += _shards(host, [[here[cell] for cell in cells if cell in chosen]], impossible)
    return JobPlan(tuple(jobs), left_out, _parted(jobs, partners))


def _partners(selection: Selection) -> dict[str, tuple[str, ...]]:
    """Return cell id -> ids of the cells that it is held against, as a run would understand it."""
    everything = partners_among(each.entry for each in (*selection.placed, *selection.unnamed))
    return {placed.cell.id: everything[placed.cell.id] for placed in selection.placed}


def spread(groups: Sequence[Sequence[str]], shards: int) -> list[list[str]]:
    """Return the groups in as many parts of about the same size; neighbours stay neighbours.

    A part begins where its share of all cells begins, so that a large group makes parts fewer, and
    cells of one image or model, which stand together in a matrix, are mostly fetched once.

    Example:
        >>> spread([("a",), ("b", "d"), ("c",)], 2)
        [['a', 'b', 'd'], ['c']]
    """
    total, before = sum(map(len, groups)), 0
    parts: defaultdict[int, list[str]] = defaultdict(list)
    for group in groups:
        parts[before * shards // total] += group
        before += len(group)
    return list(parts.values())


def pack(groups: Iterable[Sequence[str]], most_cells: int) -> list[list[str]]:
    """Return the groups in parts of at most ``most_cells``, but for a group that is larger.

    Example:
        >>> pack([("a",), ("b", "d"), ("c",)], 2)
        [['a'], ['b', 'd'], ['c']]
    """
    parts: list[list[str]] = []
    for group in groups:
        if parts and len(parts[-1]) + len(group) <= most_cells:
            parts[-1] += group
        else:
            parts.append([*group])
    return parts


def share_out(groups: Iterable[Sequence[str]], able: Mapping[str, set[str]]) -> dict[str, set[str]]:
    """Return host -> the cells that it is to run, each with one host; a group stays together.

    The host that can run most of a group gets it, of several the one that has the least to do. What
    it cannot run goes to another host, without the cells that it would be held against.

    Args:
        groups: Cells that are held against each other.
        able: Host -> cells that it can run; cells that none can run are left out.
    """
    chosen: dict[str, set[str]] = {host: set() for host in able}
    for group in groups:
        rest = set(group)
        while rest:
            host = max(able, key=lambda name: (len(rest & able[name]), -len(chosen[name])))
            if not rest & able[host]:
                break
            chosen[host] |= rest & able[host]
            rest -= able[host]
    return {host: cells for host, cells in chosen.items() if cells}


def labelled(jobs: Iterable[Job], labels: Mapping[str, Sequence[str]]) -> list[Job]:
    """Return the jobs with other labels of runners than ``self-hosted`` and the pool's name.

    Args:
        jobs: The jobs.
        labels: Hardware or host -> labels, at least one.

    Raises:
        UsageError: A name that no job has.
    """
    jobs = list(jobs)
    pools = {job.pool for job in jobs}
    for name in labels:
        if name not in pools:
            raise UsageError(f"--runs-on: no job is for {name!r}; {near_names(name, pools)}")
    return [
        replace(job, labels=tuple(labels[job.pool])) if job.pool in labels else job for job in jobs
    ]


def format_matrix(jobs: Sequence[Job], files: Sequence[Path], image: str | None = None) -> str:
    """Return the jobs as ``strategy.matrix`` of GitHub Actions takes them, in one line of JSON.

    Args:
        jobs: The jobs.
        files: The matrix files, as the runners find them.
        image: Image for every cell, in place of the matrix's.

    Raises:
        UsageError: More jobs, or more text, than GitHub takes.
    """
    if len(jobs) > MOST_JOBS:
        raise UsageError(
            f"{len(jobs)} jobs, but GitHub runs at most {MOST_JOBS} of a matrix; fewer --shards, "
            "a larger --max-cells-per-job, or some of the cells by --cells"
        )
    include = [_to_json(job, job.arguments(files, image)) for job in jobs]
    for job in include:
        if (size := len(job["args"].encode("utf-8", "surrogateescape"))) > _MOST_ARGUMENT_BYTES:
            raise UsageError(
                f"job {job['name']} has {size:,} bytes of arguments, but a variable of the "
                f"environment holds at most {_MOST_ARGUMENT_BYTES:,}; more --shards, a smaller "
                "--max-cells-per-job, or some of the cells by --cells"
            )
    text = json.dumps({"include": include}, separators=(",", ":"))
    if len(text) > _MOST_CHARACTERS:
        raise UsageError(
            f"{len(text):,} characters of JSON, but GitHub passes at most {_MOST_CHARACTERS:,} "
            "from job to job; choose some of the cells by --cells"
        )
    return text


def _why_never(placed: PlacedCell) -> str:
    """Return why a cell is run nowhere, whatever the host has; empty if it may be run."""
    if placed.image.engine is EngineKind.EXTERNAL:
        return f"{placed.cell.image} is a server that already runs; ask it by --engine-url"
    return placed.ruled_out or (placed.why_not if placed.vendor not in placed.image.vendors else "")


def _why_not(placed: PlacedCell) -> str:
    return _why_never(placed) or placed.why_not


def _reasons(whys: Mapping[str, str]) -> str:
    """Return why no host runs a cell; where they differ, with the name of each host."""
    if len(set(whys.values())) == 1:
        return next(iter(whys.values()))
    return "; ".join(f"{host}: {why}" for host, why in whys.items())


def _parted(
    jobs: Iterable[Job], partners: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]]:
    job_of = {cell: job.name for job in jobs for cell in job.cells}
    missed = {
        cell: tuple(other for other in others if job_of.get(other, job) != job)
        for cell, others in partners.items()
        if (job := job_of.get(cell)) is not None
    }
    return {cell: others for cell, others in missed.items() if others}


def _to_json(job: Job, arguments: Sequence[str]) -> dict[str, Any]:
    return {
        "name": job.name,
        "runs-on": list(job.labels),
        "hardware": ", ".join(job.hardware),
        "devices": job.devices,
        "cells": len(job.cells),
        "args": "\n".join(arguments),  # pytest reads one argument a line from @FILE
    }


def _shards(
    pool: str, parts: Sequence[Sequence[PlacedCell]], impossible: Sequence[str]
) -> Iterator[Job]:
    for number, part in enumerate(parts, 1):
        cells = [placed.cell for placed in part]
        yield Job(
            name=pool if len(parts) == 1 else f"{pool}-{number}-of-{len(parts)}",
            pool=pool,
            hardware=tuple(dict.fromkeys(cell.hardware for cell in cells)),
            devices=max(cell.device_count for cell in cells),
            cells=tuple(cell.id for cell in cells),
            ruled_out=tuple(impossible),
            labels=("self-hosted", pool),
        )
