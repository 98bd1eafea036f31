"""Shows how far a load is."""

from __future__ import annotations

import sys
from collections.abc import Callable
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hwval.load import Progress

__all__ = ["load_progress"]


@contextmanager
def load_progress() -> Iterator[Callable[[Progress], None] | None]:
    """Show progress on a terminal; nothing elsewhere, since the answer is soon there."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn
    from rich.progress import MofNCompleteColumn
    from rich.progress import Progress as Bars
    from rich.progress import TextColumn
    from rich.progress import TimeElapsedColumn
    from rich.progress import TimeRemainingColumn

    bars = Bars(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[failed]} failed"),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
        refresh_per_second=4,
    )
    with bars:
        task = bars.add_task("connecting", total=None, failed=0)

        def tell(news: Progress) -> None:
            if bars.tasks[0].description != news.stage:
                bars.reset(task, description=news.stage, total=news.total, failed=0)
            bars.update(task, completed=news.ended, failed=news.failed)

        yield tell
