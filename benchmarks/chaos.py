"""Kill workers at random moments, and count lost and doubled cells: `python -m benchmarks.chaos`. Both must be 0.

Workers use the same leases and records as a benchmark. Only the video is a small file that needs no work. So most of the
time goes into steps that a kill could damage: creating runs, storing artifacts, ending runs. Two workers share the cells,
and each kill hits one of them. With `--flow`, whole benchmarks are killed (chaos_flow.py).
"""

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from dreamvideo.files import content_key
from dreamvideo.params import TrackingParams
from flows.tracking.leases import LeaseHeldError, end_abandoned, leased_run, share_work
from flows.tracking.provenance import machine
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import open_store

LONGEST_WAIT = 0.3  # seconds between the start of both workers' work and the next kill
A_CELL = 0.05  # seconds for a cell, without its record
AHEAD = 100  # cells that still wait at every kill, so that the kill hits a busy worker
A_STORE = 40  # kills in one store: every restart reads the whole store, so a large one is slow
PATIENCE = 120  # seconds
FORKED = multiprocessing.get_context("forkserver")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--flow", action="store_true", help="kill whole benchmarks; a kill takes about a minute")
    arguments = parser.parse_args()
    kills, path = arguments.kills, Path("benchmarks") / "chaos.json"
    written = json.loads(path.read_text())
    figures: dict[str, Any] = {"machine": machine()}
    if arguments.flow:
        from benchmarks import chaos_flow

        figures |= chaos_flow.trial(kills)
        written["flows"] = figures
    else:
        figures |= trials(kills)
        written |= figures
    path.write_text(json.dumps(written, indent=2) + "\n")
    print(f"{figures['kills']} kills, {figures['cells']} cells: {figures['lost']} lost, {figures['doubled']} doubled")


def store(folder: Path) -> TrackingParams:
    """A new tracking store. It exists before any worker uses it."""
    params = TrackingParams(uri=f"sqlite:///{folder}/mlflow.db", artifacts=folder / "mlruns", experiment="chaos")
    open_store(params)
    return params


def trials(kills: int) -> dict[str, int]:
    """The sums over several trials. Each trial has its own store."""
    total: Counter[str] = Counter()
    for seed, first in enumerate(range(0, kills, A_STORE)):
        with tempfile.TemporaryDirectory() as folder:
            total.update(trial(store(Path(folder)), min(A_STORE, kills - first), seed))
    return dict(total)


def trial(params: TrackingParams, kills: int, seed: int = 0) -> dict[str, int]:
    """Let two workers share the cells, kill one or the other and replace it, let the last two finish, and count.

    Args:
        params: the tracking store.
        kills: how many workers are killed at their work.
        seed: of the moments.

    Returns:
        The numbers of kills, cells, cells lost, cells done twice, and runs left under way.
    """
    chance, lost, killed = random.Random(seed), 0, 0
    before: set[str] = set()
    keys = [content_key(index) for index in range(AHEAD)]
    workers = [at_work(params, keys, A_CELL) for _ in range(2)]
    while killed < kills:
        time.sleep(chance.uniform(0.0, LONGEST_WAIT))
        place = chance.randrange(len(workers))
        killed += workers[place].is_alive()
        workers[place].kill()
        workers[place].join()
        after = set(open_store(params).finished(Kind.CELL))
        lost += len(before - after)
        before = after
        keys += map(content_key, range(len(keys), len(after) + AHEAD))
        workers[place] = at_work(params, keys, A_CELL)
    for worker in workers:
        worker.join()
    tracking = open_store(params)
    end_abandoned(tracking, Kind.CELL)
    runs = tracking.runs(Kind.CELL)
    for run in runs:
        tracking.artifacts.fetch(run.info.run_id)  # raises if the artifact is missing or changed
    times = Counter(run.data.tags[Tag.KEY] for run in runs)
    left = tracking.client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'")
    return {
        "kills": killed,
        "cells": len(keys),
        "lost": lost + sum(times[key] == 0 for key in keys),
        "doubled": sum(count > 1 for count in times.values()),
        "under_way": len(left),
    }


def start(params: TrackingParams, keys: list[str], seconds: float, begun: Event | None = None) -> BaseProcess:
    """Start a worker process. It is a fork, so it starts at once. Its parent has no open database."""
    FORKED.set_forkserver_preload([__name__, "mlflow.store.tracking.sqlalchemy_store"])  # the slow imports
    process = FORKED.Process(target=work, args=(params, keys, seconds, begun))
    process.start()
    return process


def at_work(params: TrackingParams, keys: list[str], seconds: float) -> BaseProcess:
    """Start a worker and wait until it works. A kill then hits it at its work, even if it started slowly."""
    begun = FORKED.Event()
    worker = start(params, keys, seconds, begun)
    begun.wait(PATIENCE)
    return worker


def work(params: TrackingParams, keys: list[str], seconds: float, begun: Event | None = None) -> None:
    """End the runs of killed workers, as a benchmark does. Then do every missing cell, each with an artifact."""
    tracking = open_store(params)
    end_abandoned(tracking, Kind.CELL)
    done = tracking.finished(Kind.CELL)
    if begun:
        begun.set()

    def attempt(key: str) -> bool:
        path = params.artifacts.parent / f"{os.getpid()}-{key}.txt"
        try:
            with leased_run(tracking, Kind.CELL, "cell", key, {}) as record:
                path.write_text(key)
                time.sleep(seconds)
                record.metrics["score"] = 1.0
                tracking.keep(record, path)
        except LeaseHeldError as taken:
            return taken.finished is not None
        return True

    todo = [key for key in keys if key not in done]
    share_work(todo, lambda keys: ((key, attempt(key)) for key in keys), lambda: None)


if __name__ == "__main__":
    main()
