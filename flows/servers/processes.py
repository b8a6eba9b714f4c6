"""Processes in the background: started once, known again by id and start time, stopped with all that they started."""

import json
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import psutil

from dreamvideo.files import replacing
from flows.tracking.liveness import same_process

PATIENCE = 20.0  # seconds that a process has to end by itself


@dataclass(frozen=True)
class Service:
    """A process to run, and where it answers."""

    name: str
    command: tuple[str, ...]
    url: str
    # Besides that of this process; it may hold secrets.
    environment: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class Running:
    """A process that was started, and still runs."""

    name: str
    url: str
    process: psutil.Process = field(repr=False)


def heed_interrupts() -> None:
    """Let this process and those that it starts end by SIGINT, even if the parent process ignores SIGINT.

    A shell lets the background processes of a script ignore SIGINT. A Prefect worker turns SIGTERM into SIGINT, so it
    would hear neither.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)


def start(service: Service, folder: Path) -> subprocess.Popen:
    """Start a service. Its output goes to ``<folder>/<name>.log``. Its id and start time go to ``<folder>/<name>.json``."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # logs and databases are the user's own
    with (folder / f"{service.name}.log").open("ab") as log:
        # A session of its own, on Windows a console: a Ctrl-C in the user's terminal must not reach it.
        process = subprocess.Popen(
            service.command,
            env=os.environ | service.environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NO_WINDOW", 0),
        )
    known = {"pid": process.pid, "started": psutil.Process(process.pid).create_time(), "url": service.url}
    with replacing(folder / f"{service.name}.json") as path:
        path.write_text(json.dumps(known))
    return process


def run_here(service: Service) -> NoReturn:
    """Run a service in place of this process. So signals reach the service."""
    environment = os.environ | service.environment
    if sys.platform == "win32":  # exec there ends this process at once: a console takes that for the service's end
        raise SystemExit(subprocess.run(service.command, env=environment).returncode)
    os.execvpe(service.command[0], service.command, environment)


def running(folder: Path, name: str) -> Running | None:
    """The process of a service, or None where it does not run; an id that another process has by now does not count."""
    path = folder / f"{name}.json"
    if not path.exists():
        return None
    known = json.loads(path.read_text())
    process = same_process(known["pid"], known["started"])
    return Running(name, known["url"], process) if process else None


def started(folder: Path) -> dict[str, Running | None]:
    """Every service that was started in a folder and not stopped; None for one that ended by itself."""
    return {path.stem: running(folder, path.stem) for path in sorted(folder.glob("[!.]*.json"))}


def stop(name: str, folder: Path, children_first: bool = False) -> bool:
    """End a service and every process that it started, even if the service was killed. Kill those that do not end.

    Args:
        name: of the service.
        folder: where it was started.
        children_first: end the processes that it started before the service itself, if it must report their end.

    Returns:
        Whether it still ran.
    """
    there = running(folder, name)
    if there is None:
        _end(_orphans(folder, name))
    else:
        try:
            children = there.process.children(recursive=True)
        except psutil.NoSuchProcess:
            children = []
        if children_first:
            _end(children)
        _end([there.process])
        _end(children)
    (folder / f"{name}.json").unlink(missing_ok=True)
    return there is not None


def _orphans(folder: Path, name: str) -> list[psutil.Process]:
    """The processes that a killed service left behind.

    There are none if another process has the service's id by now: the system does not reuse the id of a session that has members.
    """
    path = folder / f"{name}.json"
    if not path.exists():
        return []
    leader = json.loads(path.read_text())["pid"]
    with suppress(psutil.NoSuchProcess):
        if psutil.Process(leader).status() != psutil.STATUS_ZOMBIE:
            return []
    found = []
    for process in psutil.process_iter():
        with suppress(ProcessLookupError, PermissionError, psutil.Error):
            if process.pid != leader and _started_by(process, leader):
                found.append(process)
    return found


def _started_by(process: psutil.Process, leader: int) -> bool:
    if sys.platform == "win32":  # no sessions; but a process keeps the id of its parent when that has ended
        return process.ppid() == leader
    return os.getsid(process.pid) == leader


def _end(processes: list[psutil.Process]) -> None:
    for send in (psutil.Process.terminate, psutil.Process.kill):
        for process in processes:
            with suppress(psutil.NoSuchProcess):
                send(process)
        _, processes = psutil.wait_procs(processes, PATIENCE)
