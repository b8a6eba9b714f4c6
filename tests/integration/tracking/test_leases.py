"""Workers that share a benchmark, and workers that are killed, on a real MLflow store."""

import os
import shutil
import signal
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pandas
import pytest
from mlflow.exceptions import MlflowException

from benchmarks import chaos
from flows.registry.models import aliases, versions
from flows.registry.versions import record_scores, register_version
from flows.tracking.leases import LeaseHeldError, end_abandoned, leased_run, live_run, make_or_wait
from flows.tracking.schema import Kind, Tag, by_key, score_tag
from flows.tracking.store import open_store
from tests.conftest import empty_store

KEYS = [f"{index:064x}" for index in range(12)]


@pytest.fixture
def params(tmp_path):
    shutil.copyfile(empty_store(), tmp_path / "mlflow.db")
    return chaos.store(tmp_path)


def test_two_workers_share_the_work_and_do_nothing_twice(params):
    workers = [chaos.start(params, KEYS, 0.2), chaos.start(params, KEYS, 0.2)]
    for worker in workers:
        worker.join(120)
        assert worker.exitcode == 0
    found = open_store(params).runs(Kind.CELL)
    assert Counter(run.data.tags[Tag.KEY] for run in found) == dict.fromkeys(KEYS, 1)
    assert len({run.data.tags[Tag.WORKER] for run in found}) == 2, "each did some"


def test_of_two_workers_killed_at_twenty_random_moments_everything_is_done_exactly_once(params):
    counted = chaos.trial(params, kills=20)
    assert counted.pop("cells") >= chaos.AHEAD
    assert counted == {"kills": 20, "lost": 0, "doubled": 0, "under_way": 0}


def test_a_worker_that_is_stopped_keeps_its_claim_and_a_dead_one_loses_it(params):
    worker = chaos.start(params, KEYS, 30)
    tracking = open_store(params)
    while not tracking.client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'"):
        time.sleep(0.1)
    os.kill(worker.pid, signal.SIGSTOP)
    with pytest.raises(LeaseHeldError) as taken, leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}):
        pass
    assert taken.value.finished is None
    worker.kill()
    worker.join()
    with leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}):
        pass
    with pytest.raises(LeaseHeldError) as taken, leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}):
        pass
    assert taken.value.finished


# 280 s: a beat that met no server was tried again for 250 s, after the 30 s since the one before.
@pytest.mark.parametrize(("age", "lost"), [(10, False), (280, False), (310, True)])
def test_a_worker_of_another_machine_is_lost_without_a_heartbeat(params, age, lost):
    tracking = open_store(params)
    tags = {Tag.WORKER: "elsewhere/1/1.00", Tag.HEARTBEAT: f"{time.time() - age:.0f}", Tag.KIND: "cell"} | by_key(
        "cell", KEYS[0]
    )
    theirs = tracking.client.create_run(tracking.experiment, tags=tags)
    if lost:
        with leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}):
            pass
        assert tracking.get(theirs.info.run_id).info.status == "KILLED"
    else:
        with pytest.raises(LeaseHeldError), leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}):
            pass
        assert tracking.get(theirs.info.run_id).info.status == "RUNNING"


def test_a_lost_worker_that_comes_back_does_not_finish_what_another_took_over(params):
    slow, quick = open_store(params), open_store(params)
    with pytest.raises(LeaseHeldError), leased_run(slow, Kind.CELL, "cell", KEYS[0], {}) as lost:
        # To the other, this worker is one of another machine that was silent for too long.
        slow.client.set_tag(lost.run_id, Tag.WORKER, "elsewhere/1/1.00")
        slow.client.set_tag(lost.run_id, Tag.HEARTBEAT, f"{time.time() - 310:.0f}")
        with leased_run(quick, Kind.CELL, "cell", KEYS[0], {}) as taken_over:
            pass
    assert [run.info.run_id for run in quick.runs(Kind.CELL)] == [taken_over.run_id]
    assert quick.get(lost.run_id).info.status == "KILLED"


def test_a_claim_of_two_runs_since_an_answer_was_lost_does_not_wait_for_itself(params, monkeypatch):
    tracking = open_store(params)
    real = tracking.client.create_run

    def asks_again(*arguments, **options):
        """As MLflow's client does when the server is killed between its commit and its answer."""
        real(*arguments, **options)
        return real(*arguments, **options)

    monkeypatch.setattr(tracking.client, "create_run", asks_again)
    with leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}) as record:
        pass
    found = {run.info.run_id: run.info.status for run in tracking.client.search_runs([tracking.experiment])}
    assert found.pop(record.run_id) == "FINISHED"
    assert list(found.values()) == ["KILLED"]


def test_runs_that_no_worker_is_at_are_ended_and_others_are_not(params):
    tracking = open_store(params)
    worker = chaos.start(params, KEYS, 30)
    while not (killed := tracking.client.search_runs([tracking.experiment], "attributes.status = 'RUNNING'")):
        time.sleep(0.1)
    with live_run(tracking, Kind.CELL, "cell", KEYS[1], {}) as mine:
        end_abandoned(tracking, Kind.CELL)
        assert tracking.get(killed[0].info.run_id).info.status == "RUNNING", "its worker lives"
        worker.kill()
        worker.join()
        end_abandoned(tracking, Kind.BENCHMARK)
        assert tracking.get(killed[0].info.run_id).info.status == "RUNNING", "it is of another kind"
        end_abandoned(tracking, Kind.CELL)
        assert tracking.get(killed[0].info.run_id).info.status == "KILLED"
    assert tracking.get(mine.run_id).info.status == "FINISHED"


def test_a_failed_attempt_frees_the_key(params):
    tracking = open_store(params)
    with pytest.raises(RuntimeError, match="broke"), leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}):
        raise RuntimeError("it broke")
    with leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}):
        pass


@pytest.mark.parametrize("at", ["it broke", None])
def test_a_run_whose_record_is_refused_has_failed_with_the_reason_and_frees_its_key(params, monkeypatch, at):
    tracking = open_store(params)
    monkeypatch.setattr(tracking.client, "log_batch", refuse)
    told = at or "the store is broken"
    with (
        pytest.raises((RuntimeError, MlflowException), match=told),
        leased_run(tracking, Kind.CELL, "cell", KEYS[0], {}) as record,
    ):
        if at:
            raise RuntimeError(at)
    found = tracking.get(record.run_id)
    assert found.info.status == "FAILED" and told in found.data.tags[Tag.REASON]
    with leased_run(open_store(params), "cell", "cell", KEYS[0], {}):
        pass


def test_a_run_that_a_living_process_could_not_end_is_lost_once_its_heartbeat_is_old(params, monkeypatch):
    away, other = open_store(params), open_store(params)
    with pytest.raises(RuntimeError, match="it broke"), leased_run(away, Kind.CELL, "cell", KEYS[0], {}) as left:
        for call in ("log_batch", "set_tag", "set_terminated"):
            monkeypatch.setattr(away.client, call, refuse)
        raise RuntimeError("it broke")
    with pytest.raises(LeaseHeldError), leased_run(other, Kind.CELL, "cell", KEYS[0], {}):
        pass
    assert other.get(left.run_id).info.status == "RUNNING"
    other.client.set_tag(left.run_id, Tag.HEARTBEAT, f"{time.time() - 310:.0f}")
    with leased_run(other, Kind.CELL, "cell", KEYS[0], {}):
        pass
    assert other.get(left.run_id).info.status == "KILLED"


def test_what_two_make_at_once_is_made_once(params):
    begun, going = threading.Event(), threading.Event()

    def make():
        with leased_run(open_store(params), "cell", "cell", KEYS[0], {}) as record:
            begun.set()
            assert going.wait(60)
        return record.run_id

    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(make_or_wait, make)
        assert begun.wait(60)
        second = pool.submit(make_or_wait, make)
        time.sleep(1)
        assert not second.done(), "it waits for the first"
        going.set()
        run_id, _ = first.result(60)
        assert (first.result(60), second.result(60)) == ((run_id, True), (run_id, False))


def test_of_two_workers_that_name_one_challenger_at_once_neither_fails(params, monkeypatch):
    name = "identity.pocket.dog"
    tracking = open_store(params)
    keys = f"{1:064x}", f"{2:064x}"
    for key in keys:
        with tracking.run(Kind.ADAPTER, "identity dog", key, {}) as record:
            pass
        if key == keys[0]:
            register_version(tracking, name, key, tracking.get(record.run_id), "", {}, "card")
    real = tracking.client.set_registered_model_alias

    def beaten(model, alias, version):
        """Another worker sets the alias between this one's look and its own attempt, which the store then refuses."""
        real(model, alias, version)
        raise MlflowException("UNIQUE constraint failed: registered_model_aliases")

    monkeypatch.setattr(tracking.client, "set_registered_model_alias", beaten)
    register_version(tracking, name, keys[1], tracking.get(record.run_id), "", {}, "card")
    assert aliases(tracking, name) == {"champion": 1, "challenger": 2}
    monkeypatch.setattr(tracking.client, "set_registered_model_alias", refuse)
    with tracking.run(Kind.ADAPTER, "identity dog", f"{3:064x}", {}) as record:
        pass
    with pytest.raises(MlflowException, match="the store is broken"):
        register_version(tracking, name, f"{3:064x}", tracking.get(record.run_id), "", {}, "card")


def test_of_two_benchmarks_that_score_a_version_at_once_neither_fails(params, monkeypatch):
    tracking = open_store(params)
    with tracking.run(Kind.ADAPTER, "identity dog", KEYS[0], {}) as record:
        pass
    found = register_version(tracking, "identity.pocket.dog", KEYS[0], tracking.get(record.run_id), "", {}, "card")
    cells = pandas.DataFrame({"subject": ["dog"], "motion": ["square"], "clip_t": [0.5]})
    real, beaten = tracking.client.set_model_version_tag, set()

    def beaten_once(name, version, tag, value):
        """Another benchmark sets the tag between this one's look and its own attempt, which the store then refuses."""
        if tag not in beaten:
            beaten.add(tag)
            real(name, version, tag, "0.4")
            raise MlflowException("UNIQUE constraint failed: model_version_tags")
        real(name, version, tag, value)

    monkeypatch.setattr(tracking.client, "set_model_version_tag", beaten_once)
    record_scores(tracking, "a1", cells, [found])
    (scored,) = versions(tracking, found.name)
    assert (scored.tags[score_tag("clip_t")], scored.tags[Tag.SCORED_BY]) == ("0.500000", "a1")
    monkeypatch.setattr(tracking.client, "set_model_version_tag", refuse)
    with pytest.raises(MlflowException, match="the store is broken"):
        record_scores(tracking, "a1", cells, [found])


def refuse(*_, **__):
    raise MlflowException("the store is broken")
