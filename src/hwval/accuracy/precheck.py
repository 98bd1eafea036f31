"""What can be known of a task before an engine is started: is it there, and are its data?"""

from __future__ import annotations

from collections.abc import Iterator
from collections.abc import Mapping
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from hwval.accuracy.grading import other_data
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
from hwval.accuracy.taskfile import find_task

__all__ = ["data_problems", "known_problem", "task_problem"]

# What is known for sure of data on this host: the run would find the same.
_SURE = frozenset({Trouble.DATASET, Trouble.TASK})


def task_problem(label: str, section: TaskSection) -> str | None:
    """Return why lm-evaluation-harness, where it is installed, has no such task; None if it has.

    Takes a tenth of a second, and three for a name that it does not know; each name once.

    Args:
        label: Name of the task in the matrix.
        section: What the matrix says of it.
    """
    return _task_problem(section.task or label)


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
        shots=section.shots,
        limit=section.limit,
        subset=section.subset,
    )


@lru_cache(maxsize=2**10)
def _task_problem(name: str) -> str | None:
    harness = find_spec("lm_eval")
    try:
        for folder in (harness and harness.submodule_search_locations) or ():
            if (Path(folder) / "tasks").is_dir():
                find_task(name, Path(folder) / "tasks")
    except SetbackError as error:
        return f"task {name}: {error}"
    return None
