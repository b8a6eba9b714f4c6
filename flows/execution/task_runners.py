"""Where the tasks of a benchmark run: in this process, in processes of this machine, or on a Ray cluster.

Tasks take and return small values and run ids. Data, weights and videos go through the catalog and the tracking store.
"""

import os
import socket
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures.process import BrokenProcessPool
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any, TypeVar

from prefect import Task
from prefect.futures import PrefectFuture, as_completed
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner, TaskRunner, ThreadPoolTaskRunner

from dreamvideo.errors import InputError, OutOfMemoryError, UnavailableError, in_brief
from dreamvideo.params import ExecutionParams
from flows.execution.worker_processes import begin_worker

# Read when Ray is imported. Its name is that of two systems on which 0 is the default; on Linux too it lets a cluster of one
# machine listen on loopback, instead of on every address.
LOOPBACK_ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

ASKED_FOR_TOKEN = "RAY_AUTH_MODE"  # as a cluster that `ray start` makes does
OVERLAPPED = 2  # one samples; the other is saved, scored and logged

T = TypeVar("T")
R = TypeVar("R")


def task_runner(execution: ExecutionParams) -> TaskRunner[Any]:
    """Prefect's task runner for a profile.

    Raises:
        InputError: the profile asks for Ray, but Ray or a Prefect server is missing.
    """
    if execution.runner == "local":
        return ThreadPoolTaskRunner(max_workers=OVERLAPPED)
    if execution.runner == "processes":
        return ProcessPoolTaskRunner(max_workers=execution.workers, initializer=begin_worker)
    if execution.address:
        os.environ.setdefault(ASKED_FOR_TOKEN, "token")
    else:
        os.environ.setdefault(LOOPBACK_ALONE, "0")
    try:
        from prefect_ray import RayTaskRunner
    except ImportError as error:
        raise InputError(
            "params.yaml: execution.runner is 'ray', which is not installed; run pip install -c constraints.txt -e '.[ray]'"
        ) from error
    if not get_current_settings().api.url:
        raise InputError(
            "params.yaml: execution.runner is 'ray', whose workers need a Prefect server; start one with 'dreamvideo server up', "
            "export the PREFECT_API_URL that it prints, and run this again"
        )
    if execution.address:
        _join(execution.address)
        return RayTaskRunner()  # of the cluster that this process has joined
    return RayTaskRunner(
        "local",  # a new cluster, even if this machine has one
        init_kwargs={"num_cpus": execution.workers, "include_dashboard": False, "log_to_driver": False},
    )


@contextmanager
def one_server() -> Iterator[None]:
    """Start one Prefect server for this process and its pool, unless one is configured. Otherwise each would start its own."""
    if get_current_settings().api.url:
        yield
        return
    from prefect.server.api.server import SubprocessASGIServer  # all of the server, which a worker need not import

    server = SubprocessASGIServer()  # the one that a flow of this process would start
    server.start()
    with temporary_settings({PREFECT_API_URL: server.api_url}):
        yield


def _join(address: str) -> None:
    """Connect this process to a Ray cluster.

    Raises:
        UnavailableError: nothing answers at the address, or it refuses this machine's token.
    """
    import ray

    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), timeout=10).close()  # Ray itself would ask for five minutes
    except (OSError, ValueError) as error:
        raise UnavailableError(
            f"params.yaml: execution.address is {address!r}, where no Ray cluster answers ({error}); give HOST:PORT of "
            "one, or start it there with 'ray start --head'"
        ) from error
    try:
        ray.init(address, ignore_reinit_error=True, log_to_driver=False)
    except (ConnectionError, RuntimeError, ray.exceptions.RayError) as error:
        raise UnavailableError(
            f"the Ray cluster at {address} does not let this machine in ({in_brief(error)}); save the token that 'ray get-auth-token' "
            "prints there as ~/.ray/auth_token here"
        ) from error


def results(
    execution: ExecutionParams, task: Task[..., R], items: list[T], arguments: Callable[[T], tuple]
) -> Iterator[tuple[T, Callable[[], R]]]:
    """Run a task for every item, inside a flow with the task runner of :func:`task_runner`.

    Args:
        execution: of the profile.
        task: what to run.
        items: for what.
        arguments: of the task, for an item.

    Yields:
        Each item with a function that returns what its task gave, or raises what it raised. Locally a task runs when
        its function is called, in the order of the items; otherwise all are handed over at once, and come as they end.

    Raises:
        OutOfMemoryError: a process of this machine was killed. This ends the other processes of its pool, and all tasks left.
    """
    if execution.runner == "local":
        for item in items:
            yield item, partial(task, *arguments(item))
        return
    with _share() if execution.runner == "ray" else nullcontext():
        futures = {task.submit(*arguments(item)): item for item in items}
    for future in as_completed(list(futures)):
        _stop_if_killed(future)
        yield futures[future], future.result


def _stop_if_killed(ended: PrefectFuture) -> None:
    try:
        ended.wait()
    except BrokenProcessPool as error:
        raise OutOfMemoryError(
            "a worker process was killed, probably for want of memory; lower execution.workers in params.yaml or end other "
            "programs, and run the same command again: what is finished is kept"
        ) from error
    except Exception:
        return  # of this task alone: its result raises it


def overlapping_results(
    execution: ExecutionParams, task: Task[..., R], items: list[T], arguments: Callable[[T], tuple]
) -> Iterator[tuple[T, Callable[[], R]]]:
    """As :func:`results`, but two tasks run at once if the profile overlaps them. The tasks themselves share the base model."""
    if execution.runner != "local" or not execution.overlap:
        yield from results(execution, task, items, arguments)
        return
    under_way: deque[tuple[T, Callable[[], R]]] = deque()
    for item in items:
        under_way.append((item, task.submit(*arguments(item)).result))
        if len(under_way) == OVERLAPPED:
            yield under_way.popleft()
    yield from under_way


def _share() -> AbstractContextManager:
    """Give each task one GPU of the cluster, or one CPU core if the cluster has no GPU.

    By default Ray ends a process with a GPU after each task, and the next process would load the models again.
    """
    import ray
    from prefect_ray.context import remote_options

    return remote_options(
        **({"num_gpus": 1, "max_calls": 0} if ray.cluster_resources().get("GPU") else {"num_cpus": 1})
    )
