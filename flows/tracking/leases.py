"""Leases. If several workers want to do the same work, only one does it.

The tracking store is the only lock. A worker starts a run under the key of its work, and then looks at all runs under
that key. If another worker's run is there, it steps back. If two workers start at once, both may step back. They never
both go on. A lease ends with its run. It also ends when its worker has given no sign of life for ``EXPIRES_AFTER``.
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

from flows.tracking.liveness import is_running, this_process
from flows.tracking.schema import Kind, Tag, by_key, tagged
from flows.tracking.store import Record, RunEndedError, Tracking

HEARTBEAT = 30.0  # seconds between two signs of life
# Seconds without a heartbeat. MLflow's client tries a heartbeat that meets no server again for up to 250 s. So a worker
# that works through a server's absence may be silent for 250 s and a HEARTBEAT; clocks of machines may differ by the rest.
EXPIRES_AFTER = 300.0
# Seconds between two attempts while other workers hold all that is left. Random, so that two workers that stepped back
# at once do not start at once again.
RETRY_AFTER = 1.0, 3.0

T = TypeVar("T")


class LeaseHeldError(Exception):
    """Another worker holds the lease, or has just finished the work."""

    def __init__(self, finished: str | None) -> None:
        super().__init__(f"run {finished} has finished it" if finished else "another worker is on it")
        self.finished = finished  # id of the run that finished the work


@contextmanager
def leased_run(
    tracking: Tracking, kind: Kind, name: str, key: str, tags: dict[str, str], parent: str | None = None
) -> Iterator[Record]:
    """A run as :meth:`Tracking.run` starts it, while this worker alone has a run of this kind and key.

    Raises:
        LeaseHeldError: another worker holds the lease, has finished the work, or has taken over an expired lease.
    """
    _check_free(tracking, kind, key)
    created, lease = None, uuid.uuid4().hex
    try:
        with live_run(tracking, kind, name, key, tags | {Tag.LEASE: lease}, parent) as record:
            created = record.run_id
            _check_free(tracking, kind, key, lease, created)
            yield record
    except RunEndedError as error:
        raise LeaseHeldError(None) from error
    except LeaseHeldError:
        if created:
            tracking.client.delete_run(created)
        raise


@contextmanager
def live_run(
    tracking: Tracking, kind: Kind, name: str, key: str, tags: dict[str, str], parent: str | None = None
) -> Iterator[Record]:
    """A run as :meth:`Tracking.run` starts it, which shows its worker and that the worker is alive.

    Raises:
        RunEndedError: another worker saw no sign of life, and has ended the run.
    """
    signs = {Tag.WORKER: this_process(), Tag.HEARTBEAT: f"{time.time():.0f}"}
    with tracking.run(kind, name, key, tags | signs, parent) as record, _heartbeat(tracking, record.run_id):
        yield record


def end_abandoned(tracking: Tracking, kind: Kind) -> None:
    """End the runs of a kind whose workers are gone, because a killed worker cannot end its run."""
    condition = tagged({Tag.KIND: kind}) + " and attributes.status = 'RUNNING'"
    for run in tracking.client.search_runs([tracking.experiment], condition):
        if not is_alive(run):
            _end(tracking, run)


def make_or_wait(make: Callable[[], str]) -> tuple[str, bool]:
    """Make something under a lease, or wait until the worker that holds the lease has made it.

    Args:
        make: works in a :func:`leased_run`, and returns the run's id.

    Returns:
        The id of the finished run, and whether this worker made it.
    """
    while True:
        try:
            return make(), True
        except LeaseHeldError as held:
            if held.finished:
                return held.finished, False
            _pause()


def share_work(
    items: list[T], attempt: Callable[[list[T]], Iterator[tuple[T, bool]]], on_done: Callable[[], None]
) -> None:
    """Attempt every item. Items that other workers hold are attempted again, until each is finished or free.

    Args:
        items: the work.
        attempt: attempts some items, and yields each with whether it is dealt with.
        on_done: called for each item that is dealt with.
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
            _pause()
        waiting = left


def is_alive(run: Run) -> bool:
    """Whether the worker of a run still works on it.

    Its heartbeat tells, and on this machine its process too, whose end shows at once. The process alone is not enough:
    it may go on with other work although the store did not take the end of this run.
    """
    if time.time() - float(run.data.tags.get(Tag.HEARTBEAT, 0)) >= EXPIRES_AFTER:
        return False
    return is_running(run.data.tags.get(Tag.WORKER, ""))


def _check_free(tracking: Tracking, kind: Kind, key: str, lease: str | None = None, mine: str | None = None) -> None:
    """Raise LeaseHeldError if another run of this key is finished or under way; end runs whose workers are gone.

    MLflow's client asks again if the answer to the creation of a run is lost. Then one lease has two runs. The worker
    knows only the second one, and would wait for the first for ever; so it ends a run that has its own lease.
    """
    runs = tracking.client.search_runs([tracking.experiment], tagged(by_key(kind, key)), ViewType.ACTIVE_ONLY)
    under_way = [run for run in runs if run.info.status == "RUNNING" and run.info.run_id != mine]
    left = [run for run in under_way if not is_alive(run) or (lease and run.data.tags.get(Tag.LEASE) == lease)]
    for run in left:
        _end(tracking, run)
    finished = [run.info.run_id for run in runs if run.info.status == "FINISHED"]
    if finished:
        raise LeaseHeldError(finished[0])
    if len(under_way) > len(left):
        raise LeaseHeldError(None)


def _end(tracking: Tracking, run: Run) -> None:
    if tracking.get(run.info.run_id).info.status != "RUNNING":
        return  # its worker has finished it since the search
    tracking.client.set_tag(run.info.run_id, Tag.REASON, "no worker is at it")
    tracking.client.set_terminated(run.info.run_id, "KILLED")


def _pause() -> None:
    time.sleep(random.uniform(*RETRY_AFTER))


@contextmanager
def _heartbeat(tracking: Tracking, run_id: str) -> Iterator[None]:
    """Tell other workers again and again that this worker is at its run."""
    done = threading.Event()

    def beat() -> None:
        while not done.wait(HEARTBEAT):
            try:
                tracking.client.set_tag(run_id, Tag.HEARTBEAT, f"{time.time():.0f}")
            except MlflowException:  # the store does not answer: the work goes on, and the next beat tries again
                continue

    thread = threading.Thread(target=beat, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()
