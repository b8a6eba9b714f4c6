"""Which store is used, that its password goes nowhere, and what is fetched from it."""

import os
import shutil
import socket
from pathlib import Path
from types import SimpleNamespace

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from dreamvideo.errors import DamagedError, InputError
from dreamvideo.params import TrackingParams
from flows.tracking.schema import Kind, Tag
from flows.tracking.store import Tracking, open_store
from tests.conftest import empty_store


@pytest.fixture
def params(tmp_path):
    shutil.copyfile(empty_store(), tmp_path / "one.db")
    return TrackingParams(uri=f"sqlite:///{tmp_path}/one.db", artifacts=tmp_path / "mlruns", experiment="tracking")


def test_the_environment_names_another_store(params, tmp_path, monkeypatch):
    shutil.copyfile(empty_store(), tmp_path / "other.db")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/other.db")
    tracking = open_store(params)
    with tracking.run(Kind.CELL, "a cell", "key", {}):
        pass
    assert (tmp_path / "other.db").read_bytes() != empty_store().read_bytes()
    assert (tmp_path / "one.db").read_bytes() == empty_store().read_bytes(), "it was left alone"


def test_an_experiment_that_another_machine_makes_at_the_same_time_is_taken(params, monkeypatch):
    real, made = MlflowClient.get_experiment_by_name, []

    def beaten(client, name):
        """Another makes it between this one's look and its own attempt, which the store then refuses."""
        found = real(client, name)
        if found is None:
            made.append(client.create_experiment(name))
        return found

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", beaten)
    assert [open_store(params).experiment] == made


@pytest.mark.parametrize(
    ("uri", "shown"),
    [
        ("https://ann:secret@tracking.example.org/x", "https://ann:***@tracking.example.org/x"),
        ("postgresql://ann:secret@db:5432/mlflow", "postgresql://ann:***@db:5432/mlflow"),
        ("postgresql://ann:se/cr@et@db:5432/mlflow", "postgresql://ann:***@db:5432/mlflow"),
        ("postgresql://db/mlflow?user=ann&password=secret&x=1", "postgresql://db/mlflow?user=ann&password=***&x=1"),
        ("https://a-token@tracking.example.org", "https://***@tracking.example.org"),
        ("postgresql://ann@db/mlflow", "postgresql://ann@db/mlflow"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:5000"),
        ("sqlite:///mlflow.db", "sqlite:///mlflow.db"),
    ],
)
def test_a_password_is_not_shown(uri, shown):
    assert Tracking(SimpleNamespace(tracking_uri=uri), "0").shown_uri == shown


def test_a_servers_password_is_in_no_error(params, monkeypatch):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        port = nobody.getsockname()[1]
        for name in ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD"):
            monkeypatch.setenv(name, "")
        monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://ann:a%2Fsecret@127.0.0.1:{port}")
        with pytest.raises(MlflowException) as refused:
            open_store(params)
    assert str(port) in str(refused.value) and "secret" not in str(refused.value)
    assert (os.environ["MLFLOW_TRACKING_USERNAME"], os.environ["MLFLOW_TRACKING_PASSWORD"]) == ("ann", "a/secret")


def test_a_password_is_in_no_reason(params):
    tracking = open_store(params)
    with pytest.raises(RuntimeError), tracking.run(Kind.CELL, "a cell", "key", {}) as record:
        raise RuntimeError("cannot reach postgresql://ann:secret@db/mlflow")
    assert "ann:***@db" in tracking.get(record.run_id).data.tags[Tag.REASON]


@pytest.mark.parametrize(("steps", "requests"), [(0, 1), (799, 1), (1600, 3)])
def test_all_that_a_run_records_is_written_in_as_few_requests_as_the_store_allows(params, monkeypatch, steps, requests):
    tracking, asked = open_store(params), []
    real = tracking.client.log_batch
    monkeypatch.setattr(tracking.client, "log_batch", lambda *given, **named: asked.append(1) or real(*given, **named))
    with tracking.run(Kind.ADAPTER, "an adapter", "key", {}) as record:
        record.metrics["seconds"] = 1.5
        record.curves["loss"] = {step: float(step) for step in range(steps)}
        record.params |= {f"param.{number}": number for number in range(100)}
        record.tags |= {f"tag.{number}": str(number) for number in range(100)}
    found = tracking.get(record.run_id).data
    assert len(asked) == requests
    assert found.metrics["seconds"] == 1.5 and len(found.params) == 100 and record.tags.items() <= found.tags.items()
    assert [one.value for one in tracking.client.get_metric_history(record.run_id, "loss")] == list(range(steps))


@pytest.mark.parametrize("run_id", ["nothing", "not a run's id"])
def test_an_unknown_run_is_one_sentence(params, run_id):
    with pytest.raises(InputError, match=f"{run_id!r}"):
        open_store(params).get(run_id)


def test_a_missing_artifact_is_one_sentence(params, tmp_path):
    tracking = open_store(params)
    (tmp_path / "other.json").write_text("{}")
    with tracking.run(Kind.BENCHMARK, "a benchmark", "0" * 64, {}) as record:
        tracking.artifacts.attach(record.run_id, tmp_path / "other.json")
    with pytest.raises(DamagedError, match=r"cells\.json is missing"):
        tracking.artifacts.download(record.run_id, "cells.json")


def test_a_further_artifact_that_was_tampered_with_is_refused(params, tmp_path):
    tracking, rows = open_store(params), tmp_path / "cells.json"
    rows.write_text('[{"key": "one"}]')
    with tracking.run(Kind.BENCHMARK, "a benchmark", "0" * 64, {}) as record:
        tracking.artifacts.attach(record.run_id, rows)
    assert tracking.artifacts.read_json(record.run_id, "cells.json") == [{"key": "one"}]
    (tmp_path / "mlruns" / record.run_id / "artifacts/cells.json").write_text("[]")
    with pytest.raises(DamagedError, match=r"cells\.json"):
        tracking.artifacts.read_json(record.run_id, "cells.json")
    rows.write_text("[]")  # as a report that is built again replaces the one before
    tracking.artifacts.attach(record.run_id, rows)
    assert tracking.artifacts.read_json(record.run_id, "cells.json") == []


def test_an_artifact_of_a_run_that_recorded_no_hash_of_it_is_given_as_it_is(params, tmp_path):
    tracking, rows = open_store(params), tmp_path / "cells.json"
    rows.write_text("[]")
    with tracking.run(Kind.BENCHMARK, "a benchmark", "0" * 64, {}) as record:
        tracking.client.log_artifact(record.run_id, str(rows))
    assert tracking.artifacts.read_json(record.run_id, "cells.json") == []


@pytest.mark.skipif(not Path("/proc/self/mem").exists(), reason="no file here that exists and cannot be read by root")
def test_an_artifact_that_is_there_but_cannot_be_copied_is_not_called_missing(params, tmp_path):
    tracking, artifact = open_store(params), tmp_path / "weights.bin"
    artifact.write_bytes(b"weights")
    with tracking.run(Kind.ADAPTER, "identity dog", "0" * 64, {}) as record:
        tracking.keep(record, artifact)
    stored = tmp_path / "mlruns" / record.run_id / "artifacts/weights.bin"
    stored.unlink()
    stored.symlink_to("/proc/self/mem")  # is there, but cannot be read from its beginning
    with pytest.raises(MlflowException, match=r"weights\.bin"):
        tracking.artifacts.fetch(record.run_id)


def test_each_download_is_a_file_of_its_own_for_an_earlier_one_may_be_in_use(params, tmp_path):
    artifact = tmp_path / "weights.bin"
    artifact.write_bytes(bytes(range(256)))
    tracking = open_store(params)
    with tracking.run(Kind.ADAPTER, "identity dog", "0" * 64, {}) as record:
        tracking.keep(record, artifact)
    first, second = tracking.artifacts.fetch(record.run_id), tracking.artifacts.fetch(record.run_id)
    assert first != second
    assert first.read_bytes() == second.read_bytes() == artifact.read_bytes()


def test_a_store_whose_artifacts_are_not_mounted_has_not_lost_them(params, tmp_path):
    tracking = open_store(params)
    (tmp_path / "video.mp4").write_bytes(b"frames")
    with tracking.run(Kind.CELL, "a cell", "key", {}) as record:
        tracking.keep(record, tmp_path / "video.mp4")
    params.artifacts.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError) as refused:
        tracking.artifacts.reuse(record.run_id)
    assert not isinstance(refused.value, DamagedError)
    (tmp_path / "elsewhere").rename(params.artifacts)
    assert tracking.artifacts.reuse(record.run_id).read_bytes() == b"frames"
    assert tracking.get(record.run_id).info.status == "FINISHED"
