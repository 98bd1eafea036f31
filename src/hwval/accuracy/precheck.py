"""What can be known of a task before an engine is started for it: is it there, and are its data?"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from hwval.accuracy.job import SetbackError
from hwval.accuracy.localdata import local_data
from hwval.accuracy.promise import TaskSection
from hwval.accuracy.promise import dataset_place
from hwval.accuracy.taskfile import find_task

__all__ = ["known_problem"]


def known_problem(label: str, section: TaskSection) -> str | None:
    """Return why a task cannot be asked on this host, None if nothing is known against it.

    What only lm-evaluation-harness itself can tell, such as the hash of the data, is not looked
    into: its imports take seconds.

    Args:
        label: Name of the task in the matrix.
        section: What the matrix says of it.
    """
    try:
        place = dataset_place(section)
        if place is not None:
            local_data(place)
        harness = find_spec("lm_eval")
        for folder in (harness and harness.submodule_search_locations) or ():
            if (Path(folder) / "tasks").is_dir():
                find_task(section.task or label, Path(folder) / "tasks")
    except SetbackError as error:
        return f"task {section.task or label}: {error}"
    return None
