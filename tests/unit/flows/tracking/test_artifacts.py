"""Temporary folders of processes, and of those that were killed."""

import subprocess
import sys
import tempfile
from pathlib import Path

from flows.tracking.artifacts import PREFIX, _remove_abandoned, scratch_folder

MAKE = """
import sys
from flows.tracking.artifacts import scratch_folder
folder = scratch_folder()
print(folder.name, flush=True)
sys.stdin.read()
"""


def begun():
    """A process that has a folder, and the folder."""
    process = subprocess.Popen([sys.executable, "-c", MAKE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return process, Path(process.stdout.readline().strip())


def test_what_a_killed_process_left_is_removed_by_the_next_and_nothing_that_is_in_use():
    killed, left = begun()
    living, used = begun()
    killed.kill()
    killed.wait()
    assert left.is_dir() and used.is_dir()
    with scratch_folder() as mine:
        _remove_abandoned()
        assert not left.parent.exists() and used.is_dir() and Path(mine).is_dir()
    assert not Path(mine).exists()
    living.communicate("")
    assert not used.parent.exists(), "it removes its own"


def test_folders_of_others_stay():
    with tempfile.TemporaryDirectory(prefix=PREFIX) as other:
        _remove_abandoned()
        assert Path(other).is_dir()
