"""Start and stop this machine's servers, and report their health."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from http.client import HTTPException
from subprocess import Popen
from urllib.request import urlopen

from dreamvideo.errors import UnavailableError
from dreamvideo.params import Params
from flows.servers.prefect_setup import register, workers_online
from flows.servers.processes import Running, Service, running, start, started, stop
from flows.servers.services import (
    FOLDER,
    ServerSettings,
    check_port,
    gpus,
    mlflow_service,
    prefect_service,
    prepare,
    worker_name,
    worker_service,
)

HEALTHY_WITHIN = 300.0  # seconds; a busy machine has taken a minute
HEALTH = {"prefect": "/api/health", "mlflow": "/health"}
STOPPED_LAST = {"mlflow": 1, "prefect": 2}


@dataclass(frozen=True)
class Status:
    """The state of one service."""

    name: str
    pid: int | None  # None where it ended by itself
    url: str
    healthy: bool


def up(settings: ServerSettings, params: Params, say: Callable[[str], None]) -> dict[str, str]:
    """Start what does not run yet, and wait until all of it is healthy.

    Args:
        settings: where to listen, and what to keep data in.
        params: of the default profile; they name the store of runs.
        say: told of every step.

    Returns:
        The URL of each service that ran already or was started.

    Raises:
        InputError: a port is taken, or a database cannot be used; nothing has been started then.
        UnavailableError: a service ended or did not become healthy, and is stopped again; or Prefect refuses the deployments.
    """
    services = [prefect_service(settings), mlflow_service(settings, params)]
    missing = _missing(services, say)
    for service in missing:
        check_port(settings.host, getattr(settings, f"{service.name}_port"), f"{service.name}_port")
    for service in missing:
        prepare(service.name, settings, params)
    _start_all(missing, say, _answers)
    urls = {service.name: there.url for service in services if (there := running(FOLDER, service.name))}
    api = f"{urls['prefect']}/api"
    register(api, say)
    chosen: list[str | None] = [*gpus()] or [None]
    workers = [worker_service(api, urls["mlflow"], gpu) for gpu in chosen]
    missing, since = _missing(workers, say), time.time()
    _start_all(missing, say, lambda worker: worker_name(worker.name) in workers_online(worker.url, since))
    return urls | {worker.name: worker.url for worker in workers}


def down() -> list[str]:
    """Stop what ``up`` started, workers first; returns the names. Data stays."""
    names = sorted(started(FOLDER), key=lambda name: STOPPED_LAST.get(name, 0))
    # A run in flight still tells both servers that it was stopped.
    return [name for name in names if stop(name, FOLDER, children_first=name not in HEALTH)]


def status() -> list[Status]:
    """How every service is that was started and not stopped."""
    return [
        Status(name, there.process.pid, there.url, _is_healthy(there)) if there else Status(name, None, "", False)
        for name, there in started(FOLDER).items()
    ]


def _missing(services: list[Service], say: Callable[[str], None]) -> list[Service]:
    """The services that do not run and have no process left. ``say`` gets a line for each of the others."""
    missing = [service for service in services if running(FOLDER, service.name) is None]
    for service in services:
        if service in missing:
            stop(service.name, FOLDER)  # what it left behind, if it was killed, may hold its port or its GPU
        else:
            say(f"{service.name} runs already")
    return missing


def _is_healthy(service: Running) -> bool:
    if service.name in HEALTH:
        return _answers(service)
    return _responds(f"{service.url}/health") and worker_name(service.name) in workers_online(service.url)


def _answers(service: Service | Running) -> bool:
    """Whether a server says that it is healthy."""
    return _responds(service.url + HEALTH[service.name])


def _responds(url: str) -> bool:
    try:
        with urlopen(url, timeout=10) as answer:
            return answer.status == 200
    except (HTTPException, OSError):
        return False


def _start_all(services: Iterable[Service], say: Callable[[str], None], is_ready: Callable[[Service], bool]) -> None:
    """Start services side by side; returns when all are ready."""
    processes: list[tuple[Service, Popen]] = []
    try:
        for service in services:
            processes.append((service, start(service, FOLDER)))
            say(f"starting {service.name}")
        for service, process in processes:
            deadline = time.monotonic() + HEALTHY_WITHIN
            while not is_ready(service):
                log = FOLDER / f"{service.name}.log"
                if process.poll() is not None:
                    raise UnavailableError(f"{service.name} ended with exit code {process.returncode}; {log} says why")
                if time.monotonic() > deadline:
                    raise UnavailableError(
                        f"{service.name} was not healthy after {HEALTHY_WITHIN:.0f} s; {log} says why"
                    )
                time.sleep(0.5)
            say(f"{service.name} is healthy")
    except BaseException:
        for service, _ in processes:
            stop(service.name, FOLDER)
        raise
