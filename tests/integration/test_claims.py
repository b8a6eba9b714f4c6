"""Workers that share a benchmark, and workers that are killed, on a real MLflow store."""

import multiprocessing
import os
import random
import signal
import time

import pytest

from dreamvideo.params import TrackingParams
from flows.claims import ALIVE, WORKER, Taken, claimed, shared
from flows.tracking import KEY, Tracking

KEYS = [f"{index:064x}" for index in range(12)]


@pytest.fixture
def params(tmp_path):
    params = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path / "mlruns", experiment="claims")
    Tracking(params)
    return params


def work(params: TrackingParams, seconds: float) -> None:
    """Do every key that is not done, each with an artifact, as cells are."""
    tracking = Tracking(params)

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

    shared(KEYS, attempt, lambda: None)


def started(params: TrackingParams, seconds: float) -> multiprocessing.Process:
    """A worker as a process of its own; forked, so that it begins at once."""
    process = multiprocessing.get_context("fork").Process(target=work, args=(params, seconds))
    process.start()
    return process


def count_by_key(params: TrackingParams) -> dict[str, int]:
    tracking = Tracking(params)
    counts = dict.fromkeys(KEYS, 0)
    for run in tracking.runs("cell"):
        tracking.fetch(run.info.run_id)  # whole, and what was stored
        counts[run.data.tags[KEY]] += 1
    return counts


def test_two_workers_share_the_work_and_do_nothing_twice(params):
    workers = [started(params, 0.2), started(params, 0.2)]
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    assert count_by_key(params) == dict.fromkeys(KEYS, 1)
    both = {run.data.tags[WORKER] for run in Tracking(params).runs("cell")}
    assert len(both) == 2, "each did some"


def test_killed_at_twenty_random_moments_everything_is_done_exactly_once(params):
    chance, done_before = random.Random(0), 0
    for _ in range(20):
        worker = started(params, 0.1)
        worker.join(chance.uniform(0.05, 1.5))
        worker.kill()
        worker.join()
        done = len(Tracking(params).runs("cell"))
        assert done >= done_before, "what was finished stays"
        done_before = done
    work(params, 0.0)
    assert count_by_key(params) == dict.fromkeys(KEYS, 1)
    tracking = Tracking(params)
    left = tracking.client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'")
    assert not left, "runs of killed workers are ended"


def test_a_worker_that_is_stopped_keeps_its_claim_and_a_dead_one_loses_it(params):
    worker = started(params, 30)
    tracking = Tracking(params)
    while not tracking.client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'"):
        time.sleep(0.1)
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(Taken) as taken, claimed(tracking, "cell", "cell", KEYS[0], {}):
        pass
    assert taken.value.finished is None
    worker.kill()
    worker.join()
    with claimed(tracking, "cell", "cell", KEYS[0], {}):
        pass
    with pytest.raises(Taken) as taken, claimed(tracking, "cell", "cell", KEYS[0], {}):
        pass
    assert taken.value.finished


@pytest.mark.parametrize(("age", "lost"), [(10, False), (1000, True)])
def test_a_worker_of_another_machine_is_lost_without_a_heartbeat(params, age, lost):
    tracking = Tracking(params)
    tags = {WORKER: "elsewhere/1/1.00", ALIVE: f"{time.time() - age:.0f}", KEY: KEYS[0], "dreamvideo.kind": "cell"}
    theirs = tracking.client.create_run(tracking.experiment, tags=tags)
    if lost:
        with claimed(tracking, "cell", "cell", KEYS[0], {}):
            pass
        assert tracking.get(theirs.info.run_id).info.status == "KILLED"
    else:
        with pytest.raises(Taken), claimed(tracking, "cell", "cell", KEYS[0], {}):
            pass
        assert tracking.get(theirs.info.run_id).info.status == "RUNNING"


def test_a_failed_attempt_frees_the_key(params):
    tracking = Tracking(params)
    with pytest.raises(RuntimeError, match="broke"), claimed(tracking, "cell", "cell", KEYS[0], {}):
        raise RuntimeError("it broke")
    with claimed(tracking, "cell", "cell", KEYS[0], {}):
        pass
