"""The composition: it gives the bytes of the benchmark, here and over HTTP, and uses nothing but what was registered."""

import base64
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import mlflow
import pytest
import requests

from dreamvideo.errors import DamagedError
from flows.registry.models import aliases, version
from flows.registry.promotion import promote
from flows.tracking.schema import Tag
from tests.integration.conftest import MOTIONS
from tests.support.registry_trials import COMPOSITION, DOG, cell_of, params, selection_of, tracking


def test_the_composition_gives_the_bytes_of_the_benchmark(composition):
    for number in (2, 1):
        if aliases(tracking(), DOG)["champion"] != number:
            promote(params(), DOG, number)
        cells = [cell_of(number, motion) for motion in MOTIONS]
        answer = composition.predict([selection_of(cell) for cell in cells])
        for cell, made in zip(cells, answer.to_dict("records"), strict=True):
            assert base64.b64decode(made["video"]) == tracking().artifacts.fetch(cell.info.run_id).read_bytes()
            assert made["identity"] == f"{DOG}/{number}"
            assert made["motion"].startswith(f"motion.pocket.{cell.data.params['motion']}/")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"subject": "dgo"}, "unknown subject 'dgo'; did you mean 'dog'?"),
        ({"motion": "square' or 1=1"}, "unknown motion"),
        ({"subject": "van"}, "identity.pocket.van has no champion"),
        ({"prompt": "a dog"}, "has no placeholder"),
        ({"prompt": "a * is {motion}"}, "has a field that is not filled in"),
        ({"seed": -1}, "seed is -1, must be 0 or more"),
    ],
)
def test_the_composition_refuses_a_bad_row_in_one_sentence(composition, change, sentence):
    row = selection_of(cell_of(1, "square"))
    with pytest.raises(mlflow.MlflowException, match=sentence.replace("?", r"\?")):
        composition.predict([row, row | change])


@pytest.fixture
def served(composition):
    """The address of `mlflow models serve`, with the settings that docs/registry.md tells."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    options = ["-m", f"models:/{COMPOSITION}@champion", "--env-manager", "local", "--port", str(port)]
    command = [sys.executable, "-m", "mlflow", "models", "serve", *options]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"  # MLflow starts its server by name
    environment = os.environ | {"PATH": path, "MLFLOW_ALLOW_PICKLE_DESERIALIZATION": "false"}
    with Path("serve.log").open("w") as log:
        server = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        for _ in range(120):
            with suppress(requests.ConnectionError):
                if requests.get(f"http://127.0.0.1:{port}/ping", timeout=10).ok:
                    break
            assert server.poll() is None, Path("serve.log").read_text()
            time.sleep(1)
        yield f"http://127.0.0.1:{port}/invocations"
    finally:
        os.killpg(server.pid, signal.SIGTERM)
        server.wait(30)


def test_the_scoring_server_answers_and_says_what_is_wrong(served):
    cell = cell_of(1, "square")
    row = selection_of(cell)
    answer = requests.post(served, json={"dataframe_records": [row]}, timeout=60)
    (made,) = answer.json()["predictions"]
    assert base64.b64decode(made["video"]) == tracking().artifacts.fetch(cell.info.run_id).read_bytes()
    refused = requests.post(served, json={"dataframe_records": [row | {"subject": "dgo"}]}, timeout=60)
    assert refused.status_code == 400 and "did you mean 'dog'?" in refused.json()["message"]


def test_a_model_folder_that_is_not_what_was_registered_is_refused(composition):
    run_id = version(tracking(), COMPOSITION, 1).run_id
    path = Path("mlruns") / run_id / "artifacts/model/data/params.json"
    original = path.read_text()
    path.write_text(original.replace('"steps": 2', '"steps": 1'))
    with pytest.raises(DamagedError):
        mlflow.pyfunc.load_model(f"models:/{COMPOSITION}@champion")
    path.write_text(original)
    assert "sqlite" not in original, "the store's address may hold a password"


def test_weights_that_are_not_what_was_registered_are_refused(composition):
    dog = version(tracking(), DOG, 1)
    path = Path("mlruns") / dog.run_id / "artifacts/adapter.safetensors"
    original = path.read_bytes()
    path.write_bytes(original[:-1] + b"x")
    fresh = mlflow.pyfunc.load_model(f"models:/{COMPOSITION}@champion")
    with pytest.raises(mlflow.MlflowException, match="not what was stored"):
        fresh.predict(selection_of(cell_of(1, "square")))
    path.write_bytes(original)
    tracking().client.set_model_version_tag(DOG, dog.version, Tag.SHA256, "0" * 64)
    with pytest.raises(mlflow.MlflowException, match="says another SHA-256 than the registry"):
        fresh.predict(selection_of(cell_of(1, "square")))
    tracking().client.set_model_version_tag(DOG, dog.version, Tag.SHA256, dog.tags[Tag.SHA256])
    fresh.predict(selection_of(cell_of(1, "square")))
