"""A benchmark spread over processes of this machine, by Prefect itself and by Ray."""

import builtins
import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from pathlib import Path

import psutil
import pytest
from prefect import task
from prefect.settings import PREFECT_API_URL, get_current_settings, temporary_settings
from prefect.task_runners import ProcessPoolTaskRunner
from prefect_ray.context import RemoteOptionsContext

from dreamvideo.errors import InputError, OutOfMemoryError, UnavailableError
from dreamvideo.files import sha256_file
from dreamvideo.params import ExecutionParams, load_params
from dreamvideo.yaml_files import read_yaml, to_yaml
from flows.benchmark import run_benchmark
from flows.execution import cells as making
from flows.execution import task_runners
from flows.execution.task_runners import one_server, task_runner
from flows.planning.selection import Selection
from flows.tracking.schema import Kind, Tag, tagged
from flows.tracking.store import open_store
from tests.integration.conftest import MOTIONS, SUBJECTS, write_params

RAY = ExecutionParams(runner="ray", workers=2)
SCORES = ("clip_t", "clip_i", "dino_i", "temporal_consistency", "subject_oracle", "trajectory_oracle")


@contextmanager
def miniature(folder, dataset, execution):
    """The miniature in a folder of its own, which is the working directory; its parameters."""
    folder.mkdir()
    (folder / "data").symlink_to(dataset)
    content = read_yaml(write_params(folder), "")
    content["profiles"]["pocket"]["execution"] = execution
    (folder / "params.yaml").write_text(to_yaml(content))
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield load_params()
    finally:
        os.chdir(before)


def cells(folder, dataset, execution):
    """Run the miniature in a folder; its outcome, its cells, and who made them and their adapters."""
    with miniature(folder, dataset, execution) as params:
        outcome = run_benchmark(params, Selection())
        tracking = open_store(params.tracking)
        found = tracking.runs(Kind.ADAPTER) + tracking.runs(Kind.CELL)
        return outcome, cells_of(tracking), {run.data.tags[Tag.WORKER] for run in found}


def cells_of(tracking):
    """Video and scores of every cell, each of which is there once."""
    runs = {(run.data.params["subject"], run.data.params["motion"]): run for run in tracking.runs(Kind.CELL)}
    assert len(runs) == len(tracking.runs(Kind.CELL))
    return {
        cell: (
            sha256_file(tracking.artifacts.fetch(run.info.run_id)),
            {name: run.data.metrics[name] for name in SCORES},
        )
        for cell, run in runs.items()
    }


@pytest.fixture(scope="module")
def alone(tmp_path_factory, dataset):
    """What one process gives."""
    _, videos, (worker,) = cells(tmp_path_factory.mktemp("one") / "local", dataset, {"runner": "local"})
    assert f"/{os.getpid()}/" in worker
    return videos


@pytest.mark.parametrize("runner", ["processes", "ray"])
def test_two_processes_give_what_one_gives(tmp_path, dataset, alone, runner):
    outcome, videos, workers = cells(tmp_path / runner, dataset, {"runner": runner, "workers": 2})
    assert (outcome.finished, outcome.failed, outcome.reused) == (4, 0, 0)
    assert outcome.report.name == "report.html"
    assert len(workers) == 2 and not any(f"/{os.getpid()}/" in worker for worker in workers)
    assert videos.keys() == {(subject, motion) for subject in SUBJECTS for motion in MOTIONS}
    assert videos == alone


@contextmanager
def killed_at(kind, params):
    """Within, the process that is at the first run of a kind is killed."""
    ended = threading.Event()
    killer = threading.Thread(target=kill_the_first, args=(kind, params, ended))
    killer.start()
    try:
        yield
    finally:
        ended.set()
        killer.join()


def kill_the_first(kind, params, ended):
    """Kill the process that is at the first run of a kind, as the system does where memory ends."""
    tracking = open_store(params.tracking)
    condition = tagged({Tag.KIND: kind}) + " and attributes.status = 'RUNNING'"
    while not ended.wait(0.02):
        for run in tracking.client.search_runs([tracking.experiment], condition):
            _, pid, _ = run.data.tags[Tag.WORKER].split("/")
            os.kill(int(pid), signal.SIGKILL)
            return


def at_once(params, others, monkeypatch):
    """Two benchmarks of everything, in this process and as ``others`` says; the first is at a cell until the second has another."""
    tracking, sample = open_store(params.tracking), making.sample_video
    before = {run.info.run_id for run in attempts(tracking)}

    def has_another(key):
        new = [run for run in attempts(tracking) if run.info.run_id not in before and made_elsewhere(run)]
        return any(run.data.tags[Tag.KEY] != key for run in new)

    def sampled(resources, plan, *rest):
        while not (second.done() or has_another(plan.key)):  # which takes long where the machine is busy
            time.sleep(0.1)
        return sample(resources, plan, *rest)

    monkeypatch.setattr(making, "sample_video", sampled)
    here = params.model_copy(update={"execution": ExecutionParams(runner="local")})
    elsewhere = params.model_copy(update={"execution": others})
    with ThreadPoolExecutor(1) as pool:
        # With the context of this thread, which has the address of the tests' Prefect server.
        second = pool.submit(copy_context().run, run_benchmark, elsewhere, Selection())
        return run_benchmark(here, Selection()), second.result()


def attempts(tracking):
    """Every run of a cell, whatever became of it."""
    return tracking.client.search_runs([tracking.experiment], tagged({Tag.KIND: "cell"}))


def made_elsewhere(run):
    return f"/{os.getpid()}/" not in run.data.tags[Tag.WORKER]


def test_a_process_that_is_killed_stops_the_benchmark_and_two_at_once_do_the_rest(
    tmp_path, dataset, alone, monkeypatch
):
    with miniature(tmp_path / "killed", dataset, {"runner": "processes", "workers": 2}) as params:
        with pytest.raises(OutOfMemoryError), killed_at("cell", params):
            run_benchmark(params, Selection(subjects="dog"))
        tracking = open_store(params.tracking)
        adapters, made = tracking.finished(Kind.ADAPTER), tracking.finished(Kind.CELL)
        assert len(adapters) == 1 + len(MOTIONS)
        for outcome in at_once(params, ExecutionParams(runner="processes", workers=1), monkeypatch):
            assert (outcome.finished, outcome.failed) == (len(alone), 0)
        assert cells_of(tracking) == alone
        rest = [run for run in tracking.runs(Kind.CELL) if run.data.tags[Tag.KEY] not in made]
        assert {made_elsewhere(run) for run in rest} == {True, False}, "each did some"
        assert len(tracking.runs(Kind.ADAPTER)) == len(SUBJECTS + MOTIONS)
        assert adapters.items() <= tracking.finished(Kind.ADAPTER).items()
        every = tracking.client.search_runs([tracking.experiment])
        assert not [run for run in every if run.info.status == "RUNNING"]
        (stopped,) = [run for run in every if run.data.tags[Tag.KIND] == "benchmark" and run.info.status == "FAILED"]
        assert "a worker process was killed" in stopped.data.tags[Tag.REASON]


LISTENING = """
import psutil
from dreamvideo.params import ExecutionParams
from flows.execution.task_runners import task_runner

with task_runner(ExecutionParams(runner="ray", workers=2)):
    for process in psutil.Process().children(recursive=True):
        for connection in process.net_connections("inet"):
            if connection.status == psutil.CONN_LISTEN and "ray" in " ".join(process.cmdline()):
                print("listens", connection.laddr.ip)
"""


def test_a_cluster_of_this_machine_listens_on_loopback_alone():
    """In a process of its own, since Ray reads where to listen when it is imported."""
    server = {**os.environ, "PREFECT_API_URL": PREFECT_API_URL.value()}
    server.pop(task_runners.LOOPBACK_ALONE, None)  # which this process may have set
    done = subprocess.run([sys.executable, "-c", LISTENING], env=server, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    listening = [line.split()[1] for line in done.stdout.splitlines() if line.startswith("listens ")]
    assert listening
    assert {ip.removeprefix("::ffff:") for ip in listening} == {"127.0.0.1"}


@pytest.mark.parametrize("address", ["127.0.0.1:1", "nowhere"])
def test_an_address_without_a_cluster_is_refused_at_once(address):
    with pytest.raises(UnavailableError, match=address):
        task_runner(ExecutionParams(runner="ray", address=address))


def test_without_a_prefect_server_it_says_so(monkeypatch):
    with temporary_settings(restore_defaults={PREFECT_API_URL}):
        with pytest.raises(InputError, match="dreamvideo server up"):
            task_runner(RAY)
        task_runner(ExecutionParams())


def test_where_no_server_is_named_the_processes_of_a_pool_use_the_one_that_is_started():
    named = get_current_settings().api.url
    with one_server():
        assert get_current_settings().api.url == named, "the tests' own"
    with temporary_settings(restore_defaults={PREFECT_API_URL}), one_server():
        with ProcessPoolTaskRunner(max_workers=1) as pool:
            used = pool.submit(servers_of_this_process, {}).result()
        assert used == (get_current_settings().api.url, 0)
    assert used[0].startswith("http://127.0.0.1:")


@task
def servers_of_this_process():
    """The address that tasks report to here, and how many processes this one has started."""
    return get_current_settings().api.url, len(psutil.Process().children())


@pytest.mark.parametrize(
    ("resources", "options"), [({"GPU": 2.0}, {"num_gpus": 1, "max_calls": 0}), ({"CPU": 2.0}, {"num_cpus": 1})]
)
def test_a_task_takes_a_gpu_where_there_are_any_and_leaves_its_process_for_the_next(monkeypatch, resources, options):
    monkeypatch.setattr("ray.cluster_resources", lambda: resources)
    with task_runners._share():
        assert RemoteOptionsContext.get().current_remote_options == options


def test_without_ray_it_says_how_to_get_it(monkeypatch):
    def without_ray(name, *rest, **kwargs):
        if name.startswith("prefect_ray"):
            raise ImportError(name)
        return real(name, *rest, **kwargs)

    real = builtins.__import__
    monkeypatch.setattr(builtins, "__import__", without_ray)
    with pytest.raises(InputError, match=r"\[ray\]"):
        task_runner(RAY)
