"""The servers as an operator meets them: up, runs that a worker takes, alerts, a killed worker, down. And on PostgreSQL."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import psutil
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from dreamvideo.params import TrackingParams
from flows.servers import alerts
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import open_store
from tests.integration.conftest import free_port, wait_for
from tests.support.project import Project, miniature

TOKEN = "a-secret-path"


@pytest.fixture(scope="module")
def told():
    """A webhook on this machine: its URL, and the lines that it was told."""
    lines = []

    class Webhook(BaseHTTPRequestHandler):
        def do_POST(self):
            lines.append(json.loads(self.rfile.read(int(self.headers["Content-Length"])))["text"])
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Webhook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/{TOKEN}", lines
    server.shutdown()


@pytest.fixture(scope="module")
def project(tmp_path_factory, dataset, told):
    folder = miniature(tmp_path_factory.mktemp("servers"), dataset)
    project = Project(folder, DREAMVIDEO_ALERT_WEBHOOK=told[0])
    project.said = project.server("up")
    yield project
    project.server("down")


def test_up_says_where_everything_is(project):
    for line in (
        f"Prefect  {project.prefect}",
        f"MLflow   {project.mlflow}",
        f"reports  {(project.folder / 'reports').as_uri()}/",
        f"export PREFECT_API_URL={project.prefect}/api",
        f"export MLFLOW_TRACKING_URI={project.mlflow}",
    ):
        assert line in project.said
    assert "WARNING" not in project.said and project.server("status").count("healthy") == 3


def test_nothing_listens_beyond_this_machine(project):
    listening = [
        connection.laddr.ip
        for process in project.processes()
        for connection in process.net_connections("inet")
        if connection.status == psutil.CONN_LISTEN
    ]
    assert set(listening) == {"127.0.0.1"}


def test_the_deployments_are_registered(project):
    found = {one["name"]: one for one in project.ask("deployments/filter")}
    assert set(found) == {"train-subject", "train-motion", "benchmark", "report", "promote"}
    assert {one["work_pool_name"] for one in found.values()} == {"gpu"}
    (weekly,) = [one["schedule"] for one in found["benchmark"]["schedules"] if one["active"]]
    assert weekly["cron"].split()[4] == "1" and weekly["timezone"]
    assert all(one["description"] for one in found["benchmark"]["parameter_openapi_schema"]["properties"].values())


def test_a_second_run_waits_for_the_worker_and_both_ends_are_told(project, told):
    first = project.run("train-motion", "auto-scheduled", name="square")
    wait_for(lambda: project.state(first)["state_type"] == "RUNNING")
    second = project.run("train-subject", name="dgo")
    while project.state(first)["end_time"] is None:
        assert project.state(second)["start_time"] is None
        time.sleep(0.2)
    ended = project.ended(second)
    assert project.state(first)["state_type"] == "COMPLETED" and ended["state_type"] == "FAILED"
    assert ended["start_time"] >= project.state(first)["end_time"]
    tracking = project.tracking()
    (adapter,) = tracking.runs(Kind.ADAPTER)
    assert adapter.data.tags[Tag.NAME] == "square" and tracking.artifacts.fetch(adapter.info.run_id).exists()
    # One that gets no answer in time is posted again.
    completed, failed = sorted(wait_for(lambda: len(set(told[1])) >= 2 and set(told[1])))
    assert completed.startswith("train-motion completed: ") and completed.endswith(
        f"{project.prefect}/runs/flow-run/{first}"
    )
    assert "train-subject failed: " in failed and "unknown subject 'dgo'; did you mean 'dog'?" in failed


def test_the_webhook_is_in_no_file(project):
    files = [path for path in project.folder.rglob("*") if path.is_file() and not path.is_symlink()]
    assert any(path.name == "prefect.db" for path in files)
    assert not [path for path in files if TOKEN.encode() in path.read_bytes()]
    assert TOKEN not in project.said


def test_up_again_starts_what_was_killed_and_leaves_the_rest(project):
    pids = project.pids()
    os.kill(pids["worker-cpu"], signal.SIGKILL)
    assert "ended" in project.server("status", code=1)
    said = project.server("up")
    assert "prefect runs already" in said and "mlflow runs already" in said and "worker-cpu is healthy" in said
    left = {name for name, pid in project.pids().items() if pid == pids[name]}
    assert left == {"prefect", "mlflow"}


@pytest.mark.parametrize(
    ("server", "deployment", "name"), [("prefect", "train-motion", "wave_up"), ("mlflow", "train-subject", "van")]
)
def test_a_server_that_is_killed_in_the_middle_of_a_run_is_started_again_and_the_run_is_whole(
    project, server, deployment, name
):
    run = project.run(deployment, name=name)
    wait_for(lambda: project.state(run)["state_type"] == "RUNNING")
    os.kill(project.pids()[server], signal.SIGKILL)
    project.server("up")
    assert project.server("status").count("healthy") == 3
    ended = project.ended(run)
    assert ended["state_type"] == "COMPLETED", ended
    tracking = project.tracking()
    (adapter,) = [one for one in tracking.runs(Kind.ADAPTER) if one.data.tags[Tag.NAME] == name]
    assert tracking.artifacts.fetch(adapter.info.run_id).exists()


def test_a_killed_worker_is_told_by_what_it_ran_and_what_waits_for_it_and_the_next_one_does_the_rest(
    project, told, monkeypatch
):
    soon, name = {"within": timedelta(seconds=10)}, "DreamVideo: a schedule does not start"
    when, words = alerts.TOLD[name]
    monkeypatch.setitem(alerts.TOLD, name, (when | soon, words))
    monkeypatch.setattr(alerts, "_SILENT", alerts._SILENT.model_copy(update=soon))
    monkeypatch.setenv(alerts.WEBHOOK, told[0])
    api = f"{project.prefect}/api"
    with temporary_settings({PREFECT_API_URL: api}), get_client(sync_client=True) as client:
        alerts.set_up_alerts(client)
    run = project.run("benchmark", subjects="dog", motions="square", prompts=1)
    wait_for(lambda: project.signs_of_life(run))
    worker = psutil.Process(project.pids()["worker-cpu"])
    for process in (*worker.children(recursive=True), worker):
        process.kill()
    assert project.state(run)["state_type"] == "RUNNING"
    scheduled = project.run("benchmark", "auto-scheduled", subjects="dog", motions="square", prompts=1)
    gone = f"benchmark crashed: no sign of life; its process or machine is gone {project.prefect}/runs/flow-run/{run}"
    late = f"benchmark does not start: is a worker up, and its GPU free? {project.prefect}/runs/flow-run/{scheduled}"
    wait_for(lambda: {gone, late} <= set(told[1]))
    assert project.state(run)["state_type"] == "CRASHED"
    project.server("up")
    ended = project.ended(scheduled)
    assert ended["state_type"] == "COMPLETED", ended
    (cell,) = project.tracking().runs(Kind.CELL)
    assert (cell.data.params["subject"], cell.data.params["motion"]) == ("dog", "square")


def test_scores_that_fell_are_told(project, told):
    tell = "from flows.servers.alerts import tell_regression; tell_regression('a1', 'dino_i fell by 0.2')"
    environment = project.environment | {"PREFECT_API_URL": f"{project.prefect}/api"}
    subprocess.run([sys.executable, "-c", tell], cwd=project.folder, env=environment, check=True)
    wait_for(lambda: "dino_i fell by 0.2" in told[1])


def test_a_port_that_is_taken_starts_nothing(project, tmp_path):
    shutil.copy(project.folder / "params.yaml", tmp_path)
    other = project.environment | {"DREAMVIDEO_PREFECT_PORT": str(free_port())}
    command = [sys.executable, "-c", "from flows.cli.main import main; main()", "server", "up"]
    done = subprocess.run(command, cwd=tmp_path, env=other, capture_output=True, text=True)
    assert done.returncode == 2 and "choose a free port, as in DREAMVIDEO_MLFLOW_PORT=" in done.stderr
    assert not (tmp_path / "server").exists()


def test_down_ends_every_process_and_keeps_the_data(project):
    processes = project.processes()
    assert len(processes) >= 3
    assert "stopped: worker-cpu, mlflow, prefect" in project.server("down")
    assert not [process for process in processes if process.is_running() and process.status() != psutil.STATUS_ZOMBIE]
    assert "nothing runs" in project.server("status") and "nothing runs" in project.server("down")
    # The runs are found without the servers, too.
    store = TrackingParams(
        uri=f"sqlite:///{project.folder}/mlflow.db", artifacts=Path("unused"), experiment="dreamvideo"
    )
    tracking = open_store(store)
    assert sorted(run.data.tags[Tag.NAME] for run in tracking.runs(Kind.ADAPTER)) == [
        "dog",
        "square",
        "van",
        "wave_up",
    ]
    assert tracking.artifacts.fetch(tracking.runs(Kind.CELL)[0].info.run_id).exists()


def test_the_same_on_postgresql_by_one_setting(postgresql, tmp_path, dataset):
    from sqlalchemy import create_engine, text

    project = Project(miniature(tmp_path, dataset), DREAMVIDEO_DATABASE=postgresql)
    (tmp_path / "mlflow.db").unlink()  # the store of other tests
    try:
        said = project.server("up")
        assert project.server("status").count("healthy") == 3
        assert len(project.ask("deployments/filter")) == 5
        ended = project.ended(project.run("train-motion", name="square"))
        assert ended["state_type"] == "COMPLETED", ended
        tracking = project.tracking()
        (adapter,) = tracking.runs(Kind.ADAPTER)
        assert adapter.data.tags[Tag.NAME] == "square" and tracking.artifacts.fetch(adapter.info.run_id).exists()
        with create_engine(postgresql).connect() as connection:
            count = text("SELECT table_schema, count(*) FROM information_schema.tables GROUP BY 1")
            tables = dict(tuple(row) for row in connection.execute(count))
        assert tables["prefect"] > 10 and tables["mlflow"] > 10 and "public" not in tables
    finally:
        project.server("down")
    assert not list(tmp_path.glob("**/*.db"))
    logs = "".join(path.read_text() for path in (tmp_path / "server").glob("*.log"))
    assert "a%b/c" not in said + logs and "a%25b%2Fc" not in said + logs
