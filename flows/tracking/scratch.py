"""Temporary folders of this process; what a killed one left, the next one removes."""

import atexit
import fcntl
import shutil
import tempfile
from functools import cache
from pathlib import Path
from typing import IO

PREFIX, LOCK = "dreamvideo-", ".lock"


def scratch_folder() -> tempfile.TemporaryDirectory:
    """A folder that goes with the object; where the process is killed, the next process removes it."""
    return tempfile.TemporaryDirectory(dir=_of_this_process())


@cache
def _of_this_process() -> Path:
    """A folder that shows by a lock, which ends with the process, that it is in use."""
    _remove_abandoned()
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    new = folder / f"{LOCK}.new"
    lock = new.open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    new.rename(folder / LOCK)  # held before another can see it
    atexit.register(_remove, folder, lock)
    return folder


def _remove(folder: Path, lock: IO) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.close()


def _remove_abandoned() -> None:
    for path in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        try:
            with path.open("rb") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path.parent, ignore_errors=True)
        except OSError:  # in use, another user's, or just removed by another process
            continue
