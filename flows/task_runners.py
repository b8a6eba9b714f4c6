"""Where the tasks of a benchmark run: one after the other in this process, or spread by Ray over processes and machines.

Small values and run ids go in and out; data, weights and videos travel through the catalog and the tracking store.
"""

import os
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from prefect import Task
from prefect.futures import as_completed
from prefect.settings import get_current_settings
from prefect.task_runners import TaskRunner, ThreadPoolTaskRunner

from dreamvideo.errors import InputError
from dreamvideo.params import ExecutionParams

# Read when Ray is imported. Its name is that of two systems on which 0 is the default; on Linux too it lets a cluster of one
# machine listen on loopback, instead of on every address.
LOOPBACK_ALONE = "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"

T = TypeVar("T")
R = TypeVar("R")


def task_runner(execution: ExecutionParams) -> TaskRunner[Any]:
    """Prefect's task runner for a profile.

    Raises:
        InputError: Ray is asked for, and it or a Prefect server is missing.
    """
    if execution.runner == "local":
        return ThreadPoolTaskRunner(max_workers=1)
    if not execution.address:
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
        return RayTaskRunner(execution.address, {"log_to_driver": False})
    return RayTaskRunner(
        init_kwargs={"num_cpus": execution.workers, "include_dashboard": False, "log_to_driver": False}
    )


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
        its function is called, in the order of the items; with Ray all run at once, and come as they end.
    """
    if execution.runner == "local":
        for item in items:
            yield item, partial(task, *arguments(item))
        return
    from prefect_ray.context import remote_options

    with remote_options(**_share()):
        futures = {task.submit(*arguments(item)): item for item in items}
    for future in as_completed(list(futures)):
        yield futures[future], future.result


def _share() -> dict[str, int]:
    """What a task takes of the cluster: one GPU where it has any, one CPU core otherwise."""
    import ray

    return {"num_gpus": 1} if ray.cluster_resources().get("GPU") else {"num_cpus": 1}
