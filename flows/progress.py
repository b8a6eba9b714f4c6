"""One Rich progress display for everything long."""

from collections.abc import Iterator
from contextlib import contextmanager

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
_display = Progress(
    TextColumn("{task.description}"),
    BarColumn(bar_width=30),
    MofNCompleteColumn(),
    TimeElapsedColumn(),
    TimeRemainingColumn(),
    TextColumn("{task.fields[note]}"),
    console=console,
)


class Bar:
    """One line of the display."""

    def __init__(self, task: TaskID) -> None:
        self._task = task

    def at(self, completed: int, note: str = "", description: str | None = None, total: int | None = None) -> None:
        """Move to a place, and say something beside it."""
        changes = {"completed": completed, "note": note, "description": description, "total": total}
        _display.update(self._task, **{name: value for name, value in changes.items() if value is not None})

    def step(self) -> None:
        """Move on by one."""
        _display.advance(self._task)


@contextmanager
def bar(description: str, total: int | None = None) -> Iterator[Bar]:
    """A line of progress for the block; it goes when the block ends."""
    outermost = not _display.tasks
    if outermost:
        _display.start()
    task = _display.add_task(description, total=total, note="")
    try:
        yield Bar(task)
    finally:
        _display.remove_task(task)
        if outermost:
            _display.stop()
