"""The cost of a benchmark without its models, from 6 to 6,000 cells, and of a plan of a million: `python -m benchmarks.scale`.

Ready-made files and numbers replace training, generating and scoring. What remains is this project's own work: plans,
leases, records, artifacts, the registry, the report. With `--seconds`, each video sleeps for its time while its lease
gives signs of life. With `--workers`, several processes share a benchmark, as on a machine with several GPUs. Every size
has its own process and folder.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch
from mlflow.entities import Run
from rich.console import Console
from rich.table import Table

from benchmarks.chaos import store
from dreamvideo.dataset.catalog import Catalog, load_catalog
from dreamvideo.methods.contract import Trained
from dreamvideo.params import ExecutionParams, Params, load_params
from evaluation.metrics import metric_names
from evaluation.suite import Suite
from flows.benchmark import run_benchmark
from flows.execution import adapters as customize
from flows.execution import cells, task_runners
from flows.execution.resources import Resources, resources_for
from flows.execution.worker_processes import begin_worker
from flows.planning import estimate as plans
from flows.planning.keys import AdapterPlan
from flows.planning.selection import Selection
from flows.reports.build import write_report
from flows.tracking.provenance import machine
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import open_store

# Subjects, motions and prompts of each size.
SIZES = {6: (2, 3, 1), 60: (6, 10, 1), 600: (20, 30, 1), 6000: (20, 30, 10)}
PLANNED = 1000  # subjects, and as many motions


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--most", type=int, default=6000, choices=SIZES, help="the largest number of cells")
    parser.add_argument("--seconds", type=float, default=0.0, help="what a video takes")
    parser.add_argument("--workers", type=int, default=1, help="processes that share a benchmark")
    parser.add_argument("--only", choices=["plan", *map(str, SIZES)], help="one of them, printed as JSON")
    arguments = parser.parse_args()
    seconds, workers, path = arguments.seconds, arguments.workers, Path("benchmarks") / "scale.json"
    if arguments.only:
        print(json.dumps(measured(arguments.only, seconds, workers)))
        return
    rows = [apart(str(size), seconds, workers) for size in SIZES if workers <= size <= arguments.most]
    if seconds:
        slept = {"machine": machine(), "workers": workers, "benchmarks": rows}
        figures = json.loads(path.read_text()) | {"slept": slept}
    else:
        figures = {"machine": machine(), "plan": apart("plan"), "benchmarks": rows}
    path.write_text(json.dumps(figures, indent=2) + "\n")
    table = Table("", *("" for _ in rows))
    for name in rows[0]:
        table.add_row(name, *(f"{row[name]:,.4g}" for row in rows))
    Console().print(table, figures["plan"])


def apart(what: str, seconds: float = 0.0, workers: int = 1) -> dict:
    """The figures of one part, measured in a new process."""
    command = [sys.executable, "-m", "benchmarks.scale", "--only", what]
    command += ["--seconds", str(seconds), "--workers", str(workers)]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def measured(what: str, seconds: float, workers: int) -> dict:
    """The figures of one part, with the peak memory of this process and of its largest child."""
    figures = plan_a_million() if what == "plan" else benchmark(int(what), seconds, workers)
    memory = {"": resource.RUSAGE_SELF} | ({"of_a_worker_": resource.RUSAGE_CHILDREN} if workers > 1 else {})
    return figures | {f"peak_memory_{of}gib": resource.getrusage(who).ru_maxrss / 2**20 for of, who in memory.items()}


def plan_a_million() -> dict:
    """The cost of `benchmark plan` for every combination of a thousand subjects and a thousand motions."""
    params = load_params()
    catalog = many(load_catalog(params.data.root))
    _replace(plans, load_catalog=lambda _: catalog)
    with tempfile.TemporaryDirectory() as folder:
        params = params.model_copy(update={"tracking": store(Path(folder))})
        seconds = timed(lambda: plans.estimate(params, Selection(prompts=1)))
    return {"cells": PLANNED**2, "seconds": seconds}


def many(catalog: Catalog) -> Catalog:
    """A catalog with as many subjects and motions as the plan: copies of the real ones, each with other files."""

    def copies(items: dict) -> dict:
        named = {}
        for index in range(PLANNED):
            item = list(items.values())[index % len(items)]
            files = {path: f"{digest}{index}" for path, digest in item.sha256.items()}
            named[f"{item.name}_{index}"] = item.model_copy(update={"name": f"{item.name}_{index}", "sha256": files})
        return named

    return catalog.model_copy(update={"subjects": copies(catalog.subjects), "motions": copies(catalog.motions)})


def benchmark(size: int, seconds: float, workers: int) -> dict:
    """Run a benchmark of some cells without any model, then the commands that users run on it.

    Args:
        size: how many.
        seconds: that a video takes, which are not counted among those of a cell.
        workers: how many processes share it.
    """
    subjects, motions, prompts = SIZES[size]
    request = Selection(str(subjects), str(motions), prompts)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        spread = ExecutionParams(runner="processes", workers=workers) if workers > 1 else ExecutionParams()
        params = load_params().model_copy(update={"tracking": store(folder), "execution": spread})
        leave_out_the_models(params, seconds)
        task_runners.begin_worker = partial(begin_measured_worker, params.model_dump_json(), seconds)
        (folder / "data").symlink_to(params.data.root.resolve())
        (folder / "models").symlink_to(Path("models").resolve())
        os.chdir(folder)
        begun = time.time()
        outcome = run_benchmark(params, request)
        total = time.time() - begun
        assert (outcome.finished, outcome.failed) == (size, 0)
        runs = sorted(open_store(params.tracking).runs(Kind.CELL), key=lambda run: run.info.start_time)
        first, last = runs[0].info.start_time / 1000, max(run.info.end_time for run in runs) / 1000
        part = max(size // 10, 6 * workers)
        figures = {
            "cells": size,
            "seconds": total,
            "seconds_before_cells": first - begun,
            "seconds_of_a_video": seconds,
            "seconds_per_cell": pace(runs) - seconds,
            "seconds_per_cell_at_first": pace(runs[:part]) - seconds,
            "seconds_per_cell_at_last": pace(runs[-part:]) - seconds,
            "seconds_after_cells": begun + total - last,
        }
        if not seconds:  # the following figures do not depend on it
            figures |= {
                "seconds_planned_again": timed(lambda: plans.estimate(params, request)),
                "seconds_of_report": timed(lambda: write_report(params, outcome.run_id)),
                "report_megabytes": outcome.report.stat().st_size / 1e6,
                "mlflow_megabytes": (folder / "mlflow.db").stat().st_size / 1e6,
                "artifact_megabytes": sum(path.stat().st_size for path in folder.glob("mlruns/**/*.*")) / 1e6,
                "again_seconds": timed(lambda: run_benchmark(params, request)),
            }
        os.chdir("/")
    return figures


def pace(runs: list[Run]) -> float:
    """Seconds of a worker for a cell. The first cell is left out, because the worker loads the models in it."""
    ends: dict[str, list[int]] = {}
    for run in runs:
        ends.setdefault(run.data.tags[Tag.WORKER], []).append(run.info.end_time)
    return sum(max(times) - min(times) for times in ends.values()) / 1000 / (len(runs) - len(ends))


def begin_measured_worker(params_json: str, seconds: float) -> None:
    """The start of a pool process: it still has the real functions, and loads everything before its first cell."""
    begin_worker()
    resources = resources_for(params_json)
    leave_out_the_models(resources.params, seconds)
    _ = resources.base, resources.suite


def leave_out_the_models(params: Params, seconds: float) -> None:
    """In this process, replace training and scoring by ready-made results, and generating by a sleep."""
    data = params.data
    size = (data.num_frames, 3, data.image_size, data.image_size)
    frames = torch.randint(256, size, dtype=torch.uint8)
    chance = torch.Generator().manual_seed(0)
    trained = Trained({"weight": torch.zeros(1)}, {"adapter": [1.0, 0.5]})

    def train(*_) -> Trained:
        wait_for_all(params.execution.workers)
        return trained

    def preview(resources: Resources, plan: AdapterPlan, trained: Trained, folder: Path) -> Path:
        path = folder / "preview"
        path.touch()
        return path

    def sample_video(*_) -> torch.Tensor:
        time.sleep(seconds)
        return frames

    def score_video(*_) -> dict[str, float]:
        return {name: float(torch.rand((), generator=chance)) for name in metric_names()}

    _replace(customize, train=train, preview=preview)
    _replace(cells, sample_video=sample_video)
    _replace(Suite, score_video=score_video)


def _replace(owner: object, **functions: Callable) -> None:
    for name, function in functions.items():
        setattr(owner, name, function)


def wait_for_all(workers: int) -> None:
    """Wait until all processes of the pool have started. Otherwise the first one makes some cells alone."""
    ready = Path("ready")
    ready.mkdir(exist_ok=True)
    (ready / str(os.getpid())).touch()
    while len(list(ready.iterdir())) < workers:
        time.sleep(0.1)


def timed(work) -> float:
    """Seconds that some work takes."""
    started = time.monotonic()
    work()
    return time.monotonic() - started


if __name__ == "__main__":
    main()
