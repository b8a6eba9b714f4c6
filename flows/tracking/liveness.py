"""The identity of this process, and whether another process still runs."""

import os
import platform
import uuid

import psutil

CLOCK = 2.0  # seconds: the largest difference between two readings of one start time


def this_process() -> str:
    """This process as machine/process id/start time. The start time tells it from a later process with the same id."""
    return f"{_machine()}/{os.getpid()}/{psutil.Process().create_time():.2f}"


def _machine() -> str:
    return f"{platform.node()}-{uuid.getnode():x}"


def is_running(worker: str) -> bool:
    """Whether a process, named as by :func:`this_process`, still runs. One of another machine counts as running."""
    machine, _, process = worker.partition("/")
    if machine != _machine():
        return True
    number, _, began = process.partition("/")
    return same_process(int(number), float(began)) is not None


def same_process(pid: int, began: float) -> psutil.Process | None:
    """The process with this id that began at this time.

    Args:
        pid: process id.
        began: seconds since 1970.

    Returns:
        The process; None if it has ended, or if another process has its id now.
    """
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - began) > CLOCK:
            return None
    except psutil.NoSuchProcess:
        return None
    return process
