"""A tracking server that is away for a minute: work goes on, and is logged when it is back."""

import os
import shutil
import subprocess
import sys
import threading
import time
from urllib.request import urlopen

import pytest
from mlflow.exceptions import MlflowException

from dreamvideo.errors import DamagedError, InputError
from dreamvideo.params import TrackingParams
from flows.servers.services import QUIET
from flows.tracking import leases as claims
from flows.tracking.leases import leased_run
from flows.tracking.schema import Kind
from flows.tracking.store import open_store
from tests.conftest import empty_store
from tests.integration.conftest import PATIENCE, free_port

AWAY = 60  # seconds
KEY = f"{1:064x}"


class Server:
    """An MLflow server of a folder, that can be killed and started again."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        shutil.copyfile(empty_store(), folder / "mlflow.db")

    def start(self):
        command = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port), "--workers", "1"]
        store = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db"]
        store += ["--artifacts-destination", str(self.folder / "artifacts")]
        with (self.folder / "log").open("a") as log:
            self.process = subprocess.Popen(
                [sys.executable, *command, *store], env=os.environ | QUIET, stdout=log, stderr=log
            )
        until = time.monotonic() + PATIENCE
        while not self.answers():
            assert time.monotonic() < until, (self.folder / "log").read_text()
            time.sleep(0.5)

    def stop(self):
        self.process.terminate()
        self.process.wait(60)

    def answers(self):
        try:
            with urlopen(f"{self.url}/health", timeout=5) as answer:
                return answer.status == 200
        except OSError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """Runs as a test begins; the last one may stop it."""
    one = Server(tmp_path_factory.mktemp("away"))
    one.start()
    yield one
    one.stop()


def test_work_goes_on_and_is_logged_when_the_server_is_back(server, tmp_path, monkeypatch):
    monkeypatch.setattr(claims, "HEARTBEAT", 5.0)  # several beats meet no server
    tracking = open_store(TrackingParams(uri=server.url, artifacts=tmp_path / "unused", experiment="away"))
    video = tmp_path / "video.mp4"
    with leased_run(tracking, Kind.CELL, "dog x wave_up", KEY, {}) as record:
        server.stop()
        assert not server.answers()
        back = threading.Timer(AWAY, server.start)
        back.start()
        video.write_bytes(b"frames")
        record.metrics["clip_t"] = 0.5
        tracking.keep(record, video)
    back.join(PATIENCE)
    run = tracking.find(Kind.CELL, KEY)
    assert run.data.metrics["clip_t"] == 0.5
    assert tracking.artifacts.fetch(run.info.run_id).read_bytes() == b"frames"


def test_a_server_that_is_away_is_not_told_as_lost_data(server, tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    tracking = open_store(TrackingParams(uri=server.url, artifacts=tmp_path / "unused", experiment="away"))
    video = tmp_path / "video.mp4"
    video.write_bytes(b"frames")
    with tracking.run(Kind.CELL, "dog x wave_up", KEY, {}) as record:
        tracking.keep(record, video)
    with pytest.raises(InputError, match="'nothing'"):
        tracking.get("nothing")
    with pytest.raises(DamagedError):
        tracking.artifacts.download(record.run_id, "cells.json")
    server.stop()
    for ask in (tracking.get, tracking.artifacts.fetch):
        with pytest.raises(MlflowException, match="refused"):
            ask(record.run_id)
