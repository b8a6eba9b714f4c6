"""One Rich progress display for all long work."""

from collections.abc import Iterator
from contextlib import contextmanager
from threading import Lock

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

console = Console(stderr=True)


class Bar:
    """One line of the display."""

    def __init__(self, display: Progress, task: TaskID) -> None:
        self._display, self._task = display, task

    def at(self, completed: int, note: str = "", description: str | None = None, total: int | None = None) -> None:
        """Move to a place, and say something beside it."""
        # None leaves a field as it is.
        self._display.update(self._task, completed=completed, description=description, total=total, note=note)

    def step(self) -> None:
        """Move on by one."""
        self._display.advance(self._task)


@contextmanager
def bar(description: str, total: int | None = None) -> Iterator[Bar]:
    """A line of progress that disappears when the block ends."""
    display = _enter()
    task = display.add_task(description, total=total, note="")
    try:
        yield Bar(display, task)
    finally:
        display.remove_task(task)
        _leave()


# Bars that are shown at the same time share one display. Each display is used once: Rich cannot start a nested one again.
_lock = Lock()
_shown: list[Progress] = []  # once for each bar, so that the last bar stops it


def _enter() -> Progress:
    with _lock:
        if not _shown:
            display = Progress(
                TextColumn("{task.description}"),
                BarColumn(bar_width=30),
                MofNCompleteColumn(),
                TimeElapsedColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=console,
            )
            display.start()
            _shown.append(display)
        else:
            _shown.append(_shown[0])
        return _shown[0]


def _leave() -> None:
    with _lock:
        display = _shown.pop()
        if not _shown:
            display.stop()
