"""What can be known of a task before an engine is started: is it there, and are its data?"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hwval.accuracy.grading import other_data
from hwval.accuracy.grading import unknown_metric
from hwval.accuracy.job import Data
from hwval.accuracy.job import Job
from hwval.accuracy.job import Setback
from hwval.accuracy.job import SetbackError
from hwval.accuracy.job import Trouble
from hwval.accuracy.localdata import local_data
from hwval.accuracy.process import look_at_data
from hwval.accuracy.promise import SHIPPED
from hwval.accuracy.promise import TaskSection
from hwval.accuracy.promise import dataset_place
from hwval.accuracy.taskfile import GENERATION
from hwval.accuracy.taskfile import MADE_BY_CODE
from hwval.accuracy.taskfile import find_task
from hwval.accuracy.taskfile import read_task
from hwval.accuracy.taskfile import refuse_own_data
from hwval.accuracy.taskfile import why_not_asked

__all__ = ["data_problems", "known_problem", "task_problem"]

# What is known for sure of data on this host: the run would find the same.
_SURE = frozenset({Trouble.DATASET, Trouble.TASK})


def task_problem(label: str, section: TaskSection) -> str | None:
    """Return why a task cannot be asked as the matrix wants it; None if nothing is known against.

    Tasks are known where lm-evaluation-harness is installed. Takes a tenth of a second, and three
    for a name that it does not know; each name once.

    Args:
        label: Name of the task in the matrix.
        section: What the matrix says of it.
    """
    name = section.task or label
    try:
        description = _description(name)
        problem = description and _description_problem(description, section)
    except (SetbackError, ValueError, OSError) as error:
        problem = str(error)
    return f"task {name}: {problem}" if problem else None


def known_problem(label: str, section: TaskSection) -> str | None:
    """Return why a task cannot be asked on this host, None if nothing is known against it.

    What is in the data is not looked into: see `data_problems`.

    Args:
        label: Name of the task in the matrix.
        section: What the matrix says of it.
    """
    try:
        place = dataset_place(section)
        if place is not None:
            local_data(place)
    except SetbackError as error:
        return f"task {section.task or label}: {error}"
    return task_problem(label, section)


def data_problems(tasks: Mapping[str, TaskSection]) -> dict[str, str]:
    """Return which tasks have data that cannot be asked, or that are not those that are pinned.

    Data on this host are read, as the run would read them; those of the Hub only where a commit
    and a hash are pinned and this host has them already. It imports lm-evaluation-harness in a
    process of its own, which takes seconds; where there is nothing to be looked at, nothing is
    started.

    Args:
        tasks: Any name -> what the matrix says of a task, its ``task`` with it, of which
            `known_problem` knows nothing.

    Returns:
        Name -> why its data will not do.
    """
    if find_spec("lm_eval") is None:
        return {}
    looked = {name: _job(section) for name, section in tasks.items() if _is_at_hand(section)}
    return {
        name: f"task {looked[name].task}: {problem}"
        for offline in (False, True)
        for name, problem in _look(
            {name: job for name, job in looked.items() if (job.dataset is None) is offline},
            offline=offline,
        )
    }


def _look(jobs: Mapping[str, Job], *, offline: bool) -> Iterator[tuple[str, str]]:
    if not jobs:
        return
    told = look_at_data(list(jobs.values()), offline=offline)
    for (name, job), data in zip(jobs.items(), told, strict=True):
        if isinstance(data, Data):
            problem = other_data(job.samples_sha256, data.samples_sha256, data.questions)
            if problem:
                yield name, problem
        elif isinstance(data, Setback) and not offline and data.trouble in _SURE:
            yield name, data.text


def _is_at_hand(section: TaskSection) -> bool:
    """Return whether there is something to be looked at that the run would find alike."""
    if section.samples_sha256 is not None:
        return section.dataset is not None or section.revision is not None
    if section.dataset is None:
        return False
    is_shipped = isinstance(section.dataset, str) and section.dataset.startswith(SHIPPED)
    return not is_shipped or section.subset is not None or section.shots is not None


def _job(section: TaskSection) -> Job:
    return Job(
        task=section.task or "",
        api=section.api,
        base_url="",
        model="",
        out_dir="",
        dataset=dataset_place(section),
        revision=section.revision,
        samples_sha256=section.samples_sha256,
        metric=section.metric,
        shots=section.shots,
        limit=section.limit,
        subset=section.subset,
    )


def _description_problem(description: Mapping[str, Any], section: TaskSection) -> str:
    """Return what of a section a task's description rules out, empty if nothing is."""
    refuse_own_data(description, {"dataset": section.dataset, "revision": section.revision})
    if MADE_BY_CODE in description:
        return ""  # its code says what it asks for
    if problem := why_not_asked(description.get("output_type") or GENERATION, section.api):
        return problem
    metrics = [one["metric"] for one in description.get("metric_list") or ()]
    filters = [one["name"] for one in description.get("filter_list") or ({"name": "none"},)]
    # Metrics that are code have their names in it; where none are listed, the harness has some.
    if section.metric is None or not metrics or None in metrics:
        return ""
    return unknown_metric(section.metric, [f"{one},{by}" for by in filters for one in metrics])


@lru_cache(maxsize=2**10)
def _description(name: str) -> Mapping[str, Any] | None:
    """Return what lm-evaluation-harness says of a task; None where it is not installed."""
    harness = find_spec("lm_eval")
    for folder in (harness and harness.submodule_search_locations) or ():
        if (Path(folder) / "tasks").is_dir():
            return read_task(find_task(name, Path(folder) / "tasks"))
    return None
