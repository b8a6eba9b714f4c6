"""What compose.yaml and the Dockerfile run, outside containers: in a copy of the code without .git, on PostgreSQL and S3."""

import io
import re
import signal
import subprocess
import sys
import tarfile
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from dreamvideo.dataset.catalog import load_catalog
from dreamvideo.dataset.checksums import verify_files
from dreamvideo.errors import DamagedError
from flows.tracking.provenance import data_hash, git_commit
from flows.tracking.schema import Kind
from tests.integration.conftest import PATIENCE, REPOSITORY, free_port, wait_for
from tests.support.project import Project
from tests.unit.flows.servers.test_containers import SECRETS, dreamvideo_commands, instruction, interpolated

REGION = "us-east-1"
KEY = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-secret-key"}
MLFLOW, PREFECT, REGISTER, PULL, WORKER = dreamvideo_commands()


@pytest.fixture(scope="module")
def image(tmp_path_factory, isolated_dvc):
    """The code as it is in an image: what is committed, without .git, data and weights."""
    if not (REPOSITORY / ".git").exists():
        pytest.skip("not a git checkout, so there is no archive of the code")
    folder = tmp_path_factory.mktemp("image")
    archive = subprocess.run(["git", "archive", "HEAD"], cwd=REPOSITORY, capture_output=True, check=True).stdout
    with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
        tar.extractall(folder, filter="data")
    assert not (folder / ".git").exists() and not (folder / "data").exists()
    return folder


@pytest.fixture(scope="module")
def objects():
    """The URL of an object store that holds nothing."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture(scope="module")
def bucket(objects):
    """A bucket in it."""
    key = {name.lower(): value for name, value in KEY.items()}
    store = boto3.resource("s3", endpoint_url=objects, region_name=REGION, **key)
    return store.create_bucket(Bucket="videos")


@pytest.fixture(scope="module")
def project(image, postgresql, objects, bucket):
    """A project of which every service runs and is healthy; the MLflow server alone knows of the object store."""
    project = Project(image)
    database = {"DREAMVIDEO_DATABASE": postgresql}
    store = KEY | {
        "AWS_DEFAULT_REGION": REGION,
        "MLFLOW_S3_ENDPOINT_URL": objects,
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
        "DREAMVIDEO_ARTIFACTS": f"s3://{bucket.name}/benchmarks",
    }
    servers = {"PREFECT_API_URL": f"{project.prefect}/api", "MLFLOW_TRACKING_URI": project.mlflow}
    port = free_port()
    health = {"PREFECT_WORKER_WEBSERVER_PORT": str(port)}  # those of several containers are alike
    compose = interpolated(**SECRETS)["services"]
    with (
        running(project, MLFLOW, database | store) as mlflow,
        running(project, PREFECT, database) as prefect,
    ):
        project.pulled = done(project, PULL)
        wait_until_healthy(mlflow, project.mlflow, compose["mlflow"]["healthcheck"]["test"][-1])
        wait_until_healthy(prefect, project.prefect, compose["prefect"]["healthcheck"]["test"][-1])
        done(project, REGISTER, servers)
        with running(project, WORKER, servers | health) as worker:
            wait_until_healthy(worker, f"http://127.0.0.1:{port}", instruction("HEALTHCHECK")[0])
            yield project
    assert KEY["AWS_SECRET_ACCESS_KEY"] not in "".join(path.read_text() for path in image.glob("*.log"))


def dreamvideo(project, words, settings):
    """How a command of the files is run here."""
    command = [sys.executable, "-c", "from flows.cli.main import main; main()", *words[1:]]
    return {"args": command, "cwd": project.folder, "env": project.environment | settings}


@contextmanager
def running(project, words, settings):
    """A service, started as a script starts what it leaves in the background, with interrupts ignored; its process and its log."""
    path = project.folder / f"{words[-1].strip('-')}.log"
    with path.open("wb") as log:
        ignoring = partial(signal.signal, signal.SIGINT, signal.SIG_IGN)
        process = subprocess.Popen(**dreamvideo(project, words, settings), stdout=log, stderr=log, preexec_fn=ignoring)
    try:
        yield process, path
    finally:
        process.terminate()
        process.wait(PATIENCE)


def done(project, words, settings=()):
    """What a command prints that ends by itself."""
    ended = subprocess.run(**dreamvideo(project, words, dict(settings)), capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def wait_until_healthy(service, address, check):
    """Wait until a service answers at the URL of its health check, which has the port of a container."""
    (path,) = re.findall(r"http://127\.0\.0\.1:\d+(/[\w/]+)", check)
    process, log = service
    wait_for(lambda: process.poll() is not None or is_up(address + path))
    assert process.poll() is None, log.read_text()


def is_up(url):
    try:
        with urlopen(url) as answer:
            return answer.status == 200
    except URLError:
        return False


def test_data_and_weights_come_without_git_and_runs_say_which_code_and_data_they_are_of(project, monkeypatch):
    assert all(f"{name}: " in project.pulled for name in ("data.dvc", "models.dvc"))
    monkeypatch.chdir(project.folder)
    catalog = load_catalog(Path("data"))
    verify_files(catalog)
    assert Path("models/pocket/base").is_dir() and data_hash(catalog).endswith(".dir")
    monkeypatch.setenv("DREAMVIDEO_COMMIT", "a1b2c3")
    assert git_commit() == "a1b2c3"


def test_the_deployments_are_registered(project):
    assert len(project.ask("deployments/filter")) == 5
    wait_for(lambda: [pool["status"] for pool in project.ask("work_pools/filter")] == ["READY"])  # a worker is there


def test_a_worker_without_credentials_keeps_and_fetches_what_lies_in_the_bucket(project, bucket, tmp_path, monkeypatch):
    for name in (*KEY, "AWS_DEFAULT_REGION", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    (tmp_path / "video.mp4").write_bytes(b"a video")
    tracking = project.tracking()
    with tracking.run(Kind.CELL, "dog x square", f"{1:064x}", {}) as record:
        tracking.keep(record, tmp_path / "video.mp4")
    with tracking.run(Kind.CELL, "dog x wave_up", f"{2:064x}", {}) as other:
        tracking.keep(other, tmp_path / "video.mp4")  # the store holds more than what is lost below
    (stored,) = [one for one in bucket.objects.all() if record.run_id in one.key]
    assert stored.key.startswith("benchmarks/") and stored.key.endswith(f"/{record.run_id}/artifacts/video.mp4")
    assert stored.get()["Body"].read() == b"a video"
    assert tracking.artifacts.fetch(record.run_id).read_bytes() == b"a video"
    stored.put(Body=b"another")
    with pytest.raises(DamagedError, match=r"video\.mp4 is not what was stored"):
        tracking.artifacts.fetch(record.run_id)
    stored.delete()
    with pytest.raises(DamagedError, match=r"video\.mp4 is missing"):
        tracking.artifacts.fetch(record.run_id)
