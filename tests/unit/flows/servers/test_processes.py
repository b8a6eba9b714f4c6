"""Processes in the background: started, known again, stopped with what they started."""

import json
import os
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from flows.servers.processes import Service, running, start, started, stop
from flows.tracking.liveness import same_process

PARENT = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, os.environ["WORD"], flush=True)
child.wait()
"""

POOL = """
import multiprocessing, os, time
from concurrent.futures import ProcessPoolExecutor

def begin():
    from flows.execution.worker_processes import begin_worker
    begin_worker()

if __name__ == "__main__":
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn"), begin) as pool:
        print(pool.submit(os.getpid).result(), flush=True)
        time.sleep(600)
"""


def service(name="one", code=PARENT):
    return Service(name, (sys.executable, "-c", code), "http://127.0.0.1:1", {"WORD": "hello"})


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "server"
    yield folder
    for name in started(folder):
        stop(name, folder)


def wait_for(condition):
    deadline = time.monotonic() + 60
    while not (found := condition()):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return found


def test_a_service_is_known_again_and_stopped_with_its_children(folder):
    start(service(), folder)
    child, word = wait_for((folder / "one.log").read_text).split()
    assert word == "hello"
    there = running(folder, "one")
    assert there.url == "http://127.0.0.1:1" and there.process.is_running()
    assert os.getsid(there.process.pid) == there.process.pid  # the terminal's signals do not reach it
    assert stop("one", folder)
    assert not psutil.pid_exists(int(child)) and running(folder, "one") is None
    assert started(folder) == {} and not stop("one", folder)


def test_a_process_that_does_not_end_by_itself_is_killed(folder, monkeypatch):
    monkeypatch.setattr("flows.servers.processes.PATIENCE", 0.5)
    deaf = (
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('deaf', flush=True); time.sleep(600)"
    )
    pid = start(service(code=deaf), folder).pid
    wait_for((folder / "one.log").read_text)
    assert stop("one", folder)
    assert not psutil.pid_exists(pid)


def test_what_a_killed_service_left_behind_is_ended(folder):
    leader = start(service(), folder).pid
    child, _ = wait_for((folder / "one.log").read_text).split()
    os.kill(leader, signal.SIGKILL)
    wait_for(lambda: running(folder, "one") is None)
    assert not stop("one", folder)
    assert not psutil.pid_exists(int(child)) or psutil.Process(int(child)).status() == psutil.STATUS_ZOMBIE


def test_another_process_under_the_same_id_is_left_alone(folder):
    start(service(), folder)
    known = json.loads((folder / "one.json").read_text())
    (folder / "one.json").write_text(json.dumps(known | {"started": known["started"] - 60}))
    assert running(folder, "one") is None and started(folder) == {"one": None}
    assert not stop("one", folder)
    assert psutil.pid_exists(known["pid"])
    (folder / "one.json").write_text(json.dumps(known))


def test_one_that_ended_by_itself_is_told_from_one_that_was_stopped(folder):
    start(service(code="pass"), folder).wait(60)
    assert started(folder) == {"one": None}
    assert not stop("one", folder)
    assert started(folder) == {}


def test_logs_and_databases_are_for_the_user_alone(folder):
    start(service(), folder)
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_a_process_of_a_pool_ends_when_the_one_that_started_it_is_killed(tmp_path):
    (tmp_path / "pool.py").write_text(POOL)
    path = {"PYTHONPATH": str(Path(__file__).resolve().parents[4])}
    command = [sys.executable, str(tmp_path / "pool.py")]
    with subprocess.Popen(command, env=os.environ | path, stdout=subprocess.PIPE, text=True) as flow:
        worker = psutil.Process(int(flow.stdout.readline()))
        began = worker.create_time()
        assert same_process(worker.pid, began)
        flow.kill()
    wait_for(lambda: same_process(worker.pid, began) is None)
