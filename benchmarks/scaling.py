"""The gain of a second process on one machine: `python -m benchmarks.scaling` (needs the extra `ray`).

The same benchmark runs with one and with two workers of Ray, each at two sizes. The difference gives the time of one more
combination and the fixed cost (a cluster, a model in every worker, a report). The adapters have one training step.
"""

import json
import os
import tempfile
import time
from itertools import count
from pathlib import Path

from prefect.testing.utilities import prefect_test_harness
from rich.console import Console
from rich.table import Table

from benchmarks.pocket import matrix_product_gflops, one_step
from dreamvideo.params import ExecutionParams, Params, load_params
from flows.benchmark import run_benchmark
from flows.planning.selection import Selection
from flows.tracking.provenance import machine

SMALL, LARGE = 6, 24  # combinations: of one subject and of four, with six motions
WORKERS = (1, 2)


def main() -> None:
    repository = Path.cwd()
    with tempfile.TemporaryDirectory() as name, prefect_test_harness(server_startup_timeout=120):
        folder = Path(name)
        for part in ("data", "models"):
            (folder / part).symlink_to(repository / part)
        params = load_params()
        os.chdir(folder)
        methods = {method: one_step(options) for method, options in params.methods.items()}
        figures = measure(params.model_copy(update={"methods": methods}))
        os.chdir(repository)
    (repository / "benchmarks" / "scaling.json").write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)


def measure(params: Params) -> dict:
    """The figures. One worker and two workers take turns."""
    seeds = count()
    run(params, 1, LARGE, next(seeds))  # trains the adapters
    seconds = {
        size: {workers: run(params, workers, size, next(seeds)) for workers in WORKERS} for size in (SMALL, LARGE)
    }
    rows = []
    for workers in WORKERS:
        each = (seconds[LARGE][workers] - seconds[SMALL][workers]) / (LARGE - SMALL)
        rows.append(
            {"workers": workers, "seconds_per_cell": each, "fixed_seconds": seconds[SMALL][workers] - SMALL * each}
        )
    return {
        "machine": machine(),
        "matrix_product_gflops": matrix_product_gflops(),
        "cells": [SMALL, LARGE],
        "seconds": seconds,
        "workers": rows,
        "speedup": rows[0]["seconds_per_cell"] / rows[1]["seconds_per_cell"],
    }


def run(params: Params, workers: int, size: int, seed: int) -> float:
    """Seconds of one benchmark in which every combination is new."""
    spread = params.model_copy(update={"execution": ExecutionParams(runner="ray", workers=workers)})
    started = time.monotonic()
    outcome = run_benchmark(spread, Selection(str(size // SMALL), str(SMALL), seed=seed))
    assert (outcome.finished, outcome.failed, outcome.reused) == (size, 0, 0)
    return time.monotonic() - started


def show(figures: dict) -> None:
    table = Table("workers", "seconds a combination", "fixed seconds", title=f"speed-up {figures['speedup']:.2f}")
    for row in figures["workers"]:
        table.add_row(str(row["workers"]), f"{row['seconds_per_cell']:.2f}", f"{row['fixed_seconds']:.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
