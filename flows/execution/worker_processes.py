"""The processes of a pool: how one begins, and that it ends with the process that started it."""

import multiprocessing
import os
import threading

from flows.execution.progress import console


def begin_worker() -> None:
    """Make this process one of a pool: one thread, nothing to show, as its progress would mix with the others', and no longer life."""
    import torch  # a worker that trains nothing need not wait for it

    torch.set_num_threads(1)
    console.quiet = True
    _end_with_parent()


def _end_with_parent() -> None:
    """Let this process of a pool end when the one that started it is killed: by itself it would wait for work for ever."""
    parent = multiprocessing.parent_process()

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
