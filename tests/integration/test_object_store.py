"""Artifacts in an object store: a server on loopback that speaks S3, behind the MLflow server that the project starts."""

import subprocess
import sys
from urllib.error import URLError
from urllib.request import urlopen

import boto3
import pytest
from moto.server import ThreadedMotoServer

from flows.tracking import Damaged
from tests.integration.conftest import PATIENCE, wait_for
from tests.integration.test_servers import Project

REGION = "us-east-1"
KEY = {"AWS_ACCESS_KEY_ID": "an-id", "AWS_SECRET_ACCESS_KEY": "a-secret-key"}


@pytest.fixture
def objects():
    """The URL of an object store that holds nothing."""
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(objects):
    """A bucket in it."""
    key = {name.lower(): value for name, value in KEY.items()}
    store = boto3.resource("s3", endpoint_url=objects, region_name=REGION, **key)
    return store.create_bucket(Bucket="videos")


@pytest.fixture
def project(tmp_path, dataset, postgresql, objects, bucket):
    """A project whose MLflow server runs, and alone knows of the object store."""
    settings = KEY | {
        "AWS_DEFAULT_REGION": REGION,
        "MLFLOW_S3_ENDPOINT_URL": objects,
        "MLFLOW_BOTO_CLIENT_ADDRESSING_STYLE": "path",
        "DREAMVIDEO_DATABASE": postgresql,
        "DREAMVIDEO_ARTIFACTS": f"s3://{bucket.name}/benchmarks",
    }
    project = Project(tmp_path, dataset, **settings)
    command = [sys.executable, "-c", "from flows.cli import main; main()", "server", "run", "mlflow"]
    with (tmp_path / "log").open("wb") as log:
        server = subprocess.Popen(command, cwd=tmp_path, env=project.environment, stdout=log, stderr=log)
    try:
        wait_for(lambda: server.poll() is not None or is_up(project.mlflow))
        assert server.poll() is None, (tmp_path / "log").read_text()
        yield project
    finally:
        server.terminate()
        server.wait(PATIENCE)
    assert KEY["AWS_SECRET_ACCESS_KEY"] not in (tmp_path / "log").read_text()


def is_up(url):
    try:
        with urlopen(f"{url}/health") as answer:
            return answer.status == 200
    except URLError:
        return False


def test_a_worker_without_credentials_keeps_and_fetches_what_lies_in_the_bucket(project, bucket, tmp_path, monkeypatch):
    for name in (*KEY, "AWS_DEFAULT_REGION", "MLFLOW_S3_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / "none"))
    (tmp_path / "video.mp4").write_bytes(b"a video")
    tracking = project.tracking()
    with tracking.run("cell", "dog x square", f"{1:064x}", {}) as record:
        tracking.keep(record, tmp_path / "video.mp4")
    (stored,) = bucket.objects.all()
    assert stored.key.startswith("benchmarks/") and stored.key.endswith(f"/{record.run_id}/artifacts/video.mp4")
    assert stored.get()["Body"].read() == b"a video"
    assert tracking.fetch(record.run_id).read_bytes() == b"a video"
    stored.put(Body=b"another")
    with pytest.raises(Damaged, match=r"video\.mp4 is not what was stored"):
        tracking.fetch(record.run_id)
    stored.delete()
    with pytest.raises(Damaged, match=r"video\.mp4 is missing"):
        tracking.fetch(record.run_id)
