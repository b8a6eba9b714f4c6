"""Kill flows and processes of their pools at random moments, for `python -m benchmarks.chaos --flow`.

The benchmark is real but small: two subjects, two motions, one training step, two sampling steps. The trial starts the
same command again until it is done. Then another seed makes new cells of the same adapters, until there were enough kills.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from itertools import count
from pathlib import Path

import psutil
from prefect.settings import get_current_settings
from prefect.testing.utilities import prefect_test_harness

from benchmarks.pocket import one_step
from dreamvideo.files import sha256_file
from dreamvideo.params import TrackingParams
from dreamvideo.yaml_files import read_yaml, to_yaml
from flows.tracking.leases import is_alive
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import Tracking, open_store

COMMAND = [sys.executable, "-c", "from flows.cli.main import main; main()", "benchmark", "run"]
KINDS = Kind.ADAPTER, Kind.CELL
MAKING = 2.0  # seconds: about the time of an adapter or a cell
STOPPED = 2  # the exit code of a benchmark after the kill of one of its processes


def trial(kills: int) -> dict:
    """Kill a benchmark and start it again until the kills and the work are done. Compare it with undisturbed runs.

    Returns:
        The number of kills, by the killed process and by its work. The numbers of adapters and cells: all, lost, done twice,
        and different by a byte from an undisturbed run. The unfinished runs, and the processes still alive.
    """
    chance = random.Random(0)
    killed: Counter[str] = Counter()
    at: Counter[str] = Counter()
    repository = Path.cwd()
    with tempfile.TemporaryDirectory() as name, prefect_test_harness(server_startup_timeout=120):
        undisturbed, disturbed = (project(repository, Path(name) / part) for part in ("undisturbed", "disturbed"))
        for seed in count():
            begun = time.monotonic()
            assert start(undisturbed, seed).wait() == 0, said(undisturbed)
            longest = time.monotonic() - begun
            while True:
                process = start(disturbed, seed)
                if killed.total() < kills and runs_until_a_moment(process, disturbed, longest, chance):
                    at[doing(disturbed)] += 1
                    killed[kill(process, chance)] += 1
                if (code := process.wait()) == 0:
                    break
                assert code in (-9, STOPPED), said(disturbed)
            if killed.total() == kills:
                break
        return {"kills": kills, "killed": dict(killed), "at": dict(at)} | compared(disturbed, undisturbed)


def project(repository: Path, folder: Path) -> Path:
    """A folder with the data, the weights and the parameters of a small benchmark."""
    folder.mkdir()
    for part in ("data", "models"):
        (folder / part).symlink_to(repository / part)
    content = read_yaml(repository / "params.yaml", "")
    profile = content["profiles"][content["default_profile"]]
    profile["methods"] = {name: one_step(options) for name, options in profile["methods"].items()}
    profile["sampling"]["steps"] = 2
    (folder / "params.yaml").write_text(to_yaml(content))
    return folder


def start(folder: Path, seed: int) -> subprocess.Popen:
    """The benchmark as a user starts it."""
    command = [*COMMAND, "--subjects", "2", "--motions", "2", "--seed", str(seed)]
    environment = os.environ | {"PREFECT_API_URL": get_current_settings().api.url or ""}
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)


def runs_until_a_moment(process: subprocess.Popen, folder: Path, longest: float, chance: random.Random) -> bool:
    """Wait for a random moment of its life or, equally often, of its work. Returns whether it still runs then."""
    if chance.random() < 0.5:
        while process.poll() is None and doing(folder) not in KINDS:
            time.sleep(0.1)
        longest = MAKING
    try:
        process.wait(chance.uniform(0, longest))
    except subprocess.TimeoutExpired:
        return True
    return False


def kill(process: subprocess.Popen, chance: random.Random) -> str:
    """Kill the flow or, equally often, a process of its pool if there is one. Returns which."""
    pool = [child for child in psutil.Process(process.pid).children() if "spawn_main" in " ".join(child.cmdline())]
    if pool and chance.random() < 0.5:
        chance.choice(pool).kill()
        return "worker"
    process.kill()
    return "flow"


def doing(folder: Path) -> str:
    """The current work of a benchmark: an adapter, a cell, something else, or nothing that it has recorded."""
    found = {run.data.tags[Tag.KIND] for run in under_way(store(folder)) if is_alive(run)}
    return next((kind for kind in (*KINDS, "benchmark") if kind in found), "start")


def compared(disturbed: Path, undisturbed: Path) -> dict:
    """The numbers of lost, doubled, different and unfinished results."""
    made, expected = store(disturbed), store(undisturbed)
    figures = Counter(lost=0, doubled=0, different=0)
    for kind in KINDS:
        keys = expected.finished(kind)
        times = Counter(run.data.tags[Tag.KEY] for run in made.runs(kind))
        figures[f"{kind}s"] = len(keys)
        figures["lost"] += len(keys.keys() - times.keys())
        figures["doubled"] += sum(number > 1 for number in times.values())
        for key, run_id in made.finished(kind).items():
            figures["different"] += sha256_file(made.artifacts.fetch(run_id)) != sha256_file(
                expected.artifacts.fetch(keys[key])
            )
    return dict(figures) | {"under_way": len(under_way(made)), "processes": len(alive(disturbed))}


def alive(folder: Path) -> list[psutil.Process]:
    """The processes that still work in a folder, after some seconds of waiting for their end."""
    found = [process for process in psutil.process_iter(["cwd"]) if process.info["cwd"] == str(folder)]
    return psutil.wait_procs(found, timeout=10)[1]


def store(folder: Path) -> Tracking:
    """The store of a folder's benchmark."""
    params = TrackingParams(uri=f"sqlite:///{folder}/mlflow.db", artifacts=folder / "mlruns", experiment="dreamvideo")
    return open_store(params)


def under_way(tracking: Tracking) -> list:
    """The runs that have not ended."""
    return list(tracking.client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'"))


def said(folder: Path) -> str:
    """The last lines that the benchmarks of a folder printed."""
    return (folder / "log").read_text()[-2000:]
