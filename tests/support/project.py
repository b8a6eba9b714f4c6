"""A project in a folder, its command line, and what its servers are asked."""

import json
import os
import shutil
import subprocess
import sys
from http import HTTPStatus
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

import psutil

from dreamvideo.params import TrackingParams
from flows.tracking.store import open_store
from tests.integration.conftest import PATIENCE, REPOSITORY, free_port, wait_for, write_params


def miniature(folder, dataset):
    """A folder with the miniature, and what its servers need."""
    (folder / "data").symlink_to(dataset)
    (folder / "flows").symlink_to(REPOSITORY / "flows")
    shutil.copy(REPOSITORY / "prefect.yaml", folder)
    write_params(folder)
    return folder


class Project:
    """A folder with a project, and its command line."""

    def __init__(self, folder, **settings):
        self.folder = folder
        ports = {"DREAMVIDEO_PREFECT_PORT": free_port(), "DREAMVIDEO_MLFLOW_PORT": free_port()}
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_", "DREAMVIDEO_"))}
        self.environment = (
            kept | {"COLUMNS": "200", "NO_COLOR": "1"} | {k: str(v) for k, v in (ports | settings).items()}
        )
        self.prefect = f"http://127.0.0.1:{ports['DREAMVIDEO_PREFECT_PORT']}"
        self.mlflow = f"http://127.0.0.1:{ports['DREAMVIDEO_MLFLOW_PORT']}"

    def server(self, *arguments, code=0):
        command = [sys.executable, "-c", "from flows.cli.main import main; main()", "server", *arguments]
        done = subprocess.run(command, cwd=self.folder, env=self.environment, capture_output=True, text=True)
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def pids(self):
        return {path.stem: json.loads(path.read_text())["pid"] for path in (self.folder / "server").glob("*.json")}

    def processes(self):
        leaders = [psutil.Process(pid) for pid in self.pids().values()]
        return [process for leader in leaders for process in (leader, *leader.children(recursive=True))]

    def ask(self, path, **content):
        request = Request(
            f"{self.prefect}/api/{path}", json.dumps(content).encode(), {"Content-Type": "application/json"}
        )
        return wait_for(lambda: answered(request))[0]

    def run(self, name, /, *tags, **parameters):
        """Ask for a run of a deployment; returns its id."""
        deployment = next(one for one in self.ask("deployments/filter") if one["name"] == name)
        path = f"deployments/{deployment['id']}/create_flow_run"
        return self.ask(path, parameters=parameters, tags=list(tags), state={"type": "SCHEDULED"})["id"]

    def ended(self, run_id):
        """The state of a run once it has ended."""
        return wait_for(lambda: (state := self.state(run_id))["end_time"] and state)

    def state(self, run_id):
        return self.ask("flow_runs/filter", flow_runs={"id": {"any_": [run_id]}})[0]

    def signs_of_life(self, run_id):
        """How many a run has given."""
        events = {
            "event": {"name": ["prefect.flow-run.heartbeat"]},
            "resource": {"id": [f"prefect.flow-run.{run_id}"]},
        }
        return self.ask("events/filter", filter=events)["total"]

    def tracking(self):
        return open_store(TrackingParams(uri=self.mlflow, artifacts=Path("unused"), experiment="dreamvideo"))


def answered(request):
    """What a server answers, in a list; an empty list where it is too busy to."""
    try:
        with urlopen(request, timeout=PATIENCE) as answer:  # it says after 60 s that it is too busy
            return [json.load(answer)]
    except HTTPError as error:
        if error.code != HTTPStatus.SERVICE_UNAVAILABLE:
            raise
        return []
