"""Which process this is, and whether another one still runs."""

import os
import platform
import uuid

import psutil

CLOCK = 2.0  # seconds by which two readings of one start time may differ


def this_process() -> str:
    """This process: machine, process id and when it began, so that a reused process id is told apart."""
    return f"{_machine()}/{os.getpid()}/{psutil.Process().create_time():.2f}"


def _machine() -> str:
    return f"{platform.node()}-{uuid.getnode():x}"


def is_running(worker: str) -> bool:
    """Whether a worker, named as :func:`this_process` names it, still runs; one of another machine counts as running."""
    machine, _, process = worker.partition("/")
    if machine != _machine():
        return True
    number, _, began = process.partition("/")
    return same_process(int(number), float(began)) is not None


def same_process(pid: int, began: float) -> psutil.Process | None:
    """The process of this id that began then, in seconds since 1970; None if it ended, or another has its id by now."""
    try:
        process = psutil.Process(pid)
        if process.status() == psutil.STATUS_ZOMBIE or abs(process.create_time() - began) > CLOCK:
            return None
    except psutil.NoSuchProcess:
        return None
    return process
