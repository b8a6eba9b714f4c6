"""The number of cells that one MLflow server records: `python -m benchmarks.server`. It sizes a server for many GPUs.

Clients lease and record cells as a benchmark does, each with a file of a video's size. The server runs on this machine
with SQLite. Nothing is generated. The processor time of the server for a cell tells how many cells a core can serve.
"""

import json
import multiprocessing
import os
import tempfile
import time
import urllib.request
from functools import partial
from pathlib import Path

import psutil
from rich.console import Console
from rich.table import Table

from benchmarks.chaos import store
from dreamvideo.files import content_key
from dreamvideo.params import TrackingParams, load_params
from evaluation.metrics import metric_names
from flows.servers.processes import PATIENCE, start
from flows.servers.services import ServerSettings, mlflow_service
from flows.tracking.leases import leased_run
from flows.tracking.provenance import machine
from flows.tracking.schema import Kind
from flows.tracking.store import open_store

PORT, SECONDS, CLIENTS = 5077, 30.0, (1, 2, 4)
VIDEO_BYTES, PARAMETERS = 30_000, 15


def main() -> None:
    repository = Path.cwd()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        tracking = store(folder)
        params = load_params().model_copy(update={"tracking": tracking})
        server = start(mlflow_service(ServerSettings(mlflow_port=PORT), params), folder / "server")
        try:
            wait()
            rows = [measure(clients, psutil.Process(server.pid), folder) for clients in CLIENTS]
        finally:
            tree = [*psutil.Process(server.pid).children(recursive=True), psutil.Process(server.pid)]
            for process in tree:
                process.terminate()
            psutil.wait_procs(tree, PATIENCE)
    (repository / "benchmarks" / "server.json").write_text(
        json.dumps({"machine": machine(), "loads": rows}, indent=2) + "\n"
    )
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:.3g}" for value in row.values()))
    Console().print(table)


def wait() -> None:
    """Wait until the server answers."""
    for _ in range(120):
        try:
            urllib.request.urlopen(f"http://127.0.0.1:{PORT}/health", timeout=1)
            return
        except OSError:
            time.sleep(0.5)
    raise TimeoutError("the MLflow server does not answer")


def measure(clients: int, server: psutil.Process, folder: Path) -> dict[str, float]:
    """Let some clients record for a while."""
    before = processor_seconds(server)
    with multiprocessing.get_context("spawn").Pool(clients) as pool:
        done = sum(pool.map(partial(record, folder), range(clients)))
    return {
        "clients": clients,
        "cells_per_second": done / SECONDS,
        "server_seconds_per_cell": (processor_seconds(server) - before) / done,
    }


def processor_seconds(server: psutil.Process) -> float:
    """The processor seconds of the server and its workers so far."""
    times = [process.cpu_times() for process in (server, *server.children(recursive=True))]
    return sum(time.user + time.system for time in times)


def record(folder: Path, client: int) -> int:
    """Record cells for some seconds; returns how many."""
    params = TrackingParams(uri=f"http://127.0.0.1:{PORT}", artifacts=folder / "mlruns", experiment="chaos")
    tracking, path = open_store(params), folder / f"{client}.mp4"
    path.write_bytes(os.urandom(VIDEO_BYTES))
    done, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        key = content_key([os.getpid(), done])
        with leased_run(tracking, Kind.CELL, "a x b", key, {}) as cell:
            cell.params |= {f"parameter{index}": index for index in range(PARAMETERS)}
            cell.metrics |= dict.fromkeys(metric_names(), 0.5)
            tracking.keep(cell, path)
        done += 1
    return done


if __name__ == "__main__":
    main()
