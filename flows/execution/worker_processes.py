"""The processes of a pool: how one begins, and how it ends with the process that started it."""

import multiprocessing
import os
import threading

from flows.execution.progress import console


def begin_worker() -> None:
    """Prepare this process of a pool: it uses one thread, shows no progress, and ends with the process that started it."""
    import torch  # imported here, since a worker that trains nothing does not need it

    torch.set_num_threads(1)
    console.quiet = True
    _end_with_parent()


def _end_with_parent() -> None:
    """End this process when the one that started it is killed; it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    if parent is None:  # no process of a pool
        return

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
