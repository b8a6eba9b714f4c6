"""Several workers on one benchmark: whoever starts a run under a key has it, until it ends or its worker is gone.

There is no lock but the tracking store: a worker creates its run and then looks. If another's run of the same key is
there, it steps back. Of two that start at once both may step back, never both go on.
"""

import random
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from mlflow.entities import Run, ViewType
from mlflow.exceptions import MlflowException

from dreamvideo.errors import ConflictError
from flows.tracking.liveness import is_running, this_process
from flows.tracking.store import KIND, REASON, Record, Tracking, by_key, tagged

WORKER, ALIVE, CLAIM = "dreamvideo.worker", "dreamvideo.alive", "dreamvideo.claim"
HEARTBEAT = 30.0  # seconds
# Seconds without a heartbeat. A beat that meets no server is tried again for up to 250 s, so a worker that works on through
# a server's absence may be silent for a HEARTBEAT more than that; and clocks of different machines may differ by some.
LOST_AFTER = 300.0
PAUSE = 1.0, 3.0  # seconds between looks while others have all that is left: two that step back at once come back apart

T = TypeVar("T")


class Taken(Exception):
    """Another worker has this key, or has just finished it."""

    def __init__(self, finished: str | None) -> None:
        super().__init__(f"run {finished} has finished it" if finished else "another worker is on it")
        self.finished = finished  # the id of the run that did


@contextmanager
def claimed(
    tracking: Tracking, kind: str, name: str, key: str, tags: dict[str, str], parent: str | None = None
) -> Iterator[Record]:
    """A run as :meth:`Tracking.run` gives it, that no other worker has under this key.

    Raises:
        Taken: another worker has it, has finished it, or took it over since this one had given no sign of life.
    """
    _look(tracking, kind, key)
    created, claim = None, uuid.uuid4().hex
    try:
        with attended(tracking, kind, name, key, tags | {CLAIM: claim}, parent) as record:
            created = record.run_id
            _look(tracking, kind, key, claim, created)
            yield record
    except ConflictError as error:
        raise Taken(None) from error
    except Taken:
        if created:
            tracking.client.delete_run(created)
        raise


@contextmanager
def attended(
    tracking: Tracking, kind: str, name: str, key: str, tags: dict[str, str], parent: str | None = None
) -> Iterator[Record]:
    """A run as :meth:`Tracking.run` gives it, that shows which worker is at it, and that the worker is alive.

    Raises:
        ConflictError: another worker took this one for lost, and has ended the run.
    """
    signs = {WORKER: this_process(), ALIVE: f"{time.time():.0f}"}
    with tracking.run(kind, name, key, tags | signs, parent) as record, _heartbeat(tracking, record.run_id):
        yield record


def end_abandoned(tracking: Tracking, kind: str) -> None:
    """End the runs of a kind that no worker is at, which one that is killed cannot do itself."""
    condition = tagged({KIND: kind}) + " and attributes.status = 'RUNNING'"
    for run in tracking.client.search_runs([tracking.experiment], condition):
        if not is_alive(run):
            _end(tracking, run)


def made_once(make: Callable[[], str]) -> tuple[str, bool]:
    """The id of the run that ``make`` claims and finishes, and True; or of another worker's, once that is finished."""
    while True:
        try:
            return make(), True
        except Taken as taken:
            if taken.finished:
                return taken.finished, False
            time.sleep(random.uniform(*PAUSE))


def shared(items: list[T], attempt: Callable[[list[T]], Iterator[tuple[T, bool]]], on_done: Callable[[], None]) -> None:
    """Attempt everything; come back to what another worker has, until that is finished or free.

    Args:
        items: what is to be done.
        attempt: does each of some, and says whether it is dealt with.
        on_done: told of each that is.
    """
    waiting = items
    while waiting:
        left = []
        for item, done in attempt(waiting):
            if done:
                on_done()
            else:
                left.append(item)
        if len(left) == len(waiting):
            time.sleep(random.uniform(*PAUSE))
        waiting = left


def _look(tracking: Tracking, kind: str, key: str, claim: str | None = None, mine: str | None = None) -> None:
    """Raise Taken if a run of this key other than mine is finished or under way; end those that no worker is at.

    Where the answer to its creation is lost, MLflow's client asks again, and a claim has two runs: the worker knows of
    the second alone, and would wait for the first, its own, as long as it lives.
    """
    runs = tracking.client.search_runs([tracking.experiment], tagged(by_key(kind, key)), ViewType.ACTIVE_ONLY)
    under_way = [run for run in runs if run.info.status == "RUNNING" and run.info.run_id != mine]
    left = [run for run in under_way if not is_alive(run) or (claim and run.data.tags.get(CLAIM) == claim)]
    for run in left:
        _end(tracking, run)
    finished = [run.info.run_id for run in runs if run.info.status == "FINISHED"]
    if finished:
        raise Taken(finished[0])
    if len(under_way) > len(left):
        raise Taken(None)


def _end(tracking: Tracking, run: Run) -> None:
    if tracking.get(run.info.run_id).info.status != "RUNNING":
        return  # its worker has finished it and gone since it was looked for
    tracking.client.set_tag(run.info.run_id, REASON, "no worker is at it")
    tracking.client.set_terminated(run.info.run_id, "KILLED")


def is_alive(run: Run) -> bool:
    """Whether the worker of a run still works: by its heartbeat, and on this machine by its process too, whose end is seen at once.

    The process alone would not do: it may go on with other work, where the store did not take that this run has ended.
    """
    if time.time() - float(run.data.tags.get(ALIVE, 0)) >= LOST_AFTER:
        return False
    return is_running(run.data.tags.get(WORKER, ""))


@contextmanager
def _heartbeat(tracking: Tracking, run_id: str) -> Iterator[None]:
    """Tell the other workers that this one is at its run."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT):
            try:
                tracking.client.set_tag(run_id, ALIVE, f"{time.time():.0f}")
            except MlflowException:  # the store is away: the work goes on, and the next beat tries again
                continue

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
