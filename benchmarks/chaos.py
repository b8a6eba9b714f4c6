"""Kill workers at random moments and count what is lost or done twice: `python -m benchmarks.chaos`. Both must be 0.

Workers do cells through the same claims and records as a benchmark; only the video is a small file made at once, so
that most of the time goes into what a kill could hurt: creating runs, storing artifacts, ending runs. Two workers share
the cells at any time, and each kill is of one or the other. With `--flow` whole benchmarks are killed (chaos_flow.py).
"""

import argparse
import json
import multiprocessing
import os
import random
import tempfile
import time
from collections import Counter
from multiprocessing.synchronize import Event
from pathlib import Path

from dreamvideo.files import content_key
from dreamvideo.params import TrackingParams
from flows.tracking.leases import Taken, claimed, end_abandoned, shared
from flows.tracking.provenance import machine
from flows.tracking.store import KEY, Tracking

LONGEST_WAIT = 0.3  # seconds from when both are at work to the next kill
A_CELL = 0.05  # seconds that it takes beside its record
AHEAD = 100  # cells that there are to do at every kill, so that it meets a worker at work
A_STORE = 40  # kills, after which another store begins: each of them has all that is there looked through
PATIENCE = 120  # seconds
FORKED = multiprocessing.get_context("forkserver")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--flow", action="store_true", help="kill whole benchmarks, which takes about a minute a kill")
    arguments = parser.parse_args()
    kills, path = arguments.kills, Path("benchmarks") / "chaos.json"
    written, figures = json.loads(path.read_text()), {"machine": machine()}
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
    """A tracking store of its own, made before any worker uses it."""
    params = TrackingParams(uri=f"sqlite:///{folder}/mlflow.db", artifacts=folder / "mlruns", experiment="chaos")
    Tracking(params)
    return params


def trials(kills: int) -> dict[str, int]:
    """The numbers of several trials together, each in a store of its own."""
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
        after = set(Tracking(params).finished("cell"))
        lost += len(before - after)
        before = after
        keys += map(content_key, range(len(keys), len(after) + AHEAD))
        workers[place] = at_work(params, keys, A_CELL)
    for worker in workers:
        worker.join()
    tracking = Tracking(params)
    end_abandoned(tracking, "cell")
    runs = tracking.runs("cell")
    for run in runs:
        tracking.fetch(run.info.run_id)  # whole, and what was stored
    times = Counter(run.data.tags[KEY] for run in runs)
    left = tracking.client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'")
    return {
        "kills": killed,
        "cells": len(keys),
        "lost": lost + sum(times[key] == 0 for key in keys),
        "doubled": sum(count > 1 for count in times.values()),
        "under_way": len(left),
    }


def start(
    params: TrackingParams, keys: list[str], seconds: float, begun: Event | None = None
) -> multiprocessing.Process:
    """A worker as a process of its own, forked so that it begins at once: from a process with no database open."""
    FORKED.set_forkserver_preload([__name__, "mlflow.store.tracking.sqlalchemy_store"])  # all that takes long to import
    process = FORKED.Process(target=work, args=(params, keys, seconds, begun))
    process.start()
    return process


def at_work(params: TrackingParams, keys: list[str], seconds: float) -> multiprocessing.Process:
    """A worker that has begun, so that a kill meets it at its work however long it took to start."""
    begun = FORKED.Event()
    worker = start(params, keys, seconds, begun)
    begun.wait(PATIENCE)
    return worker


def work(params: TrackingParams, keys: list[str], seconds: float, begun: Event | None = None) -> None:
    """End what killed workers left, as a benchmark does, and do every cell that is not done, each with an artifact."""
    tracking = Tracking(params)
    end_abandoned(tracking, "cell")
    done = tracking.finished("cell")
    if begun:
        begun.set()

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
