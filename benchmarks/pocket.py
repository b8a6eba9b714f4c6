"""The time of a video, and the time that orchestration adds: `make bench`. Prints a table, writes benchmarks/pocket.json.

Cells run as in the benchmark flow (Prefect task, MLflow run, artifacts). Each cell records the time of its generating and
scoring. The rest of its time is orchestration; saving the mp4 counts as orchestration. The adapters have one training
step, because their values do not change the amount of work.
"""

import json
import os
import tempfile
import time
from pathlib import Path
from statistics import median, quantiles

import torch
from prefect import flow
from rich.console import Console
from rich.table import Table

from dreamvideo.base_models import describe_base_model
from dreamvideo.params import load_params
from flows.execution.adapters import train_adapter
from flows.execution.cells import generate_video, load_adapters, run_cell_task
from flows.execution.resources import Resources, resources_for
from flows.planning.plan import plan_selection
from flows.planning.selection import Selection
from flows.tracking.provenance import machine
from flows.tracking.schema import Figure, Kind

SUBJECTS, MOTIONS, ROUNDS = 2, 4, 3


def main() -> None:
    repository = Path.cwd()
    params = load_params()
    with tempfile.TemporaryDirectory() as folder:
        absolute = {
            "data": params.data.model_copy(update={"root": repository / params.data.root}),
            "base_model": params.base_model.model_copy(update={"weights": repository / params.base_model.weights}),
            "evaluation": params.evaluation.model_copy(update={"weights": repository / params.evaluation.weights}),
            "methods": {name: one_step(options) for name, options in params.methods.items()},
        }
        os.chdir(folder)
        figures = measure(params.model_copy(update=absolute))
        os.chdir(repository)
    path = repository / "benchmarks" / "pocket.json"
    path.write_text(json.dumps(figures, indent=2) + "\n")
    show(figures)


def one_step(options: dict) -> dict:
    """The method's options with a single training step a stage."""
    return {
        name: {**value, "steps": 1} if isinstance(value, dict) and "steps" in value else value
        for name, value in options.items()
    }


def measure(params) -> dict:
    params_json = params.model_dump_json()
    resources = resources_for(params_json)
    # Each round has its own seed, because a cell with a finished run does not run again.
    plans = [
        plan_selection(params, resources.catalog, Selection(str(SUBJECTS), str(MOTIONS), seed=seed))
        for seed in range(ROUNDS)
    ]
    adapters = {adapter.key: train_adapter(resources, adapter) for adapter in plans[0].adapters}
    video(resources, plans[0].cells[0], adapters)  # warm up
    videos, shares = [], []

    @flow(name="measured", validate_parameters=False)
    def orchestrate() -> None:
        with resources.tracking.run(Kind.BENCHMARK, "measurement", "none", {}) as record:
            for cell in [cell for plan in plans for cell in plan.cells]:
                videos.append(video(resources, cell, adapters))
                started = time.perf_counter()
                run_id = run_cell_task(params_json, cell, adapters, record.run_id)
                seconds = time.perf_counter() - started
                assert run_id is not None, "another worker holds the lease"
                itself = resources.tracking.get(run_id).data.metrics
                shares.append(seconds / (itself[Figure.SECONDS_GENERATING] + itself[Figure.SECONDS_SCORING]) - 1)

    orchestrate()
    return {
        "machine": machine(),
        "matrix_product_gflops": round(matrix_product_gflops(), 1),
        "sampling_steps": params.sampling.steps,
        "unet_parameters": sum(p.numel() for p in describe_base_model(params.base_model).denoiser.parameters()),
        "seconds_per_video": round(median(videos), 3),
        "seconds_per_video_quartiles": [round(value, 3) for value in quantiles(videos)],
        "orchestration_share": round(median(shares), 4),
        "orchestration_share_quartiles": [round(value, 4) for value in quantiles(shares)],
    }


def matrix_product_gflops(size: int = 1024) -> float:
    """The present speed of this machine: a large float32 matrix product, in 10^9 operations a second."""
    a, b = torch.randn(2, size, size)
    seconds = []
    for _ in range(20):
        started = time.perf_counter()
        a @ b
        seconds.append(time.perf_counter() - started)
    return 2 * size**3 / median(seconds) / 1e9


def video(resources: Resources, cell, adapters: dict[str, str]) -> float:
    """Seconds for the video of one cell: sample with both adapters, decode, save."""
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        generate_video(resources, cell, *load_adapters(resources, cell, adapters), Path(folder) / "video.mp4")
        return time.perf_counter() - started


def show(figures: dict) -> None:
    table = Table(
        "figure", "value", title=f"pocket on {figures['machine']['processor']}, {figures['machine']['cores']} cores"
    )
    for name, value in figures.items():
        if name != "machine":
            table.add_row(name, str(value))
    Console().print(table)


if __name__ == "__main__":
    main()
