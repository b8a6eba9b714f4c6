"""Kill workers at random moments and count what is lost or done twice: `python -m benchmarks.chaos`. Both must be 0.

Workers do cells through the same claims and records as a benchmark; only the video is a small file made at once, so
that most of the time goes into what a kill could hurt: creating runs, storing artifacts, ending runs.
"""

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from pathlib import Path

from dreamvideo.files import content_key
from dreamvideo.params import TrackingParams
from flows.claims import Taken, claimed, shared
from flows.provenance import machine
from flows.tracking import KEY, Tracking

LONGEST_LIFE = 1.5  # seconds that a worker may live


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    kills = parser.parse_args().kills
    with tempfile.TemporaryDirectory() as folder:
        figures = {"machine": machine()} | trial(store(Path(folder)), kills, cells=3 * kills)
    (Path("benchmarks") / "chaos.json").write_text(json.dumps(figures, indent=2) + "\n")
    print(f"{kills} kills, {figures['cells']} cells: {figures['lost']} lost, {figures['doubled']} doubled")


def store(folder: Path) -> TrackingParams:
    """A tracking store of its own, made before any worker uses it."""
    params = TrackingParams(uri=f"sqlite:///{folder}/mlflow.db", artifacts=folder / "mlruns", experiment="chaos")
    Tracking(params)
    return params


def trial(params: TrackingParams, kills: int, cells: int, seconds: float = 0.05) -> dict[str, int]:
    """Kill one worker after another, let a last one finish, and count.

    Args:
        params: the tracking store.
        kills: how many workers are killed.
        cells: how many there are to do.
        seconds: that a cell takes beside its record.

    Returns:
        The numbers of kills, cells, cells lost, cells done twice, and runs left under way.
    """
    chance, keys, lost = random.Random(0), [content_key(index) for index in range(cells)], 0
    before: set[str] = set()
    for _ in range(kills):
        worker = start(params, keys, seconds)
        worker.join(chance.uniform(0.05, LONGEST_LIFE))
        worker.kill()
        worker.join()
        after = set(Tracking(params).finished("cell"))
        lost += len(before - after)
        before = after
    work(params, keys, 0.0)
    tracking = Tracking(params)
    runs = tracking.runs("cell")
    for run in runs:
        tracking.fetch(run.info.run_id)  # whole, and what was stored
    times = Counter(run.data.tags[KEY] for run in runs)
    left = tracking.client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'")
    return {
        "kills": kills,
        "cells": cells,
        "lost": lost + sum(times[key] == 0 for key in keys),
        "doubled": sum(count > 1 for count in times.values()),
        "under_way": len(left),
    }


def start(params: TrackingParams, keys: list[str], seconds: float) -> multiprocessing.Process:
    """A worker as a process of its own, forked so that it begins at once: from a process with no database open."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    process = context.Process(target=work, args=(params, keys, seconds))
    process.start()
    return process


def work(params: TrackingParams, keys: list[str], seconds: float) -> None:
    """Do every cell that is not done, each with an artifact."""
    tracking = Tracking(params)
    done = tracking.finished("cell")

    def attempt(key: str) -> bool:
        path = params.artifacts.parent / f"{os.getpid()}-{key}.txt"
        try:
            with claimed(tracking, "cell", "cell", key, {}) as record:
                path.write_text(key)
                time.sleep(seconds)
                record.metrics["score"] = 1.0
                tracking.keep(record, path)
        except Taken as taken:
            return taken.finished is not None
        return True

    todo = [key for key in keys if key not in done]
    shared(todo, lambda keys: ((key, attempt(key)) for key in keys), lambda: None)


if __name__ == "__main__":
    main()
