"""The servers' settings and commands; tests/integration/servers/test_servers.py runs them."""

import os
import shutil
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner

from dreamvideo.errors import InputError
from dreamvideo.params import TrackingParams, load_params
from flows.cli import server as cli_server  # noqa: F401 (it adds its commands)
from flows.cli.main import app
from flows.servers.services import (
    check_port,
    gpus,
    mlflow_service,
    prefect_service,
    prepare,
    server_settings,
    worker_service,
)
from flows.tracking.store import open_store
from tests.conftest import empty_store

PARAMS = Path(__file__).resolve().parents[4] / "params.yaml"
URL = "postgresql://user:secret@db.example.org:5432/dreamvideo"


@pytest.fixture(autouse=True)
def no_settings(monkeypatch):
    for name in list(os.environ):
        if name.startswith(("DREAMVIDEO_", "MLFLOW_TRACKING", "CUDA_VISIBLE", "PREFECT_")):
            monkeypatch.delenv(name)


@pytest.fixture
def params(tmp_path):
    store = {"uri": f"sqlite:///{tmp_path}/mlflow.db", "artifacts": tmp_path / "mlruns"}
    params = load_params(PARAMS)
    return params.model_copy(update={"tracking": params.tracking.model_copy(update=store)})


def option(service, name):
    return service.command[service.command.index(name) + 1]


def test_servers_listen_on_this_machine_alone_unless_told(params, monkeypatch):
    settings = server_settings()
    assert not settings.is_open
    for service in (prefect_service(settings), mlflow_service(settings, params)):
        assert option(service, "--host") == "127.0.0.1"
    for host, is_open in (("localhost", False), ("::1", False), ("127.0.0.2", False), ("0.0.0.0", True), ("::", True),
                          ("10.0.0.7", True), ("gpu-box", True)):  # fmt: skip
        monkeypatch.setenv("DREAMVIDEO_HOST", host)
        assert server_settings().is_open == is_open
    monkeypatch.setenv("DREAMVIDEO_HOST", "0.0.0.0")
    assert server_settings().prefect_url == "http://127.0.0.1:4200"
    monkeypatch.setenv("DREAMVIDEO_HOST", "::1")
    assert server_settings().mlflow_url == "http://[::1]:5000"


@pytest.mark.parametrize("command", [["up"], ["run", "prefect"], ["run", "mlflow"]], ids=" ".join)
@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0"])
def test_a_server_that_listens_beyond_this_machine_says_so_in_red(tmp_path, monkeypatch, command, host):
    shutil.copy(PARAMS, tmp_path)
    monkeypatch.chdir(tmp_path)
    for name, value in {"DREAMVIDEO_HOST": host, "COLUMNS": "400", "FORCE_COLOR": "1", "TERM": "xterm"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("NO_COLOR", raising=False)
    starts = []  # where a port would be opened
    monkeypatch.setattr("flows.servers.lifecycle.up", lambda *_: starts.append("up") or {"prefect": "", "mlflow": ""})
    monkeypatch.setattr("flows.servers.services.prepare", lambda *_: None)
    monkeypatch.setattr("os.execvpe", lambda *_: starts.append("run"))
    done = CliRunner().invoke(app, ["server", *command])
    assert done.exit_code == 0 and starts == command[:1], done.output
    warned = done.stderr.startswith("\x1b[1;31mWARNING:\x1b[0m") and host in done.stderr
    assert warned if host == "0.0.0.0" else done.stderr == ""


@pytest.mark.parametrize("port", ["x", "0", "70000"])
def test_a_port_that_is_none_is_refused(monkeypatch, port):
    monkeypatch.setenv("DREAMVIDEO_MLFLOW_PORT", port)
    with pytest.raises(InputError, match=f"DREAMVIDEO_MLFLOW_PORT is '{port}'"):
        server_settings()


def test_a_port_that_is_taken_is_refused_with_the_setting_to_change():
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
        with pytest.raises(InputError, match=rf"DREAMVIDEO_PREFECT_PORT is {port}.*choose a free port"):
            check_port("127.0.0.1", port, "prefect_port")
    check_port("127.0.0.1", port, "prefect_port")


def test_one_setting_puts_both_on_postgresql_in_schemas_of_their_own(params, monkeypatch):
    monkeypatch.setenv("DREAMVIDEO_DATABASE", URL)
    settings = server_settings()
    prefect, mlflow = prefect_service(settings), mlflow_service(settings, params)
    assert prefect.environment["PREFECT_SERVER_DATABASE_CONNECTION_URL"] == URL.replace("://", "+asyncpg://", 1)
    assert mlflow.environment["MLFLOW_BACKEND_STORE_URI"] == f"{URL}?options=-csearch_path%3Dmlflow"
    assert option(mlflow, "--artifacts-destination") == params.tracking.artifacts.as_uri()
    monkeypatch.setenv("DREAMVIDEO_ARTIFACTS", "s3://bucket/path")
    assert option(mlflow_service(server_settings(), params), "--artifacts-destination") == "s3://bucket/path"


def test_a_password_is_neither_shown_nor_given_to_runs(params, monkeypatch):
    monkeypatch.setenv("DREAMVIDEO_DATABASE", URL)
    settings = server_settings()
    services = [prefect_service(settings), mlflow_service(settings, params)]
    assert "secret" not in repr(settings) + repr(services)
    assert not any("secret" in word for service in services for word in service.command)
    assert worker_service("http://a/api", "http://b", None).environment["DREAMVIDEO_DATABASE"] == ""
    monkeypatch.setenv("DREAMVIDEO_DATABASE", "mysql://user:secret@host/name")
    with pytest.raises(InputError, match=r"DREAMVIDEO_DATABASE .* postgresql://") as refused:
        server_settings()
    assert "secret" not in str(refused.value)


def test_a_database_that_does_not_answer_is_refused_without_its_password(params, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as holder:
        port = holder.getsockname()[1]
    monkeypatch.setenv("DREAMVIDEO_DATABASE", f"postgresql://user:secret@127.0.0.1:{port}/name")
    with pytest.raises(InputError, match=rf"user:\*\*\*@127.0.0.1:{port}/name cannot be used") as refused:
        prepare("mlflow", server_settings(), params)
    assert "secret" not in str(refused.value)


def test_without_a_database_the_store_of_the_commands_is_served_and_created_first(params, tmp_path):
    prepare("mlflow", server_settings(), params)
    assert (tmp_path / "mlflow.db").exists()
    service = mlflow_service(server_settings(), params)
    assert service.environment["MLFLOW_BACKEND_STORE_URI"] == params.tracking.uri
    # Where artifacts are does not depend on whether a server stood between.
    experiment = open_store(params.tracking).client.get_experiment_by_name(params.tracking.experiment)
    assert experiment.artifact_location == option(service, "--default-artifact-root")
    served = params.model_copy(update={"tracking": params.tracking.model_copy(update={"uri": "http://127.0.0.1:5000"})})
    with pytest.raises(InputError, match="which is a server already"):
        prepare("mlflow", server_settings(), served)


def test_a_worker_takes_one_run_at_a_time_on_its_own_gpu():
    service = worker_service("http://127.0.0.1:4200/api", "http://127.0.0.1:5000", "3")
    assert service.name == "worker-3" and service.environment["CUDA_VISIBLE_DEVICES"] == "3"
    assert (option(service, "--limit"), option(service, "--pool"), option(service, "--type")) == ("1", "gpu", "process")
    assert worker_service("http://a/api", "http://b", None).environment["CUDA_VISIBLE_DEVICES"] == ""


def test_gpus_are_those_that_this_process_may_use(monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    assert gpus() == ["0", "1"]
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5, 7")
    assert gpus() == ["5", "7"]
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    assert gpus() == []


@pytest.mark.parametrize("exports", [False, True])
def test_a_store_that_is_used_is_not_passed_on_to_other_processes(tmp_path, monkeypatch, exports):
    for name in ("exported.db", "mlflow.db"):
        shutil.copyfile(empty_store(), tmp_path / name)
    exported = f"sqlite:///{tmp_path}/exported.db" if exports else None
    if exported:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", exported)
    else:
        monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    store = TrackingParams(uri=f"sqlite:///{tmp_path}/mlflow.db", artifacts=tmp_path, experiment="one")
    open_store(store)
    assert os.environ.get("MLFLOW_TRACKING_URI") == exported
